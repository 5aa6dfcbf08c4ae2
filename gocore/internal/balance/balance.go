// Package balance is how the processes that accept from the same sockets share
// their work: each writes into memory that all of them map how many connections
// it has and how many of its threads are in the application, and one that has
// clearly more connections than the others, or requests that wait while others
// have idle threads, gives some away (package listen; through the supervisor).
//
// The memory is the scoreboard that package process makes (board.go there,
// python/board.c); here are the fields of a process that concern its load. Each
// process writes its own place, except `coming`, to which a sibling adds what it
// has sent: until that has arrived nobody else takes the same idle thread for free.
package balance

import (
	"errors"
	"sync/atomic"
	"time"
	"unsafe"
)

// Sizes of the layout in bytes, as in python/board.c.
const (
	headSize   = 64
	PlaceSize  = 64
	ThreadSize = 256
)

const (
	// staleAfter is how long a process that does not beat counts as able to serve.
	// Beats come four times a second; a machine may be slow.
	staleAfter = 3 * time.Second
	// forgetAfter is the number of beats after which what was announced and has
	// not come is given up: its sender, or the supervisor, found another way.
	forgetAfter = 8
)

type head struct{ magic, procs, threads, generation uint32 }

// place is a process on the scoreboard.
type place struct {
	pid                        int32 // 0: nobody
	num, generation, quiescing uint32
	start                      int64
	group                      uint32
	threads                    int32 // for requests; 0: takes nothing
	active                     atomic.Int32
	connections                atomic.Int32
	coming                     atomic.Int32
	beat                       uint32 // milliseconds of the clock, wrapping
	_                          [16]byte
}

var _ [PlaceSize]byte = [unsafe.Sizeof(place{})]byte{}

// Member is this process among its siblings. A nil one has none: its methods
// do nothing and find nobody. Any goroutine, but for Beat.
type Member struct {
	mem   []byte
	mine  *place
	all   []*place
	group uint32
	quiet int   // beats since something arrived
	last  int32 // coming at the last beat
}

// New makes the member at the index of the scoreboard mem; group is the number
// of its process group, the same for all siblings and above 0.
func New(mem []byte, index, group int) (*Member, error) {
	if len(mem) < headSize || uintptr(unsafe.Pointer(&mem[0]))%8 != 0 {
		return nil, errors.New("scoreboard: no head")
	}
	h := (*head)(unsafe.Pointer(&mem[0]))
	step := PlaceSize + int(h.threads)*ThreadSize
	if index < 0 || index >= int(h.procs) || headSize+int(h.procs)*step > len(mem) {
		return nil, errors.New("scoreboard: no place for this process")
	}
	m := &Member{mem: mem, group: uint32(group)}
	for i := range int(h.procs) {
		m.all = append(m.all, (*place)(unsafe.Pointer(&mem[headSize+i*step])))
	}
	m.mine = m.all[index]
	m.mine.group = m.group
	return m, nil
}

// Active is the count of threads that are in the application, for its owner to
// write. It is the only thing that a request touches.
func (m *Member) Active() *atomic.Int32 {
	if m == nil {
		return new(atomic.Int32)
	}
	return &m.mine.active
}

// Join says that this process takes connections from now on.
func (m *Member) Join(threads int) {
	if m != nil {
		m.Beat()
		atomic.StoreInt32(&m.mine.threads, int32(threads))
	}
}

// Leave says that it takes no more.
func (m *Member) Leave() {
	if m != nil {
		atomic.StoreInt32(&m.mine.threads, 0)
	}
}

// Connections publishes the number of connections.
func (m *Member) Connections(n int) {
	if m != nil {
		m.mine.connections.Store(int32(n))
	}
}

// Arrived notes that something came which a sibling had announced.
func (m *Member) Arrived() {
	if m != nil {
		m.less()
	}
}

func (m *Member) less() {
	for {
		n := m.mine.coming.Load()
		if n <= 0 || m.mine.coming.CompareAndSwap(n, n-1) {
			return
		}
	}
}

// Beat says that this process is alive. From one goroutine, four times a second.
func (m *Member) Beat() {
	if m == nil {
		return
	}
	atomic.StoreUint32(&m.mine.beat, clock())
	n := m.mine.coming.Load()
	if n == 0 || n < m.last {
		m.quiet = 0
	} else if m.quiet++; m.quiet > forgetAfter {
		m.mine.coming.CompareAndSwap(n, 0)
		m.quiet = 0
	}
	m.last = n
}

func clock() uint32 { return uint32(time.Now().UnixMilli()) }

// siblings calls f for each other process of the group that takes connections.
func (m *Member) siblings(f func(p *place, load int)) {
	now := clock()
	for _, p := range m.all {
		if p == m.mine || atomic.LoadInt32(&p.pid) == 0 || atomic.LoadUint32(&p.group) != m.group || atomic.LoadInt32(&p.threads) <= 0 ||
			int32(now-atomic.LoadUint32(&p.beat)) > int32(staleAfter/time.Millisecond) {
			continue
		}
		f(p, int(p.connections.Load()+p.coming.Load()))
	}
}

// Excess is how many of its n connections this process should give to others.
// 0 unless it has clearly more than the mean of all, a quarter and one: what
// moves must not move back.
func (m *Member) Excess(n int) int {
	if m == nil {
		return 0
	}
	total, members := n, 1
	m.siblings(func(_ *place, load int) {
		total += load
		members++
	})
	if 4*n*members <= 5*total+4*members {
		return 0
	}
	return n - (total+members-1)/members
}

// Least finds the sibling with the fewest connections, if it has fewer than n-1,
// and announces one to it.
func (m *Member) Least(n int) (num int, ok bool) {
	return m.choose(func(_ *place, load int) (int, bool) { return -load, load < n-1 })
}

// Idle finds the sibling with the most idle threads, if there is any, and
// announces a request to it.
func (m *Member) Idle() (num int, ok bool) {
	return m.choose(func(p *place, _ int) (int, bool) {
		idle := int(atomic.LoadInt32(&p.threads) - p.active.Load() - p.coming.Load())
		return idle, idle > 0
	})
}

// choose announces something to the sibling with the highest mark.
func (m *Member) choose(mark func(p *place, load int) (int, bool)) (int, bool) {
	if m == nil {
		return 0, false
	}
	var best *place
	top := 0
	m.siblings(func(p *place, load int) {
		if n, ok := mark(p, load); ok && (best == nil || n > top) {
			best, top = p, n
		}
	})
	if best == nil {
		return 0, false
	}
	best.coming.Add(1)
	return int(atomic.LoadUint32(&best.num)), true
}
