/*
 * interp.c: the interpreters of the process, one for each application group:
 * how they are made, how threads get into them, how they end.
 *
 *   registered --first use, on a Python thread--> there --mw_shutdown--> ended
 *                        \--> failed: its requests get 500
 *
 * Go registers a group when it first meets its name (mw_interp_add). The
 * interpreter is made when a request, a script for access control or an import
 * script needs it, by the Python thread that does; others that need it too wait
 * without holding a GIL. The main interpreter (group "") is the process's own.
 *
 * A Python thread has one thread state for each interpreter that it was in,
 * for life: that is what keeps thread locals. Threads of Go's (timers, signals,
 * the end) visit with a thread state made for the occasion.
 *
 * Interpreters are not destroyed at the end: threads of the application may
 * still be inside. What a program can see of an orderly end is done by hand:
 * threads joined, atexit functions called, files flushed.
 */
#include "internal.h"
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

mw_state *mw_interps[MW_INTERPS];
static int count;
static pthread_mutex_t adding = PTHREAD_MUTEX_INITIALIZER, creating = PTHREAD_MUTEX_INITIALIZER;
extern char **environ;
static char *start_environ; /* "NAME=value\0"..., see restore_environ */
static size_t start_environ_len;

int mw_interp_count(void) { return __atomic_load_n(&count, __ATOMIC_ACQUIRE); }

/* The interpreter, or NULL while it is not there. Any thread, no GIL. */
static PyInterpreterState *made(const mw_state *st) { return __atomic_load_n(&st->interp, __ATOMIC_ACQUIRE); }

const mw_state *mw_state_current(void) {
    PyInterpreterState *interp = PyInterpreterState_Get();
    for (int i = 0; i < mw_interp_count(); i++)
        if (mw_interps[i]->interp == interp) return mw_interps[i];
    return NULL;
}

/* Make a name known; the number of its interpreter, or -1 when there are too many or no memory.
 * No GIL. The caller sees to it that a name comes once. */
int mw_interp_add(const mw_interp_conf *c) {
    mw_state *st = calloc(1, sizeof *st);
    char *name = strdup(c->name), *paths = malloc(c->paths_len + 1);
    int id = -1;
    if (st && name && paths) {
        memcpy(paths, c->paths ? c->paths : "", c->paths_len);
        st->conf = *c;
        st->conf.name = name;
        st->conf.paths = paths;
        pthread_mutex_lock(&adding);
        if (count < MW_INTERPS) {
            st->index = id = count;
            mw_interps[id] = st;
            __atomic_store_n(&count, id + 1, __ATOMIC_RELEASE);
        }
        pthread_mutex_unlock(&adding);
    }
    if (id < 0) { free(st); free(name); free(paths); }
    return id;
}

/* Remember the environment that the process begins with. Called once, before application code runs. */
int mw_interps_init(void) {
    size_t n = 0;
    for (char **e = environ; e && *e; e++) n += strlen(*e) + 1;
    if (!(start_environ = malloc(n + 1))) return -1;
    for (char **e = environ; e && *e; e++) {
        size_t k = strlen(*e) + 1;
        memcpy(start_environ + start_environ_len, *e, k);
        start_environ_len += k;
    }
    return 0;
}

/* x of Python 3.x; whether this build can run without a GIL; whether it does (the GIL is needed to
 * ask, after mw_init it is known). */
const char *mw_python_version(void) { return Py_GetVersion(); }
int mw_python_minor(void) { return (PY_VERSION_HEX >> 16) & 0xff; }
#ifdef Py_GIL_DISABLED
static int gil_off;
int mw_free_threaded(void) { return 1; }
int mw_gil_off(void) { return gil_off; }
static void look_for_gil(void) {
    PyObject *f = PySys_GetObject("_is_gil_enabled"), *x = f ? PyObject_CallNoArgs(f) : NULL;
    gil_off = x == Py_False;
    Py_XDECREF(x);
    PyErr_Clear();
}
#else
int mw_free_threaded(void) { return 0; }
int mw_gil_off(void) { return 0; }
static void look_for_gil(void) {}
#endif

/* ---- making one ---- */

/* Run Python source in a namespace of its own, which is returned; NULL with an exception. */
PyObject *mw_run_source(const char *source) {
    PyObject *ns = PyDict_New(), *x = NULL;
    if (ns && PyDict_SetItemString(ns, "__builtins__", PyEval_GetBuiltins()) == 0) x = PyRun_String(source, Py_file_input, ns, ns);
    if (!x) Py_CLEAR(ns);
    Py_XDECREF(x);
    return ns;
}

