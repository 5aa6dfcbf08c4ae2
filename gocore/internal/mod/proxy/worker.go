// This file knows servers (httpd says "workers"): their connections, and
// whether they can be used. All of it belongs to one process, as in httpd the
// pools do; here the state of errors and the counters of balancers do too.

package proxy

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"time"

	"modwsgi/gocore/internal/conf"
	"modwsgi/gocore/internal/httpd"
)

const (
	defaultRetry = 60 * time.Second // httpd's
	idleTime     = 60 * time.Second // unused connections are closed after it, without ttl=
	idleMax      = 256              // connections kept to a server, without smax=
	maxHead      = 1 << 20          // bytes of the head of an answer
	expectTime   = time.Second      // how long 100 (Continue) is waited for before the body is sent all the same
)

// worker is one server that requests are passed on to.
type worker struct {
	index int
	host  int // virtual host of its definition
	pos   conf.Pos
	t     *target
	p     params
	pool  *http.Transport
	fresh *http.Transport // keeps no connection
	slots chan struct{}   // max=; nil: any number
	cache tls.ClientSessionCache

	mu      sync.Mutex
	failed  time.Time // when it went out of service; zero: it is in service
	busy    int       // requests
	status  int       // byrequests
	traffic int64     // bytes
}

// registry is everything that the configuration says about servers.
type registry struct {
	workers   []*worker
	balancers map[balancerKey]*balancer
	sets      []setting
	engine    bool    // some scope has SSLProxyEngine On
	dynamic   *worker // for URLs of rules that no ProxyPass has
}

// setting is a ProxySet for a server.
type setting struct {
	host int
	name string
	p    params
	pos  conf.Pos
}

func newRegistry() *registry {
	reg := &registry{balancers: map[balancerKey]*balancer{}}
	reg.dynamic = &worker{index: -1, t: &target{}, p: params{reuse: httpd.Some(false)}}
	return reg
}

func (reg *registry) add(k *httpd.Cmd, t *target, p params) *worker {
	w := &worker{index: len(reg.workers), host: k.HostIndex, pos: k.Pos, t: t, p: p}
	reg.workers = append(reg.workers, w)
	return w
}

// finish applies what stands elsewhere than the definition and opens pools;
// nothing is connected.
func (reg *registry) finish(report func(conf.Diagnostic)) {
	for _, s := range reg.sets {
		found := false
		for _, w := range reg.workers {
			if (w.host == s.host || s.host == 0) && under(w.t.name()+w.t.path, s.name) {
				w.p, found = w.p.over(s.p), true
			}
		}
		if !found {
			report(conf.Diagnostic{Severity: conf.Error, Code: "PROXY-SET", Pos: s.pos, Directive: "ProxySet",
				Message: fmt.Sprintf("no ProxyPass or BalancerMember has the URL %q", s.name)})
		}
	}
	for _, w := range reg.workers {
		if w.t.secure() && !reg.engine {
			report(conf.Diagnostic{Severity: conf.Error, Code: httpd.CodeArguments, Pos: w.pos, Directive: "ProxyPass",
				Message: w.t.scheme + ":// needs SSLProxyEngine", Suggestion: "SSLProxyEngine On, with SSLProxyVerify require"})
		}
	}
	for _, w := range append(reg.workers, reg.dynamic) {
		w.open()
	}
	for _, b := range reg.balancers {
		b.finish(report, reg)
	}
}

// under reports whether a URL is another one or below it.
func under(url, base string) bool {
	rest, ok := strings.CutPrefix(url, strings.TrimSuffix(base, "/"))
	return ok && (rest == "" || rest[0] == '/')
}

// find is the server for a URL that a rule made: the one with the longest URL
// in common, of the own host before those of the main server.
func (reg *registry) find(host int, t *target) *worker {
	var best *worker
	for _, w := range reg.workers {
		if w.host != host && w.host != 0 || w.t.name() != t.name() || !under(t.path, w.t.path) {
			continue
		}
		if best == nil || len(w.t.path) > len(best.t.path) || len(w.t.path) == len(best.t.path) && w.host == host && best.host != host {
			best = w
		}
	}
	if best == nil {
		return reg.dynamic
	}
	return best
}

