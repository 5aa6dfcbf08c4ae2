// Requests that are forwarded by a goroutine of their own (front.go): their
// response passes hooks and filters, or their body is still coming.
package worker

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"sync"

	"modwsgi/gocore/internal/hop"
	"modwsgi/gocore/internal/http1"
	"modwsgi/gocore/internal/httpd"
	"modwsgi/gocore/internal/listen"
	"modwsgi/gocore/internal/python"
)

// relayed is the response of such a request on its way from the pool's
// goroutine to the request's: hop.Handler.
type relayed struct {
	mu      sync.Mutex
	wake    chan struct{}
	begun   bool
	status  int
	length  int64
	text    string
	data    []byte
	ended   bool
	failure *hop.Failure
	upload  error // of the request's body
}

func (r *relayed) change(f func()) {
	r.mu.Lock()
	f()
	r.mu.Unlock()
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// Head implements hop.Handler.
func (r *relayed) Head(_ *hop.Exchange, status int, length int64, text []byte) {
	r.change(func() { r.begun, r.status, r.length, r.text = true, status, length, string(text) })
}

// Data implements hop.Handler.
func (r *relayed) Data(_ *hop.Exchange, p []byte, end bool) {
	r.change(func() { r.data, r.ended = append(r.data, p...), end })
}

// End implements hop.Handler.
func (r *relayed) End(*hop.Exchange) { r.change(func() { r.ended = true }) }

// Fail implements hop.Handler.
func (r *relayed) Fail(_ *hop.Exchange, f hop.Failure) {
	r.change(func() { r.ended, r.failure = true, &f })
}

// ForwardStream implements listen.Forwarder.
func (d *dispatcher) ForwardStream(c *listen.Conn, q *listen.Req) func(*listen.Stream) {
	return func(s *listen.Stream) { d.relay(c, q, s) }
}

// relay runs the request of the connection's target in another process.
func (d *dispatcher) relay(c *listen.Conn, q *listen.Req, s *listen.Stream) {
	for depth := 0; ; depth++ {
		t := c.Tag.(*target).own(c)
		code := d.relayOnce(c, q, s, t)
		if code == 0 {
			return
		}
		t = c.Tag.(*target) // with what the response that is replaced leaves
		r := d.finalRequest(c, q, t)
		r.ErrOut = append(r.ErrOut, t.override...)
		switch d.answerFailure(c, q, t, r, code, way(depth == 0)) {
		case listen.Respond:
			return
		case listen.Streamed, listen.Forward:
			if n, ok := c.Tag.(*target); ok && n.pool != nil {
				c.Stream = nil
				continue
			}
			write := c.Stream
			c.Stream = nil
			write(s)
			return
		default: // an application of this process: no Python here
			d.answerFailure(c, q, t, r, code, atOnce)
			return
		}
	}
}

// relayOnce is 0 when there is a response, else the status of what went wrong.
func (d *dispatcher) relayOnce(c *listen.Conn, q *listen.Req, s *listen.Stream, t *target) int {
	m := hopRequest(c, q, t)
	head, body := c.Message()
	m.Head = head
	upload := d.relayBody(q, s, t, &m, body)
	r := &relayed{wake: make(chan struct{}, 1)}
	x := t.pool.Do(&m, r, false)
	if upload != nil {
		go func() {
			if err := send(x, upload); err != nil {
				r.change(func() { r.upload = err })
			}
		}()
	}
	var o *output
	defer func() {
		if o != nil {
			o.abandon()
		}
	}()
	for {
		r.mu.Lock()
		data, begun, ended, failure, bad := r.data, r.begun, r.ended, r.failure, r.upload
		r.data = nil
		r.mu.Unlock()
		if bad != nil && o == nil && x.Cancel() {
			return uploadFailed(q, bad)
		}
		if bad != nil && !ended && x.Cancel() { // the application waits for the rest of the body
			d.streamFailed(q, o, fmt.Errorf("the request's body: %w", bad))
			break
		}
		// Not before there is some of the body: a response that fails without any can still be another one.
		if o == nil && begun && (len(data) > 0 || ended && failure == nil) {
			var code int
			if o, code = d.relayHead(c, q, s, t, r); o == nil {
				x.Cancel()
				return code
			}
		}
		if o != nil && len(data) > 0 {
			if err := o.write(data); err != nil {
				x.Cancel()
				d.streamFailed(q, o, err)
				break
			}
			x.Credit(len(data))
		}
		if ended {
			if x.Logged() {
				q.Logged = 1
			}
			switch {
			case o == nil && failure.Kind == hop.App && failure.Status == 504: // as forward.failed
				d.respond(c, q, t.host, d.finalRequest(c, q, t), &httpd.Outcome{Status: 504, Request: d.finalRequest(c, q, t)}, atOnce)
				return 0
			case o == nil:
				return d.failure(q, d.finalRequest(c, q, t), t, failure)
			case failure != nil:
				d.streamFailed(q, o, failure)
			default:
				d.streamFailed(q, o, o.end())
			}
			break
		}
		select {
		case <-r.wake:
		case <-s.Context().Done():
			x.Cancel()
			q.Aborted, q.Result, q.KeepAlive = 1, listen.ResultCut, 0
			if o != nil {
				q.SentBody = o.sent
			}
			return 0
		}
	}
	q.SentBody = o.sent
	return 0
}

// relayBody puts into m what is known of the request's body, which is body if
// it was buffered; what it returns, if not nil, is still to be read.
func (d *dispatcher) relayBody(q *listen.Req, s *listen.Stream, t *target, m *hop.Request, body []byte) io.Reader {
	if m.Flags&hopNoBody != 0 {
		return nil
	}
	if s.Consumed() { // it is complete in the buffer
		m.Body, m.Chunked = body, q.Head.Flags&http1.FlagChunked != 0
		m.BodyLen = int64(len(body))
		return nil
	}
	q.BodyLimit = 0 // the process that runs the application looks after it
	if f := inputFilter(t.out); f != nil {
		return filtered(f(requestBody{s.Body()}), m)
	}
	switch {
	case q.Head.Flags&http1.FlagChunked != 0:
		m.BodyLen, m.Chunked = -1, true
	case q.Head.Flags&http1.FlagContentLength != 0 && q.Head.ContentLength > 0:
		m.BodyLen = q.Head.ContentLength
		if !s.BodyPending() {
			m.Body = make([]byte, m.BodyLen)
			if _, err := io.ReadFull(s.Body(), m.Body); err == nil {
				return nil
			}
		}
	default:
		return nil
	}
	return requestBody{s.Body()}
}

// filtered is what is left of a body that input filters change, when as much
// as input of input.go would decode at once is in m.
func filtered(body io.Reader, m *hop.Request) io.Reader {
	extra := append([]byte(nil), m.Extra...)
	first, err := io.ReadAll(io.LimitReader(body, decodedMax))
	if err == nil && len(first) < decodedMax {
		m.Body, m.BodyLen = first, int64(len(first))
		m.Extra = python.AppendSet(extra, "CONTENT_LENGTH", strconv.Itoa(len(first)))
		return nil
	}
	m.BodyLen, m.Chunked = -1, true
	m.Extra = python.AppendDelete(extra, "CONTENT_LENGTH")
	if err != nil {
		body = failing{err}
	}
	return io.MultiReader(bytes.NewReader(first), body)
}

// send sends a request's body; an error is the client's.
func send(x *hop.Exchange, body io.Reader) error {
	buf := make([]byte, holdMax)
	for {
		n, err := body.Read(buf)
		if n > 0 && x.Body(buf[:n], false) != nil {
			return nil //nolint:nilerr // nobody wants the rest
		}
		if err == io.EOF {
			_ = x.Body(nil, true)
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// uploadFailed is the status for a request whose body did not come.
func uploadFailed(q *listen.Req, err error) int {
	q.KeepAlive = 0
	var se *httpd.StatusError
	if errors.As(err, &se) {
		return se.Status
	}
	return 400
}

// relayHead makes the response's head; nil: the status that takes its place.
func (d *dispatcher) relayHead(c *listen.Conn, q *listen.Req, s *listen.Stream, t *target, r *relayed) (*output, int) {
	line, fields, _ := strings.Cut(r.text, "\r\n")
	h := httpd.ResponseHead{Status: r.status, Length: r.length}
	if r.status < 200 { // as in forward.head
		q.KeepAlive = 0
	}
	if isHEAD(q) && h.Length == 0 {
		h.Length = -1 // Content-Length is among the fields if it is known
	}
	for fields != "" {
		var f string
		f, fields, _ = strings.Cut(fields, "\r\n")
		name, value, _ := strings.Cut(f, ":")
		h.Header = append(h.Header, httpd.Field{Name: name, Value: strings.Trim(value, " \t")})
	}
	override := t.out != nil && t.out.StatusOverride != 0
	if t.overridden(&h) {
		return nil, h.Status
	}
	status := []byte("HTTP/1.1 " + line + "\r\n")
	if override {
		h.Status, status = t.out.StatusOverride, nil
	}
	addFields(&h, t.out)
	if s.BodyPending() {
		q.KeepAlive = 0
	}
	var hooked *httpd.Request
	if t.plan.Hooked() {
		hooked = d.finalRequest(c, q, t)
	}
	o, err := d.newOutput(q, t.host, hooked, h, status, true)
	if err != nil {
		return nil, 500
	}
	o.put = putStream(s)
	return o, 0
}

var _ hop.Handler = (*relayed)(nil)
