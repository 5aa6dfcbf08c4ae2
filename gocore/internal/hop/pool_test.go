// Tests of Pool against daemons on real sockets: the ordinary ways, placement and the queue.
package hop

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestOneRequest(t *testing.T) {
	s := socketPath(t, "s")
	start(t, listen(t, s), Hello{Threads: 5, PID: 4711}, echo)
	p := group(t, nil, s)
	r := record(t)
	p.Do(get("/a"), r, false)
	r.want("/a")
	assert.Equal(t, &Head{200, 2, []byte("200 OK\r\nContent-Type: text/plain\r\n")}, r.head)
	st := p.Stats()
	assert.Equal(t, Stats{Slots: []SlotStats{{PID: 4711, Connected: true, Threads: 5, Total: 1}}}, st)
}

func TestThousandAtOnce(t *testing.T) {
	var sockets []string
	for i := range 3 {
		s := socketPath(t, "s")
		sockets = append(sockets, s)
		start(t, listen(t, s), Hello{Slot: uint32(i), Threads: 7}, echo)
	}
	p := group(t, func(c *Config) { c.ConnectTimeout = time.Minute }, sockets...)
	first := record(t)
	p.Do(get("/first"), first, false)
	first.want("/first")
	eventually(t, func() bool { // else two of them may do all of it before the third is there
		return !slices.ContainsFunc(p.Stats().Slots, func(s SlotStats) bool { return !s.Connected })
	})
	var rs []*recorder
	for i := range 1000 {
		r := record(t)
		rs = append(rs, r)
		p.Do(get(fmt.Sprintf("/%d", i)), r, i%16 != 15)
	}
	p.Flush()
	for i, r := range rs {
		r.want(fmt.Sprintf("/%d", i))
	}
	st := p.Stats()
	total := uint64(0)
	for _, s := range st.Slots {
		total += s.Total
		assert.Zero(t, s.InFlight)
		assert.NotZero(t, s.Total)
	}
	assert.EqualValues(t, 1001, total)
}

// Requests from callbacks of others, released exchanges, and concurrent senders.
func TestChains(t *testing.T) {
	s := socketPath(t, "s")
	start(t, listen(t, s), Hello{Threads: 3}, echo)
	p := group(t, nil, s)
	var wg sync.WaitGroup
	for i := range 20 {
		wg.Add(1)
		left := 50
		var h *chain
		h = &chain{next: func(x *Exchange) {
			if x.Release(); left == 0 {
				wg.Done()
				return
			}
			left--
			p.Do(get(fmt.Sprintf("/%d/%d", i, left)), h, true)
		}, t: t}
		p.Do(get("/"), h, false)
	}
	wg.Wait()
}

type chain struct {
	t    *testing.T
	next func(*Exchange)
}

func (c *chain) Head(*Exchange, int, int64, []byte) {}
func (c *chain) Data(x *Exchange, p []byte, end bool) {
	if end {
		c.next(x)
	}
}
func (c *chain) End(x *Exchange)             { c.t.Error("End") }
func (c *chain) Fail(x *Exchange, f Failure) { c.t.Error(f) }

func TestBatchHookAndMore(t *testing.T) {
	s := socketPath(t, "s")
	d := start(t, listen(t, s), Hello{Threads: 9}, nil)
	batches := make(chan struct{}, 1000)
	p := group(t, func(c *Config) { c.Batch = func() { batches <- struct{}{} } }, s)
	r := record(t)
	p.Do(get("/0"), r, false)
	d.take().answer("0")
	r.want("0")
	r1, r2 := record(t), record(t)
	p.Do(get("/1"), r1, true)
	p.Do(get("/2"), r2, true)
	p.mu.Lock()
	assert.Len(t, p.conns[0].pend, 1, "both in one buffer")
	assert.False(t, p.conns[0].writing)
	p.mu.Unlock()
	p.Flush()
	q1, q2 := d.take(), d.take()
	for len(batches) > 0 {
		<-batches
	}
	q1.c.send(append(append(headFrame(q1.stream, 0, true), headFrame(q2.stream, 1, false)...), AppendData(nil, q2.stream, []byte("2"), true)...))
	r1.want("")
	r2.want("2")
	select {
	case <-batches:
	case <-time.After(patience):
		require.Fail(t, "Batch was not called")
	}
}

