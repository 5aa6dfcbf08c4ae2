// The control channel between supervisor and worker: frames over a Unix stream
// socket pair, some with descriptors (SCM_RIGHTS).
//
//	frame: 1 byte type, 4 bytes length (big endian), payload
//
// Descriptors travel with the first byte of their frame. The kernel ends a
// read after a segment that carries descriptors but may put segments without
// any in front of it; a reader that asks for exactly the header and then
// exactly the payload therefore always knows whose descriptors it got.
//
// Encoding and decoding (AppendFrame, DecodeHeader, DecodeFrame) do no I/O.
package process

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// FrameType is the first byte of a frame.
type FrameType byte

// The frames. W is the worker, S the supervisor.
const (
	FrameReady    FrameType = 'R' // W->S: about to accept its first connection. No payload
	FrameServed   FrameType = 'S' // W->S: has answered its first request. No payload
	FrameReplace  FrameType = 'X' // W->S: wants a successor; payload: the reason
	FrameHandoff  FrameType = 'H' // both ways: a connection; payload is the sender's, one or more descriptors
	FrameShare    FrameType = 'L' // both ways: as 'H', for a sibling with less to do; payload: its ProcessNum in 2 bytes, then the sender's
	FrameNotice   FrameType = 'N' // W->S: for the server's standard error, because a log cannot be written to; payload: the text
	FrameTaken    FrameType = 'A' // W->S: has the oldest hand-over it was sent and not acknowledged; S->W: one that it sent has arrived. No payload
	FrameGraceful FrameType = 'G' // S->W: stop accepting, finish the requests, exit 0. No payload
	FrameDrain    FrameType = 'D' // S->W: as 'G', but nobody follows: close what is idle. No payload
	FrameStop     FrameType = 'T' // S->W: stop now. No payload
	FrameLeave    FrameType = 'U' // S->W: as 'T', but others follow: hand over what is idle. No payload
	FrameStanding FrameType = 'B' // S->W: what the process behind a request socket does, see standing.go; payload: the state in 1 byte, the socket's path
	FramePing     FrameType = 'P' // S->W: are you there; W->S: yes. No payload
)

const (
	frameHeaderLen = 5
	shareNumLen    = 2
	// MaxFramePayload bounds a frame: a hand-over carries unread bytes of a
	// connection, at most a request head and a little body.
	MaxFramePayload = 4 << 20
	maxFrameFDs     = 8
	maxStanding     = 1 + 4096 // a state and a path
)

// ErrFrame is wrapped by every error about a malformed frame.
var ErrFrame = errors.New("malformed control frame")

// Frame is one message. FDs belong to whoever holds the frame: pass them on or
// CloseFDs.
type Frame struct {
	Type    FrameType
	Payload []byte
	FDs     []int
	done    func() // called when the descriptors are closed; nil: nobody waits
}

// CloseFDs closes the descriptors of a frame that goes nowhere.
func (f *Frame) CloseFDs() {
	for _, fd := range f.FDs {
		_ = unix.Close(fd) // nothing could be done about an error
	}
	f.FDs = nil
	if f.done != nil {
		f.done()
		f.done = nil
	}
}

// NewShare makes the frame that gives a connection to process num of the group.
func NewShare(num, fd int, pending []byte) *Frame {
	return &Frame{Type: FrameShare, Payload: append(binary.BigEndian.AppendUint16(nil, uint16(num)), pending...), FDs: []int{fd}}
}

// Shared takes a frame of NewShare apart: for whom, and what a hand-over would carry.
func (f *Frame) Shared() (num int, pending []byte) {
	return int(binary.BigEndian.Uint16(f.Payload)), f.Payload[shareNumLen:]
}

