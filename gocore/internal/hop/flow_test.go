// Tests of bodies: credit in both directions, Exchange.Body, Response.
package hop

import (
	"bytes"
	"context"
	"errors"
	"io"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func pattern(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i * 7 >> 3)
	}
	return b
}

// A reader that takes its time gets no more than the window ahead, and everything in the end.
func TestSlowReader(t *testing.T) {
	s := socketPath(t, "s")
	body := pattern(3 << 20)
	var sent atomic.Int64
	start(t, listen(t, s), Hello{Threads: 2}, func(q *call) {
		if path(&q.r) == "/quick" {
			echo(q)
			return
		}
		q.c.send(headFrame(q.stream, len(body), false))
		for p := body; len(p) > 0; p = p[64<<10:] {
			if !q.write(p[:64<<10]) {
				return
			}
			sent.Add(64 << 10)
		}
		q.over(AppendEnd(nil, q.stream))
	})
	p := group(t, nil, s)
	r := record(t)
	r.keep = true
	x := p.Do(get("/"), r, false)
	got := 0
	for got < len(body) {
		eventually(t, func() bool {
			r.mu.Lock()
			defer r.mu.Unlock()
			return r.body.Len() == min(got+ResponseWindow, len(body))
		})
		assert.LessOrEqual(t, sent.Load(), int64(got+ResponseWindow))
		// Others on the connection are not held up.
		quick := record(t)
		p.Do(get("/quick"), quick, false)
		quick.want("/quick")
		for i := 0; i < ResponseWindow; i += 1 << 10 { // in small steps
			x.Credit(1 << 10)
		}
		got += ResponseWindow
	}
	<-r.done
	assert.True(t, bytes.Equal(body, r.body.Bytes()))
}

// bodies is an application that reads the body with little credit at a time.
func bodies(window uint32) func(q *call) {
	return func(q *call) {
		got := bytes.Clone(q.r.Body)
		for end := !q.more; !end; {
			q.c.send(AppendCredit(nil, q.stream, window))
			if !q.wait(func() bool { return q.body.Len() >= int(window) || q.bodyEnd }) {
				q.over(AppendReset(nil, q.stream))
				return
			}
			q.mu.Lock()
			got = append(got, q.body.Bytes()...)
			q.body.Reset()
			end = q.bodyEnd
			q.mu.Unlock()
		}
		q.answer(string(got))
	}
}

func TestStreamedBody(t *testing.T) {
	s := socketPath(t, "s")
	start(t, listen(t, s), Hello{Threads: 4}, bodies(10000))
	p := group(t, nil, s)
	whole := string(pattern(200_000))
	for name, c := range map[string]struct {
		here, step int
		length     int64
	}{
		"nothing here":   {0, 70_000, 200_000},
		"a part is here": {50_000, 1000, 200_000},
		"unknown length": {10, 100_000, -1},
		"at once":        {1, 200_000, -1},
	} {
		t.Run(name, func(t *testing.T) {
			q := get("/")
			q.Body, q.BodyLen = []byte(whole[:c.here]), c.length
			r := record(t)
			x := p.Do(q, r, false)
			for rest := []byte(whole[c.here:]); len(rest) > 0; {
				n := min(c.step, len(rest))
				require.NoError(t, x.Body(rest[:n], n == len(rest)))
				rest = rest[n:]
			}
			r.want(whole)
			assert.ErrorIs(t, x.Body([]byte("more"), true), ErrEnded)
		})
	}
	t.Run("the end alone", func(t *testing.T) {
		q := get("/")
		q.BodyLen = -1
		r := record(t)
		x := p.Do(q, r, false)
		require.NoError(t, x.Body(nil, false))
		require.NoError(t, x.Body([]byte("abc"), false))
		require.NoError(t, x.Body(nil, true))
		r.want("abc")
	})
	t.Run("complete", func(t *testing.T) {
		q := get("/")
		q.Body, q.BodyLen = []byte(whole), int64(len(whole))
		r := record(t)
		x := p.Do(q, r, false)
		assert.ErrorIs(t, x.Body([]byte("more"), true), ErrEnded)
		r.want(whole)
	})
}

// Nothing of a streamed body is sent before the process has taken the request, so a refusal loses nothing.
func TestStreamedBodyAfterRefusal(t *testing.T) {
	s := socketPath(t, "s")
	d := start(t, listen(t, s), Hello{}, nil)
	p := group(t, nil, s)
	q := get("/")
	q.BodyLen = -1
	r := record(t)
	x := p.Do(q, r, false)
	sent := make(chan error, 1)
	go func() { sent <- x.Body([]byte("precious"), true) }()
	c := d.take()
	d.stopAccepting()
	time.Sleep(20 * time.Millisecond)
	c.mu.Lock()
	assert.Zero(t, c.body.Len())
	c.mu.Unlock()
	c.refuse(Restarting)
	successor(t, d, Hello{PID: 2}, bodies(100))
	require.NoError(t, <-sent)
	r.want("precious")
}

