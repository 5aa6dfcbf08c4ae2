// Package hop carries WSGI requests from a front process, which accepts
// connections from clients, to the daemon processes of a process group over
// Unix sockets, many requests at a time on one connection per pair of
// processes. It has the wire format, free of I/O (frame.go, request.go, head.go,
// decoder.go), and the front's side of it, Pool. It knows no other package.
//
// This file has frames.
//
//	u32 length of the payload | u32 stream | u8 type, 0x80: end, 0x40: logged | payload           (big endian)
//
//	type     | from   | payload                          | meaning
//	Hello    | daemon | version, generation, slot, ...   | first frame of a connection
//	Plan     | front  | bytes; the stream is a number    | what requests with this number are for, see Request.Plan
//	Request  | front  | see Request; end: no Body frames | opens a stream
//	Body     | front  | bytes; end                       | more of the request's body, within the daemon's credit
//	Cancel   | front  | -                                | the response is not wanted any more
//	Credit   | both   | u32 n                            | n more bytes of body may be sent on the stream
//	Queued   | daemon | u8: 1 waits, 0 runs now          | optional: see below
//	Head     | daemon | see Head; end: no body           | status and header fields
//	Data     | daemon | bytes, or end; or both           | the response's body, within the front's credit
//	End      | daemon | -                                | the response is complete
//	Refused  | daemon | u8 reason                        | the application has not seen the request
//	Error    | daemon | u16 status                       | the application failed before a head
//	Reset    | daemon | -                                | the response broke after its head, or the answer to Cancel
//	Goaway   | daemon | -                                | no new streams; those that are open go on
//
// Hello and Goaway have stream 0, every other frame but Plan has the stream of its request.
// The logged flag, on the last frame of a stream, says that the daemon's error log has a record of the request.
//
//	          Request              Credit, Head                 end, End
//	(free) -----------> open ----------------------> taken ------------------> (free)
//	                     |  Refused, Error, Reset      |  Reset, Error
//	                     +-----------------------------+--------------------> (free)
//
// The daemon ends each stream with exactly one of: a frame with the end flag,
// End, Refused, Error, Reset. That holds after Cancel too, which only asks it to
// hurry. Until then the stream counts as one that the daemon is busy with. The
// front numbers streams from 1 and takes a number again once its stream has
// ended, so numbers stay small and both sides can keep streams in an array; the
// daemon ignores Body, Credit and Cancel for a stream that it has ended. The
// number may come again as soon as the stream's last frame is on its way, also
// while the daemon's thread is still about to finish with the old stream.
//
// Bodies have credit per stream. For a request's body it begins at 0: the first
// Credit says "continue", and that the daemon keeps the request; Refused is not
// possible any more. For a response's body it begins at Request.Window.
//
// A daemon that lets requests wait may say so with Queued(1), once, and then
// says Queued(0), once, before the application begins: the requests that wait when the process dies
// are then given to another one and not lost. Queued(0) has to be in the socket before the application
// begins, or a request could run twice.
//
// What a daemon may send is bounded by what the front has sent it: Credit once, and once more for each
// Body frame; Data of no bytes only with the end; Goaway once.
//
// After Goaway the front opens a new connection to the same socket, where the
// successor answers. Requests that crossed with Goaway are answered with
// Refused(Restarting). The daemon keeps the connection open until the front
// closes it, which it does once no stream is open.
//
// The front does not trust the daemon. A frame that breaks these rules ends the
// connection it came on, and nothing else.
package hop

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// Version of the wire format, in Hello. Both sides come from the same build: it
// guards against a server that was upgraded under a running one.
const Version = 2

// Limits, in bytes.
const (
	HeaderSize     = 9         // in front of each payload
	MaxPayload     = 256 << 10 // of every frame but Request
	MaxRequest     = 16 << 20  // of a Request, as in mod_wsgi
	MaxPlans       = 4096      // numbers of plans of a connection are not greater
	ResponseWindow = 256 << 10 // credit of a new stream for the response's body, unless Config says more
	MaxWindow      = 1 << 30   // more outstanding credit than this is an error
)

// Type of a frame.
type Type uint8

// The types; see the table at the top.
const (
	TypeHello Type = iota + 1
	TypeRequest
	TypeBody
	TypeCancel
	TypeCredit
	TypeQueued
	TypeHead
	TypeData
	TypeEnd
	TypeRefused
	TypeError
	TypeReset
	TypeGoaway
	TypePlan
	typeCount
)

// Flags in the byte of the type.
const (
	FlagEnd    = 0x80 // nothing follows in this direction of the stream
	FlagLogged = 0x40 // with the last frame of a stream: the daemon's error log has a record of the request
)

var typeNames = [typeCount]string{"frame of type 0", "Hello", "Request", "Body", "Cancel", "Credit", "Queued", "Head", "Data", "End", "Refused",
	"Error", "Reset", "Goaway", "Plan"}

// String is the name for messages.
func (t Type) String() string {
	if t < typeCount {
		return typeNames[t]
	}
	return fmt.Sprintf("frame of type %d", uint8(t))
}

