// This file passes one request on: the request to the other server, its
// answer to the client, and the statuses for what can go wrong.
//
// It runs on the goroutine of Outcome.Stream. net/http's Transport keeps the
// connections, frames messages and reads heads; silence is watched here,
// because only here it is known who is being waited for.

package proxy

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"modwsgi/gocore/internal/httpd"
)

const copyBlock = 32 << 10

// errEngine is a server with TLS where the directive is missing.
var errEngine = errors.New("https:// needs SSLProxyEngine On")

// errSilent ends what waits for a server that says nothing.
var errSilent = errors.New("the server was silent for too long")

// forward is one request on its way.
type forward struct {
	r       *httpd.Request
	c       *Config
	worker  *worker   // nil: a balancer chooses
	bal     *balancer // nil: one server
	t       *target   // of the worker; with its path not used
	path    string    // encoded, below the member's for a balancer
	query   string    // without "?"
	upgrade string    // protocol that the client wants; "" = none
	header  []httpd.Field
	timeout time.Duration
	watch   watchdog
	body    *bodyReader
	ss      session
	conn    *conn // of the answer
	spooled *os.File
}

// newForward finds out where the request goes. status is for the error.
func newForward(r *httpd.Request, c *Config, to string) (f *forward, status int, err error) {
	t, err := parseTarget(to)
	if err != nil {
		return nil, http.StatusInternalServerError, err
	}
	f = &forward{r: r, c: c, t: t, query: r.Query, header: r.Header}
	raw := r.Notes[noteNocanon] != ""
	if raw {
		f.path, f.query, _ = strings.Cut(t.path, "?")
	} else {
		keep := r.Core().AllowEncodedSlashes.V == "nodecode"
		if keep && strings.Contains(strings.ToLower(r.RawPath), "%252f") { // would become %2f, which means something else
			return nil, http.StatusBadRequest, errors.New("the URL has an encoded slash that was encoded once more")
		}
		f.path = escape(t.path, keep)
	}
	if f.path == "" {
		f.path = "/"
	}
	for _, s := range [2]string{f.path, f.query} {
		for i := 0; i < len(s); i++ {
			if s[i] <= ' ' || s[i] == 0x7f {
				return nil, http.StatusForbidden, errors.New("the URL has control characters or blanks")
			}
		}
	}
	if t.secure() && !c.tls.engine.V {
		return nil, http.StatusInternalServerError, errEngine
	}
	reg := c.reg
	if reg == nil { // a rule's URL, and nothing of ours in the configuration
		if r.Notes[httpd.NoteHtaccessProxy] != "" { // whoever may write such files need not be allowed to reach other servers
			return nil, http.StatusForbidden, errors.New("a .htaccess file can use the flag P only where the configuration has ProxyPass or LoadModule proxy_module")
		}
		reg = rulesOnly
	}
	if t.scheme == "balancer" {
		if f.bal = reg.lookup(r.Host.Index(), t.host); f.bal == nil || len(f.bal.members) == 0 {
			return nil, http.StatusInternalServerError, fmt.Errorf("there is no balancer %q", t.host)
		}
		f.ss = f.bal.session(r, to)
	} else if i, err := strconv.Atoi(r.Notes[noteWorker]); err == nil && i < len(reg.workers) && reg.workers[i].t.name() == t.name() {
		f.worker = reg.workers[i]
	} else {
		f.worker = reg.find(r.Host.Index(), t)
	}
	return f, 0, nil
}

// rulesOnly serves configurations whose only word about proxying is a rule's.
var rulesOnly = func() *registry {
	reg := newRegistry()
	reg.dynamic.open()
	return reg
}()

// maxForwards answers OPTIONS that must not go further (RFC 9110 section
// 7.6.2), else counts down. TRACE never comes here.
func (f *forward) maxForwards() *httpd.Outcome {
	v, ok := f.r.Get("Max-Forwards")
	if !ok || f.r.Method != http.MethodOptions {
		return nil
	}
	n, err := strconv.ParseUint(v, 10, 31)
	if err != nil {
		return f.r.Fail(http.StatusBadRequest)
	}
	if n == 0 {
		return &httpd.Outcome{Status: http.StatusOK, Header: []httpd.Field{{Name: "Allow", Value: f.r.Allowed()}}, Request: f.r}
	}
	h := httpd.Fields(slices.Clone(f.header))
	h.Set("Max-Forwards", strconv.FormatUint(n-1, 10))
	f.header = h
	return nil
}

