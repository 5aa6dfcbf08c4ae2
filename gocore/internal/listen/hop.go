//go:build linux || darwin || freebsd

// Requests that come over the hop, from front processes (package hop has the
// wire format): the daemon's side of such a connection. Each of its streams has
// a Conn of its own without a descriptor, so that threads, queue, time-outs and
// Handler are those of any other request; its response leaves through the
// methods of Hop instead of a socket.
//
//	stream state | event                           | next
//	waiting      | no thread is free               | waiting, and the front knows (Queued)
//	waiting      | a Python thread takes it        | running, or, if the socket is full, parked
//	parked       | the front can know (Queued)     | running, when a thread takes it again
//	waiting      | Cancel, late, restart, front gone | ended (Reset, Refused)
//	running      | the application's head          | answering
//	running      | the application fails           | ended (Error)
//	answering    | End, or the last byte           | ended
//	answering    | all produced, no credit left    | draining (no thread any more)
//	draining     | credit for the rest             | ended
//
// hopConn.mu guards everything that is not its reader's alone.
package listen

import (
	"errors"
	"os"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"modwsgi/gocore/internal/hop"
	"modwsgi/gocore/internal/http1"
)

// Sizes, in bytes.
const (
	hopBodyWindow = 256 << 10 // of a streamed request body that may be on its way
	hopFlushAt    = 64 << 10  // pending frames are sent while the application goes on
	hopDirect     = 32 << 10  // blocks of this size are not copied if the socket takes them
	hopStreams    = 1 << 16   // stream numbers are below
)

// HopConfig lets a source take requests from front processes.
type HopConfig struct {
	Listeners []*os.File         // non-blocking Unix sockets
	Hello     hop.Hello          // introduces this process
	Allow     func(uid int) bool // who may connect; uid -1: the system does not tell
	Refused   func(uid int)      // reports who may not
	Report    func(err error)    // reports a front that does not keep to the format; may be nil

	SendBuffer, ReceiveBuffer int // of accepted connections, for SetBuffers
}

// SetBuffers sets SO_SNDBUF and SO_RCVBUF of a socket, in bytes; 0 leaves the
// system's. What the system does not take stays as it is.
func SetBuffers(fd, send, receive int) {
	if send > 0 {
		_ = syscall.SetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_SNDBUF, send)
	}
	if receive > 0 {
		_ = syscall.SetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_RCVBUF, receive)
	}
}

// HopHandler is a Handler for requests that come over the hop.
type HopHandler interface {
	// HopPlan makes of a front's description of an application what RouteHop
	// gets; nil: this process does not serve it.
	HopPlan(key []byte) any
	// RouteHop sets c.Settings and q.Route, and whatever else Route sets for
	// Run. It runs where Route runs.
	RouteHop(c *Conn, q *Req, plan any)
}

// hopSource is what both sources do for such connections.
type hopSource interface {
	hopMemory() *Memory
	hopFlushDelay() time.Duration
	hopNow() int64                // microseconds since the epoch
	hopDirty(h *hopConn)          // by the reader: frames wait for the end of its batch
	hopOpened()                   // a stream, counted like a connection
	hopEnded()                    // the opposite
	hopAgain(c *Conn)             // a parked stream can run; from any goroutine
	hopReq() *Req                 // from the pool
	hopLend(q *Req)               // back to it
	hopTrack(fd int, open bool)   // see Config.Track
	hopReport(c *Conn, err error) // a frame that cannot be: a bug of ours
	hopPanicked(c *Conn, v any)   // the handler; called by a deferred function
	hopHandlers() (Handler, HopHandler)
}

// hopConn is a connection from a front process.
type hopConn struct {
	s     hopSource
	fd    int
	dec   hop.Decoder  // the reader's
	slots []*Conn      // by stream number; changed by the reader, under mu
	parse *http1.Memos // the reader's
	plans []any        // the reader's: of HopPlan, by number from 1
	mu    sync.Mutex   // guards what follows, and the streams
	turn  *sync.Cond   // of mu: credit came, or the end
	out   []byte       // frames that are not sent yet
	off   int          // so much of out is sent
	full  bool         // the socket takes no more
	wait  func()       // called when full is set: calls writable when the socket takes more; nil: an event does
	dead  bool         // the descriptor is closed, or about to be
	away  bool         // Goaway was said: no new streams
	park  []*Conn      // whose Queued(0) is still in out
}

