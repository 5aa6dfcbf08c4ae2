// Which process gets which request: the queue of a pool, and the choice among
// its connections.
//
// A process that has as many requests as threads gets no more while another
// has a free thread; when all have, requests wait in the queue and go to
// whoever comes free first. So a long request holds nobody up while a sibling
// idles. Only while requests typically take well below a millisecond a process
// gets more than it has threads: it would idle for longer than they take until
// the next one reaches it. A process without siblings gets everything at once:
// its own queue is as good, and saves that time.
package hop

import (
	"encoding/binary"
	"fmt"
	"time"
)

const (
	aheadTime = int64(500 * time.Microsecond) // requests that take longer typically are not sent ahead
	aheadWork = int64(time.Millisecond)       // how much work is sent ahead, by the typical time
	aheadMax  = 16                            // requests sent ahead to a process
	aheadIdle = 2 * int64(time.Millisecond)   // a process that has ended none for so long may be held up by a long one
	pendFull  = 8 << 20                       // bytes that a process has not read yet: no more for it
)

// xlist is a queue of exchanges.
type xlist struct {
	first, last *Exchange
	n, bytes    int
}

// put inserts by arrival: a new request at the end, one that was given back before younger ones.
func (l *xlist) put(x *Exchange) {
	after := l.last
	if after != nil && after.arrival > x.arrival {
		after = nil
		for y := l.first; y.arrival <= x.arrival; y = y.next {
			after = y
		}
	}
	if x.prev = after; after != nil {
		x.next, after.next = after.next, x
	} else {
		x.next, l.first = l.first, x
	}
	if x.next != nil {
		x.next.prev = x
	} else {
		l.last = x
	}
	l.n++
	l.bytes += x.buf.size()
}

func (l *xlist) remove(x *Exchange) {
	if x.prev != nil {
		x.prev.next = x.next
	} else {
		l.first = x.next
	}
	if x.next != nil {
		x.next.prev = x.prev
	} else {
		l.last = x.prev
	}
	x.prev, x.next = nil, nil
	l.n--
	l.bytes -= x.buf.size()
}

// pick chooses a connection for one more request; nil: it has to wait. Holds the lock.
func (p *Pool) pick(now int64) *conn {
	if len(p.slots) == 1 {
		c := p.slots[0].conn
		if c == nil || c.busy >= c.threads+p.cfg.QueueLimit || c.full() {
			return nil
		}
		return c
	}
	var best *conn
	ahead := 0
	if p.typical < aheadTime {
		ahead = int(min(aheadWork/(p.typical+1), aheadMax))
	}
	for i := range p.slots {
		if i += p.first; i >= len(p.slots) {
			i -= len(p.slots)
		}
		c := p.slots[i].conn
		if c == nil || c.full() {
			continue
		}
		if free := c.busy < c.threads; !free && (c.busy >= c.threads+ahead || now-c.ended > aheadIdle) {
			continue
		}
		if best == nil || c.before(best) {
			best = c
		}
	}
	return best
}

// full: it has not read what it was sent, or keeps so much waiting that more is to wait here.
func (c *conn) full() bool {
	return c.pendBytes > pendFull || c.busy >= c.threads && c.kept > pendFull
}

// before orders connections that could take a request.
func (c *conn) before(d *conn) bool {
	if a, b := c.rank(), d.rank(); a != b {
		return a < b
	}
	return c.busy < d.busy
}

func (c *conn) rank() int {
	switch {
	case c.busy >= c.threads:
		return 2
	case c.waiting > 0: // other front processes have filled it
		return 1
	}
	return 0
}

// wait puts a request into the queue. Holds the lock.
func (p *Pool) wait(x *Exchange, now int64) {
	if t := p.cfg.QueueTimeout; t > 0 && x.late == 0 {
		x.late = now + int64(t)
		if x.since > 0 {
			x.late -= max(0, time.Now().UnixMicro()-x.since) * int64(time.Microsecond)
		}
	}
	if x.tries == 0 { // not on its way anywhere yet: the application learns since when it waited
		if at := x.buf.b[offQueue:]; binary.BigEndian.Uint64(at) == 0 {
			binary.BigEndian.PutUint64(at, uint64(time.Now().UnixMicro()))
		}
	}
	x.queued = now
	p.queue.put(x)
}

// place sends what waits, as far as there is somebody. Holds the lock.
func (p *Pool) place(now int64) {
	for x := p.queue.first; x != nil; x = p.queue.first {
		if x.late != 0 && now > x.late {
			p.queue.remove(x)
			p.fail(x, p.tooLate())
			continue
		}
		c := p.pick(now)
		if c == nil {
			return
		}
		p.queue.remove(x)
		p.send(x, c, now)
	}
}

// giveBack puts a request that its process has not begun into the queue again.
// Holds the lock; the stream is closed.
func (p *Pool) giveBack(x *Exchange, now int64) {
	x.state, x.conn = exQueued, nil
	x.tries++
	switch {
	case x.tries > 2*len(p.slots)+1:
		p.fail(x, p.unreachable(fmt.Sprintf("its processes gave the request back %d times", x.tries)))
	case p.ctx.Err() != nil:
		p.fail(x, p.unreachable("the server stops"))
	default:
		p.wait(x, now)
		p.dialMissing()
	}
}

func (p *Pool) unreachable(why string) Failure {
	return Failure{Kind: Unreachable, Status: 503, Slot: -1, Message: fmt.Sprintf("process group '%s' cannot be reached: %s", p.cfg.Group, why)}
}

func (p *Pool) queueFull() Failure {
	return Failure{Kind: Unreachable, Status: 503, Slot: -1,
		Message: fmt.Sprintf("the queue of process group '%s' is full (listen-backlog=%d): %d requests wait here, %d KiB", p.cfg.Group, p.cfg.QueueLimit,
			p.queue.n, p.queue.bytes>>10)}
}

func (p *Pool) tooLate() Failure {
	return Failure{Kind: Late, Status: 504, Slot: -1,
		Message: fmt.Sprintf("the request waited for process group '%s' for more than %v (queue-timeout)", p.cfg.Group, p.cfg.QueueTimeout)}
}
