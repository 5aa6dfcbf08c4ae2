// The Go face of watch.c, events.c, board.c and title.c: what the timers of a
// worker process ask of the interpreter. Functions that take the GIL wait for
// it as long as it takes; call them where that hurts nobody.
package python

/*
#cgo nocallback mw_threads_read
#include <stdlib.h>
#include "mw.h"
*/
import "C"

import (
	"errors"
	"unsafe"
)

// Thread is a Python thread at a moment; its number is its index plus 1.
type Thread struct {
	Serial  uint64 // requests begun so far
	Ignored uint64 // of those, under WSGIIgnoreActivity
	Busy    bool   // in a request, the wait for the GIL included
}

// Threads fills dst and returns the part that is used. Never blocks.
func Threads(dst []Thread) []Thread {
	var raw [64]C.mw_thread_state
	buf := raw[:]
	if len(dst) > len(raw) {
		buf = make([]C.mw_thread_state, len(dst))
	}
	n := int(C.mw_threads_read(&buf[0], C.int(len(dst))))
	for i := range n {
		dst[i] = Thread{Serial: uint64(buf[i].serial), Ignored: uint64(buf[i].ignored), Busy: buf[i].busy != 0}
	}
	return dst[:n]
}

// Loaded reports whether a script was loaded with success. Never blocks.
func Loaded() bool { return C.mw_loaded() != 0 }

// Probe returns when the GIL could be taken.
func Probe() { C.mw_probe() }

// Report logs what runs at a level, with the Python stacks of all threads if
// asked. thread is 0 for all or one thread's number. It takes the GIL and
// returns the number of requests.
func Report(level int, stacks bool, thread int) int {
	return int(C.mw_report(C.int(level), flag(stacks), C.int(thread)))
}

// Interrupt raises mod_wsgi.RequestTimeout in a thread that still runs its
// request with that serial number; false: it does not any more. Takes the GIL.
func Interrupt(thread int, serial uint64) bool {
	return C.mw_interrupt(C.int(thread), C.uint64_t(serial)) != 0
}

// Abandon answers for running requests whose response has not begun: 504 for
// the threads marked in overdue, 502 for others. Takes the GIL if gil is set;
// without it the process must be about to end. It returns how many it answered.
func Abandon(overdue []bool, gil bool) int {
	marks := make([]C.uchar, len(overdue)+1)
	for i, o := range overdue {
		if o {
			marks[i] = 1
		}
	}
	return int(C.mw_abandon(&marks[0], C.int(len(overdue)), flag(gil)))
}

// Stopping publishes process_stopping and calls the shutdown callbacks. Takes the GIL.
func Stopping(reason string) {
	p := C.CString(reason)
	C.mw_stopping(p)
	C.free(unsafe.Pointer(p))
}

// Signal publishes process_signal. Takes the GIL.
func Signal(name string, number int) {
	p := C.CString(name)
	C.mw_signal_event(p, C.int(number))
	C.free(unsafe.Pointer(p))
}

// SetTitle changes what ps shows of this process.
func SetTitle(title string) error {
	p := C.CString(title)
	defer C.free(unsafe.Pointer(p))
	if C.mw_set_title(p) != 0 {
		return errors.New("set the title of the process: not possible here")
	}
	return nil
}

// SetLocale sets all categories of the C locale; false: the system does not know it.
func SetLocale(name string) bool {
	p := C.CString(name)
	defer C.free(unsafe.Pointer(p))
	return C.mw_set_locale(p) == 0
}

// AttachBoard maps the scoreboard of the server and takes place index in it;
// shown lets server_metrics() be used in this process.
func AttachBoard(fd int, size int64, index, num, generation int, shown bool) error {
	if C.mw_board_attach(C.int(fd), C.long(size), C.int(index), C.int(num), C.int(generation), flag(shown)) != 0 {
		return errors.New("map the scoreboard")
	}
	return nil
}

// Quiesce marks this process in the scoreboard as one that is leaving.
func Quiesce() { C.mw_board_quiesce() }

// Trim gives memory that malloc keeps for later back to the system, where it
// can (glibc). It takes milliseconds where much is free.
func Trim() { C.mw_trim() }
