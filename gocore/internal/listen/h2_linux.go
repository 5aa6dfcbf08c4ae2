// HTTP/2 on the reactor. The socket's connection is read by the leader alone:
// what a read brings becomes events of streams in the list of those that are
// ready, which the leader serves one after another, so that the responses of a
// batch leave together.
//
//	who                          | does with a connection of HTTP/2
//	leader                       | reads, opens streams, tells them what happened, sends at the end of a batch
//	a thread that has a stream   | writes into the codec and sends
//	a goroutine that has a stream| the same
//	janitor                      | finds streams whose time is over; the leader ends them
package listen

import (
	"errors"
	"syscall"

	"modwsgi/gocore/internal/http2"
)

// startH2 makes an owned connection without a request one of HTTP/2. pre was received.
func (r *Reactor) startH2(th *thread, c *Conn, pre []byte) {
	if q := c.req; q != nil {
		r.mu.Lock()
		c.req = nil
		r.recycle(q)
		r.mu.Unlock()
	}
	c.phase = phIdle
	fd := c.FD
	var h *h2Conn
	h = newH2(c, pre, func() { r.kick(fd) }, func() { r.dirtyH2(h) })
	c.h2.Store(h)
	if c.deadline.Load() == 0 {
		c.stage(r.now(), c.Settings.Header)
	}
	r.serveH2(th, c, h)
}

// kick makes an event for a descriptor, so that the leader looks at it.
func (r *Reactor) kick(fd int) {
	ev := syscall.EpollEvent{Events: connEvents, Fd: int32(fd)}
	syscall.EpollCtl(r.ep, syscall.EPOLL_CTL_MOD, fd, &ev)
}

// serveH2 goes on with an owned connection.
func (r *Reactor) serveH2(th *thread, c *Conn, h *h2Conn) {
	if !th.leads(r) {
		c.state.Store(stIdle)
		h.kick()
		return
	}
	if h.linger {
		r.lingerH2(c, h)
		return
	}
	if h.flush() != nil { // what the socket did not take before
		r.close(c)
		return
	}
	for dry, ready := false, 0; ; {
		n, opened := r.newsH2(h, !dry)
		ready += n
		if h.late.Load() {
			r.lateH2(h)
		}
		if r.draining.Load() && !h.told.Load() {
			h.drain(r.now())
		}
		if opened && !dry { // those requests run before more is read
			c.state.Store(stIdle)
			return
		}
		if !dry && !h.codec.Full() {
			more, err := h.receive()
			if broken := (*http2.Error)(nil); errors.As(err, &broken) {
				r.goodbyeH2(c, h)
				return
			} else if err != nil && !errors.Is(err, errAgain) {
				r.close(c)
				return
			}
			dry = !more
			continue
		}
		if ready > 0 {
			r.dirtyH2(h) // leaves with what they answer
		} else if h.flush() != nil {
			r.close(c)
			return
		}
		if h.codec.News() {
			continue
		}
		if h.over(r.draining.Load(), r.now()) {
			r.goodbyeH2(c, h)
			return
		}
		if r.release(c) {
			return
		}
		dry = false
	}
}

// goodbyeH2 sends what is left, GOAWAY for the last, and waits a moment for the
// client to close: if something of it were unread, closing would destroy what was sent.
func (r *Reactor) goodbyeH2(c *Conn, h *h2Conn) {
	_ = h.flush()
	if c.wire != nil {
		c.wire.bye()
	}
	syscall.Shutdown(c.FD, syscall.SHUT_WR)
	h.linger = true
	h.shut()
	r.newsH2(h, false)
	c.expired.Store(false)
	c.arm(r.now(), lingerTime)
	r.lingerH2(c, h)
}

// lingerH2 discards what still comes, unless it is too much.
func (r *Reactor) lingerH2(c *Conn, h *h2Conn) {
	var b [4096]byte
	for {
		n, e := sockRead(c.FD, b[:])
		if e == 0 {
			h.discarded += n
		}
		switch {
		case c.expired.Load() || h.discarded > discardMax:
			r.close(c)
			return
		case e == syscall.EINTR || n > 0 && e == 0:
		case e != syscall.EAGAIN:
			r.close(c)
			return
		default:
			if r.release(c) {
				return
			}
		}
	}
}

