// The way of a request on one connection: read, parse, route, buffer the body,
// run or respond, write. Every function here is called by the connection's
// owner (state busy).
package listen

import (
	"sync/atomic"
	"syscall"
	"time"

	"modwsgi/gocore/internal/http1"
	"modwsgi/gocore/internal/http2"
)

// event is an epoll event for a connection. It takes ownership or leaves a note for the owner.
func (r *Reactor) event(th *thread, c *Conn, ev uint32) {
	if ev&(syscall.EPOLLRDHUP|syscall.EPOLLHUP|syscall.EPOLLERR) != 0 {
		if !c.hup.Swap(true) { // may come with the last bytes, and no event follows it
			c.hupUs.Store(r.wall + r.now()/1000)
		}
		if s := c.stream.Load(); s != nil && ev&(syscall.EPOLLHUP|syscall.EPOLLERR) != 0 {
			s.cancel() // a half-closed client still waits for the response, this one is gone
		}
		if ev&(syscall.EPOLLHUP|syscall.EPOLLERR) != 0 {
			if a := c.away.Swap(nil); a != nil {
				a.Gone()
			}
		} else if a := c.away.Load(); a != nil {
			a.GaveUp()
		}
	}
	for {
		if c.state.CompareAndSwap(stIdle, stBusy) {
			break
		}
		if s := c.state.Load(); s == stBusyEvent || s == stClosed || c.state.CompareAndSwap(stBusy, stBusyEvent) {
			return
		}
	}
	c.freshen()
	r.serve(th, c)
}

// release gives up ownership; false: an event came meanwhile and the caller still owns c.
func (r *Reactor) release(c *Conn) bool {
	if c.state.CompareAndSwap(stBusy, stIdle) {
		return true
	}
	c.state.Store(stBusy)
	c.freshen()
	return false
}

type step int

const (
	needInput  step = iota // read more, or wait for it
	needOutput             // wait until the socket takes more
	gone                   // closed, or owned by somebody else now
	again                  // a request is finished: look at the buffer once more
)

// serve goes on with an owned connection until it has to wait.
func (r *Reactor) serve(th *thread, c *Conn) {
	th.serving = c
	if h := c.h2.Load(); h != nil {
		r.serveH2(th, c, h)
		return
	}
	c.holdStream(th.leads(r))
	for {
		switch r.advance(th, c) {
		case gone:
			return
		case again:
			continue
		case needOutput:
			if r.release(c) {
				return
			}
			continue
		}
		if c.drained {
			if c.req != nil && c.phase == phIdle && r.nconn.Load() > keepReqs {
				r.mu.Lock()
				q := c.req
				c.req = nil
				r.recycle(q)
				r.mu.Unlock()
			}
			if r.release(c) {
				return
			}
		}
		if !r.read(c) {
			if c.eof && r.timedOut(c) {
				continue
			}
			r.close(c)
			return
		}
	}
}

// timedOut answers a request that came too slowly; false: just close.
func (r *Reactor) timedOut(c *Conn) bool {
	if !c.expired.Load() || (c.phase != phHead && c.phase != phBody) {
		return false
	}
	c.forget(r.wall + r.now()/1000)
	r.h.Bad(c, c.req, 408)
	c.req.KeepAlive = 0
	c.closing = true
	c.phase = phWrite
	return true
}

// read takes what the socket has; false at its end.
func (r *Reactor) read(c *Conn) bool {
	r.need(c)
	q := c.req
	if q.InLen == q.InCap {
		r.mem.grow(q, min(q.InCap*2, bufferMax+inStart))
		if q.InLen == q.InCap {
			return false // cannot happen: advance consumes or refuses before
		}
	}
	if c.wire != nil && c.phase != phLinger {
		return r.readWire(c)
	}
	room := q.InCap - q.InLen
	n, _, e := syscall.RawSyscall(syscall.SYS_READ, uintptr(c.FD), uintptr(q.In)+uintptr(q.InLen), uintptr(room))
	if e != 0 {
		if e == syscall.EAGAIN {
			c.drained = true
			return true
		}
		return e == syscall.EINTR
	}
	if n == 0 {
		c.eof = true
		return false
	}
	if c.phase == phLinger {
		return true
	}
	q.InLen += uint64(n)
	c.drained = uint64(n) < room && !c.hup.Load()
	if c.phase == phHead || c.phase == phBody {
		c.received(r.now(), int(n))
	}
	return true
}

