// Connections that leave this process through the supervisor, which holds a
// descriptor for each until somebody has it: so many at a time and no more.
package worker

import (
	"time"

	"modwsgi/gocore/internal/process"
)

// handPatience is how long a connection waits for others that are on their way.
// They arrive in fractions of a millisecond where a process is there to take
// them. Where there is none (SIGHUP), only the first one waits in vain.
const handPatience = time.Second

// send passes a connection to the supervisor; false: it stays here. Any goroutine.
func (w *worker) send(f *process.Frame, patience time.Duration) bool {
	select {
	case w.away <- struct{}{}:
	default:
		if patience <= 0 || w.stuck.Load() {
			return false
		}
		t := time.NewTimer(patience)
		defer t.Stop()
		select {
		case w.away <- struct{}{}:
		case <-t.C:
			w.stuck.Store(true)
			return false
		}
	}
	if w.control.Send(f) != nil {
		<-w.away
		return false
	}
	return true
}

// arrived notes that one of those that left has arrived.
func (w *worker) arrived() {
	w.stuck.Store(false)
	select {
	case <-w.away:
	default: // said twice: the supervisor's mistake
	}
}

// share gives a connection to process num of the group. It is called where
// waiting would hold others up.
func (w *worker) share(fd int, pending []byte, num int) bool {
	return w.send(process.NewShare(num, fd, pending), 0)
}