// The least loaded process with a free thread gets the request; when none has one, they wait in order.
func TestPlacement(t *testing.T) {
	a, b := socketPath(t, "a"), socketPath(t, "b")
	da := start(t, listen(t, a), Hello{Slot: 0, Threads: 2}, nil)
	db := start(t, listen(t, b), Hello{Slot: 1, Threads: 1}, nil)
	p := group(t, nil, a, b)
	warm := record(t)
	p.Do(get("/warm"), warm, false)
	select {
	case q := <-da.calls:
		q.answer("")
	case q := <-db.calls:
		q.answer("")
	}
	warm.want("")
	eventually(t, func() bool { s := p.Stats(); return s.Slots[0].Connected && s.Slots[1].Connected })

	var rs []*recorder
	for i := range 6 {
		r := record(t)
		rs = append(rs, r)
		p.Do(get(fmt.Sprintf("/%d", i)), r, false)
	}
	st := p.Stats()
	assert.Equal(t, []int{2, 1, 3}, []int{st.Slots[0].InFlight, st.Slots[1].InFlight, st.Queued})
	qa1, qa2, qb := da.take(), da.take(), db.take()
	first := []string{path(&qa1.r), path(&qa2.r), path(&qb.r)}
	slices.Sort(first)
	assert.Equal(t, []string{"/0", "/1", "/2"}, first)

	// Whoever comes free takes the oldest.
	qb.answer("b")
	qb = db.take()
	assert.Equal(t, "/3", path(&qb.r))
	qa2.answer("a")
	qa2 = da.take()
	assert.Equal(t, "/4", path(&qa2.r))
	qb.answer("b")
	qb = db.take()
	assert.Equal(t, "/5", path(&qb.r))
	for _, q := range []*call{qa1, qa2, qb} {
		q.answer("x")
	}
	for _, r := range rs {
		_, f := r.result()
		assert.Nil(t, f)
	}
}

// A long request in one process does not hold up others while the sibling is free.
func TestLongRequestHoldsNobodyUp(t *testing.T) {
	a, b := socketPath(t, "a"), socketPath(t, "b")
	release := make(chan struct{})
	app := func(q *call) {
		if path(&q.r) == "/long" {
			<-release
		}
		echo(q)
	}
	start(t, listen(t, a), Hello{Slot: 0}, app)
	start(t, listen(t, b), Hello{Slot: 1}, app)
	p := group(t, nil, a, b)
	for i := range 200 { // short ones, so that requests are sent ahead
		r := record(t)
		p.Do(get(fmt.Sprint("/", i)), r, false)
		r.result()
	}
	long := record(t)
	p.Do(get("/long"), long, false)
	for i := range 50 {
		r := record(t)
		p.Do(get(fmt.Sprint("/", i)), r, false)
		r.want(fmt.Sprint("/", i))
	}
	close(release)
	long.want("/long")
}

// While requests are very short, a process gets some ahead; not while they are long.
func TestAhead(t *testing.T) {
	p := &Pool{slots: []slot{{}, {}}, cfg: Config{QueueLimit: 100}}
	now := int64(time.Second)
	for i := range p.slots {
		p.slots[i].conn = &conn{threads: 2, busy: 2, ended: now}
	}
	p.typical = int64(5 * time.Millisecond)
	assert.Nil(t, p.pick(now))
	p.typical = int64(100 * time.Microsecond)
	assert.NotNil(t, p.pick(now))
	p.slots[0].conn.busy = 12
	assert.Same(t, p.slots[1].conn, p.pick(now))
	p.slots[1].conn.busy = 12
	assert.Nil(t, p.pick(now), "ten of 100 us are a millisecond")
	p.slots[1].conn.busy = 3
	assert.Nil(t, p.pick(now+2*aheadIdle), "none ended for a while")
	p.slots[1].conn.busy = 1
	assert.Same(t, p.slots[1].conn, p.pick(now+2*aheadIdle))
	p.slots[0].conn.busy, p.slots[1].conn.busy = 0, 1
	assert.Same(t, p.slots[0].conn, p.pick(now))
	p.slots[0].conn.waiting = 1
	assert.Same(t, p.slots[1].conn, p.pick(now), "other fronts keep it busy")
	p.slots[1].conn.pendBytes = pendFull + 1
	assert.Same(t, p.slots[0].conn, p.pick(now), "it does not read")
}

