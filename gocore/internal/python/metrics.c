/*
 * metrics.c: request_metrics() and process_metrics() of the mod_wsgi module.
 * Recording begins with start_recording_metrics(); before that nothing is
 * counted. Interpreters with a GIL of their own count into the same figures,
 * so a lock guards them; nobody runs Python while it is held.
 *
 * An interval goes from one call of request_metrics() to the next. A request
 * that runs across its end counts as busy in both and as a request in the
 * one in which it finishes.
 */
#include "internal.h"
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

/* Phases of a request, mean times of which are reported. */
enum { P_SERVER, P_QUEUE, P_DAEMON, P_APPLICATION, P_REQUEST, P_GIL, P_INPUT, P_OUTPUT, P_COUNT = MW_PHASES };
static const char *const phase_names[P_COUNT] = {"server_time", "queue_time", "daemon_time", "application_time",
                                                 "request_time", "gil_wait_time", "input_read_time", "output_write_time"};
#define BUCKETS MW_BUCKETS /* four for each octave of milliseconds, under 1 ms and from 65536 ms on apart */

typedef mw_phase phase;

/* One thread; index thread_id - 1. */
typedef struct {
    uint64_t completed;              /* in the interval */
    double busy, cpu, longest;       /* seconds in the interval */
    double since;                    /* running request entered, 0 none */
} slot;

static int recording;
static int for_telemetry; /* the figures go to WSGITelemetryService: the module's functions have none */
static slot *slots;
static double busy_total;
static double process_start;

/* What one interval counts. */
typedef struct {
    phase phases[P_COUNT];
    double start;
    struct rusage usage; /* at its start */
    uint64_t count, statuses[6], gil_count, in_bytes, in_reads, out_bytes, out_writes;
} figures;
static figures now_counted;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

void mw_metrics_init(void) { process_start = mw_now(); }

static double tv(struct timeval t) { return (double)t.tv_sec + (double)t.tv_usec / 1e6; }

/* Resident memory in bytes, now and at its peak. */
static void memory(int64_t *now, int64_t *peak) {
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
#ifdef __APPLE__
    *peak = u.ru_maxrss;
#else
    *peak = (int64_t)u.ru_maxrss * 1024;
#endif
    *now = *peak;
    FILE *f = fopen("/proc/self/statm", "re"); /* "size resident ..." in pages; Linux only */
    long long size, resident;
    if (f) {
        if (fscanf(f, "%lld %lld", &size, &resident) == 2) *now = resident * sysconf(_SC_PAGESIZE);
        fclose(f);
    }
    if (*now > *peak) *peak = *now;
}

static int bucket(double s) {
    double ms = s * 1000;
    if (ms < 1) return 0;
    if (ms >= 65536) return 64;
    int octave = (int)floor(log2(ms)), sub = (int)floor(4 * (ms / ldexp(1, octave) - 1));
    int i = octave * 4 + sub;
    return i > 63 ? 63 : i;
}

static void add(int which, double s) {
    phase *p = &now_counted.phases[which];
    if (s < 0) s = 0;
    int64_t us = (int64_t)(s * 1e6 + 0.5);
    if (!p->n || us < p->min_us) p->min_us = us;
    if (us > p->max_us) p->max_us = us;
    p->sum += s;
    p->n++;
    p->buckets[bucket(s)]++;
}

static void reset(double now) {
    memset(&now_counted, 0, sizeof now_counted);
    now_counted.start = now;
    getrusage(RUSAGE_SELF, &now_counted.usage);
    for (int i = 0; slots && i < mw_threads_max; i++) {
        slots[i].completed = 0;
        slots[i].busy = slots[i].cpu = slots[i].longest = 0;
    }
}

/* A request enters its thread. */
void mw_metrics_begin(mw_thread *t, mw_req *r) {
    if (!recording) return;
    pthread_mutex_lock(&lock);
    slots[t->number - 1].since = t->live.entered;
    pthread_mutex_unlock(&lock);
}

