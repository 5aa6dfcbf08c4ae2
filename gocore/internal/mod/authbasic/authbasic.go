// Package authbasic is mod_auth_basic: Basic authentication (RFC 7617) with
// the providers of package authncore.
package authbasic

import (
	"crypto/md5"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"modwsgi/gocore/internal/httpd"
	"modwsgi/gocore/internal/mod/authncore"
)

// Config is the module's settings of one scope.
type Config struct {
	providers     httpd.Opt[[]authncore.Provider]
	authoritative httpd.Opt[bool]
	digest        httpd.Opt[bool] // AuthBasicUseDigestAlgorithm MD5
	fake          httpd.Opt[fake]
}

// fake is AuthBasicFake: credentials for whoever handles the request. user nil:
// off.
type fake struct{ user, password *httpd.StringExpr }

type module struct{ core *authncore.Core }

// New makes the module over the providers of core.
func New(core *authncore.Core) *httpd.Module[Config] {
	m := module{core}
	dh := httpd.InSection | httpd.InHtaccess
	return &httpd.Module[Config]{
		Name: "authbasic", ID: "auth_basic_module", File: "mod_auth_basic.c",
		Directives: []httpd.Directive[Config]{
			{Name: "AuthBasicProvider", Args: "provider ...", Min: 1, Max: -1, In: dh, Override: httpd.OverrideAuthConfig, Default: "file", Set: m.setProviders,
				Doc: "Who knows the users' passwords; asked in order until one knows the user."},
			{Name: "AuthBasicAuthoritative", Args: "On|Off", Min: 1, Max: 1, In: dh, Override: httpd.OverrideAuthConfig, Default: "On", Set: setAuthoritative,
				Doc: "Off: a user that no provider knows is left to other modules."},
			{Name: "AuthBasicUseDigestAlgorithm", Args: "MD5|Off", Min: 1, Max: 1, In: dh, Override: httpd.OverrideAuthConfig, Default: "Off", Set: setDigest,
				Doc: "MD5: passwords are checked against the hashes of Digest authentication."},
			{Name: "AuthBasicFake", Args: "off|user [password]", Min: 1, Max: 2, In: dh, Override: httpd.OverrideAuthConfig, Default: "off", Set: setFake,
				Doc: "Gives the handler of the request an Authorization field with this user and password, which may be expressions."},
		},
		Merge: func(p, k *Config) *Config {
			return &Config{providers: p.providers.Over(k.providers), authoritative: p.authoritative.Over(k.authoritative), digest: p.digest.Over(k.digest), fake: p.fake.Over(k.fake)}
		},
		PerRequest: func(c *Config) bool { return c.fake.V.user != nil },
		Fixup:      addFake,
		Authn:      m.authenticate,
		Challenge:  m.challenge,
	}
}

func (m module) setProviders(k *httpd.Cmd, c *Config) error {
	list, err := m.core.Providers(k, authncore.Basic)
	c.providers = httpd.Some(append(c.providers.V, list...))
	return err
}

func setAuthoritative(k *httpd.Cmd, c *Config) error {
	v, err := k.Flag(0)
	c.authoritative = httpd.Some(v)
	return err
}

func setDigest(k *httpd.Cmd, c *Config) error {
	switch strings.ToLower(k.Arg(0)) {
	case "md5":
		c.digest = httpd.Some(true)
	case "off":
		c.digest = httpd.Some(false)
	default:
		return fmt.Errorf("must be MD5 or Off, not %q", k.Arg(0))
	}
	return nil
}

// setFake reads AuthBasicFake. "password" is the password when none is given, as
// in Apache.
func setFake(k *httpd.Cmd, c *Config) error {
	if len(k.Args) == 1 && strings.EqualFold(k.Arg(0), "off") {
		c.fake = httpd.Some(fake{})
		return nil
	}
	user, err := k.StringExpr(k.Arg(0))
	if err != nil {
		return err
	}
	word := "password"
	if len(k.Args) == 2 {
		word = k.Arg(1)
	}
	password, err := k.StringExpr(word)
	c.fake = httpd.Some(fake{user, password})
	return err
}

