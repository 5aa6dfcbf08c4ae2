/*
 * module.c: the `mod_wsgi` module that applications import, the `apache`
 * module, redirected sys streams, signal restriction, and what a forked child
 * must undo.
 */
#include "internal.h"
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#ifdef __GLIBC__
#include <malloc.h>
#endif

mw_conf mw_cfg = {.server_software = "modwsgi-go"};
int mw_run_init(void);

size_t mw_sizeof_req(void) { return sizeof(mw_req); }
void *mw_alloc(size_t n) { return calloc(1, n); }
void *mw_realloc(void *p, size_t n) { return realloc(p, n); }
void mw_free(void *p) { free(p); }

/* Give free memory back to the system. malloc keeps what threads have freed, for each of its arenas up to twice the
 * largest block that it ever had (mallopt(3), M_TRIM_THRESHOLD). No GIL; takes the arenas' locks one by one. */
void mw_trim(void) {
#ifdef __GLIBC__
    malloc_trim(0);
#endif
}

/* ---- fork ----
 * The Go runtime does not survive fork. The child keeps Python, so it gets
 * default signal handling back and must not hold the server's sockets open. */
#define MAX_FD 65536
static unsigned char tracked[MAX_FD];
static int forked;

/* The server opened (on) or closes a descriptor. Any thread, no GIL. */
void mw_track_fd(int fd, int on) { if (fd >= 0 && fd < MAX_FD) tracked[fd] = (unsigned char)on; }

/* Signals wait while the child still has Go's handlers: one that came then would be swallowed. */
static __thread sigset_t before_fork_mask;
static void before_fork(void) {
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before_fork_mask);
}
static void after_fork_parent(void) { pthread_sigmask(SIG_SETMASK, &before_fork_mask, NULL); }

static void after_fork_child(void) {
    forked = 1;
    mw_fork_child();
    for (int i = 1; i < NSIG; i++) {
        struct sigaction sa;
        if (i == SIGKILL || i == SIGSTOP || sigaction(i, NULL, &sa) != 0) continue;
        if (sa.sa_handler == SIG_IGN || sa.sa_handler == SIG_DFL) continue;
        signal(i, i == SIGPIPE ? SIG_IGN : SIG_DFL);
    }
    for (int i = 3; i < MAX_FD; i++) if (tracked[i]) close(i);
    pthread_sigmask(SIG_SETMASK, &before_fork_mask, NULL); /* what waited is delivered now */
}

/* ---- the module's functions ---- */

static PyObject *subscribe(PyObject *list, PyObject *cb) {
    return PyList_Append(list, cb) < 0 ? NULL : Py_NewRef(cb);
}
static PyObject *sub_events(PyObject *m, PyObject *cb) {
    mw_live_any = 1; /* from now on requests are measured */
    return subscribe(mw_state_of(m)->event_callbacks, cb);
}
static PyObject *sub_shutdown(PyObject *m, PyObject *cb) { return subscribe(mw_state_of(m)->shutdown_callbacks, cb); }
static PyObject *sub_signals(PyObject *m, PyObject *cb) {
    if (!mw_cfg.process_group[0]) { /* as in mod_wsgi: those signals have another meaning there */
        const mw_req *r = mw_self ? mw_self->req : NULL;
        mw_say(MW_INFO, r, NULL, "subscribe_signals() has no effect outside of daemon mode; called from:");
        mw_log_stack(MW_INFO, r);
        return Py_NewRef(cb);
    }
    return subscribe(mw_state_of(m)->signal_callbacks, cb);
}

static PyObject *request_data(PyObject *m, PyObject *u) {
    if (!mw_self || !mw_self->req) {
        PyErr_SetString(PyExc_RuntimeError, "no request is active on this thread");
        return NULL;
    }
    return Py_XNewRef(mw_request_data(mw_self));
}

static PyObject *signal_hook(PyObject *m, PyObject *args) {
    PyObject *num, *handler;
    if (!PyArg_ParseTuple(args, "OO", &num, &handler)) return NULL;
    if (forked) { /* a child of the application owns its signals */
        PyObject *mod = PyImport_ImportModule("_signal");
        PyObject *x = mod ? PyObject_CallMethod(mod, "signal", "OO", num, handler) : NULL;
        Py_XDECREF(mod);
        return x;
    }
    long n = PyLong_AsLong(num);
    if (n == -1 && PyErr_Occurred()) PyErr_Clear();
    const mw_req *r = mw_self ? mw_self->req : NULL;
    mw_say(MW_INFO, r, NULL, "signal handler for signal %ld ignored (WSGIRestrictSignal); called from:", n);
    mw_log_stack(MW_INFO, r);
    return Py_NewRef(handler);
}

