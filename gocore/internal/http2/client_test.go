// A client of another make against a Conn behind a socket.
package http2

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	xhttp2 "golang.org/x/net/http2"
)

// serve answers on nc until it ends: each stream has a goroutine that reads the
// body and answers with its size, padded to the length that the path names.
func serve(nc net.Conn, c *Conn) {
	var send sync.Mutex
	flush := func() {
		send.Lock()
		defer send.Unlock()
		for c.Pending() > 0 {
			b := c.Take(nil)
			n, _ := nc.Write(b)
			c.Sent(n)
		}
	}
	type user struct{ wake chan struct{} }
	tell := func() {
		for _, e := range c.Events(nil) {
			if e.What&Opened != 0 {
				u := &user{make(chan struct{}, 1)}
				e.Stream.User = u
				head := string(e.Stream.Head())
				go func(s *Stream) {
					defer flush()
					defer s.Release()
					wait := func() { flush(); <-u.wake }
					size, buf := 0, make([]byte, 5000)
					chunked := strings.Contains(head, "transfer-encoding: chunked")
					for {
						n, err := s.Read(buf)
						if size += n; errors.Is(err, ErrAgain) {
							wait()
						} else if err != nil {
							break
						}
					}
					var length int
					_, _ = fmt.Sscanf(head, "POST /%d", &length)
					text := []byte(fmt.Sprintf("%d %v", size, chunked))
					text = append(text, bytes.Repeat([]byte("."), max(0, length-len(text)))...)
					if chunked {
						text = []byte(fmt.Sprintf("%x\r\n%s\r\n0\r\nX-Trailer: yes\r\n\r\n", len(text), text))
						text = append([]byte("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Trailer\r\n\r\n"), text...)
					} else {
						text = append(fmt.Appendf(nil, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n", len(text)), text...)
					}
					for len(text) > 0 {
						n, err := s.Write(text)
						if text = text[n:]; err != nil {
							return
						}
						if len(text) > 0 {
							wait()
						}
					}
				}(e.Stream)
			}
			if u, ok := e.Stream.User.(*user); ok {
				select {
				case u.wake <- struct{}{}:
				default:
				}
			}
		}
	}
	for {
		n, err := nc.Read(c.Space())
		if err != nil {
			c.Close()
			tell()
			nc.Close()
			return
		}
		err = c.Received(n)
		tell()
		flush()
		tell()
		if err != nil {
			nc.Close()
			return
		}
	}
}

func TestClient(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	go func() {
		for {
			nc, err := l.Accept()
			if err != nil {
				return
			}
			go serve(nc, New(Config{}))
		}
	}()
	tr := &xhttp2.Transport{AllowHTTP: true, DialTLSContext: func(_ context.Context, network, addr string, _ *tls.Config) (net.Conn, error) {
		return net.Dial(network, addr)
	}}
	defer tr.CloseIdleConnections()
	client := http.Client{Transport: tr}
	var wg sync.WaitGroup
	for _, tt := range []struct {
		body, length int
		chunked      bool
	}{{0, 0, false}, {1, 10, false}, {1, 10, true}, {100_000, 100_000, false}, {300_000, 1 << 20, true}, {5 << 20, 3, false}, {3, 5 << 20, false}} {
		for range 4 {
			wg.Go(func() {
				var r io.Reader = bytes.NewReader(make([]byte, tt.body))
				if tt.chunked {
					r = struct{ io.Reader }{r} // its length is unknown
				}
				res, err := client.Post(fmt.Sprintf("http://%s/%d", l.Addr(), tt.length), "text/plain", r)
				if !assert.NoError(t, err) {
					return
				}
				defer res.Body.Close()
				b, err := io.ReadAll(res.Body)
				assert.NoError(t, err)
				got := strings.TrimRight(string(b), ".")
				if tt.chunked {
					assert.Equal(t, "yes", res.Trailer.Get("X-Trailer"))
					assert.Contains(t, got, " true")
				} else {
					assert.Equal(t, fmt.Sprint(tt.body, " false"), got)
				}
				assert.GreaterOrEqual(t, len(b), tt.length)
				assert.Equal(t, 2, res.ProtoMajor)
			})
		}
	}
	wg.Wait()
}
