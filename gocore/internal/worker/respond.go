// Responses that no application makes: files, error pages, redirects, and the
// handlers that stream. A finished response goes into the output buffer; one
// with filters, or one that a handler writes bit by bit, is written by a
// goroutine (package listen, stream.go).
package worker

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"syscall"

	"modwsgi/gocore/internal/http1"
	"modwsgi/gocore/internal/httpd"
	"modwsgi/gocore/internal/listen"
)

// way says how a response can leave.
type way bool

const (
	atOnce  way = false // into the buffer, now: the connection is about to close
	anyTime way = true  // a goroutine may write it
)

// overLimit reports whether the body that a request announces is larger than
// LimitRequestBody allows where the outcome comes from: files, too, although
// nobody reads it there.
func overLimit(q *listen.Req, out *httpd.Outcome) bool {
	if out.Request == nil || out.NoBody {
		return false
	}
	limit := out.Request.BodyLimit()
	return limit > 0 && q.Head.ContentLength > limit
}

// status answers with a status of the server's own. What it returns is for
// Route: an error document may be an application or a stream.
func (d *dispatcher) status(c *listen.Conn, q *listen.Req, host *httpd.VirtualHost, r *httpd.Request, code int, w way) listen.Action {
	out := host.Error(r, code)
	if out.Plan != nil {
		if w == anyTime && d.prepare(c, q, host, r, out) {
			return d.away(c, q, c.Tag.(*target))
		}
		out = host.Error(nil, code)
	}
	return d.respond(c, q, host, r, out, w)
}

// respond sends a finished response; its file, if any, is sent by the reactor.
func (d *dispatcher) respond(c *listen.Conn, q *listen.Req, host *httpd.VirtualHost, r *httpd.Request, out *httpd.Outcome, w way) listen.Action {
	c.Tag = &target{host: host, req: r, out: out}
	if d.ioMs != 0 { // the group's own is for its application
		q.IOTimeoutMs = int32(c.Settings.IO.Milliseconds())
	}
	if out.CloseConn || out.Stream == nil && q.BodyPending() {
		q.KeepAlive = 0
	}
	if out.Stream != nil {
		if w == atOnce {
			status := out.StatusOverride
			if status == 0 {
				status = 500
			}
			return d.respond(c, q, host, r, host.Error(nil, status), w)
		}
		q.BodyLimit = out.Request.BodyLimit()
		if q.Head.Flags&http1.FlagContentLength != 0 && overLimit(q, out) {
			return d.status(c, q, host, r, 413, w)
		}
		c.Stream = func(s *listen.Stream) { d.stream(c, q, s, host, r, out) }
		return listen.Streamed
	}
	if out.Status < 300 && q.Head.Flags&http1.FlagContentLength != 0 && q.Head.ContentLength > 0 && overLimit(q, out) {
		closeFile(out)
		return d.status(c, q, host, r, 413, w)
	}
	h := httpd.ResponseHead{Status: out.Status, Header: out.Header, ErrHeader: out.ErrHeader, Length: out.BodyLen()}
	q.Status = int32(out.Status)
	if fr := out.Request; fr != nil && fr.Hooked() {
		o, err := d.newOutput(q, host, fr, h, nil, w == anyTime)
		switch {
		case err != nil: // a page would meet the same hooks
			closeFile(out)
			out, h = &httpd.Outcome{Status: 500}, httpd.ResponseHead{Status: 500}
			q.Status = 500
		case len(o.filters) > 0:
			c.Stream = func(s *listen.Stream) { d.streamFinished(q, s, o, out) }
			return listen.Streamed
		default:
			h = o.head
		}
	} else {
		takeFraming(q, &h)
	}
	b := d.appendHead(make([]byte, 0, 512+len(out.Body)), q, &h, nil, false)
	if host.LogsResponse {
		d.mem.Keep(q, b)
	}
	if !isHEAD(q) && !h.NoBody() {
		b = append(b, out.Body...)
		q.SentBody = out.BodyLen()
		if out.File != nil && q.SentBody > int64(len(out.Body)) {
			if fd, err := syscall.Dup(int(out.File.Fd())); err == nil {
				syscall.CloseOnExec(fd)
				q.FileFD, q.FileOff, q.FileLeft = int32(fd), out.FileOff, out.FileLen
				for _, p := range out.Parts {
					c.Parts = append(c.Parts, listen.Part(p))
				}
			} else {
				q.KeepAlive, q.SentBody = 0, int64(len(out.Body)) // the client sees a short body
			}
		}
	}
	closeFile(out)
	d.mem.Append(q, b)
	return listen.Respond
}

func closeFile(out *httpd.Outcome) {
	if out.File != nil {
		out.File.Close()
		out.File = nil
	}
}

// streamFinished sends a finished response through its filters.
func (d *dispatcher) streamFinished(q *listen.Req, s *listen.Stream, o *output, out *httpd.Outcome) {
	defer o.abandon()
	defer closeFile(out)
	o.put = putStream(s)
	body := out.BodyReader()
	buf := make([]byte, holdMax)
	var err error
	for err == nil {
		n, e := body.Read(buf)
		err = o.write(buf[:n])
		if e != nil { // the end, or what shows as a short body
			break
		}
	}
	if err == nil {
		err = o.end()
	}
	q.SentBody = o.sent
	d.streamFailed(q, o, err)
}

func putStream(s *listen.Stream) func([]byte) error {
	return func(p []byte) error {
		_, err := s.Write(p)
		return err
	}
}

