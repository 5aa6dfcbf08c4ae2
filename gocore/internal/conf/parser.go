// This file is the reader itself: lines to directives and sections, nesting,
// unknown names, and the directives that act while reading, except for
// conditions (conditions.go), Include (include.go) and macros (macro.go).

package conf

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
)

// maxNesting bounds sections in sections. Nobody writes such a file; the limit
// keeps code that walks the tree recursively safe.
const maxNesting = 200

// Options says how to read. The zero value accepts any directive and section.
// The functions are called on the goroutine that called Parse.
type Options struct {
	// ServerRoot is the base of relative paths until a ServerRoot directive.
	ServerRoot string
	// Defines are the -D switches. One with an empty value is a switch only:
	// ${NAME} does not see it, as in Apache.
	Defines map[string]string
	// Getenv looks a ${NAME} up that is not defined; nil: os.LookupEnv.
	Getenv func(string) (string, bool)
	// HasModule reports whether a module is built in; id is "x_module" or
	// "mod_x.c", both are asked for. nil: what LoadModule named is present.
	HasModule func(id string) bool
	// IsSection reports whether a name is that of a section, in any case of
	// letters; nil: any name may be one.
	IsSection func(name string) bool
	// Known reports whether a name is that of a directive (or section), in any
	// case of letters; nil: any name is accepted.
	Known func(name string) bool
	// Names returns the known names, for suggestions; may be nil.
	Names func() []string
	// Version is the httpd version that IfVersion compares with; all zero:
	// 2.4.63.
	Version [3]int
	// Htaccess is for a .htaccess file, which users write that the
	// administrator need not trust: Include, Define, Macro and the like are
	// errors, so that no file can be read through it.
	Htaccess bool

	files filesystem // nil: the real one
}

// Parse reads a configuration file and all that it includes. It returns a tree
// in any case, together with every problem found, in reading order; the tree
// is usable if HasErrors says no. A relative file name is taken as the
// operating system does. Parse shares nothing between calls.
//
// Source: the Apache 2.4 configuration file syntax.
func Parse(file string, opt Options) (*Tree, []Diagnostic) {
	p := newParser(opt)
	text, err := p.readFile(file)
	if err != nil {
		p.report(Error, CodeFile, Pos{File: file}, "", "cannot read the configuration file: "+reason(err), "")
	} else {
		p.file(file, text)
	}
	return p.tree(), p.diags
}

// ParseText reads configuration text under a name that stands in for the file
// name. Otherwise it is like Parse.
func ParseText(name, text string, opt Options) (*Tree, []Diagnostic) {
	p := newParser(opt)
	p.file(name, text)
	return p.tree(), p.diags
}

// variable is what Define or -D made. A switch without a value answers IfDefine
// but not ${NAME}.
type variable struct {
	value string
	set   bool
}

// frame is an open section.
type frame struct {
	name  string
	pos   Pos
	dir   *Directive // nil for a section that is resolved while reading
	skip  bool       // the text inside does not count
	macro *macro     // lines are collected for this macro
}

type parser struct {
	opt        Options
	fs         filesystem
	defines    map[string]variable
	serverRoot string
	loaded     map[string]Pos
	macros     map[string]*macro
	stack      []frame
	root       []*Directive
	read       []string // files
	diags      []Diagnostic
	open       []string // the chain of files being read
	fileCount  int
	stopFiles  bool   // a limit was hit: include nothing any more
	via        []*use // the chain of macros being expanded
	expansions int    // uses of macros so far
}

func newParser(opt Options) *parser {
	p := &parser{
		opt:        opt,
		fs:         opt.files,
		serverRoot: opt.ServerRoot,
		defines:    map[string]variable{},
		loaded:     map[string]Pos{},
		macros:     map[string]*macro{},
	}
	if p.fs == nil {
		p.fs = realFiles{}
	}
	if p.opt.Getenv == nil {
		p.opt.Getenv = os.LookupEnv
	}
	if p.opt.Version == [3]int{} {
		p.opt.Version = [3]int{2, 4, 63}
	}
	for name, value := range opt.Defines {
		p.defines[name] = variable{value: value, set: value != ""}
	}
	return p
}

