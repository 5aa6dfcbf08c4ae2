// A panic of the handler, a module's for the most part, ends the connection
// that caused it and nothing else: it is reported with its stack, the client
// gets 500 unless a response has begun, and the connection is closed.
//
// What the C side calls in Go, the response hooks, recovers from its own panics:
// none may pass through C, where the GIL is held. So none of those seen here
// happens while the GIL is held or an output buffer locked.
package listen

import (
	"runtime/debug"
	"sync/atomic"

	"modwsgi/gocore/internal/http1"
)

type reporter func(c *Conn, value any, stack []byte)

// report tells whoever listens; the stack is that of the panic when called by a deferred function.
func (f reporter) report(c *Conn, value any) {
	if f != nil {
		f(c, value, debug.Stack())
	}
}

// opened calls Handler.Open; false: it panicked.
func opened(h Handler, f reporter, c *Conn) (ok bool) {
	defer func() {
		if v := recover(); v != nil {
			f.report(c, v)
			ok = false
		}
	}()
	h.Open(c)
	return true
}

// taken tells the handler of an encrypted connection whose keys another process
// has; false: it panicked, or the passport is broken.
func taken(h Handler, f reporter, c *Conn, p *passport) (ok bool) {
	defer func() {
		if v := recover(); v != nil {
			f.report(c, v)
			ok = false
		}
	}()
	if err := p.stamp(c); err != nil {
		return false
	}
	if h, is := h.(SecureHandler); is && c.Secure != nil {
		h.Secured(c, nil)
	}
	return true
}

// apologize puts the response to a request whose handler panicked into the
// output buffer; false: a response has begun, only closing is left.
func apologize(h Handler, mem *Memory, f reporter, c *Conn) bool {
	q := c.req
	if q == nil || c.phase == phWrite || c.phase == phLinger {
		return false
	}
	if c.phase == phRun && q.Status != 0 && q.Result != ResultError { // Python has committed a head
		return false
	}
	c.dropFile()
	atomic.StoreUint32(&q.Streaming, 0)
	q.OutOff, q.OutLen, q.SentBody, q.StatusOverride, q.KeepAlive = 0, 0, 0, 0, 0
	q.Status, q.Result = 500, ResultError
	if !bad(h, f, c) {
		q.OutOff, q.OutLen = 0, 0
		mem.Append(q, http1.AppendStatusLine(nil, true, 500))
		mem.Append(q, []byte("Content-Length: 0\r\nConnection: close\r\n\r\n"))
	}
	c.closing, c.unread = true, true
	return true
}

// bad calls Handler.Bad for the error page; false: that panicked as well.
func bad(h Handler, f reporter, c *Conn) (ok bool) {
	defer func() {
		if v := recover(); v != nil {
			f.report(c, v)
			ok = false
		}
	}()
	h.Bad(c, c.req, 500)
	return true
}
