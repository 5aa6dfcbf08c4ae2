// This file gives the significant header fields their meaning: Host, the
// fields that frame the body, Connection, Upgrade and Expect. Everything on
// which two HTTP implementations could disagree about where a request ends
// (request smuggling, RFC 9112 section 11.2) is refused here.
package http1

// Bits of class.
const (
	isToken uint8 = 1 << iota // tchar, RFC 9110 section 5.6.2
	isHost                    // unreserved and sub-delims, RFC 3986 section 2
	isHex
	isDigit
)

// class gives the character classes of each byte.
var class = func() (t [256]uint8) {
	set := func(chars string, bit uint8) {
		for i := 0; i < len(chars); i++ {
			t[chars[i]] |= bit
		}
	}
	const alnum = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
	set(alnum+"!#$%&'*+-.^_`|~", isToken)
	set(alnum+"-._~!$&'()*+,;=", isHost)
	set("0123456789abcdefABCDEF", isHex)
	set("0123456789", isDigit)
	return
}()

// Values of targetClass.
const (
	tPlain = iota
	tSlash
	tDot
	tPercent
	tQuery
	tStop // control, space, '#': not part of a request-target
)

// targetClass sorts the bytes of a request-target. Like Apache's, this server
// lets printable characters through that a URI should have escaped ('|', '"',
// '{' ..., and bytes from 0x80), because browsers send them.
var targetClass = func() (t [256]uint8) {
	for c := 0; c <= ' '; c++ {
		t[c] = tStop
	}
	t[0x7f], t['#'] = tStop, tStop
	t['/'], t['.'], t['%'], t['?'] = tSlash, tDot, tPercent, tQuery
	return
}()

// significant marks the lengths of the names that meaning.field knows.
var significant = [32]bool{4: true, 6: true, 7: true, 10: true, 14: true, 17: true}

// meaning collects what the significant fields of one head say.
type meaning struct {
	host       Span
	hosts      uint32
	lengths    uint32
	te         bool // a Transfer-Encoding field was there
	chunked    bool // the last coding so far is chunked
	otherTE    bool // a coding other than chunked was there
	close      bool
	keepAlive  bool
	upgrade    bool // Connection: upgrade
	hasUpgrade bool // an Upgrade field
	expect     bool // 100-continue
	badExpect  bool
}

// field takes the field line with the name buf[start:colon] and the value
// buf[value:end]. False: 400. Refusals with other codes wait for finish, so
// that a syntax error further down takes precedence.
func (m *meaning) field(buf []byte, start, colon, value, end int, h *Head) bool {
	name, v := buf[start:colon], buf[value:end]
	switch len(name) {
	case 4:
		if equalFold(name, "host") {
			m.hosts++
			m.host = Span{uint32(value), uint32(len(v))}
			return m.hosts == 1 && validHost(v, false)
		}
	case 6:
		if equalFold(name, "expect") && len(v) > 0 {
			if equalFold(v, "100-continue") {
				m.expect = true
			} else {
				m.badExpect = true
			}
		}
	case 7:
		if equalFold(name, "upgrade") && len(v) > 0 {
			m.hasUpgrade = true
		}
	case 10:
		if equalFold(name, "connection") {
			m.connection(v)
		}
	case 14:
		if equalFold(name, "content-length") {
			m.lengths++
			return m.lengths == 1 && contentLength(v, &h.ContentLength)
		}
	case 17:
		if equalFold(name, "transfer-encoding") {
			return m.transferEncoding(v)
		}
	}
	return true
}

// connection reads the list of connection options (RFC 9110 section 7.6.1).
func (m *meaning) connection(v []byte) {
	for len(v) > 0 {
		var item []byte
		item, v, _ = nextItem(v)
		switch len(item) {
		case 5:
			m.close = m.close || equalFold(item, "close")
		case 7:
			m.upgrade = m.upgrade || equalFold(item, "upgrade")
		case 10:
			m.keepAlive = m.keepAlive || equalFold(item, "keep-alive")
		}
	}
}

// transferEncoding reads the list of codings. Only chunked, once and as the
// last one, is a framing; an empty element, which a list may hold elsewhere,
// is refused in this field.
func (m *meaning) transferEncoding(v []byte) bool {
	m.te = true
	for more := true; more; {
		var item []byte
		item, v, more = nextItem(v)
		if len(item) == 0 || m.chunked {
			return false // empty, or something follows chunked
		}
		if equalFold(item, "chunked") {
			m.chunked = true
			continue
		}
		m.otherTE = true
		n := 0
		for n < len(item) && class[item[n]]&isToken != 0 {
			n++
		}
		if n == 0 || n < len(item) && equalFold(item[:n], "chunked") {
			return false // no token, or chunked with a parameter
		}
	}
	return true
}

// nextItem splits a comma-separated list: the first element without the
// whitespace around it, the rest, and whether a comma was there.
func nextItem(v []byte) (item, rest []byte, more bool) {
	i := 0
	for i < len(v) && v[i] != ',' {
		i++
	}
	item = v[:i]
	if i < len(v) {
		rest, more = v[i+1:], true
	}
	for len(item) > 0 && (item[0] == ' ' || item[0] == '\t') {
		item = item[1:]
	}
	for n := len(item); n > 0 && (item[n-1] == ' ' || item[n-1] == '\t'); n-- {
		item = item[:n-1]
	}
	return
}

