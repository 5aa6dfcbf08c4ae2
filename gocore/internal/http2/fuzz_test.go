// Any bytes from a client: nothing panics, what is kept stays bounded, heads
// parse as one request, and how the bytes are cut makes no difference.
package http2

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	xhttp2 "golang.org/x/net/http2"

	"modwsgi/gocore/internal/http1"
)

func FuzzReceive(f *testing.F) {
	seed := func(do func(p *peer)) {
		p := raw(f, Config{})
		p.up.WriteString(Preface)
		_ = p.fr.WriteSettings(xhttp2.Setting{ID: xhttp2.SettingInitialWindowSize, Val: 7})
		do(p)
		f.Add(append([]byte(nil), p.up.Bytes()...), uint8(3))
	}
	seed(func(p *peer) { p.headers(1, true, get("/a?b", "cookie", "a", "cookie", "b")...) })
	seed(func(p *peer) {
		p.headers(1, false, post("/", "content-length", "5")...)
		p.data(1, false, "he")
		p.headers(3, false, post("/")...)
		p.data(3, false, "abc")
		p.data(1, true, "llo")
		p.headers(3, true, "x", "y")
		_ = p.fr.WriteWindowUpdate(1, 5)
		_ = p.fr.WriteRSTStream(3, xhttp2.ErrCodeCancel)
	})
	seed(func(p *peer) {
		b := p.block(get("/", "x", strings.Repeat("y", 300))...)
		_ = p.fr.WriteHeaders(xhttp2.HeadersFrameParam{StreamID: 5, BlockFragment: b[:9], PadLength: 3})
		_ = p.fr.WriteContinuation(5, true, b[9:])
		_ = p.fr.WritePing(false, [8]byte{1})
		_ = p.fr.WritePriority(5, xhttp2.PriorityParam{StreamDep: 3})
		_ = p.fr.WriteGoAway(0, 0, nil)
	})
	f.Fuzz(func(t *testing.T, text []byte, step uint8) {
		whole, _ := feed(t, text, len(text)+1)
		pieces, _ := feed(t, text, int(step)+1)
		require.Equal(t, whole, pieces)
	})
}

// feed gives a connection bytes in pieces; the answer to every request is the
// same. It returns the heads and bodies.
func feed(t *testing.T, text []byte, step int) (seen []string, out []byte) {
	clock := time.Unix(1, 0)
	c := New(Config{MaxStreams: 5, Now: func() time.Time { return clock }})
	var open []*Stream
	for len(text) > 0 {
		n := copy(c.Space(), text[:min(step, len(text))])
		text = text[n:]
		err := c.Received(n)
		for _, e := range c.Events(nil) {
			if e.What&Opened == 0 {
				continue
			}
			open = append(open, e.Stream)
			if head := e.Stream.Head(); head != nil {
				var h http1.Head
				k, st := http1.Parse(head, &h, &http1.Limits{Line: 1 << 20, FieldSize: 1 << 20, HTTP2: true})
				if st == http1.OK {
					require.Equal(t, len(head), k)
				}
				seen = append(seen, string(head))
			}
		}
		require.LessOrEqual(t, len(open), 1000)
		require.LessOrEqual(t, c.open, 5)
		require.LessOrEqual(t, c.used, 10)
		if err != nil {
			break
		}
	}
	for _, s := range open {
		b, err := body(s)
		if err != ErrGone {
			seen = append(seen, b)
		}
		_, _ = s.Write([]byte("HTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\nhello, world"))
		s.Release()
	}
	require.Zero(t, c.used)
	return seen, c.Take(nil)
}

// FuzzResponse writes any response: nothing panics, and the client can decode
// what leaves, whatever it was.
func FuzzResponse(f *testing.F) {
	f.Add([]byte(ok200), uint8(3))
	f.Add([]byte("HTTP/1.1 103 X\r\nLink: a\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3;x\r\nabc\r\n0\r\nX-Sum: 1\r\n\r\n"), uint8(1))
	f.Add([]byte("HTTP/1.0 200 OK\r\nSet-Cookie: a\r\nA: b\r\nA: b\r\nA: b\r\n\r\nraw"), uint8(9))
	f.Fuzz(func(t *testing.T, text []byte, step uint8) {
		p := dial(t, Config{})
		for id := uint32(1); id < 7; id += 2 {
			p.headers(id, true, get("/")...)
			s, _ := p.opened()
			for rest := text; len(rest) > 0; {
				n, err := s.Write(rest[:min(len(rest), int(step)+1)])
				if n == 0 || err != nil {
					break
				}
				rest = rest[n:]
			}
			s.End(false)
			s.Release()
			all := p.frames() // fails if they cannot be decoded
			require.NotEmpty(t, all)
			last := all[len(all)-1]
			require.True(t, strings.HasSuffix(last, " END") || strings.Contains(last, "RST") || bytes.Contains(text, []byte("x")), last)
		}
	})
}
