// The grammar of conditions, by recursive descent.
package expr

import (
	"strings"
)

// whole reads a condition that is the entire text.
func (p *parser) whole() (cond, error) {
	c, err := p.or()
	if err != nil {
		return nil, err
	}
	if p.blanks(); p.pos < len(p.text) {
		return nil, p.fail(p.pos, "&&, || or the end of the expression was expected")
	}
	return c, nil
}

func (p *parser) or() (cond, error) {
	if err := p.enter(); err != nil {
		return nil, err
	}
	defer func() { p.depth-- }()
	var list anyOf
	for {
		c, err := p.and()
		if err != nil {
			return nil, err
		}
		list = append(list, c)
		if !p.accept("||") && !p.acceptName("or") {
			break
		}
	}
	if len(list) == 1 {
		return list[0], nil
	}
	return list, nil
}

func (p *parser) and() (cond, error) {
	var list allOf
	for {
		c, err := p.not()
		if err != nil {
			return nil, err
		}
		list = append(list, c)
		if !p.accept("&&") && !p.acceptName("and") {
			break
		}
	}
	if len(list) == 1 {
		return list[0], nil
	}
	return list, nil
}

func (p *parser) not() (cond, error) {
	if !p.accept("!") && !p.acceptName("not") {
		return p.primary()
	}
	if err := p.enter(); err != nil {
		return nil, err
	}
	defer func() { p.depth-- }()
	c, err := p.not()
	if err != nil {
		return nil, err
	}
	return negation{c}, nil
}

func (p *parser) primary() (cond, error) {
	p.blanks()
	switch {
	case p.accept("("):
		at := p.pos - 1
		c, err := p.or()
		if err != nil {
			return nil, err
		}
		if !p.accept(")") {
			if p.pos >= len(p.text) {
				return nil, p.fail(at, "the parenthesis is not closed")
			}
			return nil, p.fail(p.pos, "&&, || or ) was expected")
		}
		return c, nil
	case p.acceptName("true"):
		return truth(true), nil
	case p.acceptName("false"):
		return truth(false), nil
	case p.peek(0) == '-' && !digit(p.peek(1)):
		return p.unary()
	}
	left, err := p.word()
	if err != nil {
		return nil, err
	}
	return p.comparison(left)
}

// unary reads -x word.
func (p *parser) unary() (cond, error) {
	at := p.pos
	name := p.nameAt(1)
	if len(name) != 1 || strings.IndexByte(unaryOps, name[0]) < 0 {
		return nil, p.fail(at, "a value or one of the tests -%s was expected", strings.Join(strings.Split(unaryOps, ""), " -"))
	}
	p.pos += 2
	p.blanks()
	argAt := p.pos
	arg, err := p.word()
	if err != nil {
		return nil, err
	}
	if name == "R" {
		net, err := p.subnet(arg, argAt)
		if err != nil {
			return nil, err
		}
		return clientIn(net), nil
	}
	return unaryTest{name[0], arg}, nil
}

var symbols = []string{"==", "=~", "!=", "!~", "<=", ">=", "<", ">", "="} // longer ones first

// comparison reads the operator and right side that must follow a word.
func (p *parser) comparison(left word) (cond, error) {
	p.blanks()
	at, op := p.pos, ""
	for _, s := range symbols {
		if strings.HasPrefix(p.text[p.pos:], s) {
			op = s
			p.pos += len(s)
			break
		}
	}
	if op == "" {
		name := p.nameAt(0)
		p.pos += len(name)
		if name == "" && p.peek(0) == '-' {
			name = p.nameAt(1)
			p.pos += 1 + len(name)
			op = strings.ToLower(name) // of those with a dash only
		}
		switch name {
		case "eq", "ne", "lt", "le", "gt", "ge", "in":
			op = name
		default:
			if op == "eq" || op == "in" || len(op) == 2 && strings.Contains("ne lt le gt ge", op) {
				op = "" // these are in lower case
			}
		}
	}
	switch op {
	case "=~", "!~":
		re, err := p.regex()
		if err != nil {
			return nil, err
		}
		return match{left, re, op == "!~"}, nil
	case "in":
		return p.list(left)
	case "ipmatch":
		p.blanks()
		argAt := p.pos
		right, err := p.word()
		if err != nil {
			return nil, err
		}
		net, err := p.subnet(right, argAt)
		if err != nil {
			return nil, err
		}
		return addressIn{left, net}, nil
	case "strmatch", "strcmatch", "fnmatch":
		right, err := p.word()
		if err != nil {
			return nil, err
		}
		return glob{left, right, p.d.Glob, op == "fnmatch", op == "strcmatch"}, nil
	case "==", "=", "!=", "<", "<=", ">", ">=":
		right, err := p.word()
		if err != nil {
			return nil, err
		}
		return compare{left, right, op}, nil
	case "eq", "ne", "lt", "le", "gt", "ge":
		right, err := p.word()
		if err != nil {
			return nil, err
		}
		return compareInt{left, right, op}, nil
	}
	return nil, p.fail(at, "an operator such as == or =~ was expected")
}

// list reads { word, word ... } of the operator in.
func (p *parser) list(left word) (cond, error) {
	if !p.accept("{") {
		if p.nameAt(0) != "" {
			return nil, p.fail(p.pos, "there is no function that gives a list; use { 'a', 'b' }")
		}
		return nil, p.fail(p.pos, "a list { 'a', 'b' } was expected")
	}
	m := member{item: left}
	for {
		w, err := p.word()
		if err != nil {
			return nil, err
		}
		m.list = append(m.list, w)
		switch {
		case p.accept(","):
		case p.accept("}"):
			return m, nil
		default:
			return nil, p.fail(p.pos, "a comma or } was expected")
		}
	}
}

// word reads atoms joined by dots.
func (p *parser) word() (word, error) {
	if err := p.enter(); err != nil {
		return nil, err
	}
	defer func() { p.depth-- }()
	var parts []word
	for {
		w, err := p.atom()
		if err != nil {
			return nil, err
		}
		parts = append(parts, w)
		if !p.accept(".") {
			return join(parts), nil
		}
	}
}

func (p *parser) atom() (word, error) {
	p.blanks()
	at := p.pos
	switch c := p.peek(0); {
	case digit(c) || c == '-' && digit(p.peek(1)):
		for p.pos++; digit(p.peek(0)); p.pos++ {
		}
		return literal(p.text[at:p.pos]), nil
	case c == '\'' || c == '"':
		p.pos++
		return p.str(c)
	case c == '%' && p.peek(1) == '{':
		return p.variable()
	case c == '$' && digit(p.peek(1)):
		p.pos += 2
		return backref(p.text[at+1] - '0'), nil
	case letter(c) || c == '_':
		name := p.nameAt(0)
		p.pos += len(name)
		if !p.accept("(") {
			return nil, p.fail(at, "%s is neither quoted nor the call of a function: %s( was expected", name, name)
		}
		arg, err := p.word()
		if err != nil {
			return nil, err
		}
		if !p.accept(")") {
			return nil, p.fail(p.pos, ") was expected after the argument of %s", name)
		}
		return p.call(name, at, arg)
	}
	return nil, p.fail(at, "a value was expected: 'text', %%{VARIABLE}, a number or a function")
}

// call makes the call of a function.
func (p *parser) call(name string, at int, arg word) (word, error) {
	f, ok := functions[strings.ToLower(name)]
	if !ok {
		return nil, p.fail(at, "there is no function %s", name)
	}
	if f.restricted && p.d.Restricted {
		return nil, p.fail(at, "the function %s is not allowed here", name)
	}
	return call{f.run, arg}, nil
}
