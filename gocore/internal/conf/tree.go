// Package conf reads Apache configuration syntax: lines to words, Include,
// Define, ${VAR}, IfDefine, IfModule, IfVersion, IfFile, and sections, into a
// tree of directives that remember file and line. It knows no directive's
// meaning; package httpd gives it the table of names.
//
// This file holds the tree and the diagnostics, the types the other packages
// see. Both are plain data and travel to worker processes with encoding/gob.
package conf

// Pos is where a directive was written. Line counts from 1 and is that of the
// first physical line of the directive.
type Pos struct {
	File string
	Line int
}

// Directive is one configuration line, or a section with its children.
type Directive struct {
	Name     string   // as written, without '<'
	Args     []string // words after quoting and ${VAR} replacement
	Raw      string   // the argument text before splitting into words, after ${VAR} replacement
	Pos      Pos
	Section  bool
	Children []*Directive // in a section
}

// Tree is a whole configuration, with the read-time sections already resolved.
type Tree struct {
	Root       []*Directive
	Files      []string          // every file read, in order
	Defines    map[string]string // what Define and -D left behind
	ServerRoot string            // the last ServerRoot at top level, or the one given
}

// Severity of a diagnostic.
type Severity int

const (
	Notice Severity = iota // accepted, has no effect here
	Warning
	Error // the configuration is not usable
)

// Diagnostic says what is wrong (or ignored), where, and what would be right.
type Diagnostic struct {
	Severity   Severity
	Code       string // stable, e.g. "CONF-UNKNOWN-DIRECTIVE"; documented in docs/
	Pos        Pos
	Directive  string // name, empty if none
	Message    string // what is wrong, lower case, no full stop
	Suggestion string // what would be right; may be empty
}
