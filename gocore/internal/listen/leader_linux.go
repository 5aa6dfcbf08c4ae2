// Leader and followers. One thread, the leader, owns the epoll set and the
// list of ready connections and runs each request to completion itself; the
// others wait. Why: threads that fight for the GIL cost three times the CPU of
// one thread that runs to completion (docs/architecture.md has the figures).
//
//	thread state | does                                     | next
//	follower     | waits for its wake channel               | leader, worker
//	leader       | epoll, parse, run, write                 | worker (the monitor took leadership away)
//	worker       | finishes its request, then takes the     | follower
//	             | next from the queue, if any              |
//
// The monitor (monitor_linux.go) takes leadership from a leader that is held up
// inside the application and gives it to an idle follower, else to the spare
// thread. The spare runs no Python: it goes on accepting,
// reading, writing and answering what needs no application; a request for the
// application it gives, together with leadership, to a Python thread that is
// idle, or puts it into the queue. Every Python thread that comes free looks
// into the queue first, so the queue is empty whenever a Python thread idles.
package listen

import (
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"unsafe"

	"modwsgi/gocore/internal/hop"
	"modwsgi/gocore/internal/http1"
)

type wakeup struct {
	lead bool
	job  *Conn
}

// thread is one locked goroutine of the group.
type thread struct {
	r       *Reactor
	id      int
	python  bool
	leading bool // this thread's own knowledge; false as soon as it learns of the loss
	wake    chan wakeup
	cur     atomic.Pointer[Req]
	since   int64
	scratch []byte
	serving *Conn // whose handler panics if one does; nil between connections
	stat    int   // its /proc/self/task/TID/stat; -1 if there is none
	memos   http1.Memos
	seen    uint64 // the monitor's: output of cur at its last look, and since when it is unchanged
	seenAt  int64
}

// leads reports whether the thread is the leader of r, as far as it knows.
func (th *thread) leads(r *Reactor) bool { return th.leading && th.r == r }

type leadership struct {
	r         *Reactor
	threads   []*thread
	spare     *thread
	mu        sync.Mutex
	idle      []*thread // Python followers, last in first out: warm caches
	spareIdle bool
	queue     []*Conn
	busySince atomic.Int64 // reactor clock when the leader entered the application; 0 it has not, or leadership was taken; negative: lent
	recall    atomic.Bool  // the leader waits for what it has lent
	current   atomic.Pointer[thread]
	parked    atomic.Bool // the monitor sleeps
	unpark    chan struct{}
	coarse    atomic.Int64
	active    *atomic.Int32 // Python threads inside the application; siblings see it
	thinking  atomic.Int32  // requests on goroutines of their own (decide_linux.go)
}

func (l *leadership) init(r *Reactor, n int) {
	l.r = r
	l.active = r.siblings.Active()
	l.unpark = make(chan struct{}, 1)
	for i := range n {
		l.threads = append(l.threads, &thread{r: r, id: i + 1, python: true, wake: make(chan wakeup, 1), scratch: make([]byte, 16<<10)})
	}
	l.spare = &thread{r: r, wake: make(chan wakeup, 1), scratch: make([]byte, 16<<10)}
}

func (l *leadership) startThreads() error {
	// A thread blocked in C keeps its P until sysmon takes it back, up to 10 ms:
	// there must be enough for everybody.
	if n := cpus + len(l.threads) + 4; runtime.GOMAXPROCS(0) < n {
		runtime.GOMAXPROCS(n)
	}
	errs := make(chan error, len(l.threads))
	for _, th := range l.threads {
		go th.main(errs)
	}
	var first error
	for range l.threads {
		if err := <-errs; err != nil && first == nil {
			first = err
		}
	}
	if first != nil {
		return first
	}
	l.spareIdle = true
	go l.spare.main(nil)
	go l.monitor()
	l.mu.Lock()
	for i := len(l.threads) - 1; i > 0; i-- {
		l.idle = append(l.idle, l.threads[i])
	}
	l.mu.Unlock()
	l.threads[0].wake <- wakeup{lead: true}
	return nil
}

func (th *thread) main(started chan<- error) {
	runtime.LockOSThread()
	if th.python {
		th.stat, _ = syscall.Open(fmt.Sprintf("/proc/self/task/%d/stat", syscall.Gettid()), syscall.O_RDONLY|syscall.O_CLOEXEC, 0)
		th.r.track(th.stat, true)
	}
	if started != nil {
		var err error
		if th.r.onStart != nil {
			err = th.r.onStart(th.id)
		}
		started <- err
		if err != nil {
			return
		}
	}
	l := &th.r.lead
	for m := range th.wake {
		th.leading = m.lead
		if m.lead {
			l.current.Store(th)
		}
		if m.job != nil {
			th.resume(m.job)
		}
		if th.leading {
			th.loop()
		}
		for !th.r.stopped.Load() {
			job := l.next(th)
			if job == nil {
				break
			}
			th.resume(job)
		}
		if th.r.stopped.Load() {
			break
		}
	}
	if th.python && th.r.onEnd != nil {
		th.r.onEnd()
	}
}