static PyMethodDef methods[] = {
    {"subscribe_events", sub_events, METH_O, "subscribe_events(callback) -> callback: call callback(name, **data) for server events."},
    {"subscribe_shutdown", sub_shutdown, METH_O, "subscribe_shutdown(callback) -> callback: call it before the process stops."},
    {"subscribe_signals", sub_signals, METH_O, "subscribe_signals(callback) -> callback."},
    {"start_recording_metrics", mw_start_recording, METH_NOARGS, "start_recording_metrics(): from now on the next two have figures."},
    {"request_metrics", mw_request_metrics, METH_NOARGS, "request_metrics() -> dict of the time since the last call, or None."},
    {"process_metrics", mw_process_metrics, METH_NOARGS, "process_metrics() -> dict of this process, or None."},
    {"server_metrics", mw_server_metrics, METH_NOARGS, "server_metrics() -> dict of all processes of the server, or None where it is not allowed."},
    {"request_data", request_data, METH_NOARGS, "request_data() -> dict of the current request; RuntimeError outside one."},
    {0}};
static PyMethodDef signal_def = {"signal", signal_hook, METH_VARARGS, "signal(signum, handler): ignored in a managed process."};
static struct PyModuleDef def = {PyModuleDef_HEAD_INIT, .m_name = "mod_wsgi",
    .m_doc = "Interface between a WSGI application and the server it runs in.", .m_size = sizeof(mw_state *), .m_methods = methods};

/* The interpreter that an instance of our module belongs to. */
mw_state *mw_state_of(PyObject *module) { return *(mw_state **)PyModule_GetState(module); }

static const char python_half[] =
    "import logging as _l\n"
    "class LogHandler(_l.Handler):\n"
    "    '''Write logging records to the error log of the server, one record a line.'''\n"
    "    def emit(self, record):\n"
    "        try:\n"
    "            if _enabled(record.levelno):\n"
    "                _log(record.levelno, self.format(record), record.pathname, record.lineno)\n"
    "        except Exception:\n"
    "            self.handleError(record)\n";

static int log_level(long n) { return n >= 50 ? MW_CRIT : n >= 40 ? MW_ERR : n >= 30 ? MW_WARN : n >= 20 ? MW_INFO : MW_DEBUG; }

/* _enabled(levelno): does the server's log take it? Asked before the record is formatted. */
static PyObject *log_enabled(PyObject *m, PyObject *levelno) {
    long n = PyLong_AsLong(levelno);
    if (n == -1 && PyErr_Occurred()) return NULL;
    return PyBool_FromLong(mw_log_enabled(log_level(n), mw_self ? mw_self->req : NULL));
}

/* _log(levelno, text, pathname, lineno) */
static PyObject *log_record(PyObject *m, PyObject *args) {
    int n, line = 0;
    PyObject *text, *file, *b;
    if (!PyArg_ParseTuple(args, "iUOi", &n, &text, &file, &line)) return NULL;
    if (!(b = PyUnicode_AsEncodedString(text, "utf-8", "replace"))) return NULL;
    mw_about about = {.tag = MW_TAG_FIRST, .line = line};
    if (PyUnicode_Check(file) && !(about.file = PyUnicode_AsUTF8(file))) PyErr_Clear();
    const char *p = PyBytes_AS_STRING(b), *end = p + PyBytes_GET_SIZE(b);
    do { /* a record for each line */
        const char *nl = memchr(p, '\n', (size_t)(end - p));
        mw_log_about(log_level(n), mw_self ? mw_self->req : NULL, &about, p, (size_t)((nl ? nl : end) - p));
        p = nl ? nl + 1 : end;
    } while (p < end);
    Py_DECREF(b);
    Py_RETURN_NONE;
}
static PyMethodDef enabled_def = {"_enabled", log_enabled, METH_O, NULL};
static PyMethodDef log_def = {"_log", log_record, METH_VARARGS, NULL};

/* __path__ of a package mod_wsgi that is installed beside this server (mod_wsgi's own from PyPI), so
 * that its sub-packages (mod_wsgi.server ...) can be imported. New reference; NULL without exception if there is none. */
