// Everything at once: uploads, downloads, cancelled requests, and a process that is
// killed again and again. Each exchange ends, with a response or a failure that fits.
package hop

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestChaos(t *testing.T) {
	s := [2]string{socketPath(t, "a"), socketPath(t, "b")}
	big := pattern(600_000)
	app := func(q *call) {
		switch path(&q.r) {
		case "/upload":
			bodies(50_000)(q)
		case "/download":
			q.c.send(headFrame(q.stream, len(big), false))
			if q.write(big) {
				q.over(AppendEnd(nil, q.stream))
			} else {
				q.over(AppendReset(nil, q.stream))
			}
		case "/slow":
			time.Sleep(2 * time.Millisecond)
			echo(q)
		default:
			echo(q)
		}
	}
	l := listen(t, s[0])
	victim := start(t, l, Hello{Slot: 0, Threads: 4}, app)
	start(t, listen(t, s[1]), Hello{Slot: 1, Threads: 2}, app)
	p := group(t, func(c *Config) { c.SocketTimeout = patience }, s[:]...)
	fits := func(err error) {
		var f Failure
		if !errors.As(err, &f) || f.Kind != Lost && f.Kind != Broken {
			t.Errorf("%v", err)
		}
	}
	upload := func(ctx context.Context) error {
		q := get("/upload")
		q.Body, q.BodyLen = big[:1000], -1
		x := p.Do(q, nil, false)
		go func() {
			for rest := big[1000:]; len(rest) > 0; {
				n := min(len(rest), 70_000)
				if x.Body(rest[:n], n == len(rest)) != nil {
					return
				}
				rest = rest[n:]
			}
		}()
		return read(ctx, x, big)
	}
	stop := make(chan struct{})
	var wg sync.WaitGroup
	var good, bad, canceled atomic.Int32
	for w := range 6 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			rnd := rand.New(rand.NewPCG(uint64(w), 7))
			for {
				select {
				case <-stop:
					return
				default:
				}
				ctx, cancel := context.WithCancel(context.Background())
				if rnd.IntN(4) == 0 {
					time.AfterFunc(time.Duration(rnd.IntN(3000))*time.Microsecond, cancel)
				}
				var err error
				switch rnd.IntN(4) {
				case 0:
					err = upload(ctx)
				case 1:
					err = read(ctx, p.Do(get("/download"), nil, false), big)
				case 2:
					err = read(ctx, p.Do(get("/slow"), nil, false), []byte("/slow"))
				default:
					r := record(t)
					x := p.Do(get("/quick"), r, rnd.IntN(2) == 0)
					if rnd.IntN(3) == 0 && x.Cancel() {
						err = context.Canceled
					} else if p.Flush(); true {
						if _, f := r.result(); f != nil {
							err = *f
						}
					}
				}
				cancel()
				switch {
				case err == nil:
					good.Add(1)
				case errors.Is(err, context.Canceled):
					canceled.Add(1)
				default:
					bad.Add(1)
					fits(err)
				}
			}
		}()
	}
	for range 8 {
		before := victim.served.Load()
		eventually(t, func() bool { return victim.served.Load() > before+5 })
		victim.kill()
		victim = start(t, l, Hello{Slot: 0, Threads: 4}, app)
	}
	close(stop)
	wg.Wait()
	t.Log(good.Load(), "good,", bad.Load(), "failed,", canceled.Load(), "cancelled")
	assert.NotZero(t, good.Load())
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	require.NoError(t, p.Close(ctx))
}

// read reads a response that must be want, or fail.
func read(ctx context.Context, x *Exchange, want []byte) error {
	r, err := x.Response(ctx)
	if err != nil {
		return err
	}
	defer r.Close()
	got, err := io.ReadAll(r)
	if err == nil && !bytes.Equal(got, want) {
		return fmt.Errorf("%d bytes of %d, or wrong ones", len(got), len(want))
	}
	return err
}