// finish applies the rules that need the whole head and sets the flags.
func (m *meaning) finish(h *Head) Status {
	v11 := h.Flags&FlagHTTP11 != 0
	if m.hosts > 0 {
		// The authority in the target wins over the field (RFC 9112 section 3.2.2).
		if h.Flags&FlagHasHost == 0 {
			h.Host = m.host
			h.Flags |= FlagHasHost
		}
	} else if v11 {
		return BadRequest
	}
	if m.te {
		if m.lengths > 0 || !v11 {
			return BadRequest
		}
		if !m.chunked { // no way to find the body's end (RFC 9112 section 6.3)
			return BadRequest
		}
		if m.otherTE {
			return NotImplemented
		}
		h.Flags |= FlagChunked
	} else if m.lengths > 0 {
		h.Flags |= FlagContentLength
	}
	if m.badExpect {
		return ExpectationFailed
	}
	// RFC 9110 sections 7.8 and 10.1.1: ignore both in an HTTP/1.0 request.
	if v11 && m.expect {
		h.Flags |= FlagExpectContinue
	}
	if v11 && m.upgrade && m.hasUpgrade {
		h.Flags |= FlagUpgrade
	}
	if !m.close && (v11 || m.keepAlive) {
		h.Flags |= FlagKeepAlive
	}
	return OK
}

// contentLength parses 1*DIGIT. Signs, spaces, lists and values above the
// largest int64 are refused.
func contentLength(v []byte, out *int64) bool {
	var n uint64
	if len(v) == 0 {
		return false
	}
	for _, c := range v {
		d := c - '0'
		if d > 9 || n > (1<<63-1)/10 {
			return false
		}
		if n = n*10 + uint64(d); n > 1<<63-1 {
			return false
		}
	}
	*out = int64(n)
	return true
}

// validHost checks uri-host [ ":" port ] (RFC 9110 section 7.2): a reg-name
// (an IPv4 address is one), or an IPv6 address in brackets. Empty is legal.
// authority demands a host and a port, as the target of CONNECT has.
func validHost(v []byte, authority bool) bool {
	i := 0
	if len(v) > 0 && v[0] == '[' {
		for i < len(v) && v[i] != ']' {
			i++
		}
		if i == len(v) || !validIPv6(v[1:i]) {
			return false
		}
		i++
	} else {
		for i < len(v) {
			if c := v[i]; class[c]&isHost != 0 {
				i++
			} else if c == '%' && i+2 < len(v) && class[v[i+1]]&class[v[i+2]]&isHex != 0 {
				i += 3
			} else {
				break
			}
		}
	}
	if authority && (i == 0 || i+1 >= len(v)) {
		return false
	}
	if i == len(v) {
		return true
	}
	if v[i] != ':' {
		return false
	}
	port := 0
	for _, c := range v[i+1:] {
		if class[c]&isDigit == 0 {
			return false
		}
		if port = port*10 + int(c-'0'); port > 65535 {
			return false
		}
	}
	return true
}

// validIPv6 checks the text form of RFC 3986 section 3.2.2: eight groups of
// one to four hex digits, "::" once for at least one of them, the last two
// possibly as an IPv4 address. Zones and IPvFuture are refused.
func validIPv6(v []byte) bool {
	groups, gap, i := 0, false, 0
	if len(v) >= 2 && v[0] == ':' && v[1] == ':' {
		gap, i = true, 2
		if i == len(v) {
			return true
		}
	}
	for {
		j := i
		for j < len(v) && class[v[j]]&isHex != 0 {
			j++
		}
		if j < len(v) && v[j] == '.' {
			groups += 2
			return validIPv4(v[i:]) && (groups == 8 && !gap || groups < 8 && gap)
		}
		if j == i || j-i > 4 {
			return false
		}
		groups++
		if j == len(v) {
			return groups == 8 && !gap || groups < 8 && gap
		}
		if v[j] != ':' || groups >= 8 {
			return false
		}
		i = j + 1
		if i < len(v) && v[i] == ':' {
			if gap {
				return false
			}
			gap = true
			if i++; i == len(v) {
				return groups < 8
			}
		}
	}
}

// validIPv4 checks dotted decimal without leading zeros.
func validIPv4(v []byte) bool {
	for part := 0; part < 4; part++ {
		j, n := 0, 0
		for j < len(v) && j < 4 && class[v[j]]&isDigit != 0 {
			n = n*10 + int(v[j]-'0')
			j++
		}
		if j == 0 || n > 255 || j > 1 && v[0] == '0' {
			return false
		}
		if part == 3 {
			return j == len(v)
		}
		if j == len(v) || v[j] != '.' {
			return false
		}
		v = v[j+1:]
	}
	return false
}

// equalFold compares b with s, which must be in lower case, without regard to
// the case of ASCII letters.
func equalFold(b []byte, s string) bool {
	if len(b) != len(s) {
		return false
	}
	for i := 0; i < len(b); i++ {
		c := b[i]
		if c-'A' < 26 {
			c |= 0x20
		}
		if c != s[i] {
			return false
		}
	}
	return true
}
