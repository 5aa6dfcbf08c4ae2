// Tests of every source of requests over real sockets: what one does the other
// has to do as well.
package listen

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"modwsgi/gocore/internal/http1"
)

// goMemory stands in for C memory: slices kept alive by a map.
func goMemory() Memory {
	var mu sync.Mutex
	live := map[unsafe.Pointer][]uint64{}
	m := Memory{}
	m.Alloc = func(n uintptr) unsafe.Pointer {
		b := make([]uint64, n/8+1)
		p := unsafe.Pointer(&b[0])
		mu.Lock()
		live[p] = b
		mu.Unlock()
		return p
	}
	m.Free = func(p unsafe.Pointer) {
		mu.Lock()
		delete(live, p)
		mu.Unlock()
	}
	m.Realloc = func(p unsafe.Pointer, n uintptr) unsafe.Pointer {
		q := m.Alloc(n)
		mu.Lock()
		if p != nil {
			copy(live[q], live[p])
			delete(live, p)
		}
		mu.Unlock()
		return q
	}
	return m
}

// sources are the implementations under test; files with a build constraint add theirs.
var sources = map[string]func(Config) (Source, error){}

// each runs a test with every source.
func each(t *testing.T, test func(t *testing.T, open opener)) {
	for name, open := range sources {
		t.Run(name, func(t *testing.T) { test(t, open) })
	}
}

// bigSize is more than socket buffers take.
const bigSize = 8 << 20

type opener func(Config) (Source, error)

type fakeApp struct {
	mem      Memory
	settings Settings
	running  atomic.Int32
	release  chan struct{} // /wait blocks here
	stale    atomic.Bool
	handed   chan string
	kept     chan [2]int // gets each descriptor handed over and a copy, as the supervisor has one
	done     atomic.Int32
	proxy    bool          // connections begin with a PROXY header
	badOpens atomic.Int32  // so many connections panic in Open
	gate     chan struct{} // not nil: connection number gateAt waits here in Open, and with it the leader
	gateAt   atomic.Int32
	opens    atomic.Int32
	mu       sync.Mutex
	panics   []string // what was reported
	file     *os.File // /file sends it from its second byte on
	tls      *tls.Config
	secured  chan error
}

func (f *fakeApp) Open(c *Conn) {
	if f.badOpens.Add(-1) >= 0 {
		panic("open")
	}
	c.Settings, c.ProxyHeader, c.TLS = &f.settings, f.proxy, f.tls
	if n := f.opens.Add(1); f.gate != nil && n == f.gateAt.Load() {
		<-f.gate
	}
}

func (f *fakeApp) Secured(c *Conn, err error) {
	if err == nil && c.wire != nil {
		c.SecureNote = "noted"
	}
	if f.secured != nil {
		f.secured <- err
	}
}

func (f *fakeApp) answer(q *Req, status int, body string) {
	conn := ""
	if q.KeepAlive == 0 {
		conn = "Connection: close\r\n"
	}
	f.mem.Append(q, fmt.Appendf(nil, "HTTP/1.1 %d X\r\n%sContent-Length: %d\r\n\r\n%s", status, conn, len(body), body))
}
func (f *fakeApp) Route(c *Conn, q *Req) Action {
	switch path := string(q.Bytes(q.Head.Path)); {
	case strings.HasPrefix(path, "/static"):
		f.answer(q, 200, "static")
		return Respond
	case path == "/file":
		fd, err := syscall.Dup(int(f.file.Fd()))
		if err != nil {
			panic(err)
		}
		q.FileFD, q.FileOff, q.FileLeft = int32(fd), 1, bigSize
		f.mem.Append(q, fmt.Appendf(nil, "HTTP/1.1 200 X\r\nContent-Length: %d\r\n\r\n", bigSize))
		return Respond
	case path == "/panic-route":
		f.mem.Append(q, []byte("half a resp"))
		panic("route")
	case path == "/panic-stream":
		c.Stream = func(*Stream) { panic("stream") }
		return Streamed
	case path == "/panic-stream-cut":
		c.Stream = func(s *Stream) {
			q.Status = 200
			io.WriteString(s, "HTTP/1.1 200 X\r\nContent-Length: 9\r\n\r\nhal")
			panic("stream cut")
		}
		return Streamed
	case strings.HasPrefix(path, "/think"):
		return Think
	}
	return Run
}

