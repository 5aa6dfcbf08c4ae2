//go:build linux || darwin || freebsd

// HTTP/2 on the source of netconn.go. The socket is read by the connection's
// goroutine alone, and does not wait for the rest: what it does not take is sent
// by a goroutine that is there as long as there is some.
//
//	goroutine                   | does with a connection of HTTP/2
//	the connection's            | reads, opens streams, tells them what happened, ends it
//	a stream's (netConn.serve)  | serves the request as that of any connection; sends what it wrote
//	a Python thread             | writes into the codec and sends
//	one while the socket is full| waits for it, sends
//
// Who has something for the reader kicks it: its wait for the socket ends, and
// it looks at everything again.
package listen

import (
	"errors"
	"os"
	"time"

	"modwsgi/gocore/internal/http2"
)

// serveH2 makes a connection without a request one of HTTP/2 and serves it to
// its end. pre was received.
func (n *netConn) serveH2(pre []byte) (more bool) {
	s, c := n.s, n.Conn
	s.mu.Lock()
	n.lend()
	s.mu.Unlock()
	c.phase = phIdle
	h := newH2(c, pre, nil, nil)
	h.kick = func() {
		h.woken.Store(true)
		_ = n.tcp.SetReadDeadline(time.Unix(1, 0)) // fails on a closed one only
	}
	h.stuck = func() {
		if !h.sending {
			h.sending = true
			go n.sendH2(h)
		}
	}
	if c.deadline.Load() == 0 {
		c.stage(s.now(), c.Settings.Header)
	}
	c.h2.Store(h)
	for dry := false; ; {
		h.woken.Store(false)
		n.newsH2(h)
		if s.draining.Load() && !h.told.Load() {
			h.drain(s.now())
		}
		if h.flush() != nil {
			return false
		}
		if h.codec.News() {
			continue
		}
		var err error
		switch {
		case !dry && !h.codec.Full():
			more, err = h.receive()
		case h.over(s.draining.Load(), s.now()):
			n.goodbyeH2(h)
			return false
		default:
			more, err = n.awaitH2(h)
		}
		dry = !more
		var broken *http2.Error
		switch {
		case err == nil || errors.Is(err, errAgain):
		case errors.As(err, &broken):
			n.goodbyeH2(h)
			return false
		case !errors.Is(err, os.ErrDeadlineExceeded):
			return false
		default:
			if d := c.deadline.Load(); d != 0 && s.now() >= d && !c.expired.Swap(true) {
				dry = false // what is there by now came in time
				c.freshen()
			}
		}
	}
}

// awaitH2 waits for the socket, a kick or the deadline, and receives.
func (n *netConn) awaitH2(h *h2Conn) (more bool, err error) {
	var at time.Time
	if d := n.deadline.Load(); d != 0 && !n.expired.Load() {
		at = n.s.start.Add(time.Duration(d))
	}
	_ = n.tcp.SetReadDeadline(at) // fails on a closed one only, as does the read then
	failed := n.raw.Read(func(uintptr) bool {
		if h.woken.Load() { // before the deadline was set
			err = errAgain
			return true
		}
		h.paused.Store(true)
		if h.codec.Full() { // whoever sends kicks
			return false
		}
		h.paused.Store(false)
		n.freshen()
		more, err = h.receive()
		return !errors.Is(err, errAgain)
	})
	h.paused.Store(false)
	if failed != nil {
		return false, failed
	}
	return more, err
}

// sendH2 sends what the socket did not take at once. A goroutine of its own.
func (n *netConn) sendH2(h *h2Conn) {
	_ = n.raw.Write(func(uintptr) bool { // fails on a closed one only
		_ = h.flush() // an error is the reader's, who is kicked
		if h.codec.News() || h.paused.Load() && !h.codec.Full() {
			h.kick()
		}
		h.send.Lock()
		defer h.send.Unlock()
		h.sending = h.full && !h.closed
		return !h.sending
	})
	h.kick()
}

// newsH2 opens streams and tells those to which something happened. The reader's.
func (n *netConn) newsH2(h *h2Conn) {
	h.events = h.codec.Events(h.events[:0])
	for i := range h.events {
		e := &h.events[i]
		if e.What&http2.Opened != 0 {
			n.openH2(h, e)
			continue
		}
		c, _ := e.User.(*Conn)
		if c == nil {
			continue
		}
		if e.What&http2.Gone != 0 && !c.h2s.gone.Swap(true) {
			close(c.h2s.over)
		}
		c.h2s.signal(e.What)
	}
	clear(h.events)
}

// openH2 gives a stream its goroutine.
func (n *netConn) openH2(h *h2Conn, e *http2.Event) {
	s := n.s
	c := h.open(e, s.draining.Load())
	if c == nil {
		return
	}
	w := c.h2s
	w.over = make(chan struct{})
	c.bind(s.mem.take(&s.mu, &s.pool))
	w.received(&s.mem)
	s.h2live.Add(1)
	go (&netConn{Conn: c, s: s, nc: &h2Socket{w: w}, result: make(chan outcome, 1)}).serve()
}

// closeH2 ends a stream: its goroutine's last act.
func (n *netConn) closeH2() {
	s, w := n.s, n.h2s
	last := w.end(s.now())
	s.mu.Lock()
	n.lend()
	n.disconnect()
	s.mu.Unlock()
	w.h.push()
	if last { // the reader waits for a limited time from now on
		w.h.kick()
	}
	s.h2live.Add(-1)
	s.checkDone()
}

// goodbyeH2 sends what is left, GOAWAY for the last, and waits a moment for the
// client to close: if something of it were unread, closing would destroy what was sent.
func (n *netConn) goodbyeH2(h *h2Conn) {
	_ = h.flush()
	if n.wire != nil {
		n.wire.bye()
	}
	_ = n.tcp.CloseWrite() // fails where nobody listens any more
	h.shut()
	n.newsH2(h)
	var b [4096]byte
	for until := time.Now().Add(lingerTime); h.discarded <= discardMax; {
		_ = n.tcp.SetReadDeadline(until) // as above
		k, err := n.tcp.Read(b[:])
		h.discarded += k
		if err != nil && !(errors.Is(err, os.ErrDeadlineExceeded) && time.Now().Before(until)) { // else a kick of a stream
			return
		}
	}
}

// passH2 has the successor answer the request of a stream, for which this
// goroutine copies both ways.
func (n *netConn) passH2(pending []byte) bool {
	inner, ok := offer(n.handover(pending), n.s.h.Handoff)
	if !ok {
		return false
	}
	n.deadline.Store(0)
	n.phase = phRun
	n.s.aside.Add(1)
	defer n.s.aside.Add(-1)
	n.h2s.splice(inner)
	return true
}

// watch calls gone when the stream ends before its response does, until end is called.
func (w *h2Stream) watch(gone func()) (end func()) {
	done := make(chan struct{})
	go func() {
		select {
		case <-w.over:
			gone()
		case <-done:
		}
	}()
	return func() { close(done) }
}
