// The daemon's side of the hop on the reactor: connections from front processes
// are descriptors of the same epoll set, and their requests go into the list of
// ready connections, so that the leader runs them to completion one after
// another and their responses leave together.
package listen

import (
	"errors"
	"fmt"
	"sync/atomic"
	"syscall"
	"time"

	"modwsgi/gocore/internal/hop"
)

// hopReactor is what the reactor knows of the hop.
type hopReactor struct {
	conf   *HopConfig // nil: no front processes
	router HopHandler
	lfds   map[int]bool
	gone   atomic.Bool      // the successor takes new requests, or will
	conns  map[int]*hopConn // the leader's; changed under Reactor.mu
	dirty  []*hopConn       // the leader's: with frames that leave at the end of the batch
	batch  []*Conn          // the leader's, reused
}

func (r *Reactor) initHop(c *HopConfig) error {
	if c == nil {
		return nil
	}
	router, ok := r.h.(HopHandler)
	if !ok {
		return errors.New("the handler takes no requests from front processes")
	}
	r.hop = hopReactor{conf: c, router: router, lfds: map[int]bool{}, conns: map[int]*hopConn{}}
	for _, f := range c.Listeners {
		fd := int(f.Fd())
		if err := syscall.SetNonblock(fd, true); err != nil {
			return fmt.Errorf("set listener non-blocking: %w", err)
		}
		r.hop.lfds[fd] = true
		r.track(fd, true)
	}
	return nil
}

// acceptHop takes connections of front processes.
func (r *Reactor) acceptHop(lfd int) {
	for {
		fd, _, err := syscall.Accept4(lfd, syscall.SOCK_NONBLOCK|syscall.SOCK_CLOEXEC)
		if err != nil {
			if scarce(err) {
				r.turnAway(err)
			}
			return
		}
		if uid := peerUID(fd); !r.hop.conf.Allow(uid) {
			syscall.Close(fd)
			r.hop.conf.Refused(uid)
			continue
		}
		SetBuffers(fd, r.hop.conf.SendBuffer, r.hop.conf.ReceiveBuffer)
		h := newHopConn(r, fd, &r.hop.conf.Hello)
		r.mu.Lock()
		r.hop.conns[fd] = h
		r.nconn.Add(1)
		r.track(fd, true)
		draining := r.draining.Load() || r.hop.gone.Load()
		r.mu.Unlock()
		if err := r.add(fd, connEvents); err != nil {
			r.hopClose(h)
			continue
		}
		h.flush()
		if draining {
			h.goaway()
		}
	}
}

// hopEvent reads what a front process sent, a buffer at a time: the requests
// in it run before more are read.
func (r *Reactor) hopEvent(h *hopConn, ev uint32) {
	if ev&syscall.EPOLLOUT != 0 {
		h.writable()
	}
	batch := r.hop.batch[:0]
	take := func(c *Conn) {
		c.home.r = r
		batch = append(batch, c)
	}
	for {
		room := h.dec.Space()
		n, err := syscall.Read(h.fd, room)
		if err == syscall.EINTR {
			continue
		}
		if err == syscall.EAGAIN {
			break
		}
		if err != nil || n <= 0 {
			r.hopClose(h)
			break
		}
		h.dec.Filled(n)
		if err := h.frames(take); err != nil {
			r.hopReport(nil, err)
			r.hopClose(h)
			break
		}
		if len(batch) > 0 {
			r.ready = append(r.ready, readyEvent{fd: int32(h.fd), ev: syscall.EPOLLIN})
			break
		}
	}
	for i := len(batch) - 1; i >= 0; i-- { // served from the end: first in, first out
		r.ready = append(r.ready, readyEvent{c: batch[i]})
		batch[i] = nil
	}
	r.hop.batch = batch[:0]
}

