/*
 * log.c: the error log as Python sees it: mod_wsgi.Log objects behind
 * wsgi.errors, sys.stderr and sys.stdout, and exceptions with their tracebacks.
 * How a record is written is in errorlog.c.
 */
#include "internal.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#define LINE_MAX_LEN 8192 /* as a record */

void mw_logf(int level, const mw_req *r, const char *fmt, ...) {
    char buf[2048];
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(buf, sizeof buf, fmt, ap);
    va_end(ap);
    if (n < 0) return;
    mw_log(level, r, buf, (size_t)n < sizeof buf ? (size_t)n : sizeof buf - 1);
}

void mw_say(int level, const mw_req *r, const char *id, const char *fmt, ...) {
    char buf[2048];
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(buf, sizeof buf, fmt, ap);
    va_end(ap);
    mw_about about = {.id = id, .tag = MW_TAG_FIRST};
    if (n >= 0) mw_log_about(level, r, &about, buf, (size_t)n < sizeof buf ? (size_t)n : sizeof buf - 1);
}

/* The interpreter and the process as messages name them. */
const char *mw_where(void) {
    static __thread char buf[320], name[160];
    const mw_state *st = mw_state_current();
    if (!st && mw_self) st = mw_self->st; /* it is being made */
    if (st && st->index) snprintf(name, sizeof name, "sub-interpreter '%.130s'", st->conf.name);
    else strcpy(name, "main interpreter");
    if (mw_cfg.process_group[0]) snprintf(buf, sizeof buf, "%s of daemon process '%s'", name, mw_cfg.process_group);
    else snprintf(buf, sizeof buf, "%s in embedded mode", name);
    return buf;
}

/* The traceback's lines, one record each, without tag and code; blank ones are dropped. */
static void log_lines(int level, const mw_req *r, const char *p, size_t n) {
    while (n) {
        const char *nl = memchr(p, '\n', n);
        size_t k = nl ? (size_t)(nl - p) : n;
        if (k) mw_log(level, r, p, k);
        p += k + (nl ? 1 : 0);
        n -= k + (nl ? 1 : 0);
    }
}

void mw_log_exception(const mw_req *r, const char *fmt, ...) {
    char text[1024], head[1400], id[5] = "";
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    const char *p = text, *where = mw_where();
    if (strncmp(p, "WSGI", 4) == 0 && strlen(p) > 10 && p[8] == ':') {
        memcpy(id, p + 4, 4);
        p += 10;
    }
    PyObject *t, *v, *tb;
    PyErr_Fetch(&t, &v, &tb);
    PyErr_NormalizeException(&t, &v, &tb);
    if (v && tb) PyException_SetTraceback(v, tb);
    int exit = t && PyErr_GivenExceptionMatches(t, PyExc_SystemExit);
    if (!id[0]) strcpy(id, exit ? "0175" : "0174");
    const char *name = t && PyType_Check(t) ? ((PyTypeObject *)t)->tp_name : "exception", *dot = strrchr(name, '.');
    if (dot) name = dot + 1;
    snprintf(head, sizeof head, "%s%s%s%s (%s)", name, strncmp(p, "while ", 6) ? ": " : " raised ", p, exit ? ", ignored" : "", where);
    mw_about about = {.id = id, .tag = MW_TAG_LAST};
    mw_log_about(MW_ERR, r, &about, head, strlen(head));
    PyObject *mod = PyImport_ImportModule("traceback"), *lines = NULL, *joined = NULL;
    if (mod && t)
        lines = PyObject_CallMethod(mod, "format_exception", "OOO", t, v ? v : Py_None, tb ? tb : Py_None);
    if (lines) {
        PyObject *empty = PyUnicode_FromString("");
        joined = empty ? PyUnicode_Join(empty, lines) : NULL;
        Py_XDECREF(empty);
    }
    PyObject *bytes = joined ? PyUnicode_AsEncodedString(joined, "utf-8", "backslashreplace") : NULL;
    if (bytes) {
        log_lines(MW_ERR, r, PyBytes_AS_STRING(bytes), (size_t)PyBytes_GET_SIZE(bytes));
    } else if (!exit) { /* by the interpreter's own printer, which would end the process for SystemExit */
        PyErr_Clear();
        PyErr_Restore(t, v, tb);
        t = v = tb = NULL;
        PyErr_PrintEx(0);
    }
    PyErr_Clear();
    if (PyInterpreterState_Get() != PyInterpreterState_Main()) mw_log_refusal(r, v);
    Py_XDECREF(bytes); Py_XDECREF(joined); Py_XDECREF(lines); Py_XDECREF(mod);
    Py_XDECREF(t); Py_XDECREF(v); Py_XDECREF(tb);
}

