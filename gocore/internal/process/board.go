// The scoreboard: memory that all processes of a generation map, in which each
// writes what its threads do. Made only when the configuration lets an
// application look at it (mod_wsgi.server_metrics()). The layout is that of
// python/board.c; the supervisor writes the head and clears the places of
// processes that ended.
package process

import (
	"encoding/binary"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"modwsgi/gocore/internal/httpd"
)

// Sizes in bytes, and the mark at the start, as in board.c.
const (
	boardHead  = 64
	boardProc  = 64
	boardSlot  = 256
	boardMagic = 0x6d777362
)

// board is the scoreboard of a generation; a nil one has no places.
type board struct {
	fd      int
	size    int64
	threads int
	used    []bool
}

// newBoard makes one with two places for each process: one is for the
// successor while the other still drains. It is nil when nobody may look.
func newBoard(srv *httpd.Server, g *generation) (*board, error) {
	wanted := srv.Python.ServerMetrics
	for i := range srv.Groups {
		wanted = wanted || srv.Groups[i].ServerMetrics
	}
	if !wanted {
		return nil, nil
	}
	b := &board{}
	places := 0
	for _, pg := range g.groups {
		places += 2 * pg.processes
		b.threads = max(b.threads, pg.threads, 1)
	}
	b.used = make([]bool, places)
	b.size = int64(boardHead + places*b.place())
	var err error
	if b.fd, err = memoryFile("scoreboard"); err != nil {
		return nil, err
	}
	if err := unix.Ftruncate(b.fd, b.size); err != nil {
		_ = unix.Close(b.fd)
		return nil, os.NewSyscallError("ftruncate", err)
	}
	head := make([]byte, boardHead)
	for i, v := range []uint32{boardMagic, uint32(places), uint32(b.threads), uint32(g.num)} {
		binary.NativeEndian.PutUint32(head[4*i:], v)
	}
	binary.NativeEndian.PutUint64(head[16:], uint64(time.Now().UnixMicro()))
	if _, err := unix.Pwrite(b.fd, head, 0); err != nil {
		_ = unix.Close(b.fd)
		return nil, os.NewSyscallError("pwrite", err)
	}
	return b, nil
}

func (b *board) place() int { return boardProc + b.threads*boardSlot }

// take gives a process that is about to start a place and writes it into its
// configuration; -1: there is no board, or no place.
func (b *board) take(cfg *WorkerConfig) int {
	if b == nil {
		return -1
	}
	for i, used := range b.used {
		if !used {
			b.used[i] = true
			cfg.BoardSize, cfg.BoardPlace = b.size, i
			return i
		}
	}
	return -1
}

// free clears the place of a process that has ended.
func (b *board) free(i int) {
	if b == nil || i < 0 {
		return
	}
	b.used[i] = false
	_, _ = unix.Pwrite(b.fd, make([]byte, boardProc), int64(boardHead+i*b.place())) // pid 0: nobody
}

func (b *board) close() {
	if b != nil {
		_ = unix.Close(b.fd)
	}
}
