// Tests of Pool against processes that break the rules, or send anything.
package hop

import (
	"bytes"
	"context"
	"io"
	"math/rand/v2"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Whatever a process sends, only its own connection suffers, and exactly one callback ends each exchange.
func TestHostileDaemon(t *testing.T) {
	for name, bad := range map[string]func(stream uint32) []byte{
		"unknown type":         func(s uint32) []byte { return []byte{0, 0, 0, 0, 0, 0, 0, byte(s), 99} },
		"a front's type":       func(s uint32) []byte { return AppendCancel(nil, s) },
		"huge length":          func(s uint32) []byte { return []byte{255, 255, 255, 255, 0, 0, 0, byte(s), byte(TypeData)} },
		"second Hello":         func(s uint32) []byte { return AppendHello(nil, &Hello{}) },
		"Data before Head":     func(s uint32) []byte { return AppendData(nil, s, []byte("x"), true) },
		"End before Head":      func(s uint32) []byte { return AppendEnd(nil, s) },
		"stream never opened":  func(s uint32) []byte { return AppendEnd(nil, s+1) },
		"stream 2^32-1":        func(s uint32) []byte { return AppendReset(nil, 1<<32-1) },
		"two Heads":            func(s uint32) []byte { return append(headFrame(s, 5, false), headFrame(s, 5, false)...) },
		"longer than its head": func(s uint32) []byte { return AppendData(headFrame(s, 1, false), s, []byte("xx"), false) },
		"body after no body":   func(s uint32) []byte { return AppendData(headFrame(s, 0, true), s, []byte("x"), true) },
		"beyond the credit": func(s uint32) []byte {
			return AppendData(headFrame(s, -1, false), s, make([]byte, ResponseWindow+1), false)
		},
		"credit overflow":    func(s uint32) []byte { return AppendCredit(AppendCredit(nil, s, MaxWindow), s, MaxWindow) },
		"Credit for nothing": func(s uint32) []byte { return AppendCredit(AppendCredit(nil, s, 1), s, 1) },
		"Queued again": func(s uint32) []byte {
			return AppendQueued(AppendQueued(AppendQueued(nil, s, true), s, false), s, true)
		},
		"second Goaway":         func(uint32) []byte { return AppendGoaway(AppendGoaway(nil)) },
		"no Data":               func(s uint32) []byte { return append(headFrame(s, -1, false), AppendData(nil, s, nil, false)...) },
		"no credit":             func(s uint32) []byte { return AppendCredit(nil, s, 0) },
		"Refused after Head":    func(s uint32) []byte { return AppendRefused(headFrame(s, -1, false), s, Restarting) },
		"Refused after Credit":  func(s uint32) []byte { return AppendRefused(AppendCredit(nil, s, 1), s, Restarting) },
		"Queued after Head":     func(s uint32) []byte { return AppendQueued(headFrame(s, -1, false), s, true) },
		"Error after Head":      func(s uint32) []byte { return AppendError(headFrame(s, -1, false), s, 500) },
		"Error with status 200": func(s uint32) []byte { return AppendError(nil, s, 200) },
		"forged head": func(s uint32) []byte {
			return AppendHead(nil, s, &Head{200, 0, []byte("200 OK\r\nA: b\r\n\r\nHTTP/1.1 200 OK\r\n")}, true)
		},
		"bare line feed": func(s uint32) []byte {
			return AppendHead(nil, s, &Head{200, 0, []byte("200 OK\r\nA: b\nC: d\r\n")}, true)
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := socketPath(t, "s")
			good := socketPath(t, "good")
			start(t, listen(t, s), Hello{Threads: 2}, func(q *call) { q.c.send(bad(q.stream)) })
			start(t, listen(t, good), Hello{Threads: 2}, echo)
			p, other := group(t, nil, s), group(t, nil, good)
			r, ok := record(t), record(t)
			r.keep = true
			p.Do(get("/bad"), r, false)
			other.Do(get("/good"), ok, false)
			_, f := r.result()
			if name == "body after no body" { // the response was complete
				assert.Nil(t, f)
			} else if assert.NotNil(t, f) {
				assert.Contains(t, []FailureKind{Lost, Broken}, f.Kind)
				assert.Contains(t, f.Message, "protocol error")
			}
			ok.want("/good")
			eventually(t, func() bool { p.mu.Lock(); defer p.mu.Unlock(); return p.lost != 0 })
		})
	}
	for name, hello := range map[string][]byte{
		"wrong slot":    AppendHello(nil, &Hello{Slot: 3}),
		"wrong version": append(AppendHello(nil, &Hello{})[:HeaderSize], make([]byte, helloSize)...),
		"no Hello":      AppendCredit(nil, 1, 1),
		"garbage":       []byte("HTTP/1.1 400 Bad Request\r\n\r\n"),
	} {
		t.Run(name, func(t *testing.T) {
			s := socketPath(t, "s")
			l := listen(t, s)
			go func() {
				for {
					nc, err := l.Accept()
					if err != nil {
						return
					}
					nc.Write(hello)
					defer nc.Close()
				}
			}()
			p := group(t, func(c *Config) { c.ConnectTimeout = 500 * time.Millisecond }, s)
			r := record(t)
			p.Do(get("/"), r, false)
			r.wantFailure(Unreachable, 503, "protocol error")
		})
	}
}

