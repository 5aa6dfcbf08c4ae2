// TLS: which settings a handshake has, what requests know of their connection,
// and whether the host of a request may be served on it. The transport is that
// of package listen, the settings of a host are those of package mod/ssl.
package worker

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/tls"
	"encoding/binary"
	"fmt"
	"html"
	"net/netip"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"modwsgi/gocore/internal/conf"
	"modwsgi/gocore/internal/httpd"
	"modwsgi/gocore/internal/listen"
	"modwsgi/gocore/internal/mod/ssl"
)

// ticketPeriod is how long a key makes new tickets. Those of the period before
// are still taken, so a session can be resumed for up to twice as long.
const ticketPeriod = 12 * time.Hour

// tlsHosts are the hosts that speak TLS.
type tlsHosts struct {
	hosts  map[*httpd.VirtualHost]*ssl.Host
	bySet  sync.Map // *httpd.HostSet -> *tls.Config
	secret [32]byte
	period atomic.Int64 // of the tickets' keys, from 1
}

// newTLS prepares the hosts; files is what the supervisor read. nil: no host speaks TLS.
func newTLS(srv *httpd.Server, files ssl.Files) (*tlsHosts, error) {
	hosts, diags := ssl.Load(srv, files, time.Now())
	for _, d := range diags {
		if d.Severity == conf.Error {
			return nil, fmt.Errorf("%s", d.String())
		}
	}
	if len(hosts) == 0 {
		return nil, nil
	}
	for v, h := range hosts {
		h.Config.NextProtos = alpn(v)
	}
	t := &tlsHosts{hosts: hosts, secret: srv.Key("tickets of TLS sessions")}
	t.rotate(time.Now())
	return t, nil
}

// alpn is what a handshake may agree on; nil: nothing is said of protocols, which
// means HTTP/1.1.
func alpn(v *httpd.VirtualHost) []string {
	if !slices.Contains(v.Protocols, "h2") {
		return nil
	}
	list := slices.DeleteFunc(slices.Clone(v.Protocols), func(p string) bool { return p == "h2c" })
	if !slices.Contains(list, "http/1.1") {
		list = append(list, "http/1.1")
	}
	return list
}

// rotate gives the hosts the keys of their tickets when it is time. The keys
// follow from the server's secret and the clock, so that all processes that
// accept connections, also those before and after a restart, take each other's
// tickets; a ticket is good for hosts only that demand the same of clients.
func (t *tlsHosts) rotate(now time.Time) {
	n := now.Unix()/int64(ticketPeriod/time.Second) + 1
	if t.period.Swap(n) == n {
		return
	}
	for _, h := range t.hosts {
		keys := make([][32]byte, 2)
		for i := range keys {
			m := hmac.New(sha256.New, t.secret[:])
			var period [8]byte
			binary.BigEndian.PutUint64(period[:], uint64(n-int64(i)))
			m.Write(period[:])
			m.Write([]byte(h.Policy()))
			m.Sum(keys[i][:0])
		}
		h.Config.SetSessionTicketKeys(keys)
	}
}

// config is for connections to the addresses of a set: the host follows from
// the name in the handshake.
func (t *tlsHosts) config(hosts *httpd.HostSet) *tls.Config {
	if c, ok := t.bySet.Load(hosts); ok {
		return c.(*tls.Config)
	}
	c, _ := t.bySet.LoadOrStore(hosts, &tls.Config{MinVersion: tls.VersionTLS12,
		GetConfigForClient: func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
			return t.choose(hosts, hello.ServerName).Config, nil
		}})
	return c.(*tls.Config)
}

// choose finds the host for a name (SNI), the first of the address if there is
// no name, or none that speaks TLS has it.
func (t *tlsHosts) choose(hosts *httpd.HostSet, name string) *ssl.Host {
	if name != "" {
		if h := t.hosts[hosts.Select([]byte(name))]; h != nil {
			return h
		}
	}
	return t.hosts[hosts.Default]
}

// secured is what a TLS connection remembers, in place of its HostSet.
type secured struct {
	hosts *httpd.HostSet
	host  *ssl.Host // of the handshake
	conn  *httpd.Secure
	bare  bool // the client named none of several hosts
	stale bool // made under another configuration, whose demands were less
}

// client gives the hosts of a connection, and what a TLS connection remembers; nil: clear text.
func (d *dispatcher) client(c *listen.Conn) (*httpd.HostSet, *secured) {
	switch u := c.User.(type) {
	case *secured:
		return u.hosts, u
	case *httpd.HostSet:
		if c.Secure == nil || d.tls == nil {
			return u, nil
		}
		h := d.tls.choose(u, c.Secure.ServerName)
		if h == nil { // the address spoke TLS in the process that it comes from
			return u, nil
		}
		s := &secured{hosts: u, host: h, conn: h.Connection(c.Secure), bare: c.Secure.ServerName == "" && len(u.All()) > 1,
			stale: c.TLS == nil && !h.Admits(c.Secure)} // it came from another process
		c.User = s
		return u, s
	}
	return nil, nil
}