static PyObject *companion_path(PyObject *m) {
    PyObject *mod = PyImport_ImportModule("importlib.machinery"), *finder = NULL, *spec = NULL, *path = NULL;
    if (mod) finder = PyObject_GetAttrString(mod, "PathFinder");
    if (finder) spec = PyObject_CallMethod(finder, "find_spec", "s", "mod_wsgi");
    if (spec && spec != Py_None) path = PyObject_GetAttrString(spec, "submodule_search_locations");
    Py_XDECREF(mod); Py_XDECREF(finder); Py_XDECREF(spec);
    if (!path || path == Py_None) { Py_XDECREF(path); return NULL; }
    PyObject *list = PySequence_List(path);
    Py_DECREF(path);
    if (list && PyDict_SetItemString(PyModule_GetDict(m), "__path__", list) < 0) Py_CLEAR(list);
    return list;
}

/* LogHandler needs `logging`, which few applications want at start: made on first access.
 * active_requests is kept from the first access on. */
static PyObject *module_getattr(PyObject *m, PyObject *name) {
    if (PyUnicode_Check(name) && PyUnicode_CompareWithASCIIString(name, "LogHandler") == 0) {
        PyObject *d = PyModule_GetDict(m);
        PyObject *ns = PyDict_New(), *f = PyCFunction_New(&log_def, NULL), *e = PyCFunction_New(&enabled_def, NULL), *x = NULL, *cls = NULL;
        if (ns && f && e && PyDict_SetItemString(ns, "_log", f) == 0 && PyDict_SetItemString(ns, "_enabled", e) == 0 &&
            PyDict_SetItemString(ns, "__builtins__", PyEval_GetBuiltins()) == 0) {
            PyObject *modname = PyUnicode_FromString("mod_wsgi");
            if (modname) PyDict_SetItemString(ns, "__name__", modname);
            Py_XDECREF(modname);
            x = PyRun_String(python_half, Py_file_input, ns, ns);
        }
        if (x) cls = Py_XNewRef(PyDict_GetItemString(ns, "LogHandler"));
        if (cls) PyDict_SetItemString(d, "LogHandler", cls);
        Py_XDECREF(x); Py_XDECREF(ns); Py_XDECREF(f); Py_XDECREF(e);
        return cls;
    }
    if (PyUnicode_Check(name) && PyUnicode_CompareWithASCIIString(name, "active_requests") == 0) return mw_active_requests(mw_state_of(m));
    if (PyUnicode_Check(name) && PyUnicode_CompareWithASCIIString(name, "__path__") == 0) {
        PyObject *path = companion_path(m);
        if (path || PyErr_Occurred()) return path;
    }
    PyErr_Format(PyExc_AttributeError, "module 'mod_wsgi' has no attribute %R", name);
    return NULL;
}

/* dir(mod_wsgi) also has what __getattr__ makes. */
static PyObject *module_dir(PyObject *m, PyObject *u) {
    PyObject *names = PyDict_Keys(PyModule_GetDict(m)), *more = Py_BuildValue("[ss]", "LogHandler", "active_requests");
    for (Py_ssize_t i = 0; names && more && i < PyList_GET_SIZE(more); i++) {
        int have = PySequence_Contains(names, PyList_GET_ITEM(more, i));
        if (have < 0 || (!have && PyList_Append(names, PyList_GET_ITEM(more, i)) < 0)) Py_CLEAR(names);
    }
    Py_XDECREF(more);
    return names;
}
static PyMethodDef dir_def = {"__dir__", module_dir, METH_NOARGS, NULL};
static PyMethodDef getattr_def = {"__getattr__", module_getattr, METH_O, NULL};

static int add(PyObject *d, const char *k, PyObject *v) { /* steals v */
    int rc = v ? PyDict_SetItemString(d, k, v) : -1;
    Py_XDECREF(v);
    return rc;
}

static int redirect_streams(mw_state *st) {
    PyObject *err = mw_log_stream(st, "<stderr>"), *out = NULL;
    if (!err || PySys_SetObject("stderr", err) < 0) { Py_XDECREF(err); return -1; }
    Py_DECREF(err);
    if (!(out = mw_log_stream(st, "<stdout>")) || PySys_SetObject("stdout", out) < 0) { Py_XDECREF(out); return -1; }
    Py_DECREF(out);
    PyObject *argv = Py_BuildValue("[s]", "mod_wsgi");
    int rc = argv ? PySys_SetObject("argv", argv) : -1;
    Py_XDECREF(argv);
    return rc;
}

