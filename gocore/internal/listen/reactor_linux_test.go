package listen

import (
	"bufio"
	"io"
	"net"
	"runtime"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func init() {
	sources["reactor"] = func(c Config) (Source, error) { return New(c) }
	sources["reactors"] = func(c Config) (Source, error) {
		c.Leaders = 2
		return Open(c)
	}
}

// TestEventWhileDrainLooks: an event that comes while Drain owns a connection in
// the middle of a request is not lost.
func TestEventWhileDrainLooks(t *testing.T) {
	s, _, addr := opener(sources["reactor"]).start(t, 1, nil)
	r := s.(*Reactor)
	client, err := net.Dial("tcp", addr)
	require.NoError(t, err)
	defer client.Close()
	client.SetDeadline(time.Now().Add(10 * time.Second))
	_, err = io.WriteString(client, "GET /late HTTP/1.1\r\n")
	require.NoError(t, err)
	var c *Conn
	require.Eventually(t, func() bool {
		for i := range r.conns {
			x := r.conns[i].Load()
			if x == nil || !x.state.CompareAndSwap(stIdle, stBusy) {
				continue
			}
			if x.phase == phHead {
				c = x
				return true
			}
			r.putBack(x)
		}
		return false
	}, 5*time.Second, time.Millisecond)
	_, err = io.WriteString(client, "Host: x\r\n\r\n")
	require.NoError(t, err)
	require.Eventually(t, func() bool { return c.state.Load() == stBusyEvent }, 5*time.Second, time.Millisecond)
	r.putBack(c)
	line, err := bufio.NewReader(client).ReadString('\n')
	require.NoError(t, err)
	assert.Contains(t, line, "200")
}

// TestHandedOverComesBack gives a connection away, which stays open elsewhere,
// and takes it back under the same number: the epoll set must have forgotten it.
func TestHandedOverComesBack(t *testing.T) {
	r, f, addr := opener(sources["reactor"]).start(t, 1, func(f *fakeApp) {
		f.handed, f.kept = make(chan string, 1), make(chan [2]int, 1)
		f.stale.Store(true)
	})
	c, err := net.Dial("tcp", addr)
	require.NoError(t, err)
	defer c.Close()
	c.SetDeadline(time.Now().Add(10 * time.Second))
	_, err = io.WriteString(c, "GET /again HTTP/1.1\r\nHost: x\r\n\r\n")
	require.NoError(t, err)
	fds, pending := <-f.kept, <-f.handed
	defer syscall.Close(fds[1])
	require.Eventually(t, func() bool { return r.Connections() == 0 }, 5*time.Second, time.Millisecond)
	f.stale.Store(false)
	require.NoError(t, syscall.Dup3(fds[1], fds[0], syscall.O_CLOEXEC))
	require.NoError(t, r.Adopt(fds[0], []byte(pending)))
	line, err := bufio.NewReader(c).ReadString('\n')
	require.NoError(t, err)
	assert.Contains(t, line, "200")
}

// TestHeldResponseLeaves: responses of a batch leave together, but do not wait
// for a request of the batch that takes long.
func TestHeldResponseLeaves(t *testing.T) {
	s, f, addr := opener(sources["reactor"]).start(t, 1, func(f *fakeApp) {
		f.gate = make(chan struct{})
		f.gateAt.Store(4)
	})
	defer close(f.release)
	var conns []net.Conn
	for range 4 {
		c, err := net.Dial("tcp", addr)
		require.NoError(t, err)
		defer c.Close()
		c.SetDeadline(time.Now().Add(10 * time.Second))
		conns = append(conns, c)
		if len(conns) == 3 { // the leader has to have them before it is held up
			require.Eventually(t, func() bool { return s.Connections() == 3 }, 5*time.Second, time.Millisecond)
		}
	}
	for i, path := range []string{"/a", "/b", "/wait"} {
		_, err := io.WriteString(conns[i], "GET "+path+" HTTP/1.1\r\nHost: x\r\n\r\n")
		require.NoError(t, err)
	}
	close(f.gate)
	for _, c := range conns[:2] {
		line, err := bufio.NewReader(c).ReadString('\n')
		require.NoError(t, err)
		assert.Contains(t, line, "200")
	}
}

func TestHold(t *testing.T) {
	for _, k := range []struct {
		name    string
		follows bool          // the thread does not lead
		alone   bool          // nothing else is ready
		size    uint64        // of the response
		count   int           // responses that are held
		age     time.Duration // since when they are
		took    time.Duration // the request itself
		static  bool          // it was answered without the application
		file    bool
		want    bool
		due     bool
	}{
		{name: "more is ready", want: true},
		{name: "a follower", follows: true},
		{name: "nothing else is ready", alone: true},
		{name: "the last of a batch", alone: true, count: 3, want: true},
		{name: "large", size: holdBytes + 1},
		{name: "a file", file: true},
		{name: "one more", count: 1, want: true},
		{name: "the first waits long enough", count: 1, age: 2 * batchMax, want: true, due: true},
		{name: "the last that fits", count: holdCount - 1, want: true, due: true},
		{name: "enough", count: holdCount},
		{name: "a long request", count: 3, took: 2 * shortRun, want: true, due: true},
		{name: "a response without application", count: 3, took: 2 * shortRun, static: true, want: true},
	} {
		t.Run(k.name, func(t *testing.T) {
			r := &Reactor{start: time.Now().Add(-time.Minute)}
			if !k.alone {
				r.ready = make([]readyEvent, 1)
			}
			r.held = make([]*Conn, k.count)
			if k.count > 0 {
				r.batchAt = r.now() - int64(k.age)
			}
			c := &Conn{req: &Req{OutLen: max(k.size, 100), FileFD: -1}}
			if k.file {
				c.req.FileFD = 3
			}
			if k.static {
				c.action = Respond
			}
			th := &thread{r: r, leading: !k.follows, since: r.now() - int64(k.took)}
			assert.Equal(t, k.want, r.hold(th, c))
			assert.Equal(t, k.due, r.due)
			if k.want {
				assert.Equal(t, c, r.held[len(r.held)-1])
				assert.NotZero(t, r.batchAt)
			}
		})
	}
}

func TestLookAfter(t *testing.T) {
	assert.Equal(t, quantum, lookAfter(0), "something was found at the last look")
	assert.Equal(t, quantum, lookAfter(int64(quietShare*quantum)))
	assert.Equal(t, 3*quantum, lookAfter(int64(3*quietShare*quantum)))
	assert.Equal(t, quantumMax, lookAfter(int64(time.Hour)))
}

// TestBeside: the monitor uses what is the leader's only while the leader is in
// the application, and a leader that comes back waits for it.
func TestBeside(t *testing.T) {
	r := &Reactor{start: time.Now()}
	r.lead.init(r, 1)
	l := &r.lead
	never := func() { t.Error("the leader may use it") }
	l.beside(7, never)
	l.busySince.Store(8)
	l.beside(7, never) // the next request
	lent, back, shared := make(chan bool), make(chan bool), 0
	go l.beside(8, func() {
		close(lent)
		for !l.recall.Load() {
			runtime.Gosched()
		}
		shared++
	})
	<-lent
	assert.False(t, l.keep(7), "who lost leadership before does not wait")
	go func() {
		back <- l.keep(8)
	}()
	assert.True(t, <-back)
	assert.Equal(t, 1, shared)
	assert.Zero(t, l.busySince.Load())
	assert.False(t, l.keep(8), "leadership was taken")
}

// TestSendAhead: the monitor sends what the leader keeps, once, and the leader goes on with the connection.
func TestSendAhead(t *testing.T) {
	pair, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_NONBLOCK, 0)
	require.NoError(t, err)
	defer syscall.Close(pair[1])
	app := &fakeApp{mem: goMemory()}
	r := &Reactor{h: app, mem: app.mem, start: time.Now(), track: func(int, bool) {}, conns: make([]atomic.Pointer[Conn], maxFD), done: make(chan struct{}), ready: make([]readyEvent, 1)}
	r.lead.init(r, 1)
	c := &Conn{FD: pair[0], home: home{r}, Settings: &Settings{}, closing: true}
	c.state.Store(stBusy)
	r.need(c)
	c.req.FD, c.req.FileFD = int32(pair[0]), -1
	r.mem.Append(c.req, []byte("response"))
	th := r.lead.threads[0]
	th.leading, th.since = true, 5
	require.True(t, r.hold(th, c))
	received := func() string {
		var b [64]byte
		n, _ := syscall.Read(pair[1], b[:])
		return string(b[:max(n, 0)])
	}
	r.sendAhead(5)
	assert.Empty(t, received(), "the leader is not in the application")
	r.lead.busySince.Store(5)
	r.sendAhead(5)
	r.sendAhead(5)
	assert.Equal(t, "response", received())
	assert.True(t, r.lead.keep(5))
	assert.EqualValues(t, 0, app.done.Load())
	assert.True(t, r.sendBatch(th))
	assert.EqualValues(t, 1, app.done.Load())
	assert.Empty(t, received())
	assert.Equal(t, stClosed, c.state.Load())
}

