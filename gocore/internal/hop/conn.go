// The receiving half of a connection to a daemon process: one goroutine reads
// frames, checks that they may come now, and calls the handlers.
//
//	state    | entered by                        | left by
//	waiting  | connect; the process may be about | Hello: serving; end: gone
//	         | to start                          |
//	serving  | Hello                             | Goaway, Refused(Restarting): draining; end, error: gone
//	draining | takes no new requests             | last stream ended, end, error: gone
//	gone     | its requests have failed or went  |
//	         | back to the queue                 |
package hop

import (
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"syscall"
	"time"
)

// stream is what a connection knows of one request of its process.
type stream struct {
	x        *Exchange // nil: not wanted any more
	open     bool
	head     bool // Head has come
	taken    bool // Refused is not possible any more
	waits    bool // Queued said so
	told     int  // Queued frames: at most two
	grants   int  // Credit frames that may still come
	kept     int  // bytes of its Request that are kept
	window   int64
	sized    bool   // the length of the body is known:
	left     int64  // bytes of it to come
	sent     int64  // pool clock
	progress int64  // pool clock of the last thing that either side did
	end      uint64 // where its Request ends in the connection's bytes
}

type conn struct {
	pool *Pool
	slot int
	nc   net.Conn
	raw  syscall.RawConn
	stop func() bool // the pool's end does not concern it any more
	rd   *Reader     // the reader's alone

	// guarded by pool.mu
	threads, busy int    // busy: open streams
	waiting       int    // of them: its own queue has them
	kept          int    // bytes of requests that it has not begun, as far as one knows
	known         []bool // by number of a plan, from 1: it was described
	closed        int    // streams that ended, for pace
	pid           uint32
	streams       []stream // by number, from 1
	free          []uint32 // numbers
	ended         int64    // pool clock when a stream ended last
	draining      bool
	away          bool   // Goaway has come
	why           string // the reason to give it up, if that is not what the socket says
	stuck         bool   // the reason is that it does not read

	pend       []*buffer
	pendBytes  int    // in pend, and of now what is not written
	queued     uint64 // bytes ever pending
	written    uint64 // of them
	dirty      bool   // in pool.dirty
	writing    bool   // somebody writes
	unwritable bool
	stalled    bool // Body waits for pendBytes to shrink

	// the writer's
	now     []*buffer
	at, off int // in now: what is next
	attempt func(fd uintptr) bool
	tried   attemptResult
}

// attemptResult is what one attempt to write gave.
type attemptResult struct {
	patient bool // wait for the socket
	n       int
	blocked bool
	err     error
}

// send gives a request to a process. Holds the lock.
func (p *Pool) send(x *Exchange, c *conn, now int64) {
	var id uint32
	if n := len(c.free); n > 0 {
		id, c.free = c.free[n-1], c.free[:n-1]
	} else {
		c.streams = append(c.streams, stream{})
		id = uint32(len(c.streams))
	}
	c.busy++
	if c.busy == 1 {
		c.ended = now // its time begins with its first request
	}
	if x.plan != 0 {
		c.describe(x.plan)
	}
	c.appendRequest(id, x.buf, x.whole)
	kept := x.buf.size()
	c.kept += kept
	c.streams[id-1] = stream{x: x, open: true, grants: 1, kept: kept, window: int64(p.cfg.Window), sent: now, progress: now, end: c.queued}
	x.state, x.conn, x.id = exSent, c, id
	p.slots[c.slot].total++
}

// abandon leaves a stream without its exchange: nobody wants the response. Holds the lock.
func (c *conn) abandon(s *stream) {
	s.x = nil
	c.kept -= s.kept
	s.kept = 0
}

// closeStream frees a stream that the daemon has ended. Holds the lock.
func (c *conn) closeStream(id uint32, now int64) {
	s := &c.streams[id-1]
	if s.waits {
		c.waiting--
	}
	if s.head && s.x != nil {
		p := c.pool
		p.typical += (now - s.sent - p.typical) / 8
	}
	c.kept -= s.kept
	c.closed++
	*s = stream{}
	c.free = append(c.free, id)
	c.busy--
	c.ended = now
}

// serve reads until the connection ends. err is nil when a drained connection is done.
func (c *conn) serve() error {
	p := c.pool
	var pace pacer
	for {
		now := p.now()
		frames := 0
		for {
			f, ok, err := c.rd.Next()
			if err != nil {
				return err
			}
			if !ok {
				break
			}
			frames++
			if err := c.frame(f, now); err != nil {
				return err
			}
		}
		p.mu.Lock()
		if p.queue.n > 0 {
			p.place(now)
		}
		done := c.draining && c.busy == 0
		frames -= framesPerRequest * c.closed
		c.closed = 0
		p.mu.Unlock()
		p.batch()
		if done {
			return nil
		}
		if d := pace.took(frames, now); d > 0 {
			p.sleep(d)
		}
		for {
			err := c.rd.Fill()
			if err == nil {
				break
			}
			if !isTimeout(err) {
				return err
			}
			c.nc.SetReadDeadline(time.Time{})
			if err := c.expire(); err != nil {
				return err
			}
		}
	}
}