// check says whether a frame of this type, length and number of descriptors
// may exist.
func checkFrame(t FrameType, length uint32, fds int) error {
	switch t {
	case FrameReady, FrameServed, FrameTaken, FrameGraceful, FrameDrain, FrameStop, FrameLeave, FramePing:
		if length != 0 {
			return fmt.Errorf("%w: %d bytes in a frame %q that has none", ErrFrame, length, byte(t))
		}
	case FrameShare:
		if length < shareNumLen || length > MaxFramePayload {
			return fmt.Errorf("%w: %d bytes in a frame %q, not between %d and %d", ErrFrame, length, byte(t), shareNumLen, MaxFramePayload)
		}
	case FrameStanding:
		if length < 2 || length > maxStanding {
			return fmt.Errorf("%w: %d bytes in a frame %q, not between 2 and %d", ErrFrame, length, byte(t), maxStanding)
		}
	case FrameReplace, FrameHandoff, FrameNotice:
		if length > MaxFramePayload {
			return fmt.Errorf("%w: %d bytes in a frame %q, the limit is %d", ErrFrame, length, byte(t), MaxFramePayload)
		}
	default:
		return fmt.Errorf("%w: unknown type 0x%02x", ErrFrame, byte(t))
	}
	switch {
	case (t == FrameHandoff || t == FrameShare) && fds == 0:
		return fmt.Errorf("%w: hand-over without a descriptor", ErrFrame)
	case t != FrameHandoff && t != FrameShare && fds != 0:
		return fmt.Errorf("%w: %d descriptors with a frame %q", ErrFrame, fds, byte(t))
	case fds > maxFrameFDs:
		return fmt.Errorf("%w: %d descriptors, the limit is %d", ErrFrame, fds, maxFrameFDs)
	}
	return nil
}

// AppendFrame encodes f (without its descriptors) to dst.
func AppendFrame(dst []byte, f *Frame) ([]byte, error) {
	if uint64(len(f.Payload)) > MaxFramePayload {
		return dst, fmt.Errorf("%w: %d bytes, the limit is %d", ErrFrame, len(f.Payload), MaxFramePayload)
	}
	if err := checkFrame(f.Type, uint32(len(f.Payload)), len(f.FDs)); err != nil {
		return dst, err
	}
	dst = append(dst, byte(f.Type))
	dst = binary.BigEndian.AppendUint32(dst, uint32(len(f.Payload)))
	return append(dst, f.Payload...), nil
}

// DecodeHeader reads the first 5 bytes of a frame that came with fds descriptors.
func DecodeHeader(b []byte, fds int) (FrameType, int, error) {
	if len(b) < frameHeaderLen {
		return 0, 0, io.ErrUnexpectedEOF
	}
	t, n := FrameType(b[0]), binary.BigEndian.Uint32(b[1:frameHeaderLen])
	if err := checkFrame(t, n, fds); err != nil {
		return 0, 0, err
	}
	return t, int(n), nil
}

// DecodeFrame takes one frame from the front of b, with fds as its
// descriptors. It returns the bytes used; 0 and no error when b is too short.
// Payload points into b.
func DecodeFrame(b []byte, fds []int) (Frame, int, error) {
	if len(b) < frameHeaderLen {
		return Frame{}, 0, nil
	}
	t, n, err := DecodeHeader(b, len(fds))
	if err != nil {
		return Frame{}, 0, err
	}
	if len(b) < frameHeaderLen+n {
		return Frame{}, 0, nil
	}
	f := Frame{Type: t, FDs: fds}
	if n > 0 {
		f.Payload = b[frameHeaderLen : frameHeaderLen+n : frameHeaderLen+n]
	}
	return f, frameHeaderLen + n, nil
}

// Conn is one end of the control channel. Send may be called from any
// goroutine, Receive from one at a time.
type Conn struct {
	c   *net.UnixConn
	mu  sync.Mutex // orders writers
	oob []byte
}

// NewConn makes a Conn of an end of the socket pair, and takes over f.
func NewConn(f *os.File) (*Conn, error) {
	defer f.Close() // FileConn works on a copy
	c, err := net.FileConn(f)
	if err != nil {
		return nil, fmt.Errorf("control channel: %w", err)
	}
	u, ok := c.(*net.UnixConn)
	if !ok {
		_ = c.Close()
		return nil, fmt.Errorf("control channel: descriptor is a %s socket", c.LocalAddr().Network())
	}
	return &Conn{c: u, oob: make([]byte, unix.CmsgSpace(maxFrameFDs*4))}, nil
}

