//go:build unix

// Ownership of files, for SymLinksIfOwnerMatch and SCRIPT_USER.
package httpd

import (
	"os"
	"syscall"
)

// sameOwner reports whether a link and its target belong to the same user.
func sameOwner(a, b os.FileInfo) bool {
	x, ok := a.Sys().(*syscall.Stat_t)
	y, ok2 := b.Sys().(*syscall.Stat_t)
	return ok && ok2 && x.Uid == y.Uid
}

// owner gives the user and group of a file.
func owner(fi os.FileInfo) (uid, gid uint32, ok bool) {
	st, ok := fi.Sys().(*syscall.Stat_t)
	if !ok {
		return 0, 0, false
	}
	return st.Uid, st.Gid, true
}
