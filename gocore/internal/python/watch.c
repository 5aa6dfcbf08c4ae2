/*
 * watch.c: what the process's timers ask of the interpreter (package worker,
 * timers.go): who is running what, for how long, with which stacks; is the
 * GIL still to be had; interrupt a request; answer for requests that are
 * given up.
 *
 * Functions here are called on threads of Go's without the GIL. Those that
 * take it say so: they block for as long as somebody keeps it, so the timers
 * call them from a goroutine of their own.
 *
 * While mw_thread.req is set and the caller has the GIL of the interpreter
 * mw_thread.st, the request's memory is stable: its thread needs that GIL to
 * finish with it. In free-threaded builds it needs MW_REQ_LOCK, too.
 */
#include "internal.h"
#include <frameobject.h> /* PyFrame_GetBack of Python 3.10 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>

#ifndef MSG_NOSIGNAL
#define MSG_NOSIGNAL 0 /* macOS: SIGPIPE is ignored in workers */
#endif

#define MAX_FRAMES 60 /* of one thread in a dump; a runaway recursion must not fill the log */

mw_thread **mw_threads;  /* by id - 1 */
int mw_threads_max;
int mw_script_loaded;

/* Room for the threads of the process. Called once, before any starts; 0 or -1. */
int mw_watch_init(void) {
    mw_threads_max = mw_cfg.threads > 0 ? mw_cfg.threads : 1;
    mw_threads = calloc((size_t)mw_threads_max, sizeof *mw_threads);
    return mw_threads ? 0 : -1;
}

void mw_watch_thread(int id, mw_thread *t) {
    t->ident = PyThread_get_thread_ident();
    if (id >= 1 && id <= mw_threads_max) __atomic_store_n(&mw_threads[id - 1], t, __ATOMIC_RELEASE);
}

static mw_thread *thread_at(int i) {
    return i >= 0 && i < mw_threads_max ? __atomic_load_n(&mw_threads[i], __ATOMIC_ACQUIRE) : NULL;
}

/* Counters of up to n threads; returns their number. No GIL, never blocks. */
int mw_threads_read(mw_thread_state *out, int n) {
    int k = 0;
    for (; k < n && k < mw_threads_max; k++) {
        mw_thread *t = thread_at(k);
        memset(&out[k], 0, sizeof out[k]);
        if (!t) continue;
        out[k].serial = __atomic_load_n(&t->serial, __ATOMIC_RELAXED);
        out[k].ignored = __atomic_load_n(&t->ignored, __ATOMIC_RELAXED);
        out[k].busy = __atomic_load_n(&t->busy, __ATOMIC_ACQUIRE);
    }
    return k;
}

/* Whether any script was loaded with success. No GIL. */
int mw_loaded(void) { return __atomic_load_n(&mw_script_loaded, __ATOMIC_ACQUIRE); }

static double seconds_since(int64_t us) {
    struct timeval tv;
    gettimeofday(&tv, NULL);
    return us ? (double)tv.tv_sec + (double)tv.tv_usec / 1e6 - (double)us / 1e6 : 0.0;
}

static void describe(char *buf, size_t cap, mw_thread *t) {
    mw_req *r = t->req;
    const mw_head *h = &r->head;
    mw_route *rt = mw_route_get(r->route);
    int method = h->method.len < 32 ? (int)h->method.len : 32, target = h->target.len < 1024 ? (int)h->target.len : 1024;
    mw_lock(r);
    snprintf(buf, cap, "%.*s %.*s, %.1f s, thread %d, script '%s'", method, r->in + h->method.off, target, r->in + h->target.off,
             seconds_since(r->start_us), t->number, rt ? rt->script_c : "?");
    mw_unlock(r);
}

