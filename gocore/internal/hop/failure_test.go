// Tests of Pool: requests that are given back, processes that end or are
// replaced, time-outs, and Cancel.
package hop

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
)

// retire makes a process drain: it accepts no connections, and says so.
func (d *daemon) retire() {
	d.stopAccepting()
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, c := range d.conns {
		c.send(AppendGoaway(nil))
	}
}

// resume lets a successor accept from the same listener, after the old one stopped.
func successor(t *testing.T, d *daemon, hello Hello, app func(*call)) *daemon {
	t.Helper()
	eventually(t, func() bool { return d.accepting.Load() == 0 })
	require.NoError(t, d.l.(interface{ SetDeadline(time.Time) error }).SetDeadline(time.Time{}))
	return start(t, d.l, hello, app)
}

func TestGoaway(t *testing.T) {
	s := socketPath(t, "s")
	d := start(t, listen(t, s), Hello{PID: 1, Threads: 2}, nil)
	p := group(t, nil, s)
	running, crossing, later := record(t), record(t), record(t)
	p.Do(get("/running"), running, false)
	q := d.take()
	d.retire()
	eventually(t, func() bool { return !p.Stats().Slots[0].Connected })
	p.Do(get("/later"), later, false)
	assert.Equal(t, 1, p.Stats().Queued)
	n := successor(t, d, Hello{PID: 2, Threads: 2}, echo)
	later.want("/later")
	assert.EqualValues(t, 1, n.served.Load())
	q.answer("old process")
	running.want("old process")
	// The front closes the old connection when nothing is open on it.
	eventually(t, func() bool { p.mu.Lock(); defer p.mu.Unlock(); return len(p.conns) == 1 })
	p.Do(get("/x"), crossing, false)
	crossing.want("/x")
	assert.Equal(t, 2, p.Stats().Slots[0].PID)
}

// A request that crossed with Goaway is refused and goes to the successor, body and all.
func TestRefusedIsSentAgain(t *testing.T) {
	s := socketPath(t, "s")
	d := start(t, listen(t, s), Hello{PID: 1, Threads: 9}, nil)
	p := group(t, nil, s)
	big := bytes.Repeat([]byte("0123456789"), 30000)
	var rs []*recorder
	for i := range 5 {
		q := get(fmt.Sprint("/", i))
		q.Body, q.BodyLen = big, int64(len(big))
		rs = append(rs, record(t))
		p.Do(q, rs[i], false)
	}
	for i := range 5 {
		q := d.take()
		if i == 0 {
			d.retire()
		}
		q.refuse(Restarting)
	}
	var mu sync.Mutex
	var order []string
	successor(t, d, Hello{PID: 2}, func(q *call) {
		assert.Equal(t, big, q.r.Body)
		mu.Lock()
		order = append(order, path(&q.r))
		mu.Unlock()
		echo(q)
	})
	for i, r := range rs {
		r.want(fmt.Sprint("/", i))
	}
	assert.ElementsMatch(t, []string{"/0", "/1", "/2", "/3", "/4"}, order)
}

// A process that accepted a connection just before it began to drain.
func TestGoawayWithoutHello(t *testing.T) {
	s := socketPath(t, "s")
	l := listen(t, s)
	p := group(t, nil, s)
	r := record(t)
	p.Do(get("/x"), r, false)
	nc, err := l.Accept()
	require.NoError(t, err)
	nc.Write(AppendGoaway(nil))
	start(t, l, Hello{}, echo)
	r.want("/x")
	nc.Close()
}

func TestRefusedGoesElsewhere(t *testing.T) {
	a, b := socketPath(t, "a"), socketPath(t, "b")
	da := start(t, listen(t, a), Hello{Slot: 0}, func(q *call) { q.c.d.stopAccepting(); q.refuse(Restarting) })
	db := start(t, listen(t, b), Hello{Slot: 1}, func(q *call) { q.answer("b") })
	p := group(t, nil, a, b)
	p.mu.Lock()
	p.first = 0
	p.mu.Unlock()
	for range 4 {
		r := record(t)
		p.Do(get("/"), r, false)
		r.want("b")
	}
	assert.EqualValues(t, 4, db.served.Load())
	assert.LessOrEqual(t, da.served.Load(), int32(1))
}

