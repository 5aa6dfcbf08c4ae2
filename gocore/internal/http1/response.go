// This file writes the fixed parts of a response head: the status line and
// the Date field.
package http1

import (
	"sync/atomic"
	"time"
)

// reasons are the phrases as Apache httpd sends them, which differ from the
// registry's in a few places (413, 414, 416, 418 ...).
var reasons = map[int]string{
	100: "Continue", 101: "Switching Protocols", 102: "Processing", 103: "Early Hints",
	200: "OK", 201: "Created", 202: "Accepted", 203: "Non-Authoritative Information",
	204: "No Content", 205: "Reset Content", 206: "Partial Content", 207: "Multi-Status",
	208: "Already Reported", 226: "IM Used",
	300: "Multiple Choices", 301: "Moved Permanently", 302: "Found", 303: "See Other",
	304: "Not Modified", 305: "Use Proxy", 307: "Temporary Redirect", 308: "Permanent Redirect",
	400: "Bad Request", 401: "Unauthorized", 402: "Payment Required", 403: "Forbidden",
	404: "Not Found", 405: "Method Not Allowed", 406: "Not Acceptable",
	407: "Proxy Authentication Required", 408: "Request Timeout", 409: "Conflict", 410: "Gone",
	411: "Length Required", 412: "Precondition Failed", 413: "Request Entity Too Large",
	414: "Request-URI Too Long", 415: "Unsupported Media Type",
	416: "Requested Range Not Satisfiable", 417: "Expectation Failed", 418: "I'm A Teapot",
	421: "Misdirected Request", 422: "Unprocessable Entity", 423: "Locked",
	424: "Failed Dependency", 425: "Too Early", 426: "Upgrade Required",
	428: "Precondition Required", 429: "Too Many Requests",
	431: "Request Header Fields Too Large", 451: "Unavailable For Legal Reasons",
	500: "Internal Server Error", 501: "Not Implemented", 502: "Bad Gateway",
	503: "Service Unavailable", 504: "Gateway Timeout", 505: "HTTP Version Not Supported",
	506: "Variant Also Negotiates", 507: "Insufficient Storage", 508: "Loop Detected",
	510: "Not Extended", 511: "Network Authentication Required",
}

// statusLines holds the complete HTTP/1.1 lines for 100 to 599, made from
// reasons once; a code without a phrase still gets the space that the grammar
// wants before the empty phrase (RFC 9112 section 4).
var statusLines = func() (t [500]string) {
	for i := range t {
		code := i + 100
		digits := []byte{byte('0' + code/100), byte('0' + code/10%10), byte('0' + code%10)}
		t[i] = "HTTP/1.1 " + string(digits) + " " + reasons[code] + "\r\n"
	}
	return
}()

// ReasonPhrase returns Apache's phrase for a status code, "" when it has none.
func ReasonPhrase(code int) string {
	if code < 100 || code > 599 {
		return ""
	}
	line := statusLines[code-100]
	return line[13 : len(line)-2]
}

// AppendStatusLine appends the status line with its CRLF. proto11 chooses
// between HTTP/1.1 and HTTP/1.0. A code outside 100 to 599 cannot be sent and
// becomes 500. No allocation beyond growing dst.
func AppendStatusLine(dst []byte, proto11 bool, code int) []byte {
	if code < 100 || code > 599 {
		code = 500
	}
	n := len(dst)
	dst = append(dst, statusLines[code-100]...)
	if !proto11 {
		dst[n+7] = '0'
	}
	return dst
}

// timeFormat is IMF-fixdate, RFC 9110 section 5.6.7.
const timeFormat = "Mon, 02 Jan 2006 15:04:05 GMT"

// AppendTime appends t as an HTTP date, for Last-Modified and the like.
func AppendTime(dst []byte, t time.Time) []byte {
	return t.UTC().AppendFormat(dst, timeFormat)
}

// DateCache holds the current Date field line. Whoever keeps the time (the
// reactor's tick) calls Refresh; any number of threads append it meanwhile.
// The zero value is ready: the first AppendDate fills it by itself.
type DateCache struct {
	current atomic.Pointer[dateLine]
}

type dateLine struct {
	second int64
	line   [len("Date: ") + len(timeFormat) + 2]byte
}

// Refresh sets the time. It works and allocates only when the second changed:
// then it returns the date for other keepers of the field, else nil.
func (c *DateCache) Refresh(now time.Time) (changed []byte) {
	second := now.Unix()
	if d := c.current.Load(); d != nil && d.second == second {
		return nil
	}
	d := &dateLine{second: second}
	line := append(d.line[:0], "Date: "...)
	line = AppendTime(line, now)
	copy(d.line[len(line):], "\r\n")
	c.current.Store(d)
	return d.line[len("Date: "):len(line)]
}

// AppendDate appends the line "Date: ...\r\n" as of the last Refresh.
func AppendDate(dst []byte, c *DateCache) []byte {
	d := c.current.Load()
	if d == nil {
		c.Refresh(time.Now())
		d = c.current.Load()
	}
	return append(dst, d.line[:]...)
}
