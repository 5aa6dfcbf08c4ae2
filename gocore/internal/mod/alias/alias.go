// Package alias is mod_alias: it maps URL paths to files outside DocumentRoot
// and redirects.
//
// Redirects are looked at before aliases; within each list what stands in the
// section comes first, then the virtual host's entries, then the main
// server's, in the order of the file; the first match wins.
package alias

import (
	"fmt"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strconv"
	"strings"

	"modwsgi/gocore/internal/conf"
	"modwsgi/gocore/internal/httpd"
)

type config struct {
	redirects []*entry
	aliases   []*entry
	relative  httpd.Opt[bool] // RedirectRelative
	preserve  httpd.Opt[bool] // AliasPreservePath
}

// entry is one Redirect or Alias.
type entry struct {
	prefix  string
	re      *httpd.Regexp // Match form
	target  string
	status  int
	whole   bool              // one-argument form in a section: all that the section matched
	expr    *httpd.StringExpr // of the one-argument form; nil: target is constant
	handler string            // ScriptAlias
	server  bool              // a Redirect outside of sections: counts in the translate phase only
	pos     conf.Pos
}

const (
	sv  = httpd.InServerHost
	svd = httpd.InServerHost | httpd.InLocation | httpd.InDir | httpd.InFiles | httpd.InIf
)

// NoteHandler is the note with the handler that ScriptAlias set: such programs
// run without Options ExecCGI.
const NoteHandler = "alias-forced-type"

// Module is mod_alias.
var Module = &httpd.Module[config]{
	Name: "alias", ID: "alias_module", File: "mod_alias.c",
	Directives: []httpd.Directive[config]{
		{Name: "Alias", Args: "[URL-path] path", Min: 1, Max: 2, In: sv | httpd.InLocation, Set: setAlias(""), Doc: "Maps a URL path to a file or directory outside DocumentRoot."},
		{Name: "AliasMatch", Args: "regex path", Min: 2, Max: 2, In: sv, Set: setAliasMatch(""), Doc: "Maps URL paths that match to files; $1 is the first group."},
		{Name: "AliasPreservePath", Args: "On|Off", Min: 1, Max: 1, In: svd, Default: "Off", Set: func(k *httpd.Cmd, c *config) error {
			v, err := k.Flag(0)
			c.preserve = httpd.Some(v)
			return err
		}, Doc: "Whether a one-argument Alias appends what follows the path of its section; else all of the section is one file or folder."},
		{Name: "ScriptAlias", Args: "[URL-path] path", Min: 1, Max: 2, In: sv | httpd.InLocation, Set: setAlias("cgi-script"), Doc: "As Alias, for CGI programs."},
		{Name: "ScriptAliasMatch", Args: "regex path", Min: 2, Max: 2, In: sv, Set: setAliasMatch("cgi-script"), Doc: "As AliasMatch, for CGI programs."},
		{Name: "Redirect", Args: "[status] [URL-path] URL", Min: 1, Max: 3, In: svd | httpd.InHtaccess, Override: httpd.OverrideFileInfo, Set: setRedirect(0), Doc: "Sends the client to another URL."},
		{Name: "RedirectMatch", Args: "[status] regex URL", Min: 1, Max: 3, In: svd | httpd.InHtaccess, Override: httpd.OverrideFileInfo, Set: setRedirectMatch, Doc: "Sends the client to another URL when the path matches."},
		{Name: "RedirectPermanent", Args: "URL-path URL", Min: 2, Max: 2, In: svd | httpd.InHtaccess, Override: httpd.OverrideFileInfo, Set: setRedirect(301), Doc: "Redirect with status 301."},
		{Name: "RedirectTemp", Args: "URL-path URL", Min: 2, Max: 2, In: svd | httpd.InHtaccess, Override: httpd.OverrideFileInfo, Set: setRedirect(302), Doc: "Redirect with status 302."},
		{Name: "RedirectRelative", Args: "On|Off", Min: 1, Max: 1, In: svd, Default: "Off", Set: func(k *httpd.Cmd, c *config) error {
			v, err := k.Flag(0)
			c.relative = httpd.Some(v)
			return err
		}, Doc: "Whether a path is sent as it is instead of as a full URL."},
	},
	Merge: func(p, k *config) *config {
		return &config{
			redirects: append(slices.Clip(k.redirects), p.redirects...),
			aliases:   append(slices.Clip(k.aliases), p.aliases...),
			relative:  p.relative.Over(k.relative), preserve: p.preserve.Over(k.preserve),
		}
	},
	Check:     check,
	Routes:    routes,
	Translate: translate,
	Fixup:     func(r *httpd.Request, c *config) httpd.Status { return redirect(r, c, false) },
}

