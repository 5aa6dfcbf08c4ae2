// The reactor: one epoll set, edge-triggered connections, a table by
// descriptor. Connection states:
//
//	state     | who owns the connection      | next
//	idle      | nobody: waiting for an event | busy (leader on an event, drain)
//	busy      | the thread that set it       | idle; closed
//	busyEvent | same, and an event came      | busy (the owner looks again)
//	closed    | nobody, descriptor gone      |
//
// A connection is registered once for reading and writing, edge-triggered, so
// no request costs an epoll_ctl. Whoever makes it idle must have seen EAGAIN
// (or a short read) since the last event; the busyEvent state closes the race.
package listen

import (
	"context"
	"errors"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"modwsgi/gocore/internal/balance"
)

const (
	stIdle uint32 = iota
	stBusy
	stBusyEvent
	stClosed
)

const maxFD = 1 << 16 // connections are in a table by descriptor

// Times of the reactor itself.
const (
	janitorGap = 250 * time.Millisecond // resolution of connection time-outs
	sendChunk  = 4 << 20                // bytes of a file that one connection sends before it is the others' turn
)

// Reactor serves plaintext HTTP/1 on inherited listeners. Create with New,
// then Start; all methods are safe from any goroutine.
type Reactor struct {
	h        Handler
	mem      Memory
	ep       int
	evfd     int
	files    []*os.File // the listeners: a collected File would close its descriptor
	lfds     map[int]bool
	watches  map[int]func() // set before Start
	track    func(fd int, open bool)
	events   []syscall.EpollEvent
	ready    []readyEvent
	held     []*Conn // the leader's: responses that leave together, see held_linux.go
	batchAt  int64   // the leader's: since when something is held, hops and forwards included; 0 nothing
	due      bool    // the leader's: it is time to send that
	heldBuf  [holdCount]*Conn
	conns    []atomic.Pointer[Conn]
	top      int        // above every descriptor that was a connection; under mu
	mu       sync.Mutex // accept, close, janitor, pool of requests
	pool     []*Req
	nconn    atomic.Int64
	nextID   uint64
	start    time.Time
	wall     int64 // start in microseconds since the epoch
	lead     leadership
	group    []*Reactor // with others of this process, and itself; nil: alone
	parallel bool       // Python threads do not wait for each other
	hop      hopReactor
	fw       Forwarder    // the handler, if it is one
	sent     bool         // the leader's: requests were forwarded that FlushForwards has not sent
	forwards atomic.Int64 // requests that are with the Forwarder
	sides    sync.Pool    // threads for goroutines that go on with a connection
	streams  atomic.Int64 // goroutines that write responses
	h2dirty  []*h2Conn    // the leader's: with output that leaves at the end of the batch
	h2live   atomic.Int64 // streams of HTTP/2 that are open
	ctx      context.Context
	cancel   context.CancelFunc
	draining atomic.Bool
	drained  atomic.Bool  // Drain was called
	accepts  atomic.Int32 // calls of accept: they may have connections that are not counted yet
	handoff  atomic.Bool
	stopped  atomic.Bool
	done     chan struct{}
	doneOnce sync.Once
	onStart  func(thread int) error
	onReady  func() error
	onEnd    func()
	onPanic  func(c *Conn, value any, stack []byte)

	queueTimeout, flushDelay time.Duration // of Config

	scarcity scarcity
	siblings *balance.Member
	share    func(fd int, pending []byte, to int) bool
}

// readyEvent is an event of epoll, or (c) a request that came over the hop, or of a stream of HTTP/2.
type readyEvent struct {
	fd int32
	ev uint32
	c  *Conn
}

