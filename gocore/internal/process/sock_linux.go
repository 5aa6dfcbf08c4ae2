// Making descriptors that are close-on-exec (and non-blocking) from the start.
package process

import "golang.org/x/sys/unix"

func newSocket(family int) (int, error) {
	return unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
}

// newPipe gives the read and the write end, both blocking.
func newPipe() (r, w int, err error) {
	var p [2]int
	err = unix.Pipe2(p[:], unix.O_CLOEXEC)
	return p[0], p[1], err
}

// dupTo makes to a copy of from that children inherit.
func dupTo(from, to int) error { return unix.Dup3(from, to, 0) }
