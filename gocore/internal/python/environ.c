/*
 * environ.c: the WSGI environ of a request (PEP 3333, CGI/1.1 RFC 3875).
 *
 * Each route has a template dict with every key that is the same for all its
 * requests, and place-holders for those that always exist, so that the copy
 * never has to grow. Header fields are added from a cache of names: raw name
 * -> interned HTTP_* key and the last value seen, because most values repeat.
 *
 * Clients repeat whole header blocks: browsers on a keep-alive connection,
 * probes, load generators. mw_route.heads keeps, for the last few blocks, the
 * template with those fields already in it. A block is stored when it is seen
 * the second time; a lookup compares every byte, never only a hash.
 *
 * On a keep-alive connection even more stays the same: addresses, ports, the
 * connection's id, often the request line. The table conns keeps the environ of
 * a connection's last request, without what is new in each, when two requests
 * in a row had the same field lines.
 */
#include "internal.h"
#include "environ.h"
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/time.h>

/* ---- header names ---- */
static uint32_t name_hash(const char *s, uint32_t n) {
    uint32_t h = 2166136261u ^ n;
    for (uint32_t i = 0; i < n; i++) h = (h ^ ((unsigned char)s[i] | 32u)) * 16777619u;
    return (h ^ (h >> 15)) & 511;
}

