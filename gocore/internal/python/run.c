/*
 * run.c: one WSGI request from environ to the last block, and the threads
 * that run them.
 *
 * mw_run is the only entry of the hot path. It is called without the GIL on a
 * thread that called mw_thread_start, takes the GIL, runs the application to
 * completion and gives the GIL back. No exception leaves it: each is logged
 * and becomes r->result and r->status.
 */
#include "internal.h"
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

__thread mw_thread *mw_self;
static PyThread_type_lock load_lock; /* serialises check and load of scripts */

int mw_run_init(void) { return (load_lock = PyThread_allocate_lock()) ? 0 : -1; }

/* Make the calling OS thread a Python thread for life. Without GIL; 0 or -1. */
int mw_thread_start(int id) {
    mw_thread *t = calloc(1, sizeof *t);
    if (!t) return -1;
    t->number = id;
    t->st = mw_interps[0];
    if (mw_enter(t, t->st) < 0) return -1;
    mw_self = t;
    mw_watch_thread(id, t);
    PyEval_SaveThread();
    return 0;
}

/* The end of a Python thread: what it keeps for the application (threading.local) goes, in each
 * interpreter that it was in. Without GIL; the thread runs no Python after it. */
void mw_thread_end(void) {
    mw_thread *t = mw_self;
    if (!t) return;
    for (int i = mw_interp_count(); --i >= 0;) {
        mw_local *l = &t->local[i];
        PyThreadState *ts = l->ts;
        if (!ts) continue;
        t->at = l;
        PyEval_RestoreThread(ts);
        PyThreadState_Clear(ts);
        l->ts = NULL; /* under the GIL: reports of other threads look at it */
        PyEval_SaveThread(); /* not deleted: some versions cannot make another first thread state of an interpreter */
    }
    mw_self = NULL;
}

/* ---- scripts ---- */

static PyObject *module_name(const char *path) { /* "_mod_wsgi_" + md5 of the absolute path; new reference */
    PyObject *md5 = PyImport_ImportModule("_md5"), *h = NULL, *hex = NULL, *name = NULL;
    if (!md5) { PyErr_Clear(); md5 = PyImport_ImportModule("hashlib"); }
    char *lower = mw_cfg.ignore_case ? strdup(path) : NULL; /* WSGICaseSensitivity Off: ASCII letters, as mod_wsgi */
    for (char *p = lower; p && *p; p++) if (*p >= 'A' && *p <= 'Z') *p |= 32;
    if (md5) h = PyObject_CallMethod(md5, "md5", "y", lower ? lower : path);
    free(lower);
    if (h) hex = PyObject_CallMethod(h, "hexdigest", NULL);
    if (hex) name = PyUnicode_FromFormat("_mod_wsgi_%U", hex);
    Py_XDECREF(md5); Py_XDECREF(h); Py_XDECREF(hex);
    return name;
}

static PyObject *read_file(const char *path) {
    FILE *f = fopen(path, "rb");
    if (!f) return PyErr_SetFromErrnoWithFilename(PyExc_OSError, path);
    PyObject *b = NULL;
    struct stat sb;
    if (fstat(fileno(f), &sb) == 0 && S_ISREG(sb.st_mode)) {
        b = PyBytes_FromStringAndSize(NULL, sb.st_size);
        if (b) {
            size_t n = fread(PyBytes_AS_STRING(b), 1, (size_t)sb.st_size, f);
            if (ferror(f)) {
                Py_CLEAR(b);
                PyErr_SetFromErrnoWithFilename(PyExc_OSError, path);
            } else if (memchr(PyBytes_AS_STRING(b), 0, n)) { /* the compiler would stop there */
                Py_CLEAR(b);
                PyErr_Format(PyExc_SyntaxError, "source code string cannot contain null bytes (%s)", path);
            } else {
                _PyBytes_Resize(&b, (Py_ssize_t)n);
            }
        }
    } else {
        PyErr_Format(PyExc_OSError, "'%s' is not a regular file", path);
    }
    fclose(f);
    return b;
}

static int64_t stat_ns(const char *path, int64_t *size) {
    struct stat sb;
    if (stat(path, &sb) < 0) return 0;
    *size = (int64_t)sb.st_size;
#ifdef __APPLE__
    return (int64_t)sb.st_mtimespec.tv_sec * 1000000000 + sb.st_mtimespec.tv_nsec;
#else
    return (int64_t)sb.st_mtim.tv_sec * 1000000000 + sb.st_mtim.tv_nsec;
#endif
}