// rule is what a header may say for a type.
type rule struct {
	front, daemon bool // who sends it
	end           bool // may have FlagEnd
	last          bool // may have FlagLogged: ends its stream, or does so with FlagEnd
	stream        bool // belongs to a stream
	min, max      uint32
}

var rules = [typeCount]rule{
	TypeHello:   {daemon: true, min: helloSize, max: helloSize},
	TypeRequest: {front: true, end: true, stream: true, min: requestFixed, max: MaxRequest},
	TypeBody:    {front: true, end: true, stream: true, max: MaxPayload},
	TypeCancel:  {front: true, stream: true},
	TypeCredit:  {front: true, daemon: true, stream: true, min: 4, max: 4},
	TypeQueued:  {daemon: true, stream: true, min: 1, max: 1},
	TypeHead:    {daemon: true, end: true, last: true, stream: true, min: headFixed, max: MaxPayload},
	TypeData:    {daemon: true, end: true, last: true, stream: true, max: MaxPayload},
	TypeEnd:     {daemon: true, last: true, stream: true},
	TypeRefused: {daemon: true, stream: true, min: 1, max: 1},
	TypeError:   {daemon: true, last: true, stream: true, min: 2, max: 2},
	TypeReset:   {daemon: true, last: true, stream: true},
	TypeGoaway:  {daemon: true},
	TypePlan:    {front: true, stream: true, min: 1, max: MaxPayload},
}

// ErrProtocol is wrapped by every error about what the other side sent.
var ErrProtocol = errors.New("protocol error on the hop")

func protocolError(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrProtocol, fmt.Sprintf(format, args...))
}

// Frame is one frame. Payload points into the decoder's buffer.
type Frame struct {
	Type    Type
	End     bool
	Logged  bool
	Stream  uint32
	Payload []byte
}

// PutHeader writes the header of a frame to b[:HeaderSize]: for senders that
// have the payload elsewhere. It does not check anything.
func PutHeader(b []byte, stream uint32, t Type, end bool, payload int) {
	_ = b[HeaderSize-1]
	binary.BigEndian.PutUint32(b, uint32(payload))
	binary.BigEndian.PutUint32(b[4:], stream)
	b[8] = byte(t)
	if end {
		b[8] |= FlagEnd
	}
}

func appendHeader(dst []byte, stream uint32, t Type, end bool, payload int) []byte {
	var h [HeaderSize]byte
	PutHeader(h[:], stream, t, end, payload)
	return append(dst, h[:]...)
}

// parseHeader reads and checks a header; len(b) is at least HeaderSize.
func parseHeader(b []byte, from Side) (f Frame, payload int, err error) {
	n := binary.BigEndian.Uint32(b)
	f.Stream = binary.BigEndian.Uint32(b[4:])
	f.End, f.Logged = b[8]&FlagEnd != 0, b[8]&FlagLogged != 0
	f.Type = Type(b[8] &^ (FlagEnd | FlagLogged))
	if f.Type == 0 || f.Type >= typeCount {
		return f, 0, protocolError("unknown %v", f.Type)
	}
	r := &rules[f.Type]
	switch {
	case from == FromFront && !r.front, from == FromDaemon && !r.daemon:
		return f, 0, protocolError("%v does not come from the %v", f.Type, from)
	case n < r.min || n > r.max:
		return f, 0, protocolError("%v with %d bytes of payload", f.Type, n)
	case r.stream != (f.Stream != 0):
		return f, 0, protocolError("%v with stream %d", f.Type, f.Stream)
	case f.End && !r.end:
		return f, 0, protocolError("%v with the end flag", f.Type)
	case f.Logged && (!r.last || r.end && !f.End):
		return f, 0, protocolError("%v with the logged flag", f.Type)
	case f.Type == TypeData && n == 0 && !f.End:
		return f, 0, protocolError("Data without any")
	case f.Type == TypePlan && f.Stream > MaxPlans:
		return f, 0, protocolError("Plan with number %d", f.Stream)
	}
	return f, int(n), nil
}

// Hello introduces a daemon process.
type Hello struct {
	Version    uint32
	Generation uint32 // of the configuration: plans are numbered per generation
	Slot       uint32 // from 0
	Threads    uint32 // requests that it runs at the same time
	PID        uint32 // what it says; for messages only
	Flags      uint32 // none yet
}

const helloSize = 24

// AppendHello appends the frame; Version is filled in.
func AppendHello(dst []byte, h *Hello) []byte {
	dst = appendHeader(dst, 0, TypeHello, false, helloSize)
	for _, v := range [...]uint32{Version, h.Generation, h.Slot, h.Threads, h.PID, h.Flags} {
		dst = binary.BigEndian.AppendUint32(dst, v)
	}
	return dst
}

