//go:build !unix

// The ownership policy of script-user and script-group: owners are unknown
// here, so a policy refuses.
package wsgi

import "modwsgi/gocore/internal/httpd"

func ownedAsNeeded(g *httpd.DaemonGroup, script string) bool {
	return g.ScriptUser == "" && g.ScriptGroup == ""
}
