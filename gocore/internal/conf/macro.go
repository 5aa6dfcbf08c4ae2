// This file has <Macro>, Use and UndefMacro (mod_macro): lines that are kept
// as text, and read with arguments filled in where they are used.

package conf

import (
	"fmt"
	"slices"
	"strings"
)

// maxExpansions bounds the uses of macros, since macros that use others twice
// each multiply.
const maxExpansions = 10000

type macro struct {
	name   string
	params []string
	pos    Pos
	lines  []logical
	nested int // <Macro> inside <Macro>
	bad    bool
}

// use is one place where a macro is expanded.
type use struct {
	macro *macro
	pos   Pos
}

func (p *parser) newMacro(pos Pos, args []string) *macro {
	m := &macro{pos: pos, bad: true}
	if p.notHere(pos, "Macro") {
		return m
	}
	if len(args) == 0 || args[0] == "" {
		p.fail(CodeMacro, pos, "Macro", "a macro needs a name", "<Macro name $parameter ...>")
		return m
	}
	m.name, m.params = args[0], args[1:]
	for i, param := range m.params {
		switch {
		case param == "" || !strings.ContainsRune("$%@", rune(param[0])):
			p.report(Warning, CodeMacro, pos, "Macro", fmt.Sprintf("parameter %s does not begin with $, %% or @, so it may replace text by accident", clip(param)), "$"+param)
		case strings.HasPrefix(param, "${"):
			p.report(Warning, CodeMacro, pos, "Macro", fmt.Sprintf("parameter %s looks like a variable", clip(param)), "")
		}
		if param == "" || slices.Contains(m.params[:i], param) {
			p.fail(CodeMacro, pos, "Macro", fmt.Sprintf("parameter %s is empty or there twice", clip(param)), "")
			return m
		}
	}
	m.bad = false
	return m
}

// collect takes one line of the body; false: it was the end tag.
func (m *macro) collect(l logical) bool {
	if l.text[0] == '<' {
		name, _ := cutTagName(strings.TrimPrefix(l.text[1:], "/"))
		if strings.EqualFold(name, "Macro") {
			if strings.HasPrefix(l.text, "</") {
				if m.nested == 0 {
					return false
				}
				m.nested--
			} else {
				m.nested++
			}
		}
	}
	m.lines = append(m.lines, l)
	return true
}

// defineMacro is called at the end tag.
func (p *parser) defineMacro(m *macro) {
	if m.bad {
		return
	}
	key := strings.ToLower(m.name)
	if old, ok := p.macros[key]; ok {
		p.report(Warning, CodeMacro, m.pos, "Macro", fmt.Sprintf("macro %s replaces the one of %s", m.name, old.pos), "")
	}
	p.macros[key] = m
}

func (p *parser) useMacro(pos Pos, name string, args []string) {
	if p.notHere(pos, name) {
		return
	}
	if len(args) == 0 {
		p.fail(CodeArguments, pos, name, "takes the name of a macro", "Use name value ...")
		return
	}
	m, ok := p.macros[strings.ToLower(args[0])]
	values := args[1:]
	switch {
	case !ok:
		p.fail(CodeMacro, pos, name, "no macro has the name "+clip(args[0]), p.nearMacro(args[0]))
		return
	case len(values) != len(m.params):
		p.fail(CodeMacro, pos, name, fmt.Sprintf("macro %s takes %d values, has %d", m.name, len(m.params), len(values)), strings.Join(append([]string{"Use", m.name}, m.params...), " "))
		return
	case slices.ContainsFunc(p.via, func(u *use) bool { return u.macro == m }):
		p.fail(CodeMacro, pos, name, fmt.Sprintf("macro %s uses itself", m.name), "")
		return
	case p.expansions >= maxExpansions:
		if p.expansions == maxExpansions {
			p.fail(CodeMacro, pos, name, fmt.Sprintf("more than %d uses of macros", maxExpansions), "")
			p.expansions++
		}
		return
	}
	p.expansions++
	// Longer names first, so that $host does not spoil $hostname.
	order := slices.Clone(m.params)
	slices.SortStableFunc(order, func(a, b string) int { return len(b) - len(a) })
	var pairs []string
	for _, param := range order {
		pairs = append(pairs, param, values[slices.Index(m.params, param)])
	}
	replacer := strings.NewReplacer(pairs...)
	var lines []logical
	for _, l := range m.lines {
		if l.text[0] == '#' {
			continue
		}
		growth := 0
		for i := 0; i < len(pairs); i += 2 {
			growth += strings.Count(l.text, pairs[i]) * len(pairs[i+1])
		}
		if growth > maxGrowth {
			p.fail(CodeMacro, pos, name, fmt.Sprintf("the arguments make line %d of macro %s too long", l.num, m.name), "")
			continue
		}
		if l.text = trimBlank(replacer.Replace(l.text)); l.text != "" {
			lines = append(lines, l)
		}
	}
	p.via = append(p.via, &use{m, pos})
	p.lines(m.pos.File, lines)
	p.via = p.via[:len(p.via)-1]
}

func (p *parser) nearMacro(name string) string {
	var names []string
	for _, m := range p.macros {
		names = append(names, m.name)
	}
	slices.Sort(names)
	if near := Suggest(name, names); near != "" {
		return fmt.Sprintf("did you mean %q?", near)
	}
	return ""
}

func (p *parser) undefMacro(pos Pos, name string, args []string) {
	switch {
	case p.notHere(pos, name):
	case len(args) != 1:
		p.fail(CodeArguments, pos, name, "takes the name of a macro, has "+count(args), "UndefMacro name")
	default:
		if _, ok := p.macros[strings.ToLower(args[0])]; !ok {
			p.fail(CodeMacro, pos, name, "no macro has the name "+clip(args[0]), p.nearMacro(args[0]))
		}
		delete(p.macros, strings.ToLower(args[0]))
	}
}
