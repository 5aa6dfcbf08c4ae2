// Package http2 is the server's half of HTTP/2 (RFC 9113, HPACK of RFC 7541) as
// a codec: bytes go in, events and bytes come out. It does no I/O, starts no
// goroutine and reads no clock but for the budgets of limits.go.
//
// A stream looks to its user like a connection of HTTP/1.1 with one request:
// its head is text (version HTTP/2.0, see http1.ParseHTTP2), its body comes with
// the framing of HTTP/1.1 (Content-Length, or chunks), and what is written is an
// HTTP/1.1 response, which translate.go turns into frames.
//
//	file         | has
//	http2.go     | Conn, its settings, errors, events
//	receive.go   | frames that come, one by one
//	header.go    | header blocks: the head of a request, checked
//	stream.go    | a stream: its states, its body
//	translate.go | an HTTP/1.1 response becomes HEADERS and DATA
//	send.go      | flow control, what waits to be sent
//	encode.go    | HPACK for responses
//	limits.go    | what bounds the work and memory that a client can cause
//
// One mutex per connection guards everything. Space and Received are for one
// thread at a time, the reader's; all else may be called by any thread.
package http2

import (
	"fmt"
	"sync"
	"time"

	"golang.org/x/net/http2/hpack"

	"modwsgi/gocore/internal/http1"
)

// Preface is what a client sends first (RFC 9113 section 3.4).
const Preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

// Sizes, in bytes unless they say otherwise.
const (
	frameHeader   = 9
	maxFrame      = 16384   // of a frame's payload that we take: what the RFC begins with
	defaultWindow = 65535   // the same
	connWindow    = 2 << 20 // of a connection: bodies of all streams that are on their way
	growWindow    = 1 << 20 // of a stream whose body is larger than its first window and is being read
	maxGrown      = 4       // streams with such a window
	maxWindow     = 1<<31 - 1
	outMax        = 128 << 10 // of output that waits for the socket: streams wait then
	hpackTable    = 4096      // of either direction
	readSize      = 32 << 10
	quietSize     = 4 << 10 // of output buffers that a quiet connection keeps
)

// Frame types and flags, RFC 9113 section 6.
const (
	frameData         = 0
	frameHeaders      = 1
	framePriority     = 2
	frameRST          = 3
	frameSettings     = 4
	framePush         = 5
	framePing         = 6
	frameGoaway       = 7
	frameWindow       = 8
	frameContinuation = 9

	flagEndStream  = 1
	flagAck        = 1
	flagEndHeaders = 4
	flagPadded     = 8
	flagPriority   = 32
)

// Code is an error code of RFC 9113 section 7.
type Code uint32

// The codes.
const (
	NoError            Code = 0
	ProtocolError      Code = 1
	InternalError      Code = 2
	FlowControlError   Code = 3
	StreamClosed       Code = 5
	FrameSizeError     Code = 6
	RefusedStream      Code = 7
	Cancel             Code = 8
	CompressionError   Code = 9
	EnhanceYourCalm    Code = 11
	InadequateSecurity Code = 12
	HTTP11Required     Code = 13
)

// Error is why a connection ends. A GOAWAY with its code is in the output.
type Error struct {
	Code Code
	Why  string
}

func (e *Error) Error() string { return fmt.Sprintf("http2: %s (code %d)", e.Why, e.Code) }

// Config is what a connection is held to.
type Config struct {
	MaxStreams int          // SETTINGS_MAX_CONCURRENT_STREAMS; 0: 100
	Window     int          // SETTINGS_INITIAL_WINDOW_SIZE: of a request's body that may be unread; 0: 65535
	Limits     http1.Limits // of a request's head
	Now        func() time.Time
}

// Flags say what happened to a stream.
type Flags uint8

// The flags of an Event.
const (
	Opened   Flags = 1 << iota // a request: Head, or Refusal
	Readable                   // Read has news
	Writable                   // Write, which took less than it was given, takes more
	Gone                       // the client has given the stream up, or broke the rules: nothing more to read or write
)

