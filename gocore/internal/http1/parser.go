// This file parses the head of an HTTP/1.x request in place: the request line
// and the field lines of RFC 9112, strictly. Meaning of the significant fields
// (Host, framing, Connection, Expect) is in semantics.go.
//
// The scan goes strictly forward and decides about a byte from the bytes
// before it only. That gives the property that the fuzz test checks: feeding
// a head piece by piece ends in the same result as giving it at once.
package http1

import (
	"bytes"
	"encoding/binary"
	"math/bits"
)

// Status is the outcome of a parse: OK, Incomplete, or the HTTP status code
// with which to refuse the request (and then to close the connection, because
// where the next request would begin is unknown or not to be trusted).
type Status int

// The values that Parse returns.
const (
	OK                  Status = 0
	Incomplete          Status = -1 // more bytes are needed
	BadRequest          Status = 400
	URITooLong          Status = 414 // request line longer than Limits.Line
	ExpectationFailed   Status = 417 // Expect other than 100-continue
	NotImplemented      Status = 501 // unknown method of framing (Transfer-Encoding)
	VersionNotSupported Status = 505 // HTTP/2.0 and above on the request line
)

// Limits are the bounds on a request head, as Apache's LimitRequestLine,
// LimitRequestFields and LimitRequestFieldSize. Lengths are without CRLF and
// inclusive. Fields 0 means no limit but MaxFields. A length of 0 or less
// means the default, since a limit of nothing could serve no request.
//
// HTTP2 says that the head was written by package http2: its version is 2.0 and
// nothing else, and it means what one of HTTP/1.1 would.
type Limits struct {
	Line, Fields, FieldSize int
	HTTP2                   bool
}

// DefaultLimits are Apache's defaults.
var DefaultLimits = Limits{Line: 8190, Fields: 100, FieldSize: 8190}

// maxBlank is the number of empty lines ignored before a request line. RFC
// 9112 section 2.2 asks for at least one, for old clients that send a CRLF
// after a body; more than a few is no client but an attack on our patience.
const maxBlank = 4

// Parse reads one request head from the start of buf into h.
//
// It returns OK and the length of the head, which is where the body begins;
// or Incomplete when buf ends too early; or the status code of a refusal. n is
// 0 unless the status is OK. A limit is reported as soon as it is exceeded,
// even when the line has not ended. After a refusal the spans of h that had
// been found so far (Method, Target, Host ...) are valid, for logs and error
// pages; FlagKeepAlive is never set then. lim nil means DefaultLimits.
//
// Parse allocates nothing, keeps no reference to buf and needs no GIL.
func Parse(buf []byte, h *Head, lim *Limits) (n int, st Status) {
	if lim == nil {
		lim = &DefaultLimits
	}
	i, st := startLine(buf, h, lim)
	if st != OK {
		return 0, st
	}
	return fieldLines(buf, i, h, lim)
}

// startLine clears h and parses what comes before the field lines; it returns
// the index of the first of them.
func startLine(buf []byte, h *Head, lim *Limits) (i int, st Status) {
	h.Method, h.Target, h.Path, h.Query, h.Host = Span{}, Span{}, Span{}, Span{}, Span{}
	h.HeadLen, h.NFields, h.Flags, h.ContentLength = 0, 0, 0, 0
	for blank := 0; ; blank++ {
		if i >= len(buf) {
			return 0, Incomplete
		}
		if buf[i] != '\r' {
			break
		}
		if blank == maxBlank {
			return 0, BadRequest
		}
		if i+1 >= len(buf) {
			return 0, Incomplete
		}
		if buf[i+1] != '\n' {
			return 0, BadRequest
		}
		i += 2
	}
	return requestLine(buf, i, h, lim)
}

