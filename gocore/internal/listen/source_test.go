// Tests of every source of requests over real sockets: what one does the other
// has to do as well.
package listen

import (
	"bufio"
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

type opener func(Config) (Source, error)

type fakeApp struct {
	mem      Memory
	settings Settings
	running  atomic.Int32
	release  chan struct{} // /wait blocks here
	stale    atomic.Bool
	handed   chan string
	done     atomic.Int32
	badOpens atomic.Int32 // so many connections panic in Open
	mu       sync.Mutex
	panics   []string // what was reported
}

func (f *fakeApp) Open(c *Conn) {
	if f.badOpens.Add(-1) >= 0 {
		panic("open")
	}
	c.Settings = &f.settings
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
	case path == "/panic-route":
		f.mem.Append(q, []byte("half a resp"))
		panic("route")
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
	f.handed <- string(pending)
	return true
}

func (open opener) start(t *testing.T, threads int, change func(*fakeApp)) (Source, *fakeApp, string) {
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
	r, err := open(Config{Handler: f, Memory: f.mem, Listeners: []*os.File{file}, Threads: threads, Panic: f.panicked})
	require.NoError(t, err)
	require.NoError(t, r.Start())
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

func TestPanicEndsItsConnectionOnly(t *testing.T) { each(t, testPanicEndsItsConnectionOnly) }

func testPanicEndsItsConnectionOnly(t *testing.T, open opener) {
	tests := []struct {
		path, want string
		panics     []string
	}{
		{"/panic-route", "500 X\r\nConnection: close", []string{"route"}},
		{"/panic-run", "500 X\r\nConnection: close", []string{"run"}},
		{"/panic-failed", "500 X\r\nConnection: close", []string{"failed"}},
		{"/panic-bad", "500 Internal Server Error\r\nContent-Length: 0\r\nConnection: close", []string{"run", "bad"}},
		{"/panic-cut", "", []string{"cut"}},
		{"/panic-done", "/panic-done:", []string{"done"}},
	}
	r, f, addr := open.start(t, 2, nil)
	for _, tt := range tests {
		t.Run(tt.path[1:], func(t *testing.T) {
			for range 5 { // more often than there are threads
				got := exchange(t, addr, "GET "+tt.path+" HTTP/1.1\r\nHost: x\r\n\r\nGET /next HTTP/1.1\r\nHost: x\r\n\r\n")
				if tt.want == "" {
					assert.Empty(t, got)
				} else {
					assert.Contains(t, got, tt.want)
				}
				assert.NotContains(t, got, "half")
				assert.NotContains(t, got, "/next", "the connection ends with the panic")
				f.mu.Lock()
				assert.Equal(t, tt.panics, f.panics)
				f.panics = nil
				f.mu.Unlock()
			}
			got := exchange(t, addr, "GET /a HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
			assert.Contains(t, got, "/a:")
		})
	}
	f.badOpens.Store(1)
	assert.Empty(t, exchange(t, addr, ""))
	assert.Contains(t, exchange(t, addr, "GET /a HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"), "/a:")
	assert.Eventually(t, func() bool { return r.Connections() == 0 && r.Running() == 0 }, 5*time.Second, time.Millisecond)
	close(f.release)
	var wg sync.WaitGroup
	for range 2 { // both threads are still there
		wg.Go(func() { exchange(t, addr, "GET /wait HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n") })
	}
	wg.Wait()
}

// drip sends rest in pieces of n bytes, one every gap, until all is sent or the
// server has answered; it returns the answer.
func drip(t *testing.T, addr, first, rest string, n int, gap time.Duration) string {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	require.NoError(t, err)
	defer c.Close()
	_, err = io.WriteString(c, first)
	require.NoError(t, err)
	answer := make(chan string, 1)
	go func() {
		c.SetReadDeadline(time.Now().Add(20 * time.Second))
		b, _ := io.ReadAll(c)
		answer <- string(b)
	}()
	for len(rest) > 0 {
		select {
		case a := <-answer:
			return a
		case <-time.After(gap):
		}
		k := min(n, len(rest))
		if _, err := io.WriteString(c, rest[:k]); err != nil {
			break
		}
		rest = rest[k:]
	}
	return <-answer
}

func TestReadRates(t *testing.T) { each(t, testReadRates) }

func testReadRates(t *testing.T, open opener) {
	const second, tenth = time.Second, 100 * time.Millisecond
	head := "GET /a HTTP/1.1\r\nHost: x\r\nConnection: close\r\nX: "
	post := func(n int) string {
		return fmt.Sprintf("POST /p HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: %d\r\n\r\n", n)
	}
	// 10 bytes each tenth: two seconds, or more than any test waits
	some, much := strings.Repeat("x", 200), strings.Repeat("x", 2000)
	tests := []struct {
		name        string
		set         func(s *Settings)
		first, rest string
		want        string
	}{
		{"head earns time", func(s *Settings) { s.Header, s.HeaderRate = second, 10 }, head, some + "\r\n\r\n", "200 X"},
		{"head does not earn enough", func(s *Settings) { s.Header, s.HeaderRate = second, 500 }, head, much, "408 X"},
		{"head without rate", func(s *Settings) { s.Header = second }, head, much, "408 X"},
		{"head to its maximum", func(s *Settings) { s.Header, s.HeaderRate, s.HeaderMax = second, 10, 2*second }, head, much, "408 X"},
		{"head bound by Timeout only", func(s *Settings) { s.Header, s.IO = 0, second }, head, some + "\r\n\r\n", "200 X"},
		{"silent head bound by Timeout", func(s *Settings) { s.Header, s.IO = 0, second }, head, "", "408 X"},
		{"body earns time", func(s *Settings) { s.Body, s.BodyRate = second, 10 }, post(200), some, "200 X"},
		{"body does not earn enough", func(s *Settings) { s.Body, s.BodyRate = second, 500 }, post(2000), much, "408 X"},
		{"body to its maximum", func(s *Settings) { s.Body, s.BodyRate, s.BodyMax = second, 10, 2*second }, post(2000), much, "408 X"},
		{"silent body bound by Timeout", func(s *Settings) { s.Body, s.IO = 0, second }, post(2000), "", "408 X"},
		{"chunk earns time", func(s *Settings) { s.Body, s.BodyRate = second, 10 },
			"POST /p HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\nc8\r\n", some + "\r\n0\r\n\r\n", "200 X"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, _, addr := open.start(t, 1, func(f *fakeApp) { tt.set(&f.settings) })
			got := drip(t, addr, tt.first, tt.rest, 10, tenth)
			assert.Contains(t, got, tt.want)
			assert.Contains(t, got, "Connection: close")
		})
	}
}