// streamFailed makes a response that broke visible to client and log.
func (d *dispatcher) streamFailed(q *listen.Req, o *output, err error) {
	if err == nil {
		return
	}
	o.cut()
	q.KeepAlive, q.Result = 0, listen.ResultCut
	var ne net.Error
	if q.Aborted == 0 && !errors.As(err, &ne) {
		d.w.logf(levelErr, "core", "WSGI0319: response broke off: %v", err)
	}
}

// streamWriter is the httpd.StreamWriter of one response.
type streamWriter struct {
	d        *dispatcher
	c        *listen.Conn
	q        *listen.Req
	s        *listen.Stream
	host     *httpd.VirtualHost
	r        *httpd.Request // final
	out      *httpd.Outcome
	o        *output
	hijacked bool
}

var (
	errNoHead   = errors.New("write before WriteHead")
	errTwice    = errors.New("WriteHead was called before")
	errHijacked = errors.New("the connection was hijacked")
)

// stream runs a handler that writes its response itself.
func (d *dispatcher) stream(c *listen.Conn, q *listen.Req, s *listen.Stream, host *httpd.VirtualHost, r *httpd.Request, out *httpd.Outcome) {
	w := &streamWriter{d: d, c: c, q: q, s: s, host: host, r: out.Request, out: out}
	defer func() {
		if w.o != nil {
			w.o.abandon() // after a panic
		}
	}()
	if !out.NoBody {
		body := io.Reader(requestBody{s.Body()})
		if f := w.r.InputFilter(); f != nil {
			body = f(body)
		}
		w.r.SetBody(body)
	}
	err := out.Stream(w)
	switch {
	case w.hijacked:
		return
	case w.o == nil && q.Aborted == 0: // nothing was sent
		status := 502
		var se *httpd.StatusError
		if errors.As(err, &se) {
			status = se.Status
		} else if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, os.ErrDeadlineExceeded) {
			status = 504
		}
		if out.StatusOverride != 0 { // the page of an error could not be made
			status = out.StatusOverride
		}
		if err == nil {
			err = errors.New("the handler wrote no response")
		}
		w.r.Logf(httpd.LevelError, "core", "no response for %s: %v", w.r.URI, err)
		d.status(c, q, host, w.r, status, atOnce)
		return
	case w.o == nil:
		return
	case err == nil:
		err = w.o.end()
	}
	q.SentBody = w.o.sent
	d.streamFailed(q, w.o, err)
	q.SentBody = w.o.sent
}

// WriteHead implements httpd.StreamWriter.
func (w *streamWriter) WriteHead(status int, header []httpd.Field) error {
	switch {
	case w.hijacked:
		return errHijacked
	case w.o != nil:
		return errTwice
	case status == 101:
		return w.switchProtocols(header)
	case status/100 == 1:
		return nil // informational: nothing here needs them passed on
	case status == 200 && w.out.StatusOverride != 0:
		status = w.out.StatusOverride
	}
	h := httpd.ResponseHead{Status: status, Length: -1}
	drop := httpd.ConnectionFields(header)
	for _, f := range header {
		if !drop[strings.ToLower(f.Name)] {
			h.Header = append(h.Header, f)
		}
	}
	addFields(&h, w.out)
	if w.s.BodyPending() {
		w.q.KeepAlive = 0
	}
	o, err := w.d.newOutput(w.q, w.host, w.r, h, nil, true)
	if err != nil {
		return &httpd.StatusError{Status: 500, Err: err}
	}
	o.put = putStream(w.s)
	w.o = o
	return nil
}

// switchProtocols sends a 101 as it is; Hijack follows.
func (w *streamWriter) switchProtocols(header []httpd.Field) error {
	b := http1.AppendStatusLine(nil, true, 101)
	for _, f := range header {
		b = appendField(b, f.Name, f.Value)
	}
	w.q.Status, w.q.KeepAlive = 101, 0
	if w.host.LogsResponse {
		w.d.mem.Keep(w.q, b)
	}
	_, err := w.s.Write(append(b, "\r\n"...))
	return err
}

// Write implements httpd.StreamWriter.
func (w *streamWriter) Write(p []byte) (int, error) {
	switch {
	case w.hijacked:
		return 0, errHijacked
	case w.o == nil:
		return 0, errNoHead
	}
	if err := w.o.write(p); err != nil {
		return 0, err
	}
	return len(p), nil
}

// Flush implements httpd.StreamWriter.
func (w *streamWriter) Flush() error {
	switch {
	case w.hijacked:
		return errHijacked
	case w.o == nil:
		return errNoHead
	}
	return w.o.flush()
}

// Hijack implements httpd.StreamWriter.
func (w *streamWriter) Hijack() (net.Conn, []byte, error) {
	if w.hijacked || w.o != nil {
		return nil, nil, errTwice
	}
	w.hijacked = true
	if w.q.Status == 0 {
		w.q.Status = 101
	}
	conn, rest := w.s.Hijack()
	return conn, rest, nil
}

// Context implements httpd.StreamWriter.
func (w *streamWriter) Context() context.Context { return w.s.Context() }

// requestBody gives the errors of a body the statuses that answer them.
type requestBody struct{ r io.Reader }

func (b requestBody) Read(p []byte) (int, error) {
	n, err := b.r.Read(p)
	switch {
	case errors.Is(err, listen.ErrBodyTooLarge):
		err = &httpd.StatusError{Status: 413, Err: err}
	case errors.Is(err, listen.ErrBodyTimeout):
		err = &httpd.StatusError{Status: 408, Err: err}
	case errors.Is(err, listen.ErrBodyFraming):
		err = &httpd.StatusError{Status: 400, Err: err}
	}
	return n, err
}

var _ httpd.StreamWriter = (*streamWriter)(nil)
