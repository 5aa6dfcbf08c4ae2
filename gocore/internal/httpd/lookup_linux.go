// A look at a file for the precomputed way, without allocation.
package httpd

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// lookup says what is at root + path.
func lookup(root string, path []byte) int {
	var buf [1024]byte
	if len(root)+len(path) >= len(buf) {
		return something
	}
	copy(buf[copy(buf[:], root):], path) // the rest is zero: a C string
	var st unix.Statx_t
	at := unix.AT_FDCWD
	_, _, e := syscall.Syscall6(unix.SYS_STATX, uintptr(at), uintptr(unsafe.Pointer(&buf[0])), 0, unix.STATX_TYPE, uintptr(unsafe.Pointer(&st)), 0)
	switch {
	case e == syscall.ENOENT || e == syscall.ENOTDIR:
		return nothing
	case e == 0 && st.Mode&unix.S_IFMT == unix.S_IFDIR:
		return directory
	}
	return something
}