// setAlias reads Alias and ScriptAlias.
func setAlias(handler string) func(*httpd.Cmd, *config) error {
	return func(k *httpd.Cmd, c *config) error {
		e := &entry{target: k.Arg(1), handler: handler, pos: k.Pos}
		if len(k.Args) == 1 {
			if k.In != httpd.InLocation {
				return fmt.Errorf("needs a URL path outside of <Location>")
			}
			e.target, e.whole, e.prefix = k.Arg(0), true, k.Path
			if re, err := k.PathRegexp(); err != nil {
				return err
			} else if re != nil {
				e.re, e.prefix = re, ""
			}
		} else {
			if k.In == httpd.InLocation {
				return fmt.Errorf("takes only the path inside of <Location>")
			}
			e.prefix = k.Arg(0)
		}
		if e.target == "" || !e.whole && !strings.HasPrefix(e.prefix, "/") {
			return fmt.Errorf("%q is not a URL path", k.Arg(0))
		}
		if e.whole && strings.Contains(e.target, "%{") {
			var err error
			if e.expr, err = k.StringExpr(e.target); err != nil {
				return err
			}
			literal, _, _ := strings.Cut(e.target, "%{")
			if e.target = literal[:strings.LastIndexByte(literal, '/')+1]; !strings.HasPrefix(e.target, "/") {
				return fmt.Errorf("%q must begin with the path of a folder, which the expression does not leave", k.Arg(0))
			}
			c.aliases = append(c.aliases, e)
			return nil
		}
		e.target = keepSlash(k.File(e.target), e.target)
		// the other way round there are two slashes, which a file system takes for one
		if !e.whole && strings.HasSuffix(e.prefix, "/") && !strings.HasSuffix(e.target, "/") && e.prefix != "/" {
			k.Warn("ALIAS-SLASH", "%q ends with a slash and %q does not: paths will be joined wrongly", e.prefix, e.target)
		}
		c.aliases = append(c.aliases, e)
		return nil
	}
}

// keepSlash keeps the last slash that cleaning a path removes.
func keepSlash(clean, written string) string {
	if strings.HasSuffix(written, "/") && !strings.HasSuffix(clean, "/") {
		return clean + "/"
	}
	return clean
}

func setAliasMatch(handler string) func(*httpd.Cmd, *config) error {
	return func(k *httpd.Cmd, c *config) error {
		re, err := httpd.CompileRegexp(k.Arg(0), false)
		if err != nil {
			return err
		}
		c.aliases = append(c.aliases, &entry{re: re, target: keepSlash(k.File(k.Arg(1)), k.Arg(1)), handler: handler, pos: k.Pos})
		return nil
	}
}

var statusNames = map[string]int{"permanent": 301, "temp": 302, "seeother": 303, "gone": 410}

