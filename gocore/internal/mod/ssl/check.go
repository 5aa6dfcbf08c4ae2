// What cannot be judged line by line: addresses that several hosts share, ports
// that nobody listens on, ports that are said to speak https.

package ssl

import (
	"fmt"

	"modwsgi/gocore/internal/conf"
	"modwsgi/gocore/internal/httpd"
)

// listensHTTPS says whether something that listens on a port of the host is
// said to be https (Listen 443, Listen 8443 https).
func listensHTTPS(v *httpd.VirtualHost) bool {
	for _, l := range v.Server().Listen {
		if l.Proto != "https" {
			continue
		}
		for _, a := range v.Addresses() {
			if at, ok := l.Local(); ok && a.Port() == at.Port() {
				return true
			}
		}
	}
	return false
}

// check runs once for all hosts, when the last one is known.
func check(k *httpd.Checker, _ *Config) {
	s := k.Server
	if k.Host.Index() != len(s.VirtualHosts) {
		return
	}
	for _, v := range s.AllHosts() {
		if v.TLS {
			checkHost(k, v)
		}
	}
	for _, l := range s.Listen {
		local, ok := l.Local()
		if !ok {
			continue
		}
		first := s.Hosts(local).Default
		switch {
		case l.Proto == "https" && !first.TLS:
			k.Report(conf.Diagnostic{Severity: conf.Warning, Code: codeAddress, Pos: l.Pos, Directive: "Listen",
				Message:    fmt.Sprintf("%s is to be https, but its host does not speak TLS: connections are not encrypted", l.Addr),
				Suggestion: fmt.Sprintf("<VirtualHost *:%d> with SSLEngine on and SSLCertificateFile", local.Port())})
		case first.TLS && l.Network == "unix":
			k.Report(conf.Diagnostic{Severity: conf.Warning, Code: codeAddress, Pos: l.Pos, Directive: "Listen", Message: "connections to the socket have to speak TLS"})
		}
	}
}

// checkHost looks at the addresses of a host that speaks TLS.
func checkHost(k *httpd.Checker, v *httpd.VirtualHost) {
	c := settings(v)
	pos := c.enginePos
	if pos.Line == 0 {
		pos = v.Pos
	}
	warn := func(cure, format string, a ...any) {
		k.Report(conf.Diagnostic{Severity: conf.Warning, Code: codeAddress, Pos: pos, Directive: "SSLEngine", Message: fmt.Sprintf(format, a...), Suggestion: cure})
	}
	for _, a := range v.Addresses() {
		first := k.Server.Hosts(a).Default
		if !first.TLS {
			warn("SSLEngine on in all hosts of an address, or none", "%s shares an address with %s, which comes first and does not speak TLS: its requests are refused", hostName(v), hostName(first))
		} else if first == v {
			for _, o := range k.Server.Hosts(a).All() {
				if !o.TLS {
					warn("SSLEngine on in all hosts of an address, or none", "%s shares an address with %s, which does not speak TLS: requests for that one are refused", hostName(v), hostName(o))
				}
			}
		}
		heard := false
		for _, l := range k.Server.Listen {
			at, ok := l.Local()
			heard = heard || !ok || a.Port() == 0 || at.Port() == a.Port()
		}
		if !heard {
			warn(fmt.Sprintf("Listen %d", a.Port()), "nothing listens on port %d of %s", a.Port(), hostName(v))
		}
	}
}
