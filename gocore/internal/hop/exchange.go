// Exchange is one request and its response, as its sender sees it.
//
//	state  | meaning                                    | left by
//	queued | waits for a process                        | a process is free: sent; failure, Cancel: done
//	sent   | a process has it                           | terminal callback or Cancel: done; refused: queued
//	done   | the terminal callback was or will be made, |
//	       | or Cancel has returned true                |
package hop

import (
	"errors"
	"sync"
)

// Handler is told of a response. Its methods are called one after the other for
// an exchange, on a goroutine of the pool that serves other exchanges too: they
// must not block. Slices are valid during the call only.
//
// Exactly one of Data with end, End and Fail is called, as the last; none if
// Cancel returned true.
type Handler interface {
	// Head has the checked text of DecodeHead; length is that of the body that
	// follows, -1 if not known.
	Head(x *Exchange, status int, length int64, text []byte)
	// Data has a part of the body. Exchange.Credit is to be called for it when it
	// has gone on its way.
	Data(x *Exchange, p []byte, end bool)
	// End says that the response is complete.
	End(x *Exchange)
	// Fail says that there is none, or that it broke off.
	Fail(x *Exchange, f Failure)
}

// FailureKind says who failed.
type FailureKind uint8

// Kinds of failures.
const (
	Unreachable FailureKind = iota + 1 // 503: no process could be reached for ConnectTimeout, or too many wait
	Late                               // 504: older than QueueTimeout before a process took it
	App                                // the application failed before its head; status is the daemon's
	Lost                               // 502: the process ended while it had the request
	Broken                             // the response broke off after its head
	Timeout                            // 504: no progress for SocketTimeout
	TooLarge                           // 500: the request does not fit a frame
)

// Failure of an exchange. It is an error.
type Failure struct {
	Kind      FailureKind
	Status    int  // for the client, unless Begun
	Begun     bool // Head was called
	PID, Slot int  // of the process that had the request; 0, -1: none
	Message   string
}

// Error is the message for the log.
func (f Failure) Error() string { return f.Message }

// ErrEnded is Body's error when nobody wants the rest of the body.
var ErrEnded = errors.New("the exchange has ended")

type exState uint8

const (
	exQueued exState = iota + 1
	exSent
	exDone
)

// Exchange is one request and its response. Methods may be called from any goroutine.
type Exchange struct {
	pool     *Pool
	h        Handler
	response *Response // the handler, if Do was given none

	// guarded by pool.mu
	state      exState
	buf        *buffer // the Request's payload; kept until the process cannot refuse it any more
	conn       *conn   // sent: who has it
	id         uint32  // sent: its stream
	tries      int     // times that it was given back
	since      int64   // when it arrived at the front, microseconds of Unix time; 0 not known
	arrival    int64   // pool clock, when it arrived at the pool
	queued     int64   // pool clock, when it was put into the queue
	late       int64   // pool clock, when it is too old to wait; 0: never
	credit     int64   // bytes of its body that may be sent
	taken      bool    // the process keeps it: gave credit or began the response
	logged     bool    // its error log has a record of the request
	plan       uint32  // Request.Plan
	whole      bool    // the Request has the whole body
	complete   bool    // nothing more of its body follows
	give       int64   // bytes of the response's body received and not yet credited
	wake       chan struct{}
	prev, next *Exchange // in the queue
}

// exchanges that were released.
var exchanges = sync.Pool{New: func() any { return new(Exchange) }}

// Release gives the exchange back for use by another request: an allocation
// less. It is optional. Nothing of the exchange may be used afterwards by
// anybody, so it is for senders that know: Do has returned (or its result is
// not looked at), the terminal callback has begun, no Body or Response is at
// work. Never after Cancel returned true.
func (x *Exchange) Release() {
	wake := x.wake
	if wake != nil {
		select {
		case <-wake:
		default:
		}
	}
	*x = Exchange{wake: wake}
	exchanges.Put(x)
}

// Logged reports whether the process has written a record of the request to its
// error log. For handlers, from the terminal callback on.
func (x *Exchange) Logged() bool { return x.logged }

