// The parser's reading of characters: blanks, operators, names, and strings
// with variables in them. A table of tokens would not do, because what a
// character means depends on where it stands.
package expr

import (
	"errors"
	"fmt"
	"strings"
)

// maxDepth bounds parentheses, negations and calls inside each other.
const maxDepth = 100

// endOfText is the terminator of a string that is the whole text.
const endOfText = 0

type parser struct {
	text  string
	pos   int
	depth int
	d     Dialect
}

// fail makes the error for a place in the text.
func (p *parser) fail(pos int, format string, a ...any) error {
	return &Error{Text: p.text, Pos: pos, Message: fmt.Sprintf(format, a...)}
}

// enter counts a level of nesting; leave with p.depth--.
func (p *parser) enter() error {
	if p.depth++; p.depth > maxDepth {
		return p.fail(p.pos, "more than %d levels of nesting", maxDepth)
	}
	return nil
}

func (p *parser) blanks() {
	for p.pos < len(p.text) && strings.IndexByte(" \t\r\n", p.text[p.pos]) >= 0 {
		p.pos++
	}
}

// peek is the character n places ahead, 0 behind the end.
func (p *parser) peek(n int) byte {
	if p.pos+n < len(p.text) {
		return p.text[p.pos+n]
	}
	return 0
}

// accept skips blanks and takes s if it is next.
func (p *parser) accept(s string) bool {
	p.blanks()
	if !strings.HasPrefix(p.text[p.pos:], s) {
		return false
	}
	p.pos += len(s)
	return true
}

func letter(c byte) bool { return c|0x20 >= 'a' && c|0x20 <= 'z' }
func digit(c byte) bool  { return c >= '0' && c <= '9' }

// nameAt is the name (letters, digits, underscores, no digit first) n places ahead.
func (p *parser) nameAt(n int) string {
	i := p.pos + n
	for j := i; ; j++ {
		if j >= len(p.text) || !letter(p.text[j]) && p.text[j] != '_' && (j == i || !digit(p.text[j])) {
			return p.text[min(i, len(p.text)):min(j, len(p.text))]
		}
	}
}

// acceptName skips blanks and takes a name if it is the one given.
func (p *parser) acceptName(name string) bool {
	p.blanks()
	if p.nameAt(0) != name {
		return false
	}
	p.pos += len(name)
	return true
}

// str reads the parts of a string up to its end: a quote, the brace that
// closes %{function:...}, or the end of the text. The end is taken.
func (p *parser) str(end byte) (word, error) {
	start := p.pos - 1
	var parts []word
	var lit []byte
	flush := func() {
		if len(lit) > 0 {
			parts = append(parts, literal(lit))
			lit = nil
		}
	}
	for {
		if p.pos >= len(p.text) {
			if end != endOfText {
				return nil, p.fail(start, "%q has no end", string(p.text[start]))
			}
			break
		}
		c := p.text[p.pos]
		switch {
		case end != endOfText && c == end:
			p.pos++
			flush()
			return join(parts), nil
		case c == '\n' || c == '\r' || c == 0:
			return nil, p.fail(p.pos, "line break or null character in a string")
		case c == '\\' && p.pos+1 < len(p.text):
			b, err := p.escape()
			if err != nil {
				return nil, err
			}
			lit = append(lit, b)
		case c == '%' && p.peek(1) == '{':
			flush()
			w, err := p.variable()
			if err != nil {
				return nil, err
			}
			parts = append(parts, w)
		case c == '$' && digit(p.peek(1)):
			flush()
			parts = append(parts, backref(p.peek(1)-'0'))
			p.pos += 2
		default:
			lit = append(lit, c)
			p.pos++
		}
	}
	flush()
	return join(parts), nil
}

// escape reads a backslash and what follows it.
func (p *parser) escape() (byte, error) {
	at := p.pos
	p.pos += 2
	switch c := p.text[at+1]; {
	case c == 'n':
		return '\n', nil
	case c == 't':
		return '\t', nil
	case c == 'r':
		return '\r', nil
	case c == 'b':
		return '\b', nil
	case c == 'f':
		return '\f', nil
	case digit(c):
		n := 0
		p.pos = at + 1
		for i := 0; i < 3 && p.peek(0) >= '0' && p.peek(0) <= '7'; i++ {
			n = n*8 + int(p.peek(0)-'0')
			p.pos++
		}
		if p.pos == at+1 || digit(p.peek(0)) || n == 0 || n > 255 {
			return 0, p.fail(at, "a backslash and digits must be one to three octal digits of 1 to 377")
		}
		return byte(n), nil
	case c == 0:
		return 0, p.fail(at, "null character in a string")
	default:
		return c, nil
	}
}

// variable reads %{NAME} or %{function:argument}.
func (p *parser) variable() (word, error) {
	if err := p.enter(); err != nil {
		return nil, err
	}
	defer func() { p.depth-- }()
	at := p.pos
	p.pos += 2
	name := p.nameAt(0)
	nameAt := p.pos
	p.pos += len(name)
	switch c := p.peek(0); {
	case name == "":
		return nil, p.fail(p.pos, "%%{ must be followed by the name of a variable or function")
	case c == '}':
		p.pos++
		upper := strings.ToUpper(name)
		if !p.d.Variable(upper) {
			return nil, p.fail(nameAt, "there is no variable %s", name)
		}
		return variable(upper), nil
	case c == ':':
		p.pos++
		argAt := p.pos
		arg, err := p.str('}')
		if err != nil {
			if e := (*Error)(nil); errors.As(err, &e) && e.Pos == argAt-1 {
				e.Pos, e.Message = at, "%{ is not closed"
			}
			return nil, err
		}
		if s, ok := constant(arg); ok && s == "" {
			return nil, p.fail(argAt, "the argument of %s is empty", name)
		}
		return p.call(name, nameAt, arg)
	case c == 0:
		return nil, p.fail(at, "%%{ is not closed")
	default:
		return nil, p.fail(p.pos, "%q is not allowed in the name of a variable", string(c))
	}
}

// regex reads /pattern/flags or m#pattern#flags. The delimiter cannot stand in
// the pattern, not even behind a backslash.
func (p *parser) regex() (Regexp, error) {
	p.blanks()
	at, sep := p.pos, byte('/')
	switch {
	case p.peek(0) == '/':
		p.pos++
	case p.peek(0) == 'm' && p.peek(1) != 0 && strings.IndexByte(`/#$%^|?!'",;:._-`, p.peek(1)) >= 0:
		sep = p.peek(1)
		p.pos += 2
	default:
		return nil, p.fail(at, "a regular expression must follow, as /pattern/ or m#pattern#")
	}
	i := strings.IndexByte(p.text[p.pos:], sep)
	if i < 0 {
		return nil, p.fail(at, "the regular expression has no closing %q", string(sep))
	}
	pattern := p.text[p.pos : p.pos+i]
	p.pos += i + 1
	icase, multi := false, false
	for ; letter(p.peek(0)) || digit(p.peek(0)); p.pos++ {
		switch p.peek(0) {
		case 'i':
			icase = true
		case 'm':
			multi = true
		case 's', 'g': // "." matches line breaks always, and one match is all that is asked for
		default:
			return nil, p.fail(p.pos, "unknown flag of a regular expression; known are i, m, s and g")
		}
	}
	if multi {
		pattern = "(?m)" + pattern
	}
	re, err := p.d.Regexp(pattern, icase)
	if err != nil {
		return nil, p.fail(at, "%v", err)
	}
	return re, nil
}