// run is the Stream of the outcome.
func (f *forward) run(w httpd.StreamWriter) error {
	err := f.spool()
	if f.spooled != nil {
		defer f.spooled.Close()
	}
	if err != nil {
		return err
	}
	if f.bal == nil {
		f.setEnv("", f.worker)
		if !f.worker.usable(time.Now()) {
			return &httpd.StatusError{Status: http.StatusServiceUnavailable, Err: fmt.Errorf("%s is out of service since the last attempt failed (retry=)", f.t.name())}
		}
		f.worker.begin()
		_, err := f.attempt(w, f.worker)
		return err
	}
	var tried []*worker
	attempts := f.bal.p.attempts.Or(len(f.bal.members) - 1)
	for {
		m, err := f.bal.choose(f.r, f.ss, tried)
		if err != nil {
			return err
		}
		f.t = m.t
		if f.t.secure() && !f.c.tls.engine.V {
			m.end(0)
			return &httpd.StatusError{Status: http.StatusInternalServerError, Err: errEngine}
		}
		f.setEnv(f.bal.key.name, m)
		again, err := f.attempt(w, m)
		if !again || len(tried) >= attempts {
			return err
		}
		if f.ss.route != "" && f.bal.p.nofail.V && m.p.route.V == f.ss.route {
			return err
		}
		f.r.Logf(httpd.LevelWarn, "proxy", "%v; another member of balancer://%s is tried", err, f.bal.key.name)
		tried = append(tried, m)
	}
}

// setEnv sets the variables that describe the choice, for logs and Header.
func (f *forward) setEnv(balancer string, w *worker) {
	if balancer == "" {
		return
	}
	set := func(name, value string) {
		if value != "" {
			f.r.SetEnv(name, value)
		}
	}
	set("BALANCER_NAME", "balancer://"+balancer)
	set("BALANCER_WORKER_NAME", w.t.name()+w.t.path)
	set("BALANCER_WORKER_ROUTE", w.p.route.V)
	if f.bal.p.sticky.Set {
		set("BALANCER_SESSION_STICKY", f.ss.name)
		set("BALANCER_SESSION_ROUTE", f.ss.route)
		if f.ss.route != w.p.route.V {
			set("BALANCER_ROUTE_CHANGED", "1")
		}
	}
}

// attempt asks one server, whose begin was called. again: nothing was sent,
// another server may be asked.
func (f *forward) attempt(w httpd.StreamWriter, m *worker) (again bool, err error) {
	var bytes int64
	defer func() { m.end(bytes) }()
	f.timeout = m.p.timeout.Or(f.c.timeout.Or(f.r.Host.Timeout))
	if f.bal != nil && !m.p.timeout.Set && f.bal.p.timeout.Set {
		f.timeout = f.bal.p.timeout.V
	}
	if err := m.acquire(w.Context()); err != nil {
		return false, err
	}
	defer m.release()
	ctx, cancel := context.WithCancelCause(w.Context())
	defer cancel(nil)
	f.watch.reset(f.timeout, func() { cancel(errSilent) })
	defer f.watch.end()
	req := f.request(ctx, m)
	req = req.WithContext(httptrace.WithClientTrace(req.Context(), &httptrace.ClientTrace{GotConn: func(info httptrace.GotConnInfo) {
		if f.conn, _ = info.Conn.(*conn); f.conn != nil {
			f.conn.expect()
		}
	}}))
	f.watch.start()
	resp, err := f.transport(m).RoundTrip(req)
	f.watch.stop()
	if err != nil {
		return f.failed(w, m, ctx, err)
	}
	defer resp.Body.Close()
	m.works()
	if name := badField(resp.Header); name != "" {
		return false, &httpd.StatusError{Status: http.StatusBadGateway, Err: fmt.Errorf("%s sent a malformed field %.40q", f.t.name(), name)}
	}
	if resp.StatusCode == http.StatusSwitchingProtocols {
		return false, f.switched(w, resp)
	}
	if f.bal != nil && slices.Contains(f.bal.p.statuses.V, resp.StatusCode) {
		m.fail()
	}
	bytes, err = f.answer(w, m, resp)
	if err != nil && errors.Is(context.Cause(ctx), errSilent) {
		err = fmt.Errorf("%s: %w", f.t.name(), errSilent)
	}
	return false, err
}

// failed gives an attempt without an answer its status.
func (f *forward) failed(w httpd.StreamWriter, m *worker, ctx context.Context, err error) (again bool, _ error) {
	status := func(code int) error {
		return &httpd.StatusError{Status: code, Err: fmt.Errorf("%s: %w", f.t.name(), err)}
	}
	var connect errConnect
	var dns *net.DNSError
	switch {
	case w.Context().Err() != nil: // the client left
		return false, w.Context().Err()
	case f.body.failure() != nil:
		return false, f.body.failure()
	case errors.As(err, &dns):
		return true, status(http.StatusBadGateway)
	case errors.As(err, &connect):
		m.fail()
		return true, status(http.StatusServiceUnavailable)
	case errors.Is(context.Cause(ctx), errSilent):
		if f.bal != nil && f.bal.p.late.V {
			m.fail()
		}
		err = errSilent
		return false, status(http.StatusGatewayTimeout)
	}
	return false, status(http.StatusBadGateway)
}

