// Pool is the front's view of one process group: one connection to each of its
// processes, opened when first needed, and a queue in front of them.
//
// Everything of a pool is guarded by one mutex that is held for moments only:
// never during a system call or a callback. A request costs no goroutine, channel or
// timer. Each connection has one goroutine that reads (conn.go); what callers
// send is written by themselves without blocking (write.go); one timer looks
// for what is overdue (sweep.go).
package hop

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// Levels of messages for Config.Log: Apache's numbers.
const (
	LogError   = 3
	LogWarning = 4
	LogInfo    = 6
	LogDebug   = 7
)

// Defaults and bounds.
const (
	defaultConnectTimeout = 15 * time.Second // mod_wsgi's connect-timeout
	defaultQueueLimit     = 100              // mod_wsgi's listen-backlog
	maxQueue              = 1 << 16          // requests in the queue of a pool
	queueBytesMin         = 16 << 20         // memory of requests in it, whatever QueueLimit is;
	queueBytesEach        = 256 << 10        // as many bytes for each of QueueLimit
	maxThreads            = 1 << 16          // of a process, whatever its Hello says
)

// Config of a Pool.
type Config struct {
	Group      string   // name, for messages
	Sockets    []string // path of each process's socket; the index is the slot
	Threads    int      // of each process: more in its Hello are not believed. 0: whatever it says
	Generation uint32   // a process of another one is not talked to
	// AnyGeneration allows processes of other generations.
	AnyGeneration bool

	ConnectTimeout time.Duration // how long a request waits while no process serves; 0: 15 s
	SocketTimeout  time.Duration // no progress while the process owes some; 0: none
	QueueTimeout   time.Duration // how old a request may be when a process takes it; 0: any age
	// QueueLimit is listen-backlog: requests beyond so many waiting ones fail
	// when they have waited for ConnectTimeout, and those for which there is no
	// memory (queueBytes) at once. 0: 100.
	QueueLimit int
	// Window is response-buffer-size: how many bytes of a response may be on the
	// way to a client that does not read them, before its application waits. 0: ResponseWindow.
	Window int

	// PeerUID and PeerPID say who must have made the listening sockets: the
	// supervisor. -1: anybody. The process is only checked on Linux.
	PeerUID, PeerPID int

	Log   func(level int, msg string) // nil: nowhere
	Track func(fd int, open bool)     // learns of descriptors after they were opened and before they are closed; may be nil
	// Batch is called after the callbacks that one read brought, on their
	// goroutine: what they prepared can be written together. There are as many such
	// goroutines as connections, and some for failures. May be nil.
	Batch func()
}

// Pool is safe for use by several goroutines.
type Pool struct {
	cfg    Config
	base   time.Time // of the pool's clock
	ctx    context.Context
	cancel context.CancelFunc
	ndirty atomic.Int32 // len(dirty), to be seen without the lock

	mu       sync.Mutex
	ended    *sync.Cond // running became 0
	running  int        // goroutines of the pool
	slots    []slot
	first    int      // where placement begins among equals: another one in each front process
	queue    xlist    // requests that wait for a process
	conns    []*conn  // all, also those that are draining
	dirty    []*conn  // of them, those with something to be written
	plans    [][]byte // keys by number, from 1
	planOf   map[string]uint32
	lost     int64 // pool clock when a process that took requests was lost
	open     int   // exchanges that have not ended
	typical  int64 // moving average of the time of a request, ns
	sweeping bool
	sweeper  *time.Timer
	failed   []failedExchange // to be told to their handlers
	telling  bool
	closing  bool
	quiet    bool          // idle is closed
	idle     chan struct{} // closed when closing and nothing is open
}

// slot is one process of the group, whichever process that is at the time.
type slot struct {
	index    int
	path     string
	conn     *conn // takes requests
	dialing  bool  // a goroutine tries, or waits for Hello
	half     bool  // connected, and waits for Hello
	state    State // as the supervisor says
	next     int64 // pool clock before which it is not dialled again
	slept    int64 // by the back-off since the last success, ns
	hopeless bool  // the last attempt failed in a way that waiting does not mend
	err      error // of the last attempt
	pid      uint32
	total    uint64
	errors   uint64
}

