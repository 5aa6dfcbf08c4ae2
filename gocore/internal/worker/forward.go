// Requests that are forwarded without a goroutine of their own (front.go).
//
//	state     | event                         | next
//	away      | head and whole body in a batch | complete: written at the batch's end
//	away      | part of the body              | streaming: a goroutine writes what comes
//	away      | no response                   | complete, with an error page
//	away      | the client is gone            | complete, nothing to write
//	streaming | end, failure, client gone     | complete
package worker

import (
	"bytes"
	"runtime/debug"
	"strconv"
	"sync"

	"modwsgi/gocore/internal/hop"
	"modwsgi/gocore/internal/http1"
	"modwsgi/gocore/internal/httpd"
	"modwsgi/gocore/internal/listen"
)

// forward is one such request: hop.Handler. mu guards its fields; the
// connection is owned by it until it is resumed.
type forward struct {
	d *dispatcher
	c *listen.Conn
	q *listen.Req
	t *target

	mu        sync.Mutex
	x         *hop.Exchange
	away      listen.Away
	out       []byte  // of the response, as the client gets it
	buf       *[]byte // where it began, for the next forward
	unsent    int     // bytes of body in out
	sent      int64   // bytes of body in all
	headLen   int
	chunked   bool
	nobody    bool
	begun     bool // there is a head
	ended     bool // nothing more comes
	streaming bool // a goroutine writes
	failure   *hop.Failure
	wake      chan struct{}
}

// outs are buffers for responses that are written in one piece.
var outs = sync.Pool{New: func() any { b := make([]byte, 0, 1<<10); return &b }}

const outKeep = 64 << 10 // larger buffers are not kept

// Forward implements listen.Forwarder.
func (d *dispatcher) Forward(c *listen.Conn, q *listen.Req, more bool) {
	t := c.Tag.(*target)
	if t.hooked {
		c.Stream = d.ForwardStream(c, q)
		d.front.resumer.Resume(c, listen.Streamed)
		return
	}
	f := &forward{d: d, c: c, q: q, t: t}
	f.away.Gone, f.away.GaveUp = f.gone, f.gaveUp
	m := hopRequest(c, q, t)
	head, body := c.Message()
	if m.Head = head; m.Flags&hopNoBody == 0 {
		m.Body, m.BodyLen, m.Chunked = body, int64(len(body)), q.Head.Flags&http1.FlagChunked != 0
	}
	f.mu.Lock()
	f.x = t.pool.Do(&m, f, more)
	c.SetAway(&f.away)
	f.mu.Unlock()
}

// Head implements hop.Handler.
func (f *forward) Head(_ *hop.Exchange, status int, length int64, text []byte) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.ended { // gone was faster: request and connection are somebody else's
		return
	}
	f.begun = true
	if f.buf == nil {
		f.buf = outs.Get().(*[]byte)
		f.out = (*f.buf)[:0]
	}
	f.out = f.head(f.out, status, length, text)
	f.headLen = len(f.out)
}

// head appends the response's head: what the application gave, framed for the client.
func (f *forward) head(b []byte, status int, length int64, text []byte) []byte {
	q := f.q
	q.Status = int32(status)
	if status < 200 { // whoever asked goes on waiting for the final response
		q.KeepAlive = 0
	}
	line, fields := hop.StatusLine(text)
	b = append(append(append(b, "HTTP/1.1 "...), line...), "\r\n"...)
	f.nobody = isHEAD(q) || (&httpd.ResponseHead{Status: status}).NoBody()
	date, server := false, false
	for {
		name, value, rest, ok := hop.NextField(fields)
		if !ok {
			break
		}
		fields = rest
		switch len(name) { // the few that concern the connection, or that we add
		case len("Date"):
			date = date || bytes.EqualFold(name, []byte("Date"))
		case len("Server"):
			server = server || bytes.EqualFold(name, []byte("Server"))
		case len("Connection"): // and Keep-Alive
			if bytes.EqualFold(name, []byte("Connection")) {
				if bytes.EqualFold(value, []byte("close")) {
					q.KeepAlive = 0
				}
				continue
			}
			if bytes.EqualFold(name, []byte("Keep-Alive")) {
				continue
			}
		case len("Content-Length"):
			if bytes.EqualFold(name, []byte("Content-Length")) {
				if n, err := strconv.ParseInt(string(value), 10, 64); err == nil && n >= 0 && f.nobody {
					length = n
				}
				continue
			}
		case len("Transfer-Encoding"):
			if bytes.EqualFold(name, []byte("Transfer-Encoding")) {
				continue
			}
		}
		b = append(append(append(append(b, name...), ": "...), value...), "\r\n"...)
	}
	if !date {
		b = http1.AppendDate(b, &f.d.date)
	}
	if !server {
		b = appendField(b, "Server", f.d.w.srv.Software)
	}
	http11 := q.Head.Flags&http1.FlagHTTP11 != 0
	switch {
	case f.nobody && (!isHEAD(q) || length < 0 || length == 0 && !bytes.Contains(text, []byte("Content-Length"))):
	case length >= 0:
		b = append(strconv.AppendInt(append(b, "Content-Length: "...), length, 10), "\r\n"...)
	case http11:
		f.chunked = true
		b = append(b, "Transfer-Encoding: chunked\r\n"...)
	default:
		q.KeepAlive = 0
	}
	if q.KeepAlive == 0 {
		b = append(b, "Connection: close\r\n"...)
	} else if !http11 {
		b = append(b, "Connection: keep-alive\r\n"...)
	}
	return append(b, "\r\n"...)
}