// Event is news of a stream.
type Event struct {
	Stream *Stream
	What   Flags
	User   any // Stream.User
}

// Conn is one connection.
type Conn struct {
	mu  sync.Mutex
	cfg Config

	// The reader's.
	buf     []byte // what Space gave; nil while nothing is there
	have    int
	greeted int // bytes of the preface seen
	settled bool
	dec     *hpack.Decoder
	block   []byte // of a header block in several frames
	blockID uint32 // its stream; 0 none
	blockFl byte   // flags of its HEADERS
	blockN  int    // its CONTINUATION frames
	head    heading
	heads   []byte // texts of the heads of one Received
	failed  *Error

	// Streams.
	streams  map[uint32]*Stream
	free     []*Stream
	lastID   uint32 // highest that the client opened
	used     int    // streams with a user: opened and not released
	open     int    // streams that count for the client's limit
	grown    int    // streams with a large window
	closed   [closedKept]closedStream
	nclosed  int
	events   []*Stream
	inWindow int64 // that the client has for all bodies together

	// Output.
	out       []byte
	taken     int // bytes that Take gave and Sent has not counted
	window    int64
	frameMax  int   // of what we send
	initial   int64 // window of a new stream
	waiting   []*Stream
	lastData  *Stream // whose DATA frame ends out
	lastAt    int     // where it begins
	lastEnd   int     // where it ended: nothing of it may be changed but the flags if more follows
	enc       encoder
	going     goaway
	goingLast uint32 // streams above are not served
	served    uint64 // complete responses
	guard     limits
}

// goaway is how far the end of a connection is.
type goaway uint8

const (
	staying   goaway = iota
	announced        // GOAWAY with the highest number: those on their way are served
	leaving          // GOAWAY with the last one
)

// closedKept is how many closed streams are remembered, to tell a late frame
// from one that breaks the rules.
const closedKept = 128

type closedStream struct {
	id    uint32
	reset bool // by us: frames may be on their way
}

// New makes a connection whose client is expected to send the preface.
func New(cfg Config) *Conn {
	if cfg.MaxStreams <= 0 {
		cfg.MaxStreams = 100
	}
	if cfg.Window <= 0 {
		cfg.Window = defaultWindow
	}
	cfg.Window = min(cfg.Window, maxWindow)
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	c := &Conn{cfg: cfg, streams: map[uint32]*Stream{}, window: defaultWindow, frameMax: maxFrame, initial: defaultWindow, inWindow: connWindow}
	c.dec = hpack.NewDecoder(hpackTable, c.field)
	c.enc.max, c.enc.limit = hpackTable, hpackTable
	c.guard.init(&c.cfg)
	c.out = append(c.out, 0, 0, 18, frameSettings, 0, 0, 0, 0, 0)
	c.out = appendSetting(c.out, 3, uint32(cfg.MaxStreams))
	c.out = appendSetting(c.out, 4, uint32(cfg.Window))
	c.out = appendSetting(c.out, 6, uint32(c.headerList()))
	c.out = appendWindow(c.out, 0, connWindow-defaultWindow)
	return c
}

// headerList is how long a list of header fields may be, by the measure of RFC
// 9113 section 10.5.1: what the limits of HTTP/1.1 allow together, up to a bound
// that is far above what clients send.
func (c *Conn) headerList() int {
	const bound = 64 << 10
	l := c.cfg.Limits
	if l.Line <= 0 {
		l.Line = http1.DefaultLimits.Line
	}
	if l.FieldSize <= 0 {
		l.FieldSize = http1.DefaultLimits.FieldSize
	}
	if l.Fields <= 0 || l.Fields > http1.MaxFields {
		l.Fields = http1.MaxFields
	}
	return min(l.Line+l.Fields*min(l.FieldSize, bound)+32*(l.Fields+4), bound)
}

func appendSetting(b []byte, id uint16, v uint32) []byte {
	return append(b, byte(id>>8), byte(id), byte(v>>24), byte(v>>16), byte(v>>8), byte(v))
}