// said is a connection whose other end has said in, and nothing else.
type said struct {
	*net.UnixConn
	in *bytes.Reader
}

func (s *said) Read(p []byte) (int, error) { return s.in.Read(p) }

// Any bytes from a daemon: no panic, and one end for each exchange.
func FuzzPool(f *testing.F) {
	f.Add(append(headFrame(1, 5, false), AppendData(nil, 1, []byte("hello"), true)...))
	f.Add(append(AppendRefused(AppendQueued(nil, 1, true), 1, Restarting), AppendEnd(headFrame(2, -1, false), 2)...))
	f.Add(AppendGoaway(AppendReset(AppendError(AppendCredit(nil, 3, 100), 3, 500), 1)))
	f.Add(AppendRefused(AppendQueued(AppendQueued(nil, 2, true), 2, false), 2, QueueTimeout))
	path := f.TempDir() + "/s"
	l, err := net.Listen("unix", path)
	require.NoError(f, err)
	defer l.Close()
	go func() {
		for {
			nc, err := l.Accept()
			if err != nil {
				return
			}
			go func() { _, _ = io.Copy(io.Discard, nc); nc.Close() }()
		}
	}()
	f.Fuzz(func(t *testing.T, in []byte) {
		cfg := Config{Sockets: []string{"/nowhere/s"}, PeerUID: -1, PeerPID: -1}
		p := NewPool(cfg)
		u, err := net.DialUnix("unix", nil, &net.UnixAddr{Name: path, Net: "unix"})
		require.NoError(t, err)
		nc := &said{u, bytes.NewReader(in)}
		raw, err := u.SyscallConn()
		require.NoError(t, err)
		c := &conn{pool: p, nc: nc, raw: raw, rd: NewReader(nc, FromDaemon), stop: func() bool { return true }, threads: 2}
		p.mu.Lock()
		p.slots[0].conn, p.conns = c, []*conn{c}
		p.slots[0].dialing = true // by the test: there is nobody to connect to
		p.mu.Unlock()
		var rs []*recorder
		var xs []*Exchange
		for i := range 3 {
			r := record(t)
			q := get("/")
			if i == 2 {
				q.BodyLen = -1
			}
			rs, xs = append(rs, r), append(xs, p.Do(q, r, i > 0))
		}
		p.Flush()
		p.run(&p.slots[0], c)
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		p.Close(ctx)
		p.mu.Lock()
		defer p.mu.Unlock()
		require.Zero(t, p.open)
		require.Zero(t, p.running)
		require.Zero(t, p.queue.n)
		for i, r := range rs {
			require.Equal(t, 1, r.ends)
			require.Equal(t, exDone, xs[i].state)
		}
	})
}

// Random frames that are well formed, at random times: nothing panics, and each exchange ends once.
func TestDisorderlyDaemon(t *testing.T) {
	s := socketPath(t, "s")
	var seed atomic.Uint64
	start(t, listen(t, s), Hello{Threads: 4}, func(q *call) {
		rnd := rand.New(rand.NewPCG(seed.Add(1), 1))
		for range 4 {
			id := q.stream + rnd.Uint32N(3)/2
			var b []byte
			switch rnd.IntN(10) {
			case 0, 1, 2:
				b = headFrame(id, rnd.IntN(5)-1, rnd.IntN(2) == 0)
			case 3, 4:
				b = AppendData(nil, id, []byte("xyz")[:rnd.IntN(4)], rnd.IntN(2) == 0) // now and then nothing without the end
			case 5:
				b = AppendEnd(nil, id)
			case 6:
				b = AppendCredit(nil, id, 1+rnd.Uint32N(100))
			case 7:
				b = AppendQueued(nil, id, rnd.IntN(2) == 0)
			case 8:
				b = AppendReset(nil, id)
			case 9:
				b = [][]byte{AppendGoaway(nil), AppendRefused(nil, id, Restarting), AppendError(nil, id, 500)}[rnd.IntN(3)]
			}
			q.c.mu.Lock()
			delete(q.c.calls, q.stream)
			q.c.mu.Unlock()
			q.c.send(b)
		}
	})
	p := group(t, func(c *Config) { c.SocketTimeout = 100 * time.Millisecond; c.ConnectTimeout = 2 * time.Second }, s)
	var rs []*recorder
	for i := range 60 {
		r := record(t)
		rs = append(rs, r)
		p.Do(get("/"), r, i%3 == 0)
		if i%7 == 0 {
			r.result()
		}
	}
	p.Flush()
	for _, r := range rs {
		r.result()
	}
}
