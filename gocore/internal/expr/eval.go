// The nodes of a parsed expression and how they are evaluated.
package expr

import (
	"net/netip"
	"strings"
)

// run is one evaluation.
type run struct {
	World
	caps *Captures
}

// cond is a node with a truth value, word one with a text. walk shows every
// word below the node.
type cond interface {
	eval(r *run) bool
	walk(see func(word))
}

type word interface {
	value(r *run) string
	walk(see func(word))
}

type (
	truth    bool
	anyOf    []cond
	allOf    []cond
	negation struct{ c cond }
	compare  struct {
		a, b word
		op   string
	}
	compareInt compare
	match      struct {
		a      word
		re     Regexp
		negate bool
	}
	member struct {
		item word
		list []word
	}
	glob struct {
		a, pattern       word
		match            func(pattern, s string, pathname bool) bool
		pathname, noCase bool
	}
	addressIn struct {
		a   word
		net netip.Prefix
	}
	clientIn  netip.Prefix
	unaryTest struct {
		op byte
		a  word
	}

	literal  string
	variable string
	backref  int
	concat   []word
	call     struct {
		run func(r *run, arg string) string
		arg word
	}
)

func (t truth) eval(*run) bool { return bool(t) }

func (l anyOf) eval(r *run) bool {
	for _, c := range l {
		if c.eval(r) {
			return true
		}
	}
	return false
}

func (l allOf) eval(r *run) bool {
	for _, c := range l {
		if !c.eval(r) {
			return false
		}
	}
	return true
}

func (n negation) eval(r *run) bool { return !n.c.eval(r) }

// eval compares bytes, as strcmp does.
func (c compare) eval(r *run) bool {
	n := strings.Compare(c.a.value(r), c.b.value(r))
	switch c.op {
	case "!=":
		return n != 0
	case "<":
		return n < 0
	case "<=":
		return n <= 0
	case ">":
		return n > 0
	case ">=":
		return n >= 0
	}
	return n == 0
}

func (c compareInt) eval(r *run) bool {
	a, b := integer(c.a.value(r)), integer(c.b.value(r))
	switch c.op {
	case "ne":
		return a != b
	case "lt":
		return a < b
	case "le":
		return a <= b
	case "gt":
		return a > b
	case "ge":
		return a >= b
	}
	return a == b
}

// eval keeps the groups of a match. A pattern without groups and one that does
// not match leave those of an earlier match alone.
func (m match) eval(r *run) bool {
	s := m.a.value(r)
	g := m.re.Find(s)
	if len(g) > 2 {
		r.caps.Source, r.caps.Groups = s, g
	}
	return (g != nil) != m.negate
}

func (m member) eval(r *run) bool {
	s := m.item.value(r)
	for _, w := range m.list {
		if w.value(r) == s {
			return true
		}
	}
	return false
}

func (g glob) eval(r *run) bool {
	s, pattern := g.a.value(r), g.pattern.value(r)
	if g.noCase {
		s, pattern = lower(s), lower(pattern)
	}
	return g.match(pattern, s, g.pathname)
}

func (a addressIn) eval(r *run) bool {
	addr, err := netip.ParseAddr(a.a.value(r))
	return err == nil && a.net.Contains(addr.Unmap().WithZone(""))
}

func (n clientIn) eval(r *run) bool {
	return netip.Prefix(n).Contains(r.Client().Unmap().WithZone(""))
}

func (l literal) value(*run) string    { return string(l) }
func (v variable) value(r *run) string { return r.Var(string(v)) }
func (n backref) value(r *run) string  { return r.caps.Group(int(n)) }
func (c call) value(r *run) string     { return c.run(r, c.arg.value(r)) }

func (c concat) value(r *run) string {
	var b strings.Builder
	for _, w := range c {
		b.WriteString(w.value(r))
	}
	return b.String()
}

// join makes one word of several, of neighbouring literals one.
func join(parts []word) word {
	var out concat
	for _, w := range parts {
		if l, ok := w.(literal); ok && len(out) > 0 {
			if before, ok := out[len(out)-1].(literal); ok {
				out[len(out)-1] = before + l
				continue
			}
		}
		out = append(out, w)
	}
	switch len(out) {
	case 0:
		return literal("")
	case 1:
		return out[0]
	}
	return out
}

// constant is the value of a word that does not depend on the request.
func constant(w word) (string, bool) {
	l, ok := w.(literal)
	return string(l), ok
}

func (truth) walk(func(word))    {}
func (clientIn) walk(func(word)) {}

func (l anyOf) walk(see func(word)) {
	for _, c := range l {
		c.walk(see)
	}
}

func (l allOf) walk(see func(word)) { anyOf(l).walk(see) }

func (n negation) walk(see func(word))   { n.c.walk(see) }
func (c compare) walk(see func(word))    { c.a.walk(see); c.b.walk(see) }
func (c compareInt) walk(see func(word)) { compare(c).walk(see) }
func (m match) walk(see func(word))      { m.a.walk(see) }
func (g glob) walk(see func(word))       { g.a.walk(see); g.pattern.walk(see) }
func (a addressIn) walk(see func(word))  { a.a.walk(see) }
func (u unaryTest) walk(see func(word))  { u.a.walk(see) }
func (l literal) walk(see func(word))    { see(l) }
func (v variable) walk(see func(word))   { see(v) }
func (n backref) walk(see func(word))    { see(n) }
func (c call) walk(see func(word))       { see(c); c.arg.walk(see) }

func (m member) walk(see func(word)) {
	m.item.walk(see)
	concat(m.list).walk(see)
}

func (c concat) walk(see func(word)) {
	for _, w := range c {
		w.walk(see)
	}
}
