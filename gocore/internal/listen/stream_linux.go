// Streams on the reactor. The goroutine works on a duplicate of the
// connection's descriptor in Go's poller; the reactor's own registration stays,
// and events for the owned connection are only noted, as for any other owner.
package listen

import (
	"net"
	"os"
	"syscall"
)

// stream gives an owned connection to a goroutine.
func (r *Reactor) stream(c *Conn) step {
	c.deadline.Store(0)
	c.phase = phRun
	r.streams.Add(1)
	go r.runStream(c)
	return gone
}

func (r *Reactor) runStream(c *Conn) {
	th := &thread{r: r, scratch: make([]byte, 16<<10), serving: c} // stands for the spare: runs no Python
	defer th.guard(nil)
	r.writeStream(c)
	switch r.finish(th, c) {
	case gone:
	case needOutput:
		if !r.release(c) {
			r.serve(th, c)
		}
	default:
		r.serve(th, c)
	}
}

func (r *Reactor) writeStream(c *Conn) {
	defer r.streams.Add(-1)
	write := c.Stream
	c.Stream = nil
	if c.h2s != nil {
		c.holdStream(false)
		r.streamOn(c, c.streamSocket(), write)
		return
	}
	conn, fd, err := goConn(c.FD)
	if err != nil { // out of descriptors
		c.req.KeepAlive, c.unread = 0, true
		r.h.Bad(c, c.req, 503)
		return
	}
	r.track(fd, true)
	client := conn
	w, _ := c.wire.(*secure)
	if w != nil {
		w.aside = conn
		client = &tlsSocket{w.tls, conn}
	}
	s := newStream(r.ctx, c, client)
	c.stream.Store(s)
	defer func() {
		c.stream.Store(nil)
		s.cancel()
		switch {
		case w != nil && s.hijacked:
			c.disconnect() // it is the handler's: nothing more is written here
		case w != nil:
			w.aside, w.dry = nil, false
		}
		if !s.hijacked { // else it is the handler's to close
			r.track(fd, false)
			conn.Close()
		}
	}()
	write(s)
	s.end(&r.mem)
}

// streamOn is writeStream for what has no descriptor.
func (r *Reactor) streamOn(c *Conn, conn net.Conn, write func(*Stream)) {
	s := newStream(r.ctx, c, conn)
	c.stream.Store(s)
	defer func() {
		c.stream.Store(nil)
		s.cancel()
	}()
	write(s)
	s.end(&r.mem)
}

// goConn is a net.Conn over a duplicate of fd, and its descriptor.
func goConn(fd int) (net.Conn, int, error) {
	n, _, no := syscall.Syscall(syscall.SYS_FCNTL, uintptr(fd), syscall.F_DUPFD_CLOEXEC, 3)
	if no != 0 {
		return nil, -1, os.NewSyscallError("fcntl", no)
	}
	f := os.NewFile(n, "connection")
	defer f.Close()
	conn, err := net.FileConn(f) // duplicates once more
	if err != nil {
		return nil, -1, err
	}
	dup := -1
	if sc, ok := conn.(syscall.Conn); ok {
		if raw, err := sc.SyscallConn(); err == nil {
			raw.Control(func(fd uintptr) { dup = int(fd) })
		}
	}
	return conn, dup, nil
}
