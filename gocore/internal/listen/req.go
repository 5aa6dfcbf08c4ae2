// Package listen accepts connections, reads requests, and writes responses.
//
// On Linux plaintext HTTP/1.1 runs on a reactor: one epoll set that the leader
// of a group of threads owns (see leader_linux.go). What a request means is
// decided by a Handler; listen knows HTTP framing and time-outs only.
//
// This file holds Req, the request that travels to Python, and Conn's settings.
package listen

import (
	"time"
	"unsafe"

	"modwsgi/gocore/internal/http1"
)

// Req mirrors mw_req of package python byte for byte. It lives in C memory,
// holds no Go pointers and is owned by the thread that has its connection
// busy; OutLock guards Out while Streaming.
type Req struct {
	Head                   http1.Head
	In, Out, Extra         unsafe.Pointer
	InLen, InCap           uint64
	OutOff, OutLen, OutCap uint64
	ExtraLen               uint64
	BodyOff, BodyLen       uint64
	BodyRead               uint64
	StreamLeft             int64
	BodyLimit              int64
	SentBody               int64
	StartUs                int64
	ConnID, RequestNo      uint64
	FileOff, FileLeft      int64
	InRead                 uint64
	FD, FileFD             int32
	IOTimeoutMs            int32
	Status                 int32
	Result                 int32
	KeepAlive              int32
	Route, ScriptLen       uint32
	OutLock, Streaming     uint32
	Phase, Aborted         uint32
	ChunkState             uint32
	StatusOverride         uint32
	ChunkLeft              int64
	BodyBegan, BodyUntil   int64 // C's: its clock in ms; 0 not begun
	RemotePort, LocalPort  uint32
	BodyMs, BodyMaxMs      int32 // RequestReadTimeout body=, for what C receives
	BodyRate               int32
	InHook                 int32 // C asks the hooks for the body
	Remote, Local          [64]byte
	Sent                   uint64         // response bytes, head and framing included, that the socket took
	Kept                   unsafe.Pointer // KeepHead: a copy of the response's head
	KeptLen, KeptCap       uint32
	KeepHead               uint32 // the access log wants fields of the response
	Logged                 uint32 // an error log record was written for the request
	ConnLogged             uint64 // ConnID for which the connection's lines were written to the error log
	Hook                   uint64 // python.RunHooked's
	FirstUs                int64  // TrackFirst: the first byte of the response was sent, microseconds since the epoch; 0 not yet
	TrackFirst             uint32 // the access log wants FirstUs
	Wire                   uint32 // not 0: the number of the connection's wire, see wire.go
	QueueUs                int64  // put into the queue for a thread, microseconds since the epoch; 0 never
}

// SizeofReq lets the caller compare with the C structure.
const SizeofReq = unsafe.Sizeof(Req{})

// Values of Req.Result and Req.Phase, as in mw.h.
const (
	ResultOK    = 0
	ResultError = 1
	ResultCut   = 2
	ResultLate  = 3 // the application was not called: the request waited longer than queue-timeout
	phaseApp    = 1
	// Values of Req.Streaming besides 0.
	streamNew  = 1 // C: blocks come one by one
	streamSeen = 2 // the monitor has seen it in an earlier look
)

// Memory allocates the C memory that requests live in.
type Memory struct {
	Alloc   func(n uintptr) unsafe.Pointer
	Realloc func(p unsafe.Pointer, n uintptr) unsafe.Pointer
	Free    func(p unsafe.Pointer)
}

// Input is the received bytes, from the start of the head.
func (r *Req) Input() []byte { return unsafe.Slice((*byte)(r.In), int(r.InLen)) }

// BodyPending tells whether bytes of the request's body may still be on their
// way. A response that does not wait for them has to close the connection, and
// to say so.
func (r *Req) BodyPending() bool {
	switch {
	case r.Head.Flags&http1.FlagChunked != 0:
		return true
	case r.Head.Flags&http1.FlagContentLength != 0:
		return r.InLen-r.BodyOff < uint64(r.Head.ContentLength)
	}
	return false
}

// Bytes is the part of the input that a span names.
func (r *Req) Bytes(s http1.Span) []byte {
	return unsafe.Slice((*byte)(r.In), int(r.InLen))[s.Off : s.Off+s.Len]
}

// ResponseHead is the head of the response that was written, after KeepHead was set.
func (r *Req) ResponseHead() []byte {
	if r.KeptLen == 0 {
		return nil
	}
	return unsafe.Slice((*byte)(r.Kept), int(r.KeptLen))
}

// sent counts bytes of the response that the socket took.
func (r *Req) sent(n uint64) {
	if r.TrackFirst != 0 && r.FirstUs == 0 && n > 0 {
		r.FirstUs = time.Now().UnixMicro()
	}
	r.Sent += n
}

// pendingOut is what is in the output buffer and not sent, at most wireAtOnce of it.
func (r *Req) pendingOut() []byte {
	b := unsafe.Slice((*byte)(r.Out), int(r.OutLen))[r.OutOff:]
	return b[:min(len(b), wireAtOnce)]
}

// Append adds response bytes to the output buffer.
func (m *Memory) Append(r *Req, p []byte) {
	if r.OutLen+uint64(len(p)) > r.OutCap {
		c := max(r.OutCap*2, r.OutLen+uint64(len(p)), 4096)
		r.Out = m.Realloc(r.Out, uintptr(c))
		r.OutCap = c
	}
	copy(unsafe.Slice((*byte)(r.Out), int(r.OutCap))[r.OutLen:], p)
	r.OutLen += uint64(len(p))
}

