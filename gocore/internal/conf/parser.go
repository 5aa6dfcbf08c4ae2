// This file is the reader itself: lines to directives and sections, nesting,
// unknown names. Tags are in sections.go, the directives that act while reading
// in define.go, conditions.go, include.go and macro.go.

package conf

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"
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
	// AbsentModule says what LoadModule of a module means that HasModule does not
	// have: whether it is an error, what it means, and what to do about it; "" for nothing special. nil: never.
	AbsentModule func(id string) (refuse bool, why, cure string)
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
		where := "file"
		if len(p.via) > 0 {
			where = "macro"
		}
		p.fail(CodeUnclosed, f.pos, f.name, fmt.Sprintf("<%s> is not closed in this %s", f.name, where), fmt.Sprintf("add </%s>", f.name))
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
			name, rest := cutTagName(text[1:])
			if _, whole := cutEndTag(name, rest); !whole {
				p.push(frame{name: name, pos: pos, skip: true})
			}
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
	text, ok := expandVars(text, lookup, func(name string) {
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
	if !ok {
		p.fail(CodeLineTooLong, pos, "", "variables make the line too long", "a Define may double its own value")
	}
	return text
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

// count says how many arguments there are.
func count(args []string) string {
	switch {
	case len(args) == 0:
		return "none"
	case len(args) == 1 && args[0] == "":
		return "an empty one"
	case len(args) == 1:
		return "one"
	}
	return strconv.Itoa(len(args))
}

// clip quotes a piece of a file for a message.
func clip(s string) string {
	if len(s) > 60 {
		s = strings.ToValidUTF8(s[:60], "") + "..."
	}
	return fmt.Sprintf("%q", s)
}