// addFake puts the credentials of AuthBasicFake in the place of those that the
// client sent. An empty name or password adds nothing.
func addFake(r *httpd.Request, c *Config) httpd.Status {
	f := c.fake.V
	if f.user == nil || r.SubRequest || r.Prev != nil {
		return httpd.Declined
	}
	user, err := f.user.Eval(r)
	if err != nil {
		logf(r, httpd.LevelError, "AH02455: AuthBasicFake: could not evaluate user expression for URI %q: %v", r.URI, err)
		return 500
	}
	password, err := f.password.Eval(r)
	if err != nil {
		logf(r, httpd.LevelError, "AH02456: AuthBasicFake: could not evaluate password expression for URI %q: %v", r.URI, err)
		return 500
	}
	if user == "" || password == "" {
		return httpd.Declined
	}
	h := slices.DeleteFunc(slices.Clone(r.Header), func(f httpd.Field) bool { return strings.EqualFold(f.Name, "Authorization") })
	r.SetHeader(append(h, httpd.Field{Name: "Authorization", Value: "Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+password))}))
	return httpd.OK
}

func (m module) challenge(r *httpd.Request, _ *Config) {
	if m.core.Type(r) != "basic" {
		return
	}
	if realm, ok := m.core.Realm(r); ok {
		r.ErrOut = append(r.ErrOut, httpd.Field{Name: "WWW-Authenticate", Value: "Basic realm=" + authncore.Quote(realm)})
	}
}

func (m module) authenticate(r *httpd.Request, c *Config) httpd.Status {
	if m.core.Type(r) != "basic" {
		return httpd.Declined
	}
	realm, ok := m.core.Realm(r)
	if !ok {
		return 500
	}
	r.AuthType = "Basic"
	user, password, err := credentials(r)
	switch {
	case err != "":
		logf(r, httpd.LevelError, "AH01614: %s: %s", err, r.URI)
		return 401
	case user == "" && password == "":
		return 401 // nothing was sent: the client does not know yet
	}
	r.Claimed = user
	providers := c.providers.V
	if !c.providers.Set {
		providers = m.core.Default()
	}
	name, res := user, authncore.NotFound
	for i := range providers {
		if name, res = check(r, &providers[i], c.digest.Or(false), user, realm, password); res != authncore.NotFound {
			break
		}
	}
	switch {
	case res == authncore.Granted && httpd.ValidUser(name):
		r.User, r.Claimed = name, ""
		return httpd.OK
	case res == authncore.Denied:
		logf(r, httpd.LevelError, "AH01617: user %s: authentication failure for %q: Password Mismatch", user, r.URI)
		return 401
	case !c.authoritative.Or(true):
		return httpd.Declined
	case res == authncore.NotFound:
		logf(r, httpd.LevelError, "AH01618: user %s not found: %s", user, r.URI)
		return 401
	}
	return 500
}

// check asks one provider.
func check(r *httpd.Request, p *authncore.Provider, digest bool, user, realm, password string) (string, authncore.Result) {
	if !digest {
		return p.Password(r, user, password)
	}
	if p.Hash == nil {
		logf(r, httpd.LevelError, "AuthBasicUseDigestAlgorithm: the provider %q has no hashes for Digest", p.Name)
		return "", authncore.Failed
	}
	hash, res := p.Hash(r, user, realm)
	if res != authncore.Granted {
		return user, res
	}
	sum := md5.Sum([]byte(user + ":" + realm + ":" + password))
	if subtle.ConstantTimeCompare([]byte(hex.EncodeToString(sum[:])), []byte(strings.ToLower(hash))) != 1 {
		return user, authncore.Denied
	}
	return user, authncore.Granted
}

// credentials reads the Authorization field. Nothing sent: two empty strings.
// Anything that two readers could understand in two ways is refused.
func credentials(r *httpd.Request) (user, password, problem string) {
	rest, sent, problem := authncore.Authorization(r, "Basic")
	if !sent || problem != "" {
		return "", "", problem
	}
	text, err := base64.RawStdEncoding.DecodeString(strings.TrimRight(strings.Trim(rest, " \t"), "="))
	if err != nil {
		return "", "", "client sent credentials that cannot be decoded"
	}
	user, password, found := strings.Cut(string(text), ":")
	if !found || !httpd.ValidUser(user) || strings.IndexByte(password, 0) >= 0 {
		return "", "", "client sent credentials without a usable user name"
	}
	return user, password, ""
}

func logf(r *httpd.Request, level int, format string, a ...any) {
	r.Logf(level, "auth_basic", format, a...)
}
