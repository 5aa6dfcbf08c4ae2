// Calls of WSGI applications: what the phases decided becomes a call, the
// response passes the hooks and filters where there are any, and a failed call
// becomes an error document, which may be an application as well.
package worker

import (
	"errors"
	"io"
	"runtime/debug"
	"strings"
	"unsafe"

	"modwsgi/gocore/internal/httpd"
	"modwsgi/gocore/internal/listen"
	"modwsgi/gocore/internal/mod/wsgi"
	"modwsgi/gocore/internal/python"
)

var errGone = errors.New("client closed the connection")

// chunkEnd is the state of the chunked decoder in python/input.c after the body.
const chunkEnd = 4

// mapHEAD reports whether the application sees GET for HEAD. Auto: where
// something may change the response on its way out, as the fields and length
// that it works on are those of GET.
func mapHEAD(p *httpd.Plan) bool {
	return p.MapHEAD == httpd.MapHEADOn || p.MapHEAD == httpd.MapHEADAuto && p.Hooked()
}

// prepare makes the outcome of the phases a call on this connection; false: it
// cannot be, and the error log says why.
func (d *dispatcher) prepare(c *listen.Conn, q *listen.Req, host *httpd.VirtualHost, r *httpd.Request, out *httpd.Outcome) bool {
	p := out.Plan
	pool := d.pool(p)
	var rt *route
	if pool == nil {
		if rt = d.slowRoute(p); rt == nil {
			return false
		}
		q.Route = rt.id
	}
	var x []byte
	set := func(k, v string) { x = python.AppendSet(x, k, v) }
	for _, e := range p.Environ {
		set(e.Name, e.Value)
	}
	for _, e := range out.Env {
		set(e.Name, e.Value)
	}
	set("SCRIPT_NAME", out.ScriptName)
	set("PATH_INFO", out.PathInfo)
	set("mod_wsgi.script_name", out.ScriptName)
	set("mod_wsgi.path_info", out.PathInfo)
	if out.Method != "" { // an internal redirect is a new request
		set("REQUEST_METHOD", out.Method)
		set("QUERY_STRING", out.Query)
	} else if n := out.Request; n != nil && n.Query != string(q.Bytes(q.Head.Query)) { // rewritten
		set("QUERY_STRING", n.Query)
	}
	if out.NoBody { // and the body does not belong to it
		for _, k := range [...]string{"CONTENT_LENGTH", "CONTENT_TYPE", "HTTP_TRANSFER_ENCODING", "HTTP_EXPECT"} {
			x = python.AppendDelete(x, k)
		}
	}
	scheme := out.URLScheme
	if scheme == "" {
		scheme = p.URLScheme // SetEnv HTTPS on
	}
	switch {
	case scheme == "https":
		set("HTTPS", "on")
	case p.Host.TLS:
		set("HTTPS", "off")
	}
	x = editedEnviron(x, c, q, out.Request, p)
	if len(p.TrustedHeaders) > 0 {
		wsgi.TrustedProxy(r, p.TrustedHeaders, p.TrustedProxies, set, func(k string) { x = python.AppendDelete(x, k) })
	}
	d.mem.SetExtra(q, x)
	q.BodyLimit, q.StatusOverride = p.BodyLimit, uint32(out.StatusOverride)
	if out.CloseConn {
		q.KeepAlive = 0
	}
	if host.LogsResponse {
		q.KeepHead = 1
	}
	t := &target{host: host, route: rt, plan: p, req: r, out: out,
		hooked: p.Hooked() || p.ErrorOverride || out.StatusOverride != 0 || out.Request != nil && out.Request.InputFilter() != nil || len(out.Header)+len(out.ErrHeader) > 0}
	if pool != nil {
		t.pool = pool
		d.slowPlan(t)
	}
	c.Tag = t
	return true
}

// Run implements listen.Handler.
func (d *dispatcher) Run(c *listen.Conn, q *listen.Req) bool {
	t := c.Tag.(*target)
	if d.board != nil {
		d.board.begin(c, q, t)
		defer d.board.end(q)
	}
	if t.plan.ScriptReloading && d.outdated(q, t.route) {
		d.w.recycle("script_reload")
		return false
	}
	if d.ioMs != 0 {
		q.IOTimeoutMs = d.ioMs
	}
	switch {
	case c.Hop() != nil: // an error is for the front to answer
		d.runHop(c, q)
		return true
	case !t.hooked:
		if q.Wire != 0 {
			python.RunWired(unsafe.Pointer(q))
		} else {
			python.Run(unsafe.Pointer(q))
		}
	default:
		t = d.runHooked(c, q, t)
	}
	if q.Result == listen.ResultError {
		d.failed(c, q, t)
	}
	return true
}