// One process gets everything at once, up to its threads and the backlog.
func TestSingleProcess(t *testing.T) {
	s := socketPath(t, "s")
	d := start(t, listen(t, s), Hello{Threads: 2}, nil)
	p := group(t, func(c *Config) { c.QueueLimit = 3; c.ConnectTimeout = time.Second }, s)
	warm := record(t)
	p.Do(get("/warm"), warm, false)
	d.take().answer("")
	warm.want("")
	var rs []*recorder
	for i := range 7 {
		r := record(t)
		rs = append(rs, r)
		p.Do(get(fmt.Sprint("/", i)), r, false)
	}
	st := p.Stats()
	assert.Equal(t, 5, st.Slots[0].InFlight)
	assert.Equal(t, 2, st.Queued)
	q := d.take()
	q.answer("0") // one more fits
	rs[0].want("0")
	rs[6].wantFailure(Unreachable, 503, "queue of process group 'g' is full (listen-backlog=3)")
	for range 5 {
		echo(d.take())
	}
	for i := 1; i <= 5; i++ {
		rs[i].want(fmt.Sprint("/", i))
	}
}

func TestQueueTimeout(t *testing.T) {
	a, b := socketPath(t, "a"), socketPath(t, "b")
	app := func(q *call) { q.wait(func() bool { return false }); q.over(AppendReset(nil, q.stream)) }
	start(t, listen(t, a), Hello{Slot: 0}, app)
	start(t, listen(t, b), Hello{Slot: 1}, app)
	p := group(t, func(c *Config) { c.QueueTimeout = 200 * time.Millisecond }, a, b)
	var long []*Exchange
	for range 2 {
		long = append(long, p.Do(get("/"), record(t), false))
	}
	eventually(t, func() bool { s := p.Stats(); return s.Slots[0].InFlight+s.Slots[1].InFlight == 2 })
	r := record(t)
	begin := time.Now()
	p.Do(get("/late"), r, false)
	r.wantFailure(Late, 504, "queue-timeout")
	assert.GreaterOrEqual(t, time.Since(begin), 200*time.Millisecond)
	// Time at the front before Do counts.
	old := get("/old")
	old.StartUs = time.Now().Add(-time.Hour).UnixMicro()
	r = record(t)
	p.Do(old, r, false)
	r.wantFailure(Late, 504, "queue-timeout")
	// QueueUs goes before StartUs.
	old.QueueUs = time.Now().UnixMicro()
	r = record(t)
	begin = time.Now()
	p.Do(old, r, false)
	r.wantFailure(Late, 504, "queue-timeout")
	assert.Greater(t, time.Since(begin), 100*time.Millisecond)
	for _, x := range long {
		assert.True(t, x.Cancel())
	}
}

func TestDaemonSaysLate(t *testing.T) {
	s := socketPath(t, "s")
	start(t, listen(t, s), Hello{PID: 99}, func(q *call) { q.refuse(QueueTimeout) })
	p := group(t, func(c *Config) { c.QueueTimeout = time.Minute }, s)
	r := record(t)
	p.Do(get("/"), r, false)
	assert.Equal(t, 99, r.wantFailure(Late, 504, "queue-timeout").PID)
}