// newsH2 puts the streams to which something happened into the list of those
// that are ready, and says how many, and whether some are new. more: the
// connection has to be looked at again after new ones.
func (r *Reactor) newsH2(h *h2Conn, more bool) (ready int, opened bool) {
	h.events = h.codec.Events(h.events[:0])
	for i := range h.events {
		opened = opened || h.events[i].What&http2.Opened != 0
	}
	if opened && more {
		r.ready = append(r.ready, readyEvent{fd: int32(h.c.FD), ev: syscall.EPOLLIN})
	}
	for i := len(h.events) - 1; i >= 0; i-- { // served from the end: first in, first out
		e := &h.events[i]
		c, _ := e.User.(*Conn)
		if e.What&http2.Opened != 0 {
			c = r.openH2(h, e)
		}
		if c == nil {
			continue
		}
		ev := uint32(syscall.EPOLLIN | syscall.EPOLLOUT)
		if e.What&http2.Gone != 0 {
			c.h2s.gone.Store(true)
			ev |= syscall.EPOLLHUP
		}
		c.h2s.signal(e.What)
		r.ready = append(r.ready, readyEvent{c: c, ev: ev})
		ready++
	}
	clear(h.events)
	return ready, opened
}

// openH2 makes a connection of a stream; nil: nobody waits for it any more.
func (r *Reactor) openH2(h *h2Conn, e *http2.Event) *Conn {
	c := h.open(e, r.draining.Load())
	if c == nil {
		return nil
	}
	w := c.h2s
	c.bind(r.mem.take(&r.mu, &r.pool))
	w.received(&r.mem)
	h.mu.Lock()
	h.streams[w] = struct{}{}
	h.mu.Unlock()
	r.h2live.Add(1)
	return c
}

// closeH2 ends an owned stream.
func (r *Reactor) closeH2(c *Conn) {
	if c.state.Swap(stClosed) == stClosed {
		return
	}
	w := c.h2s
	h := w.h
	q := c.req
	last := w.end(r.now())
	h.mu.Lock()
	delete(h.streams, w)
	h.mu.Unlock()
	c.disconnect()
	if q != nil {
		c.dropFile()
		c.req = nil
		r.mu.Lock()
		r.recycle(q)
		r.mu.Unlock()
	}
	if w.held {
		r.dirtyH2(h)
	} else {
		h.push()
	}
	if last && (h.codec.Leaving() || r.draining.Load()) {
		h.kick()
	}
	r.h2live.Add(-1)
	r.checkDone()
}

// dirtyH2 lets output wait for the end of the batch; the leader's.
func (r *Reactor) dirtyH2(h *h2Conn) {
	if !h.dirty {
		h.dirty = true
		r.h2dirty = append(r.h2dirty, h)
	}
	r.kept(0)
}

// sendH2 sends what the batch has gathered; the leader's.
func (r *Reactor) sendH2() {
	for i, h := range r.h2dirty {
		r.h2dirty[i] = nil
		h.dirty = false
		if h.flush() != nil || h.codec.News() {
			h.kick()
		}
	}
	r.h2dirty = r.h2dirty[:0]
}

// lateH2 lets the streams whose time is over see it.
func (r *Reactor) lateH2(h *h2Conn) {
	h.late.Store(false)
	h.mu.Lock()
	defer h.mu.Unlock()
	for w := range h.streams {
		if w.c.expired.Load() {
			r.ready = append(r.ready, readyEvent{c: w.c, ev: syscall.EPOLLIN | syscall.EPOLLOUT})
		}
	}
}

// overdueH2 is the janitor's.
func (h *h2Conn) overdueH2(now int64) {
	late := h.c.expired.Load()
	if d := h.c.deadline.Load(); d != 0 && d <= now && !late {
		h.c.expired.Store(true)
		late = true
	}
	late = late || h.late.Load()
	h.mu.Lock()
	for w := range h.streams {
		if d := w.c.deadline.Load(); d != 0 && d <= now && !w.c.expired.Swap(true) {
			h.late.Store(true)
			late = true
		}
	}
	h.mu.Unlock()
	switch d := int64(h.c.Settings.IO); {
	case !late:
		h.unseen = 0
		return
	case h.unseen == 0:
		h.unseen = now
	case d > 0 && now-h.unseen >= d: // kick cannot wake the leader for a socket that is full and has nothing to read
		syscall.Shutdown(h.c.FD, syscall.SHUT_RD)
	}
	h.kick()
}

// streamSocket is a stream for a goroutine that writes a response.
func (c *Conn) streamSocket() *h2Socket { return &h2Socket{w: c.h2s} }

// relayH2 is relay for a stream.
func (r *Reactor) relayH2(c *Conn, pending []byte, by func(fd int, pending []byte) bool) bool {
	inner, ok := offer(pending, by)
	if !ok {
		return false
	}
	c.deadline.Store(0)
	c.phase = phRun
	c.holdStream(false)
	r.streams.Add(1)
	go func() {
		th := &thread{r: r, serving: c}
		defer th.guard(nil)
		defer r.streams.Add(-1)
		defer r.close(c)
		c.h2s.splice(inner)
	}()
	return true
}
