// Virtual hosts: their settings, their addresses, and the choice for a
// connection and a request. Rules: Apache manual, "An In-Depth Discussion of
// Virtual Host Matching".
package httpd

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"time"

	"modwsgi/gocore/internal/conf"
)

// hostGlob is a ServerAlias with wildcards.
type hostGlob struct {
	pattern string
	host    *VirtualHost
}

// nameRef is an exact name of a host in a HostSet.
type nameRef struct {
	host *VirtualHost
	rank int // position of the host in the set
}

// mainSettings copies what the main server alone decides.
func (b *builder) mainSettings() {
	s, c := b.s, b.s.Main.base.core
	s.Listen = c.Listen
	s.User, s.Group = c.User, c.Group
	s.PidFile = c.PidFile
	s.DefaultRuntimeDir = c.DefaultRuntimeDir
	s.ListenBacklog = c.ListenBacklog
	s.SendBuffer, s.ReceiveBuffer = c.SendBuffer, c.RecvBuffer
	s.MaxRequestWorkers, s.MaxConnectionsPerChild = c.MaxRequestWorkers, c.MaxConnPerChild
	s.ThreadStackSize = c.ThreadStackSize
	s.StartServers, s.ServerLimit, s.ThreadsPerChild = c.StartServers, c.ServerLimit, c.ThreadsPerChild
	s.GracefulShutdownTimeout = c.GracefulShutdownTimeout
	s.ErrorLog = c.ErrorLog.V
	s.Software = software(c.ServerTokens.Or("Full"))
	if len(s.Listen) == 0 {
		b.diags = append(b.diags, conf.Diagnostic{Severity: conf.Error, Code: CodeNoListen, Message: "no Listen directive: the server would listen on nothing", Suggestion: "Listen 80"})
	}
}

// hostSettings fills in a host's public fields.
func (b *builder) hostSettings(v *VirtualHost, h *hostBuild) {
	c := v.base.core
	name := c.ServerName.V
	if name.Host == "" {
		name.Host, _ = os.Hostname()
		if name.Host == "" {
			name.Host = "localhost"
		}
	}
	v.ServerName, v.ServerPort, v.ServerScheme = name.Host, name.Port, name.Scheme
	v.Aliases = c.ServerAlias
	v.ServerAdmin = c.ServerAdmin.V
	v.KeepAlive = c.KeepAlive.Or(true)
	v.KeepAliveTimeout = c.KeepAliveTimeout.Or(5 * time.Second)
	v.Timeout = c.Timeout.Or(60 * time.Second)
	v.MaxKeepAliveRequests = c.MaxKeepAliveRequests.Or(100)
	v.Protocols = c.Protocols.Or([]string{"http/1.1"})
	v.LimitLine = c.LimitLine.Or(8190)
	v.LimitFields = c.LimitFields.Or(100)
	v.LimitFieldSize = c.LimitFieldSize.Or(8190)
	v.UseCanonicalName, v.UseCanonicalPhysicalPort = c.UseCanonicalName.Or("off") != "off", c.UseCanonicalPhysicalPort.V
	v.MergeTrailers = c.MergeTrailers.V
	v.TraceEnable = c.TraceEnable.Or("on") != "off"
	v.ErrorLog, v.ErrorLogFormat = c.ErrorLog.V, c.ErrorLogFormat.V
	v.ErrorLogConnection, v.ErrorLogRequest = c.ErrorLogConnection, c.ErrorLogRequest
	v.LogLevel = c.LogLevel.Or(LogLevels{Default: LevelWarn})
	for _, x := range append(append([]*section(nil), v.sections.dirs...), v.sections.dirMatch...) {
		if o, ok := x.core(b.s.coreSlot); ok && (o.AllowOverride.V != 0 || len(o.AllowOverrideList.V) > 0) {
			v.sections.htaccess = true
		}
	}
	lacks := func(c *CoreConfig) bool {
		return c.OptGiven && c.OptSet&OptFollowSymLinks == 0 || c.OptRemove&OptFollowSymLinks != 0
	}
	v.sections.symlinks = lacks(c)
	for _, list := range [][]*section{v.sections.dirs, v.sections.dirMatch} {
		for _, x := range list {
			if o, ok := x.core(b.s.coreSlot); ok && lacks(o) {
				v.sections.symlinks = true
			}
		}
	}
	v.SelfPort = selfPort(b.s.coreSlot, h, name)
	if v.ServerPort == 0 && len(b.s.Listen) > 0 {
		v.ServerPort = portOf(b.s.Listen[0].Addr)
	}
}

