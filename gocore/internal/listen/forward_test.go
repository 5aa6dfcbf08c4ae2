//go:build linux || darwin || freebsd

// Tests of requests that something else answers, with every source.
package listen

import (
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// forwardApp forwards what is below /forward. The answer comes from a goroutine
// of its own, or at once with /now in the path.
type forwardApp struct {
	*fakeApp
	source Source
	gone   chan struct{}
}

func (f *forwardApp) Route(c *Conn, q *Req) Action {
	if !strings.HasPrefix(string(q.Bytes(q.Head.Path)), "/forward") {
		return f.fakeApp.Route(c, q)
	}
	q.BodyLimit = 2 << 20
	return Forward
}

func (f *forwardApp) Forward(c *Conn, q *Req, _ bool) {
	path := string(q.Bytes(q.Head.Path))
	resume := func(a Action) { f.source.(Resumer).Resume(c, a) }
	switch {
	case strings.HasSuffix(path, "/wait"):
		c.SetAway(&Away{Gone: func() {
			close(f.gone)
			q.Aborted = 1
			go resume(Respond)
		}})
		return
	case strings.HasSuffix(path, "/run"):
		go resume(Run)
		return
	case strings.HasSuffix(path, "/stream"):
		c.Stream = func(s *Stream) {
			_, body := c.Message()
			fmt.Fprintf(s, "HTTP/1.1 200 X\r\nContent-Length: %d\r\n\r\nstreamed %s", len(body)+9, body)
		}
		go resume(Streamed)
		return
	case strings.HasSuffix(path, "/again"):
		q.Head.Path.Len -= uint32(len("/again"))
		go resume(Forward)
		return
	}
	_, body := c.Message()
	f.answer(q, 200, path+" "+string(body))
	if strings.HasSuffix(path, "/now") {
		resume(Respond)
		return
	}
	go resume(Respond)
}

func (f *forwardApp) FlushForwards() {}

func (f *forwardApp) ForwardStream(c *Conn, q *Req) func(*Stream) {
	return func(s *Stream) {
		n, err := io.Copy(io.Discard, s.Body())
		body := fmt.Sprint(n, " ", err)
		fmt.Fprintf(s, "HTTP/1.1 200 X\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
	}
}

func startForward(t *testing.T, open opener) (Source, *forwardApp, string) {
	app := &forwardApp{gone: make(chan struct{})}
	r, _, addr := opener(func(c Config) (Source, error) {
		app.fakeApp = c.Handler.(*fakeApp)
		c.Handler = app
		var err error
		app.source, err = open(c)
		return app.source, err
	}).start(t, 1, nil)
	return r, app, addr
}

func TestForward(t *testing.T) { each(t, testForward) }

func testForward(t *testing.T, open opener) {
	r, app, addr := startForward(t, open)
	long := strings.Repeat("0123456789", 150_000)
	tests := []struct{ path, body, want string }{
		{"/forward", "", "/forward "},
		{"/forward/now", "", "/forward/now "},
		{"/forward", "abc", "/forward abc"},
		{"/forward/stream", "abc", "streamed abc"},
		{"/forward/run", "abc", "/forward/run:abc"},
		{"/forward/again/again", "abc", "/forward abc"},
		{"/forward", long, "1500000 <nil>"},
		{"/forward", long + long, "413"},
	}
	for _, tt := range tests {
		t.Run(fmt.Sprint(tt.path, " ", len(tt.body)), func(t *testing.T) {
			got := exchange(t, addr, fmt.Sprintf("POST %s HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%sGET /forward/next HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
				tt.path, len(tt.body), tt.body))
			assert.Contains(t, got, tt.want)
			assert.Equal(t, tt.want != "413", strings.HasSuffix(got, "/forward/next "), got)
		})
	}
	chunked := exchange(t, addr, "POST /forward HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\nGET /forward/next HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
	assert.Contains(t, chunked, "/forward 3\r\nabc\r\n0\r\n\r\n", "with its framing")
	assert.True(t, strings.HasSuffix(chunked, "/forward/next "))
	assert.Eventually(t, func() bool { return r.Running() == 0 && r.Connections() == 0 && app.done.Load() == 17 }, 5*time.Second, time.Millisecond)
}

func TestForwardClientGone(t *testing.T) { each(t, testForwardClientGone) }

func testForwardClientGone(t *testing.T, open opener) {
	r, app, addr := startForward(t, open)
	c, err := net.Dial("tcp", addr)
	require.NoError(t, err)
	_, err = io.WriteString(c, "GET /forward/wait HTTP/1.1\r\nHost: x\r\n\r\n")
	require.NoError(t, err)
	require.Eventually(t, func() bool { return r.Running() == 1 }, 5*time.Second, time.Millisecond)
	require.NoError(t, c.(*net.TCPConn).SetLinger(0))
	c.Close()
	select {
	case <-app.gone:
	case <-time.After(5 * time.Second):
		t.Fatal("nobody said so")
	}
	assert.Eventually(t, func() bool { return r.Running() == 0 && r.Connections() == 0 }, 5*time.Second, time.Millisecond)
}