// dialKey is the key of a context's *dialing.
type dialKey struct{}

// dialing is what a request says about a new connection.
type dialing struct {
	unix, address string
	timeout       time.Duration
	source        netip.Addr
	tls           *tls.Config // nil: none
}

// errConnect is a connection that could not be made: nothing was sent.
type errConnect struct{ error }

func (e errConnect) Unwrap() error { return e.error }

// open makes the pool.
func (w *worker) open() {
	idle := w.p.smax.Or(w.p.max.Or(idleMax))
	w.pool = &http.Transport{
		DisableCompression: true, DisableKeepAlives: !w.p.reuse.Or(true) || idle == 0,
		MaxIdleConnsPerHost: idle, IdleConnTimeout: w.p.ttl.Or(idleTime),
		MaxResponseHeaderBytes: maxHead, ExpectContinueTimeout: expectTime,
		DialContext: w.dial,
	}
	w.fresh = w.pool.Clone()
	w.fresh.DisableKeepAlives = true
	w.cache = tls.NewLRUClientSessionCache(0)
	if w.p.max.Set {
		w.slots = make(chan struct{}, w.p.max.V)
	}
	if w.p.on&stError != 0 {
		w.failed = time.Now()
	}
}

func (w *worker) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	d, _ := ctx.Value(dialKey{}).(*dialing)
	if d == nil {
		return nil, errors.New("no address") // cannot happen: every request has one
	}
	dialer := net.Dialer{Timeout: d.timeout, KeepAliveConfig: net.KeepAliveConfig{Enable: w.p.keep.Or(false)}}
	if !w.p.keep.Or(false) {
		dialer.KeepAlive = -1
	}
	network, address := "tcp", d.address
	if d.unix != "" {
		network, address = "unix", d.unix
	} else if d.source.IsValid() {
		dialer.LocalAddr = net.TCPAddrFromAddrPort(netip.AddrPortFrom(d.source, 0))
	}
	plain, err := dialer.DialContext(ctx, network, address)
	if err != nil {
		return nil, errConnect{err}
	}
	if d.tls == nil {
		return &conn{Conn: plain}, nil
	}
	if d.timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, d.timeout)
		defer cancel()
	}
	secure := tls.Client(plain, d.tls)
	if err := secure.HandshakeContext(ctx); err != nil {
		plain.Close()
		return nil, err
	}
	return &conn{Conn: secure}, nil
}

// acquire takes a place among max= connections; release gives it back.
func (w *worker) acquire(ctx context.Context) error {
	if w.slots == nil {
		return nil
	}
	var late <-chan time.Time
	if w.p.acquire.Set {
		t := time.NewTimer(w.p.acquire.V)
		defer t.Stop()
		late = t.C
	}
	select {
	case w.slots <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-late:
		return &httpd.StatusError{Status: http.StatusServiceUnavailable, Err: fmt.Errorf("all %d connections to %s are in use", w.p.max.V, w.t.name())}
	}
}

func (w *worker) release() {
	if w.slots != nil {
		<-w.slots
	}
}

// usable reports whether requests may go to the server: it is in service, or
// the time of retry= is over.
func (w *worker) usable(now time.Time) bool {
	if w.p.on&(stDisabled|stStopped) != 0 {
		return false
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.failed.IsZero() || now.Sub(w.failed) >= w.p.retry.Or(defaultRetry)
}

// fail takes the server out of service.
func (w *worker) fail() {
	if w == nil || w.index < 0 || w.p.on&stIgnore != 0 || w.p.retry.Set && w.p.retry.V == 0 {
		return
	}
	w.mu.Lock()
	w.failed = time.Now()
	w.mu.Unlock()
}

// works puts it back.
func (w *worker) works() {
	w.mu.Lock()
	w.failed = time.Time{}
	w.mu.Unlock()
}

// begin and end count requests and bytes.
func (w *worker) begin() {
	w.mu.Lock()
	w.busy++
	w.mu.Unlock()
}

func (w *worker) end(bytes int64) {
	w.mu.Lock()
	w.busy--
	w.traffic += bytes
	w.mu.Unlock()
}