// fieldLines parses the field lines and the empty line that begin at i and
// finishes h; it returns the length of the head.
func fieldLines(buf []byte, i int, h *Head, lim *Limits) (n int, st Status) {
	maxFields := lim.Fields
	if maxFields <= 0 || maxFields > MaxFields {
		maxFields = MaxFields
	}
	size := lim.FieldSize
	if size <= 0 {
		size = DefaultLimits.FieldSize
	}
	var m meaning
	nf := 0
	for {
		start := i
		// Four at a time; the loop after it finds which one was no token.
		for i+4 <= len(buf) && class[buf[i]]&class[buf[i+1]]&class[buf[i+2]]&class[buf[i+3]]&isToken != 0 {
			i += 4
		}
		for i < len(buf) && class[buf[i]]&isToken != 0 {
			i++
		}
		if i >= len(buf) {
			return 0, incompleteLine(i-start, size, BadRequest)
		}
		if buf[i] != ':' || i == start {
			if i == start && buf[i] == '\r' {
				if i+1 >= len(buf) {
					return 0, Incomplete
				}
				if buf[i+1] != '\n' {
					return 0, BadRequest
				}
				i += 2
				break
			}
			// Space before the colon, folded line, empty name, bare LF, not a token.
			return 0, BadRequest
		}
		if nf >= maxFields {
			return 0, BadRequest
		}
		colon := i
		i++
		for i < len(buf) && (buf[i] == ' ' || buf[i] == '\t') {
			i++
		}
		value := i
		for {
			i = nextControl(buf, i)
			if i >= len(buf) {
				return 0, incompleteLine(i-start, size, BadRequest)
			}
			if buf[i] != '\t' {
				break
			}
			i++
		}
		if buf[i] != '\r' || i-start > size {
			return 0, BadRequest
		}
		if i+1 >= len(buf) {
			return 0, Incomplete
		}
		if buf[i+1] != '\n' {
			return 0, BadRequest
		}
		end := i
		i += 2
		for end > value && (buf[end-1] == ' ' || buf[end-1] == '\t') {
			end--
		}
		h.Fields[nf] = Field{
			Name:  Span{uint32(start), uint32(colon - start)},
			Value: Span{uint32(value), uint32(end - value)},
		}
		nf++
		h.NFields = uint32(nf)
		if colon-start < len(significant) && significant[colon-start] {
			if !m.field(buf, start, colon, value, end, h) {
				return 0, BadRequest
			}
		}
	}
	if st = m.finish(h); st != OK {
		return 0, st
	}
	h.HeadLen = uint32(i)
	return i, OK
}

// incompleteLine is the status for a line of which n bytes, all acceptable,
// are here and whose end is not.
func incompleteLine(n, limit int, tooLong Status) Status {
	if n > limit {
		return tooLong
	}
	return Incomplete
}

// nextControl returns the index at or after i of the first byte that is a
// control character (below 0x20, or DEL), or len(buf). It looks at eight bytes
// at a time. A byte below 0x20 borrows from its neighbour above, so marks
// above the first one may be wrong; the first one is always right.
func nextControl(buf []byte, i int) int {
	const ones, high = 0x0101010101010101, 0x8080808080808080
	for i+8 <= len(buf) {
		x := binary.LittleEndian.Uint64(buf[i:])
		del := x ^ (ones * 0x7f)
		if m := ((x-ones*0x20)&^x | (del-ones)&^del) & high; m != 0 {
			return i + bits.TrailingZeros64(m)>>3
		}
		i += 8
	}
	for i < len(buf) && buf[i] >= 0x20 && buf[i] != 0x7f {
		i++
	}
	return i
}

