// This file applies rules: one rule, and a list of them.

package rewrite

import (
	"net/http"
	"strings"
	"time"

	"modwsgi/gocore/internal/httpd"
)

// maxTime bounds the rules of one request, for lists that [N] runs again and
// again. A request that takes longer gets 500.
const maxTime = 2 * time.Second

// longRounds is how many rounds of [N] other connections may wait for.
const longRounds = 100

// run is the state of a list of rules that is applied to a request. The
// request's Filename and Query are what the rules have made so far.
type run struct {
	r         *httpd.Request
	c         *Config
	perDir    string // the directory of the rules; "" in a server scope
	uri       string // what the current rule's pattern is matched with
	ruleMatch match
	condMatch match
	vary      []string // header fields that the conditions of the current rule looked at
	varyNow   []string // the same of the current condition
	tracing   bool
	started   time.Time

	last        *rule // last one that substituted
	status      int   // of a redirect, or with statusSet the answer
	passThrough bool
	reduced     bool // a URL of our own was made a path
}

// result of a list of rules.
type result uint8

const (
	unchanged result = iota
	changed
	changedNoEscape // by a rule with NE
	statusSet
)

// trace writes to the error log at level trace1 ... trace8.
func (x *run) trace(level int, format string, a ...any) {
	if !x.tracing {
		return
	}
	if x.perDir != "" {
		format, a = "[perdir %s] "+format, append([]any{x.perDir}, a...)
	}
	x.r.Logf(httpd.LevelTrace1-1+level, "rewrite", format, a...)
}

// matched is the outcome of one rule.
type matched uint8

const (
	noMatch matched = iota
	noSub           // the rule applies but substitutes nothing
	didSub
	refused // x.status is the answer
)

// apply applies one rule.
func (x *run) apply(p *rule) matched {
	r := x.r
	x.uri = r.Filename
	proxied := x.perDir != "" && strings.HasPrefix(r.Filename, "proxy:")
	if x.perDir != "" {
		if r.PathInfo != "" {
			x.trace(3, "add path info postfix: %s -> %s%s", x.uri, x.uri, r.PathInfo)
			x.uri += r.PathInfo
		}
		if rest, ok := strings.CutPrefix(x.uri, x.perDir); ok && !proxied {
			x.trace(3, "strip per-dir prefix: %s -> %s", x.uri, rest)
			x.uri = rest
		}
	}
	x.trace(3, "applying pattern '%s' to uri '%s'", p.pattern, x.uri)
	groups := p.re.Find(x.uri)
	if (groups != nil) == (p.flags&flagNot != 0) {
		return noMatch
	}
	x.ruleMatch, x.condMatch = match{x.uri, groups}, match{}
	if !x.conditions(p.conds) {
		return noMatch
	}
	to := ""
	if p.flags&flagNoSub == 0 {
		var mark qmark
		to, mark = x.expandTracked(p.subst, p)
		x.trace(2, "rewrite '%s' -> '%s'", x.uri, to)
		if mark == qmarkUnsafe && p.flags&flagAllow3F == 0 {
			r.Logf(httpd.LevelError, "rewrite", "unsafe URL: %%3f in it would begin a query after rewriting; the flag UnsafeAllow3F permits that: %s", r.URI)
			x.status = http.StatusForbidden
			return refused
		}
	}
	for _, t := range p.env {
		x.setEnv(x.expand(t, nil))
	}
	for _, t := range p.cookies {
		if !x.setCookie(x.expand(t, nil)) {
			return refused
		}
	}
	if p.flags&flagNoSub != 0 {
		x.force(p)
		if p.flags&flagStatus != 0 {
			x.trace(2, "forcing responsecode %d for %s", p.status, r.Filename)
			x.status = p.status
		}
		return noSub
	}
	return x.substitute(p, to, proxied)
}

// addVary adds a name to the Vary field.
func addVary(h []httpd.Field, name string) []httpd.Field {
	for i := range h {
		if strings.EqualFold(h[i].Name, "Vary") {
			for have := range strings.SplitSeq(h[i].Value, ",") {
				if strings.EqualFold(strings.TrimSpace(have), name) {
					return h
				}
			}
			h[i].Value += ", " + name
			return h
		}
	}
	return append(h, httpd.Field{Name: "Vary", Value: name})
}

// conditions evaluates the conditions of a rule: OR binds a condition to the
// next one, the groups are joined by AND.
func (x *run) conditions(list []*cond) bool {
	x.vary = nil
	for i := 0; i < len(list); i++ {
		c := list[i]
		x.varyNow = nil
		ok := c.holds(x)
		if c.flags&condNoVary != 0 {
			x.varyNow = nil
		}
		switch {
		case ok:
			for i < len(list)-1 && list[i].flags&condOr != 0 {
				i++ // the others of the OR group need not be asked
			}
		case c.flags&condOr != 0:
			continue // also the last one: httpd lets a rule apply then, setRule warns
		default:
			return false
		}
		x.vary = append(x.vary, x.varyNow...)
	}
	return true
}

