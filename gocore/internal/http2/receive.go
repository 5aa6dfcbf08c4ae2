// The frames that a client sends (RFC 9113 sections 4 and 6): each is checked
// against the state of its stream and of the connection, header blocks are put
// together, and everything that breaks the rules ends the stream or the
// connection with the code that the RFC names.
package http2

import (
	"encoding/binary"
	"sync"
)

// buffers are of readSize; a connection has one while it holds part of a frame.
var buffers = sync.Pool{New: func() any { b := make([]byte, readSize); return &b }}

// Space is where to put what is received next.
func (c *Conn) Space() []byte {
	if c.buf == nil {
		c.buf = *buffers.Get().(*[]byte)
		c.have = 0
	}
	return c.buf[c.have:]
}

// Received takes n bytes that were put into Space. After an error the output
// is to be sent and the connection closed. Heads of requests are valid until
// the next Received.
func (c *Conn) Received(n int) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.have += n
	c.heads = c.heads[:0]
	if cap(c.heads) > 4*readSize {
		c.heads = nil
	}
	used, err := c.frames(c.buf[:c.have])
	if err != nil {
		c.fail(err)
		return err
	}
	if used == c.have {
		b := c.buf
		c.buf, c.have = nil, 0
		buffers.Put(&b)
		return nil
	}
	c.have = copy(c.buf, c.buf[used:c.have])
	return nil
}

// fail ends the connection. mu held.
func (c *Conn) fail(e *Error) {
	if c.failed != nil {
		return
	}
	c.failed = e
	c.goawayFrame(c.lastID, e.Code, e.Why)
	for _, s := range c.streams {
		c.over(s, false)
		c.note(s, Gone)
	}
}

// frames handles the complete frames in b and returns their length. mu held.
func (c *Conn) frames(b []byte) (used int, e *Error) {
	if c.failed != nil {
		return 0, c.failed
	}
	if c.greeted < len(Preface) {
		n := min(len(b), len(Preface)-c.greeted)
		if string(b[:n]) != Preface[c.greeted:c.greeted+n] {
			return 0, &Error{ProtocolError, "not the preface of HTTP/2"}
		}
		c.greeted += n
		used = n
	}
	for len(b)-used >= frameHeader {
		f := b[used:]
		n := int(f[0])<<16 | int(f[1])<<8 | int(f[2])
		if n > maxFrame {
			return used, &Error{FrameSizeError, "a frame is too large"}
		}
		if !c.settled && (f[3] != frameSettings || f[4]&flagAck != 0) {
			return used, &Error{ProtocolError, "the first frame is not SETTINGS"}
		}
		if len(f) < frameHeader+n {
			break
		}
		used += frameHeader + n
		if e = c.frame(f[3], f[4], binary.BigEndian.Uint32(f[5:])&maxWindow, f[frameHeader:frameHeader+n]); e == nil {
			e = c.guard.frame(frameHeader + n)
		}
		if e != nil {
			return used, e
		}
	}
	return used, nil
}

// frame handles one frame. mu held.
func (c *Conn) frame(kind, flags byte, id uint32, p []byte) *Error {
	if c.blockID != 0 && (kind != frameContinuation || id != c.blockID) {
		return &Error{ProtocolError, "a header block is interrupted"}
	}
	switch kind {
	case frameData:
		return c.data(flags, id, p)
	case frameHeaders:
		return c.headers(flags, id, p)
	case frameContinuation:
		return c.continuation(flags, id, p)
	case framePriority:
		switch {
		case id == 0:
			return &Error{ProtocolError, "PRIORITY without a stream"}
		case len(p) != 5:
			return c.resetID(id, FrameSizeError)
		case binary.BigEndian.Uint32(p)&maxWindow == id:
			return c.resetID(id, ProtocolError)
		}
	case frameRST:
		return c.rst(id, p)
	case frameSettings:
		return c.settings(flags, id, p)
	case framePush:
		return &Error{ProtocolError, "PUSH_PROMISE of a client"}
	case framePing:
		return c.ping(flags, id, p)
	case frameGoaway:
		if id != 0 {
			return &Error{ProtocolError, "GOAWAY with a stream"}
		}
		if len(p) < 8 {
			return &Error{FrameSizeError, "GOAWAY is too short"}
		}
		// It concerns streams that we would open. The client opens no more, and closes when it has its answers.
	case frameWindow:
		return c.windowUpdate(id, p)
	}
	return nil // unknown types are ignored (section 4.1)
}

