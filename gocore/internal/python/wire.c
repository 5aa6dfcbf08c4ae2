/*
 * wire.c: from C to wire.go, with errno.
 */
#include "internal.h"
#include "wire.h"
#include "_cgo_export.h"
#include <errno.h>

static int64_t with_errno(int64_t n) {
    if (n >= 0) return n;
    errno = (int)-n;
    return -1;
}

ssize_t mw_wire_recv(uint32_t wire, void *p, size_t n) { return (ssize_t)with_errno(mwWireRead(wire, p, n)); }

ssize_t mw_wire_send(uint32_t wire, const void *p, size_t n) { return (ssize_t)with_errno(mwWireWrite(wire, (void *)p, n)); }

int mw_wire_wait(uint32_t wire, int writing, int timeout_ms) { return (int)with_errno(mwWireWait(wire, writing, timeout_ms)); }
