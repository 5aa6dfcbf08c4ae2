// Sharing work with the processes that accept from the same sockets (package
// balance says who has how much). Three occasions, all off the way of a request:
//
//	occasion                          | what goes                          | to
//	a connection is accepted          | it, if this process has more       | who has fewest connections
//	                                  | than its share                     |
//	four times a second               | idle connections over the share    | the same
//	all threads are in the applica-   | the request that has waited        | who has most idle threads
//	tion, a request waits (monitor)   | longest                            |
//
// The kernel wakes whoever waits, so a process that is mostly idle accepts most
// of what comes slowly, and one that was started after a crash gets none of the
// connections that are open already. A connection that has just come stays a
// while, and the share has a margin, so that none wanders to and fro.
package listen

import (
	"slices"
	"syscall"
)

// pass gives a connection that was just accepted to a sibling, if this process
// has more than its share; false: it stays here.
func (r *Reactor) pass(fd int) bool {
	n := int(r.nconn.Load()) + 1
	if r.draining.Load() || r.siblings.Excess(n) == 0 {
		return false
	}
	to, ok := r.siblings.Least(n)
	if !ok || !r.share(fd, nil, to) {
		return false
	}
	syscall.Close(fd)
	return true
}

// level gives idle connections over the share to siblings. The janitor's.
func (r *Reactor) level() {
	excess := r.siblings.Excess(int(r.nconn.Load()))
	if excess == 0 || r.draining.Load() {
		return
	}
	r.mu.Lock()
	top := r.top
	r.mu.Unlock()
	now := r.now()
	for n, i := min(excess, max(levelAtOnce, excess/4)), 0; n > 0 && i < top; i++ {
		c := r.conns[i].Load()
		if c == nil || !c.state.CompareAndSwap(stIdle, stBusy) {
			continue
		}
		if c.phase != phIdle || c.wire != nil || c.h2.Load() != nil || c.expired.Load() || c.adopted != 0 && now-c.adopted < int64(settleTime) {
			r.putBack(c)
			continue
		}
		to, ok := r.siblings.Least(int(r.nconn.Load()))
		if !ok {
			r.putBack(c)
			return
		}
		var pending []byte
		if c.req != nil {
			pending = c.req.Input()
		}
		if !r.give(c, c.handover(pending), to) {
			r.putBack(c)
			return
		}
		n--
	}
}

// give passes an owned connection to a sibling and forgets it; false: it is still here.
func (r *Reactor) give(c *Conn, pending []byte, to int) bool {
	return r.send(c, pending, func(fd int, pending []byte) bool { return r.share(fd, pending, to) })
}

// relieve gives requests that wait while all threads are busy to siblings with
// idle threads. The monitor's, which is awake whenever a thread is busy.
func (l *leadership) relieve(now int64) {
	if int(l.active.Load()) < len(l.threads) || l.r.draining.Load() {
		return
	}
	for {
		c, to := l.spareRequest(now)
		if c == nil {
			return
		}
		if !l.r.give(c, c.handover(c.req.Input()), to) {
			l.putFirst(c)
			return
		}
	}
}

// spareRequest takes the first of the queue that may go to a sibling; nil: all stay.
func (l *leadership) spareRequest(now int64) (*Conn, int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i, c := range l.queue {
		if l.r.wall+now/1000-c.req.QueueUs < waitsLong.Microseconds() {
			break // nor have those behind it
		}
		if c.hop != nil || c.wire != nil || len(c.req.Input()) > sharedMax {
			continue
		}
		to, ok := l.r.siblings.Idle()
		if !ok {
			break
		}
		l.queue = slices.Delete(l.queue, i, i+1)
		return c, to
	}
	return nil, 0
}

// putFirst returns a request that could not be given away. A thread that has
// come free meanwhile found the queue empty: it gets the request.
func (l *leadership) putFirst(c *Conn) {
	l.mu.Lock()
	to := l.popIdle()
	if to == nil {
		l.queue = append([]*Conn{c}, l.queue...)
	}
	l.mu.Unlock()
	if to != nil {
		to.wake <- wakeup{job: c}
	} else {
		l.r.wake() // the leader may be a Python thread that waits for events
	}
}
