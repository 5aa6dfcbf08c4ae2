//go:build linux || darwin || freebsd

// The way of a request on a connection that has its own goroutine: see netconn.go.
package listen

import (
	"errors"
	"os"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"modwsgi/gocore/internal/http1"
)

// serve is the connection's goroutine.
func (n *netConn) serve() {
	defer n.close()
	defer n.guard()
	for n.request() {
	}
}

// guard answers a panic of the handler: see recover.go.
func (n *netConn) guard() {
	if v := recover(); v != nil {
		n.s.onPanic.report(n.Conn, v)
		n.farewell()
	}
}

func (n *netConn) farewell() {
	defer func() {
		if v := recover(); v != nil { // in Done: nothing is left to say
			n.s.onPanic.report(n.Conn, v)
		}
	}()
	if apologize(n.s.h, &n.s.mem, n.s.onPanic, n.Conn) {
		n.respond()
	}
}

// request serves one request; false: the connection is finished.
func (n *netConn) request() bool {
	s, c := n.s, n.Conn
	if c.h2s != nil && c.h2s.s.Refusal() != 0 {
		c.phase = phHead
		c.forget(s.wall + s.now()/1000) // there is no head to speak of
		c.begin(s.wall + s.now()/1000)
		return n.refuse(c.h2s.s.Refusal())
	}
	if c.req == nil || c.req.InLen == 0 {
		if !n.read() {
			return n.ended()
		}
	}
	q := c.req
	for c.ProxyHeader {
		switch c.takeProxy(s.h) {
		case preludeBad:
			return false
		case preludeDone:
			if q.InLen > 0 {
				continue
			}
		}
		if !n.read() {
			return n.ended()
		}
	}
	if c.TLS != nil {
		switch {
		case c.speaksTLS():
			return n.handshake()
		case n.stays():
			return !n.pass(q.Input())
		}
	}
	for {
		begins, may := false, false
		if c.Settings.H2C && c.Requests == 0 && c.wire == nil {
			begins, may = startsH2(q.Input())
		}
		if begins {
			return n.serveH2(c.takeInput())
		}
		size, st := 0, http1.Incomplete
		if !may {
			size, st = http1.Parse(q.Input(), &q.Head, c.headLimits())
		}
		if st == http1.Incomplete {
			for c.incomplete(&s.mem, s.now()); ; c.moreHead(&s.mem) {
				if !n.read() {
					return n.ended()
				}
				if may || c.headReady() {
					break
				}
			}
			continue
		}
		c.begin(s.wall + s.now()/1000)
		if st != http1.OK {
			return n.refuse(int(st))
		}
		q.BodyOff = uint64(size)
		break
	}
	if c.h2s != nil && n.stays() && n.pass(q.Input()) { // it came after the successor did
		return false
	}
	c.persist(s.draining.Load() && !s.handoff.Load())
	c.action = s.h.Route(c, q)
	for c.action == Think || c.action == ThinkPython {
		switch n.think() {
		case ranOK:
		case ranLate:
			return n.reject()
		default:
			return false
		}
	}
	c.phase = phBody
	if c.action == Streamed {
		return n.stream()
	}
	if c.action == Respond {
		if !c.skipBody() {
			q.KeepAlive = 0
		}
		return n.respond()
	}
	if q.Head.Flags&(http1.FlagChunked|http1.FlagContentLength) != 0 {
		c.stage(s.now(), c.Settings.Body)
	}
	if n.scratch == nil && q.Head.Flags&http1.FlagChunked != 0 {
		n.scratch = make([]byte, 16<<10)
	}
	for ready := false; !ready; {
		switch c.body(&s.mem, n.scratch) {
		case bodyReady:
			ready = true
		case bodyMore:
			c.invite()
			if !n.read() {
				return n.ended()
			}
		case bodyBad:
			return n.refuse(400)
		case bodyTooLarge:
			return n.refuse(413)
		}
	}
	if c.action == Forward {
		return n.forward()
	}
	return n.run()
}

func (n *netConn) refuse(status int) bool {
	n.req.KeepAlive = 0
	n.s.h.Bad(n.Conn, n.req, status)
	n.unread = true
	return n.respond()
}

// think calls Handler.Decide, here or on a Python thread.
func (n *netConn) think() outcome {
	n.phase = phDecide
	if n.action == Think {
		n.s.aside.Add(1)
		defer n.s.aside.Add(-1)
		n.action = n.s.h.Decide(n.Conn, n.req, false)
		return ranOK
	}
	n.decide = true
	o := n.python()
	n.decide = false
	return o
}

// python has a Python thread work for the request. A panic there is answered here.
func (n *netConn) python() outcome {
	s, o := n.s, ranStopped
	work := func(fd uintptr) {
		if s.running.Add(1) == 1 {
			select {
			case s.unpark <- struct{}{}:
			default:
			}
		}
		if w, ok := n.wire.(*secure); ok { // C reads and writes without waiting
			w.aside, w.dry = nil, false
			defer func() { w.aside = n.tcp }()
		}
		o = n.queue(int(fd))
		s.running.Add(-1)
	}
	if n.raw == nil {
		work(^uintptr(0))
	} else if n.raw.Control(work) != nil { // the descriptor is C's until the thread is done
		return ranStopped
	}
	if o == ranPanic {
		n.farewell()
	}
	return o
}

