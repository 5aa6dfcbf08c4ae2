// What modules changed of a request, for the environ: the header fields
// (RequestHeader, mod_remoteip) and the client's address (mod_remoteip).
// python/environ.c makes the environ from the bytes that the client sent, so
// it is told the differences.
package worker

import (
	"strconv"
	"strings"

	"modwsgi/gocore/internal/httpd"
	"modwsgi/gocore/internal/listen"
	"modwsgi/gocore/internal/python"
)

// editedEnviron appends to x what differs from the request as it was received.
// r is the request that is handled, after internal redirects.
func editedEnviron(x []byte, c *listen.Conn, q *listen.Req, r *httpd.Request, p *httpd.Plan) []byte {
	if r.Remote != c.Remote {
		x = python.AppendSet(x, "REMOTE_ADDR", r.Remote.Addr().Unmap().String())
		x = python.AppendSet(x, "REMOTE_PORT", strconv.Itoa(int(r.Remote.Port())))
	}
	if !r.HeaderEdited() {
		return x
	}
	sent := make([]httpd.Field, 0, q.Head.NFields)
	for _, f := range q.Head.Fields[:q.Head.NFields] {
		sent = append(sent, httpd.Field{Name: string(q.Bytes(f.Name)), Value: string(q.Bytes(f.Value))})
	}
	return appendEdits(x, sent, r.Header, p.PassAuthorization)
}

// appendEdits appends to x what turns the environ of the fields sent into that
// of the fields now. auth says that the application may see credentials.
func appendEdits(x []byte, sent, now []httpd.Field, auth bool) []byte {
	before, after := environOf(sent, auth), environOf(now, auth)
	for key := range before {
		if _, ok := after[key]; !ok {
			x = python.AppendDelete(x, key)
		}
	}
	for key, value := range after {
		if old, ok := before[key]; !ok || old != value {
			x = python.AppendSet(x, key, value)
		}
	}
	return x
}

// environOf gives the variables for fields (RFC 3875 section 4.1.18) by the
// rules of python/environ.c: no names that could pass for others, no HTTP_PROXY,
// which is a variable of its own (httpoxy), repeated fields joined.
// Content-Length belongs to the body and stays.
func environOf(fields []httpd.Field, auth bool) map[string]string {
	env := make(map[string]string, len(fields))
	for _, f := range fields {
		key := ""
		switch name := strings.ToUpper(f.Name); {
		case name == "PROXY" || name == "PROXY-AUTHORIZATION" || name == "CONTENT-LENGTH" || name == "" || !plainFieldName(name):
			continue
		case name == "AUTHORIZATION" && !auth:
			continue
		case name == "CONTENT-TYPE":
			key = "CONTENT_TYPE"
		default:
			key = "HTTP_" + strings.ReplaceAll(name, "-", "_")
		}
		old, ok := env[key]
		switch {
		case !ok:
			env[key] = f.Value
		case key == "HTTP_COOKIE":
			env[key] = old + "; " + f.Value
		default:
			env[key] = old + ", " + f.Value
		}
	}
	return env
}

// plainFieldName says whether an upper-case name has letters, digits and
// dashes only.
func plainFieldName(s string) bool {
	for i := range len(s) {
		if c := s[i]; (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '-' {
			return false
		}
	}
	return true
}
