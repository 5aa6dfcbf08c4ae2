// This file keeps the source of programs from being sent that something ran on
// the Apache host that a configuration comes from, and nothing runs here.

package static

import (
	"path"
	"strings"

	"modwsgi/gocore/internal/conf"
	"modwsgi/gocore/internal/httpd"
)

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
	if c.php != "" && isPHP(r.Filename) {
		return "PHP was run by " + c.php + ", which does not exist here"
	}
	return ""
}

// isPHP reports whether one of a file name's extensions is PHP's.
func isPHP(file string) bool {
	_, extensions, _ := strings.Cut(path.Base(file), ".")
	for x := range strings.SplitSeq(strings.ToLower(extensions), ".") {
		if x == "phtml" || x == "phar" {
			return true
		}
		if rest, ok := strings.CutPrefix(x, "php"); ok && strings.Trim(rest, "0123456789s") == "" { // php, php8, phps
			return true
		}
	}
	return false
}

// runsPHP finds the LoadModule line of a module that runs PHP.
func runsPHP(list []*conf.Directive) string {
	for _, d := range list {
		if strings.EqualFold(d.Name, "LoadModule") && len(d.Args) > 0 && httpd.RunsPHP(d.Args[0]) {
			return d.Args[0]
		}
		if strings.EqualFold(d.Name, "VirtualHost") {
			if id := runsPHP(d.Children); id != "" {
				return id
			}
		}
	}
	return ""
}
