/*
 * input.c: wsgi.input (PEP 3333), type mod_wsgi.Input.
 *
 * Most bodies are already in the request buffer when a Python thread gets the
 * request. The rest of a large one is received here, GIL released, straight
 * from the socket with the request's time-out.
 *
 * A chunked body (RFC 9112 section 7.1) is decoded from the raw bytes in the
 * buffer, then from the socket. Decoder states, r->chunk_state:
 *
 *   state  | expects                  | next
 *   SIZE   | hex digits, extension,CRLF| DATA, or TRAILER when size 0
 *   DATA   | chunk_left bytes          | CRLF
 *   CRLF   | CR LF after the data      | SIZE
 *   TRAILER| field lines, blank line   | END
 *   END    | nothing: end of body      |
 *   BAD    | error was reported        |
 */
#include "internal.h"
#include "_cgo_export.h"
#include "wire.h"
#include <errno.h>
#include <limits.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { SIZE, DATA, CRLF, TRAILER, END, BAD };
#define LINE_MAX_LEN 8190 /* as LimitRequestFieldSize */
#define OUTSTAY_MS 20     /* how soon a thread notices that its request is over */

static int64_t monotonic_ms(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* RequestReadTimeout: received bytes earn time. */
static void earn(mw_req *r, int64_t n) {
    if (!r->body_until || r->body_rate <= 0) return;
    r->body_until += n * 1000 / r->body_rate;
    if (r->body_max_ms > 0 && r->body_until > r->body_began + r->body_max_ms) r->body_until = r->body_began + r->body_max_ms;
}

/* How long to wait for more: Timeout, or what RequestReadTimeout leaves if that is less; -1
 * without bound. Its time begins when the client first lets the application wait, so that an
 * application may take its own time before it reads. */
static int body_wait(mw_req *r) {
    int64_t wait = r->io_timeout_ms > 0 ? r->io_timeout_ms : -1;
    if (r->body_ms > 0) {
        int64_t now = monotonic_ms();
        if (!r->body_until) { r->body_began = now; r->body_until = now + r->body_ms; }
        int64_t left = r->body_until > now ? r->body_until - now : 0;
        if (wait < 0 || left < wait) wait = left < INT_MAX ? left : INT_MAX;
    }
    return (int)wait;
}

/* Wait until there is more: as mw_wait. A thread that the application has started looks now and then
 * whether its request is over (mw_input_over). */
static int wait_more(mw_req *r) {
    int ms = body_wait(r), k = 0;
    if (mw_self && mw_self->req == r) return mw_wait(r, 0, ms);
    int64_t until = ms < 0 ? INT64_MAX : monotonic_ms() + ms;
    for (int64_t left; !k && (left = until - monotonic_ms()) > 0;) {
        if (__atomic_load_n(&r->chunk_state, __ATOMIC_ACQUIRE) == BAD) { errno = ECANCELED; return -1; }
        k = mw_wait(r, 0, left < OUTSTAY_MS ? (int)left : OUTSTAY_MS);
    }
    return k;
}

/* One recv with the request's time-outs. >0 bytes, 0 end, -1 error. No GIL. */
static ssize_t recv_wait(mw_req *r, char *p, size_t n) {
    for (;;) {
        ssize_t m = mw_recv(r, p, n);
        if (m > 0) earn(r, m);
        if (m >= 0) return m;
        if (errno == EINTR) continue;
        if (errno != EAGAIN && errno != EWOULDBLOCK) return -1;
        int k = wait_more(r);
        if (k == 0) { errno = ETIMEDOUT; return -1; }
        if (k < 0 && errno != EINTR) return -1;
    }
}

/* More raw bytes of a chunked body into r->in after what is there. The decoded part of the
 * buffer is dropped, so that it does not grow with the body: the head before body_off must stay, the environ is built but the
 * access log still needs the request line. No GIL. */
static int raw_more(mw_req *r) {
    if (r->in_read > r->body_off) {
        memmove(r->in + r->body_off, r->in + r->in_read, r->in_len - r->in_read); /* at most part of a line */
        r->in_len -= r->in_read - r->body_off;
        r->in_read = r->body_off;
    }
    if (r->in_cap - r->in_len < 8192) {
        mw_lock(r); /* a dump of running requests may be reading the request line */
        char *q = mw_realloc(r->in, r->in_cap + 65536);
        if (q) {
            r->in = q;
            r->in_cap += 65536;
        }
        mw_unlock(r);
        if (!q) { errno = ENOMEM; return -1; }
    }
    ssize_t m = recv_wait(r, r->in + r->in_len, r->in_cap - r->in_len);
    if (m == 0) errno = ECONNRESET;
    if (m <= 0) return -1;
    r->in_len += (uint64_t)m;
    return 0;
}

/* The next line of chunked framing at in_read, without CRLF; NULL on error. No GIL. */
static const char *raw_line(mw_req *r, size_t *n) {
    uint64_t seen = 0; /* bytes after in_read without LF */
    for (;;) {
        char *lf = memchr(r->in + r->in_read + seen, '\n', r->in_len - r->in_read - seen);
        if (lf) {
            char *start = r->in + r->in_read;
            size_t len = (size_t)(lf - start);
            if (!len || lf[-1] != '\r' || len > LINE_MAX_LEN) { errno = EPROTO; return NULL; }
            r->in_read += len + 1;
            *n = len - 1;
            return start;
        }
        seen = r->in_len - r->in_read;
        if (seen > LINE_MAX_LEN) { errno = EPROTO; return NULL; }
        if (raw_more(r) < 0) return NULL;
    }
}

static int hex(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    c |= 32;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Up to n decoded bytes. >0, 0 end of body, -1 error with errno. No GIL. */
static ssize_t read_chunked(mw_req *r, char *p, size_t n) {
    for (;;) {
        const char *line;
        size_t len, i;
        switch (r->chunk_state) {
        case SIZE: {
            if (!(line = raw_line(r, &len))) goto bad;
            int64_t size = 0;
            for (i = 0; i < len && hex(line[i]) >= 0; i++) {
                if (size >> 55) { errno = EPROTO; goto bad; }
                size = size * 16 + hex(line[i]);
            }
            while (i < len && (line[i] == ' ' || line[i] == '\t')) i++;
            if (i == 0 || hex(line[0]) < 0 || (i < len && line[i] != ';')) { errno = EPROTO; goto bad; }
            r->chunk_left = size;
            r->chunk_state = size ? DATA : TRAILER;
            break;
        }
        case DATA: {
            if ((int64_t)n > r->chunk_left) n = (size_t)r->chunk_left;
            ssize_t m;
            if (r->in_read < r->in_len) {
                m = (ssize_t)(r->in_len - r->in_read);
                if ((size_t)m > n) m = (ssize_t)n;
                memcpy(p, r->in + r->in_read, (size_t)m);
                r->in_read += (uint64_t)m;
            } else {
                m = recv_wait(r, p, n);
                if (m == 0) errno = ECONNRESET;
                if (m <= 0) goto bad;
            }
            r->chunk_left -= m;
            r->body_read += (uint64_t)m;
            if (r->body_limit > 0 && r->body_read > (uint64_t)r->body_limit) { errno = EFBIG; goto bad; }
            if (!r->chunk_left) r->chunk_state = CRLF;
            return m;
        }
        case CRLF:
            if (!(line = raw_line(r, &len))) goto bad;
            if (len) { errno = EPROTO; goto bad; }
            r->chunk_state = SIZE;
            break;
        case TRAILER:
            if (!(line = raw_line(r, &len))) goto bad;
            if (!len) r->chunk_state = END;
            break;
        case END:
            return 0;
        default:
            errno = EIO;
            return -1;
        }
    }
bad:
    r->chunk_state = BAD;
    return -1;
}

/* Up to n bytes of the body as it was sent. >0, 0 end, -1 error with errno. No GIL. */
static ssize_t read_raw(mw_req *r, char *p, size_t n) {
    if (r->head.flags & MW_CHUNKED) return read_chunked(r, p, n);
    if (r->body_read < r->body_len) {
        size_t have = r->body_len - r->body_read;
        if (have > n) have = n;
        memcpy(p, r->in + r->body_off + r->body_read, have);
        r->body_read += have;
        return (ssize_t)have;
    }
    if (r->stream_left <= 0) return 0;
    if ((int64_t)n > r->stream_left) n = (size_t)r->stream_left; /* never into the next request */
    ssize_t m = recv_wait(r, p, n);
    if (m == 0) errno = ECONNRESET;
    if (m <= 0) return -1;
    r->stream_left -= m;
    return m;
}

int64_t mw_body_read(mw_req *r, char *p, size_t n) {
    ssize_t m = read_raw(r, p, n);
    return m < 0 ? -(errno ? errno : EIO) : m;
}

/* The same of the body as the application sees it. */
static ssize_t read_some(mw_req *r, char *p, size_t n) {
    if (!r->in_hook) return read_raw(r, p, n);
    int64_t m = mwHookInput(r->hook, p, n);
    if (m < 0) { errno = (int)-m; return -1; }
    return (ssize_t)m;
}

static mw_req *usable(mw_input *s) {
    if (!s->req || __atomic_load_n(&s->over, __ATOMIC_SEQ_CST)) {
        PyErr_SetString(PyExc_RuntimeError, "wsgi.input used after the request has finished");
        return NULL;
    }
    if (s->failed) {
        PyErr_SetString(PyExc_OSError, "request data read error: an earlier read of the request body failed");
        return NULL;
    }
    return s->req;
}

static PyObject *fail(mw_input *s) {
    int e = errno;
    s->failed = e == EFBIG ? 413 : e == EPROTO ? 400 : 500;
    s->req->keep_alive = 0;
    s->req->chunk_state = BAD;
    s->req->stream_left = -1;
    const char *why = e == ETIMEDOUT ? "timed out" : e == EPROTO ? "malformed body" :
                      e == EFBIG ? "body is larger than LimitRequestBody" : "client closed the connection";
    return PyErr_Format(PyExc_OSError, "request data read error: %s", why);
}

/* read(limit) or, with line set, readline(limit); limit <0 none. */
static PyObject *collect_body(mw_input *s, Py_ssize_t limit, int line) {
    mw_req *r = usable(s);
    if (!r) return NULL;
    if (limit == 0) return PyBytes_FromStringAndSize("", 0);
    int chunked = r->head.flags & MW_CHUNKED || r->in_hook; /* not in the buffer as it is */
    if (!chunked) { /* the ordinary case: one copy from the request buffer */
        const char *p = r->in + r->body_off + r->body_read;
        size_t have = r->body_len - r->body_read;
        const char *lf = line ? memchr(p, '\n', have) : NULL;
        size_t take = lf ? (size_t)(lf - p) + 1 : have;
        if (limit > 0 && (size_t)limit <= take) take = (size_t)limit; else if (!lf && r->stream_left > 0) take = SIZE_MAX;
        if (take != SIZE_MAX) {
            r->body_read += take;
            return PyBytes_FromStringAndSize(p, (Py_ssize_t)take);
        }
    }
    size_t cap = limit > 0 ? (size_t)limit : 65536;
    if (limit < 0 && !chunked && !line) cap = (size_t)(r->body_len - r->body_read) + (size_t)r->stream_left;
    if (limit > 0 && cap > (1 << 20)) cap = 1 << 20; /* the caller's n may be huge, the body small */
    if (line) cap = 256;
    PyObject *b = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)cap);
    if (!b) return NULL;
    size_t n = 0;
    for (;;) {
        if (limit > 0 && n == (size_t)limit) break;
        if (n == cap) {
            cap = cap * 2;
            if (limit > 0 && cap > (size_t)limit) cap = (size_t)limit;
            if (_PyBytes_Resize(&b, (Py_ssize_t)cap) < 0) return NULL;
        }
        char *q = PyBytes_AS_STRING(b) + n;
        ssize_t m;
        PyThreadState *ts = PyEval_SaveThread();
        /* a line ends where its LF is: byte by byte unless the buffer tells more */
        m = read_some(r, q, line ? 1 : cap - n);
        int e = errno;
        mw_restore(ts);
        errno = e;
        if (__atomic_load_n(&s->over, __ATOMIC_SEQ_CST)) { Py_DECREF(b); usable(s); return NULL; } /* a thread of the application's own, too late */
        if (m < 0) { Py_DECREF(b); return fail(s); }
        if (m == 0) break;
        n += (size_t)m;
        if (line && q[0] == '\n') break;
        while (line && !chunked && r->body_read < r->body_len && n < cap) { /* without leaving the GIL */
            char c = r->in[r->body_off + r->body_read++];
            PyBytes_AS_STRING(b)[n++] = c;
            if (c == '\n') goto done;
        }
    }
done:
    if (_PyBytes_Resize(&b, (Py_ssize_t)n) < 0) return NULL;
    return b;
}