/* New reference to the environ key of a header name; NULL without exception: drop the field. */
static PyObject *make_key(const char *s, uint32_t n) {
    if (n == 5 && !strncasecmp(s, "proxy", 5)) return NULL; /* httpoxy, CVE-2016-5385 */
    char small[256], *b = n + 6 <= sizeof small ? small : PyMem_Malloc(n + 6);
    if (!b) return NULL;
    uint32_t j = 5;
    memcpy(b, "HTTP_", 5);
    PyObject *k = NULL;
    for (uint32_t i = 0; i < n; i++) {
        char c = s[i];
        if (c >= 'a' && c <= 'z') c -= 32;
        else if (c == '-') c = '_';
        else if (!((c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9'))) goto out; /* '_' could forge another name */
        b[j++] = c;
    }
    int bare = (j == 17 && !memcmp(b, "HTTP_CONTENT_TYPE", 17)) || (j == 19 && !memcmp(b, "HTTP_CONTENT_LENGTH", 19));
    k = bare ? PyUnicode_DecodeLatin1(b + 5, j - 5, NULL) : PyUnicode_DecodeLatin1(b, j, NULL);
out:
    if (b != small) PyMem_Free(b);
    return k;
}

static int is_auth(const char *s, uint32_t n) {
    return (n == 13 && !strncasecmp(s, "authorization", 13)) || (n == 19 && !strncasecmp(s, "proxy-authorization", 19));
}

static int add_field(mw_env *w, PyObject *env, const char *s, uint32_t n, const char *v, uint32_t m, int fresh) {
    name_entry *e = &w->names[name_hash(s, n)];
    PyObject *k, *x;
    if (e->len == n && n && !memcmp(e->name, s, n)) {
        if (!(k = e->key)) return 0;
        Py_INCREF(k);
    } else {
        k = make_key(s, n);
        if (PyErr_Occurred()) return -1;
        if (n && n < sizeof e->name && !e->len) {
            memcpy(e->name, s, n);
            if (k) PyUnicode_InternInPlace(&k); /* not every name that a client thinks of: interned strings may be immortal */
            e->key = Py_XNewRef(k);
            e->len = n;
        }
        if (!k) return 0;
        if (e->len != n || memcmp(e->name, s, n)) e = NULL; /* another name owns the slot */
    }
    if (e && e->vobj && e->vlen == m && !memcmp(e->val, v, m)) {
        x = Py_NewRef(e->vobj);
    } else {
        x = PyUnicode_DecodeLatin1(v, m, NULL);
        if (x && e && m <= 512) { /* long values (cookies) seldom repeat between clients */
            if (m > e->vcap) {
                char *q = PyMem_Realloc(e->val, m);
                if (q) { e->val = q; e->vcap = m; }
            }
            if (m <= e->vcap) {
                memcpy(e->val, v, m);
                e->vlen = m;
                Py_XSETREF(e->vobj, Py_NewRef(x));
            }
        }
    }
    int rc = -1;
    if (x && !fresh) { /* a repeated field: joined, RFC 9110 section 5.3; cookies by RFC 6265 */
        PyObject *old = PyDict_GetItemWithError(env, k);
        if (old && PyUnicode_Check(old)) {
            int cookie = n == 6 && !strncasecmp(s, "cookie", 6);
            PyObject *j = PyUnicode_FromFormat(cookie ? "%U; %U" : "%U, %U", old, x);
            Py_SETREF(x, j);
        }
    }
    if (x) rc = PyDict_SetItem(env, k, x);
    Py_XDECREF(x);
    Py_DECREF(k);
    return rc;
}

static PyObject *str(const char *p, size_t n) { return PyUnicode_DecodeLatin1(p, (Py_ssize_t)n, NULL); }

static int set_new(PyObject *env, PyObject *k, PyObject *v) { /* steals v */
    if (!v) return -1;
    int rc = PyDict_SetItem(env, k, v);
    Py_DECREF(v);
    return rc;
}

/* Host without port, in lower case, HTML-escaped: as Apache's SERVER_NAME. */
static PyObject *server_name(const char *p, size_t n) {
    size_t e = n;
    if (n && p[0] == '[') { const char *q = memchr(p, ']', n); if (q) e = (size_t)(q - p) + 1; }
    else { const char *q = memchr(p, ':', n); if (q) e = (size_t)(q - p); }
    char lower[256];
    for (size_t i = 0; i < e && e <= sizeof lower; i++) {
        lower[i] = p[i];
        if (p[i] >= 'A' && p[i] <= 'Z') lower[i] |= 32;
    }
    return str(e <= sizeof lower ? lower : p, e); /* http1 admits no character that HTML would escape */
}

static int fill_fields(mw_env *w, PyObject *env, mw_route *rt, mw_req *r) {
    const char *in = r->in;
    uint32_t nf = r->head.nfields;
    int rc = 0;
    uint64_t seen = 0; /* a cheap filter: only names with an equal hash bit can repeat */
    for (uint32_t i = 0; i < nf && !rc; i++) {
        const mw_field *f = &r->head.fields[i];
        const char *s = in + f->name.off;
        if (!rt->pass_authorization && is_auth(s, f->name.len)) continue;
        if (rt->pass_authorization && f->name.len == 19 && is_auth(s, 19)) continue;
        uint64_t bit = 1ull << (name_hash(s, f->name.len) & 63);
        rc = add_field(w, env, s, f->name.len, in + f->value.off, f->value.len, !(seen & bit));
        seen |= bit;
    }
    if (!rc && r->head.host.len)
        rc = set_new(env, w->keys[K_SERVER_NAME], server_name(in + r->head.host.off, r->head.host.len));
    if (!rc && r->head.host.len && (!nf || r->head.host.off < r->head.fields[0].name.off)) /* absolute-form, RFC 9112 3.2.2 */
        rc = set_new(env, w->keys[K_HTTP_HOST], str(in + r->head.host.off, r->head.host.len));
    return rc;
}

/* A copy of a dict that a cache holds. Until Python 3.11 creating a dict can run the garbage
 * collector, hence finalizers and other threads, which may replace what the cache holds. */
static PyObject *copy_kept(PyObject *dict) {
    Py_INCREF(dict);
    PyObject *copy = PyDict_Copy(dict);
    Py_DECREF(dict);
    return copy;
}

/* Template copy with header fields in it. New reference. */
static PyObject *with_fields(mw_env *w, mw_route *rt, mw_req *r) {
    uint32_t nf = r->head.nfields;
    if (!nf) {
        PyObject *env = PyDict_Copy(rt->template_);
        if (env && r->head.host.len && fill_fields(w, env, rt, r) < 0) Py_CLEAR(env);
        return env;
    }
    uint32_t from = r->head.fields[0].name.off, len = r->head.head_len - from;
    const char *p = r->in + from;
    int cacheable = len >= 16 && len <= 4096 && r->head.host.off >= from;
    PyObject *env;
    if (!cacheable) {
        env = PyDict_Copy(rt->template_);
        if (env && fill_fields(w, env, rt, r) < 0) Py_CLEAR(env);
        return env;
    }
    uint64_t a, b, c;
    memcpy(&a, p + len - 12, 8);
    memcpy(&b, p + len / 2, 8);
    memcpy(&c, p + 8, 8);
    uint64_t h = (a * 0x9E3779B97F4A7C15ull ^ b * 0xC2B2AE3D27D4EB4Full ^ c) + len;
    h ^= h >> 29;
    h *= 0xBF58476D1CE4E5B9ull;
    h ^= h >> 32;
    mw_head_env *e = &HEADS_OF(rt, w)[h % HEADS];
    int same = e->hash == h && e->len == len && !memcmp(e->key, p, len);
    if (same && e->dict) {
        env = copy_kept(e->dict);
        return env;
    }
    env = PyDict_Copy(rt->template_);
    if (!env || fill_fields(w, env, rt, r) < 0) { Py_XDECREF(env); return NULL; }
    PyObject *kept = same ? PyDict_Copy(env) : NULL;
    if (same && !kept) PyErr_Clear();
    if (same) { /* the slot may hold another block by now: creating a dict can run the collector, and that any Python code */
        if (kept && e->hash == h && e->len == len && !memcmp(e->key, p, len)) Py_XSETREF(e->dict, Py_NewRef(kept));
    } else {
        if (len > e->cap) {
            char *q = PyMem_Realloc(e->key, len);
            if (q) { e->key = q; e->cap = len; }
        }
        if (len <= e->cap) {
            memcpy(e->key, p, len);
            e->len = len;
            e->hash = h;
            Py_CLEAR(e->dict);
        }
    }
    Py_XDECREF(kept);
    return env;
}

/* small caches of values that seldom change between requests */
static PyObject *cached(last_str *c, const char *s) { /* borrowed until the next call */
    if (!c->o || strcmp(c->s, s)) {
        PyObject *o = str(s, strlen(s));
        if (!o) return NULL;
        snprintf(c->s, sizeof c->s, "%s", s);
        Py_XSETREF(c->o, o);
    }
    return c->o;
}
/* The str of a port; one for each of the 65536, made on first use and kept. Borrowed. */
static PyObject *cached_port(mw_env *w, uint32_t port) {
    PyObject **o = &w->ports[port & 65535];
    if (!*o) *o = PyUnicode_FromFormat("%u", (unsigned)(port & 65535));
    return *o;
}

/* ---- the environ of a connection's last request ---- */
static conn_env *conn_slot(mw_env *w, const mw_route *rt, uint64_t id) {
    return &w->conns[((id + ((uint64_t)rt->id << 32)) * 0x9E3779B97F4A7C15ull) >> 56];
}

/* Is the head in r the one of the slot? 2: to the byte; 1: but for the request line; 0: no. */
static int conn_match(const conn_env *e, const mw_route *rt, const mw_req *r, size_t line) {
    const char *p = r->in + r->head.method.off;
    size_t rest = r->head.head_len - r->head.method.off - line;
    if (e->conn != r->conn_id || e->route != rt || e->len - e->line != rest || memcmp(e->key + e->line, p + line, rest)) return 0;
    return e->line == line && !memcmp(e->key, p, line) ? 2 : 1;
}

static void conn_remember(conn_env *e, const mw_route *rt, const mw_req *r, size_t line, PyObject *env) {
    size_t len = r->head.head_len - r->head.method.off;
    PyObject *d = env ? PyDict_Copy(env) : NULL;
    if (env && !d) PyErr_Clear();
    Py_XSETREF(e->dict, d);
    if (len > e->cap) {
        char *q = PyMem_Realloc(e->key, len);
        if (!q) { e->conn = 0; return; }
        e->key = q;
        e->cap = len;
    }
    memcpy(e->key, r->in + r->head.method.off, len);
    e->conn = r->conn_id;
    e->route = rt;
    e->len = len;
    e->line = line;
}

/* Set ("+NAME\0value\0") and delete ("-NAME\0\0") what Go passes. intern: the names are those of the
 * configuration and stay, not of one request. 0 or -1. */
int mw_environ_extra(mw_env *w, PyObject *env, const char *p, size_t n, int intern) {
    const char *end = p + n;
    while (p < end) {
        const char *name = p + 1;
        size_t a = strlen(name);
        const char *val = name + a + 1;
        size_t b = strlen(val);
        if (*p == '-') {
            PyObject *k = str(name, a);
            if (!k || (PyDict_DelItem(env, k) < 0 && !PyErr_ExceptionMatches(PyExc_KeyError))) { Py_XDECREF(k); return -1; }
            PyErr_Clear();
            Py_DECREF(k);
        } else if (a == 5 && !memcmp(name, "HTTPS", 5)) {
            int on = !strcasecmp(val, "on") || !strcmp(val, "1");
            if (PyDict_SetItem(env, w->k_scheme, on ? w->v_https : w->v_http) < 0) return -1;
        } else {
            PyObject *k = str(name, a), *v = str(val, b);
            if (k && intern) PyUnicode_InternInPlace(&k);
            int rc = k && v ? PyDict_SetItem(env, k, v) : -1;
            Py_XDECREF(k);
            Py_XDECREF(v);
            if (rc < 0) return -1;
        }
        p = val + b + 1;
    }
    return 0;
}

#define SET(k, o) do { if (set_new(env, w->keys[K_##k], (o)) < 0) goto fail; } while (0)
#define SETB(k, o) do { PyObject *o_ = (o); if (!o_ || PyDict_SetItem(env, w->keys[K_##k], o_) < 0) goto fail; } while (0)

static const char hx[] = "0123456789abcdef";
static void hex16(char *p, uint64_t v) {
    for (int i = 0; i < 16; i++) p[i] = hx[(v >> (60 - 4 * i)) & 15];
}

/* What differs between requests of one connection: the request line. 0 or -1. */
static int fill_line(mw_env *w, PyObject *env, mw_route *rt, mw_req *r) {
    const char *in = r->in, *m = in + r->head.method.off;
    mw_head *h = &r->head;
    if (h->method.len == 3 && !memcmp(m, "GET", 3)) SETB(REQUEST_METHOD, w->v_get);
    else if (h->method.len == 4 && !memcmp(m, "POST", 4)) SETB(REQUEST_METHOD, w->v_post);
    else if (h->method.len == 4 && !memcmp(m, "HEAD", 4)) SETB(REQUEST_METHOD, rt->map_head ? w->v_get : w->v_head);
    else SET(REQUEST_METHOD, str(m, h->method.len));
    if (!r->extra) {
        size_t pl = h->path.len - r->script_len;
        const char *pp = in + h->path.off + r->script_len;
        PyObject *pi = pl == 1 && *pp == '/' ? Py_NewRef(w->v_slash) : str(pp, pl);
        if (!pi) goto fail;
        if (PyDict_SetItem(env, w->keys[K_PATH_INFO], pi) < 0 || PyDict_SetItem(env, w->keys[K_PI], pi) < 0) { Py_DECREF(pi); goto fail; }
        Py_DECREF(pi);
    }
    if (h->query.len) SET(QUERY_STRING, str(in + h->query.off, h->query.len));
    else SETB(QUERY_STRING, w->v_empty);
    SET(REQUEST_URI, str(in + h->target.off, h->target.len));
    SETB(SERVER_PROTOCOL, h->flags & MW_HTTP2 ? w->v_http20 : h->flags & MW_HTTP11 ? w->v_http11 : w->v_http10);
    if (h->flags & MW_HTTP2 && PyDict_SetItem(env, w->k_http2, w->v_on) < 0) goto fail;
    return 0;
fail:
    return -1;
}

/* What is the same for all requests of a connection to one host. 0 or -1. */
static int fill_connection(mw_env *w, PyObject *env, const mw_route *rt, mw_req *r) {
    mw_head *h = &r->head;
    uint32_t port = rt->port;
    if (h->host.len) { /* UseCanonicalName Off: the port the client used */
        const char *hp = r->in + h->host.off, *c = memrchr(hp, ':', h->host.len), *e = hp + h->host.len;
        if (c && c + 1 < e && !memchr(c, ']', (size_t)(e - c))) {
            port = 0;
            for (c++; c < e; c++) port = port * 10 + (uint32_t)(*c - '0');
        }
    }
    PyObject *vals[5] = {cached(&w->local, r->local), cached_port(w, port), cached(&w->remote, r->remote), cached_port(w, r->remote_port), cached_port(w, r->local_port)};
    static const int at[5] = {K_SERVER_ADDR, K_SERVER_PORT, K_REMOTE_ADDR, K_REMOTE_PORT, K_LISTENER_PORT};
    int bad = 0;
    for (int i = 0; i < 5; i++) bad |= !vals[i] || PyDict_SetItem(env, w->keys[at[i]], vals[i]) < 0;
    if (bad) goto fail;
    char id[16];
    hex16(id, r->conn_id);
    SET(CONNECTION_ID, str(id, 16));
    return 0;
fail:
    return -1;
}

/* The environ without what is new in each request. New reference or NULL with an exception. */
static PyObject *environ_base(mw_env *w, mw_route *rt, mw_req *r) {
    uint32_t nf = r->head.nfields, start = r->head.method.off;
    size_t line = nf ? r->head.fields[0].name.off - start : 0;
    int usable = !r->extra && nf && r->head.head_len - start <= 4096 && r->head.host.off >= start + line;
    conn_env *e = NULL;
    PyObject *env;
    int same = 0, again = 0;
    if (usable) {
        e = conn_slot(w, rt, r->conn_id);
        same = conn_match(e, rt, r, line);
        if (same && e->dict) {
            env = copy_kept(e->dict);
            if (env && same == 1 && fill_line(w, env, rt, r) < 0) Py_CLEAR(env);
            return env;
        }
        again = same;
    }
    env = with_fields(w, rt, r);
    if (env && (fill_line(w, env, rt, r) < 0 || fill_connection(w, env, rt, r) < 0)) Py_CLEAR(env);
    if (env && e) {
        conn_remember(e, rt, r, line, again ? env : NULL);
    }
    return env;
}

/* The environ of a request. New reference or NULL with an exception. */
PyObject *mw_environ(mw_route *rt, mw_req *r, mw_local *l) {
    mw_env *w = l->env;
    PyObject *env = environ_base(w, rt, r);
    if (!env) return NULL;
    SETB(INPUT, (PyObject *)l->input);
    char id[40];
    hex16(id, r->conn_id);
    id[16] = '-';
    int n = 17, sh = 28;
    while (sh && !((r->request_no >> sh) & 15)) sh -= 4;
    for (; sh >= 0; sh -= 4) id[n++] = hx[(r->request_no >> sh) & 15];
    SET(REQUEST_ID, str(id, (size_t)n));
    SETB(THREAD_ID, l->id);
    struct timeval tv;
    gettimeofday(&tv, NULL);
    double now = (double)tv.tv_sec + (double)tv.tv_usec / 1e6;
    PyObject *at = PyFloat_FromDouble(now);
    int failed = !at || PyDict_SetItem(env, w->keys[K_APPLICATION_START], at) < 0;
    if (!failed && mw_cfg.process_group[0]) { /* taken up now; handed to the group now too unless it had to wait for a thread */
        failed = PyDict_SetItem(env, w->keys[K_DAEMON_START], at) < 0;
        if (r->queue_us) failed |= set_new(env, w->keys[K_QUEUE_START], PyFloat_FromDouble((double)r->queue_us / 1e6)) < 0;
        else failed |= PyDict_SetItem(env, w->keys[K_QUEUE_START], at) < 0;
    }
    Py_XDECREF(at);
    if (failed) goto fail;
    SET(REQUEST_START, PyFloat_FromDouble(r->start_us ? (double)r->start_us / 1e6 : now));
    if (r->extra && mw_environ_extra(w, env, r->extra, r->extra_len, 0) < 0) goto fail;
    return env;
fail:
    Py_DECREF(env);
    return NULL;
}

/* The strings and empty caches for an interpreter; NULL with an exception. */
mw_env *mw_env_new(int slot) {
    mw_env *w = calloc(1, sizeof *w);
    if (!w) { PyErr_NoMemory(); return NULL; }
    w->slot = slot;
#define X(a, b) w->keys[K_##a] = PyUnicode_InternFromString(b);
    KEYS(X)
#undef X
    w->keys[K_HTTP_HOST] = PyUnicode_InternFromString("HTTP_HOST");
    w->k_scheme = PyUnicode_InternFromString("wsgi.url_scheme");
    w->v_http = PyUnicode_InternFromString("http");
    w->v_https = PyUnicode_InternFromString("https");
    w->v_get = PyUnicode_InternFromString("GET");
    w->v_post = PyUnicode_InternFromString("POST");
    w->v_head = PyUnicode_InternFromString("HEAD");
    w->v_http11 = PyUnicode_InternFromString("HTTP/1.1");
    w->v_http10 = PyUnicode_InternFromString("HTTP/1.0");
    w->v_http20 = PyUnicode_InternFromString("HTTP/2.0");
    w->k_http2 = PyUnicode_InternFromString("HTTP2");
    w->v_on = PyUnicode_InternFromString("on");
    w->v_empty = PyUnicode_InternFromString("");
    w->v_slash = PyUnicode_InternFromString("/");
    return PyErr_Occurred() ? NULL : w; /* out of memory at the very start */
}
