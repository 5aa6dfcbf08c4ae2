// Responses that leave together. Sending wakes whoever waits for the response,
// which costs a sleeping processor more time than a short request takes; and
// a client that was woken competes with the requests that are still to be
// served. So the leader keeps the responses of a batch of short requests, and
// sends them one after another when its list of ready connections is empty.
// Frames of the hop and of HTTP/2 are kept in the same way (hop_linux.go,
// forward_linux.go, h2_linux.go).
//
// Nobody waits for long: batchMax after the first was kept, or after a request
// that was not short, everything leaves before the next request begins. If the
// next request turns out to be a long one, the monitor sends what is kept.
package listen

import "time"

const (
	batchMax  = 2500 * time.Microsecond // from the first that is kept on; 32 requests of 80 us
	shortRun  = 300 * time.Microsecond  // of a request; a wake-up is nothing beside longer ones
	holdCount = 64                      // responses
	holdBytes = 64 << 10                // of one response: a large one is sent while it is in the cache
)

// hold keeps the complete response of an owned connection until the batch is
// done; false: it leaves now. th is the caller's own thread; only the leader holds.
func (r *Reactor) hold(th *thread, c *Conn) bool {
	if !th.leads(r) || len(r.ready) == 0 && len(r.held) == 0 || len(r.held) >= holdCount || c.h2s != nil { // what streams write waits in their connection
		return false
	}
	q := c.req
	if q.OutLen-q.OutOff > holdBytes || q.FileFD >= 0 || len(c.Parts) > 0 || q.Aborted != 0 {
		return false
	}
	c.phase = phWrite
	r.held = append(r.held, c)
	if c.action == Run {
		r.kept(th.since)
	} else {
		r.kept(0)
	}
	return true
}

// kept notes that the leader keeps something that is to be sent. since is when
// it began to run the application for it; 0: it did not.
func (r *Reactor) kept(since int64) {
	now := r.now()
	if r.batchAt == 0 {
		r.batchAt = now
	}
	if len(r.held) >= holdCount || now-r.batchAt > int64(batchMax) || since != 0 && now-since > int64(shortRun) {
		r.due = true
	}
}

// sendBatch sends what is kept and goes on with these connections; false: there
// was nothing. The leader's; what it leaves behind when it loses leadership is
// for the next.
func (r *Reactor) sendBatch(th *thread) bool {
	some := len(r.held) > 0 || len(r.hop.dirty) > 0 || len(r.h2dirty) > 0 || r.sent
	r.sendHops()
	r.sendH2()
	r.sendForwards()
	for th.leading && len(r.held) > 0 {
		c := r.held[0]
		r.held[0] = nil
		if r.held = r.held[1:]; len(r.held) == 0 {
			r.held = r.heldBuf[:0]
		}
		th.serving = c
		th.goOn(c, r.flush(c))
		th.serving = nil
	}
	if len(r.held) == 0 {
		r.batchAt, r.due = 0, false
	}
	return some
}

// sendAhead is the monitor's: it sends what the leader keeps, while that is in
// the application since b. The leader goes on with the connections.
func (r *Reactor) sendAhead(b int64) {
	l := &r.lead
	l.beside(b, func() {
		r.sendHops()
		r.sendH2()
		r.sendForwards()
		for _, c := range r.held {
			if l.recall.Load() {
				return
			}
			c.req.pass()
		}
	})
}
