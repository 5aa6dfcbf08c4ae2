// Package authzcore is mod_authz_core: Require, its containers, and the
// decision whether a request may pass. Providers of other modules (ip, host,
// user ...) are handed to New; an unknown one makes the configuration
// unusable, never open.
//
// This file has the settings, the directives and the hooks; eval.go has the
// truth table.
package authzcore

import (
	"errors"
	"fmt"
	"strings"

	"modwsgi/gocore/internal/conf"
	"modwsgi/gocore/internal/httpd"
)

// merging is AuthMerging.
type merging int

const (
	mergeUnset merging = iota
	mergeOff
	mergeAnd
	mergeOr
)

// Config is the module's settings of one scope.
type Config struct {
	root      *node // nil: no Require in force
	merging   merging
	kind      httpd.Context     // InLocation, InFiles, InIf; 0 for directories: sections of one kind are merged by themselves first
	own       *node             // what the sections of that kind say together
	outer     *node             // what was in force before them
	forbidden httpd.Opt[bool]   // AuthzSendForbiddenOnFailure
	aliases   map[string]*alias // main server
}

// alias is an <AuthzProviderAlias>: a Require line with settings of its own.
type alias struct {
	check   Check
	overlay *httpd.Overlay
}

// Required says whether any Require is in force.
func (c *Config) Required() bool { return c.root != nil }

// New makes the module with the built-in providers and those given, for a
// server without authentication.
func New(providers ...Provider) *httpd.Module[Config] {
	return NewWith(func(*httpd.Request) string { return "" }, providers...)
}

// NewWith is New with authentication: authType gives the scheme that is
// configured for a request, "" for none.
func NewWith(authType func(r *httpd.Request) string, providers ...Provider) *httpd.Module[Config] {
	m := &module{providers: map[string]Provider{}, authType: authType}
	for _, p := range append(builtin, providers...) {
		m.providers[strings.ToLower(p.Name)] = p
		m.names = append(m.names, p.Name)
	}
	in := httpd.InSection | httpd.InHtaccess | httpd.InLimit
	group := func(op operator, negate bool) func(k *httpd.Cmd, c *Config) error {
		return func(k *httpd.Cmd, c *Config) error {
			n, err := m.group(k, op, negate)
			if err == nil && negate {
				err = errors.New("can only refuse, so it has no effect outside of <RequireAll>")
			}
			if err == nil {
				c.place(k)
				c.add(n)
			}
			return err
		}
	}
	m.self = &httpd.Module[Config]{
		Name: "authzcore", ID: "authz_core_module", File: "mod_authz_core.c",
		Directives: []httpd.Directive[Config]{
			{Name: "Require", Args: "[not] provider [argument ...]", Min: 1, Max: -1, In: in, Override: httpd.OverrideAuthConfig, Set: m.require,
				Doc: "Says who may use the resource; one of several such lines suffices."},
			{Name: "RequireAll", Section: true, Min: 0, Max: 0, In: in, Override: httpd.OverrideAuthConfig, Set: group(allOf, false),
				Doc: "Groups Require lines of which none may fail and at least one must succeed."},
			{Name: "RequireAny", Section: true, Min: 0, Max: 0, In: in, Override: httpd.OverrideAuthConfig, Set: group(anyOf, false),
				Doc: "Groups Require lines of which one must succeed."},
			{Name: "RequireNone", Section: true, Min: 0, Max: 0, In: in, Override: httpd.OverrideAuthConfig, Set: group(anyOf, true),
				Doc: "Groups Require lines of which none may succeed."},
			{Name: "AuthMerging", Args: "Off|And|Or", Min: 1, Max: 1, In: in, Override: httpd.OverrideAuthConfig, Default: "Off", Set: setMerging,
				Doc: "Combines the section's Require lines with those of the enclosing sections instead of replacing them."},
			{Name: "AuthzSendForbiddenOnFailure", Args: "On|Off", Min: 1, Max: 1, In: httpd.InSection | httpd.InHtaccess, Override: httpd.OverrideAuthConfig,
				Default: "Off", Set: setForbidden, Doc: "Answers 403 instead of 401 when an authenticated user is refused."},
			{Name: "AuthzProviderAlias", Args: "provider name [argument ...]", Min: 2, Max: -1, In: httpd.InServer, Section: true, Set: m.setAlias,
				Doc: "Gives a Require line, with settings of its own, a name."},
		},
		Merge:      merge,
		PerRequest: func(c *Config) bool { return !c.root.alwaysGranted() },
		AuthzRules: (*Config).Required,
		AuthzFirst: m.withoutUser,
		Authz:      withUser,
	}
	return m.self
}

type module struct {
	self      *httpd.Module[Config]
	providers map[string]Provider
	names     []string
	authType  func(r *httpd.Request) string
}

