//go:build linux || darwin || freebsd

// The daemon's side of the hop on the source of netconn.go. A goroutine per
// connection from a front process reads its frames; requests go to the Python
// threads like those of the other goroutines, without one of their own:
//
//	request | event                                 | next
//	new     | a thread waits for work               | running
//	new     | none does                             | queued, and the front knows
//	queued  | it is the first and a thread is free  | running
//	queued  | it is the first and late; Drain       | given back
//	running | the handler is through with it        | settled by the thread
//
// Frames are sent without waiting, by whoever appends them. Where the socket
// takes no more, a goroutine goes on, until nothing is pending.
package listen

import (
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"modwsgi/gocore/internal/hop"
)

// hopNet is what the source knows of the hop.
type hopNet struct {
	conf      *HopConfig // nil: no front processes
	router    HopHandler
	listeners []net.Listener
	gone      atomic.Bool  // the successor takes new requests, or will
	open      atomic.Int64 // connections and streams
	conns     map[*hopConn]struct{}

	mu    sync.Mutex // guards queue
	queue []*Conn    // requests that wait for a thread, first come first
	news  chan struct{}
	leave chan struct{} // closed by Drain: what is queued goes back
}

func (s *NetSource) initHop(c *HopConfig) error {
	if c == nil {
		return nil
	}
	router, ok := s.h.(HopHandler)
	if !ok {
		return errors.New("the handler takes no requests from front processes")
	}
	s.hop.conf, s.hop.router = c, router
	s.hop.conns = map[*hopConn]struct{}{}
	s.hop.news, s.hop.leave = make(chan struct{}, 1), make(chan struct{})
	for _, f := range c.Listeners {
		l, err := net.FileListener(f) // a duplicate: the successor has the socket too
		if err != nil {
			s.deafenHop()
			return fmt.Errorf("listen to front processes: %w", err)
		}
		s.hop.listeners = append(s.hop.listeners, l)
		s.trackListener(l, true)
	}
	return nil
}

func (s *NetSource) startHop() {
	if s.hop.conf == nil {
		return
	}
	go s.feedHops()
	for _, l := range s.hop.listeners {
		go s.acceptHop(l)
	}
}