// Body sends more of the request's body; end: it is the last. It blocks until the process
// has taken the request and allows as many bytes. ErrEnded: the
// response is complete or failed, the rest of the body is not wanted. One
// goroutine at a time.
func (x *Exchange) Body(b []byte, end bool) error {
	if len(b) == 0 && !end {
		return nil
	}
	p := x.pool
	p.mu.Lock()
	defer p.mu.Unlock()
	if x.wake == nil {
		x.wake = make(chan struct{}, 1)
	}
	for {
		if x.state == exDone || x.complete {
			return ErrEnded
		}
		c := x.conn
		if x.state != exSent || !x.taken || len(b) > 0 && x.credit == 0 || c.pendBytes >= pendHigh {
			if c != nil && c.pendBytes >= pendHigh {
				c.stalled = true // the writer wakes those who wait
			}
			p.mu.Unlock()
			<-x.wake
			p.mu.Lock()
			continue
		}
		n := int(min(int64(len(b)), x.credit, bodyFrame))
		x.credit -= int64(n)
		x.complete = end && n == len(b)
		s := &c.streams[x.id-1]
		s.progress = p.now()
		s.grants++
		c.appendBody(x.id, b[:n], x.complete)
		p.write(c) // unlocks meanwhile; the exchange may have ended
		if b = b[n:]; len(b) == 0 {
			return nil
		}
	}
}

// Credit says that n bytes of the response's body have gone on their way: the
// process may send as many more. It does nothing after the end.
func (x *Exchange) Credit(n int) {
	p := x.pool
	p.mu.Lock()
	defer p.mu.Unlock()
	if x.state != exSent || n <= 0 {
		return
	}
	x.give += int64(n)
	s := &x.conn.streams[x.id-1]
	// Not for a few bytes: what is not given yet is less than a quarter of the window.
	window := int64(p.cfg.Window)
	if x.give < window/4 || s.window >= window {
		return
	}
	give := uint32(min(x.give, window-s.window))
	x.give -= int64(give)
	s.window += int64(give)
	s.progress = p.now()
	c := x.conn
	c.appendCredit(x.id, give)
	p.write(c)
}

// Cancel ends the exchange: the response is not wanted. True: no callback
// begins any more, but one of Head or Data may just be running. False: it has ended; the
// terminal callback was, is or will be made. From a callback it works as well.
func (x *Exchange) Cancel() bool {
	p := x.pool
	p.mu.Lock()
	defer p.mu.Unlock()
	switch x.state {
	case exQueued:
		p.queue.remove(x)
	case exSent: // the stream goes on without it until the process ends it
		c, id := x.conn, x.id
		c.abandon(&c.streams[id-1])
		c.appendCancel(id)
		p.finish(x)
		p.write(c)
		return true
	default:
		return false
	}
	p.finish(x)
	return true
}

// Withdraw is Cancel for an exchange whose request waits for a process or, as
// far as is known here, for a thread of one; false: it does not, nothing has
// happened.
func (x *Exchange) Withdraw() bool {
	p := x.pool
	p.mu.Lock()
	waits := x.state == exQueued || x.state == exSent && x.conn.streams[x.id-1].waits
	p.mu.Unlock()
	return waits && x.Cancel()
}

// finish makes an exchange done; the caller holds the lock and has taken it out of the queue or its stream.
func (p *Pool) finish(x *Exchange) {
	x.state, x.conn = exDone, nil
	x.drop()
	x.signal()
	p.open--
	p.settle()
}

// drop gives up the copy of the request.
func (x *Exchange) drop() {
	if x.buf != nil {
		x.buf.release()
		x.buf = nil
	}
}

// signal wakes Body.
func (x *Exchange) signal() {
	if x.wake != nil {
		select {
		case x.wake <- struct{}{}:
		default:
		}
	}
}

// failedExchange waits to be told.
type failedExchange struct {
	x *Exchange
	h Handler
	f Failure
}

// fail ends an exchange that no reading goroutine has; its handler is told by a goroutine. Holds the lock.
func (p *Pool) fail(x *Exchange, f Failure) {
	p.finish(x)
	p.failed = append(p.failed, failedExchange{x, x.h, f})
	if !p.telling {
		p.telling = true
		p.spawn(p.tell)
	}
}

func (p *Pool) tell() {
	for {
		p.mu.Lock()
		list := p.failed
		p.failed = nil
		if p.telling = len(list) > 0; !p.telling {
			p.mu.Unlock()
			return
		}
		p.mu.Unlock()
		for _, e := range list {
			e.h.Fail(e.x, e.f)
		}
		p.batch()
	}
}

// batch runs the hook after a number of callbacks.
func (p *Pool) batch() {
	p.Flush()
	if p.cfg.Batch != nil {
		p.cfg.Batch()
		p.Flush()
	}
}
