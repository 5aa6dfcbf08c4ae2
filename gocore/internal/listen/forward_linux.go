// Requests that another process answers, on the reactor: the connection waits,
// owned by the Forwarder, without a thread or a goroutine. A response that is
// complete is written by the goroutine that brought it.
package listen

// forward gives an owned connection to the Forwarder.
func (r *Reactor) forward(th *thread, c *Conn) step {
	q := c.req
	if q.StreamLeft != 0 { // the body does not fit
		q.StreamLeft, q.BodyLen = 0, 0 // the stream reads it from its beginning
		c.Stream = r.fw.ForwardStream(c, q)
		return r.stream(c)
	}
	c.holdStream(false)
	r.forwards.Add(1)
	leads := th.leads(r)
	if leads { // sent is the leader's: whoever else wrote it could undo that
		r.sent = true
		r.kept(0)
	}
	r.fw.Forward(c, q, leads)
	return gone
}

// sendForwards sends what Forward has left; the leader's.
func (r *Reactor) sendForwards() {
	if r.sent {
		r.sent = false
		r.fw.FlushForwards()
	}
}

// Resume implements Resumer. The body was complete, so nothing of the request
// is left on the socket.
func (r *Reactor) Resume(c *Conn, a Action) {
	th := r.sides.Get().(*thread)
	defer r.sides.Put(th)
	defer r.forwards.Add(-1)
	th.serving = c
	defer th.guard(nil)
	c.away.Store(nil)
	switch q := c.req; {
	case a == Streamed:
		c.action = Run // the body was somebody else's
		r.stream(c)
	case a == Forward:
		r.forwards.Add(1)
		r.fw.Forward(c, q, false)
	case a == Run:
		c.action = Run
		r.lead.submit(th, c)
	default:
		if q.Result == ResultCut || q.Aborted != 0 {
			q.KeepAlive = 0
		}
		th.goOn(c, r.finish(th, c))
	}
	th.serving = nil
}