static void count_request(mw_thread *t, mw_req *r, double now, double cpu, int status) {
    mw_live *l = &t->live;
    slot *s = &slots[t->number - 1];
    figures *f = &now_counted;
    double from = s->since > f->start ? s->since : f->start;
    if (s->since > 0) {
        s->busy += now - from;
        busy_total += now - s->since;
        if (now - s->since > s->longest) s->longest = now - s->since;
    }
    s->since = 0;
    s->completed++;
    s->cpu += cpu;
    f->count++;
    f->statuses[status / 100 >= 1 && status / 100 <= 5 ? status / 100 : 5]++;
    double arrival = r->start_us ? (double)r->start_us / 1e6 : l->entered;
    if (mw_cfg.process_group[0]) {
        double queue = mw_queue_start(t, r);
        add(P_SERVER, queue - arrival);
        add(P_QUEUE, l->entered - queue);
        add(P_DAEMON, l->started - l->entered);
    } else {
        add(P_SERVER, l->started - arrival);
    }
    add(P_APPLICATION, now - l->started);
    add(P_REQUEST, now - arrival);
    add(P_GIL, l->gil_time);
    add(P_INPUT, l->in_time);
    add(P_OUTPUT, l->out_time);
    f->gil_count += (uint64_t)l->gil_count;
    f->in_bytes += (uint64_t)l->in_bytes;
    f->in_reads += (uint64_t)l->in_reads;
    f->out_bytes += (uint64_t)l->out_bytes;
    f->out_writes += (uint64_t)l->out_writes;
}

/* It leaves it; started is 0 when the application was not called. */
void mw_metrics_end(mw_thread *t, mw_req *r, double now, double cpu, int status) {
    if (!recording) return;
    pthread_mutex_lock(&lock);
    count_request(t, r, now, cpu, status);
    pthread_mutex_unlock(&lock);
}

/* From now on requests are counted; 0, or -1 without memory. */
static int record(void) {
    pthread_mutex_lock(&lock);
    if (!slots && (slots = calloc((size_t)mw_threads_max, sizeof *slots))) {
        reset(mw_now());
        recording = mw_live_any = 1;
    }
    pthread_mutex_unlock(&lock);
    return slots ? 0 : -1;
}

/* Take the interval: its figures, its threads (room for mw_threads_max). The next one begins; the resources at its
 * start are in *usage. Returns the time. No GIL. */
static double take(figures *f, slot *all, struct rusage *usage) {
    pthread_mutex_lock(&lock);
    double now = mw_now();
    *f = now_counted;
    memcpy(all, slots, (size_t)mw_threads_max * sizeof *all);
    reset(now);
    *usage = now_counted.usage;
    pthread_mutex_unlock(&lock);
    return now;
}

/* ---- the module's functions ---- */

static int put(PyObject *d, const char *k, PyObject *v) { /* steals v */
    int rc = v ? PyDict_SetItemString(d, k, v) : -1;
    Py_XDECREF(v);
    return rc;
}
static int put_float(PyObject *d, const char *k, double v) { return put(d, k, PyFloat_FromDouble(v)); }
static int put_int(PyObject *d, const char *k, int64_t v) { return put(d, k, PyLong_FromLongLong(v)); }

PyObject *mw_start_recording(PyObject *m, PyObject *unused) {
    if (record() < 0) return PyErr_NoMemory();
    Py_RETURN_NONE;
}

static int active_threads(int *started) {
    int n = 0;
    *started = 0;
    for (int i = 0; i < mw_threads_max; i++) {
        if (!mw_threads[i]) continue;
        ++*started;
        if (__atomic_load_n(&mw_threads[i]->busy, __ATOMIC_RELAXED)) n++;
    }
    return n;
}

static int put_phase(PyObject *d, const phase *all, int which) {
    const phase *p = &all[which];
    char key[64];
    int absent = !mw_cfg.process_group[0] && (which == P_QUEUE || which == P_DAEMON);
    int rc = put(d, phase_names[which], absent ? Py_NewRef(Py_None) : PyFloat_FromDouble(p->n ? p->sum / (double)p->n : 0.0));
    snprintf(key, sizeof key, "%s_min_us", phase_names[which]);
    rc |= put(d, key, p->n ? PyLong_FromLongLong(p->min_us) : Py_NewRef(Py_None));
    snprintf(key, sizeof key, "%s_max_us", phase_names[which]);
    rc |= put(d, key, p->n ? PyLong_FromLongLong(p->max_us) : Py_NewRef(Py_None));
    PyObject *list = PyList_New(BUCKETS);
    for (int i = 0; list && i < BUCKETS; i++) {
        PyObject *n = PyLong_FromUnsignedLong(p->buckets[i]);
        if (!n) { Py_CLEAR(list); break; }
        PyList_SET_ITEM(list, i, n);
    }
    snprintf(key, sizeof key, "%s_buckets", phase_names[which]);
    return rc | put(d, key, list);
}

