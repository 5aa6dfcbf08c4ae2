//go:build unix

// Ownership of files, for SymLinksIfOwnerMatch.
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