func (c *Config) add(n *node) {
	if c.root == nil {
		c.root = &node{}
	}
	c.root.children = append(c.root.children, n)
	c.own = c.root
}

// merge: a section's Require lines replace the enclosing ones, unless its own
// AuthMerging says otherwise. httpd merges the sections of a kind (Files,
// Location, If) with each other before their result meets that of the
// directories, and the last AuthMerging among them decides about that step,
// too: it brings back what an earlier section of the kind had replaced.
// Source: ap_location_walk, ap_file_walk, ap_if_walk.
func merge(parent, child *Config) *Config {
	c := *parent
	c.forbidden = parent.forbidden.Over(child.forbidden)
	if child.own == nil && (child.merging == mergeUnset || child.merging == mergeOff) {
		return &c
	}
	c.kind, c.merging = child.kind, child.merging
	if parent.kind == child.kind {
		c.own = combine(parent.own, child.own, child.merging)
	} else {
		c.own, c.outer = child.own, parent.root
	}
	c.root = combine(c.outer, c.own, c.merging)
	return &c
}

func combine(before, after *node, how merging) *node {
	switch {
	case after == nil:
		return before
	case before == nil:
	case how == mergeAnd:
		return &node{op: allOf, children: []*node{before, after}}
	case how == mergeOr:
		return &node{op: anyOf, children: []*node{before, after}}
	}
	return after
}

// place notes in what kind of section a directive stands.
func (c *Config) place(k *httpd.Cmd) { c.kind = k.In & (httpd.InLocation | httpd.InFiles | httpd.InIf) }

func setMerging(k *httpd.Cmd, c *Config) error {
	c.place(k)
	switch strings.ToLower(k.Arg(0)) {
	case "off":
		c.merging = mergeOff
	case "and":
		c.merging = mergeAnd
	case "or":
		c.merging = mergeOr
	default:
		return fmt.Errorf("must be Off, And or Or, not %q", k.Arg(0))
	}
	return nil
}

func setForbidden(k *httpd.Cmd, c *Config) error {
	on, err := k.Flag(0)
	c.forbidden = httpd.Some(on)
	return err
}

func (m *module) require(k *httpd.Cmd, c *Config) error {
	n, err := m.line(k)
	if err != nil {
		return err
	}
	if n.negate {
		return errors.New(`"Require not" can only refuse, so it has no effect outside of <RequireAll>`)
	}
	c.place(k)
	c.add(n)
	return nil
}

// line reads the words of one Require.
func (m *module) line(k *httpd.Cmd) (*node, error) {
	n := &node{limit: k.Limit}
	args := k.Args
	if strings.EqualFold(args[0], "not") {
		n.negate = true
		args = args[1:]
		if len(args) == 0 {
			return nil, errors.New("needs a provider after not")
		}
	}
	name := strings.ToLower(args[0])
	p, ok := m.providers[name]
	if !ok {
		a := m.alias(k, name)
		switch {
		case a == nil:
			return nil, m.unknown(args[0])
		case len(args) > 1:
			return nil, fmt.Errorf("%s has its arguments in <AuthzProviderAlias> and takes none here", args[0])
		}
		n.check = a.run
		return n, nil
	}
	check, err := p.Parse(k, args[1:])
	if err != nil {
		return nil, fmt.Errorf("%s: %w", p.Name, err)
	}
	n.check = check
	n.constant = name == "all"
	return n, nil
}

// absent finds the module of a kind of Require line that is not here, by the
// beginning of its name.
func absent(name string) string {
	for _, x := range []struct{ prefix, module string }{{"ldap-", "mod_authnz_ldap"}, {"dbd-", "mod_authz_dbd"}, {"shib", "mod_shib"}, {"claim", "mod_auth_openidc"},
		{"cas-attribute", "mod_auth_cas"}, {"unix-group", "mod_authz_unixgroup"}, {"pam-account", "mod_authnz_pam"}, {"external-group", "mod_authnz_external"}} {
		if strings.HasPrefix(name, x.prefix) {
			return x.module
		}
	}
	return ""
}

func (m *module) unknown(name string) error {
	if module := absent(strings.ToLower(name)); module != "" {
		return &httpd.Coded{Code: httpd.CodeUnavailable, Message: fmt.Sprintf("%s is %s's, which does not exist here", name, module),
			Suggestion: "Require wsgi-group with WSGIAuthGroupScript: a function in Python that may ask a database or directory; or group, dbm-group, user, expr"}
	}
	known := "known are: " + strings.Join(m.names, ", ")
	if near := conf.Suggest(name, m.names); near != "" {
		known = fmt.Sprintf("did you mean %q? ", near) + known
	}
	return &httpd.Coded{Code: "AUTHZ-UNKNOWN-PROVIDER", Message: fmt.Sprintf("unknown authorization provider %q", name), Suggestion: known}
}