/* The same, measured when somebody wants to know. */
static PyObject *collect(mw_input *s, Py_ssize_t limit, int line) {
    PyObject *b;
    (void)MW_ENTER(s); /* usable() looks whether it is over */
    Py_BEGIN_CRITICAL_SECTION((PyObject *)s);
    int live = mw_live_any;
    double t0 = live ? mw_now() : 0;
    b = collect_body(s, limit, line);
    if (b && live) mw_live_input(t0, PyBytes_GET_SIZE(b));
    Py_END_CRITICAL_SECTION();
    MW_LEAVE(s);
    return b;
}

/* The request is over, and a thread that the application has started still reads its body: end
 * that, else it would read what the connection brings next, which may belong to another client. No GIL. */
void mw_input_over(mw_req *r) {
    r->keep_alive = 0;
    r->stream_left = -1;
    __atomic_store_n(&r->chunk_state, BAD, __ATOMIC_RELEASE);
}

static int size_arg(PyObject *const *a, Py_ssize_t n, Py_ssize_t *out) {
    *out = -1;
    if (n > 1) { PyErr_SetString(PyExc_TypeError, "at most one argument: the size in bytes"); return -1; }
    if (n == 1 && a[0] != Py_None) {
        *out = PyNumber_AsSsize_t(a[0], PyExc_OverflowError);
        if (*out == -1 && PyErr_Occurred()) return -1;
    }
    return 0;
}

