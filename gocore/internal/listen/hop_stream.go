//go:build linux || darwin || freebsd

// One request that came over the hop, and its response: what the handler calls
// while the application runs, and what the front says meanwhile. The states are
// in hop.go. A block of the response is copied once, into the frames that wait
// for the socket, and large ones not at all while the socket takes them.
package listen

import (
	"errors"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"modwsgi/gocore/internal/hop"
)

// Hop is the stream of one request. The handler uses it on the Python thread,
// without the GIL, from the beginning to the end of Handler.Run.
type Hop struct {
	h      *hopConn
	c      *Conn
	id     uint32
	Flags  uint32 // hop.Request.Flags
	credit int64  // bytes of the response's body that the front takes
	length int64  // of the body as announced; -1 unknown
	sent   int64
	rest   []byte // the end of a complete response, without credit yet
	open   bool   // no terminal frame yet
	headed bool   // Head was sent
	taken  bool   // a Python thread has it, or had it
	ended  bool   // its thread is through with it: the Conn of the number may serve again
	gone   bool   // cancelled, or the front is gone
	timer  *time.Timer
	late   bool // the timer runs
	body   *hopBody
	unread bool // the application is done, and the rest of its body may still come
	queued int8 // Queued was said: queuedWaits, queuedRuns
	logged bool // the error log has a record of the request
	turn   int  // counts the requests of this number: a goroutine of an earlier one knows that it is late
	file   bool // a goroutine sends a file
}

// What the front has been told of a request that waited.
const (
	queuedWaits = iota + 1
	queuedRuns
)

// Hop is the stream that a connection stands for; nil: it is one of a client.
func (c *Conn) Hop() *Hop { return c.hop }

// settle makes sure that a stream whose request ran has its end, or will have it.
func (p *Hop) settle(q *Req, ran bool) {
	h := p.h
	h.mu.Lock()
	defer h.mu.Unlock()
	p.stopTimer()
	p.note()
	if !p.open || p.rest != nil || p.file {
		return
	}
	switch {
	case !ran && !p.headed && p.body.untouched():
		p.logged = false
		p.last(hop.AppendRefused(h.out, p.id, hop.Restarting))
	case p.headed || p.gone:
		p.last(hop.AppendReset(h.out, p.id))
	default:
		status := int(q.Status)
		if status < 400 || status > 599 {
			status = 500
		}
		p.last(hop.AppendError(h.out, p.id, status))
	}
}

// last ends the stream with the frame that was appended to out. mu held.
func (p *Hop) last(out []byte) {
	if p.logged {
		hop.SetLogged(out[len(p.h.out):])
	}
	p.h.out = out
	p.open = false
}

// note remembers, on the request's thread, whether the error log knows it. mu held.
func (p *Hop) note() { p.logged = p.c.req.Logged != 0 }

// wanted: nobody has given the request up while it waited.
func (p *Hop) wanted() bool {
	p.h.mu.Lock()
	defer p.h.mu.Unlock()
	return p.open && !p.gone
}

// waits tells the front that the request waits for a thread, so that it is not
// lost with this process.
func (p *Hop) waits() {
	p.h.mu.Lock()
	defer p.h.mu.Unlock()
	if p.queued == 0 && p.open {
		p.queued = queuedWaits
		p.h.out = hop.AppendQueued(p.h.out, p.id, true)
		p.h.send()
	}
}

// begins tells the front that a request which waited runs now. That has to be in
// the socket before it does: a front that thinks it waits gives it to another
// process when this one dies. False: the socket is full; the request is parked
// and will come again.
func (p *Hop) begins() bool {
	h := p.h
	h.mu.Lock()
	defer h.mu.Unlock()
	if p.queued != queuedWaits || !p.open || p.gone {
		return true
	}
	p.queued = queuedRuns
	h.out = hop.AppendQueued(h.out, p.id, false)
	if h.send(); h.off == len(h.out) {
		return true
	}
	h.park = append(h.park, p.c)
	return false
}

// refuse gives a request back that the application has not seen.
func (p *Hop) refuse(why hop.Reason) {
	p.h.mu.Lock()
	defer p.h.mu.Unlock()
	if !p.open {
		return
	}
	if p.gone {
		p.last(hop.AppendReset(p.h.out, p.id))
		return
	}
	p.logged = false
	p.last(hop.AppendRefused(p.h.out, p.id, why))
}

// Fail ends a request before its head with a status of 400 to 599.
func (p *Hop) Fail(status int) {
	p.h.mu.Lock()
	defer p.h.mu.Unlock()
	if p.open && !p.headed {
		p.last(hop.AppendError(p.h.out, p.id, status))
	}
}

// Head sends the application's status and fields: text is a status line
// without the protocol, then the fields, each with CR LF. length is that of
// the body that follows, -1 unknown. False: nobody waits for it.
func (p *Hop) Head(status int, length int64, text []byte) bool {
	h := p.h
	h.mu.Lock()
	defer h.mu.Unlock()
	if !p.open || p.gone {
		return false
	}
	p.headed, p.length = true, length
	out := hop.AppendHead(h.out, p.id, &hop.Head{Status: status, Length: length, Text: text}, length == 0)
	if length != 0 {
		h.out = out
		return true
	}
	p.note()
	p.last(out)
	return true
}