/* ---- mod_wsgi.Log: a binary stream; the text wrapper sits on top ---- */

/* One object serves all requests, so what a thread has written of a line is kept with the thread
 * while it runs a request. */
typedef struct {
    PyObject_HEAD
    PyObject *name;
    int slot;         /* of mw_thread.tails, -1 none */
    mw_tail own;      /* outside of requests, and of streams without slot */
} Log;

static const char *const slots[] = {"<wsgi.errors>", "<stderr>", "<stdout>"};

static mw_tail *tail_of(Log *s) { return s->slot >= 0 && mw_self && mw_self->req ? &mw_self->tails[s->slot] : &s->own; }

/* What the application writes, by a record for each line. */
static void log_output(const char *p, size_t n) {
    static const mw_about about = {.tag = MW_TAG_FIRST};
    mw_log_about(MW_ERR, mw_self ? mw_self->req : NULL, &about, p, n);
}

static void flush_tail(mw_tail *t) {
    if (!t->len) return;
    log_output(t->p, t->len);
    t->len = 0;
}

void mw_log_tails(mw_thread *t) {
    for (int i = 0; i < 3; i++) flush_tail(&t->tails[i]);
}

static int feed(Log *s, const char *p, size_t n) {
    mw_tail *t = tail_of(s);
    while (n) {
        const char *nl = memchr(p, '\n', n);
        size_t k = nl ? (size_t)(nl - p) : n;
        if (nl && !t->len) {
            log_output(p, k);
        } else {
            size_t keep = k; /* an endless line without newline is cut, not stored */
            if (t->len + keep > LINE_MAX_LEN) keep = LINE_MAX_LEN - t->len;
            if (t->len + keep > t->cap) {
                size_t cap = t->len + keep + 256;
                char *q = realloc(t->p, cap);
                if (!q) { PyErr_NoMemory(); return -1; }
                t->p = q;
                t->cap = cap;
            }
            memcpy(t->p + t->len, p, keep);
            t->len += keep;
            if (nl) flush_tail(t);
        }
        p += k + (nl ? 1 : 0);
        n -= k + (nl ? 1 : 0);
    }
    return 0;
}

static int log_feed(Log *s, const char *p, size_t n) {
    int rc;
    Py_BEGIN_CRITICAL_SECTION((PyObject *)s);
    rc = feed(s, p, n);
    Py_END_CRITICAL_SECTION();
    return rc;
}

static PyObject *log_write(PyObject *self, PyObject *arg) {
    if (PyUnicode_Check(arg)) {
        if (PyErr_WarnEx(PyExc_DeprecationWarning, "writing str to the binary log stream; write bytes", 1) < 0)
            return NULL;
        Py_ssize_t n;
        const char *p = PyUnicode_AsUTF8AndSize(arg, &n);
        if (!p || log_feed((Log *)self, p, (size_t)n) < 0) return NULL;
        Py_RETURN_NONE;
    }
    Py_buffer b;
    if (PyObject_GetBuffer(arg, &b, PyBUF_SIMPLE) < 0) return NULL;
    int rc = log_feed((Log *)self, b.buf, (size_t)b.len);
    PyBuffer_Release(&b);
    if (rc < 0) return NULL;
    Py_RETURN_NONE;
}

static PyObject *log_writelines(PyObject *self, PyObject *arg) {
    PyObject *it = PyObject_GetIter(arg), *x;
    if (!it) return NULL;
    while ((x = PyIter_Next(it))) {
        PyObject *ok = log_write(self, x);
        Py_DECREF(x);
        if (!ok) { Py_DECREF(it); return NULL; }
        Py_DECREF(ok);
    }
    Py_DECREF(it);
    if (PyErr_Occurred()) return NULL;
    Py_RETURN_NONE;
}

