//go:build darwin || freebsd

// What netconn.go asks of a socket where no signal is a property of the socket.
package listen

import (
	"errors"
	"syscall"

	"golang.org/x/sys/unix"
)

const sendFlags = unix.MSG_DONTWAIT

// prepare: writing to a client that is gone is an error, not a signal, for C code too.
func prepare(fd int) {
	_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_NOSIGPIPE, 1) // it is ignored in workers anyway
}

func sockRead(fd int, p []byte) (int, syscall.Errno) {
	if len(p) == 0 {
		return 0, syscall.EAGAIN
	}
	n, _, err := unix.Recvfrom(fd, p, unix.MSG_DONTWAIT)
	return max(n, 0), errnoOf(err)
}

func sockSend(fd int, p []byte) (int, syscall.Errno) {
	if len(p) == 0 {
		return 0, 0
	}
	n, err := unix.SendmsgN(fd, p, nil, nil, sendFlags)
	return max(n, 0), errnoOf(err)
}

func errnoOf(err error) (e syscall.Errno) {
	errors.As(err, &e)
	return e
}

// peerCredential is the user at the other end of a Unix socket.
func peerCredential(fd int) (int, error) {
	c, err := unix.GetsockoptXucred(fd, 0, unix.LOCAL_PEERCRED)
	if err != nil {
		return -1, err
	}
	return int(c.Uid), nil
}
