// Who accepts connections from clients. With one group that serves requests, as
// the server's own user, that group does: a request then never leaves the
// process that read it. In all other cases the server's own processes do, as a
// front; see docs/architecture.md for the rule.
package process

import (
	"slices"
	"strings"

	"modwsgi/gocore/internal/conf"
	"modwsgi/gocore/internal/httpd"
)

// direct finds the group that can accept from clients itself, -1 if none can:
// it is the only one that serves, runs as the server would, could read the
// private keys of TLS hosts itself, and nothing is to run in the server's own
// processes beside it.
func direct(srv *httpd.Server, groups []groupPlan, server identity) int {
	found := -1
	for i := range groups {
		if groups[i].threads == 0 {
			continue
		}
		if found >= 0 {
			return -1
		}
		found = i
	}
	if found < 0 || srv.Groups[found].Chroot != "" || !groups[found].id.equal(server) || embeds(srv) || !mayHaveKeys(srv, server) {
		return -1
	}
	return found
}

// embeds reports whether something may run in embedded mode. Scripts of access
// control do not count: they run where the request is read, whoever reads it.
func embeds(srv *httpd.Server) bool {
	if len(srv.Python.EmbeddedImports) > 0 {
		return true
	}
	if srv.Python.RestrictEmbedded {
		return false // such a request is answered with 500
	}
	type script struct {
		host int
		path string
	}
	known := map[script]bool{}
	for _, p := range srv.Plans() {
		if p.ProcessGroup == "" {
			return true
		}
		known[script{p.Host.Index(), p.Script}] = true
	}
	for _, u := range srv.Python.Embedded {
		if u.Script == "" || !known[script{u.Host, u.Script}] {
			return true
		}
	}
	return srv.Tree != nil && namesEmbedded(srv.Tree.Root, false)
}

// namesEmbedded looks for sections that choose embedded mode, or leave the
// choice to the request, and for scripts that choose.
func namesEmbedded(list []*conf.Directive, inside bool) bool {
	return slices.ContainsFunc(list, func(d *conf.Directive) bool {
		if strings.EqualFold(d.Name, "WSGIDispatchScript") {
			return true
		}
		if inside && strings.EqualFold(d.Name, "WSGIProcessGroup") && len(d.Args) == 1 {
			name := d.Args[0]
			return name == "%{GLOBAL}" || name == "%{HOST}" || strings.HasPrefix(name, "%{ENV:")
		}
		return namesEmbedded(d.Children, inside || d.Section && !strings.EqualFold(d.Name, "VirtualHost"))
	})
}