static PyObject *in_read(PyObject *self, PyObject *const *a, Py_ssize_t n) {
    Py_ssize_t k;
    if (size_arg(a, n, &k) < 0) return NULL;
    return collect((mw_input *)self, k, 0);
}
static PyObject *in_readline(PyObject *self, PyObject *const *a, Py_ssize_t n) {
    Py_ssize_t k;
    if (size_arg(a, n, &k) < 0) return NULL;
    return collect((mw_input *)self, k, 1);
}
static PyObject *in_readlines(PyObject *self, PyObject *const *a, Py_ssize_t n) {
    Py_ssize_t hint, total = 0;
    if (size_arg(a, n, &hint) < 0) return NULL;
    PyObject *list = PyList_New(0);
    while (list) {
        PyObject *x = collect((mw_input *)self, -1, 1);
        if (!x) { Py_DECREF(list); return NULL; }
        Py_ssize_t m = PyBytes_GET_SIZE(x);
        int bad = m && PyList_Append(list, x) < 0;
        Py_DECREF(x);
        if (bad) { Py_DECREF(list); return NULL; }
        total += m;
        if (!m || (hint > 0 && total >= hint)) break;
    }
    return list;
}
static PyObject *in_next(PyObject *self) {
    PyObject *x = collect((mw_input *)self, -1, 1);
    if (x && !PyBytes_GET_SIZE(x)) Py_CLEAR(x);
    return x;
}
static PyObject *in_close(PyObject *self, PyObject *u) {
    if (!((mw_input *)self)->req) {
        PyErr_SetString(PyExc_RuntimeError, "wsgi.input used after the request has finished");
        return NULL;
    }
    Py_RETURN_NONE;
}
static PyObject *in_iter(PyObject *self) {
    if (!usable((mw_input *)self)) return NULL;
    return Py_NewRef(self);
}
static void in_dealloc(PyObject *self) {
    PyTypeObject *t = Py_TYPE(self);
    t->tp_free(self);
    Py_DECREF(t);
}

