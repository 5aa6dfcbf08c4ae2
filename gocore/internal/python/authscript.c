/*
 * authscript.c: functions of Python scripts that take part in access control:
 * check_password and get_realm_hash (WSGIAuthUserScript), groups_for_user
 * (WSGIAuthGroupScript), allow_access (WSGIAccessScript); and those that choose
 * where a request runs: process_group, application_group and callable_object
 * (WSGIDispatchScript).
 *
 * mw_script_call runs one of them on a Python thread, before the application
 * and without its objects. The environ is a dict of its own: what Go passes,
 * decoded as latin-1, plus wsgi.errors and the mod_ssl functions. No exception
 * leaves: it is logged and the answer is MW_SCRIPT_FAILED, which never lets
 * anybody in.
 */
#include "internal.h"
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static PyObject *is_https(PyObject *self, PyObject *args) { return Py_NewRef(self); }
static PyObject *var_lookup(PyObject *self, PyObject *name) { return mw_secure_var((uint32_t)PyLong_AsUnsignedLong(self), name); }
static PyMethodDef is_https_def = {"is_https", is_https, METH_VARARGS, "is_https() -> bool: does the client use TLS?"};
static PyMethodDef var_lookup_def = {"var_lookup", var_lookup, METH_O, "var_lookup(name) -> str or None: a variable of the TLS connection."};

static int put(PyObject *d, const char *k, PyObject *v) { /* steals v */
    int rc = v ? PyDict_SetItemString(d, k, v) : -1;
    Py_XDECREF(v);
    return rc;
}

/* Take the name and value at *p ("name\0value\0"); -1 with an exception. */
static int put_next(PyObject *env, const char **p) {
    size_t kn = strlen(*p), vn = strlen(*p + kn + 1);
    const char *v = *p + kn + 1;
    PyObject *k = PyUnicode_DecodeLatin1(*p, (Py_ssize_t)kn, NULL), *x = NULL;
    if (strcmp(*p, "DOCUMENT_ROOT") == 0 && !(x = PyUnicode_DecodeFSDefaultAndSize(v, (Py_ssize_t)vn))) PyErr_Clear();
    if (!x) x = PyUnicode_DecodeLatin1(v, (Py_ssize_t)vn, NULL);
    int rc = k && x ? PyDict_SetItem(env, k, x) : -1;
    Py_XDECREF(k);
    Py_XDECREF(x);
    *p = v + vn + 1;
    return rc;
}

static PyObject *script_environ(const mw_script *s, uint32_t wire, PyObject *errors) {
    PyObject *env = PyDict_New(), *id = PyLong_FromUnsignedLong(wire);
    if (!env || !id) {
        Py_XDECREF(env);
        Py_XDECREF(id);
        return NULL;
    }
    int rc = 0;
    for (const char *p = s->environ, *end = p + s->environ_len; p < end && !rc;) rc = put_next(env, &p);
    PyObject *https = s->https ? Py_True : Py_False;
    if (rc || PyDict_SetItemString(env, "wsgi.errors", errors) < 0 ||
        put(env, "apache.version", Py_BuildValue("(iii)", 2, 4, 63)) < 0 ||
        put(env, "mod_wsgi.version", Py_BuildValue("(iii)", 6, 0, 5)) < 0 ||
        put(env, "mod_wsgi.process_group", PyUnicode_FromString("")) < 0 ||
        put(env, "mod_wsgi.application_group", PyUnicode_DecodeLatin1(s->application_group, (Py_ssize_t)strlen(s->application_group), NULL)) < 0 ||
        put(env, "mod_ssl.is_https", PyCFunction_New(&is_https_def, https)) < 0 ||
        put(env, "mod_ssl.var_lookup", PyCFunction_New(&var_lookup_def, id)) < 0)
        Py_CLEAR(env);
    Py_DECREF(id);
    return env;
}

/* function(environ, args...) of the script; NULL with an exception. */
static PyObject *call(const mw_script *s, PyObject *mod, PyObject *env) {
    PyObject *f = PyObject_GetAttrString(mod, s->function), *args, *res = NULL;
    if (!f) return NULL;
    if ((args = PyTuple_New(1 + s->nargs))) {
        PyTuple_SET_ITEM(args, 0, Py_NewRef(env));
        const char *p = s->args;
        for (int i = 0; i < s->nargs; i++) {
            size_t n = strlen(p);
            PyObject *x = PyUnicode_DecodeLatin1(p, (Py_ssize_t)n, NULL);
            if (!x) { Py_CLEAR(args); break; }
            PyTuple_SET_ITEM(args, 1 + i, x);
            p += n + 1;
        }
    }
    if (args) res = PyObject_CallObject(f, args);
    Py_XDECREF(args);
    Py_DECREF(f);
    return res;
}

/* Append n bytes and a NUL to the answer's text. 0, or -1 with an exception. */
static int add_text(mw_script_result *out, const char *p, Py_ssize_t n) {
    if (memchr(p, 0, (size_t)n)) {
        PyErr_SetString(PyExc_ValueError, "embedded null character");
        return -1;
    }
    char *q = realloc(out->text, out->len + (size_t)n + 1);
    if (!q) { PyErr_NoMemory(); return -1; }
    out->text = q;
    memcpy(q + out->len, p, (size_t)n);
    q[out->len + (size_t)n] = 0;
    out->len += (size_t)n + 1;
    return 0;
}

