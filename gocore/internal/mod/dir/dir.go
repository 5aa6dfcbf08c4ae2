// Package dir is mod_dir: the slash after a directory's name, its index file,
// and the resource that stands in for files that do not exist.
//
// The whole module is in this file. It works in the fixup phase, after the
// modules that may redirect the request.
package dir

import (
	"fmt"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strconv"
	"strings"

	"modwsgi/gocore/internal/httpd"
)

// Config is the module's settings of one scope.
type Config struct {
	slash, checkHandler httpd.Opt[bool]
	index               []string // names in order; nil: not given
	noIndex             bool     // DirectoryIndex disabled
	redirect            httpd.Opt[int]
	fallback            httpd.Opt[string] // "" = disabled
}

// Module is mod_dir.
var Module = &httpd.Module[Config]{
	Name: "dir", ID: "dir_module", File: "mod_dir.c",
	Directives: []httpd.Directive[Config]{
		{Name: "DirectoryIndex", Args: "url ...|disabled", Min: 1, Max: -1, In: httpd.Anywhere, Override: httpd.OverrideIndexes, Default: "index.html", Set: setIndex,
			Doc: "Lists what to serve for a directory, first what exists."},
		{Name: "DirectorySlash", Args: "On|Off", Min: 1, Max: 1, In: httpd.Anywhere, Override: httpd.OverrideIndexes, Default: "On",
			Set: flag(func(c *Config) *httpd.Opt[bool] { return &c.slash }), Doc: "Redirects a directory's URL without a slash at the end to the one with it."},
		{Name: "DirectoryCheckHandler", Args: "On|Off", Min: 1, Max: 1, In: httpd.Anywhere, Override: httpd.OverrideIndexes, Default: "Off",
			Set: flag(func(c *Config) *httpd.Opt[bool] { return &c.checkHandler }), Doc: "Leaves directories alone that another handler is set for."},
		{Name: "DirectoryIndexRedirect", Args: "On|Off|permanent|temp|seeother|3xx", Min: 1, Max: 1, In: httpd.Anywhere, Override: httpd.OverrideIndexes, Default: "Off",
			Set: setRedirect, Doc: "Redirects to the index file instead of serving it in place."},
		{Name: "FallbackResource", Args: "disabled|url", Min: 1, Max: 1, In: httpd.Anywhere, Override: httpd.OverrideIndexes, Default: "disabled", Set: setFallback,
			Doc: "Names what serves URLs that lead to no file and have no handler."},
	},
	Merge: merge,
	Fixup: fixup,
}

func merge(parent, child *Config) *Config {
	c := &Config{slash: parent.slash.Over(child.slash), checkHandler: parent.checkHandler.Over(child.checkHandler),
		index: parent.index, noIndex: parent.noIndex, redirect: parent.redirect.Over(child.redirect), fallback: parent.fallback.Over(child.fallback)}
	if child.index != nil || child.noIndex {
		c.index, c.noIndex = child.index, child.noIndex
	}
	return c
}

// setIndex: several lines of one scope add up; "disabled" alone empties the
// list.
func setIndex(k *httpd.Cmd, c *Config) error {
	for _, name := range k.Args {
		if strings.EqualFold(name, "disabled") && len(k.Args) == 1 {
			c.index, c.noIndex = nil, true
			return nil
		}
		if name == "" {
			return fmt.Errorf("a name is empty")
		}
		if !slices.Contains(c.index, name) {
			c.index = append(c.index, name)
		}
	}
	c.noIndex = false
	return nil
}

func flag(field func(*Config) *httpd.Opt[bool]) func(*httpd.Cmd, *Config) error {
	return func(k *httpd.Cmd, c *Config) error {
		on, err := k.Flag(0)
		*field(c) = httpd.Some(on)
		return err
	}
}

func setRedirect(k *httpd.Cmd, c *Config) error {
	status := map[string]int{"off": 0, "on": http.StatusFound, "temp": http.StatusFound, "permanent": http.StatusMovedPermanently, "seeother": http.StatusSeeOther}
	n, ok := status[strings.ToLower(k.Arg(0))]
	if !ok {
		var err error
		if n, err = strconv.Atoi(k.Arg(0)); err != nil || n < 300 || n > 399 || n == http.StatusNotModified {
			return fmt.Errorf("%q is not On, Off, permanent, temp, seeother or a redirect status", k.Arg(0))
		}
	}
	c.redirect = httpd.Some(n)
	return nil
}

