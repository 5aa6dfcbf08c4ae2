// This file writes one log line for one request. It is on the hot path of
// every logged request: no allocation once the buffer has grown.

package logconfig

import (
	"bytes"
	"cmp"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"time"

	"modwsgi/gocore/internal/httpd"
	"modwsgi/gocore/internal/mod/logio"
	"modwsgi/gocore/internal/timefmt"
)

// pid does not change: a worker never forks.
var pid = os.Getpid()

// Append appends the line for e, with its line feed, to dst. clock may be nil.
// The caller owns clock for the duration of the call; the rest is only read.
func (f *Format) Append(dst []byte, server *Server, e *httpd.LogEntry, clock *stamp) []byte {
	for i := range f.items {
		it := &f.items[i]
		if it.op == opLiteral {
			dst = append(dst, it.arg...)
			continue
		}
		if it.statuses != nil && it.listed(e.Status) == it.negate {
			dst = append(dst, '-')
			continue
		}
		mark := len(dst)
		dst = it.append(dst, server, e, clock)
		if len(dst) == mark && !it.mayBeEmpty() {
			dst = append(dst, '-')
		}
	}
	return dst
}

// mayBeEmpty tells the items that print nothing at all when their value is the
// empty string; for the others "-" stands for "none".
func (it *item) mayBeEmpty() bool {
	switch it.op {
	case opQuery, opHeaderIn, opHeaderOut, opEnv, opCookie:
		return true // they print their own "-" when the name is not there
	case opTime:
		return it.unit == unitStrftime
	}
	return false
}

func (it *item) listed(status int) bool {
	for _, s := range it.statuses {
		if s == status {
			return true
		}
	}
	return false
}

// append appends the value of one item, or nothing when there is none.
func (it *item) append(dst []byte, server *Server, e *httpd.LogEntry, clock *stamp) []byte {
	switch it.op {
	case opClientIP:
		return appendAddr(dst, e.Remote)
	case opPeerIP:
		return appendAddr(dst, e.Peer)
	case opHost:
		if e.RemoteName != "" {
			return appendEscaped(dst, e.RemoteName)
		}
		return appendAddr(dst, e.Remote)
	case opLocalIP:
		return appendAddr(dst, e.Local)
	case opBytes:
		return strconv.AppendInt(dst, e.BytesSent, 10)
	case opBytesCLF:
		if e.BytesSent == 0 {
			return append(dst, '-')
		}
		return strconv.AppendInt(dst, e.BytesSent, 10)
	case opBytesIn:
		return strconv.AppendInt(dst, e.BytesIn, 10)
	case opBytesOut:
		return strconv.AppendInt(dst, e.BytesOut, 10)
	case opBytesAll:
		return strconv.AppendInt(dst, e.BytesIn+e.BytesOut, 10)
	case opCookie:
		return appendCookie(dst, e.HeaderLookup, it.arg)
	case opFirstByte:
		if e.FirstByte <= 0 || !logio.Tracks(e.Request()) {
			return dst
		}
		return strconv.AppendInt(dst, e.FirstByte.Microseconds(), 10)
	case opDuration:
		return appendDuration(dst, it.unit, e.Duration)
	case opEnv:
		return appendNamed(dst, e.EnvLookup, it.arg)
	case opHeaderIn:
		return appendNamed(dst, e.HeaderLookup, it.arg)
	case opSecure:
		return it.appendSecure(dst, e)
	case opTrailerIn:
		if e.TrailerLookup == nil {
			return dst
		}
		return appendNamed(dst, e.TrailerLookup, it.arg)
	case opTrailerOut:
		if e.Final == nil {
			return dst
		}
		return appendNamed(dst, e.Final.OutTrailer, it.arg)
	case opHeaderOut:
		return appendHeaderOut(dst, e, it.arg)
	case opNote:
		return appendNamed(dst, e.NoteLookup, it.arg)
	case opFile:
		if it.original && e.First != nil {
			return appendEscaped(dst, e.First.Filename)
		}
		return appendEscaped(dst, e.Script)
	case opHandler:
		if it.original && e.First != e.Final {
			return appendEscaped(dst, e.First.Handler)
		}
		return appendEscaped(dst, e.Handler)
	case opLogID:
		return append(dst, e.LogID...)
	case opProto:
		return appendEscaped(dst, e.Proto)
	case opKeepAlives:
		return strconv.AppendInt(dst, int64(e.KeepAlives), 10)
	case opMethod:
		if !it.original && e.First != e.Final {
			return appendEscaped(dst, e.Final.Method)
		}
		return appendEscaped(dst, e.Method)
	case opPort:
		return server.appendPort(dst, it.unit, e)
	case opPID:
		return strconv.AppendInt(dst, int64(pid), 10)
	case opTID:
		if it.unit == idHex {
			return strconv.AppendInt(append(dst, "0x"...), int64(threadID()), 16)
		}
		return strconv.AppendInt(dst, int64(threadID()), 10)
	case opQuery:
		if !it.original && e.First != e.Final {
			if e.Final.Query == "" {
				return dst
			}
			return appendEscaped(append(dst, '?'), e.Final.Query)
		}
		if q := bytes.IndexByte(e.Target, '?'); q >= 0 {
			return appendEscaped(dst, e.Target[q:])
		}
		return dst
	case opRequestLine:
		return appendEscaped(dst, e.Line)
	case opStatus:
		return appendStatus(dst, it, e)
	case opTime:
		return it.appendTime(dst, e, clock)
	case opUser:
		if it.original && e.First != nil {
			return appendEscaped(dst, cmp.Or(e.First.User, e.First.Claimed))
		}
		return appendEscaped(dst, e.RemoteUser)
	case opPath:
		switch {
		case !it.original && e.Final != nil:
			return appendEscaped(dst, e.Final.URI)
		case e.First != nil && e.First.URI != "":
			return appendEscaped(dst, e.First.URI)
		}
		return appendPath(dst, e.Target)
	case opServerName:
		return appendEscaped(dst, server.Name)
	case opHostName:
		if host, _ := splitHost(e.Host); len(host) > 0 && !server.UseCanonical {
			mark := len(dst)
			dst = appendEscaped(dst, host)
			for i := mark; i < len(dst); i++ { // as httpd, in lower case
				if c := dst[i]; 'A' <= c && c <= 'Z' {
					dst[i] = c + 'a' - 'A'
				}
			}
			return dst
		}
		return appendEscaped(dst, server.Name)
	case opConnState:
		return appendConnState(dst, e)
	}
	return dst // opLogname, opNothing: never known here
}

