// The request phases: from a parsed head to an Outcome, for every request that
// has no precomputed plan. Order and rules: Apache's request processing
// ("Request Processing in the Apache HTTP Server 2.x" and the manual of each
// module):
//
//	post-read, path clean-up, Location walk 1, translate, directory and file
//	walk, Location walk 2, header parse, access, authz (without user), authn,
//	authz, type, fixups, handler
package httpd

import (
	"errors"
	"fmt"
	"net/http"
	"path"
	"strings"

	"modwsgi/gocore/internal/http1"
)

// Handle runs the phases on the calling goroutine. It may do file I/O; what
// takes longer, and Python, only where Resume said that it may: else the
// outcome has Needs. The result is never nil. The host must be the one that
// Select chose for r.
func (v *VirtualHost) Handle(r *Request) (out *Outcome) {
	defer func() {
		switch e := recover().(type) {
		case nil:
		case needs:
			out = &Outcome{Needs: Place(e), Request: r}
		default:
			if out = r.caught(e); out == nil {
				r.leave(false)
				panic(e)
			}
		}
		r.leave(out != nil && out.Needs != OnLeader)
	}()
	r.Host, r.m, r.handling = v, v.base, true
	out = r.run()
	if f := out.Request; f != nil && f.closes() {
		out.CloseConn = true
	}
	return out
}

// caught is the outcome of a request that ended with a panic of the core's own
// making; nil: it is somebody else's, to be passed on.
func (r *Request) caught(e any) *Outcome {
	switch e := e.(type) {
	case abort:
	case errRegexTimeout:
		r.Logf(LevelError, "core", "%v", e)
	default:
		return nil
	}
	return r.builtin(http.StatusInternalServerError)
}

// abort is thrown by Request.Abort and caught by Handle.
type abort struct{}

// Abort ends the phases with a 500, from however deep inside: for failures
// where neither answer would be safe. The caller has logged why.
func (r *Request) Abort() { panic(abort{}) }

// run takes a request, or one made by an internal redirect, to its outcome.
func (r *Request) run() *Outcome {
	if r.RawTarget == "*" && r.Method == "OPTIONS" && r.Prev == nil {
		return &Outcome{Status: 200, Request: r}
	}
	if st := r.clean(); st != OK {
		return r.Fail(int(st))
	}
	if r.Prev == nil && r.stranger() {
		r.Logf(LevelError, "core", "AH10239: the host %q is not a name of the virtual host %s", r.HostName, r.Host.ServerName)
		return r.Fail(http.StatusBadRequest)
	}
	if st := r.all(phPostRead); st != OK { // as in Apache, after an internal redirect too
		return r.Fail(int(st))
	}
	if r.Method == "TRACE" && r.Prev == nil {
		return r.trace()
	}
	if st := r.resolve(); st != OK {
		return r.Fail(int(st))
	}
	r.filterInput()
	out := r.handle()
	if out.Request == nil {
		out.Request = r
	}
	if out.Request == r && !out.page { // else another run has done it, or only ErrOut counts
		out.Header = append(out.Header, r.Out...)
		out.ErrHeader = append(out.ErrHeader, r.ErrOut...)
	}
	r.settle(out)
	return out
}

// clean decodes and normalises the path; see http1.CleanPath for the statuses.
func (r *Request) clean() Status {
	if r.URI != "" {
		return OK // made by an internal redirect
	}
	slashes := http1.EncodedSlashesOff
	switch r.m.core.AllowEncodedSlashes.V {
	case "on":
		slashes = http1.EncodedSlashesOn
	case "nodecode":
		slashes = http1.EncodedSlashesNoDecode
	}
	p, status := http1.CleanPath(nil, []byte(r.RawPath), r.m.core.MergeSlashes.Or(true), slashes)
	if status != 0 {
		return Status(status)
	}
	r.URI = string(p)
	return OK
}

// resolve runs translate to fixups. OK: the handler may run.
func (r *Request) resolve() Status {
	if st := r.translate(); st != OK {
		return st
	}
	return r.judge()
}

