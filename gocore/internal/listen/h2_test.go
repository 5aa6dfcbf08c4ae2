//go:build linux || darwin || freebsd

// HTTP/2 with a client of another make, in clear text and encrypted.
package listen

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	xhttp2 "golang.org/x/net/http2"
)

// eachH2 runs a test with every source, in clear text and encrypted.
func eachH2(t *testing.T, test func(t *testing.T, k *h2Kit)) {
	each(t, func(t *testing.T, open opener) {
		t.Run("h2c", func(t *testing.T) { test(t, &h2Kit{open: open, scheme: "http"}) })
		t.Run("h2", func(t *testing.T) { test(t, &h2Kit{open: open, scheme: "https"}) })
	})
}

// h2Kit is a server and a client of it.
type h2Kit struct {
	open   opener
	scheme string
	source Source
	app    *fakeApp
	addr   string
	client *http.Client
	tr     *xhttp2.Transport
}

func (k *h2Kit) start(t *testing.T, threads int, change func(*fakeApp)) {
	k.source, k.app, k.addr = k.open.start(t, threads, func(f *fakeApp) {
		f.settings.H2C = true
		if k.scheme == "https" {
			f.tls = &tls.Config{Certificates: []tls.Certificate{testCertificate(t)}, NextProtos: []string{"h2", "http/1.1"}}
		}
		if change != nil {
			change(f)
		}
	})
	k.client = k.newClient(t)
}

func (k *h2Kit) newClient(t *testing.T) *http.Client {
	conf := trusting.Clone()
	conf.NextProtos = []string{"h2"}
	k.tr = &xhttp2.Transport{AllowHTTP: true, DisableCompression: true, TLSClientConfig: conf}
	if k.scheme == "http" {
		k.tr.DialTLSContext = func(_ context.Context, network, addr string, _ *tls.Config) (net.Conn, error) {
			return net.Dial(network, addr)
		}
	}
	t.Cleanup(k.tr.CloseIdleConnections)
	return &http.Client{Transport: k.tr, Timeout: 30 * time.Second}
}