// queue waits for a Python thread and then for its result.
func (n *netConn) queue(fd int) outcome {
	s, q := n.s, n.req
	select {
	case s.jobs <- job{n: n}:
		return <-n.result
	default:
	}
	q.QueueUs = s.wall + s.now()/1000
	var late <-chan time.Time
	if s.queueTimeout > 0 {
		t := time.NewTimer(s.queueTimeout)
		defer t.Stop()
		late = t.C
	}
	leave := s.leave
	if n.wire != nil {
		leave = nil // it is served here, see relay.go
	}
	var over <-chan struct{}
	if n.h2s != nil && !n.decide {
		over = n.h2s.over
	}
	var look <-chan time.Time
	if s.siblings != nil && len(q.Input()) <= sharedMax {
		t := time.NewTicker(lookGap)
		defer t.Stop()
		look = t.C
	}
	for {
		select {
		case s.jobs <- job{n: n}:
			return <-n.result
		case <-look:
			if n.relieved(fd) {
				return ranGone
			}
		case <-late:
			return ranLate
		case <-leave:
			if s.h.Handoff(fd, n.handover(q.Input())) {
				return ranGone
			}
			leave = nil // it is served here
		case <-over:
			return ranUnwanted
		case <-s.stop:
			return ranStopped
		}
	}
}

// reject answers a request that has waited too long for a thread.
func (n *netConn) reject() bool {
	n.tooLate(n.s.h)
	return n.respond()
}

// run has a Python thread run the application, then writes.
func (n *netConn) run() bool {
	s, c, q := n.s, n.Conn, n.req
	c.deadline.Store(0)
	c.phase = phRun
	switch n.python() {
	case ranStopped, ranPanic, ranGone:
		return false
	case ranLate:
		return n.reject()
	case ranUnwanted:
		q.Aborted, q.Result = 1, ResultCut
		return n.respond()
	case ranAway:
		c.phase = phIdle // the successor answers
		if n.pass(q.Input()) {
			return false
		}
		q.Result, q.Status = ResultError, 503
	}
	c.settle(s.h)
	if c.Stream != nil { // an error document
		return n.stream()
	}
	return n.respond()
}

// stream lets the handler write the response here, where it may wait.
func (n *netConn) stream() bool {
	s, c := n.s, n.Conn
	c.deadline.Store(0)
	c.phase = phRun
	write := c.Stream
	c.Stream = nil
	n.setBusy(true)
	s.aside.Add(1)
	st := newStream(s.ctx, c, n.nc)
	unwatch := n.watch(st.cancel)
	defer func() {
		unwatch()
		s.aside.Add(-1)
		st.cancel()
	}()
	write(st)
	st.end(&s.mem)
	n.given = st.hijacked
	if !n.given {
		_ = n.nc.SetDeadline(time.Time{}) // fails on a closed one only
		n.setBusy(false)
	}
	return n.respond()
}

func (n *netConn) setBusy(b bool) {
	n.s.mu.Lock()
	n.busy = b
	n.s.mu.Unlock()
}

// pass hands the connection to the successor.
func (n *netConn) pass(pending []byte) (ok bool) {
	if n.h2s != nil {
		return n.passH2(pending)
	}
	if w, ok := n.wire.(*secure); ok {
		inner, ok := offer(n.handover(pending), n.s.h.Handoff)
		if ok {
			n.setBusy(true)
			w.splice(n.tcp, inner)
		}
		return ok
	}
	err := n.raw.Control(func(fd uintptr) { ok = n.s.h.Handoff(int(fd), n.handover(pending)) })
	return err == nil && ok
}

// ended is the end of a connection from which nothing more comes: a request
// that is not complete by now is answered with 408 when it was too slow.
func (n *netConn) ended() bool {
	s, c := n.s, n.Conn
	if !c.expired.Load() {
		if s.draining.Load() && c.phase == phIdle && !c.eof && s.handoff.Load() {
			n.pass(nil)
		}
		return false
	}
	if c.phase != phHead && c.phase != phBody {
		return false
	}
	c.forget(s.wall + s.now()/1000)
	c.req.KeepAlive = 0
	s.h.Bad(c, c.req, 408)
	n.unread = true
	return n.respond()
}

// read waits for bytes and receives them; false: there are no more, the time is
// over (expired), or an idle connection has to leave.
func (n *netConn) read() bool {
	s, c := n.s, n.Conn
	if c.phase == phIdle && c.req != nil && s.Connections() > keepReqs {
		s.mu.Lock()
		n.lend() // a waiting connection needs no buffers
		s.mu.Unlock()
	}
	for {
		n.readDeadline() // first: Drain and leveler announce themselves, then shorten it
		if s.draining.Load() && c.phase == phIdle && !n.stays() {
			if s.handoff.Load() || c.Requests > 0 {
				return false
			}
			c.lastChance(s.now())
			n.readDeadline()
		}
		if n.move.Load() != 0 && c.phase == phIdle && n.moved() {
			c.eof = true // for this process
			return false
		}
		k, err := n.receive()
		if k > 0 {
			c.req.InLen += uint64(k)
			if c.phase == phHead || c.phase == phBody {
				c.received(s.now(), k)
			}
			return true
		}
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			c.eof = true
			return false
		}
		if d := c.deadline.Load(); d != 0 && s.now() >= d {
			c.expired.Store(true)
			return false
		} // else Drain has set the deadline
	}
}

