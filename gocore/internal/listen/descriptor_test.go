//go:build linux || darwin || freebsd

// Tests of a descriptor that two parties use: Go's poller between requests, and
// during a request the application's side, as input.c and response.c do it.
package listen

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// rawApp answers on the descriptor itself.
type rawApp struct{ *fakeApp }

func (f rawApp) Run(c *Conn, q *Req) bool {
	fd := int(q.FD)
	wait := func(events int16) error {
		p := []unix.PollFd{{Fd: int32(fd), Events: events}}
		n, err := unix.Poll(p, 10_000)
		if err == nil && n == 0 {
			err = unix.ETIMEDOUT
		}
		return err
	}
	buf := make([]byte, 64<<10)
	for q.StreamLeft > 0 {
		n, _, err := unix.Recvfrom(fd, buf[:min(int64(len(buf)), q.StreamLeft)], unix.MSG_DONTWAIT)
		switch {
		case err == unix.EAGAIN:
			err = wait(unix.POLLIN)
		case err == nil && n == 0:
			err = io.ErrUnexpectedEOF
		}
		if err != nil && err != unix.EINTR {
			q.Aborted = 1
			return true
		}
		q.StreamLeft -= int64(max(n, 0))
	}
	body := strings.Repeat("b", bigSize)
	out := fmt.Appendf(nil, "HTTP/1.1 200 X\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
	for len(out) > 0 {
		n, err := unix.SendmsgN(fd, out, nil, nil, sendFlags)
		if err == unix.EAGAIN {
			err = wait(unix.POLLOUT)
		}
		if err != nil && err != unix.EINTR {
			q.Aborted = 1
			return true
		}
		out = out[max(n, 0):]
	}
	return true
}

func TestDescriptorIsShared(t *testing.T) { each(t, testDescriptorIsShared) }

func testDescriptorIsShared(t *testing.T, open opener) {
	direct := opener(func(c Config) (Source, error) {
		c.Handler = rawApp{c.Handler.(*fakeApp)}
		return open(c)
	})
	r, f, addr := direct.start(t, 2, nil)
	c, err := net.Dial("tcp", addr)
	require.NoError(t, err)
	defer c.Close()
	c.SetDeadline(time.Now().Add(30 * time.Second))
	b := bufio.NewReader(c)
	answer := func() {
		res, err := http.ReadResponse(b, nil)
		require.NoError(t, err)
		n, err := io.Copy(io.Discard, res.Body)
		require.NoError(t, err)
		assert.EqualValues(t, bigSize, n)
	}
	for range 3 { // the poller waits for each request, the application for the reader
		_, err = io.WriteString(c, "GET /a HTTP/1.1\r\nHost: x\r\n\r\n")
		require.NoError(t, err)
		answer()
	}
	// a body in pieces, the first read by the source, the rest by the application
	const size = 3 << 20
	_, err = fmt.Fprintf(c, "POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n", size)
	require.NoError(t, err)
	piece := make([]byte, size/8)
	for range 8 {
		_, err = c.Write(piece)
		require.NoError(t, err)
		time.Sleep(5 * time.Millisecond)
	}
	answer()
	assert.Eventually(t, func() bool { return f.done.Load() == 4 && r.Running() == 0 }, 10*time.Second, time.Millisecond)
}