func (p *parser) tree() *Tree {
	t := &Tree{Root: p.root, Files: p.read, Defines: map[string]string{}, ServerRoot: p.serverRoot}
	for name, v := range p.defines {
		t.Defines[name] = v.value
	}
	return t
}

// report adds a diagnostic. Inside a macro the position is that of the macro's
// text, so the message says who used it.
func (p *parser) report(sev Severity, code string, pos Pos, directive, message, suggestion string) {
	if n := len(p.via); n > 0 {
		u := p.via[n-1]
		message += fmt.Sprintf(", in macro %s used at %s", u.macro.name, u.pos)
	}
	p.diags = append(p.diags, Diagnostic{Severity: sev, Code: code, Pos: pos, Directive: directive, Message: message, Suggestion: suggestion})
}

func (p *parser) fail(code string, pos Pos, directive, message, suggestion string) {
	p.report(Error, code, pos, directive, message, suggestion)
}

// file reads the text of one file.
func (p *parser) file(name, text string) {
	if !slices.Contains(p.read, name) {
		p.read = append(p.read, name)
	}
	p.open = append(p.open, name)
	defer func() { p.open = p.open[:len(p.open)-1] }()
	if strings.HasPrefix(text, "\xef\xbb\xbf") {
		text = text[3:]
		p.report(Notice, CodeEncoding, Pos{name, 1}, "", "the byte order mark at the start of the file is skipped", "save the file as UTF-8 without one")
	}
	p.lines(name, splitLines(text))
}

// lines reads logical lines. What they open they must also close.
func (p *parser) lines(file string, lines []logical) {
	base := len(p.stack)
	for _, l := range lines {
		pos := Pos{file, l.num}
		switch {
		case len(l.text) > maxLine:
			p.fail(CodeLineTooLong, pos, "", "the line is longer than 16 MiB", "")
		case strings.IndexByte(l.text, 0) >= 0:
			p.fail(CodeEncoding, pos, "", "the line contains a NUL byte", "configuration files are plain text")
		case l.text[0] == '#':
			if l.swallowed > 0 && !p.skipping() {
				p.report(Warning, CodeComment, pos, "", fmt.Sprintf("the comment ends with a backslash and so takes in line %d", l.swallowed), "remove the backslash")
			}
		default:
			p.line(pos, l, base)
		}
	}
	for len(p.stack) > base {
		f := p.top()
		p.fail(CodeUnclosed, f.pos, f.name, fmt.Sprintf("<%s> is not closed in this file", f.name), fmt.Sprintf("add </%s>", f.name))
		p.pop()
	}
}

// top returns the innermost open section, nil at top level.
func (p *parser) top() *frame {
	if len(p.stack) == 0 {
		return nil
	}
	return &p.stack[len(p.stack)-1]
}

// pop leaves the innermost section.
func (p *parser) pop() {
	f := p.stack[len(p.stack)-1]
	p.stack = p.stack[:len(p.stack)-1]
	if f.macro != nil {
		p.defineMacro(f.macro)
	}
}

func (p *parser) skipping() bool {
	f := p.top()
	return f != nil && f.skip
}

// parent returns the section that new directives go into, nil at top level.
func (p *parser) parent() *Directive {
	for i := len(p.stack) - 1; i >= 0; i-- {
		if d := p.stack[i].dir; d != nil {
			return d
		}
	}
	return nil
}

func (p *parser) add(d *Directive) {
	if parent := p.parent(); parent != nil {
		parent.Children = append(parent.Children, d)
		return
	}
	p.root = append(p.root, d)
}