static PyMethodDef in_methods[] = {
    {"read", (PyCFunction)(void (*)(void))in_read, METH_FASTCALL, "read([size]) -> bytes"},
    {"readline", (PyCFunction)(void (*)(void))in_readline, METH_FASTCALL, "readline([size]) -> bytes"},
    {"readlines", (PyCFunction)(void (*)(void))in_readlines, METH_FASTCALL, "readlines([hint]) -> list of bytes"},
    {"close", in_close, METH_NOARGS, "close(): does nothing."},
    {0}};
static PyType_Slot in_slots[] = {
    {Py_tp_dealloc, in_dealloc}, {Py_tp_methods, in_methods}, {Py_tp_iter, in_iter},
    {Py_tp_iternext, in_next}, {Py_tp_doc, "The request body, wsgi.input of PEP 3333."}, {0, NULL}};
static PyType_Spec in_spec = {"mod_wsgi.Input", sizeof(mw_input), 0,
                              Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION, in_slots};

int mw_input_init(PyObject *module, mw_state *st) {
    st->input_type = (PyTypeObject *)PyType_FromModuleAndSpec(module, &in_spec, NULL);
    return st->input_type ? 0 : -1;
}

PyObject *mw_input_new(mw_state *st) {
    mw_input *s = PyObject_New(mw_input, st->input_type);
    if (s) { s->req = NULL; s->failed = s->inside = s->over = 0; }
    return (PyObject *)s;
}
