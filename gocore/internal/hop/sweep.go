// Time-outs: one timer per pool, which runs while the pool has exchanges, looks
// for those that are overdue. Requests in the queue fail here; those that a
// process has fail on the goroutine of its connection, so that their handlers
// hear of one thing at a time.
package hop

import (
	"fmt"
	"time"
)

// tick is how often to look: often enough for the shortest time-out, and never very often.
func (p *Pool) tick() time.Duration {
	d := 250 * time.Millisecond
	for _, t := range [...]time.Duration{p.cfg.ConnectTimeout, p.cfg.SocketTimeout, p.cfg.QueueTimeout} {
		if t > 0 {
			d = min(d, t/8)
		}
	}
	return max(d, 5*time.Millisecond)
}

// sweepSoon makes sure that the timer runs. Holds the lock.
func (p *Pool) sweepSoon() {
	if p.sweeping || p.open == 0 || p.ctx.Err() != nil {
		return
	}
	p.sweeping = true
	p.running++
	if p.sweeper == nil {
		p.sweeper = time.AfterFunc(p.tick(), p.sweep)
	} else {
		p.sweeper.Reset(p.tick())
	}
}

func (p *Pool) sweep() {
	p.look()
	p.Flush()
}

func (p *Pool) look() {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := p.now()
	p.expireQueue(now)
	p.place(now)
	if t := int64(p.cfg.SocketTimeout); t > 0 {
		for _, c := range p.conns {
			for i := range c.streams {
				if c.overdue(&c.streams[i], now, t) {
					c.nc.SetReadDeadline(time.Unix(1, 0)) // wakes the reader: conn.expire
					break
				}
			}
		}
	}
	if p.open > 0 && p.ctx.Err() == nil {
		p.sweeper.Reset(p.tick())
		return
	}
	p.sweeping = false
	p.leave()
}

// expireQueue fails requests that have waited for too long. Holds the lock.
func (p *Pool) expireQueue(now int64) {
	connect, socket := int64(p.cfg.ConnectTimeout), int64(p.cfg.SocketTimeout)
	room := p.cfg.QueueLimit // of the queue: listen-backlog without what the processes' own queues have
	for i := range p.slots {
		if c := p.slots[i].conn; c != nil {
			room -= max(0, c.busy-c.threads)
		}
	}
	serves := p.serves()
	for x := p.queue.first; x != nil; {
		next := x.next
		var f Failure
		switch {
		case x.late != 0 && now > x.late:
			f = p.tooLate()
		case !serves && now-max(x.arrival, p.lost) > connect:
			f = p.unreachable(fmt.Sprintf("no process served it within %v (connect-timeout)%s", p.cfg.ConnectTimeout, p.lastError()))
		case room <= 0 && now-x.queued > connect:
			f = p.queueFull()
		case socket > 0 && now-x.queued > socket:
			f = Failure{Kind: Timeout, Status: 504, Slot: -1,
				Message: fmt.Sprintf("no process of process group '%s' took the request within %v (socket-timeout)", p.cfg.Group, p.cfg.SocketTimeout)}
		}
		if f.Kind != 0 {
			p.queue.remove(x)
			p.fail(x, f)
		} else {
			room--
		}
		x = next
	}
}

// lastError is why a process cannot be reached, for a message. Holds the lock.
func (p *Pool) lastError() string {
	why := ""
	for i := range p.slots {
		s := &p.slots[i]
		switch {
		case s.err != nil:
			return ": " + s.err.Error()
		case s.state == Absent:
			why = ": its process does not start"
		case s.half:
			why = ": its process is not ready"
		}
	}
	return why
}