// appendAddr appends the address without port and, for IPv6, without zone
// brackets, as Apache logs it. IPv4-mapped addresses print as IPv4.
func appendAddr(dst []byte, a netip.AddrPort) []byte {
	if !a.Addr().IsValid() {
		return dst // a Unix socket has no address
	}
	return a.Addr().Unmap().AppendTo(dst)
}

// appendNamed appends a looked-up value: "-" when it does not exist, nothing
// when it is empty.
func appendNamed(dst []byte, lookup func(string) (string, bool), name string) []byte {
	if lookup != nil {
		if v, ok := lookup(name); ok {
			return appendEscaped(dst, v)
		}
	}
	return append(dst, '-')
}

// appendSecure appends a variable as %{NAME}x finds it: one of the connection
// (SSL_PROTOCOL) or of the request; "-" when the connection is not encrypted.
func (it *item) appendSecure(dst []byte, e *httpd.LogEntry) []byte {
	if e.SecureLookup == nil {
		return append(dst, '-')
	}
	v, ok := e.SecureLookup(it.arg)
	if ok && !strings.HasPrefix(it.arg, "SSL_") {
		v, _ = e.Request().Var(it.arg)
	}
	if v == "" {
		return append(dst, '-')
	}
	return appendEscaped(dst, v)
}

// appendCookie appends the value of the first cookie of that name. Names
// compare without case, as in Apache.
func appendCookie(dst []byte, lookup func(string) (string, bool), name string) []byte {
	if lookup == nil {
		return append(dst, '-')
	}
	all, _ := lookup("Cookie")
	for all != "" {
		var pair string
		pair, all, _ = strings.Cut(all, ";")
		key, value, _ := strings.Cut(pair, "=")
		if strings.EqualFold(strings.Trim(key, " \t"), name) {
			return appendEscaped(dst, strings.Trim(value, " \t"))
		}
	}
	return append(dst, '-')
}

func appendDuration(dst []byte, u unit, d time.Duration) []byte {
	switch u {
	case unitMillis:
		return strconv.AppendInt(dst, d.Milliseconds(), 10)
	case unitMicros:
		return strconv.AppendInt(dst, d.Microseconds(), 10)
	}
	return strconv.AppendInt(dst, int64(d/time.Second), 10)
}