static int set_switch_interval(double seconds) {
    PyObject *f = PySys_GetObject("setswitchinterval");
    PyObject *x = f ? PyObject_CallFunction(f, "d", seconds) : NULL;
    Py_XDECREF(x);
    return x ? 0 : -1;
}

/* WSGIRestrictStdin, WSGIRestrictStdout: any use of the stream is an error. */
static int restrict_stream(const char *name) {
    static const char restricted[] =
        "class Restricted:\n"
        "    def __init__(self, name): object.__setattr__(self, '_name', name)\n"
        "    def __getattribute__(self, attribute):\n"
        "        raise OSError('sys.%s may not be used here (WSGIRestrict%s)' %\n"
        "                      (object.__getattribute__(self, '_name'), object.__getattribute__(self, '_name').capitalize()))\n";
    PyObject *ns = mw_run_source(restricted);
    PyObject *stream = ns ? PyObject_CallFunction(PyDict_GetItemString(ns, "Restricted"), "s", name) : NULL;
    int rc = stream ? PySys_SetObject(name, stream) : -1;
    Py_XDECREF(stream);
    Py_XDECREF(ns);
    return rc;
}

/* os.environ as the process began: what other application groups assigned has reached the
 * process's environment, which a new interpreter copies. A setdefault() of DJANGO_SETTINGS_MODULE
 * would find the neighbour's. */
static int restore_environ(void) {
    static const char source[] =
        "import os\n"
        "def restore(items):\n"
        "    data = getattr(os.environ, '_data', None)\n"
        "    if isinstance(data, dict):\n"
        "        data.clear()\n"
        "        data.update(items)\n";
    PyObject *items = PyDict_New(), *ns = mw_run_source(source), *x = NULL;
    for (const char *p = start_environ, *end = p + start_environ_len; items && p < end; p += strlen(p) + 1) {
        const char *eq = strchr(p, '=');
        PyObject *k = eq ? PyBytes_FromStringAndSize(p, eq - p) : NULL, *v = eq ? PyBytes_FromString(eq + 1) : NULL;
        if (eq && (!k || !v || PyDict_SetItem(items, k, v) < 0)) Py_CLEAR(items);
        Py_XDECREF(k);
        Py_XDECREF(v);
    }
    if (items && ns) x = PyObject_CallFunction(PyDict_GetItemString(ns, "restore"), "O", items);
    int rc = x ? 0 : -1;
    Py_XDECREF(x);
    Py_XDECREF(ns);
    Py_XDECREF(items);
    return rc;
}

/* Put the directories of a ':' list at the front of sys.path, .pth files honoured. */
static void add_path(const char *dirs) {
    PyObject *site = PyImport_ImportModule("site"), *path = Py_XNewRef(PySys_GetObject("path")); /* a .pth file may replace it */
    char *list = strdup(dirs), *save = NULL;
    Py_ssize_t at = 0;
    for (char *p = list ? strtok_r(list, ":", &save) : NULL; p && path; p = strtok_r(NULL, ":", &save)) {
        Py_ssize_t before = PyList_Size(path);
        PyObject *x = site ? PyObject_CallMethod(site, "addsitedir", "s", p) : NULL;
        if (!x) {
            mw_log_exception(NULL, "WSGI0091: while module path entry '%s' was added; remaining entries are skipped", p);
            break;
        }
        Py_DECREF(x);
        Py_ssize_t added = PyList_Size(path) - before;
        for (Py_ssize_t i = 0; i < added; i++) { /* what addsitedir appended moves to the front, in order */
            PyObject *o = Py_NewRef(PyList_GetItem(path, before + i));
            if (PySequence_DelItem(path, before + i) == 0) PyList_Insert(path, at++, o);
            Py_DECREF(o);
        }
    }
    free(list);
    Py_XDECREF(site);
    Py_XDECREF(path);
    PyErr_Clear();
}

/* python-path of the main interpreter. Takes the GIL. */
void mw_add_path(const char *dirs) {
    mw_visit v;
    if (mw_visit_begin(&v, mw_interps[0]) < 0) return;
    add_path(dirs);
    mw_visit_end(&v);
}

