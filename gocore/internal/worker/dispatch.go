// The dispatcher gives requests their meaning: it implements listen.Handler
// over the compiled configuration (package httpd) and the interpreter (package
// python). The fast route is an immutable lookup and one call; everything else
// builds an httpd.Request and runs the phases.
package worker

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"modwsgi/gocore/internal/filecache"
	"modwsgi/gocore/internal/hop"
	"modwsgi/gocore/internal/http1"
	"modwsgi/gocore/internal/httpd"
	"modwsgi/gocore/internal/listen"
	"modwsgi/gocore/internal/process"
	"modwsgi/gocore/internal/python"
)

// route is a plan that Python knows.
type route struct {
	id      uint32
	plan    *httpd.Plan
	checked atomic.Int64 // dispatcher.changes at the last look at the script
	asking  atomic.Int32 // reload_required: 0 before each request, AskSeldom after changes, NoReloadHook never
}

// target is what the connection remembers of its current request.
type target struct {
	host     *httpd.VirtualHost
	pool     *hop.Pool      // not nil: the plan's process group is elsewhere
	planNo   uint32         // with pool: number of the plan there
	key      []byte         // with pool and no number: the plan itself
	route    *route         // nil with pool
	plan     *httpd.Plan    // with route
	req      *httpd.Request // off the fast route
	out      *httpd.Outcome
	file     *filecache.File // from the file cache: shared; given back when the response is out
	kept     *httpd.Request  // with file: the request whose phases gave it, for what is the same in all
	fixed    bool            // lives in dispatcher.routes: shared, never written
	hooked   bool            // the response is looked at on its way out
	override []httpd.Field   // of the response that WSGIErrorOverride replaced
}

// called: the request was an application's, here or in another process.
func (t *target) called() bool { return t.route != nil || t.pool != nil }

type dispatcher struct {
	board    *statusBoard // nil: no status page
	tls      *tlsHosts    // nil: no host speaks TLS
	w        *worker
	mem      listen.Memory
	date     http1.DateCache
	settings map[*httpd.VirtualHost]*listen.Settings
	routes   atomic.Pointer[[]*target] // fast route by plan ID
	mu       sync.Mutex
	byKey    map[string]*route      // plans made for one request
	byPlan   map[string]*target     // what front processes ask for, see daemon.go
	front    *front                 // nil: no process group is elsewhere
	numbered map[*httpd.Plan]uint32 // see slowPlan
	changes  atomic.Int64           // grows when a directory of a script changed, and once a second
	watching bool                   // inotify works; else every request looks at its script
	inotify  int                    // its descriptor
	served   atomic.Bool
	count    atomic.Int64
	limit    int64 // maximum-requests of this process, 0 none
	ioMs     int32 // time-out of a write to the client of a WSGI response, 0: as Timeout
	second   int64 // of the last tick
	zone     int   // seconds east of Greenwich

	queueTimeout, flushDelay time.Duration
	files                    filecache.Cache
}

func newDispatcher(w *worker) *dispatcher {
	d := &dispatcher{w: w, settings: map[*httpd.VirtualHost]*listen.Settings{}, byKey: map[string]*route{}}
	for _, v := range w.srv.AllHosts() {
		d.settings[v] = &listen.Settings{
			Limits: http1.Limits{Line: v.LimitLine, Fields: v.LimitFields, FieldSize: v.LimitFieldSize},
			Header: v.HeaderTimeout, Body: v.BodyTimeout, KeepAlive: v.KeepAliveTimeout, IO: v.Timeout,
			Handshake: v.HandshakeTimeout, HeaderRate: v.HeaderMinRate, BodyRate: v.BodyMinRate, HeaderMax: v.HeaderTimeoutMax, BodyMax: v.BodyTimeoutMax,
			Persistent: v.KeepAlive, MaxRequests: v.MaxKeepAliveRequests,
			H2C: v.H2Direct && slices.Contains(v.Protocols, "h2c"), H2Streams: v.H2Streams, H2Window: v.H2Window,
		}
	}
	d.limit = int64(w.srv.MaxConnectionsPerChild)
	if g := w.group; g != nil {
		d.limit = int64(g.MaximumRequests)
		if d.limit > 0 && g.MaximumRequestsJitter > 0 { // processes that started together end apart
			d.limit += rand.Int64N(int64(g.MaximumRequestsJitter) + 1)
		}
		d.queueTimeout, d.flushDelay = g.QueueTimeout, g.ResponseFlushDelay
		io := g.ResponseSocketTimeout
		if io == 0 {
			io = g.SocketTimeout
		}
		d.ioMs = int32(io.Milliseconds())
	}
	empty := make([]*target, 0)
	d.routes.Store(&empty)
	d.tick(time.Now())
	return d
}

