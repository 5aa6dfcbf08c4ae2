// The access log: what the log modules are told about a finished request.
//
// An entry and its look-up functions are made once and used again, and what
// they return points into the connection's buffers, so that the common formats
// cost no allocation. Everything is valid until LogAccess returns.
package worker

import (
	"bytes"
	"cmp"
	"strconv"
	"strings"
	"sync"
	"time"
	"unsafe"

	"modwsgi/gocore/internal/http1"
	"modwsgi/gocore/internal/httpd"
	"modwsgi/gocore/internal/listen"
)

// accessEntry is an httpd.LogEntry with what its look-ups need.
type accessEntry struct {
	httpd.LogEntry
	d     *dispatcher
	c     *listen.Conn
	q     *listen.Req
	t     *target
	final *httpd.Request // after internal redirects; nil on the fast route
	joint []byte         // a repeated request field, joined
	id    [34]byte
}

var (
	accessEntries = sync.Pool{New: func() any {
		x := new(accessEntry)
		x.HeaderLookup, x.TrailerLookup, x.ResponseLookup, x.EnvLookup, x.NoteLookup = x.header, x.trailer, x.response, x.variable, x.note
		x.SecureLookup = x.secure
		x.Request = x.request
		return x
	}}
	http10 = []byte("HTTP/1.0")
	http11 = []byte("HTTP/1.1")
	http20 = []byte("HTTP/2.0")
)

// log writes the request's lines. Called by the connection's owner when the
// response is out or given up.
func (d *dispatcher) log(c *listen.Conn, q *listen.Req, t *target) {
	x := accessEntries.Get().(*accessEntry)
	x.d = d
	x.fill(c, q, t)
	t.host.LogAccess(&x.LogEntry)
	x.c, x.q, x.t, x.final, x.First, x.Final = nil, nil, nil, nil, nil, nil
	accessEntries.Put(x)
}

func (x *accessEntry) fill(c *listen.Conn, q *listen.Req, t *target) {
	x.c, x.q, x.t, x.final = c, q, t, nil
	e := &x.LogEntry
	e.Method, e.Target, e.Proto, e.Host, e.Line = nil, nil, http10, nil, nil
	e.RemoteUser, e.RemoteName, e.Script, e.Handler, e.LogID = "", "", "", "", nil
	e.Local, e.Remote, e.Peer = c.Local, c.Remote, c.Remote
	e.Status, e.FirstStatus = int(q.Status), int(q.Status)
	e.BytesSent, e.BytesIn, e.BytesOut = q.SentBody, c.BytesIn(), int64(q.Sent)
	e.KeepAlives, e.Completed, e.KeepAlive = c.Requests-1, q.Aborted == 0 && q.Result != listen.ResultCut, q.KeepAlive != 0
	if in := q.Input(); q.Head.Method.Len > 0 && uint64(q.Head.HeadLen) <= q.InLen {
		e.Method, e.Target, e.Host = q.Bytes(q.Head.Method), q.Bytes(q.Head.Target), q.Bytes(q.Head.Host)
		if q.Head.Flags&http1.FlagHTTP11 != 0 {
			e.Proto = http11
		}
		if q.Head.Flags&http1.FlagHTTP2 != 0 {
			e.Proto = http20
		}
		e.Line = firstLine(in[q.Head.Method.Off:])
	} else {
		e.Line = firstLine(bytes.TrimLeft(in, "\r\n"))
	}
	e.Start = time.UnixMicro(q.StartUs)
	if q.StartUs == 0 {
		e.Start = time.Now()
	}
	e.Duration = time.Since(e.Start)
	if e.FirstByte = 0; q.FirstUs != 0 {
		e.FirstByte = time.UnixMicro(q.FirstUs).Sub(e.Start)
	}
	if t.called() {
		e.Script, e.Handler = t.plan.Script, t.plan.Handler
	}
	if q.Logged != 0 || t.req != nil && t.req.Logged() {
		e.LogID = appendLogID(x.id[:0], q)
	}
	if t.kept != nil {
		e.Script, e.Handler, x.final = t.kept.Filename, t.kept.Handler, t.kept
	}
	if t.req == nil {
		return
	}
	x.final = t.req
	if t.out != nil && t.out.Request != nil {
		x.final = t.out.Request
	}
	e.First, e.Final, e.Remote, e.RemoteName = t.req, x.final, t.req.Remote, x.final.ClientName()
	for r := x.final; r != nil && e.RemoteUser == ""; r = r.Prev {
		e.RemoteUser = cmp.Or(r.User, r.Claimed)
	}
	if !t.called() {
		e.Script, e.Handler = x.final.Filename, x.final.Handler
	}
	if x.final != t.req {
		// The status of the first request: the one whose page is shown, or 200
		// when the redirect had another reason (mod_rewrite).
		e.FirstStatus = 200
		for r := x.final; r != nil; r = r.Prev {
			if r.Prev == t.req && r.Status != 0 {
				e.FirstStatus = r.Status
			}
		}
	}
}

