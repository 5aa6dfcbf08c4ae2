// Package authncore is mod_authn_core: AuthType, AuthName, and the providers
// that know users and passwords, with their aliases. The schemes themselves
// (Basic, Digest) are packages of their own that ask here.
//
// Providers are handed to New; nothing registers itself. What cannot be
// supported refuses the configuration: a site must not open because of it.
package authncore

import (
	"errors"
	"fmt"
	"strings"

	"modwsgi/gocore/internal/httpd"
)

// Result is what a provider says of a user.
type Result int

const (
	Failed   Result = iota // could not be decided: 500
	NotFound               // does not know the user: the next provider is asked
	Denied                 // knows the user; the password is wrong
	Granted                // the password is right; Hash: the hash was found
)

// Provider knows users: one word of AuthBasicProvider or AuthDigestProvider.
// Its functions run in the authentication phase and may use Request.Need.
type Provider struct {
	Name string // lower case
	// Password checks a password. name is the user's name from here on.
	// nil: not for Basic.
	Password func(r *httpd.Request, user, password string) (name string, res Result)
	// Hash gives MD5(user:realm:password) in hexadecimal form. nil: not for Digest.
	Hash func(r *httpd.Request, user, realm string) (hash string, res Result)
}

// Scheme is Basic or Digest, to ask a provider the right question.
type Scheme int

const (
	Basic Scheme = iota
	Digest
)

// Config is the module's settings of one scope.
type Config struct {
	authType httpd.Opt[string] // lower case; "none"
	name     httpd.Opt[*httpd.StringExpr]
	aliases  map[string]*alias // main server
}

type alias struct {
	base    *Provider
	overlay *httpd.Overlay
}

// Core is the module with its providers.
type Core struct {
	Module    *httpd.Module[Config]
	providers map[string]*Provider
	names     []string
}

// New makes the module with the providers.
func New(providers ...Provider) *Core {
	a := &Core{providers: map[string]*Provider{}}
	for i := range providers {
		a.providers[providers[i].Name] = &providers[i]
		a.names = append(a.names, providers[i].Name)
	}
	dh := httpd.InSection | httpd.InHtaccess
	a.Module = &httpd.Module[Config]{
		Name: "authncore", ID: "authn_core_module", File: "mod_authn_core.c",
		Directives: []httpd.Directive[Config]{
			{Name: "AuthType", Args: "None|Basic|Digest", Min: 1, Max: 1, In: dh, Override: httpd.OverrideAuthConfig, Set: setType,
				Doc: "How clients say who they are."},
			{Name: "AuthName", Args: "realm", Min: 1, Max: 1, In: dh, Override: httpd.OverrideAuthConfig, Set: setName,
				Doc: "The realm that clients show when they ask for a password."},
			{Name: "AuthnProviderAlias", Args: "provider name", Min: 2, Max: 2, In: httpd.InServer, Section: true, Set: a.setAlias,
				Doc: "Gives a provider, with settings of its own, a name for AuthBasicProvider and AuthDigestProvider."},
		},
		Merge: func(p, k *Config) *Config {
			return &Config{authType: p.authType.Over(k.authType), name: p.name.Over(k.name), aliases: p.aliases}
		},
		PerRequest: func(c *Config) bool { return c.authType.Set && c.authType.V != "none" },
		Authn:      nobody,
	}
	return a
}

func setType(k *httpd.Cmd, c *Config) error {
	switch t := strings.ToLower(k.Arg(0)); t {
	case "none", "basic", "digest":
		c.authType = httpd.Some(t)
		return nil
	case "form":
		return &httpd.Coded{Code: httpd.CodeUnavailable, Message: "Form is not available: no password would be asked for", Suggestion: "use Basic or Digest; an application can have a form of its own"}
	default:
		return &httpd.Coded{Code: "CONF-ARGUMENTS", Message: fmt.Sprintf("%q is no way to authenticate; there are None, Basic and Digest", k.Arg(0)),
			Suggestion: "use Basic or Digest, or leave it to the application or a proxy in front of this server"}
	}
}

func setName(k *httpd.Cmd, c *Config) error {
	e, err := k.StringExpr(k.Arg(0))
	c.name = httpd.Some(e)
	return err
}

// setAlias reads <AuthnProviderAlias base name>.
func (a *Core) setAlias(k *httpd.Cmd, c *Config) error {
	base, name := a.providers[strings.ToLower(k.Arg(0))], strings.ToLower(k.Arg(1))
	switch {
	case base == nil:
		return a.unknown(k.Arg(0))
	case a.providers[name] != nil || c.aliases[name] != nil:
		return fmt.Errorf("there is a provider %q already", k.Arg(1))
	}
	o, err := k.Overlay()
	if err != nil {
		return err
	}
	if c.aliases == nil {
		c.aliases = map[string]*alias{}
	}
	c.aliases[name] = &alias{base, o}
	return nil
}