// line reads one logical line that is neither blank nor a comment. Sections
// below base belong to another file and cannot be closed from here.
func (p *parser) line(pos Pos, l logical, base int) {
	text := l.text
	if f := p.top(); f != nil && f.macro != nil {
		if !f.macro.collect(l) {
			p.endTag(pos, text, base)
		}
		return
	}
	if p.skipping() {
		// Sections must nest in skipped text too, or its end is not
		// known. Nothing else in it matters.
		switch {
		case strings.HasPrefix(text, "</"):
			p.endTag(pos, text, base)
		case text[0] == '<':
			name, _ := cutTagName(text[1:])
			p.push(frame{name: name, pos: pos, skip: true})
		}
		return
	}
	text = trimBlank(p.expand(text, pos))
	switch {
	case text == "":
	case strings.HasPrefix(text, "</"):
		p.endTag(pos, text, base)
	case text[0] == '<':
		p.startTag(pos, text)
	default:
		p.directive(pos, text)
	}
}

// expand replaces ${NAME} in a line.
func (p *parser) expand(text string, pos Pos) string {
	lookup := func(name string) (string, bool) {
		if v, ok := p.defines[name]; ok && v.set {
			return v.value, true
		}
		return p.opt.Getenv(name)
	}
	var warned []string
	return expandVars(text, lookup, func(name string) {
		// A colon is how RewriteMap is called: ${map:key}.
		if name == "" || strings.Contains(name, ":") || slices.Contains(warned, name) {
			return
		}
		warned = append(warned, name)
		suggestion := fmt.Sprintf("add: Define %s value", name)
		if near := Suggest(name, slices.Sorted(maps.Keys(p.defines))); near != "" && p.defines[near].set {
			suggestion = fmt.Sprintf("did you mean ${%s}?", near)
		}
		p.report(Warning, CodeVariable, pos, "", fmt.Sprintf("${%s} is not defined and stays as it is", name), suggestion)
	})
}

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
	raw := trimBlank(rest)
	if end := strings.LastIndexByte(rest, '>'); end < 0 {
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
		p.push(frame{name: name, pos: pos, skip: !cond(p, pos, name, args)})
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

// act carries out the directives that belong to this package, and reports
// whether name is one.
func (p *parser) act(pos Pos, name, raw string, args []string) bool {
	switch strings.ToLower(name) {
	case "define":
		p.define(pos, name, args)
	case "undefine":
		p.undefine(pos, name, args)
	case "error":
		p.errorDirective(pos, name, raw, args)
	case "include", "includeoptional":
		p.include(pos, name, args)
	case "use":
		p.useMacro(pos, name, args)
	case "undefmacro":
		p.undefMacro(pos, name, args)
	default:
		return false
	}
	return true
}

// ownNames spells the names of what this package resolves, for suggestions.
var ownNames = []string{
	"Define", "Error", "IfDefine", "IfDirective", "IfFile", "IfModule", "IfSection", "IfVersion",
	"Include", "IncludeOptional", "Macro", "UnDefine", "UndefMacro", "Use",
}

func isOwn(name string) bool {
	switch strings.ToLower(name) {
	case "define", "undefine", "error", "include", "includeoptional", "use", "undefmacro":
		return true
	}
	return false
}

func isOwnSection(name string) bool {
	switch strings.ToLower(name) {
	case "ifdefine", "ifmodule", "ifversion", "iffile", "ifdirective", "ifsection", "macro":
		return true
	}
	return false
}

// isSection reports whether a section of that name may be written.
func (p *parser) isSection(name string) bool {
	if isOwnSection(name) {
		return true
	}
	if isOwn(name) {
		return false
	}
	if p.opt.IsSection != nil {
		return p.opt.IsSection(name)
	}
	return p.opt.Known == nil || p.opt.Known(name)
}

func (p *parser) didYouMean(name string) string {
	names := ownNames
	if p.opt.Names != nil {
		names = append(slices.Sorted(slices.Values(p.opt.Names())), ownNames...)
	}
	if near := Suggest(name, names); near != "" {
		return fmt.Sprintf("did you mean %q?", near)
	}
	return "misspelt, or of a module that this server does not have"
}

// directive reads "Name args".
func (p *parser) directive(pos Pos, text string) {
	name, raw, open := nextWord(text)
	args, unclosed := splitWords(raw)
	if name == "" || open {
		p.fail(CodeUnknownDirective, pos, "", "a directive cannot be named "+clip(text), "")
		return
	}
	if p.act(pos, name, raw, args) {
		return
	}
	switch {
	case isOwnSection(name), p.opt.IsSection != nil && p.opt.IsSection(name):
		p.fail(CodeIsSection, pos, name, "this is a section and needs a start and an end tag", strings.TrimRight("<"+name+" "+raw, " >")+"> ... </"+name+">")
		return
	case p.opt.Known != nil && !p.opt.Known(name):
		p.fail(CodeUnknownDirective, pos, name, "unknown directive", p.didYouMean(name))
		return
	}
	if unclosed {
		p.unclosedQuote(pos, name, raw)
	}
	switch strings.ToLower(name) {
	case "serverroot":
		if p.parent() == nil && len(args) == 1 && args[0] != "" && !p.opt.Htaccess {
			p.serverRoot = p.resolve(args[0])
		}
	case "loadmodule":
		p.loadModule(pos, name, args)
	}
	p.add(&Directive{Name: name, Args: args, Raw: raw, Pos: pos})
}

// unclosedQuote warns only: Apache takes the rest of the line as the word, and
// old files rely on it (ErrorDocument 404 "text).
func (p *parser) unclosedQuote(pos Pos, name, raw string) {
	p.report(Warning, CodeQuote, pos, name, "a quote is not closed, the argument runs to the end: "+clip(raw), "add the closing quote")
}

// notHere refuses what a .htaccess file must not do, and reports whether it did.
func (p *parser) notHere(pos Pos, name string) bool {
	if p.opt.Htaccess {
		p.fail(CodeNotAllowed, pos, name, "not allowed in a .htaccess file", "move it to the server configuration")
	}
	return p.opt.Htaccess
}

func (p *parser) define(pos Pos, name string, args []string) {
	switch {
	case p.notHere(pos, name):
	case len(args) < 1 || len(args) > 2:
		p.fail(CodeArguments, pos, name, fmt.Sprintf("takes a name and at most one value, has %d arguments", len(args)), "quote a value with blanks: Define NAME \"some value\"")
	case !p.variableName(pos, name, args[0]):
	case len(args) == 2:
		p.defines[args[0]] = variable{args[1], true}
	default:
		// Only a switch; a value from before stays readable, as in Apache.
		if _, ok := p.defines[args[0]]; !ok {
			p.defines[args[0]] = variable{}
		}
	}
}

func (p *parser) undefine(pos Pos, name string, args []string) {
	switch {
	case p.notHere(pos, name):
	case len(args) != 1:
		p.fail(CodeArguments, pos, name, fmt.Sprintf("takes one name, has %d arguments", len(args)), "UnDefine NAME")
	case p.variableName(pos, name, args[0]):
		delete(p.defines, args[0])
	}
}

func (p *parser) variableName(pos Pos, directive, name string) bool {
	switch {
	case name == "":
		p.fail(CodeArguments, pos, directive, "the name is empty", directive+" NAME")
	case strings.ContainsAny(name, ":}"):
		p.fail(CodeArguments, pos, directive, fmt.Sprintf("a variable name must not contain ':' or '}': %s", clip(name)), "use letters, digits and '_'")
	default:
		return true
	}
	return false
}

// errorDirective makes the configuration unusable with the administrator's own
// words. Reading goes on, so that one run shows everything there is to mend.
func (p *parser) errorDirective(pos Pos, name, raw string, args []string) {
	message := raw
	if len(args) == 1 {
		message = args[0]
	}
	if message == "" {
		message = "configuration error"
	}
	p.fail(CodeErrorDirective, pos, name, message, "")
}

// clip quotes a piece of a file for a message.
func clip(s string) string {
	if len(s) > 60 {
		s = strings.ToValidUTF8(s[:60], "") + "..."
	}
	return fmt.Sprintf("%q", s)
}
