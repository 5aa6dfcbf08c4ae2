// Tests of requests that are routed off the leader's thread.

package listen

import (
	"net"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestDecideOffTheLeader(t *testing.T) { each(t, testDecideOffTheLeader) }

func testDecideOffTheLeader(t *testing.T, open opener) {
	_, f, addr := open.start(t, 2, nil)
	for _, tt := range []struct {
		name, in string
		want     []string
	}{
		{"runs", "GET /think/yes HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", []string{"200 X", "/think/yes:"}},
		{"refused, body unread", "POST /think/no HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabcGET /b HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", []string{"401 X", "refused", "/b:"}},
		{"body", "POST /think/yes HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nConnection: close\r\n\r\nabc", []string{"/think/yes:abc"}},
		{"python", "GET /think/python HTTP/1.1\r\nHost: x\r\n\r\nGET /think/python HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", []string{"/think/python:", "/think/python:"}},
		{"panic", "GET /think/panic HTTP/1.1\r\nHost: x\r\n\r\n", []string{"500 X", "bad"}},
		{"panic in Python's place", "GET /think/panic-python HTTP/1.1\r\nHost: x\r\n\r\n", []string{"500 X", "bad"}},
		{"pipelined", "GET /think/a HTTP/1.1\r\nHost: x\r\n\r\nGET /static HTTP/1.1\r\nHost: x\r\n\r\nGET /think/c HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", []string{"/think/a:", "static", "/think/c:"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := exchange(t, addr, tt.in)
			for _, w := range tt.want {
				i := strings.Index(got, w)
				require.GreaterOrEqual(t, i, 0, "%q in %q", w, got)
				got = got[i+len(w):]
			}
		})
	}
	assert.Eventually(t, func() bool { return f.done.Load() == 11 }, 5*time.Second, time.Millisecond)
}

// However many requests are being thought about, others are served, and the
// body that comes meanwhile is not lost.
func TestThinkingHoldsNobodyUp(t *testing.T) { each(t, testThinkingHoldsNobodyUp) }

func testThinkingHoldsNobodyUp(t *testing.T, open opener) {
	r, f, addr := open.start(t, 1, nil)
	var waiting []net.Conn
	for range 3 {
		c, err := net.Dial("tcp", addr)
		require.NoError(t, err)
		defer c.Close()
		c.SetDeadline(time.Now().Add(10 * time.Second))
		_, err = c.Write([]byte("POST /think/wait HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nConnection: close\r\n\r\nab"))
		require.NoError(t, err)
		waiting = append(waiting, c)
	}
	assert.Eventually(t, func() bool { return r.Running() == 3 }, 5*time.Second, time.Millisecond)
	assert.Contains(t, exchange(t, addr, "GET /a HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"), "/a:")
	for _, c := range waiting {
		_, err := c.Write([]byte("cd"))
		require.NoError(t, err)
	}
	assert.Contains(t, exchange(t, addr, "GET /static HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"), "static")
	close(f.release)
	for _, c := range waiting {
		b := make([]byte, 1024)
		n := 0
		for {
			m, err := c.Read(b[n:])
			n += m
			if err != nil {
				break
			}
		}
		assert.Contains(t, string(b[:n]), "/think/wait:abcd")
	}
	assert.Eventually(t, func() bool { return r.Running() == 0 }, 5*time.Second, time.Millisecond)
}
