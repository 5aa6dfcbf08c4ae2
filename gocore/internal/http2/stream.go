// A stream and what its user does with it: read the request's body, write the
// response, give it up. The states of RFC 9113 section 5.1 are two flags,
// remoteEnd and localEnd, and whether it is still in Conn.streams:
//
//	state               | remoteEnd, localEnd | left by
//	open                | no, no              | END_STREAM of either side, RST_STREAM
//	half-closed, remote | yes, no             | the end of the response, RST_STREAM
//	half-closed, local  | no, yes             | at once: RST_STREAM(NO_ERROR), the rest of the body is not wanted
//	closed              |                     | released by its user: the structure serves another one
package http2

import (
	"errors"
	"io"
	"strconv"
)

// Errors of Read and Write.
var (
	ErrAgain = errors.New("http2: nothing there yet") // Readable tells
	ErrGone  = errors.New("http2: the stream is over")
)

// Stream is one request and its response. Its user has it from Opened until Release.
type Stream struct {
	c    *Conn
	ID   uint32
	User any // the user's own

	head     []byte
	refusal  int
	isHead   bool
	chunked  bool  // the body is given in chunks
	length   int64 // Content-Length; -1 unknown
	received int64 // bytes of the body

	what             Flags
	listed           bool
	released, closed bool
	remoteEnd        bool
	localEnd         bool

	// Body.
	in       []byte
	off      int   // so much of in was read
	owed     int64 // window to give back
	inWindow int64
	large    bool   // counted in Conn.grown
	pend     []byte // framing that comes before more of in
	pendBuf  [20]byte
	left     int // of the present chunk
	last     bool

	// Response.
	window int64
	wants  bool // Write took less than it was given
	queued bool // in Conn.waiting
	t      translator
}

// newStream opens a stream. mu held.
func (c *Conn) newStream(id uint32) *Stream {
	var s *Stream
	if n := len(c.free); n > 0 {
		s = c.free[n-1]
		c.free = c.free[:n-1]
		in, buf := s.in[:0], s.t.buf[:0]
		*s = Stream{in: in}
		s.t.buf = buf
	} else {
		s = &Stream{}
	}
	s.c, s.ID, s.length, s.inWindow, s.window = c, id, -1, int64(c.cfg.Window), c.initial
	c.streams[id] = s
	c.open++
	c.used++
	return s
}

// Head is the request as the head of an HTTP/1.1 message with the version
// HTTP/2.0, valid until the next Conn.Received.
func (s *Stream) Head() []byte { return s.head }

// Refusal is the status for a request whose fields are too long, 0 otherwise.
func (s *Stream) Refusal() int { return s.refusal }

// remember notes a stream that is over. mu held.
func (c *Conn) remember(id uint32, reset bool) {
	c.closed[c.nclosed%closedKept] = closedStream{id, reset}
	c.nclosed++
}

// wasReset: frames of the client for it may have crossed with our RST_STREAM. mu held.
func (c *Conn) wasReset(id uint32) bool {
	for i := range c.closed {
		if c.closed[i].id == id {
			return c.closed[i].reset
		}
	}
	return false
}

func (c *Conn) wasClosed(id uint32) bool {
	for i := range c.closed {
		if c.closed[i].id == id {
			return true
		}
	}
	return false
}

// over takes a stream out of the connection. mu held.
func (c *Conn) over(s *Stream, reset bool) {
	if s.closed {
		return
	}
	s.closed = true
	s.localEnd, s.remoteEnd = true, true
	delete(c.streams, s.ID)
	c.open--
	c.remember(s.ID, reset)
	if s.large {
		s.large = false
		c.grown--
	}
	if c.lastData == s {
		c.lastData = nil
	}
	c.recycle(s)
	c.wake() // it may have been its turn
}

// recycle keeps the structure of a stream that nobody has any more. mu held.
func (c *Conn) recycle(s *Stream) {
	if !s.closed || !s.released || s.listed || s.queued || len(c.free) >= 32 {
		return
	}
	if s.in, s.off = s.in[:0], 0; cap(s.in) > readSize {
		s.in = nil
	}
	if cap(s.t.buf) > 4<<10 {
		s.t.buf = nil
	}
	s.User, s.head = nil, nil
	c.free = append(c.free, s)
}

