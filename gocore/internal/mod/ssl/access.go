// The hooks: what a request needs of its connection, and what it is told of it.

package ssl

import (
	"crypto/tls"
	"encoding/base64"
	"net/http"
	"slices"
	"strings"

	"modwsgi/gocore/internal/httpd"
)

// noteForbidden is the note of a request that this module has refused, for StrictRequire.
const noteForbidden = "ssl-access-forbidden"

// connectionOf is the request's TLS connection; false: it has none, or is a probe.
func connectionOf(r *httpd.Request) (view, bool) {
	if r.Secure == nil {
		return view{}, false
	}
	c, ok := r.Secure.Data.(*connection)
	if !ok {
		return view{}, false
	}
	return c.of(r), true
}

// wishes notes how the request sees names and certificates.
func wishes(r *httpd.Request, c *Config) {
	if c.options.value()&optLegacyDN != 0 {
		r.Note(noteLegacy, "1")
	}
	if c.verify.V == verifyOptionalNoCA {
		r.Note(noteGenerous, "1")
	}
}

func logf(r *httpd.Request, level int, format string, a ...any) { r.Logf(level, "ssl", format, a...) }

func postRead(r *httpd.Request, c *Config) httpd.Status {
	if r.TLS {
		wishes(r, c)
	}
	return httpd.Declined
}

// refuse answers 403 and remembers it.
func refuse(r *httpd.Request, why string) httpd.Status {
	logf(r, httpd.LevelError, "WSGI0383: access to %s failed, reason: %s", subject(r), why)
	r.Note(noteForbidden, "1")
	return http.StatusForbidden
}

func subject(r *httpd.Request) string {
	if r.Filename != "" {
		return r.Filename
	}
	return r.URI
}

// access is what sections demand. A host's own demands were met in the handshake.
func access(r *httpd.Request, c *Config) httpd.Status {
	if c.onlyTLS && !r.TLS {
		return refuse(r, "SSL connection required")
	}
	if !r.TLS { // as in httpd, where SSLRequireSSL alone is for hosts without TLS
		return httpd.OK
	}
	wishes(r, c)
	if why := lacks(r, c); why != "" {
		return refuse(r, why)
	}
	for _, q := range c.requires {
		ok, err := q.cond.True(r)
		if err != nil {
			logf(r, httpd.LevelError, "WSGI0384: SSLRequire cannot be evaluated: %v", err)
			return refuse(r, "Failed to execute SSL requirement expression")
		}
		if !ok {
			logf(r, httpd.LevelInfo, "requirement expression not fulfilled: %s", q.text)
			return refuse(r, "SSL requirement expression not fulfilled")
		}
	}
	return httpd.OK
}

// lacks says what a section demands and the connection has not; "" if nothing.
func lacks(r *httpd.Request, c *Config) string {
	if c.verify.V == verifyNone && !c.ciphers.Set {
		return ""
	}
	conn, ok := connectionOf(r)
	if !ok {
		return "there is no connection"
	}
	if s := conn.state; c.ciphers.Set && s.Version < tls.VersionTLS13 && !slices.Contains(c.ciphers.V, s.CipherSuite) {
		return "the connection's cipher suite is not in SSLCipherSuite"
	}
	certs := conn.state.PeerCertificates
	switch {
	case c.verify.V == verifyNone:
		return ""
	case len(certs) == 0 && c.verify.V == verifyRequire:
		return "the client sent no certificate"
	case len(certs) == 0:
		return ""
	}
	check := *conn.host.check
	check.generous = c.verify.V == verifyOptionalNoCA
	if c.dirDepth.Set {
		check.depth = c.dirDepth.V
	}
	if _, err := check.verify(certs); err != nil && !(check.generous && forgivable(err)) {
		return "the client's certificate is not accepted: " + err.Error()
	}
	return ""
}

// strict keeps Satisfy Any from letting in whom this module has refused.
func strict(r *httpd.Request, c *Config) httpd.Status {
	if c.options.value()&optStrictRequire != 0 && r.Notes[noteForbidden] != "" {
		return http.StatusForbidden
	}
	return httpd.Declined
}

// authn is FakeBasicAuth: the name in the client's certificate is a user whose
// password is "password". Nobody may say so himself.
func authn(r *httpd.Request, c *Config) httpd.Status {
	if field, ok := r.Get("Authorization"); ok && claimsName(field) {
		logf(r, httpd.LevelError, "WSGI0385: the client sent credentials that only a certificate can give (FakeBasicAuth): %s", r.URI)
		return http.StatusForbidden
	}
	conn, ok := connectionOf(r)
	if !ok || c.options.value()&optFakeBasicAuth == 0 || conn.verdict() != "SUCCESS" { // what anybody can write into a certificate is no name
		return httpd.Declined
	}
	name := distinguished(conn.peer().RawSubject, true) // always the old form, as in httpd
	if c.user != "" {
		name = conn.lookup(c.user)
	}
	if name == "" {
		return httpd.Declined
	}
	if strings.Contains(name, ":") {
		logf(r, httpd.LevelInfo, "the name %s of the client has a colon and cannot be a user's", name)
		return http.StatusForbidden
	}
	h := slices.DeleteFunc(slices.Clone(r.Header), func(f httpd.Field) bool { return strings.EqualFold(f.Name, "Authorization") })
	r.SetHeader(append(h, httpd.Field{Name: "Authorization", Value: "Basic " + base64.StdEncoding.EncodeToString([]byte(name+":password"))}))
	return httpd.Declined
}

// claimsName reports credentials as authn makes them.
func claimsName(field string) bool {
	scheme, rest, _ := strings.Cut(strings.TrimSpace(field), " ")
	if !strings.EqualFold(scheme, "Basic") {
		return false
	}
	text, err := base64.RawStdEncoding.DecodeString(strings.TrimRight(strings.TrimSpace(rest), "="))
	name, password, _ := strings.Cut(string(text), ":")
	return err == nil && strings.HasPrefix(name, "/") && password == "password"
}

// fixup gives the application its variables.
func fixup(r *httpd.Request, c *Config) httpd.Status {
	if !r.TLS {
		return httpd.Declined
	}
	r.SetEnv("HTTPS", "on")
	conn, ok := connectionOf(r)
	if !ok {
		return httpd.Declined
	}
	o := c.options.value()
	if c.user != "" {
		if v := conn.lookup(c.user); httpd.ValidUser(v) {
			r.User = v
		} else if conn.peer() != nil {
			logf(r, httpd.LevelWarn, "WSGI0386: the user cannot be set from %s, which is empty", c.user)
		}
	}
	conn.export(o, r.SetEnv)
	return httpd.OK
}