// request is the final request with its response, for expressions. It is made
// for requests that went past the phases.
func (x *accessEntry) request() *httpd.Request {
	r, like := x.final, x.t.kept
	if x.t.req == nil {
		r = x.d.request(x.c, x.q, x.t.host)
		if x.t.plan != nil {
			r.Assume(x.t.plan, int(x.q.ScriptLen))
		}
	}
	r.Answered(like, x.Status, x.response)
	return r
}

// firstLine is the request line as it was received.
func firstLine(in []byte) []byte {
	if i := bytes.IndexAny(in, "\r\n"); i >= 0 {
		return in[:i]
	}
	return in
}

// appendLogID writes the request's id in the error log, the same that the
// application finds as mod_wsgi.request_id (python/environ.c).
func appendLogID(dst []byte, q *listen.Req) []byte {
	dst = appendConnID(dst, q.ConnID)
	dst = append(dst, '-')
	return strconv.AppendUint(dst, q.RequestNo, 16)
}

func appendConnID(dst []byte, id uint64) []byte {
	for i := 60; i >= 0; i -= 4 {
		dst = append(dst, "0123456789abcdef"[id>>i&15])
	}
	return dst
}

// text shows bytes of a buffer as a string without copying them.
func text(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }

// header finds a request field; repeated ones are joined, as httpd stores them.
func (x *accessEntry) header(name string) (string, bool) {
	var value []byte
	found := 0
	for _, f := range x.q.Head.Fields[:x.q.Head.NFields] {
		if int(f.Name.Len) != len(name) || !strings.EqualFold(text(x.q.Bytes(f.Name)), name) {
			continue
		}
		switch found++; found {
		case 1:
			value = x.q.Bytes(f.Value)
			continue
		case 2:
			x.joint = append(x.joint[:0], value...)
		}
		x.joint = append(append(x.joint, ", "...), x.q.Bytes(f.Value)...)
		value = x.joint
	}
	if x.t.host.MergeTrailers {
		if v, ok := x.trailer(name); ok && found > 0 {
			return text(value) + ", " + v, true
		} else if ok {
			return v, true
		}
	}
	return text(value), found > 0
}

// trailer finds a field behind a chunked body, as long as it is in the buffer:
// not those that an application or a handler received itself.
func (x *accessEntry) trailer(name string) (string, bool) {
	if x.q.Head.Flags&http1.FlagChunked == 0 || x.t.out != nil && x.t.out.Stream != nil {
		return "", false
	}
	_, body := x.c.Message()
	value, ok := http1.Trailer(body, name)
	return text(value), ok
}

// response finds a field of the response that was sent.
func (x *accessEntry) response(name string) (string, bool) {
	return responseField(x.q.ResponseHead(), name)
}

// variable finds a variable of the request as the application saw it.
func (x *accessEntry) variable(name string) (string, bool) {
	for r := x.final; r != nil; r = r.Prev {
		if v, ok := r.Env(name); ok {
			return v, true
		}
	}
	if name == "HTTPS" && x.c.Secure != nil {
		return "on", true
	}
	if !x.t.called() {
		return "", false
	}
	p := x.t.plan
	if x.t.out != nil {
		for _, v := range x.t.out.Env {
			if v.Name == name {
				return v.Value, true
			}
		}
	}
	for _, v := range p.Environ {
		if v.Name == name {
			return v.Value, true
		}
	}
	switch name {
	case "mod_wsgi.process_group":
		return p.ProcessGroup, true
	case "mod_wsgi.application_group":
		return p.ApplicationGroup, true
	case "mod_wsgi.callable_object":
		return p.CallableObject, true
	case "mod_wsgi.handler_script":
		return p.HandlerScript, true
	case "mod_wsgi.request_handler":
		return p.Handler, true
	case "mod_wsgi.request_id":
		return text(appendLogID(x.id[:0], x.q)), true
	}
	return "", false
}

// secure finds a variable of the connection; false: it is not encrypted.
func (x *accessEntry) secure(name string) (string, bool) {
	if _, s := x.d.client(x.c); s != nil {
		return s.conn.Lookup(x.final, name), true
	}
	return "", false
}

// note finds a note that a module left.
func (x *accessEntry) note(name string) (string, bool) {
	for r := x.final; r != nil; r = r.Prev {
		if v, ok := r.Notes[name]; ok {
			return v, true
		}
	}
	return "", false
}

// responseField looks a field up in a response head.
func responseField(head []byte, name string) (string, bool) {
	for len(head) > 0 {
		end := bytes.Index(head, crlf)
		if end <= 0 {
			return "", false
		}
		line := head[:end]
		head = head[end+2:]
		if len(line) > len(name) && line[len(name)] == ':' && strings.EqualFold(text(line[:len(name)]), name) {
			return text(bytes.TrimSpace(line[len(name)+1:])), true
		}
	}
	return "", false
}

var crlf = []byte("\r\n")