func TestUnreachable(t *testing.T) {
	short := func(c *Config) { c.ConnectTimeout = 300 * time.Millisecond }
	t.Run("missing sockets fail at once", func(t *testing.T) {
		p := group(t, nil, socketPath(t, "a"), socketPath(t, "b"))
		for range 2 {
			r := record(t)
			p.Do(get("/"), r, false)
			r.wantFailure(Unreachable, 503, "no such file")
		}
		assert.Contains(t, p.Stats().Slots[0].LastError, "no such file")
	})
	t.Run("no permission", func(t *testing.T) {
		if os.Geteuid() == 0 {
			t.Skip("root may everything")
		}
		s := socketPath(t, "s")
		listen(t, s)
		require.NoError(t, os.Chmod(s, 0))
		p := group(t, nil, s)
		r := record(t)
		p.Do(get("/"), r, false)
		r.wantFailure(Unreachable, 503, "permission denied")
	})
	t.Run("nobody listens", func(t *testing.T) {
		s := socketPath(t, "s")
		listen(t, s).Close() // the file stays
		p := group(t, short, s)
		begin := time.Now()
		r := record(t)
		p.Do(get("/"), r, false)
		r.wantFailure(Unreachable, 503, "connect-timeout")
		assert.GreaterOrEqual(t, time.Since(begin), 300*time.Millisecond)
	})
	t.Run("one of two is missing", func(t *testing.T) {
		s := socketPath(t, "s")
		start(t, listen(t, s), Hello{Slot: 1}, echo)
		p := group(t, nil, socketPath(t, "missing"), s)
		for range 5 {
			r := record(t)
			p.Do(get("/x"), r, false)
			r.want("/x")
		}
	})
	t.Run("it begins to listen in time", func(t *testing.T) {
		s := socketPath(t, "s")
		l := listen(t, s)
		l.Close()
		p := group(t, nil, s)
		r := record(t)
		p.Do(get("/x"), r, false)
		eventually(t, func() bool { return p.Stats().Slots[0].LastError != "" })
		require.NoError(t, os.Remove(s))
		// In between the socket is missing, which is hopeless: the new one is made elsewhere first.
		start(t, listen(t, s), Hello{}, echo)
		body, f := r.result()
		if f != nil {
			assert.Contains(t, f.Message, "no such file")
		} else {
			assert.Equal(t, "/x", body)
		}
	})
	t.Run("the process is not ready yet", func(t *testing.T) {
		s := socketPath(t, "s")
		l := listen(t, s)
		p := group(t, nil, s)
		r := record(t)
		p.Do(get("/x"), r, false)
		eventually(t, func() bool { p.mu.Lock(); defer p.mu.Unlock(); return p.slots[0].half })
		start(t, l, Hello{}, echo)
		r.want("/x")
	})
	for state, why := range map[State]string{Unknown: "is not ready", Absent: "does not start"} {
		t.Run("it is never ready: "+why, func(t *testing.T) {
			s := socketPath(t, "s")
			listen(t, s)
			p := group(t, func(c *Config) { c.ConnectTimeout = 200 * time.Millisecond; c.SocketTimeout = time.Minute }, s)
			p.SetState(s, state)
			r := record(t)
			p.Do(get("/x"), r, false)
			r.wantFailure(Unreachable, 503, why)
		})
	}
	for state, why := range map[State]string{Serving: "hangs", Starting: "is starting"} {
		t.Run("it is there, and "+why, func(t *testing.T) {
			s := socketPath(t, "s")
			listen(t, s)
			p := group(t, func(c *Config) { c.ConnectTimeout = 100 * time.Millisecond; c.SocketTimeout = 400 * time.Millisecond }, s)
			p.SetState(s, state)
			r := record(t)
			p.Do(get("/x"), r, false)
			r.wantFailure(Timeout, 504, "socket-timeout")
			p.SetState(s, Absent)
		})
	}
	t.Run("it hangs, then there is another one", func(t *testing.T) {
		s := socketPath(t, "s")
		listen(t, s)
		p := group(t, func(c *Config) { c.ConnectTimeout = 300 * time.Millisecond }, s)
		p.SetState(s, Serving)
		r := record(t)
		p.Do(get("/x"), r, false)
		time.Sleep(500 * time.Millisecond)
		begin := time.Now()
		p.SetState(s, Absent)
		r.wantFailure(Unreachable, 503, "connect-timeout")
		assert.GreaterOrEqual(t, time.Since(begin), 300*time.Millisecond, "its time begins anew")
	})
	t.Run("it was replaced by one that is never ready", func(t *testing.T) {
		s := socketPath(t, "s")
		d := start(t, listen(t, s), Hello{}, echo)
		p := group(t, func(c *Config) { c.ConnectTimeout = 200 * time.Millisecond }, s)
		p.SetState(s, Serving)
		r := record(t)
		p.Do(get("/x"), r, false)
		r.want("/x")
		d.kill()
		eventually(t, func() bool { return !p.Stats().Slots[0].Connected })
		p.SetState(s, Absent)
		r = record(t)
		p.Do(get("/x"), r, false)
		r.wantFailure(Unreachable, 503, "connect-timeout")
	})
	t.Run("no processes", func(t *testing.T) {
		p := group(t, nil)
		r := record(t)
		p.Do(get("/x"), r, false)
		r.wantFailure(Unreachable, 503, "shut down")
	})
}

func TestPeer(t *testing.T) {
	s := socketPath(t, "s")
	start(t, listen(t, s), Hello{}, echo)
	for name, c := range map[string]struct {
		uid, pid int
		ok       bool
	}{"right": {os.Geteuid(), os.Getpid(), true}, "other user": {os.Geteuid() + 1, -1, false}, "other process": {-1, os.Getpid() + 1, !checksProcess}} {
		t.Run(name, func(t *testing.T) {
			p := group(t, func(cfg *Config) { cfg.PeerUID, cfg.PeerPID = c.uid, c.pid }, s)
			r := record(t)
			p.Do(get("/x"), r, false)
			if c.ok {
				r.want("/x")
			} else {
				r.wantFailure(Unreachable, 503, "was not made by the server")
			}
		})
	}
}

