/*
 * response.c: start_response (PEP 3333), the response head, and the output
 * buffer of a request.
 *
 * The head and small blocks are appended to r->out; the Go side writes the
 * whole with one system call when the application is done. While the
 * application produces blocks (r->streaming) the monitor may send what is in
 * the buffer, so every access to out is under out_lock then. Blocks of
 * DIRECT_MIN bytes and more are not copied: they go to the socket with
 * writev, GIL released; what a slow reader does not take is kept in the
 * buffer for the reactor, so no Python thread waits at the end of a response.
 */
#include "internal.h"
#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>
#ifdef __linux__
#include <sys/sendfile.h>
#endif
#ifndef MSG_NOSIGNAL
#define MSG_NOSIGNAL 0 /* macOS: the socket has SO_NOSIGPIPE, see listen/sock_bsd.go */
#endif

#define DIRECT_MIN (32 * 1024)  /* measured: below, a copy is cheaper than leaving the GIL */
#define OUT_HIGH (64 * 1024)    /* flush a streaming response at this many buffered bytes */

static char g_date[64] = "Date: Thu, 01 Jan 1970 00:00:00 GMT\r\n";
static size_t g_date_len = 37;

/* Called once a second with an IMF-fixdate of 29 bytes. The bytes change one
 * by one under a reader at worst within the same second's digits. No GIL. */
void mw_set_date(const char *date) { memcpy(g_date + 6, date, 29); }

static void lock(mw_req *r) {
    uint32_t zero = 0;
    while (!__atomic_compare_exchange_n(&r->out_lock, &zero, 1, 0, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED)) {
        zero = 0;
        sched_yield();
    }
}
static void unlock(mw_req *r) { __atomic_store_n(&r->out_lock, 0, __ATOMIC_RELEASE); }

static int reserve(mw_req *r, size_t n) {
    if (r->out_len + n <= r->out_cap) return 0;
    if (r->out_off) { /* drop what was sent */
        memmove(r->out, r->out + r->out_off, r->out_len - r->out_off);
        r->out_len -= r->out_off;
        r->out_off = 0;
        if (r->out_len + n <= r->out_cap) return 0;
    }
    size_t cap = r->out_cap ? r->out_cap : 4096;
    while (cap < r->out_len + n) cap *= 2;
    char *p = mw_realloc(r->out, cap);
    if (!p) { r->aborted = 1; return -1; }
    r->out = p;
    r->out_cap = cap;
    return 0;
}

static inline int put(mw_req *r, const char *p, size_t n) {
    if (r->out_len + n > r->out_cap && reserve(r, n) < 0) return -1;
    memcpy(r->out + r->out_len, p, n);
    r->out_len += n;
    return 0;
}
#define PUT(r, lit) put(r, lit, sizeof lit - 1)

int mw_out_append(mw_req *r, const char *p, size_t n) {
    lock(r);
    int rc = put(r, p, n);
    unlock(r);
    return rc;
}

static int wait_writable(mw_req *r, int timeout_ms) {
    struct pollfd f = {r->fd, POLLOUT, 0};
    int k;
    do k = poll(&f, 1, timeout_ms > 0 ? timeout_ms : -1); while (k < 0 && errno == EINTR);
    return k > 0 ? 0 : -1;
}

int mw_out_flush(mw_req *r, int timeout_ms) {
    for (;;) {
        lock(r);
        size_t n = r->out_len - r->out_off;
        ssize_t m = n && !r->aborted ? send(r->fd, r->out + r->out_off, n, MSG_DONTWAIT | MSG_NOSIGNAL) : 0;
        int e = errno;
        if (m > 0) {
            r->out_off += (uint64_t)m;
            r->sent += (uint64_t)m;
            if (r->out_off == r->out_len) r->out_off = r->out_len = 0;
        } else if (m < 0 && e != EAGAIN && e != EWOULDBLOCK && e != EINTR) {
            r->aborted = 1;
        }
        int rest = r->out_len != r->out_off;
        unlock(r);
        if (r->aborted) return -1;
        if (!rest) return 0;
        if (m < 0 && e != EINTR && wait_writable(r, timeout_ms) < 0) { r->aborted = 1; return -1; }
    }
}