// NewPool makes a pool. It opens nothing yet.
func NewPool(cfg Config) *Pool {
	if cfg.ConnectTimeout <= 0 {
		cfg.ConnectTimeout = defaultConnectTimeout
	}
	if cfg.QueueLimit <= 0 {
		cfg.QueueLimit = defaultQueueLimit
	}
	if cfg.Window <= 0 {
		cfg.Window = ResponseWindow
	}
	cfg.Window = min(cfg.Window, MaxWindow)
	if cfg.Log == nil {
		cfg.Log = func(int, string) {}
	}
	p := &Pool{cfg: cfg, base: time.Now(), idle: make(chan struct{}), typical: int64(time.Second)}
	p.ended = sync.NewCond(&p.mu)
	p.ctx, p.cancel = context.WithCancel(context.Background())
	for i, path := range cfg.Sockets {
		p.slots = append(p.slots, slot{index: i, path: path})
	}
	if n := len(p.slots); n > 0 {
		p.first = os.Getpid() % n
	}
	return p
}

// now is the pool's clock, in ns; never 0.
func (p *Pool) now() int64 { return int64(time.Since(p.base)) + 1 }

func (p *Pool) logf(level int, format string, args ...any) {
	p.cfg.Log(level, fmt.Sprintf("process group '%s': ", p.cfg.Group)+fmt.Sprintf(format, args...))
}

// Plan gives the number for requests whose Key this is: it is sent once to each
// process instead of with each request. Plans are never forgotten; 0: there are too many, or the key is too long.
func (p *Pool) Plan(key []byte) uint32 {
	p.mu.Lock()
	defer p.mu.Unlock()
	if n := p.planOf[string(key)]; n != 0 {
		return n
	}
	if len(p.plans) == MaxPlans || len(key) == 0 || len(key) > MaxPayload {
		return 0
	}
	if p.planOf == nil {
		p.planOf = map[string]uint32{}
	}
	p.plans = append(p.plans, bytes.Clone(key))
	n := uint32(len(p.plans))
	p.planOf[string(key)] = n
	return n
}

// Do sends a request, or queues it. It never blocks, copies what it needs of r
// before it returns, and calls nothing of h itself; callbacks may come before it
// returns. With a nil handler the caller waits in Exchange.Response. With more the caller promises Flush, and nothing is written before it
// (or before somebody else's).
func (p *Pool) Do(r *Request, h Handler, more bool) *Exchange {
	x := exchanges.Get().(*Exchange)
	if x.pool, x.h = p, h; h == nil {
		x.response = newResponse(x)
		x.h = x.response
	}
	size := r.size()
	x.plan = r.Plan
	if size <= MaxRequest {
		x.buf = newBuffer(size)
		x.buf.b = r.appendPayload(x.buf.b, uint32(p.cfg.Window))
	}
	x.whole = r.Complete()
	x.complete = x.whole
	if x.since = r.QueueUs; x.since == 0 {
		x.since = r.StartUs
	}
	now := p.now()
	p.mu.Lock()
	p.open++
	x.state = exQueued
	x.arrival = now
	switch {
	case size > MaxRequest:
		p.fail(x, Failure{Kind: TooLarge, Status: 500, Slot: -1, Message: fmt.Sprintf("the request takes %d bytes, more than %d", size, MaxRequest)})
	case p.closing || len(p.slots) == 0:
		p.fail(x, p.unreachable("the process group is shut down"))
	default:
		if p.queue.n == 0 {
			if c := p.pick(now); c != nil {
				p.send(x, c, now)
				break
			}
		}
		p.enqueue(x, now)
	}
	p.sweepSoon()
	p.mu.Unlock()
	if !more {
		p.Flush()
	}
	return x
}

