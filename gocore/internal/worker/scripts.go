// Scripts for access control and dispatch (WSGIAuthUserScript and the like): httpd.Scripts
// over package python, for one request on a Python thread.
package worker

import (
	"strings"
	"unsafe"

	"modwsgi/gocore/internal/httpd"
	"modwsgi/gocore/internal/listen"
	"modwsgi/gocore/internal/python"
)

type scripts struct {
	w    *worker
	q    *listen.Req
	host *httpd.VirtualHost
}

// scriptKey is what records of such scripts differ in.
type scriptKey struct {
	host   int
	script string
}

// logRoute gives the number under which the Python side finds the error log of
// a host and the name of a script that is no application.
func (w *worker) logRoute(v *httpd.VirtualHost, script string) (uint32, error) {
	sink, err := w.sink(v, v.LogLevel.Level("wsgi"))
	if err != nil {
		return 0, err
	}
	w.scriptMu.Lock()
	defer w.scriptMu.Unlock()
	key := scriptKey{v.Index(), script}
	if id, ok := w.scriptRoutes[key]; ok {
		return id, nil
	}
	id, err := python.AddRoute(&python.Route{Script: script, Sink: sink})
	if err != nil {
		return 0, err
	}
	if w.scriptRoutes == nil {
		w.scriptRoutes = map[scriptKey]uint32{}
	}
	w.scriptRoutes[key] = id
	return id, nil
}

// Call implements httpd.Scripts.
func (s scripts) Call(c *httpd.ScriptCall) httpd.ScriptResult {
	p := python.Script{Script: c.Script, Function: c.Function, ApplicationGroup: c.ApplicationGroup, Kind: int(c.Kind),
		NArgs: len(c.Args), HTTPS: c.HTTPS}
	for _, e := range c.Environ {
		p.Environ = appendString(appendString(p.Environ, e.Name), e.Value)
	}
	for _, a := range c.Args {
		if strings.IndexByte(a, 0) >= 0 { // would end the argument early: another user, another password
			return httpd.ScriptResult{Answer: httpd.ScriptFailed}
		}
		p.Args = appendString(p.Args, a)
	}
	route, err := s.w.logRoute(s.host, c.Script)
	if err != nil {
		s.w.logf(levelErr, "wsgi", "[script %s] %v", c.Script, err)
		return httpd.ScriptResult{Answer: httpd.ScriptFailed}
	}
	s.q.Route = route // until the phases have found the request's own
	answer, text, err := python.CallScript(unsafe.Pointer(s.q), &p)
	if err != nil {
		s.w.logf(levelErr, "wsgi", "[script %s] %v", c.Script, err)
		return httpd.ScriptResult{Answer: httpd.ScriptFailed}
	}
	res := httpd.ScriptResult{Answer: httpd.ScriptAnswer(answer)}
	switch res.Answer {
	case httpd.ScriptText:
		res.Text = strings.TrimSuffix(string(text), "\x00")
	case httpd.ScriptStrings:
		if len(text) > 0 {
			res.Strings = strings.Split(strings.TrimSuffix(string(text), "\x00"), "\x00")
		}
	}
	return res
}

// appendString appends a string with its NUL; what follows a NUL inside is dropped.
func appendString(b []byte, v string) []byte {
	v, _, _ = strings.Cut(v, "\x00")
	return append(append(b, v...), 0)
}
