//go:build linux || darwin || freebsd

// Tests of requests of the hop that wait, are given up or back, and of ends
// that go away; hop_test.go has the front that they use.
package listen

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"modwsgi/gocore/internal/hop"
)

func TestLeaveHops(t *testing.T) { each(t, testLeaveHops) }

// A process that waits for its successor sends the fronts away and finishes what it has.
func testLeaveHops(t *testing.T, open opener) {
	r, a, path := open.startHop(t, 1, nil)
	f := dialHop(t, path)
	f.write(f.request("/wait", nil))
	require.Eventually(t, func() bool { return a.running.Load() == 1 }, 5*time.Second, time.Millisecond)
	r.(interface{ LeaveHops() }).LeaveHops()
	r.(interface{ LeaveHops() }).LeaveHops()
	f.frame(hop.TypeGoaway)
	close(a.release)
	_, body := f.response()
	assert.Equal(t, "/wait:", body)
}

func TestHopCancelOfWhatIsLeft(t *testing.T) { each(t, testHopCancelOfWhatIsLeft) }

// The application is through, the front has not taken everything, and gives up:
// it is told that the stream ends, or it would count as running for ever.
func testHopCancelOfWhatIsLeft(t *testing.T, open opener) {
	r, a, path := open.startHop(t, 1, func(a *hopApp, _ *Config) { a.file = bigFile(t) })
	f := dialHop(t, path)
	for i, path := range []string{"/big", "/bigfile"} {
		f.write(f.request(path, nil))
		require.Eventually(t, func() bool { return a.done.Load() == int32(i+1) }, 10*time.Second, time.Millisecond)
		f.frame(hop.TypeHead)
		f.write(hop.AppendCancel(nil, f.next))
		for x := f.any(false); x.Type != hop.TypeReset; x = f.any(false) {
			require.Equal(t, hop.TypeData, x.Type)
		}
	}
	f.write(f.request("/after", nil))
	_, body := f.response()
	assert.Equal(t, "/after:", body)
	require.Eventually(t, func() bool { return r.Connections() == 1 && r.Running() == 0 }, 5*time.Second, time.Millisecond)
}

func bigFile(t *testing.T) *os.File {
	file, err := os.Create(filepath.Join(t.TempDir(), "file"))
	require.NoError(t, err)
	t.Cleanup(func() { file.Close() })
	require.NoError(t, file.Truncate(bigSize))
	return file
}

func TestHopFullSocket(t *testing.T) { each(t, testHopFullSocket) }

// A front that does not read for a while keeps no thread, and loses nothing.
func testHopFullSocket(t *testing.T, open opener) {
	const n, size = 24, 200_000                                                                   // less than the window of each, more than the socket takes
	_, a, path := open.startHop(t, n, func(_ *hopApp, c *Config) { c.Hop.SendBuffer = 64 << 10 }) // none of them waits
	f := dialHop(t, path)
	body := bytes.Repeat([]byte("0123456789"), size/10)
	for range n {
		f.write(f.request("/echo", body))
	}
	require.Eventually(t, func() bool { return a.done.Load() == n }, 10*time.Second, time.Millisecond)
	g := dialHop(t, path)
	g.write(g.request("/other", nil))
	_, other := g.response()
	assert.Equal(t, "/other:", other)
	for _, got := range f.responses(n) {
		assert.Equal(t, "/echo:"+string(body), got)
	}
}

func TestHopParked(t *testing.T) { each(t, testHopParked) }