/* A list with one entry for each thread. now: the end of the interval, which began at start. */
static PyObject *per_thread(const slot *all, double start, double now, double (*f)(const slot *, double, double)) {
    PyObject *list = PyList_New(mw_threads_max);
    for (int i = 0; list && i < mw_threads_max; i++) {
        PyObject *v = PyFloat_FromDouble(f(&all[i], start, now));
        if (!v) { Py_CLEAR(list); break; }
        PyList_SET_ITEM(list, i, v);
    }
    return list;
}
static double busy_of(const slot *s, double start, double now) {
    return s->busy + (s->since > 0 ? now - (s->since > start ? s->since : start) : 0);
}
static double cpu_of(const slot *s, double start, double now) { return s->cpu; }
static double elapsed_of(const slot *s, double start, double now) { return s->since > 0 ? now - s->since : 0; }
static double longest_of(const slot *s, double start, double now) { return s->longest; }

static PyObject *completed(const slot *all) {
    PyObject *list = PyList_New(mw_threads_max);
    for (int i = 0; list && i < mw_threads_max; i++) {
        PyObject *v = PyLong_FromUnsignedLongLong(all[i].completed);
        if (!v) { Py_CLEAR(list); break; }
        PyList_SET_ITEM(list, i, v);
    }
    return list;
}

PyObject *mw_request_metrics(PyObject *m, PyObject *unused) {
    if (!recording || for_telemetry) Py_RETURN_NONE;
    PyObject *d = PyDict_New();
    slot *all = PyMem_Malloc((size_t)mw_threads_max * sizeof *all);
    figures *f = PyMem_Malloc(sizeof *f);
    if (!d || !all || !f) { Py_CLEAR(d); PyErr_NoMemory(); goto out; }
    struct rusage u;
    double now = take(f, all, &u), period = now - f->start;
    if (period <= 0) period = 1e-6;
    int started, active = active_threads(&started), rc = 0;
    double busy = 0;
    for (int i = 0; i < mw_threads_max; i++) busy += busy_of(&all[i], f->start, now);
    double capacity = busy / (period * mw_threads_max);
    double user = (tv(u.ru_utime) - tv(f->usage.ru_utime)) / period;
    double sys = (tv(u.ru_stime) - tv(f->usage.ru_stime)) / period;
    int64_t rss, peak;
    memory(&rss, &peak);
    rc |= put_int(d, "pid", getpid()) | put_float(d, "start_time", f->start) | put_float(d, "stop_time", now);
    rc |= put_float(d, "sample_period", period) | put_int(d, "request_count", (int64_t)f->count);
    rc |= put_float(d, "request_throughput", (double)f->count / period);
    rc |= put_float(d, "capacity_utilization", capacity < 1 ? capacity : 1);
    rc |= put_int(d, "request_threads_maximum", mw_threads_max) | put_int(d, "request_threads_started", started);
    rc |= put_int(d, "request_threads_active", active);
    rc |= put(d, "request_threads_completed", completed(all)) | put(d, "request_threads_buckets", completed(all));
    rc |= put(d, "request_threads_busy_time", per_thread(all, f->start, now, busy_of));
    rc |= put(d, "request_threads_cpu_time", per_thread(all, f->start, now, cpu_of));
    rc |= put(d, "request_threads_current_elapsed", per_thread(all, f->start, now, elapsed_of));
    rc |= put(d, "request_threads_max_duration", per_thread(all, f->start, now, longest_of));
    rc |= put_float(d, "cpu_user_utilization", user) | put_float(d, "cpu_system_utilization", sys) | put_float(d, "cpu_utilization", user + sys);
    rc |= put_float(d, "cpu_user_time", user) | put_float(d, "cpu_system_time", sys) | put_float(d, "cpu_time", user + sys);
    rc |= put_int(d, "memory_rss", rss) | put_int(d, "memory_max_rss", peak);
    static const char *const names[] = {"", "status_1xx", "status_2xx", "status_3xx", "status_4xx", "status_5xx"};
    for (int i = 1; i < 6; i++) rc |= put_int(d, names[i], (int64_t)f->statuses[i]);
    rc |= put_int(d, "input_bytes", (int64_t)f->in_bytes) | put_int(d, "input_reads", (int64_t)f->in_reads);
    rc |= put_int(d, "output_bytes", (int64_t)f->out_bytes) | put_int(d, "output_writes", (int64_t)f->out_writes);
    for (int i = 0; i < P_COUNT; i++) rc |= put_phase(d, f->phases, i);
    rc |= put_int(d, "gil_wait_count", (int64_t)f->gil_count);
    if (rc) Py_CLEAR(d);
out:
    PyMem_Free(all);
    PyMem_Free(f);
    return d;
}

