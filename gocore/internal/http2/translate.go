// An HTTP/1.1 response, in whatever pieces it is written, becomes HEADERS and
// DATA. Interim responses (1xx) pass but for 101, which HTTP/2 does not have;
// fields that are about a connection are dropped; chunks are taken apart, and a
// trailer section becomes the trailers of the stream. What breaks off, or is no
// HTTP, ends the stream with INTERNAL_ERROR.
//
//	state   | is at                                      | next
//	tHead   | the head of a response                     | tHead (1xx), any other
//	tLength | a body of known length                     | tEnded
//	tRaw    | a body that ends with the connection       | tEnded (End)
//	tSize   | the line before a chunk                    | tChunk, tFields
//	tChunk  | a chunk's data                             | tMark
//	tMark   | the line end after it                      | tSize
//	tFields | the trailer section                        | tEnded
//	tEnded  | END_STREAM is sent; what is written is lost|
package http2

import "bytes"

// States of a translator.
const (
	tHead uint8 = iota
	tLength
	tRaw
	tSize
	tChunk
	tMark
	tFields
	tEnded
)

const (
	maxResponseHead = 1 << 20
	maxChunkLine    = 4 << 10
	maxSizeDigits   = 15
)

// translator is where a response is.
type translator struct {
	state  uint8
	digits uint8
	ext    bool  // an extension follows the size
	left   int64 // of the body or the chunk
	buf    []byte
}

// Write takes part of the response; n less than len(p) without an error: the
// client's windows are full, and Writable tells when to go on with p[n:].
func (s *Stream) Write(p []byte) (n int, err error) {
	c := s.c
	c.mu.Lock()
	defer c.mu.Unlock()
	for n < len(p) {
		if s.t.state == tEnded {
			return len(p), nil
		}
		if s.closed {
			return n, ErrGone
		}
		k, ok := c.translate(s, p[n:])
		n += k
		if !ok {
			c.reset(s, InternalError)
			return n, ErrGone
		}
		if k == 0 {
			break
		}
	}
	if !s.wants || s.window <= 0 {
		c.wake() // what was kept for us is left
	}
	return n, nil
}

// End says that nothing more is written; broken: because something failed. A
// response that is not complete ends with INTERNAL_ERROR, unless only the end
// of the connection could tell and it is not broken.
func (s *Stream) End(broken bool) {
	c := s.c
	c.mu.Lock()
	defer c.mu.Unlock()
	if s.closed || s.t.state == tEnded {
		return
	}
	if s.t.state == tRaw && !broken {
		c.finish(s)
		return
	}
	c.reset(s, InternalError)
}

// Ended reports whether the response is complete.
func (s *Stream) Ended() bool {
	s.c.mu.Lock()
	defer s.c.mu.Unlock()
	return s.t.state == tEnded
}

// translate takes what it can of p; false: it is no HTTP. mu held.
func (c *Conn) translate(s *Stream, p []byte) (n int, ok bool) {
	t := &s.t
	switch t.state {
	case tHead:
		return c.responseHead(s, p)
	case tLength, tChunk:
		n = c.send(s, p[:min(int64(len(p)), t.left)])
		if t.left -= int64(n); t.left == 0 {
			if t.state == tLength {
				c.finish(s)
			} else {
				t.state, t.left = tMark, 0
			}
		}
		return n, true
	case tRaw:
		return c.send(s, p), true
	case tMark:
		if p[0] != "\r\n"[t.left] {
			return 0, false
		}
		if t.left++; t.left == 2 {
			t.state, t.left, t.digits, t.ext = tSize, 0, 0, false
		}
		return 1, true
	case tSize:
		for n < len(p) {
			b := p[n]
			n++
			switch d := digit(b); {
			case b == '\n' && t.digits > 0:
				if t.state = tChunk; t.left == 0 {
					t.state, t.buf = tFields, t.buf[:0]
				}
				return n, true
			case b == '\r' || t.ext:
			case b == ';' || b == ' ' || b == '\t':
				t.ext = true
			case d < 16 && t.digits < maxSizeDigits:
				t.digits++
				t.left = t.left<<4 | int64(d)
			default:
				return n, false
			}
		}
		return n, true
	}
	return c.responseTrailers(s, p)
}

func digit(b byte) byte {
	switch {
	case b-'0' < 10:
		return b - '0'
	case b|0x20-'a' < 6:
		return b | 0x20 - 'a' + 10
	}
	return 255
}

var headEnd = []byte("\r\n\r\n")

// responseHead waits for a complete head and sends it.
func (c *Conn) responseHead(s *Stream, p []byte) (n int, ok bool) {
	t := &s.t
	var head []byte
	if len(t.buf) == 0 {
		i := bytes.Index(p, headEnd)
		if i < 0 {
			t.buf = append(t.buf, p...)
			return len(p), len(t.buf) <= maxResponseHead
		}
		n = i + len(headEnd)
		head = p[:n]
	} else {
		had := len(t.buf)
		from := max(0, had-len(headEnd)+1)
		t.buf = append(t.buf, p...)
		i := bytes.Index(t.buf[from:], headEnd)
		if i < 0 {
			return len(p), len(t.buf) <= maxResponseHead
		}
		head = t.buf[:from+i+len(headEnd)]
		n = len(head) - had
	}
	ok = c.sendHead(s, head)
	t.buf = t.buf[:0]
	return n, ok
}

