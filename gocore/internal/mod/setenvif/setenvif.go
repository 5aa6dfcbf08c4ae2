// Package setenvif is mod_setenvif: variables of the request that depend on
// its header fields, address, or an expression.
//
// The whole module is in this file. Lines of the main server and of virtual
// hosts run at post-read, those of sections and .htaccess files at header
// parse. Neither runs in sub-requests.
package setenvif

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"modwsgi/gocore/internal/httpd"
)

type config struct {
	host, dir []*rule
}

// rule is one line: if the attribute matches, or the condition holds, the
// changes are made.
type rule struct {
	special func(r *httpd.Request) string // attribute of the request
	name    string                        // else: a header field or a variable
	names   *httpd.Regexp                 // else: header fields by pattern
	re      *httpd.Regexp
	literal bool // re is a plain text: values are taken as they are
	cond    *httpd.Expr
	changes []change
}

type change struct {
	name, value string
	unset       bool
}

// Module is mod_setenvif.
var Module = &httpd.Module[config]{
	Name: "setenvif", ID: "setenvif_module", File: "mod_setenvif.c",
	Directives: []httpd.Directive[config]{
		row("SetEnvIf", "attribute regex [!]variable[=value] ...", 3, setEnvIf(false), "Sets variables if a header field or property of the request matches."),
		row("SetEnvIfNoCase", "attribute regex [!]variable[=value] ...", 3, setEnvIf(true), "As SetEnvIf; case does not matter."),
		row("SetEnvIfExpr", "expression [!]variable[=value] ...", 2, setEnvIfExpr, "Sets variables if an expression is true."),
		row("BrowserMatch", "regex [!]variable[=value] ...", 2, browserMatch(false), "SetEnvIf for the field User-Agent."),
		row("BrowserMatchNoCase", "regex [!]variable[=value] ...", 2, browserMatch(true), "SetEnvIfNoCase for the field User-Agent."),
	},
	Merge: func(p, k *config) *config {
		return &config{host: append(slices.Clip(p.host), k.host...), dir: append(slices.Clip(p.dir), k.dir...)}
	},
	PerRequest: func(c *config) bool { return len(c.host)+len(c.dir) > 0 },
	PostRead:   func(r *httpd.Request, c *config) httpd.Status { return apply(r, c.host) },
	Header:     func(r *httpd.Request, c *config) httpd.Status { return apply(r, c.dir) },

	HasResponse: (*config).noVary,
	Response:    func(r *httpd.Request, _ *config, h *httpd.ResponseHead) { r.DropVary(h) },
	Steady:      func(*config) httpd.Steadiness { return httpd.SteadyAlways },
}

// noVary reports whether a line may set the variable force-no-vary.
func (c *config) noVary() bool {
	return slices.ContainsFunc(slices.Concat(c.host, c.dir), func(x *rule) bool {
		return slices.ContainsFunc(x.changes, func(y change) bool { return y.name == httpd.NoVary && !y.unset })
	})
}

func row(name, args string, min int, set func(*httpd.Cmd, *config) error, doc string) httpd.Directive[config] {
	return httpd.Directive[config]{Name: name, Args: args, Min: min, Max: -1, In: httpd.Anywhere, Override: httpd.OverrideFileInfo, Set: set, Doc: doc}
}

// add puts the rule where the line stands.
func (c *config) add(k *httpd.Cmd, x *rule) {
	if k.In&httpd.InServerHost != 0 {
		c.host = append(c.host, x)
	} else {
		c.dir = append(c.dir, x)
	}
}

// special are the attributes that are no header fields, by lower-case name.
// Remote_Host is the address unless HostnameLookups gives a name.
var special = map[string]func(r *httpd.Request) string{
	"remote_addr":      variable("REMOTE_ADDR"),
	"remote_host":      variable("REMOTE_HOST"),
	"server_addr":      variable("SERVER_ADDR"),
	"request_method":   variable("REQUEST_METHOD"),
	"request_protocol": variable("SERVER_PROTOCOL"),
	"request_uri":      variable("REQUEST_URI"),
}

func variable(name string) func(*httpd.Request) string {
	return func(r *httpd.Request) string { v, _ := r.Var(name); return v }
}

