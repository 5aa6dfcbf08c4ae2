//go:build linux || darwin || freebsd

// TLS, by crypto/tls, on a socket that does not wait.
//
//	state     | who has the connection                      | socket
//	handshake | a goroutine (Conn.TLS is set, Secure is not) | waits, as net.Conn (aside)
//	serving   | the source, as any other connection          | does not wait
//	aside     | a goroutine: a stream, or a relay            | waits, as net.Conn (aside)
//
// tls.Conn can be used without waiting: a record that is not there yet is a
// temporary error for it, after which it goes on where it was. Only its
// handshake cannot, hence the goroutine.
package listen

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"slices"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// recordHandshake is the first byte of a connection that speaks TLS.
const recordHandshake = 0x16

// SecureHandler is a Handler that wants to know how handshakes end. Secured is
// called once for each connection with Conn.TLS, on a goroutine that has the
// connection; err says why it ends. Without an error it comes before the
// first request, and may replace Conn.Settings. It is called for connections
// from other processes as well.
type SecureHandler interface {
	Secured(c *Conn, err error)
}

// secure is the wire of an encrypted connection, and the net.Conn that tls.Conn works on.
type secure struct {
	tls   *tls.Conn
	c     *Conn
	pre   []byte // received before the handshake began
	dry   bool   // the owner's: the socket had no more at the last read
	aside net.Conn
	mu    sync.Mutex // guards what follows
	out   *[]byte    // encrypted, not sent
	off   int
	err   error
}

// outBuffers are for encrypted bytes; one is with each connection that has some to send.
var outBuffers = sync.Pool{New: func() any { p := make([]byte, 0, 4<<10); return &p }}

func newSecure(c *Conn, pre []byte) *secure {
	s := &secure{c: c, pre: pre}
	s.tls = tls.Server(s, c.TLS)
	return s
}

// Read implements net.Conn for tls.Conn.
func (s *secure) Read(p []byte) (int, error) {
	if len(s.pre) > 0 {
		n := copy(p, s.pre)
		s.pre = s.pre[n:]
		return n, nil
	}
	if s.aside != nil {
		return s.aside.Read(p)
	}
	if s.dry {
		return 0, errAgain
	}
	for {
		n, err := sockRead(s.c.FD, p)
		switch {
		case n > 0:
			s.dry = n < len(p) && !s.c.hup.Load()
			return n, nil
		case err == 0:
			return 0, io.EOF
		case err == syscall.EAGAIN:
			s.dry = true
			return 0, errAgain
		case err != syscall.EINTR:
			return 0, err
		}
	}
}

// Write implements net.Conn for tls.Conn.
func (s *secure) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return 0, s.err
	}
	if s.aside != nil {
		if err := s.catchUp(); err != nil {
			return 0, err
		}
		return s.aside.Write(p)
	}
	if s.out == nil {
		s.out = outBuffers.Get().(*[]byte)
	}
	*s.out = append(*s.out, p...)
	return len(p), nil
}

// catchUp sends, on the socket that waits, what was not sent while it did not. mu held.
func (s *secure) catchUp() error {
	if s.out == nil {
		return nil
	}
	if _, err := s.aside.Write((*s.out)[s.off:]); err != nil {
		return err
	}
	s.sentAll()
	return nil
}

// sentAll gives the buffer back. mu held.
func (s *secure) sentAll() {
	if *s.out = (*s.out)[:0]; cap(*s.out) <= 2*wireAtOnce {
		outBuffers.Put(s.out)
	}
	s.out, s.off = nil, 0
}

// The rest of net.Conn. The descriptor is its connection's.

func (s *secure) Close() error         { return nil }
func (s *secure) LocalAddr() net.Addr  { return net.TCPAddrFromAddrPort(s.c.Local) }
func (s *secure) RemoteAddr() net.Addr { return net.TCPAddrFromAddrPort(s.c.Remote) }
func (s *secure) SetDeadline(t time.Time) error {
	return errors.Join(s.SetReadDeadline(t), s.SetWriteDeadline(t))
}

func (s *secure) SetReadDeadline(t time.Time) error {
	if s.aside == nil {
		return nil
	}
	return s.aside.SetReadDeadline(t)
}

func (s *secure) SetWriteDeadline(t time.Time) error {
	if s.aside == nil {
		return nil
	}
	return s.aside.SetWriteDeadline(t)
}

// settle sends what is encrypted and was not sent while the socket did not
// wait. For a goroutine that has the connection aside.
func (s *secure) settle() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return s.err
	}
	return s.catchUp()
}

// The methods of wire.

func (s *secure) read(p []byte) (int, error) {
	n, err := s.tls.Read(p)
	if s.pending() { // an alert, or an answer to a new key
		_ = s.flush()
	}
	return n, err
}

func (s *secure) pending() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.out != nil
}

func (s *secure) write(p []byte) (int, error) {
	s.mu.Lock()
	full := s.out != nil && len(*s.out)-s.off >= wireAtOnce
	s.mu.Unlock()
	if full {
		return 0, errAgain
	}
	return s.tls.Write(p)
}

func (s *secure) flush() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return s.err
	}
	for s.out != nil {
		n, err := sockSend(s.c.FD, (*s.out)[s.off:])
		switch {
		case err == 0:
			if s.off += n; s.off == len(*s.out) {
				s.sentAll()
			}
		case err == syscall.EAGAIN:
			return errAgain
		case err != syscall.EINTR:
			s.err = err
			s.sentAll()
			return err
		}
	}
	return nil
}

func (s *secure) wait(writing bool, timeout time.Duration) error {
	ms := -1
	if timeout >= 0 {
		ms = int(timeout / time.Millisecond)
	}
	f := []unix.PollFd{{Fd: int32(s.c.FD), Events: unix.POLLIN}}
	if writing {
		if err := s.flush(); !errors.Is(err, errAgain) {
			return err
		}
		f[0].Events = unix.POLLOUT
	}
	for {
		n, err := unix.Poll(f, ms)
		switch {
		case err == unix.EINTR:
		case err != nil:
			return err
		case n == 0:
			return os.ErrDeadlineExceeded
		default:
			s.event()
			return nil
		}
	}
}

func (s *secure) event() { s.dry = false }

func (s *secure) bye() {
	if s.c.Secure == nil {
		return
	}
	if err := s.tls.CloseWrite(); err == nil {
		_ = s.flush()
	}
}

// begin is the handshake, on a goroutine, with conn for the socket.
func (s *secure) begin(conn net.Conn, h Handler) (err error) {
	c := s.c
	s.aside = conn
	d := c.Settings.Handshake
	if d <= 0 {
		d = c.Settings.IO
	}
	if d > 0 {
		_ = conn.SetDeadline(time.Now().Add(d))
	}
	if err = s.tls.Handshake(); err == nil {
		state := s.tls.ConnectionState()
		c.Secure = &state
	}
	_ = conn.SetDeadline(time.Time{})
	s.aside = nil
	if h, ok := h.(SecureHandler); ok {
		h.Secured(c, err)
	}
	return err
}

// speaksTLS says whether the first bytes of a connection begin a handshake.
func (c *Conn) speaksTLS() bool {
	return c.TLS != nil && c.Secure == nil && c.req.Input()[0] == recordHandshake
}

// takeInput takes what was received off the request's buffer.
func (c *Conn) takeInput() []byte {
	b := slices.Clone(c.req.Input())
	c.req.InLen = 0
	return b
}
