// The trailer section of a chunked body (RFC 9112 section 7.1.2) that was
// received whole, for access logs. The decoder drops it, because a field there
// must not pass for one of the head.
package http1

import "bytes"

// Trailer finds a field of the trailer section of a body with its framing,
// which the decoder has accepted. Names compare without case; the first of
// several fields is found.
func Trailer(body []byte, name string) (value []byte, ok bool) {
	for { // chunks
		line, rest, found := bytes.Cut(body, crlf)
		if !found {
			return nil, false
		}
		size, digits := 0, 0
		for digits < len(line) && digits <= maxHexDigits && hexValue[line[digits]] < 16 {
			size = size<<4 | int(hexValue[line[digits]])
			digits++
		}
		if body = rest; size == 0 {
			break
		}
		if size < 0 || len(body)-len(crlf) < size {
			return nil, false
		}
		body = body[size+len(crlf):]
	}
	for {
		line, rest, found := bytes.Cut(body, crlf)
		if !found || len(line) == 0 {
			return nil, false
		}
		if field, v, found := bytes.Cut(line, []byte(":")); found && len(field) == len(name) && bytes.EqualFold(field, []byte(name)) {
			return bytes.Trim(v, " \t"), true
		}
		body = rest
	}
}

var crlf = []byte("\r\n")
