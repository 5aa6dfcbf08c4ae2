//go:build linux || darwin || freebsd

// The second source of requests: a goroutine per connection over net.Conn. It
// serves where there is no reactor (build tag netconn: on Linux too).
//
//	goroutine of a connection | does                                | next
//	reading                   | waits for a head or body (deadline) | routed; handed over or closed by Drain; closed
//	deciding                  | Handler.Decide, which may wait      | reading (the body), queued, writing
//	queued                    | waits for a Python thread           | running
//	running                   | waits for its Python thread         | writing
//	away                      | waits for the answer of a process   | writing, running
//	streaming                 | Conn.Stream writes as it pleases    | reading, lingering, closed
//	writing                   | waits for a slow reader (deadline)  | reading, lingering, closed
//	lingering                 | discards what still comes           | closed
//
// Python threads are locked goroutines that take requests from a channel; they
// run the application and nothing else, so a thread never waits for a client
// whose response is complete. While one runs, the C side may use the descriptor
// directly (input.c, response.c). RawConn.Control keeps it open for that time,
// and the connection's goroutine, the only one that reads, writes or closes
// through Go's poller, waits meanwhile: the two are never at it together.
package listen

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"modwsgi/gocore/internal/balance"
)

// flushGap is how often the blocks of streaming responses are sent while the
// application goes on.
const flushGap = time.Millisecond

// NetSource is the Source made of goroutines. Create with NewNet.
type NetSource struct {
	h         Handler
	mem       Memory
	listeners []net.Listener
	track     func(fd int, open bool)
	onStart   func(thread int) error
	onReady   func() error
	onEnd     func()
	onPanic   reporter
	scarcity  scarcity
	siblings  *balance.Member
	share     func(fd int, pending []byte, to int) bool
	active    *atomic.Int32 // threads in the application; siblings see it
	threads   []*pyThread

	queueTimeout, flushDelay time.Duration // of Config

	jobs     chan job
	running  atomic.Int32 // requests in the application or in the queue, which the flusher looks after
	h2live   atomic.Int32 // streams of HTTP/2 that are open
	aside    atomic.Int32 // all others: streams, decided somewhere, forwarded, of the hop
	fw       Forwarder    // the handler, if it is one
	unpark   chan struct{}
	start    time.Time
	wall     int64 // start in microseconds since the epoch
	draining atomic.Bool
	handoff  atomic.Bool
	ctx      context.Context // ends with Stop, for streams
	cancel   context.CancelFunc
	leave    chan struct{} // closed by Drain: the queue goes to the successor
	stop     chan struct{}
	stopOnce sync.Once
	done     chan struct{}
	doneOnce sync.Once
	mu       sync.Mutex // the fields below
	conns    map[*netConn]struct{}
	pool     []*Req
	nextID   uint64
	hop      hopNet
}

// job is a request for a Python thread, of one or the other.
type job struct {
	n      *netConn // its goroutine waits for the result
	stream *Conn    // see hop_netconn.go
}

// pyThread is a locked goroutine that runs the application.
type pyThread struct {
	id     int
	cur    atomic.Pointer[Req]
	seen   uint64 // the flusher's: output of cur at its last look, and since when it is unchanged
	seenAt int64
}

// netConn is a connection and what its goroutine needs.
type netConn struct {
	*Conn
	s       *NetSource
	nc      duplex
	tcp     socket // under nc; nil: it is a stream of HTTP/2, see h2_netconn.go
	raw     syscall.RawConn
	result  chan outcome
	decide  bool         // the Python thread is to call Decide, not Run
	busy    bool         // a stream reads: Drain must not wake it; guarded by NetSource.mu
	given   bool         // hijacked: the connection is the handler's to close
	move    atomic.Int32 // 1 + number of the sibling that is to have it when it is idle; 0 none
	scratch []byte       // for the chunk decoder, made when needed
}

// outcome is how a request on a Python thread ended.
type outcome int

