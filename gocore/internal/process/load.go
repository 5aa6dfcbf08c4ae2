// Reading the configuration for the supervisor: parse and compile with the
// full list of modules.
package process

import (
	"modwsgi/gocore/internal/conf"
	"modwsgi/gocore/internal/httpd"
	"modwsgi/gocore/internal/mod"
)

// readConfig is loadConfig of the real server.
func readConfig(opt SuperviseOptions) (*snapshot, []conf.Diagnostic) {
	o := httpd.ConfOptions(mod.All)
	o.ServerRoot, o.Defines = opt.ServerRoot, opt.Defines
	tree, diags := conf.Parse(opt.ConfigFile, o)
	if hasErrors(diags) {
		return nil, diags
	}
	srv, more := httpd.Compile(tree, mod.All)
	diags = append(diags, more...)
	if hasErrors(diags) {
		return nil, diags
	}
	diags = append(diags, Unservable(srv)...)
	if hasErrors(diags) {
		return nil, diags
	}
	return &snapshot{tree: tree, srv: srv, logs: srv.LogFiles()}, diags
}

// Unservable lists what is understood in a configuration but not there yet:
// errors for what would stop the start.
func Unservable(srv *httpd.Server) []conf.Diagnostic { return needsFront(srv) }

// needsFront refuses what only a front process could serve: rather no start
// than an isolation that is not there.
func needsFront(srv *httpd.Server) []conf.Diagnostic {
	var out []conf.Diagnostic
	refuse := func(g *httpd.DaemonGroup, message string) {
		out = append(out, conf.Diagnostic{Severity: conf.Error, Code: "WSGI-ONE-GROUP", Pos: g.Pos, Directive: "WSGIDaemonProcess",
			Message: message, Suggestion: "use one process group that runs as the server's User and Group"})
	}
	serving := 0
	for i := range srv.Groups {
		g := &srv.Groups[i]
		if g.Threads == 0 {
			continue
		}
		if serving++; serving == 2 {
			refuse(g, "more than one process group that serves requests is not available yet")
		}
		if g.User != "" && g.User != srv.User || g.Group != "" && g.Group != srv.Group {
			refuse(g, "a process group with a user or group other than the server's is not available yet")
		}
	}
	return out
}