/* Everything that an interpreter has of ours. Its GIL is held. 0, or -1 with an exception. */
int mw_interp_prepare(mw_state *st) {
    const mw_interp_conf *c = &st->conf;
    if (!(st->env = mw_env_new(0)) || mw_module_init(st) < 0) return -1;
    if (st->index == 0) look_for_gil();
    if (c->switch_interval > 0 && !mw_gil_off() && set_switch_interval(c->switch_interval) < 0) return -1;
    if (c->restrict_stdin && restrict_stream("stdin") < 0) return -1;
    if (c->restrict_stdout && restrict_stream("stdout") < 0) return -1;
    if (c->restrict_signal && mw_restrict_signals() < 0) return -1;
    if (mw_collector_watch(st) < 0) return -1;
    if (st->index == 0) return 0; /* the rest is there, or done by mw_add_path */
    if (restore_environ() < 0 || mw_fork_refuse() < 0) return -1;
    const char *p = c->paths;
    for (int i = 0; i < c->npaths; i++, p += strlen(p) + 1) add_path(p);
    return 0;
}

/* A new interpreter with a thread state for the calling thread, which is current then; NULL with
 * the cause logged, no thread state current. The main GIL is held before. */
static PyThreadState *new_interpreter(const mw_state *st) {
    PyThreadState *before = PyThreadState_Get(), *ts = NULL;
    const char *why = "out of memory";
#if PY_VERSION_HEX >= 0x030c0000
    if (st->conf.own_gil) { /* CPython wants the check of extensions with an allocator of its own */
        PyInterpreterConfig conf = {.use_main_obmalloc = 0, .allow_fork = 0, .allow_exec = 1, .allow_threads = 1,
                                    .allow_daemon_threads = 1, .check_multi_interp_extensions = 1, .gil = PyInterpreterConfig_OWN_GIL};
        PyStatus s = Py_NewInterpreterFromConfig(&ts, &conf);
        if (PyStatus_Exception(s)) { ts = NULL; why = s.err_msg ? s.err_msg : why; }
    } else
#endif
        ts = Py_NewInterpreter();
    if (ts) return ts;
    mw_say(MW_CRIT, NULL, "0035", "cannot create sub-interpreter '%s': %s", st->conf.name, why);
    PyThreadState_Swap(before);
    PyEval_SaveThread();
    return NULL;
}

