// Package headers is mod_headers: Header changes the fields of responses,
// RequestHeader those of requests before the handler sees them.
//
// This file has the settings and how the directives are read, value.go the
// values, apply.go the changes.
package headers

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"modwsgi/gocore/internal/httpd"
)

// Config is the module's settings of one scope. Fields of responses are in two
// tables: "onsuccess" is for responses that a handler makes, "always" also for
// the server's own error pages and redirects. Both are sent.
type config struct {
	request, onsuccess, always []*entry
}

// entry is one line.
type entry struct {
	do    action
	name  string
	value *value        // set, add, append, merge, setifempty, note (the note's name), replacement of edit
	re    *httpd.Regexp // of edit, echo
	early bool
	env   string // condition: a variable is set, or not
	not   bool
	cond  *httpd.Expr
}

type action int

const (
	actSet action = iota
	actSetIfEmpty
	actAdd
	actAppend
	actMerge
	actUnset
	actEcho
	actEdit
	actEditAll
	actNote
)

var actions = map[string]action{"set": actSet, "setifempty": actSetIfEmpty, "add": actAdd, "append": actAppend, "merge": actMerge,
	"unset": actUnset, "echo": actEcho, "edit": actEdit, "edit*": actEditAll, "note": actNote}

// Module is mod_headers.
var Module = &httpd.Module[config]{
	Name: "headers", ID: "headers_module", File: "mod_headers.c",
	Directives: []httpd.Directive[config]{
		{Name: "Header", Args: "[always|onsuccess] add|append|echo|edit|edit*|merge|note|set|setifempty|unset field [value [replacement]] [early|env=[!]variable|expr=expression]",
			Min: 2, Max: 6, In: httpd.Anywhere, Override: httpd.OverrideFileInfo, Set: setHeader, Doc: "Changes a field of responses."},
		{Name: "RequestHeader", Args: "add|append|edit|edit*|merge|set|setifempty|unset field [value [replacement]] [early|env=[!]variable|expr=expression]",
			Min: 2, Max: 5, In: httpd.Anywhere, Override: httpd.OverrideFileInfo, Set: setRequestHeader, Doc: "Changes a field of the request before it is handled."},
	},
	Merge: func(p, k *config) *config {
		return &config{request: append(slices.Clip(p.request), k.request...), onsuccess: append(slices.Clip(p.onsuccess), k.onsuccess...),
			always: append(slices.Clip(p.always), k.always...)}
	},
	PerRequest: func(c *config) bool {
		return slices.ContainsFunc(c.request, (*entry).matters) || slices.ContainsFunc(c.onsuccess, isEarly) || slices.ContainsFunc(c.always, isEarly)
	},
	HasResponse: func(c *config) bool {
		return slices.ContainsFunc(c.onsuccess, isLate) || slices.ContainsFunc(c.always, isLate)
	},
	Steady: func(c *config) httpd.Steadiness {
		if slices.ContainsFunc(c.onsuccess, (*entry).asks) || slices.ContainsFunc(c.always, (*entry).asks) {
			return httpd.Changing
		}
		return httpd.SteadyAlways
	},
	PostRead: early,
	Fixup:    fixup,
	Response: response,
}

func isEarly(e *entry) bool { return e.early }
func isLate(e *entry) bool  { return !e.early }

// asks says that the line looks at the request, or does more than change
// fields.
func (e *entry) asks() bool {
	return e.env != "" || e.cond != nil || e.do == actEcho || e.do == actNote ||
		e.value != nil && (e.value.expr != nil || slices.ContainsFunc(e.value.parts, func(p part) bool { return p.make != nil }))
}

// matters says whether a line for requests changes anything for applications:
// the field Proxy never reaches them.
func (e *entry) matters() bool { return !(e.do == actUnset && strings.EqualFold(e.name, "Proxy")) }

func setHeader(k *httpd.Cmd, c *config) error {
	words, table := k.Args, &c.onsuccess
	switch strings.ToLower(words[0]) {
	case "always":
		words, table = words[1:], &c.always
	case "onsuccess":
		words = words[1:]
	}
	e, err := read(k, words)
	if err != nil {
		return err
	}
	if !ineffective(k, e) {
		*table = append(*table, e)
	}
	return nil
}