// DecodeHello reads a Hello's payload.
func DecodeHello(p []byte) (h Hello, err error) {
	if len(p) != helloSize {
		return h, protocolError("Hello with %d bytes of payload", len(p))
	}
	for i, v := range [...]*uint32{&h.Version, &h.Generation, &h.Slot, &h.Threads, &h.PID, &h.Flags} {
		*v = binary.BigEndian.Uint32(p[4*i:])
	}
	if h.Version != Version {
		return h, protocolError("Hello of version %d, expected %d", h.Version, Version)
	}
	return h, nil
}

// appendBytes appends frames with p, as many as needed; at least one.
func appendBytes(dst []byte, stream uint32, t Type, p []byte, end bool) []byte {
	for len(p) > MaxPayload {
		dst = append(appendHeader(dst, stream, t, false, MaxPayload), p[:MaxPayload]...)
		p = p[MaxPayload:]
	}
	return append(appendHeader(dst, stream, t, end, len(p)), p...)
}

// AppendBody appends a part of a request's body, in several frames if it is
// long. The caller has the credit for it.
func AppendBody(dst []byte, stream uint32, p []byte, end bool) []byte {
	return appendBytes(dst, stream, TypeBody, p, end)
}

// AppendData appends a part of a response's body, in several frames if it is
// long. The caller has the credit for it.
func AppendData(dst []byte, stream uint32, p []byte, end bool) []byte {
	return appendBytes(dst, stream, TypeData, p, end)
}

// AppendPlan describes what requests with this number are for: once, before the first.
func AppendPlan(dst []byte, number uint32, key []byte) []byte {
	return append(appendHeader(dst, number, TypePlan, false, len(key)), key...)
}

// SetLogged sets FlagLogged of a frame that begins at b[0].
func SetLogged(b []byte) { b[HeaderSize-1] |= FlagLogged }

// AppendCancel says that the response is not wanted any more.
func AppendCancel(dst []byte, stream uint32) []byte {
	return appendHeader(dst, stream, TypeCancel, false, 0)
}

// AppendCredit allows n more bytes of body.
func AppendCredit(dst []byte, stream, n uint32) []byte {
	return binary.BigEndian.AppendUint32(appendHeader(dst, stream, TypeCredit, false, 4), n)
}

// DecodeCredit reads a Credit's payload; 0 bytes are an error.
func DecodeCredit(p []byte) (uint32, error) {
	if len(p) != 4 {
		return 0, protocolError("Credit with %d bytes of payload", len(p))
	}
	n := binary.BigEndian.Uint32(p)
	if n == 0 || n > MaxWindow {
		return 0, protocolError("Credit of %d bytes", n)
	}
	return n, nil
}

// AppendQueued says that a request waits for a thread (true), or that it has one now (false).
func AppendQueued(dst []byte, stream uint32, waits bool) []byte {
	b := byte(0)
	if waits {
		b = 1
	}
	return append(appendHeader(dst, stream, TypeQueued, false, 1), b)
}

// DecodeQueued reads a Queued's payload.
func DecodeQueued(p []byte) (waits bool, err error) {
	if len(p) != 1 || p[0] > 1 {
		return false, protocolError("Queued is neither 0 nor 1")
	}
	return p[0] == 1, nil
}

// AppendEnd ends a response that is complete.
func AppendEnd(dst []byte, stream uint32) []byte {
	return appendHeader(dst, stream, TypeEnd, false, 0)
}

// AppendReset ends a response that broke after its head, or answers Cancel.
func AppendReset(dst []byte, stream uint32) []byte {
	return appendHeader(dst, stream, TypeReset, false, 0)
}

// AppendGoaway says that the process takes no new streams.
func AppendGoaway(dst []byte) []byte {
	return appendHeader(dst, 0, TypeGoaway, false, 0)
}

// Reason of Refused.
type Reason uint8

// Reasons.
const (
	Restarting   Reason = iota + 1 // to be sent again, to another process or the successor
	QueueTimeout                   // it is older than queue-timeout
)

// AppendRefused gives a request back that the application has not seen.
func AppendRefused(dst []byte, stream uint32, why Reason) []byte {
	return append(appendHeader(dst, stream, TypeRefused, false, 1), byte(why))
}

// DecodeRefused reads a Refused's payload.
func DecodeRefused(p []byte) (Reason, error) {
	if len(p) != 1 || p[0] < byte(Restarting) || p[0] > byte(QueueTimeout) {
		return 0, protocolError("Refused for an unknown reason")
	}
	return Reason(p[0]), nil
}

// AppendError reports an application that failed before its head; status is 400 to 599.
func AppendError(dst []byte, stream uint32, status int) []byte {
	return binary.BigEndian.AppendUint16(appendHeader(dst, stream, TypeError, false, 2), uint16(status))
}

// DecodeError reads an Error's payload.
func DecodeError(p []byte) (status int, err error) {
	if len(p) != 2 {
		return 0, protocolError("Error with %d bytes of payload", len(p))
	}
	status = int(binary.BigEndian.Uint16(p))
	if status < 400 || status > 599 {
		return 0, protocolError("Error with status %d", status)
	}
	return status, nil
}