// substitute puts the rule's result in the place of the file name and query.
func (x *run) substitute(p *rule, to string, proxied bool) matched {
	r := x.r
	prefixed := false
	if scheme, _ := absolute(to); !proxied && scheme == 0 && !strings.HasPrefix(to, "/") {
		switch {
		case x.perDir != "":
			x.trace(3, "add per-dir prefix: %s -> %s%s", to, x.perDir, to)
			to, prefixed = x.perDir+to, true
		case p.flags&(flagProxy|flagRedirect) == 0:
			// what a client sent must not become a URL of its own
			x.trace(3, "add root prefix: %s -> /%s", to, to)
			to, prefixed = "/"+to, true
		}
	}
	if x.perDir != "" && p.flags&flagDiscardPath != 0 {
		r.PathInfo = ""
	}
	var query string
	r.Filename, query = splitQuery(to, r.Query, p.flags)
	if r.Filename != to || query != r.Query {
		x.trace(3, "split uri=%s -> uri=%s, args=%s", to, r.Filename, query)
	}
	r.Query = query
	if p.flags&(flagProxy|flagRedirect) != 0 {
		if n, _ := absolute(r.Filename); n == 0 {
			r.Filename = r.AbsoluteURL("/" + strings.TrimPrefix(r.Filename, "/"))
		}
		if p.flags&flagProxy != 0 {
			x.trace(2, "forcing proxy-throughput with %s", r.Filename)
			r.Filename = "proxy:" + r.Filename
			if p.htaccess {
				r.Note(httpd.NoteHtaccessProxy, "1")
			}
			return didSub
		}
		x.trace(2, "explicitly forcing redirect with %s", r.Filename)
		x.status = p.status
		return didSub
	}
	if path, ok := reduce(r, r.Filename); ok {
		x.trace(3, "reduce %s -> %s", r.Filename, path)
		r.Filename = path
		x.reduced = true
	}
	if n, _ := absolute(r.Filename); n > 0 {
		x.trace(2, "implicitly forcing redirect (rc=%d) with %s", p.status, r.Filename)
		x.status = p.status
		return didSub
	}
	if p.flags&flagUNC == 0 && !prefixed && !strings.HasPrefix(p.output, "//") {
		for strings.HasPrefix(r.Filename, "//") {
			r.Filename = r.Filename[1:]
		}
	}
	x.force(p)
	return didSub
}

// The notes that carry [T=] and [H=] to the fixup phase, and [END].
const (
	noteType    = "rewrite-forced-mimetype"
	noteHandler = "rewrite-forced-handler"
	noteEnd     = "rewrite-end"
)

// force remembers media type and handler that the rule sets.
func (x *run) force(p *rule) {
	if v := strings.ToLower(x.expand(p.mimeType, p)); v != "" {
		x.trace(2, "remember %s to have MIME-type '%s'", x.r.Filename, v)
		x.r.Note(noteType, v)
	}
	if v := strings.ToLower(x.expand(p.handler, p)); v != "" {
		x.trace(2, "remember %s to have Content-handler '%s'", x.r.Filename, v)
		x.r.Note(noteHandler, v)
	}
}

// setEnv sets or removes ("!NAME") a variable of the request.
func (x *run) setEnv(s string) {
	if name, ok := strings.CutPrefix(s, "!"); ok {
		x.r.UnsetEnv(name)
		x.trace(5, "unsetting env variable '%s'", name)
		return
	}
	name, value, _ := strings.Cut(s, ":")
	x.r.SetEnv(name, value)
	x.trace(5, "setting env variable '%s' to '%s'", name, value)
}

// applyList applies a list of rules to the request.
func (x *run) applyList(list []*rule) result {
	r := x.r
	res := unchanged
	limit := 2 * r.Host.LimitLine
	if limit <= 0 {
		limit = 2 * 8190
	}
	round := 1
	for i := 0; i < len(list); i++ {
		p := list[i]
		if r.SubRequest && p.flags&(flagNoSubreq|flagRedirect) != 0 {
			continue
		}
		m := x.apply(p)
		if m == noMatch {
			for i < len(list)-1 && list[i].flags&flagChain != 0 {
				i++
			}
			continue
		}
		if p.flags&flagNoSub == 0 {
			x.last = p
		}
		if len(r.Filename) > limit {
			return x.fail("RewriteRule '%s' and URI '%s' exceeded maximum length (%d)", p.pattern, r.URI, limit)
		}
		for _, name := range x.vary {
			r.Out = addVary(r.Out, name)
		}
		if m == refused || p.flags&flagStatus != 0 {
			return statusSet
		}
		if m == didSub {
			if res = changed; p.flags&flagNoEscape != 0 {
				res = changedNoEscape
			}
		}
		switch {
		case p.flags&flagPassThrough != 0:
			x.trace(2, "forcing '%s' to get passed through to next API URI-to-filename handler", r.Filename)
			x.passThrough = true
			return changed
		case p.flags&flagEnd != 0:
			x.trace(8, "Rule has END flag, no further rewriting for this request")
			r.Note(noteEnd, "1")
			return res
		case p.flags&(flagProxy|flagLast) != 0:
			return res
		case p.flags&flagNext != 0:
			if round++; round >= p.rounds {
				return x.fail("RewriteRule '%s' and URI '%s' exceeded maximum number of rounds (%d) via the [N] flag", p.pattern, r.URI, p.rounds)
			}
			if round == longRounds {
				r.Need(httpd.OnWorker)
			}
			if time.Since(x.started) > maxTime {
				return x.fail("RewriteRule '%s' and URI '%s': the rules took longer than %v, in round %d of the [N] flag", p.pattern, r.URI, maxTime, round)
			}
			i = -1
		default:
			i += p.skip
		}
	}
	return res
}

func (x *run) fail(format string, a ...any) result {
	x.r.Logf(httpd.LevelError, "rewrite", format, a...)
	x.status = http.StatusInternalServerError
	return statusSet
}
