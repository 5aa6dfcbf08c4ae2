//go:build linux || darwin || freebsd

// HTTP/2 (package http2 has the codec). The streams of a connection are
// connections of their own without a descriptor, which carry one request of
// HTTP/1.1 each: they pass a wire, as encrypted ones do, that reads and writes
// the codec. So everything above is the same as for any other request. This file
// has the stream, and what a connection is for any source; h2_linux.go has what
// the reactor does with them, h2_netconn.go the goroutines.
package listen

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"modwsgi/gocore/internal/http1"
	"modwsgi/gocore/internal/http2"
)

// h2Keep is the output buffer, in bytes, that a connection without streams keeps.
const h2Keep = 4 << 10

// drainGrace is how long a client may take to answer that it knows of the end
// of its connection.
const drainGrace = 2 * time.Second

// drainWait is how long a connection that is to end may have streams before its
// client is told in the midst of them.
const drainWait = time.Second

// discardMax is how much of a connection that has ended is read and thrown away, in bytes.
const discardMax = 512 << 10

// alpnH2 is HTTP/2 in the negotiation of TLS.
const alpnH2 = "h2"

// h2Conn is a connection that speaks HTTP/2.
type h2Conn struct {
	c         *Conn // whose socket it is
	wire      wire  // of the socket; nil: none
	codec     *http2.Conn
	limits    http1.Limits
	pre       []byte // received before it was known to be HTTP/2
	told      atomic.Bool
	late      atomic.Bool // the janitor found streams whose time is over
	count     int         // requests so far; the reader's
	linger    bool        // nothing more is sent; the reader's
	discarded int         // bytes received since
	memo      atomic.Pointer[http1.Memo]
	kick      func() // makes the reader look at the connection; any thread
	later     func() // sends at the end of the batch; the leader's
	stuck     func() // the socket takes no more now, send is held; nil: an event tells when it does

	send   sync.Mutex // of who sends
	out    []byte     // taken from the codec
	off    int        // so much of it is sent
	full   bool       // the socket did not take all
	wrote  uint64     // bytes that it took
	seen   uint64     // of them, when the time was over last
	closed bool

	// Of h2_netconn.go.
	sending bool        // a goroutine waits until the socket takes more; with send
	woken   atomic.Bool // kick was called
	paused  atomic.Bool // nothing is read while so much output waits

	mu      sync.Mutex
	streams map[*h2Stream]struct{}

	dirty  bool          // the leader's: it is in Reactor.h2dirty
	unseen int64         // the janitor's: since when the leader should have come; 0 it has
	events []http2.Event // the reader's
}

func newH2(c *Conn, pre []byte, kick, later func()) *h2Conn {
	s := c.Settings
	h := &h2Conn{c: c, wire: c.wire, pre: pre, kick: kick, later: later, limits: s.Limits, streams: map[*h2Stream]struct{}{}}
	h.limits.HTTP2 = true
	h.codec = http2.New(http2.Config{MaxStreams: s.H2Streams, Window: s.H2Window, Limits: s.Limits})
	return h
}

// startsH2 says whether input begins with the preface of HTTP/2; more: it may.
func startsH2(input []byte) (yes, more bool) {
	n := min(len(input), len(http2.Preface))
	if string(input[:n]) != http2.Preface[:n] {
		return false, false
	}
	return n == len(http2.Preface), n < len(http2.Preface)
}

// receive gives the codec what there is; 0 and errAgain: nothing. more: another
// read may bring something.
func (h *h2Conn) receive() (more bool, err error) {
	p := h.codec.Space()
	var n int
	switch w := h.wire; {
	case len(h.pre) > 0:
		n = copy(p, h.pre)
		h.pre = h.pre[n:]
		more = true
	case w != nil:
		if n, err = w.read(p); n == 0 && err == nil {
			return true, nil
		}
		more = true
	default:
		var e syscall.Errno
		n, e = sockRead(h.c.FD, p)
		switch {
		case e == syscall.EINTR:
			return true, nil
		case e == syscall.EAGAIN:
			err = errAgain
		case e != 0:
			err = e
		case n == 0:
			err = io.EOF
		}
		more = n == len(p) || h.c.hup.Load()
	}
	if n > 0 {
		return more, h.codec.Received(n)
	}
	return false, err
}

