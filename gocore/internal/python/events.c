/*
 * events.c: events of the mod_wsgi module and the measurements of single
 * requests that they carry.
 *
 * Nothing here runs, and no clock is read, before somebody subscribed, began
 * to record metrics (metrics.c) or looked at mod_wsgi.active_requests:
 * mw_live_any says so. All but mw_live_enter want the GIL.
 */
#include "internal.h"
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

int mw_live_any;

double mw_now(void) {
    struct timeval tv;
    gettimeofday(&tv, NULL);
    return (double)tv.tv_sec + (double)tv.tv_usec / 1e6;
}

/* CPU seconds of the calling thread; 0 where the system does not tell (then cpu_* is left out). */
static int cpu_times(double *user, double *system) {
#ifdef RUSAGE_THREAD
    struct rusage u;
    if (getrusage(RUSAGE_THREAD, &u) == 0) {
        *user = (double)u.ru_utime.tv_sec + (double)u.ru_utime.tv_usec / 1e6;
        *system = (double)u.ru_stime.tv_sec + (double)u.ru_stime.tv_usec / 1e6;
        return 1;
    }
#else
    struct timespec ts;
    if (clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts) == 0) { /* one figure only */
        *user = (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
        *system = 0.0;
        return 1;
    }
#endif
    return 0;
}

/* ---- what a request is measured by ---- */

/* On entry, before the GIL is taken. */
void mw_live_enter(mw_thread *t, mw_req *r) {
    memset(&t->live, 0, sizeof t->live);
    t->live.entered = mw_now();
}

/* PyEval_RestoreThread, measured when somebody wants to know. */
void mw_restore_timed(PyThreadState *ts) {
    double t0 = mw_now();
    PyEval_RestoreThread(ts);
    if (mw_self) {
        mw_self->live.gil_time += mw_now() - t0;
        mw_self->live.gil_count++;
    }
}

/* Reading and writing by the application: one operation of n bytes that began at t0. */
void mw_live_input(double t0, Py_ssize_t n) {
    if (!mw_self || !mw_self->req) return;
    mw_self->live.in_time += mw_now() - t0;
    mw_self->live.in_reads++;
    mw_self->live.in_bytes += n;
}
void mw_live_output(double t0, int64_t n) {
    if (!mw_self || !mw_self->req) return;
    mw_self->live.out_time += mw_now() - t0;
    mw_self->live.out_writes++;
    mw_self->live.out_bytes += n;
}

/* As in the environ: connection, then the number of the request on it. New reference. */
static PyObject *request_id(const mw_req *r) {
    char id[40];
    snprintf(id, sizeof id, "%016llx-%llx", (unsigned long long)r->conn_id, (unsigned long long)(r->request_no & 0xffffffff));
    return PyUnicode_FromString(id);
}

/* request_data() of a thread: made on first use. Borrowed or NULL. */
PyObject *mw_request_data(mw_thread *t) {
    if (!t->request_data) t->request_data = PyDict_New();
    return t->request_data;
}

static void active_add(mw_state *st, mw_thread *t, mw_req *r) {
    PyObject *id = request_id(r), *data = mw_request_data(t);
    if (!id || !data || PyDict_SetItem(st->active_requests, id, data) < 0) PyErr_Clear();
    Py_XDECREF(id);
}

static void active_remove(mw_state *st, mw_req *r) {
    if (!st->active_kept) return;
    PyObject *id = request_id(r);
    if (id && PyDict_Contains(st->active_requests, id) == 1) PyDict_DelItem(st->active_requests, id);
    PyErr_Clear();
    Py_XDECREF(id);
}

/* The thread leaves the request for good. Where there is no GIL, the first look may have added it
 * after mw_live_end. */
void mw_active_leave(mw_state *st, mw_req *r) {
    active_remove(st, r);
}

/* First look at mod_wsgi.active_requests: from now on it is kept. New reference. */
PyObject *mw_active_requests(mw_state *st) {
    if (!st->active_kept) {
        st->active_kept = mw_live_any = 1;
        for (int i = 0; i < mw_threads_max; i++) {
            mw_thread *t = mw_threads[i];
            if (!t) continue;
            MW_REQ_LOCK(t);
            if (t->req && t->st == st) active_add(st, t, t->req);
            MW_REQ_UNLOCK(t);
        }
    }
    return Py_NewRef(st->active_requests);
}

/* GIL taken, script not loaded yet. */
void mw_live_begin(mw_state *st, mw_thread *t, mw_req *r) {
    mw_live *l = &t->live;
    double now = mw_now();
    if (!mw_live_any || l->entered == 0.0) { /* subscribed behind our back, by the list itself */
        mw_live_any = 1;
        memset(l, 0, sizeof *l);
        l->entered = now;
    }
    l->gil_time += now - l->entered;
    l->gil_count++;
    l->on = 1;
    if (st->active_kept) active_add(st, t, r);
    mw_metrics_begin(t, r);
    if (mw_slow_on) mw_slow_begin(t, r);
}