// enqueue appends to the queue a request that no process can take now.
func (p *Pool) enqueue(x *Exchange, now int64) {
	if p.queue.n >= maxQueue || p.queue.n > 0 && p.queue.bytes+x.buf.size() > p.queueBytes() {
		p.fail(x, p.queueFull())
		return
	}
	p.wait(x, now)
	p.place(now)
	p.dialMissing()
}

// queueBytes is how much memory the queue may take. A group that hangs must not
// take all of it from the others.
func (p *Pool) queueBytes() int { return max(queueBytesMin, p.cfg.QueueLimit*queueBytesEach) }

// Flush writes what Do(..., true) left. It never blocks: what a socket does not
// take at once is written by a goroutine.
func (p *Pool) Flush() {
	if p.ndirty.Load() == 0 {
		return
	}
	p.mu.Lock()
	for len(p.dirty) > 0 {
		c := p.dirty[len(p.dirty)-1]
		p.dirty = p.dirty[:len(p.dirty)-1]
		p.ndirty.Store(int32(len(p.dirty)))
		c.dirty = false
		p.write(c)
	}
	p.mu.Unlock()
}

// Close takes no new requests, waits until those it has have ended, and closes
// the connections. When ctx ends first the rest fail. No callback comes after
// Close has returned, but for a request that is given to Do later and fails. Not to be called from a callback.
func (p *Pool) Close(ctx context.Context) error {
	p.mu.Lock()
	p.closing = true
	p.settle()
	p.mu.Unlock()
	var err error
	select {
	case <-p.idle:
	case <-ctx.Done():
		err = ctx.Err()
	}
	p.cancel()
	p.mu.Lock()
	for x := p.queue.first; x != nil; x = p.queue.first {
		p.queue.remove(x)
		p.fail(x, p.unreachable("the server stops"))
	}
	if p.sweeper != nil && p.sweeper.Stop() {
		p.running--
	}
	for p.running > 0 {
		p.ended.Wait()
	}
	p.mu.Unlock()
	return err
}

// settle tells Close when nothing is open any more. Holds the lock.
func (p *Pool) settle() {
	if p.closing && p.open == 0 && !p.quiet {
		p.quiet = true
		close(p.idle)
	}
}

// spawn starts a goroutine that Close waits for. Holds the lock.
func (p *Pool) spawn(f func()) {
	p.running++
	go func() {
		f()
		p.mu.Lock()
		p.leave()
		p.mu.Unlock()
	}()
}

// leave ends what running counts. Holds the lock.
func (p *Pool) leave() {
	if p.running--; p.running == 0 {
		p.ended.Broadcast()
	}
}

// SlotStats is the state of one process.
type SlotStats struct {
	PID       int    // of the latest process, as it says; 0: none was reached yet
	Connected bool   // it takes requests
	Threads   int    // 0: not connected
	InFlight  int    // requests of this front that it has
	Total     uint64 // requests sent to the slot
	Errors    uint64 // of them: application failed before its head, lost, broken, timed out
	LastError string // why it is not connected
}

// Stats is the state of a pool.
type Stats struct {
	Slots  []SlotStats
	Queued int
}

// Stats is for status pages.
func (p *Pool) Stats() Stats {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := Stats{Queued: p.queue.n}
	for i := range p.slots {
		sl := &p.slots[i]
		t := SlotStats{PID: int(sl.pid), Total: sl.total, Errors: sl.errors}
		if c := sl.conn; c != nil {
			t.Connected, t.Threads, t.InFlight = true, c.threads, c.busy
		} else if sl.err != nil {
			t.LastError = sl.err.Error()
		}
		s.Slots = append(s.Slots, t)
	}
	return s
}

// track tells of a connection's descriptor.
func (p *Pool) track(nc net.Conn, open bool) {
	if p.cfg.Track == nil {
		return
	}
	if u, ok := nc.(*net.UnixConn); ok {
		if raw, err := u.SyscallConn(); err == nil {
			raw.Control(func(fd uintptr) { p.cfg.Track(int(fd), open) })
		}
	}
}
