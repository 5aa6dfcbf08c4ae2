// This file makes the environment of a program (RFC 3875 section 4.1 and what
// httpd adds).

package cgi

import (
	"net/http"
	"os"
	"strconv"
	"strings"

	"modwsgi/gocore/internal/httpd"
)

// defaultPath is PATH if the server has none.
const defaultPath = "/bin:/usr/bin:/usr/local/bin"

// passed are the variables of the server's own environment that programs need
// to run at all.
var passed = []string{"TZ", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "SYSTEMROOT"}

// variables is an environment under construction: the last value of a name
// counts.
type variables struct {
	list []string
	at   map[string]int
}

// set replaces characters that no shell takes in a name, as httpd does. A NUL
// in the value would end it.
func (v *variables) set(name, value string) {
	if name == "" || strings.IndexByte(value, 0) >= 0 {
		return
	}
	b := []byte(name)
	for i, c := range b {
		digit := '0' <= c && c <= '9'
		if !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || c == '_' || digit && i > 0) {
			b[i] = '_'
		}
	}
	name = string(b)
	entry := name + "=" + value
	if i, ok := v.at[name]; ok {
		v.list[i] = entry
		return
	}
	v.at[name] = len(v.list)
	v.list = append(v.list, entry)
}

// field names a request field as a variable: "" for one that must not become
// one. Characters other than letters, digits and "-" make a field disappear,
// because two of them could get the same name. HTTP_PROXY would choose the
// proxy of the program's own requests (CVE-2016-5385).
func field(name string) string {
	b := []byte("HTTP_" + name)
	for i := len("HTTP_"); i < len(b); i++ {
		switch c := b[i]; {
		case 'a' <= c && c <= 'z':
			b[i] = c - 'a' + 'A'
		case 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		case c == '-':
			b[i] = '_'
		default:
			return ""
		}
	}
	if string(b) == "HTTP_PROXY" {
		return ""
	}
	return string(b)
}

// environ is the environment for a request. Computed variables win over those
// that directives set.
func environ(r *httpd.Request, c *Config) []string {
	v := &variables{at: map[string]int{}}
	for _, e := range r.EnvVars() {
		v.set(e.Name, e.Value)
	}
	passAuthorization := r.Core().CGIPassAuth.Or(false)
	for _, f := range r.Header {
		switch strings.ToLower(f.Name) {
		case "content-type", "content-length", "transfer-encoding":
		case "authorization", "proxy-authorization":
			if passAuthorization {
				v.set(field(f.Name), f.Value)
			}
		default:
			if name := field(f.Name); name != "" {
				value, _ := r.Get(f.Name) // all fields of the name
				v.set(name, value)
			}
		}
	}
	path := os.Getenv("PATH")
	if path == "" {
		path = defaultPath
	}
	v.set("PATH", path)
	for _, name := range passed {
		if value, ok := os.LookupEnv(name); ok {
			v.set(name, value)
		}
	}
	server := func(name, variable string) {
		value, _ := r.Var(variable)
		v.set(name, value)
	}
	if r.TLS {
		v.set("HTTPS", "on")
	}
	v.set("SERVER_SIGNATURE", "")
	for _, name := range []string{"SERVER_SOFTWARE", "SERVER_NAME", "SERVER_ADDR", "SERVER_PORT", "REMOTE_ADDR", "REMOTE_PORT", "DOCUMENT_ROOT",
		"REQUEST_SCHEME", "CONTEXT_PREFIX", "CONTEXT_DOCUMENT_ROOT", "SERVER_PROTOCOL"} {
		server(name, name)
	}
	if r.Host.ServerAdmin != "" {
		v.set("SERVER_ADMIN", r.Host.ServerAdmin)
	}
	v.set("SCRIPT_FILENAME", r.Filename)
	if name := r.ClientName(); name != "" {
		v.set("REMOTE_HOST", name)
	}
	if r.User != "" {
		v.set("REMOTE_USER", r.User)
		v.set("AUTH_TYPE", r.AuthType)
	}
	v.set("GATEWAY_INTERFACE", "CGI/1.1")
	v.set("REQUEST_METHOD", r.Method)
	v.set("QUERY_STRING", r.Query)
	uri := r.RawTarget
	if c.requestURI.V {
		uri = r.URI
	}
	v.set("REQUEST_URI", uri)
	script, info := r.ScriptName()
	v.set("SCRIPT_NAME", script)
	if info != "" {
		v.set("PATH_INFO", info)
		if sub, st := r.LookupURI(info, ""); sub != nil && (st == httpd.OK || st >= http.StatusBadRequest) && strings.HasPrefix(sub.Filename, "/") {
			v.set("PATH_TRANSLATED", sub.Filename+sub.PathInfo)
		}
	}
	if value, ok := r.Get("Content-Type"); ok {
		v.set("CONTENT_TYPE", value)
	}
	if r.ContentLength >= 0 {
		v.set("CONTENT_LENGTH", strconv.FormatInt(r.ContentLength, 10))
	}
	return v.list
}
