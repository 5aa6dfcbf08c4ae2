// This file decides which requests go where: ProxyPass, ProxyPassMatch, and
// the URLs that mod_rewrite's flag P made. The result is the file name
// "proxy:URL", as in httpd, which <Proxy> sections are compared with.

package proxy

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"strings"

	"modwsgi/gocore/internal/http1"
	"modwsgi/gocore/internal/httpd"
)

// entry is one ProxyPass or ProxyPassMatch.
type entry struct {
	prefix  string
	re      *httpd.Regexp // Match form
	deny    bool          // "!"
	target  string        // as written
	worker  *worker       // nil: a balancer, by its name in the target
	nocanon bool
}

// target is a URL that requests can be passed on to.
type target struct {
	unix     string // path of a socket; "" = TCP
	scheme   string // http, https, ws, wss or balancer, lower case
	host     string // host[:port] as written
	path     string // with what follows it, a query too; "" or with a slash first
	original string
}

// errScheme explains the schemes that cannot be served.
func errScheme(scheme string) error {
	c := &httpd.Coded{Code: httpd.CodeUnavailable, Suggestion: "the schemes are http, https, ws, wss, balancer, and unix:/path|http"}
	switch scheme {
	case "ajp", "fcgi", "scgi", "uwsgi", "h2", "h2c", "ftp", "fdpass":
		c.Message = fmt.Sprintf("the protocol %s is not available", scheme)
	default:
		c.Message = fmt.Sprintf("%q is no known scheme", scheme)
	}
	return c
}

// parseTarget reads the URL of another server. Of a URL for ProxyPassMatch
// the part before the first back-reference is enough.
func parseTarget(s string) (*target, error) {
	t := &target{original: s}
	if len(s) > 5 && strings.EqualFold(s[:5], "unix:") {
		sock, rest, ok := strings.Cut(s[5:], "|")
		if !ok || !strings.HasPrefix(sock, "/") {
			return nil, fmt.Errorf("%q is not of the form unix:/path|http://host/", s)
		}
		t.unix, s = sock, rest
		if !strings.Contains(s, "://") && strings.HasSuffix(s, ":") {
			s += "//localhost"
		}
	}
	scheme, rest, ok := strings.Cut(s, "://")
	if !ok {
		return nil, fmt.Errorf("%q is not a URL", t.original)
	}
	t.scheme = strings.ToLower(scheme)
	switch t.scheme {
	case "http", "https", "ws", "wss", "balancer":
	default:
		return nil, errScheme(t.scheme)
	}
	if i := strings.IndexAny(rest, "/?#"); i >= 0 {
		t.host, t.path = rest[:i], rest[i:]
	} else {
		t.host = rest
	}
	switch {
	case strings.Contains(t.host, "@"):
		return nil, fmt.Errorf("%q has a user name, which cannot be passed on; use RequestHeader for Authorization", t.original)
	case t.host == "" && t.unix == "":
		return nil, fmt.Errorf("%q has no host", t.original)
	case t.unix != "" && t.scheme == "balancer":
		return nil, errors.New("a balancer has no socket")
	}
	for i := 0; i < len(t.host); i++ {
		if c := t.host[i]; c <= ' ' || c >= 0x7f || strings.IndexByte(`"<>\^{|}%`+"`", c) >= 0 {
			return nil, fmt.Errorf("%q is not a host", t.host)
		}
	}
	if name, port := httpd.SplitHost(t.host); port != "" {
		if n, err := strconv.Atoi(port); err != nil || n < 1 || n > 65535 || name == "" {
			return nil, fmt.Errorf("%q is not host:port", t.host)
		}
	}
	if t.path != "" && t.path[0] != '/' {
		t.path = "/" + t.path
	}
	return t, nil
}

// address is host:port for the dialer.
func (t *target) address() string {
	name, port := httpd.SplitHost(t.host)
	if port == "" {
		port = "80"
		if t.secure() {
			port = "443"
		}
	}
	return net.JoinHostPort(strings.Trim(name, "[]"), port)
}

// secure reports whether the connection has TLS.
func (t *target) secure() bool { return t.scheme == "https" || t.scheme == "wss" }

// name identifies the server: the URL without what follows the host.
func (t *target) name() string {
	s := t.scheme + "://" + strings.ToLower(t.host)
	if t.unix != "" {
		s = "unix:" + t.unix + "|" + s
	}
	return s
}

