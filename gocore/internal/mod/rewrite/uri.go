// This file knows URLs: which strings are absolute ones, how they are escaped
// for a redirect, how the query is split off, and when a URL is our own.

package rewrite

import (
	"strconv"
	"strings"

	"modwsgi/gocore/internal/httpd"
)

// schemes are the beginnings that make a result an absolute URL. query says
// that a "?" in it begins a query string (RFC 1738, RFC 2368).
var schemes = []struct {
	prefix string
	query  bool
}{
	{"http://", true}, {"https://", true}, {"ws://", true}, {"wss://", true}, {"h2://", true}, {"h2c://", true},
	{"ajp://", true}, {"balancer://", true}, {"fcgi://", true}, {"scgi://", true}, {"unix:", true},
	{"ftp://", false}, {"gopher://", false}, {"ldap://", false}, {"news:", false}, {"nntp://", false}, {"mailto:", true},
}

// absolute returns the length of the scheme (with "://" if it has one) of an
// absolute URL, 0 for anything else.
func absolute(u string) (n int, query bool) {
	if len(u) <= 5 || u[0] == '/' {
		return 0, false
	}
	for _, s := range schemes {
		if hasPrefixFold(u, s.prefix) {
			n = len(s.prefix)
			if s.prefix == "unix:" && strings.HasPrefix(u[n:], "//") {
				n += 2
			}
			return n, s.query
		}
	}
	return 0, false
}

func hasPrefixFold(s, prefix string) bool {
	return len(s) >= len(prefix) && strings.EqualFold(s[:len(prefix)], prefix)
}

const hexDigits = "0123456789abcdef"

// escapeURI escapes what a URL path cannot carry, as httpd does: all but
// letters, digits and $-_.+!*'(),:;@&=/~ become %xx.
func escapeURI(s string) string {
	clean := true
	for i := 0; i < len(s) && clean; i++ {
		clean = inPath(s[i])
	}
	if clean {
		return s
	}
	b := make([]byte, 0, len(s)+16)
	for i := 0; i < len(s); i++ {
		if c := s[i]; inPath(c) {
			b = append(b, c)
		} else {
			b = append(b, '%', hexDigits[c>>4], hexDigits[c&15])
		}
	}
	return string(b)
}

func isAlnum(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
}

func inPath(c byte) bool { return isAlnum(c) || strings.IndexByte("$-_.+!*'(),:;@&=/~", c) >= 0 }

// escapeAbsolute escapes the part of an absolute URL after the host. The four
// "?" that separate the parts of an ldap URL stay (RFC 2255).
func escapeAbsolute(u string, scheme int) string {
	if u[scheme-1] == '/' {
		slash := strings.IndexByte(u[scheme:], '/')
		if slash < 0 {
			return u
		}
		scheme += slash + 1
		if hasPrefixFold(u, "ldap") {
			parts := strings.SplitN(u[scheme:], "?", 5)
			for i := range parts {
				parts[i] = escapeURI(parts[i])
			}
			return u[:scheme] + strings.Join(parts, "?")
		}
	}
	return u[:scheme] + escapeURI(u[scheme:])
}

// escapeBackref escapes a back-reference as the flags B, BNP, BCTLS and BNE of
// the rule say.
func escapeBackref(s string, p *rule) string {
	b := make([]byte, 0, len(s)+16)
	for i := 0; i < len(s); i++ {
		c := s[i]
		var escape bool
		if p.flags&flagEscapeCtls != 0 {
			escape = c <= ' ' || c == 0x7f
		} else {
			escape = p.escapes == ""
		}
		escape = (escape || strings.IndexByte(p.escapes, c) >= 0) && strings.IndexByte(p.noEscapes, c) < 0
		switch {
		case !escape, isAlnum(c), c == '_':
			b = append(b, c)
		case c == ' ' && p.flags&flagNoPlus == 0:
			b = append(b, '+')
		default:
			b = append(b, '%', hexDigits[c>>4], hexDigits[c&15])
		}
	}
	return string(b)
}

// splitQuery moves the query of a rule's result from path to query, combined
// with the query so far as the flags say.
func splitQuery(path, query string, f flags) (string, string) {
	if f&flagQueryNone != 0 {
		return path, ""
	}
	skip, hasQuery := absolute(path)
	if skip > 0 && !hasQuery {
		return path, ""
	}
	if f&flagQueryDiscard != 0 {
		query = ""
	}
	i := strings.IndexByte(path[skip:], '?')
	if f&flagQueryLast != 0 {
		i = strings.LastIndexByte(path[skip:], '?')
	}
	if i < 0 {
		return path, query
	}
	path, added := path[:skip+i], path[skip+i+1:]
	switch {
	case f&flagQueryAppend == 0:
		query = added
	case added != "":
		query = added + "&" + query
	}
	return path, strings.TrimSuffix(query, "&")
}

// reduce strips scheme, host and port from an absolute URL that is this very
// host's. ok is false if it is another's.
func reduce(r *httpd.Request, u string) (path string, ok bool) {
	prefix, port := r.Scheme()+"://", 80
	if r.Scheme() == "https" {
		port = 443
	}
	if len(u) <= len(prefix) || !hasPrefixFold(u, prefix) {
		return u, false
	}
	authority, path := u[len(prefix):], "/"
	if i := strings.IndexByte(authority, '/'); i >= 0 {
		authority, path = authority[:i], authority[i:]
	}
	host, portText := httpd.SplitHost(authority)
	if portText != "" {
		port, _ = strconv.Atoi(portText)
	}
	if !r.Host.Answers(host, port) {
		return u, false
	}
	return path, true
}

// badQuery reports whether a query has blanks or control characters, which
// only a wrong rule can bring in.
func badQuery(q string) bool {
	for i := 0; i < len(q); i++ {
		if q[i] <= ' ' || q[i] == 0x7f {
			return true
		}
	}
	return false
}

// badField reports whether a string cannot be the value of a header field.
func badField(v string) bool {
	for i := 0; i < len(v); i++ {
		if v[i] < ' ' && v[i] != '\t' || v[i] == 0x7f {
			return true
		}
	}
	return false
}

// substPrefix replaces the directory at the front of a path by a URL path.
func substPrefix(path, dir, url string) (string, bool) {
	dir = strings.TrimSuffix(dir, "/")
	if !strings.HasPrefix(path, dir) || len(path) == len(dir) || path[len(dir)] != '/' {
		return path, false
	}
	if url != "" && !strings.HasSuffix(url, "/") {
		url += "/"
	}
	return url + path[len(dir)+1:], true
}