// flush sends what the codec has; what the socket does not take stays. Any
// thread. An error is the reader's to see as well.
func (h *h2Conn) flush() error {
	h.send.Lock()
	defer h.send.Unlock()
	h.full = false
	for !h.closed {
		if h.off == len(h.out) {
			if h.codec.Pending() == 0 {
				break
			}
			h.out, h.off = h.codec.Take(h.out[:0]), 0
		}
		n, err := h.transmit(h.out[h.off:])
		h.off += n
		h.wrote += uint64(n)
		h.codec.Sent(n)
		if err != nil {
			if errors.Is(err, errAgain) {
				h.blocked()
				return nil
			}
			h.closed = true
			h.out, h.off = nil, 0
			return err
		}
	}
	if w := h.wire; w != nil && !h.closed {
		if err := w.flush(); errors.Is(err, errAgain) {
			h.blocked()
		} else if err != nil {
			return err
		}
	}
	return nil
}

// blocked notes that the socket takes no more. send held.
func (h *h2Conn) blocked() {
	if h.full = true; h.stuck != nil {
		h.stuck()
	}
}

func (h *h2Conn) transmit(p []byte) (int, error) {
	if w := h.wire; w != nil {
		if err := w.flush(); err != nil {
			return 0, err
		}
		return w.write(p[:min(len(p), wireAtOnce)])
	}
	for {
		switch n, e := sockSend(h.c.FD, p); e {
		case 0:
			return n, nil
		case syscall.EAGAIN:
			return 0, errAgain
		case syscall.EINTR:
		default:
			return 0, e
		}
	}
}

// push is flush by somebody who is not the reader: streams that may go on
// because room came are the reader's to tell.
func (h *h2Conn) push() {
	if h.flush() != nil || h.codec.News() || h.paused.Load() && !h.codec.Full() {
		h.kick()
	}
}

// quiet gives memory back when no stream is open.
func (h *h2Conn) quiet() {
	h.codec.Quiet()
	h.send.Lock()
	if h.off == len(h.out) && cap(h.out) > h2Keep {
		h.out, h.off = nil, 0
	}
	h.send.Unlock()
}

// drain tells the client that its connection ends, in a moment without streams
// if there is one soon: widespread clients give up what they wait for when they
// hear it, although they should not.
func (h *h2Conn) drain(now int64) {
	c := h.c
	switch {
	case h.codec.Streams() == 0 || c.expired.Load():
		h.told.Store(true)
		h.codec.Shutdown(false)
		c.expired.Store(false)
		c.arm(now, drainGrace)
	case c.deadline.Load() == 0:
		c.arm(now, drainWait)
	}
}

// over looks at a connection of which nothing is left to read; true: it ends.
func (h *h2Conn) over(draining bool, now int64) bool {
	c := h.c
	if h.codec.Streams() > 0 {
		// A stream was opened just when the time was over, or takes longer than a client has that was told to go.
		if c.expired.Swap(false) && (!draining || h.told.Load()) {
			c.deadline.Store(0)
		}
		return false
	}
	if c.expired.Load() && !h.lags(now) { // for the first stream, the next one, or an answer to GOAWAY
		h.codec.Shutdown(true)
	}
	if h.codec.Leaving() {
		return true
	}
	h.quiet()
	return false
}

// lags: the end of a response still waits for a client that reads slowly. It
// has Timeout to take some of it.
func (h *h2Conn) lags(now int64) bool {
	h.send.Lock()
	yes := h.full && !h.closed && h.wrote != h.seen
	h.seen = h.wrote
	h.send.Unlock()
	if yes {
		h.c.expired.Store(false)
		h.c.arm(now, max(h.c.Settings.IO, h.c.Settings.KeepAlive))
	}
	return yes
}

// shut ends the use of the socket: it is about to be closed.
func (h *h2Conn) shut() {
	h.send.Lock()
	h.closed = true
	h.out, h.off = nil, 0
	h.send.Unlock()
	h.codec.Close()
}

// h2Stream is the wire of a stream.
type h2Stream struct {
	c    *Conn // the stream's
	h    *h2Conn
	s    *http2.Stream
	held bool // the leader has it: what is written leaves with its batch
	gone atomic.Bool
	over chan struct{} // closed when gone is set; nil on the reactor

	mu     sync.Mutex
	rd, wr chan struct{} // made by who waits
}