func TestRefusedTooOften(t *testing.T) {
	s := socketPath(t, "s")
	d := start(t, listen(t, s), Hello{}, func(q *call) { q.refuse(Restarting) }) // and accepts again, which it should not
	p := group(t, nil, s)
	r := record(t)
	p.Do(get("/"), r, false)
	r.wantFailure(Unreachable, 503, "gave the request back 4 times")
	assert.EqualValues(t, 4, d.served.Load())
}

func TestDeathInFlight(t *testing.T) {
	s := socketPath(t, "s")
	l := listen(t, s)
	d := start(t, l, Hello{PID: 77, Threads: 5}, nil)
	p := group(t, nil, s)
	before, during, waits, runs := record(t), record(t), record(t), record(t)
	p.Do(get("/before"), before, false)
	d.take()
	p.Do(get("/during"), during, false)
	q := d.take()
	q.c.send(headFrame(q.stream, 100, false))
	q.c.send(AppendData(nil, q.stream, []byte("beginning"), false))
	p.Do(get("/runs"), runs, false)
	q = d.take()
	q.c.send(AppendQueued(nil, q.stream, true))
	q.c.send(AppendQueued(nil, q.stream, false))
	p.Do(get("/waits"), waits, false)
	q = d.take()
	q.c.send(AppendQueued(nil, q.stream, true))
	eventually(t, func() bool {
		p.mu.Lock()
		defer p.mu.Unlock()
		return p.conns[0].waiting == 1
	})
	d.kill()
	f := before.wantFailure(Lost, 502, "process 77 of process group 'g' (number 0) ended while it had the request")
	assert.Equal(t, 77, f.PID)
	assert.Equal(t, 0, f.Slot)
	runs.wantFailure(Lost, 502, "")
	during.wantFailure(Broken, 0, "in the middle of the response")
	assert.Equal(t, "beginning", during.body.String())
	start(t, l, Hello{PID: 78}, echo)
	waits.want("/waits")
	assert.EqualValues(t, 3, p.Stats().Slots[0].Errors)
}

// What was never written when the process ended is not lost.
func TestDeathBeforeFlush(t *testing.T) {
	s := socketPath(t, "s")
	l := listen(t, s)
	d := start(t, l, Hello{PID: 1, Threads: 5}, echo)
	p := group(t, nil, s)
	r := record(t)
	p.Do(get("/"), r, false)
	r.want("/")
	p.mu.Lock()
	c := p.conns[0]
	p.mu.Unlock()
	x := record(t)
	p.Do(get("/unsent"), x, true)
	d.kill()
	eventually(t, func() bool { p.mu.Lock(); defer p.mu.Unlock(); return len(p.conns) == 0 || p.conns[0] != c })
	start(t, l, Hello{PID: 2}, echo)
	p.Flush()
	x.want("/unsent")
}

func TestQueuedGoElsewhereOnDeath(t *testing.T) {
	a, b := socketPath(t, "a"), socketPath(t, "b")
	da := start(t, listen(t, a), Hello{Slot: 0}, nil)
	db := start(t, listen(t, b), Hello{Slot: 1}, nil)
	p := group(t, nil, a, b)
	one, two, queued := record(t), record(t), record(t)
	p.Do(get("/1"), one, false)
	p.Do(get("/2"), two, false)
	qa, qb := da.take(), db.take()
	p.Do(get("/3"), queued, false)
	assert.Equal(t, 1, p.Stats().Queued)
	da.kill()
	lost, other := one, two
	if path(&qa.r) == "/2" {
		lost, other = two, one
	}
	lost.wantFailure(Lost, 502, "number 0")
	qb.answer("b")
	other.want("b")
	db.take().answer("3")
	queued.want("3")
}

