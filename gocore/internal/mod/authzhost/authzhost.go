// Package authzhost is mod_authz_host: Require lines that look at where the
// client connects from: ip, host, forward-dns and local.
package authzhost

import (
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"modwsgi/gocore/internal/dns"
	"modwsgi/gocore/internal/httpd"
	"modwsgi/gocore/internal/mod/authzcore"
)

// Module is mod_authz_host for IfModule; its work is in Providers.
var Module = &httpd.Module[struct{}]{Name: "authzhost", ID: "authz_host_module", File: "mod_authz_host.c"}

// Providers are the Require providers of the module.
var Providers = []authzcore.Provider{
	{Name: "ip", Parse: parseIP},
	{Name: "host", Parse: parseHost},
	{Name: "forward-dns", Parse: parseForwardDNS},
	{Name: "local", Parse: parseLocal},
}

// Client is the client's address as the rules compare it: IPv4 in an IPv6
// socket is IPv4, and zones do not count. It is not valid on a Unix socket.
func Client(r *httpd.Request) netip.Addr { return r.Remote.Addr().Unmap().WithZone("") }

func parseIP(_ *httpd.Cmd, args []string) (authzcore.Check, error) {
	if len(args) == 0 {
		return nil, errors.New("needs an address")
	}
	nets := make([]netip.Prefix, 0, len(args))
	for _, a := range args {
		p, err := ParseSubnet(a)
		if err != nil {
			return nil, err
		}
		nets = append(nets, p)
	}
	return func(r *httpd.Request) authzcore.Result {
		addr := Client(r)
		for _, p := range nets {
			if p.Contains(addr) {
				return authzcore.Granted
			}
		}
		return authzcore.Denied
	}, nil
}

// ParseSubnet reads an address or network as Require ip and Allow from take
// it: a whole address, the first bytes of an IPv4 address (10.1), an address
// with a netmask (10.1.0.0/255.255.0.0) or a prefix length (10.1.0.0/16,
// 2001:db8::/32).
func ParseSubnet(s string) (netip.Prefix, error) {
	bad := fmt.Errorf("%q is not an address, network or netmask", s)
	text, mask, hasMask := strings.Cut(s, "/")
	addr, known, err := partialAddr(text)
	if err != nil {
		return netip.Prefix{}, bad
	}
	bits := known
	if hasMask {
		if n, err := strconv.ParseUint(mask, 10, 8); err == nil {
			bits = int(n)
		} else if bits, err = maskBits(mask, addr); err != nil {
			return netip.Prefix{}, bad
		}
	}
	if addr.Is4In6() {
		addr, bits = addr.Unmap(), bits-96
	}
	if bits < 0 || bits > addr.BitLen() {
		return netip.Prefix{}, bad
	}
	p, err := addr.Prefix(bits)
	if err != nil {
		return netip.Prefix{}, bad
	}
	return p, nil
}

// partialAddr reads a whole address or the first bytes of an IPv4 one, and
// says how many bits were given.
func partialAddr(s string) (addr netip.Addr, bits int, err error) {
	if strings.Contains(s, ":") {
		if addr, err = netip.ParseAddr(s); err != nil {
			return addr, 0, err
		}
		if addr.Zone() != "" {
			return addr, 0, errors.New("zone")
		}
		return addr, addr.BitLen(), nil
	}
	parts := strings.Split(strings.TrimSuffix(s, "."), ".")
	var b [4]byte
	if len(parts) > 4 {
		return addr, 0, errors.New("too long")
	}
	for i, p := range parts {
		n, err := strconv.ParseUint(p, 10, 8)
		if err != nil || len(p) > 3 {
			return addr, 0, errors.New("not a number")
		}
		b[i] = byte(n)
	}
	return netip.AddrFrom4(b), 8 * len(parts), nil
}

// maskBits reads a netmask of the address's family; its ones must come first.
func maskBits(s string, of netip.Addr) (int, error) {
	m, err := netip.ParseAddr(s)
	if err != nil || m.BitLen() != of.BitLen() {
		return 0, errors.New("not a netmask")
	}
	bits, ended := 0, false
	for _, b := range m.AsSlice() {
		for i := 7; i >= 0; i-- {
			one := b>>i&1 == 1
			if one && ended {
				return 0, errors.New("not a netmask")
			}
			if one {
				bits++
			} else {
				ended = true
			}
		}
	}
	return bits, nil
}

func parseLocal(_ *httpd.Cmd, args []string) (authzcore.Check, error) {
	if len(args) != 0 {
		return nil, errors.New("takes no arguments")
	}
	return func(r *httpd.Request) authzcore.Result {
		addr := Client(r)
		if addr.IsValid() && (addr.IsLoopback() || addr == r.Local.Addr().Unmap().WithZone("")) {
			return authzcore.Granted
		}
		return authzcore.Denied
	}, nil
}

func parseHost(_ *httpd.Cmd, args []string) (authzcore.Check, error) {
	if len(args) == 0 {
		return nil, errors.New("needs a host or domain name")
	}
	return func(r *httpd.Request) authzcore.Result {
		for _, domain := range args {
			if InDomain(r, domain) {
				return authzcore.Granted
			}
		}
		return authzcore.Denied
	}, nil
}

// InDomain says whether the client has a name in the domain, by a look-up of its
// address and of the names found. It may wait, and sends the request to where
// that is possible.
func InDomain(r *httpd.Request, domain string) bool {
	for _, name := range dns.System.VerifiedNames(Client(r), func() { r.Need(httpd.OnWorker) }) {
		if inDomain(domain, name) {
			return true
		}
	}
	return false
}

// inDomain: the name is the domain, or ends in it at a label.
func inDomain(domain, name string) bool {
	domain, name = strings.TrimSuffix(domain, "."), strings.TrimSuffix(name, ".")
	if len(domain) > len(name) || domain == "" {
		return false
	}
	cut := len(name) - len(domain)
	if !strings.EqualFold(name[cut:], domain) {
		return false
	}
	return cut == 0 || domain[0] == '.' || name[cut-1] == '.'
}

func parseForwardDNS(_ *httpd.Cmd, args []string) (authzcore.Check, error) {
	if len(args) == 0 {
		return nil, errors.New("needs a host name")
	}
	return func(r *httpd.Request) authzcore.Result {
		addr := Client(r)
		if !addr.IsValid() {
			return authzcore.Denied
		}
		for _, name := range args {
			for _, a := range dns.System.Addresses(name, func() { r.Need(httpd.OnWorker) }) {
				if a == addr {
					return authzcore.Granted
				}
			}
		}
		return authzcore.Denied
	}, nil
}
