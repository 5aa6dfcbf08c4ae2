// What a handler sees that writes its response itself, off the reactor's
// threads: the request's body and the writer of the response.
package httpd

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
)

// StreamWriter takes a response from an Outcome.Stream. One goroutine calls
// its methods. Time-outs (Timeout) and the client's leaving show as errors of
// Write and Flush.
type StreamWriter interface {
	// WriteHead sends the head. A Content-Length among the fields is the
	// length of the body, and the body must have it; fields that belong to one
	// connection (RFC 9110 section 7.6.1) are dropped. The response hooks and
	// filters of the configuration apply. Once per response.
	WriteHead(status int, header []Field) error
	// Write sends part of the body; small parts are gathered for a moment.
	Write(p []byte) (int, error)
	// Flush sends what was gathered.
	Flush() error
	// Hijack gives the connection away, for protocols that follow an upgrade.
	// The bytes were received after the request already. Nothing but what the
	// handler writes to the connection is sent; it must close it. The response
	// counts as finished when Stream returns.
	Hijack() (net.Conn, []byte, error)
	// Context ends when a write failed, when the process stops, and, as soon as
	// the system tells, when the client reset its connection.
	Context() context.Context
}

// StatusError is an error that names the status to answer with.
type StatusError struct {
	Status int
	Err    error
}

func (e *StatusError) Error() string {
	if e.Err == nil {
		return fmt.Sprintf("%d %s", e.Status, http.StatusText(e.Status))
	}
	return e.Err.Error()
}

func (e *StatusError) Unwrap() error { return e.Err }

// Body is the request's body, decoded from its transfer coding; only inside
// Outcome.Stream, else empty. It ends with io.EOF, with a StatusError 413 over
// LimitRequestBody, 408 when it comes too slowly, 400 when its framing is
// broken. A 100 (Continue) is sent with the first Read if the client asked.
func (r *Request) Body() io.Reader {
	if r.body == nil {
		return strings.NewReader("")
	}
	return r.body
}

// SetBody is called by whoever runs the Stream.
func (r *Request) SetBody(b io.Reader) { r.body = b }

// SpoolBody reads the body into a file without a name, to learn its length
// before it is passed on. The caller closes the file. Only inside
// Outcome.Stream; an error of the body is Body's, others are a StatusError 500.
func (r *Request) SpoolBody() (f *os.File, n int64, err error) {
	broken := func(err error) error { return &StatusError{Status: http.StatusInternalServerError, Err: err} }
	if f, err = os.CreateTemp("", "modwsgi-body-"); err != nil {
		return nil, 0, broken(err)
	}
	os.Remove(f.Name())
	if n, err = io.Copy(f, r.Body()); err == nil {
		if _, err = f.Seek(0, io.SeekStart); err != nil {
			err = broken(err)
		}
	}
	if err != nil {
		f.Close()
		return nil, 0, err
	}
	return f, n, nil
}

// BodyLimit is LimitRequestBody for the request, 0 for none.
func (r *Request) BodyLimit() int64 { return r.m.core.LimitRequestBody.Or(1 << 30) }