/* Execute a script as a module; new reference to the module or NULL with an exception. */
static PyObject *load_script(const char *path, int64_t *mtime, int64_t *size) {
    PyObject *name = module_name(path), *mod = NULL, *src = NULL, *code = NULL, *res = NULL;
    PyObject *modules = PyImport_GetModuleDict(), *file = NULL, *mt = NULL;
    *mtime = stat_ns(path, size);
    mw_say(MW_INFO, mw_self ? mw_self->req : NULL, NULL, "loading script '%s' into %s", path, mw_where());
    if (!name || !(src = read_file(path)) || !(file = PyUnicode_DecodeFSDefault(path))) goto fail;
    code = Py_CompileStringObject(PyBytes_AS_STRING(src), file, Py_file_input, NULL, -1);
    if (!code || !(mod = PyModule_NewObject(name))) goto fail;
    PyObject *d = PyModule_GetDict(mod);
    mt = PyLong_FromLongLong(*mtime / 1000);
    PyObject *bi = PyEval_GetBuiltins();
    if (!mt || PyDict_SetItemString(d, "__file__", file) < 0 || PyDict_SetItemString(d, "__builtins__", bi) < 0 ||
        PyDict_SetItem(modules, name, mod) < 0)
        goto fail;
    res = PyEval_EvalCode(code, d, d);
    if (!res) {
        PyObject *t, *v, *tb;
        PyErr_Fetch(&t, &v, &tb);
        if (PyDict_DelItem(modules, name) < 0) PyErr_Clear();
        PyErr_Restore(t, v, tb);
        Py_CLEAR(mod);
        goto fail;
    }
    if (PyDict_SetItemString(d, "__mtime__", mt) < 0) Py_CLEAR(mod);
    else mw_loaded_note(mw_state_current()->index, path, *mtime, *size);
fail:
    if (!res) Py_CLEAR(mod);
    Py_XDECREF(name); Py_XDECREF(src); Py_XDECREF(code); Py_XDECREF(file); Py_XDECREF(mt); Py_XDECREF(res);
    return mod;
}

static int is_timeout(mw_state *st) { return st->request_timeout && PyErr_ExceptionMatches(st->request_timeout); }

/* Set rt->app. 0, or -1 with the cause logged. GIL held; may release it while waiting. */
static int route_load(mw_route *rt, const mw_req *r, mw_local *l) {
    Py_BEGIN_ALLOW_THREADS
    PyThread_acquire_lock(load_lock, 1);
    Py_END_ALLOW_THREADS
    int rc = -1;
    if (rt->app) { rc = 0; goto out; }
    if (mw_route_prepare(rt, l) < 0) {
        mw_log_exception(r, "while the environ for '%s' was prepared", rt->script_c);
        goto out;
    }
    PyObject *mod = NULL, *name = module_name(rt->script_c);
    PyObject *have = name ? PyImport_GetModule(name) : NULL; /* another route has loaded the same script */
    Py_XDECREF(name);
    if (have && PyObject_HasAttrString(have, "__mtime__")) {
        mod = have;
        if (!mw_loaded_as_of(rt->st->index, rt->script_c, &rt->mtime_ns, &rt->size)) rt->mtime_ns = stat_ns(rt->script_c, &rt->size);
    } else {
        Py_XDECREF(have);
        PyErr_Clear();
        mod = load_script(rt->script_c, &rt->mtime_ns, &rt->size);
    }
    if (!mod) {
        if (r && is_timeout(rt->st)) ((mw_req *)r)->status = 504;
        mw_load_failed(r, rt->script_c);
        goto out;
    }
    PyObject *app = PyObject_GetAttr(mod, rt->callable);
    if (!app) {
        PyErr_Clear();
        mw_no_callable(r, mod, rt->script_c, rt->callable);
        PyObject *n = PyModule_GetNameObject(mod); /* the next request tries again */
        if (!n || PyDict_DelItem(PyImport_GetModuleDict(), n) < 0) PyErr_Clear();
        Py_XDECREF(n);
    } else if (!PyCallable_Check(app)) {
        mw_not_callable(r, app, rt->script_c, rt->callable);
        Py_DECREF(app);
    } else {
        __atomic_store_n(&rt->app, app, __ATOMIC_RELEASE); /* kept for the life of the process */
        __atomic_store_n(&mw_script_loaded, 1, __ATOMIC_RELEASE); /* ends startup-timeout */
        rc = 0;
    }
    Py_DECREF(mod);
out:
    PyThread_release_lock(load_lock);
    return rc;
}

