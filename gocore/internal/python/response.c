/*
 * response.c: start_response (PEP 3333) and the response's head: what the
 * application may give as status and fields, and the bytes that become of it.
 * The buffer that they go to is output.c's.
 */
#include "internal.h"
#include "output.h"
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

static char g_date[64] = "Date: Thu, 01 Jan 1970 00:00:00 GMT\r\n";
static size_t g_date_len = 37;

/* Called once a second with an IMF-fixdate of 29 bytes. The bytes change one
 * by one under a reader at worst within the same second's digits. No GIL. */
void mw_set_date(const char *date) { memcpy(g_date + 6, date, 29); }

static int latin1(PyObject *u, const char *what, const char **p, Py_ssize_t *n) {
#if PY_VERSION_HEX < 0x030c0000
    if (PyUnicode_READY(u) < 0) return -1; /* made by a C extension the old way */
#endif
    if (PyUnicode_IS_COMPACT_ASCII(u) || PyUnicode_KIND(u) == PyUnicode_1BYTE_KIND) {
        *p = (const char *)PyUnicode_1BYTE_DATA(u);
        *n = PyUnicode_GET_LENGTH(u);
        return 0;
    }
    Py_XDECREF(PyUnicode_AsLatin1String(u)); /* raises UnicodeEncodeError */
    return -1;
}

static int check_status(PyObject *st) {
    const char *p;
    Py_ssize_t n;
    if (!PyUnicode_Check(st)) {
        PyErr_Format(PyExc_TypeError, "expected status as str, got %.200s", Py_TYPE(st)->tp_name);
        return -1;
    }
    if (latin1(st, "status", &p, &n) < 0) return -1;
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
        PyObject *t = PyList_GET_ITEM(list, i);
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
        if (latin1(name, "name", &p, &n) < 0) return -1;
        if (n == 0) return bad_value("name is empty:", p, n);
        if (!plain(p, n)) /* the usual name is letters and '-' */
            for (j = 0; j < n; j++) /* stricter than needed by PEP 3333: ':' would forge a field */
                if ((unsigned char)p[j] <= 32 || p[j] == 127 || p[j] == ':')
                    return bad_value("name contains an invalid character:", p, n);
        if (latin1(value, "value", &p, &n) < 0) return -1;
        if (controls(p, n) && (memchr(p, '\r', (size_t)n) || memchr(p, '\n', (size_t)n) || memchr(p, 0, (size_t)n)))
            return bad_value("value contains CR, LF or NUL:", p, n);
    }
    return 0;
}

static PyObject *resp_call(PyObject *self, PyObject *const *a, size_t nf, PyObject *kw);

static PyObject *write_block(mw_response *s, PyObject *data) {
    if (!PyBytes_Check(data)) {
        PyErr_Format(PyExc_TypeError, "write() takes bytes, got %.200s", Py_TYPE(data)->tp_name);
        return NULL;
    }
    if (!s->committed && mw_commit(s, -1) < 0) return NULL;
    if (!s->req->streaming) __atomic_store_n(&s->req->streaming, 1, __ATOMIC_RELEASE);
    if (mw_put_block(s, PyBytes_AS_STRING(data), (size_t)PyBytes_GET_SIZE(data), 0) < 0) {
        PyErr_SetString(PyExc_OSError, "client closed the connection");
        return NULL;
    }
    Py_RETURN_NONE;
}

/* write(data), the legacy callable that start_response returns */
static PyObject *resp_write(PyObject *self, PyObject *data) {
    mw_response *s = (mw_response *)self;
    PyObject *res = NULL;
    if (MW_ENTER(s) || !s->req) PyErr_SetString(PyExc_RuntimeError, "write() called after the response has ended");
    else res = write_block(s, data);
    MW_LEAVE(s);
    return res;
}
static PyMethodDef write_def = {"write", resp_write, METH_O, "write(data): send bytes of the response body."};

