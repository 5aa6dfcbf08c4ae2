//go:build unix && !linux

// Making descriptors that are close-on-exec where that takes two calls: under
// the lock that keeps a concurrent fork out.
package process

import (
	"syscall"

	"golang.org/x/sys/unix"
)

func newSocket(family int) (int, error) {
	syscall.ForkLock.RLock()
	fd, err := unix.Socket(family, unix.SOCK_STREAM, 0)
	if err == nil {
		unix.CloseOnExec(fd)
	}
	syscall.ForkLock.RUnlock()
	if err == nil {
		err = unix.SetNonblock(fd, true)
	}
	return fd, err
}

// newPipe gives the read and the write end, both blocking.
func newPipe() (r, w int, err error) {
	var p [2]int
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	if err = unix.Pipe(p[:]); err == nil {
		unix.CloseOnExec(p[0])
		unix.CloseOnExec(p[1])
	}
	return p[0], p[1], err
}

// dupTo makes to a copy of from that children inherit.
func dupTo(from, to int) error { return unix.Dup2(from, to) }
