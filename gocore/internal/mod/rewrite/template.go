// This file expands strings with $n, %n, %{VARIABLE} and ${map:key|default}.
// They are taken apart once, when the configuration is read. What a request
// brings in is never expanded again.

package rewrite

import "strings"

type tokenKind uint8

const (
	tokText    tokenKind = iota
	tokEscaped           // one character after a backslash
	tokRule              // $n
	tokCond              // %n
	tokVar
	tokMap
)

type token struct {
	kind     tokenKind
	n        int      // of a back-reference
	text     string   // text, name of a variable or map
	key, def template // of a map
}

type template []token

// names reports whether the text up to the first colon may become name.
func (t template) names(name string) bool {
	known := ""
	for _, k := range t {
		if k.kind != tokText && k.kind != tokEscaped {
			return strings.HasPrefix(name, known)
		}
		text, _, colon := strings.Cut(k.text, ":")
		if known += text; colon {
			break
		}
	}
	return known == name
}

// parseTemplate takes a string apart. There are no errors: what is not closed
// or not known stands for itself, as in httpd.
func parseTemplate(s string) template {
	var t template
	text := func(s string) {
		if s != "" {
			t = append(t, token{kind: tokText, text: s})
		}
	}
	for s != "" {
		i := strings.IndexAny(s, `\$%`)
		if i < 0 {
			text(s)
			break
		}
		text(s[:i])
		s = s[i:]
		switch {
		case s[0] == '\\':
			if len(s) == 1 {
				text(s)
				return t
			}
			t = append(t, token{kind: tokEscaped, text: s[1:2]})
			s = s[2:]
		case len(s) > 1 && s[1] == '{':
			tok, n := parseBraces(s)
			t = append(t, tok)
			s = s[n:]
		case len(s) > 1 && '0' <= s[1] && s[1] <= '9':
			kind := tokRule
			if s[0] == '%' {
				kind = tokCond
			}
			t = append(t, token{kind: kind, n: int(s[1] - '0')})
			s = s[2:]
		default:
			text(s[:1])
			s = s[1:]
		}
	}
	return t
}

// parseBraces reads "%{...}" or "${...}" at the start of s and returns how
// many bytes it takes.
func parseBraces(s string) (token, int) {
	literal := token{kind: tokText, text: s[:2]}
	end := closing(s[2:], 0)
	if end < 0 {
		return literal, 2
	}
	inside := s[2 : 2+end]
	if s[0] == '%' {
		return token{kind: tokVar, text: inside}, end + 3
	}
	colon := closing(inside, ':')
	if colon < 0 {
		return literal, 2
	}
	tok := token{kind: tokMap, text: inside[:colon]}
	key := inside[colon+1:]
	if bar := closing(key, '|'); bar >= 0 {
		tok.def = parseTemplate(key[bar+1:])
		key = key[:bar]
	}
	tok.key = parseTemplate(key)
	return tok, end + 3
}

// closing finds c outside of inner braces, or with c 0 the brace that closes
// one which was opened before s. -1 if there is none.
func closing(s string, c byte) int {
	depth := 1
	for i := 0; i < len(s); i++ {
		switch {
		case c != 0 && s[i] == c && depth == 1:
			return i
		case s[i] == '}':
			if depth--; depth == 0 {
				if c != 0 {
					return -1
				}
				return i
			}
		case s[i] == '{':
			depth++
		}
	}
	return -1
}

// mapNames adds the names of the maps that the template asks.
func (t template) mapNames(out []string) []string {
	for i := range t {
		if t[i].kind == tokMap {
			out = append(out, t[i].text)
			out = t[i].def.mapNames(t[i].key.mapNames(out))
		}
	}
	return out
}

// qmark says where the "?" that begins the query came from.
type qmark int8

const (
	qmarkNone   qmark = iota
	qmarkSafe         // from the configuration
	qmarkUnsafe       // from the request or a map
)

// expand evaluates a template. p is the rule whose back-references are to be
// escaped, nil where that does not apply.
func (x *run) expand(t template, p *rule) string {
	s, _ := x.expandTracked(t, p)
	return s
}

// expandTracked also tells where the first "?" (the last one with QSL) comes
// from: a URL with %3f must not be able to make up a query.
func (x *run) expandTracked(t template, p *rule) (string, qmark) {
	if len(t) == 1 && t[0].kind == tokText {
		if strings.Contains(t[0].text, "?") {
			return t[0].text, qmarkSafe
		}
		return t[0].text, qmarkNone
	}
	var b strings.Builder
	seen := qmarkNone
	last := p != nil && p.flags&flagQueryLast != 0
	for i := range t {
		v, origin := x.token(&t[i], p)
		b.WriteString(v)
		if origin != qmarkNone && (seen == qmarkNone || last) && strings.Contains(v, "?") {
			seen = origin
		}
	}
	return b.String(), seen
}

// token evaluates one token; origin says how a "?" in it counts.
func (x *run) token(k *token, p *rule) (v string, origin qmark) {
	switch k.kind {
	case tokText:
		return k.text, qmarkSafe
	case tokEscaped:
		return k.text, qmarkNone
	case tokRule, tokCond:
		m := &x.ruleMatch
		if k.kind == tokCond {
			m = &x.condMatch
		}
		v = m.group(k.n)
		if v != "" && p != nil && p.flags&flagEscapeBack != 0 {
			escaped := escapeBackref(v, p)
			x.trace(5, "escaping backreference '%s' to '%s'", v, escaped)
			v = escaped
		}
	case tokVar:
		v = x.variable(k.text)
	case tokMap:
		var ok bool
		if v, ok = x.lookup(k.text, x.expand(k.key, p)); !ok {
			v = x.expand(k.def, p)
		}
	}
	return v, qmarkUnsafe
}

// match is a successful match with its groups.
type match struct {
	source string
	groups []int // as of Regexp.Find; nil: no match
}

func (m *match) group(n int) string {
	if 2*n+1 >= len(m.groups) || m.groups[2*n] < 0 {
		return ""
	}
	return m.source[m.groups[2*n]:m.groups[2*n+1]]
}