// Processes are replaced one after the other under load: every request is
// answered, each by one process.
func TestRollingRestartsLoseNothing(t *testing.T) {
	var sockets []string
	var ds []*daemon
	var ran sync.Map
	app := func(q *call) {
		n, _ := ran.LoadOrStore(path(&q.r), new(atomic.Int32))
		n.(*atomic.Int32).Add(1)
		if q.r.RequestNo%5 == 0 {
			time.Sleep(time.Millisecond)
		}
		echo(q)
	}
	for i := range 2 {
		sockets = append(sockets, socketPath(t, "s"))
		ds = append(ds, start(t, listen(t, sockets[i]), Hello{Slot: uint32(i), PID: 1, Threads: 3}, app))
	}
	p := group(t, func(c *Config) { c.SocketTimeout = patience }, sockets...)
	stop := make(chan struct{})
	var wg sync.WaitGroup
	var sent atomic.Int32
	for w := range 8 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				default:
				}
				q, r := get(fmt.Sprintf("/%d/%d", w, i)), record(t)
				q.RequestNo = uint64(i)
				p.Do(q, r, false)
				if body, f := r.result(); f != nil || body != path(q) {
					t.Errorf("%s: %q %v", path(q), body, f)
					return
				}
				sent.Add(1)
			}
		}()
	}
	for round := range 6 {
		i := round % 2
		old := ds[i]
		old.refusing.Store(true)
		old.retire()
		eventually(t, func() bool { return old.accepting.Load() == 0 })
		time.Sleep(5 * time.Millisecond) // the other process alone
		ds[i] = successor(t, old, Hello{Slot: uint32(i), PID: uint32(round + 2), Threads: 3}, app)
		eventually(t, func() bool { return p.Stats().Slots[i].PID == round+2 })
		before := ds[i].served.Load()
		eventually(t, func() bool { return ds[i].served.Load() > before })
	}
	close(stop)
	wg.Wait()
	ran.Range(func(k, v any) bool { return assert.EqualValues(t, 1, v.(*atomic.Int32).Load(), k) })
	t.Log(sent.Load(), "requests")
}

func TestAppFails(t *testing.T) {
	s := socketPath(t, "s")
	start(t, listen(t, s), Hello{PID: 5}, func(q *call) {
		switch path(&q.r) {
		case "/error":
			q.over(AppendError(nil, q.stream, 504))
		case "/reset":
			q.c.send(headFrame(q.stream, -1, false))
			q.over(AppendReset(nil, q.stream))
		case "/early":
			q.over(AppendReset(nil, q.stream))
		case "/short":
			q.over(AppendData(headFrame(q.stream, 10, false), q.stream, []byte("four"), true))
		case "/shorter":
			q.over(headFrame(q.stream, 10, true))
		case "/end":
			q.over(AppendEnd(AppendData(headFrame(q.stream, -1, false), q.stream, []byte("unknown"), false), q.stream))
		}
	})
	p := group(t, nil, s)
	do := func(path string) *recorder { r := record(t); p.Do(get(path), r, false); return r }
	do("/error").wantFailure(App, 504, "504")
	do("/reset").wantFailure(Broken, 0, "in the middle of the response")
	do("/early").wantFailure(Lost, 502, "before the response")
	r := do("/short")
	r.wantFailure(Broken, 0, "6 bytes too early")
	assert.Equal(t, "four", r.body.String())
	do("/shorter").wantFailure(Broken, 0, "10 bytes too early")
	do("/end").want("unknown")
	assert.Len(t, p.conns, 1, "none of it ends the connection")
	assert.EqualValues(t, 5, p.Stats().Slots[0].Errors)
}

