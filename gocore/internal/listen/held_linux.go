// Responses that leave together. Sending wakes whoever waits for the response,
// which costs a sleeping processor more time than a short request takes; and
// a client that was woken competes with the requests that are still to be
// served. So the leader keeps the responses of a batch of short requests and
// sends them one after another when its list of ready connections is empty.
//
// Nobody waits for long: a response is held only while more requests are
// ready, for holdMax at most between two requests; and if the next request
// turns out to be a long one, the monitor takes leadership away from its
// thread, and the new leader begins with what is held.
package listen

import "time"

const (
	holdMax   = 500 * time.Microsecond // from the first held response on
	holdCount = 64                     // responses
	holdBytes = 64 << 10               // of one response: a large one is sent while it is in the cache
)

// hold keeps the complete response of an owned connection until the batch is
// done; false: it leaves now. th is the caller's own thread; only the leader holds.
func (r *Reactor) hold(th *thread, c *Conn) bool {
	if !th.leads(r) || len(r.ready) == 0 || c.h2s != nil { // what streams write waits in their connection
		return false
	}
	q := c.req
	if q.OutLen-q.OutOff > holdBytes || q.FileFD >= 0 || len(c.Parts) > 0 || q.Aborted != 0 {
		return false
	}
	now := r.now()
	if len(r.held) == 0 {
		r.heldAt = now
	} else if len(r.held) >= holdCount || now-r.heldAt > int64(holdMax) {
		return false
	}
	c.phase = phWrite
	r.held = append(r.held, c)
	return true
}

// sendHeld sends what is held and goes on with these connections. The leader's;
// what it leaves behind when it loses leadership is for the next.
func (r *Reactor) sendHeld(th *thread) {
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
}
