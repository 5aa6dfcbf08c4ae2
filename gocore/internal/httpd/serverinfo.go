// Logging of the server itself, and the text it shows of itself.
package httpd

import (
	"fmt"
	"runtime"
	"strings"
)

// Product is the name and version shown in the Server header; the program
// sets it before Compile.
var Product = "modwsgi"

// Levels of LogLevel.
const (
	LevelEmerg = iota
	LevelAlert
	LevelCrit
	LevelError
	LevelWarn
	LevelNotice
	LevelInfo
	LevelDebug
	LevelTrace1
)

// LevelNames are LogLevel's words in order.
var LevelNames = []string{"emerg", "alert", "crit", "error", "warn", "notice", "info", "debug",
	"trace1", "trace2", "trace3", "trace4", "trace5", "trace6", "trace7", "trace8"}

// Logf writes to the error log if the effective LogLevel of the module lets it.
// module is as in LogLevel, without _module: "core", "authz_core".
func (r *Request) Logf(level int, module, format string, a ...any) {
	s := r.Host.server
	if s.Logger == nil {
		return
	}
	lv := r.Host.LogLevel
	if r.m != nil && r.m.core.LogLevel.Set {
		lv = r.m.core.LogLevel.V
	}
	if level > lv.Level(module) && level != LevelNotice { // notices cannot be suppressed, as in Apache
		return
	}
	msg := fmt.Sprintf(format, a...)
	r.record(func() {
		for p := r; p != nil; p = p.Prev {
			p.logged = true
		}
		s.Logger(r.Host, r, level, module, msg)
	})
}

// Logged reports whether the error log has a record of this request.
func (r *Request) Logged() bool { return r.logged }

// FirstRecord says once for each connection and request that the record to be
// written is its first, for the lines of ErrorLogFormat connection and request.
func (r *Request) FirstRecord() (connection, request bool) {
	first := r
	for first.Prev != nil {
		first = first.Prev
	}
	connection, request = !first.ConnLogged, !first.ReqLogged
	first.ConnLogged, first.ReqLogged = true, true
	return connection, request
}

// ConnLogID identifies the connection in the error log (%{c}L); it is what the
// application finds as mod_wsgi.connection_id.
func (r *Request) ConnLogID() string { return fmt.Sprintf("%016x", r.ConnNo) }

// LogID identifies the request in the error log and the access log (%L); it is
// what the application finds as mod_wsgi.request_id.
func (r *Request) LogID() string { return fmt.Sprintf("%016x-%x", r.ConnNo, r.RequestNo) }

// LogLevel is the effective LogLevel of a module for the request.
func (r *Request) LogLevel(module string) int {
	if r.Host.server.Logger == nil {
		return -1
	}
	if r.m != nil && r.m.core.LogLevel.Set {
		return r.m.core.LogLevel.V.Level(module)
	}
	return r.Host.LogLevel.Level(module)
}

// software is the Server header for a ServerTokens setting.
func software(tokens string) string {
	name, version, _ := strings.Cut(Product, "/")
	part := func(n int) string {
		p := strings.SplitN(version, ".", n+1)
		if len(p) > n {
			p = p[:n]
		}
		return strings.Join(p, ".")
	}
	os := map[string]string{"linux": "Linux", "darwin": "Darwin", "freebsd": "FreeBSD", "windows": "Windows"}[runtime.GOOS]
	if version == "" {
		return name
	}
	switch strings.ToLower(tokens) {
	case "prod", "productonly":
		return name
	case "major":
		return name + "/" + part(1)
	case "minor":
		return name + "/" + part(2)
	case "min", "minimal":
		return name + "/" + version
	}
	if os == "" {
		os = runtime.GOOS
	}
	return name + "/" + version + " (" + os + ")"
}
