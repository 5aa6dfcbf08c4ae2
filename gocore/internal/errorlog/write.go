//go:build unix

// Writing records to a log. When one could not be written whole (a full disk),
// the next one begins with a newline, so that it does not continue a line that
// was cut. The same is in python/errorlog.c.
package errorlog

import (
	"errors"
	"io"
	"sync"

	"golang.org/x/sys/unix"
)

// cut holds the descriptors whose last record failed. A descriptor that is
// closed and opened anew may be among them: an empty line is all that follows.
var cut sync.Map

// Write writes a record, with its newline, by one write(2) where possible. Any
// goroutine. Nothing is tried again later: a log is no reason to stop serving.
//
// A record that failed as a whole counts too: another process with the same
// log may be the one whose record was cut by the disk that is full.
func Write(fd int, record []byte) error {
	_, failed := cut.Load(fd)
	if failed {
		record = append([]byte{'\n'}, record...)
	}
	err := writeAll(fd, record)
	if err != nil {
		cut.Store(fd, nil)
	} else if failed {
		cut.Delete(fd)
	}
	return err
}

func writeAll(fd int, b []byte) error {
	for len(b) > 0 {
		n, err := unix.Write(fd, b)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return err
		}
		if n <= 0 {
			return io.ErrShortWrite
		}
		b = b[n:]
	}
	return nil
}