// redirectArgs splits the arguments of Redirect and RedirectMatch: status
// (0 = none given), pattern ("" = none) and target.
func redirectArgs(k *httpd.Cmd, status int) (int, string, string, error) {
	args := k.Args
	if status == 0 {
		if n, ok := statusNames[strings.ToLower(args[0])]; ok {
			status, args = n, args[1:]
		} else if n, err := strconv.Atoi(args[0]); err == nil {
			if n < 100 || n > 599 || http.StatusText(n) == "" {
				return 0, "", "", fmt.Errorf("%d is not a status of HTTP; words are permanent, temp, seeother and gone", n)
			}
			status, args = n, args[1:]
		}
	}
	if status == 0 {
		status = 302
	}
	is3xx, section := status >= 300 && status <= 399, k.In&sv == 0
	switch {
	case is3xx && len(args) == 2:
		return status, args[0], args[1], nil
	case is3xx && len(args) == 1 && section:
		return status, "", args[0], nil
	case !is3xx && len(args) == 1:
		return status, args[0], "", nil
	case !is3xx && len(args) == 0 && section:
		return status, "", "", nil
	case is3xx:
		return 0, "", "", fmt.Errorf("status %d needs a URL path and a URL", status)
	}
	return 0, "", "", fmt.Errorf("status %d takes no URL", status)
}

func setRedirect(status int) func(*httpd.Cmd, *config) error {
	return func(k *httpd.Cmd, c *config) error {
		status, prefix, target, err := redirectArgs(k, status)
		if err != nil {
			return err
		}
		e := &entry{prefix: prefix, target: target, status: status, server: k.In&sv != 0, pos: k.Pos}
		if prefix == "" {
			e.whole = true
			if strings.Contains(target, "%{") {
				if e.expr, err = k.StringExpr(target); err != nil {
					return err
				}
			}
			if k.In != httpd.InLocation {
				c.redirects = append(c.redirects, e)
				return checkURL(e)
			}
			e.prefix = k.Path
			if re, err := k.PathRegexp(); err != nil {
				return err
			} else if re != nil {
				e.re, e.prefix = re, ""
			}
		} else if !strings.HasPrefix(prefix, "/") {
			return fmt.Errorf("%q is not a URL path; it must begin with a slash", prefix)
		}
		c.redirects = append(c.redirects, e)
		return checkURL(e)
	}
}

// checkURL refuses a target that is neither a path nor a URL.
func checkURL(e *entry) error {
	if e.target != "" && !strings.HasPrefix(e.target, "/") && e.expr == nil {
		if u, err := url.Parse(e.target); err != nil || u.Scheme == "" {
			return fmt.Errorf("%q is not a URL", e.target)
		}
	}
	return nil
}

func setRedirectMatch(k *httpd.Cmd, c *config) error {
	status, pattern, target, err := redirectArgs(k, 0)
	if err != nil {
		return err
	}
	if pattern == "" {
		return fmt.Errorf("needs a regular expression")
	}
	re, err := httpd.CompileRegexp(pattern, false)
	if err != nil {
		return err
	}
	c.redirects = append(c.redirects, &entry{re: re, target: target, status: status, server: k.In&sv != 0, pos: k.Pos})
	return nil
}

// check warns about entries that an earlier one hides.
func check(k *httpd.Checker, c *config) {
	for i, e := range c.aliases {
		for _, before := range c.aliases[:i] {
			if e.re == nil && before.re == nil && !e.whole && !before.whole && httpd.MatchPrefix(e.prefix, before.prefix) > 0 {
				k.Report(conf.Diagnostic{Severity: conf.Warning, Code: httpd.CodeOverlap, Pos: e.pos, Directive: "Alias",
					Message: fmt.Sprintf("%q is never reached: %q (%s) matches first", e.prefix, before.prefix, before.pos)})
				break
			}
		}
	}
}

// routes tells the core which paths translate answers.
func routes(c *config) []httpd.Route {
	var out []httpd.Route
	for _, list := range [2][]*entry{c.redirects, c.aliases} {
		for _, e := range list {
			out = append(out, httpd.RouteOf(e.prefix, e.re))
		}
	}
	return out
}