// TestReactorsShareThreads: a request that finds the threads of its reactor busy runs on another's.
func TestReactorsShareThreads(t *testing.T) {
	s, f, addr := opener(sources["reactors"]).start(t, 4, nil)
	rs, ok := s.(*Reactors)
	if !ok {
		t.Skip("the build tag netconn: there are no reactors")
	}
	list := rs.list
	require.Len(t, list, 2)
	var conns []net.Conn
	for i := range 8 {
		c, err := net.Dial("tcp", addr)
		require.NoError(t, err)
		defer c.Close()
		c.SetDeadline(time.Now().Add(10 * time.Second))
		conns = append(conns, c)
		require.Eventually(t, func() bool { return s.Connections() == i+1 }, 5*time.Second, time.Millisecond)
	}
	assert.Equal(t, list[0].Connections(), list[1].Connections())
	sent := 0
	for _, c := range conns { // the four of one reactor, which has two threads
		if list[0].mine(c) {
			_, err := io.WriteString(c, "GET /wait HTTP/1.1\r\nHost: x\r\n\r\n")
			require.NoError(t, err)
			sent++
		}
	}
	require.Equal(t, 4, sent)
	require.Eventually(t, func() bool { return f.running.Load() == 4 }, 5*time.Second, time.Millisecond)
	close(f.release)
	for _, c := range conns {
		if list[0].mine(c) {
			line, err := bufio.NewReader(c).ReadString('\n')
			require.NoError(t, err)
			assert.Contains(t, line, "200")
		}
	}
}

// mine says whether the client's connection is one of the reactor's.
func (r *Reactor) mine(client net.Conn) bool {
	for i := range r.conns {
		if c := r.conns[i].Load(); c != nil && c.Remote.String() == client.LocalAddr().String() {
			return true
		}
	}
	return false
}