// request makes the request for the server.
func (f *forward) request(ctx context.Context, m *worker) *http.Request {
	r := f.r
	d := &dialing{unix: f.t.unix, timeout: m.p.connect.Or(f.timeout), source: f.c.source.V}
	key := f.t.host // the Transport's name for the server
	if d.unix != "" {
		key = fmt.Sprintf("%x.unix", d.unix)
	} else {
		d.address = f.t.address()
	}
	path := f.path
	if f.bal != nil {
		path = strings.TrimSuffix(m.t.path, "/") + path
	}
	if f.t.secure() {
		name, _ := httpd.SplitHost(f.t.host)
		if f.c.preserveHost.V && r.HostName != "" {
			name, _ = httpd.SplitHost(r.HostName)
		}
		name = strings.Trim(name, "[]")
		d.tls = f.c.tls.config(name, m.cache)
		key = fmt.Sprintf("%x.tls", name+"|"+key+"|"+f.c.tls.id()) // a connection is for one name and one set of demands
	}
	u := &url.URL{Scheme: "http", Host: key, RawQuery: f.query}
	u.ForceQuery = f.query == "" && r.Prev == nil && strings.HasSuffix(r.RawTarget, "?") && r.Query == ""
	if strings.HasPrefix(path, "//") { // Opaque would take it for a host
		u.Path, _ = url.PathUnescape(path)
		u.RawPath = path
	} else {
		u.Opaque = path
	}
	req := (&http.Request{Method: r.Method, URL: u, Header: http.Header{}, Host: f.t.host, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1}).
		WithContext(context.WithValue(ctx, dialKey{}, d))
	if req.Host == "" {
		req.Host = "localhost" // a socket without a name
	}
	if f.c.preserveHost.V && r.HostName != "" {
		req.Host = r.HostName
	}
	f.body = &bodyReader{f: f}
	switch {
	case r.ContentLength > 0:
		req.Body, req.ContentLength = f.body, r.ContentLength
	case r.Chunked:
		req.Body, req.ContentLength = f.body, -1
	}
	f.chunk(req)
	f.requestHeader(req, m)
	return req
}

// requestHeader fills in the fields: those of the client without the ones of
// its connection, and what a gateway adds.
func (f *forward) requestHeader(req *http.Request, m *worker) {
	r, h := f.r, req.Header
	drop := httpd.ConnectionFields(f.header)
	for _, name := range []string{"host", "content-length", "expect", "proxy", "proxy-authorization", "user-agent"} {
		drop[name] = true
	}
	if f.set("proxy-chain-auth") {
		delete(drop, "proxy-authorization")
	}
	for _, x := range f.header {
		if !drop[strings.ToLower(x.Name)] {
			h.Add(x.Name, x.Value)
		}
	}
	agent, _ := r.Get("User-Agent")
	h.Set("User-Agent", agent) // "" keeps net/http from naming itself
	if v, ok := r.Get("Expect"); ok && strings.EqualFold(v, "100-continue") && req.Body != nil && f.c.expect.Or(true) {
		h.Set("Expect", v)
	}
	if f.c.addHeaders.Or(true) {
		appendTo(h, "X-Forwarded-For", r.Remote.Addr().Unmap().String())
		appendTo(h, "X-Forwarded-Host", r.HostName)
		appendTo(h, "X-Forwarded-Server", r.Host.ServerName)
	}
	f.via(h)
	if f.upgrade = f.wants(m); f.upgrade != "" {
		h.Set("Connection", "Upgrade")
		h.Set("Upgrade", f.upgrade)
	}
}

// appendTo adds a member to a list field.
func appendTo(h http.Header, name, value string) {
	if value == "" {
		return
	}
	if old := h.Values(name); len(old) > 0 {
		value = strings.Join(old, ", ") + ", " + value
	}
	h.Set(name, value)
}

// via does what ProxyVia says, for requests and answers (RFC 9110 section
// 7.6.3).
func (f *forward) via(h http.Header) {
	mode := f.c.via.Or("off")
	switch mode {
	case "off":
		return
	case "block":
		h.Del("Via")
		return
	}
	name, port := f.r.SelfName()
	if port != 0 && port != 80 {
		name += ":" + strconv.Itoa(port)
	}
	v := strings.TrimPrefix(f.r.Proto, "HTTP/") + " " + name
	if mode == "full" {
		v += " (" + strings.NewReplacer("(", "", ")", "").Replace(f.r.Host.Server().Software) + ")"
	}
	appendTo(h, "Via", v)
}

