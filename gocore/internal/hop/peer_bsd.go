//go:build darwin || freebsd

// Who made the listening socket at the other end: macOS and FreeBSD know the
// user, not reliably the process.
package hop

import (
	"fmt"
	"syscall"

	"golang.org/x/sys/unix"
)

const solLocal = 0 // SOL_LOCAL, sys/un.h

// checkPeer compares with the user expected; -1: any. The process is not compared.
func checkPeer(raw syscall.RawConn, uid, _ int) error {
	if uid < 0 {
		return nil
	}
	var cred *unix.Xucred
	var err error
	if e := raw.Control(func(fd uintptr) { cred, err = unix.GetsockoptXucred(int(fd), solLocal, unix.LOCAL_PEERCRED) }); e != nil {
		return e
	}
	switch {
	case err != nil:
		return fmt.Errorf("%w: LOCAL_PEERCRED: %w", errPeer, err)
	case cred.Uid != uint32(uid):
		return fmt.Errorf("%w: it belongs to user %d, not %d", errPeer, cred.Uid, uid)
	}
	return nil
}