func (d *dispatcher) tick(now time.Time) {
	if date := d.date.Refresh(now); date != nil {
		python.SetDate(string(date))
	}
	if now.Unix() != d.second {
		d.second = now.Unix()
		if name, offset := now.Zone(); offset != d.zone { // summer time begins or ends
			d.zone = offset
			python.SetZone(offset, name)
		}
		d.files.Tick(d.second)
		if d.tls != nil {
			d.tls.rotate(now)
		}
		if d.board != nil {
			d.board.publish()
		}
		d.changes.Add(1) // network file systems give no inotify events
	}
}

// Open implements listen.Handler.
func (d *dispatcher) Open(c *listen.Conn) {
	hosts := d.w.srv.Hosts(c.Local)
	c.User = hosts
	c.Settings = d.settings[hosts.Default]
	if hosts.Default.TLS {
		c.TLS = d.tls.config(hosts)
	}
	if v := hosts.Default; v.ProxyProtocol {
		peer := c.Remote.Addr().Unmap().WithZone("")
		c.ProxyHeader = !slices.ContainsFunc(v.ProxyProtocolExceptions, func(p netip.Prefix) bool { return p.Contains(peer) })
	}
}

// BadProxy implements listen.ProxyReporter.
func (d *dispatcher) BadProxy(c *listen.Conn, err error) {
	hosts, _ := d.client(c)
	v := hosts.Default
	d.w.record(v, nil, levelErr, "remoteip", fmt.Sprintf("RemoteIPProxyProtocol: %v; connection of %s closed", err, c.Remote))
}

// Route implements listen.Handler.
func (d *dispatcher) Route(c *listen.Conn, q *listen.Req) listen.Action {
	hosts, secure := d.client(c)
	host := hosts.Default
	if q.Head.Host.Len > 0 {
		host = hosts.Select(q.Bytes(q.Head.Host))
	} else if q.Head.Flags&http1.FlagHTTP11 != 0 { // a Host field without a name
		return d.status(c, q, host, d.request(c, q, host), 400, anyTime)
	}
	if host.LogsFirstByte {
		q.TrackFirst = 1
	}
	if secure != nil && (secure.host.V != host || secure.bare || secure.stale || q.Head.Host.Len == 0) || secure == nil && host.TLS {
		if a, handled := d.misplaced(c, q, secure, host); handled {
			return a
		}
	}
	if q.Head.Flags&http1.FlagPlainPath != 0 {
		if p, n := host.Fast(q.Bytes(q.Head.Method), q.Bytes(q.Head.Path)); p != nil && p.ID >= 0 && len(p.TrustedHeaders) == 0 {
			if t := d.fastTarget(p); t != nil {
				if q.Head.Flags&http1.FlagChunked != 0 && !p.ChunkedRequest {
					return d.phases(c, q, host)
				}
				q.ScriptLen, q.BodyLimit = uint32(n), p.BodyLimit
				c.Tag = t
				if t.pool != nil {
					return d.away(c, q, t)
				}
				q.Route = t.route.id
				if p.Host.LogsResponse {
					q.KeepHead = 1
				}
				return listen.Run
			}
		}
	}
	if q.Head.Flags&http1.FlagPlainPath != 0 && d.keptFile(c, q, host) {
		return listen.Respond
	}
	return d.phases(c, q, host)
}

