// Streams: responses that a goroutine writes instead of a thread of the
// source, because it has to wait for something else than Python (a CGI
// program, another server) or because the response is too long to hold.
//
// Route answers with the action Streamed and sets Conn.Stream. The source
// gives the connection, still owned, to a goroutine that calls it, and takes it
// back when it returns: what was received beyond the request stays for the
// next one. The goroutine waits in Go's own poller, not in a thread.
package listen

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"modwsgi/gocore/internal/http1"
)

// Errors of a stream's body.
var (
	ErrBodyTooLarge = errors.New("request body is larger than LimitRequestBody")
	ErrBodyTimeout  = errors.New("request body came too slowly")
	ErrBodyFraming  = errors.New("malformed chunked request body")
)

// Stream is a connection during one such response. Body and the writing
// methods may be used by two goroutines at the same time, each by one.
type Stream struct {
	c        *Conn
	q        *Req
	conn     net.Conn
	ctx      context.Context
	cancel   context.CancelFunc
	hijacked bool
	ran      bool // an application ran before: an error document
	body     streamBody
	turn     sync.Mutex // of who writes first:
	began    bool       // the response; an interim one would be in the middle of it
}

// newStream takes over an owned connection; conn reads and writes its socket.
func newStream(ctx context.Context, c *Conn, conn net.Conn) *Stream {
	s := &Stream{c: c, q: c.req, conn: conn}
	s.ctx, s.cancel = context.WithCancel(ctx)
	q := s.q
	b := &s.body
	b.s = s
	if s.ran = c.action == Run; s.ran { // the body was somebody else's
		b.done = true
		return s
	}
	b.in = q.Input()[q.BodyOff:]
	b.first = int64(len(b.in))
	switch {
	case q.Head.Flags&http1.FlagChunked != 0:
		b.chunked = true
	case q.Head.Flags&http1.FlagContentLength != 0:
		b.left = q.Head.ContentLength
	}
	b.done = !b.chunked && b.left == 0
	b.now = !b.done && q.Head.Flags&http1.FlagExpectContinue == 0
	return s
}

// Context ends when a write failed, when the source stops, and when the client
// reset its connection.
func (s *Stream) Context() context.Context { return s.ctx }

// Write sends bytes as they are, within the connection's time-out.
func (s *Stream) Write(p []byte) (int, error) {
	s.turn.Lock()
	s.began = true
	s.turn.Unlock()
	return s.write(p)
}

func (s *Stream) write(p []byte) (int, error) {
	if d := s.c.Settings.IO; d > 0 {
		s.conn.SetWriteDeadline(time.Now().Add(d))
	}
	n, err := s.conn.Write(p)
	s.q.sent(uint64(n))
	if err != nil {
		s.q.Aborted = 1
		s.cancel()
	}
	return n, err
}

// Hijack gives the connection away together with the bytes that were received
// after the request's head. Nothing else of the stream may be used afterwards.
func (s *Stream) Hijack() (net.Conn, []byte) {
	s.hijacked = true
	s.conn.SetDeadline(time.Time{})
	rest := append([]byte(nil), s.body.in...)
	s.body.in = nil
	return s.conn, rest
}

// Body is the request's body without its framing.
func (s *Stream) Body() io.Reader { return &s.body }

// BodyPending tells whether bytes of the body may still be on their way: a
// response that begins now has to say that it closes the connection.
func (s *Stream) BodyPending() bool {
	b := &s.body
	if !b.mu.TryLock() {
		return true // somebody waits for them
	}
	defer b.mu.Unlock()
	return !b.done && (b.chunked || int64(len(b.in)) < b.left)
}

// end prepares the connection for the source to go on with it.
func (s *Stream) end(mem *Memory) {
	q, c, b := s.q, s.c, &s.body
	if s.hijacked {
		q.KeepAlive, c.unread, c.eof = 0, false, false
		c.bodyEnd = q.BodyOff
		return
	}
	if s.ran {
		if c.bodyEnd == 0 {
			q.KeepAlive, c.unread = 0, true
		}
		return
	}
	b.over.Store(true)
	if !b.mu.TryLock() { // the handler left a goroutine behind that reads
		s.conn.SetReadDeadline(time.Unix(1, 0))
		b.mu.Lock()
	}
	defer func() { // a reader that the handler left behind finds nothing
		b.in, b.err = nil, net.ErrClosed
		b.mu.Unlock()
	}()
	if !b.done && !b.chunked && b.err == nil && int64(len(b.in)) >= b.left { // the rest is here: skip it
		b.in, b.done = b.in[b.left:], true
	}
	if !b.done || b.err != nil {
		q.KeepAlive, c.unread = 0, true
		return
	}
	// What follows the body is the next request.
	rest := b.in
	c.streamed += b.first - int64(len(rest))
	if need := q.BodyOff + uint64(len(rest)); need > q.InCap {
		q.In, q.InCap = mem.Realloc(q.In, uintptr(need)), need
	}
	in := q.inBuf()
	c.bodyEnd = q.BodyOff
	q.InLen = q.BodyOff + uint64(copy(in[q.BodyOff:], rest))
}

