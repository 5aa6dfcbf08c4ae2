// The steps of a request that do no I/O, common to both sources: what a new
// head means for the connection, how much of a body is here, what comes next.
// Every function is called by the connection's owner.
package listen

import (
	"net/netip"
	"sync"
	"syscall"
	"time"
	"unsafe"

	"modwsgi/gocore/internal/http1"
)

// newReq makes a request structure with its first buffers.
func (m *Memory) newReq() *Req {
	q := (*Req)(m.Alloc(SizeofReq))
	q.In, q.InCap = m.Alloc(inStart), inStart
	q.Out, q.OutCap = m.Alloc(outStart), outStart
	q.FileFD = -1
	return q
}

// take gives a request structure of the pool, which mu guards, or a new one.
func (m *Memory) take(mu *sync.Mutex, pool *[]*Req) *Req {
	mu.Lock()
	defer mu.Unlock()
	if n := len(*pool); n > 0 {
		q := (*pool)[n-1]
		*pool = (*pool)[:n-1]
		return q
	}
	return m.newReq()
}

// clear makes q ready for another connection; keep false gives memory back.
// The structure itself is never freed: the monitor may still look at it.
func (m *Memory) clear(q *Req, keep bool) {
	if q.FileFD >= 0 {
		syscall.Close(int(q.FileFD))
		q.FileFD = -1
	}
	if q.Extra != nil {
		m.SetExtra(q, nil)
	}
	q.InLen, q.OutLen, q.OutOff = 0, 0, 0
	if !keep || q.InCap > inKeep || q.OutCap > inKeep {
		q.In, q.InCap = m.Realloc(q.In, inStart), inStart
		q.Out, q.OutCap = m.Realloc(q.Out, outStart), outStart
	}
}

func (m *Memory) grow(q *Req, n uint64) {
	if q.InCap >= n {
		return
	}
	q.In = m.Realloc(q.In, uintptr(n))
	q.InCap = n
}

func (q *Req) inBuf() []byte { return unsafe.Slice((*byte)(q.In), int(q.InCap)) }

// dropFile ends the use of the response's file and of what was to follow it.
func (c *Conn) dropFile() {
	if q := c.req; q.FileFD >= 0 {
		if !c.Borrowed {
			syscall.Close(int(q.FileFD))
		}
		q.FileFD, q.FileLeft = -1, 0
	}
	c.Parts, c.Borrowed = nil, false
}

// bind gives the connection a request structure.
func (c *Conn) bind(q *Req) {
	c.req = q
	q.FD, q.Wire = int32(c.FD), c.wireID
	q.ConnID = c.ID
	q.IOTimeoutMs = int32(c.Settings.IO / time.Millisecond)
	setAddr(&q.Remote, &q.RemotePort, c.Remote)
	setAddr(&q.Local, &q.LocalPort, c.Local)
}

func setAddr(dst *[64]byte, port *uint32, a netip.AddrPort) {
	n := 0
	if a.IsValid() {
		n = len(a.Addr().AppendTo(dst[:0]))
	}
	dst[min(n, 63)] = 0
	*port = uint32(a.Port())
}

// headReady says whether a look at the head can bring news: a client that sends
// it byte by byte does not make the whole be parsed for each byte.
func (c *Conn) headReady() bool {
	return c.phase != phHead || c.progress.Ready(c.req.Input(), &c.Settings.Limits)
}

// moreHead makes room: the parser knows the limits.
func (c *Conn) moreHead(m *Memory) {
	if q := c.req; q.InLen == q.InCap {
		m.grow(q, q.InCap*2)
	}
}

// incomplete notes that more of the head has to come.
func (c *Conn) incomplete(m *Memory, now int64) {
	q := c.req
	if c.phase == phIdle {
		c.phase = phHead
		c.progress = http1.Progress{}
		c.progress.Ready(q.Input(), &c.Settings.Limits)
		if c.Requests > 0 { // the first head's time began with the connection
			c.stage(now, c.Settings.Header)
		}
		c.received(now, int(q.InLen))
	}
	c.moreHead(m)
}

// patienceUs is how long after the head of its request a client closes its
// sending side at the earliest when it is leaving. Those that close it only
// because they have sent everything do so at once, and wait for the response.
const patienceUs = 100_000

// GaveUp reports whether the client has probably left. The owner's, during a
// request; what it says counts only while that waits: a close and a half-close
// look the same.
func (c *Conn) GaveUp() bool {
	at := c.hupUs.Load()
	return at != 0 && at-c.req.StartUs > patienceUs
}

// begin prepares for the request whose head was parsed, at startUs since the epoch.
func (c *Conn) begin(startUs int64) {
	q := c.req
	c.Requests++
	q.StartUs = startUs
	q.Status, q.Result, q.SentBody, q.RequestNo = 0, 0, 0, uint64(c.Requests)
	q.Aborted, q.StatusOverride, q.ScriptLen = 0, 0, 0
	q.Sent, q.KeptLen, q.KeepHead, q.Logged, q.QueueUs, q.FirstUs, q.TrackFirst = 0, 0, 0, 0, 0, 0, 0
	q.BodyOff, q.BodyRead, q.BodyLen, q.StreamLeft, q.ChunkState, q.BodyLimit = 0, 0, 0, 0, 0, 0
	c.bodyEnd, c.scanned, c.continued, c.streamed = 0, 0, false, 0
}

// forget drops what is known of the request before when there is none yet: a
// head that did not come in time is no request.
func (c *Conn) forget(startUs int64) {
	if c.phase != phHead {
		return
	}
	q := c.req
	q.Head.Method, q.Head.Target, q.Head.Host, q.Head.NFields, q.Head.Flags = http1.Span{}, http1.Span{}, http1.Span{}, 0, 0
	q.StartUs, q.Sent, q.SentBody, q.KeptLen, q.KeepHead, q.Logged, q.Aborted, q.Result, q.TrackFirst = startUs, 0, 0, 0, 0, 0, 0, 0, 0
	q.BodyOff, c.bodyEnd = 0, 0
}