// Decide: /think/no is refused, /think/python asks for a Python thread, and
// everything else runs in the end.
func (f *fakeApp) Decide(c *Conn, q *Req, python bool) Action {
	path := string(q.Bytes(q.Head.Path))
	switch {
	case path == "/think/panic-python" && python, path == "/think/panic":
		panic("decide")
	case python:
		atomic.StoreUint32(&q.Phase, phaseApp)
		return Run
	case strings.HasPrefix(path, "/think/wait"):
		<-f.release
	case path == "/think/no":
		f.answer(q, 401, "refused")
		return Respond
	case strings.HasSuffix(path, "python"):
		return ThinkPython
	}
	return Run
}
func (f *fakeApp) Bad(c *Conn, q *Req, status int) {
	if q.Head.Path.Len > 0 && string(q.Bytes(q.Head.Path)) == "/panic-bad" {
		panic("bad")
	}
	f.answer(q, status, "bad")
}

func (f *fakeApp) panicked(c *Conn, value any, stack []byte) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.panics = append(f.panics, fmt.Sprint(value))
	if !strings.Contains(string(stack), "fakeApp") {
		f.panics = append(f.panics, "a stack without the culprit")
	}
}
func (f *fakeApp) Run(c *Conn, q *Req) bool {
	if f.stale.Load() {
		return false
	}
	f.running.Add(1)
	defer f.running.Add(-1)
	atomic.StoreUint32(&q.Phase, phaseApp)
	path := string(q.Bytes(q.Head.Path))
	if path == "/wait" {
		<-f.release
	}
	switch path {
	case "/panic-run", "/panic-bad":
		panic("run")
	case "/panic-cut": // Python has sent a head
		q.Status = 200
		panic("cut")
	}
	if path == "/error" || path == "/panic-failed" {
		q.Result, q.Status = ResultError, 500
		return true
	}
	if path == "/big" {
		f.answer(q, 200, strings.Repeat("b", bigSize))
		return true
	}
	if path == "/secure" {
		name := "-"
		if c.Secure != nil {
			name = fmt.Sprint(c.Secure.ServerName, " ", c.SecureNote, " ", c.Remote)
		}
		f.answer(q, 200, name)
		return true
	}
	if path == "/id" {
		f.answer(q, 200, fmt.Sprintf("/id:%d", q.ConnID))
		return true
	}
	body := q.Input()[q.BodyOff : q.BodyOff+q.BodyLen]
	f.answer(q, 200, path+":"+string(body))
	return true
}
func (f *fakeApp) Failed(c *Conn, q *Req) {
	if string(q.Bytes(q.Head.Path)) == "/panic-failed" {
		panic("failed")
	}
	f.answer(q, int(q.Status), "failed")
}
func (f *fakeApp) Done(c *Conn, q *Req) {
	f.done.Add(1)
	if q.Head.Path.Len > 0 && string(q.Bytes(q.Head.Path)) == "/panic-done" {
		panic("done")
	}
}
func (f *fakeApp) Handoff(fd int, pending []byte) bool {
	if f.handed == nil {
		return false
	}
	if f.kept != nil {
		copied, err := syscall.Dup(fd)
		if err != nil {
			panic(err)
		}
		f.kept <- [2]int{fd, copied}
	}
	f.handed <- string(pending)
	return true
}

func (open opener) start(t *testing.T, threads int, change func(*fakeApp)) (Source, *fakeApp, string) {
	t.Helper()
	r, f, addr := open.prepare(t, threads, change, nil)
	require.NoError(t, r.Start())
	return r, f, addr
}

// prepare makes a source on a port of its own that is to be started.
func (open opener) prepare(t *testing.T, threads int, change func(*fakeApp), ready func() error) (Source, *fakeApp, string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	file, err := l.(*net.TCPListener).File()
	require.NoError(t, err)
	addr := l.Addr().String()
	l.Close()
	f := &fakeApp{mem: goMemory(), release: make(chan struct{}),
		settings: Settings{Limits: http1.DefaultLimits, Header: 5 * time.Second, Body: 5 * time.Second, KeepAlive: 5 * time.Second, IO: 5 * time.Second, Persistent: true}}
	if change != nil {
		change(f)
	}
	r, err := open(Config{Handler: f, Memory: f.mem, Listeners: []*os.File{file}, Threads: threads, Panic: f.panicked, Ready: ready})
	require.NoError(t, err)
	t.Cleanup(func() { r.Stop(); file.Close() })
	return r, f, addr
}

