// One response on its way from whoever makes it to the socket: hooks, filters,
// framing. Used for every response that has filters and for those that a
// goroutine writes; what has neither never comes here.
//
//	write -> filters -> held -> [head] chunk frames -> put
//
// The head waits until the body shows what it will be: if all of it comes
// before there is a reason to send (holdMax bytes, a flush), its length is
// known and goes into the head. A flush happens flushDelay after a byte was
// given that is not sent yet, so that a generator's blocks reach the client
// although a compressor would rather see more of them.
package worker

import (
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"time"

	"modwsgi/gocore/internal/http1"
	"modwsgi/gocore/internal/httpd"
	"modwsgi/gocore/internal/listen"
)

const (
	holdMax    = 32 << 10              // bytes of filtered body that are gathered
	flushDelay = 10 * time.Millisecond // how long a byte may stay in a filter or in held
)

var errShort = errors.New("response body is shorter than its Content-Length")

// output is that response. mu guards it against its own timer; the methods
// are called by one goroutine.
type output struct {
	d       *dispatcher
	q       *listen.Req
	host    *httpd.VirtualHost
	head    httpd.ResponseHead
	line    []byte // the application's status line; nil: the usual one
	filters []httpd.BodyFilter
	pacer   httpd.Pacer
	nobody  bool                 // HEAD, or a status without a body
	put     func(p []byte) error // takes framed bytes
	push    func() error         // makes what put took leave; nil: put does

	mu      sync.Mutex
	held    []byte // after the filters, not framed yet
	tmp     [2][]byte
	frame   []byte
	room    int64 // bytes that the source's Content-Length still allows; -1: it gave none
	sent    int64 // bytes of the body that were put
	begun   bool
	chunked bool
	ended   bool
	pending bool // something was written since the last flush
	dirty   bool // and waits for the timer
	timer   *time.Timer
	err     error
}

// newOutput takes a head through the hooks and filters of the request's
// settings; filtered false leaves the filters out. r nil: no hooks.
func (d *dispatcher) newOutput(q *listen.Req, host *httpd.VirtualHost, r *httpd.Request, h httpd.ResponseHead, line []byte, filtered bool) (*output, error) {
	o := &output{d: d, q: q, host: host, line: line}
	takeFraming(q, &h)
	o.room = h.Length
	status := h.Status
	if r != nil && r.Hooked() {
		if err := r.Guard(func() { o.filters = r.Outgoing(&h, filtered) }); err != nil {
			return nil, err
		}
		length := h.Length
		takeFraming(q, &h)
		h.Length = length
	}
	if h.Status != status {
		o.line = nil
	}
	o.head = h
	o.nobody = isHEAD(q) || h.NoBody()
	if o.nobody {
		o.filters = nil
	}
	for _, f := range o.filters {
		if p, ok := f.(httpd.Pacer); ok {
			o.pacer = p
		}
	}
	q.Status = int32(h.Status)
	return o, nil
}

// addFields puts the fields of an outcome beside those of the application or
// handler that runs for it: a field of the same name there wins, but Vary adds
// up, since what either looked at counts.
func addFields(h *httpd.ResponseHead, out *httpd.Outcome) {
	if out == nil {
		return
	}
	own := slices.Clone(h.Header)
	for _, f := range out.Header {
		switch _, has := own.Get(f.Name); {
		case !has:
			h.Header = append(h.Header, f)
		case strings.EqualFold(f.Name, "Vary"):
			for name := range strings.SplitSeq(f.Value, ",") {
				h.AddVary(strings.TrimSpace(name))
			}
		}
	}
	h.ErrHeader = append(h.ErrHeader, out.ErrHeader...)
}

// write takes part of the body. An error is the client's leaving or a filter's.
func (o *output) write(p []byte) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.err != nil || o.ended {
		return o.err
	}
	if o.room >= 0 {
		p = p[:min(int64(len(p)), o.room)]
		o.room -= int64(len(p))
	}
	if len(p) == 0 || o.nobody {
		return nil
	}
	o.pending = true
	if err := o.through(0, p); err != nil {
		return err
	}
	if len(o.held) >= holdMax {
		return o.emit()
	}
	if !o.dirty {
		o.dirty = true
		if o.timer == nil {
			o.timer = time.AfterFunc(flushDelay, o.late)
		} else {
			o.timer.Reset(flushDelay)
		}
	}
	return nil
}

// late is the timer's flush.
func (o *output) late() {
	o.mu.Lock()
	defer o.mu.Unlock()
	defer func() {
		if e := recover(); e != nil { // a timer's goroutine: nobody else would catch it
			o.err = fmt.Errorf("panic in a filter: %v\n%s", e, debug.Stack())
		}
	}()
	if o.dirty && !o.ended && o.err == nil {
		_ = o.flushAll() // fails for good: the next write does too
	}
}