func setFallback(k *httpd.Cmd, c *Config) error {
	target := k.Arg(0)
	if strings.EqualFold(target, "disabled") {
		target = ""
	} else if k.In == httpd.InServer || k.In == httpd.InHost {
		if target == "" || target[0] != '/' {
			return fmt.Errorf("%q must be a path that begins with a slash", target)
		}
	}
	c.fallback = httpd.Some(target)
	return nil
}

var defaultIndex = []string{"index.html"}

func fixup(r *httpd.Request, c *Config) httpd.Status {
	switch {
	case r.Info != nil && r.Info.IsDir():
		return c.directory(r)
	case r.Info == nil && r.Handler == "" && r.Mount == nil:
		return c.missing(r)
	}
	return httpd.Declined
}

// rewritten is the handler of a request that a rule of mod_rewrite sends to
// another URL.
const rewritten = "redirect-handler"

// taken says that the directory is left to another handler.
func (c *Config) taken(r *httpd.Request) bool { return c.checkHandler.Or(false) && r.Handler != "" }

// directory redirects to the URL with a slash, or puts the index file in the
// directory's place.
func (c *Config) directory(r *httpd.Request) httpd.Status {
	if r.PathInfo != "" && r.PathInfo != "/" {
		return httpd.Declined
	}
	if !strings.HasSuffix(r.URI, "/") {
		if !c.slash.Or(true) {
			return httpd.Declined
		}
		if _, careful := r.Env("redirect-carefully"); careful && r.Method != "GET" && r.Method != "HEAD" {
			return httpd.Declined
		}
		return redirect(r, http.StatusMovedPermanently, r.URI+"/", r.Query)
	}
	if c.taken(r) || c.noIndex || r.Mount != nil || r.Handler == rewritten {
		return httpd.Declined
	}
	names := c.index
	if names == nil {
		names = defaultIndex
	}
	failed := httpd.Declined
	r.Depend(r.Filename, r.Info) // a name that comes or goes changes the directory
	for _, name := range names {
		uri := name
		if name[0] != '/' {
			uri = r.URI + name
		}
		if strings.Contains(name, "/") {
			r.Varies() // in another directory
			uri = clean(uri)
		}
		sub, st := r.Lookup(uri)
		switch {
		case st == httpd.OK && usable(sub):
			if status := c.redirect.Or(0); status != 0 {
				return redirect(r, status, sub.URI, "")
			}
			r.Adopt(sub)
			return httpd.OK
		case st >= 300 && st < 400: // the index itself is elsewhere
			r.ErrOut = append(r.ErrOut, sub.ErrOut...)
			return st
		case st > httpd.OK && st != http.StatusNotFound:
			failed = st
			if st == http.StatusUnauthorized { // how to authenticate for the index
				r.ErrOut = append(r.ErrOut, sub.ErrOut...)
				return st
			}
		}
	}
	if failed == httpd.Declined { // a fallback is for directories without index too
		return c.missing(r)
	}
	return failed
}

// clean removes dot segments; a slash at the end stays.
func clean(uri string) string {
	p := path.Clean(uri)
	if strings.HasSuffix(uri, "/") && p != "/" {
		p += "/"
	}
	return p
}

// missing puts the fallback in the place of a file that does not exist, or of a
// directory without index.
func (c *Config) missing(r *httpd.Request) httpd.Status {
	target := c.fallback.V
	if target == "" || r.SubRequest {
		return httpd.Declined
	}
	if target[0] != '/' {
		target = r.URI[:strings.LastIndexByte(r.URI, '/')+1] + target
	}
	if target == r.URI {
		return httpd.Declined
	}
	if sub, st := r.Lookup(clean(target)); st == httpd.OK && usable(sub) {
		r.Depend(r.Filename, r.Info)
		r.Adopt(sub)
		return httpd.OK
	}
	return httpd.Declined
}

// usable says that something would serve the sub-request: a file, or a handler
// that needs none.
func usable(sub *httpd.Request) bool {
	if sub.Mount != nil || sub.Handler != "" && sub.Handler != rewritten && sub.Info == nil && sub.Handler != "default-handler" {
		return sub.Info == nil || !sub.Info.IsDir() || sub.Mount != nil
	}
	return sub.Info != nil && sub.Info.Mode().IsRegular()
}

// redirect sends the client to a path of this host.
func redirect(r *httpd.Request, status int, uri, query string) httpd.Status {
	to := (&url.URL{Path: uri}).EscapedPath()
	if query != "" {
		to += "?" + query
	}
	r.ErrOut = httpd.SetField(r.ErrOut, "Location", r.AbsoluteURL(to))
	return httpd.Status(status)
}
