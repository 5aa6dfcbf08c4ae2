// Connections that C cannot read or write itself, since they are encrypted or
// one of many on a socket: C calls these functions in place of recv, send and
// poll (wire.h), on the request's thread, without the GIL.
package python

/*
#include <stdlib.h>
#include "mw.h"
*/
import "C"

import (
	"syscall"
	"time"
	"unsafe"
)

// Wires serves the connections that requests name (mw_req.wire). No method
// waits but Wait; EAGAIN says that it would have to.
type Wires interface {
	// Read gives received bytes; 0 and 0: the end.
	Read(wire uint32, p []byte) (int, syscall.Errno)
	// Write takes bytes to send, maybe fewer than there are.
	Write(wire uint32, p []byte) (int, syscall.Errno)
	// Wait returns when Read or (writing) Write can go on: false, the time is
	// over. A negative timeout is none.
	Wait(wire uint32, writing bool, timeout time.Duration) (bool, syscall.Errno)
}

var wires Wires

// SetWires must be called before the first request with a wire.
func SetWires(w Wires) { wires = w }

// RunWired is Run for a request with a wire.
func RunWired(req unsafe.Pointer) { C.mw_run_wired((*C.mw_req)(req)) }

// secureVar finds a variable of mod_ssl; false: the connection is not encrypted.
var secureVar func(wire uint32, name string) (string, bool)

// SetSecureVar gives applications the variables of TLS connections
// (ssl_var_lookup); before the first request. f is called with the GIL held.
func SetSecureVar(f func(wire uint32, name string) (string, bool)) { secureVar = f }

//export mwSecureVar
func mwSecureVar(w C.uint32_t, name *C.char, value **C.char) (found C.int) {
	defer func() {
		if recover() != nil { // a certificate that cannot be shown must not end the process
			found = 0
		}
	}()
	if secureVar == nil {
		return 0
	}
	v, ok := secureVar(uint32(w), C.GoString(name))
	if !ok {
		return 0
	}
	if v == "" {
		return 1
	}
	*value = C.CString(v)
	return 1
}

//export mwWireRead
func mwWireRead(w C.uint32_t, p unsafe.Pointer, n C.size_t) C.int64_t {
	m, errno := wires.Read(uint32(w), unsafe.Slice((*byte)(p), int(n)))
	if errno != 0 {
		return -C.int64_t(errno)
	}
	return C.int64_t(m)
}

//export mwWireWrite
func mwWireWrite(w C.uint32_t, p unsafe.Pointer, n C.size_t) C.int64_t {
	m, errno := wires.Write(uint32(w), unsafe.Slice((*byte)(p), int(n)))
	if errno != 0 {
		return -C.int64_t(errno)
	}
	return C.int64_t(m)
}

//export mwWireWait
func mwWireWait(w C.uint32_t, writing C.int, timeout C.int) C.int64_t {
	ok, errno := wires.Wait(uint32(w), writing != 0, time.Duration(timeout)*time.Millisecond)
	if errno != 0 {
		return -C.int64_t(errno)
	}
	return C.int64_t(flag(ok))
}