func TestSocketTimeout(t *testing.T) {
	s := socketPath(t, "s")
	started := make(chan *call, 10)
	d := start(t, listen(t, s), Hello{Threads: 5}, func(q *call) {
		switch path(&q.r) {
		case "/never":
		case "/stops":
			q.c.send(headFrame(q.stream, 100, false))
		case "/quick":
			echo(q)
			return
		}
		started <- q
	})
	p := group(t, func(c *Config) { c.SocketTimeout = 500 * time.Millisecond }, s)
	never, stops := record(t), record(t)
	p.Do(get("/never"), never, false)
	p.Do(get("/stops"), stops, false)
	never.wantFailure(Timeout, 504, "socket-timeout")
	stops.wantFailure(Timeout, 504, "socket-timeout")
	// The process is asked to give up, and is busy until it does.
	for range 2 {
		q := <-started
		require.Equal(t, 2, p.Stats().Slots[0].InFlight)
		require.True(t, q.wait(func() bool { return q.canceled }))
	}
	quick := record(t)
	p.Do(get("/quick"), quick, false)
	quick.want("/quick")
	_ = d
}

// While the reader gives no credit the process owes nothing.
func TestNoTimeoutWithoutCredit(t *testing.T) {
	s := socketPath(t, "s")
	body := bytes.Repeat([]byte("x"), ResponseWindow+1000)
	start(t, listen(t, s), Hello{}, func(q *call) {
		q.c.send(headFrame(q.stream, len(body), false))
		q.write(body)
		q.over(AppendEnd(nil, q.stream))
	})
	p := group(t, func(c *Config) { c.SocketTimeout = 400 * time.Millisecond }, s)
	r := record(t)
	r.keep = true
	x := p.Do(get("/"), r, false)
	eventually(t, func() bool { r.mu.Lock(); defer r.mu.Unlock(); return r.body.Len() == ResponseWindow })
	time.Sleep(time.Second)
	x.Credit(ResponseWindow)
	r.want(string(body))
}

// A process that does not read what it is sent is given up. What it has not got goes elsewhere.
func TestDaemonDoesNotRead(t *testing.T) {
	a, b := socketPath(t, "a"), socketPath(t, "b")
	l := listen(t, a)
	start(t, listen(t, b), Hello{Slot: 1}, func(q *call) { q.answer("b") })
	p := group(t, func(c *Config) { c.SocketTimeout = time.Second }, a, b)
	first := record(t)
	p.Do(get("/"), first, false)
	first.want("b")
	nc, err := l.Accept()
	require.NoError(t, err)
	defer nc.Close()
	nc.Write(AppendHello(nil, &Hello{Threads: 2}))
	eventually(t, func() bool { return p.Stats().Slots[0].Connected })
	p.mu.Lock()
	got, unread := record(t), record(t)
	for _, r := range []*recorder{got, unread} { // to the process that does not read
		q := get("/")
		if r == unread {
			q.Body, q.BodyLen = make([]byte, 4<<20), 4<<20
		}
		x := &Exchange{pool: p, h: r, whole: true, complete: true, arrival: p.now(), buf: newBuffer(q.size())}
		x.buf.b = q.appendPayload(x.buf.b, ResponseWindow)
		p.open++
		p.send(x, p.slots[0].conn, p.now())
	}
	p.sweepSoon()
	p.mu.Unlock()
	p.Flush()
	unread.want("b")
	f := got.wantFailure(Timeout, 504, "socket-timeout")
	assert.Equal(t, 0, f.Slot)
}

// The deadline of a write that had to wait does not fail later ones.
func TestWriteDeadlineEnds(t *testing.T) {
	s := socketPath(t, "s")
	d := start(t, listen(t, s), Hello{}, func(q *call) { q.answer(fmt.Sprint(len(q.r.Body))) })
	p := group(t, func(c *Config) { c.SocketTimeout = time.Second }, s)
	q := get("/")
	q.Body, q.BodyLen = make([]byte, 4<<20), 4<<20
	r := record(t)
	p.Do(q, r, false)
	r.want(fmt.Sprint(4 << 20))
	time.Sleep(1500 * time.Millisecond)
	r = record(t)
	p.Do(get("/"), r, false)
	r.want("0")
	d.mu.Lock()
	defer d.mu.Unlock()
	assert.Len(t, d.conns, 1, "the connection is still the first")
}

