//go:build darwin || freebsd

// What netconn.go asks of a socket where no signal is a property of the socket.
package listen

import "golang.org/x/sys/unix"

const sendFlags = unix.MSG_DONTWAIT

// prepare: writing to a client that is gone is an error, not a signal, for C code too.
func prepare(fd int) {
	_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_NOSIGPIPE, 1) // it is ignored in workers anyway
}

// peerCredential is the user at the other end of a Unix socket.
func peerCredential(fd int) (int, error) {
	c, err := unix.GetsockoptXucred(fd, 0, unix.LOCAL_PEERCRED)
	if err != nil {
		return -1, err
	}
	return int(c.Uid), nil
}
