// This file reads start and end tags: what they must look like, and what is
// assumed when they do not, so that one mistake gives one message.

package conf

import (
	"fmt"
	"strings"
)

// cutTagName splits "Name args>" after the name.
func cutTagName(s string) (name, rest string) {
	for i := 0; i < len(s); i++ {
		if isBlank(s[i]) || s[i] == '>' {
			return s[:i], s[i:]
		}
	}
	return s, ""
}

// push enters a section.
func (p *parser) push(f frame) {
	if len(p.stack) == maxNesting {
		p.fail(CodeNesting, f.pos, f.name, fmt.Sprintf("more than %d sections are nested", maxNesting), "")
	}
	if len(p.stack) >= maxNesting {
		f.skip, f.dir, f.macro = true, nil, nil
	}
	p.stack = append(p.stack, f)
}

// startTag reads "<Name args>". Whatever is wrong, the section is entered: the
// end tag is most likely there.
func (p *parser) startTag(pos Pos, text string) {
	name, rest := cutTagName(text[1:])
	if name == "" {
		if trimBlank(rest) == ">" || rest == "" {
			p.fail(CodeTag, pos, "", "a section needs a name", "<Name arguments>")
		} else {
			p.fail(CodeTag, pos, "", "no blank may follow '<'", "<Name arguments>")
		}
		return
	}
	if inner, whole := cutEndTag(name, rest); whole {
		if !strings.HasSuffix(inner, ">") {
			p.fail(CodeTag, pos, name, "start tag, content and end tag are on one line", "write each on a line of its own")
			return
		}
		rest = inner
		defer p.pop()
	}
	raw := trimBlank(rest)
	if end := tagEnd(rest); end < 0 {
		p.fail(CodeTag, pos, name, "the start tag has no closing '>'", strings.TrimRight("<"+name+" "+raw, " ")+">")
	} else {
		if after := trimBlank(rest[end+1:]); after != "" {
			p.report(Warning, CodeTagText, pos, name, fmt.Sprintf("text after '>' is ignored: %s", clip(after)), "write it on a line of its own")
		}
		raw = trimBlank(rest[:end])
	}
	args, unclosed := splitWords(raw)
	if unclosed {
		p.unclosedQuote(pos, name, raw)
	}
	if cond, ok := conditions[strings.ToLower(name)]; ok {
		p.push(frame{name: name, pos: pos, skip: !cond(p, pos, name, raw)})
		return
	}
	if strings.EqualFold(name, "Macro") {
		p.push(frame{name: name, pos: pos, macro: p.newMacro(pos, args)})
		return
	}
	d := &Directive{Name: name, Args: args, Raw: raw, Pos: pos, Section: true}
	switch {
	case p.isSection(name):
		if len(p.stack) < maxNesting {
			p.add(d)
		}
	case isOwn(name) || (p.opt.Known != nil && p.opt.Known(name)):
		p.fail(CodeNotSection, pos, name, "this directive is not a section", strings.TrimRight("write: "+name+" "+raw, " "))
	default:
		p.fail(CodeUnknownSection, pos, name, "unknown section", p.didYouMean(name))
	}
	p.push(frame{name: name, pos: pos, dir: d})
}

// cutEndTag takes "</name>" off the end of a start tag's line: an empty section
// may be written on one line.
func cutEndTag(name, rest string) (inner string, whole bool) {
	end := "</" + name + ">"
	if n := len(rest) - len(end); n > 0 && strings.EqualFold(rest[n:], end) {
		return trimBlank(rest[:n]), true
	}
	return rest, false
}

// tagEnd finds the '>' that ends a start tag: the last one, unless that is part
// of a quoted word or of an operator (<IfVersion >= 2.4). -1: none.
func tagEnd(rest string) int {
	end := strings.LastIndexByte(rest, '>')
	if end < 0 || trimBlank(rest[end+1:]) == "" {
		return end
	}
	_, openBefore := splitWords(rest[:end])
	_, openAfter := splitWords(rest)
	if (openBefore && !openAfter) || rest[end+1] == '=' {
		return -1
	}
	return end
}

// endTag reads "</Name>" and leaves the section.
func (p *parser) endTag(pos Pos, text string, base int) {
	name, rest := cutTagName(text[2:])
	rest = trimBlank(rest)
	if name == "" {
		p.fail(CodeTag, pos, "", "the end tag has no name", p.expectedEnd(base))
		return
	}
	if !strings.HasPrefix(rest, ">") {
		if rest == "" {
			p.fail(CodeTag, pos, name, "the end tag has no closing '>'", "</"+name+">")
		} else {
			p.fail(CodeTag, pos, name, "an end tag takes no arguments: "+clip(rest), "</"+name+">")
		}
	} else if after := trimBlank(rest[1:]); after != "" {
		p.fail(CodeTagText, pos, name, "text after the end tag: "+clip(after), "write it on a line of its own")
	}
	match := -1
	for i := len(p.stack) - 1; i >= base; i-- {
		if strings.EqualFold(p.stack[i].name, name) {
			match = i
			break
		}
	}
	if match < 0 {
		if len(p.stack) == base {
			p.fail(CodeUnopened, pos, name, fmt.Sprintf("</%s> ends nothing: no section is open in this file", name), "")
			return
		}
		f := p.top()
		p.fail(CodeUnopened, pos, name, fmt.Sprintf("</%s> does not match <%s> of line %d", name, f.name, f.pos.Line), p.expectedEnd(base))
		if Suggest(name, []string{f.name}) != "" {
			p.pop() // misspelt: it was meant to end this section
		}
		return
	}
	for len(p.stack)-1 > match {
		f := p.top()
		p.fail(CodeUnclosed, f.pos, f.name, fmt.Sprintf("<%s> is not closed before </%s> of line %d", f.name, name, pos.Line), fmt.Sprintf("add </%s>", f.name))
		p.pop()
	}
	p.pop()
}

// expectedEnd names the end tag that would be right.
func (p *parser) expectedEnd(base int) string {
	if len(p.stack) <= base {
		return ""
	}
	return fmt.Sprintf("expected </%s>", p.top().name)
}