// translate maps the URL path to a file.
func (r *Request) translate() Status {
	// Location walk 1 exists for the translate phase only (section 3 of the
	// merge rules): its result is thrown away afterwards.
	r.matchLocations()
	uri := r.URI
	if st := r.cover(r.locs); st != OK {
		return st
	}
	if st := r.first(phTranslate); st > OK {
		return st
	} else if st == Declined {
		r.Base = r.m.core.DocumentRoot.V
		if r.Base == "" {
			r.Base = "/dev/null/none" // nothing is served without a DocumentRoot
		}
		r.Filename = r.Base + r.URI
	}
	if r.URI != uri { // the translate phase passed another URL path on
		r.matchLocations()
	}
	return OK
}

// matchLocations finds the Locations of the URL path.
func (r *Request) matchLocations() {
	if r.onlyLocs {
		return
	}
	r.locs = r.locs[:0]
	merged := CollapseSlashes(r.URI)
	for _, x := range r.Host.sections.locs {
		if x.matchURI(r.URI, merged) {
			r.locs = append(r.locs, x)
			r.exportGroups(x, r.URI)
		}
	}
}

// judge runs what follows once the file is known: the walk, the checks of
// access, and the phases up to fixups.
func (r *Request) judge() Status {
	r.m = r.Host.base
	if url, ok := strings.CutPrefix(r.Filename, ProxyPrefix); ok { // no file
		if st := r.walkProxy(url); st != OK {
			return st
		}
	} else if st := r.first(phMapStorage); st > OK {
		return st
	} else if st == Declined {
		if st := r.walk(); st != OK {
			return st
		}
	} else if st := r.cover(r.locs); st != OK { // no file, but a URL path
		return st
	}
	if r.onlyLocs && r.m.perRequest { // a probe: its outcome would not hold for others
		return http.StatusInternalServerError
	}
	if st := r.all(phHeader); st != OK {
		return st
	}
	if st := r.permit(); st != OK {
		return st
	}
	if st := r.all(phType); st != OK {
		return st
	}
	if h := r.m.core.SetHandler; h.Set {
		r.Handler = h.V // "" was written as None
		if e := r.m.core.SetHandlerExpr; e != nil {
			v, err := e.Eval(r)
			if err != nil {
				r.Logf(LevelError, "core", "AH03154: the expression of SetHandler cannot be evaluated: %v", err)
				return http.StatusInternalServerError
			}
			if r.Handler = v; strings.EqualFold(v, "none") {
				r.Handler = ""
			}
		}
	}
	if t := r.m.core.ForceType; t.Set && t.V != "" {
		r.ContentType = t.V
	}
	return r.all(phFixup)
}

// all runs every module's hook until one gives an HTTP status.
func (r *Request) all(phase int) Status {
	s := r.Host.server
	for i := range s.hooks {
		if f := s.hooks[i].phase[phase]; f != nil {
			if st := f(r, r.m.conf[i]); st > OK {
				return st
			}
		}
	}
	return OK
}

// first runs the hooks until one does not decline.
func (r *Request) first(phase int) Status {
	s := r.Host.server
	for i := range s.hooks {
		if f := s.hooks[i].phase[phase]; f != nil {
			if st := f(r, r.m.conf[i]); st != Declined {
				return st
			}
		}
	}
	return Declined
}

// handle asks the modules for a handler. A handler name that nobody serves is
// an error: the default handler would send a script's source.
func (r *Request) handle() *Outcome {
	s := r.Host.server
	for i := range s.hooks {
		if f := s.hooks[i].handler; f != nil {
			if out := f(r, r.m.conf[i]); out != nil {
				return out
			}
		}
	}
	switch {
	case r.Handler != "" && r.Handler != "default-handler":
		r.Logf(LevelError, "core", "handler %q for %s does not exist", r.Handler, r.Filename)
		return r.Fail(http.StatusInternalServerError)
	case r.Info == nil:
		return r.Fail(http.StatusNotFound)
	case r.Info.IsDir():
		return r.Fail(http.StatusForbidden)
	}
	return r.Fail(http.StatusMethodNotAllowed)
}

