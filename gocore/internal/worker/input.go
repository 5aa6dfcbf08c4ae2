// Request bodies that pass input filters (SetInputFilter) on their way to an
// application. C reads the body as it was sent; here it is decoded, and C asks
// for the result (python/input.c). A body that was complete before the
// application is called, and decodes to no more than decodedMax bytes, is
// decoded at once, so that the application has its CONTENT_LENGTH: many read no
// body without one.
package worker

import (
	"bytes"
	"errors"
	"io"
	"runtime/debug"
	"strconv"
	"syscall"
	"unsafe"

	"modwsgi/gocore/internal/http1"
	"modwsgi/gocore/internal/httpd"
	"modwsgi/gocore/internal/listen"
	"modwsgi/gocore/internal/python"
)

// decodedMax bounds the memory, in bytes, of a body that is decoded at once.
const decodedMax = 1 << 20

// inputFilter is what the body of the outcome's request passes; nil: nothing.
func inputFilter(out *httpd.Outcome) func(io.Reader) io.Reader {
	if out == nil || out.NoBody || out.Request == nil {
		return nil
	}
	return out.Request.InputFilter()
}

// input is the body of the outcome's request as the application shall see it,
// nil if it is as it was sent. Called on a Python thread.
func (d *dispatcher) input(q *listen.Req, out *httpd.Outcome) io.Reader {
	filter := inputFilter(out)
	if filter == nil {
		return nil
	}
	body := filter(requestBody{python.BodyReader(unsafe.Pointer(q))})
	complete := q.StreamLeft == 0
	if q.Head.Flags&http1.FlagChunked == 0 {
		complete = q.BodyLen == uint64(q.Head.ContentLength)
	}
	x := append([]byte(nil), q.ExtraBytes()...)
	if !complete {
		d.mem.SetExtra(q, python.AppendDelete(x, "CONTENT_LENGTH"))
		return body
	}
	first, err := io.ReadAll(io.LimitReader(body, decodedMax))
	switch {
	case err != nil: // the application's reading finds it again
		x, body = python.AppendDelete(x, "CONTENT_LENGTH"), io.MultiReader(bytes.NewReader(first), failing{err})
	case len(first) == decodedMax:
		x, body = python.AppendDelete(x, "CONTENT_LENGTH"), io.MultiReader(bytes.NewReader(first), body)
	default:
		x, body = python.AppendSet(x, "CONTENT_LENGTH", strconv.Itoa(len(first))), bytes.NewReader(first)
	}
	d.mem.SetExtra(q, x)
	return body
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

// Input implements python.Hooks.
func (h *hookedCall) Input(p []byte) (n int, errno syscall.Errno) {
	errno = syscall.EIO
	defer func() {
		if e := recover(); e != nil {
			h.d.w.panicked(h.c, e, debug.Stack())
		}
	}()
	for {
		n, err := h.body.Read(p)
		var status *httpd.StatusError
		switch {
		case n > 0:
			return n, 0
		case err == nil:
			continue
		case err == io.EOF:
			return 0, 0
		case errors.As(err, &errno):
			return 0, errno
		case errors.As(err, &status) && status.Status == 413:
			errno = syscall.EFBIG
		case errors.As(err, &status) && status.Status == 400:
			errno = syscall.EPROTO
		}
		h.d.finalRequest(h.c, h.q, h.t).Logf(httpd.LevelError, "deflate", "%v", err)
		return 0, errno
	}
}
