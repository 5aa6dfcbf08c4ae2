// What modules changed of a request, for the environ: the header fields
// (RequestHeader, mod_remoteip) and the client's address (mod_remoteip).
package worker

import (
	"strconv"
	"strings"

	"modwsgi/gocore/internal/httpd"
	"modwsgi/gocore/internal/listen"
	"modwsgi/gocore/internal/python"
)

// editedEnviron appends to x what differs from the request as it was received.
func editedEnviron(x []byte, c *listen.Conn, q *listen.Req, r *httpd.Request, p *httpd.Plan) []byte {
	if r.Remote != c.Remote {
		x = python.AppendSet(x, "REMOTE_ADDR", r.Remote.Addr().Unmap().String())
		x = python.AppendSet(x, "REMOTE_PORT", strconv.Itoa(int(r.Remote.Port())))
	}
	if !r.HeaderEdited() {
		return x
	}
	now := map[string]string{}
	for _, f := range r.Header {
		key := fieldKey(f.Name)
		if key == "" || !p.PassAuthorization && (key == "HTTP_AUTHORIZATION" || key == "HTTP_PROXY_AUTHORIZATION") {
			continue
		}
		if old, ok := now[key]; ok {
			now[key] = old + ", " + f.Value
		} else {
			now[key] = f.Value
		}
	}
	for _, f := range q.Head.Fields[:q.Head.NFields] {
		key := fieldKey(string(q.Bytes(f.Name)))
		if _, ok := now[key]; !ok && key != "" {
			x = python.AppendDelete(x, key)
		}
	}
	for key, value := range now {
		x = python.AppendSet(x, key, value)
	}
	return x
}

// fieldKey is the environ key of a header field (RFC 3875 section 4.1.18), ""
// for names that do not get one: as in python/environ.c an underscore could
// forge another name, and HTTP_PROXY is a variable of its own (httpoxy).
func fieldKey(name string) string {
	key := strings.Map(func(c rune) rune {
		switch {
		case c == '-':
			return '_'
		case c >= 'a' && c <= 'z':
			return c - 'a' + 'A'
		case c >= 'A' && c <= 'Z' || c >= '0' && c <= '9':
			return c
		}
		return -1
	}, name)
	switch {
	case len(key) != len(name) || key == "PROXY":
		return ""
	case key == "CONTENT_TYPE" || key == "CONTENT_LENGTH":
		return key
	}
	return "HTTP_" + key
}