const (
	ranOK       outcome = iota
	ranAway             // not at all: this process is being replaced
	ranPanic            // reported already
	ranStopped          // not at all: the source was stopped
	ranLate             // not at all: longer in the queue than QueueTimeout
	ranGone             // not at all: the connection is the successor's
	ranUnwanted         // not at all: its client, of HTTP/2, has given it up
)

// duplex is a connection one direction of which can be closed.
type duplex interface {
	net.Conn
	CloseWrite() error
}

// socket is what the listeners accept: TCP or Unix stream sockets.
type socket interface {
	duplex
	syscall.Conn
}

// NewNet prepares the listeners. Nothing is accepted before Start.
func NewNet(c Config) (*NetSource, error) {
	s := &NetSource{h: c.Handler, mem: c.Memory, track: c.Track, onStart: c.ThreadStart, onReady: c.Ready, onEnd: c.ThreadEnd, onPanic: c.Panic, scarcity: scarcity{tell: c.Exhausted},
		siblings: c.Siblings, share: c.Share, active: c.Siblings.Active(),
		queueTimeout: c.QueueTimeout, flushDelay: c.FlushDelay, jobs: make(chan job),
		unpark: make(chan struct{}, 1), start: time.Now(), stop: make(chan struct{}), leave: make(chan struct{}), done: make(chan struct{}), conns: map[*netConn]struct{}{}}
	s.fw, _ = c.Handler.(Forwarder)
	if s.track == nil {
		s.track = func(int, bool) {}
	}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	s.wall = s.start.UnixMicro()
	s.nextID = uint64(os.Getpid())<<40 ^ uint64(s.start.UnixNano())&0xffffff<<16
	for i := range max(c.Threads, 1) {
		s.threads = append(s.threads, &pyThread{id: i + 1})
	}
	for _, f := range c.Listeners {
		l, err := net.FileListener(f) // a duplicate: the file stays the caller's
		if err != nil {
			s.closeListeners()
			return nil, err
		}
		s.listeners = append(s.listeners, l)
		s.trackListener(l, true)
	}
	if err := s.initHop(c.Hop); err != nil {
		s.closeListeners()
		return nil, err
	}
	return s, nil
}

func (s *NetSource) trackListener(l net.Listener, open bool) {
	if c, ok := l.(syscall.Conn); ok {
		if raw, err := c.SyscallConn(); err == nil {
			_ = raw.Control(func(fd uintptr) { s.track(int(fd), open) }) // it is open
		}
	}
}

func (s *NetSource) closeListeners() {
	for _, l := range s.listeners {
		s.trackListener(l, false)
		_ = l.Close() // the socket itself is the supervisor's
	}
}

// Start implements Source.
func (s *NetSource) Start() error {
	if n := cpus + len(s.threads) + 4; runtime.GOMAXPROCS(0) < n {
		runtime.GOMAXPROCS(n) // a thread blocked in C keeps its P for a while
	}
	errs := make(chan error, len(s.threads))
	for _, th := range s.threads {
		go s.python(th, errs)
	}
	var first error
	for range s.threads {
		if err := <-errs; err != nil && first == nil {
			first = err
		}
	}
	if first != nil {
		s.Stop()
		return first
	}
	if s.onReady != nil {
		if err := s.onReady(); err != nil {
			s.Stop()
			return err
		}
	}
	go s.flusher()
	if s.siblings != nil {
		s.siblings.Join(len(s.threads))
		go s.leveler()
	}
	for _, l := range s.listeners {
		go s.accept(l)
	}
	s.startHop()
	return nil
}

// python is a Python thread.
func (s *NetSource) python(th *pyThread, started chan<- error) {
	runtime.LockOSThread() // for good: the thread has a Python thread state
	var err error
	if s.onStart != nil {
		err = s.onStart(th.id)
	}
	started <- err
	if err != nil {
		return
	}
	for {
		select {
		case j := <-s.jobs:
			if j.stream != nil {
				s.runHop(j.stream)
			} else {
				j.n.result <- s.call(th, j.n)
			}
		case <-s.stop:
			if s.onEnd != nil {
				s.onEnd()
			}
			return
		}
	}
}

