// Header blocks of requests: decoded, checked (RFC 9113 section 8), and written
// as the head of an HTTP/1.1 request with the version HTTP/2.0, which the parser
// of package http1 then holds to the limits and rules of any other. What could
// make it see another request than the client sent is refused here: control
// characters, spaces in the request line, fields that are about a connection.
package http2

import (
	"strconv"

	"golang.org/x/net/http2/hpack"
)

// heading is what is known of the block that is being decoded.
type heading struct {
	size      int
	malformed bool
	long      bool // more than headerList
	trailers  bool
	begun     bool // the request line is written: a regular field was seen
	connect   bool
	hosts     int
	method    string
	scheme    string
	path      string
	authority string
	seen      uint8 // pseudo-header fields
	cookies   []string
	length    int64 // Content-Length; -1 none
	start     int   // of the text in Conn.heads
}

// Bits of heading.seen.
const (
	seenMethod = 1 << iota
	seenScheme
	seenPath
	seenAuthority
)

// fields decodes a complete block of a stream. mu held.
func (c *Conn) fields(id uint32, flags byte, p []byte) *Error {
	s := c.streams[id]
	if s == nil && id <= c.lastID && !c.wasReset(id) {
		if c.wasClosed(id) {
			return &Error{StreamClosed, "HEADERS on a closed stream"}
		}
		return &Error{ProtocolError, "a stream number is used again, or too low"}
	}
	h := &c.head
	*h = heading{trailers: id <= c.lastID, cookies: h.cookies[:0], length: -1, start: len(c.heads)}
	if _, err := c.dec.Write(p); err != nil {
		return &Error{CompressionError, "a header block cannot be decoded"}
	}
	if err := c.dec.Close(); err != nil {
		return &Error{CompressionError, "a header block is cut off"}
	}
	if h.trailers {
		return c.trailers(s, flags)
	}
	c.lastID = id
	if c.going == leaving { // the client knows that nobody serves it
		c.heads = c.heads[:h.start]
		c.remember(id, true)
		return nil
	}
	if c.open >= c.cfg.MaxStreams || c.used >= 2*c.cfg.MaxStreams {
		c.heads = c.heads[:h.start]
		c.out = appendRST(c.out, id, RefusedStream)
		c.remember(id, true)
		return c.guard.cancelled()
	}
	end := flags&flagEndStream != 0
	if !h.long && !h.malformed {
		c.finishHead(end)
	}
	if h.malformed || end && h.length > 0 {
		c.heads = c.heads[:h.start]
		c.out = appendRST(c.out, id, ProtocolError)
		c.remember(id, true)
		return c.guard.broken()
	}
	s = c.newStream(id)
	s.isHead = h.method == "HEAD"
	if h.long {
		c.heads = c.heads[:h.start]
		s.refusal = 431
	} else {
		s.head = c.heads[h.start:]
		c.guard.useful(len(s.head))
	}
	if s.length = h.length; end {
		s.length = 0
		c.remoteEnd(s)
	} else {
		s.chunked = h.length < 0
	}
	c.note(s, Opened)
	return nil
}

// trailers ends a request's body; the fields are dropped, as after chunks. s is
// nil when we have reset the stream.
func (c *Conn) trailers(s *Stream, flags byte) *Error {
	c.heads = c.heads[:c.head.start]
	switch {
	case s == nil:
		return nil
	case s.remoteEnd:
		c.reset(s, StreamClosed)
		return c.guard.broken()
	case c.head.malformed || flags&flagEndStream == 0 || s.length >= 0 && s.received != s.length:
		c.reset(s, ProtocolError)
		return c.guard.broken()
	}
	c.remoteEnd(s)
	c.note(s, Readable)
	return nil
}

// field takes one field of the block; the decoder calls it.
func (c *Conn) field(f hpack.HeaderField) {
	h := &c.head
	if h.size += len(f.Name) + len(f.Value) + 32; h.size > c.headerList() {
		h.long = true
	}
	if h.long || h.malformed {
		return
	}
	if len(f.Name) > 0 && f.Name[0] == ':' {
		h.malformed = !h.pseudo(f.Name, f.Value)
		return
	}
	if !validName(f.Name) || !validValue(f.Value) {
		h.malformed = true
		return
	}
	if h.trailers {
		return
	}
	if !h.begun && !c.begin() {
		h.malformed = true
		return
	}
	switch f.Name {
	case "connection", "proxy-connection", "keep-alive", "transfer-encoding", "upgrade":
		h.malformed = true // section 8.2.2
		return
	case "te":
		if f.Value != "trailers" {
			h.malformed = true
			return
		}
	case "host":
		if h.hosts++; h.hosts > 1 || h.seen&seenAuthority != 0 && !sameHost(f.Value, h.authority) {
			h.malformed = true
			return
		}
		if h.seen&seenAuthority != 0 { // is there already
			return
		}
	case "content-length":
		n, err := strconv.ParseUint(f.Value, 10, 63)
		if err != nil || f.Value[0] == '+' || h.length >= 0 && h.length != int64(n) {
			h.malformed = true
			return
		}
		if h.length >= 0 {
			return
		}
		h.length = int64(n)
	case "cookie": // may come in pieces, section 8.2.3
		h.cookies = append(h.cookies, f.Value)
		return
	}
	b := append(c.heads, f.Name...)
	b = append(b, ": "...)
	b = append(b, f.Value...)
	c.heads = append(b, '\r', '\n')
}

