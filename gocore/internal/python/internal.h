/*
 * internal.h: shared by the C files of package python, not seen by Go.
 * Every function here wants the GIL unless it says otherwise.
 */
#ifndef MW_INTERNAL_H
#define MW_INTERNAL_H
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <sched.h>
#include "mw.h"

#ifdef __APPLE__
/* the last c in n bytes, or NULL: GNU and BSD have it, macOS has not */
static inline void *memrchr(const void *p, int c, size_t n) {
    const unsigned char *s = p;
    while (n) if (s[--n] == (unsigned char)c) return (void *)(s + n);
    return NULL;
}
#endif

#if PY_VERSION_HEX < 0x030c0000
#define Py_T_OBJECT_EX T_OBJECT_EX
#endif

/* Free-threaded builds, whether they run with a GIL or without. What the GIL guards elsewhere is
 * guarded there by critical sections of the objects (which end for as long as the thread waits, as
 * holding the GIL does), by caches for each thread (environ.h), and by MW_REQ_LOCK: the request of a
 * thread stays while a timer looks at it. Locks of pthreads are never held while Python runs. */
#ifdef Py_GIL_DISABLED
#define MW_REQ_LOCK(t) PyMutex_Lock(&(t)->req_lock)
#define MW_REQ_UNLOCK(t) PyMutex_Unlock(&(t)->req_lock)
#else
#define MW_REQ_LOCK(t) (void)(t)
#define MW_REQ_UNLOCK(t) (void)(t)
#endif
#ifndef Py_BEGIN_CRITICAL_SECTION /* before Python 3.13 */
#define Py_BEGIN_CRITICAL_SECTION(o) {
#define Py_END_CRITICAL_SECTION() }
#define Py_BEGIN_CRITICAL_SECTION2(a, b) {
#define Py_END_CRITICAL_SECTION2() }
#endif

/* Does anybody but the calling thread, which made it, refer to the object? */
static inline int mw_shared(PyObject *o) {
#ifdef Py_GIL_DISABLED
#if PY_VERSION_HEX >= 0x030e0000
    return !PyUnstable_Object_IsUniquelyReferenced(o);
#else
    return !_Py_IsOwnedByCurrentThread(o) || __atomic_load_n(&o->ob_ref_local, __ATOMIC_RELAXED) != 1 ||
           __atomic_load_n(&o->ob_ref_shared, __ATOMIC_ACQUIRE) != 0;
#endif
#else
    return Py_REFCNT(o) > 1;
#endif
}

/* An interpreter: one application group of this process (interp.c). Index 0 is the main
 * interpreter, application group "". The fields up to `failed` may be read on any thread without
 * its GIL; the objects belong to the interpreter. */
typedef struct mw_state {
    int index;                  /* place in mw_interps */
    mw_interp_conf conf;        /* conf.name is the application group */
    PyInterpreterState *interp; /* NULL until the first use; stored last, with release */
    int failed;                 /* it could not be prepared: requests for it get 500 */
    struct mw_env *env;         /* environ.c; its threads' own where there is no GIL */
    PyObject *module;           /* the `mod_wsgi` module */
    PyTypeObject *input_type, *log_type, *response_type, *wrapper_type;
    PyObject *errors;          /* io.TextIOWrapper given as wsgi.errors */
    PyObject *request_timeout; /* mod_wsgi.RequestTimeout */
    PyObject *event_callbacks, *shutdown_callbacks, *signal_callbacks;
    PyObject *active_requests;
    struct mw_gc *gc;          /* collector.c, NULL while nobody wants to know */
    int active_kept;           /* active_requests was looked at: keep it up to date */
    PyObject *str_close, *str_fileno, *str_tell;
} mw_state;

extern mw_state *mw_interps[MW_INTERPS];
int mw_interp_count(void);
extern mw_conf mw_cfg;

/* What the present request is measured by; see events.c. Seconds; times since the epoch. */
typedef struct mw_live {
    int on, cpu;               /* measured at all; CPU times are known */
    double entered, started;   /* thread taken up, application called; 0 not yet */
    double gil_time, in_time, out_time, cpu_user, cpu_system;
    long long gil_count, in_reads, in_bytes, out_writes, out_bytes;
} mw_live;

/* Text after the last newline that was written to a log stream. */
typedef struct { char *p; size_t len, cap; } mw_tail;

