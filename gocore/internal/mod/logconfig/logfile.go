// This file is the buffered writing behind every access log. A line is copied
// into the target's buffer under its lock; the core's timer calls flush, which
// writes outside of the lock. Several processes append to the same file or
// pipe, so each write(2) carries whole lines only.

package logconfig

import (
	"bytes"
	"io"
	"sync"

	"modwsgi/gocore/internal/httpd"
)

const (
	// holdAt makes the logging thread itself write: a disk that cannot follow
	// must slow the server down, not eat its memory.
	holdAt = 1 << 20
	// pipeBuf is what POSIX writes to a pipe without mixing it with other
	// writers' data (PIPE_BUF on Linux).
	pipeBuf = 4096
)

// spares holds buffers between two flushes, so that the buffer of a target
// need not grow anew after each one.
var spares = sync.Pool{New: func() any { return new([]byte) }}

// flush writes what is pending for the target and returns when it is written.
// What cannot be written is lost. Any goroutine may call it.
func flush(t *httpd.LogFile) {
	spare := spares.Get().(*[]byte)
	t.Mu.Lock()
	out := t.Buf
	if len(out) == 0 {
		t.Mu.Unlock()
		spares.Put(spare)
		return
	}
	t.Buf = (*spare)[:0]
	t.Mu.Unlock()
	t.Wrote(writeLines(t.File, out, t.Target.Kind == httpd.LogToPipe))
	if cap(out) > 2*holdAt {
		out = nil
	}
	*spare = out[:0]
	spares.Put(spare)
}

// writeLines writes whole lines in one piece, or for a pipe in pieces of at
// most PIPE_BUF. An error loses the rest, as in Apache: the server goes on
// without its log rather than not at all.
func writeLines(w io.Writer, b []byte, pipe bool) error {
	for len(b) > 0 {
		n := len(b)
		if pipe && n > pipeBuf {
			n = bytes.LastIndexByte(b[:pipeBuf], '\n') + 1
			if n == 0 { // one line alone is longer
				n = bytes.IndexByte(b, '\n') + 1
				if n == 0 {
					n = len(b)
				}
			}
		}
		if _, err := w.Write(b[:n]); err != nil {
			return err
		}
		b = b[n:]
	}
	return nil
}
