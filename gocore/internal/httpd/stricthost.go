// StrictHostCheck: requests for names that the chosen host does not have.
package httpd

import "strings"

// stranger reports whether the request names a host that is neither the
// ServerName nor an alias of the host that answers, nor the name in its
// <VirtualHost> line.
func (r *Request) stranger() bool {
	if !r.m.core.StrictHostCheck.V || r.HostName == "" {
		return false
	}
	name, _ := SplitHost(strings.ToLower(r.HostName))
	name = strings.TrimSuffix(name, ".")
	is := func(own string) bool {
		return Fnmatch(strings.TrimSuffix(strings.ToLower(own), "."), name, false)
	}
	v := r.Host
	if is(v.ServerName) {
		return false
	}
	for _, a := range v.Aliases {
		if is(a) {
			return false
		}
	}
	for _, s := range v.server.Hosts(r.Local).specs {
		if s.host == v && is(s.pattern) {
			return false
		}
	}
	return true
}