// pseudo takes a pseudo-header field (section 8.3.1).
func (h *heading) pseudo(name, v string) bool {
	if h.begun || h.trailers {
		return false
	}
	var bit uint8
	switch name {
	case ":method":
		bit, h.method = seenMethod, v
	case ":scheme":
		bit, h.scheme = seenScheme, v
	case ":path":
		bit, h.path = seenPath, v
	case ":authority":
		bit, h.authority = seenAuthority, v
	default: // :protocol (RFC 8441) too, which we have not offered
		return false
	}
	again := h.seen&bit != 0
	h.seen |= bit
	return !again
}

// begin writes the request line and the host; false: malformed.
func (c *Conn) begin() bool {
	h := &c.head
	h.begun = true
	if h.seen&seenMethod == 0 || !validMethod(h.method) {
		return false
	}
	target := h.path
	if h.connect = h.method == "CONNECT"; h.connect { // section 8.5
		if h.seen != seenMethod|seenAuthority {
			return false
		}
		target = h.authority
	} else if h.seen&(seenScheme|seenPath) != seenScheme|seenPath || !validScheme(h.scheme) ||
		(target == "" || target[0] != '/') && (target != "*" || h.method != "OPTIONS") {
		return false
	}
	if !validTarget(target) || !validValue(h.authority) {
		return false
	}
	b := append(c.heads, h.method...)
	b = append(b, ' ')
	b = append(b, target...)
	b = append(b, " HTTP/2.0\r\n"...)
	if h.seen&seenAuthority != 0 {
		b = append(b, "host: "...)
		b = append(b, h.authority...)
		b = append(b, '\r', '\n')
	}
	c.heads = b
	return true
}

// finishHead ends the text.
func (c *Conn) finishHead(end bool) {
	h := &c.head
	if !h.begun && !c.begin() {
		h.malformed = true
		return
	}
	b := c.heads
	for i, v := range h.cookies {
		if i == 0 {
			b = append(b, "cookie: "...)
		} else {
			b = append(b, "; "...)
		}
		b = append(b, v...)
	}
	if len(h.cookies) > 0 {
		b = append(b, '\r', '\n')
		clear(h.cookies)
	}
	if !end && h.length < 0 {
		b = append(b, "transfer-encoding: chunked\r\n"...)
	}
	c.heads = append(b, '\r', '\n')
}

// class sorts the bytes of names, values and targets.
var class = func() (t [256]uint8) {
	for _, c := range []byte("abcdefghijklmnopqrstuvwxyz0123456789!#$%&'*+-.^_`|~") {
		t[c] |= isName | isMethod
	}
	for _, c := range []byte("ABCDEFGHIJKLMNOPQRSTUVWXYZ") {
		t[c] |= isMethod
	}
	for c := 0x20; c < 256; c++ {
		t[c] |= isValue
		if c != 0x20 {
			t[c] |= isTarget
		}
	}
	t['\t'] |= isValue
	t[0x7f] = 0
	return
}()

// Bits of class.
const (
	isName uint8 = 1 << iota
	isMethod
	isValue
	isTarget
)

func all(s string, bit uint8) bool {
	for i := 0; i < len(s); i++ {
		if class[s[i]]&bit == 0 {
			return false
		}
	}
	return true
}

func validName(s string) bool   { return s != "" && all(s, isName) }
func validMethod(s string) bool { return s != "" && all(s, isMethod) }
func validTarget(s string) bool { return s != "" && all(s, isTarget) }

// validValue: section 8.2.1, and no control characters at all.
func validValue(s string) bool {
	if n := len(s); n > 0 && (s[0] == ' ' || s[0] == '\t' || s[n-1] == ' ' || s[n-1] == '\t') {
		return false
	}
	return all(s, isValue)
}

func validScheme(s string) bool {
	for i := 0; i < len(s); i++ {
		if c := s[i] | 0x20; (c < 'a' || c > 'z') && (i == 0 || (s[i] < '0' || s[i] > '9') && s[i] != '+' && s[i] != '-' && s[i] != '.') {
			return false
		}
	}
	return s != ""
}

// sameHost compares without the case of ASCII letters.
func sameHost(a, b string) bool {
	if len(a) != len(b) {
		return false
	}
	for i := 0; i < len(a); i++ {
		x, y := a[i], b[i]
		if x-'A' < 26 {
			x |= 0x20
		}
		if y-'A' < 26 {
			y |= 0x20
		}
		if x != y {
			return false
		}
	}
	return true
}