/* A Python thread in one interpreter: permanent thread state and the objects it reuses. */
typedef struct mw_local {
    PyThreadState *ts;         /* NULL: the thread was never there */
    struct mw_env *env;        /* environ.c */
    struct mw_input *input;
    struct mw_response *response;
    PyObject *id;              /* mod_wsgi.thread_id */
} mw_local;

/* A Python thread. Owner: the thread itself. */
typedef struct mw_thread {
    mw_req *req;               /* request being run or NULL */
#ifdef Py_GIL_DISABLED
    PyMutex req_lock;          /* see MW_REQ_LOCK */
#endif
    mw_state *st;              /* interpreter of that request, set before req */
    mw_local *at;              /* where in local that is; valid with the GIL */
    PyObject *request_data;    /* dict or NULL, created on demand */
    int number;                /* 1 ... threads */
    unsigned long ident;       /* threading.get_ident() */
    mw_tail tails[3];          /* of wsgi.errors, sys.stderr and sys.stdout */
    int interrupted;           /* RequestTimeout was asked for and maybe not raised yet */
    /* counters for the timers, written by the thread alone, read without the GIL */
    uint64_t serial, ignored;  /* requests begun; those under WSGIIgnoreActivity */
    uint32_t busy;             /* in a request, the wait for the GIL included */
    mw_live live;
    mw_local local[MW_INTERPS];
} mw_thread;
extern __thread mw_thread *mw_self;   /* NULL on threads of the application's own */

/* From here on nobody may look at the thread's request. With the GIL. */
static inline void mw_request_over(mw_thread *t) {
    MW_REQ_LOCK(t);
    t->req = NULL;
    MW_REQ_UNLOCK(t);
}

/* interp.c */
const mw_state *mw_state_current(void); /* of the thread state that is current; NULL while it is made */
int mw_interps_init(void);
int mw_interp_prepare(mw_state *st);
int mw_enter_first(mw_thread *t, mw_state *st);
/* Take the GIL of an interpreter on one of its threads for a request: t->at is where. 0, or -1
 * without any GIL when the interpreter or its thread state cannot be made; the log says why. */
static inline int mw_enter(mw_thread *t, mw_state *st) {
    mw_local *l = &t->local[st->index];
    if (!l->ts) return mw_enter_first(t, st);
    t->at = l;
    PyEval_RestoreThread(l->ts);
    return 0;
}
/* The same on a thread of Go's, for a moment: 0, or -1 if the interpreter is not there. */
typedef struct { PyThreadState *ts; PyGILState_STATE gil; } mw_visit;
int mw_visit_begin(mw_visit *v, mw_state *st);
void mw_visit_end(mw_visit *v);

PyObject *mw_run_source(const char *source);

/* forked.c */
void mw_fork_before(void);
int mw_fork_after(PyInterpreterState *made);
void mw_fork_child(void); /* no GIL, no Python */
int mw_fork_refuse(void);

/* watch.c */
extern mw_thread **mw_threads;
extern int mw_threads_max, mw_script_loaded;
int mw_watch_init(void);
void mw_watch_thread(int id, mw_thread *t);

/* input.c */
typedef struct mw_input {
    PyObject_HEAD
    mw_req *req;
    int failed;                /* 0, or the status for an application that leaves it at that */
    int inside, over;          /* threads that read; no more may. Atomic, see outstayed in run.c */
} mw_input;
void mw_input_over(mw_req *r);
#ifdef Py_GIL_DISABLED
#define MW_ORDER __ATOMIC_SEQ_CST
#else
#define MW_ORDER __ATOMIC_RELAXED /* the GIL orders */
#endif
/* A thread uses an input or a response: not 0 if the request is over. Then, and when it is done: MW_LEAVE. */
#define MW_ENTER(s) (__atomic_add_fetch(&(s)->inside, 1, MW_ORDER), __atomic_load_n(&(s)->over, MW_ORDER))
#define MW_LEAVE(s) __atomic_sub_fetch(&(s)->inside, 1, MW_ORDER)
int mw_input_init(PyObject *module, mw_state *st);
PyObject *mw_input_new(mw_state *st);

