// Making descriptors that are close-on-exec (and non-blocking) from the start.
package process

import (
	"errors"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// pollHangup is what poll(2) says of a listener that was shut down.
const pollHangup = unix.POLLRDHUP

func newSocket(family int) (int, error) {
	return unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
}

// settleSocket gives the socket at path its mode and owner (-1: as it is). It
// works on the socket and not on the name: whoever may write to the directory
// could put a link there to a file that is to be everybody's then.
func settleSocket(path string, mode os.FileMode, uid, gid int) error {
	fd, err := unix.Open(path, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return &os.PathError{Op: "open", Path: path, Err: err}
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return os.NewSyscallError("fstat", err)
	}
	if st.Mode&unix.S_IFMT != unix.S_IFSOCK || int(st.Uid) != os.Geteuid() {
		return errors.New("somebody has put something else in its place")
	}
	if err := os.Chmod("/proc/self/fd/"+strconv.Itoa(fd), mode); err != nil {
		return err
	}
	if uid < 0 && gid < 0 {
		return nil
	}
	return os.NewSyscallError("fchownat", unix.Fchownat(fd, "", uid, gid, unix.AT_EMPTY_PATH))
}

// newPipe gives the read and the write end, both blocking.
func newPipe() (r, w int, err error) {
	var p [2]int
	err = unix.Pipe2(p[:], unix.O_CLOEXEC)
	return p[0], p[1], err
}

// dupTo makes to a copy of from that children inherit.
func dupTo(from, to int) error { return unix.Dup3(from, to, 0) }
