// This file carries out Define, UnDefine and Error, and says what a .htaccess
// file may not do.

package conf

import (
	"fmt"
	"strings"
)

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
		p.fail(CodeArguments, pos, name, "takes a name and at most one value, has "+count(args), "quote a value with blanks: Define NAME \"some value\"")
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
		p.fail(CodeArguments, pos, name, "takes one name, has "+count(args), "UnDefine NAME")
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