// sendHead translates a head, complete with the empty line.
func (c *Conn) sendHead(s *Stream, head []byte) bool {
	t := &s.t
	// "HTTP/1.x NNN "
	if len(head) < 14 || string(head[:7]) != "HTTP/1." || head[8] != ' ' {
		return false
	}
	code := 0
	for _, b := range head[9:12] {
		if b-'0' > 9 {
			return false
		}
		code = code*10 + int(b-'0')
	}
	if code < 100 || code == 101 || head[12] != ' ' && head[12] != '\r' {
		return false
	}
	at := len(c.out)
	c.out = append(c.out, 0, 0, 0, 0, 0, 0, 0, 0, 0)
	c.out = c.enc.begin(c.out)
	c.out = c.enc.status(c.out, code)
	length, chunked, bad := int64(-1), false, false
	rest := head[bytes.IndexByte(head, '\n')+1:]
	for len(rest) > 2 {
		i := bytes.IndexByte(rest, '\n')
		line := rest[:max(i-1, 0)]
		rest = rest[i+1:]
		colon := bytes.IndexByte(line, ':')
		if colon <= 0 || !validLine(line, colon) {
			continue // nothing that a field could be made of
		}
		switch name := line[:colon]; colon {
		case 7:
			if foldEqual(name, "upgrade") {
				continue
			}
		case 10:
			if foldEqual(name, "connection") || foldEqual(name, "keep-alive") {
				continue
			}
		case 14:
			if foldEqual(name, "content-length") {
				length = parseLength(trim(line[colon+1:]))
				if bad = bad || length < 0; bad {
					continue
				}
			}
		case 16:
			if foldEqual(name, "proxy-connection") {
				continue
			}
		case 17:
			if foldEqual(name, "transfer-encoding") {
				chunked = true
				bad = bad || !foldEqual(trim(line[colon+1:]), "chunked")
				continue
			}
		}
		c.out = c.enc.line(c.out, line, colon)
	}
	interim := code < 200
	end := !interim && !bad && (s.isHead || code == 204 || code == 304 || length == 0 && !chunked)
	c.headerFrames(at, s.ID, end)
	switch {
	case bad: // the table knows its fields already, so the client must too
		return false
	case interim:
	case end:
		c.finished(s)
	case chunked:
		t.state, t.left, t.digits, t.ext = tSize, 0, 0, false
	case length >= 0:
		t.state, t.left = tLength, length
	default:
		t.state = tRaw
	}
	return true
}

// responseTrailers waits for a complete trailer section.
func (c *Conn) responseTrailers(s *Stream, p []byte) (n int, ok bool) {
	t := &s.t
	for n < len(p) {
		t.buf = append(t.buf, p[n])
		n++
		if k := len(t.buf); p[n-1] == '\n' && (k == 2 || k >= 4 && string(t.buf[k-4:]) == "\r\n\r\n") {
			if k == 2 {
				c.finish(s)
				return n, true
			}
			at := len(c.out)
			c.out = append(c.out, 0, 0, 0, 0, 0, 0, 0, 0, 0)
			c.out = c.enc.begin(c.out)
			for rest := t.buf; len(rest) > 2; {
				i := bytes.IndexByte(rest, '\n')
				line := rest[:max(i-1, 0)]
				rest = rest[i+1:]
				if colon := bytes.IndexByte(line, ':'); colon > 0 && validLine(line, colon) {
					c.out = c.enc.line(c.out, line, colon)
				}
			}
			c.headerFrames(at, s.ID, true)
			c.finished(s)
			return n, true
		}
	}
	return n, len(t.buf) <= maxChunkLine
}

// validLine: the name is a token, the value has no control characters.
func validLine(line []byte, colon int) bool {
	for _, b := range line[:colon] {
		if class[b]&isMethod == 0 {
			return false
		}
	}
	for _, b := range line[colon+1:] {
		if class[b]&isValue == 0 {
			return false
		}
	}
	return true
}

// foldEqual compares with s, which is in lower case.
func foldEqual(b []byte, s string) bool {
	if len(b) != len(s) {
		return false
	}
	for i, x := range b {
		if x-'A' < 26 {
			x |= 0x20
		}
		if x != s[i] {
			return false
		}
	}
	return true
}

func parseLength(b []byte) int64 {
	if len(b) == 0 || len(b) > 18 {
		return -1
	}
	n := int64(0)
	for _, x := range b {
		if x-'0' > 9 {
			return -1
		}
		n = n*10 + int64(x-'0')
	}
	return n
}
