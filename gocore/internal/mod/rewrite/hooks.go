// This file connects the rules with the request phases: those of server and
// virtual host in translate, those of directories in fixup.

package rewrite

import (
	"net/http"
	"path"
	"strings"
	"time"

	"modwsgi/gocore/internal/httpd"
)

// redirectHandler is the handler of requests that a directory's rules sent to
// another URL. Its file name is "redirect:" and the URL path.
const redirectHandler = "redirect-handler"

func newRun(r *httpd.Request, c *Config, perDir string) *run {
	return &run{r: r, c: c, perDir: perDir, tracing: r.LogLevel("rewrite") >= httpd.LevelTrace1, started: time.Now()}
}

// ended reports whether a rule with END was applied to the request or to one
// that was redirected to it. A sub-request begins anew.
func ended(r *httpd.Request) bool {
	if _, ok := r.Notes[noteEnd]; ok || r.SubRequest {
		return ok
	}
	for p := r.Prev; p != nil; p = p.Prev {
		if _, ok := p.Notes[noteEnd]; ok {
			return true
		}
	}
	return false
}

// translate runs the rules of the server scope.
func translate(r *httpd.Request, c *Config) httpd.Status {
	s := c.server
	if s == nil || len(s.list) == 0 || !c.engine.V || s.host != r.Host.Index() {
		return httpd.Declined
	}
	x := newRun(r, c, "")
	if ended(r) {
		x.trace(8, "Declining, no further rewriting due to END flag")
		return httpd.Declined
	}
	if c.options.V&optAnyURI == 0 && (r.RawTarget == "*" || !strings.HasPrefix(r.URI, "/")) {
		x.trace(8, "Declining, request-URI '%s' is not a URL-path", r.URI)
		return httpd.Declined
	}
	scriptURL(r)
	query := r.Query
	r.Filename = r.URI
	x.trace(2, "init rewrite engine with requested uri %s", r.Filename)
	res := x.applyList(s.list)
	switch {
	case res == unchanged:
		x.trace(1, "pass through %s", r.Filename)
		r.Filename = ""
		return httpd.Declined
	case res == statusSet:
		return httpd.Status(x.status)
	}
	if x.passThrough {
		if st := x.checkQuery(res); st != httpd.OK {
			return st
		}
		if !strings.HasPrefix(r.Filename, "/") {
			return http.StatusBadRequest
		}
		r.URI, r.Filename = r.Filename, ""
		return httpd.Declined
	}
	if st := x.remote(res, query); st != httpd.Declined {
		return st
	}
	r.Filename = expandTilde(r, r.Filename)
	x.trace(2, "local path result: %s", r.Filename)
	if !strings.HasPrefix(r.Filename, "/") {
		return http.StatusBadRequest
	}
	if x.reduced && s.options.V&optLegacyPrefix == 0 || !x.isFile(s.options.V) {
		root := r.Root()
		if root == "" {
			root = "/dev/null/none"
		}
		root = path.Clean(root)
		file := path.Join(root, r.Filename)
		if file != root && !strings.HasPrefix(file, strings.TrimSuffix(root, "/")+"/") {
			r.Logf(httpd.LevelError, "rewrite", "cannot map %s to a file: it leads out of the DocumentRoot", r.Filename)
			return http.StatusForbidden
		}
		r.Base, r.Filename = root, strings.TrimSuffix(root, "/")+r.Filename
		x.trace(2, "prefixed with document_root to %s", r.Filename)
	}
	x.trace(1, "go-ahead with %s [OK]", r.Filename)
	return httpd.OK
}

// scriptURL sets SCRIPT_URL and SCRIPT_URI: the path and URL that the client
// asked for, whatever is made of them.
func scriptURL(r *httpd.Request) {
	u := r.URI
	if v, ok := r.Env("REDIRECT_SCRIPT_URL"); ok && !r.SubRequest {
		u = v
	} else if v, ok := r.Env("SCRIPT_URL"); ok {
		u = v // of the request that this sub-request serves
	}
	r.SetEnv("SCRIPT_URL", u)
	r.SetEnv("SCRIPT_URI", r.AbsoluteURL(u))
}

// isFile decides whether the local path that a rule gave is a file name as it
// is: its first component exists, and either the rule itself names it or the
// path is in the DocumentRoot anyway. Anything else would let a request choose
// among all files of the machine.
func (x *run) isFile(o option) bool {
	first, ok := firstExists(x.r.Filename)
	if !ok {
		return false
	}
	if o&optUnsafePrefix != 0 || x.last == nil || x.last.flags&flagUnsafeStat != 0 || strings.HasPrefix(x.last.output, first) {
		return true
	}
	for _, root := range []string{x.r.Root(), x.r.ContextRoot} {
		if rest, ok := strings.CutPrefix(x.r.Filename, strings.TrimSuffix(root, "/")); ok && root != "" && (rest == "" || rest[0] == '/') {
			return true
		}
	}
	return false
}