// Data implements hop.Handler.
func (f *forward) Data(_ *hop.Exchange, p []byte, end bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.ended {
		return
	}
	f.unsent += len(p)
	switch {
	case f.nobody || len(p) == 0:
	case f.chunked:
		f.out = strconv.AppendInt(f.out, int64(len(p)), 16)
		f.out = append(append(append(f.out, "\r\n"...), p...), "\r\n"...)
		f.sent += int64(len(p))
	default:
		f.out = append(f.out, p...)
		f.sent += int64(len(p))
	}
	if end {
		f.end(nil)
		return
	}
	if f.streaming {
		f.signal()
		return
	}
	f.d.front.note(&f.d.front.begun, f)
}

// End implements hop.Handler.
func (f *forward) End(*hop.Exchange) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.end(nil)
}

// Fail implements hop.Handler.
func (f *forward) Fail(_ *hop.Exchange, failure hop.Failure) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.end(&failure)
}

// end is called once: nothing more comes. mu held.
func (f *forward) end(failure *hop.Failure) {
	if f.ended {
		return
	}
	f.ended, f.failure = true, failure
	if f.x != nil && f.x.Logged() {
		f.q.Logged = 1
	}
	if f.chunked && failure == nil {
		f.out = append(f.out, "0\r\n\r\n"...)
	}
	if f.streaming {
		f.signal()
		return
	}
	f.d.front.note(&f.d.front.complete, f)
}

func (f *forward) signal() {
	select {
	case f.wake <- struct{}{}:
	default:
	}
}

// gone is called when the client is: nobody needs the response.
func (f *forward) gone() { f.drop((*hop.Exchange).Cancel) }

// gaveUp is called when the client seems to be: nobody needs what has not begun.
func (f *forward) gaveUp() {
	f.drop(func(x *hop.Exchange) bool { return f.c.GaveUp() && x.Withdraw() })
}

func (f *forward) drop(by func(*hop.Exchange) bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.ended || f.streaming || !by(f.x) {
		return // whoever writes finds out
	}
	f.ended = true
	f.q.Aborted = 1
	f.out = nil
	go f.d.front.resumer.Resume(f.c, listen.Respond) // the caller is in the middle of an event of this connection
}

// respond gives a response that is complete to the source.
func (f *forward) respond() {
	f.mu.Lock() // end, which put us here, may still be under way
	streaming := f.streaming
	f.mu.Unlock()
	if streaming {
		return
	}
	f.c.SetAway(nil)
	defer func() {
		if e := recover(); e != nil { // of a module, in an error document: nobody else here would catch it
			f.d.w.panicked(f.c, e, debug.Stack())
			f.q.Aborted = 1
			f.d.front.resumer.Resume(f.c, listen.Respond)
		}
	}()
	action := listen.Respond
	if f.failure != nil && !f.begun {
		action = f.failed()
	} else {
		f.keep()
		f.d.mem.Append(f.q, f.out)
		if f.buf != nil && cap(f.out) <= outKeep {
			*f.buf = f.out[:0]
			outs.Put(f.buf)
		}
		f.buf, f.out = nil, nil // nobody looks at it after the end
		f.q.SentBody = f.sent
		if f.failure != nil {
			f.q.Result, f.q.KeepAlive = listen.ResultCut, 0
		}
	}
	f.d.front.resumer.Resume(f.c, action)
}

// keep remembers the head for the access log.
func (f *forward) keep() {
	if f.t.host.LogsResponse {
		f.d.mem.Keep(f.q, f.out[:f.headLen])
	}
}

// failed makes the answer to a request that has no response. An error document
// that is an application runs wherever it belongs, once.
func (f *forward) failed() listen.Action {
	r := f.d.finalRequest(f.c, f.q, f.t)
	code := f.d.failure(f.q, r, f.t, f.failure)
	if f.failure.Kind == hop.App && code == 504 { // RequestTimeout: nothing more to say, as in mod_wsgi
		return f.d.respond(f.c, f.q, f.t.host, r, &httpd.Outcome{Status: 504, Request: r}, anyTime)
	}
	return f.d.answerFailure(f.c, f.q, f.t, r, code, anyTime)
}

// goOn gives a response that takes its time to a goroutine.
func (f *forward) goOn() {
	f.mu.Lock()
	if f.ended || f.streaming {
		f.mu.Unlock()
		return
	}
	f.streaming, f.wake = true, make(chan struct{}, 1)
	f.keep()
	f.mu.Unlock()
	f.c.SetAway(nil)
	f.c.Stream = f.stream
	f.d.front.resumer.Resume(f.c, listen.Streamed)
}

// stream writes the response as it comes.
func (f *forward) stream(s *listen.Stream) {
	for {
		f.mu.Lock()
		out, n, ended := f.out, f.unsent, f.ended
		f.out, f.unsent = nil, 0
		f.mu.Unlock()
		if len(out) > 0 {
			if _, err := s.Write(out); err != nil {
				f.x.Cancel()
				f.q.Result = listen.ResultCut
				break
			}
			f.x.Credit(n)
		}
		if ended {
			if f.failure != nil {
				f.q.Result, f.q.KeepAlive = listen.ResultCut, 0
			}
			break
		}
		select {
		case <-f.wake:
		case <-s.Context().Done():
			f.x.Cancel()
			f.q.Result, f.q.Aborted = listen.ResultCut, 1
			return
		}
	}
	f.mu.Lock()
	f.q.SentBody = f.sent
	f.mu.Unlock()
}

var _ hop.Handler = (*forward)(nil)
