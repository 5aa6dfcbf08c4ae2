/*
 * filewrapper.c: mod_wsgi.FileWrapper, the wsgi.file_wrapper of PEP 3333. As a
 * plain iterator it reads blksize bytes at a time; when an application returns
 * an instance over a regular file, run.c sends the file with sendfile instead.
 */
#include "internal.h"
#include <stddef.h>
#include <structmember.h>

static int fw_init(PyObject *self, PyObject *args, PyObject *kw) {
    static char *names[] = {"filelike", "blksize", NULL};
    mw_wrapper *w = (mw_wrapper *)self;
    PyObject *f;
    Py_ssize_t n = 8192;
    if (!PyArg_ParseTupleAndKeywords(args, kw, "O|n:FileWrapper", names, &f, &n)) return -1;
    if (n < 0) { PyErr_SetString(PyExc_ValueError, "blksize must not be negative"); return -1; }
    Py_BEGIN_CRITICAL_SECTION(self);
    Py_XSETREF(w->filelike, Py_NewRef(f));
    w->blksize = n;
    Py_END_CRITICAL_SECTION();
    return 0;
}
static PyObject *closed(void) {
    PyErr_SetString(PyExc_ValueError, "I/O operation on a closed file wrapper");
    return NULL;
}
PyObject *mw_wrapper_file(mw_wrapper *w) {
    PyObject *f;
    Py_BEGIN_CRITICAL_SECTION((PyObject *)w);
    f = Py_XNewRef(w->filelike);
    Py_END_CRITICAL_SECTION();
    return f;
}
static PyObject *fw_next(PyObject *self) {
    mw_wrapper *w = (mw_wrapper *)self;
    PyObject *f = mw_wrapper_file(w);
    if (!f) return closed();
    PyObject *b = PyObject_CallMethod(f, "read", "n", w->blksize);
    Py_DECREF(f);
    if (!b) return NULL;
    if (!PyBytes_Check(b)) {
        PyErr_Format(PyExc_TypeError, "read() of the file object must return bytes, got %.200s", Py_TYPE(b)->tp_name);
        Py_DECREF(b);
        return NULL;
    }
    if (!PyBytes_GET_SIZE(b)) Py_CLEAR(b);
    return b;
}
static PyObject *fw_close(PyObject *self, PyObject *u) {
    mw_wrapper *w = (mw_wrapper *)self;
    PyObject *f;
    Py_BEGIN_CRITICAL_SECTION(self);
    f = w->filelike;
    w->filelike = NULL;
    Py_END_CRITICAL_SECTION();
    if (!f) Py_RETURN_NONE;
    PyObject *c = PyObject_GetAttrString(f, "close"), *x = c ? PyObject_CallNoArgs(c) : NULL;
    if (!x) PyErr_Clear(); /* documented: close never fails the response */
    Py_XDECREF(x);
    Py_XDECREF(c);
    Py_DECREF(f);
    Py_RETURN_NONE;
}
static PyObject *fw_filelike(PyObject *self, void *c) {
    PyObject *f = mw_wrapper_file((mw_wrapper *)self);
    return f ? f : closed();
}
static PyObject *fw_blksize(PyObject *self, void *c) { return PyLong_FromSsize_t(((mw_wrapper *)self)->blksize); }
static int fw_traverse(PyObject *self, visitproc visit, void *arg) {
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(((mw_wrapper *)self)->filelike);
    return 0;
}
static int fw_clear(PyObject *self) { Py_CLEAR(((mw_wrapper *)self)->filelike); return 0; }
static void fw_dealloc(PyObject *self) {
    PyTypeObject *t = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    fw_clear(self);
    t->tp_free(self);
    Py_DECREF(t);
}
static PyMethodDef fw_methods[] = {
    {"close", fw_close, METH_NOARGS, "close(): close the wrapped file."}, {0}};
static PyGetSetDef fw_getset[] = {{"filelike", fw_filelike}, {"blksize", fw_blksize}, {0}};
static PyType_Slot fw_slots[] = {
    {Py_tp_init, fw_init}, {Py_tp_new, PyType_GenericNew}, {Py_tp_dealloc, fw_dealloc},
    {Py_tp_traverse, fw_traverse}, {Py_tp_clear, fw_clear}, {Py_tp_iter, PyObject_SelfIter},
    {Py_tp_iternext, fw_next}, {Py_tp_methods, fw_methods}, {Py_tp_getset, fw_getset},
    {Py_tp_doc, "FileWrapper(filelike, blksize=8192): wsgi.file_wrapper of PEP 3333."}, {0, NULL}};
static PyType_Spec fw_spec = {"mod_wsgi.FileWrapper", sizeof(mw_wrapper), 0,
    Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC, fw_slots};

int mw_wrapper_init(PyObject *module, mw_state *st) {
    st->wrapper_type = (PyTypeObject *)PyType_FromModuleAndSpec(module, &fw_spec, NULL);
    return st->wrapper_type ? 0 : -1;
}
