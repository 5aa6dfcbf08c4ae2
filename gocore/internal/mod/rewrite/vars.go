// This file finds the values of %{VARIABLE}.

package rewrite

import (
	"os"
	"os/user"
	"path"
	"strings"

	"modwsgi/gocore/internal/httpd"
)

// headerVars are the variables that are request fields. The response then
// depends on the field, which Vary tells caches; Host is part of the URL
// (RFC 9110 section 12.5.5).
var headerVars = map[string]string{
	"HTTP_ACCEPT": "Accept", "HTTP_COOKIE": "Cookie", "HTTP_FORWARDED": "Forwarded", "HTTP_HOST": "Host",
	"HTTP_PROXY_CONNECTION": "Proxy-Connection", "HTTP_REFERER": "Referer", "HTTP_USER_AGENT": "User-Agent",
}

// variable gives the value of a variable, "" if there is none.
func (x *run) variable(name string) string {
	r := x.r
	if prefix, rest, ok := strings.Cut(name, ":"); ok {
		switch strings.ToUpper(prefix) {
		case "ENV":
			if v, ok := r.Notes[rest]; ok {
				return v
			}
			if v, ok := r.Env(rest); ok {
				return v
			}
			return os.Getenv(rest)
		case "HTTP":
			return x.header(rest)
		case "SSL":
			v, _ := r.Var(strings.ToUpper(rest))
			return v
		case "LA-U", "LA-F":
			return x.lookAhead(strings.ToUpper(prefix) == "LA-F", rest)
		}
		return ""
	}
	name = strings.ToUpper(name)
	if field := headerVars[name]; field != "" {
		return x.header(field)
	}
	switch name {
	case "REQUEST_URI":
		return r.URI
	case "REQUEST_FILENAME", "SCRIPT_FILENAME":
		return r.Filename
	case "QUERY_STRING":
		return r.Query
	case "PATH_INFO":
		return r.PathInfo
	}
	v, _ := r.Var(name)
	return v
}

func (x *run) header(name string) string {
	v, ok := x.r.Get(name)
	if ok && !strings.EqualFold(name, "Host") {
		x.varyNow = append(x.varyNow, name)
	}
	return v
}

// lookAhead gives the value that a variable will have after the phases that
// are yet to come: those of a sub-request for the URL (LA-U) or file (LA-F).
func (x *run) lookAhead(file bool, name string) string {
	if !x.mayLookUp() {
		return ""
	}
	r := x.r
	var sub *httpd.Request
	target := x.uri
	if file && x.perDir != "" && !strings.HasPrefix(target, "/") {
		target = x.perDir + target
		sub, _ = r.LookupFile(target)
	} else if file && x.perDir == "" {
		sub, _ = r.LookupFile(target)
	} else {
		if x.perDir != "" && !strings.HasPrefix(target, "/") {
			target = x.c.base.Or(x.perDir) + target
		}
		sub, _ = r.LookupURI(target, "")
	}
	v := ""
	if sub != nil {
		x.r = sub
		v = x.variable(name)
		x.r = r
	}
	x.trace(5, "lookahead: path=%s var=%s -> val=%s", target, name, v)
	return v
}

// expandTilde replaces "/~name" by the home directory of the user.
func expandTilde(r *httpd.Request, p string) string {
	rest, ok := strings.CutPrefix(p, "/~")
	if !ok {
		return p
	}
	name, after, _ := strings.Cut(rest, "/")
	if name == "" {
		return p
	}
	r.Need(httpd.OnWorker) // the answer may come from the network
	u, err := user.Lookup(name)
	if err != nil || !strings.HasPrefix(u.HomeDir, "/") {
		return p
	}
	if len(rest) == len(name) {
		return u.HomeDir
	}
	return strings.TrimSuffix(u.HomeDir, "/") + "/" + after
}

// firstExists reports whether the first component of a path exists: then the
// result of a rule can be a file outside of DocumentRoot.
func firstExists(p string) (string, bool) {
	first, _, _ := strings.Cut(strings.TrimLeft(p, "/"), "/")
	if first == ".." {
		return "", false
	}
	name := path.Join("/", first)
	_, err := os.Stat(name)
	return name, err == nil
}
