// Log files of the modules: which there are, handing over the opened files,
// and the way of an access log entry.
package httpd

import (
	"fmt"
	"os"
)

// AllHosts are the main server and the virtual hosts, by VirtualHost.Index.
func (s *Server) AllHosts() []*VirtualHost {
	return append([]*VirtualHost{s.Main}, s.VirtualHosts...)
}

// LogFiles lists what to open before privileges are dropped: error logs first,
// then access logs; each target once, in order of the configuration. Targets
// are opened with OpenLogs by Key.
func (s *Server) LogFiles() []LogTarget {
	var out []LogTarget
	seen := map[string]bool{}
	add := func(t LogTarget) {
		if (t.Name != "" || t.Kind == LogToSyslog) && !seen[t.Key()] {
			seen[t.Key()] = true
			out = append(out, t)
		}
	}
	add(s.ErrorLog)
	hosts := s.AllHosts()
	for _, v := range hosts {
		add(v.ErrorLog)
	}
	for _, v := range hosts {
		for i := range s.hooks {
			if f := s.hooks[i].logFiles; f != nil {
				for _, t := range f(v.base.conf[i]) {
					add(t)
				}
			}
		}
	}
	return out
}

// OpenLogs gives the modules the files that the supervisor opened, by Key of
// the target. Call it once, before the first request. The files belong to the
// Server from then on.
func (s *Server) OpenLogs(fds map[string]*os.File) error {
	s.logs = map[string]*LogFile{}
	for _, t := range s.LogFiles() {
		if f := fds[t.Key()]; f != nil {
			s.logs[t.Key()] = &LogFile{Target: t, File: f, trouble: s.LogTrouble}
		}
	}
	open := func(t LogTarget) *LogFile { return s.logs[t.Key()] }
	for _, v := range s.AllHosts() {
		for i := range s.hooks {
			if f := s.hooks[i].openLogs; f != nil {
				if err := f(v.base.conf[i], open); err != nil {
					return fmt.Errorf("%s: %w", v.ServerName, err)
				}
			}
		}
	}
	return nil
}

// LogFile returns an opened log by its target, nil if it is not open.
func (s *Server) LogFile(t LogTarget) *LogFile { return s.logs[t.Key()] }

// Wrote notes how writing to the log went. The first failure after a success is
// reported (Server.LogTrouble), and the first success after that. Any goroutine.
func (t *LogFile) Wrote(err error) {
	if failed := err != nil; t.failing.Load() != failed && t.failing.Swap(failed) != failed && t.trouble != nil {
		t.trouble(t.Target, err)
	}
}

// LogAccess writes the access log entries of the host. HasLog says whether
// there is any. It does not allocate in steady state; any goroutine.
func (v *VirtualHost) LogAccess(e *LogEntry) {
	s := v.server
	for i := range s.hooks {
		if f := s.hooks[i].log; f != nil {
			f(v, v.base.conf[i], e)
		}
	}
}

// FlushLogs writes what is buffered; from a timer and before exit.
func (s *Server) FlushLogs() {
	for _, v := range s.AllHosts() {
		for i := range s.hooks {
			if f := s.hooks[i].flushLog; f != nil {
				f(v.base.conf[i])
			}
		}
	}
}