/* io.TextIOWrapper with write_through flushes after every write; records end
 * at newlines, so a flush that is part of a write must not cut a line. Only
 * an explicit flush of the text layer arrives here with line text pending. */
static PyObject *log_flush(PyObject *self, PyObject *u) {
    Py_BEGIN_CRITICAL_SECTION(self);
    flush_tail(tail_of((Log *)self));
    Py_END_CRITICAL_SECTION();
    Py_RETURN_NONE;
}
static PyObject *log_close(PyObject *self, PyObject *u) { Py_RETURN_NONE; }
static PyObject *log_false(PyObject *self, PyObject *u) { Py_RETURN_FALSE; }
static PyObject *log_true(PyObject *self, PyObject *u) { Py_RETURN_TRUE; }
static PyObject *log_fileno(PyObject *self, PyObject *u) {
    PyErr_SetString(PyExc_OSError, "the log stream has no file descriptor");
    return NULL;
}
static PyObject *log_get_name(PyObject *self, void *c) { return Py_NewRef(((Log *)self)->name); }
static PyObject *log_get_closed(PyObject *self, void *c) { Py_RETURN_FALSE; }
static PyObject *log_get_encoding(PyObject *self, void *c) { return PyUnicode_FromString("utf-8"); }
static PyObject *log_get_errors(PyObject *self, void *c) { return PyUnicode_FromString("replace"); }

static void log_dealloc(PyObject *self) {
    PyTypeObject *t = Py_TYPE(self);
    flush_tail(&((Log *)self)->own);
    free(((Log *)self)->own.p);
    Py_XDECREF(((Log *)self)->name);
    t->tp_free(self);
    Py_DECREF(t);
}

static PyMethodDef log_methods[] = {
    {"write", log_write, METH_O, "write(data): log the lines of a bytes-like object."},
    {"writelines", log_writelines, METH_O, "writelines(iterable): write each item."},
    {"flush", log_flush, METH_NOARGS, "flush(): log text after the last newline as a record."},
    {"close", log_close, METH_NOARGS, "close(): does nothing."},
    {"isatty", log_false, METH_NOARGS, NULL},
    {"readable", log_false, METH_NOARGS, NULL},
    {"seekable", log_false, METH_NOARGS, NULL},
    {"writable", log_true, METH_NOARGS, NULL},
    {"fileno", log_fileno, METH_NOARGS, NULL},
    {0}};
static PyGetSetDef log_getset[] = {
    {"name", log_get_name}, {"closed", log_get_closed},
    {"encoding", log_get_encoding}, {"errors", log_get_errors}, {0}};
static PyType_Slot log_slots[] = {
    {Py_tp_dealloc, log_dealloc}, {Py_tp_methods, log_methods}, {Py_tp_getset, log_getset},
    {Py_tp_doc, "Stream into the server's error log at level error."}, {0, NULL}};
static PyType_Spec log_spec = {"mod_wsgi.Log", sizeof(Log), 0,
                               Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION, log_slots};

int mw_log_init(PyObject *module, mw_state *st) {
    st->log_type = (PyTypeObject *)PyType_FromModuleAndSpec(module, &log_spec, NULL);
    return st->log_type ? 0 : -1;
}

/* New io.TextIOWrapper over a Log, or NULL with an exception. New reference. */
PyObject *mw_log_stream(mw_state *st, const char *name) {
    Log *log = PyObject_New(Log, st->log_type);
    if (!log) return NULL;
    log->own = (mw_tail){0};
    log->slot = -1;
    for (int i = 0; i < 3; i++) if (strcmp(name, slots[i]) == 0) log->slot = i;
    log->name = PyUnicode_FromString(name);
    PyObject *io = PyImport_ImportModule("io"), *res = NULL;
    if (io && log->name) {
        PyObject *cls = PyObject_GetAttrString(io, "TextIOWrapper");
        PyObject *args = cls ? Py_BuildValue("(Osss)", (PyObject *)log, "utf-8", "replace", "\n") : NULL;
        PyObject *kw = Py_BuildValue("{sOsO}", "line_buffering", Py_False, "write_through", Py_True);
        if (cls && args && kw) res = PyObject_Call(cls, args, kw);
        Py_XDECREF(cls); Py_XDECREF(args); Py_XDECREF(kw);
    }
    Py_XDECREF(io);
    Py_DECREF(log);
    return res;
}
