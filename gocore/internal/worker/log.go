// The error log of a worker for what the Go side has to say. Every virtual
// host has a log, a format and levels; the Python side gets the same as sinks
// and writes by itself (python/errorlog.c).
package worker

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"modwsgi/gocore/internal/errorlog"
	"modwsgi/gocore/internal/httpd"
	"modwsgi/gocore/internal/listen"
	"modwsgi/gocore/internal/process"
)

// Levels of the error log, as syslog and Apache number them.
const (
	levelCrit   = 2
	levelErr    = 3
	levelWarn   = 4
	levelNotice = 5
	levelInfo   = 6
)

// hostLog is the error log of a virtual host. Immutable.
type hostLog struct {
	fd         int
	syslog     bool
	given      bool // ErrorLogFormat
	format     *errorlog.Format
	request    []*errorlog.Format // lines before the first record of a request
	connection []*errorlog.Format // and of a connection
	server     string
	failed     func(error) // told when a record could not be written; nil: nobody
}

// startLog is used until the configuration is there.
var startLog = &hostLog{fd: 2, format: errorlog.Default("client")}

// newHostLogs makes the logs of all hosts, the main server's first. fds are
// the opened files by LogTarget.Key, home the host whose log the process uses.
func newHostLogs(srv *httpd.Server, home *httpd.VirtualHost, fds map[string]*os.File, failed func(error)) []*hostLog {
	var out []*hostLog
	for _, v := range srv.AllHosts() {
		l := &hostLog{fd: 2, server: v.ServerName, failed: failed}
		// The log of the process's own host is descriptor 2, which stays open in a
		// child that the application forks. So are logs that it was not given.
		if f := fds[v.ErrorLog.Key()]; f != nil && v.ErrorLog.Key() != home.ErrorLog.Key() {
			l.fd = int(f.Fd())
		}
		l.syslog = v.ErrorLog.Kind == httpd.LogToSyslog
		switch {
		case v.ErrorLogFormat != "":
			l.format, l.given = compiled(v.ErrorLogFormat), true
		case l.syslog:
			l.format = errorlog.DefaultSyslog("client")
		default:
			l.format = errorlog.Default("client")
		}
		for _, text := range v.ErrorLogRequest {
			l.request = append(l.request, compiled(text))
		}
		for _, text := range v.ErrorLogConnection {
			l.connection = append(l.connection, compiled(text))
		}
		out = append(out, l)
	}
	return out
}

// compiled compiles a format that the configuration's check has compiled before.
func compiled(text string) *errorlog.Format {
	f, err := errorlog.Compile(text, false)
	if err != nil {
		return errorlog.Default("client")
	}
	return f
}

// logf writes a record of the process itself. Any goroutine.
func (w *worker) logf(level int, module, format string, a ...any) {
	var v *httpd.VirtualHost
	if w.srv != nil {
		v = w.home()
		if level > httpd.LevelNotice && level > v.LogLevel.Level(module) {
			return
		}
	}
	w.record(v, nil, level, module, fmt.Sprintf(format, a...))
}

// home is the host whose log the process uses: that of its process group.
func (w *worker) home() *httpd.VirtualHost {
	if g := w.group; g != nil && g.HostIndex > 0 && g.HostIndex <= len(w.srv.VirtualHosts) {
		return w.srv.VirtualHosts[g.HostIndex-1]
	}
	return w.srv.Main
}

