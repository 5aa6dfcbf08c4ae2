// Interpreters by application group: the Go face of interp.c.
package python

/*
#include <stdlib.h>
#include "mw.h"
*/
import "C"

import (
	"fmt"
	"sync"
	"unsafe"
)

// MaxInterpreters is how many application groups, the main interpreter
// included, one process can have. Names may come from requests (%{HOST}), so
// there has to be an end.
const MaxInterpreters = C.MW_INTERPS

// Interpreter says how the interpreter of an application group is prepared.
type Interpreter struct {
	RestrictSignal, RestrictStdin, RestrictStdout bool
	SwitchInterval                                float64  // seconds; 0 = as it is
	OwnGIL                                        bool     // needs Python 3.12; not for the main interpreter
	Path                                          []string // colon lists in the order in which they go to the front of sys.path; not for the main interpreter, see AddPath
}

// Build is what the interpreter that this library was compiled for can do.
type Build struct {
	Minor        int  // x of Python 3.x
	FreeThreaded bool // it can run without a GIL
}

// ThisBuild tells the build of this process's interpreter. Needs no GIL.
func ThisBuild() Build {
	return Build{Minor: int(C.mw_python_minor()), FreeThreaded: C.mw_free_threaded() != 0}
}

// GILOff reports whether this process runs without a GIL; known after Init.
func GILOff() bool { return C.mw_gil_off() != 0 }

var (
	settingsOf func(group string) Interpreter
	interps    = struct {
		sync.Mutex
		byName map[string]C.int
	}{byName: map[string]C.int{"": 0}}
)

// interpreter gives the number of a group's interpreter. It makes the name
// known; the interpreter itself is made by the thread that first needs it.
func interpreter(group string) (C.int, error) {
	interps.Lock()
	defer interps.Unlock()
	if id, ok := interps.byName[group]; ok {
		return id, nil
	}
	c, free := interpreterConf(group)
	defer free()
	id := C.mw_interp_add(&c)
	if id < 0 {
		return 0, fmt.Errorf("WSGI0351: no interpreter for application group %q: a process can have %d", group, MaxInterpreters)
	}
	interps.byName[group] = id
	return id, nil
}

// interpreterConf is the C form of a group's settings; free releases it.
func interpreterConf(group string) (c C.mw_interp_conf, free func()) {
	s := settingsOf(group)
	var paths []byte
	for _, p := range s.Path {
		paths = append(append(paths, p...), 0)
	}
	c = C.mw_interp_conf{name: C.CString(group), paths: (*C.char)(C.CBytes(paths)), paths_len: C.size_t(len(paths)), npaths: C.int(len(s.Path)),
		restrict_signal: flag(s.RestrictSignal), restrict_stdin: flag(s.RestrictStdin), restrict_stdout: flag(s.RestrictStdout),
		own_gil: flag(s.OwnGIL), switch_interval: C.double(s.SwitchInterval)}
	return c, func() {
		C.free(unsafe.Pointer(c.name))
		C.free(unsafe.Pointer(c.paths))
	}
}
