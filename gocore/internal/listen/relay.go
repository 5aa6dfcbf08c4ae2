//go:build linux || darwin || freebsd

// An encrypted connection that another process is to serve: that gets one end
// of a pair of sockets and a passport (passport.go), and this process, which has
// the keys, stays between the pair and the client until one of them closes. The
// other process answers one request and then closes.
package listen

import (
	"crypto/tls"
	"io"
	"net"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// offer gives one end of a new pair away and returns the other; false: by could not.
func offer(pending []byte, by func(fd int, pending []byte) bool) (net.Conn, bool) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	if err != nil {
		return nil, false
	}
	for _, fd := range fds {
		unix.CloseOnExec(fd)
		_ = unix.SetNonblock(fd, true)
	}
	f := os.NewFile(uintptr(fds[1]), "relay")
	defer f.Close()
	given := by(fds[0], pending)
	syscall.Close(fds[0])
	if !given {
		return nil, false
	}
	inner, err := net.FileConn(f)
	return inner, err == nil
}

// splice copies both ways between the client, whose socket is outer, and inner, and closes inner.
func (s *secure) splice(outer, inner net.Conn) {
	defer inner.Close()
	s.aside = outer
	_ = outer.SetDeadline(time.Time{})
	up := make(chan struct{})
	go func() {
		defer close(up)
		_, _ = io.Copy(inner, s.tls)
		if half, ok := inner.(*net.UnixConn); ok {
			_ = half.CloseWrite()
		}
	}()
	_, _ = io.Copy(&patient{s.tls, s.c.Settings.IO}, inner)
	_ = outer.SetDeadline(time.Now().Add(lingerTime))
	_ = (&tlsSocket{s.tls, outer}).CloseWrite()
	<-up // the client has closed, or lingerTime is over
}

// patient gives each write its time.
type patient struct {
	net.Conn
	limit time.Duration
}

func (p *patient) Write(b []byte) (int, error) {
	if p.limit > 0 {
		_ = p.SetWriteDeadline(time.Now().Add(p.limit))
	}
	return p.Conn.Write(b)
}

// tlsSocket is an encrypted connection together with its socket. It has no
// descriptor for others, who would see nothing but noise there.
type tlsSocket struct {
	*tls.Conn
	tcp net.Conn
}

// Close says goodbye if the client's socket takes it soon.
func (t *tlsSocket) Close() error {
	_ = t.tcp.SetWriteDeadline(time.Now().Add(lingerTime))
	_ = t.Conn.CloseWrite() // fails where nothing can be said any more
	return t.tcp.Close()
}

// CloseWrite ends what is sent to the client, in both layers.
func (t *tlsSocket) CloseWrite() error {
	if err := t.Conn.CloseWrite(); err != nil {
		return err
	}
	if half, ok := t.tcp.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return nil
}