// drain takes a connection out of service: no new requests, those it has go on. Holds the lock.
func (p *Pool) drain(c *conn, now int64) {
	if c.draining {
		return
	}
	c.draining = true
	p.unslot(c, now)
}

// unslot leaves the slot without a connection, and sees to the next one. Holds the lock.
func (p *Pool) unslot(c *conn, now int64) {
	if s := &p.slots[c.slot]; s.conn == c {
		s.conn = nil
		p.lost = now
		p.redial(s)
	}
}

// failure is about the process of c.
func (c *conn) failure(kind FailureKind, status int, begun bool, what string) Failure {
	c.pool.slots[c.slot].errors++
	return Failure{Kind: kind, Status: status, Begun: begun, PID: int(c.pid), Slot: c.slot,
		Message: fmt.Sprintf("process %d of process group '%s' (number %d) %s", c.pid, c.pool.cfg.Group, c.slot, what)}
}

// gone ends the connection's exchanges, on the reading goroutine: those that its
// process has not begun go back to the queue, the others have failed.
func (c *conn) gone(err error) {
	p := c.pool
	now := p.now()
	p.track(c.nc, false)
	c.nc.Close()
	p.mu.Lock()
	if errors.Is(err, ErrProtocol) { // it may do so again at once, and fill the log
		s := &p.slots[c.slot]
		s.next = max(s.next, now+retrySlow)
	}
	p.unslot(c, now)
	p.conns = slices.DeleteFunc(p.conns, func(d *conn) bool { return d == c })
	var failed []failedExchange
	committed := c.committed()
	c.unwritable = true
	c.pend, c.pendBytes = nil, 0
	for i := range c.streams {
		s := &c.streams[i]
		x := s.x
		if x == nil {
			continue
		}
		s.x = nil
		if !s.taken && (s.waits || s.end > committed) {
			p.giveBack(x, now)
			continue
		}
		p.finish(x)
		what, kind, status := "ended while it had the request", Lost, 502
		if s.head {
			what, kind, status = "ended in the middle of the response", Broken, 0
		}
		if c.stuck && !s.head {
			kind, status = Timeout, 504
		}
		if c.why != "" {
			what = "was given up: " + c.why
		} else if errors.Is(err, ErrProtocol) {
			what = "was given up: " + err.Error()
		}
		failed = append(failed, failedExchange{x, x.h, c.failure(kind, status, s.head, what)})
	}
	p.place(now)
	p.mu.Unlock()
	for _, e := range failed {
		e.h.Fail(e.x, e.f)
	}
	p.batch()
}

// expire fails what has made no progress for too long, on the reading goroutine. An error ends the connection.
func (c *conn) expire() error {
	p := c.pool
	p.mu.Lock()
	if c.why == "" && p.ctx.Err() != nil {
		c.why = "the server stops"
	}
	if c.why != "" {
		p.mu.Unlock()
		return errors.New(c.why)
	}
	now := p.now()
	var failed []failedExchange
	for i := range c.streams {
		s := &c.streams[i]
		if !c.overdue(s, now, int64(p.cfg.SocketTimeout)) {
			continue
		}
		x := s.x
		c.abandon(s)
		p.finish(x)
		c.appendCancel(uint32(i + 1))
		f := c.failure(Timeout, 504, s.head, fmt.Sprintf("made no progress with the request for %v (socket-timeout)", p.cfg.SocketTimeout))
		failed = append(failed, failedExchange{x, x.h, f})
	}
	p.mu.Unlock()
	for _, e := range failed {
		e.h.Fail(e.x, e.f)
	}
	p.batch()
	return nil
}

// overdue: the process owes something and has not moved. It owes nothing while
// it may not send, or while it waits for a part of the body that it has allowed.
// While the request is being written the writer looks after the time.
func (c *conn) overdue(s *stream, now, timeout int64) bool {
	x := s.x
	return timeout > 0 && x != nil && now-s.progress > timeout && s.window > 0 && (x.complete || x.credit == 0) && c.written >= s.end
}

func isTimeout(err error) bool { return errors.Is(err, os.ErrDeadlineExceeded) }

// How much work a process may make for us: so many frames per second, beyond
// those that every request needs. It would take a hostile one, or an application that sends
// its response byte by byte; such a one is read more slowly, and its own
// responses wait. A frame costs about 0.1 us here.
const (
	framesPerSecond  = 250_000
	framesAtOnce     = framesPerSecond / 4
	framesPerRequest = 4 // Queued twice, Head, the end
)

// pacer counts frames against the clock. The zero value is ready.
type pacer struct {
	left int64 // in ns; negative: owed
	at   int64 // pool clock
}

// took says for how long to wait after n frames; n may be negative.
func (p *pacer) took(n int, now int64) time.Duration {
	const each = int64(time.Second) / framesPerSecond
	if p.at == 0 {
		p.left, p.at = framesAtOnce*each, now
	}
	p.left = min(p.left+now-p.at, framesAtOnce*each) - int64(n)*each
	p.at = now
	return time.Duration(max(0, -p.left))
}
