// This file reads the Authorization field of Digest (RFC 7616 section 3.4,
// RFC 9110 section 11.4).

package authdigest

import (
	"strings"

	"modwsgi/gocore/internal/httpd"
	"modwsgi/gocore/internal/mod/authncore"
)

// header is what a client sent; quoted values are unescaped.
type header struct {
	username, realm, nonce, uri, response string
	algorithm, cnonce, opaque, qop, nc    string
	userhash                              string
}

// credentials gives the field, nil if there is none, or says what is wrong.
func credentials(r *httpd.Request) (*header, string) {
	rest, sent, problem := authncore.Authorization(r, "Digest")
	if !sent || problem != "" {
		return nil, problem
	}
	h, ok := parse(rest)
	switch {
	case !ok:
		return nil, "client sent credentials that cannot be read"
	case h.username == "" || h.realm == "" || h.nonce == "" || h.uri == "" || h.response == "" || h.qop != "" && (h.cnonce == "" || len(h.nc) != 8):
		return nil, "missing user, realm, nonce, uri, digest, cnonce, or nonce_count in authorization header"
	case strings.EqualFold(h.userhash, "true"):
		return nil, "client sent a hashed user name, which it was not asked for"
	case !httpd.ValidUser(h.username) || strings.Contains(h.username, ":"):
		// "a:b" in realm "c" would have the hash of "a" in realm "b:c"
		return nil, "client sent a user name with a colon or control characters"
	}
	return h, ""
}

// parse reads name=value pairs. A name that comes twice is an error: two
// readers could choose differently.
func parse(s string) (*header, bool) {
	h := &header{}
	fields := map[string]*string{"username": &h.username, "realm": &h.realm, "nonce": &h.nonce, "uri": &h.uri, "response": &h.response,
		"algorithm": &h.algorithm, "cnonce": &h.cnonce, "opaque": &h.opaque, "qop": &h.qop, "nc": &h.nc, "userhash": &h.userhash}
	seen := map[string]bool{}
	for {
		s = strings.TrimLeft(s, " \t,")
		if s == "" {
			return h, true
		}
		i := strings.IndexAny(s, "= \t,")
		if i <= 0 {
			return nil, false
		}
		name := strings.ToLower(s[:i])
		s = strings.TrimLeft(s[i:], " \t")
		if s == "" || s[0] != '=' {
			return nil, false
		}
		value, rest, ok := parameter(strings.TrimLeft(s[1:], " \t"))
		if !ok || seen[name] {
			return nil, false
		}
		seen[name] = true
		if f := fields[name]; f != nil {
			*f = value
		}
		s = strings.TrimLeft(rest, " \t")
		if s != "" && s[0] != ',' {
			return nil, false
		}
	}
}

// parameter takes a token or a quoted-string from the front of s.
func parameter(s string) (value, rest string, ok bool) {
	if s == "" || s[0] != '"' {
		i := strings.IndexAny(s, " \t,")
		if i < 0 {
			i = len(s)
		}
		return s[:i], s[i:], i > 0 && !strings.Contains(s[:i], `"`)
	}
	var b strings.Builder
	for i := 1; i < len(s); i++ {
		switch s[i] {
		case '"':
			return b.String(), s[i+1:], true
		case '\\':
			if i++; i == len(s) {
				return "", "", false
			}
		}
		b.WriteByte(s[i])
	}
	return "", "", false
}