static int put(PyObject *d, const char *k, PyObject *v) { /* steals v */
    int rc = v ? PyDict_SetItemString(d, k, v) : -1;
    Py_XDECREF(v);
    return rc;
}
static int put_float(PyObject *d, const char *k, double v) { return put(d, k, PyFloat_FromDouble(v)); }
static int put_int(PyObject *d, const char *k, long long v) { return put(d, k, PyLong_FromLongLong(v)); }

/* What all events about a request have: its id and its data. New dict or NULL. */
static PyObject *payload(mw_thread *t, mw_req *r) {
    PyObject *p = PyDict_New();
    if (!p) return NULL;
    PyObject *data = mw_request_data(t);
    if (put(p, "request_id", request_id(r)) < 0 || put(p, "request_data", Py_XNewRef(data)) < 0) Py_CLEAR(p);
    return p;
}

static int put_times(PyObject *p, mw_thread *t, mw_req *r) {
    int rc = put(p, "thread_id", Py_NewRef(t->at->id));
    rc |= put_int(p, "server_pid", (long long)getpid());
    rc |= put_float(p, "request_start", r->start_us ? (double)r->start_us / 1e6 : t->live.entered);
    rc |= put_float(p, "queue_start", mw_queue_start(t, r));
    rc |= put_float(p, "daemon_start", mw_daemon_start(t));
    return rc;
}

/* In a process group a request is handed to the group when it is complete, or when it is put into
 * the queue because no thread is free; taken up when a thread enters the application. Embedded: 0. */
double mw_daemon_start(mw_thread *t) { return mw_cfg.process_group[0] ? t->live.entered : 0.0; }
double mw_queue_start(mw_thread *t, mw_req *r) {
    if (!mw_cfg.process_group[0]) return 0.0;
    return r->queue_us ? (double)r->queue_us / 1e6 : t->live.entered;
}

/* environ is built: request_started, whose callbacks may replace the application. */
void mw_live_started(mw_state *st, mw_thread *t, mw_req *r, PyObject *env, PyObject **app) {
    t->live.started = mw_now();
    t->live.cpu = cpu_times(&t->live.cpu_user, &t->live.cpu_system);
    if (!PyList_GET_SIZE(st->event_callbacks)) return;
    PyObject *p = payload(t, r);
    int rc = p ? put_times(p, t, r) : -1;
    if (!rc) {
        PyObject *start = PyDict_GetItemString(env, "mod_wsgi.application_start");
        PyObject *name = PyDict_GetItemString(env, "mod_wsgi.callable_object");
        rc |= put(p, "application_start", start ? Py_NewRef(start) : PyFloat_FromDouble(t->live.started));
        rc |= put_int(p, "daemon_connects", 0) | put_int(p, "daemon_restarts", 0);
        rc |= put(p, "application_object", Py_NewRef(*app));
        rc |= put(p, "callable_object", name ? Py_NewRef(name) : PyUnicode_FromString("application"));
        rc |= put(p, "request_environ", Py_NewRef(env));
    }
    if (!rc) {
        mw_publish(st, "request_started", p);
        PyObject *x = PyDict_GetItemString(p, "application_object");
        if (x) Py_SETREF(*app, Py_NewRef(x));
    }
    if (PyErr_Occurred()) mw_log_exception(r, "WSGI0302: while request_started was published");
    Py_XDECREF(p);
}

/* start_response was called; nothing is checked yet. */
void mw_live_response(mw_state *st, PyObject *status, PyObject *headers, PyObject *exc_info) {
    mw_thread *t = mw_self;
    PyObject *p = t && t->req ? payload(t, t->req) : PyDict_New();
    if (p && !(put(p, "response_status", Py_NewRef(status)) | put(p, "response_headers", Py_NewRef(headers)) |
               put(p, "exception_info", Py_NewRef(exc_info))))
        mw_publish(st, "response_started", p);
    PyErr_Clear();
    Py_XDECREF(p);
}

/* The application, its iterator or close() raised. No exception is set; none is left. */
void mw_live_exception(mw_state *st, PyObject *type, PyObject *value, PyObject *tb) {
    mw_thread *t = mw_self;
    PyObject *p = t && t->req ? payload(t, t->req) : NULL;
    if (p && put(p, "exception_info", Py_BuildValue("(OOO)", type, value ? value : Py_None, tb ? tb : Py_None)) == 0)
        mw_publish(st, "request_exception", p);
    PyErr_Clear();
    Py_XDECREF(p);
}

