//go:build linux || darwin || freebsd

// Request bodies that do not fit into the frame of their request: they come in
// frames of their own while the application reads, as far as it has been given
// credit for.
package listen

import (
	"encoding/binary"
	"errors"
	"net"
	"os"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"modwsgi/gocore/internal/hop"
)

// hopBody brings a request's body that did not fit into its frame to the C
// side, which reads from a socket: a pair of which it has one end. A body of
// unknown length travels in chunks there, as the C side finds its end so.
type hopBody struct {
	h       *hopConn
	p       *Hop // until close
	id      uint32
	fd      int // C's end
	conn    net.Conn
	chunked bool
	started bool       // credit was given: the application may have seen the request
	turn    *sync.Cond // of hopConn.mu
	in      [][]byte
	window  int64 // that the front has been given and not used
	end     bool
	over    bool
}

func newHopBody(p *Hop, chunked bool) (*hopBody, error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	if err != nil {
		return nil, err
	}
	for _, fd := range fds {
		unix.CloseOnExec(fd)
		_ = unix.SetNonblock(fd, true)
	}
	f := os.NewFile(uintptr(fds[1]), "request body")
	conn, err := net.FileConn(f)
	f.Close()
	if err != nil {
		syscall.Close(fds[0])
		return nil, err
	}
	p.h.s.hopTrack(fds[0], true)
	b := &hopBody{h: p.h, p: p, id: p.id, fd: fds[0], conn: conn, chunked: chunked, turn: sync.NewCond(&p.h.mu), window: hopBodyWindow}
	go b.pump()
	return b, nil
}

// untouched: the application cannot have seen anything of the request.
func (b *hopBody) untouched() bool { return b == nil || !b.started }

// received takes a Body frame. mu held.
func (p *Hop) received(payload []byte, end bool) error {
	b := p.body
	if p.unread { // sent before the front knew
		return nil
	}
	if b == nil || b.end {
		return errors.New("a body after its end")
	}
	if b.window -= int64(len(payload)); b.window < 0 || !b.started {
		return errors.New("more of a body than there was credit for")
	}
	if len(payload) > 0 {
		b.in = append(b.in, append([]byte(nil), payload...))
	}
	b.end = end
	b.turn.Signal()
	return nil
}

// abort lets the application see that the body does not come. mu held.
func (b *hopBody) abort() {
	if b != nil && !b.over {
		b.over = true
		b.turn.Signal()
		b.conn.SetWriteDeadline(time.Unix(1, 0))
	}
}

// close ends the pair. By the owner of the stream, who knows that C is done with it.
func (b *hopBody) close() {
	b.h.mu.Lock()
	b.abort()
	b.h.mu.Unlock()
	b.h.s.hopTrack(b.fd, false)
	syscall.Close(b.fd)
}

// pump writes the body into the pair, and gives credit for what was taken.
func (b *hopBody) pump() {
	defer b.conn.Close()
	h, id := b.h, b.id
	var frame []byte
	for {
		h.mu.Lock()
		for len(b.in) == 0 && !b.end && !b.over {
			b.turn.Wait()
		}
		over, end := b.over, b.end && len(b.in) == 0
		var p []byte
		if len(b.in) > 0 {
			p, b.in = b.in[0], b.in[1:]
		}
		h.mu.Unlock()
		if over {
			return
		}
		if end {
			if b.chunked {
				_, _ = b.conn.Write([]byte("0\r\n\r\n")) // nobody reads it: fine
			}
			return
		}
		if frame = p; b.chunked {
			frame = appendChunk(frame[len(frame):], p)
		}
		if _, err := b.conn.Write(frame); err != nil {
			return
		}
		h.mu.Lock()
		if !b.over && !b.end && !h.dead && b.p.open { // its response may be complete without it
			b.window += int64(len(p))
			h.out = hop.AppendCredit(h.out, id, uint32(len(p)))
			h.send()
		}
		h.mu.Unlock()
	}
}

func appendChunk(dst, p []byte) []byte {
	const digits = "0123456789abcdef"
	var size [4]byte
	binary.BigEndian.PutUint32(size[:], uint32(len(p)))
	for _, b := range size {
		dst = append(dst, digits[b>>4], digits[b&15])
	}
	dst = append(dst, '\r', '\n')
	return append(append(dst, p...), '\r', '\n')
}