// resetID ends a stream of which only the number is known. mu held.
func (c *Conn) resetID(id uint32, code Code) *Error {
	if s := c.streams[id]; s != nil {
		c.reset(s, code)
		return c.guard.broken()
	}
	c.out = appendRST(c.out, id, code)
	if id > c.lastID { // a stream that never was
		return &Error{code, "a frame for an idle stream"}
	}
	return c.guard.broken()
}

// unpad takes the padding off.
func unpad(flags byte, p []byte) ([]byte, bool) {
	if flags&flagPadded == 0 {
		return p, true
	}
	if len(p) == 0 || int(p[0]) >= len(p) {
		return nil, false
	}
	return p[1 : len(p)-int(p[0])], true
}

// data is a DATA frame. The window of the connection is given back at once:
// those of the streams bound what is kept.
func (c *Conn) data(flags byte, id uint32, p []byte) *Error {
	if id == 0 || id > c.lastID || id&1 == 0 {
		return &Error{ProtocolError, "DATA on an idle stream"}
	}
	n := int64(len(p))
	if c.inWindow -= n; c.inWindow < 0 {
		return &Error{FlowControlError, "more DATA than the connection's window"}
	}
	if c.inWindow < connWindow/2 {
		c.out = appendWindow(c.out, 0, int(connWindow-c.inWindow))
		c.inWindow = connWindow
	}
	b, ok := unpad(flags, p)
	if !ok {
		return &Error{ProtocolError, "more padding than frame"}
	}
	s := c.streams[id]
	if s == nil || s.remoteEnd {
		if s == nil && c.wasReset(id) {
			return nil
		}
		if s != nil {
			c.reset(s, StreamClosed)
		} else {
			c.out = appendRST(c.out, id, StreamClosed)
		}
		return c.guard.broken()
	}
	if s.inWindow -= n; s.inWindow < 0 {
		c.reset(s, FlowControlError)
		return c.guard.broken()
	}
	c.guard.useful(len(b))
	s.received += int64(len(b))
	end := flags&flagEndStream != 0
	if s.length >= 0 && (s.received > s.length || end && s.received < s.length) {
		c.reset(s, ProtocolError) // section 8.1.1
		return c.guard.broken()
	}
	if s.off > 0 && len(s.in)+len(b) > cap(s.in) {
		s.in, s.off = s.in[:copy(s.in, s.in[s.off:])], 0
	}
	s.in = append(s.in, b...)
	s.owed += n - int64(len(b)) // padding was consumed here
	if end {
		c.remoteEnd(s)
	}
	if len(b) > 0 || end {
		c.note(s, Readable)
	}
	return nil
}

// headers is a HEADERS frame: the fragment of a block, or a whole one.
func (c *Conn) headers(flags byte, id uint32, p []byte) *Error {
	if id&1 == 0 {
		return &Error{ProtocolError, "HEADERS on a stream that clients do not open"}
	}
	p, ok := unpad(flags, p)
	if !ok {
		return &Error{ProtocolError, "more padding than frame"}
	}
	if flags&flagPriority != 0 {
		if len(p) < 5 {
			return &Error{FrameSizeError, "HEADERS is too short"}
		}
		if binary.BigEndian.Uint32(p)&maxWindow == id {
			return &Error{ProtocolError, "a stream depends on itself"}
		}
		p = p[5:]
	}
	if flags&flagEndHeaders != 0 {
		return c.fields(id, flags, p)
	}
	c.blockID, c.blockFl, c.blockN = id, flags, 0
	c.block = append(c.block[:0], p...)
	return nil
}

// continuation goes on with a block; how many there may be is bounded, since
// nothing is known of the request before the last (CVE-2024-24549 and others).
func (c *Conn) continuation(flags byte, id uint32, p []byte) *Error {
	if c.blockID == 0 {
		return &Error{ProtocolError, "CONTINUATION without HEADERS"}
	}
	c.blockN++
	if c.blockN > maxContinuations || len(c.block)+len(p) > c.headerList() {
		return &Error{EnhanceYourCalm, "a header block is too long"}
	}
	c.block = append(c.block, p...)
	if flags&flagEndHeaders == 0 {
		return nil
	}
	c.blockID = 0
	e := c.fields(id, c.blockFl, c.block)
	if c.block = c.block[:0]; cap(c.block) > maxFrame {
		c.block = nil
	}
	return e
}