/* close() was called, or (called = 0) the application never was. */
void mw_live_end(mw_state *st, mw_thread *t, mw_req *r, int called) {
    mw_live *l = &t->live;
    if (!l->on) { /* nobody was interested when it began */
        active_remove(st, r);
        return;
    }
    l->on = 0;
    double now = mw_now(), user = 0, sys = 0;
    if (l->started == 0.0) l->started = now;
    double elapsed = now - l->started;
    if (elapsed < 0) elapsed = 0;
    int cpu = l->cpu && cpu_times(&user, &sys);
    if (cpu) {
        user = user > l->cpu_user ? user - l->cpu_user : 0;
        sys = sys > l->cpu_system ? sys - l->cpu_system : 0;
        if (user + sys > elapsed) { /* the kernel's figures are coarser than the clock */
            double scale = elapsed / (user + sys);
            user *= scale;
            sys *= scale;
        }
    }
    int status = r->status ? r->status : 500;
    mw_metrics_end(t, r, now, user + sys, status);
    if (mw_slow_on) mw_slow_end(t, r, now, user, sys, status);
    if (called && PyList_GET_SIZE(st->event_callbacks)) {
        PyObject *p = payload(t, r);
        int rc = p ? put_times(p, t, r) : -1;
        if (!rc) {
            rc |= put_float(p, "application_finish", now) | put_float(p, "application_time", elapsed);
            rc |= put_int(p, "input_reads", l->in_reads) | put_int(p, "input_length", l->in_bytes) | put_float(p, "input_time", l->in_time);
            rc |= put_int(p, "output_writes", l->out_writes) | put_int(p, "output_length", l->out_bytes);
            rc |= put_float(p, "output_time", l->out_time) | put_int(p, "status", status);
            rc |= put_float(p, "gil_wait_time", l->gil_time) | put_int(p, "gil_wait_count", l->gil_count);
            if (cpu) rc |= put_float(p, "cpu_user_time", user) | put_float(p, "cpu_system_time", sys) | put_float(p, "cpu_time", user + sys);
        }
        if (!rc) mw_publish(st, "request_finished", p);
        if (PyErr_Occurred()) mw_log_exception(r, "WSGI0302: while request_finished was published");
        Py_XDECREF(p);
    }
    active_remove(st, r);
}

/* ---- publishing ---- */

/* Call each event callback with event and payload (dict); returned dicts update the payload. */
void mw_publish(mw_state *st, const char *event, PyObject *p) {
    PyObject *list = PyList_GetSlice(st->event_callbacks, 0, PY_SSIZE_T_MAX);
    if (!list) { PyErr_Clear(); return; }
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(list); i++) {
        PyObject *args = Py_BuildValue("(s)", event);
        PyObject *x = args ? PyObject_Call(PyList_GET_ITEM(list, i), args, p) : NULL;
        Py_XDECREF(args);
        if (!x) {
            int exit = PyErr_ExceptionMatches(PyExc_SystemExit);
            mw_log_exception(mw_self ? mw_self->req : NULL, "WSGI%s: while a subscriber of event '%s' ran", exit ? "0190" : "0112", event);
        } else if (PyDict_Check(x) && PyDict_Update(p, x) < 0) {
            PyErr_Clear();
        }
        Py_XDECREF(x);
    }
    Py_DECREF(list);
}

/* An event of the process: event subscribers, then those of the kind. No exception is left. */
static void publish_process(mw_state *st, const char *event, PyObject *p, PyObject *callbacks) {
    mw_publish(st, event, p);
    PyObject *list = PyList_GetSlice(callbacks, 0, PY_SSIZE_T_MAX);
    for (Py_ssize_t i = 0; list && i < PyList_GET_SIZE(list); i++) {
        PyObject *args = Py_BuildValue("(s)", event);
        PyObject *x = args ? PyObject_Call(PyList_GET_ITEM(list, i), args, p) : NULL;
        if (!x) mw_log_exception(NULL, "WSGI%s: while a subscriber of '%s' ran", PyErr_ExceptionMatches(PyExc_SystemExit) ? "0190" : "0112", event);
        Py_XDECREF(x);
        Py_XDECREF(args);
    }
    Py_XDECREF(list);
    PyErr_Clear();
}

/* Publish an event in every interpreter, the main one last. Takes their GILs. payload makes a new
 * dict, since objects cannot go from one interpreter to another. */
static void publish_everywhere(const char *event, PyObject *(*payload)(const void *), const void *arg, size_t callbacks) {
    int n = mw_interp_count();
    for (int i = 1; i <= n; i++) {
        mw_state *st = mw_interps[i % n];
        mw_visit v;
        if (mw_visit_begin(&v, st) < 0) continue;
        PyObject *p = payload(arg);
        if (p) publish_process(st, event, p, *(PyObject **)((char *)st + callbacks));
        PyErr_Clear();
        Py_XDECREF(p);
        mw_visit_end(&v);
    }
}

static PyObject *stopping_payload(const void *reason) { return Py_BuildValue("{ss}", "shutdown_reason", (const char *)reason); }

/* process_stopping, with the reason of the stop. Takes the GILs. */
void mw_stopping(const char *reason) {
    publish_everywhere("process_stopping", stopping_payload, reason, offsetof(mw_state, shutdown_callbacks));
}

typedef struct { const char *name; int number; } signal_arg;
static PyObject *signal_payload(const void *arg) {
    const signal_arg *s = arg;
    return Py_BuildValue("{sssi}", "signame", s->name, "signum", s->number);
}

/* process_signal: SIGHUP or SIGUSR2 came. Takes the GILs. */
void mw_signal_event(const char *name, int number) {
    signal_arg s = {name, number};
    publish_everywhere("process_signal", signal_payload, &s, offsetof(mw_state, signal_callbacks));
}
