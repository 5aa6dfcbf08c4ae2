/*
 * explain.c: why a script is not served. One record says what happened, then
 * comes the traceback if there is one, then what probably is the cause and how
 * it is cured, which modwsgi_go/_explain.py finds out.
 *
 * All functions want the GIL and leave no exception.
 */
#include "internal.h"
#include <string.h>

/* The lines that function(*args) of modwsgi_go._explain returns, as WSGI0303. Steals args. */
static void explain(const mw_req *r, const char *function, PyObject *args) {
    PyObject *mod = args ? PyImport_ImportModule("modwsgi_go._explain") : NULL;
    PyObject *f = mod ? PyObject_GetAttrString(mod, function) : NULL;
    PyObject *lines = f ? PyObject_CallObject(f, args) : NULL;
    for (Py_ssize_t i = 0; lines && PyList_Check(lines) && i < PyList_GET_SIZE(lines); i++) {
        const char *line = PyUnicode_AsUTF8(PyList_GET_ITEM(lines, i));
        if (line) mw_say(MW_ERR, r, "0303", "%s", line);
        else PyErr_Clear();
    }
    PyErr_Clear(); /* an explanation that cannot be had is no error of the application */
    Py_XDECREF(lines); Py_XDECREF(f); Py_XDECREF(mod); Py_XDECREF(args);
}

/* Reading, compiling or executing a script failed; r is NULL at the start of the process. */
void mw_load_failed(const mw_req *r, const char *path) {
    PyObject *t, *v, *tb;
    PyErr_Fetch(&t, &v, &tb);
    PyErr_NormalizeException(&t, &v, &tb);
    if (!t) return;
    if (PyErr_GivenExceptionMatches(t, PyExc_SystemExit)) {
        mw_say(MW_ERR, r, r ? "0107" : "0108", "SystemExit while loading '%s' into %s", path, mw_where());
    } else if (!tb) { /* no code of the script has run */
        mw_say(MW_ERR, r, r ? "0105" : "0106", "cannot read or compile '%s' for %s", path, mw_where());
    } else {
        mw_say(MW_ERR, r, r ? "0109" : "0110", "cannot execute script '%s' in %s", path, mw_where());
    }
    PyErr_Restore(Py_NewRef(t), Py_XNewRef(v), Py_XNewRef(tb));
    mw_log_exception(r, "while loading '%s'", path);
    explain(r, "load_failed", Py_BuildValue("(OOO&)", t, v ? v : Py_None, PyUnicode_DecodeFSDefault, path));
    Py_XDECREF(t); Py_XDECREF(v); Py_XDECREF(tb);
}

/* The script has been executed, but nothing in it has the name. */
void mw_no_callable(const mw_req *r, PyObject *module, const char *path, PyObject *name) {
    PyErr_Clear();
    const char *s = PyUnicode_AsUTF8(name);
    mw_say(MW_ERR, r, "0089", "'%s' has no callable '%s'", path, s ? s : "?");
    explain(r, "no_callable", Py_BuildValue("(OO)", module, name));
}

/* What has the name cannot be called. */
void mw_not_callable(const mw_req *r, PyObject *object, const char *path, PyObject *name) {
    const char *s = PyUnicode_AsUTF8(name);
    mw_say(MW_ERR, r, "0304", "'%s' in '%s' is not callable: it is of type %.200s", s ? s : "?", path, Py_TYPE(object)->tp_name);
    explain(r, "not_callable", Py_BuildValue("(OO)", object, name));
}

/* The Python stack of the calling thread, innermost frame first. */
void mw_log_stack(int level, const mw_req *r) {
    if (!mw_log_enabled(level, r)) return;
    PyObject *mod = PyImport_ImportModule("traceback");
    PyObject *list = mod ? PyObject_CallMethod(mod, "extract_stack", NULL) : NULL;
    for (Py_ssize_t i = list ? PySequence_Size(list) : 0; i > 0; i--) {
        PyObject *f = PySequence_GetItem(list, i - 1), *text = NULL;
        PyObject *file = f ? PyObject_GetAttrString(f, "filename") : NULL, *line = f ? PyObject_GetAttrString(f, "lineno") : NULL;
        PyObject *name = f ? PyObject_GetAttrString(f, "name") : NULL;
        if (file && line && name) text = PyUnicode_FromFormat("  called from File \"%U\", line %S, in %U", file, line, name);
        const char *p = text ? PyUnicode_AsUTF8(text) : NULL;
        if (p) mw_log(level, r, p, strlen(p));
        PyErr_Clear();
        Py_XDECREF(text); Py_XDECREF(name); Py_XDECREF(line); Py_XDECREF(file); Py_XDECREF(f);
    }
    PyErr_Clear();
    Py_XDECREF(list); Py_XDECREF(mod);
}
