// Tests of what bounds a process and its requests: memory of the queue, the
// window of a response, frames per second; and of plans, which are sent once.
package hop

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// The description of a plan reaches each process once, before its first request, also a successor.
func TestPlans(t *testing.T) {
	s := socketPath(t, "s")
	l := listen(t, s)
	app := func(q *call) { q.answer(q.plan) }
	d := start(t, l, Hello{Threads: 3}, app)
	p := group(t, nil, s)
	a, b := p.Plan([]byte("plan a")), p.Plan([]byte("plan b"))
	assert.NotEqual(t, a, b)
	assert.Equal(t, a, p.Plan([]byte("plan a")))
	ask := func(plan uint32, key, want string) {
		t.Helper()
		r, q := record(t), get("/")
		q.Plan, q.Key = plan, []byte(key)
		p.Do(q, r, false)
		r.want(want)
	}
	ask(b, "", "plan b")
	c := p.Plan([]byte("plan c")) // made while the connection is at work
	ask(c, "", "plan c")
	ask(a, "", "plan a")
	ask(b, "", "plan b") // the daemon of the tests panics when it hears of one twice
	ask(0, "its own", "its own")
	d.kill()
	eventually(t, func() bool { return !p.Stats().Slots[0].Connected })
	start(t, l, Hello{Threads: 3, PID: 5}, app)
	ask(c, "", "plan c")
	assert.Zero(t, p.Plan(nil))
	assert.Zero(t, p.Plan(make([]byte, MaxPayload+1)))
	for i := len(p.plans); i < MaxPlans; i++ {
		require.NotZero(t, p.Plan(fmt.Append(nil, i)))
	}
	assert.Zero(t, p.Plan([]byte("one too many")))
	assert.Equal(t, a, p.Plan([]byte("plan a")))
}

// Config.Window: so much of a response leaves the process although nobody takes it, and no more.
func TestWindow(t *testing.T) {
	for _, window := range []int{64 << 10, 1 << 20} {
		t.Run(fmt.Sprint(window), func(t *testing.T) {
			s := socketPath(t, "s")
			big := pattern(3 << 20)
			sent := make(chan int, 1)
			start(t, listen(t, s), Hello{}, func(q *call) {
				q.c.send(headFrame(q.stream, len(big), false))
				q.mu.Lock()
				first := int(q.window)
				q.mu.Unlock()
				q.write(big[:first])
				sent <- first
				q.write(big[first:])
				q.over(AppendEnd(nil, q.stream))
			})
			p := group(t, func(c *Config) { c.Window = window }, s)
			r := record(t)
			r.keep = true
			x := p.Do(get("/"), r, false)
			assert.Equal(t, window, <-sent)
			eventually(t, func() bool { r.mu.Lock(); defer r.mu.Unlock(); return r.body.Len() == window })
			r.mu.Lock()
			r.keep = false
			r.mu.Unlock()
			x.Credit(window)
			r.want(string(big))
		})
	}
}

// A group that hangs takes so much memory and no more; another one does not notice.
func TestQueueMemory(t *testing.T) {
	s := socketPath(t, "s")
	d := start(t, listen(t, s), Hello{Threads: 60000}, nil) // it says so
	p := group(t, func(c *Config) { c.QueueLimit, c.Threads, c.ConnectTimeout = 1, 1, time.Minute }, s)
	first := record(t)
	p.Do(get("/"), first, false)
	d.take().answer("there is a connection")
	first.want("there is a connection")
	big := func() *Request {
		q := get("/")
		q.Body = make([]byte, 1<<20)
		q.BodyLen = int64(len(q.Body))
		return q
	}
	var rs []*recorder
	for range 40 {
		r := record(t)
		rs = append(rs, r)
		p.Do(big(), r, false)
	}
	full := 0
	for _, r := range rs[len(rs)-20:] { // two are with the process, 15 fit the queue
		assert.Contains(t, r.wantFailure(Unreachable, 503, "listen-backlog=1").Message, "is full")
		full++
	}
	assert.Equal(t, 20, full)
	p.mu.Lock()
	assert.LessOrEqual(t, p.queue.bytes, queueBytesMin)
	assert.Equal(t, 2, p.slots[0].conn.busy, "not as many threads as it claims")
	p.mu.Unlock()
	for range 17 {
		d.take().answer("late")
	}
	for _, r := range rs[:17] {
		r.want("late")
	}
	p.mu.Lock()
	assert.Zero(t, p.slots[0].conn.kept)
	p.mu.Unlock()
}