// A request that waited does not run before the front can know: else it would
// run again if this process died. It keeps no thread meanwhile.
func testHopParked(t *testing.T, open opener) {
	for _, gone := range []bool{false, true} {
		r, a, path := open.startHop(t, 1, func(_ *hopApp, c *Config) { c.Hop.SendBuffer = 64 << 10 })
		f := dialHop(t, path)
		f.write(f.request("/wait", nil))
		require.Eventually(t, func() bool { return a.running.Load() == 1 }, 5*time.Second, time.Millisecond)
		body := bytes.Repeat([]byte("0123456789"), 20_000) // less than the window, more than the socket takes
		for range 3 {
			f.write(f.request("/echo", body))
		}
		require.Eventually(t, func() bool { return r.Running() == 4 }, 5*time.Second, time.Millisecond)
		close(a.release)
		g := dialHop(t, path)
		for i := range 3 {
			g.write(g.request("/other", nil))
			_, other := g.response()
			require.Equal(t, "/other:", other, i)
		}
		require.EqualValues(t, 2+3, a.done.Load(), "of the first front two: the response of the second fills the socket")
		if gone {
			f.c.Close()
		} else {
			f.response()
			for _, got := range f.responses(3) {
				assert.Equal(t, "/echo:"+string(body), got)
			}
		}
		require.Eventually(t, func() bool { return r.Running() == 0 && a.done.Load() == 7 }, 5*time.Second, time.Millisecond)
	}
}

func TestHopPlans(t *testing.T) { each(t, testHopPlans) }

// What requests are for is said once; a number that means nothing ends the connection.
func testHopPlans(t *testing.T, open opener) {
	_, a, path := open.startHop(t, 1, nil)
	f := dialHop(t, path)
	ask := func(plan uint32) []byte {
		f.next++
		return hop.AppendRequest(nil, f.next, &hop.Request{Plan: plan, Window: 1 << 20, Head: []byte("GET /x HTTP/1.1\r\nHost: x\r\n\r\n")})
	}
	f.write(append(hop.AppendPlan(nil, 3, []byte("key")), ask(3)...))
	_, body := f.response()
	assert.Equal(t, "/x:", body)
	for i, key := range []string{"unknown", "panic plan"} {
		f.write(append(hop.AppendPlan(nil, uint32(i+1), []byte(key)), ask(uint32(i+1))...))
		f.frame(hop.TypeError)
	}
	f.write(ask(3))
	f.response()
	assert.EqualValues(t, 2, a.routes.Load())
	f.write(ask(4))
	_, err := f.r.Frame()
	assert.ErrorIs(t, err, io.EOF, "not described")
	f = dialHop(t, path)
	f.write(append(hop.AppendPlan(nil, 1, []byte("key")), hop.AppendPlan(nil, 1, []byte("key"))...))
	_, err = f.r.Frame()
	assert.ErrorIs(t, err, io.EOF, "described twice")
}

func TestHopCancelAndDrain(t *testing.T) { each(t, testHopCancelAndDrain) }

// What waits is given up or back; what runs goes on.
func testHopCancelAndDrain(t *testing.T, open opener) {
	r, a, path := open.startHop(t, 1, nil)
	f := dialHop(t, path)
	f.write(f.request("/wait", nil))
	require.Eventually(t, func() bool { return a.running.Load() == 1 }, 5*time.Second, time.Millisecond)
	f.write(f.request("/cancelled", nil))
	f.write(hop.AppendCancel(nil, 2)) // read before what follows
	f.write(f.request("/given-back", nil))
	require.Eventually(t, func() bool { return a.routes.Load() == 3 }, 5*time.Second, time.Millisecond)
	require.Eventually(t, func() bool { return r.Running() == 3 }, 5*time.Second, time.Millisecond)
	assert.True(t, f.queued(2))
	assert.True(t, f.queued(3))
	r.Drain(true)
	got := map[string]bool{}
	for range 3 {
		x, err := f.r.Frame()
		require.NoError(t, err)
		got[fmt.Sprintf("%v %d", x.Type, x.Stream)] = true
	}
	assert.Equal(t, map[string]bool{"Goaway 0": true, "Reset 2": true, "Refused 3": true}, got)
	f.write(f.request("/crossed", nil))
	f.frame(hop.TypeRefused)
	close(a.release)
	_, body := f.response()
	assert.Equal(t, "/wait:", body)
	select {
	case <-r.Done():
		t.Fatal("done before the front has closed its connection")
	default:
	}
	f.c.Close()
	select {
	case <-r.Done():
	case <-time.After(5 * time.Second):
		t.Fatal("not done")
	}
}

