// Encrypted connections on the reactor.
package listen

import (
	"io"
	"net"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
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

// taken tells the handler of an encrypted connection that another process keeps.
func (r *Reactor) taken(c *Conn, p *passport) (ok bool) {
	defer func() {
		if v := recover(); v != nil {
			reporter(r.onPanic).report(c, v)
			ok = false
		}
	}()
	if err := p.stamp(c); err != nil {
		return false
	}
	if h, is := r.h.(SecureHandler); is {
		h.Secured(c, nil)
	}
	return true
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
	case err == errAgain:
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
		case err == errAgain:
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

// relay lets another process serve an encrypted connection from here on: it
// gets one end of a pair of sockets, and this process stays between that and
// the client until one of them closes, after one request as a rule. False: by
// could not give it away.
func (r *Reactor) relay(c *Conn, pending []byte, by func(fd int, pending []byte) bool) bool {
	w, ok := c.wire.(*secure)
	if !ok {
		return false
	}
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return false
	}
	inner := os.NewFile(uintptr(fds[1]), "relay")
	given := by(fds[0], pending)
	syscall.Close(fds[0])
	if !given {
		inner.Close()
		return false
	}
	c.deadline.Store(0)
	c.phase = phRun
	go r.between(c, w, inner)
	return true
}

// between copies both ways on a goroutine of its own.
func (r *Reactor) between(c *Conn, w *secure, f *os.File) {
	th := &thread{r: r, serving: c}
	defer th.guard(nil)
	defer r.close(c)
	inner, err := net.FileConn(f)
	f.Close()
	if err != nil {
		return
	}
	defer inner.Close()
	outer, fd, err := goConn(c.FD)
	if err != nil {
		return
	}
	r.track(fd, true)
	defer func() {
		r.track(fd, false)
		outer.Close()
	}()
	w.aside = outer
	up := make(chan struct{})
	go func() {
		defer close(up)
		_, _ = io.Copy(inner, w.tls)
		if half, ok := inner.(*net.UnixConn); ok {
			_ = half.CloseWrite()
		}
	}()
	_, _ = io.Copy(&patient{w.tls, c.Settings.IO}, inner)
	_ = outer.SetDeadline(time.Now().Add(lingerTime))
	_ = w.tls.CloseWrite()
	if half, ok := outer.(*net.TCPConn); ok {
		_ = half.CloseWrite()
	}
	<-up // the client has closed, or lingerTime is over
}

// patient gives each write its time.
type patient struct {
	net.Conn
	limit time.Duration
}

func (p *patient) Write(b []byte) (int, error) {
	if p.limit > 0 {
		_ = p.SetWriteDeadline(time.Now().Add(p.limit))
	}
	return p.Conn.Write(b)
}
