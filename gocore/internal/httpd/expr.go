// Expressions of the configuration (package expr) joined with the request:
// what a variable, a header field or a sub-request is. var.go has the
// variables.
package httpd

import (
	"fmt"
	"net/netip"
	"path"
	"strings"

	"modwsgi/gocore/internal/expr"
)

// Expr is a condition. Immutable; any goroutine may evaluate it.
type Expr struct {
	c    *expr.Cond
	vary bool
}

// StringExpr is a string with variables. Immutable; any goroutine may evaluate
// it.
type StringExpr struct{ s *expr.Str }

// Captures holds $0 to $9 of the last match of a regular expression with
// groups, from one expression to the next.
type Captures = expr.Captures

// ParseExpr reads a condition. The functions that read files are refused, so
// that it suits text from .htaccess; see Cmd.Expr.
func ParseExpr(text string) (*Expr, error) { return parseExpr(text, true) }

// ParseStringExpr reads a string with variables; as ParseExpr.
func ParseStringExpr(text string) (*StringExpr, error) { return parseStringExpr(text, true) }

// Expr reads a condition as the place of the directive permits: .htaccess
// files may not read files.
func (k *Cmd) Expr(text string) (*Expr, error) { return parseExpr(text, k.Htaccess) }

// StringExpr reads a string with variables; as Expr.
func (k *Cmd) StringExpr(text string) (*StringExpr, error) { return parseStringExpr(text, k.Htaccess) }

func parseExpr(text string, restricted bool) (*Expr, error) {
	c, err := expr.Parse(text, dialect(restricted))
	if err != nil {
		return nil, fmt.Errorf("the expression %q cannot be used: %w", text, err)
	}
	return &Expr{c: c}, nil
}

func parseStringExpr(text string, restricted bool) (*StringExpr, error) {
	s, err := expr.ParseString(text, dialect(restricted))
	if err != nil {
		return nil, fmt.Errorf("the expression %q cannot be used: %w", text, err)
	}
	return &StringExpr{s}, nil
}

func dialect(restricted bool) expr.Dialect {
	return expr.Dialect{
		Regexp: func(pattern string, icase bool) (expr.Regexp, error) {
			re, err := CompileRegexp(pattern, icase)
			if err != nil {
				return nil, err
			}
			return re, nil
		},
		Glob:       Fnmatch[string],
		Variable:   HasVar,
		Restricted: restricted,
	}
}

// Vary gives the same condition, which also says in the response's Vary header
// which fields of the request it looked at: for conditions that shape the
// response.
func (e *Expr) Vary() *Expr { return &Expr{e.c, true} }

// Uses says whether the condition mentions a variable, such as REMOTE_USER.
func (e *Expr) Uses(name string) bool { return e.c.Uses(name) }

// String is the text as written.
func (e *Expr) String() string { return e.c.String() }

// True decides for a request, in whatever phase it is: what is not known yet
// is empty. An error means that it could not be decided.
func (e *Expr) True(r *Request) (bool, error) { return e.TrueWith(r, nil) }

// TrueWith is True with the captures of an earlier match; those of this
// expression are left in m.
func (e *Expr) TrueWith(r *Request, m *Captures) (result bool, err error) {
	defer recoverRegex(&err)
	return e.c.Eval(world{r, e.vary}, m), nil
}

// Constant gives the value if it is the same for every request.
func (e *StringExpr) Constant() (string, bool) { return e.s.Constant() }

// Uses says whether the string mentions a variable, such as REMOTE_USER.
func (e *StringExpr) Uses(name string) bool { return e.s.Uses(name) }

// String is the text as written.
func (e *StringExpr) String() string { return e.s.String() }

// Eval gives the value for a request; as Expr.True.
func (e *StringExpr) Eval(r *Request) (string, error) { return e.EvalWith(r, nil) }

// EvalWith is Eval with the captures of an earlier match for $0 to $9.
func (e *StringExpr) EvalWith(r *Request, m *Captures) (value string, err error) {
	defer recoverRegex(&err)
	return e.s.Eval(world{r, false}, m), nil
}

// recoverRegex turns the time-out of a regular expression into an error.
func recoverRegex(err *error) {
	if e := recover(); e != nil {
		t, ok := e.(errRegexTimeout)
		if !ok {
			panic(e)
		}
		*err = t
	}
}

// world is the request as expressions see it.
type world struct {
	r    *Request
	vary bool
}

// headerVars are the variables that are fields of the request.
var headerVars = map[string]string{
	"HTTP_ACCEPT": "Accept", "HTTP_COOKIE": "Cookie", "HTTP_FORWARDED": "Forwarded", "HTTP_HOST": "Host",
	"HTTP_PROXY_CONNECTION": "Proxy-Connection", "HTTP_REFERER": "Referer", "HTTP_USER_AGENT": "User-Agent",
}

func (w world) Var(name string) string {
	if h, ok := headerVars[name]; ok {
		w.depend(h)
	}
	v, _ := w.r.Var(name)
	return v
}

func (w world) Lookup(t expr.Table, name string) string {
	v, _ := w.get(t, name)
	return v
}

func (w world) Has(t expr.Table, name string) bool {
	_, ok := w.get(t, name)
	return ok
}

func (w world) get(t expr.Table, name string) (string, bool) {
	switch t {
	case expr.RequestHeader:
		w.depend(name)
		return w.r.Get(name)
	case expr.RequestHeaderNoVary:
		return w.r.Get(name)
	case expr.ResponseHeader:
		return w.r.response(name)
	case expr.RequestEnv:
		return w.r.Env(name)
	}
	v, ok := w.r.Notes[name]
	return v, ok
}

// depend notes that the response depends on a field of the request. The host
// is part of every cache's key anyway (RFC 9110 section 12.5.5).
func (w world) depend(header string) {
	if !w.vary || strings.EqualFold(header, "Host") {
		return
	}
	if w.r.head != nil {
		w.r.head.AddVary(header)
		return
	}
	for i := range w.r.Out {
		f := &w.r.Out[i]
		if !strings.EqualFold(f.Name, "Vary") {
			continue
		}
		for _, v := range strings.Split(f.Value, ",") {
			if strings.EqualFold(strings.TrimSpace(v), header) {
				return
			}
		}
		f.Value += ", " + header
		return
	}
	w.r.Out = append(w.r.Out, Field{"Vary", header})
}

func (w world) Client() netip.Addr { return w.r.Remote.Addr() }

func (w world) Reachable(file bool, s string) bool {
	if w.r.SubRequest || s == "" { // the same test would run again in the sub-request
		return false
	}
	if file {
		sub, st := w.r.LookupFile(s)
		return st == OK && sub.Info != nil
	}
	if s[0] != '/' {
		s = path.Join(path.Dir(w.r.URI), s)
	}
	_, st := w.r.Lookup(s)
	return st < 400
}

func (w world) Warn(message string) { w.r.Logf(LevelError, "core", "%s", message) }

// response is a field of the response as far as it is known: of the response
// that is about to be sent, else what the phases have set.
func (r *Request) response(name string) (string, bool) {
	switch {
	case r.replied != nil:
		return r.replied.field(name)
	case r.head != nil:
		return r.head.Get(name)
	}
	if v, ok := Fields(r.Out).Get(name); ok {
		return v, true
	}
	return Fields(r.ErrOut).Get(name)
}
