// The scoreboard: memory that all processes of a generation map, in which each
// writes how busy it is, for those that accept from the same sockets (package
// balance), and what its threads do, when the configuration lets an application
// look at it (mod_wsgi.server_metrics()). Not made when nobody wants either.
// The layout is that of python/board.c and package balance; the supervisor
// writes the head and clears the places of processes that ended.
package process

import (
	"encoding/binary"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"modwsgi/gocore/internal/balance"
	"modwsgi/gocore/internal/httpd"
)

// Sizes in bytes, and the mark at the start, as in board.c.
const (
	boardHead  = 64
	boardProc  = balance.PlaceSize
	boardSlot  = balance.ThreadSize
	boardMagic = 0x6d777362
)

// board is the scoreboard of a generation; a nil one has no places.
type board struct {
	fd      int
	size    int64
	threads int // with a slot of their own; 0 when nobody may look
	used    []bool
}

// shares says whether the processes of the group accept from the same sockets.
func (p *groupPlan) shares() bool { return len(p.listen) > 0 && p.processes > 1 }

// placesEach is how many places each process of the configuration has: one for
// itself, one for its successor, and some for predecessors that still drain.
const placesEach = 4

// newBoard makes the board of a generation; nil when nobody looks.
func newBoard(srv *httpd.Server, g *generation) (*board, error) {
	wanted := srv.Python.ServerMetrics
	for i := range srv.Groups {
		wanted = wanted || srv.Groups[i].ServerMetrics
	}
	b := &board{}
	places, shared := 0, false
	for _, pg := range g.groups {
		places += placesEach * pg.processes
		shared = shared || pg.shares()
		if wanted {
			b.threads = max(b.threads, pg.threads, 1)
		}
	}
	if !wanted && !shared {
		return nil, nil
	}
	b.used = make([]bool, places)
	b.size = int64(boardHead + places*b.place())
	var err error
	if b.fd, err = memoryFile("scoreboard"); err != nil {
		return nil, err
	}
	err = os.NewSyscallError("ftruncate", unix.Ftruncate(b.fd, b.size))
	if err == nil {
		err = sealMemory(b.fd)
	}
	if err != nil {
		_ = unix.Close(b.fd)
		return nil, err
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
