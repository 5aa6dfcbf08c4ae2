// A daemon process for the tests, in the same process: it speaks the wire
// format on a real Unix socket and answers as a test tells it to. recorder is a
// Handler that checks the rules of Handler.
package hop

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const patience = 20 * time.Second // for what must happen

// daemon is a process: it accepts connections while it lives.
type daemon struct {
	t         *testing.T
	hello     Hello
	app       func(*call)
	l         net.Listener
	calls     chan *call // with a nil app: for take
	accepting atomic.Int32
	refusing  atomic.Bool // what comes is refused
	killed    atomic.Bool
	served    atomic.Int32
	peak      atomic.Int32
	now       atomic.Int32

	mu    sync.Mutex
	conns []*dconn
	dead  bool
	wg    sync.WaitGroup
}

// dconn is one connection of a front.
type dconn struct {
	d  *daemon
	nc net.Conn

	wmu   sync.Mutex
	mu    sync.Mutex
	calls map[uint32]*call
	plans map[uint32]string // the reader's
}

// call is one request.
type call struct {
	c      *dconn
	stream uint32
	r      Request
	more   bool // Body frames follow
	plan   string

	mu       sync.Mutex
	cond     *sync.Cond
	body     bytes.Buffer
	bodyEnd  bool
	canceled bool
	window   int64
}

func listen(t *testing.T, path string) net.Listener {
	t.Helper()
	l, err := net.Listen("unix", path)
	require.NoError(t, err)
	l.(*net.UnixListener).SetUnlinkOnClose(false)
	t.Cleanup(func() { l.Close() })
	return l
}

func socketPath(t *testing.T, name string) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "hop") // short: a socket's path has about 100 bytes
	require.NoError(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	return filepath.Join(dir, name)
}

// start runs a daemon on the listener. With a nil app the test takes the calls from d.calls.
func start(t *testing.T, l net.Listener, hello Hello, app func(*call)) *daemon {
	t.Helper()
	if hello.Threads == 0 {
		hello.Threads = 1
	}
	if hello.PID == 0 {
		hello.PID = 1000 + hello.Slot
	}
	d := &daemon{t: t, hello: hello, app: app, l: l, calls: make(chan *call, 5000)}
	d.wg.Add(1)
	d.accepting.Add(1)
	go d.accept()
	t.Cleanup(d.kill)
	return d
}

func (d *daemon) accept() {
	defer d.wg.Done()
	defer d.accepting.Add(-1)
	for {
		nc, err := d.l.Accept()
		if err != nil {
			return
		}
		c := &dconn{d: d, nc: nc, calls: map[uint32]*call{}, plans: map[uint32]string{}}
		d.mu.Lock()
		d.conns = append(d.conns, c)
		dead := d.dead
		d.mu.Unlock()
		if dead {
			nc.Close()
			return
		}
		c.send(AppendHello(nil, &d.hello))
		d.wg.Add(1)
		go c.read()
	}
}

// stopAccepting leaves the listener open for a successor: it is the supervisor's.
func (d *daemon) stopAccepting() {
	d.l.(*net.UnixListener).SetDeadline(time.Unix(1, 0))
}

// kill ends the process.
func (d *daemon) kill() {
	if d.accepting.Load() > 0 {
		d.stopAccepting()
	}
	d.mu.Lock()
	d.dead = true
	for _, c := range d.conns {
		c.nc.Close()
	}
	d.mu.Unlock()
	d.wg.Wait()
	if d.killed.CompareAndSwap(false, true) { // a successor may have the listener by now
		d.l.(*net.UnixListener).SetDeadline(time.Time{})
	}
}

// take gives the next call that came.
func (d *daemon) take() *call {
	d.t.Helper()
	select {
	case q := <-d.calls:
		return q
	case <-time.After(patience):
		require.Fail(d.t, "no request came")
		return nil
	}
}

func (c *dconn) send(b []byte) {
	c.wmu.Lock()
	defer c.wmu.Unlock()
	c.nc.Write(b)
}