func newHopConn(s hopSource, fd int, hello *hop.Hello) *hopConn {
	h := &hopConn{s: s, fd: fd, parse: &http1.Memos{}}
	h.turn = sync.NewCond(&h.mu)
	h.out = hop.AppendHello(nil, hello)
	return h
}

// peerUID is who is at the other end of a Unix socket; -1: the system does not say.
func peerUID(fd int) int {
	if uid, err := peerCredential(fd); err == nil {
		return uid
	}
	return -1
}

// frames takes what the decoder has. run gets each new request, owned, in
// phase phRun. An error ends the connection.
func (h *hopConn) frames(run func(c *Conn)) error {
	for {
		f, ok, err := h.dec.Next()
		if err != nil || !ok {
			return err
		}
		if f.Type == hop.TypeRequest {
			c, err := h.begin(&f)
			if err != nil {
				return err
			}
			if c != nil {
				run(c)
			}
			continue
		}
		if f.Type == hop.TypePlan {
			if err := h.describe(f.Stream, f.Payload); err != nil {
				return err
			}
			continue
		}
		h.mu.Lock()
		if f.Stream >= uint32(len(h.slots)) || h.slots[f.Stream] == nil {
			away := h.away
			h.mu.Unlock()
			if away && f.Type == hop.TypeCancel { // it crossed with Refused
				continue
			}
			return errors.New("a frame for a stream that never was")
		}
		p := h.slots[f.Stream].hop
		if p.open { // else it crossed with the end
			switch f.Type {
			case hop.TypeBody:
				err = p.received(f.Payload, f.End)
			case hop.TypeCredit:
				var n uint32
				if n, err = hop.DecodeCredit(f.Payload); err == nil {
					p.credited(int64(n))
				}
			case hop.TypeCancel:
				p.cancelled()
			}
		}
		h.mu.Unlock()
		if err != nil {
			return err
		}
	}
}

// describe notes what a number stands for.
func (h *hopConn) describe(number uint32, key []byte) error {
	if int(number) <= len(h.plans) && h.plans[number-1] != nil {
		return errors.New("a plan was described twice")
	}
	for int(number) > len(h.plans) {
		h.plans = append(h.plans, nil)
	}
	plan := h.plan(key)
	if plan == nil {
		plan = unknownPlan(key)
	}
	h.plans[number-1] = plan
	return nil
}

// unknownPlan is the description of a plan that this process does not serve: each request says so again.
type unknownPlan string

// plan asks the handler; nil also when it panics.
func (h *hopConn) plan(key []byte) (plan any) {
	defer func() {
		if v := recover(); v != nil {
			h.s.hopPanicked(nil, v)
			plan = nil
		}
	}()
	_, router := h.s.hopHandlers()
	return router.HopPlan(key)
}

// planned is what a request is for: nil: nothing that this process serves.
func (h *hopConn) planned(m *hop.Request) (any, error) {
	if m.Plan == 0 {
		return h.plan(m.Key), nil
	}
	if m.Plan > uint32(len(h.plans)) || h.plans[m.Plan-1] == nil {
		return nil, errors.New("a plan that was not described")
	}
	plan := h.plans[m.Plan-1]
	if key, unknown := plan.(unknownPlan); unknown {
		return h.plan([]byte(key)), nil
	}
	return plan, nil
}