func TestTrack(t *testing.T) {
	s := socketPath(t, "s")
	d := start(t, listen(t, s), Hello{}, echo)
	var open, closed atomic.Int32
	p := group(t, func(c *Config) {
		c.Track = func(fd int, is bool) {
			assert.Greater(t, fd, 2)
			if is {
				open.Add(1)
			} else {
				closed.Add(1)
			}
		}
	}, s)
	r := record(t)
	p.Do(get("/x"), r, false)
	r.want("/x")
	assert.EqualValues(t, 1, open.Load())
	assert.Zero(t, closed.Load())
	d.mu.Lock()
	d.conns[0].nc.Close()
	d.mu.Unlock()
	eventually(t, func() bool { return closed.Load() == 1 })
}

func TestTooLarge(t *testing.T) {
	s := socketPath(t, "s")
	start(t, listen(t, s), Hello{}, func(q *call) { q.answer(fmt.Sprint(len(q.r.Extra))) })
	p := group(t, nil, s)
	q := get("/")
	q.Extra = make([]byte, MaxRequest)
	r := record(t)
	p.Do(q, r, false)
	r.wantFailure(TooLarge, 500, "16777")
	q.Extra = q.Extra[:MaxRequest-q.size()+len(q.Extra)]
	r = record(t)
	p.Do(q, r, false)
	r.want(fmt.Sprint(len(q.Extra)))
}

func TestClose(t *testing.T) {
	s := socketPath(t, "s")
	d := start(t, listen(t, s), Hello{}, nil)
	p := group(t, nil, s)
	r := record(t)
	p.Do(get("/x"), r, false)
	q := d.take()
	closed := make(chan error)
	go func() { closed <- p.Close(context.Background()) }()
	eventually(t, func() bool { p.mu.Lock(); defer p.mu.Unlock(); return p.closing })
	late := record(t)
	p.Do(get("/late"), late, false)
	late.wantFailure(Unreachable, 503, "shut down")
	select {
	case <-closed:
		require.Fail(t, "closed with a request in flight")
	case <-time.After(50 * time.Millisecond):
	}
	q.answer("done")
	r.want("done")
	require.NoError(t, <-closed)
	require.NoError(t, p.Close(context.Background()))
	after := record(t)
	p.Do(get("/after"), after, false)
	after.wantFailure(Unreachable, 503, "shut down")

	// With a deadline the rest fails.
	p = group(t, nil, s)
	r = record(t)
	p.Do(get("/x"), r, false)
	d.take()
	queued := record(t)
	other := group(t, nil, socketPath(t, "never"))
	_ = other
	p.Do(get("/y"), queued, false)
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	assert.ErrorIs(t, p.Close(ctx), context.DeadlineExceeded)
	r.wantFailure(Lost, 502, "the server stops")
}

// A connection that was lost while idle is made again.
func TestReconnect(t *testing.T) {
	s := socketPath(t, "s")
	l := listen(t, s)
	d := start(t, l, Hello{PID: 1}, echo)
	p := group(t, nil, s)
	for i := range 3 {
		r := record(t)
		p.Do(get("/x"), r, false)
		r.want("/x")
		d.kill()
		d = start(t, l, Hello{PID: uint32(i + 2)}, echo)
		eventually(t, func() bool { return p.Stats().Slots[0].PID == i+2 })
	}
}

func TestGeneration(t *testing.T) {
	s := socketPath(t, "s")
	start(t, listen(t, s), Hello{Generation: 2}, echo)
	r := record(t)
	group(t, func(c *Config) { c.Generation = 3; c.ConnectTimeout = 300 * time.Millisecond }, s).Do(get("/x"), r, false)
	r.wantFailure(Unreachable, 503, "configuration 2, not 3")
	r = record(t)
	group(t, func(c *Config) { c.Generation = 3; c.AnyGeneration = true }, s).Do(get("/x"), r, false)
	r.want("/x")
}

func TestLogNamesTheGroup(t *testing.T) {
	var mu sync.Mutex
	var lines []string
	p := group(t, func(c *Config) {
		c.Log = func(_ int, m string) { mu.Lock(); lines = append(lines, m); mu.Unlock() }
	}, socketPath(t, "s"))
	r := record(t)
	p.Do(get("/x"), r, false)
	r.result()
	eventually(t, func() bool { mu.Lock(); defer mu.Unlock(); return len(lines) > 0 })
	mu.Lock()
	defer mu.Unlock()
	assert.True(t, strings.HasPrefix(lines[0], "process group 'g': "), lines)
}