// receive reads once.
func (n *netConn) receive() (int, error) {
	if n.wire != nil {
		n.need() // it may have bytes that the socket has no longer
	} else if n.req == nil {
		var b [1]byte
		err := n.raw.Read(func(fd uintptr) bool {
			_, _, err := unix.Recvfrom(int(fd), b[:], unix.MSG_PEEK|unix.MSG_DONTWAIT)
			return err != unix.EAGAIN && err != unix.EINTR
		})
		if err != nil {
			return 0, err
		}
		n.need()
	}
	q := n.req
	if q.InLen == q.InCap {
		n.s.mem.grow(q, min(q.InCap*2, bufferMax+inStart))
		if q.InLen == q.InCap {
			return 0, errors.New("no room") // cannot happen: request consumes or refuses before
		}
	}
	return n.nc.Read(q.inBuf()[q.InLen:])
}

func (n *netConn) readDeadline() {
	var at time.Time
	if d := n.deadline.Load(); d != 0 {
		at = n.s.start.Add(time.Duration(d))
	}
	_ = n.nc.SetReadDeadline(at) // fails on a closed one only, as does the read then
}

// writeDeadline begins the time in which a slow reader has to take something.
func (n *netConn) writeDeadline() {
	var at time.Time
	if ms := n.req.IOTimeoutMs; ms > 0 { // Timeout, or the application's own
		at = time.Now().Add(time.Duration(ms) * time.Millisecond)
	}
	_ = n.nc.SetWriteDeadline(at) // as above
}

// respond sends the response and prepares for the next request.
func (n *netConn) respond() bool {
	s, c, q := n.s, n.Conn, n.req
	c.closing = q.KeepAlive == 0
	for {
		if n.wire != nil {
			n.sendWire()
			break
		}
		n.send()
		q.OutOff, q.OutLen = 0, 0
		if q.FileFD >= 0 {
			n.sendFile()
		}
		if len(c.Parts) == 0 || q.Aborted != 0 {
			break
		}
		p := c.Parts[0]
		c.Parts = c.Parts[1:]
		s.mem.Append(q, p.Data)
		q.FileOff, q.FileLeft = p.Off, p.Len
	}
	c.dropFile()
	c.phase = phWrite // a panic from here on cannot be answered any more
	s.h.Done(c, q)
	if q.Extra != nil {
		s.mem.SetExtra(q, nil)
	}
	if q.Aborted != 0 || c.h2s != nil {
		return false
	}
	if c.closing || c.bodyEnd == 0 {
		if c.unread {
			n.linger()
		}
		return false
	}
	c.next(&s.mem)
	if s.draining.Load() && !n.stays() {
		if s.handoff.Load() {
			n.pass(q.Input())
		}
		return false
	}
	c.arm(s.now(), c.Settings.KeepAlive)
	return true
}

// send writes the output buffer. A reader that takes anything within Timeout
// gets that time again.
func (n *netConn) send() {
	q := n.req
	for q.OutOff < q.OutLen && q.Aborted == 0 {
		n.writeDeadline()
		k, err := n.nc.Write(unsafe.Slice((*byte)(q.Out), int(q.OutLen))[q.OutOff:])
		q.OutOff += uint64(k)
		q.sent(uint64(k))
		if err != nil && (k == 0 || !errors.Is(err, os.ErrDeadlineExceeded)) {
			q.Aborted = 1
		}
	}
}

// sendFile sends the rest of a file with sendfile(2).
func (n *netConn) sendFile() {
	q := n.req
	for q.FileLeft > 0 && q.Aborted == 0 {
		n.writeDeadline()
		err := n.raw.Write(func(fd uintptr) bool {
			off := q.FileOff
			k, err := unix.Sendfile(int(fd), int(q.FileFD), &off, int(min(q.FileLeft, 1<<30)))
			if k > 0 { // also together with EAGAIN, on macOS
				q.FileOff += int64(k)
				q.FileLeft -= int64(k)
				q.sent(uint64(k))
				return true
			}
			if err == unix.EAGAIN {
				return false
			}
			if err != unix.EINTR {
				q.Aborted = 1 // or the file has become shorter
			}
			return true
		})
		if err != nil {
			q.Aborted = 1
		}
	}
}

// linger discards what a client still sends: closing with unread bytes would
// reset the connection and could destroy the response.
func (n *netConn) linger() {
	n.phase = phLinger
	if n.nc.CloseWrite() != nil {
		return
	}
	_ = n.nc.SetReadDeadline(time.Now().Add(lingerTime)) // as above
	for {
		if _, err := n.nc.Read(n.req.inBuf()); err != nil {
			return
		}
	}
}
