// The sending half of a connection. Frames are appended to what is pending;
// then somebody, one at a time, writes: whoever flushes, without blocking, and,
// when the socket is full, a goroutine until it is empty again.
package hop

import (
	"errors"
	"net"
	"sync"
	"syscall"
	"time"
)

const (
	requestSize = 2 << 10   // of a new buffer of a request; most are around a kilobyte
	bufferSize  = 16 << 10  // of a new buffer of small frames
	bufferJoin  = 64 << 10  // buffers of several frames grow to this
	bodyFrame   = 64 << 10  // longest Body frame that is sent
	copyMax     = 16 << 10  // larger requests are written from their own buffer
	pendHigh    = 512 << 10 // bytes pending at which Body waits
	recycleSize = 2 << 20   // larger buffers are left to the garbage collector
)

// buffer has bytes to be written. refs and b are guarded by the pool's lock once it is shared.
type buffer struct {
	b    []byte
	refs int  // the exchange, the list of pending buffers
	own  bool // made for small frames: may be appended to
}

// Buffers by use, so that a small one is not kept at the size of a large one.
var frameBuffers, requestBuffers, largeBuffers sync.Pool

// newBuffer has room for a request of n bytes.
func newBuffer(n int) *buffer {
	from, least := &requestBuffers, requestSize
	if n > copyMax {
		from, least = &largeBuffers, n
	}
	u := getBuffer(from, max(n, least))
	u.own = false
	return u
}

func getBuffer(from *sync.Pool, n int) *buffer {
	u, _ := from.Get().(*buffer)
	if u == nil {
		u = new(buffer)
	}
	if cap(u.b) < n {
		u.b = make([]byte, 0, n)
	}
	u.b, u.refs = u.b[:0], 1
	return u
}

// size is the memory that it takes.
func (u *buffer) size() int { return cap(u.b) }

// release gives up one reference; with the pool's lock if there may be others.
func (u *buffer) release() {
	if u.refs--; u.refs > 0 {
		return
	}
	switch n := cap(u.b); {
	case u.own && n <= 2*bufferJoin:
		frameBuffers.Put(u)
	case u.own:
	case n <= copyMax:
		requestBuffers.Put(u)
	case n <= recycleSize:
		largeBuffers.Put(u)
	}
}

// room is where the next n bytes of frames are to be appended; pended follows. Holds the lock.
func (c *conn) room(n int) *buffer {
	if i := len(c.pend) - 1; i >= 0 {
		if u := c.pend[i]; u.own && len(u.b)+n <= bufferJoin {
			return u
		}
	}
	u := getBuffer(&frameBuffers, max(n, bufferSize))
	u.own = true
	c.pend = append(c.pend, u)
	return u
}

// appendRequest adds a Request frame with u as payload. A long one is not
// copied. It is never written to: it may be on its way on another connection.
func (c *conn) appendRequest(stream uint32, u *buffer, whole bool) {
	n := len(u.b)
	if n > copyMax {
		n = 0
	}
	f := c.room(HeaderSize + n)
	f.b = append(appendHeader(f.b, stream, TypeRequest, whole, len(u.b)), u.b[:n]...)
	if n == 0 && len(u.b) > 0 {
		u.refs++
		c.pend = append(c.pend, u)
	}
	c.pended(HeaderSize + len(u.b))
}

// describe sends the description of a plan before the first request for it. Holds the lock.
func (c *conn) describe(number uint32) {
	if int(number) > len(c.known) {
		c.known = append(c.known, make([]bool, len(c.pool.plans)-len(c.known))...)
	}
	if c.known[number-1] {
		return
	}
	c.known[number-1] = true
	key := c.pool.plans[number-1]
	f := c.room(HeaderSize + len(key))
	f.b = AppendPlan(f.b, number, key)
	c.pended(HeaderSize + len(key))
}

// appendBody adds a Body frame.
func (c *conn) appendBody(stream uint32, b []byte, end bool) {
	f := c.room(HeaderSize + len(b))
	f.b = AppendBody(f.b, stream, b, end)
	c.pended(HeaderSize + len(b))
}

// appendCancel adds a Cancel frame.
func (c *conn) appendCancel(stream uint32) {
	f := c.room(HeaderSize)
	f.b = AppendCancel(f.b, stream)
	c.pended(HeaderSize)
}