// begin opens a stream; nil: it was answered at once.
func (h *hopConn) begin(f *hop.Frame) (*Conn, error) {
	if f.Stream >= hopStreams {
		return nil, errors.New("too many streams")
	}
	var m hop.Request
	if err := m.Decode(f.Payload); err != nil {
		return nil, err
	}
	plan, err := h.planned(&m)
	if err != nil {
		return nil, err
	}
	h.mu.Lock()
	if h.away {
		h.out = hop.AppendRefused(h.out, f.Stream, hop.Restarting)
		h.mu.Unlock()
		h.s.hopDirty(h)
		return nil, nil
	}
	for f.Stream >= uint32(len(h.slots)) {
		h.slots = append(h.slots, nil)
	}
	c := h.slots[f.Stream]
	if c != nil && c.hop.open {
		h.mu.Unlock()
		return nil, errors.New("a stream was opened twice")
	}
	// The number may come again as soon as the last frame of its stream has left,
	// and a thread may still be finishing with that.
	if c == nil || !c.hop.ended {
		c = &Conn{FD: -1}
		c.hop = &Hop{h: h, c: c, id: f.Stream}
		h.slots[f.Stream] = c
	}
	p := c.hop
	*p = Hop{h: h, c: c, id: f.Stream, Flags: m.Flags, credit: int64(m.Window), length: -1, open: true, timer: p.timer, turn: p.turn + 1}
	h.mu.Unlock()
	if c.req == nil {
		c.req = h.s.hopReq()
	}
	h.s.hopOpened()
	q := c.req
	c.ID, c.Local, c.Remote = m.ConnID, m.Local, m.Remote
	mem := h.s.hopMemory()
	mem.grow(q, uint64(len(m.Head)+len(m.Body)))
	b := q.inBuf()
	copy(b[copy(b, m.Head):], m.Body)
	q.InLen = uint64(len(m.Head) + len(m.Body))
	c.begin(m.StartUs)
	q.RequestNo, q.QueueUs = m.RequestNo, m.QueueUs
	q.KeepAlive = 1
	handler, router := h.s.hopHandlers()
	// no limits: the front has enforced its own
	n, st := h.parse.Parse(q.Input()[:len(m.Head)], &q.Head, &http1.Limits{HTTP2: isH2Head(m.Head)}, &c.memo)
	if st != http1.OK || n != len(m.Head) {
		h.s.hopReport(c, errors.New("the front sent a head that cannot be parsed"))
		p.Fail(500)
		return nil, h.drop(c, handler)
	}
	q.BodyOff = uint64(n)
	if q.Head.Flags &^= http1.FlagChunked; m.Chunked || m.BodyLen < 0 { // filters may have changed what the head says
		q.Head.Flags |= http1.FlagChunked
	}
	q.ScriptLen, q.BodyLimit = m.ScriptLen, m.BodyLimit
	mem.SetExtra(q, m.Extra)
	if plan == nil || !h.route(router, c, plan) {
		p.Fail(500)
		return nil, h.drop(c, handler)
	}
	c.bindHop(q)
	c.action = Run
	c.phase = phRun
	have := uint64(len(m.Body))
	c.bodyEnd = q.InLen
	switch {
	case f.End && m.Chunked:
		q.InRead = q.BodyOff
	case f.End:
		q.BodyLen = have
	default:
		body, err := newHopBody(p, m.BodyLen < 0)
		if err != nil { // out of descriptors
			p.Fail(503)
			return nil, h.drop(c, handler)
		}
		p.body = body
		q.FD = int32(body.fd)
		if m.BodyLen < 0 { // as if the client had sent chunks
			q.InRead, q.StreamLeft = q.BodyOff, -1
		} else {
			q.BodyLen, q.StreamLeft = have, m.BodyLen-int64(have)
		}
	}
	return c, nil
}

// route asks the handler; false also when it panics.
func (h *hopConn) route(router HopHandler, c *Conn, plan any) (ok bool) {
	defer func() {
		if v := recover(); v != nil {
			h.s.hopPanicked(c, v)
			ok = false
		}
	}()
	router.RouteHop(c, c.req, plan)
	return true
}

// done tells the handler; what it keeps of the request is its own loss when it panics.
func (h *hopConn) done(handler Handler, c *Conn) {
	defer func() {
		if v := recover(); v != nil {
			h.s.hopPanicked(c, v)
			c.Tag = nil
		}
	}()
	handler.Done(c, c.req)
}

// drop ends a stream that was answered where it was read.
func (h *hopConn) drop(c *Conn, handler Handler) error {
	h.finished(c, handler)
	h.s.hopDirty(h)
	return nil
}

// bindHop is bind for a stream: what the application learns of the client.
func (c *Conn) bindHop(q *Req) {
	q.FD = -1
	q.ConnID = c.ID
	q.IOTimeoutMs = int32(c.Settings.IO / time.Millisecond)
	q.BodyMs, q.BodyRate = 0, 0 // the front's business
	setAddr(&q.Remote, &q.RemotePort, c.Remote)
	setAddr(&q.Local, &q.LocalPort, c.Local)
}