// written are names that net/http spells in a way of its own.
var written = map[string]string{"Etag": "ETag", "Www-Authenticate": "WWW-Authenticate", "Content-Md5": "Content-MD5", "X-Xss-Protection": "X-XSS-Protection",
	"X-Ua-Compatible": "X-UA-Compatible", "Dnt": "DNT", "Te": "TE", "Sec-Websocket-Accept": "Sec-WebSocket-Accept",
	"Sec-Websocket-Protocol": "Sec-WebSocket-Protocol", "Sec-Websocket-Extensions": "Sec-WebSocket-Extensions", "Sec-Websocket-Version": "Sec-WebSocket-Version"}

// fields are the fields of an answer, by name: net/http does not keep the
// order, and fields of one name stay in theirs.
func (f *forward) fields(h http.Header) []httpd.Field {
	var out []httpd.Field
	for _, name := range slices.Sorted(maps.Keys(h)) {
		label := name
		if w, ok := written[name]; ok {
			label = w
		}
		for _, v := range h[name] {
			out = append(out, httpd.Field{Name: label, Value: f.reverse(name, v)})
		}
	}
	return out
}

// badField finds a field that must not be passed on: net/http takes names with
// blanks and values with control characters (RFC 9110 section 5.5).
func badField(h http.Header) string {
	for name, values := range h {
		for i := 0; i < len(name); i++ {
			if c := name[i]; c <= ' ' || c >= 0x7f || strings.IndexByte("()<>@,;:\\\"/[]?={}", c) >= 0 {
				return name
			}
		}
		for _, v := range values {
			for i := 0; i < len(v); i++ {
				if v[i] < ' ' && v[i] != '\t' || v[i] == 0x7f {
					return name
				}
			}
		}
	}
	return ""
}

// answer hands the answer to the client as it comes.
func (f *forward) answer(w httpd.StreamWriter, m *worker, resp *http.Response) (bytes int64, err error) {
	if f.c.errorOverride.V.takes(resp.StatusCode) {
		for _, v := range resp.Header.Values("WWW-Authenticate") {
			f.r.ErrOut = append(f.r.ErrOut, httpd.Field{Name: "WWW-Authenticate", Value: v})
		}
		return 0, &httpd.StatusError{Status: resp.StatusCode, Err: fmt.Errorf("%s answered with %d (ProxyErrorOverride)", f.t.name(), resp.StatusCode)}
	}
	f.via(resp.Header)
	if f.conn != nil {
		for _, name := range f.conn.listed() {
			resp.Header.Del(name)
		}
	}
	if err := w.WriteHead(resp.StatusCode, f.fields(resp.Header)); err != nil {
		return 0, err
	}
	always := m.p.flush.V == "on"
	buf := make([]byte, copyBlock)
	for {
		f.watch.start()
		n, err := resp.Body.Read(buf)
		f.watch.stop()
		if n > 0 {
			bytes += int64(n)
			if _, err := w.Write(buf[:n]); err != nil {
				return bytes, err
			}
			if always {
				if err := w.Flush(); err != nil {
					return bytes, err
				}
			}
		}
		if errors.Is(err, io.EOF) {
			for name, values := range resp.Trailer {
				for _, v := range values {
					f.r.TrailerOut = append(f.r.TrailerOut, httpd.Field{Name: name, Value: v})
				}
			}
			return bytes, nil
		}
		if err != nil {
			return bytes, fmt.Errorf("%s: %w", f.t.name(), err)
		}
	}
}

// watchdog calls a function when it was running for too long. Its methods may
// be called by two goroutines.
type watchdog struct {
	mu    sync.Mutex
	timer *time.Timer
	d     time.Duration
	over  bool
}

// reset prepares it, not running; d 0: it never bites.
func (g *watchdog) reset(d time.Duration, bite func()) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.over, g.d = false, d
	if d > 0 {
		g.timer = time.AfterFunc(d, bite)
		g.timer.Stop()
	}
}

func (g *watchdog) start() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.timer != nil && !g.over {
		g.timer.Reset(g.d)
	}
}

func (g *watchdog) stop() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.timer != nil {
		g.timer.Stop()
	}
}

// end stops it for good: a reader that is left behind cannot start it again.
func (g *watchdog) end() {
	g.stop()
	g.mu.Lock()
	g.over = true
	g.mu.Unlock()
}

// bodyReader is the request's body. While it waits for the client, the server
// is not silent.
type bodyReader struct {
	f   *forward
	mu  sync.Mutex
	err error
}

func (b *bodyReader) Read(p []byte) (int, error) {
	b.f.watch.stop()
	n, err := b.f.r.Body().Read(p)
	b.f.watch.start()
	if err != nil && !errors.Is(err, io.EOF) {
		b.mu.Lock()
		b.err = err
		b.mu.Unlock()
	}
	return n, err
}

// Close has nothing to close: the body is the connection's.
func (b *bodyReader) Close() error { return nil }

// failure is what reading from the client ended with.
func (b *bodyReader) failure() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.err
}