// appendTime appends %t in one of its forms.
func (it *item) appendTime(dst []byte, e *httpd.LogEntry, clock *stamp) []byte {
	t := e.Start
	if it.end {
		t = t.Add(e.Duration)
	}
	switch it.unit {
	case unitCLF:
		return clock.append(dst, t)
	case unitSeconds:
		return strconv.AppendInt(dst, t.Unix(), 10)
	case unitMillis:
		return strconv.AppendInt(dst, t.UnixMilli(), 10)
	case unitMicros:
		return strconv.AppendInt(dst, t.UnixMicro(), 10)
	case unitMillisFrac:
		return timefmt.AppendPadded(dst, t.Nanosecond()/1_000_000, 3, '0')
	case unitMicrosFrac:
		return timefmt.AppendPadded(dst, t.Nanosecond()/1000, 6, '0')
	}
	return timefmt.AppendStrftime(dst, it.arg, t)
}

// appendHeaderOut appends a field of the response. As in Apache Content-Type
// is shown without its parameters.
func appendHeaderOut(dst []byte, e *httpd.LogEntry, name string) []byte {
	if e.ResponseLookup == nil || !strings.EqualFold(name, "Content-Type") {
		return appendNamed(dst, e.ResponseLookup, name)
	}
	v, ok := e.ResponseLookup(name)
	if !ok {
		return append(dst, '-')
	}
	v, _, _ = strings.Cut(v, ";")
	return appendEscaped(dst, strings.TrimRight(v, " \t"))
}

// appendPath appends the decoded path of a request target. Apache logs
// r->uri: percent-decoded, without query. A sequence that cannot be decoded
// stays as it is.
func appendPath(dst, target []byte) []byte {
	if q := bytes.IndexByte(target, '?'); q >= 0 {
		target = target[:q]
	}
	if len(target) > 0 && target[0] != '/' { // absolute form
		if s := bytes.Index(target, schemeEnd); s > 0 {
			rest := target[s+3:]
			slash := bytes.IndexByte(rest, '/')
			if slash < 0 {
				return append(dst, '/')
			}
			target = rest[slash:]
		}
	}
	var one [1]byte
	start := 0
	for i := 0; i+2 < len(target); i++ {
		if target[i] != '%' {
			continue
		}
		hi, lo := unhex(target[i+1]), unhex(target[i+2])
		if hi < 0 || lo < 0 {
			continue
		}
		dst = appendEscaped(dst, target[start:i])
		one[0] = byte(hi<<4 | lo)
		dst = appendEscaped(dst, one[:])
		i += 2
		start = i + 1
	}
	return appendEscaped(dst, target[start:])
}

var schemeEnd = []byte("://")

func unhex(c byte) int {
	switch {
	case c >= '0' && c <= '9':
		return int(c - '0')
	case c >= 'a' && c <= 'f':
		return int(c-'a') + 10
	case c >= 'A' && c <= 'F':
		return int(c-'A') + 10
	}
	return -1
}

// splitHost divides a Host field value. port is 0 when it names none.
func splitHost(host []byte) (name []byte, port int) {
	colon := bytes.LastIndexByte(host, ':')
	if colon < 0 || bytes.IndexByte(host[colon:], ']') >= 0 {
		return host, 0
	}
	for _, c := range host[colon+1:] {
		if c < '0' || c > '9' || port > 65535 {
			return host, 0
		}
		port = port*10 + int(c-'0')
	}
	return host[:colon], port
}

// appendPort appends %p. The canonical port follows ap_get_server_port: the
// client's Host, then the ServerName or, as UseCanonicalPhysicalPort asks, the
// port of the connection.
func (server *Server) appendPort(dst []byte, u unit, e *httpd.LogEntry) []byte {
	switch u {
	case portLocal:
		return strconv.AppendInt(dst, int64(e.Local.Port()), 10)
	case portRemote:
		return strconv.AppendInt(dst, int64(e.Peer.Port()), 10)
	}
	port := 0
	if !server.UseCanonical {
		_, port = splitHost(e.Host)
	}
	if port == 0 && server.PhysicalPort {
		port = int(e.Local.Port())
	}
	if port == 0 {
		port = int(server.Port)
	}
	if port == 0 {
		port = 80
		if server.DefaultScheme == "https" {
			port = 443
		}
	}
	return strconv.AppendInt(dst, int64(port), 10)
}

// appendConnState appends %X: X when the connection broke before the response
// was complete, + when it may be used again, - when it is closed.
func appendConnState(dst []byte, e *httpd.LogEntry) []byte {
	switch {
	case !e.Completed:
		return append(dst, 'X')
	case e.KeepAlive:
		return append(dst, '+')
	}
	return append(dst, '-')
}

func appendStatus(dst []byte, it *item, e *httpd.LogEntry) []byte {
	status := e.Status
	if it.original && e.FirstStatus != 0 {
		status = e.FirstStatus
	}
	if status <= 0 {
		return append(dst, '-')
	}
	return strconv.AppendInt(dst, int64(status), 10)
}