// finished ends the use of a stream; a terminal frame is queued or the front is
// gone. Called by the owner of c.
func (h *hopConn) finished(c *Conn, handler Handler) {
	q, p := c.req, c.hop
	if c.Tag != nil {
		h.done(handler, c)
	}
	h.mu.Lock()
	body := p.body
	if p.body = nil; body != nil {
		p.unread = true
	}
	h.mu.Unlock()
	if body != nil {
		body.close()
	}
	if q.Extra != nil {
		h.s.hopMemory().SetExtra(q, nil)
	}
	m := h.s.hopMemory()
	q.InLen, q.OutOff, q.OutLen = 0, 0, 0
	if q.InCap > inKeep {
		q.In, q.InCap = m.Realloc(q.In, inStart), inStart
	}
	if q.OutCap > inKeep {
		q.Out, q.OutCap = m.Realloc(q.Out, outStart), outStart
	}
	c.phase = phIdle
	h.mu.Lock()
	p.ended = true
	if p.open && p.gone { // the front gave up the rest
		p.last(hop.AppendReset(h.out, p.id))
	}
	last := h.dead || h.slots[p.id] != c // this Conn serves no other request
	if last {
		c.req = nil
	}
	h.mu.Unlock()
	if last {
		h.s.hopLend(q)
	}
	h.s.hopEnded()
}

// data appends a block to what is sent, or sends it from where it is. mu held.
func (h *hopConn) data(p *Hop, b []byte, end bool) {
	logged := end && p.logged
	if len(b) < hopDirect || h.full || h.dead {
		start := len(h.out)
		if h.out = hop.AppendData(h.out, p.id, b, end); logged {
			hop.SetLogged(h.out[start:])
		}
		if len(h.out)-h.off >= hopFlushAt {
			h.send()
		}
		return
	}
	var header [hop.HeaderSize]byte
	if hop.PutHeader(header[:], p.id, hop.TypeData, end, len(b)); logged {
		hop.SetLogged(header[:])
	}
	h.out = append(h.out, header[:]...)
	for {
		n, err := unix.SendmsgBuffers(h.fd, [][]byte{h.out[h.off:], b}, nil, nil, sendFlags)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			n = 0 // send learns why
		}
		if have := len(h.out) - h.off; n >= have {
			b = b[n-have:]
			h.out, h.off = h.out[:0], 0
		} else {
			h.off += n
		}
		break
	}
	if len(b) > 0 {
		h.out = append(h.out, b...)
		h.send()
	}
}

// send writes what is pending as far as the socket takes it. mu held.
func (h *hopConn) send() {
	for h.off < len(h.out) && !h.full && !h.dead {
		n, err := unix.SendmsgN(h.fd, h.out[h.off:], nil, nil, sendFlags)
		switch {
		case err == nil:
			h.off += n
		case errors.Is(err, unix.EAGAIN):
			if h.full = true; h.wait != nil {
				h.wait()
			}
		case !errors.Is(err, unix.EINTR):
			h.out, h.off = nil, 0 // the reader sees the end of the connection
			return
		}
	}
	if h.off == len(h.out) {
		if h.off = 0; cap(h.out) > 4*hopFlushAt {
			h.out = nil
		}
		h.out = h.out[:0]
		h.unpark()
	}
}

// unpark lets requests go on whose Queued(0) has left. mu held.
func (h *hopConn) unpark() {
	if list := h.park; len(list) > 0 {
		h.park = nil
		go func() { // it needs the lock
			for _, c := range list {
				h.s.hopAgain(c)
			}
		}()
	}
}

// flush is send for those without the lock.
func (h *hopConn) flush() {
	h.mu.Lock()
	h.send()
	h.mu.Unlock()
}

// writable says that the socket takes more again.
func (h *hopConn) writable() {
	h.mu.Lock()
	h.full = false
	h.send()
	h.mu.Unlock()
}

// goaway says that a successor takes new requests.
func (h *hopConn) goaway() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.away {
		h.away = true
		h.out = hop.AppendGoaway(h.out)
		h.send()
	}
}

// lost ends the streams of a connection whose front is gone. Nobody uses the
// descriptor when it returns: the caller closes it.
func (h *hopConn) lost() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.dead = true
	h.out, h.off = nil, 0
	h.unpark()
	for _, c := range h.slots {
		if c != nil && c.hop.open {
			c.hop.cancelled()
		}
	}
}

// giveBack returns the memory of requests to the source after the end of the
// connection; those that still run return theirs when they are finished.
func (h *hopConn) giveBack() {
	var list []*Req
	h.mu.Lock()
	for _, c := range h.slots {
		if c != nil && c.hop.ended && c.req != nil {
			list = append(list, c.req)
			c.req = nil
		}
	}
	h.mu.Unlock()
	for _, q := range list {
		h.s.hopLend(q)
	}
}
