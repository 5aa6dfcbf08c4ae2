// Package rewrite is mod_rewrite: rules that change, redirect or refuse
// requests by URL, header fields, variables, files and maps.
//
// Files: rewrite.go has settings, directives and their merging; parse.go reads
// rules and conditions; template.go and vars.go expand strings; cond.go and
// engine.go run the rules; hooks.go connects them with the request phases;
// uri.go knows URLs; maps.go, mapfile.go and mapprog.go are RewriteMap.
//
// Source of the rules: Apache manual, "mod_rewrite", "RewriteRule Flags" and
// "Apache mod_rewrite Technical Details", and what httpd 2.4 does where they
// are silent.
package rewrite

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"modwsgi/gocore/internal/conf"
	"modwsgi/gocore/internal/httpd"
)

// option is the set of RewriteOptions.
type option uint16

const (
	optInherit option = 1 << iota
	optInheritBefore
	optInheritDown
	optInheritDownBefore
	optIgnoreInherit
	optNoSlash
	optAnyURI
	optMergeBase
	optIgnoreContext
	optLegacyPrefix
	optUnsafePrefix
)

var optionNames = map[string]option{
	"inherit": optInherit, "inheritbefore": optInheritBefore, "inheritdown": optInheritDown, "inheritdownbefore": optInheritDownBefore,
	"ignoreinherit": optIgnoreInherit, "allownoslash": optNoSlash, "allowanyuri": optAnyURI, "mergebase": optMergeBase,
	"ignorecontextinfo": optIgnoreContext, "legacyprefixdocroot": optLegacyPrefix, "unsafeprefixstat": optUnsafePrefix,
}

// rules is a list of rules with the options that decide about inheritance.
type rules struct {
	list    []*rule
	pending []*cond // conditions that wait for their rule
	options httpd.Opt[option]
}

// server is what belongs to the main server or a virtual host and applies in
// the translate phase.
type server struct {
	rules
	host int // a host without any directive of ours runs no rules of the main server
	maps map[string]*rewriteMap
}

// Config is the module's settings of one scope. The settings of a server scope
// are also the defaults of the directories in it, but for the rules.
type Config struct {
	server *server // nil in sections and .htaccess
	rules          // of the directory
	engine httpd.Opt[bool]
	base   httpd.Opt[string] // RewriteBase
	dir    string            // the section's path with a slash at the end; "" in a server scope
}

const (
	anywhere = httpd.Anywhere
	fileInfo = httpd.OverrideFileInfo
)

// Module is mod_rewrite.
var Module = &httpd.Module[Config]{
	Name: "rewrite", ID: "rewrite_module", File: "mod_rewrite.c",
	Directives: []httpd.Directive[Config]{
		{Name: "RewriteEngine", Args: "on|off", Min: 1, Max: 1, In: anywhere, Override: fileInfo, Default: "off", Set: setEngine,
			Doc: "Whether rules are applied here."},
		{Name: "RewriteOptions", Args: "option ...", Min: 1, Max: -1, In: anywhere, Override: fileInfo, Set: setOptions,
			Doc: "Inheritance of rules, and exceptions from the usual care."},
		{Name: "RewriteBase", Args: "URL-path", Min: 1, Max: 1, In: httpd.InSection | httpd.InHtaccess, Override: fileInfo, Set: setBase,
			Doc: "The URL path that stands for the directory in the results of its rules."},
		{Name: "RewriteCond", Args: "test-string pattern [flags]", Min: 2, Max: -1, In: anywhere, Override: fileInfo, Set: setCond,
			Doc: "A condition of the rule that follows."},
		{Name: "RewriteRule", Args: "pattern substitution [flags]", Min: 2, Max: -1, In: anywhere, Override: fileInfo, Set: setRule,
			Doc: "What happens to URLs that match a pattern."},
		{Name: "RewriteMap", Args: "name type:source [option]", Min: 2, Max: 3, In: httpd.InServerHost, Set: setMap,
			Doc: "A table of values by key, for substitutions and conditions."},
	},
	Merge:      merge,
	Inherit:    inherited,
	Check:      check,
	PerRequest: perRequest,
	Routes:     routes,
	Translate:  translate,
	Fixup:      fixup,
	Handler:    handle,

	HasResponse: noVary,
	Response:    func(r *httpd.Request, _ *Config, h *httpd.ResponseHead) { r.DropVary(h) },
}

// noVary reports whether a rule may set the variable force-no-vary with [E=],
// by its name or by one that the request decides.
func noVary(c *Config) bool {
	may := func(r *rule) bool {
		return slices.ContainsFunc(r.env, func(t template) bool { return t.names(httpd.NoVary) })
	}
	return c.engine.V && (slices.ContainsFunc(c.list, may) || c.server != nil && slices.ContainsFunc(c.server.list, may))
}