PyObject *mw_loaded_module(mw_route *rt) {
    PyObject *name = rt->app ? module_name(rt->script_c) : NULL, *mod = name ? PyImport_GetModule(name) : NULL;
    PyErr_Clear();
    Py_XDECREF(name);
    return mod;
}

/* Has the script changed since it was loaded, by this route or another? Without GIL: one stat. */
int mw_stale(uint32_t i) {
    mw_route *rt = mw_route_get(i);
    int64_t size = 0, then = 0, t;
    if (!rt) return 0;
    if (rt->app) { then = rt->mtime_ns; size = rt->size; }
    else if (!mw_loaded_as_of(rt->st->index, rt->script_c, &then, &size)) return 0;
    int64_t n = size;
    t = stat_ns(rt->script_c, &n);
    return t != 0 && (t != then || n != size);
}

PyObject *mw_script_module(const char *path) {
    Py_BEGIN_ALLOW_THREADS
    PyThread_acquire_lock(load_lock, 1);
    Py_END_ALLOW_THREADS
    int64_t size = 0, now = stat_ns(path, &size);
    PyObject *name = module_name(path), *mod = name ? PyImport_GetModule(name) : NULL;
    if (mod) {
        PyObject *mt = PyObject_GetAttrString(mod, "__mtime__");
        int64_t loaded = mt && PyLong_Check(mt) ? PyLong_AsLongLong(mt) : 0;
        PyErr_Clear();
        Py_XDECREF(mt);
        if (!loaded || loaded != now / 1000) {
            Py_CLEAR(mod);
            if (PyDict_DelItem(PyImport_GetModuleDict(), name) < 0) PyErr_Clear();
        }
    }
    if (!mod && name && !PyErr_Occurred()) mod = load_script(path, &now, &size);
    Py_XDECREF(name);
    PyThread_release_lock(load_lock);
    return mod;
}

/* WSGIImportScript: execute for its effects. Any Python thread, without GIL. */
int mw_import(const char *path, int interp) {
    mw_state *st = mw_self->st = mw_interps[interp];
    if (mw_enter(mw_self, st) < 0) {
        mw_say(MW_CRIT, NULL, "0040", "import of '%s' skipped: cannot enter sub-interpreter '%s'", path, st->conf.name);
        return -1;
    }
    int64_t m, s = 0;
    PyObject *mod = load_script(path, &m, &s);
    int rc = mod ? 0 : -1;
    if (mod) __atomic_store_n(&mw_script_loaded, 1, __ATOMIC_RELEASE);
    else mw_load_failed(NULL, path);
    Py_XDECREF(mod);
    PyEval_SaveThread();
    return rc;
}

/* ---- one request ---- */

/* The application raised, or gave something that is no response. */
static void app_failed(mw_state *st, mw_response *s, mw_req *r, mw_route *rt) {
    r->keep_alive = s->committed ? 0 : r->keep_alive;
    r->result = s->committed ? MW_CUT : MW_ERROR;
    if (is_timeout(st)) {
        if (mw_gil_off()) { /* the timer could not look at the stack of a running thread; here it is our own */
            PyObject *t, *v, *tb;
            PyErr_Fetch(&t, &v, &tb);
            mw_log_traceback(MW_WARN, r, "the request was interrupted in", tb);
            Py_XDECREF(t); Py_XDECREF(v); Py_XDECREF(tb);
        }
        PyErr_Clear();
        mw_say(MW_INFO, r, NULL, "timeout raised inside request, %s", s->committed ? "response was already under way and is cut short" : "worker free again");
        if (!s->committed) r->status = 504;
        return;
    }
    if (!s->committed) r->status = 500;
    PyObject *t, *v, *tb;
    PyErr_Fetch(&t, &v, &tb);
    if (PyList_GET_SIZE(st->event_callbacks)) {
        PyErr_NormalizeException(&t, &v, &tb);
        mw_live_exception(st, t, v, tb);
    }
    PyErr_Restore(t, v, tb);
    mw_log_exception(r, "while running '%s'", rt->script_c);
}