// socketPair makes the two ends of a control channel, both close-on-exec.
func socketPair() (*os.File, *os.File, error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|sockCloexec, 0)
	if err != nil {
		return nil, nil, os.NewSyscallError("socketpair", err)
	}
	unix.CloseOnExec(fds[0])
	unix.CloseOnExec(fds[1])
	return os.NewFile(uintptr(fds[0]), "control"), os.NewFile(uintptr(fds[1]), "control"), nil
}

// Send writes one frame, blocking while the other side does not read. The
// frame's descriptors stay open and stay the caller's.
func (c *Conn) Send(f *Frame) error {
	b, err := AppendFrame(make([]byte, 0, frameHeaderLen+len(f.Payload)), f)
	if err != nil {
		return err
	}
	var oob []byte
	if len(f.FDs) > 0 {
		oob = unix.UnixRights(f.FDs...)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	n, _, err := c.c.WriteMsgUnix(b, oob, nil)
	if err == nil && n < len(b) {
		// The descriptors left with the first byte; the rest is plain bytes.
		_, err = c.c.Write(b[n:])
	}
	return err
}

// Receive reads one frame. io.EOF means that the other side closed between
// two frames. The frame's descriptors are close-on-exec and the caller's.
func (c *Conn) Receive() (Frame, error) {
	var head [frameHeaderLen]byte
	var fds []int
	for n := 0; n < len(head); {
		m, oobn, flags, _, err := c.c.ReadMsgUnix(head[n:], c.oob)
		if oobn > 0 {
			got, perr := parseRights(c.oob[:oobn])
			fds = append(fds, got...)
			if err == nil && perr != nil {
				err = perr
			}
		}
		if err == nil && flags&unix.MSG_CTRUNC != 0 {
			err = fmt.Errorf("%w: descriptors lost, too many or the descriptor limit was reached", ErrFrame)
		}
		if err == nil && m == 0 {
			if err = io.ErrUnexpectedEOF; n == 0 {
				err = io.EOF
			}
		}
		if err != nil {
			(&Frame{FDs: fds}).CloseFDs()
			if n == 0 && errors.Is(err, io.EOF) {
				err = io.EOF
			}
			return Frame{}, err
		}
		n += m
	}
	f := Frame{FDs: fds}
	t, n, err := DecodeHeader(head[:], len(fds))
	if err == nil && n > 0 {
		f.Payload = make([]byte, n)
		_, err = io.ReadFull(c.c, f.Payload)
	}
	if err != nil {
		f.CloseFDs()
		return Frame{}, err
	}
	f.Type = t
	return f, nil
}

func parseRights(oob []byte) ([]int, error) {
	msgs, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrFrame, err)
	}
	var fds []int
	for i := range msgs {
		if got, err := unix.ParseUnixRights(&msgs[i]); err == nil {
			fds = append(fds, got...)
		}
	}
	for _, fd := range fds {
		unix.CloseOnExec(fd) // the runtime asks for it already where the system can
	}
	return fds, nil
}

// A process behind the front is not trusted, and each of its frames costs the
// loop: an ordinary one sends a dozen in its life, and answers the watchdog.
const (
	frameBurst = 500
	frameSpan  = 10 * time.Second
)

// frameRate counts frames in spans of time.
type frameRate struct {
	since time.Time
	n     int
}

func (r *frameRate) exceeded(now time.Time) bool {
	if now.Sub(r.since) > frameSpan {
		r.since, r.n = now, 0
	}
	r.n++
	return r.n > frameBurst
}

// SetWriteDeadline bounds the next Sends.
func (c *Conn) SetWriteDeadline(t time.Time) error { return c.c.SetWriteDeadline(t) }

// Close ends the channel; the other side reads EOF.
func (c *Conn) Close() error { return c.c.Close() }
