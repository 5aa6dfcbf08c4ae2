//go:build linux || darwin || freebsd

// Connections that are not plain sockets: what is received and sent passes a
// wire, which decrypts and encrypts (tls.go) or is one of many on a socket.
// Requests and responses above it are the same.
//
// C cannot use such a connection itself. It knows its number, Req.Wire, and
// calls Wires in place of recv, send and poll.
package listen

import (
	"errors"
	"io"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// wire carries the bytes of one connection. Reading is its owner's, writing
// that of whoever may change the output buffer. No method waits but wait.
type wire interface {
	// read gives received bytes: errAgain, nothing now; io.EOF, the end.
	read(p []byte) (int, error)
	// write takes bytes to send: errAgain, none now. What it took leaves with flush.
	write(p []byte) (int, error)
	// flush sends what write took; errAgain, not all of it now.
	flush() error
	// wait returns when reading or writing can go on; os.ErrDeadlineExceeded. A
	// negative timeout is none.
	wait(writing bool, timeout time.Duration) error
	// event tells that there may be more to read than the last read found.
	event()
	// bye says to the client that nothing follows, as far as that is possible now.
	bye()
}

// wireAtOnce bounds what is given to a wire before it is sent, in bytes.
const wireAtOnce = 64 << 10

// wouldBlock is temporary, so that crypto/tls goes on where it was.
type wouldBlock struct{}

func (wouldBlock) Error() string   { return "nothing there without waiting" }
func (wouldBlock) Timeout() bool   { return true }
func (wouldBlock) Temporary() bool { return true }

var errAgain error = wouldBlock{}

// wireTable finds connections by their numbers.
var wireTable struct {
	conns sync.Map // uint32 -> *Conn
	last  atomic.Uint32
}

// connect gives the connection its wire.
func (c *Conn) connect(w wire) {
	c.wire = w
	for c.wireID == 0 {
		if id := wireTable.last.Add(1); id != 0 {
			if _, taken := wireTable.conns.LoadOrStore(id, c); !taken {
				c.wireID = id
			}
		}
	}
	if c.req != nil {
		c.req.Wire = c.wireID
	}
}

// disconnect forgets the wire. Nothing of the connection's requests is left in C then.
func (c *Conn) disconnect() {
	if c.wireID != 0 {
		wireTable.conns.Delete(c.wireID)
	}
	c.wire, c.wireID = nil, 0
}

// WireConn is the connection of a number that C has, Req.Wire; nil: there is none any more.
func WireConn(id uint32) *Conn {
	if c, ok := wireTable.conns.Load(id); ok {
		return c.(*Conn)
	}
	return nil
}

// freshen notes that an event came: there may be more to read.
func (c *Conn) freshen() {
	c.drained = false
	if c.wire != nil {
		c.wire.event()
	}
}

func wireOf(id uint32) wire {
	if c, ok := wireTable.conns.Load(id); ok {
		return c.(*Conn).wire
	}
	return nil
}

// Wires is what C uses in place of a descriptor (package python has the
// interface). Each connection is used by the thread that owns it.
type Wires struct{}

// Read receives; EAGAIN, nothing now; 0, the end.
func (Wires) Read(id uint32, p []byte) (int, syscall.Errno) {
	w := wireOf(id)
	if w == nil {
		return 0, syscall.EBADF
	}
	n, err := w.read(p)
	if n > 0 || errors.Is(err, io.EOF) {
		return n, 0
	}
	return 0, wireErrno(err)
}

// Write sends, at least as far as the wire; EAGAIN, it takes nothing now.
func (Wires) Write(id uint32, p []byte) (int, syscall.Errno) {
	w := wireOf(id)
	if w == nil {
		return 0, syscall.EBADF
	}
	if err := w.flush(); err != nil {
		return 0, wireErrno(err)
	}
	n, err := w.write(p[:min(len(p), wireAtOnce)])
	if n > 0 {
		if err := w.flush(); err != nil && !errors.Is(err, errAgain) {
			return 0, wireErrno(err)
		}
		return n, 0
	}
	return 0, wireErrno(err)
}

// Wait waits; false: for longer than timeout.
func (Wires) Wait(id uint32, writing bool, timeout time.Duration) (bool, syscall.Errno) {
	w := wireOf(id)
	if w == nil {
		return false, syscall.EBADF
	}
	err := w.wait(writing, timeout)
	if e, ok := err.(interface{ Timeout() bool }); ok && e.Timeout() {
		return false, 0
	}
	return err == nil, wireErrno(err)
}

func wireErrno(err error) syscall.Errno {
	var e syscall.Errno
	switch {
	case err == nil:
		return 0
	case errors.Is(err, errAgain):
		return syscall.EAGAIN
	case errors.As(err, &e):
		return e
	}
	return syscall.ECONNRESET
}

// pieces are buffers for files on their way into a wire.
var pieces = sync.Pool{New: func() any { p := make([]byte, wireAtOnce); return &p }}

// feed gives the wire the next bytes of the response; 0 and nil: it has all.
// A file that is shorter than it was ends the connection.
func (c *Conn) feed(m *Memory) (int, error) {
	for q := c.req; ; {
		switch {
		case q.OutOff < q.OutLen:
			n, err := c.wire.write(q.pendingOut())
			q.OutOff += uint64(n)
			q.sent(uint64(n))
			return n, err
		case q.FileFD >= 0 && q.FileLeft > 0:
			q.OutOff, q.OutLen = 0, 0
			buf := pieces.Get().(*[]byte)
			defer pieces.Put(buf)
			n, err := unix.Pread(int(q.FileFD), (*buf)[:min(q.FileLeft, wireAtOnce)], q.FileOff)
			if err == nil && n == 0 {
				err = io.ErrUnexpectedEOF
			}
			if err != nil {
				return 0, err
			}
			n, err = c.wire.write((*buf)[:n])
			q.FileOff += int64(n)
			q.FileLeft -= int64(n)
			q.sent(uint64(n))
			return n, err
		case len(c.Parts) == 0:
			q.OutOff, q.OutLen = 0, 0
			return 0, nil
		}
		q.OutOff, q.OutLen = 0, 0
		p := c.Parts[0]
		c.Parts = c.Parts[1:]
		m.Append(q, p.Data)
		q.FileOff, q.FileLeft = p.Off, p.Len
	}
}