// setAlias reads <AuthzProviderAlias provider name arguments>.
func (m *module) setAlias(k *httpd.Cmd, c *Config) error {
	p, known := m.providers[strings.ToLower(k.Arg(0))]
	name := strings.ToLower(k.Arg(1))
	switch _, taken := m.providers[name]; {
	case !known:
		return m.unknown(k.Arg(0))
	case taken || c.aliases[name] != nil:
		return fmt.Errorf("there is a provider %q already", k.Arg(1))
	}
	// the provider sees its own words only, as after Require
	d := *k.Directive
	d.Args = append([]string{p.Name}, k.Args[2:]...)
	d.Raw = strings.Join(d.Args, " ")
	inner := *k
	inner.Directive = &d
	check, err := p.Parse(&inner, d.Args[1:])
	if err != nil {
		return fmt.Errorf("%s: %w", p.Name, err)
	}
	o, err := k.Overlay()
	if err != nil {
		return err
	}
	if c.aliases == nil {
		c.aliases = map[string]*alias{}
	}
	c.aliases[name] = &alias{check, o}
	return nil
}

// alias finds a name given before with <AuthzProviderAlias>.
func (m *module) alias(k *httpd.Cmd, name string) *alias {
	return httpd.MainConfOf(k, m.self).aliases[name]
}

func (a *alias) run(r *httpd.Request) (result Result) {
	r.Under(a.overlay, func() { result = a.check(r) })
	return result
}

// group reads a container and what is in it.
func (m *module) group(k *httpd.Cmd, op operator, negate bool) (*node, error) {
	g := &node{op: op, negate: negate, limit: k.Limit}
	onlyNegative := true
	for _, d := range k.Children {
		inner := *k
		inner.Directive = d
		var n *node
		var err error
		switch name := strings.ToLower(d.Name); {
		case name == "require" && !d.Section && len(d.Args) > 0:
			n, err = m.line(&inner)
		case name == "requireall" && d.Section:
			n, err = m.group(&inner, allOf, false)
		case name == "requireany" && d.Section:
			n, err = m.group(&inner, anyOf, false)
		case name == "requirenone" && d.Section:
			n, err = m.group(&inner, anyOf, true)
		default:
			err = fmt.Errorf("%s is not allowed in <%s>", d.Name, k.Name)
		}
		if err != nil {
			var c *httpd.Coded
			if errors.As(err, &c) {
				return nil, &httpd.Coded{Code: c.Code, Message: fmt.Sprintf("line %d: %s", d.Pos.Line, c.Message), Suggestion: c.Suggestion}
			}
			return nil, fmt.Errorf("line %d: %w", d.Pos.Line, err)
		}
		if n.negate && op == anyOf {
			return nil, fmt.Errorf("line %d: a negative %s has no effect in <%s>", d.Pos.Line, d.Name, k.Name)
		}
		onlyNegative = onlyNegative && n.negate
		g.children = append(g.children, n)
	}
	if op == allOf && onlyNegative && len(g.children) > 0 {
		return nil, fmt.Errorf("<%s> has only negative lines and never grants anything; add \"Require all granted\"", k.Name)
	}
	return g, nil
}

// withoutUser decides what can be decided before authentication.
func (m *module) withoutUser(r *httpd.Request, c *Config) httpd.Status {
	if c.root == nil {
		if m.authType(r) != "" { // somebody wants users checked and nobody says which
			logf(r, "AH01627: AuthType configured with no corresponding authorization directives: %s", resource(r))
			return 500
		}
		return httpd.OK
	}
	switch c.root.eval(r, allOf) {
	case Granted:
		return httpd.OK
	case DeniedNoUser:
		return httpd.Declined
	case Failed:
		return 500
	}
	logf(r, "AH01630: client denied by server configuration: %s", resource(r))
	return 403
}

// withUser decides after authentication.
func withUser(r *httpd.Request, c *Config) httpd.Status {
	if c.root == nil {
		return httpd.OK
	}
	switch result := c.root.eval(r, allOf); {
	case result == Granted:
		return httpd.OK
	case result == Failed:
		return 500
	case result == DeniedNoUser: // a rule wants more than the user that there is
		logf(r, "AH01629: authorization failure (no authenticated user): %s", resource(r))
		return 401
	case r.AuthType == "" && r.User == "":
		logf(r, "AH01630: client denied by server configuration: %s", resource(r))
		return 403
	}
	logf(r, "AH01631: user %s: authorization failure for %q", r.User, r.URI)
	if c.forbidden.Or(false) {
		return 403
	}
	return 401
}

// resource names what was asked for: the file if it is known already.
func resource(r *httpd.Request) string {
	if r.Filename != "" {
		return r.Filename + r.PathInfo
	}
	return r.URI
}

// logf writes to the error log, in Apache's words: people search for them.
func logf(r *httpd.Request, format string, a ...any) {
	if r.Host != nil {
		r.Logf(httpd.LevelError, "authz_core", format, a...)
	}
}