// runHop runs an owned request that came over the hop.
func (r *Reactor) runHop(th *thread, c *Conn) {
	if !th.python {
		r.lead.submit(th, c)
		return
	}
	p, q := c.hop, c.req
	th.serving = c
	if !p.begins() {
		th.serving = nil
		return
	}
	switch {
	case !p.wanted():
		p.refuse(hop.Restarting)
	case r.lateHop(q):
		p.refuse(hop.QueueTimeout)
	default:
		th.begin(q)
		ok := r.h.Run(c, q)
		th.end()
		p.settle(q, ok)
	}
	r.hopDone(th, c)
}

// hopDone ends the use of a stream on a thread.
func (r *Reactor) hopDone(th *thread, c *Conn) {
	h := c.hop.h
	h.finished(c, r.h)
	th.serving = nil
	if th.leads(r) && len(r.ready) > 0 {
		r.hop.dirty = append(r.hop.dirty, h)
		r.kept(th.since)
		return
	}
	h.flush()
}

// refuseHop gives a request back that waited for a thread.
func (r *Reactor) refuseHop(c *Conn, why hop.Reason) {
	c.hop.refuse(why)
	c.hop.h.finished(c, r.h)
	c.hop.h.flush()
}

// lateHop reports whether a request is older than queue-timeout, as the front counts.
func (r *Reactor) lateHop(q *Req) bool {
	return r.queueTimeout > 0 && r.hopNow()-q.StartUs > r.queueTimeout.Microseconds()
}

// sendHops sends what the batch has gathered; the leader's.
func (r *Reactor) sendHops() {
	for i, h := range r.hop.dirty {
		h.flush()
		r.hop.dirty[i] = nil
	}
	r.hop.dirty = r.hop.dirty[:0]
}

// hopClose forgets a connection; the leader's.
func (r *Reactor) hopClose(h *hopConn) {
	r.mu.Lock()
	if r.hop.conns[h.fd] != h {
		r.mu.Unlock()
		return
	}
	delete(r.hop.conns, h.fd)
	r.track(h.fd, false)
	h.lost()
	syscall.Close(h.fd)
	r.nconn.Add(-1)
	r.mu.Unlock()
	h.giveBack()
	r.checkDone()
}

// LeaveHops sends the fronts to the successor of this process before it is
// there: their next connections wait in the listener's queue. For a process
// that gives requests back because its script is out of date.
func (r *Reactor) LeaveHops() {
	if r.hop.conf != nil && !r.hop.gone.Swap(true) {
		r.drainHops()
	}
}

// drainHops tells the fronts that a successor takes new requests, or that nobody does.
func (r *Reactor) drainHops() {
	for fd := range r.hop.lfds {
		syscall.EpollCtl(r.ep, syscall.EPOLL_CTL_DEL, fd, nil)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, h := range r.hop.conns {
		h.goaway()
	}
}

// The methods of hopSource.

func (r *Reactor) hopDirty(h *hopConn) { r.hop.dirty = append(r.hop.dirty, h) }

func (r *Reactor) hopMemory() *Memory           { return &r.mem }
func (r *Reactor) hopFlushDelay() time.Duration { return r.flushDelay }
func (r *Reactor) hopNow() int64                { return r.wall + r.now()/1000 }
func (r *Reactor) hopAgain(c *Conn) {
	th := r.sides.Get().(*thread)
	defer r.sides.Put(th)
	r.lead.submit(th, c)
}
func (r *Reactor) hopReq() *Req { return r.mem.take(&r.mu, &r.pool) }
func (r *Reactor) hopLend(q *Req) {
	r.mu.Lock()
	r.recycle(q)
	r.mu.Unlock()
}
func (r *Reactor) hopTrack(fd int, open bool)         { r.track(fd, open) }
func (r *Reactor) hopHandlers() (Handler, HopHandler) { return r.h, r.hop.router }
func (r *Reactor) hopOpened()                         { r.nconn.Add(1) }
func (r *Reactor) hopEnded() {
	r.nconn.Add(-1)
	r.checkDone() // its front may have gone before it
}
func (r *Reactor) hopPanicked(c *Conn, v any) { reporter(r.onPanic).report(c, v) }
func (r *Reactor) hopReport(c *Conn, err error) {
	if r.hop.conf.Report != nil {
		r.hop.conf.Report(err)
	}
}
