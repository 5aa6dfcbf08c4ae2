// Tests of who gives what to whom.
package balance

import (
	"testing"
	"unsafe"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// board makes memory as the supervisor does, with so many processes of group 1.
func board(t *testing.T, procs, threads int) []*Member {
	size := headSize + procs*(PlaceSize+threads*ThreadSize)
	words := make([]uint64, size/8)
	mem := unsafe.Slice((*byte)(unsafe.Pointer(&words[0])), size)
	*(*head)(unsafe.Pointer(&mem[0])) = head{1, uint32(procs), uint32(threads), 1}
	var all []*Member
	for i := range procs {
		m, err := New(mem, i, 1)
		require.NoError(t, err)
		m.mine.pid, m.mine.num = int32(100+i), uint32(i)
		m.Join(2)
		all = append(all, m)
	}
	return all
}

func TestExcess(t *testing.T) {
	for _, c := range []struct {
		loads []int
		want  int // of the first
	}{
		{[]int{1, 0}, 0},
		{[]int{2, 0}, 0}, // mean 1
		{[]int{3, 0}, 1}, // mean 1.5
		{[]int{5, 5}, 0},
		{[]int{12, 4}, 4},
		{[]int{11, 5}, 0}, // a quarter and one more than the mean of 8
		{[]int{64, 0, 0, 0}, 48},
		{[]int{20, 12, 12, 20}, 0},
		{[]int{0, 64}, 0},
		{[]int{100}, 0},
	} {
		all := board(t, len(c.loads), 0)
		for i, n := range c.loads {
			all[i].Connections(n)
		}
		assert.Equal(t, c.want, all[0].Excess(c.loads[0]), c.loads)
	}
}

// With at least eight connections each, nobody who keeps to his share has more than 1.5 times the mean.
func TestShareIsWithinTheBound(t *testing.T) {
	for procs := 2; procs <= 8; procs++ {
		for total := 8 * procs; total < 40*procs; total++ {
			for n := 1; n <= total; n++ {
				all := board(t, procs, 0)
				all[1].Connections(total - n)
				if 2*n*procs > 3*total {
					require.Positive(t, all[0].Excess(n), "%d of %d connections, %d processes", n, total, procs)
				}
			}
		}
	}
}

func TestLeastAnnounces(t *testing.T) {
	all := board(t, 3, 1)
	all[0].Connections(9)
	all[1].Connections(2)
	all[2].Connections(1)
	var to []int
	for {
		num, ok := all[0].Least(5)
		if !ok {
			break
		}
		to = append(to, num)
	}
	assert.Equal(t, []int{2, 1, 2, 1, 2}, to, "the emptier one in turn, as far as it helps")
	all[1].Arrived()
	num, ok := all[0].Least(5)
	assert.True(t, ok)
	assert.Equal(t, 1, num)
}

func TestIdle(t *testing.T) {
	all := board(t, 3, 0)
	all[1].Active().Store(1)
	all[2].Active().Store(2)
	num, ok := all[0].Idle()
	assert.True(t, ok)
	assert.Equal(t, 1, num)
	_, ok = all[0].Idle()
	assert.False(t, ok, "the one idle thread is spoken for")
	for range forgetAfter + 3 {
		all[1].Beat()
	}
	_, ok = all[0].Idle()
	assert.True(t, ok, "what does not come is forgotten")
}

func TestWhoIsNotASibling(t *testing.T) {
	for name, change := range map[string]func(m *Member){
		"gone":          func(m *Member) { m.mine.pid = 0 },
		"leaving":       (*Member).Leave,
		"another group": func(m *Member) { m.mine.group = 2 },
		"not alive":     func(m *Member) { m.mine.beat = clock() - 10_000 },
	} {
		t.Run(name, func(t *testing.T) {
			all := board(t, 2, 0)
			_, ok := all[0].Idle()
			require.True(t, ok)
			change(all[1])
			_, ok = all[0].Idle()
			assert.False(t, ok)
			_, ok = all[0].Least(100)
			assert.False(t, ok)
			assert.Zero(t, all[0].Excess(100))
		})
	}
}

func TestAlone(t *testing.T) {
	var m *Member
	m.Join(1)
	m.Beat()
	m.Connections(3)
	m.Arrived()
	m.Leave()
	assert.NotNil(t, m.Active())
	assert.Zero(t, m.Excess(100))
	_, ok := m.Idle()
	assert.False(t, ok)
}

func TestMemoryThatIsTooSmall(t *testing.T) {
	words := make([]uint64, 16)
	mem := unsafe.Slice((*byte)(unsafe.Pointer(&words[0])), 128)
	*(*head)(unsafe.Pointer(&mem[0])) = head{1, 2, 0, 1}
	_, err := New(mem, 0, 1)
	assert.Error(t, err)
	_, err = New(mem[:10], 0, 1)
	assert.Error(t, err)
}