int mw_module_init(mw_state *st) {
    PyObject *m = st->module = PyModule_Create(&def);
    if (!m) return -1;
    *(mw_state **)PyModule_GetState(m) = st;
    st->event_callbacks = PyList_New(0);
    st->shutdown_callbacks = PyList_New(0);
    st->signal_callbacks = PyList_New(0);
    st->active_requests = PyDict_New();
    st->request_timeout = PyErr_NewExceptionWithDoc("mod_wsgi.RequestTimeout",
        "Raised in a request that ran longer than it may.", PyExc_BaseException, NULL);
    st->str_close = PyUnicode_InternFromString("close");
    st->str_fileno = PyUnicode_InternFromString("fileno");
    st->str_tell = PyUnicode_InternFromString("tell");
    PyObject *d = PyModule_GetDict(m);
    if (mw_log_init(m, st) < 0 || mw_input_init(m, st) < 0 || mw_response_init(m, st) < 0 || mw_wrapper_init(m, st) < 0) return -1;
    int rc = add(d, "version", Py_BuildValue("(iii)", 6, 0, 5));
    rc |= add(d, "process_group", PyUnicode_FromString(mw_cfg.process_group));
    rc |= add(d, "application_group", PyUnicode_DecodeLatin1(st->conf.name, (Py_ssize_t)strlen(st->conf.name), NULL));
    rc |= add(d, "maximum_processes", PyLong_FromLong(mw_cfg.processes));
    rc |= add(d, "threads_per_process", PyLong_FromLong(mw_cfg.threads));
    rc |= PyDict_SetItemString(d, "FileWrapper", (PyObject *)st->wrapper_type);
    rc |= PyDict_SetItemString(d, "RequestTimeout", st->request_timeout);
    rc |= PyDict_SetItemString(d, "event_callbacks", st->event_callbacks);
    rc |= PyDict_SetItemString(d, "shutdown_callbacks", st->shutdown_callbacks);
    rc |= PyDict_SetItemString(d, "signal_callbacks", st->signal_callbacks);
    rc |= add(d, "__getattr__", PyCFunction_New(&getattr_def, m)) | add(d, "__dir__", PyCFunction_New(&dir_def, m));
    if (rc || !(st->errors = mw_log_stream(st, "<wsgi.errors>"))) return -1;
    PyObject *modules = PyImport_GetModuleDict();
    if (PyDict_SetItemString(modules, "mod_wsgi", m) < 0) return -1;
    PyObject *ap = PyModule_New("apache");
    if (!ap) return -1;
    PyObject *ad = PyModule_GetDict(ap);
    rc |= add(ad, "version", Py_BuildValue("(iii)", 2, 4, 63));
    rc |= add(ad, "description", PyUnicode_FromString(mw_cfg.server_software));
    rc |= add(ad, "mpm_name", PyUnicode_FromString("modwsgi-go"));
    rc |= add(ad, "build_date", PyUnicode_FromString(""));
    rc |= add(ad, "maximum_processes", PyLong_FromLong(mw_cfg.processes));
    rc |= add(ad, "threads_per_process", PyLong_FromLong(mw_cfg.threads));
    rc |= PyDict_SetItemString(modules, "apache", ap);
    Py_DECREF(ap);
    return rc || redirect_streams(st) < 0 ? -1 : 0;
}

/* WSGIRestrictSignal. 0, or -1 with an exception. */
int mw_restrict_signals(void) {
    PyObject *mod = PyImport_ImportModule("signal"), *f = PyCFunction_New(&signal_def, NULL);
    int rc = mod && f ? PyObject_SetAttrString(mod, "signal", f) : -1;
    Py_XDECREF(mod);
    Py_XDECREF(f);
    return rc;
}

static char *copy(const char *s) { return strdup(s ? s : ""); }

/* Prepare the main interpreter. Called once, without GIL, before any thread starts; 0 or -1 (logged). */
int mw_init(const mw_conf *c, const mw_interp_conf *conf) {
    mw_cfg = *c;
    mw_cfg.process_group = copy(c->process_group);
    mw_cfg.server_software = copy(c->server_software);
    PyGILState_STATE g = PyGILState_Ensure();
    int rc = mw_watch_init() | mw_run_init() | mw_interps_init() | mw_interp_add(conf);
    mw_metrics_init();
    if (!rc) rc = mw_interp_prepare(mw_interps[0]);
    if (!rc) mw_interps[0]->interp = PyInterpreterState_Main();
    if (rc) mw_log_exception(NULL, "WSGI0035: while the interpreter was prepared");
    pthread_atfork(before_fork, after_fork_parent, after_fork_child);
    PyGILState_Release(g);
    return rc;
}
