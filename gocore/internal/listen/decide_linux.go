// Requests that cannot be routed on the leader's thread: their access control
// computes password hashes, waits for name servers or runs Python. The
// connection's owner becomes
//
//	Think        a goroutine of the request's own
//	ThinkPython  a Python thread, found as for a request that is to run
//
// which calls Handler.Decide and then goes on as the leader would have. Nothing
// is read from the connection meanwhile; the body waits in the socket, so that
// a request that is refused costs no buffer.
package listen

// decide handles the actions Think and ThinkPython. False: somebody else owns
// the connection now.
func (r *Reactor) decide(th *thread, c *Conn) bool {
	for c.action == Think || c.action == ThinkPython {
		c.deadline.Store(0)
		c.phase = phDecide
		switch {
		case c.action == Think:
			c.holdStream(false)
			r.lead.thinking.Add(1)
			go r.think(c)
			return false
		case !th.python:
			r.lead.submit(th, c)
			return false
		}
		c.holdStream(false)
		th.begin(c.req)
		c.action = r.h.Decide(c, c.req, true)
		th.end()
		c.holdStream(th.leads(r))
	}
	return true
}

// think runs on a goroutine of its own. Requests that follow on the connection
// may be served here too; those for the application go to the Python threads.
func (r *Reactor) think(c *Conn) {
	th := &thread{r: r, scratch: make([]byte, 16<<10), serving: c}
	defer th.guard(nil)
	func() {
		defer r.lead.thinking.Add(-1)
		c.action = r.h.Decide(c, c.req, false)
	}()
	r.serve(th, c)
}
