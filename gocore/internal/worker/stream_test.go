// Tests of what writes responses in Go, over real sockets and without an
// application: handlers that stream, filters, hooks.
package worker

import (
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
	"unsafe"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"modwsgi/gocore/internal/conf"
	"modwsgi/gocore/internal/httpd"
	"modwsgi/gocore/internal/listen"
	"modwsgi/gocore/internal/mod"
	"modwsgi/gocore/internal/process"
)

// goMemory stands in for C memory.
func goMemory() listen.Memory {
	var mu sync.Mutex
	live := map[unsafe.Pointer][]uint64{}
	m := listen.Memory{}
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

// streamModule serves paths below /s with a stream.
func streamModule(ended chan error) httpd.AnyModule {
	type config struct{}
	return &httpd.Module[config]{Name: "teststream", ID: "teststream_module", Handler: func(r *httpd.Request, _ *config) *httpd.Outcome {
		if !strings.HasPrefix(r.URI, "/s/") {
			return nil
		}
		return &httpd.Outcome{Header: []httpd.Field{{Name: "X-Outcome", Value: "1"}}, Stream: func(w httpd.StreamWriter) error { return stream(r, w, ended) }}
	},
		Response: func(_ *httpd.Request, _ *config, h *httpd.ResponseHead) {
			h.ErrHeader.Set("X-Hook", fmt.Sprint(h.Status))
		},
		Fixup: func(r *httpd.Request, _ *config) httpd.Status {
			r.ErrOut = append(r.ErrOut, httpd.Field{Name: "X-Always", Value: "1"})
			return httpd.OK
		}}
}

var longText = strings.Repeat("a line that compresses\n", 4000)

func stream(r *httpd.Request, w httpd.StreamWriter, ended chan error) error {
	kind := []httpd.Field{{Name: "Content-Type", Value: "text/plain"}}
	switch strings.TrimPrefix(r.URI, "/s/") {
	case "echo":
		if err := w.WriteHead(200, kind); err != nil {
			return err
		}
		_, err := io.Copy(w, r.Body())
		return err
	case "read":
		b, err := io.ReadAll(r.Body())
		if err != nil {
			return err
		}
		w.WriteHead(201, append(kind, httpd.Field{Name: "Content-Length", Value: fmt.Sprint(len(b))}))
		_, err = w.Write(b)
		return err
	case "text":
		w.WriteHead(200, append(kind, httpd.Field{Name: "Connection", Value: "close, X-Hop"}, httpd.Field{Name: "X-Hop", Value: "1"},
			httpd.Field{Name: "Transfer-Encoding", Value: "chunked"}, httpd.Field{Name: "Content-Length", Value: fmt.Sprint(len(longText))}))
		_, err := io.WriteString(w, longText)
		return err
	case "short":
		w.WriteHead(200, append(kind, httpd.Field{Name: "Content-Length", Value: "100"}))
		io.WriteString(w, "ten bytes.")
		return nil
	case "cut":
		w.WriteHead(200, kind)
		io.WriteString(w, "begun")
		return errors.New("backend is gone")
	case "slow":
		w.WriteHead(200, kind)
		for i := range 3 {
			fmt.Fprintf(w, "part %d\n", i)
			time.Sleep(300 * time.Millisecond)
		}
		return nil
	case "flushed":
		w.WriteHead(200, kind)
		io.WriteString(w, "now")
		w.Flush()
		<-w.Context().Done()
		ended <- w.Context().Err()
		return nil
	case "endless":
		w.WriteHead(200, kind)
		var err error
		for err == nil {
			_, err = w.Write(make([]byte, 1<<16))
		}
		ended <- err
		return err
	case "nothing":
		return nil
	case "teapot":
		return &httpd.StatusError{Status: 418}
	case "timeout":
		return fmt.Errorf("backend: %w", os.ErrDeadlineExceeded)
	case "panic":
		panic("handler")
	case "late-panic":
		w.WriteHead(200, kind)
		io.WriteString(w, "begun")
		panic("handler")
	case "upgrade":
		w.WriteHead(101, []httpd.Field{{Name: "Connection", Value: "Upgrade"}, {Name: "Upgrade", Value: "echo"}})
		conn, rest, err := w.Hijack()
		if err != nil {
			return err
		}
		defer conn.Close()
		conn.Write(rest)
		_, err = io.Copy(conn, conn)
		ended <- err
		return nil
	}
	return errors.New("no such stream")
}

// serve starts a server for a configuration; ended gets the ends of streams.
func serve(t *testing.T, config string) (addr string, ended chan error) {
	t.Helper()
	return serveAs(t, config, nil)
}

// serveAs is serve for a process with a configuration of its own, such as a front.
func serveAs(t *testing.T, config string, cfg *process.WorkerConfig) (addr string, ended chan error) {
	t.Helper()
	ended = make(chan error, 8)
	root := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(root, "file.txt"), []byte(longText), 0o644))
	mods := append([]httpd.AnyModule{}, mod.All[:len(mod.All)-1]...)
	mods = append([]httpd.AnyModule{mods[0], streamModule(ended)}, append(mods[1:], mod.All[len(mod.All)-1])...)
	o := httpd.ConfOptions(mods)
	o.ServerRoot = root
	tree, diags := conf.ParseText("t.conf", fmt.Sprintf("Listen 80\nServerName x\nDocumentRoot %q\n<Directory />\nRequire all granted\n</Directory>\n%s\n", root, config), o)
	require.False(t, conf.HasErrors(diags), diags)
	srv, diags := httpd.Compile(tree, mods)
	require.False(t, conf.HasErrors(diags), diags)
	w := &worker{srv: srv}
	srv.Logger = func(*httpd.VirtualHost, *httpd.Request, int, string, string) {}
	w.d = newDispatcher(w)
	w.d.served.Store(true)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	file, err := l.(*net.TCPListener).File()
	require.NoError(t, err)
	l.Close()
	mem := goMemory()
	w.d.mem = mem
	if cfg != nil {
		w.cfg = cfg
		w.d.front = newFront(w.d, cfg, srv)
	}
	src, err := listen.Open(listen.Config{Handler: w.d, Memory: mem, Listeners: []*os.File{file}, Threads: 1})
	require.NoError(t, err)
	if cfg != nil {
		w.d.front.resumer, _ = src.(listen.Resumer)
	}
	require.NoError(t, src.Start())
	t.Cleanup(func() { src.Stop(); file.Close() })
	return l.Addr().String(), ended
}