// New prepares the epoll set. Nothing is accepted before Start.
func New(c Config) (*Reactor, error) {
	r := &Reactor{files: c.Listeners, h: c.Handler, mem: c.Memory, lfds: map[int]bool{}, watches: map[int]func(){}, track: c.Track, events: make([]syscall.EpollEvent, 256),
		conns: make([]atomic.Pointer[Conn], maxFD), start: time.Now(), done: make(chan struct{}), onStart: c.ThreadStart, onReady: c.Ready, onEnd: c.ThreadEnd, onPanic: c.Panic,
		queueTimeout: c.QueueTimeout, flushDelay: c.FlushDelay, scarcity: scarcity{tell: c.Exhausted}, siblings: c.Siblings, share: c.Share}
	if r.track == nil {
		r.track = func(int, bool) {}
	}
	r.nextID = uint64(os.Getpid())<<40 ^ uint64(time.Now().UnixNano())&0xffffff<<16
	r.wall = r.start.UnixMicro()
	r.ctx, r.cancel = context.WithCancel(context.Background())
	ep, err := syscall.EpollCreate1(syscall.EPOLL_CLOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("epoll_create1", err)
	}
	r.ep = ep
	e, _, no := syscall.Syscall(syscall.SYS_EVENTFD2, 0, syscall.O_NONBLOCK|syscall.O_CLOEXEC, 0)
	if no != 0 {
		return nil, os.NewSyscallError("eventfd2", no)
	}
	r.evfd = int(e)
	r.track(ep, true)
	r.track(r.evfd, true)
	if err := r.add(r.evfd, syscall.EPOLLIN); err != nil {
		return nil, err
	}
	for _, f := range c.Listeners {
		fd := int(f.Fd())
		if err := syscall.SetNonblock(fd, true); err != nil {
			return nil, os.NewSyscallError("set listener non-blocking", err)
		}
		r.lfds[fd] = true
		r.track(fd, true)
	}
	r.fw, _ = c.Handler.(Forwarder)
	r.sides.New = func() any { return &thread{r: r, scratch: make([]byte, 16<<10)} }
	r.lead.init(r, max(c.Threads, 1))
	return r, r.initHop(c.Hop)
}

// connEvents is what a connection is registered for, edge-triggered.
const connEvents = syscall.EPOLLIN | syscall.EPOLLOUT | syscall.EPOLLRDHUP | 1<<31 // EPOLLET

const epollExclusive = 1 << 28 // wakes one of the processes that share a listener

func (r *Reactor) add(fd int, ev uint32) error {
	err := syscall.EpollCtl(r.ep, syscall.EPOLL_CTL_ADD, fd, &syscall.EpollEvent{Events: ev, Fd: int32(fd)})
	return os.NewSyscallError("epoll_ctl", err)
}

// Watch calls fn on the leader when the non-blocking descriptor becomes
// readable, in order with the connections' events: what was written before a
// request was sent is seen before that request. Before Start only; fn must
// read the descriptor empty.
func (r *Reactor) Watch(fd int, fn func()) error {
	r.watches[fd] = fn
	r.track(fd, true)
	return r.add(fd, syscall.EPOLLIN)
}

// Start implements Source.
func (r *Reactor) Start() error { return startAll([]*Reactor{r}, r.onReady) }

// startAll starts reactors that serve together.
func startAll(list []*Reactor, ready func() error) error {
	for _, r := range list {
		if err := r.lead.startThreads(); err != nil {
			return err
		}
	}
	if ready != nil {
		if err := ready(); err != nil {
			return err
		}
	}
	for _, r := range list {
		if err := r.open(); err != nil {
			return err
		}
	}
	return nil
}

// open begins to accept.
func (r *Reactor) open() error {
	if err := r.listen(); err != nil {
		return err
	}
	r.siblings.Join(len(r.lead.threads))
	go r.janitor()
	return nil
}

// Done is closed when a drained reactor has no connection left.
func (r *Reactor) Done() <-chan struct{} { return r.done }

// Connections is the number of open connections.
func (r *Reactor) Connections() int { return int(r.nconn.Load()) }

func (r *Reactor) now() int64 { return int64(time.Since(r.start)) + 1 }

func (r *Reactor) wake() {
	one := [8]byte{1}
	syscall.Write(r.evfd, one[:])
}

// leaving lets every response from now on say that its connection ends.
func (r *Reactor) leaving(handoff bool) {
	r.handoff.Store(handoff)
	r.draining.Store(true)
}

// Drain stops accepting. Idle connections are handed to the successor when
// handoff is set, else closed, but for those with a request on its way; busy
// ones follow after their response.
func (r *Reactor) Drain(handoff bool) {
	r.leaving(handoff)
	if r.drained.Swap(true) {
		return
	}
	r.siblings.Leave()
	r.deafen()
	if !handoff {
		for fd := range r.lfds {
			r.accept(fd) // who waits there has been promised an answer
		}
		r.letGo()
	}
	for i := range r.conns {
		c := r.conns[i].Load()
		if c != nil {
			if h := c.h2.Load(); h != nil {
				h.kick() // the leader says goodbye
				continue
			}
		}
		if c != nil && c.state.CompareAndSwap(stIdle, stBusy) {
			if c.phase == phIdle && !r.stays(c) && (handoff || !r.promising(c)) {
				r.leave(c)
			} else {
				r.putBack(c) // mid-request: it is finished here
			}
		}
	}
	r.drainHops()
	r.lead.handQueue(handoff)
	r.checkDone()
}

