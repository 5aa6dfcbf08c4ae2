// The daemon's side of the hop: requests that front processes have accepted and
// routed run here like any other; head and body of the response go back as
// frames (package listen, hop.go). Error documents, hooks, filters and access
// logs are the front's.
package worker

import (
	"bytes"
	"os"
	"runtime/debug"
	"strconv"
	"syscall"
	"unsafe"

	"modwsgi/gocore/internal/hop"
	"modwsgi/gocore/internal/httpd"
	"modwsgi/gocore/internal/listen"
	"modwsgi/gocore/internal/python"
)

// hopConfig is what the source needs to take requests from front processes;
// nil: this process takes none.
func (w *worker) hopConfig(listeners []*os.File) *listen.HopConfig {
	if len(listeners) == 0 {
		return nil
	}
	return &listen.HopConfig{
		Listeners: listeners, SendBuffer: w.group.SendBufferSize, ReceiveBuffer: w.group.ReceiveBufferSize,
		Hello: hop.Hello{Generation: uint32(w.cfg.Generation), Slot: uint32(w.cfg.ProcessNum), Threads: uint32(max(w.cfg.Threads, 1)),
			PID: uint32(os.Getpid())},
		Allow: func(uid int) bool { return uid == w.cfg.FrontUID || uid == w.cfg.SupervisorUID },
		Refused: func(uid int) {
			w.logf(levelErr, "wsgi", "WSGI0360: a process of user id %d, which is not the front's (%d), connected to the request socket; refused", uid, w.cfg.FrontUID)
		},
		Report: func(err error) { w.logf(levelErr, "wsgi", "WSGI0361: connection from a front process closed: %v", err) },
	}
}

// HopPlan implements listen.HopHandler.
func (d *dispatcher) HopPlan(key []byte) any {
	if t := d.hopTarget(key); t != nil {
		return t
	}
	return nil
}

// RouteHop implements listen.HopHandler.
func (d *dispatcher) RouteHop(c *listen.Conn, q *listen.Req, plan any) {
	t := plan.(*target)
	c.Settings = d.settings[t.host]
	c.Tag = t
	q.Route = t.route.id
}

// hopTarget is the target that a front describes; nil: it is none of ours.
func (d *dispatcher) hopTarget(key []byte) *target {
	d.mu.Lock()
	t, known := d.byPlan[string(key)]
	d.mu.Unlock()
	if known {
		return t
	}
	p, port, err := planOf(key, d.w.srv.AllHosts())
	if err != nil || p.ProcessGroup != d.w.cfg.Group {
		d.w.logf(levelErr, "wsgi", "WSGI0362: a front process asks for something that process group '%s' does not serve", d.w.cfg.Group)
		return nil
	}
	rt := d.register(p, p.ScriptName, p.Environ, port)
	if rt == nil {
		return nil
	}
	t = &target{host: p.Host, route: rt, plan: p, fixed: true}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.byPlan == nil {
		d.byPlan = map[string]*target{}
	}
	d.byPlan[string(key)] = t
	return t
}

// runHop calls the application for a request of a front process.
func (d *dispatcher) runHop(c *listen.Conn, q *listen.Req) {
	p := c.Hop()
	p.Start()
	if p.Flags&hopNoBody != 0 {
		q.BodyRead, q.StreamLeft, q.ChunkState = q.BodyLen, 0, chunkEnd
	}
	python.RunHooked(unsafe.Pointer(q), &hopCall{d: d, c: c, q: q, p: p}, false)
}

// hopCall sends the response of one call to the front: python.Hooks.
type hopCall struct {
	d *dispatcher
	c *listen.Conn
	q *listen.Req
	p *listen.Hop
}

// recovered reports a panic, which must not pass through C.
func (h *hopCall) recovered() {
	if e := recover(); e != nil {
		h.d.w.panicked(h.c, e, debug.Stack())
	}
}

var (
	protocol   = []byte("HTTP/1.1 ")
	closeField = []byte("Connection: close\r\n")
)

// Head implements python.Hooks.
func (h *hopCall) Head(mark uint64, length int64) (v python.Verdict) {
	v = python.HeadFailed
	defer h.recovered()
	q := h.q
	text := bytes.TrimPrefix(unsafe.Slice((*byte)(q.Out), int(q.OutLen))[mark:], protocol)
	q.OutLen = mark
	if q.KeepAlive == 0 { // the application's wish: framing is not in the text
		text = append(text[:len(text):len(text)], closeField...)
	}
	if isHEAD(q) && length >= 0 {
		text = append(text[:len(text):len(text)], "Content-Length: "...)
		text = append(strconv.AppendInt(text, length, 10), "\r\n"...)
	}
	status := int(q.Status)
	if head := (httpd.ResponseHead{Status: status}); isHEAD(q) || head.NoBody() {
		length = 0
	}
	if len(text) > hop.MaxPayload-64 {
		h.d.w.logf(levelErr, "wsgi", "WSGI0363: the header fields of a response are longer than %d bytes together", hop.MaxPayload-64)
		return python.HeadFailed
	}
	h.p.Head(status, length, text)
	return python.Filtered
}

// Body implements python.Hooks.
func (h *hopCall) Body(b []byte) (ok bool) {
	defer h.recovered()
	return h.p.Body(b)
}

// File implements python.Hooks: a slow client keeps no Python thread.
func (h *hopCall) File(fd int, off, n int64) bool { return h.p.File(fd, off, n) }

// Input implements python.Hooks. Filters of bodies are the front's.
func (h *hopCall) Input([]byte) (int, syscall.Errno) { return 0, syscall.EIO }

// End implements python.Hooks.
func (h *hopCall) End() (ok bool) {
	defer h.recovered()
	return h.p.End()
}

var (
	_ python.Hooks      = (*hopCall)(nil)
	_ listen.HopHandler = (*dispatcher)(nil)
)