// appendCredit adds a Credit frame.
func (c *conn) appendCredit(stream, n uint32) {
	f := c.room(HeaderSize + 4)
	f.b = AppendCredit(f.b, stream, n)
	c.pended(HeaderSize + 4)
}

// pended accounts for n bytes that were appended.
func (c *conn) pended(n int) {
	c.pendBytes += n
	c.queued += uint64(n)
	if !c.dirty {
		c.dirty = true
		c.pool.dirty = append(c.pool.dirty, c)
		c.pool.ndirty.Store(int32(len(c.pool.dirty)))
	}
}

// committed is how many bytes of the stream may have been written. Holds the lock.
func (c *conn) committed() uint64 {
	if !c.writing {
		return c.written
	}
	n := c.queued
	for _, u := range c.pend {
		n -= uint64(len(u.b))
	}
	return n
}

// write writes what is pending as far as the socket takes it. Holds the lock,
// and lets go of it during the system calls. Somebody else who writes at the
// moment does it as well.
func (p *Pool) write(c *conn) {
	if c.writing || c.unwritable {
		return
	}
	c.writing = true
	for len(c.pend) > 0 && !c.unwritable {
		c.take()
		p.mu.Unlock()
		n, blocked, err := c.tryWrite()
		p.mu.Lock()
		c.wrote(n)
		if err != nil {
			c.failed(err)
		} else if blocked {
			p.spawn(c.writeRest) // goes on with writing set
			return
		}
	}
	c.writing = false
}

// take makes what is pending what is being written.
func (c *conn) take() {
	c.now, c.pend = c.pend, c.now[:0]
	c.at = 0
}

// wrote accounts for n bytes and releases buffers that are done. Holds the lock.
func (c *conn) wrote(n int) {
	c.written += uint64(n)
	c.pendBytes -= n
	for i, u := range c.now {
		if i == c.at {
			break
		}
		if u != nil {
			u.release()
			c.now[i] = nil
		}
	}
	if c.stalled && c.pendBytes < pendHigh {
		c.stalled = false
		for i := range c.streams {
			if x := c.streams[i].x; x != nil {
				x.signal()
			}
		}
	}
}

// rest is what is still to be written of the buffer at c.at.
func (c *conn) rest() []byte { return c.now[c.at].b[c.off:] }

// advance says that n bytes of rest are written. The writer's alone.
func (c *conn) advance(n int) {
	if c.off += n; c.off == len(c.now[c.at].b) {
		c.at++
		c.off = 0
	}
}

// writeRest writes until nothing is pending; it waits for the socket.
func (c *conn) writeRest() {
	p := c.pool
	for {
		n := 0
		var err error
		if c.at < len(c.now) {
			if t := p.cfg.SocketTimeout; t > 0 {
				c.nc.SetWriteDeadline(time.Now().Add(t))
			}
			n, err = c.waitWrite()
		}
		p.mu.Lock()
		full, before, now := c.pendBytes > pendFull, c.written, p.now()
		c.wrote(n)
		for i := range c.streams { // its time begins when the process can have the whole request
			if s := &c.streams[i]; s.end > before && s.end <= c.written {
				s.progress = now
			}
		}
		if full && c.pendBytes <= pendFull {
			p.place(now)
		}
		if err != nil {
			c.failed(err)
		}
		if c.unwritable || c.at == len(c.now) && len(c.pend) == 0 {
			c.nc.SetWriteDeadline(time.Time{}) // it would fail what is written without waiting
			c.writing = false
			p.mu.Unlock()
			p.Flush() // of place
			return
		}
		if c.at == len(c.now) {
			c.take()
		}
		p.mu.Unlock()
	}
}

// failed notes that writing did. Holds the lock.
func (c *conn) failed(err error) {
	c.unwritable = true
	switch {
	case c.pool.ctx.Err() != nil, errors.Is(err, net.ErrClosed), errors.Is(err, syscall.EPIPE), errors.Is(err, syscall.ECONNRESET):
		// The reader finds the end, after what was sent before it.
	case isTimeout(err):
		c.stuck = c.why == ""
		c.giveUp("it has not read what was sent to it within socket-timeout")
	default:
		c.giveUp(err.Error())
	}
}

// giveUp makes the reader end the connection. Holds the lock.
func (c *conn) giveUp(why string) {
	if c.why == "" {
		c.why = why
		c.nc.SetReadDeadline(time.Unix(1, 0))
	}
}
