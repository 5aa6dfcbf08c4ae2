// Tests of responses that a goroutine writes, with every source.
package listen

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// streamApp is fakeApp with paths below /stream that a goroutine answers.
type streamApp struct {
	*fakeApp
	ended chan error // what ended a stream that waited for its context or body
}

func (f *streamApp) Route(c *Conn, q *Req) Action {
	path := string(q.Bytes(q.Head.Path))
	if !strings.HasPrefix(path, "/stream") {
		return f.fakeApp.Route(c, q)
	}
	q.BodyLimit = 5 << 20
	c.Stream = func(s *Stream) { f.stream(path, c, q, s) }
	return Streamed
}

func (f *streamApp) stream(path string, c *Conn, q *Req, s *Stream) {
	reply := func(body string) {
		conn := ""
		if q.KeepAlive == 0 || s.BodyPending() {
			conn = "Connection: close\r\n"
		}
		fmt.Fprintf(s, "HTTP/1.1 200 X\r\n%sContent-Length: %d\r\n\r\n%s", conn, len(body), body)
	}
	switch path {
	case "/stream/echo":
		b, err := io.ReadAll(s.Body())
		if err != nil {
			reply("error " + err.Error())
			return
		}
		if len(b) > 100 {
			b = fmt.Appendf(nil, "%d %t", len(b), bytes.Equal(b, bytes.Repeat([]byte("0123456789"), len(b)/10)))
		}
		reply("[" + string(b) + "]")
	case "/stream/ignore":
		reply("ignored")
	case "/stream/gone":
		fmt.Fprint(s, "HTTP/1.1 200 X\r\nContent-Length: 100\r\n\r\nhalf")
		<-s.Context().Done()
		f.ended <- s.Context().Err()
	case "/stream/slow-reader":
		var err error
		for err == nil {
			_, err = s.Write(make([]byte, 1<<16))
		}
		f.ended <- err
	case "/stream/answer-first":
		fmt.Fprint(s, "HTTP/1.1 200 X\r\nConnection: close\r\n\r\n")
		b, err := io.ReadAll(s.Body())
		fmt.Fprintf(s, "%s %v", b, err)
	case "/stream/behind": // a reader is left behind
		go func() {
			_, err := io.ReadAll(s.Body())
			f.ended <- err
		}()
		time.Sleep(50 * time.Millisecond)
		reply("early")
	case "/stream/hijack":
		conn, rest := s.Hijack()
		go func() {
			defer conn.Close()
			fmt.Fprintf(conn, "hello %s|", rest)
			_, err := io.Copy(conn, conn)
			f.ended <- err
		}()
	case "/stream/panic":
		panic("stream")
	}
}

func startStream(t *testing.T, open opener, change func(*fakeApp)) (Source, *streamApp, string) {
	var app *streamApp
	s, _, addr := opener(func(c Config) (Source, error) {
		app = &streamApp{fakeApp: c.Handler.(*fakeApp), ended: make(chan error, 4)}
		c.Handler = app
		return open(c)
	}).start(t, 1, change)
	return s, app, addr
}

func TestStreams(t *testing.T) { each(t, testStreams) }

// 100 (Continue) never gets into a response that has begun.
func TestStreamContinueTooLate(t *testing.T) {
	each(t, func(t *testing.T, open opener) {
		_, _, addr := startStream(t, open, nil)
		c, err := net.Dial("tcp", addr)
		require.NoError(t, err)
		defer c.Close()
		c.SetDeadline(time.Now().Add(10 * time.Second))
		fmt.Fprint(c, "POST /stream/answer-first HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n")
		head := make([]byte, len("HTTP/1.1 200 X\r\nConnection: close\r\n\r\n"))
		_, err = io.ReadFull(c, head)
		require.NoError(t, err)
		fmt.Fprint(c, "abc")
		body, err := io.ReadAll(c)
		require.NoError(t, err)
		assert.Equal(t, "abc <nil>", string(body))
	})
}

