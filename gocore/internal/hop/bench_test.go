// Benchmarks: small requests in batches, long bodies in both directions, the codec alone.
package hop

import (
	"context"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
)

// instant is a daemon without goroutines: it answers each batch of requests with one write.
func instant(b testing.TB, l net.Listener) {
	nc, err := l.Accept()
	if err != nil {
		return
	}
	defer nc.Close()
	nc.Write(AppendHello(nil, &Hello{Threads: 100}))
	rd := NewReader(nc, FromFront)
	head := Head{Status: 200, Length: 12, Text: []byte("200 OK\r\nContent-Type: text/plain\r\nContent-Length: 12\r\n")}
	body := []byte("Hello World!")
	var out []byte
	var r Request
	long := make([]byte, ResponseWindow)
	left, credit, stream := 0, 0, uint32(0)
	for {
		f, ok, err := rd.Next()
		if err != nil {
			b.Error(err)
			return
		}
		if !ok {
			if len(out) > 0 {
				nc.Write(out)
				out = out[:0]
			}
			if rd.Fill() != nil {
				return
			}
			continue
		}
		if f.Type == TypeCredit {
			credit += 64 << 10
			for left > 0 && credit >= 64<<10 {
				out = AppendData(out, stream, long[:64<<10], left == 64<<10)
				left -= 64 << 10
				credit -= 64 << 10
			}
		}
		if f.Type == TypeBody && f.End {
			out = AppendData(AppendHead(out, f.Stream, &head, false), f.Stream, body, true)
		}
		if f.Type == TypeRequest {
			if err := r.Decode(f.Payload); err != nil {
				b.Error(err)
			}
			if !f.End {
				out = AppendCredit(out, f.Stream, 1<<20)
				continue
			}
			if r.Flags == 2 { // a mebibyte, within the credit
				out = AppendHead(out, f.Stream, &Head{Status: 200, Length: 1 << 20, Text: head.Text}, false)
				out = AppendData(out, f.Stream, long, false)
				stream, left, credit = f.Stream, 1<<20-ResponseWindow, 0
				continue
			}
			out = AppendData(AppendHead(out, f.Stream, &head, false), f.Stream, body, true)
		}
	}
}

// counter ends with the last of n responses.
type counter struct {
	left   atomic.Int64
	done   chan struct{}
	upload bool
}

func (c *counter) Head(*Exchange, int, int64, []byte) {}
func (c *counter) Data(x *Exchange, p []byte, end bool) {
	if end {
		c.End(x)
	} else {
		x.Credit(len(p))
	}
}
func (c *counter) End(x *Exchange) {
	if !c.upload { // Body may not have returned
		x.Release()
	}
	if c.left.Add(-1) == 0 {
		c.done <- struct{}{}
	}
}
func (c *counter) Fail(_ *Exchange, f Failure) { panic(f) }

// BenchmarkPool sends batches of small requests through one connection and
// waits for the responses: one operation is one request, the daemon's part included.
func BenchmarkPool(b *testing.B) {
	head := []byte("GET /some/path?query=1 HTTP/1.1\r\nHost: www.example.org\r\n")
	for i := range 11 {
		head = fmt.Appendf(head, "X-Header-Number-%d: the value of a header of usual length in browsers\r\n", i)
	}
	head = append(head, "\r\n"...)
	for _, v := range []struct {
		name        string
		batch, plan int
		body        int // negative: streamed
	}{{"batch=1", 1, 1, 0}, {"batch=16", 16, 1, 0}, {"batch=64", 64, 1, 0}, {"post=64KiB", 4, 1, 64 << 10}, {"response=1MiB", 1, 2, 0}, {"upload=1MiB", 1, 1, -1 << 20}} {
		batch := v.batch
		b.Run(v.name, func(b *testing.B) {
			l, err := net.Listen("unix", b.TempDir()+"/s")
			require.NoError(b, err)
			defer l.Close()
			var wg sync.WaitGroup
			wg.Add(1)
			go func() { defer wg.Done(); instant(b, l) }()
			p := NewPool(Config{Sockets: []string{l.Addr().String()}, PeerUID: -1, PeerPID: -1})
			key := make([]byte, 600) // of a usual plan
			c := &counter{done: make(chan struct{}, 1), upload: v.body < 0}
			r := &Request{Plan: p.Plan(key), Flags: uint32(v.plan), Head: head, StartUs: 1, Body: make([]byte, max(v.body, 0)), BodyLen: int64(v.body)}
			upload := make([]byte, max(-v.body, 0))
			if len(upload) > 0 {
				r.BodyLen = -1
			}
			round := func() {
				c.left.Store(int64(batch))
				for range batch {
					x := p.Do(r, c, true)
					if len(upload) > 0 {
						p.Flush()
						if err := x.Body(upload, true); err != nil {
							b.Error(err)
						}
					}
				}
				p.Flush()
				<-c.done
			}
			round()
			b.ReportAllocs()
			b.ResetTimer()
			for i := 0; i < b.N; i += batch {
				round()
			}
			b.StopTimer()
			p.Close(context.Background())
			wg.Wait()
		})
	}
}

// BenchmarkCodec is the encoding and decoding of one small request and its response.
func BenchmarkCodec(b *testing.B) {
	r := sampleRequest()
	head := Head{Status: 200, Length: 5, Text: []byte("200 OK\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n")}
	front, daemon := Decoder{From: FromDaemon}, Decoder{From: FromFront}
	var buf []byte
	var got Request
	b.ReportAllocs()
	for b.Loop() {
		buf = AppendRequest(buf[:0], 1, r)
		daemon.Feed(buf)
		f, _, _ := daemon.Next()
		if err := got.Decode(f.Payload); err != nil {
			b.Fatal(err)
		}
		buf = AppendData(AppendHead(buf[:0], 1, &head, false), 1, []byte("hello"), true)
		front.Feed(buf)
		f, _, _ = front.Next()
		if _, err := DecodeHead(f.Payload); err != nil {
			b.Fatal(err)
		}
		front.Next()
	}
}