// requestLine parses "method SP request-target SP HTTP-version CRLF" at i and
// returns the index of the next line. RFC 9112 section 3; exactly one space
// between the parts, as section 3.2 allows a strict server to demand.
func requestLine(buf []byte, i int, h *Head, lim *Limits) (int, Status) {
	start, limit := i, lim.Line
	if limit <= 0 {
		limit = DefaultLimits.Line
	}
	for i < len(buf) && class[buf[i]]&isToken != 0 {
		i++
	}
	if i >= len(buf) {
		return 0, incompleteLine(i-start, limit, URITooLong)
	}
	if i-start >= limit {
		return 0, URITooLong
	}
	if buf[i] != ' ' || i == start {
		return 0, BadRequest
	}
	h.Method = Span{uint32(start), uint32(i - start)}
	i++
	target := i

	// The path, when in origin form: everything up to '?' or the space, and
	// on the way whether it is plain.
	plain := FlagPlainPath
	slash := false // the byte before was a slash
	query := -1
path:
	for i < len(buf) {
		switch targetClass[buf[i]] {
		case tPlain:
			slash = false
		case tSlash:
			if slash {
				plain = 0
			}
			slash = true
		case tDot:
			if slash {
				plain = 0
			}
			slash = false
		case tPercent:
			plain = 0
			slash = false
		case tQuery:
			query = i + 1
			for i++; i < len(buf) && targetClass[buf[i]] != tStop; i++ {
			}
			break path
		case tStop:
			break path
		}
		i++
	}
	if i >= len(buf) {
		return 0, incompleteLine(i-start, limit, URITooLong)
	}
	if i-start >= limit {
		return 0, URITooLong
	}
	h.Target = Span{uint32(target), uint32(i - target)}
	if buf[i] != ' ' || i == target {
		return 0, BadRequest
	}
	pathEnd := i
	if query >= 0 {
		pathEnd = query - 1
		h.Query = Span{uint32(query), uint32(i - query)}
	}
	connect := h.Method.Len == 7 && string(buf[start:start+7]) == "CONNECT"
	if buf[target] == '/' && !connect {
		h.Path = Span{uint32(target), uint32(pathEnd - target)}
		h.Flags = plain
	} else if !otherTarget(buf, target, i, pathEnd, h, connect) {
		if string(buf[start:i]) == "PRI *" {
			return 0, preface(buf, i+1, h)
		}
		return 0, BadRequest
	}
	i++
	if i+8-start > limit {
		return 0, URITooLong
	}
	if !lim.HTTP2 && len(buf)-i >= 10 && binary.LittleEndian.Uint64(buf[i:]) == http11 && buf[i+8] == '\r' && buf[i+9] == '\n' {
		h.Flags |= FlagHTTP11
		return i + 10, OK
	}
	return version(buf, i, h, lim.HTTP2)
}

// http11 is "HTTP/1.1" as one little-endian word.
const http11 = 'H' | 'T'<<8 | 'T'<<16 | 'P'<<24 | '/'<<32 | '1'<<40 | '.'<<48 | '1'<<56

// version parses the HTTP-version at i and the line end after it. A higher
// minor version of major version 1 is treated as 1.1 (RFC 9110 section 2.5).
func version(buf []byte, i int, h *Head, http2 bool) (int, Status) {
	const pattern = "HTTP/0.0\r\n"
	for k := 0; k < len(pattern); k++ {
		if i+k >= len(buf) {
			return 0, Incomplete
		}
		c, want := buf[i+k], pattern[k]
		if c != want && (want != '0' || c < '0' || c > '9') {
			return 0, BadRequest
		}
	}
	switch major, minor := buf[i+5], buf[i+7]; {
	case http2 && major == '2' && minor == '0':
		h.Flags |= FlagHTTP11 | FlagHTTP2
	case http2:
		return 0, BadRequest
	case major > '1':
		return 0, VersionNotSupported
	case major < '1':
		return 0, BadRequest
	case minor > '0':
		h.Flags |= FlagHTTP11
	}
	return i + 10, OK
}

// preface is the status for "PRI * " with the version at i: the first line that
// a client sends who assumes HTTP/2 (RFC 9113 section 3.4). "PRI" is reserved
// for it, so with a version of HTTP/1 it is no request either.
func preface(buf []byte, i int, h *Head) Status {
	_, st := version(buf, i, h, false)
	if st == OK {
		return BadRequest
	}
	return st
}