// exchange sends raw bytes and reads to the end of the connection.
func exchange(t *testing.T, addr, in string) string {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	require.NoError(t, err)
	defer c.Close()
	c.SetDeadline(time.Now().Add(10 * time.Second))
	_, err = io.WriteString(c, in)
	require.NoError(t, err)
	b, _ := io.ReadAll(c)
	return string(b)
}

func TestRequestsOnOneConnection(t *testing.T) { each(t, testRequestsOnOneConnection) }

func testRequestsOnOneConnection(t *testing.T, open opener) {
	tests := []struct {
		name, in string
		want     []string
	}{
		{"close", "GET /a HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", []string{"200 X", "/a:"}},
		{"pipelined", "GET /a HTTP/1.1\r\nHost: x\r\n\r\nGET /b HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", []string{"/a:", "/b:"}},
		{"body", "POST /p HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabcGET /q HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", []string{"/p:abc", "/q:"}},
		{"http/1.0", "GET /a HTTP/1.0\r\n\r\n", []string{"Connection: close", "/a:"}},
		{"malformed", "GET /a HTTP/1.1\r\nHost x\r\n\r\n", []string{"400 X", "Connection: close"}},
		{"malformed second", "GET /a HTTP/1.1\r\nHost: x\r\n\r\nG(T / HTTP/1.1\r\n\r\n", []string{"/a:", "400 X"}},
		{"static then app", "GET /static HTTP/1.1\r\nHost: x\r\n\r\nGET /b HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", []string{"static", "/b:"}},
		{"failed", "GET /error HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", []string{"500 X", "failed"}},
	}
	_, _, addr := open.start(t, 2, nil)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := exchange(t, addr, tt.in)
			at := 0
			for _, w := range tt.want {
				i := strings.Index(got[at:], w)
				require.GreaterOrEqual(t, i, 0, "%q not in order in %q", w, got)
				at += i
			}
		})
	}
}

func TestHeadByteByByte(t *testing.T) { each(t, testHeadByteByByte) }

func testHeadByteByByte(t *testing.T, open opener) {
	_, _, addr := open.start(t, 1, nil)
	c, err := net.Dial("tcp", addr)
	require.NoError(t, err)
	defer c.Close()
	for _, b := range []byte("POST /x HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nConnection: close\r\n\r\nhi") {
		c.Write([]byte{b})
		time.Sleep(200 * time.Microsecond)
	}
	b, _ := io.ReadAll(c)
	assert.Contains(t, string(b), "/x:hi")
}

func TestSaturatedApplicationLeavesServerResponsive(t *testing.T) {
	each(t, testSaturatedApplicationLeavesServerResponsive)
}