func (c *dconn) read() {
	defer c.d.wg.Done()
	defer c.nc.Close()
	defer func() {
		c.mu.Lock()
		for _, q := range c.calls {
			q.mu.Lock()
			q.canceled = true
			q.cond.Broadcast()
			q.mu.Unlock()
		}
		c.mu.Unlock()
	}()
	rd := NewReader(c.nc, FromFront)
	for {
		f, err := rd.Frame()
		if err != nil {
			return
		}
		if f.Type == TypePlan {
			if c.plans[f.Stream] != "" {
				panic("plan described twice")
			}
			c.plans[f.Stream] = string(f.Payload)
			continue
		}
		if f.Type == TypeRequest {
			q := &call{c: c, stream: f.Stream, more: !f.End}
			q.cond = sync.NewCond(&q.mu)
			if err := q.r.Decode(bytes.Clone(f.Payload)); err != nil {
				panic(err)
			}
			q.window = int64(q.r.Window)
			if q.plan = string(q.r.Key); q.r.Plan != 0 {
				q.plan = c.plans[q.r.Plan]
			}
			c.mu.Lock()
			if c.calls[f.Stream] != nil {
				panic("stream opened twice")
			}
			c.calls[f.Stream] = q
			c.mu.Unlock()
			if c.d.refusing.Load() {
				q.refuse(Restarting)
			} else if c.d.app == nil {
				c.d.calls <- q
			} else {
				go func() {
					n := c.d.now.Add(1)
					for p := c.d.peak.Load(); n > p && !c.d.peak.CompareAndSwap(p, n); p = c.d.peak.Load() {
					}
					defer c.d.now.Add(-1)
					c.d.app(q)
				}()
			}
			continue
		}
		c.mu.Lock()
		q := c.calls[f.Stream]
		c.mu.Unlock()
		if q == nil {
			continue // of a stream that has ended
		}
		q.mu.Lock()
		switch f.Type {
		case TypeBody:
			q.body.Write(f.Payload)
			q.bodyEnd = f.End
		case TypeCancel:
			q.canceled = true
		case TypeCredit:
			n, err := DecodeCredit(f.Payload)
			if err != nil {
				panic(err)
			}
			q.window += int64(n)
		}
		q.cond.Broadcast()
		q.mu.Unlock()
	}
}

// over ends the stream and sends b, its last frame.
func (q *call) over(b []byte) {
	q.c.mu.Lock()
	delete(q.c.calls, q.stream)
	q.c.mu.Unlock()
	q.c.d.served.Add(1)
	q.c.send(b)
}

func headFrame(stream uint32, length int, end bool) []byte {
	return AppendHead(nil, stream, &Head{Status: 200, Length: int64(length), Text: []byte("200 OK\r\nContent-Type: text/plain\r\n")}, end)
}

// answer is a whole small response.
func (q *call) answer(text string) {
	q.over(AppendData(headFrame(q.stream, len(text), false), q.stream, []byte(text), true))
}

func (q *call) refuse(why Reason) { q.over(AppendRefused(nil, q.stream, why)) }

// wait waits for something of the call; false: it was cancelled or the connection ended.
func (q *call) wait(what func() bool) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	for !what() && !q.canceled {
		q.cond.Wait()
	}
	return what()
}

// write sends body within the credit.
func (q *call) write(p []byte) bool {
	for len(p) > 0 {
		if !q.wait(func() bool { return q.window > 0 }) {
			return false
		}
		q.mu.Lock()
		n := min(int64(len(p)), q.window, 50000)
		q.window -= n
		q.mu.Unlock()
		q.c.send(AppendData(nil, q.stream, p[:n], false))
		p = p[n:]
	}
	return true
}

// echo answers with the path, the way most tests want it.
func echo(q *call) { q.answer(path(&q.r)) }

func path(r *Request) string {
	s, _, _ := strings.Cut(string(r.Head), " HTTP/")
	return strings.TrimPrefix(s, "GET ")
}