// advance does what the buffered bytes allow.
func (r *Reactor) advance(th *thread, c *Conn) step {
	switch c.phase {
	case phLinger:
		return needInput
	case phWrite:
		return r.flush(c)
	case phRun: // an event while the application runs is only noted
		return needOutput
	}
	q := c.req
	if q != nil && c.h2s != nil && !c.routed && c.h2s.s.Refusal() != 0 {
		c.phase = phHead
		c.forget(r.wall + r.now()/1000) // there is no head to speak of
		c.begin(r.wall + r.now()/1000)
		return r.refuse(c, c.h2s.s.Refusal())
	}
	if q == nil || q.InLen == 0 {
		return needInput
	}
	if c.ProxyHeader {
		if st := c.takeProxy(r.h); st == preludeBad {
			r.close(c)
			return gone
		} else if st == preludeMore || q.InLen == 0 {
			return needInput
		}
	}
	if !c.routed {
		if c.TLS != nil && r.secured(th, c) {
			return gone
		}
		if c.Settings.H2C && c.Requests == 0 && c.wire == nil && q.Input()[0] == http2.Preface[0] {
			if yes, more := startsH2(q.Input()); yes {
				r.startH2(th, c, c.takeInput())
				return gone
			} else if more {
				c.incomplete(&r.mem, r.now())
				return needInput
			}
		}
		if !c.headReady() {
			c.moreHead(&r.mem)
			return needInput
		}
		n, st := th.memos.Parse(q.Input(), &q.Head, c.headLimits(), &c.memo)
		if st == http1.Incomplete {
			c.incomplete(&r.mem, r.now())
			return needInput
		}
		c.begin(r.wall + r.now()/1000)
		if st != http1.OK {
			return r.refuse(c, int(st))
		}
		q.BodyOff = uint64(n)
		if c.h2s != nil {
			c.h2s.h.memo.Store(c.memo)
			if r.stays(c) && r.handOver(c, c.handover(q.Input())) {
				return gone
			}
		}
		c.persist(r.draining.Load() && !r.handoff.Load())
		c.action = r.h.Route(c, q)
		c.routed = true
	}
	if c.phase != phBody {
		if c.action >= Think && !r.decide(th, c) {
			return gone
		}
		c.phase = phBody
		if q.Head.Flags&(http1.FlagChunked|http1.FlagContentLength) != 0 {
			c.stage(r.now(), c.Settings.Body)
		}
	}
	if c.action == Streamed {
		return r.stream(c)
	}
	if c.action == Respond {
		if !c.skipBody() {
			q.KeepAlive = 0
		}
		return r.finish(th, c)
	}
	switch c.body(&r.mem, th.scratch) {
	case bodyMore:
		c.invite()
		return needInput
	case bodyBad:
		return r.refuse(c, 400)
	case bodyTooLarge:
		return r.refuse(c, 413)
	}
	c.deadline.Store(0)
	c.phase = phRun
	if c.action == Forward {
		return r.forward(th, c)
	}
	if !th.python {
		r.lead.submit(th, c)
		return gone
	}
	return r.run(th, c)
}

func (r *Reactor) refuse(c *Conn, status int) step {
	c.req.KeepAlive = 0
	r.h.Bad(c, c.req, status)
	c.closing, c.unread = true, true
	return r.flush(c)
}

// run calls the application on this Python thread, then writes.
func (r *Reactor) run(th *thread, c *Conn) step {
	q := c.req
	c.holdStream(th.leads(r))
	if c.h2s != nil && c.h2s.gone.Load() { // nobody waits for it any more
		q.Aborted, q.Result = 1, ResultCut
		return r.complete(c)
	}
	c.holdStream(false) // this thread may lose leadership meanwhile
	th.begin(q)
	ok := r.h.Run(c, q)
	th.end()
	if !ok { // this process is being replaced: the successor answers
		c.routed, c.phase = false, phIdle
		if r.handOver(c, c.handover(q.Input())) {
			return gone
		}
		q.Result, q.Status = ResultError, 503
	}
	c.settle(r.h)
	if c.Stream != nil { // an error document that a goroutine writes
		return r.stream(c)
	}
	return r.finish(th, c)
}

// reject answers a request that has waited too long for a thread.
func (r *Reactor) reject(th *thread, c *Conn) step {
	c.tooLate(r.h)
	return r.finish(th, c)
}

// finish writes a complete response and prepares for the next request.
func (r *Reactor) finish(th *thread, c *Conn) step {
	if c.req.KeepAlive == 0 {
		c.closing = true
	}
	c.holdStream(th.leads(r))
	if r.hold(th, c) {
		return gone
	}
	return r.flush(c)
}

