// What a request knows of the TLS connection that it came over.
package httpd

import (
	"crypto/tls"
	"net"
	"net/netip"
	"strconv"
)

// Secure is shared by the requests of a TLS connection. Immutable; any goroutine.
type Secure struct {
	State *tls.ConnectionState
	Host  *VirtualHost // whose certificate the handshake showed
	// Lookup gives a variable of mod_ssl by its name, "" if it has no value; r
	// may be nil.
	Lookup func(r *Request, name string) string
	Data   any // the module's own
}

// Addresses are the local addresses that a host answers on; port 0 is every
// port, the unspecified address every address. For the main server: what is
// listened on and is no virtual host's.
func (v *VirtualHost) Addresses() []netip.AddrPort {
	if v.index > 0 {
		return v.keys
	}
	var out []netip.AddrPort
	for _, l := range v.server.Listen {
		a, ok := l.Local()
		if ok && v.server.Hosts(a).Default == v {
			out = append(out, a)
		}
	}
	return out
}

// Local is the local address that connections to the listener have, but for the
// address where it listens on all; not valid for Unix sockets. false: the
// service manager will say it.
func (l *ListenSpec) Local() (netip.AddrPort, bool) {
	switch l.Network {
	case "unix":
		return netip.AddrPort{}, true
	case "systemd":
		return netip.AddrPort{}, false
	}
	host, port, err := net.SplitHostPort(l.Addr)
	if err != nil {
		return netip.AddrPort{}, false
	}
	a, err := netip.ParseAddr(host)
	if err != nil {
		a = netip.IPv6Unspecified()
	}
	n, _ := strconv.ParseUint(port, 10, 16)
	return netip.AddrPortFrom(a, uint16(n)), true
}

// All are the hosts that answer on the address, in file order.
func (h *HostSet) All() []*VirtualHost {
	if len(h.hosts) == 0 {
		return []*VirtualHost{h.Default}
	}
	return h.hosts
}
