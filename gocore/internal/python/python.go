// Package python is the only cgo package: it hosts the CPython interpreter
// that loaded this library and runs WSGI requests in it. All work on Python
// objects is in the C files beside; this file is the Go face of them.
//
// GIL: unless a comment says otherwise the functions here are called without
// the GIL and take it themselves. Run belongs to the hot path: one crossing
// and no call back into Go.
package python

/*
#cgo CFLAGS: -std=gnu11 -O2 -Wall -Wno-unused-parameter -fvisibility=hidden
#cgo linux CFLAGS: -D_GNU_SOURCE
#cgo linux LDFLAGS: -pthread -Wl,--wrap=pthread_create
#cgo darwin LDFLAGS: -Wl,-undefined,dynamic_lookup
#cgo noescape mw_run
#cgo nocallback mw_run
#cgo nocallback mw_stale
#include <stdlib.h>
#include "mw.h"
*/
import "C"

import (
	"errors"
	"fmt"
	"strings"
	"syscall"
	"time"
	"unsafe"
)

// Results of Run, left in the request's Result field.
const (
	OK    = int32(C.MW_OK)    // the response is in the buffer or sent
	Error = int32(C.MW_ERROR) // nothing was sent: answer with Status
	Cut   = int32(C.MW_CUT)   // the response broke after its head: close the connection
)

// Config prepares Python in this process.
type Config struct {
	ProcessGroup   string
	ServerSoftware string
	Threads        int                            // Python threads of this process
	Processes      int                            // processes of the group
	HeaderLimit    int                            // bytes of a line of a response's head; 0 = any
	IgnoreCase     bool                           // of the paths of scripts, in the names of their modules
	Interpreter    func(group string) Interpreter // settings by application group; "" is the main interpreter
}

// Route is one WSGI target in the form the C side wants.
type Route struct {
	Script, ProcessGroup, ApplicationGroup, Callable, Handler, HandlerScript, ScriptName  string
	Environ                                                                               []byte // from AppendSet
	PassAuthorization, MapHEAD, Multithread, Multiprocess, HTTPS, IgnoreActivity, RunOnce bool
	Sink                                                                                  int // from AddSink
	Port                                                                                  int // SERVER_PORT of requests whose Host names none
}

// Sink is an error log with its format; the programs come from errorlog.Program.
type Sink struct {
	FD, Level int  // level: 0 emerg ... 7 debug
	Syslog    bool // the reader is syslog
	Program   []byte
	Request   [][]byte // lines before the first record of a request
	Connect   [][]byte // and of a connection
}

// AddSink makes a sink; the first is that of the process itself. One caller at a time.
func AddSink(s *Sink) (int, error) {
	joined := func(list [][]byte) []byte {
		var b []byte
		for _, p := range list {
			b = append(append(b, byte(len(p)>>8), byte(len(p))), p...)
		}
		return b
	}
	request, connect := joined(s.Request), joined(s.Connect)
	c := C.mw_sink_conf{fd: C.int(s.FD), level: C.int(min(s.Level, 7)), syslog: flag(s.Syslog),
		program: C.CBytes(s.Program), program_len: C.size_t(len(s.Program)),
		request: C.CBytes(request), request_len: C.size_t(len(request)),
		connection: C.CBytes(connect), connection_len: C.size_t(len(connect))}
	defer C.free(unsafe.Pointer(c.program))
	defer C.free(unsafe.Pointer(c.request))
	defer C.free(unsafe.Pointer(c.connection))
	n := C.mw_sink_add(&c)
	if n < 0 {
		return 0, errors.New("too many different error logs and levels")
	}
	return int(n), nil
}

// AppendSet appends an assignment for Route.Environ or a request's extra
// environ. NUL bytes cannot be in an environment variable: they are dropped, a
// name that has one with its value.
func AppendSet(b []byte, name, value string) []byte {
	if strings.IndexByte(name, 0) >= 0 {
		return b
	}
	b = append(b, '+')
	b = append(b, name...)
	b = append(b, 0)
	if strings.IndexByte(value, 0) >= 0 {
		value = strings.ReplaceAll(value, "\x00", "")
	}
	b = append(b, value...)
	return append(b, 0)
}

