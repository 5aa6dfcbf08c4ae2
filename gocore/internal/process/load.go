// Reading the configuration for the supervisor: parse and compile with the
// full list of modules.
package process

import (
	"os"

	"modwsgi/gocore/internal/conf"
	"modwsgi/gocore/internal/httpd"
	"modwsgi/gocore/internal/mod"
	"modwsgi/gocore/internal/mod/ssl"
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
	files, more := ssl.Read(srv)
	if diags = append(diags, more...); hasErrors(diags) {
		return nil, diags
	}
	if os.Geteuid() == 0 { // only root's server changes users
		if diags = append(diags, UnknownAccounts(srv, true)...); hasErrors(diags) {
			return nil, diags
		}
	}
	diags = append(diags, PythonWarnings(srv, opt.build())...)
	return &snapshot{tree: tree, srv: srv, logs: srv.LogFiles(), tls: files}, diags
}
