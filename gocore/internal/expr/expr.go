// Package expr is the language of Apache's expressions ("Expressions in Apache
// HTTP Server" of the manual): conditions as in <If>, and strings with
// variables as in the value of Header.
//
// It knows the language only. What a variable or a header field is, and which
// regular expressions there are, comes from the caller: Dialect while parsing,
// World while evaluating. Parsed expressions are immutable; any goroutine may
// evaluate them. Evaluation takes time linear in the size of the expression
// and of the values (the Regexp of the Dialect permitting) and does not loop.
//
// This file has the API, lex.go and parse.go the grammar, eval.go the nodes,
// funcs.go the functions and operators.
package expr

import (
	"fmt"
	"net/netip"
	"strings"
)

// Dialect says what exists; it is used while parsing.
type Dialect struct {
	// Regexp compiles a pattern. A pattern that begins with (?m) has the flag m.
	Regexp func(pattern string, ignoreCase bool) (Regexp, error)
	// Glob is fnmatch(3); with pathname, wildcards do not match a slash.
	Glob func(pattern, s string, pathname bool) bool
	// Variable says whether %{name} exists; name is in upper case.
	Variable func(name string) bool
	// Restricted takes away the functions that read files (file, filesize): the
	// text comes from somebody who may not read all that the server can.
	Restricted bool
}

// Regexp is a compiled pattern.
type Regexp interface {
	// Find gives the byte offsets of the first match and its groups, as
	// regexp.FindStringSubmatchIndex does; nil if there is none.
	Find(s string) []int
}

// Table is a set of named values of the request.
type Table int

// The tables. Fields, variables and notes that do not exist are "".
const (
	RequestHeader       Table = iota // req, http: the response depends on it
	RequestHeaderNoVary              // req_novary
	ResponseHeader                   // resp
	RequestEnv                       // reqenv
	Notes                            // note
)

// World is what an expression asks about; it is used while evaluating.
type World interface {
	Var(name string) string             // of a name that Dialect.Variable takes, in upper case
	Lookup(t Table, name string) string // "" if there is none
	Has(t Table, name string) bool      // for env, which takes the first that exists
	Client() netip.Addr                 // for -R
	Reachable(file bool, s string) bool // a sub-request for a file (-F) or URL path (-U) would be allowed
	Warn(message string)                // for the error log: an argument that cannot be used
}

// Captures holds $0 to $9, the last match of a regular expression with groups.
// It may be handed from one expression to the next. The zero value is empty.
type Captures struct {
	Source string
	Groups []int // byte offsets in Source, pairs
}

// Group is the text of group n, "" if it took no part in the match.
func (c *Captures) Group(n int) string {
	if c == nil || 2*n+1 >= len(c.Groups) || c.Groups[2*n] < 0 {
		return ""
	}
	return c.Source[c.Groups[2*n]:c.Groups[2*n+1]]
}

// Cond is a condition.
type Cond struct {
	text string
	root cond
}

// Str is a string with variables.
type Str struct {
	text string
	root word
}

// Error says what is wrong with an expression and where.
type Error struct {
	Text    string // the expression
	Pos     int    // byte offset
	Message string
}

// Error implements error. Positions count characters from 1.
func (e *Error) Error() string {
	at := len([]rune(e.Text[:min(e.Pos, len(e.Text))])) + 1
	near := e.Text[min(e.Pos, len(e.Text)):]
	if r := []rune(near); len(r) > 20 {
		near = string(r[:20]) + "..."
	}
	if near == "" {
		return fmt.Sprintf("%s at the end of the expression", e.Message)
	}
	return fmt.Sprintf("%s at character %d, near %q", e.Message, at, near)
}

// Parse reads a condition.
func Parse(text string, d Dialect) (*Cond, error) {
	p := &parser{text: text, d: d}
	c, err := p.whole()
	if err != nil {
		return nil, err
	}
	return &Cond{text, c}, nil
}

// ParseString reads a string with variables: everything but %{...}, $0 to $9
// and escapes with a backslash stands for itself.
func ParseString(text string, d Dialect) (*Str, error) {
	p := &parser{text: text, d: d}
	w, err := p.str(endOfText)
	if err != nil {
		return nil, err
	}
	return &Str{text, w}, nil
}

// Eval decides. m holds $0 to $9 before and after; it may be nil.
func (c *Cond) Eval(w World, m *Captures) bool {
	var own Captures
	if m == nil {
		m = &own
	}
	return c.root.eval(&run{World: w, caps: m})
}

// Eval gives the value.
func (s *Str) Eval(w World, m *Captures) string {
	if m == nil {
		m = &Captures{}
	}
	return s.root.value(&run{World: w, caps: m})
}

// Constant gives the value if it is the same for every request.
func (s *Str) Constant() (string, bool) { return constant(s.root) }

// String is the text as written.
func (c *Cond) String() string { return c.text }

// String is the text as written.
func (s *Str) String() string { return s.text }

// Uses says whether the condition mentions a variable, in upper case.
func (c *Cond) Uses(name string) bool {
	found := false
	c.root.walk(func(w word) { found = found || usesVar(w, name) })
	return found
}

// Uses says whether the string mentions a variable, in upper case.
func (s *Str) Uses(name string) bool {
	found := false
	s.root.walk(func(w word) { found = found || usesVar(w, name) })
	return found
}

func usesVar(w word, name string) bool {
	v, ok := w.(variable)
	return ok && strings.EqualFold(string(v), name)
}