func TestHopStale(t *testing.T) { each(t, testHopStale) }

func testHopStale(t *testing.T, open opener) {
	_, a, path := open.startHop(t, 1, nil)
	f := dialHop(t, path)
	a.stale.Store(true)
	f.write(f.request("/", []byte("kept by the front")))
	why, err := hop.DecodeRefused(f.frame(hop.TypeRefused).Payload)
	require.NoError(t, err)
	assert.Equal(t, hop.Restarting, why)
}

func TestHopQueueTimeout(t *testing.T) { each(t, testHopQueueTimeout) }

func testHopQueueTimeout(t *testing.T, open opener) {
	_, a, path := open.startHop(t, 1, func(_ *hopApp, c *Config) { c.QueueTimeout = 50 * time.Millisecond })
	f := dialHop(t, path)
	f.write(f.request("/wait", nil))
	require.Eventually(t, func() bool { return a.running.Load() == 1 }, 5*time.Second, time.Millisecond)
	f.write(f.request("/late", nil))
	f.queued(2)
	why, err := hop.DecodeRefused(f.frame(hop.TypeRefused).Payload)
	require.NoError(t, err)
	assert.Equal(t, hop.QueueTimeout, why)
	close(a.release)
	f.response()
}

func TestHopQueued(t *testing.T) { each(t, testHopQueued) }

// A request that waited says so when its time comes: from then on it is lost with the process.
func testHopQueued(t *testing.T, open opener) {
	_, a, path := open.startHop(t, 1, nil)
	f := dialHop(t, path)
	f.write(f.request("/wait", nil))
	require.Eventually(t, func() bool { return a.running.Load() == 1 }, 5*time.Second, time.Millisecond)
	f.write(f.request("/next", nil))
	assert.True(t, f.queued(2))
	close(a.release)
	f.response()
	assert.False(t, f.queued(2))
	_, body := f.response()
	assert.Equal(t, "/next:", body)
}

func TestHopRefusesFronts(t *testing.T) { each(t, testHopRefusesFronts) }

// A front that does not keep to the format, or that is nobody's, loses its connection.
func testHopRefusesFronts(t *testing.T, open opener) {
	_, _, path := open.startHop(t, 1, nil)
	f := dialHop(t, path)
	f.write([]byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n"))
	_, err := f.r.Frame()
	assert.ErrorIs(t, err, io.EOF)

	_, _, path = open.startHop(t, 1, func(_ *hopApp, c *Config) { c.Hop.Allow = func(int) bool { return false } })
	c, err := net.Dial("unix", path)
	require.NoError(t, err)
	defer c.Close()
	c.SetDeadline(time.Now().Add(5 * time.Second))
	_, err = c.Read(make([]byte, 1))
	assert.ErrorIs(t, err, io.EOF)
}

func TestHopFrontGone(t *testing.T) { each(t, testHopFrontGone) }

// Requests of a front that is gone end; the process serves others.
func testHopFrontGone(t *testing.T, open opener) {
	r, a, path := open.startHop(t, 1, nil)
	f := dialHop(t, path)
	f.write(f.request("/wait", nil))
	require.Eventually(t, func() bool { return a.running.Load() == 1 }, 5*time.Second, time.Millisecond)
	f.write(f.request("/queued", nil))
	require.Eventually(t, func() bool { return r.Running() == 2 }, 5*time.Second, time.Millisecond)
	f.c.Close()
	require.Eventually(t, func() bool { return r.Connections() == 2 }, 5*time.Second, time.Millisecond) // the streams
	close(a.release)
	require.Eventually(t, func() bool { return r.Connections() == 0 && r.Running() == 0 }, 5*time.Second, time.Millisecond)
	g := dialHop(t, path)
	g.write(g.request("/", nil))
	_, body := g.response()
	assert.Equal(t, "/:", body)
}