/* Add a str (latin-1, or UTF-8) or bytes. 0, or -1 with an exception. */
static int add_string(mw_script_result *out, PyObject *x, int utf8, int bytes) {
    if (bytes && PyBytes_Check(x)) return add_text(out, PyBytes_AS_STRING(x), PyBytes_GET_SIZE(x));
    if (!PyUnicode_Check(x)) {
        PyErr_Format(PyExc_TypeError, "expected a string%s, got %.200s", bytes ? " or bytes" : "", Py_TYPE(x)->tp_name);
        return -1;
    }
    PyObject *b = utf8 ? PyUnicode_AsUTF8String(x) : PyUnicode_AsLatin1String(x);
    if (!b) return -1;
    int rc = add_text(out, PyBytes_AS_STRING(b), PyBytes_GET_SIZE(b));
    Py_DECREF(b);
    return rc;
}

static int add_strings(mw_script_result *out, PyObject *res) {
    PyObject *it = PyObject_GetIter(res), *x;
    if (!it) return -1;
    while ((x = PyIter_Next(it))) {
        int rc = add_string(out, x, 0, 1);
        Py_DECREF(x);
        if (rc < 0) break;
    }
    Py_DECREF(it);
    return PyErr_Occurred() ? -1 : 0;
}

/* Judge what the function returned; MW_SCRIPT_FAILED leaves an exception. */
static int answer(const mw_script *s, PyObject *res, mw_script_result *out) {
    if (s->kind == MW_SCRIPT_GROUPS) return add_strings(out, res) < 0 ? MW_SCRIPT_FAILED : MW_SCRIPT_STRINGS;
    if (res == Py_None) return MW_SCRIPT_NONE;
    if (s->kind == MW_SCRIPT_DISPATCH) return add_string(out, res, 0, 1) < 0 ? MW_SCRIPT_FAILED : MW_SCRIPT_TEXT;
    if (s->kind != MW_SCRIPT_HASH) { /* by identity: 1 is not True */
        if (res == Py_True) return MW_SCRIPT_TRUE;
        if (res == Py_False) return MW_SCRIPT_FALSE;
    }
    if (s->kind == MW_SCRIPT_ACCESS) {
        PyErr_Format(PyExc_TypeError, "indicator of host accessibility must be a boolean value or None, got %.200s", Py_TYPE(res)->tp_name);
        return MW_SCRIPT_FAILED;
    }
    if (add_string(out, res, s->kind == MW_SCRIPT_PASSWORD, s->kind == MW_SCRIPT_HASH) < 0) return MW_SCRIPT_FAILED;
    if (out->len <= 1) {
        PyErr_SetString(PyExc_ValueError, "an empty string is neither a user's name nor a hash");
        return MW_SCRIPT_FAILED;
    }
    return MW_SCRIPT_TEXT;
}

/* mod_wsgi's numbers by kind: no interpreter; no such function; a result of the wrong kind. */
static const char *const interp_id[] = {"0042", "0045", "0048", "0054", "0086"};
static const char *const missing_id[] = {"0043", "0046", "0052", "0056"};
static const char *const result_id[] = {"0177", "0179", "0050", "0055", "0306"};

/* Any Python thread, without GIL. out->text is for the caller to free. */
void mw_script_call(const mw_script *s, mw_req *r, mw_script_result *out) {
    mw_thread *t = mw_self;
    *out = (mw_script_result){.answer = MW_SCRIPT_FAILED};
    mw_state *st = t->st = mw_interps[s->interp];
    if (mw_enter(t, st) < 0) {
        mw_logf(MW_ERR, r, "[script %s] WSGI%s: cannot enter sub-interpreter '%s'", s->script, interp_id[s->kind], st->conf.name);
        return;
    }
    __atomic_store_n(&r->phase, MW_IN_APP, __ATOMIC_RELEASE);
    t->req = r;
    PyObject *mod = mw_script_module(s->script), *errors = NULL, *env = NULL, *res = NULL;
    if (!mod) {
        mw_load_failed(r, s->script);
    } else if (s->kind == MW_SCRIPT_DISPATCH && !PyObject_HasAttrString(mod, s->function)) {
        out->answer = MW_SCRIPT_MISSING;
    } else if (!PyObject_HasAttrString(mod, s->function)) {
        mw_logf(MW_ERR, r, "[script %s] WSGI%s: the script does not contain the function '%s'.", s->script, missing_id[s->kind], s->function);
    } else {
        if ((errors = mw_log_stream(st, "<wsgi.errors>")) && (env = script_environ(s, r ? r->wire : 0, errors))) res = call(s, mod, env);
        if (res) out->answer = answer(s, res, out);
        if (res && out->answer == MW_SCRIPT_FAILED) mw_log_exception(r, "WSGI%s: what '%s' of '%s' returned cannot be used", result_id[s->kind], s->function, s->script);
        else if (!res) mw_log_exception(r, "while running '%s', function '%s'", s->script, s->function);
        PyObject *x = errors ? PyObject_CallMethod(errors, "close", NULL) : NULL;
        if (errors && !x) PyErr_Clear();
        Py_XDECREF(x);
    }
    Py_XDECREF(res);
    Py_XDECREF(env);
    Py_XDECREF(errors);
    Py_XDECREF(mod);
    Py_CLEAR(t->request_data);
    mw_log_tails(t);
    mw_request_over(t);
    PyEval_SaveThread();
}
