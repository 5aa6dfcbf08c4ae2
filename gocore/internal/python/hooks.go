// Calls whose response Go looks at: the one place where C calls back. A
// request without hooks never comes here (see Run).
package python

/*
#cgo noescape mw_out_append
#cgo nocallback mw_out_append
#cgo noescape mw_out_flush
#cgo nocallback mw_out_flush
#include "mw.h"
*/
import "C"

import (
	"io"
	"runtime/cgo"
	"syscall"
	"unsafe"
)

// Verdict is what Hooks.Head decides about a response.
type Verdict int

const (
	Plain      = Verdict(C.MW_HEAD_PLAIN)    // the head is in the buffer; the body follows as it is
	Chunked    = Verdict(C.MW_HEAD_CHUNKED)  // the same, the body in chunks
	Filtered   = Verdict(C.MW_HEAD_FILTERED) // Body and End take the body; nothing is in the buffer
	Discard    = Verdict(C.MW_HEAD_DISCARD)  // the body is dropped; Result becomes Error with Status
	HeadFailed = Verdict(C.MW_HEAD_FAILED)   // the application sees an exception, the client 500
)

// Hooks see one response. All methods run on the Python thread without the GIL.
type Hooks interface {
	// Head is called when the application's head is complete. The request's
	// output from mark on is its status line and fields, each with CRLF,
	// without framing, Date and Server; Head replaces it by the head that is
	// sent. length is that of the body, -1 unknown.
	Head(mark uint64, length int64) Verdict
	// Body takes a block; false: the client is gone or the response broke.
	Body(p []byte) bool
	// File is called, with the GIL, instead of Body for n bytes of a file that are the whole body. True: it
	// sends them by itself, through a duplicate of the descriptor; false: they come through Body.
	File(fd int, off, n int64) bool
	// End is called after the last block of a complete response.
	End() bool
	// Input gives more of the request's body; 0 and 0: the end. EFBIG and
	// EPROTO are answered with 413 and 400 if the application does not.
	Input(p []byte) (n int, errno syscall.Errno)
}

// BodyReader reads the body as it was sent, on the thread of the request
// while it does not run Python. Errors are a syscall.Errno.
func BodyReader(req unsafe.Pointer) io.Reader { return bodyReader{(*C.mw_req)(req)} }

type bodyReader struct{ r *C.mw_req }

func (b bodyReader) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	switch n := C.mw_body_read(b.r, (*C.char)(unsafe.Pointer(unsafe.SliceData(p))), C.size_t(len(p))); {
	case n > 0:
		return int(n), nil
	case n < 0:
		return 0, syscall.Errno(-n)
	}
	return 0, io.EOF
}

// RunHooked is Run with hooks; input says that Hooks.Input gives the body.
func RunHooked(req unsafe.Pointer, h Hooks, input bool) {
	r := (*C.mw_req)(req)
	handle := cgo.NewHandle(h)
	r.hook, r.in_hook = C.uint64_t(handle), C.int32_t(flag(input))
	defer func() { // also after a panic: the structure serves other requests
		r.hook, r.in_hook = 0, 0
		handle.Delete()
	}()
	C.mw_run_hooked(r)
}

// Append adds response bytes to the request's output buffer; any goroutine.
// False: out of memory, the connection will be closed.
func Append(req unsafe.Pointer, p []byte) bool {
	return len(p) == 0 || C.mw_out_append((*C.mw_req)(req), (*C.char)(unsafe.Pointer(unsafe.SliceData(p))), C.size_t(len(p))) == 0
}

// Flush waits until the output buffer is sent; false: the client is gone.
func Flush(req unsafe.Pointer) bool {
	r := (*C.mw_req)(req)
	if r.wire != 0 {
		return C.mw_out_flush_wired(r, C.int(r.io_timeout_ms)) == 0
	}
	return C.mw_out_flush(r, C.int(r.io_timeout_ms)) == 0
}

//export mwHookHead
func mwHookHead(h C.uint64_t, mark C.uint64_t, length C.int64_t) C.int {
	return C.int(cgo.Handle(h).Value().(Hooks).Head(uint64(mark), int64(length)))
}

//export mwHookBody
func mwHookBody(h C.uint64_t, p unsafe.Pointer, n C.size_t) C.int {
	return flag(cgo.Handle(h).Value().(Hooks).Body(unsafe.Slice((*byte)(p), int(n))))
}

//export mwHookFile
func mwHookFile(h C.uint64_t, fd C.int, off, n C.int64_t) C.int {
	return flag(cgo.Handle(h).Value().(Hooks).File(int(fd), int64(off), int64(n)))
}

//export mwHookInput
func mwHookInput(h C.uint64_t, p unsafe.Pointer, n C.size_t) C.int64_t {
	m, errno := cgo.Handle(h).Value().(Hooks).Input(unsafe.Slice((*byte)(p), int(n)))
	if errno != 0 {
		return -C.int64_t(errno)
	}
	return C.int64_t(m)
}

//export mwHookEnd
func mwHookEnd(h C.uint64_t) C.int { return flag(cgo.Handle(h).Value().(Hooks).End()) }