// setPass reads ProxyPass and ProxyPassMatch.
func setPass(match bool) func(*httpd.Cmd, *Config) error {
	return func(k *httpd.Cmd, c *Config) error {
		args := k.Args
		e := &entry{}
		if k.In == httpd.InLocation {
			re, err := k.PathRegexp()
			if err != nil {
				return err
			}
			switch e.re, e.prefix = re, k.Path; {
			case len(args) > 1 && (args[1] == "!" || strings.Contains(args[1], "://")):
				return errors.New("takes only the URL inside of <Location>")
			case match && re == nil:
				return errors.New("needs <LocationMatch> around it, or a regular expression outside of <Location>")
			case !match && re != nil:
				return &httpd.Coded{Code: httpd.CodeArguments, Message: "does not work inside of <LocationMatch>", Suggestion: "use ProxyPassMatch"}
			case re == nil && (httpd.HasWildcard(k.Path) || !strings.HasPrefix(k.Path, "/")):
				return fmt.Errorf("the path %q of the section is not a plain URL path", k.Path)
			}
		} else {
			if len(args) < 2 {
				return errors.New("needs a URL path and a URL outside of <Location>")
			}
			if match {
				re, err := httpd.CompileRegexp(args[0], false)
				if err != nil {
					return err
				}
				e.re = re
			} else if e.prefix = args[0]; !strings.HasPrefix(e.prefix, "/") {
				return fmt.Errorf("%q is not a URL path; it must begin with a slash", e.prefix)
			}
			args = args[1:]
		}
		add := func() {
			if k.In == httpd.InLocation {
				c.own = e
			} else {
				c.entries = append(c.entries, e)
			}
		}
		if e.target = args[0]; e.target == "!" {
			if len(args) > 1 {
				return errors.New("! takes no parameters")
			}
			e.deny = true
			add()
			return nil
		}
		literal, _, dynamic := strings.Cut(e.target, "$")
		if !match {
			literal, dynamic = e.target, false
		}
		t, err := parseTarget(literal)
		if err != nil {
			return err
		}
		if strings.ContainsAny(t.path, "?#") || strings.ContainsAny(e.target, "?#") {
			return &httpd.Coded{Code: httpd.CodeArguments, Message: "the URL cannot have a query", Suggestion: "use RewriteRule with the flag P"}
		}
		if dynamic && t.path == "" && !strings.HasPrefix(e.target[len(literal):], "$1") && !strings.HasPrefix(e.target[len(literal):], "$0") {
			return errors.New("the host of the URL cannot come from the request; write it with a slash after it")
		}
		if !match && !strings.HasSuffix(e.prefix, "/") != !strings.HasSuffix(t.path, "/") && t.path != "" { // without a path, join puts a slash between
			k.Warn("PROXY-SLASH", "one of %q and %q ends with a slash and the other does not: paths will be joined wrongly", e.prefix, e.target)
		}
		reg := registryOf(k, c)
		if t.scheme == "balancer" {
			b := reg.balancer(k.HostIndex, t.host)
			b.used = append(b.used, k.Pos)
			if err := readParams(args[1:], balancerKeys(k, &b.p), map[string]*bool{"nocanon": &e.nocanon}); err != nil {
				return err
			}
			add()
			return nil
		}
		var p params
		if err := readParams(args[1:], workerKeys(k, &p), map[string]*bool{"nocanon": &e.nocanon}); err != nil {
			return err
		}
		e.worker = reg.add(k, t, p)
		add()
		return nil
	}
}

// routes tells the core which paths translate answers.
func routes(c *Config) []httpd.Route {
	var out []httpd.Route
	list := c.entries
	if c.own != nil {
		list = append([]*entry{c.own}, list...)
	}
	for _, e := range list {
		out = append(out, httpd.RouteOf(e.prefix, e.re))
	}
	return out
}

// translate gives the request the URL of the first entry that takes it, the
// Location's own first.
func translate(r *httpd.Request, c *Config) httpd.Status {
	if c.own == nil && len(c.entries) == 0 {
		return httpd.Declined
	}
	if v, ok := r.Env("no-proxy"); ok && v != "" {
		return httpd.Declined
	}
	if c.own != nil {
		if st, ok := c.own.take(r); ok {
			return st
		}
	}
	for _, e := range c.entries {
		if st, ok := e.take(r); ok {
			return st
		}
	}
	return httpd.Declined
}