// outdated reports whether the script has changed, or says so itself
// (reload_required, asked as in mod_wsgi before each request).
func (d *dispatcher) outdated(q *listen.Req, rt *route) bool {
	n := d.changes.Load()
	look := n != rt.checked.Load() || !d.watching
	if look {
		if python.Stale(rt.id) {
			return true
		}
		rt.checked.Store(n)
	}
	asking := int(rt.asking.Load())
	if asking == python.NoReloadHook || asking == python.AskSeldom && !look {
		return false
	}
	answer := python.ReloadRequired(unsafe.Pointer(q))
	if answer != asking && answer != python.ReloadScript {
		rt.asking.Store(int32(answer))
	}
	return answer == python.ReloadScript
}

// failed answers for a call that sent nothing. An error document that is an
// application is called, once, on this thread.
func (d *dispatcher) failed(c *listen.Conn, q *listen.Req, t *target) {
	r := t.req
	if r == nil {
		r = d.request(c, q, t.host)
	}
	keep, original := t.override, r
	for first := true; ; first = false {
		status := int(q.Status)
		r.Plan = t.plan
		q.OutOff, q.OutLen, q.SentBody, q.Result = 0, 0, 0, listen.ResultOK
		if status == 504 { // RequestTimeout: nothing more to say, as in mod_wsgi
			d.respond(c, q, t.host, original, &httpd.Outcome{Status: 504, Request: r}, anyTime)
			break
		}
		if t.out != nil && t.out.Request != nil { // after internal redirects
			r = t.out.Request
			r.Plan = t.plan
		}
		if t.out != nil && t.out.StatusOverride != 0 { // the page of an error failed
			status = t.out.StatusOverride
		}
		r.ErrOut = append(r.ErrOut, keep...)
		keep = nil
		action := d.status(c, q, t.host, r, status, way(first))
		if action == listen.Forward { // this thread has the connection
			c.Stream = d.ForwardStream(c, q)
		}
		call := action == listen.Run
		n := c.Tag.(*target)
		n.req = original
		if !call {
			break
		}
		if t = d.runHooked(c, q, n); q.Result != listen.ResultError {
			return
		}
	}
	if n := c.Tag.(*target); n.pool == nil { // what the log says of the call stays true
		n.route, n.plan = t.route, t.plan
	}
}

// Failed implements listen.Handler: the call could not even be tried.
func (d *dispatcher) Failed(c *listen.Conn, q *listen.Req) {
	t := c.Tag.(*target)
	r := t.req
	if r == nil {
		r = d.request(c, q, t.host)
	}
	q.OutOff, q.OutLen = 0, 0
	if q.Result == listen.ResultLate {
		script := r.Filename // of a request that waited for a script of its access control
		if t.plan != nil {
			script = t.plan.Script
		}
		r.Logf(httpd.LevelError, "wsgi", "[script %s] WSGI0084: the request waited longer than queue-timeout (%s) for a thread of process group '%s'",
			script, d.queueTimeout, d.w.cfg.Group)
	}
	d.status(c, q, t.host, r, int(q.Status), atOnce)
}

// finalRequest is the request that was given to an application, after internal
// redirects; on the precomputed route it is made here.
func (d *dispatcher) finalRequest(c *listen.Conn, q *listen.Req, t *target) *httpd.Request {
	if t.out != nil && t.out.Request != nil {
		t.out.Request.Plan = t.plan
		return t.out.Request
	}
	if t.req != nil {
		return t.req
	}
	r := d.request(c, q, t.host)
	r.Assume(t.plan, int(q.ScriptLen))
	if !t.fixed {
		t.req = r
	}
	return r
}

// own is the target if it is the request's own, else a copy that is, for what
// is about to be noted in it: those of the precomputed routes are shared.
func (t *target) own(c *listen.Conn) *target {
	if t.fixed {
		n := *t
		n.fixed = false
		t = &n
		c.Tag = t
	}
	return t
}

// overridden tells whether WSGIErrorOverride replaces the response by the error
// document of its status, and keeps the fields that stay.
func (t *target) overridden(h *httpd.ResponseHead) bool {
	if !t.plan.ErrorOverride || t.out != nil && t.out.StatusOverride != 0 || h.Status < 400 || h.Status > 599 {
		return false
	}
	for _, f := range h.Header {
		if strings.EqualFold(f.Name, "WWW-Authenticate") { // the only one that lives in err_headers_out
			t.override = append(t.override, f)
		}
	}
	return true
}