// selfPort is the port in URLs of a host: that of its ServerName; of one
// without ServerName that of its address; 0: neither has one. name is the
// ServerName that holds, maybe the main server's. Source: ap_get_server_port.
func selfPort(slot int, h *hostBuild, name ServerNameSpec) int {
	port := name.Port
	if own, _ := h.conf[slot].(*CoreConfig); h.spec != nil && (own == nil || !own.ServerName.Set) {
		port = 0
		if len(h.spec.Args) > 0 {
			if keys, _, err := vhostAddr(h.spec.Args[0]); err == nil && len(keys) > 0 {
				port = int(keys[0].Port())
			}
		}
	}
	return port
}

// core returns the section's own core settings.
func (x *section) core(slot int) (*CoreConfig, bool) {
	c, ok := x.conf[slot].(*CoreConfig)
	return c, ok
}

// addresses builds the sets of hosts by address.
func (b *builder) addresses(all []*hostBuild, hosts []*VirtualHost) {
	s := b.s
	s.sets = map[netip.AddrPort]*HostSet{}
	for i, v := range hosts[1:] {
		d := all[i+1].spec
		if len(d.Args) == 0 {
			b.report(d, conf.Error, CodeVhostAddress, "<VirtualHost *:80>", "needs an address")
			continue
		}
		for _, arg := range d.Args {
			keys, name, err := vhostAddr(arg)
			if err != nil {
				b.report(d, conf.Error, CodeVhostAddress, "<VirtualHost *:80>", "%v", err)
				continue
			}
			if h, _ := SplitHost(arg); h != "*" {
				v.addrs = append(v.addrs, h)
			}
			v.keys = append(v.keys, keys...)
			for _, key := range keys {
				if p := int(key.Port()); p != 0 && v.base.core.ServerName.V.Port == 0 {
					v.ServerPort = p
				}
				set := s.sets[key]
				if set == nil {
					set = &HostSet{Default: v, byName: map[string]nameRef{}}
					s.sets[key] = set
				}
				set.add(v, name)
			}
		}
	}
	for i := range s.sets {
		s.sets[i].lowerRank()
	}
	s.mainSet = &HostSet{Default: s.Main}
}

// vhostAddr reads one argument of <VirtualHost>. name is set when it was
// written as a name.
func vhostAddr(arg string) (keys []netip.AddrPort, name string, err error) {
	host, port := arg, 0
	if i := strings.LastIndexByte(arg, ':'); i >= 0 && !strings.HasSuffix(arg, "]") && (strings.HasPrefix(arg, "[") || strings.Count(arg, ":") == 1) {
		host = arg[:i]
		if p := arg[i+1:]; p != "*" {
			n, err := strconv.ParseUint(p, 10, 16)
			if err != nil || n == 0 {
				return nil, "", fmt.Errorf("%q has no valid port", arg)
			}
			port = int(n)
		}
	}
	if host == "*" || strings.EqualFold(host, "_default_") || host == "" {
		return []netip.AddrPort{netip.AddrPortFrom(netip.IPv6Unspecified(), uint16(port))}, "", nil
	}
	if a, err := netip.ParseAddr(strings.Trim(host, "[]")); err == nil {
		if a.IsUnspecified() {
			a = netip.IPv6Unspecified()
		}
		return []netip.AddrPort{netip.AddrPortFrom(a.Unmap().WithZone(""), uint16(port))}, "", nil
	}
	ips, err := net.LookupIP(host)
	if err != nil || len(ips) == 0 {
		return nil, "", fmt.Errorf("cannot find the address of %q", host)
	}
	for _, ip := range ips {
		if a, ok := netip.AddrFromSlice(ip); ok {
			keys = append(keys, netip.AddrPortFrom(a.Unmap(), uint16(port)))
		}
	}
	return keys, strings.ToLower(host), nil
}

