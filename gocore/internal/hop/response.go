// Response is the handler of exchanges whose sender is a goroutine that waits:
// the head as a result, the body as an io.Reader that gives credit as it is
// read, so a slow reader slows the application down.
package hop

import (
	"bytes"
	"context"
	"io"
	"sync"
)

// Response of an exchange that was begun with a nil Handler. Read and Close are
// for one goroutine.
type Response struct {
	Status int
	Length int64  // of the body; -1 not known
	Text   []byte // status line and fields, as in Head

	x    *Exchange
	stop func() bool // the context does not matter any more

	mu   sync.Mutex
	cond sync.Cond
	begun,
	ended bool
	err error        // after the bytes in buf
	buf bytes.Buffer // at most ResponseWindow bytes
}

func newResponse(x *Exchange) *Response {
	r := &Response{x: x, stop: func() bool { return true }}
	r.cond.L = &r.mu
	return r
}

// Response waits for the head. The error is a Failure, or ctx's. The exchange
// is cancelled when ctx ends before Close was called or the body was read to its end.
// Call it once; the caller closes the Response.
func (x *Exchange) Response(ctx context.Context) (*Response, error) {
	r := x.response
	r.stop = context.AfterFunc(ctx, func() { r.abort(context.Cause(ctx)) })
	r.mu.Lock()
	defer r.mu.Unlock()
	for !r.begun && !r.ended {
		r.cond.Wait()
	}
	if !r.begun {
		r.stop()
		return nil, r.err
	}
	return r, nil
}

// Read reads the body. At its end the error is io.EOF; when it broke off, a Failure.
func (r *Response) Read(b []byte) (int, error) {
	if len(b) == 0 {
		return 0, nil
	}
	r.mu.Lock()
	for r.buf.Len() == 0 && !r.ended {
		r.cond.Wait()
	}
	if r.buf.Len() == 0 {
		defer r.mu.Unlock()
		r.stop()
		return 0, r.err
	}
	n, _ := r.buf.Read(b) // there is something: no error
	r.mu.Unlock()
	r.x.Credit(n)
	return n, nil
}

// Close gives up what was not read.
func (r *Response) Close() error {
	r.stop()
	r.abort(io.ErrClosedPipe)
	return nil
}

// abort ends the exchange from this side.
func (r *Response) abort(err error) {
	r.x.Cancel()
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.ended {
		r.ended, r.err = true, err
		r.buf.Reset()
		r.cond.Broadcast()
	}
}

// Head implements Handler.
func (r *Response) Head(_ *Exchange, status int, length int64, text []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.ended {
		r.Status, r.Length, r.Text, r.begun = status, length, bytes.Clone(text), true
		r.cond.Broadcast()
	}
}

// Data implements Handler.
func (r *Response) Data(_ *Exchange, p []byte, end bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ended {
		return
	}
	r.buf.Write(p)
	if end {
		r.ended, r.err = true, io.EOF
	}
	r.cond.Broadcast()
}

// End implements Handler.
func (r *Response) End(*Exchange) { r.finish(io.EOF) }

// Fail implements Handler.
func (r *Response) Fail(_ *Exchange, f Failure) { r.finish(f) }

func (r *Response) finish(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.ended {
		r.ended, r.err = true, err
		r.cond.Broadcast()
	}
}
