/*
 * internal.h: shared by the C files of package python, not seen by Go.
 * Every function here wants the GIL unless it says otherwise.
 */
#ifndef MW_INTERNAL_H
#define MW_INTERNAL_H
#define PY_SSIZE_T_CLEAN
#include <Python.h>
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

/* Per-interpreter state; one today (main interpreter), reached by mw_state(). */
typedef struct mw_state {
    PyObject *module;          /* the `mod_wsgi` module */
    PyTypeObject *input_type, *log_type, *response_type, *wrapper_type;
    PyObject *errors;          /* io.TextIOWrapper given as wsgi.errors */
    PyObject *request_timeout; /* mod_wsgi.RequestTimeout */
    PyObject *event_callbacks, *shutdown_callbacks, *signal_callbacks;
    PyObject *active_requests;
    PyObject *str_close, *str_fileno, *str_tell;
} mw_state;

mw_state *mw_state_get(void);
extern mw_conf mw_cfg;

/* A Python thread: permanent thread state and the objects it reuses.
 * Owner: the thread itself. */
typedef struct mw_thread {
    PyThreadState *ts;
    mw_req *req;               /* request being run or NULL */
    struct mw_input *input;
    struct mw_response *response;
    PyObject *id;              /* mod_wsgi.thread_id */
    PyObject *request_data;    /* dict or NULL, created on demand */
} mw_thread;
extern __thread mw_thread *mw_self;   /* NULL on threads of the application's own */

/* input.c */
typedef struct mw_input { PyObject_HEAD mw_req *req; int failed; } mw_input;
int mw_input_init(PyObject *module, mw_state *st);
PyObject *mw_input_new(mw_state *st);

/* response.c: start_response and the output buffer */
typedef struct mw_response {
    PyObject_HEAD
    mw_req *req;               /* NULL once the request is finished */
    PyObject *status, *headers;
    PyObject *checked;         /* tuple of the pairs in headers that start_response found good */
    vectorcallfunc vectorcall;
    int64_t length;            /* declared Content-Length or -1 */
    int committed, chunked, nobody;
    int filtered, discard;     /* a hook takes the body; the body is dropped */
} mw_response;
int mw_response_init(PyObject *module, mw_state *st);
PyObject *mw_response_new(mw_state *st);
int mw_commit(mw_response *s, int64_t known_length);  /* write the head to out; -1 with exception */
int mw_put_block(mw_response *s, const char *p, size_t n, int last); /* -1 client gone (no exception) */
int mw_finish(mw_response *s);
int mw_send_file(mw_response *s, int fd, int64_t off, int64_t len);
/* no GIL: this, and mw_out_append and mw_out_flush of mw.h */
void mw_stream_end(mw_req *r);

/* environ.c */
typedef struct mw_route {
    PyObject *template_;       /* dict copied for each request */
    PyObject *name, *script, *callable;  /* str: module name, path, callable */
    PyObject *app;             /* borrowed cache of module.callable, or NULL */
    PyObject *script_name;     /* str */
    char *script_c, *environ;
    size_t environ_len;
    int pass_authorization, map_head;
    int64_t mtime_ns, size;
    uint32_t id, sink;
    /* template plus the header fields of the last requests, keyed by their bytes */
    struct { char *key; size_t len, cap; PyObject *dict; uint64_t hash; } heads[8];
    struct mw_conn_env *conns; /* see environ.c; NULL until used */
} mw_route;
int mw_environ_init(mw_state *st);
PyObject *mw_environ(mw_state *st, mw_route *rt, mw_req *r, mw_thread *th);
mw_route *mw_route_get(uint32_t i);

/* run.c: the module of an auxiliary script, executed again when the file has changed.
 * New reference, or NULL with an exception. May release the GIL while it waits. */
PyObject *mw_script_module(const char *path);

/* filewrapper.c */
typedef struct { PyObject_HEAD PyObject *filelike; Py_ssize_t blksize; PyObject *dict; } mw_wrapper;
int mw_wrapper_init(PyObject *module, mw_state *st);

/* errorlog.c and log.c: no GIL needed for mw_log and mw_logf */
enum { MW_CRIT = 2, MW_ERR = 3, MW_WARN = 4, MW_NOTICE = 5, MW_INFO = 6, MW_DEBUG = 7 };
void mw_log(int level, const mw_req *r, const char *text, size_t n);
int mw_log_enabled(int level, const mw_req *r);
void mw_logf(int level, const mw_req *r, const char *fmt, ...);
void mw_log_exception(const mw_req *r, const char *fmt, ...); /* consumes the current exception */
int mw_log_init(PyObject *module, mw_state *st);
PyObject *mw_log_stream(mw_state *st, const char *name);

/* module.c */
int mw_module_init(mw_state *st);
void mw_publish(mw_state *st, const char *event, PyObject *payload);

#endif
