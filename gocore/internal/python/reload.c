/*
 * reload.c: reload_required(path), the function with which a script may ask to
 * be loaded again although its file is the same.
 */
#include "internal.h"
#include <pthread.h>

static pthread_mutex_t asking = PTHREAD_MUTEX_INITIALIZER; /* one call at a time, as in mod_wsgi; never waited for with a GIL */

/* Ask the script of a request that is about to run. 1 reload, 0 not (or not loaded yet), MW_NO_HOOK it
 * has no such function, MW_SELDOM as 0, and it need not be asked before each request. A Python thread, without GIL. */
int mw_reload_required(mw_req *r) {
    mw_thread *t = mw_self;
    mw_route *rt = mw_route_get(r->route);
    int answer = 0;
    t->st = rt->st;
    if (mw_enter(t, rt->st) < 0) return 0; /* the request itself will say so */
    PyObject *mod = mw_loaded_module(rt), *f = mod ? PyObject_GetAttrString(mod, "reload_required") : NULL, *x = NULL;
    if (mod && !f) {
        answer = MW_NO_HOOK;
    } else if (f) {
        t->req = r;
        PyThreadState *ts = PyEval_SaveThread();
        pthread_mutex_lock(&asking);
        PyEval_RestoreThread(ts);
        x = PyObject_CallFunctionObjArgs(f, rt->script, NULL);
        pthread_mutex_unlock(&asking);
        answer = x ? PyObject_IsTrue(x) : 0;
        if (!x || answer < 0) {
            mw_log_exception(r, "while running '%s', function 'reload_required'", rt->script_c);
            answer = 0;
        }
        if (!answer && PyObject_HasAttrString(f, "_modwsgi_seldom")) answer = MW_SELDOM;
        mw_log_tails(t);
        mw_request_over(t);
    }
    PyErr_Clear();
    Py_XDECREF(x); Py_XDECREF(f); Py_XDECREF(mod);
    PyEval_SaveThread();
    return answer;
}