// translate answers redirects of server and Location level, then aliases.
func translate(r *httpd.Request, c *config) httpd.Status {
	if st := redirect(r, c, true); st != httpd.Declined {
		return st
	}
	for _, e := range c.aliases {
		switch {
		case e.expr != nil:
			file, err := e.expr.Eval(r)
			if err != nil {
				r.Logf(httpd.LevelError, "alias", "the expression %s of an Alias cannot be evaluated: %v", e.expr, err)
				return http.StatusInternalServerError
			}
			if file = path.Clean(file); !strings.HasPrefix(file, e.target) || strings.IndexByte(file, 0) >= 0 {
				r.Logf(httpd.LevelError, "alias", "the expression %s of an Alias leads out of %s: %q", e.expr, e.target, file)
				return http.StatusForbidden
			}
			r.Filename, r.Base, r.ContextPrefix, r.ContextRoot = file, "", "", ""
		case e.re != nil:
			g := e.re.Find(r.URI)
			if g == nil {
				continue
			}
			r.Filename = httpd.Expand(e.target, r.URI, g)
			r.Base, r.ContextPrefix, r.ContextRoot = "", "", "" // a pattern has no folder of its own
		case e.whole:
			n := httpd.MatchPrefix(r.URI, e.prefix)
			if n == 0 {
				continue
			}
			rest := ""
			if c.preserve.V { // else all of the section is this one file or folder
				rest = r.URI[n:]
			}
			r.Filename, r.Base, r.ContextPrefix = join(e.target, rest), e.target, e.prefix
		default:
			n := httpd.MatchPrefix(r.URI, e.prefix)
			if n == 0 {
				continue
			}
			rest := r.URI[n:]
			if e.prefix == "/" && !strings.HasSuffix(e.target, "/") {
				rest = r.URI
			}
			r.Filename, r.Base, r.ContextPrefix = e.target+rest, e.target, e.prefix
		}
		if e.re == nil && e.expr == nil {
			r.ContextRoot = e.target
		}
		r.Aliased = true
		if e.handler != "" {
			r.Handler = e.handler
			r.Note(NoteHandler, e.handler)
		}
		return httpd.OK
	}
	return httpd.Declined
}

func join(dir, rest string) string {
	if rest != "" && !strings.HasPrefix(rest, "/") && !strings.HasSuffix(dir, "/") {
		return dir + "/" + rest
	}
	return dir + rest
}

// redirect answers the redirects that apply; in the fixup phase it sees those
// of Directory sections and .htaccess too. A status without target is the
// request's status.
func redirect(r *httpd.Request, c *config, server bool) httpd.Status {
	for _, e := range c.redirects {
		if e.server && !server {
			continue // the translate phase saw it, or another module took the URL
		}
		target := e.target
		switch {
		case e.expr != nil:
			var err error
			if target, err = e.expr.Eval(r); err != nil {
				r.Logf(httpd.LevelError, "alias", "the expression %s of a Redirect cannot be evaluated: %v", e.expr, err)
				return http.StatusInternalServerError
			}
			if target == "" || strings.ContainsFunc(target, func(c rune) bool { return c < ' ' || c == 0x7f }) {
				r.Logf(httpd.LevelError, "alias", "the expression %s of a Redirect gives no URL: %q", e.expr, target)
				return http.StatusInternalServerError
			}
		case e.whole && e.prefix == "" && e.re == nil: // of a section about files
		case e.re != nil:
			g := e.re.Find(r.URI)
			if g == nil {
				continue
			}
			if !e.whole {
				target = httpd.Expand(target, r.URI, g)
			}
		default:
			n := httpd.MatchPrefix(r.URI, e.prefix)
			if n == 0 {
				continue
			}
			if target != "" && !e.whole {
				target += escapePath(r.URI[n:])
			}
		}
		if target == "" {
			return httpd.Status(e.status)
		}
		if r.Query != "" && !strings.Contains(target, "?") {
			target += "?" + r.Query
		}
		if !c.relative.V {
			target = r.AbsoluteURL(target)
		}
		r.ErrOut = httpd.SetField(r.ErrOut, "Location", target)
		return httpd.Status(e.status)
	}
	return httpd.Declined
}

// escapePath encodes what a URL path cannot carry as it is.
func escapePath(p string) string { return (&url.URL{Path: p}).EscapedPath() }
