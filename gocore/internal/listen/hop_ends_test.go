//go:build linux || darwin || freebsd

// Streams of the hop that end in unusual ways: each has its last frame, and no
// frame that crossed with an end harms the other streams of its connection.
package listen

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"modwsgi/gocore/internal/hop"
)

func TestHopCancelCrossesGoaway(t *testing.T) { each(t, testHopCancelCrossesGoaway) }

// Cancel of a request that crossed with Goaway, and so never had a stream here,
// does not cost the others their connection.
func testHopCancelCrossesGoaway(t *testing.T, open opener) {
	r, a, path := open.startHop(t, 1, nil)
	f := dialHop(t, path)
	f.write(f.request("/wait", nil))
	require.Eventually(t, func() bool { return a.running.Load() == 1 }, 5*time.Second, time.Millisecond)
	r.(interface{ LeaveHops() }).LeaveHops()
	f.frame(hop.TypeGoaway)
	f.write(append(f.request("/crossed", nil), hop.AppendCancel(nil, 2)...))
	f.frame(hop.TypeRefused)
	close(a.release)
	_, body := f.response()
	assert.Equal(t, "/wait:", body)
}

func TestHopBodyAfterTheApplication(t *testing.T) { each(t, testHopBodyAfterTheApplication) }

// Parts of a body that were sent before the front knew that the application is
// done without them are not an error, also while the response still waits for credit.
func testHopBodyAfterTheApplication(t *testing.T, open opener) {
	_, a, path := open.startHop(t, 1, nil)
	f := dialHop(t, path)
	f.next++
	m := hop.Request{Window: hop.ResponseWindow, Key: []byte("key"), BodyLen: 1 << 20,
		Head: fmt.Appendf(nil, "POST /unread HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n", 1<<20)}
	f.write(hop.AppendRequest(nil, 1, &m))
	f.frame(hop.TypeCredit)
	require.Eventually(t, func() bool { return a.done.Load() == 1 }, 10*time.Second, time.Millisecond)
	time.Sleep(10 * time.Millisecond) // Done is called just before the body is given up
	f.write(hop.AppendBody(nil, 1, bytes.Repeat([]byte("x"), 1000), false))
	_, body := f.response()
	assert.Equal(t, someSize, len(body))
}

func TestHopDrainOutlivesItsFront(t *testing.T) { each(t, testHopDrainOutlivesItsFront) }

// A process that drains is done when the last request of a front that has gone before it is.
func testHopDrainOutlivesItsFront(t *testing.T, open opener) {
	r, a, path := open.startHop(t, 1, nil)
	f := dialHop(t, path)
	f.write(f.request("/wait", nil))
	require.Eventually(t, func() bool { return a.running.Load() == 1 }, 5*time.Second, time.Millisecond)
	r.Drain(true)
	f.c.Close()
	require.Eventually(t, func() bool { return r.Connections() == 1 }, 5*time.Second, time.Millisecond) // the stream
	close(a.release)
	select {
	case <-r.Done():
	case <-time.After(5 * time.Second):
		t.Fatal("not done")
	}
}

// chaosFront is a Handler that that may cancel in a callback.
type chaosFront struct {
	cancel   bool
	answered *atomic.Int32
	done     func()
}

func (h *chaosFront) Head(x *hop.Exchange, _ int, _ int64, _ []byte) {
	if h.cancel && x.Cancel() {
		h.done()
	}
}

func (h *chaosFront) Data(x *hop.Exchange, p []byte, end bool) {
	x.Credit(len(p))
	if end {
		h.answered.Add(1)
		h.done()
	}
}

func (h *chaosFront) End(*hop.Exchange)               { h.done() }
func (h *chaosFront) Fail(*hop.Exchange, hop.Failure) { h.done() }

func TestHopChaos(t *testing.T) { each(t, testHopChaos) }

// Requests of all kinds, with bodies that nobody reads, cancelled at any time,
// from several front processes, some of which go away: each ends exactly once, and nothing is left.
func testHopChaos(t *testing.T, open opener) {
	r, a, path := open.startHop(t, 4, func(_ *hopApp, c *Config) {
		c.Hop.Hello.Slot = 0
		c.Hop.Report = func(err error) { t.Error("the process closed a connection:", err) }
	})
	close(a.release)
	stop := time.Now().Add(2 * time.Second)
	var fronts, requests sync.WaitGroup
	var twice, ended, answered atomic.Int32
	for n := range 3 {
		fronts.Go(func() {
			random := rand.New(rand.NewPCG(uint64(n), 1))
			for time.Now().Before(stop) {
				p := hop.NewPool(hop.Config{Group: "chaos", Sockets: []string{path}, AnyGeneration: true, PeerUID: -1, PeerPID: -1,
					Log: func(level int, msg string) {
						if level <= hop.LogError {
							t.Error(msg)
						}
					}})
				for range 200 {
					paths := []string{"/small", "/some", "/unread", "/blocks", "/cut", "/error", "/wait"}
					name := paths[random.IntN(len(paths))]
					m := hop.Request{Window: hop.ResponseWindow, Key: []byte("key"), StartUs: time.Now().UnixMicro()}
					if upload := name == "/unread" || random.IntN(4) == 0; upload {
						m.BodyLen = 100_000
					}
					m.Head = fmt.Appendf(nil, "POST %s HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n", name, m.BodyLen)
					h := &chaosFront{answered: &answered, cancel: random.IntN(8) == 0}
					requests.Add(1)
					var once atomic.Bool
					h.done = func() {
						if !once.CompareAndSwap(false, true) {
							twice.Add(1)
							return
						}
						ended.Add(1)
						requests.Done()
					}
					x := p.Do(&m, h, false)
					if m.BodyLen > 0 {
						go func() {
							for left := 100_000; left > 0; left -= 1000 {
								if x.Body(make([]byte, 1000), left == 1000) != nil {
									return
								}
							}
						}()
					}
					if random.IntN(4) == 0 {
						wait := time.Duration(random.IntN(2000)) * time.Microsecond
						go func() {
							time.Sleep(wait)
							if x.Cancel() {
								h.done()
							}
						}()
					}
				}
				// a front that has an end of its own in the middle of it all
				ctx := t.Context()
				if random.IntN(2) == 0 {
					soon, cancel := context.WithTimeout(ctx, time.Duration(random.IntN(20))*time.Millisecond)
					defer cancel()
					ctx = soon
				}
				_ = p.Close(ctx)
			}
		})
	}
	fronts.Wait()
	requests.Wait()
	t.Logf("%d requests, %d answered", ended.Load(), answered.Load())
	assert.NotZero(t, answered.Load())
	assert.Zero(t, twice.Load(), "told of the end twice")
	require.Eventually(t, func() bool { return r.Connections() == 0 && r.Running() == 0 && a.running.Load() == 0 }, 10*time.Second, time.Millisecond)
}
