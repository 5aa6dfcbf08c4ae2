// Tests of what a source bears: handlers that panic, clients that are slow.
package listen

import (
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

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
		{"/panic-stream", "500 X\r\nConnection: close", []string{"stream"}},
		{"/panic-stream-cut", "\r\n\r\nhal", []string{"stream cut"}},
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
				assert.NotContains(t, got, "half a resp")
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

func TestQueue(t *testing.T) { each(t, testQueue) }

// A request that waits for a thread is answered after QueueTimeout, and goes to
// the successor when there is one.
func testQueue(t *testing.T, open opener) {
	var limit time.Duration
	limited := opener(func(c Config) (Source, error) {
		c.QueueTimeout = limit
		return open(c)
	})
	for _, tt := range []struct {
		name  string
		limit time.Duration
		want  string
		drain bool
	}{
		{"late", 50 * time.Millisecond, "504 X", false},
		{"in time", time.Minute, "/b:", false},
		{"handed over", 0, "", true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			limit = tt.limit
			r, f, addr := limited.start(t, 1, func(f *fakeApp) { f.handed, f.proxy = make(chan string, 2), tt.drain })
			before := ""
			if tt.drain { // the successor has to read it too
				before = "PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n"
			}
			first := make(chan string, 1)
			go func() {
				first <- exchange(t, addr, before+"GET /wait HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
			}()
			require.Eventually(t, func() bool { return f.running.Load() == 1 }, 5*time.Second, time.Millisecond)
			in := before + "GET /b HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
			second := make(chan string, 1)
			go func() { second <- exchange(t, addr, in) }()
			if tt.limit != 50*time.Millisecond {
				require.Eventually(t, func() bool { return r.Running() == 2 }, 5*time.Second, time.Millisecond)
			}
			if tt.drain {
				r.Drain(true)
				assert.Equal(t, in, <-f.handed)
			}
			if tt.limit == time.Minute {
				close(f.release)
			}
			got := <-second
			assert.Contains(t, got, tt.want)
			if tt.limit != time.Minute {
				close(f.release)
			}
			assert.Contains(t, <-first, "/wait:")
			if tt.drain {
				assert.Empty(t, got)
				<-r.Done()
			}
		})
	}
}