// Keep copies the response's head for ResponseHead.
func (m *Memory) Keep(r *Req, head []byte) {
	if len(head) > int(r.KeptCap) {
		r.Kept, r.KeptCap = m.Realloc(r.Kept, uintptr(len(head))), uint32(len(head))
	}
	copy(unsafe.Slice((*byte)(r.Kept), int(r.KeptCap)), head)
	r.KeptLen = uint32(len(head))
}

// ExtraBytes is what SetExtra copied.
func (r *Req) ExtraBytes() []byte { return unsafe.Slice((*byte)(r.Extra), int(r.ExtraLen)) }

// SetExtra copies the per-request environ additions (python.AppendSet format).
func (m *Memory) SetExtra(r *Req, p []byte) {
	m.Free(r.Extra)
	r.Extra, r.ExtraLen = nil, 0
	if len(p) == 0 {
		return
	}
	r.Extra = m.Alloc(uintptr(len(p)))
	copy(unsafe.Slice((*byte)(r.Extra), len(p)), p)
	r.ExtraLen = uint64(len(p))
}

// Part is a piece of a response that follows what is in the output buffer:
// bytes, then a part of the file FileFD. The reactor sends parts in order.
type Part struct {
	Data     []byte
	Off, Len int64
}

// Settings are the limits and time-outs of a connection, those of the virtual
// host that its local address (later its Host field) selects. Immutable.
type Settings struct {
	Limits                      http1.Limits
	Header, Body, KeepAlive, IO time.Duration // 0 = no time-out
	Handshake                   time.Duration // RequestReadTimeout handshake=; 0 = IO
	HeaderRate, BodyRate        int           // RequestReadTimeout MinRate, bytes per second; 0 off
	HeaderMax, BodyMax          time.Duration
	Persistent                  bool // KeepAlive On
	MaxRequests                 int  // MaxKeepAliveRequests, 0 = no limit
	H2C                         bool // connections in clear text may begin with the preface of HTTP/2
	H2Streams, H2Window         int  // streams at a time, and bytes of each one's body that may be unread; 0: the defaults of package http2
}

// Action is what a Handler wants done with a request whose head is complete.
type Action int

const (
	Run         Action = iota // buffer the body, then Handler.Run on a Python thread
	Respond                   // the response is in the output buffer (and FileFD/FileOff/FileLeft, then Conn.Parts)
	Streamed                  // Conn.Stream writes the response, on a goroutine of its own
	Forward                   // buffer the body, then Forwarder.Forward
	Think                     // call Handler.Decide on a goroutine, where it may wait
	ThinkPython               // call Handler.Decide on a Python thread
)

// Forwarder is a Handler that gives requests to other processes.
type Forwarder interface {
	// Forward takes a request with the action Forward, its body complete. The
	// connection is the handler's until it calls Resumer.Resume, on whatever
	// goroutine; Conn.Away tells it meanwhile that the client is gone. It must
	// not block. more says that FlushForwards is called soon, on this thread.
	Forward(c *Conn, r *Req, more bool)
	FlushForwards()
	// ForwardStream is what writes the response instead, as Conn.Stream, to a
	// request whose body does not fit a buffer.
	ForwardStream(c *Conn, r *Req) func(s *Stream)
}

// Resumer is a Source that calls Forwarder.Forward, as both do.
type Resumer interface {
	// Resume goes on with a connection: Respond, Streamed, Run or Forward, as
	// for Handler.Route.
	Resume(c *Conn, a Action)
}

// Away is the handler's on a connection between Forward and Resume.
type Away struct {
	// Gone is called at most once, when the client has closed or reset the
	// connection; by any thread, also while Forward runs.
	Gone func()
	// GaveUp is called when the client may have given up, see Conn.GaveUp: it has
	// closed its sending side. Otherwise as Gone, but maybe several times. Linux.
	GaveUp func()
}

// Handler gives requests their meaning. Several requests may be at any method
// at once. The reactor calls all but Run, Decide and Done on the leader's thread,
// where they must not block for long; the other source on the goroutine of the
// connection. A panic ends the connection and nothing else (recover.go).
type Handler interface {
	// Open sets c.Settings (and c.User) for a new connection.
	Open(c *Conn)
	// Route looks at a complete head. For Run it sets r.Route, r.ScriptLen,
	// r.Extra and r.BodyLimit; for Respond it appends the response; for
	// Streamed it sets c.Stream and r.BodyLimit.
	Route(c *Conn, r *Req) Action
	// Decide goes on where Route (or Decide itself) gave up; python says that
	// this is a Python thread. Its answer is as Route's.
	Decide(c *Conn, r *Req, python bool) Action
	// Bad appends the response to a request that cannot be served: a
	// malformed head, a body over the limit, a time-out. The connection closes.
	Bad(c *Conn, r *Req, status int)
	// Run runs the application on Python thread; false: it did not run because
	// this process is being replaced, hand the connection to the successor.
	Run(c *Conn, r *Req) bool
	// Failed appends the response for ResultError and ResultLate (r.Status).
	Failed(c *Conn, r *Req)
	// Done is called after a response was written or given up.
	Done(c *Conn, r *Req)
	// Handoff passes a connection to the successor process; false: impossible.
	// The descriptor stays the caller's to close.
	Handoff(fd int, pending []byte) bool
}