/* The application is done: after this the monitor leaves the buffer alone. Waits for a flush
 * that is under way, else its bytes could be sent twice. */
void mw_stream_end(mw_req *r) {
    if (!__atomic_load_n(&r->streaming, __ATOMIC_ACQUIRE)) return;
    lock(r);
    __atomic_store_n(&r->streaming, 0, __ATOMIC_RELEASE);
    unlock(r);
}

/* ---- start_response ---- */

static int latin1(PyObject *u, const char *what, const char **p, Py_ssize_t *n, PyObject **hold) {
    *hold = NULL;
    if (PyUnicode_IS_COMPACT_ASCII(u) || PyUnicode_KIND(u) == PyUnicode_1BYTE_KIND) {
        *p = (const char *)PyUnicode_1BYTE_DATA(u);
        *n = PyUnicode_GET_LENGTH(u);
        return 0;
    }
    *hold = PyUnicode_AsLatin1String(u); /* raises UnicodeEncodeError */
    Py_XDECREF(*hold);
    *hold = NULL;
    return -1;
}

static int check_status(PyObject *st) {
    const char *p;
    Py_ssize_t n;
    PyObject *h;
    if (!PyUnicode_Check(st)) {
        PyErr_Format(PyExc_TypeError, "expected status as str, got %.200s", Py_TYPE(st)->tp_name);
        return -1;
    }
    if (latin1(st, "status", &p, &n, &h) < 0) return -1;
    int ok = n >= 3 && p[0] >= '0' && p[0] <= '9' && p[1] >= '0' && p[1] <= '9' && p[2] >= '0' && p[2] <= '9' && (n == 3 || p[3] == ' ');
    for (Py_ssize_t i = 3; ok && i < n; i++)
        if ((unsigned char)p[i] < 32 || p[i] == 127) ok = 0;
    if (ok) return 0;
    PyObject *b = PyBytes_FromStringAndSize(p, n);
    if (b) PyErr_Format(PyExc_ValueError, "status %R is not three digits, a space and a reason without control characters", b);
    Py_XDECREF(b);
    return -1;
}

static int bad_value(const char *what, const char *p, Py_ssize_t n) {
    PyObject *b = PyBytes_FromStringAndSize(p, n);
    if (b) PyErr_Format(PyExc_ValueError, "response header %s %R", what, b);
    Py_XDECREF(b);
    return -1;
}

/* Eight bytes at a time; 0 only if there is no byte below 0x20. */
static int controls(const char *p, Py_ssize_t n) {
    const uint64_t ones = 0x0101010101010101ull, high = ones << 7;
    uint64_t x, bad = 0;
    for (; n >= 8; p += 8, n -= 8) {
        memcpy(&x, p, 8);
        bad |= (x - ones * 0x20) & ~x;
    }
    for (; n > 0; p++, n--) bad |= (unsigned char)*p < 0x20 ? high : 0;
    return (bad & high) != 0;
}

/* Only letters, digits and '-'. */
static int plain(const char *p, Py_ssize_t n) {
    static const unsigned char ok[256] = {['-'] = 1, ['0' ... '9'] = 1, ['A' ... 'Z'] = 1, ['a' ... 'z'] = 1};
    unsigned good = 1;
    for (Py_ssize_t i = 0; i < n; i++) good &= ok[(unsigned char)p[i]];
    return (int)good;
}

