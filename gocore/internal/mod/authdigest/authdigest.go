// Package authdigest is mod_auth_digest: Digest authentication (RFC 7616) with
// MD5 and qop=auth, as Apache's module does it, with the providers of package
// authncore.
//
// This file has the directives and the decision; header.go reads the
// Authorization field, nonce.go makes and judges nonces.
package authdigest

import (
	"crypto/md5"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"net/url"
	"strconv"
	"strings"
	"time"

	"modwsgi/gocore/internal/httpd"
	"modwsgi/gocore/internal/mod/authncore"
)

// Config is the module's settings of one scope. A section that has any of the
// directives has all of its settings from there, as in Apache.
type Config struct {
	providers []authncore.Provider // nil: the default
	lifetime  time.Duration        // of a nonce; 0: for one request; < 0: for ever
	domain    []string
	old       bool // AuthDigestQop none: RFC 2069
	counted   bool // AuthDigestNcCheck
	nonces    int  // how many are remembered (AuthDigestShmemSize); 0: defaultNonces
}

// defaultLifetime is AuthDigestNonceLifetime's.
const defaultLifetime = 300 * time.Second

// renewBefore is how long before its end a nonce is replaced by nextnonce.
const renewBefore = 30 * time.Second

type module struct{ core *authncore.Core }

// New makes the module over the providers of core.
func New(core *authncore.Core) *httpd.Module[Config] {
	m := module{core}
	dh, ac := httpd.InSection|httpd.InHtaccess, httpd.OverrideAuthConfig
	return &httpd.Module[Config]{
		Name: "authdigest", ID: "auth_digest_module", File: "mod_auth_digest.c",
		Directives: []httpd.Directive[Config]{
			{Name: "AuthDigestProvider", Args: "provider ...", Min: 1, Max: -1, In: dh, Override: ac, Default: "file", Set: m.setProviders,
				Doc: "Who knows the users' hashes; asked in order until one knows the user."},
			{Name: "AuthDigestNonceLifetime", Args: "seconds", Min: 1, Max: 1, In: dh, Override: ac, Default: "300", Set: setLifetime,
				Doc: "How long a client may use a nonce; 0: for one request, less than 0: for ever."},
			{Name: "AuthDigestDomain", Args: "URI ...", Min: 1, Max: -1, In: dh, Override: ac, Set: setDomain,
				Doc: "The addresses that the same credentials are good for."},
			{Name: "AuthDigestQop", Args: "none|auth", Min: 1, Max: 2, In: dh, Override: ac, Default: "auth", Set: setQop,
				Doc: "The quality of protection; none is the old form without counts and client nonces."},
			{Name: "AuthDigestNcCheck", Args: "On|Off", Min: 1, Max: 1, In: dh, Override: ac, Default: "Off", Set: setNcCheck,
				Doc: "Whether a request is refused whose nonce and count came before."},
			{Name: "AuthDigestAlgorithm", Args: "MD5", Min: 1, Max: 1, In: dh, Override: ac, Default: "MD5", Set: setAlgorithm,
				Doc: "The hash function; there is MD5."},
			{Name: "AuthDigestShmemSize", Args: "bytes[K|M]", Min: 1, Max: 1, In: httpd.InServer, Default: "512K", Set: setShmemSize,
				Doc: "How much memory a process has for the nonces whose counts it remembers, 128 bytes each, at least 16 of them."},
		},
		New: func() *Config { return &Config{lifetime: defaultLifetime} },
		Merge: func(p, k *Config) *Config { // but for the size, which only the main server has
			c := *k
			c.nonces = p.nonces
			return &c
		},
		Authn:     m.authenticate,
		Challenge: m.challenge,
		Fixup:     fixup,
	}
}

func (m module) setProviders(k *httpd.Cmd, c *Config) error {
	list, err := m.core.Providers(k, authncore.Digest)
	c.providers = append(c.providers, list...)
	return err
}

func setLifetime(k *httpd.Cmd, c *Config) error {
	n, err := strconv.ParseInt(k.Arg(0), 10, 64)
	if err != nil || n > math.MaxInt32 || n < math.MinInt32 {
		return fmt.Errorf("%q is not a number of seconds", k.Arg(0))
	}
	c.lifetime = time.Duration(n) * time.Second
	return nil
}

func setDomain(k *httpd.Cmd, c *Config) error {
	for _, u := range k.Args {
		if _, err := url.Parse(u); err != nil || strings.ContainsAny(u, " \"\\") {
			return fmt.Errorf("%q is not a URI", u)
		}
	}
	c.domain = append(c.domain, k.Args...)
	return nil
}