static double seconds(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* Make the interpreter, under `creating`, without GIL. 0, or -1 with the cause logged. The calling
 * thread has its thread state in it then; no GIL is held. */
static int create(mw_thread *t, mw_state *st) {
    double t0 = seconds();
    static int fork_known, fork_refused; /* under `creating` */
    PyEval_RestoreThread(t->local[0].ts);
    if (!fork_known) mw_fork_before();
    PyThreadState *ts = new_interpreter(st);
    if (!ts) return -1;
    if (!fork_known) fork_refused = mw_fork_after(PyThreadState_GetInterpreter(ts)) < 0;
    t->local[st->index].ts = ts;
    int rc = mw_interp_prepare(st);
    if (rc) mw_log_exception(NULL, "WSGI%s: while creating sub-interpreter '%s'", PyErr_ExceptionMatches(PyExc_SystemExit) ? "0189" : "0188", st->conf.name);
    PyInterpreterState *interp = PyThreadState_GetInterpreter(ts);
    PyEval_SaveThread();
    if (rc) return -1;
    mw_say(MW_INFO, NULL, NULL, "created sub-interpreter '%s'%s in %.0f ms", st->conf.name, st->conf.own_gil ? " with its own GIL" : "",
           (seconds() - t0) * 1e3);
    __atomic_store_n(&st->interp, interp, __ATOMIC_RELEASE);
    if (fork_refused && !fork_known) { /* the main interpreter must not either */
        PyEval_RestoreThread(t->local[0].ts);
        if (mw_fork_refuse() < 0) PyErr_Clear();
        PyEval_SaveThread();
    }
    fork_known = 1;
    return 0;
}

/* What a thread reuses in an interpreter. The GIL is held. 0, or -1 with an exception. */
static int fill_local(mw_thread *t, mw_state *st, mw_local *l) {
#ifdef Py_GIL_DISABLED
    if (!l->env && !(l->env = mw_env_new(t->number))) return -1;
#else
    l->env = st->env;
#endif
    if (!l->input) l->input = (mw_input *)mw_input_new(st);
    if (!l->response) l->response = (mw_response *)mw_response_new(st);
    if (!l->id) l->id = PyLong_FromLong(t->number);
    return l->input && l->response && l->id ? 0 : -1;
}

/* mw_enter on a thread that was never in this interpreter. */
int mw_enter_first(mw_thread *t, mw_state *st) {
    mw_local *l = &t->local[st->index];
    if (!made(st)) {
        pthread_mutex_lock(&creating);
        if (!made(st) && !st->failed) st->failed = create(t, st) < 0;
        pthread_mutex_unlock(&creating);
        if (!made(st)) {
            l->ts = NULL; /* what was made of it stays unused */
            return -1;
        }
    }
    PyThreadState *ts = l->ts ? l->ts : PyThreadState_New(made(st));
    if (!ts) {
        mw_say(MW_ERR, NULL, "0191", "no thread state for thread %d in sub-interpreter '%s': out of memory", t->number, st->conf.name);
        return -1;
    }
    l->ts = NULL; /* until it is complete */
    PyEval_RestoreThread(ts);
    if (fill_local(t, st, l) < 0) {
        mw_log_exception(NULL, "WSGI0188: while thread %d entered for the first time", t->number);
        PyThreadState_Clear(ts);
        PyThreadState_DeleteCurrent();
        return -1;
    }
    l->ts = ts;
    t->at = l;
    return 0;
}

/* ---- visits of Go's threads ---- */

/* Take the GIL of an interpreter that is there. Blocks for as long as somebody keeps it. */
int mw_visit_begin(mw_visit *v, mw_state *st) {
    *v = (mw_visit){0};
    if (st->index == 0) { /* on Python's main thread this finds its thread state */
        v->gil = PyGILState_Ensure();
        return 0;
    }
    PyInterpreterState *interp = made(st);
    if (!interp || !(v->ts = PyThreadState_New(interp))) return -1;
    PyEval_RestoreThread(v->ts);
    return 0;
}

void mw_visit_end(mw_visit *v) {
    if (!v->ts) {
        PyGILState_Release(v->gil);
        return;
    }
    PyThreadState_Clear(v->ts);
    PyThreadState_DeleteCurrent();
}

/* Take each GIL that threads of ours run under and give it back: returns when that has worked. */
void mw_probe(void) {
    mw_visit v;
    for (int i = 0; i < mw_interp_count(); i++) {
        mw_state *st = mw_interps[i];
        if ((i == 0 || st->conf.own_gil) && mw_visit_begin(&v, st) == 0) mw_visit_end(&v);
    }
}

/* ---- the end ---- */

/* Not threading._shutdown(): outside of what threading believes to be the main thread (the one
 * that imported it first) it waits for that thread's end, which never comes here. */
static const char join_threads[] =
    "import sys\n"
    "t = sys.modules.get('threading')\n"
    "if t:\n"
    "    for f in reversed(list(getattr(t, '_threading_atexits', ()))): f()\n"
    "    for x in t.enumerate():\n"
    "        if x is not t.main_thread() and not x.daemon: x.join()\n";

/* Files that the application left open or forgot in cycles, as the end of an interpreter would. */
static const char flush_files[] =
    "import gc, io\n"
    "gc.collect()\n"
    "for o in gc.get_objects():\n"
    "    if isinstance(o, (io.TextIOWrapper, io.BufferedWriter, io.BufferedRandom)):\n"
    "        try:\n"
    "            if not o.closed: o.flush()\n"
    "        except Exception: pass\n";

static void finish(mw_state *st) {
    mw_visit v;
    if (mw_visit_begin(&v, st) < 0) return;
    PyObject *ns = mw_run_source(join_threads);
    if (!ns) mw_log_exception(NULL, "WSGI0305: while threads were joined at the end");
    Py_XDECREF(ns);
    PyObject *ae = PyImport_ImportModule("atexit");
    PyObject *x = ae ? PyObject_CallMethod(ae, "_run_exitfuncs", NULL) : NULL;
    if (!x) mw_log_exception(NULL, "WSGI%s: from atexit", PyErr_ExceptionMatches(PyExc_SystemExit) ? "0097" : "0098");
    Py_XDECREF(x);
    Py_XDECREF(ae);
    ns = mw_run_source(flush_files);
    if (!ns) PyErr_Clear();
    Py_XDECREF(ns);
    mw_visit_end(&v);
}

/* Threads joined, atexit functions called, cycles collected, files flushed: in the sub-interpreters in the order in
 * which they became known, then in the main one (process_stopping came before: mw_stopping). No GIL. */
void mw_shutdown(void) {
    int n = mw_interp_count();
    for (int i = 1; i < n; i++) finish(mw_interps[i]);
    finish(mw_interps[0]);
}