/* Drops the current exception, if there is one: 0; or -1, it is RequestTimeout or another that is no error and stays. */
static int drop_error(void) {
    if (PyErr_Occurred() && !PyErr_ExceptionMatches(PyExc_Exception)) return -1;
    PyErr_Clear();
    return 0;
}

/* The descriptor of a file wrapper that can be sent from its current position: 0; 1 there is none; -1 with an exception. */
static int wrapper_file(mw_state *st, PyObject *res, int *fd, int64_t *off, int64_t *size) {
    PyObject *f = mw_wrapper_file((mw_wrapper *)res), *x;
    if (!f) return 1;
    x = PyObject_CallMethodNoArgs(f, st->str_fileno);
    long n = x ? PyLong_AsLong(x) : -1;
    Py_XDECREF(x);
    struct stat sb;
    if (n < 0 || fstat((int)n, &sb) < 0 || !S_ISREG(sb.st_mode)) { Py_DECREF(f); return drop_error() < 0 ? -1 : 1; }
    x = PyObject_CallMethodNoArgs(f, st->str_tell);
    Py_DECREF(f);
    long long at = x && PyLong_Check(x) ? PyLong_AsLongLong(x) : -1;
    Py_XDECREF(x);
    if (at < 0 || at > sb.st_size) return drop_error() < 0 ? -1 : 1;
    *fd = (int)n;
    *off = at;
    *size = sb.st_size - at;
    return 0;
}

static int not_bytes(PyObject *b) {
    PyErr_Format(PyExc_TypeError, "the response's blocks must be bytes, but one is %.200s%s", Py_TYPE(b)->tp_name,
                 PyUnicode_Check(b) ? ": encode it, for example with .encode('utf-8')" :
                 PyLong_Check(b) ? ": return a list of bytes, [data], in place of data" : "");
    return -1;
}

/* What the application returned cannot be iterated. */
static void no_response(PyObject *res) {
    if (PyErr_ExceptionMatches(PyExc_TypeError) && !Py_TYPE(res)->tp_iter)
        PyErr_Format(PyExc_TypeError, "the application returned %.200s, which is no iterable of bytes%s", Py_TYPE(res)->tp_name,
                     res == Py_None ? ": is a return statement missing?" : PyCoro_CheckExact(res) ? ": an asynchronous application needs an adapter such as a2wsgi" : "");
}

/* Send what the application returned. 0, or -1 with an exception. */
static int send_result(mw_state *st, mw_response *s, mw_req *r, PyObject *res) {
    int fd;
    int64_t off, size;
    int file = !s->committed && PyObject_TypeCheck(res, st->wrapper_type) ? wrapper_file(st, res, &fd, &off, &size) : 1;
    if (file < 0) return -1;
    if (file == 0) {
        if (mw_commit(s, size) < 0) return -1;
        if (s->length >= 0 && s->length < size) size = s->length;
        mw_send_file(s, fd, off, size);
        if (!s->nobody && s->length > size) { r->keep_alive = 0; r->result = MW_CUT; }
        return 0;
    }
    int list = PyList_CheckExact(res), tuple = PyTuple_CheckExact(res);
#ifdef Py_GIL_DISABLED
    if (list) { /* another thread may change it at any moment */
        PyObject *copy = PyList_AsTuple(res);
        int rc = copy ? send_result(st, s, r, copy) : -1;
        Py_XDECREF(copy);
        return rc;
    }
#endif
    if (list || tuple) { /* everything is known: one Content-Length, no chunks */
        Py_ssize_t n = list ? PyList_GET_SIZE(res) : PyTuple_GET_SIZE(res);
        int64_t total = 0;
        for (Py_ssize_t i = 0; i < n; i++) {
            PyObject *b = list ? PyList_GET_ITEM(res, i) : PyTuple_GET_ITEM(res, i);
            if (!PyBytes_Check(b)) return not_bytes(b);
            total += PyBytes_GET_SIZE(b);
        }
        if (!s->committed && mw_commit(s, total) < 0) return -1;
        for (Py_ssize_t i = 0; i < (list ? PyList_GET_SIZE(res) : n); i++) { /* another thread may shorten the list */
            PyObject *b = Py_NewRef(list ? PyList_GET_ITEM(res, i) : PyTuple_GET_ITEM(res, i));
            int bad = !PyBytes_Check(b) ? not_bytes(b) : 0;
            int gone = !bad && mw_put_block(s, PyBytes_AS_STRING(b), (size_t)PyBytes_GET_SIZE(b), i == n - 1 && !s->chunked) < 0;
            Py_DECREF(b);
            if (bad) return -1;
            if (gone) return 0;
        }
        mw_finish(s);
        return 0;
    }
    PyObject *it = PyObject_GetIter(res), *b;
    if (!it) { no_response(res); return -1; }
    while ((b = PyIter_Next(it))) {
        if (!PyBytes_Check(b)) { not_bytes(b); Py_DECREF(b); break; }
        Py_ssize_t n = PyBytes_GET_SIZE(b);
        if (n) {
            if (!s->committed) {
                if (mw_commit(s, -1) < 0) { Py_DECREF(b); break; }
                if (s->length != (int64_t)n) __atomic_store_n(&r->streaming, 1, __ATOMIC_RELEASE); /* else this is all */
            }
            if (mw_put_block(s, PyBytes_AS_STRING(b), (size_t)n, 0) < 0) { Py_DECREF(b); break; }
        }
        Py_DECREF(b);
    }
    Py_DECREF(it);
    if (PyErr_Occurred()) return -1;
    if (r->aborted) return 0;
    if (!s->committed && mw_commit(s, 0) < 0) return -1;
    mw_finish(s);
    return 0;
}