// call runs one request on a Python thread.
func (s *NetSource) call(th *pyThread, n *netConn) (o outcome) {
	c := n.Conn
	s.active.Add(1)
	defer func() {
		s.active.Add(-1)
		th.cur.Store(nil)
		if v := recover(); v != nil {
			s.onPanic.report(c, v)
			o = ranPanic
		}
	}()
	atomic.StoreUint32(&c.req.Phase, 0)
	if n.decide {
		c.action = s.h.Decide(c, c.req, true)
		return ranOK
	}
	if c.h2s != nil && c.h2s.gone.Load() {
		return ranUnwanted
	}
	th.cur.Store(c.req)
	if !s.h.Run(c, c.req) {
		return ranAway
	}
	return ranOK
}

// flusher sends what streaming applications have buffered so far. It sleeps
// while nothing runs.
func (s *NetSource) flusher() {
	for {
		if s.running.Load() == 0 {
			select {
			case <-s.unpark:
			case <-s.stop:
				return
			}
		}
		time.Sleep(flushGap)
		for _, th := range s.threads {
			if q := th.cur.Load(); q != nil && atomic.LoadUint32(&q.Streaming) != 0 && s.ripe(th, q) {
				flushStream(q)
			}
		}
	}
}

// ripe reports whether what a stream has buffered has waited long enough for more.
func (s *NetSource) ripe(th *pyThread, q *Req) bool {
	if s.flushDelay <= 0 {
		return true
	}
	now := s.now()
	if n := atomic.LoadUint64(&q.OutLen); n != th.seen {
		th.seen, th.seenAt = n, now
	}
	return now-th.seenAt >= int64(s.flushDelay)
}

// flushStream sends without waiting. The lock keeps the application's thread
// away; Streaming under the lock tells that the descriptor is still in use.
func flushStream(q *Req) {
	if !atomic.CompareAndSwapUint32(&q.OutLock, 0, 1) {
		return
	}
	if atomic.LoadUint32(&q.Streaming) != 0 && q.OutLen > q.OutOff && q.Aborted == 0 {
		n, err := 0, syscall.Errno(0)
		if q.Wire != 0 {
			n, err = Wires{}.Write(q.Wire, q.pendingOut())
		} else {
			n, err = sockSend(int(q.FD), q.pendingOut())
		}
		if err == 0 {
			q.OutOff += uint64(n)
			q.sent(uint64(n))
			if q.OutOff == q.OutLen {
				q.OutOff, q.OutLen = 0, 0
			}
		}
	}
	atomic.StoreUint32(&q.OutLock, 0)
}

func (s *NetSource) accept(l net.Listener) {
	for {
		nc, err := l.Accept()
		switch {
		case err == nil:
			if s.siblings == nil || !s.passNew(nc.(socket)) {
				_ = s.take(nc.(socket), nil) // the handler's panic was reported
			}
		case errors.Is(err, net.ErrClosed):
			return
		default:
			if scarce(err) {
				s.scarcity.note(err, s.Connections())
			}
			time.Sleep(10 * time.Millisecond) // do not spin
		}
	}
}

// Adopt implements Source.
func (s *NetSource) Adopt(fd int, pending []byte) error {
	f := os.NewFile(uintptr(fd), "connection")
	defer f.Close()
	nc, err := net.FileConn(f)
	if err != nil {
		return err
	}
	sock, ok := nc.(socket)
	if !ok {
		_ = nc.Close() // it was no connection
		return errors.New("adopt connection: not a stream socket")
	}
	return s.take(sock, pending)
}