// More than a few large requests do not wait in a process whose threads are busy.
func TestFewLargeRequestsWaitInAProcess(t *testing.T) {
	s := socketPath(t, "s")
	d := start(t, listen(t, s), Hello{Threads: 1}, nil)
	p := group(t, func(c *Config) { c.QueueLimit = 1000 }, s)
	var rs []*recorder
	for range 30 {
		q, r := get("/"), record(t)
		q.Body = make([]byte, 1<<20)
		q.BodyLen = int64(len(q.Body))
		rs = append(rs, r)
		p.Do(q, r, false)
	}
	eventually(t, func() bool { return len(d.calls) > 0 }) // all that it gets were placed at once
	p.mu.Lock()
	assert.Less(t, p.slots[0].conn.busy, 12)
	assert.Greater(t, p.queue.n, 15)
	p.mu.Unlock()
	for range rs {
		d.take().answer("x")
	}
	for _, r := range rs {
		r.want("x")
	}
}

// Requests that waited in the queue of the pool say since when.
func TestWaitedSince(t *testing.T) {
	a, b := socketPath(t, "a"), socketPath(t, "b")
	da, db := start(t, listen(t, a), Hello{Slot: 0}, nil), start(t, listen(t, b), Hello{Slot: 1}, nil)
	p := group(t, nil, a, b)
	var rs []*recorder
	ask := func() {
		r := record(t)
		rs = append(rs, r)
		p.Do(get("/"), r, false)
	}
	ask() // connects
	eventually(t, func() bool { s := p.Stats().Slots; return s[0].Connected && s[1].Connected })
	ask()
	qa, qb := da.take(), db.take()
	before := time.Now().UnixMicro()
	ask()
	after := time.Now().UnixMicro()
	qa.answer("x")
	third := da.take()
	assert.GreaterOrEqual(t, third.r.QueueUs, before)
	assert.LessOrEqual(t, third.r.QueueUs, after)
	third.answer("x")
	qb.answer("x")
	for _, r := range rs {
		r.want("x")
	}
	ask()
	var fourth *call
	select {
	case fourth = <-da.calls:
	case fourth = <-db.calls:
	}
	assert.Zero(t, fourth.r.QueueUs, "it did not wait")
	fourth.answer("x")
	rs[3].want("x")
}

// The last frame says whether there is a record in the daemon's error log.
func TestLogged(t *testing.T) {
	s := socketPath(t, "s")
	start(t, listen(t, s), Hello{Threads: 9}, func(q *call) {
		name, logged := strings.CutSuffix(path(&q.r), "/logged")
		mark := func(b []byte) []byte {
			if logged {
				SetLogged(b)
			}
			return b
		}
		switch name {
		case "/head":
			q.over(mark(headFrame(q.stream, 0, true)))
		case "/data":
			q.over(append(headFrame(q.stream, 1, false), mark(AppendData(nil, q.stream, []byte("x"), true))...))
		case "/end":
			q.over(append(headFrame(q.stream, -1, false), mark(AppendEnd(nil, q.stream))...))
		case "/error":
			q.over(mark(AppendError(nil, q.stream, 500)))
		default:
			q.over(append(headFrame(q.stream, -1, false), mark(AppendReset(nil, q.stream))...))
		}
	})
	p := group(t, nil, s)
	for _, name := range []string{"/head", "/data", "/end", "/error", "/reset"} {
		for suffix, want := range map[string]bool{"": false, "/logged": true} {
			r := record(t)
			x := p.Do(get(name+suffix), r, false)
			r.result()
			assert.Equal(t, want, x.Logged(), name+suffix)
		}
	}
}

func TestPacer(t *testing.T) {
	var p pacer
	now := int64(1)
	assert.Zero(t, p.took(framesAtOnce, now), "a burst")
	assert.Equal(t, 4*time.Microsecond, p.took(1, now).Round(time.Nanosecond))
	now += int64(time.Second)
	assert.Zero(t, p.took(framesAtOnce, now))
	now += int64(time.Second)
	assert.Equal(t, time.Second, p.took(framesAtOnce+framesPerSecond, now), "what is too much is waited for")
	now += 2 * int64(time.Second)
	assert.Zero(t, p.took(framesAtOnce/2, now))
	p.took(-1000000, now) // requests that ended
	assert.Zero(t, p.took(framesAtOnce, now))
	assert.NotZero(t, p.took(1, now), "no more than a burst is saved up")
}

// A process that sends as many small frames as it can is read at a bounded rate, and its requests still end.
func TestFloodOfFrames(t *testing.T) {
	s := socketPath(t, "s")
	const each = 50_000 // bytes, one in each frame
	start(t, listen(t, s), Hello{Threads: 9}, func(q *call) {
		b := headFrame(q.stream, each, false)
		for range each {
			b = AppendData(b, q.stream, []byte("x"), false)
		}
		q.over(AppendEnd(b, q.stream))
	})
	p := group(t, nil, s)
	begin := time.Now()
	var rs []*recorder
	for range 2 {
		r := record(t)
		rs = append(rs, r)
		p.Do(get("/"), r, false)
	}
	for _, r := range rs {
		r.want(strings.Repeat("x", each))
	}
	assert.Greater(t, time.Since(begin), time.Second*(2*each-framesAtOnce-2*framesPerRequest)/framesPerSecond*9/10)
}
