//go:build unix && !linux

// Making descriptors that are close-on-exec where that takes two calls: under
// the lock that keeps a concurrent fork out.
package process

import (
	"errors"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// pollHangup is nothing: a listener cannot be shut down here (ENOTCONN).
const pollHangup = 0

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

// settleSocket gives the socket at path its mode and owner (-1: as it is).
func settleSocket(path string, mode os.FileMode, uid, gid int) error {
	err := unix.Fchmodat(unix.AT_FDCWD, path, uint32(mode.Perm()), unix.AT_SYMLINK_NOFOLLOW)
	if err == nil {
		var st os.FileInfo
		if st, err = os.Lstat(path); err == nil && st.Mode()&os.ModeSocket == 0 {
			err = errors.New("somebody has put something else in its place")
		}
	}
	if err != nil || uid < 0 && gid < 0 {
		return err
	}
	return os.Lchown(path, uid, gid)
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
