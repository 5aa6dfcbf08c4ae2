// This file finds the client's address: from the end of the field to its
// beginning, as long as the one who added an entry is believed.
//
// Source: Apache manual, mod_remoteip, "Remote IP Processing".

package remoteip

import (
	"net/netip"
	"slices"
	"strings"

	"modwsgi/gocore/internal/httpd"
)

// private lists networks that no client of the public Internet has. A proxy
// that is trusted but not internal cannot name a client there.
var private = []netip.Prefix{
	netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("172.16.0.0/12"), netip.MustParsePrefix("192.168.0.0/16"),
	netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("169.254.0.0/16"),
}

// public6 is the only part of IPv6 that is in public use (RFC 4291 section 2.4, IANA).
var public6 = netip.MustParsePrefix("2000::/3")

func isPrivate(a netip.Addr) bool {
	if a.Is6() {
		return !public6.Contains(a)
	}
	return slices.ContainsFunc(private, func(p netip.Prefix) bool { return p.Contains(a) })
}

// unixPeer stands for who connects to a Unix socket: a process of this machine
// that the permissions of the socket admit.
var unixPeer = netip.MustParseAddrPort("127.0.0.1:0")

// postRead changes r.Remote and takes the entries that were believed out of
// the field.
func postRead(r *httpd.Request, c *Config) httpd.Status {
	if c.header.V == "" {
		return httpd.Declined
	}
	peer := r.Remote
	if !peer.IsValid() {
		peer = unixPeer
	}
	text, ok := r.Get(c.header.V)
	if !ok {
		return httpd.Declined
	}
	addr, rest, via, why := c.client(peer.Addr().Unmap().WithZone(""), text)
	if why != "" {
		r.Logf(httpd.LevelDebug, "remoteip", "%s: %s", c.header.V, why)
	}
	if !addr.IsValid() {
		return httpd.Declined
	}
	fields := make([]httpd.Field, 0, len(r.Header)+1)
	for _, f := range r.Header {
		if !strings.EqualFold(f.Name, c.header.V) && (c.proxiesField.V == "" || !strings.EqualFold(f.Name, c.proxiesField.V)) {
			fields = append(fields, f)
		}
	}
	if rest != "" {
		fields = append(fields, httpd.Field{Name: c.header.V, Value: rest})
	}
	if via != "" {
		r.Note("remoteip-proxy-ip-list", via)
		if c.proxiesField.V != "" {
			fields = append(fields, httpd.Field{Name: c.proxiesField.V, Value: via})
		}
	}
	r.SetHeader(fields)
	r.Remote = netip.AddrPortFrom(addr, peer.Port())
	return httpd.Declined
}

// client walks the entries of the field from the last to the first. addr is
// not valid if none was believed; rest is what is left of the field, via the
// proxies that were passed but for internal ones, why the reason to stop early.
func (c *Config) client(peer netip.Addr, text string) (addr netip.Addr, rest, via, why string) {
	at, internal := peer, false
	rest = text
	for rest != "" {
		if len(c.proxies) > 0 {
			i := slices.IndexFunc(c.proxies, func(p proxy) bool { return p.Contains(at) })
			if i < 0 {
				return addr, rest, via, ""
			}
			internal = c.proxies[i].internal
		}
		before, last, several := cutLast(rest)
		entry := strings.Trim(last, " \t")
		if entry == "" {
			return addr, strings.TrimRight(before, " \t"), via, "an entry is empty"
		}
		next, err := netip.ParseAddr(entry)
		if err != nil || next.Zone() != "" {
			return addr, rest, via, "an entry is not an address: " + entry
		}
		if next = next.Unmap(); !internal && isPrivate(next) {
			return addr, rest, via, "a proxy that is not internal names a private address: " + entry
		}
		if !internal {
			if via != "" {
				via += ", "
			}
			via += at.String()
		}
		addr, at, rest = next, next, strings.TrimRight(before, " \t")
		if !several {
			rest = ""
		}
	}
	return addr, rest, via, ""
}

// cutLast divides a list before its last entry.
func cutLast(s string) (before, last string, several bool) {
	if i := strings.LastIndexByte(s, ','); i >= 0 {
		return s[:i], s[i+1:], true
	}
	return "", s, false
}
