// Package proxyproto reads the PROXY protocol header that a load balancer puts
// before the first bytes of a connection: version 1 (a line of text) and 2.
//
//	PROXY TCP4 192.0.2.1 198.51.100.1 56324 443\r\n
//
// Source: HAProxy, "The PROXY protocol versions 1 & 2".
package proxyproto

import (
	"bytes"
	"encoding/binary"
	"errors"
	"net/netip"
	"strconv"
	"strings"
)

const (
	maxLine = 107 // the longest version 1 header, CRLF included
	maxV2   = 4096
	headV2  = 16
)

var signature = []byte("\r\n\r\n\x00\r\nQUIT\n")

// Errors of Parse.
var (
	ErrMissing = errors.New("the connection does not begin with a PROXY header")
	ErrFormat  = errors.New("the PROXY header is malformed")
	ErrVersion = errors.New("the version or command of the PROXY header is unknown")
	ErrLong    = errors.New("the PROXY header is too long")
)

// Parse reads the header that b begins with. n is its length; 0 without an
// error: more bytes are needed. client is not valid when the header says that
// the connection is the proxy's own (LOCAL, UNKNOWN) or of a kind without
// addresses: then the addresses of the connection count. An IPv4 address in
// IPv6 form becomes IPv4, as the rules of access control know it. b is only read.
func Parse(b []byte) (client netip.AddrPort, n int, err error) {
	if k := min(len(b), len(signature)); k > 0 && bytes.Equal(b[:k], signature[:k]) {
		return parse2(b)
	}
	const start = "PROXY "
	if k := min(len(b), len(start)); string(b[:k]) != start[:k] {
		return client, 0, ErrMissing
	}
	return parse1(b)
}

func parse1(b []byte) (client netip.AddrPort, n int, err error) {
	end := bytes.IndexByte(b[:min(len(b), maxLine)], '\n')
	switch {
	case end < 0 && len(b) >= maxLine:
		return client, 0, ErrLong
	case end < 0:
		return client, 0, nil
	case b[end-1] != '\r':
		return client, 0, ErrFormat
	}
	line, n := string(b[:end-1]), end+1
	if line == "PROXY UNKNOWN" || strings.HasPrefix(line, "PROXY UNKNOWN ") {
		return client, n, nil
	}
	words := strings.Split(line, " ")
	if len(words) != 6 || words[1] != "TCP4" && words[1] != "TCP6" {
		return client, 0, ErrFormat
	}
	var addrs [2]netip.Addr
	var ports [2]uint64
	for i := range addrs {
		if addrs[i], err = netip.ParseAddr(words[2+i]); err != nil || addrs[i].Is4() != (words[1] == "TCP4") || addrs[i].Zone() != "" {
			return client, 0, ErrFormat
		}
		p := words[4+i]
		if ports[i], err = strconv.ParseUint(p, 10, 16); err != nil || p[0] == '+' || len(p) > 1 && p[0] == '0' {
			return client, 0, ErrFormat
		}
	}
	return netip.AddrPortFrom(addrs[0].Unmap(), uint16(ports[0])), n, nil
}

func parse2(b []byte) (client netip.AddrPort, n int, err error) {
	if len(b) < headV2 {
		return client, 0, nil
	}
	if b[12]>>4 != 2 || b[12]&15 > 1 {
		return client, 0, ErrVersion
	}
	size := int(binary.BigEndian.Uint16(b[14:]))
	n = headV2 + size
	switch {
	case n > maxV2:
		return client, 0, ErrLong
	case len(b) < n:
		return client, 0, nil
	case b[12]&15 == 0: // LOCAL: a health check of the proxy itself
		return client, n, nil
	}
	body := b[headV2:n]
	switch b[13] >> 4 {
	case 1: // AF_INET
		if size < 12 {
			return client, 0, ErrFormat
		}
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte(body)), binary.BigEndian.Uint16(body[8:])), n, nil
	case 2: // AF_INET6
		if size < 36 {
			return client, 0, ErrFormat
		}
		return netip.AddrPortFrom(netip.AddrFrom16([16]byte(body)).Unmap(), binary.BigEndian.Uint16(body[32:])), n, nil
	case 0, 3: // AF_UNSPEC, AF_UNIX
		return client, n, nil
	}
	return client, 0, ErrFormat
}