// AppendDelete appends the removal of a key.
func AppendDelete(b []byte, name string) []byte {
	if strings.IndexByte(name, 0) >= 0 {
		return b
	}
	b = append(b, '-')
	b = append(b, name...)
	return append(b, 0, 0)
}

// Init prepares the main interpreter. Called once per process.
func Init(c Config) error {
	name, offset := time.Now().Zone()
	SetZone(offset, name)
	settingsOf = c.Interpreter
	main, free := interpreterConf("")
	defer free()
	pg, sw := C.CString(c.ProcessGroup), C.CString(c.ServerSoftware)
	defer C.free(unsafe.Pointer(pg))
	defer C.free(unsafe.Pointer(sw))
	cc := C.mw_conf{process_group: pg, server_software: sw, threads: C.int(c.Threads), processes: C.int(c.Processes),
		header_limit: C.size_t(c.HeaderLimit), ignore_case: flag(c.IgnoreCase)}
	if C.mw_init(&cc, &main) != 0 {
		return errors.New("prepare the Python interpreter: see the error log")
	}
	return nil
}

func flag(b bool) C.int {
	if b {
		return 1
	}
	return 0
}

// StartThread makes the calling goroutine's OS thread a Python thread; the
// goroutine must be locked to it for the rest of its life.
func StartThread(id int) error {
	if C.mw_thread_start(C.int(id)) != 0 {
		return fmt.Errorf("create thread state %d: out of memory", id)
	}
	return nil
}

// EndThread ends the calling thread's life as a Python thread: its thread locals go.
func EndThread() { C.mw_thread_end() }

// LogError is the last error of writing a record of the error log from C, nil if
// there was none. Any goroutine.
func LogError() error {
	if n := C.mw_log_error(); n != 0 {
		return syscall.Errno(n)
	}
	return nil
}

// AddRoute registers a target and returns its index. It takes no GIL.
func AddRoute(r *Route) (uint32, error) {
	interp, err := interpreter(r.ApplicationGroup)
	if err != nil {
		return 0, err
	}
	var frees []unsafe.Pointer
	s := func(v string) *C.char {
		p := C.CString(v)
		frees = append(frees, unsafe.Pointer(p))
		return p
	}
	defer func() {
		for _, p := range frees {
			C.free(p)
		}
	}()
	env := C.CBytes(append(r.Environ, 0))
	frees = append(frees, env)
	c := C.mw_route_conf{script: s(r.Script), process_group: s(r.ProcessGroup), application_group: s(r.ApplicationGroup),
		callable: s(r.Callable), handler: s(r.Handler), handler_script: s(r.HandlerScript), script_name: s(r.ScriptName),
		environ: (*C.char)(env), environ_len: C.size_t(len(r.Environ)), pass_authorization: flag(r.PassAuthorization),
		map_head: flag(r.MapHEAD), multithread: flag(r.Multithread), multiprocess: flag(r.Multiprocess), https: flag(r.HTTPS),
		ignore_activity: flag(r.IgnoreActivity), run_once: flag(r.RunOnce), sink: C.int(r.Sink), port: C.int(r.Port), interp: interp}
	id := C.mw_route_add(&c)
	if id < 0 {
		return 0, fmt.Errorf("WSGI0314: prepare %s: too many different targets in one process", r.Script)
	}
	return uint32(id), nil
}

// Run runs one request (a listen.Req in C memory) on a Python thread.
func Run(req unsafe.Pointer) { C.mw_run((*C.mw_req)(req)) }

// Import executes a script for its effects (WSGIImportScript); that the script
// fails is logged and no error. Python threads only.
func Import(path, group string) error {
	interp, err := interpreter(group)
	if err != nil {
		return err
	}
	p := C.CString(path)
	defer C.free(unsafe.Pointer(p))
	C.mw_import(p, interp)
	return nil
}

