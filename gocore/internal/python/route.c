/*
 * route.c: the WSGI targets that Go knows: what differs between targets and is
 * the same for all requests of one.
 *
 * A target is registered without Python, by any thread. The dict that the
 * environ of each request is copied from belongs to the target's interpreter,
 * which may not exist yet: it is made with the first request.
 */
#include "internal.h"
#include "environ.h"
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ROUTES_MAX 4096

/* A pointer is stored before its number is known to anybody, and never changes. */
static mw_route *routes[ROUTES_MAX];
static uint32_t nroutes;
static pthread_mutex_t adding = PTHREAD_MUTEX_INITIALIZER;

mw_route *mw_route_get(uint32_t i) { return i < __atomic_load_n(&nroutes, __ATOMIC_ACQUIRE) ? routes[i] : NULL; }

/* Copy the strings of a configuration; 0, or -1 without memory. */
static int copy_conf(mw_route_conf *c) {
    const char **all[] = {&c->script, &c->process_group, &c->application_group, &c->callable, &c->handler, &c->handler_script, &c->script_name};
    int rc = 0;
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) rc |= !(*all[i] = strdup(*all[i])) ? -1 : 0;
    char *env = malloc(c->environ_len + 1);
    if (env) memcpy(env, c->environ, c->environ_len);
    c->environ = env;
    return env ? rc : -1;
}

/* Register a WSGI target; its index, or -1 when there are too many or no memory. No GIL. */
int mw_route_add(const mw_route_conf *c) {
    mw_route *rt = calloc(1, sizeof *rt);
    if (!rt || c->interp < 0 || c->interp >= mw_interp_count()) { free(rt); return -1; }
    rt->conf = *c;
    if (copy_conf(&rt->conf) < 0) return -1;
    rt->st = mw_interps[c->interp];
    rt->script_c = (char *)rt->conf.script;
    rt->environ = (char *)rt->conf.environ;
    rt->environ_len = c->environ_len;
    rt->pass_authorization = c->pass_authorization;
    rt->map_head = c->map_head;
    rt->ignore_activity = c->ignore_activity;
    rt->sink = (uint32_t)c->sink;
    rt->port = (uint32_t)c->port;
    pthread_mutex_lock(&adding);
    int id = nroutes < ROUTES_MAX ? (int)nroutes : -1;
    if (id >= 0) {
        rt->id = (uint32_t)id;
        routes[id] = rt;
        __atomic_store_n(&nroutes, (uint32_t)id + 1, __ATOMIC_RELEASE);
    }
    pthread_mutex_unlock(&adding);
    return id;
}

static int put_str(PyObject *d, const char *k, const char *v) {
    PyObject *ks = PyUnicode_InternFromString(k), *vs = PyUnicode_DecodeLatin1(v, (Py_ssize_t)strlen(v), NULL);
    if (vs) PyUnicode_InternInPlace(&vs);
    int rc = ks && vs ? PyDict_SetItem(d, ks, vs) : -1;
    Py_XDECREF(ks);
    Py_XDECREF(vs);
    return rc;
}

static int put(PyObject *d, const char *k, PyObject *v) { /* steals v */
    int rc = v ? PyDict_SetItemString(d, k, v) : -1;
    Py_XDECREF(v);
    return rc;
}

/* The template: a new dict, or NULL with an exception. */
static PyObject *make_template(const mw_route *rt, mw_env *w) {
    const mw_route_conf *c = &rt->conf;
    const mw_state *st = rt->st;
    PyObject *d = PyDict_New();
    int rc = d ? 0 : -1;
    for (int i = 0; !rc && i < K_COUNT; i++) rc = PyDict_SetItem(d, w->keys[i], w->v_empty);
    if (!rc) rc = PyDict_SetItem(d, w->k_scheme, c->https ? w->v_https : w->v_http);
    if (!rc) rc = mw_environ_extra(w, d, c->environ, c->environ_len, 1);
    if (!rc) rc = PyDict_SetItem(d, w->keys[K_SERVER_PROTOCOL], w->v_http11);
    char pid[24];
    snprintf(pid, sizeof pid, "%ld", (long)getpid());
    if (!rc) {
        rc |= put_str(d, "SCRIPT_NAME", c->script_name);
        rc |= put_str(d, "mod_wsgi.script_name", c->script_name);
        rc |= put_str(d, "mod_wsgi.process_group", c->process_group);
        rc |= put_str(d, "mod_wsgi.application_group", c->application_group);
        rc |= put_str(d, "mod_wsgi.callable_object", c->callable);
        rc |= put_str(d, "mod_wsgi.request_handler", c->handler);
        rc |= put_str(d, "mod_wsgi.handler_script", c->handler_script);
        rc |= put_str(d, "mod_wsgi.listener_host", "");
        rc |= put_str(d, "mod_wsgi.server_pid", pid);
        rc |= put(d, "mod_wsgi.version", PyObject_GetAttrString(st->module, "version"));
        rc |= put(d, "apache.version", Py_BuildValue("(iii)", 2, 4, 63));
        rc |= put(d, "wsgi.version", Py_BuildValue("(ii)", 1, 0));
        rc |= put(d, "mod_wsgi.queue_start", PyFloat_FromDouble(0.0));
        rc |= put(d, "mod_wsgi.daemon_start", PyFloat_FromDouble(0.0));
        rc |= PyDict_SetItemString(d, "wsgi.multithread", c->multithread ? Py_True : Py_False);
        rc |= PyDict_SetItemString(d, "wsgi.multiprocess", c->multiprocess ? Py_True : Py_False);
        rc |= PyDict_SetItemString(d, "wsgi.run_once", c->run_once ? Py_True : Py_False);
        rc |= PyDict_SetItemString(d, "wsgi.input_terminated", Py_True);
        rc |= PyDict_SetItemString(d, "wsgi.errors", st->errors);
        rc |= PyDict_SetItemString(d, "wsgi.file_wrapper", (PyObject *)st->wrapper_type);
    }
    if (rc) Py_CLEAR(d);
    return d;
}

/* What a target needs of its interpreter, whose GIL is held. One caller at a time. 0, or -1 with
 * an exception. */
int mw_route_prepare(mw_route *rt, mw_local *l) {
    if (rt->template_) return 0;
    size_t envs = 1;
#ifdef Py_GIL_DISABLED
    envs = (size_t)mw_threads_max + 1; /* see HEADS_OF */
#endif
    const char *callable = rt->conf.callable;
    if (!rt->heads && !(rt->heads = calloc(envs * HEADS, sizeof *rt->heads))) { PyErr_NoMemory(); return -1; }
    if (!rt->script && !(rt->script = PyUnicode_DecodeFSDefault(rt->script_c))) return -1;
    if (!rt->callable && !(rt->callable = PyUnicode_DecodeLatin1(callable, (Py_ssize_t)strlen(callable), NULL))) return -1;
    return (rt->template_ = make_template(rt, l->env)) ? 0 : -1;
}