// checkQuery refuses a query that nobody encoded.
func (x *run) checkQuery(res result) httpd.Status {
	if n, _ := absolute(x.r.Filename); n > 0 && res != changedNoEscape || !badQuery(x.r.Query) {
		return httpd.OK
	}
	x.r.Logf(httpd.LevelError, "rewrite", "the rewritten query string of %s has control characters or blanks; the flag B encodes back-references", x.r.URI)
	return http.StatusForbidden
}

// remote answers results that are not served here: redirects and requests to
// the proxy. Declined: the result is a local path. query is the one before the
// rules; it is encoded already.
func (x *run) remote(res result, query string) httpd.Status {
	r := x.r
	if st := x.checkQuery(res); st != httpd.OK {
		return st
	}
	if strings.HasPrefix(r.Filename, "proxy:") {
		if res == changedNoEscape {
			r.Note("proxy-nocanon", "1")
		}
		if x.perDir == "" {
			r.Filename += r.PathInfo
		}
		if r.Query != "" && res == changedNoEscape {
			r.Filename += "?" + r.Query
		}
		r.Handler = "proxy-server"
		x.trace(1, "go-ahead with proxy request %s [OK]", r.Filename)
		return httpd.OK
	}
	scheme, _ := absolute(r.Filename)
	if scheme == 0 {
		return httpd.Declined
	}
	to := r.Filename
	if x.perDir != "" && x.c.base.V != "" {
		// the directory's path in a URL of our own stands for RewriteBase
		if slash := strings.IndexByte(to[scheme:], '/'); slash >= 0 {
			host, rest := to[:scheme+slash], to[scheme+slash:]
			x.trace(2, "trying to replace prefix %s with %s", x.perDir, x.c.base.V)
			if rest, ok := substPrefix(rest, x.perDir, x.c.base.V); ok {
				to = host + rest
			}
		}
	}
	if res != changedNoEscape {
		x.trace(1, "escaping %s for redirect", to)
		to = escapeAbsolute(to, scheme)
	}
	if r.Query != "" {
		q := r.Query
		if res != changedNoEscape && q != query {
			q = escapeURI(q)
		}
		to += "?" + q
	}
	status := x.status
	if !isRedirect(status) {
		status = http.StatusFound
	}
	if badField(to) {
		r.Logf(httpd.LevelError, "rewrite", "the URL of a redirect for %s has control characters, which the flag NE left as they are", r.URI)
		return http.StatusInternalServerError
	}
	r.ErrOut = httpd.SetField(r.ErrOut, "Location", to)
	x.trace(1, "redirect to %s [REDIRECT/%d]", to, status)
	return httpd.Status(status)
}

// fixup runs the rules of the directory, then sets what [T=] and [H=] forced.
func fixup(r *httpd.Request, c *Config) httpd.Status {
	if c.engine.V && len(c.list) > 0 && c.dir != "" {
		if st := directory(r, c); st > httpd.OK {
			return st
		}
	}
	if v, ok := r.Notes[noteType]; ok {
		r.ContentType = v
	}
	if v, ok := r.Notes[noteHandler]; ok && !strings.HasPrefix(r.Filename, "redirect:") {
		r.Handler = v
	}
	return httpd.OK
}

// fileName is the request's file as rules of directories see it: a directory
// that was asked for with a slash at the end keeps it.
func fileName(r *httpd.Request) string {
	if r.Info != nil && r.Info.IsDir() && strings.HasSuffix(r.URI, "/") && !strings.HasSuffix(r.Filename, "/") {
		return r.Filename + "/"
	}
	return r.Filename
}