// Lookup runs the phases up to fixups for another URL path of this host as a
// sub-request (GET, same headers), as DirectoryIndex does. The sub-request is
// usable if the status is OK.
func (r *Request) Lookup(uri string) (*Request, Status) {
	sub, st := r.sub(uri)
	if st != OK {
		return nil, st
	}
	return sub, sub.answer(sub.resolve)
}

// LookupURI is Lookup with a query of its own. The sub-request is nil when it
// could not be made.
func (r *Request) LookupURI(uri, query string) (*Request, Status) {
	sub, st := r.sub(uri)
	if st != OK {
		return nil, st
	}
	sub.Query = query
	if !strings.HasPrefix(uri, "/") {
		sub.URI = path.Join(path.Dir(r.URI), uri)
	}
	return sub, sub.answer(sub.resolve)
}

// Main is the request that a sub-request was made for, nil for others.
func (r *Request) Main() *Request { return r.main }

// LookupFile is Lookup for a file, or one relative to the directory of
// r.Filename: without a URL path there are no Locations.
func (r *Request) LookupFile(file string) (*Request, Status) {
	sub, st := r.sub("")
	if st != OK {
		return nil, st
	}
	if !strings.HasPrefix(file, "/") {
		file = path.Join(path.Dir(r.Filename), file)
	}
	sub.Filename = file
	return sub, sub.answer(sub.judge)
}

// sub makes a sub-request.
func (r *Request) sub(uri string) (*Request, Status) {
	if r.redirects >= r.Host.base.core.LimitRecursion.Or(10) {
		r.Logf(LevelError, "core", "more than %d sub-requests in each other: is there a loop?", r.redirects)
		return nil, http.StatusInternalServerError
	}
	sub := &Request{Method: "GET", RawTarget: r.RawTarget, RawPath: r.RawPath, Query: r.Query, Proto: r.Proto, HostName: r.HostName,
		Header: r.Header, Local: r.Local, Remote: r.Remote, Peer: r.Peer, ConnNo: r.ConnNo, RequestNo: r.RequestNo, TLS: r.TLS, Secure: r.Secure, Start: r.Start, ContentLength: -1,
		Host: r.Host, URI: uri, SubRequest: true, Prev: r.Prev, main: r, redirects: r.redirects + 1, at: r.share()}
	sub.env = append(sub.env, r.env...)
	sub.m = r.Host.base
	return sub, OK
}

// Adopt makes the result of a sub-request the result of r: file, handler,
// type, settings and variables. The method stays.
func (r *Request) Adopt(sub *Request) {
	r.URI, r.Filename, r.PathInfo, r.Info, r.Base, r.Query = sub.URI, sub.Filename, sub.PathInfo, sub.Info, sub.Base, sub.Query
	r.Handler, r.ContentType, r.Encoding, r.Language, r.Charset = sub.Handler, sub.ContentType, sub.Encoding, sub.Language, sub.Charset
	r.ContextPrefix, r.ContextRoot, r.DocRoot, r.Mount, r.Aliased = sub.ContextPrefix, sub.ContextRoot, sub.DocRoot, sub.Mount, sub.Aliased
	r.Out, r.ErrOut, r.Notes = append(r.Out, sub.Out...), append(r.ErrOut, sub.ErrOut...), sub.Notes
	r.m, r.env, r.locs = sub.m, sub.env, sub.locs
	r.varies = r.varies || sub.varies
	for _, d := range sub.depends {
		r.Depend(d.Path, d.Info)
	}
	if sub.User != "" {
		r.User, r.AuthType = sub.User, sub.AuthType
	}
}

