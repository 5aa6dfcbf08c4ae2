// The state of the running server, as modules can show it (mod_status). The
// worker fills it in; see Server.Status.
package httpd

import (
	"errors"
	"slices"
	"strings"
	"time"

	"modwsgi/gocore/internal/conf"
)

// ServerStatus is a moment's state of all processes that serve.
type ServerStatus struct {
	Started    time.Time // of the server
	Generation int       // restarts and 1
	Requests   int64     // answered since the start, those of processes that are gone included
	Bytes      int64     // sent
	Busy       time.Duration
	Processes  []ProcessStatus
}

// ProcessStatus is one process, as it wrote it within the last second.
type ProcessStatus struct {
	PID         int              `json:"pid"`
	Group       string           `json:"group"` // process group, "" = the server's own
	Generation  int              `json:"generation"`
	Started     int64            `json:"started"` // milliseconds since the epoch
	Front       bool             `json:"front"`   // takes connections from clients
	Requests    int64            `json:"requests"`
	Bytes       int64            `json:"bytes"`
	BusyMillis  int64            `json:"busy"` // sum of the durations
	Running     int              `json:"running"`
	Threads     int              `json:"threads"` // Python threads for applications
	Connections int              `json:"connections"`
	Stopping    bool             `json:"stopping"`
	User        float64          `json:"user"` // CPU seconds
	System      float64          `json:"system"`
	Current     []CurrentRequest `json:"current,omitempty"` // with ExtendedStatus
	Behind      []BehindStatus   `json:"behind,omitempty"`  // of a front process
	// Totals of earlier processes in the same slot.
	PastRequests, PastBytes, PastBusy int64
}

// BehindStatus is what a front process knows of one behind it: the processes of
// other users tell nothing themselves.
type BehindStatus struct {
	PID     int    `json:"pid"`
	Group   string `json:"group"`
	Threads int    `json:"threads"`
	Running int    `json:"running"` // requests of this front
	Total   int64  `json:"total"`   // the same, since this front began
}

// CurrentRequest is a request inside an application.
type CurrentRequest struct {
	Client string `json:"client"`
	Host   string `json:"host"`
	Line   string `json:"line"`
	Start  int64  `json:"start"` // milliseconds since the epoch
}

// UsesStatus says whether something shows the state of the processes: the
// handler server-status, or a directive (Cmd.WantStatus).
func (s *Server) UsesStatus() bool { return s.wantsStatus || s.UsesHandler("server-status") }

// WantStatus is for directives that show the state of the processes. An error:
// it is too late, nobody keeps it (.htaccess).
func (k *Cmd) WantStatus() error {
	if k.b == nil {
		return nil // made by a test
	}
	if k.Htaccess && !k.b.s.UsesStatus() {
		return errors.New("the state of the processes is kept only if the configuration itself asks for it")
	}
	if !k.Htaccess {
		k.b.s.wantsStatus = true
	}
	return nil
}

// UsesHandler says whether a handler name occurs in SetHandler or AddHandler,
// .htaccess files apart.
func (s *Server) UsesHandler(name string) bool {
	var walk func([]*conf.Directive) bool
	walk = func(list []*conf.Directive) bool {
		for _, d := range list {
			n := strings.ToLower(d.Name)
			if (n == "sethandler" || n == "addhandler") && len(d.Args) > 0 && strings.EqualFold(d.Args[0], name) || walk(d.Children) {
				return true
			}
		}
		return false
	}
	return walk(s.Tree.Root)
}

// ModuleNames are the modules as LoadModule names them, in running order.
func (s *Server) ModuleNames() []string {
	out := make([]string, 0, len(s.mods))
	for _, m := range s.mods {
		if id := m.meta().id; !slices.Contains(out, id) { // one may come in two parts
			out = append(out, id)
		}
	}
	return out
}