// streamBody decodes the body from the bytes in the buffer, then the socket.
type streamBody struct {
	s       *Stream
	mu      sync.Mutex // the handler may leave a goroutine behind that reads
	in      []byte     // received and not decoded yet; part of the request's buffer at first
	buf     []byte     // what in points to later
	first   int64      // bytes that were in the request's buffer
	left    int64      // Content-Length
	chunked bool
	now     bool // the client sends without waiting for 100 (Continue)
	done    bool
	err     error
	over    atomic.Bool // the response is finished
	read    int64       // decoded bytes
	dec     http1.ChunkDecoder
	until   time.Time // RequestReadTimeout; zero before the first Read from the socket
	last    time.Time // latest value of until; zero: no limit
}

// Read implements io.Reader.
func (b *streamBody) Read(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(p) == 0 {
		return 0, b.err
	}
	for b.err == nil && !b.done {
		n := b.decode(p)
		if n > 0 {
			b.read += int64(n)
			if max := b.s.q.BodyLimit; max > 0 && b.read > max {
				b.err = ErrBodyTooLarge
				break
			}
			return n, nil
		}
		if b.err == nil && !b.done {
			b.receive()
		}
	}
	if b.err != nil {
		return 0, b.err
	}
	return 0, io.EOF
}

// decode moves bytes of the body from in to p; 0: more must be received, or
// the end or an error was found.
func (b *streamBody) decode(p []byte) int {
	if !b.chunked {
		n := copy(p[:min(int64(len(p)), b.left)], b.in)
		b.in = b.in[n:]
		b.left -= int64(n)
		b.done = b.left == 0 && n == 0
		return n
	}
	for len(b.in) > 0 {
		used, n, done, err := b.dec.Decode(b.in, p)
		b.in = b.in[used:]
		b.done = done
		switch {
		case err != nil:
			b.err = ErrBodyFraming
			return 0
		case n > 0 || done:
			return n
		case used == 0:
			return 0
		}
	}
	return 0
}

// receive waits for more of the body.
func (b *streamBody) receive() {
	s := b.s
	set := s.c.Settings
	if !b.now && !s.c.continued {
		s.c.continued = true
		if b.err = s.invite(); b.err != nil {
			return
		}
	}
	if b.buf == nil {
		b.buf = make([]byte, inStart)
	}
	room := b.buf
	if !b.chunked && b.left < int64(len(room)) {
		room = room[:b.left] // never into the next request
	}
	if b.until.IsZero() { // its time begins when the client first lets us wait
		if n := tryRead(s.conn, room); n > 0 {
			b.in = room[:n]
			s.c.streamed += int64(n)
			return
		}
	}
	now := time.Now()
	if b.until.IsZero() && set.Body > 0 {
		b.until = now.Add(set.Body)
		if set.BodyMax > 0 {
			b.last = now.Add(set.BodyMax)
		}
	}
	end := b.until
	if set.IO > 0 && (end.IsZero() || now.Add(set.IO).Before(end)) {
		end = now.Add(set.IO)
	}
	s.conn.SetReadDeadline(end)
	n, err := s.conn.Read(room)
	for n == 0 && errors.Is(err, os.ErrDeadlineExceeded) && !b.over.Load() && (end.IsZero() || time.Now().Before(end)) {
		s.conn.SetReadDeadline(end) // somebody else had set it, to wake those who wait for a request
		n, err = s.conn.Read(room)
	}
	b.in = room[:n]
	s.c.streamed += int64(n)
	switch {
	case n > 0:
		if set.BodyRate > 0 && !b.until.IsZero() { // bytes earn time
			b.until = b.until.Add(time.Duration(n) * time.Second / time.Duration(set.BodyRate))
			if !b.last.IsZero() && b.until.After(b.last) {
				b.until = b.last
			}
		}
	case errors.Is(err, os.ErrDeadlineExceeded):
		b.err = ErrBodyTimeout
	case errors.Is(err, io.EOF):
		b.err = io.ErrUnexpectedEOF
	case err != nil:
		b.err = err
	}
}

// invite lets the client send its body, unless the response has begun.
func (s *Stream) invite() (err error) {
	s.turn.Lock()
	defer s.turn.Unlock()
	if !s.began {
		_, err = s.write([]byte(interim))
	}
	return err
}

// Consumed tells that the request's body was somebody else's before.
func (s *Stream) Consumed() bool { return s.ran }

// tryRead reads what is there, without waiting; 0: nothing is, or the end.
func tryRead(conn net.Conn, p []byte) (n int) {
	sc, ok := conn.(syscall.Conn)
	if !ok {
		return 0
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return 0
	}
	_ = raw.Read(func(fd uintptr) bool {
		n, err = syscall.Read(int(fd), p)
		return true
	})
	if err != nil {
		return 0
	}
	return n
}
