/*
 * collector.c: Python's garbage collector as the telemetry service sees it:
 * its figures, and each collection with its time. A function in gc.callbacks
 * of every interpreter notes when collections begin and end; the figures are
 * asked for once in an interval, on a thread of Go's.
 *
 * Nothing here runs without WSGITelemetryService.
 */
#include "internal.h"
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define EVENTS_MAX ((int)(sizeof(((mw_collector *)0)->events) / sizeof(mw_collection)))

static int wanted;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* guards what follows of all interpreters; no Python while it is held */

typedef struct mw_gc {
    double began; /* of the collection that runs; one at a time in each interpreter */
    int n;
    int64_t dropped; /* events that found no room, since the process began */
    mw_collection events[EVENTS_MAX];
} mw_gc;

/* Interpreters that are made from now on are watched, and the main one. Takes the GIL. */
void mw_collector_start(void) {
    mw_visit v;
    wanted = 1;
    if (mw_visit_begin(&v, mw_interps[0]) < 0) return;
    if (mw_collector_watch(mw_interps[0]) < 0) mw_log_exception(NULL, "WSGI0188: while the garbage collector's callback was installed");
    mw_visit_end(&v);
}

static int64_t number(PyObject *dict, const char *key) {
    PyObject *x = dict && PyDict_Check(dict) ? PyDict_GetItemString(dict, key) : NULL;
    int64_t n = x && PyLong_Check(x) ? PyLong_AsLongLong(x) : 0;
    PyErr_Clear();
    return n;
}

/* The function in gc.callbacks: ("start" or "stop", info). self: a capsule with the interpreter. */
static PyObject *collecting(PyObject *self, PyObject *args) {
    mw_state *st = PyCapsule_GetPointer(self, NULL);
    const char *phase;
    PyObject *info;
    if (!st || !PyArg_ParseTuple(args, "sO", &phase, &info)) return NULL;
    mw_gc *g = st->gc;
    double now = mw_now();
    mw_collection c = {g->began, now - g->began, number(info, "generation"), number(info, "collected"), number(info, "uncollectable")};
    pthread_mutex_lock(&lock);
    if (!strcmp(phase, "start")) g->began = now;
    else if (g->began > 0 && g->n < EVENTS_MAX) g->events[g->n++] = c;
    else g->dropped++;
    pthread_mutex_unlock(&lock);
    Py_RETURN_NONE;
}
static PyMethodDef collecting_def = {"mod_wsgi_telemetry", collecting, METH_VARARGS, "Notes when the garbage collector runs."};

int mw_collector_watch(mw_state *st) {
    if (!wanted || st->gc) return 0;
    mw_gc *g = calloc(1, sizeof *g);
    if (!g) { PyErr_NoMemory(); return -1; }
    PyObject *gc = PyImport_ImportModule("gc"), *list = gc ? PyObject_GetAttrString(gc, "callbacks") : NULL;
    PyObject *capsule = PyCapsule_New(st, NULL, NULL), *f = capsule ? PyCFunction_New(&collecting_def, capsule) : NULL;
    st->gc = g;
    int rc = list && f ? PyList_Append(list, f) : -1;
    if (rc < 0) { st->gc = NULL; free(g); }
    Py_XDECREF(f); Py_XDECREF(capsule); Py_XDECREF(list); Py_XDECREF(gc);
    return rc;
}

/* The three numbers of a tuple that a function of gc returns. */
static void three(PyObject *gc, const char *function, int64_t *out) {
    PyObject *x = PyObject_CallMethod(gc, function, NULL);
    for (Py_ssize_t i = 0; x && PyTuple_Check(x) && i < 3 && i < PyTuple_GET_SIZE(x); i++) out[i] = PyLong_AsLongLong(PyTuple_GET_ITEM(x, i));
    PyErr_Clear();
    Py_XDECREF(x);
}

static int64_t one(PyObject *gc, const char *function) {
    PyObject *x = PyObject_CallMethod(gc, function, NULL);
    int64_t n = x == Py_True ? 1 : x && PyLong_Check(x) ? PyLong_AsLongLong(x) : 0;
    PyErr_Clear();
    Py_XDECREF(x);
    return n;
}

static void ask(mw_collector *out) {
    PyObject *gc = PyImport_ImportModule("gc");
    if (!gc) { PyErr_Clear(); return; }
    three(gc, "get_count", out->counts);
    three(gc, "get_threshold", out->thresholds);
    PyObject *stats = PyObject_CallMethod(gc, "get_stats", NULL);
    for (Py_ssize_t i = 0; stats && PyList_Check(stats) && i < 3 && i < PyList_GET_SIZE(stats); i++) {
        PyObject *d = PyList_GET_ITEM(stats, i);
        out->collections[i] = number(d, "collections");
        out->collected[i] = number(d, "collected");
        out->uncollectable[i] = number(d, "uncollectable");
    }
    PyErr_Clear();
    Py_XDECREF(stats);
    out->enabled = one(gc, "isenabled");
    out->frozen = one(gc, "get_freeze_count");
    Py_DECREF(gc);
}

/* Figures and events of an interpreter since the last call: 1; 0 it is not there; -1 there is none of that number. Takes its
 * GIL. */
int mw_collector_take(int interp, mw_collector *out) {
    if (interp >= mw_interp_count()) return -1;
    mw_state *st = mw_interps[interp];
    mw_visit v;
    memset(out, 0, sizeof *out);
    if (mw_visit_begin(&v, st) < 0) return 0;
    mw_gc *g = st->gc;
    if (g) {
        ask(out);
        pthread_mutex_lock(&lock);
        out->nevents = g->n;
        memcpy(out->events, g->events, (size_t)g->n * sizeof *g->events);
        out->dropped = g->dropped;
        g->n = 0;
        pthread_mutex_unlock(&lock);
        snprintf(out->name, sizeof out->name, "%s", st->conf.name);
    }
    mw_visit_end(&v);
    return g != NULL;
}
