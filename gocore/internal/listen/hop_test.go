//go:build linux || darwin || freebsd

// Tests of the daemon's side of the hop: a front made of the codec talks to each
// source over a real Unix socket.
package listen

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"modwsgi/gocore/internal/hop"
)

const someSize = 3 * hop.ResponseWindow / 2 // more than a front takes at once

// hopApp is a fakeApp whose requests come over the hop.
type hopApp struct {
	fakeApp
	routes atomic.Int32
}

func (a *hopApp) HopPlan(key []byte) any {
	switch string(key) {
	case "unknown":
		return nil
	case "panic plan":
		panic("plan")
	}
	return string(key)
}

func (a *hopApp) RouteHop(c *Conn, q *Req, plan any) {
	a.routes.Add(1)
	if plan == "panic" {
		panic("route")
	}
	c.Settings, c.Tag = &a.settings, a
}

// Run answers with the path and body; paths that begin with /wait wait for release.
func (a *hopApp) Run(c *Conn, q *Req) bool {
	if a.stale.Load() {
		return false
	}
	p := c.Hop()
	p.Start()
	a.running.Add(1)
	defer a.running.Add(-1)
	path := string(q.Bytes(q.Head.Path))
	body := q.Input()[q.BodyOff : q.BodyOff+q.BodyLen]
	if q.StreamLeft != 0 && path != "/unread" { // as C does
		f := os.NewFile(uintptr(must(syscall.Dup(int(q.FD)))), "body")
		syscall.SetNonblock(int(f.Fd()), false)
		more, _ := io.ReadAll(f)
		f.Close()
		body = append(append([]byte(nil), body...), more...)
	}
	switch {
	case strings.HasPrefix(path, "/wait"):
		<-a.release
	case path == "/error":
		q.Result, q.Status = ResultError, 500
		return true
	case path == "/panic":
		panic("hop")
	case path == "/some" || path == "/unread":
		p.Head(200, someSize, []byte("200 OK\r\n"))
		p.Body(make([]byte, someSize))
		p.End()
		return true
	case path == "/big":
		p.Head(200, bigSize, []byte("200 OK\r\nX: y\r\n"))
		p.Body(bytes.Repeat([]byte("b"), bigSize))
		p.End()
		return true
	case path == "/bigfile":
		p.Head(200, bigSize, []byte("200 OK\r\n"))
		p.File(int(a.file.Fd()), 0, bigSize)
		p.End()
		return true
	case path == "/blocks":
		p.Head(200, -1, []byte("200 OK\r\n"))
		for i := range 5 {
			if !p.Body(fmt.Appendf(nil, "block %d\n", i)) {
				return true
			}
			if i == 0 {
				<-a.release
			}
		}
		p.End()
		return true
	case path == "/cut":
		p.Head(200, 10, []byte("200 OK\r\n"))
		p.Body([]byte("12345"))
		q.Result = ResultCut
		return true
	}
	out := fmt.Appendf(nil, "%s:%s", path, body)
	p.Head(200, int64(len(out)), []byte("200 OK\r\n"))
	p.Body(out)
	p.End()
	if path == "/linger" { // the response is on its way, and its thread is not done
		p.h.flush()
		<-a.release
	}
	return true
}

func must(n int, err error) int {
	if err != nil {
		panic(err)
	}
	return n
}

// testFront is a connection of a front process.
type testFront struct {
	t    *testing.T
	c    net.Conn
	r    *hop.Reader
	next uint32
}

func (open opener) startHop(t *testing.T, threads int, change func(*hopApp, *Config)) (Source, *hopApp, string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "hop.sock")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	require.NoError(t, err)
	l.SetUnlinkOnClose(false)
	file, err := l.File()
	require.NoError(t, err)
	l.Close()
	a := &hopApp{fakeApp: fakeApp{mem: goMemory(), release: make(chan struct{}), settings: Settings{IO: 5 * time.Second}}}
	conf := Config{Handler: a, Memory: a.mem, Threads: threads, Panic: a.panicked, FlushDelay: time.Millisecond, Hop: &HopConfig{
		Listeners: []*os.File{file}, Hello: hop.Hello{Generation: 7, Slot: 1, Threads: uint32(threads)},
		Allow: func(uid int) bool { return uid == os.Getuid() }, Refused: func(int) {}}}
	if change != nil {
		change(a, &conf)
	}
	r, err := open(conf)
	require.NoError(t, err)
	require.NoError(t, r.Start())
	t.Cleanup(func() { r.Stop(); file.Close() })
	return r, a, path
}

func dialHop(t *testing.T, path string) *testFront {
	t.Helper()
	c, err := net.Dial("unix", path)
	require.NoError(t, err)
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(20 * time.Second))
	f := &testFront{t: t, c: c, r: hop.NewReader(c, hop.FromDaemon)}
	h, err := hop.DecodeHello(f.frame(hop.TypeHello).Payload)
	require.NoError(t, err)
	assert.Equal(t, uint32(7), h.Generation)
	assert.Equal(t, uint32(1), h.Slot)
	return f
}