// secure tells the request of its connection.
func (d *dispatcher) secure(c *listen.Conn, r *httpd.Request) {
	if c.Secure == nil {
		return
	}
	if _, s := d.client(c); s != nil {
		r.TLS, r.Secure = true, s.conn
	}
}

// Secured implements listen.SecureHandler.
func (d *dispatcher) Secured(c *listen.Conn, err error) {
	if err != nil {
		v := d.w.srv.Hosts(c.Local).Default
		if v.LogLevel.Level("ssl") >= httpd.LevelInfo {
			d.w.record(v, nil, httpd.LevelInfo, "ssl", fmt.Sprintf("AH02008: TLS handshake with %s failed (server %s:%d): %v", clientText(c.Remote), v.ServerName, c.Local.Port(), err))
		}
		return
	}
	if _, s := d.client(c); s != nil {
		c.Settings = d.settings[s.host.V]
	}
}

// secureVar finds a variable of the connection for an application or a script; false: it is not encrypted.
func (d *dispatcher) secureVar(wire uint32, name string) (string, bool) {
	c := listen.WireConn(wire)
	if c == nil || c.Secure == nil {
		return "", false
	}
	_, s := d.client(c)
	switch {
	case s == nil:
		return "", false
	case name == "HTTPS":
		return "on", true
	}
	return s.conn.Lookup(nil, name), true
}

func clientText(a netip.AddrPort) string {
	if !a.IsValid() {
		return "a client"
	}
	return netip.AddrPortFrom(a.Addr().Unmap(), a.Port()).String()
}

// misplaced judges a request by its host and connection. handled: it was
// answered, because the host is not to be served on such a connection.
func (d *dispatcher) misplaced(c *listen.Conn, q *listen.Req, s *secured, host *httpd.VirtualHost) (a listen.Action, handled bool) {
	named := q.Head.Host.Len > 0 || s == nil || c.Secure.ServerName == ""
	if s == nil {
		if !host.TLS {
			return 0, false
		}
		hosts, _ := d.client(c)
		if first := hosts.Default; !first.TLS {
			d.tell(host, "AH02032: a request in clear text for the host %s, which speaks TLS only", host.ServerName)
			return d.status(c, q, first, d.request(c, q, first), 421, atOnce), true
		}
		return d.clearText(c, q, hosts.Default), true // as if no host had been chosen
	}
	if !named {
		d.tell(host, "AH02031: a request without a host, on a connection that was made for %s", c.Secure.ServerName)
		q.KeepAlive = 0
		return d.status(c, q, host, d.request(c, q, host), 400, atOnce), true
	}
	status, why := s.host.Misdirected(host, c.Secure.ServerName, s.bare)
	if status == 0 && s.stale {
		status, why = 421, "the connection was made before a restart and lacks what is demanded now"
		q.KeepAlive = 0
	}
	if status == 0 {
		return 0, false
	}
	if status == 403 {
		d.tell(host, "AH02033: %s", why)
	} else {
		d.tell(host, "AH02032: %s", why)
	}
	r := d.request(c, q, host)
	if status == 403 {
		r.Note(httpd.NoteError, "<p>The browser did not say in the handshake which host it wants (SNI), which is needed here.</p>\n")
	}
	return d.status(c, q, host, r, status, atOnce), true
}

// tell writes a record about a client of the host.
func (d *dispatcher) tell(v *httpd.VirtualHost, format string, a ...any) {
	d.w.record(v, nil, levelErr, "ssl", fmt.Sprintf(format, a...))
}

// clearText answers HTTP where TLS is spoken, with the address to use.
func (d *dispatcher) clearText(c *listen.Conn, q *listen.Req, host *httpd.VirtualHost) listen.Action {
	if host.LogLevel.Level("ssl") >= httpd.LevelInfo {
		d.w.record(host, nil, httpd.LevelInfo, "ssl", fmt.Sprintf("AH01996: %s speaks HTTP on an HTTPS port; it gets a page that says so", clientText(c.Remote)))
	}
	r := d.request(c, q, host)
	name, port := httpd.SplitHost(r.HostName)
	if name == "" || host.UseCanonicalName {
		name, port = host.ServerName, ""
	}
	if port == "" && host.SelfPort != 0 {
		port = strconv.Itoa(host.SelfPort)
	} else if port == "" {
		port = strconv.Itoa(int(c.Local.Port()))
	}
	url := "https://" + name
	if port != "443" && port != "0" {
		url += ":" + port
	}
	url = html.EscapeString(url + "/")
	r.Note(httpd.NoteError, "<p>Reason: You're speaking plain HTTP to an SSL-enabled server port. Use HTTPS: <a href=\""+url+"\">"+url+"</a></p>\n")
	q.KeepAlive = 0
	return d.status(c, q, host, r, 400, atOnce)
}

var _ listen.SecureHandler = (*dispatcher)(nil)
