/*
 * service.c: scripts of a process without request threads (threads=0). They run
 * on the process's first thread, Python's main thread, as a program would: for
 * as long as they like, with signal.signal() to their disposal.
 */
#include "internal.h"

/* SIGTERM ends a script as sys.exit() does, unless it installs a handler of its own. SIGUSR1, which lets other
 * processes be replaced, means the same here. */
static const char bind_signals[] =
    "import signal, sys\n"
    "def leave(number, frame):\n"
    "    sys.exit(0)\n"
    "for number in (signal.SIGTERM, signal.SIGUSR1):\n"
    "    signal.signal(number, leave)\n"
    "for number in (signal.SIGHUP, signal.SIGUSR2):\n"
    "    signal.signal(number, signal.SIG_IGN)\n";

/* Before the first script. 0, or -1 with the cause logged. Main thread, without GIL. */
int mw_service_start(void) {
    PyGILState_STATE g = PyGILState_Ensure();
    PyObject *ns = PyDict_New(), *x = NULL;
    if (ns && PyDict_SetItemString(ns, "__builtins__", PyEval_GetBuiltins()) == 0)
        x = PyRun_String(bind_signals, Py_file_input, ns, ns);
    int rc = x ? 0 : -1;
    if (!x) mw_log_exception(NULL, "Exception occurred when preparing the signals of a service script.");
    Py_XDECREF(x);
    Py_XDECREF(ns);
    PyGILState_Release(g);
    return rc;
}

/* Execute a script to its end. 0: it ended; 1: by SystemExit; -1: by another exception, which is logged. Main thread,
 * without GIL. */
int mw_service_run(const char *path) {
    PyGILState_STATE g = PyGILState_Ensure();
    PyObject *mod = mw_script_module(path);
    int rc = 0;
    if (!mod && PyErr_ExceptionMatches(PyExc_SystemExit)) {
        PyErr_Clear();
        rc = 1;
    } else if (!mod) {
        mw_log_exception(NULL, "Exception occurred processing service script '%s'.", path);
        rc = -1;
    }
    Py_XDECREF(mod);
    PyGILState_Release(g);
    return rc;
}