// promising says of an owned connection between requests that nobody takes over
// whether it waits for an answer: a request is in the socket, or the first one
// is certainly on its way.
func (r *Reactor) promising(c *Conn) bool {
	var b [1]byte
	if n, _, err := syscall.Recvfrom(c.FD, b[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT); err == nil {
		return n > 0
	}
	if c.Requests > 0 {
		return false
	}
	c.lastChance(r.now())
	return true
}

// letGo gives up the listeners. When nobody has one any more, the system
// refuses connections, and clients try elsewhere instead of waiting for the end
// of this process. The numbers stay taken: a thread may be about to accept.
func (r *Reactor) letGo() {
	null, err := syscall.Open(os.DevNull, syscall.O_RDWR|syscall.O_CLOEXEC, 0)
	if err != nil {
		return
	}
	defer syscall.Close(null)
	for fd := range r.lfds {
		_ = syscall.Dup3(null, fd, syscall.O_CLOEXEC) // else it stays open a little longer
	}
}

// putBack gives up a connection that was only looked at. An event that came
// meanwhile was left to us, and no other follows it.
func (r *Reactor) putBack(c *Conn) {
	if !r.release(c) {
		go r.aside(c)
	}
}

// aside goes on with an owned connection on a goroutine of its own; requests
// for the application go to the Python threads.
func (r *Reactor) aside(c *Conn) {
	th := &thread{r: r, scratch: make([]byte, 16<<10), serving: c}
	defer th.guard(nil)
	r.serve(th, c)
}

// leave hands an owned connection without a request in progress to the successor, or closes it.
func (r *Reactor) leave(c *Conn) {
	if r.handoff.Load() {
		var pending []byte
		if c.req != nil {
			pending = c.req.Input()
		}
		if r.handOver(c, c.handover(pending)) {
			return
		}
	}
	r.close(c)
}

// handOver passes an owned connection to the successor and forgets it; false:
// impossible, it is still here.
func (r *Reactor) handOver(c *Conn, pending []byte) bool { return r.send(c, pending, r.h.Handoff) }

// send passes an owned connection to another process. The epoll set has to let
// go of it first: closing our descriptor does not do it while the supervisor
// has another one, and the connection may come back.
func (r *Reactor) send(c *Conn, pending []byte, by func(fd int, pending []byte) bool) bool {
	if c.h2s != nil {
		return r.relayH2(c, pending, by)
	}
	if c.wire != nil {
		return r.relay(c, pending, by)
	}
	syscall.EpollCtl(r.ep, syscall.EPOLL_CTL_DEL, c.FD, nil)
	if by(c.FD, pending) {
		r.close(c)
		return true
	}
	if err := r.add(c.FD, connEvents); err != nil {
		r.close(c)
		return true
	}
	return false
}

func (r *Reactor) checkDone() {
	if r.draining.Load() && r.nconn.Load() == 0 && r.h2live.Load() == 0 && r.accepts.Load() == 0 {
		r.doneOnce.Do(func() { close(r.done) })
	}
}

// Adopt takes over a connection from another process with bytes it had read.
func (r *Reactor) Adopt(fd int, pending []byte) error {
	if fd >= maxFD {
		syscall.Close(fd)
		return errors.New("adopt connection: too many open descriptors")
	}
	if err := syscall.SetNonblock(fd, true); err != nil {
		syscall.Close(fd)
		return os.NewSyscallError("set connection non-blocking", err)
	}
	pass, pending, err := unpack(pending)
	if err != nil {
		syscall.Close(fd)
		return err
	}
	c := r.newConn(fd, pass)
	if c == nil {
		return errors.New("adopt connection: refused")
	}
	c.adopted = r.now()
	if len(pending) > 0 {
		r.need(c)
		q := c.req
		r.mem.grow(q, uint64(len(pending))+inStart)
		copy(q.inBuf(), pending)
		q.InLen = uint64(len(pending))
	}
	return r.register(c)
}

func sockaddr(sa syscall.Sockaddr) netip.AddrPort {
	switch a := sa.(type) {
	case *syscall.SockaddrInet4:
		return netip.AddrPortFrom(netip.AddrFrom4(a.Addr), uint16(a.Port))
	case *syscall.SockaddrInet6:
		return netip.AddrPortFrom(netip.AddrFrom16(a.Addr).Unmap(), uint16(a.Port))
	}
	return netip.AddrPort{}
}

// newConn is nil, and the descriptor closed, when the handler panics.
func (r *Reactor) newConn(fd int, pass *passport) *Conn {
	c := &Conn{FD: fd, home: home{r}}
	if sa, err := syscall.Getpeername(fd); err == nil {
		c.Remote = sockaddr(sa)
	}
	if sa, err := syscall.Getsockname(fd); err == nil {
		c.Local = sockaddr(sa)
	}
	if pass != nil {
		c.Remote, c.Local = pass.Remote, pass.Local
	} else if c.Remote.IsValid() {
		syscall.SetsockoptInt(fd, syscall.IPPROTO_TCP, syscall.TCP_NODELAY, 1)
	}
	if !opened(r.h, r.onPanic, c) {
		syscall.Close(fd)
		return nil
	}
	if pass != nil && !taken(r.h, r.onPanic, c, pass) {
		syscall.Close(fd)
		return nil
	}
	r.mu.Lock()
	r.nextID++
	c.ID = r.nextID // before bind: the request has a copy, by which the environ's cache knows the connection
	r.mu.Unlock()
	c.state.Store(stIdle)
	c.stage(r.now(), c.Settings.Header)
	return c
}

func (r *Reactor) register(c *Conn) error {
	r.mu.Lock()
	r.siblings.Connections(int(r.nconn.Add(1)))
	r.track(c.FD, true)
	r.conns[c.FD].Store(c)
	r.top = max(r.top, c.FD+1)
	r.mu.Unlock()
	err := r.add(c.FD, connEvents)
	if err != nil {
		r.close(c)
	}
	return err
}

func (r *Reactor) accept(lfd int) {
	r.accepts.Add(1)
	defer func() {
		r.accepts.Add(-1)
		r.checkDone()
	}()
	for range 64 { // then let the connections that are here be served
		fd, _, err := syscall.Accept4(lfd, syscall.SOCK_NONBLOCK|syscall.SOCK_CLOEXEC)
		if err != nil {
			if scarce(err) {
				r.turnAway(err)
			}
			return
		}
		if fd >= maxFD {
			syscall.Close(fd)
			r.turnAway(syscall.EMFILE)
			return
		}
		if r.siblings != nil && r.pass(fd) {
			continue
		}
		to := r.least()
		if c := to.newConn(fd, nil); c != nil {
			if r.draining.Load() && !r.handoff.Load() {
				c.lastChance(r.now())
			}
			_ = to.register(c) // closed on an error
		}
	}
}

// close releases everything of a connection that the caller owns.
func (r *Reactor) close(c *Conn) {
	if c.h2s != nil {
		r.closeH2(c)
		return
	}
	if h := c.h2.Load(); h != nil && c.state.Load() != stClosed {
		h.shut()
		defer r.newsH2(h, false)
	}
	r.mu.Lock()
	if c.state.Swap(stClosed) == stClosed {
		r.mu.Unlock()
		return
	}
	r.conns[c.FD].Store(nil)
	c.disconnect()
	r.track(c.FD, false)
	syscall.Close(c.FD) // also leaves the epoll set
	q := c.req
	if q != nil {
		c.dropFile()
		c.req = nil
		r.recycle(q)
	}
	r.siblings.Connections(int(r.nconn.Add(-1)))
	r.mu.Unlock()
	r.checkDone()
}

// recycle returns a request to the pool; mu held.
func (r *Reactor) recycle(q *Req) {
	r.mem.clear(q, len(r.pool) < keepReqs)
	r.pool = append(r.pool, q)
}

// need makes sure that the connection has a request structure.
func (r *Reactor) need(c *Conn) {
	if c.req != nil {
		return
	}
	c.bind(r.mem.take(&r.mu, &r.pool))
}

// janitor ends connections whose time is over by shutting their socket down:
// the event that this makes is handled by the leader like any other.
func (r *Reactor) janitor() {
	for range time.Tick(janitorGap) {
		if r.stopped.Load() {
			return
		}
		r.siblings.Beat()
		r.invite()
		if r.nconn.Load() == 0 {
			continue
		}
		r.level()
		if r.lead.overdue() {
			r.wake()
		}
		r.lead.lendQueue()
		now := r.now()
		r.mu.Lock()
		for i := range r.conns[:r.top] {
			c := r.conns[i].Load()
			if c == nil {
				continue
			}
			if h := c.h2.Load(); h != nil {
				h.overdueH2(now)
				continue
			}
			if c.expired.Load() {
				continue
			}
			if d := c.deadline.Load(); d == 0 || d > now {
				continue
			}
			c.expired.Store(true)
			syscall.Shutdown(c.FD, syscall.SHUT_RD)
		}
		r.mu.Unlock()
	}
}

// Stop implements Source.
func (r *Reactor) Stop() {
	r.stopped.Store(true)
	r.cancel()
	r.wake()
	r.lead.dismiss()
}
