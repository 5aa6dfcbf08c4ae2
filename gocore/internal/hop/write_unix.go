//go:build unix

// Writing without blocking: one attempt on the descriptor, past Go's poller.
package hop

import (
	"errors"

	"golang.org/x/sys/unix"
)

// tryWrite writes c.now as far as the socket takes it; blocked: there is more.
func (c *conn) tryWrite() (n int, blocked bool, err error) {
	if c.raw == nil {
		return 0, true, nil
	}
	if c.attempt == nil { // made once: a closure for each write would be an allocation
		c.attempt = func(fd uintptr) bool {
			for c.at < len(c.now) {
				n, err := unix.Write(int(fd), c.rest())
				if errors.Is(err, unix.EINTR) {
					continue
				}
				if err != nil {
					if errors.Is(err, unix.EAGAIN) {
						c.tried.blocked = true
					} else {
						c.tried.err = err
					}
					break
				}
				c.tried.n += n
				c.advance(n)
			}
			return true // never wait
		}
	}
	c.tried = attemptResult{}
	if err := c.raw.Write(c.attempt); err != nil {
		return c.tried.n, false, err
	}
	return c.tried.n, c.tried.blocked, c.tried.err
}
