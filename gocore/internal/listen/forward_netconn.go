//go:build linux || darwin || freebsd

// Requests that another process answers, on the source of netconn.go: the
// connection's goroutine waits until the Forwarder gives it back, and meanwhile
// somebody watches the client.
package listen

import (
	"os"

	"golang.org/x/sys/unix"
)

// forward serves a request with the action Forward; false: the connection is finished.
func (n *netConn) forward() bool {
	s, c, q := n.s, n.Conn, n.req
	c.deadline.Store(0)
	c.phase = phRun
	if q.StreamLeft != 0 { // the body does not fit
		q.StreamLeft, q.BodyLen = 0, 0 // the stream reads it from its beginning
		c.Stream = s.fw.ForwardStream(c, q)
		return n.stream()
	}
	switch n.away() {
	case Streamed:
		c.action = Run // the body was somebody else's
		return n.stream()
	case Run:
		c.action = Run
		return n.run()
	}
	if q.Result == ResultCut || q.Aborted != 0 {
		q.KeepAlive = 0
	}
	return n.respond()
}

// away waits while the connection is the Forwarder's.
func (n *netConn) away() (a Action) {
	n.s.aside.Add(1)
	defer n.s.aside.Add(-1)
	if n.resumed == nil {
		n.resumed = make(chan Action, 1)
	}
	for a = Forward; a == Forward; {
		n.s.fw.Forward(n.Conn, n.req, false)
		unwatch := n.watch(func() {
			if w := n.Conn.away.Swap(nil); w != nil {
				w.Gone()
			}
		})
		a = <-n.resumed
		n.Conn.away.Store(nil)
		unwatch()
	}
	return a
}

// Resume implements Resumer.
func (s *NetSource) Resume(c *Conn, a Action) { c.resumed <- a }

// watch calls gone when the client resets its connection, until end is called.
// The end of what it sends is none: it may still read. The handler reads and
// writes meanwhile, so this looks at a duplicate of the descriptor.
func (n *netConn) watch(gone func()) (end func()) {
	if n.h2s != nil {
		return n.h2s.watch(gone)
	}
	dup := -1
	err := n.raw.Control(func(fd uintptr) { dup, _ = unix.FcntlInt(fd, unix.F_DUPFD_CLOEXEC, 3) })
	if err != nil || dup < 0 { // out of descriptors: whoever writes finds out
		return func() {}
	}
	f := os.NewFile(uintptr(dup), "connection")
	n.s.track(dup, true)
	end = func() {
		n.s.track(dup, false)
		_ = f.Close() // ends the goroutine too
	}
	raw, err := f.SyscallConn()
	if err != nil {
		return end
	}
	go func() {
		reset := false
		_ = raw.Read(func(fd uintptr) bool { // called at first, then with every event; fails when it is closed
			e, err := unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_ERROR)
			reset = err != nil || e != 0
			return reset
		})
		if reset {
			gone()
		}
	}()
	return end
}