// flush sends pending output; when all is out, the request is done.
func (r *Reactor) flush(c *Conn) step {
	if c.wire != nil {
		return r.flushWire(c)
	}
	q := c.req
	for sent := int64(0); ; {
		flags := uintptr(syscall.MSG_DONTWAIT | syscall.MSG_NOSIGNAL)
		if q.FileLeft > 0 && q.FileFD >= 0 {
			flags |= syscall.MSG_MORE // head and file share their packets
		}
		for q.OutOff < q.OutLen && q.Aborted == 0 {
			n, _, e := syscall.RawSyscall6(syscall.SYS_SENDTO, uintptr(c.FD), uintptr(q.Out)+uintptr(q.OutOff), uintptr(q.OutLen-q.OutOff), flags, 0, 0)
			switch {
			case e == 0:
				q.OutOff += uint64(n)
				q.sent(uint64(n))
			case e == syscall.EAGAIN:
				return r.blocked(c)
			case e != syscall.EINTR:
				q.Aborted = 1
			}
		}
		q.OutOff, q.OutLen = 0, 0
		for q.FileFD >= 0 && q.FileLeft > 0 && q.Aborted == 0 {
			if sent >= sendChunk {
				return r.yield(c)
			}
			n, err := syscall.Sendfile(c.FD, int(q.FileFD), &q.FileOff, int(min(q.FileLeft, sendChunk)))
			switch {
			case err == syscall.EAGAIN:
				return r.blocked(c)
			case err == syscall.EINTR:
			case err != nil || n == 0:
				q.Aborted = 1
			default:
				q.FileLeft -= int64(n)
				q.sent(uint64(n))
				sent += int64(n)
			}
		}
		if len(c.Parts) == 0 || q.Aborted != 0 {
			break
		}
		p := c.Parts[0]
		c.Parts = c.Parts[1:]
		r.mem.Append(q, p.Data)
		q.FileOff, q.FileLeft = p.Off, p.Len
	}
	c.dropFile()
	return r.complete(c)
}

// yield lets other connections be served although this one could go on: a new
// event is asked for, which comes at once and after those that wait.
func (r *Reactor) yield(c *Conn) step {
	step := r.blocked(c)
	if step == needOutput && c.h2s != nil {
		c.h2s.s.Poke()
		c.h2s.h.kick()
	} else if step == needOutput {
		ev := syscall.EpollEvent{Events: connEvents, Fd: int32(c.FD)}
		syscall.EpollCtl(r.ep, syscall.EPOLL_CTL_MOD, c.FD, &ev)
	}
	return step
}

// blocked waits for a slow reader. The time-out runs from the last progress.
func (r *Reactor) blocked(c *Conn) step {
	c.phase = phWrite
	if c.expired.Load() {
		r.h.Done(c, c.req)
		r.close(c)
		return gone
	}
	c.arm(r.now(), time.Duration(c.req.IOTimeoutMs)*time.Millisecond)
	return needOutput
}

func (r *Reactor) complete(c *Conn) step {
	q := c.req
	c.phase = phWrite // a panic from here on cannot be answered any more
	r.h.Done(c, q)
	if q.Extra != nil {
		r.mem.SetExtra(q, nil)
	}
	c.routed = false
	if q.Aborted != 0 || c.h2s != nil {
		r.close(c)
		return gone
	}
	if c.closing || c.bodyEnd == 0 {
		if !c.unread && !c.eof {
			if c.wire != nil {
				c.wire.bye()
			}
			r.close(c)
			return gone
		}
		// closing with unread bytes would reset the connection and could destroy the response
		if c.wire != nil {
			c.wire.bye()
		}
		syscall.Shutdown(c.FD, syscall.SHUT_WR)
		c.phase = phLinger
		q.InLen = 0
		c.arm(r.now(), lingerTime)
		return needInput
	}
	left := c.next(&r.mem)
	if r.draining.Load() && !r.stays(c) {
		r.leave(c)
		return gone
	}
	if left > 0 {
		return again
	}
	c.arm(r.lead.clock(), c.Settings.KeepAlive)
	return needInput
}

// tryFlush is the monitor's: send what a streaming application has buffered so far.
func (r *Reactor) tryFlush(q *Req) {
	if !atomic.CompareAndSwapUint32(&q.OutLock, 0, 1) {
		return
	}
	if atomic.LoadUint32(&q.Streaming) != 0 && q.Aborted == 0 {
		q.pass()
	}
	atomic.StoreUint32(&q.OutLock, 0)
}

// pass sends what is in the output buffer, as much of it as goes now.
func (q *Req) pass() {
	n, e := 0, syscall.Errno(0)
	switch {
	case q.Wire != 0: // also what the wire has taken and could not send
		n, e = Wires{}.Write(q.Wire, q.pendingOut())
	case q.OutLen > q.OutOff:
		n, e = sockSend(int(q.FD), q.pendingOut())
	}
	if e != 0 {
		return
	}
	q.OutOff += uint64(n)
	q.sent(uint64(n))
	if q.OutOff == q.OutLen {
		q.OutOff, q.OutLen = 0, 0
	}
}
