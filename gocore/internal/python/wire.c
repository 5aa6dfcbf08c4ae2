/*
 * wire.c: from C to wire.go, with errno.
 */
#include "internal.h"
#include "wire.h"
#include "_cgo_export.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

static int64_t with_errno(int64_t n) {
    if (n >= 0) return n;
    errno = (int)-n;
    return -1;
}

int mw_secure(uint32_t wire) {
    char *v = NULL;
    int on = wire && mwSecureVar(wire, "HTTPS", &v);
    free(v);
    return on;
}

PyObject *mw_secure_var(uint32_t wire, PyObject *name) {
    char *v = NULL;
    const char *n = PyUnicode_AsUTF8(name);
    if (!n) return NULL;
    if (!wire || !mwSecureVar(wire, (char *)n, &v) || !v) Py_RETURN_NONE;
    PyObject *s = PyUnicode_DecodeLatin1(v, (Py_ssize_t)strlen(v), NULL); /* as in environ */
    free(v);
    return s;
}

ssize_t mw_wire_recv(uint32_t wire, void *p, size_t n) { return (ssize_t)with_errno(mwWireRead(wire, p, n)); }

ssize_t mw_wire_send(uint32_t wire, const void *p, size_t n) { return (ssize_t)with_errno(mwWireWrite(wire, (void *)p, n)); }

int mw_wire_wait(uint32_t wire, int writing, int timeout_ms) { return (int)with_errno(mwWireWait(wire, writing, timeout_ms)); }