func (f *testFront) request(path string, body []byte) []byte {
	f.next++
	m := hop.Request{Window: hop.ResponseWindow, Key: []byte("key"), ConnID: 5, RequestNo: 6, StartUs: time.Now().UnixMicro(),
		Remote: netip.MustParseAddrPort("192.0.2.1:4"), Body: body, BodyLen: int64(len(body)),
		Head: fmt.Appendf(nil, "POST %s HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n", path, len(body))}
	return hop.AppendRequest(nil, f.next, &m)
}

func (f *testFront) write(b []byte) {
	f.t.Helper()
	_, err := f.c.Write(b)
	require.NoError(f.t, err)
}

func (f *testFront) frame(want hop.Type) hop.Frame {
	f.t.Helper()
	x := f.any(want == hop.TypeQueued)
	require.Equal(f.t, want, x.Type)
	return x
}

// queued reads what the front is told of a request that waits, or did. Others may
// have waited for a moment, until a thread was quite ready.
func (f *testFront) queued(stream uint32) (waits bool) {
	f.t.Helper()
	x := f.frame(hop.TypeQueued)
	for x.Stream != stream {
		x = f.frame(hop.TypeQueued)
	}
	waits, err := hop.DecodeQueued(x.Payload)
	require.NoError(f.t, err)
	return waits
}

// any reads the next frame, if not queued the next that is none about waiting:
// those depend on how long a thread takes to come free.
func (f *testFront) any(queued bool) hop.Frame {
	f.t.Helper()
	for {
		x, err := f.r.Frame()
		require.NoError(f.t, err)
		if queued || x.Type != hop.TypeQueued {
			return x
		}
	}
}

// response reads a complete response, giving credit, and returns its stream and body.
func (f *testFront) response() (stream uint32, body string) {
	f.t.Helper()
	for stream, body = range f.responses(1) {
	}
	return stream, body
}

// responses reads so many of them, whose frames may alternate.
func (f *testFront) responses(n int) map[uint32]string {
	f.t.Helper()
	begun, done := map[uint32]*strings.Builder{}, map[uint32]string{}
	for len(done) < n {
		x := f.any(false)
		b := begun[x.Stream]
		if b == nil {
			require.Equal(f.t, hop.TypeHead, x.Type)
			begun[x.Stream] = &strings.Builder{}
			b = begun[x.Stream]
		} else if x.Type != hop.TypeEnd {
			require.Equal(f.t, hop.TypeData, x.Type)
			b.Write(x.Payload)
		}
		if x.End || x.Type == hop.TypeEnd {
			done[x.Stream] = b.String()
		} else if len(x.Payload) > 0 && x.Type == hop.TypeData {
			f.write(hop.AppendCredit(nil, x.Stream, uint32(len(x.Payload))))
		}
	}
	return done
}

func TestHopNumberComesAgainEarly(t *testing.T) { each(t, testHopNumberComesAgainEarly) }

// A front uses the number of a stream again as soon as its last frame has come,
// which may be before the thread of the old one is through with it.
func testHopNumberComesAgainEarly(t *testing.T, open opener) {
	r, a, path := open.startHop(t, 3, nil)
	f := dialHop(t, path)
	for range 2 {
		f.next = 0
		f.write(f.request("/linger", []byte("first")))
		_, body := f.response()
		assert.Equal(t, "/linger:first", body)
	}
	assert.Equal(t, int32(2), a.running.Load())
	f.next = 0
	f.write(f.request("/other", []byte("second")))
	_, body := f.response()
	assert.Equal(t, "/other:second", body)
	close(a.release)
	require.Eventually(t, func() bool { return a.running.Load() == 0 && r.Running() == 0 }, 5*time.Second, time.Millisecond)
	f.next = 0
	f.write(f.request("/other", []byte("third")))
	_, body = f.response()
	assert.Equal(t, "/other:third", body)
	assert.Equal(t, 1, r.Connections(), "the front's; no stream counts any more")
}

func TestHopRequests(t *testing.T) { each(t, testHopRequests) }

func testHopRequests(t *testing.T, open opener) {
	_, a, path := open.startHop(t, 2, nil)
	f := dialHop(t, path)
	var batch []byte
	for i := range 100 { // more than one read of them, one write
		batch = append(batch, f.request(fmt.Sprintf("/%d", i), []byte("body"))...)
	}
	f.write(batch)
	for stream, body := range f.responses(100) {
		assert.Equal(t, fmt.Sprintf("/%d:body", stream-1), body)
	}
	require.Eventually(t, func() bool { return a.done.Load() == 100 }, 5*time.Second, time.Millisecond)
	f.next = 3 // a number that was used before
	f.write(f.request("/again", nil))
	_, body := f.response()
	assert.Equal(t, "/again:", body)
}

func TestHopFailures(t *testing.T) { each(t, testHopFailures) }