func exchange(t *testing.T, addr, in string) (head, body string) {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	require.NoError(t, err)
	defer c.Close()
	c.SetDeadline(time.Now().Add(15 * time.Second))
	io.WriteString(c, in)
	b, _ := io.ReadAll(c)
	head, body, _ = strings.Cut(string(b), "\r\n\r\n")
	return head, body
}

func get(path, more string) string {
	return "GET " + path + " HTTP/1.1\r\nHost: x\r\nConnection: close\r\n" + more + "\r\n"
}

func TestStreamedResponses(t *testing.T) {
	addr, _ := serve(t, "")
	post := "POST /s/%s HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 3\r\n\r\nabc"
	tests := []struct {
		name, in, status string
		has              []string // of the head
		not              string
		body             string
	}{
		{"small: its length is known", fmt.Sprintf(post, "echo"), "200", []string{"Content-Length: 3", "X-Outcome: 1", "X-Always: 1", "X-Hook: 200"}, "chunked", "abc"},
		{"declared", fmt.Sprintf(post, "read"), "201", []string{"Content-Length: 3"}, "chunked", "abc"},
		{"fields of one hop", get("/s/text", ""), "200", []string{fmt.Sprintf("Content-Length: %d", len(longText))}, "X-Hop", longText},
		{"HEAD", "HEAD /s/text HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", "200", []string{fmt.Sprintf("Content-Length: %d", len(longText))}, "chunked", ""},
		{"too short", get("/s/short", ""), "200", []string{"Content-Length: 100"}, "chunked", "ten bytes."},
		{"cut", get("/s/cut", ""), "200", []string{"Transfer-Encoding: chunked"}, "Content-Length", "5\r\nbegun\r\n"},
		{"nothing written", get("/s/nothing", ""), "502", []string{"X-Hook: 502", "X-Always: 1"}, "X-Outcome", "*"},
		{"error with status", get("/s/teapot", ""), "418", []string{"X-Hook: 418"}, "chunked", "*"},
		{"time-out", get("/s/timeout", ""), "504", nil, "chunked", "*"},
		{"panic before the head", get("/s/panic", ""), "500", nil, "chunked", "*"},
		{"HTTP/1.0", "GET /s/slow HTTP/1.0\r\n\r\n", "200", []string{"Connection: close"}, "chunked", "part 0\npart 1\npart 2\n"},
		{"too large", "POST /s/read HTTP/1.1\r\nHost: x\r\nContent-Length: 9999999999\r\n\r\n", "413", nil, "chunked", "*"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			head, body := exchange(t, addr, tt.in)
			assert.Contains(t, head, "HTTP/1.1 "+tt.status+" ")
			for _, f := range tt.has {
				assert.Equal(t, 1, strings.Count(head, f), "%s in %s", f, head)
			}
			assert.NotContains(t, head, tt.not)
			if tt.body != "*" {
				assert.Equal(t, tt.body, body)
			}
		})
	}
}

