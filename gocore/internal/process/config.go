// Package process holds the process model: the supervisor, which reads the
// configuration once, opens listeners and logs with full privileges and spawns
// and watches everything else, and the worker processes, which serve.
//
// This file is what the two halves and their callers share: the options of
// Supervise, what a worker gets told on its configuration pipe, and the
// numbers of the inherited file descriptors.
package process

import (
	"crypto/rand"
	"encoding/gob"
	"fmt"
	"io"
	"sync"

	"modwsgi/gocore/internal/conf"
	"modwsgi/gocore/internal/httpd"
	"modwsgi/gocore/internal/mod/ssl"
)

// The descriptors of a worker process. 0 is /dev/null; 1 and 2 are the error
// log of the host that its group is defined in, or the inherited terminal when
// logging goes there. From
// FDFirstListener on come the listeners, then the log files, both in the order
// of WorkerConfig.
const (
	FDConfig        = 3 // pipe: gob of WorkerConfig, then EOF
	FDLifeline      = 4 // pipe: nothing is ever written; EOF means that the supervisor died
	FDControl       = 5 // Unix stream socket to the supervisor, see wire.go
	FDFirstListener = 6
)

// ScoreboardName stands among LogNames for the memory that the workers share
// (package scoreboard). No log has such a name.
const ScoreboardName = "\x00scoreboard"

// ProtoHop is the Proto of a Unix listener on which a process group takes
// requests from front processes (and not HTTP from clients).
const ProtoHop = "hop"

// SuperviseOptions is what Supervise is told. Only ConfigFile and Executable
// are needed.
type SuperviseOptions struct {
	ConfigFile   string
	ServerRoot   string            // until the configuration says otherwise
	Defines      map[string]string // -D words, with "" as value, and variables
	Executable   string            // sys.executable: every worker is a fresh one of these
	WorkerArgs   []string          // its arguments, that make it call the worker's entry
	Environ      []string          // of the workers, "NAME=value"; nil: the environment of this process
	Version      string            // of that Python, "3.11"; "": not known
	FreeThreaded bool              // it can run without a GIL
	Foreground   bool              // keep standard output and error; else they go to the error log once started
	AllowRoot    bool              // let workers run as uid 0; also: the define MOD_WSGI_ALLOW_ROOT
}

// WorkerConfig is all that a worker process has to know. It travels as a gob
// over FDConfig; the worker compiles Tree again. Who accepts from clients gets
// the same snapshot as the supervisor, others only settings of processes and
// logs (given.go): plans have other numbers there, or none.
type WorkerConfig struct {
	Tree       *conf.Tree
	Group      string // process group served; "" = the server's own processes (embedded mode, front)
	Processes  int    // of this group
	Threads    int    // for WSGI requests, in this process; 0: a group without request threads
	ProcessNum int    // 0 ... Processes-1; stays with the slot when a process is replaced
	Generation int    // 1 at start, one more with every restart of the server

	Listeners []httpd.ListenSpec // descriptor order, from FDFirstListener
	LogNames  []string           // httpd.LogTarget.Key() in descriptor order, after the listeners

	Uid, Gid int   // -1: as the supervisor. Already in force when the worker starts
	Groups   []int // supplementary groups, likewise

	// Front: this is one of the server's own processes, and Hops are the Unix
	// sockets of the groups that take requests from it, by group name and slot
	// (the ProcessNum of who listens there). All other processes get no Hops.
	Front bool
	// Embeds: applications may run in this process, too.
	Embeds bool
	Hops   map[string][]string

	// FrontUID is the user of the front processes, for those that take requests
	// from them: SO_PEERCRED of a connection from anybody but this user or the
	// supervisor's is no front. A socket of Hops was put up by SupervisorPID and
	// SupervisorUID, which is what SO_PEERCRED shows the front.
	FrontUID int

	Secret [32]byte // the same for all who accept from clients, in all generations of a server (httpd.Server.SetSecret)

	// TLS are the certificates and keys of all hosts, by path (package mod/ssl),
	// for those who accept from clients. Nobody else ever has them.
	TLS ssl.Files

	// The scoreboard follows the logs as a descriptor unless its size is 0.
	BoardSize  int64
	BoardPlace int // of this process, from 0; -1: all places are taken
	Handovers  int // connections that may be on their way to other processes at a time
	BoardGroup int // number of the group, from 1, if its processes share their work (package balance); else 0

	SupervisorPID int
	SupervisorUID int
	ServerStarted int64 // milliseconds since the epoch
	Foreground    bool
}

// serverSecret is made once in the life of a supervisor.
var serverSecret = sync.OnceValue(func() (s [32]byte) {
	if _, err := rand.Read(s[:]); err != nil {
		panic(err) // the system has no random numbers
	}
	return s
})

// Write encodes c for the configuration pipe.
func (c *WorkerConfig) Write(w io.Writer) error {
	if err := gob.NewEncoder(w).Encode(c); err != nil {
		return fmt.Errorf("encoding the worker's configuration: %w", err)
	}
	return nil
}

// ReadWorkerConfig reads what Write wrote, to the end.
func ReadWorkerConfig(r io.Reader) (*WorkerConfig, error) {
	c := new(WorkerConfig)
	if err := gob.NewDecoder(r).Decode(c); err != nil {
		return nil, fmt.Errorf("reading the configuration from the supervisor: %w", err)
	}
	return c, nil
}
