// Encrypted connections on the reactor.
package listen

import (
	"errors"
	"net"
)

// secured looks after connections whose clients speak TLS, before each
// request. True: the connection is somebody else's now.
func (r *Reactor) secured(th *thread, c *Conn) bool {
	if c.Secure == nil {
		if !c.speaksTLS() {
			return false // the handler answers it in clear text
		}
		c.deadline.Store(0)
		c.phase = phRun
		w := newSecure(c, c.takeInput())
		r.streams.Add(1)
		go r.handshake(c, w)
		return true
	}
	// A request that came after the successor did is the successor's.
	return r.stays(c) && r.handOver(c, c.handover(c.req.Input()))
}

// stays reports whether a connection stays here between requests although a
// successor takes over: nobody else has its keys.
func (r *Reactor) stays(c *Conn) bool {
	return c.wire != nil && r.handoff.Load() && r.draining.Load()
}

// handshake runs on a goroutine of its own, which then stands for the spare thread.
func (r *Reactor) handshake(c *Conn, w *secure) {
	th := &thread{r: r, scratch: make([]byte, 16<<10), serving: c}
	defer th.guard(nil)
	err := r.shake(c, w)
	r.streams.Add(-1)
	if err != nil {
		r.close(c)
		return
	}
	if c.Secure.NegotiatedProtocol == alpnH2 {
		r.startH2(th, c, nil)
		return
	}
	c.phase = phIdle
	c.stage(r.now(), c.Settings.Header)
	if r.draining.Load() && !r.handoff.Load() {
		c.lastChance(r.now())
	}
	c.freshen()
	r.serve(th, c)
}

func (r *Reactor) shake(c *Conn, w *secure) error {
	c.connect(w)
	conn, fd, err := goConn(c.FD)
	if err != nil {
		return err
	}
	r.track(fd, true)
	defer func() {
		r.track(fd, false)
		conn.Close()
	}()
	return w.begin(conn, r.h)
}

// readWire is read for connections with a wire.
func (r *Reactor) readWire(c *Conn) bool {
	q := c.req
	n, err := c.wire.read(q.inBuf()[q.InLen:])
	switch {
	case n > 0:
		q.InLen += uint64(n)
		if c.phase == phHead || c.phase == phBody {
			c.received(r.now(), n)
		}
		return true
	case err == nil:
		return true
	case errors.Is(err, errAgain):
		c.drained = true
		return true
	}
	c.eof = true
	return false
}

// flushWire is flush for connections with a wire.
func (r *Reactor) flushWire(c *Conn) step {
	q := c.req
	for sent := 0; q.Aborted == 0; {
		n, err := 0, c.wire.flush()
		if err == nil {
			if sent >= sendChunk {
				return r.yield(c)
			}
			n, err = c.feed(&r.mem)
			sent += n
		}
		switch {
		case errors.Is(err, errAgain):
			return r.blocked(c)
		case err != nil:
			q.Aborted = 1
		case n == 0:
			c.dropFile()
			return r.complete(c)
		}
	}
	c.dropFile()
	return r.complete(c)
}

// relay lets another process serve an encrypted connection from here on; false:
// by could not give it away.
func (r *Reactor) relay(c *Conn, pending []byte, by func(fd int, pending []byte) bool) bool {
	w, ok := c.wire.(*secure)
	if !ok {
		return false
	}
	inner, ok := offer(pending, by)
	if !ok {
		return false
	}
	c.deadline.Store(0)
	c.phase = phRun
	go r.between(c, w, inner)
	return true
}

// between runs on a goroutine of its own.
func (r *Reactor) between(c *Conn, w *secure, inner net.Conn) {
	th := &thread{r: r, serving: c}
	defer th.guard(nil)
	defer r.close(c)
	outer, fd, err := goConn(c.FD)
	if err != nil {
		inner.Close()
		return
	}
	r.track(fd, true)
	defer func() {
		r.track(fd, false)
		outer.Close()
	}()
	w.splice(outer, inner)
}