func testSaturatedApplicationLeavesServerResponsive(t *testing.T, open opener) {
	_, f, addr := open.start(t, 2, nil)
	var wg sync.WaitGroup
	for range 5 { // two run, three wait in the queue
		wg.Go(func() {
			res, err := http.Get("http://" + addr + "/wait")
			if assert.NoError(t, err) {
				res.Body.Close()
			}
		})
	}
	require.Eventually(t, func() bool { return f.running.Load() == 2 }, 5*time.Second, time.Millisecond)
	got := exchange(t, addr, "GET /static HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
	assert.Contains(t, got, "static", "an error page or a file must not wait for a Python thread")
	close(f.release)
	wg.Wait()
	got = exchange(t, addr, "GET /after HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
	assert.Contains(t, got, "/after:")
}

func TestSlowHeadIsTimedOut(t *testing.T) { each(t, testSlowHeadIsTimedOut) }

func testSlowHeadIsTimedOut(t *testing.T, open opener) {
	_, _, addr := open.start(t, 1, func(f *fakeApp) { f.settings.Header = 50 * time.Millisecond })
	got := exchange(t, addr, "GET /a HTTP/1.1\r\nHo")
	assert.Contains(t, got, "408 X")
	assert.Empty(t, exchange(t, addr, ""), "an idle connection is closed without a word")
}

func TestDrainHandsIdleConnectionsOver(t *testing.T) { each(t, testDrainHandsIdleConnectionsOver) }

func testDrainHandsIdleConnectionsOver(t *testing.T, open opener) {
	r, f, addr := open.start(t, 1, func(f *fakeApp) { f.handed = make(chan string, 4) })
	c, err := net.Dial("tcp", addr)
	require.NoError(t, err)
	defer c.Close()
	io.WriteString(c, "GET /a HTTP/1.1\r\nHost: x\r\n\r\n")
	res, err := http.ReadResponse(bufio.NewReader(c), nil)
	require.NoError(t, err)
	io.Copy(io.Discard, res.Body)
	r.Drain(true)
	select {
	case got := <-f.handed:
		assert.Empty(t, got)
	case <-time.After(5 * time.Second):
		t.Fatal("the idle connection was not handed over")
	}
	select {
	case <-r.Done():
	case <-time.After(5 * time.Second):
		t.Fatal("the reactor did not finish")
	}
}

func TestRequestThatNoticesReplacementIsHandedOver(t *testing.T) {
	each(t, testRequestThatNoticesReplacementIsHandedOver)
}

func testRequestThatNoticesReplacementIsHandedOver(t *testing.T, open opener) {
	_, f, addr := open.start(t, 1, func(f *fakeApp) { f.handed = make(chan string, 4) })
	f.stale.Store(true)
	in := "POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc"
	exchange(t, addr, in)
	select {
	case got := <-f.handed:
		assert.Equal(t, in, got, "the successor needs every byte")
	case <-time.After(5 * time.Second):
		t.Fatal("not handed over")
	}
}

func TestAdoptServesWhatWasRead(t *testing.T) { each(t, testAdoptServesWhatWasRead) }

func testAdoptServesWhatWasRead(t *testing.T, open opener) {
	r, _, _ := open.start(t, 1, nil)
	pair, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
	require.NoError(t, err)
	require.NoError(t, r.Adopt(pair[0], []byte("GET /adopted HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")))
	f := os.NewFile(uintptr(pair[1]), "client")
	defer f.Close()
	b, _ := io.ReadAll(f)
	assert.Contains(t, string(b), "/adopted:")
}

func TestAdoptedConnectionsHaveIDsOfTheirOwn(t *testing.T) {
	each(t, testAdoptedConnectionsHaveIDsOfTheirOwn)
}

// What the environ's cache knows of a connection it finds by this number.
func testAdoptedConnectionsHaveIDsOfTheirOwn(t *testing.T, open opener) {
	r, _, _ := open.start(t, 1, nil)
	seen := map[string]bool{"/id:0": true}
	for range 3 {
		pair, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
		require.NoError(t, err)
		require.NoError(t, r.Adopt(pair[0], []byte("GET /id HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")))
		f := os.NewFile(uintptr(pair[1]), "client")
		b, _ := io.ReadAll(f)
		f.Close()
		_, body, _ := strings.Cut(string(b), "\r\n\r\n")
		assert.True(t, strings.HasPrefix(body, "/id:"), body)
		assert.False(t, seen[body], "again "+body)
		seen[body] = true
	}
}

func TestManyClientsManyRequests(t *testing.T) { each(t, testManyClientsManyRequests) }

func testManyClientsManyRequests(t *testing.T, open opener) {
	r, f, addr := open.start(t, 4, nil)
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 32}}
	var wg sync.WaitGroup
	for i := range 32 {
		wg.Go(func() {
			for j := range 50 {
				body := strings.Repeat("x", (i*j)%3000)
				res, err := client.Post("http://"+addr+"/m", "text/plain", strings.NewReader(body))
				if !assert.NoError(t, err) {
					return
				}
				b, _ := io.ReadAll(res.Body)
				res.Body.Close()
				assert.Equal(t, "/m:"+body, string(b))
			}
		})
	}
	wg.Wait()
	client.CloseIdleConnections()
	assert.Eventually(t, func() bool { return f.done.Load() == 32*50 }, 5*time.Second, time.Millisecond)
	assert.Eventually(t, func() bool { return r.Connections() == 0 }, 5*time.Second, time.Millisecond)
}

func TestSlowReaders(t *testing.T) { each(t, testSlowReaders) }