// acceptHop takes connections of front processes.
func (s *NetSource) acceptHop(l net.Listener) {
	for {
		nc, err := l.Accept()
		switch {
		case err == nil:
			s.takeFront(nc)
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

// takeFront begins to serve a front process.
func (s *NetSource) takeFront(nc net.Conn) {
	fd, uid := -1, -1
	raw, err := nc.(syscall.Conn).SyscallConn()
	if err == nil {
		err = raw.Control(func(u uintptr) {
			fd = int(u)
			uid = peerUID(fd)
		})
	}
	if err != nil {
		_ = nc.Close() // it was not open
		return
	}
	if !s.hop.conf.Allow(uid) {
		_ = nc.Close() // nothing was sent
		s.hop.conf.Refused(uid)
		return
	}
	prepare(fd)
	SetBuffers(fd, s.hop.conf.SendBuffer, s.hop.conf.ReceiveBuffer)
	h := newHopConn(s, fd, &s.hop.conf.Hello)
	h.wait = h.waiter(raw)
	s.track(fd, true)
	s.hop.open.Add(1)
	s.mu.Lock()
	s.hop.conns[h] = struct{}{}
	leaving := s.hop.gone.Load()
	s.mu.Unlock()
	h.flush()
	if leaving { // else whoever sets gone finds the connection
		h.goaway()
	}
	go s.serveFront(h, nc)
}

// waiter makes a function that starts the goroutine which goes on when the
// socket takes more, unless there is one. To be called with the lock.
func (h *hopConn) waiter(raw syscall.RawConn) func() {
	writing := false // guarded by the lock
	try := func(uintptr) bool {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.full = false
		h.send()
		writing = h.full
		return !h.full
	}
	return func() {
		if !writing {
			writing = true
			// The poller calls try before it waits, and again whenever the socket
			// takes more. It fails when the connection is closed: nothing is left to do.
			go func() { _ = raw.Write(try) }()
		}
	}
}

// serveFront reads what a front process sends.
func (s *NetSource) serveFront(h *hopConn, nc net.Conn) {
	defer s.closeFront(h, nc)
	for {
		n, err := nc.Read(h.dec.Space())
		h.dec.Filled(n)
		if n > 0 {
			if err := h.frames(s.submitHop); err != nil {
				s.hopReport(nil, err)
				return
			}
			h.flush()
		} else if err != nil {
			return
		}
	}
}

// closeFront is the last act of a connection's reader.
func (s *NetSource) closeFront(h *hopConn, nc net.Conn) {
	s.track(h.fd, false)
	h.lost()
	_ = nc.Close() // what was not sent has no receiver
	s.mu.Lock()
	delete(s.hop.conns, h)
	s.mu.Unlock()
	s.hopEnded()
}

// submitHop gives a request to a thread that waits for one, or queues it.
func (s *NetSource) submitHop(c *Conn) {
	s.aside.Add(1)
	s.hopAgain(c)
}

// hopAgain is a part of submitHop, and what a request that was parked needs.
func (s *NetSource) hopAgain(c *Conn) {
	if s.handHop(c) {
		return
	}
	if c.req.QueueUs == 0 { // else it has waited in the front process already
		c.req.QueueUs = s.hopNow()
	}
	c.hop.waits() // before a thread can take it and say the opposite
	s.hop.mu.Lock()
	s.hop.queue = append(s.hop.queue, c)
	s.hop.mu.Unlock()
	select {
	case s.hop.news <- struct{}{}:
	default:
	}
}

// handHop gives a request to a thread that waits, unless others were first.
func (s *NetSource) handHop(c *Conn) bool {
	s.hop.mu.Lock()
	defer s.hop.mu.Unlock()
	if len(s.hop.queue) > 0 {
		return false
	}
	select {
	case s.jobs <- job{stream: c}:
		return true
	default:
		return false
	}
}

// feedHops gives the requests of the queue to threads as these come free. Each
// stays the first of the queue until a thread has it, so that none overtakes it.
func (s *NetSource) feedHops() {
	for {
		var c *Conn
		s.hop.mu.Lock()
		if len(s.hop.queue) > 0 {
			c = s.hop.queue[0]
		}
		s.hop.mu.Unlock()
		if c == nil {
			select {
			case <-s.hop.news:
				continue
			case <-s.stop:
				return
			}
		}
		late, done := s.lateness(c.req)
		select {
		case s.jobs <- job{stream: c}:
		case <-late:
			s.refuseHop(c, hop.QueueTimeout)
		case <-s.hop.leave:
			s.refuseHop(c, hop.Restarting)
		case <-s.stop:
			return
		}
		done()
		s.hop.mu.Lock()
		s.hop.queue[0] = nil
		if s.hop.queue = s.hop.queue[1:]; len(s.hop.queue) == 0 {
			s.hop.queue = nil
		}
		s.hop.mu.Unlock()
	}
}

// lateness tells when a request has waited longer than QueueTimeout.
func (s *NetSource) lateness(q *Req) (late <-chan time.Time, done func()) {
	if s.queueTimeout <= 0 {
		return nil, func() {}
	}
	waited := time.Duration(s.hopNow()-q.QueueUs) * time.Microsecond
	t := time.NewTimer(s.queueTimeout - waited)
	return t.C, func() { t.Stop() }
}

// runHop runs a request on a Python thread.
func (s *NetSource) runHop(c *Conn) {
	p, q := c.hop, c.req
	if !p.begins() {
		return
	}
	defer s.endHop(c)
	defer func() {
		if v := recover(); v != nil {
			s.onPanic.report(c, v)
			p.settle(&Req{Status: 500, Result: ResultError}, true)
		}
	}()
	switch {
	case !p.wanted():
		p.refuse(hop.Restarting)
	case s.queueTimeout > 0 && s.hopNow()-q.StartUs > s.queueTimeout.Microseconds(): // as the front counts
		p.refuse(hop.QueueTimeout)
	default:
		atomic.StoreUint32(&q.Phase, 0)
		s.active.Add(1)
		defer s.active.Add(-1)
		p.settle(q, s.h.Run(c, q))
	}
}

// refuseHop gives a request back that waited for a thread.
func (s *NetSource) refuseHop(c *Conn, why hop.Reason) {
	c.hop.refuse(why)
	s.endHop(c)
}

// endHop ends the use of a stream; it may serve another request when this returns.
func (s *NetSource) endHop(c *Conn) {
	h := c.hop.h
	h.finished(c, s.h)
	s.aside.Add(-1)
	h.flush()
}

// LeaveHops does what Reactor.LeaveHops does.
func (s *NetSource) LeaveHops() {
	if s.hop.conf == nil {
		return
	}
	s.mu.Lock()
	if s.hop.gone.Swap(true) {
		s.mu.Unlock()
		return
	}
	var conns []*hopConn
	for h := range s.hop.conns {
		conns = append(conns, h)
	}
	s.mu.Unlock()
	s.deafenHop()
	for _, h := range conns {
		h.goaway()
	}
}

// deafenHop gives up the listeners; the sockets themselves are the supervisor's.
func (s *NetSource) deafenHop() {
	for _, l := range s.hop.listeners {
		s.trackListener(l, false)
		_ = l.Close()
	}
}

// drainHops tells the fronts that a successor takes new requests, or that
// nobody does, and gives back those that wait.
func (s *NetSource) drainHops() {
	if s.hop.conf == nil {
		return
	}
	s.LeaveHops()
	close(s.hop.leave)
}

// The methods of hopSource.

func (s *NetSource) hopMemory() *Memory           { return &s.mem }
func (s *NetSource) hopFlushDelay() time.Duration { return s.flushDelay }
func (s *NetSource) hopNow() int64                { return s.wall + s.now()/1000 }
func (s *NetSource) hopDirty(*hopConn)            {} // the reader flushes after each of its batches
func (s *NetSource) hopReq() *Req                 { return s.mem.take(&s.mu, &s.pool) }
func (s *NetSource) hopLend(q *Req) {
	s.mu.Lock()
	s.mem.clear(q, len(s.pool) < keepReqs)
	s.pool = append(s.pool, q)
	s.mu.Unlock()
}
func (s *NetSource) hopTrack(fd int, open bool)         { s.track(fd, open) }
func (s *NetSource) hopHandlers() (Handler, HopHandler) { return s.h, s.hop.router }
func (s *NetSource) hopOpened()                         { s.hop.open.Add(1) }
func (s *NetSource) hopEnded() {
	s.hop.open.Add(-1)
	s.checkDone()
}
func (s *NetSource) hopPanicked(c *Conn, v any) { s.onPanic.report(c, v) }
func (s *NetSource) hopReport(c *Conn, err error) {
	if s.hop.conf.Report != nil {
		s.hop.conf.Report(err)
	}
}
