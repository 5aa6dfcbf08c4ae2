// The error logs of the virtual hosts as the Python side writes them.
package worker

import (
	"fmt"

	"modwsgi/gocore/internal/errorlog"
	"modwsgi/gocore/internal/httpd"
	"modwsgi/gocore/internal/python"
)

// sinkKey is what records of WSGI targets differ in.
type sinkKey struct{ host, level int }

// sink returns the Python side's number for the log of a host at a level of
// LogLevel wsgi. The first call makes the sink of the process itself. Any
// goroutine.
func (w *worker) sink(v *httpd.VirtualHost, level int) (int, error) {
	w.sinkMu.Lock()
	defer w.sinkMu.Unlock()
	key := sinkKey{v.Index(), min(level, httpd.LevelDebug)}
	if id, ok := w.sinks[key]; ok {
		return id, nil
	}
	l := w.logs[v.Index()]
	host := ""
	if v.UseCanonicalName {
		host = l.server
	}
	format := l.format
	if !l.given { // applications log as those of daemon processes do
		if format = errorlog.Default("remote"); l.syslog {
			format = errorlog.DefaultSyslog("remote")
		}
	}
	s := &python.Sink{FD: l.fd, Level: key.level, Syslog: l.syslog, Program: format.Program("wsgi", l.server, host)}
	for _, f := range l.request {
		s.Request = append(s.Request, f.Program("wsgi", l.server, host))
	}
	for _, f := range l.connection {
		s.Connect = append(s.Connect, f.Program("wsgi", l.server, host))
	}
	if l.fd > 2 { // a child that the application forks keeps it
		python.TrackFD(l.fd, false)
	}
	id, err := python.AddSink(s)
	if err != nil {
		return 0, fmt.Errorf("error log of %s: %w", l.server, err)
	}
	if w.sinks == nil {
		w.sinks = map[sinkKey]int{}
	}
	w.sinks[key] = id
	return id, nil
}
