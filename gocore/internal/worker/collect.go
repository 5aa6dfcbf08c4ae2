// How often Go's garbage collector runs. A worker's live heap is some 2 MiB, so
// by default every 2 MiB of garbage start a collection, with a quarter of
// GOMAXPROCS threads at once, and GOMAXPROCS counts each Python thread. In a busy
// front process these were a dozen a second, each of which kept requests waiting
// for a few milliseconds. So a small heap may hold more garbage.
package worker

import (
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
)

// garbage is what a small heap may collect before it is looked through, in bytes.
const garbage = 16 << 20

// collectSeldom is called once, at start. Who sets GOGC knows better.
func collectSeldom() {
	if os.Getenv("GOGC") == "" {
		tuneCollector(&tuner{percent: 100})
	}
}

// tuner is unreachable, so its finalizer runs after each collection.
type tuner struct {
	percent int
	live    [1]metrics.Sample
}

func tuneCollector(t *tuner) {
	t.live[0].Name = "/gc/heap/live:bytes"
	metrics.Read(t.live[:])
	if n := collectorPercent(t.live[0].Value.Uint64()); n != t.percent {
		t.percent = n
		debug.SetGCPercent(n) // stops the world: only where something changes
	}
	runtime.SetFinalizer(t, tuneCollector)
}

// collectorPercent is what GOGC should be with so much that is in use.
func collectorPercent(live uint64) int {
	const most, step = 400, 50 // 400: the smallest heap that is collected has 16 MiB
	if live == 0 {
		return most
	}
	return max(100, min(most, int(100*garbage/live)/step*step))
}
