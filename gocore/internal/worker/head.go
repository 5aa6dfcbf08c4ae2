// Response heads as HTTP/1 writes them, for every response whose head is made
// in Go. (python/response.c writes those that nothing in Go looks at.)
package worker

import (
	"strconv"
	"strings"

	"modwsgi/gocore/internal/http1"
	"modwsgi/gocore/internal/httpd"
	"modwsgi/gocore/internal/listen"
)

func isHEAD(q *listen.Req) bool {
	return q.Head.Method.Len == 4 && string(q.Bytes(q.Head.Method)) == "HEAD"
}

// takeFraming takes the fields that frame the message out of the tables: a
// Content-Length becomes h.Length, "close" in Connection ends the connection.
// Called before the hooks, and after them for what they added.
func takeFraming(q *listen.Req, h *httpd.ResponseHead) {
	for _, t := range [2]*httpd.Fields{&h.Header, &h.ErrHeader} {
		kept := (*t)[:0:0]
		for i, f := range *t {
			drop := false
			switch len(f.Name) {
			case len("Connection"): // and Keep-Alive
				if strings.EqualFold(f.Name, "Connection") {
					drop = true
					for w := range strings.SplitSeq(f.Value, ",") {
						if strings.EqualFold(strings.TrimSpace(w), "close") {
							q.KeepAlive = 0
						}
					}
				}
				drop = drop || strings.EqualFold(f.Name, "Keep-Alive")
			case len("Content-Length"):
				if strings.EqualFold(f.Name, "Content-Length") {
					drop = true
					if n, err := strconv.ParseInt(f.Value, 10, 64); err == nil && n >= 0 {
						h.Length = n
					}
				}
			case len("Transfer-Encoding"):
				drop = strings.EqualFold(f.Name, "Transfer-Encoding")
			}
			if drop && kept == nil {
				kept = append(make(httpd.Fields, 0, len(*t)), (*t)[:i]...)
			} else if !drop && kept != nil {
				kept = append(kept, f)
			}
		}
		if kept != nil {
			*t = kept
		}
	}
}

// appendHead appends a complete head. line is the status line that the
// application gave, with CRLF; nil: the usual one for h.Status. h.Length < 0
// gives no Content-Length; chunked says that chunks follow then.
func (d *dispatcher) appendHead(b []byte, q *listen.Req, h *httpd.ResponseHead, line []byte, chunked bool) []byte {
	if line != nil {
		b = append(b, line...)
	} else {
		b = http1.AppendStatusLine(b, true, h.Status)
	}
	date, server := false, false
	for _, t := range [2]httpd.Fields{h.ErrHeader, h.Header} { // in httpd's order
		for _, f := range t {
			switch len(f.Name) {
			case len("Date"):
				date = date || strings.EqualFold(f.Name, "Date")
			case len("Server"):
				server = server || strings.EqualFold(f.Name, "Server")
			}
			b = appendField(b, f.Name, f.Value)
		}
	}
	if !date {
		b = http1.AppendDate(b, &d.date)
	}
	if !server {
		b = appendField(b, "Server", d.w.srv.Software)
	}
	switch {
	case h.NoBody():
	case h.Length >= 0:
		b = append(b, "Content-Length: "...)
		b = strconv.AppendInt(b, h.Length, 10)
		b = append(b, "\r\n"...)
	case chunked:
		b = append(b, "Transfer-Encoding: chunked\r\n"...)
	}
	if q.KeepAlive == 0 {
		b = append(b, "Connection: close\r\n"...)
	} else if q.Head.Flags&http1.FlagHTTP11 == 0 {
		b = append(b, "Connection: keep-alive\r\n"...)
	}
	return append(b, "\r\n"...)
}

// appendField appends a field line. A value with a line break, which a hook
// could have made from request data, would forge fields: it is cut there.
func appendField(b []byte, name, value string) []byte {
	if i := strings.IndexAny(value, "\r\n\x00"); i >= 0 {
		value = value[:i]
	}
	b = append(b, name...)
	b = append(b, ": "...)
	b = append(b, value...)
	return append(b, "\r\n"...)
}