PyObject *mw_process_metrics(PyObject *m, PyObject *unused) {
    if (!recording || for_telemetry) Py_RETURN_NONE;
    PyObject *d = PyDict_New(), *threads = PyList_New(0);
    int started, active = active_threads(&started), rc = d && threads ? 0 : -1;
    double now = mw_now();
    uint64_t total = 0;
    pthread_mutex_lock(&lock);
    double busy = busy_total;
    for (int i = 0; i < mw_threads_max; i++) busy += elapsed_of(&slots[i], 0, now);
    pthread_mutex_unlock(&lock);
    for (int i = 0; !rc && i < mw_threads_max; i++) {
        if (!mw_threads[i]) continue;
        uint64_t n = mw_threads[i]->serial - (mw_threads[i]->busy ? 1 : 0); /* completed */
        total += n;
        PyObject *x = Py_BuildValue("{sisK}", "thread_id", i + 1, "request_count", (unsigned long long)n);
        rc = x ? PyList_Append(threads, x) : -1;
        Py_XDECREF(x);
    }
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    int64_t rss, peak;
    memory(&rss, &peak);
    if (!rc) {
        rc |= put_int(d, "pid", getpid()) | put_float(d, "restart_time", process_start) | put_float(d, "current_time", now);
        rc |= put_int(d, "running_time", (int64_t)(now - process_start)) | put_int(d, "request_count", (int64_t)total);
        rc |= put_float(d, "request_busy_time", busy) | put_int(d, "request_threads", mw_threads_max);
        rc |= put_int(d, "active_requests", active) | put_float(d, "cpu_user_time", tv(u.ru_utime));
        rc |= put_float(d, "cpu_system_time", tv(u.ru_stime)) | put_float(d, "cpu_time", tv(u.ru_utime) + tv(u.ru_stime));
        rc |= put_int(d, "memory_rss", rss) | put_int(d, "memory_max_rss", peak) | put(d, "threads", Py_NewRef(threads));
    }
    Py_XDECREF(threads);
    if (rc) Py_CLEAR(d);
    return d;
}

/* ---- for the telemetry service (package worker, telemetry.go); no GIL ---- */

/* Record from now on, for the service: 0, or -1 without memory. */
int mw_telemetry_start(void) {
    for_telemetry = 1;
    return record();
}

/* What the interval since the last call has counted: 0, or -1 without memory. */
int mw_telemetry_sample(mw_sample *out) {
    slot *all = malloc((size_t)mw_threads_max * sizeof *all);
    figures *f = malloc(sizeof *f);
    struct rusage u;
    memset(out, 0, sizeof *out);
    if (all && f) {
        out->stop = take(f, all, &u);
        out->start = f->start;
        out->user = tv(u.ru_utime) - tv(f->usage.ru_utime);
        out->system = tv(u.ru_stime) - tv(f->usage.ru_stime);
        out->count = (int64_t)f->count;
        out->gil_count = (int64_t)f->gil_count;
        out->in_bytes = (int64_t)f->in_bytes;
        out->in_reads = (int64_t)f->in_reads;
        out->out_bytes = (int64_t)f->out_bytes;
        out->out_writes = (int64_t)f->out_writes;
        for (int i = 0; i < 5; i++) out->statuses[i] = (int64_t)f->statuses[i + 1];
        memcpy(out->phases, f->phases, sizeof out->phases);
        memory(&out->rss, &out->max_rss);
        out->threads_max = mw_threads_max;
        out->threads_active = active_threads(&out->threads_started);
        for (int i = 0; i < mw_threads_max; i++) {
            double busy = busy_of(&all[i], f->start, out->stop);
            out->busy += busy;
            if (i >= MW_SAMPLE_SLOTS) continue;
            out->slots[out->nslots++] = (mw_slot){(int64_t)all[i].completed, busy, all[i].cpu, elapsed_of(&all[i], f->start, out->stop), all[i].longest};
        }
    }
    int rc = all && f ? 0 : -1;
    free(all);
    free(f);
    return rc;
}