// dismiss lets the followers see that the reactor has stopped.
func (l *leadership) dismiss() {
	l.mu.Lock()
	idle := l.idle
	l.idle = nil
	l.mu.Unlock()
	for _, th := range idle {
		th.wake <- wakeup{}
	}
}

// resume runs a queued request (phRun or phDecide, owned) and goes on with its connection.
func (th *thread) resume(c *Conn) {
	th.serving = c
	defer th.guard(nil)
	r := c.home.r // the thread may be another one's
	switch {
	case c.hop != nil:
		r.runHop(th, c)
	case r.late(c):
		th.goOn(c, r.reject(th, c))
	case c.GaveUp() && c.req.QueueUs != 0: // nobody waits for it any more
		c.req.Aborted, c.req.Result = 1, ResultCut
		th.goOn(c, r.complete(c))
	case c.phase == phDecide:
		r.serve(th, c)
	default:
		th.goOn(c, r.run(th, c))
	}
}

// goOn goes on with a connection after its request.
func (th *thread) goOn(c *Conn, next step) {
	switch r := c.home.r; next {
	case gone:
	case needOutput:
		if !r.release(c) {
			r.serve(th, c)
		}
	default:
		r.serve(th, c)
	}
}

// next gives a thread that came free a queued request, or makes it a follower.
func (l *leadership) next(th *thread) *Conn {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !th.python {
		l.spareIdle = true
		return nil
	}
	if len(l.queue) > 0 {
		return l.first()
	}
	if l.r.group != nil {
		l.mu.Unlock()
		c := l.borrow()
		l.mu.Lock()
		if c != nil {
			return c
		}
		if len(l.queue) > 0 {
			return l.first()
		}
	}
	l.idle = append(l.idle, th)
	return nil
}

// first takes the first of the queue; mu held.
func (l *leadership) first() *Conn {
	c := l.queue[0]
	l.queue[0] = nil
	l.queue = l.queue[1:]
	return c
}

func (l *leadership) popIdle() *thread {
	if n := len(l.idle); n > 0 {
		th := l.idle[n-1]
		l.idle = l.idle[:n-1]
		return th
	}
	return nil
}

// submit is for threads that are not Python's, the spare and the goroutines of
// decide_linux.go: a request for the application, connection owned.
func (l *leadership) submit(th *thread, c *Conn) {
	c.holdStream(false)
	if l.r.group != nil && !l.hasIdle() && l.lend(c) {
		return
	}
	l.mu.Lock()
	to := l.popIdle()
	if to == nil {
		if c.req.QueueUs == 0 { // else it has waited in a front process already
			c.req.QueueUs = l.r.wall + l.r.now()/1000
		}
		if c.hop != nil {
			c.hop.waits() // before a thread can take it and say the opposite
		}
		l.queue = append(l.queue, c)
		l.mu.Unlock()
		for _, o := range l.r.group {
			if o != l.r {
				o.wake() // the same there
			}
		}
		if !th.leading {
			l.r.wake() // the leader may be a Python thread that waits for events
		}
		return
	}
	l.mu.Unlock()
	if th.leading {
		th.leading = false
		to.wake <- wakeup{lead: true, job: c}
		return
	}
	to.wake <- wakeup{job: c}
}

// late reports whether a request has waited in the queue for longer than queue-timeout.
func (r *Reactor) late(c *Conn) bool {
	return r.queueTimeout > 0 && c.req.QueueUs != 0 && r.wall+r.now()/1000-c.req.QueueUs > r.queueTimeout.Microseconds()
}

// pop takes the first of the queue if it is late, or (any) whatever it is. The caller owns it then.
func (l *leadership) pop(any bool) *Conn {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.queue) == 0 || !any && !l.r.late(l.queue[0]) {
		return nil
	}
	return l.first()
}

// expire answers requests that have waited too long; the leader's. They are not
// left to the threads, which may all be stuck.
func (l *leadership) expire(th *thread) {
	for c := l.pop(false); c != nil; c = l.pop(false) {
		if c.hop != nil {
			l.r.refuseHop(c, hop.QueueTimeout)
			continue
		}
		th.serving = c
		th.goOn(c, l.r.reject(th, c))
		th.serving = nil
	}
}

// overdue reports whether there is something to expire.
func (l *leadership) overdue() bool {
	if l.r.queueTimeout <= 0 {
		return false
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.queue) > 0 && l.r.late(l.queue[0])
}