// record writes one record to the log of v, whatever its level; r may be nil.
func (w *worker) record(v *httpd.VirtualHost, r *httpd.Request, level int, module, message string) {
	l := startLog
	if v != nil && v.Index() < len(w.logs) {
		l = w.logs[v.Index()]
	}
	rec := errorlog.Record{Time: time.Now(), Level: level, Module: module, PID: os.Getpid(), TID: errorlog.ThreadID(), Message: message, Server: l.server}
	if r != nil {
		rec.Request = &errorlog.Request{Client: r.Remote, Peer: r.Peer, Local: r.Local, LogID: r.LogID(), ConnID: r.ConnLogID(),
			KeepAlives: int(r.RequestNo) - 1, Host: l.server, Header: r.Get, Env: r.Env,
			Note: func(name string) (string, bool) { s, ok := r.Notes[name]; return s, ok }}
		if !v.UseCanonicalName && r.HostName != "" {
			rec.Request.Host, _ = httpd.SplitHost(r.HostName)
		}
		connection, request := r.FirstRecord()
		if connection {
			l.write(&rec, l.connection...)
		}
		if request {
			l.write(&rec, l.request...)
		}
	}
	l.write(&rec, l.format)
}

func (l *hostLog) write(rec *errorlog.Record, formats ...*errorlog.Format) {
	var b []byte
	for _, f := range formats {
		prefix := 0
		if l.syslog {
			b = fmt.Appendf(b[:0], "<%d>", min(rec.Level, 7)) // taken off by the supervisor's reader
			prefix = len(b)
		}
		if b = f.Append(b[:prefix], rec); len(b) > prefix {
			// A full disk must not stop the site.
			if err := errorlog.Write(l.fd, b); err != nil && l.failed != nil {
				l.failed(err)
			}
		}
	}
}

// logTrouble reports that an access log cannot be written to, or can be again
// (err nil). Any goroutine.
func (w *worker) logTrouble(t httpd.LogTarget, err error) {
	if err == nil {
		w.logf(levelNotice, "core", "the log %s is written again", t.Name)
		return
	}
	text := fmt.Sprintf("WSGI0371: the log %s cannot be written, its lines are lost: %v", t.Name, cause(err))
	w.logf(levelErr, "core", "%s", text)
	w.notice(text)
}

// errorLogTrouble reports that an error log cannot be written to. Any goroutine, often.
func (w *worker) errorLogTrouble(err error) {
	if !w.logFailed.Swap(true) {
		w.notice("WSGI0371: the error log cannot be written: " + cause(err).Error())
	}
}

// cause is the error of the system call.
func cause(err error) error {
	var no syscall.Errno
	if errors.As(err, &no) {
		return no
	}
	return err
}

// notice has the supervisor say something on the server's standard error.
func (w *worker) notice(text string) {
	go w.control.Send(&process.Frame{Type: process.FrameNotice, Payload: []byte(text)}) // an error is the end of the supervisor
}

// exhausted reports that connections wait because none can be accepted. Any goroutine.
func (w *worker) exhausted(err error, connections int) {
	limit := ""
	var l unix.Rlimit
	if errors.Is(err, unix.EMFILE) && unix.Getrlimit(unix.RLIMIT_NOFILE, &l) == nil {
		limit = fmt.Sprintf(" (the limit is %d, see ulimit -n)", l.Cur)
	}
	w.logf(levelErr, "core", "WSGI0370: connections cannot be accepted: %v%s; %d are open, new ones wait until some are closed", cause(err), limit, connections)
}

// codePanic marks the records of a panic, for those who search for them.
const codePanic = "WSGI0301"

// panicked reports a panic of a module while it handled a request: the reason
// and the stack, one record per line. It is a bug of this program; the client
// gets 500. c is nil outside a connection. Any goroutine.
func (w *worker) panicked(c *listen.Conn, value any, stack []byte) {
	where := ""
	if c != nil {
		where = fmt.Sprintf(" on connection %016x from %s", c.ID, c.Remote)
	}
	w.logf(levelCrit, "core", codePanic+": internal error%s: %q; the connection is closed, after an answer with 500 unless a response had begun", where, fmt.Sprint(value))
	for line := range bytes.Lines(bytes.TrimSpace(stack)) {
		w.logf(levelCrit, "core", codePanic+": %s", bytes.TrimRight(line, "\n"))
	}
}
