/*
 * reload.c: reload_required(path), the function with which a script may ask to
 * be loaded again although its file is the same.
 */
#include "internal.h"

static PyThread_type_lock asking; /* one call at a time, as in mod_wsgi */

/* Ask the script of a request that is about to run. 1 reload, 0 not (or not loaded yet), MW_NO_HOOK it
 * has no such function, MW_SELDOM as 0, and it need not be asked before each request. A Python thread, without GIL. */
int mw_reload_required(mw_req *r) {
    mw_thread *t = mw_self;
    mw_route *rt = mw_route_get(r->route);
    int answer = 0;
    PyEval_RestoreThread(t->ts);
    PyObject *mod = mw_loaded_module(rt), *f = mod ? PyObject_GetAttrString(mod, "reload_required") : NULL, *x = NULL;
    if (mod && !f) {
        answer = MW_NO_HOOK;
    } else if (f) {
        t->req = r;
        if (!asking) asking = PyThread_allocate_lock(); /* under the GIL */
        if (asking) {
            PyThreadState *ts = PyEval_SaveThread();
            PyThread_acquire_lock(asking, WAIT_LOCK);
            PyEval_RestoreThread(ts);
        }
        x = PyObject_CallFunctionObjArgs(f, rt->script, NULL);
        if (asking) PyThread_release_lock(asking);
        answer = x ? PyObject_IsTrue(x) : 0;
        if (!x || answer < 0) {
            mw_log_exception(r, "while running '%s', function 'reload_required'", rt->script_c);
            answer = 0;
        }
        if (!answer && PyObject_HasAttrString(f, "_modwsgi_seldom")) answer = MW_SELDOM;
        mw_log_tails(t);
        t->req = NULL;
    }
    PyErr_Clear();
    Py_XDECREF(x); Py_XDECREF(f); Py_XDECREF(mod);
    PyEval_SaveThread();
    return answer;
}