// do is a request; its body is returned with the status.
func (k *h2Kit) do(t *testing.T, method, path string, body io.Reader) (int, string) {
	req, err := http.NewRequest(method, k.scheme+"://"+k.addr+path, body)
	require.NoError(t, err)
	res, err := k.client.Do(req)
	if !assert.NoError(t, err, path) {
		return 0, ""
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	assert.NoError(t, err, path)
	assert.Equal(t, 2, res.ProtoMajor)
	assert.Empty(t, res.Header.Get("Connection"))
	return res.StatusCode, string(b)
}

func (k *h2Kit) gone(t *testing.T) {
	require.Eventually(t, func() bool { return k.source.Connections() == 0 && k.source.Running() == 0 }, 10*time.Second, time.Millisecond)
}

func TestH2Requests(t *testing.T) { eachH2(t, testH2Requests) }

func testH2Requests(t *testing.T, k *h2Kit) {
	path := filepath.Join(t.TempDir(), "file")
	content := append([]byte{0}, bytes.Repeat([]byte("f"), bigSize)...)
	require.NoError(t, os.WriteFile(path, content, 0o600))
	file, err := os.Open(path)
	require.NoError(t, err)
	defer file.Close()
	k.start(t, 2, func(f *fakeApp) { f.file = file })
	for range 2 {
		for _, tt := range []struct {
			method, path, body, want string
			status                   int
		}{
			{"GET", "/a", "", "/a:", 200},
			{"GET", "/static", "", "static", 200},
			{"POST", "/static", "body that nobody wants", "static", 200},
			{"GET", "/big", "", strings.Repeat("b", bigSize), 200},
			{"GET", "/file", "", string(content[1:]), 200},
			{"POST", "/p", strings.Repeat("x", 200<<10), "/p:" + strings.Repeat("x", 200<<10), 200},
			{"GET", "/think", "", "/think:", 200},
			{"GET", "/think/no", "", "refused", 401},
			{"GET", "/think/python", "", "/think/python:", 200},
			{"GET", "/error", "", "failed", 500},
			{"GET", "/panic-run", "", "bad", 500},
			{"GET", "/panic-route", "", "bad", 500},
			{"GET", "/panic-stream", "", "bad", 500},
		} {
			var body io.Reader
			if tt.body != "" {
				body = strings.NewReader(tt.body)
			}
			status, got := k.do(t, tt.method, tt.path, body)
			assert.Equal(t, tt.status, status, tt.path)
			assert.True(t, tt.want == got, "%s: %d bytes, not %d", tt.path, len(got), len(tt.want))
		}
	}
	_, got := k.do(t, "GET", "/secure", nil)
	if k.scheme == "https" {
		assert.True(t, strings.HasPrefix(got, "www.example.com noted 127.0.0.1:"), got)
	} else {
		assert.Equal(t, "-", got)
	}
	assert.Equal(t, 1, k.source.Connections(), "one connection served them all")
	k.tr.CloseIdleConnections()
	k.gone(t)
}

// TestH2FromQueue: part of a response that the leader took from the queue, while
// nothing else happens on the connection.
func TestH2FromQueue(t *testing.T) { eachH2(t, testH2FromQueue) }

func testH2FromQueue(t *testing.T, k *h2Kit) {
	k.start(t, 1, nil)
	body := strings.Repeat("x", 800<<10)
	for range 3 {
		_, got := k.do(t, "POST", "/think", strings.NewReader(body))
		assert.True(t, got == "/think:"+body, len(got))
	}
}

func TestH2Cut(t *testing.T) { eachH2(t, testH2Cut) }

func testH2Cut(t *testing.T, k *h2Kit) {
	k.start(t, 1, nil)
	for _, path := range []string{"/panic-stream-cut", "/panic-cut"} {
		res, err := k.client.Get(k.scheme + "://" + k.addr + path)
		if err == nil {
			_, err = io.ReadAll(res.Body)
			res.Body.Close()
		}
		assert.ErrorContains(t, err, "INTERNAL_ERROR", path)
	}
	_, got := k.do(t, "GET", "/a", nil)
	assert.Equal(t, "/a:", got)
}

func TestH2ManyAtOnce(t *testing.T) { eachH2(t, testH2ManyAtOnce) }

func testH2ManyAtOnce(t *testing.T, k *h2Kit) {
	k.start(t, 3, nil)
	var wg sync.WaitGroup
	for i := range 12 {
		wg.Go(func() {
			for j := range 10 {
				switch (i + j) % 5 {
				case 0:
					_, got := k.do(t, "GET", "/big", nil)
					assert.Len(t, got, bigSize)
				case 1:
					body := strings.Repeat("y", 1000*j)
					_, got := k.do(t, "POST", "/p", strings.NewReader(body))
					assert.Equal(t, "/p:"+body, got)
				case 2:
					_, got := k.do(t, "GET", "/think", nil)
					assert.Equal(t, "/think:", got)
				case 3:
					_, got := k.do(t, "GET", "/static", nil)
					assert.Equal(t, "static", got)
				default:
					path := fmt.Sprintf("/%d/%d", i, j)
					_, got := k.do(t, "GET", path, nil)
					assert.Equal(t, path+":", got)
				}
			}
		})
	}
	wg.Wait()
	k.tr.CloseIdleConnections()
	k.gone(t)
}

// TestH2SlowReader: a response that is not read holds nobody up, neither on its
// own connection nor elsewhere, and no Python thread.
func TestH2SlowReader(t *testing.T) { eachH2(t, testH2SlowReader) }

func testH2SlowReader(t *testing.T, k *h2Kit) {
	k.start(t, 1, nil)
	res, err := k.client.Get(k.scheme + "://" + k.addr + "/big")
	require.NoError(t, err)
	defer res.Body.Close()
	for range 20 {
		_, got := k.do(t, "GET", "/a", nil)
		assert.Equal(t, "/a:", got)
	}
	b, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	assert.Len(t, b, bigSize)
}

// TestH2ReaderThatStops: a response that is not read at all ends after Timeout,
// and its connection goes on.
func TestH2ReaderThatStops(t *testing.T) { eachH2(t, testH2ReaderThatStops) }

func testH2ReaderThatStops(t *testing.T, k *h2Kit) {
	k.start(t, 1, func(f *fakeApp) { f.settings.IO = 300 * time.Millisecond })
	res, err := k.client.Get(k.scheme + "://" + k.addr + "/big")
	require.NoError(t, err)
	defer res.Body.Close()
	require.Eventually(t, func() bool { return k.app.done.Load() == 1 }, 10*time.Second, 10*time.Millisecond)
	_, err = io.ReadAll(res.Body)
	assert.Error(t, err)
	_, got := k.do(t, "GET", "/a", nil)
	assert.Equal(t, "/a:", got)
	assert.Equal(t, 1, k.source.Connections())
}

// TestH2SlowBody: a body that does not come ends with 408; others are served meanwhile.
func TestH2SlowBody(t *testing.T) { eachH2(t, testH2SlowBody) }

func testH2SlowBody(t *testing.T, k *h2Kit) {
	k.start(t, 1, func(f *fakeApp) { f.settings.Body = 300 * time.Millisecond })
	r, w := io.Pipe()
	defer w.Close()
	go func() { _, _ = w.Write([]byte("abc")) }()
	others := make(chan struct{})
	go func() {
		defer close(others)
		for range 5 {
			k.do(t, "GET", "/a", nil)
		}
	}()
	status, _ := k.do(t, "POST", "/p", r)
	<-others
	assert.Equal(t, 408, status)
}

// TestH2Cancel: a request whose client has left does not run.
func TestH2Cancel(t *testing.T) { eachH2(t, testH2Cancel) }

func testH2Cancel(t *testing.T, k *h2Kit) {
	k.start(t, 1, nil)
	var wg sync.WaitGroup
	wg.Go(func() { k.do(t, "GET", "/wait", nil) })
	require.Eventually(t, func() bool { return k.app.running.Load() == 1 }, 5*time.Second, time.Millisecond)
	ctx, cancel := context.WithCancel(context.Background())
	for range 5 { // they wait for the thread
		wg.Go(func() {
			req, _ := http.NewRequestWithContext(ctx, "GET", k.scheme+"://"+k.addr+"/canceled", nil)
			_, err := k.client.Do(req)
			assert.ErrorIs(t, err, context.Canceled)
		})
	}
	require.Eventually(t, func() bool { return k.source.Running() == 6 }, 5*time.Second, time.Millisecond)
	cancel()
	k.do(t, "GET", "/static", nil) // the leader has read what came before
	close(k.app.release)
	wg.Wait()
	_, got := k.do(t, "GET", "/a", nil)
	assert.Equal(t, "/a:", got)
	require.Eventually(t, func() bool { return k.source.Running() == 0 }, 5*time.Second, time.Millisecond)
}

// TestH2ClientGone: the connection ends while requests are everywhere.
func TestH2ClientGone(t *testing.T) { eachH2(t, testH2ClientGone) }

func testH2ClientGone(t *testing.T, k *h2Kit) {
	k.start(t, 2, nil)
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	for _, path := range []string{"/wait", "/wait", "/wait", "/big", "/think/wait", "/p"} {
		wg.Go(func() {
			r, w := io.Pipe()
			defer w.Close()
			req, _ := http.NewRequestWithContext(ctx, "POST", k.scheme+"://"+k.addr+path, r)
			if path != "/p" {
				req.Body = nil
			}
			res, err := k.client.Do(req)
			if err == nil { // it is not read
				<-ctx.Done()
				res.Body.Close()
			}
		})
	}
	require.Eventually(t, func() bool { return k.app.running.Load() == 2 }, 5*time.Second, time.Millisecond)
	cancel()
	k.tr.CloseIdleConnections()
	wg.Wait()
	close(k.app.release)
	k.tr.CloseIdleConnections()
	k.gone(t)
}

// TestH2Drain: requests in progress are finished, the client is told to go, and
// none fails.
func TestH2Drain(t *testing.T) { eachH2(t, testH2Drain) }

func testH2Drain(t *testing.T, k *h2Kit) {
	k.start(t, 2, nil)
	k.do(t, "GET", "/a", nil)
	idle := k.newClient(t)
	res, err := idle.Get(k.scheme + "://" + k.addr + "/a")
	require.NoError(t, err)
	_, _ = io.Copy(io.Discard, res.Body)
	res.Body.Close()
	k.client = k.newClient(t)
	var wg sync.WaitGroup
	for range 4 { // two of them wait for a thread
		wg.Go(func() {
			status, _ := k.do(t, "GET", "/wait", nil)
			assert.Equal(t, 200, status)
		})
	}
	require.Eventually(t, func() bool { return k.source.Running() == 4 }, 5*time.Second, time.Millisecond)
	k.source.Drain(false)
	require.Eventually(t, func() bool { return k.source.Connections() == 1 }, 5*time.Second, time.Millisecond, "the idle ones go")
	close(k.app.release)
	wg.Wait()
	select {
	case <-k.source.Done():
	case <-time.After(10 * time.Second):
		t.Fatal("not done")
	}
}

// TestH2HandedOver: a request that a process gives up is answered by its
// successor, on the same stream.
func TestH2HandedOver(t *testing.T) { eachH2(t, testH2HandedOver) }

func testH2HandedOver(t *testing.T, k *h2Kit) {
	k.start(t, 2, func(f *fakeApp) { f.handed, f.kept = make(chan string, 1), make(chan [2]int, 1) })
	next, _, _ := k.open.start(t, 1, nil)
	go func() {
		for {
			fds, pending := <-k.app.kept, <-k.app.handed
			assert.NoError(t, next.Adopt(fds[1], []byte(pending)))
		}
	}()
	k.do(t, "GET", "/a", nil)
	k.app.stale.Store(true)
	for range 3 {
		status, got := k.do(t, "POST", "/late", strings.NewReader("body"))
		assert.Equal(t, 200, status)
		assert.Equal(t, "/late:body", got)
		_, got = k.do(t, "GET", "/big", nil)
		assert.Len(t, got, bigSize)
	}
	_, got := k.do(t, "GET", "/secure", nil)
	if k.scheme == "https" {
		assert.True(t, strings.HasPrefix(got, "www.example.com noted 127.0.0.1:"), got)
	}
	assert.Equal(t, 1, k.source.Connections())
	k.source.Drain(true)
	select {
	case <-k.source.Done():
	case <-time.After(10 * time.Second):
		t.Fatal("not done")
	}
}

func TestH2KeepAlive(t *testing.T) { eachH2(t, testH2KeepAlive) }

func testH2KeepAlive(t *testing.T, k *h2Kit) {
	k.start(t, 1, func(f *fakeApp) { f.settings.KeepAlive = 300 * time.Millisecond })
	for range 3 {
		_, got := k.do(t, "GET", "/a", nil)
		assert.Equal(t, "/a:", got)
	}
	k.gone(t)
}

// TestH2FirstRequest: a connection that says the preface and no more is closed.
func TestH2FirstRequest(t *testing.T) { eachH2(t, testH2FirstRequest) }

func testH2FirstRequest(t *testing.T, k *h2Kit) {
	if k.scheme == "https" {
		t.Skip("the same")
	}
	k.start(t, 1, func(f *fakeApp) { f.settings.Header = 300 * time.Millisecond })
	for _, text := range []string{xhttp2.ClientPreface, xhttp2.ClientPreface[:5], xhttp2.ClientPreface[:18]} {
		c, err := net.Dial("tcp", k.addr)
		require.NoError(t, err)
		defer c.Close()
		_, _ = io.WriteString(c, text)
		c.SetDeadline(time.Now().Add(10 * time.Second))
		_, err = io.ReadAll(c)
		assert.NoError(t, err)
	}
	assert.Contains(t, exchange(t, k.addr, "PRI * HTTP/1.1\r\nHost: x\r\n\r\n"), "400")
	assert.Contains(t, exchange(t, k.addr, "GET /a HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"), "/a:")
	k.gone(t)
}

func TestH2TooLongHead(t *testing.T) { eachH2(t, testH2TooLongHead) }

func testH2TooLongHead(t *testing.T, k *h2Kit) {
	k.start(t, 1, nil)
	req, _ := http.NewRequest("GET", k.scheme+"://"+k.addr+"/a", nil)
	req.Header.Set("X", strings.Repeat("x", 9000))
	res, err := k.client.Do(req)
	require.NoError(t, err)
	res.Body.Close()
	assert.Equal(t, 400, res.StatusCode, "as over HTTP/1.1")
	_, got := k.do(t, "GET", "/a", nil)
	assert.Equal(t, "/a:", got)
}

// TestH2Chaos: clients that do anything at any time leave nothing behind, and
// harm nobody who waits for a complete answer.
func TestH2Chaos(t *testing.T) { eachH2(t, testH2Chaos) }

func testH2Chaos(t *testing.T, k *h2Kit) {
	k.start(t, 3, nil)
	paths := []string{"/a", "/static", "/big", "/think", "/think/python", "/error", "/panic-run", "/panic-stream-cut", "/p"}
	var wg sync.WaitGroup
	for i := range 8 {
		client := *k
		client.client = client.newClient(t)
		wg.Go(func() {
			r := rand.New(rand.NewPCG(1, uint64(i)))
			var mine sync.WaitGroup
			for range 20 {
				path := paths[r.IntN(len(paths))]
				body := strings.Repeat("z", r.IntN(3)*r.IntN(150_000))
				patience := time.Duration(r.IntN(30)) * time.Millisecond
				part := int64(r.IntN(2 * bigSize))
				mine.Go(func() {
					ctx, cancel := context.WithTimeout(context.Background(), patience)
					defer cancel()
					req, _ := http.NewRequestWithContext(ctx, "POST", client.scheme+"://"+client.addr+path, struct{ io.Reader }{strings.NewReader(body)})
					if res, err := client.client.Do(req); err == nil {
						_, _ = io.CopyN(io.Discard, res.Body, part)
						res.Body.Close()
					}
				})
				if r.IntN(4) == 0 {
					mine.Wait()
				}
				if r.IntN(20) == 0 {
					client.tr.CloseIdleConnections()
				}
			}
			mine.Wait()
			client.tr.CloseIdleConnections()
		})
		wg.Go(func() {
			for range 10 {
				_, got := k.do(t, "GET", "/whole", nil)
				assert.Equal(t, "/whole:", got)
			}
		})
	}
	wg.Wait()
	k.tr.CloseIdleConnections()
	k.gone(t)
	k.source.Drain(false)
	select {
	case <-k.source.Done(): // no stream is left
	case <-time.After(10 * time.Second):
		t.Fatal("not done")
	}
}