static int check_headers(PyObject *list) {
    if (!PyList_Check(list)) {
        PyErr_Format(PyExc_TypeError, "expected response headers as list, got %.200s", Py_TYPE(list)->tp_name);
        return -1;
    }
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(list); i++) {
        PyObject *t = PyList_GET_ITEM(list, i), *h;
        const char *p;
        Py_ssize_t n, j;
        if (!PyTuple_Check(t)) {
            PyErr_Format(PyExc_TypeError, "each response header must be a tuple, got %.200s", Py_TYPE(t)->tp_name);
            return -1;
        }
        if (PyTuple_GET_SIZE(t) != 2) {
            PyErr_Format(PyExc_ValueError, "each response header must be a pair (name, value), got %zd items", PyTuple_GET_SIZE(t));
            return -1;
        }
        PyObject *name = PyTuple_GET_ITEM(t, 0), *value = PyTuple_GET_ITEM(t, 1);
        if (!PyUnicode_Check(name) || !PyUnicode_Check(value)) {
            PyErr_Format(PyExc_TypeError, "response header name and value must be str, got %.200s and %.200s",
                         Py_TYPE(name)->tp_name, Py_TYPE(value)->tp_name);
            return -1;
        }
        if (latin1(name, "name", &p, &n, &h) < 0) return -1;
        if (n == 0) return bad_value("name is empty:", p, n);
        if (!plain(p, n)) /* the usual name is letters and '-' */
            for (j = 0; j < n; j++) /* stricter than needed by PEP 3333: ':' would forge a field */
                if ((unsigned char)p[j] <= 32 || p[j] == 127 || p[j] == ':')
                    return bad_value("name contains an invalid character:", p, n);
        if (latin1(value, "value", &p, &n, &h) < 0) return -1;
        if (controls(p, n) && (memchr(p, '\r', (size_t)n) || memchr(p, '\n', (size_t)n) || memchr(p, 0, (size_t)n)))
            return bad_value("value contains CR, LF or NUL:", p, n);
    }
    return 0;
}

static PyObject *resp_call(PyObject *self, PyObject *const *a, size_t nf, PyObject *kw);

/* write(data), the legacy callable that start_response returns */
static PyObject *resp_write(PyObject *self, PyObject *data) {
    mw_response *s = (mw_response *)self;
    if (!s->req) {
        PyErr_SetString(PyExc_RuntimeError, "write() called after the request has finished");
        return NULL;
    }
    if (!PyBytes_Check(data)) {
        PyErr_Format(PyExc_TypeError, "write() takes bytes, got %.200s", Py_TYPE(data)->tp_name);
        return NULL;
    }
    if (!s->committed && mw_commit(s, -1) < 0) return NULL;
    __atomic_store_n(&s->req->streaming, 1, __ATOMIC_RELEASE);
    if (mw_put_block(s, PyBytes_AS_STRING(data), (size_t)PyBytes_GET_SIZE(data), 0) < 0) {
        PyErr_SetString(PyExc_OSError, "client closed the connection");
        return NULL;
    }
    Py_RETURN_NONE;
}
static PyMethodDef write_def = {"write", resp_write, METH_O, "write(data): send bytes of the response body."};

static PyObject *resp_call(PyObject *self, PyObject *const *a, size_t nf, PyObject *kw) {
    mw_response *s = (mw_response *)self;
    Py_ssize_t n = PyVectorcall_NARGS(nf);
    if (!s->req) {
        PyErr_SetString(PyExc_RuntimeError, "start_response called after the request has finished");
        return NULL;
    }
    if (kw && PyTuple_GET_SIZE(kw)) {
        PyErr_SetString(PyExc_TypeError, "start_response takes positional arguments only");
        return NULL;
    }
    if (n < 2 || n > 3) {
        PyErr_Format(PyExc_TypeError, "start_response takes 2 or 3 arguments (status, headers[, exc_info]), got %zd", n);
        return NULL;
    }
    PyObject *exc = n == 3 ? a[2] : Py_None;
    mw_state *st = mw_state_get();
    if (PyList_GET_SIZE(st->event_callbacks)) mw_live_response(st, a[0], a[1], exc);
    if (exc != Py_None && !PyTuple_Check(exc)) {
        PyErr_SetString(PyExc_RuntimeError, "exc_info of start_response must be a tuple or None");
        return NULL;
    }
    if (check_status(a[0]) < 0 || check_headers(a[1]) < 0) return NULL;
    if (s->committed) {
        if (exc == Py_None) {
            PyErr_SetString(PyExc_RuntimeError, "response headers have already been sent");
            return NULL;
        }
        PyObject *t, *v, *tb;
        if (!PyArg_ParseTuple(exc, "OOO:exc_info", &t, &v, &tb)) return NULL;
        PyErr_Restore(Py_NewRef(t), v == Py_None ? NULL : Py_NewRef(v), tb == Py_None ? NULL : Py_NewRef(tb));
        return NULL;
    }
    Py_XSETREF(s->status, Py_NewRef(a[0]));
    Py_XSETREF(s->headers, Py_NewRef(a[1]));
    PyObject *pairs = PyList_AsTuple(a[1]);
    if (!pairs) return NULL;
    Py_XSETREF(s->checked, pairs);
    return PyCFunction_New(&write_def, self);
}

