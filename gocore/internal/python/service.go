// Scripts of processes without request threads, see service.c.
package python

/*
#include <stdlib.h>
#include "mw.h"
*/
import "C"

import (
	"errors"
	"unsafe"
)

// StartService makes Python's main thread answer SIGTERM. Call it, and
// RunService, on the thread that the interpreter was started on, when Go takes
// no signals any more.
func StartService() error {
	if C.mw_service_start() != 0 {
		return errors.New("the interpreter's signals cannot be prepared")
	}
	return nil
}

// How a service script ended.
const (
	ServiceReturned = 0
	ServiceExit     = 1 // by SystemExit
	ServiceFailed   = -1
)

// RunService executes a script on the calling thread until it ends.
func RunService(path string) int {
	p := C.CString(path)
	defer C.free(unsafe.Pointer(p))
	return int(C.mw_service_run(p))
}
