//go:build unix

// Package scoreboard is memory that the worker processes share, so that any of
// them can show the state of all (mod_status). Each process writes a text of
// its own into its slot; nobody waits for anybody.
//
// A slot: process id, sequence number, length, text. The writer makes the
// sequence number odd, writes, and makes it even again; a reader who saw an
// odd one, or another one afterwards, tries again.
package scoreboard

import (
	"errors"
	"fmt"
	"os"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	slots    = 512
	slotSize = 8192
	header   = 16 // pid, sequence, length, unused: 4 bytes each
	// MaxText is the longest text of a process.
	MaxText = slotSize - header
)

// Board is the mapped memory.
type Board struct{ mem []byte }

// Slot is the place of one process. One goroutine writes at a time.
type Slot struct{ b []byte }

// Create makes the memory. The supervisor does it once and passes the file on.
func Create() (*os.File, error) {
	f, err := anonymous()
	if err != nil {
		return nil, fmt.Errorf("create the scoreboard: %w", err)
	}
	if err := f.Truncate(slots * slotSize); err != nil {
		f.Close()
		return nil, fmt.Errorf("create the scoreboard: %w", err)
	}
	return f, nil
}

// Open maps a file that Create made.
func Open(f *os.File) (*Board, error) {
	mem, err := unix.Mmap(int(f.Fd()), 0, slots*slotSize, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return nil, fmt.Errorf("map the scoreboard: %w", err)
	}
	return &Board{mem}, nil
}

func (b *Board) slot(i int) *Slot { return &Slot{b.mem[i*slotSize : (i+1)*slotSize : (i+1)*slotSize]} }

func (s *Slot) word(i int) *uint32 { return (*uint32)(unsafe.Pointer(&s.b[4*i])) }

// Claim takes a slot for a process: a new one, or that of a process that is
// gone, whose last text it returns.
func (b *Board) Claim(pid int, alive func(pid int) bool) (s *Slot, last []byte, err error) {
	for _, fresh := range [2]bool{false, true} { // first what others left: their totals go on in it
		for i := range slots {
			s := b.slot(i)
			old := atomic.LoadUint32(s.word(0))
			if (old == 0) != fresh || old != 0 && alive(int(old)) || !atomic.CompareAndSwapUint32(s.word(0), old, uint32(pid)) {
				continue
			}
			if atomic.LoadUint32(s.word(1))&1 != 0 { // its writer died in the middle
				atomic.StoreUint32(s.word(2), 0)
				atomic.AddUint32(s.word(1), 1)
			}
			_, last = s.read()
			return s, last, nil
		}
	}
	return nil, nil, errors.New("the scoreboard is full")
}

// Write replaces the text; what does not fit is an error and changes nothing.
func (s *Slot) Write(text []byte) error {
	if len(text) > MaxText {
		return fmt.Errorf("%d bytes do not fit into a slot of the scoreboard", len(text))
	}
	atomic.AddUint32(s.word(1), 1)
	atomic.StoreUint32(s.word(2), uint32(len(text)))
	copy(s.b[header:], text)
	atomic.AddUint32(s.word(1), 1)
	return nil
}

// read returns a consistent copy of a slot.
func (s *Slot) read() (pid int, text []byte) {
	for range 1000 {
		before := atomic.LoadUint32(s.word(1))
		n := atomic.LoadUint32(s.word(2))
		if before&1 != 0 || n > MaxText {
			continue
		}
		text = append(text[:0], s.b[header:header+n]...)
		if atomic.LoadUint32(s.word(1)) == before {
			return int(atomic.LoadUint32(s.word(0))), text
		}
	}
	return int(atomic.LoadUint32(s.word(0))), nil
}

// Each shows every slot that was ever used.
func (b *Board) Each(f func(pid int, text []byte)) {
	for i := range slots {
		if pid, text := b.slot(i).read(); pid != 0 {
			f(pid, text)
		}
	}
}