/* response.c: start_response and the head; output.c: the output buffer */
typedef struct mw_response {
    PyObject_HEAD
    mw_state *st;
    mw_req *req;               /* NULL once the request is finished */
    PyObject *status, *headers;
    PyObject *checked;         /* tuple of the pairs in headers that start_response found good */
    vectorcallfunc vectorcall;
    int64_t length;            /* declared Content-Length or -1 */
    int committed, chunked, nobody;
    int filtered, discard;     /* a hook takes the body; the body is dropped */
    int inside, over;          /* threads in write(); no more may. Atomic, see outstayed in run.c */
} mw_response;
int mw_response_init(PyObject *module, mw_state *st);
PyObject *mw_response_new(mw_state *st);
int mw_commit(mw_response *s, int64_t known_length);  /* write the head to out; -1 with exception */
int mw_put_block(mw_response *s, const char *p, size_t n, int last); /* -1 client gone (no exception) */
int mw_finish(mw_response *s);
int mw_send_file(mw_response *s, int fd, int64_t off, int64_t len);
/* wire.c: is the connection encrypted, and its variables (a str, None, or NULL with an exception). With the GIL. */
int mw_secure(uint32_t wire);
PyObject *mw_secure_var(uint32_t wire, PyObject *name);
/* hooks.c: the same for a response with hooks */
int mw_commit_hooked(mw_response *s, size_t mark, int64_t length);
int mw_put_hooked(mw_req *r, const char *p, size_t n);
int mw_filter_file(mw_response *s, int fd, int64_t off, int64_t len);
/* no GIL: this, and mw_out_append and mw_out_flush of mw.h */
void mw_stream_end(mw_req *r);

/* route.c */
typedef struct mw_route {
    mw_state *st;              /* the interpreter it runs in */
    PyObject *template_;       /* dict copied for each request; NULL until the first one */
    PyObject *script, *callable; /* str: path, name in the script's module */
    PyObject *app;             /* borrowed cache of module.callable, or NULL */
    char *script_c, *environ;
    size_t environ_len;
    int pass_authorization, map_head, ignore_activity;
    int64_t mtime_ns, size;
    uint32_t id, sink, port;
    struct mw_head_env *heads; /* environ.c: template plus the header fields of the last requests */
    mw_route_conf conf;
} mw_route;
mw_route *mw_route_get(uint32_t i);
int mw_route_prepare(mw_route *rt, mw_local *l);

/* environ.c */
struct mw_env *mw_env_new(int slot); /* slot: the thread's number where there is no GIL */
PyObject *mw_environ(mw_route *rt, mw_req *r, mw_local *l);

/* run.c: the module of an auxiliary script, executed again when the file has changed.
 * New reference, or NULL with an exception. May release the GIL while it waits. */
PyObject *mw_script_module(const char *path);

/* The module of a route's script, if it is loaded; new reference or NULL, no exception. */
PyObject *mw_loaded_module(mw_route *rt);

/* loaded.c */
void mw_loaded_note(int interp, const char *path, int64_t mtime_ns, int64_t size);
int mw_loaded_as_of(int interp, const char *path, int64_t *mtime_ns, int64_t *size);

/* filewrapper.c */
typedef struct { PyObject_HEAD PyObject *filelike; Py_ssize_t blksize; PyObject *dict; } mw_wrapper;
int mw_wrapper_init(PyObject *module, mw_state *st);
PyObject *mw_wrapper_file(mw_wrapper *w); /* new reference; NULL without exception: closed */

/* errorlog.c and log.c: no GIL needed for mw_log and mw_logf */
enum { MW_CRIT = 2, MW_ERR = 3, MW_WARN = 4, MW_NOTICE = 5, MW_INFO = 6, MW_DEBUG = 7 };
void mw_log(int level, const mw_req *r, const char *text, size_t n);
int mw_log_enabled(int level, const mw_req *r);
void mw_logf(int level, const mw_req *r, const char *fmt, ...);
/* What goes with a record: its code ("0174" or NULL), the tag [script F] before or (exceptions) after
 * the code, the place in the source that ErrorLogFormat's %F shows. */
enum { MW_TAG_NONE, MW_TAG_FIRST, MW_TAG_LAST };
typedef struct { const char *id; int tag; const char *file; int line; } mw_about;
void mw_log_about(int level, const mw_req *r, const mw_about *about, const char *text, size_t n);
/* "[script F] WSGIid: message"; id may be NULL. See docs/errors.md: each code means one thing. */
void mw_say(int level, const mw_req *r, const char *id, const char *fmt, ...);
/* Consumes the current exception. The message may begin with a code of its own, "WSGI0112: ...", and
 * then with "while ..." after the name of the exception. */
