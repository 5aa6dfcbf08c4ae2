// Package accesscompat is mod_access_compat: access rules in the style of
// httpd 2.2, Order, Allow, Deny and Satisfy. A section that has any of them
// has all of them from there: nothing is inherited piecewise, as in Apache.
package accesscompat

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"modwsgi/gocore/internal/httpd"
	"modwsgi/gocore/internal/mod/authzhost"
)

// order is Order's argument.
type order int

const (
	denyAllow order = iota // allowed unless denied; Allow overrides Deny
	allowDeny              // denied unless allowed; Deny overrides Allow
	mutual                 // mutual-failure: allowed and not denied
)

// Config is the settings of one section. Each entry may be limited to methods
// by an enclosing <Limit>; of orders and satisfies the last that applies
// counts.
type Config struct {
	orders        []limited[order]
	satisfies     []limited[bool] // true: Any
	allows, denys []limited[matcher]
}

type limited[T any] struct {
	limit *httpd.MethodLimit
	value T
}

// matcher says whether a client is meant.
type matcher struct {
	all  bool
	test func(r *httpd.Request) bool
}

const dhl = httpd.InSection | httpd.InHtaccess | httpd.InLimit

// Module is mod_access_compat.
var Module = &httpd.Module[Config]{
	Name: "accesscompat", ID: "access_compat_module", File: "mod_access_compat.c",
	Directives: []httpd.Directive[Config]{
		{Name: "Order", Args: "Deny,Allow|Allow,Deny|Mutual-failure", Min: 1, Max: 2, In: dhl, Override: httpd.OverrideLimit, Default: "Deny,Allow", Set: setOrder,
			Doc: "Which of Allow and Deny is looked at last, and what holds without them."},
		{Name: "Allow", Args: "from all|host|address|env=[!]variable ...", Min: 2, Max: -1, In: dhl, Override: httpd.OverrideLimit, Set: setRule(func(c *Config) *[]limited[matcher] { return &c.allows }),
			Doc: "Who may see the pages."},
		{Name: "Deny", Args: "from all|host|address|env=[!]variable ...", Min: 2, Max: -1, In: dhl, Override: httpd.OverrideLimit, Set: setRule(func(c *Config) *[]limited[matcher] { return &c.denys }),
			Doc: "Who may not see the pages."},
		{Name: "Satisfy", Args: "All|Any", Min: 1, Max: 1, In: dhl, Override: httpd.OverrideAuthConfig, Default: "All", Set: setSatisfy,
			Doc: "Whether a client must pass Allow and Deny as well as Require, or either."},
	},
	Merge:      func(_, k *Config) *Config { return k },
	PerRequest: func(c *Config) bool { return !c.open() },
	Access:     access,
	SatisfyAny: satisfyAny,
}

func setOrder(k *httpd.Cmd, c *Config) error {
	if len(k.Args) > 1 {
		return errors.New("is one word: no blank after the comma")
	}
	var o order
	switch strings.ToLower(k.Arg(0)) {
	case "deny,allow":
		o = denyAllow
	case "allow,deny":
		o = allowDeny
	case "mutual-failure":
		o = mutual
	default:
		return fmt.Errorf("must be Deny,Allow or Allow,Deny (without a blank) or Mutual-failure, not %q", k.Arg(0))
	}
	c.orders = append(c.orders, limited[order]{k.Limit, o})
	return nil
}

func setSatisfy(k *httpd.Cmd, c *Config) error {
	switch strings.ToLower(k.Arg(0)) {
	case "all":
		c.satisfies = append(c.satisfies, limited[bool]{k.Limit, false})
	case "any":
		c.satisfies = append(c.satisfies, limited[bool]{k.Limit, true})
	default:
		return fmt.Errorf("must be All or Any, not %q", k.Arg(0))
	}
	return nil
}

func setRule(field func(*Config) *[]limited[matcher]) func(*httpd.Cmd, *Config) error {
	return func(k *httpd.Cmd, c *Config) error {
		if !strings.EqualFold(k.Arg(0), "from") {
			return errors.New("must be followed by from")
		}
		for _, w := range k.Args[1:] {
			m, err := parse(w)
			if err != nil {
				return err
			}
			*field(c) = append(*field(c), limited[matcher]{k.Limit, m})
		}
		return nil
	}
}

// parse reads one word after "from".
func parse(w string) (matcher, error) {
	if strings.EqualFold(w, "all") {
		return matcher{all: true}, nil
	}
	if name, ok := cutFold(w, "env="); ok {
		name, negate := strings.CutPrefix(name, "!")
		if name == "" {
			return matcher{}, errors.New("env= needs the name of a variable")
		}
		return matcher{test: func(r *httpd.Request) bool {
			_, set := r.Env(name)
			return set != negate
		}}, nil
	}
	p, err := authzhost.ParseSubnet(w)
	switch {
	case err == nil:
		return matcher{test: func(r *httpd.Request) bool { return inNet(r, p) }}, nil
	case strings.ContainsAny(w, "/:") || strings.Trim(w, "0123456789.") == "":
		return matcher{}, err // meant as an address
	}
	return matcher{test: func(r *httpd.Request) bool { return authzhost.InDomain(r, w) }}, nil
}

func cutFold(s, prefix string) (string, bool) {
	if len(s) >= len(prefix) && strings.EqualFold(s[:len(prefix)], prefix) {
		return s[len(prefix):], true
	}
	return s, false
}

func inNet(r *httpd.Request, p netip.Prefix) bool { return p.Contains(authzhost.Client(r)) }

// access decides by client.
func access(r *httpd.Request, c *Config) httpd.Status {
	if len(c.orders)+len(c.allows)+len(c.denys) == 0 {
		return httpd.Declined
	}
	if c.allowed(r) {
		return httpd.OK
	}
	if !r.SatisfiesAny() { // a user may still be let in
		r.Logf(httpd.LevelError, "access_compat", "AH01797: client denied by server configuration: %s", r.Filename+r.PathInfo)
	}
	return 403
}

func (c *Config) allowed(r *httpd.Request) bool {
	o := denyAllow
	for _, x := range c.orders {
		if x.limit.Applies(r.Method) {
			o = x.value
		}
	}
	switch o {
	case allowDeny, mutual:
		return found(r, c.allows) && !found(r, c.denys)
	default:
		return !found(r, c.denys) || found(r, c.allows)
	}
}

func found(r *httpd.Request, list []limited[matcher]) bool {
	for _, x := range list {
		if x.limit.Applies(r.Method) && (x.value.all || x.value.test(r)) {
			return true
		}
	}
	return false
}

func satisfyAny(r *httpd.Request, c *Config) bool {
	anyOf := false
	for _, x := range c.satisfies {
		if x.limit.Applies(r.Method) {
			anyOf = x.value
		}
	}
	return anyOf
}

// open says that every request passes and Satisfy is All: "Order allow,deny"
// with "Allow from all", which is what most old configurations have.
func (c *Config) open() bool {
	o := denyAllow
	for _, x := range c.orders {
		if x.limit != nil {
			return false
		}
		o = x.value
	}
	for _, x := range c.satisfies {
		if x.limit != nil || x.value {
			return false
		}
	}
	all := false
	for _, x := range c.allows {
		all = all || x.limit == nil && x.value.all
	}
	if o == denyAllow {
		return len(c.denys) == 0 || all
	}
	return len(c.denys) == 0 && all
}