// otherTarget parses the three rarer forms of a request-target in
// buf[target:end]: absolute-form, authority-form and asterisk-form (RFC 9112
// section 3.2). pathEnd is where a query begins, or end. False: not valid.
func otherTarget(buf []byte, target, end, pathEnd int, h *Head, connect bool) bool {
	t := buf[target:end]
	if connect {
		h.Query = Span{}
		h.Host = Span{uint32(target), uint32(len(t))}
		h.Flags |= FlagHasHost
		return len(t) > 0 && validHost(t, true)
	}
	if len(t) == 1 && t[0] == '*' {
		h.Path = h.Target
		return h.Method.Len == 7 && string(buf[h.Method.Off:h.Method.Off+7]) == "OPTIONS"
	}
	var skip int
	switch {
	case len(t) >= 7 && equalFold(t[:7], "http://"):
		skip = 7
	case len(t) >= 8 && equalFold(t[:8], "https://"):
		skip = 8
	default:
		return false
	}
	host := target + skip
	if host > pathEnd {
		return false
	}
	stop := host
	for stop < pathEnd && buf[stop] != '/' {
		stop++
	}
	// Userinfo fails in validHost: '@' is no host character. An empty host is
	// legal in a Host field but not in an http URI (RFC 9110 section 4.2.1).
	if stop == host || buf[host] == ':' || !validHost(buf[host:stop], false) {
		return false
	}
	h.Host = Span{uint32(host), uint32(stop - host)}
	h.Path = Span{uint32(stop), uint32(pathEnd - stop)}
	h.Flags |= FlagHasHost
	if plainPath(buf[stop:pathEnd]) {
		h.Flags |= FlagPlainPath
	}
	return true
}

// plainPath says whether p is what FlagPlainPath promises.
func plainPath(p []byte) bool {
	if len(p) == 0 || p[0] != '/' {
		return false
	}
	for i, c := range p {
		if c == '%' || i > 0 && p[i-1] == '/' && (c == '/' || c == '.') {
			return false
		}
	}
	return true
}

// Progress makes waiting for a slow head cheap. Parse starts at the beginning
// each time; a client that sends a head byte by byte would make that
// quadratic. After Parse said Incomplete, keep a Progress (zero value) with
// the connection, and call Ready after each read to learn whether calling
// Parse again can bring news. Reset it to zero for the next request.
type Progress struct {
	line uint32 // start of the first line not seen to its end
	seen uint32 // bytes searched for a line end
	n    uint32 // lines ended so far
}

// Ready says whether Parse should be called again on buf, which must begin
// with the bytes of the earlier calls: because the head is complete, or
// because it exceeds a limit. While it returns false, Parse would return
// Incomplete, or refuse the head for what a later call will refuse it as well.
func (p *Progress) Ready(buf []byte, lim *Limits) bool {
	if lim == nil {
		lim = &DefaultLimits
	}
	ended := false
	for {
		k := bytes.IndexByte(buf[p.seen:], '\n')
		if k < 0 {
			break
		}
		p.seen += uint32(k) + 1
		// An empty line, unless it comes before the request line.
		if n := p.seen - p.line; p.n > 0 && (n == 1 || n == 2 && buf[p.line] == '\r') {
			ended = true
		}
		p.n++
		p.line = p.seen
	}
	p.seen = uint32(len(buf))
	size := max(lim.Line, lim.FieldSize)
	if lim.Line <= 0 || lim.FieldSize <= 0 {
		size = max(size, DefaultLimits.Line)
	}
	fields := lim.Fields
	if fields <= 0 || fields > MaxFields {
		fields = MaxFields
	}
	return ended || len(buf)-int(p.line) > size+1 || int(p.n) > fields+maxBlank+1
}