// open makes a connection of a stream; nil: nobody waits for it any more. The reader's.
func (h *h2Conn) open(e *http2.Event, draining bool) *Conn {
	if e.What&http2.Gone != 0 {
		e.Stream.Release()
		return nil
	}
	of := h.c
	if !draining {
		of.deadline.Store(0)
	}
	c := &Conn{FD: -1, ID: of.ID, Local: of.Local, Remote: of.Remote, Settings: of.Settings, User: of.User, Secure: of.Secure, SecureNote: of.SecureNote,
		Requests: h.count, limits: &h.limits, memo: h.memo.Load(), home: of.home, drained: true}
	h.count++
	c.h2s = &h2Stream{c: c, h: h, s: e.Stream}
	c.connect(c.h2s)
	e.Stream.User = c
	return c
}

// received gives the request of a stream its head.
func (w *h2Stream) received(m *Memory) {
	head := w.s.Head()
	q := w.c.req
	m.grow(q, uint64(len(head)))
	q.InLen = uint64(copy(q.inBuf(), head))
}

// end ends an owned stream; last: its connection has no other now.
func (w *h2Stream) end(now int64) (last bool) {
	h, q := w.h, w.c.req
	w.s.End(q == nil || q.Aborted != 0)
	w.s.Release()
	if last = h.codec.Streams() == 0; last {
		d := h.c.Settings.KeepAlive
		if h.told.Load() {
			d = drainGrace
		}
		h.c.arm(now, d)
	}
	return last
}

// signal wakes those who wait for the stream.
func (w *h2Stream) signal(what http2.Flags) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if what&(http2.Readable|http2.Gone) != 0 && w.rd != nil {
		select {
		case w.rd <- struct{}{}:
		default:
		}
	}
	if what&(http2.Writable|http2.Gone) != 0 && w.wr != nil {
		select {
		case w.wr <- struct{}{}:
		default:
		}
	}
}

// signals is the channel of one direction.
func (w *h2Stream) signals(writing bool) chan struct{} {
	w.mu.Lock()
	defer w.mu.Unlock()
	ch := &w.rd
	if writing {
		ch = &w.wr
	}
	if *ch == nil {
		*ch = make(chan struct{}, 1)
	}
	return *ch
}

// The methods of wire.

func (w *h2Stream) read(p []byte) (int, error) {
	n, err := w.s.Read(p)
	if w.h.codec.Pending() > 0 { // windows
		_ = w.flush()
	}
	switch {
	case n > 0:
		return n, nil
	case errors.Is(err, http2.ErrAgain):
		if w.c.expired.Load() {
			return 0, io.EOF
		}
		return 0, errAgain
	case errors.Is(err, http2.ErrGone):
		return 0, syscall.ECONNRESET
	}
	return n, err
}

func (w *h2Stream) write(p []byte) (int, error) {
	n, err := w.s.Write(p)
	if err != nil {
		return n, syscall.EPIPE
	}
	if n == 0 && len(p) > 0 {
		return 0, errAgain
	}
	return n, nil
}

func (w *h2Stream) flush() error {
	if w.held {
		w.h.later()
	} else {
		w.h.push()
	}
	return nil
}

func (w *h2Stream) wait(writing bool, timeout time.Duration) error {
	_ = w.flush()
	ch := w.signals(writing)
	if w.s.Ready(writing) {
		return nil
	}
	if timeout < 0 {
		<-ch
		return nil
	}
	t := time.NewTimer(timeout)
	defer t.Stop()
	select {
	case <-ch:
		return nil
	case <-t.C:
		return os.ErrDeadlineExceeded
	}
}

func (w *h2Stream) event() {}
func (w *h2Stream) bye()   {}

// h2Socket is a stream as a net.Conn, for goroutines.
type h2Socket struct {
	w        *h2Stream
	rd, wr   h2Deadline
	finished atomic.Bool
}

// h2Deadline is a deadline that may be moved while somebody waits for it.
type h2Deadline struct {
	mu    sync.Mutex
	at    time.Time
	moved chan struct{}
}