/* One frame of a stack; who: of which, if it is the innermost, else NULL. */
static void log_frame(int level, const mw_req *r, const char *who, PyFrameObject *frame, int line) {
    PyCodeObject *code = PyFrame_GetCode(frame);
    PyObject *file = PyObject_GetAttrString((PyObject *)code, "co_filename"), *name = PyObject_GetAttrString((PyObject *)code, "co_name");
    const char *f = file ? PyUnicode_AsUTF8(file) : NULL, *n = name ? PyUnicode_AsUTF8(name) : NULL;
    mw_logf(level, r, "%s%s File \"%s\", line %d, in %s", who ? who : "  called from", who ? ":" : "", f ? f : "?", line, n ? n : "?");
    PyErr_Clear();
    Py_XDECREF(file); Py_XDECREF(name);
    Py_DECREF(code);
}

/* Log the stack of a thread state; steals frame. */
static void log_frames(int level, const mw_req *r, const char *who, PyObject *frame) {
    for (int i = 0; frame && i < MAX_FRAMES; i++) {
        log_frame(level, r, i ? NULL : who, (PyFrameObject *)frame, PyFrame_GetLineNumber((PyFrameObject *)frame));
        PyObject *back = (PyObject *)PyFrame_GetBack((PyFrameObject *)frame);
        Py_DECREF(frame);
        frame = back;
    }
    if (frame) mw_logf(level, r, "  called from further frames, not shown");
    Py_XDECREF(frame);
}

static void report_stack(int level, const mw_req *r, const char *who, PyThreadState *ts) {
    PyObject *frame = (PyObject *)PyThreadState_GetFrame(ts);
    if (frame) log_frames(level, r, who, frame);
    PyErr_Clear();
}

void mw_log_traceback(int level, const mw_req *r, const char *who, PyObject *tb) {
    PyTracebackObject *all[MAX_FRAMES], *t = tb && PyTraceBack_Check(tb) ? (PyTracebackObject *)tb : NULL;
    int n = 0;
    for (; t; t = t->tb_next) all[n++ % MAX_FRAMES] = t; /* outermost first: the last ones count */
    for (int i = 0; i < n && i < MAX_FRAMES; i++) {
        t = all[(n - 1 - i) % MAX_FRAMES];
        PyObject *line = PyObject_GetAttrString((PyObject *)t, "tb_lineno");
        log_frame(level, r, i ? NULL : who, t->tb_frame, line ? (int)PyLong_AsLong(line) : 0);
        PyErr_Clear();
        Py_XDECREF(line);
    }
}

static mw_thread *thread_of(const mw_state *st, const PyThreadState *ts) {
    for (int i = 0; i < mw_threads_max; i++) {
        mw_thread *t = thread_at(i);
        if (t && t->local[st->index].ts == ts) return t;
    }
    return NULL;
}

/* The requests of one interpreter, whose GIL is held, and the application's own threads there. */
static int report_in(mw_state *st, int level, int stacks, int thread) {
    int running = 0;
    char text[1400], who[96], where[64] = "";
    if (st->index) snprintf(where, sizeof where, " in application group '%.30s'", st->conf.name);
    for (int i = 0; i < mw_threads_max; i++) {
        mw_thread *t = thread_at(i);
        if (!t || (thread > 0 && t->number != thread)) continue;
        MW_REQ_LOCK(t);
        mw_req *r = __atomic_load_n(&t->req, __ATOMIC_ACQUIRE);
        if (r && t->st == st) {
            running++;
            describe(text, sizeof text, t);
            mw_logf(level, r, "running request: %s%s", text, where);
            snprintf(who, sizeof who, "stack of thread %d", t->number);
            if (stacks && !mw_gil_off() && t->local[st->index].ts) report_stack(level, r, who, t->local[st->index].ts);
        }
        MW_REQ_UNLOCK(t);
    }
    if (stacks && running && mw_gil_off()) mw_logf(level, NULL, "no stacks: those of running threads cannot be read safely without a GIL");
    if (!stacks || thread || mw_gil_off()) return running;
    PyThreadState *me = PyThreadState_Get();
    int collects = PyGC_Disable(); /* until 3.11 a new object can run the collector, hence other threads, one of which may end */
    for (PyThreadState *ts = PyInterpreterState_ThreadHead(me->interp); ts; ts = PyThreadState_Next(ts)) {
        mw_thread *t = thread_of(st, ts);
        if (ts == me || (t && t->req && t->st == st)) continue;
        snprintf(who, sizeof who, "stack of thread %lu%s", (unsigned long)ts->thread_id, where);
        report_stack(level, NULL, who, ts); /* threads of the application's own; ours that wait have no frames */
    }
    if (collects) PyGC_Enable();
    return running;
}