func setQop(k *httpd.Cmd, c *Config) error {
	switch q := strings.ToLower(k.Arg(0)); {
	case q == "none" && len(k.Args) == 1:
		c.old = true
	case q == "auth" && len(k.Args) == 1:
		c.old = false
	default:
		return errors.New("must be auth or none; auth-int is not available, as in Apache")
	}
	return nil
}

func setNcCheck(k *httpd.Cmd, c *Config) error {
	v, err := k.Flag(0)
	c.counted = v
	return err
}

func setAlgorithm(k *httpd.Cmd, _ *Config) error {
	if !strings.EqualFold(k.Arg(0), "MD5") {
		return fmt.Errorf("must be MD5, not %q", k.Arg(0))
	}
	return nil
}

func setShmemSize(k *httpd.Cmd, c *Config) error {
	number, unit := k.Arg(0), int64(1)
	switch last := number[max(0, len(number)-1):]; last {
	case "K", "k":
		number, unit = number[:len(number)-1], 1<<10
	case "M", "m":
		number, unit = number[:len(number)-1], 1<<20
	}
	n, err := strconv.ParseInt(number, 10, 64)
	if err != nil || n <= 0 || n > math.MaxInt32/unit {
		return fmt.Errorf("%q is not a size: a number of bytes, of kilobytes (512K) or of megabytes (1M)", k.Arg(0))
	}
	c.nonces = max(minNonces, int(n*unit/nonceSize))
	return nil
}

// once says that a nonce is good for one request only.
func (c *Config) once() bool { return c.lifetime == 0 }

// accepted is what fixup needs for Authentication-Info.
type accepted struct {
	ha1 string
	h   *header
	age time.Duration
}

type acceptedKey struct{}

// staleKey marks a request whose credentials were right but for the nonce.
type staleKey struct{}

func (m module) challenge(r *httpd.Request, c *Config) {
	if m.core.Type(r) != "digest" {
		return
	}
	realm, ok := m.core.Realm(r)
	if !ok {
		return
	}
	v := fmt.Sprintf(`Digest realm=%s, nonce="%s", algorithm=MD5, opaque="%s"`, authncore.Quote(realm), newNonce(r, c, realm, time.Now()), opaque(r, realm))
	if len(c.domain) > 0 {
		v += `, domain="` + strings.Join(c.domain, " ") + `"`
	}
	if _, stale := r.Memo(staleKey{}); stale {
		v += ", stale=true"
	}
	if !c.old {
		v += `, qop="auth"`
	}
	r.ErrOut = append(r.ErrOut, httpd.Field{Name: "WWW-Authenticate", Value: v})
}

func (m module) authenticate(r *httpd.Request, c *Config) httpd.Status {
	if m.core.Type(r) != "digest" {
		return httpd.Declined
	}
	realm, ok := m.core.Realm(r)
	if !ok {
		return 500
	}
	r.AuthType = "Digest"
	h, problem := credentials(r)
	switch {
	case problem != "":
		logf(r, "AH01783: %s: %s", problem, r.URI)
		return 401
	case h == nil: // nothing was sent: the client does not know yet
		return 401
	}
	r.Claimed = h.username
	first := r.Original() // what the client signed
	switch {
	case !sameTarget(h.uri, first.RawTarget):
		logf(r, "AH01786: uri mismatch - <%s> does not match request-uri <%s>", h.uri, first.RawTarget)
		return 400
	case h.opaque != "" && !equal(h.opaque, opaque(r, realm)):
		logf(r, "AH01787: received invalid opaque - got `%s'", h.opaque)
		return 401
	case h.realm != realm:
		logf(r, "AH01788: realm mismatch - got `%s' but expected `%s'", h.realm, realm)
		return 401
	case h.algorithm != "" && !strings.EqualFold(h.algorithm, "MD5"):
		logf(r, "AH01789: unknown algorithm `%s' received: %s", h.algorithm, r.URI)
		return 401
	case c.old && h.qop != "" || !c.old && h.qop != "auth":
		logf(r, "AH01793: invalid qop `%s' received: %s", h.qop, r.URI)
		return 401
	}
	ha1, st := m.hash(r, c, h.username, realm)
	if st != httpd.OK {
		return st
	}
	if !equal(strings.ToLower(h.response), response(ha1, h, first.Method+":"+h.uri)) {
		logf(r, "AH01794: user %s: password mismatch: %s", h.username, r.URI)
		return 401
	}
	age, verdict := judge(r, c, h, realm)
	switch verdict {
	case nonceStale:
		r.SetMemo(staleKey{}, true)
		return 401
	case nonceUsed:
		logf(r, "AH01774: user %s: nonce-count check failed, the request may be a repetition by somebody else: %s", h.username, r.URI)
		r.SetMemo(staleKey{}, true) // an honest client tries again with the new nonce
		return 401
	}
	r.SetMemo(acceptedKey{}, accepted{ha1, h, age})
	r.User, r.Claimed = h.username, ""
	return httpd.OK
}

