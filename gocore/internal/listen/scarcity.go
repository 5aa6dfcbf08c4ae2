// Connections that cannot be accepted because descriptors or memory have run
// out. They stay in the listeners' queues; the log hears of it once.
package listen

import (
	"errors"
	"sync"
	"syscall"
	"time"
)

// scarceQuiet is how long nothing of the kind may happen until it is news again.
const scarceQuiet = 10 * time.Second

// scarce says whether an error of accept(2) will be the same until something is
// given back: accepting again at once would only burn CPU time.
func scarce(err error) bool {
	return errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE) || errors.Is(err, syscall.ENOBUFS) || errors.Is(err, syscall.ENOMEM)
}

// scarcity remembers the last such error.
type scarcity struct {
	tell func(err error, connections int)
	mu   sync.Mutex
	last time.Time
	deaf bool // the listeners are not waited for; the reactor's
}

// note reports the first error of an episode.
func (s *scarcity) note(err error, connections int) {
	s.mu.Lock()
	news := time.Since(s.last) > scarceQuiet
	s.last = time.Now()
	s.mu.Unlock()
	if news && s.tell != nil {
		s.tell(err, connections)
	}
}
