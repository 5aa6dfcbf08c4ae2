//go:build unix

// Writing on the descriptor itself: an attempt that does not wait for the
// socket, or waits with Go's poller until there is some progress.
package hop

import (
	"errors"

	"golang.org/x/sys/unix"
)

// tryWrite writes c.now as far as the socket takes it at once; blocked: there is more.
func (c *conn) tryWrite() (n int, blocked bool, err error) {
	err = c.rawWrite(false)
	return c.tried.n, c.tried.blocked, err
}

// waitWrite waits until the socket takes some of c.now, up to the write deadline.
func (c *conn) waitWrite() (n int, err error) {
	err = c.rawWrite(true)
	return c.tried.n, err
}

func (c *conn) rawWrite(patient bool) error {
	if c.attempt == nil { // made once: a closure for each write would be an allocation
		c.attempt = c.writeNow
	}
	c.tried = attemptResult{patient: patient}
	if err := c.raw.Write(c.attempt); err != nil {
		return err
	}
	return c.tried.err
}

// writeNow is called by the poller; false: wait until the socket takes more, and again.
func (c *conn) writeNow(fd uintptr) bool {
	t := &c.tried
	for c.at < len(c.now) {
		n, err := send(int(fd), c.rest())
		switch {
		case err == nil:
			t.n += n
			c.advance(n)
		case errors.Is(err, unix.EINTR):
		case errors.Is(err, unix.EAGAIN):
			t.blocked = true
			return !t.patient || t.n > 0
		default:
			t.err = err
			return true
		}
	}
	return true
}