// Redirect handles another URL (path, optionally with a query) in place of r,
// as a new GET without body: an internal redirect. status is not 0 if the
// result is the page of an error: then that status is kept.
func (r *Request) Redirect(url string, status int) *Outcome {
	uri, query, _ := strings.Cut(url, "?")
	n, out := r.follow(uri, query)
	if n == nil {
		return out
	}
	n.Method, n.Status, n.ContentLength = "GET", status, -1
	for _, f := range r.Header {
		// the new request has no body and is not conditional
		switch strings.ToLower(f.Name) {
		case "content-length", "transfer-encoding", "expect", "range", "if-range", "if-match", "if-none-match",
			"if-modified-since", "if-unmodified-since":
		default:
			n.Header = append(n.Header, f)
		}
	}
	if status != 0 {
		n.SetEnv("REDIRECT_STATUS", fmt.Sprint(status))
		n.SetEnv("REDIRECT_REQUEST_METHOD", r.Method)
	}
	out = n.run()
	out.Method, out.Query, out.NoBody = "GET", query, true
	if status != 0 {
		if out.Plan != nil || out.Stream != nil {
			out.StatusOverride = status
		} else if out.Status == 200 {
			out.Status = status
		}
		out.CloseConn = out.CloseConn || dropsConnection(status)
	}
	return out
}

// InternalRedirect handles another URL path and query in place of r with the
// same method, fields and body, as rules of a directory do. The path is
// decoded once more, as in httpd.
func (r *Request) InternalRedirect(uri, query string) *Outcome {
	n, out := r.follow(uri, query)
	if n == nil {
		return out
	}
	n.Method, n.Header, n.ContentLength, n.Chunked, n.input = r.Method, r.Header, r.ContentLength, r.Chunked, r.input
	for _, f := range r.Out {
		if strings.EqualFold(f.Name, "Vary") {
			n.Out = append(n.Out, f)
		}
	}
	return n.run()
}

// follow makes the request that takes the place of r, with the variables that
// say so; nil and the answer if there were too many of them.
func (r *Request) follow(uri, query string) (*Request, *Outcome) {
	if r.redirects >= r.Host.base.core.LimitRecursion.Or(10) {
		r.Logf(LevelError, "core", "more than %d internal redirects: is there a loop?", r.redirects)
		return nil, r.builtin(http.StatusInternalServerError)
	}
	n := &Request{RawTarget: r.RawTarget, RawPath: uri, Query: query, Proto: r.Proto, HostName: r.HostName,
		Local: r.Local, Remote: r.Remote, Peer: r.Peer, ConnNo: r.ConnNo, RequestNo: r.RequestNo, TLS: r.TLS, Secure: r.Secure, Start: r.Start,
		Host: r.Host, Prev: r, redirects: r.redirects + 1, m: r.Host.base, at: r.share(), edited: r.edited}
	for _, e := range r.env {
		n.env = append(n.env, EnvVar{"REDIRECT_" + e.Name, e.Value})
	}
	from := r.URI
	if from == "" { // refused before it was decoded
		from = r.RawPath
	}
	n.SetEnv("REDIRECT_URL", from)
	if r.Query != "" {
		n.SetEnv("REDIRECT_QUERY_STRING", r.Query)
	}
	if r.User != "" {
		n.SetEnv("REDIRECT_REMOTE_USER", r.User)
	}
	n.SetEnv("REDIRECT_STATUS", "200")
	n.ErrOut = append(n.ErrOut, r.ErrOut...)
	return n, nil
}

// trace answers TRACE (RFC 9110 section 9.3.8) as TraceEnable says.
func (r *Request) trace() *Outcome {
	switch mode := r.m.core.TraceEnable.Or("on"); {
	case mode == "off":
		return r.Fail(http.StatusMethodNotAllowed)
	case mode != "extended" && (r.ContentLength > 0 || r.Chunked):
		return r.Fail(http.StatusRequestEntityTooLarge)
	}
	var b strings.Builder
	b.WriteString(r.Method + " " + r.RawTarget + " " + r.Proto + "\r\n")
	for _, f := range r.Header {
		b.WriteString(f.Name + ": " + f.Value + "\r\n")
	}
	b.WriteString("\r\n")
	return &Outcome{Status: 200, Header: []Field{{"Content-Type", "message/http"}}, Body: []byte(b.String()), Request: r}
}

// Allowed is the Allow header for files and for the server itself, in Apache's order.
func (r *Request) Allowed() string {
	if r.m.core.TraceEnable.Or("on") == "off" {
		return "GET,POST,OPTIONS,HEAD"
	}
	return "GET,POST,OPTIONS,HEAD,TRACE"
}

// ErrForbidden is returned by helpers of modules for a refused file.
var ErrForbidden = errors.New("forbidden")