// Script is one call of a function of a script for access control or dispatch.
type Script struct {
	Script, Function, ApplicationGroup string
	Environ                            []byte // "name\x00value\x00"...
	Args                               []byte // strings, each with a NUL
	NArgs, Kind                        int    // Kind as httpd.ScriptKind
	HTTPS                              bool
}

// CallScript runs the function for the request (a listen.Req in C memory) on a
// Python thread. answer is as httpd.ScriptAnswer; text has strings with a NUL
// each. err: it could not be called at all.
func CallScript(req unsafe.Pointer, s *Script) (answer int, text []byte, err error) {
	interp, err := interpreter(s.ApplicationGroup)
	if err != nil {
		return 0, nil, err
	}
	var out C.mw_script_result
	var frees []unsafe.Pointer
	str := func(v string) *C.char {
		p := C.CString(v)
		frees = append(frees, unsafe.Pointer(p))
		return p
	}
	raw := func(b []byte) *C.char {
		p := C.CBytes(append(b, 0))
		frees = append(frees, p)
		return (*C.char)(p)
	}
	defer func() {
		for _, p := range frees {
			C.free(p)
		}
	}()
	c := C.mw_script{script: str(s.Script), function: str(s.Function), application_group: str(s.ApplicationGroup),
		environ: raw(s.Environ), environ_len: C.size_t(len(s.Environ)), args: raw(s.Args), nargs: C.int(s.NArgs),
		kind: C.int(s.Kind), https: flag(s.HTTPS), interp: interp}
	C.mw_script_call(&c, (*C.mw_req)(req), &out)
	text = C.GoBytes(unsafe.Pointer(out.text), C.int(out.len))
	C.free(unsafe.Pointer(out.text))
	return int(out.answer), text, nil
}

// Stale reports whether the script of a loaded route has changed on disk.
func Stale(route uint32) bool { return C.mw_stale(C.uint32_t(route)) != 0 }

// What ReloadRequired answers.
const (
	KeepScript   = 0
	ReloadScript = 1
	NoReloadHook = int(C.MW_NO_HOOK) // the script has no such function: nobody need ask again
	AskSeldom    = int(C.MW_SELDOM)  // keep; looking when files change is enough
)

// ReloadRequired asks the function reload_required of the script of a request
// (a listen.Req in C memory) that is about to run. Python threads only.
func ReloadRequired(req unsafe.Pointer) int { return int(C.mw_reload_required((*C.mw_req)(req))) }

// AddPath puts a colon-separated list of directories at the front of sys.path
// of the main interpreter.
func AddPath(dirs string) {
	p := C.CString(dirs)
	C.mw_add_path(p)
	C.free(unsafe.Pointer(p))
}

// SetDate sets the Date field of responses: an IMF-fixdate of 29 bytes.
func SetDate(date string) {
	p := C.CString(date)
	C.mw_set_date(p)
	C.free(unsafe.Pointer(p))
}

// SetZone sets the time zone of records in the error log: seconds east of
// Greenwich and a name. One caller at a time.
func SetZone(offset int, name string) {
	p := C.CString(name)
	C.mw_set_zone(C.long(offset), p)
	C.free(unsafe.Pointer(p))
}

// TrackFD tells which descriptors a child forked by the application must close.
func TrackFD(fd int, open bool) { C.mw_track_fd(C.int(fd), flag(open)) }

// Shutdown joins non-daemon threads and runs atexit functions in every
// interpreter, the main one last.
func Shutdown() { C.mw_shutdown() }

// SizeofReq is the size of the C request structure; package listen's mirror must agree.
func SizeofReq() uintptr { return uintptr(C.mw_sizeof_req()) }

// Alloc returns n zeroed bytes of C memory; Realloc and Free go with it.
func Alloc(n uintptr) unsafe.Pointer { return C.mw_alloc(C.size_t(n)) }

// Realloc resizes memory from Alloc.
func Realloc(p unsafe.Pointer, n uintptr) unsafe.Pointer { return C.mw_realloc(p, C.size_t(n)) }

// Free releases memory from Alloc.
func Free(p unsafe.Pointer) { C.mw_free(p) }
