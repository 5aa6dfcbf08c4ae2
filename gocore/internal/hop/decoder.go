// Decoder turns a stream of bytes into frames. It does no I/O itself, so that
// an epoll reactor can use it as well as a goroutine; Reader adds the reads.
package hop

import (
	"errors"
	"io"
)

// Side names the sender of what a Decoder reads.
type Side uint8

// Sides.
const (
	FromFront Side = iota
	FromDaemon
)

// String is the name for messages.
func (s Side) String() string {
	if s == FromFront {
		return "front"
	}
	return "daemon"
}

const (
	decoderStart = 64 << 10 // of the buffer; many small frames fit
	decoderKeep  = 1 << 20  // a larger buffer is given up after its frame
	decoderMin   = 4 << 10  // room that Space gives at least
)

// Decoder has one buffer, in which the frames stay. The zero value is ready
// and reads what a front sends. Not safe for several goroutines.
//
//	for {
//		n := read(socket, d.Space())
//		d.Filled(n)
//		for {
//			f, ok, err := d.Next()
//			if err != nil { close the connection }
//			if !ok { break }
//			...
//		}
//	}
type Decoder struct {
	From Side
	buf  []byte
	r, w int
	need int // bytes of the frame at r; 0 unknown
	err  error
}

// Space is where the next bytes are to be received; never empty. Frames that
// Next returned before are not valid any more.
func (d *Decoder) Space() []byte {
	if d.r == d.w {
		d.r, d.w = 0, 0
		if len(d.buf) > decoderKeep { // a large Request is done: its memory is not kept for the small ones
			d.buf = nil
		}
	}
	if d.buf == nil {
		d.buf = make([]byte, decoderStart)
	}
	if room := len(d.buf) - d.w; room < decoderMin || d.need > len(d.buf)-d.r {
		if d.r > 0 {
			d.w = copy(d.buf, d.buf[d.r:d.w])
			d.r = 0
		}
		// Grows with what has arrived, not to what the header claims: who says
		// 16 MiB has to send them.
		if len(d.buf)-d.w < decoderMin {
			size := 2 * len(d.buf)
			if d.need > 0 {
				size = min(size, max(d.need, d.w+decoderMin))
			}
			b := make([]byte, size)
			copy(b, d.buf[:d.w])
			d.buf = b
		}
	}
	return d.buf[d.w:]
}

// Filled says that n bytes of Space are there.
func (d *Decoder) Filled(n int) { d.w += n }

// Feed is Space and Filled for bytes that are elsewhere.
func (d *Decoder) Feed(p []byte) {
	for len(p) > 0 {
		n := copy(d.Space(), p)
		d.Filled(n)
		p = p[n:]
	}
}

// Next gives the next frame that is complete; ok is false when there is none
// yet. The header is checked as soon as it is there. An error wraps ErrProtocol
// and stays: nothing after it can be understood.
func (d *Decoder) Next() (f Frame, ok bool, err error) {
	have := d.w - d.r
	if have < HeaderSize || have < d.need {
		return f, false, d.err
	}
	if d.err != nil {
		return f, false, d.err
	}
	f, n, err := parseHeader(d.buf[d.r:], d.From)
	if err != nil {
		d.err = err
		return f, false, err
	}
	if d.need = HeaderSize + n; have < d.need {
		return Frame{}, false, nil
	}
	start := d.r + HeaderSize
	f.Payload = d.buf[start : start+n : start+n]
	d.r += d.need
	d.need = 0
	return f, true, nil
}

// Buffered is the number of bytes that Next has not returned: not 0 at the end
// of the stream means that it ended in the middle of a frame.
func (d *Decoder) Buffered() int { return d.w - d.r }

// Reader yields the frames of a connection.
type Reader struct {
	Decoder
	in io.Reader
}

// NewReader reads from in what from sends.
func NewReader(in io.Reader, from Side) *Reader {
	return &Reader{Decoder: Decoder{From: from}, in: in}
}

// Fill reads once, as much as the connection has and the buffer takes. At the
// end of the stream in the middle of a frame the error is io.ErrUnexpectedEOF.
func (r *Reader) Fill() error {
	n, err := r.in.Read(r.Space())
	r.Filled(n)
	if n > 0 {
		return nil // an error comes again
	}
	if errors.Is(err, io.EOF) && r.Buffered() > 0 {
		return io.ErrUnexpectedEOF
	}
	return err
}

// Frame gives the next frame, and reads until there is one.
func (r *Reader) Frame() (Frame, error) {
	for {
		f, ok, err := r.Next()
		if ok || err != nil {
			return f, err
		}
		if err := r.Fill(); err != nil {
			return f, err
		}
	}
}
