//go:build !unix

// The ownership policy of script-user and script-group: owners are unknown
// here, so a policy refuses.
package wsgi

import "modwsgi/gocore/internal/httpd"

func ownership(g *httpd.DaemonGroup, script string) string {
	if g.ScriptUser == "" && g.ScriptGroup == "" {
		return ""
	}
	return "WSGI0153: this system does not tell the owner of a file"
}