// An application that answers without reading: Body ends, the response is whole.
func TestBodyNotWanted(t *testing.T) {
	s := socketPath(t, "s")
	start(t, listen(t, s), Hello{}, func(q *call) {
		if path(&q.r) == "/some" {
			q.c.send(AppendCredit(nil, q.stream, 5))
			q.wait(func() bool { return q.body.Len() == 5 })
		}
		q.answer("no, thanks")
	})
	p := group(t, nil, s)
	for _, path := range []string{"/none", "/some"} {
		q := get(path)
		q.BodyLen = 1 << 30
		r := record(t)
		x := p.Do(q, r, false)
		var err error
		for err == nil {
			err = x.Body(make([]byte, 1000), false)
		}
		assert.ErrorIs(t, err, ErrEnded)
		r.want("no, thanks")
	}
	// Body also ends with Cancel, and when the process dies.
	q := get("/")
	d := start(t, listen(t, socketPath(t, "s2")), Hello{}, nil)
	p = group(t, nil, d.l.Addr().String())
	q.BodyLen = -1
	for i := range 2 {
		r := record(t)
		x := p.Do(q, r, false)
		sent := make(chan error, 1)
		go func() { sent <- x.Body([]byte("x"), true) }()
		c := d.take()
		if i == 0 {
			assert.True(t, x.Cancel())
			c.over(AppendReset(nil, c.stream))
		} else {
			d.kill()
		}
		assert.ErrorIs(t, <-sent, ErrEnded)
	}
}

// A process that allows much and reads nothing does not make the front hold it all.
func TestBodyMemoryIsBounded(t *testing.T) {
	s := socketPath(t, "s")
	l := listen(t, s)
	p := group(t, nil, s)
	q := get("/")
	q.BodyLen = -1
	r := record(t)
	x := p.Do(q, r, false)
	nc, err := l.Accept()
	require.NoError(t, err)
	defer nc.Close()
	nc.Write(AppendHello(nil, &Hello{Threads: 1}))
	rd := NewReader(nc, FromFront)
	f, err := rd.Frame()
	require.NoError(t, err)
	nc.Write(AppendCredit(nil, f.Stream, MaxWindow))
	var sent atomic.Int64
	ended := make(chan error, 1)
	go func() {
		for range 100 {
			if err := x.Body(make([]byte, 100_000), false); err != nil {
				ended <- err
				return
			}
			sent.Add(100_000)
		}
		ended <- nil
	}()
	eventually(t, func() bool { p.mu.Lock(); defer p.mu.Unlock(); return p.conns[0].stalled })
	assert.Less(t, sent.Load(), int64(pendHigh+1<<20))
	total := 0
	for total < 10_000_000 {
		f, err := rd.Frame()
		require.NoError(t, err)
		total += len(f.Payload)
	}
	require.NoError(t, <-ended)
	nc.Write(headFrame(f.Stream, 0, true))
	r.want("")
}

func TestResponse(t *testing.T) {
	s := socketPath(t, "s")
	body := pattern(1 << 20)
	d := start(t, listen(t, s), Hello{Threads: 9}, func(q *call) {
		switch path(&q.r) {
		case "/fails":
			q.over(AppendError(nil, q.stream, 500))
		case "/breaks":
			q.c.send(AppendData(headFrame(q.stream, -1, false), q.stream, []byte("some"), false))
			q.over(AppendReset(nil, q.stream))
		case "/waits":
			q.wait(func() bool { return false })
			q.over(AppendReset(nil, q.stream))
		case "/stops": // in the middle of the body
			q.c.send(headFrame(q.stream, len(body), false))
			q.write(body[:300_000])
			q.wait(func() bool { return false })
			q.over(AppendReset(nil, q.stream))
		default:
			q.c.send(headFrame(q.stream, len(body), false))
			if q.write(body) {
				q.over(AppendEnd(nil, q.stream))
			} else {
				q.over(AppendReset(nil, q.stream))
			}
		}
	})
	p := group(t, nil, s)
	do := func(path string) *Exchange { return p.Do(get(path), nil, false) }
	ctx := context.Background()

	r, err := do("/").Response(ctx)
	require.NoError(t, err)
	assert.Equal(t, 200, r.Status)
	assert.EqualValues(t, len(body), r.Length)
	assert.Equal(t, "200 OK\r\nContent-Type: text/plain\r\n", string(r.Text))
	got, err := io.ReadAll(r)
	require.NoError(t, err)
	assert.True(t, bytes.Equal(body, got))
	require.NoError(t, r.Close())

	_, err = do("/fails").Response(ctx)
	var f Failure
	require.ErrorAs(t, err, &f)
	assert.Equal(t, App, f.Kind)

	r, err = do("/breaks").Response(ctx)
	require.NoError(t, err)
	got, err = io.ReadAll(r)
	assert.Equal(t, "some", string(got))
	require.ErrorAs(t, err, &f)
	assert.Equal(t, Broken, f.Kind)

	// Not read to its end: the process is told.
	r, err = do("/").Response(ctx)
	require.NoError(t, err)
	_, err = io.ReadFull(r, make([]byte, 300_000))
	require.NoError(t, err)
	require.NoError(t, r.Close())
	_, err = r.Read(make([]byte, 1))
	assert.ErrorIs(t, err, io.ErrClosedPipe)
	eventually(t, func() bool { return p.Stats().Slots[0].InFlight == 0 })

	// The context ends: before the head, and in the middle of the body.
	cause := errors.New("client is gone")
	c1, cancel := context.WithCancelCause(ctx)
	x := do("/waits")
	eventually(t, func() bool { return d.now.Load() == 1 })
	cancel(cause)
	_, err = x.Response(c1)
	assert.ErrorIs(t, err, cause)
	eventually(t, func() bool { return p.Stats().Slots[0].InFlight == 0 })
	c2, cancel2 := context.WithCancelCause(ctx)
	r, err = do("/stops").Response(c2)
	require.NoError(t, err)
	_, err = io.ReadFull(r, make([]byte, 100_000))
	require.NoError(t, err)
	cancel2(cause)
	_, err = io.Copy(io.Discard, r)
	assert.ErrorIs(t, err, cause)
	eventually(t, func() bool { return p.Stats().Slots[0].InFlight == 0 })
}