static int64_t parse_length(const char *p, Py_ssize_t n) {
    if (n == 0 || n > 18) return -1;
    int64_t v = 0;
    for (Py_ssize_t i = 0; i < n; i++) {
        if (p[i] < '0' || p[i] > '9') return -1;
        v = v * 10 + (p[i] - '0');
    }
    return v;
}

/* The access log wants fields of the response, and a stream uses the buffer again. */
static void keep_head(mw_req *r, const char *p, size_t n) {
    if (n > r->kept_cap) {
        char *q = n <= UINT32_MAX ? mw_realloc(r->kept, n) : NULL;
        if (!q) return; /* the log will show "-" */
        r->kept = q;
        r->kept_cap = (uint32_t)n;
    }
    memcpy(r->kept, p, n);
    r->kept_len = (uint32_t)n;
}

/* Does the list hold what start_response checked? The application may have changed it since; its
 * pairs are tuples of str, which cannot change. */
static int unchanged(PyObject *list, PyObject *checked) {
    Py_ssize_t n = PyList_GET_SIZE(list);
    if (!checked || PyTuple_GET_SIZE(checked) != n) return 0;
    for (Py_ssize_t i = 0; i < n; i++)
        if (PyList_GET_ITEM(list, i) != PyTuple_GET_ITEM(checked, i)) return 0;
    return 1;
}

/* header-buffer-size: 0, or -1 with an exception when a line is longer. */
static int check_lines(const char *p, size_t n) {
    for (const char *end = p + n, *lf; p < end && (lf = memchr(p, '\n', (size_t)(end - p))); p = lf + 1) {
        if ((size_t)(lf - p) + 1 <= mw_cfg.header_limit) continue;
        PyErr_Format(PyExc_ValueError, "a response header line is longer than header-buffer-size (%zu bytes)", mw_cfg.header_limit);
        return -1;
    }
    return 0;
}