// add appends a host to the set. A second address that maps to the same set
// changes nothing.
func (h *HostSet) add(v *VirtualHost, spec string) {
	if len(h.hosts) == 0 || h.hosts[len(h.hosts)-1] != v {
		rank := len(h.hosts)
		h.hosts = append(h.hosts, v)
		put := func(name string) {
			name = strings.TrimSuffix(strings.ToLower(name), ".")
			if strings.ContainsAny(name, "*?") {
				h.globs = append(h.globs, hostGlob{name, v})
			} else if _, ok := h.byName[name]; !ok {
				h.byName[name] = nameRef{v, rank}
			}
		}
		put(v.ServerName)
		for _, a := range v.Aliases {
			put(a)
		}
	}
	if spec != "" {
		h.specs = append(h.specs, hostGlob{spec, v})
	}
}

// Answers reports whether a name and port are this host's own: ServerName,
// a ServerAlias, or what <VirtualHost> says.
func (v *VirtualHost) Answers(name string, port int) bool {
	if v.ServerPort != 0 && port != v.ServerPort {
		return false
	}
	name = strings.ToLower(strings.TrimSuffix(name, "."))
	if strings.EqualFold(name, v.ServerName) {
		return true
	}
	for _, a := range v.Aliases {
		if a = strings.ToLower(a); a == name || HasWildcard(a) && Fnmatch(a, name, false) {
			return true
		}
	}
	for _, a := range v.addrs {
		if strings.EqualFold(a, name) {
			return true
		}
	}
	return false
}

// lowerRank adds the names written in <VirtualHost> lines, which count only
// when no ServerName or ServerAlias matches.
func (h *HostSet) lowerRank() {
	for _, s := range h.specs {
		if _, ok := h.byName[s.pattern]; !ok {
			h.byName[s.pattern] = nameRef{s.host, len(h.hosts)}
		}
	}
}

// Hosts returns the virtual hosts for a connection's local address: those of
// the exact address before the wildcard ones, the exact port before any port;
// the main server if there are none. Never nil; any goroutine.
func (s *Server) Hosts(local netip.AddrPort) *HostSet {
	a, p := local.Addr().Unmap().WithZone(""), local.Port()
	any6 := netip.IPv6Unspecified()
	for _, k := range [4]netip.AddrPort{netip.AddrPortFrom(a, p), netip.AddrPortFrom(a, 0), netip.AddrPortFrom(any6, p), netip.AddrPortFrom(any6, 0)} {
		if h := s.sets[k]; h != nil {
			return h
		}
	}
	return s.mainSet
}

// Select chooses the virtual host by the Host header's value (or the authority
// of an absolute-form target), port included or not: in file order the first
// whose ServerName or ServerAlias matches, else the first of the set. It does
// not allocate; any goroutine.
func (h *HostSet) Select(host []byte) *VirtualHost {
	if len(h.hosts) < 2 {
		return h.Default
	}
	var buf [256]byte
	n := 0
	for i := 0; i < len(host); i++ {
		c := host[i]
		if c == ':' && (host[0] != '[' || i > 0 && host[i-1] == ']') {
			break
		}
		if n == len(buf) {
			return h.Default
		}
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		buf[n] = c
		n++
	}
	if n > 0 && buf[n-1] == '.' {
		n--
	}
	ref, ok := h.byName[string(buf[:n])]
	for _, g := range h.globs {
		if ok && h.rank(g.host) >= ref.rank {
			break // globs are in file order
		}
		if Fnmatch(g.pattern, buf[:n], false) {
			return g.host
		}
	}
	if ok {
		return ref.host
	}
	return h.Default
}

// rank is the host's position in the set.
func (h *HostSet) rank(v *VirtualHost) int {
	for i, x := range h.hosts {
		if x == v {
			return i
		}
	}
	return len(h.hosts)
}

func portOf(addr string) int {
	_, p, err := net.SplitHostPort(addr)
	if err != nil {
		return 0
	}
	n, _ := strconv.Atoi(p)
	return n
}