// scope gives the settings that a directive changes: those of the server, and
// those of the directory (which are the defaults below a server scope).
func scope(k *httpd.Cmd, c *Config) *rules {
	if k.In&httpd.InServerHost == 0 {
		c.dir = strings.TrimSuffix(k.Path, "/") + "/"
		if k.In == httpd.InIf { // has no path: patterns see whole file names, results must be URLs, as in httpd
			c.dir = "*If/"
		}
		return &c.rules
	}
	if c.server == nil {
		c.server = &server{host: k.HostIndex, maps: map[string]*rewriteMap{}}
	}
	return &c.server.rules
}

func setEngine(k *httpd.Cmd, c *Config) error {
	on, err := k.Flag(0)
	scope(k, c)
	c.engine = httpd.Some(on)
	return err
}

func setOptions(k *httpd.Cmd, c *Config) error {
	var o option
	for _, w := range k.Args {
		bit, ok := optionNames[strings.ToLower(w)]
		switch {
		case ok:
			o |= bit
		case strings.HasPrefix(strings.ToLower(w), "maxredirects="):
			k.Warn("REWRITE-MAX-REDIRECTS", "%s has no effect; LimitInternalRecursion limits internal redirects", w)
		default:
			return fmt.Errorf("unknown option %q", w)
		}
	}
	r := scope(k, c)
	r.options = httpd.Some(r.options.V | o)
	c.options = r.options
	return nil
}

func setBase(k *httpd.Cmd, c *Config) error {
	if !strings.HasPrefix(k.Arg(0), "/") {
		return fmt.Errorf("%q is not a URL path; it must begin with a slash", k.Arg(0))
	}
	scope(k, c)
	c.base = httpd.Some(k.Arg(0))
	return nil
}

// merge lays the child's settings over the parent's. Rules of the parent are
// dropped unless the options of either say otherwise.
func merge(p, k *Config) *Config {
	c := &Config{server: p.server, engine: p.engine.Over(k.engine), dir: k.dir, rules: inherit(&p.rules, &k.rules)}
	c.base = k.base
	if c.options.V&optMergeBase != 0 {
		c.base = p.base.Over(k.base)
	}
	if k.server == nil {
		return c
	}
	s := *k.server
	c.server = &s
	if p.server != nil {
		s.rules = inherit(&p.server.rules, &k.server.rules)
		if downward(p.server.options.V, s.options.V) || before(p.server.options.V, s.options.V) {
			s.maps = maps.Clone(p.server.maps)
			maps.Copy(s.maps, k.server.maps)
		}
	}
	return c
}

// inherited is what a virtual host without a directive of ours has: the maps
// and the settings of directories, but no rules.
func inherited(p *Config) *Config {
	if p.server == nil || len(p.server.list) == 0 {
		return p
	}
	c := *p
	c.server = &server{host: p.server.host, maps: p.server.maps}
	return &c
}

// downward says that the parent's rules follow the child's, before that they
// come first.
func downward(parent, child option) bool {
	return child&optInherit != 0 || parent&optInheritDown != 0 && child&optIgnoreInherit == 0
}

func before(parent, child option) bool {
	return child&optInheritBefore != 0 || parent&optInheritDownBefore != 0 && child&optIgnoreInherit == 0
}

func inherit(p, k *rules) rules {
	r := rules{list: k.list, pending: k.pending, options: p.options.Over(k.options)}
	switch {
	case downward(p.options.V, r.options.V):
		r.list = append(slices.Clip(k.list), p.list...)
	case before(p.options.V, r.options.V):
		r.list = append(slices.Clip(p.list), k.list...)
	}
	return r
}

// check warns of conditions without a rule and of maps that nobody declared.
func check(k *httpd.Checker, c *Config) {
	if c.server == nil || c.server.host != k.Host.Index() {
		return
	}
	for _, x := range c.server.pending {
		k.Report(conf.Diagnostic{Severity: conf.Warning, Code: "REWRITE-COND-ALONE", Pos: x.pos, Directive: "RewriteCond",
			Message: "no RewriteRule follows, the condition has no effect"})
	}
	for _, r := range c.server.list {
		for _, name := range r.mapNames() {
			if c.server.maps[name] == nil {
				k.Report(conf.Diagnostic{Severity: conf.Warning, Code: "REWRITE-MAP-UNKNOWN", Pos: r.pos, Directive: "RewriteRule",
					Message: fmt.Sprintf("no RewriteMap of this server is called %q: every lookup fails", name)})
			}
		}
	}
}

// perRequest: rules look at the request.
func perRequest(c *Config) bool {
	return c.engine.V && (len(c.list) > 0 || c.server != nil && len(c.server.list) > 0)
}

// routes tells the core that any path may be ours where the rules of a server
// scope run. In a section it tells that the section decides about them.
func routes(c *Config) []httpd.Route {
	if c.server == nil && c.engine.Set || c.server != nil && c.engine.V && len(c.server.list) > 0 {
		return []httpd.Route{{Match: func([]byte) bool { return true }}}
	}
	return nil
}