/* Write status line and fields to out. known >= 0: the whole body has that many bytes. */
int mw_commit(mw_response *s, int64_t known) {
    mw_req *r = s->req;
    if (!s->status) {
        PyErr_SetString(PyExc_RuntimeError, "the application produced a response without calling start_response()");
        return -1;
    }
    PyObject *h = s->headers;
    Py_ssize_t count = PyList_GET_SIZE(h);
    if (!unchanged(h, s->checked) && check_headers(h) < 0) return -1;
    const char *p;
    Py_ssize_t n;
    PyObject *hold;
    if (latin1(s->status, "status", &p, &n, &hold) < 0) return -1;
    int code = (p[0] - '0') * 100 + (p[1] - '0') * 10 + p[2] - '0';
    lock(r);
    size_t mark = r->out_len;
    int rc = PUT(r, "HTTP/1.1 ");
    if (r->status_override) code = (int)r->status_override; /* an error document keeps the status of its error; the hooks write the line */
    rc |= put(r, p, (size_t)n);
    rc |= n == 3 ? PUT(r, " \r\n") : PUT(r, "\r\n");
    r->status = code;
    s->length = -1;
    int date = 0, server = 0;
    for (Py_ssize_t i = 0; i < count; i++) {
        PyObject *t = PyList_GET_ITEM(h, i);
        const char *v;
        Py_ssize_t m;
        latin1(PyTuple_GET_ITEM(t, 0), "name", &p, &n, &hold);
        latin1(PyTuple_GET_ITEM(t, 1), "value", &v, &m, &hold);
        switch (n) { /* the few names that concern the server itself */
        case 4: if (!strncasecmp(p, "date", 4)) date = 1; break;
        case 6: if (!strncasecmp(p, "server", 6)) server = 1; break;
        case 10: /* framing is the server's; `close` is a wish that it grants */
            if (!strncasecmp(p, "connection", 10)) {
                if (m == 5 && !strncasecmp(v, "close", 5)) r->keep_alive = 0;
                continue;
            }
            if (!strncasecmp(p, "keep-alive", 10)) continue;
            break;
        case 14:
            if (!strncasecmp(p, "content-length", 14)) {
                int64_t len = parse_length(v, m);
                if (len < 0 || (s->length >= 0 && s->length != len)) {
                    r->out_len = mark;
                    unlock(r);
                    return bad_value("Content-Length is not one decimal number:", v, m);
                }
                if (s->length >= 0) continue;
                s->length = len;
                if (r->hook) continue;
            }
            break;
        case 17: if (!strncasecmp(p, "transfer-encoding", 17)) continue; break;
        }
        rc |= put(r, p, (size_t)n);
        rc |= PUT(r, ": ");
        rc |= put(r, v, (size_t)m);
        rc |= PUT(r, "\r\n");
    }
    if (!date && !r->hook) rc |= put(r, g_date, g_date_len);
    if (!server && !r->hook) {
        rc |= PUT(r, "Server: ");
        rc |= put(r, mw_cfg.server_software, strlen(mw_cfg.server_software));
        rc |= PUT(r, "\r\n");
    }
    int head = r->head.method.len == 4 && !memcmp(r->in + r->head.method.off, "HEAD", 4);
    int empty = code == 204 || code == 304 || code / 100 == 1; /* RFC 9110 section 6.4.1 */
    s->nobody = head || empty;
    if (r->stream_left) r->keep_alive = 0; /* part of the request is not read: the connection cannot go on */
    if (mw_cfg.header_limit && !rc && r->out_len - mark > mw_cfg.header_limit && check_lines(r->out + mark, r->out_len - mark) < 0) {
        r->out_len = mark;
        unlock(r);
        return -1;
    }
    if (r->hook) {
        unlock(r);
        if (rc) { PyErr_NoMemory(); return -1; }
        return mw_commit_hooked(s, mark, s->length >= 0 || (head && known == 0) ? s->length : known);
    }
    if (s->length < 0 && !empty) {
        if (known >= 0 && !(head && known == 0)) {
            char b[48];
            rc |= put(r, b, (size_t)snprintf(b, sizeof b, "Content-Length: %lld\r\n", (long long)known));
            s->length = known;
        } else if (!head) {
            if (r->head.flags & MW_HTTP11) {
                s->chunked = 1;
                rc |= PUT(r, "Transfer-Encoding: chunked\r\n");
            } else {
                r->keep_alive = 0;
            }
        }
    }
    if (!r->keep_alive) rc |= PUT(r, "Connection: close\r\n");
    else if (!(r->head.flags & MW_HTTP11)) rc |= PUT(r, "Connection: keep-alive\r\n");
    rc |= PUT(r, "\r\n");
    if (r->keep_head && !rc) keep_head(r, r->out + mark, r->out_len - mark);
    unlock(r);
    if (rc) { PyErr_NoMemory(); return -1; }
    s->committed = 1;
    return 0;
}

/* Head in the buffer plus one large block, without the GIL: what the socket does not take now
 * is copied to the buffer if `last` (the reactor sends it), else waited for. */