func testStreams(t *testing.T, open opener) {
	const big = 3_000_000
	body := strings.Repeat("0123456789", big/10)
	chunks := ""
	for i := 0; i < big; i += 100_000 {
		chunks += fmt.Sprintf("%x\r\n%s\r\n", 100_000, body[i:i+100_000])
	}
	last := "GET /static HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
	tests := []struct {
		name, in string
		want     []string
	}{
		{"no body", "GET /stream/echo HTTP/1.1\r\nHost: x\r\n\r\n" + last, []string{"[]", "static"}},
		{"short body", "POST /stream/echo HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc" + last, []string{"[abc]", "static"}},
		{"chunked body", "POST /stream/echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\nT: x\r\n\r\n" + last, []string{"[abcde]", "static"}},
		{"long body", fmt.Sprintf("POST /stream/echo HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n", big) + body + last, []string{"[3000000 true]", "static"}},
		{"long chunked body", "POST /stream/echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks + "0\r\n\r\n" + last, []string{"[3000000 true]", "static"}},
		{"over the limit", "POST /stream/echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks + chunks, []string{ErrBodyTooLarge.Error()}},
		{"broken chunks", "POST /stream/echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", []string{ErrBodyFraming.Error()}},
		{"unread body that is here", "POST /stream/ignore HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc" + last, []string{"ignored", "static"}},
		{"unread long body", "POST /stream/ignore HTTP/1.1\r\nHost: x\r\nContent-Length: 300000\r\n\r\nabc", []string{"Connection: close", "ignored"}},
		{"pipelined streams", strings.Repeat("GET /stream/echo HTTP/1.1\r\nHost: x\r\n\r\n", 3) + "GET /app HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", []string{"[]", "[]", "[]", "/app:"}},
		{"HTTP/1.0", "GET /stream/echo HTTP/1.0\r\n\r\n", []string{"[]"}},
		{"100-continue", "POST /stream/echo HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 3\r\nConnection: close\r\n\r\n", []string{"HTTP/1.1 100 Continue", "unexpected EOF"}},
	}
	_, _, addr := startStream(t, open, nil)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c, err := net.Dial("tcp", addr)
			require.NoError(t, err)
			defer c.Close()
			c.SetDeadline(time.Now().Add(20 * time.Second))
			go func() { // the response may come before the request is out
				io.WriteString(c, tt.in)
				if tt.name == "100-continue" {
					c.(*net.TCPConn).CloseWrite()
				}
			}()
			b, _ := io.ReadAll(c)
			rest := string(b)
			for _, w := range tt.want {
				i := strings.Index(rest, w)
				require.GreaterOrEqual(t, i, 0, "%q is not in %q", w, rest[:min(len(rest), 400)])
				rest = rest[i+len(w):]
			}
		})
	}
}

func awaitEnd(t *testing.T, app *streamApp) error {
	t.Helper()
	select {
	case err := <-app.ended:
		return err
	case <-time.After(10 * time.Second):
		require.Fail(t, "the stream did not end")
		return nil
	}
}

func TestStreamBodyTimeout(t *testing.T) { each(t, testStreamBodyTimeout) }

func testStreamBodyTimeout(t *testing.T, open opener) {
	_, _, addr := startStream(t, open, func(f *fakeApp) { f.settings.Body = 100 * time.Millisecond })
	got := exchange(t, addr, "POST /stream/echo HTTP/1.1\r\nHost: x\r\nContent-Length: 30\r\n\r\nabc")
	assert.Contains(t, got, ErrBodyTimeout.Error())
}

// A client that takes nothing ends the stream after Timeout; nothing is kept in memory meanwhile.
func TestStreamSlowReader(t *testing.T) { each(t, testStreamSlowReader) }

func testStreamSlowReader(t *testing.T, open opener) {
	_, app, addr := startStream(t, open, func(f *fakeApp) { f.settings.IO = 200 * time.Millisecond })
	c, err := net.Dial("tcp", addr)
	require.NoError(t, err)
	defer c.Close()
	io.WriteString(c, "GET /stream/slow-reader HTTP/1.1\r\nHost: x\r\n\r\n")
	var ne net.Error
	require.ErrorAs(t, awaitEnd(t, app), &ne)
	assert.True(t, ne.Timeout())
}

func TestStreamReaderLeftBehind(t *testing.T) { each(t, testStreamReaderLeftBehind) }

func testStreamReaderLeftBehind(t *testing.T, open opener) {
	_, app, addr := startStream(t, open, nil)
	got := exchange(t, addr, "POST /stream/behind HTTP/1.1\r\nHost: x\r\nContent-Length: 30\r\n\r\nabc")
	assert.Contains(t, got, "early")
	assert.Error(t, awaitEnd(t, app))
}

func TestStreamHijack(t *testing.T) { each(t, testStreamHijack) }

func testStreamHijack(t *testing.T, open opener) {
	s, app, addr := startStream(t, open, nil)
	c, err := net.Dial("tcp", addr)
	require.NoError(t, err)
	defer c.Close()
	c.SetDeadline(time.Now().Add(10 * time.Second))
	io.WriteString(c, "GET /stream/hijack HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\nearly")
	b := make([]byte, 12)
	_, err = io.ReadFull(c, b)
	require.NoError(t, err)
	assert.Equal(t, "hello early|", string(b))
	for i := range 3 { // the source has finished with the request; the connection lives on
		msg := fmt.Sprintf("ping %d", i)
		io.WriteString(c, msg)
		_, err = io.ReadFull(c, b[:len(msg)])
		require.NoError(t, err)
		assert.Equal(t, msg, string(b[:len(msg)]))
	}
	assert.Eventually(t, func() bool { return s.Connections() == 0 }, 5*time.Second, time.Millisecond)
	c.(*net.TCPConn).CloseWrite()
	assert.NoError(t, awaitEnd(t, app))
}

// A panic ends its connection and nothing else.
func TestStreamPanic(t *testing.T) { each(t, testStreamPanic) }

