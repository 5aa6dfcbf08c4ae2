package listen

import (
	"bufio"
	"io"
	"net"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func init() { sources["reactor"] = func(c Config) (Source, error) { return New(c) } }

// TestEventWhileDrainLooks: an event that comes while Drain owns a connection in
// the middle of a request is not lost.
func TestEventWhileDrainLooks(t *testing.T) {
	s, _, addr := opener(sources["reactor"]).start(t, 1, nil)
	r := s.(*Reactor)
	client, err := net.Dial("tcp", addr)
	require.NoError(t, err)
	defer client.Close()
	client.SetDeadline(time.Now().Add(10 * time.Second))
	_, err = io.WriteString(client, "GET /late HTTP/1.1\r\n")
	require.NoError(t, err)
	var c *Conn
	require.Eventually(t, func() bool {
		for i := range r.conns {
			x := r.conns[i].Load()
			if x == nil || !x.state.CompareAndSwap(stIdle, stBusy) {
				continue
			}
			if x.phase == phHead {
				c = x
				return true
			}
			r.putBack(x)
		}
		return false
	}, 5*time.Second, time.Millisecond)
	_, err = io.WriteString(client, "Host: x\r\n\r\n")
	require.NoError(t, err)
	require.Eventually(t, func() bool { return c.state.Load() == stBusyEvent }, 5*time.Second, time.Millisecond)
	r.putBack(c)
	line, err := bufio.NewReader(client).ReadString('\n')
	require.NoError(t, err)
	assert.Contains(t, line, "200")
}

// TestHandedOverComesBack gives a connection away, which stays open elsewhere,
// and takes it back under the same number: the epoll set must have forgotten it.
func TestHandedOverComesBack(t *testing.T) {
	r, f, addr := opener(sources["reactor"]).start(t, 1, func(f *fakeApp) {
		f.handed, f.kept = make(chan string, 1), make(chan [2]int, 1)
		f.stale.Store(true)
	})
	c, err := net.Dial("tcp", addr)
	require.NoError(t, err)
	defer c.Close()
	c.SetDeadline(time.Now().Add(10 * time.Second))
	_, err = io.WriteString(c, "GET /again HTTP/1.1\r\nHost: x\r\n\r\n")
	require.NoError(t, err)
	fds, pending := <-f.kept, <-f.handed
	defer syscall.Close(fds[1])
	require.Eventually(t, func() bool { return r.Connections() == 0 }, 5*time.Second, time.Millisecond)
	f.stale.Store(false)
	require.NoError(t, syscall.Dup3(fds[1], fds[0], syscall.O_CLOEXEC))
	require.NoError(t, r.Adopt(fds[0], []byte(pending)))
	line, err := bufio.NewReader(c).ReadString('\n')
	require.NoError(t, err)
	assert.Contains(t, line, "200")
}