// Responses that clients do not read wait without a Python thread.
func testSlowReaders(t *testing.T, open opener) {
	file, err := os.Create(t.TempDir() + "/file")
	require.NoError(t, err)
	defer file.Close()
	_, err = file.WriteString("x" + strings.Repeat("b", bigSize))
	require.NoError(t, err)
	_, _, addr := open.start(t, 1, func(f *fakeApp) { f.file = file })
	var conns []net.Conn
	for i := range 6 {
		c, err := net.Dial("tcp", addr)
		require.NoError(t, err)
		defer c.Close()
		path := []string{"/big", "/file"}[i%2]
		_, err = io.WriteString(c, "GET "+path+" HTTP/1.1\r\nHost: x\r\n\r\nGET /next HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
		require.NoError(t, err)
		conns = append(conns, c)
	}
	got := exchange(t, addr, "GET /a HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
	assert.Contains(t, got, "/a:")
	for _, c := range conns {
		b := bufio.NewReader(c)
		res, err := http.ReadResponse(b, nil)
		require.NoError(t, err)
		body, err := io.ReadAll(res.Body)
		require.NoError(t, err)
		assert.Equal(t, bigSize, len(body))
		assert.Equal(t, bigSize, strings.Count(string(body), "b"))
		rest, err := io.ReadAll(b)
		require.NoError(t, err)
		assert.Contains(t, string(rest), "/next:", "the connection goes on after a slow response")
	}
}

func TestReaderThatStopsIsCutOff(t *testing.T) { each(t, testReaderThatStopsIsCutOff) }

func testReaderThatStopsIsCutOff(t *testing.T, open opener) {
	r, f, addr := open.start(t, 1, func(f *fakeApp) { f.settings.IO = 100 * time.Millisecond })
	c, err := net.Dial("tcp", addr)
	require.NoError(t, err)
	defer c.Close()
	_, err = io.WriteString(c, "GET /big HTTP/1.1\r\nHost: x\r\n\r\n")
	require.NoError(t, err)
	assert.Eventually(t, func() bool { return f.done.Load() == 1 && r.Connections() == 0 }, 10*time.Second, 10*time.Millisecond)
}

func TestMoreConnectionsThanBuffers(t *testing.T) { each(t, testMoreConnectionsThanBuffers) }

// Idle connections above keepReqs give their buffers back and get others.
func testMoreConnectionsThanBuffers(t *testing.T, open opener) {
	r, _, addr := open.start(t, 2, func(f *fakeApp) {
		f.settings.Header, f.settings.KeepAlive = time.Minute, time.Minute
	})
	var conns []net.Conn
	for range keepReqs + 20 {
		c, err := net.Dial("tcp", addr)
		require.NoError(t, err)
		defer c.Close()
		conns = append(conns, c)
	}
	require.Eventually(t, func() bool { return r.Connections() == len(conns) }, 10*time.Second, time.Millisecond)
	for round := range 2 {
		for i, c := range conns {
			_, err := fmt.Fprintf(c, "POST /%d HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n%05d", i, round)
			require.NoError(t, err)
		}
		for i, c := range conns {
			res, err := http.ReadResponse(bufio.NewReader(c), nil)
			require.NoError(t, err)
			body, err := io.ReadAll(res.Body)
			require.NoError(t, err)
			assert.Equal(t, fmt.Sprintf("/%d:%05d", i, round), string(body))
		}
	}
}

func TestContinue(t *testing.T) { each(t, testContinue) }

func testContinue(t *testing.T, open opener) {
	_, _, addr := open.start(t, 1, nil)
	c, err := net.Dial("tcp", addr)
	require.NoError(t, err)
	defer c.Close()
	_, err = io.WriteString(c, "POST /p HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n")
	require.NoError(t, err)
	b := bufio.NewReader(c)
	line, err := b.ReadString('\n')
	require.NoError(t, err)
	assert.Equal(t, "HTTP/1.1 100 Continue\r\n", line)
	_, err = b.ReadString('\n')
	require.NoError(t, err)
	_, err = io.WriteString(c, "hi")
	require.NoError(t, err)
	res, err := http.ReadResponse(b, nil)
	require.NoError(t, err)
	body, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	assert.Equal(t, "/p:hi", string(body))
}