/* Log the requests that run, with the Python stacks of all threads if asked. Takes the GILs.
 * thread > 0: that one alone. Returns the number of requests. */
int mw_report(int level, int stacks, int thread) {
    int running = 0;
    for (int i = 0; i < mw_interp_count(); i++) {
        mw_visit v;
        if (mw_visit_begin(&v, mw_interps[i]) < 0) continue;
        running += report_in(mw_interps[i], level, stacks, thread);
        mw_visit_end(&v);
    }
    return running;
}

/* Raise mod_wsgi.RequestTimeout in a thread that still runs its request number serial.
 * Takes the GIL of its interpreter. 1 done, 0 too late. */
int mw_interrupt(int thread, uint64_t serial) {
    mw_thread *t = thread_at(thread - 1);
    mw_state *st = t && __atomic_load_n(&t->req, __ATOMIC_ACQUIRE) ? t->st : NULL;
    mw_visit v;
    if (!st || mw_visit_begin(&v, st) < 0) return 0;
    int done = 0;
    MW_REQ_LOCK(t);
    if (t->req && t->st == st && t->busy && t->serial == serial && PyThreadState_SetAsyncExc(t->ident, st->request_timeout) == 1) {
        t->interrupted = 1; /* mw_run takes back what was not raised by the request's end */
        done = 1;
    }
    MW_REQ_UNLOCK(t);
    mw_visit_end(&v);
    return done;
}

/* The answer for a request that is given up; 1 if it is on its way. */
static int answer_for(mw_req *r, int late) {
    char text[256];
    int len = snprintf(text, sizeof text, "HTTP/1.1 %s\r\nServer: %.100s\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
                       late ? "504 Gateway Timeout" : "502 Bad Gateway", mw_cfg.server_software);
    r->aborted = 1;
    r->status = late ? 504 : 502;
    int sent = !r->wire && send(r->fd, text, (size_t)len, MSG_DONTWAIT | MSG_NOSIGNAL) == len;
    shutdown(r->fd, SHUT_WR);
    return sent;
}

static int abandon(const mw_state *st, const unsigned char *overdue, int n, int locked) {
    int count = 0;
    for (int i = 0; i < mw_threads_max; i++) {
        mw_thread *t = thread_at(i);
        if (!t) continue;
        if (locked) MW_REQ_LOCK(t);
        mw_req *r = t->st == st ? t->req : NULL;
        if (r && r->fd >= 0 && !r->aborted && !r->sent && !r->out_len) count += answer_for(r, i < n && overdue[i]);
        if (locked) MW_REQ_UNLOCK(t);
    }
    return count;
}

/* Answer for requests that are given up because the process ends: status for those whose thread
 * is marked in overdue, 502 for the others; nothing where a response has begun. The application's
 * own output is dropped afterwards. With gil the caller may wait for it; without, the process is
 * stuck and about to be ended. Returns the number of answers. */
int mw_abandon(const unsigned char *overdue, int n, int gil) {
    int count = 0;
    for (int i = 0; i < mw_interp_count(); i++) {
        mw_visit v;
        int in = gil && mw_visit_begin(&v, mw_interps[i]) == 0;
        count += abandon(mw_interps[i], overdue, n, in);
        if (in) mw_visit_end(&v);
    }
    return count;
}