// absent are providers of modules that are not here, and what would be lost.
var absent = map[string]string{"dbd": "mod_authn_dbd", "ldap": "mod_authnz_ldap", "pam": "mod_authnz_pam", "external": "mod_authnz_external"}

func (a *Core) unknown(name string) error {
	if module := absent[strings.ToLower(name)]; module != "" {
		return &httpd.Coded{Code: httpd.CodeUnavailable, Message: fmt.Sprintf("the provider %s is %s's, which does not exist here", strings.ToLower(name), module),
			Suggestion: "AuthBasicProvider wsgi with WSGIAuthUserScript: a function in Python that may ask a database or directory; or file, dbm"}
	}
	return &httpd.Coded{Code: "AUTHN-UNKNOWN-PROVIDER", Message: fmt.Sprintf("unknown authentication provider %q", name),
		Suggestion: "known are: " + strings.Join(a.names, ", ") + ", and the names given with <AuthnProviderAlias> before"}
}

// Providers resolves the words of AuthBasicProvider or AuthDigestProvider.
func (a *Core) Providers(k *httpd.Cmd, scheme Scheme) ([]Provider, error) {
	var out []Provider
	for _, w := range k.Args {
		p, o, name := a.providers[strings.ToLower(w)], (*httpd.Overlay)(nil), strings.ToLower(w)
		if p == nil {
			if x := httpd.MainConfOf(k, a.Module).aliases[name]; x != nil {
				p, o = x.base, x.overlay
			}
		}
		switch {
		case p == nil:
			return nil, a.unknown(w)
		case scheme == Basic && p.Password == nil:
			return nil, fmt.Errorf("the provider %q cannot check passwords", w)
		case scheme == Digest && p.Hash == nil:
			return nil, fmt.Errorf("the provider %q cannot be used with Digest", w)
		}
		out = append(out, under(p, o, name))
	}
	if len(out) == 0 {
		return nil, errors.New("needs the name of a provider")
	}
	return out, nil
}

// Default is the provider that is asked when none is named.
func (a *Core) Default() []Provider { return []Provider{*a.providers["file"]} }

// under is a provider that works with the settings of its alias.
func under(p *Provider, o *httpd.Overlay, name string) Provider {
	if o == nil {
		return *p
	}
	out := Provider{Name: name}
	if f := p.Password; f != nil {
		out.Password = func(r *httpd.Request, user, password string) (n string, res Result) {
			r.Under(o, func() { n, res = f(r, user, password) })
			return n, res
		}
	}
	if f := p.Hash; f != nil {
		out.Hash = func(r *httpd.Request, user, realm string) (h string, res Result) {
			r.Under(o, func() { h, res = f(r, user, realm) })
			return h, res
		}
	}
	return out
}

// Type is the effective AuthType in lower case, "" for None or if not given.
func (a *Core) Type(r *httpd.Request) string {
	if r.Host == nil {
		return ""
	}
	c, ok := httpd.ConfigOf(r, a.Module)
	if !ok || c.authType.V == "none" {
		return ""
	}
	return c.authType.V
}

// Realm is the effective AuthName; false (and a line in the log): there is none,
// which makes Basic and Digest impossible.
func (a *Core) Realm(r *httpd.Request) (string, bool) {
	c, ok := httpd.ConfigOf(r, a.Module)
	if ok && c.name.V != nil {
		v, err := c.name.V.Eval(r)
		if err == nil && !strings.ContainsAny(v, "\r\n\x00") {
			return v, true
		}
		r.Logf(httpd.LevelError, "authn_core", "AuthName cannot be evaluated: %v", err)
		return "", false
	}
	r.Logf(httpd.LevelError, "authn_core", "need AuthName: %s", r.URI)
	return "", false
}

// Quote makes a quoted-string of a realm or the like (RFC 9110 section 5.6.4).
func Quote(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s) + `"`
}

// nobody is asked last. A scheme that no module took up is an error; without
// one there is nobody to establish, and what needs a user refuses.
func nobody(r *httpd.Request, c *Config) httpd.Status {
	if t := c.authType.V; t != "" && t != "none" {
		r.Logf(httpd.LevelError, "authn_core", "AuthType %s: no module has established a user: %s", t, r.URI)
		return 500
	}
	return httpd.Declined
}

// Authorization gives what follows the scheme in the Authorization field
// (RFC 9110 section 11.6.2). sent is false if there is no such field; problem
// says what is wrong with one that cannot be used.
func Authorization(r *httpd.Request, scheme string) (rest string, sent bool, problem string) {
	value, n := "", 0
	for i := range r.Header {
		if strings.EqualFold(r.Header[i].Name, "Authorization") {
			value = r.Header[i].Value
			n++
		}
	}
	switch {
	case n == 0:
		return "", false, ""
	case n > 1: // two readers could choose differently
		return "", true, "client sent more than one Authorization field"
	}
	given, rest, _ := strings.Cut(value, " ")
	if !strings.EqualFold(given, scheme) {
		return "", true, "client used wrong authentication scheme"
	}
	return rest, true, ""
}
