// What process supervision needs to know: daemon process groups
// (WSGIDaemonProcess) and the Python settings of the main server.
package httpd

import (
	"strings"
	"time"

	"modwsgi/gocore/internal/conf"
)

// DaemonGroup is one WSGIDaemonProcess. Times of 0 mean "none" unless said.
type DaemonGroup struct {
	Name                                                string
	ID                                                  int    // 1-based order of definition
	User, Group                                         string // name or "#id"; "" = the server's
	SupplementaryGroups                                 []string
	Processes, Threads                                  int
	Multiprocess                                        bool // processes= was given
	Umask                                               int  // -1 = inherited
	Chroot, Home, Lang, Locale                          string
	PythonHome                                          string
	PythonPath                                          []string
	PythonEggs                                          string
	SwitchInterval                                      float64 // seconds; 0 = Python's
	StackSize                                           int
	MaximumRequests, MaximumRequestsJitter              int
	StartupTimeout, ShutdownTimeout, DeadlockTimeout    time.Duration
	InactivityTimeout, RequestTimeout, InterruptTimeout time.Duration
	GracefulTimeout, EvictionTimeout, RestartInterval   time.Duration
	ConnectTimeout, SocketTimeout, QueueTimeout         time.Duration
	ResponseSocketTimeout, ResponseFlushDelay           time.Duration
	ListenBacklog                                       int
	SocketUser, DisplayName                             string
	SendBufferSize, ReceiveBufferSize                   int
	HeaderBufferSize, ResponseBufferSize                int
	ScriptUser, ScriptGroup                             string
	CPUTimeLimit, CPUPriority                           int
	MemoryLimit, VirtualMemoryLimit                     int64
	ResidentMemoryLimit                                 int64
	ServerMetrics                                       bool
	HostIndex                                           int    // virtual host of the definition, 0 = main server
	HostServerName                                      string // its ServerName as written
	Preload                                             []ImportScript
	Pos                                                 conf.Pos
}

// Inside gives the path that processes of the group see for a path of the
// server: the same without chroot=; ok is false for one outside of that.
func (g *DaemonGroup) Inside(path string) (inside string, ok bool) {
	root := strings.TrimRight(g.Chroot, "/")
	if root == "" {
		return path, true
	}
	inside, ok = strings.CutPrefix(path, root)
	if inside == "" {
		inside = "/"
	}
	return inside, ok && inside[0] == '/'
}

// ImportScript is a script to load at process start.
type ImportScript struct {
	Path, ApplicationGroup string
	Pos                    conf.Pos
}

// PythonConfig are the settings of the main server that shape the interpreters.
type PythonConfig struct {
	Home                                  string
	Path                                  []string // WSGIPythonPath: embedded interpreters
	Eggs                                  string
	Optimize                              int
	Warnings                              []string
	HashSeed                              string // "", "random" or a number
	DontWriteBytecode, DestroyInterpreter bool
	PerInterpreterGIL, FreeThreading      bool
	SwitchInterval                        float64
	RestrictEmbedded, RestrictStdin       bool
	RestrictEmbeddedSet                   bool
	RestrictStdout, RestrictSignal        bool
	CaseSensitivity                       bool
	ServerMetrics                         bool
	SlowRequests                          float64 // seconds, 0 off
	Telemetry                             Telemetry
	EmbeddedImports                       []ImportScript // WSGIImportScript process-group=%{GLOBAL}
	Embedded                              []EmbeddedUse
	SocketPrefix                          string
	SocketRotation                        bool
	Interpreters                          []InterpreterOptions
}

// Telemetry is where measurements are sent (WSGITelemetryService).
type Telemetry struct {
	Path      string // of a Unix datagram socket; "" none
	Interval  time.Duration
	UserAgent bool // of slow requests
}

// EmbeddedUse is a place where an application may run in the server's own
// processes, as far as the settings of its host say: sections can say otherwise.
type EmbeddedUse struct {
	Host   int    // index of the virtual host
	Script string // a mounted script; "": scripts in a directory, or of a handler
}

// InterpreterOptions is one <WSGIInterpreterOptions>; nil selectors match all.
type InterpreterOptions struct {
	ProcessGroup, ApplicationGroup                *string
	PerInterpreterGIL, FreeThreading              Opt[bool]
	RestrictStdin, RestrictStdout, RestrictSignal Opt[bool]
	SwitchInterval                                Opt[float64]
	PythonPath                                    []string
}
