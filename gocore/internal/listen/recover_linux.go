// What a thread of the reactor does after a panic of the handler: see recover.go.
package listen

// guard is deferred around everything that calls the handler. again, if not
// nil, is set when the thread is to go on as leader.
func (th *thread) guard(again *bool) {
	v := recover()
	if v == nil {
		return
	}
	r, c := th.r, th.serving
	if c != nil && c.home.r != nil {
		r = c.home.r
	}
	if c != nil {
		c.holdStream(false)
	}
	th.serving = nil
	reporter(r.onPanic).report(c, v)
	if th.cur.Load() != nil {
		th.end()
	}
	if c != nil && c.hop != nil {
		c.hop.settle(&Req{Status: 500, Result: ResultError}, true)
		r.hopDone(th, c)
	} else if c != nil && !r.farewell(th, c) {
		r.close(c)
	}
	if again != nil {
		*again = th.leading
	}
}

// farewell answers and closes an owned connection; false: it is the caller's to close.
func (r *Reactor) farewell(th *thread, c *Conn) (ok bool) {
	defer func() {
		if v := recover(); v != nil { // in Done: nothing is left to say
			reporter(r.onPanic).report(c, v)
			ok = false
		}
	}()
	if !apologize(r.h, &r.mem, r.onPanic, c) {
		return false
	}
	c.phase = phWrite
	r.serve(th, c)
	th.serving = nil
	return true
}
