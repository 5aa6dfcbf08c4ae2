// Small methods of Request that modules use: header fields, variables, notes.
package httpd

import (
	"slices"
	"strings"
)

// Get returns a request header's value, repeated fields joined with ", ".
// Names compare without case.
func (r *Request) Get(name string) (string, bool) {
	out, found := "", false
	for i := range r.Header {
		if strings.EqualFold(r.Header[i].Name, name) {
			if found {
				out += ", " + r.Header[i].Value
			} else {
				out, found = r.Header[i].Value, true
			}
		}
	}
	return out, found
}

// SetHeader replaces the fields of the request for all that follows, also for
// the application. The former slice is not changed, because others share it.
func (r *Request) SetHeader(h []Field) { r.Header, r.edited = h, true }

// HeaderEdited reports whether the fields are not those that the client sent.
func (r *Request) HeaderEdited() bool { return r.edited }

// OwnPage reports whether the response is the server's own page for a status:
// an error or redirect that no handler made.
func (r *Request) OwnPage() bool { return r.ownPage }

// SetEnv sets a request variable (SetEnv, SetEnvIf, E=): it reaches the
// application's environ and the logs.
func (r *Request) SetEnv(name, value string) {
	for i := range r.env {
		if r.env[i].Name == name {
			r.env[i].Value = value
			return
		}
	}
	r.env = append(r.env, EnvVar{name, value})
}

// UnsetEnv removes a request variable.
func (r *Request) UnsetEnv(name string) {
	for i := range r.env {
		if r.env[i].Name == name {
			r.env = append(r.env[:i:i], r.env[i+1:]...)
			return
		}
	}
}

// Env returns a request variable.
func (r *Request) Env(name string) (string, bool) {
	for i := range r.env {
		if r.env[i].Name == name {
			return r.env[i].Value, true
		}
	}
	return "", false
}

// EnvVars returns all request variables; not to be changed.
func (r *Request) EnvVars() []EnvVar { return r.env }

// closing are the variables that end a connection after the response. httpd
// answers with HTTP/1.0 for the second and third, which comes to the same.
var closing = []string{"nokeepalive", "downgrade-1.0", "force-response-1.0", NoVary}

// NoVary is the variable that takes Vary out of a response.
const NoVary = "force-no-vary"

// DropVary does what the variable force-no-vary asks for; for the Response
// hooks of modules that set variables.
func (r *Request) DropVary(h *ResponseHead) {
	if _, ok := r.Env(NoVary); ok {
		h.Del("Vary")
	}
}

// closes reports whether a variable ends the connection.
func (r *Request) closes() bool {
	for i := range r.env {
		if slices.Contains(closing, r.env[i].Name) {
			return true
		}
	}
	return false
}

// Note sets a note: information between modules that nobody else sees.
func (r *Request) Note(name, value string) {
	if r.Notes == nil {
		r.Notes = map[string]string{}
	}
	r.Notes[name] = value
}

// SetOut sets a header field of a successful response, replacing earlier ones.
func (r *Request) SetOut(name, value string) { r.Out = SetField(r.Out, name, value) }

// OutTrailer finds a field behind the response; several are joined.
func (r *Request) OutTrailer(name string) (value string, ok bool) {
	for _, f := range r.TrailerOut {
		switch {
		case !strings.EqualFold(f.Name, name):
		case ok:
			value += ", " + f.Value
		default:
			value, ok = f.Value, true
		}
	}
	return value, ok
}

// SetField replaces or adds a field.
func SetField(h []Field, name, value string) []Field {
	for i := range h {
		if strings.EqualFold(h[i].Name, name) {
			h[i].Value = value
			return h
		}
	}
	return append(h, Field{name, value})
}

// Root is the document root of the request, "" if there is none.
func (r *Request) Root() string {
	if r.DocRoot != "" {
		return r.DocRoot
	}
	return r.m.core.DocumentRoot.V
}

// ConnectionFields are the names, in lower case, of the fields that belong to
// one connection (RFC 9110 section 7.6.1): the known ones and those that a
// Connection field lists. What one side says about its connection does not
// hold for the other's.
func ConnectionFields(header []Field) map[string]bool {
	drop := map[string]bool{"connection": true, "keep-alive": true, "proxy-connection": true, "te": true, "trailer": true,
		"transfer-encoding": true, "upgrade": true}
	for _, f := range header {
		if strings.EqualFold(f.Name, "Connection") {
			for word := range strings.SplitSeq(f.Value, ",") {
				drop[strings.ToLower(strings.TrimSpace(word))] = true
			}
		}
	}
	return drop
}

// inert are variables that mean something to httpd and nothing here, with what
// is lost.
var inert = map[string]string{
	"force-proxy-request-1.0": "requests to other servers are HTTP/1.1",
	"proxy-interim-response":  "interim responses of other servers are not passed on",
	"proxy-source-port":       "the system chooses the local port of connections to other servers",
}

// NoticeVariable gives a notice for a variable that httpd would heed and that
// is set in vain.
func (k *Cmd) NoticeVariable(name string) {
	if why := inert[strings.ToLower(name)]; why != "" {
		k.Notice(CodeIgnored, "the variable %s is set, but nobody heeds it: %s", name, why)
	}
}