// handQueue gives the requests that wait for a thread to the successor, or back
// to the front processes that they came from.
func (l *leadership) handQueue(handoff bool) {
	var back, own []*Conn
	l.mu.Lock()
	for _, c := range l.queue {
		if c.hop != nil {
			back = append(back, c)
		} else {
			own = append(own, c)
		}
	}
	l.queue = own
	l.mu.Unlock()
	for _, c := range back {
		l.r.refuseHop(c, hop.Restarting)
	}
	if !handoff {
		return
	}
	for c := l.pop(true); c != nil; c = l.pop(true) {
		if !l.r.handOver(c, c.handover(c.req.Input())) {
			l.putFirst(c)
			return
		}
	}
}

// begin and end frame the application on a Python thread.
func (th *thread) begin(q *Req) {
	l := &th.r.lead
	now := th.r.now()
	l.coarse.Store(now)
	atomic.StoreUint32(&q.Phase, 0)
	th.since = now
	th.cur.Store(q)
	l.active.Add(1)
	if th.leading {
		l.busySince.Store(now)
	}
	if l.parked.Load() && l.parked.CompareAndSwap(true, false) {
		l.unpark <- struct{}{}
	}
}

func (th *thread) end() {
	l := &th.r.lead
	th.cur.Store(nil)
	l.active.Add(-1)
	if th.leading {
		th.leading = l.keep(th.since)
	}
}

// loop is the leader's: handle ready connections until leadership is lost.
func (th *thread) loop() {
	for th.lead() {
	}
}

// lead is true after a panic of the handler, which ended one connection and nothing else.
func (th *thread) lead() (again bool) {
	defer th.guard(&again)
	r := th.r
	r.sendBatch(th) // of the leader before
	for th.leading {
		if r.stopped.Load() {
			r.wake() // for whoever would lead next
			return false
		}
		if r.due || len(r.ready) == 0 {
			if !r.sendBatch(th) && len(r.ready) == 0 {
				r.poll()
			}
			continue
		}
		e := r.ready[len(r.ready)-1]
		r.ready = r.ready[:len(r.ready)-1]
		if e.c != nil && e.c.hop == nil {
			r.event(th, e.c, e.ev)
			th.serving = nil
			continue
		}
		if e.c != nil {
			r.runHop(th, e.c)
			th.serving = nil
			continue
		}
		if c := r.conns[e.fd].Load(); c != nil {
			r.event(th, c, e.ev)
			th.serving = nil
			continue
		}
		switch fd := int(e.fd); {
		case r.lfds[fd]:
			r.accept(fd)
		case r.watches[fd] != nil:
			r.watches[fd]()
		case fd == r.evfd:
			var b [8]byte
			syscall.Read(fd, b[:])
			r.lead.expire(th)
			th.fromQueue()
		case r.hop.conns[fd] != nil:
			r.hopEvent(r.hop.conns[fd], e.ev)
		case r.hop.lfds[fd]:
			r.acceptHop(fd)
		}
	}
	return false
}

// fromQueue lets a leader that is a Python thread do what goroutines have
// queued while nobody else was idle. What is left when it loses leadership is
// for next.
func (th *thread) fromQueue() {
	l := &th.r.lead
	for th.python && th.leading {
		c := l.pop(true)
		if c == nil {
			c = l.borrow()
		}
		if c == nil {
			return
		}
		th.resume(c)
		if th.leading && th.r.due {
			th.r.sendBatch(th)
		}
	}
}

func (r *Reactor) poll() {
	n, _, _ := syscall.RawSyscall6(syscall.SYS_EPOLL_WAIT, uintptr(r.ep), uintptr(unsafe.Pointer(&r.events[0])), uintptr(len(r.events)), 0, 0, 0)
	got := int(n)
	if got <= 0 || got > len(r.events) {
		var err error
		got, err = syscall.EpollWait(r.ep, r.events, -1)
		if err != nil && err != syscall.EINTR {
			panic(fmt.Sprintf("epoll_wait: %v", err)) // the descriptor is ours: a bug, never an input
		}
		r.lead.coarse.Store(r.now())
	}
	for i := got - 1; i >= 0; i-- { // served from the end: first in, first out
		r.ready = append(r.ready, readyEvent{fd: r.events[i].Fd, ev: r.events[i].Events})
	}
}

// Running is the number of requests that are inside the application or wait for a thread.
func (r *Reactor) Running() int {
	r.lead.mu.Lock()
	defer r.lead.mu.Unlock()
	return int(r.lead.active.Load()) + int(r.lead.thinking.Load()) + int(r.streams.Load()) + int(r.forwards.Load()) + len(r.lead.queue)
}
