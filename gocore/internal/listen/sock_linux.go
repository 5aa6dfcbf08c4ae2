// What netconn.go asks of a socket, on Linux.
package listen

import "golang.org/x/sys/unix"

const sendFlags = unix.MSG_DONTWAIT | unix.MSG_NOSIGNAL

func prepare(int) {}

// peerCredential is the user at the other end of a Unix socket.
func peerCredential(fd int) (int, error) {
	c, err := unix.GetsockoptUcred(fd, unix.SOL_SOCKET, unix.SO_PEERCRED)
	if err != nil {
		return -1, err
	}
	return int(c.Uid), nil
}