func TestStreamThroughFilter(t *testing.T) {
	addr, _ := serve(t, "AddOutputFilterByType DEFLATE text/plain")
	for _, path := range []string{"/s/text", "/file.txt"} {
		head, body := exchange(t, addr, strings.Replace(get(path, "Accept-Encoding: gzip\r\n"), "1.1", "1.0", 1))
		assert.Contains(t, head, "Content-Encoding: gzip")
		z, err := gzip.NewReader(strings.NewReader(body))
		require.NoError(t, err)
		b, err := io.ReadAll(z)
		require.NoError(t, err)
		assert.Equal(t, longText, string(b))
	}
}

// Parts of a slow stream arrive by themselves, and the connection goes on.
func TestStreamIsFlushed(t *testing.T) {
	addr, _ := serve(t, "")
	c, err := net.Dial("tcp", addr)
	require.NoError(t, err)
	defer c.Close()
	c.SetDeadline(time.Now().Add(10 * time.Second))
	io.WriteString(c, "GET /s/slow HTTP/1.1\r\nHost: x\r\n\r\n")
	begin := time.Now()
	got, buf := "", make([]byte, 4096)
	for !strings.Contains(got, "part 0") {
		n, err := c.Read(buf)
		require.NoError(t, err)
		got += string(buf[:n])
	}
	assert.Less(t, time.Since(begin), 800*time.Millisecond, "all came at the end")
	for !strings.HasSuffix(got, "0\r\n\r\n") {
		n, err := c.Read(buf)
		require.NoError(t, err)
		got += string(buf[:n])
	}
	io.WriteString(c, get("/file.txt", ""))
	b, _ := io.ReadAll(c)
	assert.Contains(t, string(b), "a line that compresses")
}

func TestStreamUpgrade(t *testing.T) {
	addr, ended := serve(t, "")
	c, err := net.Dial("tcp", addr)
	require.NoError(t, err)
	defer c.Close()
	c.SetDeadline(time.Now().Add(10 * time.Second))
	io.WriteString(c, "GET /s/upgrade HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\nearly,")
	io.WriteString(c, "late")
	c.(*net.TCPConn).CloseWrite()
	b, _ := io.ReadAll(c)
	assert.Equal(t, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\nearly,late", string(b))
	assert.NoError(t, <-ended)
}

func TestStreamToClientThatLeft(t *testing.T) {
	addr, ended := serve(t, "")
	c, err := net.Dial("tcp", addr)
	require.NoError(t, err)
	io.WriteString(c, "GET /s/endless HTTP/1.1\r\nHost: x\r\n\r\n")
	c.Read(make([]byte, 10))
	c.Close()
	select {
	case err := <-ended:
		assert.Error(t, err)
	case <-time.After(10 * time.Second):
		require.Fail(t, "the handler writes for ever")
	}
}

func TestStreamLatePanic(t *testing.T) {
	addr, _ := serve(t, "")
	_, body := exchange(t, addr, get("/s/late-panic", ""))
	assert.NotContains(t, body, "0\r\n\r\n")
	head, _ := exchange(t, addr, get("/file.txt", ""))
	assert.Contains(t, head, "200")
}
