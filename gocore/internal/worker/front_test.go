// Tests of the front's side of the hop with a daemon process that answers in
// every way that the wire format allows, and clients that leave at any time.
package worker

import (
	"bufio"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"modwsgi/gocore/internal/hop"
	"modwsgi/gocore/internal/process"
)

// restless is a daemon process: what becomes of a request is chance, but a body
// that comes in full is the path that was asked for.
type restless struct {
	mu      sync.Mutex
	c       net.Conn
	streams map[uint32]*restlessStream
}

// restlessStream is one request. Its number may come again as soon as it has ended.
type restlessStream struct {
	d                *restless
	id               uint32
	cancelled, ended bool
}

func (s *restlessStream) write(last bool, b []byte) bool {
	s.d.mu.Lock()
	defer s.d.mu.Unlock()
	if s.ended {
		return false
	}
	if s.cancelled {
		last, b = true, hop.AppendReset(nil, s.id)
	}
	s.ended = last
	_, err := s.d.c.Write(b)
	return err == nil
}

func (d *restless) serve(slot uint32) {
	defer d.c.Close()
	d.streams = map[uint32]*restlessStream{}
	_, _ = d.c.Write(hop.AppendHello(nil, &hop.Hello{Slot: slot, Threads: 8}))
	r := hop.NewReader(d.c, hop.FromFront)
	for {
		f, err := r.Frame()
		if err != nil {
			return
		}
		d.mu.Lock()
		switch f.Type {
		case hop.TypeRequest:
			s := &restlessStream{d: d, id: f.Stream}
			d.streams[f.Stream] = s
			var m hop.Request
			if m.Decode(f.Payload) != nil {
				panic("a request that cannot be decoded")
			}
			_, rest, _ := strings.Cut(string(m.Head), " ")
			path, _, _ := strings.Cut(rest, " ")
			go s.answer(path)
		case hop.TypeCancel:
			d.streams[f.Stream].cancelled = true
		}
		d.mu.Unlock()
	}
}

func (s *restlessStream) answer(path string) {
	stream := s.id
	time.Sleep(time.Duration(rand.IntN(3000)) * time.Microsecond)
	head := func(status string, length int, end bool) []byte {
		text := fmt.Sprintf("%s X\r\nContent-Type: text/plain\r\n", status)
		code := 0
		fmt.Sscan(status, &code)
		return hop.AppendHead(nil, stream, &hop.Head{Status: code, Length: int64(length), Text: []byte(text)}, end)
	}
	body := []byte(path)
	switch rand.IntN(10) {
	case 0:
		s.write(true, hop.AppendError(nil, stream, 500))
	case 1: // short, in one piece
		s.write(true, append(head("200", 1000, false), hop.AppendEnd(nil, stream)...))
	case 2:
		s.write(true, append(head("200", -1, false), hop.AppendReset(nil, stream)...))
	case 3:
		s.write(true, head("204", 0, true))
	case 4, 5: // in pieces
		for i, b := 0, head("200", -1, false); i <= len(body); i, b = i+1, nil {
			if i == len(body) {
				s.write(true, hop.AppendEnd(nil, stream))
			} else if !s.write(false, hop.AppendData(b, stream, body[i:i+1], false)) {
				return
			}
			time.Sleep(time.Duration(rand.IntN(300)) * time.Microsecond)
		}
	case 6: // the process ends
		if rand.IntN(20) == 0 {
			s.d.c.Close()
			return
		}
		fallthrough
	default:
		s.write(true, hop.AppendData(head("200", len(body), false), stream, body, true))
	}
}

func TestFrontWithRestlessProcesses(t *testing.T) {
	for name, more := range map[string]string{"forwarded": "", "relayed": "Header set X-Front yes\n"} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			var sockets []string
			for slot := range uint32(2) {
				path := filepath.Join(dir, fmt.Sprint(slot))
				l, err := net.Listen("unix", path)
				require.NoError(t, err)
				defer l.Close()
				sockets = append(sockets, path)
				go func() {
					for {
						c, err := l.Accept()
						if err != nil {
							return
						}
						go (&restless{c: c}).serve(slot)
					}
				}()
			}
			script := filepath.Join(dir, "app.wsgi") // has to be there
			require.NoError(t, os.WriteFile(script, nil, 0o600))
			addr, _ := serveAs(t, "WSGIDaemonProcess g processes=2\nWSGIScriptAlias / "+script+" process-group=g application-group=%{GLOBAL}\n"+more,
				&process.WorkerConfig{Front: true, Hops: map[string][]string{"g": sockets}, SupervisorUID: -1, SupervisorPID: -1})
			var clients sync.WaitGroup
			var whole, others atomic.Int32
			stop := time.Now().Add(2 * time.Second)
			for n := range 8 {
				clients.Go(func() {
					for k := 0; time.Now().Before(stop); k++ {
						restlessClient(t, addr, fmt.Sprintf("/%d-%d-", n, k), &whole, &others)
					}
				})
			}
			clients.Wait()
			t.Logf("%d complete responses, %d others", whole.Load(), others.Load())
			assert.NotZero(t, whole.Load())
			assert.NotZero(t, others.Load())
		})
	}
}

// restlessClient sends some requests on one connection and leaves, maybe in the middle.
func restlessClient(t *testing.T, addr, path string, whole, others *atomic.Int32) {
	c, err := net.Dial("tcp", addr)
	if !assert.NoError(t, err) {
		return
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(20 * time.Second))
	in := bufio.NewReader(c)
	for i := range 1 + rand.IntN(5) {
		name := fmt.Sprint(path, i)
		if rand.IntN(3) > 0 {
			fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: x\r\n\r\n", name)
		} else {
			fmt.Fprintf(c, "POST %s HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n%s", name, strings.Repeat("x", 1000))
		}
		if rand.IntN(5) == 0 {
			time.Sleep(time.Duration(rand.IntN(4000)) * time.Microsecond)
			c.(*net.TCPConn).SetLinger(0)
			return
		}
		resp, err := http.ReadResponse(in, nil)
		if err != nil {
			assert.NotErrorIs(t, err, os.ErrDeadlineExceeded, "no answer to %s", name)
			others.Add(1)
			return
		}
		body, err := io.ReadAll(resp.Body)
		if err != nil || resp.StatusCode != 200 {
			assert.NotErrorIs(t, err, os.ErrDeadlineExceeded, "no end of the answer to %s", name)
			others.Add(1)
		} else {
			assert.Equal(t, name, string(body))
			whole.Add(1)
		}
		if err != nil || resp.Close {
			return
		}
	}
}