// reset ends a stream with RST_STREAM. mu held.
func (c *Conn) reset(s *Stream, code Code) {
	if s.closed {
		return
	}
	c.out = appendRST(c.out, s.ID, code)
	c.over(s, true)
	c.note(s, Gone)
}

// remoteEnd: the client sends no more. mu held.
func (c *Conn) remoteEnd(s *Stream) {
	s.remoteEnd = true
}

// Release ends the use of a stream. One that is not finished is reset.
func (s *Stream) Release() {
	c := s.c
	c.mu.Lock()
	defer c.mu.Unlock()
	if s.released {
		return
	}
	if !s.closed {
		code := InternalError
		if s.refusal == 0 && s.t.state == tEnded {
			code = NoError
		}
		c.reset(s, code)
	}
	s.released = true
	s.what = 0
	c.used--
	c.recycle(s)
}

// Reset ends a stream with a code.
func (s *Stream) Reset(code Code) {
	s.c.mu.Lock()
	s.c.reset(s, code)
	s.c.mu.Unlock()
}

// Closed reports whether the client has given the stream up, or its connection is gone.
func (s *Stream) Closed() bool {
	s.c.mu.Lock()
	defer s.c.mu.Unlock()
	return s.closed && s.t.state != tEnded
}

// Ready reports whether Read (or Write) would do more than ask to wait.
func (s *Stream) Ready(writing bool) bool {
	s.c.mu.Lock()
	defer s.c.mu.Unlock()
	if writing {
		return !s.wants || s.closed
	}
	return len(s.pend) > 0 || s.off < len(s.in) || s.remoteEnd || s.closed
}

// Read gives the request's body with the framing that Head announces. ErrAgain:
// more comes; io.EOF: it is complete; ErrGone: it does not come.
func (s *Stream) Read(p []byte) (n int, err error) {
	c := s.c
	c.mu.Lock()
	defer c.mu.Unlock()
	for n < len(p) {
		switch {
		case len(s.pend) > 0:
			k := copy(p[n:], s.pend)
			s.pend = s.pend[k:]
			n += k
		case s.off < len(s.in) && (!s.chunked || s.left > 0):
			k := len(s.in) - s.off
			if s.chunked {
				k = min(k, s.left)
			}
			k = copy(p[n:], s.in[s.off:s.off+k])
			s.off += k
			n += k
			s.owed += int64(k)
			if s.off == len(s.in) {
				if s.in, s.off = s.in[:0], 0; cap(s.in) > 4*readSize {
					s.in = nil
				}
			}
			if s.chunked {
				if s.left -= k; s.left == 0 {
					s.pend = append(s.pendBuf[:0], '\r', '\n')
				}
			}
		case s.off < len(s.in):
			s.left = len(s.in) - s.off
			s.pend = append(strconv.AppendInt(s.pendBuf[:0], int64(s.left), 16), '\r', '\n')
		case s.remoteEnd && s.chunked && !s.last && !s.closed:
			s.last = true
			s.pend = append(s.pendBuf[:0], "0\r\n\r\n"...)
		default:
			c.giveBack(s)
			switch {
			case n > 0:
				return n, nil
			case s.closed && !s.complete():
				return 0, ErrGone
			case s.remoteEnd:
				return 0, io.EOF
			}
			return 0, ErrAgain
		}
	}
	c.giveBack(s)
	return n, nil
}

// complete: the whole body was received and read.
func (s *Stream) complete() bool {
	return s.last || !s.chunked && s.length >= 0 && s.received == s.length
}

// giveBack lets the client send as much as was read. A body that is larger than
// its window, and is being read, gets a larger one: with a distant client the
// window is what bounds the speed. mu held.
func (c *Conn) giveBack(s *Stream) {
	if s.remoteEnd || s.owed == 0 || s.owed < int64(c.cfg.Window)/2 && s.inWindow > 0 {
		return
	}
	if s.length >= 0 && s.length-s.received <= s.inWindow && s.inWindow >= int64(c.cfg.Window)/2 { // it holds all that comes, unless padded
		return
	}
	if !s.large && c.grown < maxGrown && c.cfg.Window < growWindow {
		s.large = true
		c.grown++
		s.owed += growWindow - int64(c.cfg.Window)
	}
	c.out = appendWindow(c.out, s.ID, int(s.owed))
	s.inWindow += s.owed
	s.owed = 0
}