// persist decides whether the connection may stay open after the request.
func (c *Conn) persist(leaving bool) {
	q, s := c.req, c.Settings
	if q.KeepAlive = 0; c.h2s != nil { // what becomes of the stream's connection is not said in its responses
		q.KeepAlive = 1
		return
	}
	if q.Head.Flags&http1.FlagKeepAlive != 0 && s.Persistent && (s.MaxRequests == 0 || c.Requests < s.MaxRequests) && !leaving && !c.last {
		q.KeepAlive = 1
	}
}

const interim = "HTTP/1.1 100 Continue\r\n\r\n"

// invite sends 100 Continue to a client that waits for it. Nothing else is in
// the socket's buffer then: a short write cannot happen.
func (c *Conn) invite() {
	if c.req.Head.Flags&http1.FlagExpectContinue != 0 && !c.continued {
		c.continued = true
		if c.wire != nil {
			if _, err := c.wire.write([]byte(interim)); err == nil {
				_ = c.wire.flush()
			}
			return
		}
		syscall.Write(c.FD, []byte(interim))
	}
}

type bodyState int

const (
	bodyReady bodyState = iota
	bodyMore
	bodyBad
	bodyTooLarge
)

// body finds out whether the request can run: its body complete in the buffer,
// or too large to wait for. scratch is for the chunk decoder.
func (c *Conn) body(m *Memory, scratch []byte) bodyState {
	q := c.req
	have := q.InLen - q.BodyOff
	switch {
	case q.Head.Flags&http1.FlagChunked != 0:
		if q.BodyLimit > 0 && int64(have) > q.BodyLimit+q.BodyLimit/8+4096 { // framing is not counted here exactly
			return bodyTooLarge
		}
		if c.scanned == 0 {
			c.scan.Reset()
		}
		for c.scanned < have {
			src := q.Input()[q.BodyOff+c.scanned:]
			ns, _, done, err := c.scan.Decode(src[:min(len(src), len(scratch))], scratch)
			if err != nil {
				return bodyBad
			}
			c.scanned += uint64(ns)
			if done {
				c.bodyEnd = q.BodyOff + c.scanned
				q.InRead = q.BodyOff
				return bodyReady
			}
			if ns == 0 {
				break
			}
		}
		if have >= bufferMax {
			c.bodyLimits(q)
			q.InRead = q.BodyOff
			q.StreamLeft = -1 // unknown: the connection ends with this request
			return bodyReady
		}
		if q.InLen == q.InCap {
			m.grow(q, q.InCap*2)
		}
		return bodyMore
	case q.Head.Flags&http1.FlagContentLength != 0:
		n := uint64(q.Head.ContentLength)
		if q.BodyLimit > 0 && q.Head.ContentLength > q.BodyLimit {
			return bodyTooLarge
		}
		if have >= n {
			q.BodyLen = n
			c.bodyEnd = q.BodyOff + n
			return bodyReady
		}
		if n > bufferMax {
			if have == 0 {
				c.invite()
			}
			c.bodyLimits(q)
			q.BodyLen = have
			q.StreamLeft = int64(n - have)
			return bodyReady
		}
		m.grow(q, q.BodyOff+n)
		return bodyMore
	}
	c.bodyEnd = q.BodyOff
	return bodyReady
}

// skipBody drops a body that nobody wants if it is small and here.
func (c *Conn) skipBody() bool {
	q := c.req
	switch {
	case q.Head.Flags&http1.FlagChunked != 0:
		c.unread = true
		return false
	case q.Head.Flags&http1.FlagContentLength != 0:
		if q.InLen-q.BodyOff < uint64(q.Head.ContentLength) {
			c.unread = true
			return false
		}
		c.bodyEnd = q.BodyOff + uint64(q.Head.ContentLength)
		return true
	}
	c.bodyEnd = q.BodyOff
	return true
}

// settle looks at what the application left.
func (c *Conn) settle(h Handler) {
	q := c.req
	if q.Result == ResultError {
		h.Failed(c, q)
	}
	if q.Result == ResultCut || q.Aborted != 0 {
		q.KeepAlive = 0
	}
	switch {
	case c.bodyEnd != 0:
	case q.StreamLeft != 0 || q.Head.Flags&http1.FlagChunked != 0:
		q.KeepAlive = 0 // the rest of the body is still on the socket
		c.unread = true
	default:
		c.bodyEnd = q.InLen // the application has read it from the socket to its end
	}
}

// tooLate makes the answer to a request that has waited longer than QueueTimeout.
func (c *Conn) tooLate(h Handler) {
	q := c.req
	q.Result, q.Status = ResultLate, 504
	if c.bodyEnd == 0 {
		q.KeepAlive = 0
		c.unread = true
	}
	h.Failed(c, q)
}

// next moves the bytes after a finished request to the front and returns how many there are.
func (c *Conn) next(m *Memory) uint64 {
	q := c.req
	left := q.InLen - c.bodyEnd
	if left > 0 {
		b := q.inBuf()
		copy(b, b[c.bodyEnd:q.InLen])
	}
	q.InLen = left
	c.phase = phIdle
	if q.InCap > inKeep {
		q.In = m.Realloc(q.In, uintptr(max(inStart, left)))
		q.InCap = max(inStart, left)
	}
	if q.OutCap > inKeep {
		q.Out = m.Realloc(q.Out, outStart)
		q.OutCap = outStart
	}
	return left
}