// hash asks the providers for MD5(user:realm:password).
func (m module) hash(r *httpd.Request, c *Config, user, realm string) (string, httpd.Status) {
	providers := c.providers
	if providers == nil {
		providers = m.core.Default()
	}
	hash, res := "", authncore.NotFound
	for i := range providers {
		if hash, res = providers[i].Hash(r, user, realm); res != authncore.NotFound {
			break
		}
	}
	switch hash = strings.ToLower(hash); {
	case res == authncore.Granted && len(hash) == 2*md5.Size:
		return hash, httpd.OK
	case res == authncore.Granted:
		logf(r, "the hash of user `%s' in realm `%s' is not an MD5 sum", user, realm)
		return "", 500
	case res == authncore.NotFound:
		logf(r, "AH01790: user `%s' in realm `%s' not found: %s", user, realm, r.URI)
		return "", 401
	case res == authncore.Denied:
		logf(r, "AH01791: user `%s' in realm `%s' denied by provider: %s", user, realm, r.URI)
		return "", 401
	}
	return "", 500
}

// fixup adds Authentication-Info (RFC 7616 section 3.5): proof that the server
// knows the password as well, and a new nonce where the old one ends.
func fixup(r *httpd.Request, c *Config) httpd.Status {
	if r.AuthType != "Digest" || r.SubRequest {
		return httpd.Declined
	}
	v, ok := r.Memo(acceptedKey{})
	if !ok {
		return httpd.Declined
	}
	a := v.(accepted)
	var info []string
	if c.once() || c.lifetime > 0 && a.age > c.lifetime-renewBefore {
		info = append(info, `nextnonce="`+newNonce(r, c, a.h.realm, time.Now())+`"`)
	}
	if a.h.qop != "" {
		info = append(info, "qop=auth", `rspauth="`+response(a.ha1, a.h, ":"+a.h.uri)+`"`, "cnonce="+authncore.Quote(a.h.cnonce), "nc="+a.h.nc)
	}
	if len(info) > 0 {
		r.SetOut("Authentication-Info", strings.Join(info, ", "))
	}
	return httpd.Declined
}

// response is the digest of RFC 7616 section 3.4.1; a2 is method:uri. Without
// qop it is that of RFC 2069.
func response(ha1 string, h *header, a2 string) string {
	ha2 := sum(a2)
	if h.qop == "" {
		return sum(ha1 + ":" + h.nonce + ":" + ha2)
	}
	return sum(ha1 + ":" + h.nonce + ":" + h.nc + ":" + h.cnonce + ":" + h.qop + ":" + ha2)
}

func sum(s string) string {
	b := md5.Sum([]byte(s))
	return hex.EncodeToString(b[:])
}

// equal compares in constant time.
func equal(a, b string) bool { return subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1 }

// sameTarget says whether the uri that was signed is the target of the request:
// the same path, decoded, and the same query; scheme and host may be missing in
// one of them.
func sameTarget(signed, target string) bool {
	if signed == target {
		return true
	}
	p1, q1, has1 := strings.Cut(pathOf(signed), "?")
	p2, q2, has2 := strings.Cut(pathOf(target), "?")
	u1, err1 := url.PathUnescape(p1)
	u2, err2 := url.PathUnescape(p2)
	return err1 == nil && err2 == nil && u1 == u2 && q1 == q2 && has1 == has2
}

// pathOf drops scheme and authority of an absolute URI.
func pathOf(u string) string {
	if i := strings.Index(u, "://"); i > 0 && !strings.ContainsAny(u[:i], "/?") {
		u = u[i+3:]
		if j := strings.IndexAny(u, "/?"); j >= 0 {
			u = u[j:]
		} else {
			u = ""
		}
		if !strings.HasPrefix(u, "/") {
			u = "/" + u
		}
	}
	return u
}

func logf(r *httpd.Request, format string, a ...any) {
	r.Logf(httpd.LevelError, "auth_digest", format, a...)
}
