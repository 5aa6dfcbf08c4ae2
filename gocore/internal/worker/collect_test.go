package worker

import (
	"runtime"
	"runtime/debug"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestCollectorPercent(t *testing.T) {
	for live, want := range map[uint64]int{0: 400, 2 << 20: 400, 4 << 20: 400, 5 << 20: 300, 8 << 20: 200, 16 << 20: 100, 1 << 40: 100} {
		assert.Equal(t, want, collectorPercent(live), live)
	}
}

// TestCollectSeldom: the percentage follows the heap, collection by collection.
func TestCollectSeldom(t *testing.T) {
	before := debug.SetGCPercent(100)
	defer debug.SetGCPercent(before)
	t.Setenv("GOGC", "70")
	collectSeldom()
	assert.Equal(t, 100, debug.SetGCPercent(100), "GOGC is set")
	t.Setenv("GOGC", "")
	collectSeldom()
	large := make([]byte, 64<<20)
	follows := func(want int) {
		require.Eventually(t, func() bool {
			runtime.GC()
			n := debug.SetGCPercent(100)
			debug.SetGCPercent(n)
			return n == want
		}, 20*time.Second, time.Millisecond)
	}
	follows(100)
	runtime.KeepAlive(large)
	follows(400)
}