func testHopFailures(t *testing.T, open opener) {
	r, a, path := open.startHop(t, 1, nil)
	f := dialHop(t, path)
	f.write(f.request("/error", nil))
	status, err := hop.DecodeError(f.frame(hop.TypeError).Payload)
	require.NoError(t, err)
	assert.Equal(t, 500, status)
	f.write(f.request("/panic", nil))
	f.frame(hop.TypeError)
	f.write(f.request("/cut", nil))
	f.frame(hop.TypeHead)
	f.frame(hop.TypeData)
	f.frame(hop.TypeReset)
	m := hop.Request{Window: hop.ResponseWindow, Key: []byte("unknown"), Head: []byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n")}
	f.write(hop.AppendRequest(nil, 9, &m))
	f.frame(hop.TypeError)
	m.Head = []byte("GET nonsense\r\n\r\n")
	f.write(hop.AppendRequest(nil, 9, &m))
	f.frame(hop.TypeError)
	f.write(f.request("/after", nil))
	_, body := f.response()
	assert.Equal(t, "/after:", body)
	f.write(f.request("/panic-done", nil))
	_, body = f.response()
	assert.Equal(t, "/panic-done:", body)
	m.Key, m.Head = []byte("panic"), []byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	f.write(hop.AppendRequest(nil, 9, &m))
	f.frame(hop.TypeError)
	f.write(f.request("/after", nil))
	_, body = f.response()
	assert.Equal(t, "/after:", body)
	require.Eventually(t, func() bool { return r.Connections() == 1 && r.Running() == 0 }, 5*time.Second, time.Millisecond)
	a.mu.Lock()
	defer a.mu.Unlock()
	assert.Subset(t, a.panics, []string{"hop", "done", "route"})
}

func TestHopCredit(t *testing.T) { each(t, testHopCredit) }

// A response that the front does not take waits without a Python thread.
func testHopCredit(t *testing.T, open opener) {
	_, a, path := open.startHop(t, 1, nil)
	f := dialHop(t, path)
	f.write(f.request("/big", nil))
	require.Eventually(t, func() bool { return a.done.Load() == 1 }, 10*time.Second, time.Millisecond)
	g := dialHop(t, path)
	g.write(g.request("/other", nil))
	_, body := g.response()
	assert.Equal(t, "/other:", body)
	_, body = f.response()
	assert.Equal(t, bigSize, len(body))
}

func TestHopBlocks(t *testing.T) { each(t, testHopBlocks) }

// Blocks leave while the application goes on, and a long request is no reason
// for others to wait when there is another thread.
func testHopBlocks(t *testing.T, open opener) {
	_, a, path := open.startHop(t, 2, nil)
	f := dialHop(t, path)
	f.write(f.request("/blocks", nil))
	f.frame(hop.TypeHead)
	assert.Equal(t, "block 0\n", string(f.frame(hop.TypeData).Payload))
	f.write(f.request("/other", nil))
	_, body := f.response()
	assert.Equal(t, "/other:", body)
	close(a.release)
	rest := ""
	for {
		x := f.any(false)
		if x.Type == hop.TypeEnd {
			break
		}
		rest += string(x.Payload)
	}
	assert.Equal(t, "block 1\nblock 2\nblock 3\nblock 4\n", rest)
}

func TestHopBody(t *testing.T) { each(t, testHopBody) }

func testHopBody(t *testing.T, open opener) {
	for _, chunked := range []bool{false, true} {
		t.Run(fmt.Sprint("chunked ", chunked), func(t *testing.T) {
			_, _, path := open.startHop(t, 1, nil)
			f := dialHop(t, path)
			const size = 3 << 20
			m := hop.Request{Window: hop.ResponseWindow, Key: []byte("key"), Body: []byte("begin"), BodyLen: size + 5,
				Head: fmt.Appendf(nil, "POST /body HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n", size+5)}
			if chunked {
				m.Body, m.BodyLen, m.Chunked = nil, -1, true
				m.Head = []byte("POST /body HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
			}
			f.write(hop.AppendRequest(nil, 1, &m))
			left := size
			for left > 0 {
				x := f.frame(hop.TypeCredit)
				n, err := hop.DecodeCredit(x.Payload)
				require.NoError(t, err)
				for n > 0 && left > 0 {
					k := min(int(n), left, 10_000)
					left -= k
					n -= uint32(k)
					f.write(hop.AppendBody(nil, 1, bytes.Repeat([]byte("x"), k), left == 0))
				}
			}
			for {
				x := f.any(false)
				if x.Type == hop.TypeCredit {
					continue
				}
				require.Equal(t, hop.TypeHead, x.Type)
				break
			}
			var body []byte
			for {
				x := f.frame(hop.TypeData)
				body = append(body, x.Payload...)
				if x.End {
					break
				}
				f.write(hop.AppendCredit(nil, 1, uint32(len(x.Payload))))
			}
			if chunked {
				assert.Equal(t, size, bytes.Count(body, []byte("x")))
				assert.True(t, bytes.HasSuffix(body, []byte("\r\n0\r\n\r\n")))
			} else {
				assert.Equal(t, size+len("/body:begin"), len(body))
			}
		})
	}
}
