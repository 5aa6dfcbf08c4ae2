// This file keeps the source of programs from being sent that something ran on
// the Apache host that a configuration comes from, and nothing runs here.

package static

import (
	"path"
	"slices"
	"strings"

	"modwsgi/gocore/internal/conf"
	"modwsgi/gocore/internal/httpd"
)

// runner is a module that ran programs and is not here.
type runner struct {
	module, language string
	extensions       []string
}

// source says why a file may be the source of a program, "" if it is not. With
// "SetHandler default-handler" nothing is.
func source(r *httpd.Request, c *Config) string {
	if r.Handler != "" {
		return ""
	}
	// httpd takes a media type for a handler if there is no other; those of
	// this kind name nothing else.
	if kind := strings.ToLower(r.ContentType); strings.HasPrefix(kind, "application/x-httpd-") {
		return "nobody serves the type " + kind
	}
	for _, x := range c.runners {
		if x.runs(r.Filename) {
			return x.language + " was run by " + x.module + ", which does not exist here"
		}
	}
	return ""
}

// runs reports whether one of a file name's extensions is the language's; a
// number may follow (php8).
func (x runner) runs(file string) bool {
	_, extensions, _ := strings.Cut(path.Base(file), ".")
	for e := range strings.SplitSeq(strings.ToLower(extensions), ".") {
		if e != "" && slices.Contains(x.extensions, strings.TrimRight(e, "0123456789")) {
			return true
		}
	}
	return false
}

// runners finds the LoadModule lines of such modules.
func runners(list []*conf.Directive) (out []runner) {
	for _, d := range list {
		switch {
		case strings.EqualFold(d.Name, "VirtualHost"):
			out = append(out, runners(d.Children)...)
		case strings.EqualFold(d.Name, "LoadModule") && len(d.Args) > 0:
			if kinds := httpd.Runs(d.Args[0]); len(kinds) > 0 {
				out = append(out, runner{d.Args[0], kinds[0], kinds[1:]})
			}
		}
	}
	return out
}
