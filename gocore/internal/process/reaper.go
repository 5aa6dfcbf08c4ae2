// Which children are ours: those that a goroutine waits for. See
// reaper_linux.go for the others.
package process

import (
	"os"
	"sync"
)

// own counts the children that somebody waits for, by pid. Starting one holds
// the lock, so that nobody sees a child before it is counted.
var own = struct {
	sync.Mutex
	pids map[int]int
}{pids: map[int]int{}}

// startOwn runs start, which begins a process and gives its pid.
func startOwn(start func() (int, error)) (int, error) {
	own.Lock()
	defer own.Unlock()
	pid, err := start()
	if err == nil {
		own.pids[pid]++ // it may be 1 still: the number was used again
	}
	return pid, err
}

// waitOwn waits for a process that startOwn began.
func waitOwn(p *os.Process) (*os.ProcessState, error) {
	state, err := p.Wait()
	own.Lock()
	defer own.Unlock()
	if own.pids[p.Pid]--; own.pids[p.Pid] <= 0 {
		delete(own.pids, p.Pid)
	}
	return state, err
}
