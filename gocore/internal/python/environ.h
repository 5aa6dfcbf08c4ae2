/*
 * environ.h: what environ.c and route.c share: the keys of the environ, and
 * the strings and caches that one interpreter keeps for it.
 */
#ifndef MW_ENVIRON_H
#define MW_ENVIRON_H

/* keys set for each request, interned once */
#define KEYS(X) \
    X(REQUEST_METHOD, "REQUEST_METHOD") X(SCRIPT_NAME, "SCRIPT_NAME") X(PATH_INFO, "PATH_INFO") \
    X(QUERY_STRING, "QUERY_STRING") X(REQUEST_URI, "REQUEST_URI") X(SERVER_PROTOCOL, "SERVER_PROTOCOL") \
    X(SERVER_NAME, "SERVER_NAME") X(SERVER_ADDR, "SERVER_ADDR") X(SERVER_PORT, "SERVER_PORT") \
    X(REMOTE_ADDR, "REMOTE_ADDR") X(REMOTE_PORT, "REMOTE_PORT") X(INPUT, "wsgi.input") \
    X(REQUEST_ID, "mod_wsgi.request_id") X(CONNECTION_ID, "mod_wsgi.connection_id") \
    X(THREAD_ID, "mod_wsgi.thread_id") X(REQUEST_START, "mod_wsgi.request_start") \
    X(APPLICATION_START, "mod_wsgi.application_start") X(QUEUE_START, "mod_wsgi.queue_start") X(DAEMON_START, "mod_wsgi.daemon_start") X(SN, "mod_wsgi.script_name") X(PI, "mod_wsgi.path_info") X(LISTENER_PORT, "mod_wsgi.listener_port")
enum {
#define X(a, b) K_##a,
    KEYS(X)
#undef X
    K_COUNT
};
#define K_HTTP_HOST K_COUNT /* not in the template: only if sent */

/* A header name as it was sent. */
typedef struct {
    char name[48];
    uint32_t len;
    PyObject *key;         /* interned "HTTP_..." or NULL: not exposed */
    char *val;             /* last value and its str */
    uint32_t vlen, vcap;
    PyObject *vobj;
} name_entry;

/* The environ of a connection's last request. */
enum { CONNS = 256 }; /* of all routes, which bounds the memory; more connections than that share the slots */
typedef struct {
    uint64_t conn;
    const mw_route *route;
    char *key;             /* head of the last request from its method on */
    size_t len, cap, line; /* line: bytes of the request line, with its CRLF */
    PyObject *dict;        /* NULL: seen once */
} conn_env;

typedef struct { char s[64]; PyObject *o; } last_str;

/* One for each interpreter: objects of one interpreter must not get into another. Guarded by its
 * GIL. Where Python has no GIL each thread has one of its own, so nothing here ever takes a lock. */
typedef struct mw_env {
    PyObject *keys[K_COUNT + 1];
    PyObject *k_scheme, *v_http, *v_https, *v_get, *v_post, *v_head, *v_http11, *v_http10, *v_http20, *k_http2, *v_on, *v_empty, *v_slash;
    int slot;              /* of this in mw_route.heads */
    last_str local, remote;
    name_entry names[512];
    conn_env conns[CONNS];
    PyObject *ports[65536]; /* touched where used */
} mw_env;

/* Template plus the header fields of a request, keyed by their bytes. */
typedef struct mw_head_env { char *key; size_t len, cap; PyObject *dict; uint64_t hash; } mw_head_env;
enum { HEADS = 8 }; /* of each route */
#ifdef Py_GIL_DISABLED
#define HEADS_OF(rt, w) ((rt)->heads + (size_t)(w)->slot * HEADS)
#else
#define HEADS_OF(rt, w) ((rt)->heads)
#endif

int mw_environ_extra(mw_env *e, PyObject *env, const char *p, size_t n, int intern);
#endif
