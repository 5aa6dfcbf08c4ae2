// FileVersion: what tells that a file that was read, a .htaccess file or one of
// passwords for instance, is the same still.
package httpd

import (
	"errors"
	"io/fs"
	"os"
	"syscall"
	"time"
)

// settled is how old a change must be before two changes could not have the
// same time stamp: some ticks of the kernel.
const settled = 100 * time.Millisecond

// FileVersion is the state of a file when it was read.
type FileVersion struct {
	info os.FileInfo
	sure bool // what is read later has another time stamp if it differs
}

// VersionOf is the state of a file about to be read.
func VersionOf(fi os.FileInfo) FileVersion {
	return FileVersion{fi, time.Since(changeTime(fi)) > settled}
}

// Same reports whether the file has not changed since. A copy that kept size
// and time of modification is another file.
func (v FileVersion) Same(fi os.FileInfo) bool {
	return v.info != nil && v.sure && sameState(v.info, fi)
}

func sameState(a, b os.FileInfo) bool {
	return a.Mode() == b.Mode() && a.Size() == b.Size() && a.ModTime().Equal(b.ModTime()) && changeTime(a).Equal(changeTime(b)) && os.SameFile(a, b)
}

// missing says whether an error means that there is no file of that name.
func missing(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR)
}