void mw_log_exception(const mw_req *r, const char *fmt, ...);
const char *mw_variable(const mw_req *r, const char *name, size_t n); /* of the request or its target; NULL none. No GIL */
const char *mw_where(void); /* "main interpreter of daemon process 'G'" */
int mw_log_init(PyObject *module, mw_state *st);
PyObject *mw_log_stream(mw_state *st, const char *name);
void mw_log_tails(mw_thread *t); /* the request ends: what has no newline yet */

/* The stack of a traceback, innermost frame first, as mw_report logs stacks. */
void mw_log_traceback(int level, const mw_req *r, const char *who, PyObject *tb);

/* explain.c: why a script is not served; each consumes the current exception, if there is one */
void mw_load_failed(const mw_req *r, const char *path);
void mw_no_callable(const mw_req *r, PyObject *module, const char *path, PyObject *name);
void mw_not_callable(const mw_req *r, PyObject *object, const char *path, PyObject *name);
void mw_log_stack(int level, const mw_req *r); /* of the calling thread */

/* refusal.c */
void mw_log_refusal(const mw_req *r, PyObject *value);

/* module.c */
int mw_module_init(mw_state *st);
int mw_restrict_signals(void);
mw_state *mw_state_of(PyObject *module);

/* events.c: nothing of it runs while mw_live_any is 0 and nobody subscribed */
extern int mw_live_any;
double mw_now(void);
void mw_publish(mw_state *st, const char *event, PyObject *payload);
void mw_live_enter(mw_thread *t, mw_req *r); /* no GIL */
void mw_live_begin(mw_state *st, mw_thread *t, mw_req *r);
void mw_live_started(mw_state *st, mw_thread *t, mw_req *r, PyObject *env, PyObject **app);
void mw_live_response(mw_state *st, PyObject *status, PyObject *headers, PyObject *exc_info);
void mw_live_exception(mw_state *st, PyObject *type, PyObject *value, PyObject *tb);
void mw_live_end(mw_state *st, mw_thread *t, mw_req *r, int called);
void mw_live_input(double t0, Py_ssize_t n);
void mw_live_output(double t0, int64_t n);
void mw_restore_timed(PyThreadState *ts);
double mw_queue_start(mw_thread *t, mw_req *r);
double mw_daemon_start(mw_thread *t);
PyObject *mw_request_data(mw_thread *t);
PyObject *mw_active_requests(mw_state *st);
void mw_active_leave(mw_state *st, mw_req *r);
/* Back into Python after waiting for the client. */
static inline void mw_restore(PyThreadState *ts) {
    if (mw_live_any) mw_restore_timed(ts);
    else PyEval_RestoreThread(ts);
}

/* metrics.c, board.c */
void mw_metrics_init(void);
void mw_metrics_begin(mw_thread *t, mw_req *r);
void mw_metrics_end(mw_thread *t, mw_req *r, double now, double cpu, int status);
/* slow.c: nothing of it runs while mw_slow_on is 0. No GIL */
extern int mw_slow_on;
void mw_slow_begin(mw_thread *t, mw_req *r);
void mw_slow_end(mw_thread *t, mw_req *r, double now, double user, double sys, int status);
int mw_busy_threads(void);
/* collector.c: of an interpreter that is being made. 0, or -1 with an exception */
int mw_collector_watch(mw_state *st);
PyObject *mw_start_recording(PyObject *m, PyObject *unused);
PyObject *mw_request_metrics(PyObject *m, PyObject *unused);
PyObject *mw_process_metrics(PyObject *m, PyObject *unused);
PyObject *mw_server_metrics(PyObject *m, PyObject *unused);
extern int mw_board_on;
void mw_board_begin(mw_thread *t, mw_req *r); /* no GIL */
void mw_board_end(mw_thread *t, mw_req *r);   /* no GIL */

/* Spin lock of a request's buffers against the monitor and the timers. No GIL needed, no Python while held. */
static inline void mw_lock(mw_req *r) {
    uint32_t zero = 0;
    while (!__atomic_compare_exchange_n(&r->out_lock, &zero, 1, 0, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED)) {
        zero = 0;
        sched_yield();
    }
}
static inline void mw_unlock(mw_req *r) { __atomic_store_n(&r->out_lock, 0, __ATOMIC_RELEASE); }

#endif
