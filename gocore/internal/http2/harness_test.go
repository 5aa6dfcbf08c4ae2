// What the tests share: a client made of x/net's framer and HPACK, against a
// Conn in the same goroutine.
package http2

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	xhttp2 "golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// peer is a client and the connection that it talks to.
type peer struct {
	t      testing.TB
	c      *Conn
	up     bytes.Buffer // what the client has written
	fr     *xhttp2.Framer
	down   bytes.Buffer // what the connection has written
	hbuf   bytes.Buffer
	enc    *hpack.Encoder
	dec    *hpack.Decoder
	events []Event
	err    error
	clock  time.Time
}

// dial makes a peer that has exchanged settings. The clock stands still.
func dial(t testing.TB, cfg Config, settings ...xhttp2.Setting) *peer {
	p := raw(t, cfg)
	p.up.WriteString(Preface)
	require.NoError(t, p.fr.WriteSettings(settings...))
	require.NoError(t, p.flush())
	p.frames()
	return p
}

func raw(t testing.TB, cfg Config) *peer {
	p := &peer{t: t, clock: time.Unix(1_800_000_000, 0)}
	cfg.Now = func() time.Time { return p.clock }
	p.c = New(cfg)
	p.fr = xhttp2.NewFramer(&p.up, &p.down)
	p.fr.AllowIllegalWrites = true
	p.fr.AllowIllegalReads = true
	p.fr.SetMaxReadFrameSize(1 << 20)
	p.enc = hpack.NewEncoder(&p.hbuf)
	p.dec = hpack.NewDecoder(4096, nil)
	return p
}

// flush gives the connection what the client wrote.
func (p *peer) flush() error {
	for p.up.Len() > 0 {
		n := copy(p.c.Space(), p.up.Bytes())
		p.up.Next(n)
		if p.err = p.c.Received(n); p.err != nil {
			p.up.Reset()
			break
		}
		for _, e := range p.c.Events(nil) {
			e.Stream.User = string(e.Stream.Head()) // it is valid until the next Received
			p.events = append(p.events, e)
		}
	}
	p.events = p.c.Events(p.events)
	return p.err
}

// news returns the events so far.
func (p *peer) news() []Event {
	e := p.events
	p.events = nil
	return e
}

// opened flushes and returns the only stream that was opened, and its head.
func (p *peer) opened() (*Stream, string) {
	require.NoError(p.t, p.flush())
	var s *Stream
	for _, e := range p.news() {
		if e.What&Opened != 0 {
			require.Nil(p.t, s)
			s = e.Stream
		}
	}
	require.NotNil(p.t, s)
	return s, s.User.(string)
}

// block encodes fields given as name, value, ...
func (p *peer) block(fields ...string) []byte {
	p.hbuf.Reset()
	for i := 0; i < len(fields); i += 2 {
		require.NoError(p.t, p.enc.WriteField(hpack.HeaderField{Name: fields[i], Value: fields[i+1]}))
	}
	return append([]byte(nil), p.hbuf.Bytes()...)
}

func get(path string, more ...string) []string {
	return append([]string{":method", "GET", ":scheme", "http", ":path", path, ":authority", "example.org"}, more...)
}

func post(path string, more ...string) []string {
	return append([]string{":method", "POST", ":scheme", "http", ":path", path, ":authority", "example.org"}, more...)
}

func (p *peer) headers(id uint32, end bool, fields ...string) {
	require.NoError(p.t, p.fr.WriteHeaders(xhttp2.HeadersFrameParam{StreamID: id, BlockFragment: p.block(fields...), EndStream: end, EndHeaders: true}))
}

func (p *peer) data(id uint32, end bool, b string) {
	require.NoError(p.t, p.fr.WriteData(id, end, []byte(b)))
}

// frames takes the output as text, a line per frame.
func (p *peer) frames() (lines []string) {
	b := p.c.Take(nil)
	p.c.Sent(len(b))
	p.down.Write(b)
	for {
		f, err := p.fr.ReadFrame()
		if err == io.EOF {
			return lines
		}
		require.NoError(p.t, err)
		end := ""
		id := f.Header().StreamID
		switch f := f.(type) {
		case *xhttp2.HeadersFrame:
			var fields []string
			block := append([]byte(nil), f.HeaderBlockFragment()...)
			for done := f.HeadersEnded(); !done; {
				more, err := p.fr.ReadFrame()
				require.NoError(p.t, err)
				block = append(block, more.(*xhttp2.ContinuationFrame).HeaderBlockFragment()...)
				done = more.(*xhttp2.ContinuationFrame).HeadersEnded()
			}
			list, err := p.dec.DecodeFull(block)
			require.NoError(p.t, err)
			for _, h := range list {
				fields = append(fields, h.Name+"="+h.Value)
			}
			if f.StreamEnded() {
				end = " END"
			}
			lines = append(lines, fmt.Sprintf("%d HEADERS %s%s", id, strings.Join(fields, " "), end))
		case *xhttp2.DataFrame:
			if f.StreamEnded() {
				end = " END"
			}
			text := string(f.Data())
			if len(text) > 40 {
				text = fmt.Sprintf("[%d]", len(text))
			}
			lines = append(lines, fmt.Sprintf("%d DATA %s%s", id, text, end))
		case *xhttp2.RSTStreamFrame:
			lines = append(lines, fmt.Sprintf("%d RST %s", id, f.ErrCode))
		case *xhttp2.GoAwayFrame:
			lines = append(lines, fmt.Sprintf("GOAWAY %d %s", f.LastStreamID, f.ErrCode))
		case *xhttp2.WindowUpdateFrame:
			lines = append(lines, fmt.Sprintf("%d WINDOW %d", id, f.Increment))
		case *xhttp2.SettingsFrame:
			if f.IsAck() {
				lines = append(lines, "SETTINGS ACK")
				continue
			}
			lines = append(lines, "SETTINGS")
		case *xhttp2.PingFrame:
			lines = append(lines, fmt.Sprintf("PING %q %v", f.Data, f.IsAck()))
		default:
			lines = append(lines, f.Header().String())
		}
	}
}

// body reads what is there of a request's body.
func body(s *Stream) (string, error) {
	var b []byte
	buf := make([]byte, 1000)
	for {
		n, err := s.Read(buf)
		b = append(b, buf[:n]...)
		if err != nil {
			return string(b), err
		}
	}
}

// respond writes all of a response.
func respond(t testing.TB, s *Stream, text string) {
	n, err := s.Write([]byte(text))
	require.NoError(t, err)
	require.Equal(t, len(text), n)
}