func (d *dispatcher) fastTarget(p *httpd.Plan) *target {
	if s := *d.routes.Load(); p.ID < len(s) && s[p.ID] != nil {
		return s[p.ID]
	}
	t := &target{host: p.Host, plan: p, fixed: true, hooked: p.Hooked() || p.ErrorOverride}
	if t.pool = d.pool(p); t.pool != nil {
		t.describe(planKey(p, true))
	} else if t.route = d.register(p, p.ScriptName, p.Environ, selfPort(p.Host)); t.route == nil {
		return nil
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	old := *d.routes.Load()
	s := make([]*target, max(len(old), p.ID+1))
	copy(s, old)
	s[p.ID] = t
	d.routes.Store(&s)
	return s[p.ID]
}

func (d *dispatcher) register(p *httpd.Plan, scriptName string, environ []httpd.EnvVar, port int) *route {
	var env []byte
	https := environ != nil && p.URLScheme == "https" // else each request says it
	if p.Host != nil {                                // for requests without a Host field (HTTP/1.0); PEP 3333 wants some name
		env = python.AppendSet(env, "SERVER_NAME", p.Host.ServerName)
	}
	for _, e := range environ {
		env = python.AppendSet(env, e.Name, e.Value)
		https = https || e.Name == "HTTPS" && (e.Value == "on" || e.Value == "1")
	}
	sink, err := d.w.sink(p.Host, p.LogLevel)
	if err != nil {
		d.w.logf(levelErr, "wsgi", "WSGI0314: %v", err)
		return nil
	}
	script, callable := p.Script, p.CallableObject
	if p.HandlerScript != "" { // the resource is the handler's business and need not be a script
		script, callable = p.HandlerScript, "handle_request"
	}
	id, err := python.AddRoute(&python.Route{Script: script, ProcessGroup: p.ProcessGroup, ApplicationGroup: p.ApplicationGroup,
		Callable: callable, Handler: p.Handler, HandlerScript: p.HandlerScript, ScriptName: scriptName, Environ: env,
		PassAuthorization: p.PassAuthorization, MapHEAD: mapHEAD(p), Multithread: p.Multithread,
		Multiprocess: p.Multiprocess, Port: port, HTTPS: https || p.Host != nil && p.Host.TLS, IgnoreActivity: p.IgnoreActivity, Sink: sink,
		RunOnce: p.Group != nil && p.Group.Threads == 1 && p.Group.MaximumRequests == 1})
	if err != nil {
		d.w.logf(levelErr, "wsgi", "%v", err)
		return nil
	}
	d.watchScript(script)
	rt := &route{id: id, plan: p}
	rt.checked.Store(-1)
	return rt
}

// selfPort is SERVER_PORT where the client names no port.
func selfPort(v *httpd.VirtualHost) int {
	switch {
	case v != nil && v.SelfPort != 0:
		return v.SelfPort
	case v != nil && (v.TLS || v.ServerScheme == "https"):
		return 443
	}
	return 80
}

// slowRoute is the route of a plan that a request's phases gave; environ goes with each request.
func (d *dispatcher) slowRoute(p *httpd.Plan) *route {
	script := p.Script
	if p.HandlerScript != "" {
		script = "" // one handler serves any number of resources
	}
	key := script + "\x00" + p.CallableObject + "\x00" + p.ProcessGroup + "\x00" + p.ApplicationGroup + "\x00" +
		p.Handler + "\x00" + p.HandlerScript + "\x00" + strconv.Itoa(p.Host.Index()) + "\x00" + strconv.Itoa(p.LogLevel) + strconv.FormatBool(p.PassAuthorization) + strconv.FormatBool(mapHEAD(p)) +
		strconv.FormatBool(p.IgnoreActivity)
	d.mu.Lock()
	defer d.mu.Unlock()
	if rt := d.byKey[key]; rt != nil {
		return rt
	}
	rt := d.register(p, "", nil, selfPort(p.Host))
	if rt != nil {
		d.byKey[key] = rt
	}
	return rt
}

// request builds the version-independent request.
func (d *dispatcher) request(c *listen.Conn, q *listen.Req, host *httpd.VirtualHost) *httpd.Request {
	h := &q.Head
	str := func(s http1.Span) string { return string(q.Bytes(s)) }
	r := &httpd.Request{Method: str(h.Method), RawTarget: str(h.Target), RawPath: str(h.Path), Query: str(h.Query),
		Proto: "HTTP/1.0", HostName: str(h.Host), Local: c.Local, Remote: c.Remote, Peer: c.Remote,
		ConnNo: q.ConnID, RequestNo: q.RequestNo, ConnLogged: q.ConnLogged == q.ConnID, ReqLogged: q.Logged != 0, Start: time.UnixMicro(q.StartUs), ContentLength: -1, Host: host,
		Chunked: h.Flags&http1.FlagChunked != 0}
	if h.Flags&http1.FlagHTTP11 != 0 {
		r.Proto = "HTTP/1.1"
	}
	if h.Flags&http1.FlagHTTP2 != 0 {
		r.Proto = "HTTP/2.0"
		r.SetEnv("HTTP2", "on")
	}
	if h.Flags&http1.FlagContentLength != 0 {
		r.ContentLength = h.ContentLength
	}
	if r.RawPath == "" {
		r.RawPath = "/"
	}
	d.secure(c, r)
	r.Header = make([]httpd.Field, 0, h.NFields)
	for _, f := range h.Fields[:h.NFields] {
		r.Header = append(r.Header, httpd.Field{Name: str(f.Name), Value: str(f.Value)})
	}
	return r
}

func (d *dispatcher) phases(c *listen.Conn, q *listen.Req, host *httpd.VirtualHost) listen.Action {
	return d.handle(c, q, host, d.request(c, q, host))
}

// Decide implements listen.Handler: the phases again, from the beginning, where they may do what they need.
func (d *dispatcher) Decide(c *listen.Conn, q *listen.Req, onPython bool) listen.Action {
	t := c.Tag.(*target)
	r := d.request(c, q, t.host)
	if onPython {
		r.Resume(t.req, httpd.OnPython, scripts{d.w, q, t.host})
	} else {
		r.Resume(t.req, httpd.OnWorker, nil)
	}
	return d.handle(c, q, t.host, r)
}

// handle runs the phases.
func (d *dispatcher) handle(c *listen.Conn, q *listen.Req, host *httpd.VirtualHost, r *httpd.Request) listen.Action {
	out := host.Handle(r)
	if r.Logged() {
		q.Logged, q.ConnLogged = 1, q.ConnID
	}
	if out.Needs != httpd.OnLeader {
		c.Tag = &target{host: host, req: r}
		if out.Needs == httpd.OnPython {
			return listen.ThinkPython
		}
		return listen.Think
	}
	if out.Plan == nil {
		d.keepFile(q, host, out)
		return d.respond(c, q, host, r, out, anyTime)
	}
	p := out.Plan
	if q.Head.Flags&http1.FlagChunked != 0 && !p.ChunkedRequest && !out.NoBody {
		r.Logf(httpd.LevelError, "wsgi", "[script %s] WSGI0139: a chunked request body, and WSGIChunkedRequest is not On", p.Script)
		return d.status(c, q, host, r, 411, anyTime)
	}
	if !d.prepare(c, q, host, r, out) {
		return d.status(c, q, host, r, 500, anyTime)
	}
	return d.away(c, q, c.Tag.(*target))
}

// Bad implements listen.Handler. Of a request that could not be read the
// address chooses the host; its ErrorDocument applies if it is a text, a
// redirect or a file.
func (d *dispatcher) Bad(c *listen.Conn, q *listen.Req, status int) {
	hosts, secure := d.client(c)
	host := hosts.Default
	if secure != nil {
		host = secure.host.V
	}
	r := &httpd.Request{Method: "GET", RawTarget: "/", RawPath: "/", Proto: "HTTP/1.1", Local: c.Local, Remote: c.Remote, Peer: c.Remote,
		ConnNo: q.ConnID, RequestNo: q.RequestNo, Start: time.Now(), ContentLength: -1}
	d.secure(c, r)
	if h := &q.Head; h.Method.Len > 0 && uint64(h.HeadLen) <= q.InLen {
		if p := string(q.Bytes(h.Path)); p != "" {
			r.RawTarget, r.RawPath = string(q.Bytes(h.Target)), p
		}
	}
	out := host.Error(r, status)
	if out.Plan != nil || out.Stream != nil || out.File != nil && out.FileLen > maxBadPage || len(out.Parts) > 0 {
		closeFile(out)
		out = host.Error(nil, status)
	}
	d.respond(c, q, host, nil, out, atOnce)
}

// maxBadPage is the largest file, in bytes, that answers a request which could
// not be read: whoever sends garbage gets no more out of it.
const maxBadPage = 1 << 20

// Done implements listen.Handler.
func (d *dispatcher) Done(c *listen.Conn, q *listen.Req) {
	if d.board != nil {
		d.board.done(q)
	}
	if !d.served.Load() && !d.served.Swap(true) {
		d.w.control.Send(&process.Frame{Type: process.FrameServed})
	}
	t, _ := c.Tag.(*target)
	if t == nil {
		return
	}
	if t.host.HasLog && c.Hop() == nil {
		d.log(c, q, t)
	}
	if t.file != nil {
		c.Tag = nil
		t.file.Release()
	} else if !t.fixed {
		c.Tag = nil
	}
	if d.limit > 0 && t.called() && d.count.Add(1) == d.limit {
		d.w.recycle("maximum_requests")
	}
}

// Handoff implements listen.Handler: the connection goes through the supervisor.
func (d *dispatcher) Handoff(fd int, pending []byte) bool {
	if len(pending) > process.MaxFramePayload {
		return false
	}
	return d.w.send(&process.Frame{Type: process.FrameHandoff, Payload: pending, FDs: []int{fd}}, handPatience)
}

var _ listen.Handler = (*dispatcher)(nil)
