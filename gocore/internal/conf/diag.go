// This file holds what diagnostics look like in text, the stable codes of this
// package, and the search for the name that was probably meant.

package conf

import (
	"strconv"
	"strings"
)

// Codes of the diagnostics that reading can produce. They are stable: scripts
// may test for them.
const (
	CodeFile             = "CONF-FILE"              // a file is missing, unreadable, not a text file
	CodeLineTooLong      = "CONF-LINE-TOO-LONG"     // a joined line above 16 MiB
	CodeEncoding         = "CONF-ENCODING"          // a byte order mark or a NUL byte
	CodeComment          = "CONF-COMMENT-CONTINUED" // a comment swallows the next line
	CodeQuote            = "CONF-UNCLOSED-QUOTE"    // a quote without its partner
	CodeVariable         = "CONF-UNDEFINED-VARIABLE"
	CodeUnknownDirective = "CONF-UNKNOWN-DIRECTIVE"
	CodeUnknownSection   = "CONF-UNKNOWN-SECTION"
	CodeNotSection       = "CONF-NOT-A-SECTION" // a directive written as <Directive>
	CodeIsSection        = "CONF-IS-A-SECTION"  // a section written as a directive
	CodeTag              = "CONF-BAD-TAG"       // a start or end tag that is not well formed
	CodeTagText          = "CONF-TEXT-AFTER-TAG"
	CodeUnclosed         = "CONF-UNCLOSED-SECTION"
	CodeUnopened         = "CONF-UNEXPECTED-END" // an end tag with nothing to end
	CodeNesting          = "CONF-NESTING"        // sections in sections, too deep
	CodeArguments        = "CONF-ARGUMENTS"
	CodeVersion          = "CONF-VERSION" // a bad version or operator in IfVersion
	CodeInclude          = "CONF-INCLUDE" // nothing to include
	CodeIncludeLimit     = "CONF-INCLUDE-LIMIT"
	CodeNotAllowed       = "CONF-NOT-ALLOWED-HERE"
	CodeErrorDirective   = "CONF-ERROR-DIRECTIVE" // the text of an Error directive
	CodeModule           = "CONF-MODULE-ABSENT"   // LoadModule of a module that does not exist here
	CodeModuleTwice      = "CONF-MODULE-TWICE"
	CodeMacro            = "CONF-MACRO"
)

// String returns "notice", "warning" or "error".
func (s Severity) String() string {
	switch s {
	case Notice:
		return "notice"
	case Warning:
		return "warning"
	default:
		return "error"
	}
}

// String returns "file:line", or the file alone when the line is 0: that is
// how a problem of a whole file is reported.
func (p Pos) String() string {
	if p.Line <= 0 {
		return p.File
	}
	return p.File + ":" + strconv.Itoa(p.Line)
}

// String returns one line of text: "file:line: error: Directive: message
// (suggestion) [CODE]". Parts that are empty are left out, with the
// punctuation that belongs to them. Safe from any goroutine.
func (d Diagnostic) String() string {
	var b strings.Builder
	if pos := d.Pos.String(); pos != "" {
		b.WriteString(pos)
		b.WriteString(": ")
	}
	b.WriteString(d.Severity.String())
	b.WriteString(": ")
	b.WriteString(d.text())
	if d.Code != "" {
		b.WriteString(" [" + d.Code + "]")
	}
	return b.String()
}

// ErrorForm returns the two lines that Apache prints for a problem in a
// configuration: "AH00526: Syntax error on line N of FILE:" and the message
// below it. Tools that watch an Apache start look for the first.
func (d Diagnostic) ErrorForm() string {
	if d.Pos.Line <= 0 {
		if d.Pos.File == "" {
			return d.text()
		}
		return d.Pos.File + ": " + d.text()
	}
	return "AH00526: Syntax error on line " + strconv.Itoa(d.Pos.Line) + " of " + d.Pos.File + ":\n" + d.text()
}

func (d Diagnostic) text() string {
	s := d.Message
	if d.Directive != "" {
		s = d.Directive + ": " + s
	}
	if d.Suggestion != "" {
		s += " (" + d.Suggestion + ")"
	}
	return s
}

// HasErrors reports whether any diagnostic has severity Error, so that the
// configuration is not usable.
func HasErrors(list []Diagnostic) bool {
	for _, d := range list {
		if d.Severity == Error {
			return true
		}
	}
	return false
}

// Suggest returns the element of names that is nearest to name, or "" if none
// is close enough to be a slip of the keyboard: one edit in a name of up to
// four letters, two up to nine, three above. Case is ignored. Of equally near
// ones the first in names wins, so the result does not depend on anything but
// the arguments. Safe from any goroutine.
func Suggest(name string, names []string) string {
	limit := 3
	switch {
	case len(name) <= 4:
		limit = 1
	case len(name) <= 9:
		limit = 2
	case len(name) > 200: // no name is that long; spare the quadratic work
		return ""
	}
	want := strings.ToLower(name)
	best := ""
	for _, candidate := range names {
		have := strings.ToLower(candidate)
		if d := len(have) - len(want); d > limit || -d > limit || have == "" {
			continue
		}
		if d := editDistance(want, have); d <= limit {
			best, limit = candidate, d-1
		}
	}
	return best
}

// editDistance is the Damerau-Levenshtein distance in its usual restricted
// form (optimal string alignment): insert, delete, replace, and swap of two
// neighbours cost one each, and no part is edited twice. Three rows are enough.
func editDistance(a, b string) int {
	before, last, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(last[j]+1, row[j-1]+1, last[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last, row = last, row, before
	}
	return last[len(b)]
}