// Body sends a block. It waits while the front has no room, but not with the
// end of a body whose length is known. False: nobody waits for it.
func (p *Hop) Body(b []byte) bool {
	h := p.h
	h.mu.Lock()
	defer h.mu.Unlock()
	for len(b) > 0 {
		if !p.open || p.gone {
			return !p.gone
		}
		if p.length >= 0 {
			b = b[:min(int64(len(b)), p.length-p.sent)]
		}
		final := p.length >= 0 && p.sent+int64(len(b)) == p.length
		n := min(int64(len(b)), p.credit, hop.MaxPayload)
		if n == 0 {
			if final {
				p.rest = append([]byte(nil), b...)
				return true
			}
			h.send()
			if h.dead || !p.wait() {
				return false
			}
			continue
		}
		p.credit -= n
		p.sent += n
		end := p.length >= 0 && p.sent == p.length
		if end {
			p.note()
		}
		h.data(p, b[:n], end)
		p.open = !end
		b = b[n:]
	}
	if p.open {
		p.later()
	}
	return true
}

// File sends n bytes of a file from off on as the whole body; false: it is not
// the whole body, or there are no descriptors. The caller keeps its descriptor.
func (p *Hop) File(fd int, off, n int64) bool {
	h := p.h
	h.mu.Lock()
	defer h.mu.Unlock()
	if !p.open || p.gone || p.length != n || p.sent != 0 {
		return false
	}
	dup, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 3)
	if err != nil {
		return false
	}
	p.file = true
	h.s.hopTrack(dup, true)
	go p.sendFile(dup, off, p.turn)
	return true
}

// sendFile sends the file as the front takes it.
func (p *Hop) sendFile(fd int, off int64, turn int) {
	h := p.h
	defer func() {
		h.s.hopTrack(fd, false)
		unix.Close(fd)
	}()
	buf := make([]byte, hopDirect)
	for {
		h.mu.Lock()
		for p.turn == turn && p.open && !p.gone && !h.dead && p.credit == 0 {
			h.send()
			h.turn.Wait()
		}
		if p.turn != turn || !p.open || p.gone || h.dead {
			h.mu.Unlock()
			return
		}
		room := min(p.length-p.sent, p.credit, int64(len(buf)))
		h.mu.Unlock()
		n, err := unix.Pread(fd, buf[:room], off)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		h.mu.Lock()
		switch {
		case p.turn != turn || !p.open || p.gone || h.dead:
		case n <= 0: // the file shrank: the client must see it
			p.last(hop.AppendReset(h.out, p.id))
		default:
			off += int64(n)
			p.credit -= int64(n)
			p.sent += int64(n)
			p.open = p.sent < p.length
			h.data(p, buf[:n], !p.open)
		}
		if !p.open {
			h.send()
		}
		h.mu.Unlock()
	}
}

// End ends a complete response.
func (p *Hop) End() bool {
	h := p.h
	h.mu.Lock()
	defer h.mu.Unlock()
	if p.open && p.rest == nil && !p.file && !p.gone {
		if p.length >= 0 && p.sent < p.length {
			return true // settle breaks it: the client must see that something is missing
		}
		p.note()
		p.last(hop.AppendEnd(h.out, p.id))
	}
	return !p.gone
}

// Start says that the application is about to run: a body that is still on its
// way may come. The request cannot be given back from here on if it has one.
func (p *Hop) Start() {
	h := p.h
	h.mu.Lock()
	defer h.mu.Unlock()
	p.taken = true
	if p.body != nil && p.open && !p.gone {
		p.body.started = true
		h.out = hop.AppendCredit(h.out, p.id, hopBodyWindow)
		h.send()
	}
}

// wait waits for credit; mu held. False: it does not come.
func (p *Hop) wait() bool {
	limit := time.Duration(p.c.req.IOTimeoutMs) * time.Millisecond
	over := false
	if limit > 0 {
		t := time.AfterFunc(limit, func() {
			p.h.mu.Lock()
			over = true
			p.h.mu.Unlock()
			p.h.turn.Broadcast()
		})
		defer t.Stop()
	}
	for p.credit == 0 && p.open && !p.gone && !p.h.dead && !over {
		p.h.turn.Wait()
	}
	return p.credit > 0 && p.open && !p.gone && !p.h.dead
}

// later makes sure that a block does not wait for the end of the response. mu held.
func (p *Hop) later() {
	d := p.h.s.hopFlushDelay()
	if d <= 0 {
		p.h.send()
		return
	}
	if p.late {
		return
	}
	p.late = true
	if p.timer == nil {
		h := p.h // p is made anew for the next request of its number, maybe just then
		p.timer = time.AfterFunc(d, func() {
			h.mu.Lock()
			p.late = false
			h.send()
			h.mu.Unlock()
		})
		return
	}
	p.timer.Reset(d)
}

func (p *Hop) stopTimer() {
	if p.late {
		p.timer.Stop()
		p.late = false
	}
}

// credited is the front's Credit. mu held.
func (p *Hop) credited(n int64) {
	p.credit += n
	if p.rest == nil {
		p.h.turn.Broadcast()
		return
	}
	for len(p.rest) > 0 && p.credit > 0 {
		n := min(int64(len(p.rest)), p.credit, hop.MaxPayload)
		p.credit -= n
		p.sent += n
		b := p.rest[:n]
		p.rest = p.rest[n:]
		p.open = len(p.rest) > 0
		p.h.data(p, b, !p.open)
	}
	p.h.send()
}

// cancelled is the front's Cancel, or its end. mu held.
func (p *Hop) cancelled() {
	p.gone = true
	p.rest = nil
	if p.taken && !p.ended {
		atomic.StoreUint32(&p.c.req.Aborted, 1)
	}
	p.body.abort()
	p.h.turn.Broadcast()
	if p.ended && p.open { // only its rest was left, or a file
		p.last(hop.AppendReset(p.h.out, p.id))
		p.h.send()
	}
}