// take reports whether the entry decides about the request.
func (e *entry) take(r *httpd.Request) (httpd.Status, bool) {
	var url string
	raw := false
	if e.re != nil {
		g := e.re.Find(r.URI)
		if g == nil {
			return 0, false
		}
		if e.deny {
			return httpd.Declined, true
		}
		url = httpd.Expand(e.target, r.URI, g)
		if e.worker != nil && !strings.HasPrefix(url, e.worker.t.original) || !sameHost(e.target, url) {
			r.Logf(httpd.LevelError, "proxy", "the URL path %s would change the host of %s", r.URI, e.target)
			return http.StatusForbidden, true
		}
	} else {
		n := httpd.MatchPrefix(r.URI, e.prefix)
		if n == 0 {
			return 0, false
		}
		if e.deny {
			return httpd.Declined, true
		}
		rest := r.URI[n:]
		if e.nocanon {
			if m := httpd.MatchPrefix(r.RawPath, e.prefix); m > 0 && isOwn(r) {
				rest, raw = r.RawPath[m:], true
			}
		}
		url = join(e.target, rest)
	}
	if raw {
		if r.Query != "" {
			url += "?" + r.Query
		}
		r.Note(noteNocanon, "1")
	}
	r.Filename = prefix + url
	r.Handler = handlerName
	if e.worker != nil {
		r.Note(noteWorker, strconv.Itoa(e.worker.index))
	}
	return httpd.OK, true
}

// isOwn reports whether the URL path is still the one that the client sent.
func isOwn(r *httpd.Request) bool {
	p, status := http1.CleanPath(nil, []byte(r.RawPath), true, http1.EncodedSlashesNoDecode)
	q, other := http1.CleanPath(nil, []byte(r.RawPath), true, http1.EncodedSlashesOn)
	return status == 0 && string(p) == httpd.CollapseSlashes(r.URI) || other == 0 && string(q) == httpd.CollapseSlashes(r.URI)
}

// join puts the rest of a path behind a URL. Where the URL ends with its host,
// the rest must not become part of that.
func join(url, rest string) string {
	if _, after, _ := strings.Cut(url, "://"); !strings.Contains(after, "/") && !strings.HasPrefix(rest, "/") {
		return url + "/" + rest
	}
	return url + rest
}

// sameHost reports whether a URL made from a template still leads to the host
// in it. Groups after the host must begin with a slash or be empty.
func sameHost(template, url string) bool {
	literal, _, dynamic := strings.Cut(template, "$")
	if !dynamic {
		return true
	}
	_, host, _ := strings.Cut(literal, "://")
	if strings.Contains(host, "/") {
		return strings.HasPrefix(url, literal)
	}
	rest, ok := strings.CutPrefix(url, literal)
	return ok && (rest == "" || rest[0] == '/')
}

// fixup makes sure that a request to be passed on gets our handler whatever
// the media type of its name says; SetHandler counts.
func fixup(r *httpd.Request, _ *Config) httpd.Status {
	if strings.HasPrefix(r.Filename, prefix) && r.Core().SetHandler.V == "" {
		r.Handler = handlerName
	}
	return httpd.OK
}

// handle answers requests with our handler.
func handle(r *httpd.Request, c *Config) *httpd.Outcome {
	url, ok := strings.CutPrefix(r.Filename, prefix)
	if r.Handler != handlerName || !ok {
		return nil
	}
	f, status, err := newForward(r, c, url)
	if err != nil {
		r.Logf(httpd.LevelError, "proxy", "%s cannot be passed on to %s: %v", r.URI, url, err)
		return r.Fail(status)
	}
	if out := f.maxForwards(); out != nil {
		return out
	}
	return &httpd.Outcome{Stream: f.run, Request: r}
}

// escape writes a decoded path as httpd does: all but letters, digits and
// some marks become %xx. keepSlash leaves %2F, which AllowEncodedSlashes
// NoDecode left in the path, as it is.
func escape(path string, keepSlash bool) string {
	const hex = "0123456789ABCDEF"
	clean := true
	for i := 0; i < len(path) && clean; i++ {
		clean = plain(path[i])
	}
	if clean {
		return path
	}
	b := make([]byte, 0, len(path)+16)
	for i := 0; i < len(path); i++ {
		c := path[i]
		switch {
		case plain(c), keepSlash && c == '%' && i+2 < len(path) && strings.EqualFold(path[i+1:i+3], "2f"):
			b = append(b, c)
		default:
			b = append(b, '%', hex[c>>4], hex[c&15])
		}
	}
	return string(b)
}

func plain(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.IndexByte("~$-_.+!*'(),;:@&=/", c) >= 0
}
