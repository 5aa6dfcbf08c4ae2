// What netconn.go asks of a socket, on Linux.
package listen

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

const sendFlags = unix.MSG_DONTWAIT | unix.MSG_NOSIGNAL

func prepare(int) {}

// sockRead and sockSend never wait, so the scheduler need not know of them.
func sockRead(fd int, p []byte) (int, syscall.Errno) {
	if len(p) == 0 {
		return 0, syscall.EAGAIN
	}
	n, _, e := syscall.RawSyscall6(syscall.SYS_RECVFROM, uintptr(fd), uintptr(unsafe.Pointer(&p[0])), uintptr(len(p)), syscall.MSG_DONTWAIT, 0, 0)
	return int(n), e
}

func sockSend(fd int, p []byte) (int, syscall.Errno) {
	if len(p) == 0 {
		return 0, 0
	}
	n, _, e := syscall.RawSyscall6(syscall.SYS_SENDTO, uintptr(fd), uintptr(unsafe.Pointer(&p[0])), uintptr(len(p)), sendFlags, 0, 0)
	return int(n), e
}

// peerCredential is the user at the other end of a Unix socket.
func peerCredential(fd int) (int, error) {
	c, err := unix.GetsockoptUcred(fd, unix.SOL_SOCKET, unix.SO_PEERCRED)
	if err != nil {
		return -1, err
	}
	return int(c.Uid), nil
}