// directory applies the rules of a directory or .htaccess file.
func directory(r *httpd.Request, c *Config) httpd.Status {
	x := newRun(r, c, c.dir)
	before := fileName(r)
	if c.options.V&optNoSlash == 0 && before+"/" == c.dir {
		return httpd.Declined // DirectorySlash redirects to the directory first
	}
	if ended(r) {
		x.trace(8, "Declining, no further rewriting due to END flag")
		return httpd.Declined
	}
	if r.Core().OptionsValue()&(httpd.OptFollowSymLinks|httpd.OptSymLinksIfOwnerMatch) == 0 {
		r.Logf(httpd.LevelError, "rewrite", "Options FollowSymLinks and SymLinksIfOwnerMatch are both off, so RewriteRule is forbidden here too, "+
			"which could lead around restrictions of the directory: %s", r.Filename)
		return http.StatusForbidden
	}
	original, query, info := r.Filename, r.Query, r.PathInfo
	r.Filename = before
	res := x.applyList(c.list)
	switch res {
	case unchanged:
		x.trace(1, "pass through %s", r.Filename)
		r.Filename = original
		return httpd.Declined
	case statusSet:
		r.Filename, r.PathInfo = original, info
		return httpd.Status(x.status)
	}
	if st := x.remote(res, query); st != httpd.Declined {
		return st
	}
	if !strings.HasPrefix(r.Filename, "/") {
		return http.StatusBadRequest
	}
	if r.Filename == before {
		x.trace(1, "initial URL equal rewritten URL: %s [IGNORING REWRITE]", r.Filename)
		r.Filename = original
		return httpd.OK
	}
	r.Filename = "redirect:" + x.toURL(r.Filename)
	r.Handler = redirectHandler
	x.trace(1, "internal redirect with %s [INTERNAL REDIRECT]", strings.TrimPrefix(r.Filename, "redirect:"))
	return httpd.OK
}

// toURL turns a file name that the rules of a directory gave into a URL path:
// by RewriteBase, else by DocumentRoot, else by the alias that led here. What
// is in none of them is a URL path already.
func (x *run) toURL(file string) string {
	r := x.r
	if base := x.c.base.V; base != "" {
		x.trace(2, "trying to replace prefix %s with %s", x.perDir, base)
		if u, ok := substPrefix(file, x.perDir, base); ok {
			return u
		}
	} else if root := strings.TrimSuffix(r.Root(), "/"); root != "" {
		if u, ok := strings.CutPrefix(file, root); ok && strings.HasPrefix(u, "/") {
			x.trace(2, "strip document_root prefix: %s -> %s", file, u)
			return u
		}
	}
	if x.c.options.V&optIgnoreContext == 0 && r.ContextRoot != "" {
		x.trace(2, "trying to replace context docroot %s with context prefix %s", r.ContextRoot, r.ContextPrefix)
		if u, ok := substPrefix(file, r.ContextRoot, r.ContextPrefix); ok {
			return u
		}
	}
	return file
}

// handle performs the internal redirect that fixup decided.
func handle(r *httpd.Request, _ *Config) *httpd.Outcome {
	url, ok := strings.CutPrefix(r.Filename, "redirect:")
	if r.Handler != redirectHandler || !ok {
		return nil
	}
	return r.InternalRedirect(url, r.Query)
}

// cookieTime is the form of the expiry date of a cookie (RFC 6265 section
// 4.1.1).
const cookieTime = "Mon, 02-Jan-2006 15:04:05 GMT"

// setCookie adds the Set-Cookie field of [CO=name:value:domain:minutes:path:
// secure:httponly:samesite]. With ";" first, ";" separates the parts. A cookie
// is set once per request.
func (x *run) setCookie(s string) bool {
	sep := ":"
	if strings.HasPrefix(s, ";") {
		sep, s = ";", s[1:]
	}
	parts := strings.FieldsFunc(s, func(c rune) bool { return string(c) == sep })
	part := func(i int) string {
		if i < len(parts) {
			return parts[i]
		}
		return ""
	}
	if len(parts) < 3 {
		return true
	}
	r, note := x.r, "rewrite-cookie-"+part(0)
	main := r
	for main.Main() != nil {
		main = main.Main()
	}
	for p := main; p != nil; p = p.Prev {
		if _, ok := p.Notes[note]; ok {
			x.trace(5, "skipping already set cookie '%s'", part(0))
			return true
		}
	}
	main.Note(note, "1")
	cookiePath := part(4)
	if cookiePath == "" {
		cookiePath = "/"
	}
	v := part(0) + "=" + part(1) + "; path=" + cookiePath + "; domain=" + part(2)
	if minutes := atoi(part(3)); minutes != 0 {
		v += "; expires=" + r.Start.Add(time.Duration(minutes)*time.Minute).UTC().Format(cookieTime)
	}
	if is(part(5), "true", "1", "secure") {
		v += "; secure"
	}
	if is(part(6), "true", "1", "HttpOnly") {
		v += "; HttpOnly"
	}
	if same := part(7); same != "" && !is(same, "0", "false") {
		v += "; SameSite=" + same
	}
	if badField(v) {
		r.Logf(httpd.LevelError, "rewrite", "the cookie %q of a rule has control characters: %s", part(0), r.URI)
		x.status = http.StatusInternalServerError
		return false
	}
	r.ErrOut = append(r.ErrOut, httpd.Field{Name: "Set-Cookie", Value: v})
	x.trace(5, "setting cookie '%s'", v)
	return true
}

func is(s string, words ...string) bool {
	for _, w := range words {
		if strings.EqualFold(s, w) {
			return true
		}
	}
	return false
}