func setRequestHeader(k *httpd.Cmd, c *config) error {
	e, err := read(k, k.Args)
	if err != nil {
		return err
	}
	if e.do == actEcho || e.do == actNote {
		return fmt.Errorf("%s is for Header only", k.Args[0])
	}
	if !ineffective(k, e) {
		c.request = append(c.request, e)
	}
	return nil
}

// ineffective warns of lines that change nothing: fields that the server makes
// itself to frame the message, and early lines in places that are not known
// that early.
func ineffective(k *httpd.Cmd, e *entry) bool {
	switch strings.ToLower(e.name) {
	case "content-length", "transfer-encoding", "keep-alive":
		if e.do != actEcho && e.do != actNote {
			k.Warn("HEADERS-FRAMING", "the server itself makes %s from the message; ignored", e.name)
			return true
		}
	}
	if !e.early || k.In&httpd.InServerHost != 0 {
		return false
	}
	k.Warn("HEADERS-EARLY", "early has no effect in a section: the request is not mapped to one yet; ignored")
	return true
}

// read reads action, field, value and condition.
func read(k *httpd.Cmd, words []string) (*entry, error) {
	if len(words) < 2 {
		return nil, errors.New("needs an action and a field")
	}
	e := &entry{name: strings.TrimSuffix(words[1], ":")}
	var ok bool
	if e.do, ok = actions[strings.ToLower(words[0])]; !ok {
		return nil, fmt.Errorf("unknown action %q; known are add, append, echo, edit, edit*, merge, note, set, setifempty and unset", words[0])
	}
	words = words[2:]
	take := func(what string) (string, error) {
		if len(words) == 0 {
			return "", fmt.Errorf("needs %s", what)
		}
		w := words[0]
		words = words[1:]
		return w, nil
	}
	var err error
	var w string
	switch e.do {
	case actUnset:
	case actEcho:
		if e.re, err = httpd.CompileRegexp(e.name, false); err != nil {
			return nil, err
		}
	case actEdit, actEditAll:
		if w, err = take("a regular expression and a replacement"); err == nil {
			if e.re, err = httpd.CompileRegexp(w, false); err == nil {
				w, err = take("a replacement after the regular expression")
			}
		}
	case actNote:
		w, err = take("the name of a note")
	default:
		w, err = take("a value")
	}
	if err != nil {
		return nil, err
	}
	if e.do != actEcho && !token(e.name) {
		return nil, fmt.Errorf("%q is not the name of a field", e.name)
	}
	if e.do != actUnset && e.do != actEcho {
		if e.value, err = newValue(k, w); err != nil {
			return nil, err
		}
	}
	if len(words) > 0 {
		if err := e.condition(k, words[0]); err != nil {
			return nil, err
		}
		if len(words) > 1 {
			return nil, fmt.Errorf("%q is one word too many; a value with blanks needs quotes", words[1])
		}
	}
	return e, nil
}

// condition reads early, env= or expr=.
func (e *entry) condition(k *httpd.Cmd, w string) (err error) {
	kind, arg, _ := strings.Cut(w, "=")
	switch kind = strings.ToLower(kind); {
	case kind == "early" && kind == strings.ToLower(w):
		e.early = true
	case kind == "env":
		e.env, e.not = strings.TrimPrefix(arg, "!"), strings.HasPrefix(arg, "!")
		if e.env == "" {
			return errors.New("env= needs the name of a variable")
		}
	case kind == "expr":
		if e.cond, err = k.Expr(arg); err == nil {
			e.cond = e.cond.Vary()
		}
	default:
		err = fmt.Errorf("%q is not a condition: early, env=variable or expr=expression; a value with blanks needs quotes", w)
	}
	return err
}

// token says whether s can be the name of a field (RFC 9110 section 5.6.2).
func token(s string) bool {
	for i := range len(s) {
		c := s[i]
		if !(c|0x20 >= 'a' && c|0x20 <= 'z' || c >= '0' && c <= '9' || strings.IndexByte("!#$%&'*+-.^_`|~", c) >= 0) {
			return false
		}
	}
	return s != ""
}
