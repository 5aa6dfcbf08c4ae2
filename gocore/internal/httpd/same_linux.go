// Whether a file is still the one that was read: Linux keeps the time of the
// last change of any kind, which no user can set back.
package httpd

import (
	"os"
	"syscall"
	"time"
)

// changeTime is the time of a file's last change, of its contents or its inode.
func changeTime(fi os.FileInfo) time.Time {
	if st, ok := fi.Sys().(*syscall.Stat_t); ok {
		return time.Unix(st.Ctim.Unix())
	}
	return fi.ModTime()
}