func TestCancel(t *testing.T) {
	s := socketPath(t, "s")
	d := start(t, listen(t, s), Hello{Threads: 1}, nil)
	p := group(t, func(c *Config) { c.QueueLimit = 1 }, s)
	none := func(r *recorder) {
		t.Helper()
		r.mu.Lock()
		defer r.mu.Unlock()
		assert.Zero(t, r.ends)
	}
	// in flight
	r := record(t)
	x := p.Do(get("/1"), r, false)
	q := d.take()
	assert.True(t, x.Cancel())
	assert.False(t, x.Cancel())
	require.True(t, q.wait(func() bool { return q.canceled }))
	assert.Equal(t, 1, p.Stats().Slots[0].InFlight, "until the process says so")
	assert.ErrorIs(t, x.Body([]byte("x"), true), ErrEnded)
	x.Credit(5)
	// its frames are dropped, and the number is free afterwards
	q.c.send(headFrame(q.stream, -1, false))
	q.over(AppendData(nil, q.stream, []byte("late"), true))
	eventually(t, func() bool { return p.Stats().Slots[0].InFlight == 0 })
	// queued
	r1, r2, r3 := record(t), record(t), record(t)
	p.Do(get("/a"), r1, false)
	p.Do(get("/b"), r2, false)
	x3 := p.Do(get("/c"), r3, false)
	assert.Equal(t, 1, p.Stats().Queued)
	assert.True(t, x3.Cancel())
	assert.Zero(t, p.Stats().Queued)
	echo(d.take())
	echo(d.take())
	r1.want("/a")
	r2.want("/b")
	none(r)
	none(r3)
	// from a callback
	r = record(t)
	canceled := make(chan bool, 1)
	r.on = func(x *Exchange, what string) { canceled <- x.Cancel() }
	p.Do(get("/d"), r, false)
	q = d.take()
	q.c.send(headFrame(q.stream, -1, false))
	assert.True(t, <-canceled)
	q.over(AppendEnd(nil, q.stream))
	// after the end
	r = record(t)
	x = p.Do(get("/e"), r, false)
	echo(d.take())
	r.want("/e")
	assert.False(t, x.Cancel())
}

// Cancel against everything else: one end each, or none and Cancel was true.
func TestCancelRaces(t *testing.T) {
	s := socketPath(t, "s")
	start(t, listen(t, s), Hello{Threads: 8}, func(q *call) {
		if len(path(&q.r))%3 == 0 {
			q.c.send(headFrame(q.stream, -1, false))
			if q.write(bytes.Repeat([]byte("x"), 400000)) {
				q.over(AppendEnd(nil, q.stream))
			} else {
				q.over(AppendReset(nil, q.stream))
			}
			return
		}
		echo(q)
	})
	p := group(t, nil, s)
	var wg sync.WaitGroup
	var canceled atomic.Int32
	for i := range 200 {
		r := record(t)
		x := p.Do(get(fmt.Sprint("/", rand.IntN(1000))), r, i%2 == 0)
		wg.Add(1)
		go func() {
			defer wg.Done()
			time.Sleep(time.Duration(rand.IntN(2000)) * time.Microsecond)
			p.Flush()
			if x.Cancel() {
				canceled.Add(1)
				r.mu.Lock()
				defer r.mu.Unlock()
				assert.Zero(t, r.ends)
				return
			}
			r.result()
		}()
	}
	wg.Wait()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	assert.NoError(t, p.Close(ctx))
	t.Log(canceled.Load(), "of 200 cancelled")
}