func appendFrame(b []byte, n int, kind, flags byte, id uint32) []byte {
	return append(b, byte(n>>16), byte(n>>8), byte(n), kind, flags, byte(id>>24), byte(id>>16), byte(id>>8), byte(id))
}

func appendWindow(b []byte, id uint32, n int) []byte {
	b = appendFrame(b, 4, frameWindow, 0, id)
	return append(b, byte(n>>24), byte(n>>16), byte(n>>8), byte(n))
}

func appendRST(b []byte, id uint32, code Code) []byte {
	b = appendFrame(b, 4, frameRST, 0, id)
	return append(b, byte(code>>24), byte(code>>16), byte(code>>8), byte(code))
}

func (c *Conn) goawayFrame(last uint32, code Code, why string) {
	c.out = appendFrame(c.out, 8+len(why), frameGoaway, 0, 0)
	c.out = append(c.out, byte(last>>24), byte(last>>16), byte(last>>8), byte(last), byte(code>>24), byte(code>>16), byte(code>>8), byte(code))
	c.out = append(c.out, why...)
}

// Events appends what has happened since the last call.
func (c *Conn) Events(dst []Event) []Event {
	c.mu.Lock()
	for i, s := range c.events {
		c.events[i] = nil
		if s.what != 0 && !s.released {
			dst = append(dst, Event{s, s.what, s.User})
		}
		s.what, s.listed = 0, false
		c.recycle(s)
	}
	c.events = c.events[:0]
	c.mu.Unlock()
	return dst
}

// Poke makes an event of a stream: Writable, as if it had waited.
func (s *Stream) Poke() {
	s.c.mu.Lock()
	if !s.released {
		s.c.note(s, Writable)
	}
	s.c.mu.Unlock()
}

// News reports whether Events has something to give.
func (c *Conn) News() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.events) > 0
}

// Quiet gives memory back that a connection without traffic does not need. The reader's.
func (c *Conn) Quiet() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.buf != nil && c.have == 0 {
		b := c.buf
		c.buf = nil
		buffers.Put(&b)
	}
	if len(c.out) == 0 && cap(c.out) > quietSize {
		c.out = nil
	}
	if len(c.streams) == 0 && len(c.free) > 4 {
		clear(c.free[4:])
		c.free = c.free[:4]
	}
}

// note adds news of a stream. mu held.
func (c *Conn) note(s *Stream, what Flags) {
	s.what |= what
	if !s.listed {
		s.listed = true
		c.events = append(c.events, s)
	}
}

// Shutdown announces that the connection ends. Requests that the client has
// sent before it knows are served; after that it opens no more (RFC 9113
// section 6.8). now: those of them that are not here yet are refused.
func (c *Conn) Shutdown(now bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.going == staying && !now && c.failed == nil {
		c.going = announced
		c.goawayFrame(maxWindow, NoError, "")
		c.out = appendFrame(c.out, 8, framePing, 0, 0)
		c.out = append(c.out, drainPing...)
		return
	}
	if c.going != leaving && now {
		c.leave(NoError, "")
	}
}

// drainPing is the PING after the announcement: its answer tells that the
// client has read that.
const drainPing = "GO AWAY."

// leave says that streams above the last are not served. mu held.
func (c *Conn) leave(code Code, why string) {
	if c.going == leaving {
		return
	}
	c.going, c.goingLast = leaving, c.lastID
	c.goawayFrame(c.lastID, code, why)
}

// Leaving reports whether no more streams come, and Streams how many have a
// user or are not finished: at 0 a connection that is leaving may be closed.
func (c *Conn) Leaving() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.going == leaving || c.failed != nil
}

// Streams is the number of streams that are open or have a user.
func (c *Conn) Streams() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return max(len(c.streams), c.used)
}

// Close ends all streams: the connection is gone.
func (c *Conn) Close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.failed == nil {
		c.failed = &Error{NoError, "the connection was closed"}
	}
	for _, s := range c.streams {
		c.over(s, false)
		c.note(s, Gone)
	}
	c.out, c.lastData = nil, nil
	c.waiting = nil
	c.buf = nil
}