// rst is RST_STREAM of the client.
func (c *Conn) rst(id uint32, p []byte) *Error {
	if len(p) != 4 {
		return &Error{FrameSizeError, "RST_STREAM is not four bytes"}
	}
	if id == 0 || id > c.lastID || id&1 == 0 {
		return &Error{ProtocolError, "RST_STREAM on an idle stream"}
	}
	s := c.streams[id]
	if s == nil {
		return c.guard.idle()
	}
	c.over(s, false)
	c.note(s, Gone)
	return c.guard.cancelled()
}

// settings applies the client's SETTINGS.
func (c *Conn) settings(flags byte, id uint32, p []byte) *Error {
	switch {
	case id != 0:
		return &Error{ProtocolError, "SETTINGS with a stream"}
	case flags&flagAck != 0:
		if len(p) != 0 {
			return &Error{FrameSizeError, "SETTINGS acknowledged with a payload"}
		}
		return c.guard.idle()
	case len(p)%6 != 0:
		return &Error{FrameSizeError, "SETTINGS of odd length"}
	}
	initial := c.initial
	for ; len(p) > 0; p = p[6:] {
		switch v := binary.BigEndian.Uint32(p[2:]); binary.BigEndian.Uint16(p) {
		case 1:
			c.enc.resize(int(min(v, hpackTable)))
		case 2:
			if v > 1 {
				return &Error{ProtocolError, "SETTINGS_ENABLE_PUSH is neither 0 nor 1"}
			}
		case 4:
			if v > maxWindow {
				return &Error{FlowControlError, "SETTINGS_INITIAL_WINDOW_SIZE is too large"}
			}
			initial = int64(v)
		case 5:
			if v < maxFrame || v > 1<<24-1 {
				return &Error{ProtocolError, "SETTINGS_MAX_FRAME_SIZE is out of bounds"}
			}
			c.frameMax = int(min(v, 64<<10))
		}
	}
	if d := initial - c.initial; d != 0 {
		c.initial = initial
		for _, s := range c.streams {
			if s.window += d; s.window > maxWindow {
				return &Error{FlowControlError, "a window is too large"}
			}
			if d > 0 && s.window > 0 && s.wants {
				c.wakeStream(s)
			}
		}
	}
	c.settled = true
	c.out = appendFrame(c.out, 0, frameSettings, flagAck, 0)
	return c.guard.answered(len(c.out))
}

// ping answers PING.
func (c *Conn) ping(flags byte, id uint32, p []byte) *Error {
	if id != 0 {
		return &Error{ProtocolError, "PING with a stream"}
	}
	if len(p) != 8 {
		return &Error{FrameSizeError, "PING is not eight bytes"}
	}
	if flags&flagAck != 0 {
		if string(p) == drainPing && c.going == announced {
			c.leave(NoError, "")
		}
		return c.guard.idle()
	}
	c.out = appendFrame(c.out, 8, framePing, flagAck, 0)
	c.out = append(c.out, p...)
	return c.guard.answered(len(c.out))
}

// windowUpdate lets us send more.
func (c *Conn) windowUpdate(id uint32, p []byte) *Error {
	if len(p) != 4 {
		return &Error{FrameSizeError, "WINDOW_UPDATE is not four bytes"}
	}
	n := int64(binary.BigEndian.Uint32(p) & maxWindow)
	if id == 0 {
		if n == 0 {
			return &Error{ProtocolError, "WINDOW_UPDATE of nothing"}
		}
		if c.window += n; c.window > maxWindow {
			return &Error{FlowControlError, "the connection's window is too large"}
		}
		c.wake()
		return nil
	}
	s := c.streams[id]
	switch {
	case s != nil && n == 0:
		c.reset(s, ProtocolError)
		return c.guard.broken()
	case s != nil && s.window+n > maxWindow:
		c.reset(s, FlowControlError)
		return c.guard.broken()
	case s != nil:
		if s.window += n; s.wants {
			c.wakeStream(s)
		}
	case id > c.lastID || id&1 == 0:
		return &Error{ProtocolError, "WINDOW_UPDATE on an idle stream"}
	case n == 0:
		return c.resetID(id, ProtocolError)
	}
	return nil
}