func testStreamPanic(t *testing.T, open opener) {
	_, app, addr := startStream(t, open, nil)
	got := exchange(t, addr, "GET /stream/panic HTTP/1.1\r\nHost: x\r\n\r\n")
	assert.Contains(t, got, "500")
	assert.Contains(t, exchange(t, addr, "GET /static HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"), "static")
	app.mu.Lock()
	defer app.mu.Unlock()
	assert.Contains(t, app.panics, "stream")
}

// Streams in progress are finished by a graceful stop, and counted.
func TestStreamDrain(t *testing.T) { each(t, testStreamDrain) }

func testStreamDrain(t *testing.T, open opener) {
	s, _, addr := startStream(t, open, nil)
	c, err := net.Dial("tcp", addr)
	require.NoError(t, err)
	defer c.Close()
	c.SetDeadline(time.Now().Add(10 * time.Second))
	io.WriteString(c, "POST /stream/echo HTTP/1.1\r\nHost: x\r\nContent-Length: 6\r\n\r\nabc")
	require.Eventually(t, func() bool { return s.Running() == 1 }, 5*time.Second, time.Millisecond)
	go s.Drain(false)
	time.Sleep(20 * time.Millisecond)
	io.WriteString(c, "def")
	b, _ := io.ReadAll(c)
	assert.Contains(t, string(b), "[abcdef]")
	select {
	case <-s.Done():
	case <-time.After(5 * time.Second):
		require.Fail(t, "not drained")
	}
}

func TestStreamClientGone(t *testing.T) { each(t, testStreamClientGone) }

// A client that resets its connection ends the context of a stream that waits
// for something else; one that only sends no more does not.
func testStreamClientGone(t *testing.T, open opener) {
	_, app, addr := startStream(t, open, nil)
	c, err := net.Dial("tcp", addr)
	require.NoError(t, err)
	defer c.Close()
	c.SetDeadline(time.Now().Add(10 * time.Second))
	io.WriteString(c, "GET /stream/gone HTTP/1.1\r\nHost: x\r\n\r\n")
	b := make([]byte, 10)
	_, err = io.ReadFull(c, b)
	require.NoError(t, err)
	require.NoError(t, c.(*net.TCPConn).CloseWrite())
	select {
	case <-app.ended:
		require.Fail(t, "a half-closed client still waits for its response")
	case <-time.After(100 * time.Millisecond):
	}
	c.(*net.TCPConn).SetLinger(0)
	c.Close()
	assert.ErrorIs(t, awaitEnd(t, app), context.Canceled)
}

// blockApp sends a block with /block, as response.c does, and goes on when release is closed.
type blockApp struct{ *streamApp }

func (f blockApp) Run(c *Conn, q *Req) bool {
	if string(q.Bytes(q.Head.Path)) != "/block" {
		return f.streamApp.Run(c, q)
	}
	atomic.StoreUint32(&q.Phase, phaseApp)
	f.mem.Append(q, []byte("HTTP/1.1 200 X\r\nContent-Length: 10\r\n\r\nblock"))
	atomic.StoreUint32(&q.Streaming, streamNew)
	<-f.release
	for !atomic.CompareAndSwapUint32(&q.OutLock, 0, 1) {
		runtime.Gosched()
	}
	atomic.StoreUint32(&q.Streaming, 0)
	f.mem.Append(q, []byte("block"))
	atomic.StoreUint32(&q.OutLock, 0)
	return true
}

func TestBlocksBesideStream(t *testing.T) { each(t, testBlocksBesideStream) }

// The blocks of an application are sent as they come, also when the only request
// in progress before it was one without a Python thread.
func testBlocksBesideStream(t *testing.T, open opener) {
	var app blockApp
	r, _, addr := startStream(t, func(c Config) (Source, error) {
		app = blockApp{c.Handler.(*streamApp)}
		c.Handler = app
		return open(c)
	}, nil)
	gone := dialStream(t, addr, "/stream/gone")
	defer gone.Close()
	_, err := io.ReadFull(gone, make([]byte, 10)) // it is in progress
	require.NoError(t, err)
	c := dialStream(t, addr, "/block")
	defer c.Close()
	want := "HTTP/1.1 200 X\r\nContent-Length: 10\r\n\r\nblock"
	b := make([]byte, len(want))
	_, err = io.ReadFull(c, b)
	require.NoError(t, err)
	assert.Equal(t, want, string(b))
	close(app.release)
	_, err = io.ReadFull(c, b[:5])
	require.NoError(t, err)
	assert.Equal(t, "block", string(b[:5]))
	require.NoError(t, gone.(*net.TCPConn).SetLinger(0))
	gone.Close()
	assert.ErrorIs(t, awaitEnd(t, app.streamApp), context.Canceled)
	require.Eventually(t, func() bool { return r.Running() == 0 }, 5*time.Second, time.Millisecond)
}

// dialStream sends a request.
func dialStream(t *testing.T, addr, path string) net.Conn {
	c, err := net.Dial("tcp", addr)
	require.NoError(t, err)
	c.SetDeadline(time.Now().Add(10 * time.Second))
	_, err = io.WriteString(c, "GET "+path+" HTTP/1.1\r\nHost: x\r\n\r\n")
	require.NoError(t, err)
	return c
}