// flush sends all that the client can use so far.
func (o *output) flush() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.err != nil || o.ended {
		return o.err
	}
	if o.flushAll() == nil && o.push != nil {
		o.err = o.push()
	}
	return o.err
}

func (o *output) flushAll() error {
	o.dirty = false
	if !o.pending && o.begun {
		return nil
	}
	o.pending = false
	for i, f := range o.filters {
		b, err := f.Flush(o.tmp[i&1][:0])
		if o.tmp[i&1] = b; err != nil {
			o.err = err
			return err
		}
		if err := o.through(i+1, b); err != nil {
			return err
		}
	}
	return o.emit()
}

// through takes bytes through the filters from i on.
func (o *output) through(i int, p []byte) (err error) {
	for ; i < len(o.filters) && len(p) > 0; i++ {
		b := o.tmp[i&1][:0]
		if b, err = o.filters[i].Write(b, p); err != nil {
			o.err = err
			return err
		}
		o.tmp[i&1], p = b, b
	}
	o.held = append(o.held, p...)
	return nil
}

// end finishes a complete response; the error says that it is not.
func (o *output) end() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.dirty = false
	if o.err != nil || o.ended {
		return o.err
	}
	if o.room > 0 && !o.nobody {
		o.cutLocked()
		return errShort
	}
	for i, f := range o.filters {
		b, err := f.Close(o.tmp[i&1][:0])
		if err == nil {
			err = o.through(i+1, b)
		}
		if err != nil {
			o.err, o.ended = err, true
			return err
		}
	}
	if !o.begun && o.head.Length < 0 && !o.nobody {
		o.head.Length = int64(len(o.held))
	}
	if err := o.emit(); err != nil {
		return err
	}
	o.ended = true
	if o.chunked {
		if o.err = o.put([]byte("0\r\n\r\n")); o.err != nil {
			return o.err
		}
	}
	if o.push != nil {
		o.err = o.push()
	}
	return o.err
}

// cut sends what there is of a response that breaks off. Without the end of
// its framing the client sees that it is not all.
func (o *output) cut() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.dirty = false
	if o.err == nil && !o.ended {
		o.cutLocked()
	}
}

// abandon makes sure that nothing touches the request any more.
func (o *output) abandon() {
	o.mu.Lock()
	o.ended = true
	for _, f := range o.filters {
		if a, ok := f.(httpd.Abandoner); ok {
			a.Abandon()
		}
	}
	o.mu.Unlock()
	if o.timer != nil {
		o.timer.Stop()
	}
}

func (o *output) cutLocked() {
	o.q.KeepAlive = 0
	_ = o.flushAll() // fails for good: the next write does too
	if o.push != nil && o.err == nil {
		o.err = o.push()
	}
	o.ended = true
}

// begin puts the head.
func (o *output) begin() error {
	o.begun = true
	if o.head.Length < 0 && !o.nobody {
		if o.q.Head.Flags&http1.FlagHTTP11 != 0 {
			o.chunked = true
		} else {
			o.q.KeepAlive = 0
		}
	}
	b := o.d.appendHead(make([]byte, 0, 512), o.q, &o.head, o.line, o.chunked)
	if o.host.LogsResponse {
		o.d.mem.Keep(o.q, b)
	}
	o.frame = b // goes out together with the first bytes
	return nil
}

// emit frames and puts what is held.
func (o *output) emit() error {
	if o.err != nil {
		return o.err
	}
	o.frame = o.frame[:0]
	if !o.begun {
		_ = o.begin() // never fails
	}
	rest := o.held
	for len(rest) > 0 || len(o.frame) > 0 {
		n, wait := len(rest), time.Duration(0)
		if o.pacer != nil && n > 0 {
			n, wait = o.pacer.Pace(n)
		}
		if n > 0 {
			if o.chunked {
				o.frame = http1.AppendChunkHeader(o.frame, n)
			}
			o.frame = append(o.frame, rest[:n]...)
			if o.chunked {
				o.frame = append(o.frame, "\r\n"...)
			}
			rest = rest[n:]
			o.sent += int64(n)
		}
		o.err = o.put(o.frame)
		o.frame = o.frame[:0]
		if wait > 0 && o.err == nil {
			if o.push != nil {
				o.err = o.push()
			}
			time.Sleep(wait)
		}
		if o.err != nil {
			return o.err
		}
	}
	o.held = o.held[:0]
	return nil
}