static PyObject *start_response(PyObject *self, PyObject *const *a, size_t nf, PyObject *kw) {
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
    mw_state *st = s->st;
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
        if (!PyExceptionClass_Check(t) || (v != Py_None && !PyExceptionInstance_Check(v)) || (tb != Py_None && !PyTraceBack_Check(tb))) {
            PyErr_SetString(PyExc_TypeError, "exc_info of start_response must be what sys.exc_info() returns");
            return NULL;
        }
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

static PyObject *resp_call(PyObject *self, PyObject *const *a, size_t nf, PyObject *kw) {
    PyObject *res;
    Py_BEGIN_CRITICAL_SECTION2(self, PyVectorcall_NARGS(nf) > 1 ? a[1] : self);
    res = start_response(self, a, nf, kw);
    Py_END_CRITICAL_SECTION2();
    return res;
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

/* The longest line of a head, its CRLF included. */
static size_t longest_line(const char *p, size_t n) {
    size_t longest = 0;
    for (const char *end = p + n, *lf; p < end && (lf = memchr(p, '\n', (size_t)(end - p))); p = lf + 1)
        if ((size_t)(lf - p) + 1 > longest) longest = (size_t)(lf - p) + 1;
    return longest;
}

static int commit(mw_response *s, int64_t known) {
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
    if (latin1(s->status, "status", &p, &n) < 0) return -1;
    int code = (p[0] - '0') * 100 + (p[1] - '0') * 10 + p[2] - '0';
    mw_lock(r);
    if (r->out_off == r->out_len) r->out_off = r->out_len = 0; /* mark must stay valid when the buffer grows */
    size_t mark = r->out_len;
    int rc = PUT(r, "HTTP/1.1 ");
    if (r->status_override) code = (int)r->status_override; /* an error document keeps the status of its error; the hooks write the line */
    rc |= mw_put(r, p, (size_t)n);
    rc |= n == 3 ? PUT(r, " \r\n") : PUT(r, "\r\n");
    r->status = code;
    s->length = -1;
    int date = 0, server = 0;
    for (Py_ssize_t i = 0; i < count; i++) {
        PyObject *t = PyList_GET_ITEM(h, i);
        const char *v;
        Py_ssize_t m;
        latin1(PyTuple_GET_ITEM(t, 0), "name", &p, &n);
        latin1(PyTuple_GET_ITEM(t, 1), "value", &v, &m);
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
                    mw_unlock(r);
                    return bad_value("Content-Length is not one decimal number:", v, m);
                }
                if (s->length >= 0) continue;
                s->length = len;
                if (r->hook) continue;
            }
            break;
        case 17: if (!strncasecmp(p, "transfer-encoding", 17)) continue; break;
        }
        rc |= mw_put(r, p, (size_t)n);
        rc |= PUT(r, ": ");
        rc |= mw_put(r, v, (size_t)m);
        rc |= PUT(r, "\r\n");
    }
    if (!date && !r->hook) rc |= mw_put(r, g_date, g_date_len);
    if (!server && !r->hook) {
        rc |= PUT(r, "Server: ");
        rc |= mw_put(r, mw_cfg.server_software, strlen(mw_cfg.server_software));
        rc |= PUT(r, "\r\n");
    }
    int head = r->head.method.len == 4 && !memcmp(r->in + r->head.method.off, "HEAD", 4);
    int empty = code == 204 || code == 304 || code / 100 == 1; /* RFC 9110 section 6.4.1 */
    s->nobody = head || empty;
    if (code / 100 == 1) r->keep_alive = 0; /* a client goes on waiting for the final response */
    if (r->stream_left) r->keep_alive = 0; /* part of the request is not read: the connection cannot go on */
    size_t longest = mw_cfg.header_limit && !rc ? longest_line(r->out + mark, r->out_len - mark) : 0;
    if (longest > mw_cfg.header_limit) {
        r->out_len = mark;
        mw_unlock(r); /* an exception is an object: no Python while locked */
        PyErr_Format(PyExc_ValueError, "a response header line is longer than header-buffer-size (%zu bytes)", mw_cfg.header_limit);
        return -1;
    }
    if (r->hook) {
        mw_unlock(r);
        if (rc) { PyErr_NoMemory(); return -1; }
        return mw_commit_hooked(s, mark, s->length >= 0 || (head && known == 0) ? s->length : known);
    }
    if (s->length < 0 && !empty) {
        if (known >= 0 && !(head && known == 0)) {
            char b[48];
            rc |= mw_put(r, b, (size_t)snprintf(b, sizeof b, "Content-Length: %lld\r\n", (long long)known));
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
    mw_unlock(r);
    if (rc) { PyErr_NoMemory(); return -1; }
    s->committed = 1;
    return 0;
}

/* Write status line and fields to out. known >= 0: the whole body has that many bytes. */
int mw_commit(mw_response *s, int64_t known) {
    int rc;
    Py_BEGIN_CRITICAL_SECTION2((PyObject *)s, s->headers ? s->headers : (PyObject *)s);
    rc = commit(s, known);
    Py_END_CRITICAL_SECTION2();
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
/* The request's wire, 0: none; -1 with an exception after the request. */
static int64_t wire_of(PyObject *self) {
    mw_req *r = ((mw_response *)self)->req;
    if (r) return r->wire;
    PyErr_SetString(PyExc_RuntimeError, "the request has finished");
    return -1;
}
static PyObject *ssl_is_https(PyObject *self, PyObject *u) {
    int64_t wire = wire_of(self);
    return wire < 0 ? NULL : PyLong_FromLong(mw_secure((uint32_t)wire));
}
static PyObject *ssl_var_lookup(PyObject *self, PyObject *name) {
    int64_t wire = wire_of(self);
    return wire < 0 ? NULL : mw_secure_var((uint32_t)wire, name);
}

#include <structmember.h>
static PyMemberDef resp_members[] = {
    {"__vectorcalloffset__", T_PYSSIZET, offsetof(mw_response, vectorcall), READONLY, NULL}, {0}};
static PyObject *resp_self(PyObject *self, void *u) { return Py_NewRef(self); }
static PyGetSetDef resp_getset[] = {{"__self__", resp_self}, {0}}; /* as of a bound method, where mod_wsgi's users look for the two below */
static PyMethodDef resp_methods[] = {
    {"ssl_is_https", ssl_is_https, METH_NOARGS, "ssl_is_https() -> int: 1 on a TLS connection."},
    {"ssl_var_lookup", ssl_var_lookup, METH_O, "ssl_var_lookup(name) -> str or None."}, {0}};
static PyType_Slot resp_slots[] = {
    {Py_tp_dealloc, resp_dealloc}, {Py_tp_traverse, resp_traverse}, {Py_tp_clear, resp_clear},
    {Py_tp_call, PyVectorcall_Call}, {Py_tp_members, resp_members}, {Py_tp_methods, resp_methods}, {Py_tp_getset, resp_getset},
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
    s->st = st;
    s->req = NULL;
    s->status = s->headers = s->checked = NULL;
    s->vectorcall = resp_call;
    s->length = -1;
    s->committed = s->chunked = s->nobody = s->filtered = s->discard = s->inside = s->over = 0;
    PyObject_GC_Track(s);
    return (PyObject *)s;
}