// take starts the goroutine of a connection.
func (s *NetSource) take(nc socket, pending []byte) error {
	came := pending != nil
	pass, pending, err := unpack(pending)
	if err != nil {
		_ = nc.Close() // it is not the client's fault, but who it is is not known
		return err
	}
	raw, err := nc.SyscallConn()
	if err != nil {
		_ = nc.Close() // already
		return err
	}
	c := &Conn{Local: addrPort(nc.LocalAddr()), Remote: addrPort(nc.RemoteAddr())}
	n := &netConn{Conn: c, s: s, nc: nc, tcp: nc, raw: raw, result: make(chan outcome, 1)}
	_ = raw.Control(func(fd uintptr) { // it is open
		c.FD = int(fd)
		prepare(c.FD)
	})
	if pass != nil {
		c.Remote, c.Local = pass.Remote, pass.Local
	}
	if !opened(s.h, s.onPanic, c) || pass != nil && !taken(s.h, s.onPanic, c, pass) {
		_ = nc.Close() // nothing was sent
		return errors.New("open connection: the handler panicked")
	}
	s.track(c.FD, true)
	s.mu.Lock()
	s.nextID++
	c.ID = s.nextID
	s.conns[n] = struct{}{}
	s.siblings.Connections(len(s.conns))
	s.mu.Unlock()
	c.stage(s.now(), c.Settings.Header)
	if came {
		c.adopted = s.now()
	}
	if len(pending) > 0 {
		n.need()
		s.mem.grow(c.req, uint64(len(pending))+inStart)
		copy(c.req.inBuf(), pending)
		c.req.InLen = uint64(len(pending))
	}
	go n.serve()
	return nil
}

func addrPort(a net.Addr) netip.AddrPort {
	if t, ok := a.(*net.TCPAddr); ok {
		p := t.AddrPort()
		return netip.AddrPortFrom(p.Addr().Unmap().WithZone(""), p.Port())
	}
	return netip.AddrPort{}
}

func (s *NetSource) now() int64 { return int64(time.Since(s.start)) + 1 }

// Done implements Source.
func (s *NetSource) Done() <-chan struct{} { return s.done }

// Connections implements Source.
func (s *NetSource) Connections() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.conns) + int(s.hop.open.Load())
}

// Running implements Source.
func (s *NetSource) Running() int { return int(s.running.Load() + s.aside.Load()) }

// Stop implements Source.
func (s *NetSource) Stop() { s.stopOnce.Do(func() { close(s.stop); s.cancel() }) }

// Drain implements Source.
func (s *NetSource) Drain(handoff bool) {
	s.handoff.Store(handoff)
	if s.draining.Swap(true) {
		return
	}
	s.siblings.Leave()
	s.closeListeners()
	if handoff {
		close(s.leave)
	}
	s.mu.Lock()
	for n := range s.conns { // whoever waits for a request looks at draining again
		if h := n.h2.Load(); h != nil {
			h.kick()
		} else if !n.busy {
			_ = n.nc.SetReadDeadline(time.Unix(1, 0)) // fails on a closed one only
		}
	}
	s.mu.Unlock()
	s.drainHops()
	s.checkDone()
}

func (s *NetSource) checkDone() {
	if s.draining.Load() && s.Connections() == 0 && s.h2live.Load() == 0 {
		s.doneOnce.Do(func() { close(s.done) })
	}
}

// need makes sure that the connection has a request structure.
func (n *netConn) need() {
	if n.req != nil {
		return
	}
	n.bind(n.s.mem.take(&n.s.mu, &n.s.pool))
}

// lend gives the request structure back; mu held.
func (n *netConn) lend() {
	if q := n.req; q != nil {
		n.dropFile()
		n.req = nil
		n.s.mem.clear(q, len(n.s.pool) < keepReqs)
		n.s.pool = append(n.s.pool, q)
	}
}

// close ends the connection: its goroutine's last act.
func (n *netConn) close() {
	if n.h2s != nil {
		n.closeH2()
		return
	}
	s := n.s
	if h := n.h2.Load(); h != nil {
		h.shut()
		n.newsH2(h)
	}
	s.track(n.FD, false)
	if !n.given {
		_ = n.nc.Close() // what was not sent cannot be sent any more
	}
	s.mu.Lock()
	n.lend()
	n.disconnect()
	delete(s.conns, n)
	s.siblings.Connections(len(s.conns))
	s.mu.Unlock()
	s.checkDone()
}

var (
	_ Source  = (*NetSource)(nil)
	_ Resumer = (*NetSource)(nil)
	_ socket  = (*net.TCPConn)(nil)
	_ socket  = (*net.UnixConn)(nil)
)