func get(path string) *Request {
	return &Request{Head: fmt.Appendf(nil, "GET %s HTTP/1.1\r\nHost: a\r\n\r\n", path)}
}

// recorder checks that callbacks come in order and end once.
type recorder struct {
	t    testing.TB
	mu   sync.Mutex
	busy atomic.Bool
	head *Head
	body bytes.Buffer
	fail *Failure
	ends int
	done chan struct{}
	keep bool                           // give no credit
	on   func(x *Exchange, what string) // called within the callbacks
}

func record(t testing.TB) *recorder { return &recorder{t: t, done: make(chan struct{})} }

func (r *recorder) enter() func() {
	if r.busy.Swap(true) {
		r.t.Error("callbacks of an exchange at the same time")
	}
	r.mu.Lock()
	if r.ends > 0 {
		r.t.Error("callback after the terminal one")
	}
	return func() {
		r.mu.Unlock()
		r.busy.Store(false)
	}
}

func (r *recorder) end() {
	if r.ends++; r.ends == 1 {
		close(r.done)
	}
}

func (r *recorder) Head(x *Exchange, status int, length int64, text []byte) {
	defer r.enter()()
	if r.head != nil {
		r.t.Error("second Head")
	}
	r.head = &Head{status, length, bytes.Clone(text)}
	if r.on != nil {
		r.on(x, "head")
	}
}

func (r *recorder) Data(x *Exchange, p []byte, end bool) {
	defer r.enter()()
	if r.head == nil {
		r.t.Error("Data before Head")
	}
	r.body.Write(p)
	if r.on != nil {
		r.on(x, "data")
	}
	if end {
		r.end()
	} else if !r.keep {
		x.Credit(len(p))
	}
}

func (r *recorder) End(x *Exchange) {
	defer r.enter()()
	r.end()
}

func (r *recorder) Fail(x *Exchange, f Failure) {
	defer r.enter()()
	if f.Begun != (r.head != nil) {
		r.t.Errorf("Begun %v, but head %v", f.Begun, r.head)
	}
	r.fail = &f
	r.end()
}

// result waits for the end.
func (r *recorder) result() (string, *Failure) {
	r.t.Helper()
	select {
	case <-r.done:
	case <-time.After(patience):
		require.Fail(r.t, "the exchange has not ended")
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.body.String(), r.fail
}

func (r *recorder) want(body string) {
	r.t.Helper()
	got, fail := r.result()
	if fail != nil {
		require.Fail(r.t, "failed: "+fail.Error())
	}
	require.Equal(r.t, body, got)
}

func (r *recorder) wantFailure(kind FailureKind, status int, message string) Failure {
	r.t.Helper()
	_, f := r.result()
	require.NotNil(r.t, f, "no failure")
	require.Equal(r.t, kind, f.Kind, f.Message)
	require.Equal(r.t, status, f.Status)
	require.Contains(r.t, f.Message, message)
	return *f
}

// group is a pool for sockets, closed at the end of the test.
func group(t testing.TB, edit func(*Config), sockets ...string) *Pool {
	cfg := Config{Group: "g", Sockets: sockets, PeerUID: -1, PeerPID: -1, Log: func(level int, msg string) { t.Logf("%d: %s", level, msg) }}
	if edit != nil {
		edit(&cfg)
	}
	p := NewPool(cfg)
	t.Cleanup(func() {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		p.Close(ctx)
		p.mu.Lock()
		defer p.mu.Unlock()
		assert.Zero(t, p.open)
		assert.Zero(t, p.queue.n)
		assert.Zero(t, p.queue.bytes)
		assert.Zero(t, p.running)
		assert.Empty(t, p.conns)
		assert.False(t, p.serves())
	})
	return p
}

// eventually waits for a state that no event announces.
func eventually(t testing.TB, what func() bool) {
	t.Helper()
	require.Eventually(t, what, patience, time.Millisecond)
}