static void close_result(mw_state *st, PyObject *res, mw_req *r, mw_route *rt) {
    if (PyList_CheckExact(res) || PyTuple_CheckExact(res) || PyBytes_CheckExact(res)) return;
    PyObject *c = PyObject_GetAttr(res, st->str_close), *x = NULL;
    if (c) {
        x = PyObject_CallNoArgs(c);
    } else if (PyErr_ExceptionMatches(PyExc_AttributeError)) {
        PyErr_Clear();
        return;
    }
    if (!x && is_timeout(st)) {
        PyErr_Clear();
    } else if (!x) {
        if (PyList_GET_SIZE(st->event_callbacks)) {
            PyObject *t, *v, *tb;
            PyErr_Fetch(&t, &v, &tb);
            PyErr_NormalizeException(&t, &v, &tb);
            mw_live_exception(st, t, v, tb);
            PyErr_Restore(t, v, tb);
        }
        mw_log_exception(r, c ? "while close() of the response of '%s' ran" : "WSGI0194: while looking for close() of the response of '%s'", rt->script_c);
    }
    Py_XDECREF(c);
    Py_XDECREF(x);
}

/* The request has been answered: nobody enters its input and its response any more, and threads that the
 * application has started, and that are still in there, are waited for. Reading ends at once; write() goes on until
 * the client has taken what it was given. The order of stores and loads is that of MW_ENTER turned round, so one of both sees
 * the other. */
static void outstayed(mw_response *s, mw_input *in, mw_req *r) {
    __atomic_store_n(&s->over, 1, MW_ORDER);
    __atomic_store_n(&in->over, 1, MW_ORDER);
    if (!__atomic_load_n(&s->inside, MW_ORDER) && !__atomic_load_n(&in->inside, MW_ORDER)) return;
    PyThreadState *ts = PyEval_SaveThread();
    if (__atomic_load_n(&in->inside, __ATOMIC_SEQ_CST)) mw_input_over(r);
    while (__atomic_load_n(&in->inside, __ATOMIC_SEQ_CST) || __atomic_load_n(&s->inside, __ATOMIC_SEQ_CST)) usleep(1000);
    PyEval_RestoreThread(ts);
}

/* The request is over: nobody may look at it any more. Gives the GIL back. */
static void leave(mw_thread *t) {
    if (mw_board_on) mw_board_end(t, t->req);
    if (t->tails[0].len | t->tails[1].len | t->tails[2].len) mw_log_tails(t);
#ifdef Py_GIL_DISABLED
    mw_state *st = t->st;
    if (st->active_kept) mw_active_leave(st, t->req);
#endif
    mw_request_over(t);
    if (t->interrupted) { /* asked for, but maybe never raised: it must not hit the next request */
        PyThreadState_SetAsyncExc(t->ident, NULL);
        t->interrupted = 0;
    }
    PyEval_SaveThread();
    __atomic_store_n(&t->busy, 0, __ATOMIC_RELEASE);
}

