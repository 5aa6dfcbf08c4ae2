// This file decides the sections that are resolved while reading: IfDefine,
// IfModule, IfVersion, IfFile, IfDirective and IfSection, and keeps track of
// the modules that were loaded.

package conf

import (
	"cmp"
	"fmt"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
)

// conditions by lower-case name. A condition that is not well formed is
// reported and counts as false.
var conditions = map[string]func(p *parser, pos Pos, name, raw string) bool{
	"ifdefine":    single("NAME", (*parser).defined),
	"ifmodule":    single("module", (*parser).hasModule),
	"iffile":      single("file", (*parser).fileExists),
	"ifdirective": single("directive", (*parser).knowsDirective),
	"ifsection":   single("section", (*parser).isSection),
	"ifversion":   (*parser).ifVersion,
}

// single makes a condition that takes one argument, with '!' for not before it;
// the '!' may stand outside of quotes.
func single(what string, test func(*parser, string) bool) func(*parser, Pos, string, string) bool {
	return func(p *parser, pos Pos, name, raw string) bool {
		raw, not := strings.CutPrefix(raw, "!")
		args, _ := splitWords(raw)
		if len(args) == 1 && !not {
			args[0], not = strings.CutPrefix(args[0], "!")
		}
		form := fmt.Sprintf("<%s %s> or <%s !%s>", name, what, name, what)
		if len(args) != 1 || args[0] == "" {
			p.fail(CodeArguments, pos, name, "takes one argument, has "+count(args), form)
			return false
		}
		return test(p, args[0]) != not
	}
}

func (p *parser) defined(name string) bool {
	_, ok := p.defines[name]
	return ok
}

func (p *parser) fileExists(name string) bool {
	_, err := p.fs.stat(p.resolve(name))
	return err == nil
}

func (p *parser) knowsDirective(name string) bool {
	return isOwn(name) || isOwnSection(name) || p.opt.Known == nil || p.opt.Known(name)
}

// hasModule answers for an identifier and for a file name alike.
func (p *parser) hasModule(id string) bool {
	other := id
	if base, ok := strings.CutSuffix(id, "_module"); ok {
		other = "mod_" + base + ".c"
	} else if base, ok := strings.CutSuffix(id, ".c"); ok {
		other = strings.TrimPrefix(base, "mod_") + "_module"
	}
	if p.opt.HasModule != nil {
		return p.opt.HasModule(id) || p.opt.HasModule(other)
	}
	_, ok := p.loaded[id]
	_, ok2 := p.loaded[other]
	return ok || ok2
}

// loadModule notes which modules the configuration asks for. With a fixed set
// of modules it changes nothing, but one that does not exist deserves a word:
// what IfModule encloses for it is skipped without another.
func (p *parser) loadModule(pos Pos, name string, args []string) {
	if len(args) != 2 {
		return // its argument count is checked like any other directive's
	}
	id := args[0]
	if first, ok := p.loaded[id]; ok {
		p.report(Warning, CodeModuleTwice, pos, name, fmt.Sprintf("module %s is already loaded at %s, skipping", clip(id), first), "")
		return
	}
	p.loaded[id] = pos
	file := filepath.Base(args[1])
	if base, ok := strings.CutSuffix(file, filepath.Ext(file)); ok && base != "" {
		if _, taken := p.loaded[base+".c"]; !taken {
			p.loaded[base+".c"] = pos
		}
	}
	if p.opt.HasModule != nil && !p.hasModule(id) {
		severity, text, cure := Notice, fmt.Sprintf("module %s does not exist in this server and counts as absent", clip(id)), ""
		if p.opt.AbsentModule != nil {
			switch refuse, why, remedy := p.opt.AbsentModule(id); {
			case refuse:
				severity, text, cure = Error, why, remedy
			case why != "":
				text, cure = text+": "+why, remedy
				if cure != "" {
					severity = Warning
				}
			}
		}
		p.report(severity, CodeModule, pos, name, text, cure)
	}
}

const versionForm = "<IfVersion >= 2.4.1>; operators are = == > >= < <= ~, each with an optional '!' before it"

// ifVersion compares the version with a number or a regular expression
// (mod_version).
func (p *parser) ifVersion(pos Pos, name, raw string) bool {
	args, _ := splitWords(raw)
	op, want := "=", ""
	switch len(args) {
	case 1:
		want = args[0]
	case 2:
		op, want = args[0], args[1]
	default:
		p.fail(CodeArguments, pos, name, "takes an operator and a version, has "+count(args), versionForm)
		return false
	}
	op, not := strings.CutPrefix(op, "!")
	if len(args) == 1 {
		op, not = "=", false
		// "<IfVersion >=2.4>" has the operator glued to the number.
		rest := strings.TrimLeft(want, "!=<>~")
		if glued := want[:len(want)-len(rest)]; glued != "" {
			p.fail(CodeVersion, pos, name, "a blank is missing between operator and version: "+clip(want), fmt.Sprintf("<%s %s %s>", name, glued, rest))
			return false
		}
	}
	have := p.opt.Version
	if pattern, ok := strings.CutPrefix(want, "/"); op == "~" || (ok && (op == "=" || op == "==") && strings.HasSuffix(pattern, "/")) {
		if op != "~" {
			want = strings.TrimSuffix(pattern, "/")
		}
		re, err := regexp.Compile(want)
		if err != nil {
			p.fail(CodeVersion, pos, name, "not a regular expression: "+clip(want), versionForm)
			return false
		}
		return re.MatchString(fmt.Sprintf("%d.%d.%d", have[0], have[1], have[2])) != not
	}
	version, ok := parseVersion(want)
	if !ok {
		p.fail(CodeVersion, pos, name, "not a version number: "+clip(want), versionForm)
		return false
	}
	order := 0
	for i := range have {
		if order == 0 {
			order = cmp.Compare(have[i], version[i])
		}
	}
	var result bool
	switch op {
	case "=", "==":
		result = order == 0
	case ">":
		result = order > 0
	case ">=":
		result = order >= 0
	case "<":
		result = order < 0
	case "<=":
		result = order <= 0
	default:
		p.fail(CodeVersion, pos, name, "unknown operator "+clip(op), versionForm)
		return false
	}
	return result != not
}

// parseVersion reads "2", "2.4" or "2.4.63"; missing parts are zero.
func parseVersion(s string) (v [3]int, ok bool) {
	parts := strings.Split(s, ".")
	if len(parts) > len(v) {
		return v, false
	}
	for i, part := range parts {
		n, err := strconv.ParseUint(part, 10, 31)
		if err != nil {
			return v, false
		}
		v[i] = int(n)
	}
	return v, true
}