func (d *h2Deadline) set(t time.Time) {
	d.mu.Lock()
	d.at = t
	if d.moved != nil {
		close(d.moved)
		d.moved = nil
	}
	d.mu.Unlock()
}

func (d *h2Deadline) get() (time.Time, <-chan struct{}) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.moved == nil {
		d.moved = make(chan struct{})
	}
	return d.at, d.moved
}

// pass waits for the stream or the deadline.
func (x *h2Socket) pass(writing bool, d *h2Deadline) error {
	x.w.h.push()
	ch := x.w.signals(writing)
	at, moved := d.get()
	if x.w.s.Ready(writing) {
		return nil
	}
	var over <-chan time.Time
	if !at.IsZero() {
		t := time.NewTimer(time.Until(at))
		defer t.Stop()
		over = t.C
	}
	select {
	case <-ch:
	case <-moved:
	case <-over:
		return os.ErrDeadlineExceeded
	}
	return nil
}

// await waits until the response can go on.
func (x *h2Socket) await() error { return x.pass(true, &x.wr) }

func (x *h2Socket) Read(p []byte) (int, error) {
	for {
		if at, _ := x.rd.get(); !at.IsZero() && !time.Now().Before(at) {
			return 0, os.ErrDeadlineExceeded
		}
		n, err := x.w.read(p)
		if !errors.Is(err, errAgain) || n > 0 || len(p) == 0 {
			return n, err
		}
		if err := x.pass(false, &x.rd); err != nil {
			return 0, err
		}
	}
}

func (x *h2Socket) Write(p []byte) (n int, err error) {
	for n < len(p) {
		k, err := x.w.write(p[n:])
		n += k
		if errors.Is(err, errAgain) {
			err = x.pass(true, &x.wr)
		}
		if err != nil {
			return n, err
		}
	}
	x.w.h.push()
	return n, nil
}

// Close ends the response. What was not complete is broken off.
func (x *h2Socket) Close() error {
	if !x.finished.Swap(true) {
		x.w.s.End(false)
		x.w.h.push()
	}
	return nil
}

func (x *h2Socket) CloseWrite() error    { return x.Close() }
func (x *h2Socket) LocalAddr() net.Addr  { return net.TCPAddrFromAddrPort(x.w.c.Local) }
func (x *h2Socket) RemoteAddr() net.Addr { return net.TCPAddrFromAddrPort(x.w.c.Remote) }
func (x *h2Socket) SetDeadline(t time.Time) error {
	x.rd.set(t)
	x.wr.set(t)
	return nil
}
func (x *h2Socket) SetReadDeadline(t time.Time) error  { x.rd.set(t); return nil }
func (x *h2Socket) SetWriteDeadline(t time.Time) error { x.wr.set(t); return nil }

// holdStream says whether what is written to a stream may wait for the end of the
// leader's batch. By its owner.
func (c *Conn) holdStream(yes bool) {
	if c.h2s != nil {
		c.h2s.held = yes
	}
}

// HTTP2 is the number of the stream that the connection stands for; 0: it is none.
func (c *Conn) HTTP2() uint32 {
	if c.h2s != nil {
		return c.h2s.s.ID
	}
	return c.h2id
}

// headLimits are what the head of a request is held to.
func (c *Conn) headLimits() *http1.Limits {
	if c.limits != nil {
		return c.limits
	}
	return &c.Settings.Limits
}

// isH2Head: the text is the head of a request of HTTP/2, which another process received.
func isH2Head(text []byte) bool {
	line, _, _ := bytes.Cut(text, []byte("\r\n"))
	return bytes.HasSuffix(line, []byte(" HTTP/2.0"))
}

// splice copies both ways between the client and another process, and closes inner.
func (w *h2Stream) splice(inner net.Conn) {
	defer inner.Close()
	x := &h2Socket{w: w}
	up := make(chan struct{})
	go func() {
		defer close(up)
		_, _ = io.Copy(inner, x)
		if half, ok := inner.(*net.UnixConn); ok {
			_ = half.CloseWrite()
		}
	}()
	if _, err := io.Copy(&patient{x, w.c.Settings.IO}, inner); err == nil {
		_ = x.Close()
	}
	_ = x.SetReadDeadline(time.Unix(1, 0))
	_ = inner.SetDeadline(time.Unix(1, 0))
	<-up
}