void mw_run(mw_req *r) {
    mw_thread *t = mw_self;
    mw_route *rt = mw_route_get(r->route);
    r->result = MW_OK;
    r->status = 0;
    t->serial++;
    t->ignored += (uint64_t)rt->ignore_activity;
    mw_state *st = t->st = rt->st;
    __atomic_store_n(&t->req, r, __ATOMIC_RELEASE);
    __atomic_store_n(&t->busy, 1, __ATOMIC_RELEASE);
    if (mw_live_any) mw_live_enter(t, r);
    if (mw_board_on) mw_board_begin(t, r);
    if (mw_enter(t, st) < 0) {
        r->result = MW_ERROR;
        r->status = 500;
        mw_say(MW_ERR, r, "0087", "cannot enter sub-interpreter '%s'", st->conf.name);
        t->st = mw_interps[0]; /* leave as from there */
        if (mw_enter(t, t->st) == 0) leave(t);
        return;
    }
    mw_local *l = t->at;
    __atomic_store_n(&r->phase, MW_IN_APP, __ATOMIC_RELEASE);
    int live = mw_live_any || PyList_GET_SIZE(st->event_callbacks) > 0;
    if (live) mw_live_begin(st, t, r);
    if (!__atomic_load_n(&rt->app, __ATOMIC_ACQUIRE) && route_load(rt, r, l) < 0) {
        r->result = MW_ERROR;
        if (!r->status) r->status = access(rt->script_c, F_OK) < 0 ? 404 : 500; /* removed since the configuration was read */
        if (live || mw_live_any) mw_live_end(st, t, r, 0);
        Py_CLEAR(t->request_data);
        leave(t);
        return;
    }
    mw_response *s = l->response;
    s->req = r;
    s->length = -1;
    s->committed = s->chunked = s->nobody = s->filtered = s->discard = s->over = 0;
    l->input->req = r;
    l->input->failed = l->input->over = 0;
    PyObject *app = Py_NewRef(rt->app), *res = NULL;
    PyObject *env = mw_environ(rt, r, l);
    if (env) {
        if (live) mw_live_started(st, t, r, env, &app);
        PyObject *args[2] = {env, (PyObject *)s};
        res = PyObject_Vectorcall(app, args, 2, NULL);
        int bad = !res || send_result(st, s, r, res) < 0;
        if (bad) {
            if (r->aborted && PyErr_ExceptionMatches(PyExc_OSError)) PyErr_Clear(); /* write() to a client that left */
            else {
                app_failed(st, s, r, rt);
                if (l->input->failed && !s->committed && r->status == 500) r->status = l->input->failed; /* the client's fault */
            }
        }
        if (res) close_result(st, res, r, rt);
        if (s->discard) r->result = MW_ERROR; /* WSGIErrorOverride: the server's own page for the status */
        Py_XDECREF(res);
        if (live || mw_live_any) mw_live_end(st, t, r, 1);
        Py_DECREF(env);
    } else {
        mw_log_exception(r, "while the environ for '%s' was made", rt->script_c);
        r->result = MW_ERROR;
        r->status = 500;
        if (live || mw_live_any) mw_live_end(st, t, r, 0);
    }
    Py_DECREF(app);
    /* what the application kept is finished with; what it left is used again */
    outstayed(s, l->input, r);
    s->req = NULL;
    l->input->req = NULL;
    Py_CLEAR(s->status);
    Py_CLEAR(s->headers);
    Py_CLEAR(s->checked);
    if (mw_shared((PyObject *)s)) {
        PyObject *n = mw_response_new(st);
        if (n) { Py_DECREF(s); l->response = (mw_response *)n; } else PyErr_Clear();
    }
    if (mw_shared((PyObject *)l->input)) {
        PyObject *n = mw_input_new(st);
        if (n) { Py_DECREF(l->input); l->input = (mw_input *)n; } else PyErr_Clear();
    }
    Py_CLEAR(t->request_data);
    mw_stream_end(r);
    leave(t);
}

/* The same for requests with r->hook or r->wire: symbols of their own, since mw_run is declared to Go as never calling back. */
void mw_run_hooked(mw_req *r) { mw_run(r); }
void mw_run_wired(mw_req *r) { mw_run(r); }