func setEnvIf(icase bool) func(*httpd.Cmd, *config) error {
	return func(k *httpd.Cmd, c *config) error {
		return c.match(k, k.Arg(0), k.Arg(1), icase, k.Args[2:])
	}
}

func browserMatch(icase bool) func(*httpd.Cmd, *config) error {
	return func(k *httpd.Cmd, c *config) error {
		return c.match(k, "User-Agent", k.Arg(0), icase, k.Args[1:])
	}
}

func (c *config) match(k *httpd.Cmd, attribute, pattern string, icase bool, words []string) error {
	x := &rule{special: special[strings.ToLower(attribute)]}
	var err error
	switch {
	case x.special != nil:
	case len(attribute) > 4 && strings.EqualFold(attribute[:4], "OID("):
		return &httpd.Coded{Code: httpd.CodeUnavailable, Message: "extensions of client certificates (OID) are not available"}
	case attribute == "":
		return errors.New("the attribute is empty")
	case plainName(attribute):
		x.name = attribute
	default:
		if x.names, err = httpd.CompileRegexp(attribute, true); err != nil { // names of fields have no case
			return err
		}
	}
	if x.re, err = httpd.CompileRegexp(pattern, icase); err != nil {
		return err
	}
	x.literal = regexp.QuoteMeta(pattern) == pattern
	if x.changes, err = changes(k, words); err != nil {
		return err
	}
	c.add(k, x)
	return nil
}

func setEnvIfExpr(k *httpd.Cmd, c *config) error {
	e, err := k.Expr(k.Arg(0))
	if err != nil {
		return err
	}
	x := &rule{cond: e.Vary()}
	if x.changes, err = changes(k, k.Args[1:]); err != nil {
		return err
	}
	c.add(k, x)
	return nil
}

// plainName tells a field's name from a pattern of names.
func plainName(s string) bool {
	return strings.IndexFunc(s, func(c rune) bool {
		return (c|0x20 < 'a' || c|0x20 > 'z') && (c < '0' || c > '9') && c != '-' && c != '_'
	}) < 0
}

// changes reads the words [!]variable[=value]; without value it is 1.
func changes(k *httpd.Cmd, words []string) ([]change, error) {
	var out []change
	for _, w := range words {
		name, value, has := strings.Cut(w, "=")
		x := change{name: name, value: value}
		if strings.HasPrefix(name, "!") && !has {
			x.name, x.unset = name[1:], true
		} else if !has {
			x.value = "1"
		}
		if x.name == "" || strings.ContainsAny(x.name, "\x00") {
			return nil, fmt.Errorf("%q does not begin with the name of a variable", w)
		}
		if !x.unset {
			k.NoticeVariable(x.name)
		}
		out = append(out, x)
	}
	return out, nil
}

func apply(r *httpd.Request, rules []*rule) httpd.Status {
	if r.SubRequest {
		return httpd.Declined
	}
	for _, x := range rules {
		var m httpd.Captures
		if x.cond != nil {
			holds, err := x.cond.TrueWith(r, &m)
			if err != nil {
				// The variable may be what refuses the request, or what lets it pass.
				r.Logf(httpd.LevelError, "setenvif", "the expression of SetEnvIfExpr could not be evaluated: %v", err)
				return 500
			}
			if !holds {
				continue
			}
		} else {
			m.Source = x.value(r)
			if m.Groups = x.re.Find(m.Source); m.Groups == nil {
				continue
			}
		}
		for _, c := range x.changes {
			switch {
			case c.unset:
				r.UnsetEnv(c.name)
			case x.literal:
				r.SetEnv(c.name, c.value)
			default:
				r.SetEnv(c.name, httpd.Expand(c.value, m.Source, m.Groups))
			}
		}
	}
	return httpd.Declined
}

// value is the text of the rule's attribute: a field that is not there may be
// a variable that an earlier line set.
func (x *rule) value(r *httpd.Request) string {
	switch {
	case x.special != nil:
		return x.special(r)
	case x.names != nil:
		for i := range slices.Backward(r.Header) { // the last one counts
			if x.names.MatchString(r.Header[i].Name) {
				v, _ := r.Get(r.Header[i].Name)
				return v
			}
		}
		return ""
	}
	if v, ok := r.Get(x.name); ok {
		return v
	}
	v, _ := r.Env(x.name)
	return v
}