static int send_direct(mw_req *r, const char *p, size_t n, const char *after, size_t na, int last) {
    lock(r);
    while (n || r->out_len > r->out_off) {
        struct iovec v[3] = {{r->out + r->out_off, r->out_len - r->out_off}, {(void *)p, n}, {(void *)after, na}};
        struct msghdr mh = {.msg_iov = v, .msg_iovlen = 3};
        ssize_t m = sendmsg(r->fd, &mh, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (m < 0 && errno == EINTR) continue;
        if (m < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
            if (last) break;
            unlock(r);
            if (wait_writable(r, r->io_timeout_ms) < 0) { r->aborted = 1; return -1; }
            lock(r);
            continue;
        }
        if (m < 0) { r->aborted = 1; unlock(r); return -1; }
        size_t k = (size_t)m, head = r->out_len - r->out_off;
        r->sent += (uint64_t)m;
        if (k < head) { r->out_off += k; continue; }
        r->out_off = r->out_len = 0;
        k -= head;
        if (k <= n) { p += k; n -= k; } else { after += k - n; na -= k - n; n = 0; }
        if (!n && !na) break;
        if (!n && na) break;
    }
    int rc = 0;
    if (n) rc |= put(r, p, n);
    if (na) rc |= put(r, after, na);
    unlock(r);
    return rc;
}

static int put_block(mw_response *s, const char *p, size_t n, int last) {
    mw_req *r = s->req;
    if (r->aborted) return -1;
    if (s->length >= 0 && r->sent_body + (int64_t)n > s->length) n = (size_t)(s->length - r->sent_body);
    r->sent_body += (int64_t)n;
    if (!n || s->nobody) return 0;
    if (s->filtered) {
        if (mw_put_hooked(r, p, n) == 0) return 0;
        r->aborted = 1;
        return -1;
    }
    char size[24];
    size_t ns = s->chunked ? (size_t)snprintf(size, sizeof size, "%zx\r\n", n) : 0;
    int rc;
    if (n >= DIRECT_MIN) {
        if (ns && mw_out_append(r, size, ns) < 0) return -1;
        PyThreadState *ts = PyEval_SaveThread();
        rc = send_direct(r, p, n, "\r\n", s->chunked ? 2 : 0, last);
        mw_restore(ts);
        return rc;
    }
    lock(r);
    rc = ns ? put(r, size, ns) : 0;
    rc |= put(r, p, n);
    if (s->chunked) rc |= PUT(r, "\r\n");
    size_t held = r->out_len - r->out_off;
    unlock(r);
    if (!rc && held > OUT_HIGH && !last) {
        PyThreadState *ts = PyEval_SaveThread();
        rc = mw_out_flush(r, r->io_timeout_ms);
        mw_restore(ts);
    }
    return rc;
}

int mw_put_block(mw_response *s, const char *p, size_t n, int last) {
    if (!mw_live_any) return put_block(s, p, n, last);
    double t0 = mw_now();
    int64_t before = s->req->sent_body;
    int rc = put_block(s, p, n, last);
    mw_live_output(t0, s->req->sent_body - before);
    return rc;
}

/* End of a complete response body. */
int mw_finish(mw_response *s) {
    mw_req *r = s->req;
    if (s->nobody) return 0;
    if (s->chunked) return mw_out_append(r, "0\r\n\r\n", 5);
    if (s->length >= 0 && r->sent_body < s->length) { /* the client must see that it is short */
        r->keep_alive = 0;
        r->result = MW_CUT;
    } else if (s->filtered && mw_put_hooked(r, NULL, 0) < 0) {
        r->aborted = 1;
    }
    return 0;
}

/* Send len bytes of a regular file. What a slow reader does not take is left to the reactor
 * through a duplicate of the descriptor. 0, or -1 when the client is gone. */
int mw_send_file(mw_response *s, int fd, int64_t off, int64_t len) {
    mw_req *r = s->req;
    r->sent_body = len;
    if (s->filtered) return mw_filter_file(s, fd, off, len);
    if (s->nobody || !len) return 0;
    int64_t len_all = len;
    double t0 = mw_live_any ? mw_now() : 0;
    int rc = 0;
    PyThreadState *ts = PyEval_SaveThread();
#ifdef __linux__
    int64_t end = off + len;
    lock(r);
    while (r->out_len > r->out_off) { /* the head; MSG_MORE joins it with the first bytes of the file */
        ssize_t m = send(r->fd, r->out + r->out_off, r->out_len - r->out_off, MSG_DONTWAIT | MSG_NOSIGNAL | MSG_MORE);
        if (m < 0 && errno == EINTR) continue;
        if (m < 0 && errno != EAGAIN && errno != EWOULDBLOCK) r->aborted = 1;
        if (m < 0) break;
        r->out_off += (uint64_t)m;
        r->sent += (uint64_t)m;
    }
    if (r->out_off == r->out_len) r->out_off = r->out_len = 0;
    while (!r->aborted && !r->out_len && off < end) {
        off_t o = (off_t)off;
        ssize_t m = sendfile(r->fd, fd, &o, (size_t)(end - off));
        if (m < 0 && errno == EINTR) continue;
        if (m < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) break;
        if (m <= 0) { r->aborted = m < 0; r->keep_alive = 0; r->result = MW_CUT; break; } /* file shrank */
        off = (int64_t)o;
        r->sent += (uint64_t)m;
    }
    unlock(r);
    if (!r->aborted && r->result != MW_CUT && off < end) {
        r->file_fd = dup(fd);
        if (r->file_fd < 0) r->aborted = 1;
        r->file_off = off;
        r->file_left = end - off;
    }
    rc = r->aborted ? -1 : 0;
#else
    char *buf = mw_alloc(65536);
    while (buf && len > 0 && rc == 0) {
        ssize_t m = pread(fd, buf, len < 65536 ? (size_t)len : 65536, off);
        if (m <= 0) { r->keep_alive = 0; r->result = MW_CUT; break; }
        off += m;
        len -= m;
        rc = mw_out_append(r, buf, (size_t)m);
        if (!rc) rc = mw_out_flush(r, r->io_timeout_ms);
    }
    mw_free(buf);
#endif
    mw_restore(ts);
    if (mw_live_any) mw_live_output(t0, len_all);
    return rc;
}

static void resp_dealloc(PyObject *self) {
    PyTypeObject *t = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    Py_CLEAR(((mw_response *)self)->status);
    Py_CLEAR(((mw_response *)self)->headers);
    Py_CLEAR(((mw_response *)self)->checked);
    t->tp_free(self);
    Py_DECREF(t);
}
static int resp_traverse(PyObject *self, visitproc visit, void *arg) {
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(((mw_response *)self)->headers);
    Py_VISIT(((mw_response *)self)->checked);
    return 0;
}
static int resp_clear(PyObject *self) {
    Py_CLEAR(((mw_response *)self)->headers);
    Py_CLEAR(((mw_response *)self)->checked);
    return 0;
}
static PyObject *ssl_is_https(PyObject *self, PyObject *u) { return PyLong_FromLong(0); }
static PyObject *ssl_var_lookup(PyObject *self, PyObject *name) { Py_RETURN_NONE; }

#include <structmember.h>
static PyMemberDef resp_members[] = {
    {"__vectorcalloffset__", T_PYSSIZET, offsetof(mw_response, vectorcall), READONLY, NULL}, {0}};
static PyMethodDef resp_methods[] = {
    {"ssl_is_https", ssl_is_https, METH_NOARGS, "ssl_is_https() -> int: 1 on a TLS connection."},
    {"ssl_var_lookup", ssl_var_lookup, METH_O, "ssl_var_lookup(name) -> str or None."}, {0}};
static PyType_Slot resp_slots[] = {
    {Py_tp_dealloc, resp_dealloc}, {Py_tp_traverse, resp_traverse}, {Py_tp_clear, resp_clear},
    {Py_tp_call, PyVectorcall_Call}, {Py_tp_members, resp_members}, {Py_tp_methods, resp_methods},
    {Py_tp_doc, "start_response of PEP 3333: (status, headers[, exc_info]) -> write."}, {0, NULL}};
static PyType_Spec resp_spec = {"mod_wsgi.Adapter", sizeof(mw_response), 0,
    Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_HAVE_VECTORCALL | Py_TPFLAGS_DISALLOW_INSTANTIATION, resp_slots};

int mw_response_init(PyObject *module, mw_state *st) {
    st->response_type = (PyTypeObject *)PyType_FromModuleAndSpec(module, &resp_spec, NULL);
    return st->response_type ? 0 : -1;
}

PyObject *mw_response_new(mw_state *st) {
    mw_response *s = PyObject_GC_New(mw_response, st->response_type);
    if (!s) return NULL;
    s->req = NULL;
    s->status = s->headers = s->checked = NULL;
    s->vectorcall = resp_call;
    s->length = -1;
    s->committed = s->chunked = s->nobody = s->filtered = s->discard = 0;
    PyObject_GC_Track(s);
    return (PyObject *)s;
}
