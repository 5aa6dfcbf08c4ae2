// Package status is mod_status: the handler server-status, a page about the
// server's processes and requests for people, or with ?auto for programs.
//
// This file has the settings and the form for programs; page.go the page.
package status

import (
	"bytes"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"

	"modwsgi/gocore/internal/httpd"
)

// Config is the module's settings of the main server.
type Config struct{ extended httpd.Opt[bool] }

const handlerName = "server-status"

// now is replaced in tests.
var now = time.Now

// Module is mod_status.
var Module = &httpd.Module[Config]{
	Name: "status", ID: "status_module", File: "mod_status.c",
	Directives: []httpd.Directive[Config]{
		{Name: "ExtendedStatus", Args: "On|Off", Min: 1, Max: 1, In: httpd.InServer, Default: "On", Set: setExtended,
			Doc: "Whether server-status shows totals and the requests that are in progress."},
	},
	Finish: func(s *httpd.Server, c *Config, _ func(httpd.Diagnostic)) {
		s.ExtendedStatus = c.extended.Or(true)
	},
	Handler: handle,
}

func setExtended(k *httpd.Cmd, c *Config) error {
	on, err := k.Flag(0)
	c.extended = httpd.Some(on)
	return err
}

func handle(r *httpd.Request, _ *Config) *httpd.Outcome {
	if r.Handler != handlerName {
		return nil
	}
	if r.Method != "GET" && r.Method != "HEAD" {
		return r.Fail(405)
	}
	server := r.Host.Server()
	if server.Status == nil {
		r.Logf(httpd.LevelError, "status", "no status is kept: is SetHandler server-status in a .htaccess file only?")
		return r.Fail(503)
	}
	s := server.Status()
	query, _ := url.ParseQuery(r.Query) // what is malformed is not asked for
	out := &httpd.Outcome{Status: 200}
	if n, err := strconv.Atoi(query.Get("refresh")); err == nil && n > 0 {
		out.Header = append(out.Header, httpd.Field{Name: "Refresh", Value: strconv.Itoa(n)})
	}
	var b bytes.Buffer
	kind := "text/html; charset=utf-8"
	if query.Has("auto") {
		kind = "text/plain; charset=utf-8"
		writeAuto(&b, r, s)
	} else {
		writePage(&b, r, s, query.Has("notable"))
	}
	out.Header = append(out.Header, httpd.Field{Name: "Content-Type", Value: kind}, httpd.Field{Name: "Cache-Control", Value: "no-store"})
	out.Body = b.Bytes()
	return out
}

// sums are what both forms show of all processes.
type sums struct {
	busy, idle, stopping, connections int
	user, system                      float64
	board                             string
}

// sum goes through the processes that are there. The scoreboard has a letter
// for each thread: W runs a request, _ waits for one, G finishes before its
// process stops.
func sum(s *httpd.ServerStatus) sums {
	var t sums
	var board strings.Builder
	for i := range s.Processes {
		p := &s.Processes[i]
		t.user += p.User
		t.system += p.System
		t.connections += p.Connections
		running := min(p.Running, p.Threads)
		t.busy += running
		busy, rest := byte('W'), byte('_')
		if p.Stopping {
			t.stopping++
			busy, rest = 'G', '.'
		} else {
			t.idle += p.Threads - running
		}
		for n := range p.Threads {
			if n < running {
				board.WriteByte(busy)
			} else {
				board.WriteByte(rest)
			}
		}
	}
	t.board = board.String()
	return t
}

// writeAuto writes Apache's machine-readable lines.
func writeAuto(b *bytes.Buffer, r *httpd.Request, s *httpd.ServerStatus) {
	server, t, at := r.Host.Server(), sum(s), now()
	up := int64(at.Sub(s.Started) / time.Second)
	line := func(name, format string, a ...any) { fmt.Fprintf(b, name+": "+format+"\n", a...) }
	fmt.Fprintf(b, "%s\n", r.Host.ServerName)
	line("ServerVersion", "%s", server.Software)
	line("CurrentTime", "%s", at.Format(longTime))
	line("RestartTime", "%s", s.Started.Format(longTime))
	line("ParentServerConfigGeneration", "%d", s.Generation)
	line("ServerUptimeSeconds", "%d", up)
	line("ServerUptime", "%s", uptime(up))
	if server.ExtendedStatus {
		line("Total Accesses", "%d", s.Requests)
		line("Total kBytes", "%d", s.Bytes/1024)
		line("Total Duration", "%d", s.Busy.Milliseconds())
		line("CPUUser", "%.2f", t.user)
		line("CPUSystem", "%.2f", t.system)
		if up > 0 {
			line("CPULoad", "%g", 100*(t.user+t.system)/float64(up))
		}
		line("Uptime", "%d", up)
		if up > 0 {
			line("ReqPerSec", "%g", float64(s.Requests)/float64(up))
			line("BytesPerSec", "%g", float64(s.Bytes)/float64(up))
		}
		if s.Requests > 0 {
			line("BytesPerReq", "%g", float64(s.Bytes)/float64(s.Requests))
			line("DurationPerReq", "%g", float64(s.Busy.Milliseconds())/float64(s.Requests))
		}
	}
	line("BusyWorkers", "%d", t.busy)
	line("IdleWorkers", "%d", t.idle)
	line("Processes", "%d", len(s.Processes))
	line("Stopping", "%d", t.stopping)
	line("ConnsTotal", "%d", t.connections)
	line("Scoreboard", "%s", t.board)
}

const longTime = "Monday, 02-Jan-2006 15:04:05 MST"

// uptime is a number of seconds in words.
func uptime(seconds int64) string {
	var parts []string
	for _, u := range []struct {
		size int64
		name string
	}{{86400, "day"}, {3600, "hour"}, {60, "minute"}, {1, "second"}} {
		n := seconds / u.size
		seconds %= u.size
		switch {
		case n == 1:
			parts = append(parts, "1 "+u.name)
		case n > 1 || u.size == 1 && len(parts) == 0:
			parts = append(parts, fmt.Sprintf("%d %ss", n, u.name))
		}
	}
	return strings.Join(parts, " ")
}
