// Who made the listening socket at the other end: on Linux SO_PEERCRED of a
// connected socket gives the process that called listen.
package hop

import (
	"fmt"
	"syscall"

	"golang.org/x/sys/unix"
)

// checkPeer compares with the user and the process expected; -1: any.
func checkPeer(raw syscall.RawConn, uid, pid int) error {
	if uid < 0 && pid < 0 {
		return nil
	}
	var cred *unix.Ucred
	var err error
	if e := raw.Control(func(fd uintptr) { cred, err = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED) }); e != nil {
		return e
	}
	switch {
	case err != nil:
		return fmt.Errorf("%w: SO_PEERCRED: %w", errPeer, err)
	case uid >= 0 && cred.Uid != uint32(uid):
		return fmt.Errorf("%w: it belongs to user %d, not %d", errPeer, cred.Uid, uid)
	case pid >= 0 && cred.Pid != int32(pid):
		return fmt.Errorf("%w: it belongs to process %d, not %d", errPeer, cred.Pid, pid)
	}
	return nil
}