// runHooked calls an application whose response is looked at, or whose body
// is not the request's. It returns the target with the request that the hooks
// and the access log work with.
func (d *dispatcher) runHooked(c *listen.Conn, q *listen.Req, t *target) *target {
	t = t.own(c)
	stream := q.StreamLeft
	if t.out != nil && t.out.NoBody { // wsgi.input is empty
		if stream != 0 {
			q.KeepAlive = 0 // the rest stays on the socket
		}
		q.BodyRead, q.StreamLeft, q.ChunkState = q.BodyLen, 0, chunkEnd
	}
	h := &hookedCall{d: d, c: c, q: q, t: t, body: d.input(q, t.out)}
	defer h.abandon()
	python.RunHooked(unsafe.Pointer(q), h, h.body != nil)
	if t.out != nil && t.out.NoBody && q.StreamLeft == 0 {
		q.StreamLeft = stream
	}
	if o := h.o; o != nil {
		if !o.ended || h.broken {
			o.cut()
			if q.Result == listen.ResultOK {
				q.Result = listen.ResultCut
			}
		}
		if len(o.filters) > 0 {
			q.SentBody = o.sent
		}
	}
	return t
}

// hookedCall sees the response of one call: python.Hooks.
type hookedCall struct {
	d      *dispatcher
	c      *listen.Conn
	q      *listen.Req
	t      *target
	o      *output
	body   io.Reader // after the input filters; nil: as it was sent
	broken bool
}

func (h *hookedCall) abandon() {
	if h.o != nil {
		h.o.abandon()
	}
}

// recovered ends a response whose hook or filter panicked: a panic must not
// pass through C, where the interpreter would be left in the middle of things.
func (h *hookedCall) recovered() {
	if e := recover(); e != nil {
		h.d.w.panicked(h.c, e, debug.Stack())
		h.broken = true
	}
}

// Head implements python.Hooks.
func (h *hookedCall) Head(mark uint64, length int64) (v python.Verdict) {
	v = python.HeadFailed
	defer h.recovered()
	return h.head(mark, length)
}

func (h *hookedCall) head(mark uint64, length int64) python.Verdict {
	q, t := h.q, h.t
	written := string(unsafe.Slice((*byte)(q.Out), int(q.OutLen))[mark:])
	line, fields, _ := strings.Cut(written, "\r\n")
	head := httpd.ResponseHead{Status: int(q.Status), Length: length}
	for fields != "" {
		var f string
		f, fields, _ = strings.Cut(fields, "\r\n")
		name, value, _ := strings.Cut(f, ": ")
		head.Header = append(head.Header, httpd.Field{Name: name, Value: value})
	}
	q.OutLen = mark
	if t.overridden(&head) {
		return python.Discard
	}
	addFields(&head, t.out)
	var r *httpd.Request
	if t.plan.Hooked() {
		r = h.d.finalRequest(h.c, q, t)
	}
	status := []byte(line + "\r\n")
	if q.StatusOverride != 0 {
		status = nil
	}
	o, err := h.d.newOutput(q, t.host, r, head, status, true)
	if err != nil {
		return python.HeadFailed
	}
	if len(o.filters) == 0 { // python/response.c goes on by itself
		o.ended = true
		o.nobody = o.nobody || o.head.NoBody()
		_ = o.begin() // never fails
		h.d.mem.Append(q, o.frame)
		if o.chunked {
			return python.Chunked
		}
		return python.Plain
	}
	h.o = o
	o.put = func(p []byte) error {
		if !python.Append(unsafe.Pointer(q), p) {
			return errGone
		}
		return nil
	}
	if o.pacer != nil {
		o.push = h.send
	}
	return python.Filtered
}

func (h *hookedCall) send() error {
	if !python.Flush(unsafe.Pointer(h.q)) {
		return errGone
	}
	return nil
}

// Body implements python.Hooks.
func (h *hookedCall) Body(p []byte) (ok bool) {
	defer h.recovered()
	err := h.o.write(p)
	if err == nil && h.q.OutLen-h.q.OutOff > 2*holdMax { // a slow reader holds the application up, not the memory
		err = h.send()
	}
	h.broken = h.broken || err != nil
	return err == nil
}

// File implements python.Hooks: filters see a file like any body.
func (h *hookedCall) File(int, int64, int64) bool { return false }

// End implements python.Hooks.
func (h *hookedCall) End() (ok bool) {
	defer h.recovered()
	err := h.o.end()
	h.broken = h.broken || err != nil
	return err == nil
}

var _ python.Hooks = (*hookedCall)(nil)
