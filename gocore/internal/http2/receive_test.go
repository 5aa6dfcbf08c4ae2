// Frames against the rules of RFC 9113: what is answered, and with which code.
package http2

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	xhttp2 "golang.org/x/net/http2"
)

const ok200 = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

func TestGreeting(t *testing.T) {
	p := raw(t, Config{})
	assert.Equal(t, []string{"SETTINGS", "0 WINDOW 2031617"}, p.frames())
	for i := range len(Preface) { // a byte at a time
		p.up.WriteByte(Preface[i])
		require.NoError(t, p.flush())
	}
	assert.Empty(t, p.frames())
	require.NoError(t, p.fr.WriteSettings(xhttp2.Setting{ID: xhttp2.SettingInitialWindowSize, Val: 100}))
	require.NoError(t, p.fr.WriteSettingsAck())
	require.NoError(t, p.flush())
	assert.Equal(t, []string{"SETTINGS ACK"}, p.frames())
	assert.EqualValues(t, 100, p.c.initial)

	for _, first := range []string{"GET / HTTP/1.1\r\n", "PRI * HTTP/2.0\r\n\r\nSN"} {
		p = raw(t, Config{})
		p.frames()
		p.up.WriteString(first)
		require.Error(t, p.flush())
		assert.Equal(t, []string{"GOAWAY 0 PROTOCOL_ERROR"}, p.frames())
	}
	p = raw(t, Config{})
	p.frames()
	p.up.WriteString(Preface)
	require.NoError(t, p.fr.WritePing(false, [8]byte{}))
	require.Error(t, p.flush(), "SETTINGS comes first")
}

// TestBytewise: how a stream of frames is cut does not matter.
func TestBytewise(t *testing.T) {
	p := dial(t, Config{})
	p.headers(1, false, post("/a")...)
	p.data(1, false, "hello ")
	p.data(1, true, "world")
	text := append([]byte(nil), p.up.Bytes()...)
	p.up.Reset()
	for i := range text {
		p.up.WriteByte(text[i])
		require.NoError(t, p.flush())
	}
	var s *Stream
	var what Flags
	for _, e := range p.news() {
		s, what = e.Stream, what|e.What
	}
	assert.Equal(t, Opened|Readable, what)
	got, err := body(s)
	assert.Equal(t, "b\r\nhello world\r\n0\r\n\r\n", got)
	assert.Equal(t, "EOF", err.Error())
}

// TestRules: what breaks a rule ends the stream or the connection with the code that the RFC names.
func TestRules(t *testing.T) {
	open := func(p *peer) { p.headers(1, false, post("/")...) }
	whole := func(p *peer) { p.headers(1, true, get("/")...) }
	served := func(p *peer) {
		whole(p)
		s, _ := p.opened()
		respond(p.t, s, ok200)
		s.Release()
		p.frames()
	}
	frame := func(p *peer, kind, flags byte, id uint32, payload string) {
		require.NoError(p.t, p.fr.WriteRawFrame(xhttp2.FrameType(kind), xhttp2.Flags(flags), id, []byte(payload)))
	}
	tests := []struct {
		name string
		do   func(p *peer)
		want string // "" nothing
	}{
		{"too large", func(p *peer) { frame(p, frameData, 0, 1, strings.Repeat("x", maxFrame+1)) }, "GOAWAY 0 FRAME_SIZE_ERROR"},
		{"unknown type", func(p *peer) { frame(p, 77, 0xff, 5, "abc") }, ""},
		{"push promise", func(p *peer) { frame(p, framePush, 4, 1, "1234") }, "GOAWAY 0 PROTOCOL_ERROR"},

		{"data without stream", func(p *peer) { frame(p, frameData, 0, 0, "x") }, "GOAWAY 0 PROTOCOL_ERROR"},
		{"data on idle", func(p *peer) { frame(p, frameData, 0, 1, "x") }, "GOAWAY 0 PROTOCOL_ERROR"},
		{"data, even stream", func(p *peer) { open(p); frame(p, frameData, 0, 2, "x") }, "GOAWAY 1 PROTOCOL_ERROR"},
		{"data after the end", func(p *peer) { whole(p); p.data(1, true, "x") }, "1 RST STREAM_CLOSED"},
		{"data on closed", func(p *peer) { served(p); p.data(1, true, "x") }, "1 RST STREAM_CLOSED"},
		{"data, bad padding", func(p *peer) { open(p); frame(p, frameData, flagPadded, 1, "\x05abcd") }, "GOAWAY 1 PROTOCOL_ERROR"},
		{"data, padding", func(p *peer) { open(p); frame(p, frameData, flagPadded, 1, "\x02abcd") }, ""},
		{"data over the window", func(p *peer) {
			open(p)
			for range 4 {
				p.data(1, false, strings.Repeat("x", maxFrame))
			}
		}, "1 RST FLOW_CONTROL_ERROR"},

		{"headers, even stream", func(p *peer) { p.headers(2, true, get("/")...) }, "GOAWAY 0 PROTOCOL_ERROR"},
		{"headers, no stream", func(p *peer) { frame(p, frameHeaders, 5, 0, "\x82") }, "GOAWAY 0 PROTOCOL_ERROR"},
		{"headers again", func(p *peer) { open(p); p.headers(1, false, "x", "y") }, "1 RST PROTOCOL_ERROR"},
		{"headers after the end", func(p *peer) { whole(p); p.headers(1, true, "x", "y") }, "1 RST STREAM_CLOSED"},
		{"headers on closed", func(p *peer) { served(p); p.headers(1, true, get("/")...) }, "GOAWAY 1 STREAM_CLOSED"},
		{"lower number", func(p *peer) { p.headers(5, true, get("/")...); p.headers(3, true, get("/")...) }, "GOAWAY 5 PROTOCOL_ERROR"},
		{"headers, bad padding", func(p *peer) { frame(p, frameHeaders, 4|flagPadded, 1, "\x09\x82") }, "GOAWAY 0 PROTOCOL_ERROR"},
		{"headers, short priority", func(p *peer) { frame(p, frameHeaders, 4|flagPriority, 1, "\x82") }, "GOAWAY 0 FRAME_SIZE_ERROR"},
		{"depends on itself", func(p *peer) { frame(p, frameHeaders, 4|flagPriority, 1, "\x00\x00\x00\x01\x00\x82") }, "GOAWAY 0 PROTOCOL_ERROR"},
		{"bad compression", func(p *peer) { frame(p, frameHeaders, 5, 1, "\xff\xff\xff") }, "GOAWAY 0 COMPRESSION_ERROR"},
		{"unknown index", func(p *peer) { frame(p, frameHeaders, 5, 1, "\xc0") }, "GOAWAY 0 COMPRESSION_ERROR"},
		{"interrupted block", func(p *peer) { frame(p, frameHeaders, 0, 1, "\x82"); frame(p, framePing, 0, 0, "12345678") }, "GOAWAY 0 PROTOCOL_ERROR"},
		{"block of another stream", func(p *peer) {
			frame(p, frameHeaders, 0, 1, "\x82")
			frame(p, frameContinuation, 4, 3, "\x82")
		}, "GOAWAY 0 PROTOCOL_ERROR"},
		{"continuation alone", func(p *peer) { frame(p, frameContinuation, 4, 1, "\x82") }, "GOAWAY 0 PROTOCOL_ERROR"},

		{"priority", func(p *peer) { frame(p, framePriority, 0, 1, "\x00\x00\x00\x03\x00") }, ""},
		{"priority, no stream", func(p *peer) { frame(p, framePriority, 0, 0, "\x00\x00\x00\x03\x00") }, "GOAWAY 0 PROTOCOL_ERROR"},
		{"priority, length", func(p *peer) { open(p); frame(p, framePriority, 0, 1, "\x00") }, "1 RST FRAME_SIZE_ERROR"},
		{"priority on itself", func(p *peer) { open(p); frame(p, framePriority, 0, 1, "\x00\x00\x00\x01\x00") }, "1 RST PROTOCOL_ERROR"},

		{"rst on idle", func(p *peer) { frame(p, frameRST, 0, 1, "\x00\x00\x00\x08") }, "GOAWAY 0 PROTOCOL_ERROR"},
		{"rst, length", func(p *peer) { open(p); frame(p, frameRST, 0, 1, "\x00") }, "GOAWAY 1 FRAME_SIZE_ERROR"},
		{"rst on closed", func(p *peer) { served(p); frame(p, frameRST, 0, 1, "\x00\x00\x00\x08") }, ""},

		{"settings, stream", func(p *peer) { frame(p, frameSettings, 0, 1, "") }, "GOAWAY 0 PROTOCOL_ERROR"},
		{"settings, length", func(p *peer) { frame(p, frameSettings, 0, 0, "\x00") }, "GOAWAY 0 FRAME_SIZE_ERROR"},
		{"settings, ack with payload", func(p *peer) { frame(p, frameSettings, 1, 0, "\x00\x02\x00\x00\x00\x01") }, "GOAWAY 0 FRAME_SIZE_ERROR"},
		{"settings, push", func(p *peer) { frame(p, frameSettings, 0, 0, "\x00\x02\x00\x00\x00\x02") }, "GOAWAY 0 PROTOCOL_ERROR"},
		{"settings, window", func(p *peer) { frame(p, frameSettings, 0, 0, "\x00\x04\x80\x00\x00\x00") }, "GOAWAY 0 FLOW_CONTROL_ERROR"},
		{"settings, frame size", func(p *peer) { frame(p, frameSettings, 0, 0, "\x00\x05\x00\x00\x3f\xff") }, "GOAWAY 0 PROTOCOL_ERROR"},
		{"settings, unknown", func(p *peer) { frame(p, frameSettings, 0, 0, "\x00\x99\x00\x00\x3f\xff") }, "SETTINGS ACK"},

		{"ping", func(p *peer) { frame(p, framePing, 0, 0, "12345678") }, `PING "12345678" true`},
		{"ping, answer", func(p *peer) { frame(p, framePing, 1, 0, "12345678") }, ""},
		{"ping, stream", func(p *peer) { frame(p, framePing, 0, 1, "12345678") }, "GOAWAY 0 PROTOCOL_ERROR"},
		{"ping, length", func(p *peer) { frame(p, framePing, 0, 0, "1234") }, "GOAWAY 0 FRAME_SIZE_ERROR"},
		{"goaway, stream", func(p *peer) { frame(p, frameGoaway, 0, 1, "12345678") }, "GOAWAY 0 PROTOCOL_ERROR"},
		{"goaway", func(p *peer) { frame(p, frameGoaway, 0, 0, "\x00\x00\x00\x00\x00\x00\x00\x00") }, ""},

		{"window of nothing", func(p *peer) { frame(p, frameWindow, 0, 0, "\x00\x00\x00\x00") }, "GOAWAY 0 PROTOCOL_ERROR"},
		{"window of nothing, stream", func(p *peer) { open(p); frame(p, frameWindow, 0, 1, "\x00\x00\x00\x00") }, "1 RST PROTOCOL_ERROR"},
		{"window on idle", func(p *peer) { frame(p, frameWindow, 0, 1, "\x00\x00\x00\x01") }, "GOAWAY 0 PROTOCOL_ERROR"},
		{"window, length", func(p *peer) { frame(p, frameWindow, 0, 0, "\x00") }, "GOAWAY 0 FRAME_SIZE_ERROR"},
		{"window too large", func(p *peer) { frame(p, frameWindow, 0, 0, "\x7f\xff\xff\xff") }, "GOAWAY 0 FLOW_CONTROL_ERROR"},
		{"window too large, stream", func(p *peer) { open(p); frame(p, frameWindow, 0, 1, "\x7f\xff\xff\xff") }, "1 RST FLOW_CONTROL_ERROR"},
		{"window on closed", func(p *peer) { served(p); frame(p, frameWindow, 0, 1, "\x00\x00\x00\x01") }, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := dial(t, Config{})
			tt.do(p)
			err := p.flush()
			assert.Equal(t, strings.HasPrefix(tt.want, "GOAWAY"), err != nil, "%v", err)
			got := p.frames()
			if tt.want == "" {
				assert.Empty(t, got)
			} else {
				assert.Equal(t, []string{tt.want}, got)
			}
		})
	}
}

// TestHeads: what becomes of fields.
func TestHeads(t *testing.T) {
	const line = "GET / HTTP/2.0\r\nhost: example.org\r\n"
	tests := []struct {
		name   string
		fields []string
		want   string // "": malformed
	}{
		{"plain", get("/"), line + "\r\n"},
		{"query", get("/a%20b?c=d"), "GET /a%20b?c=d HTTP/2.0\r\nhost: example.org\r\n\r\n"},
		{"fields", get("/", "accept", "*/*", "x-empty", ""), line + "accept: */*\r\nx-empty: \r\n\r\n"},
		{"cookies", get("/", "cookie", "a=1", "x", "y", "cookie", "b=2"), line + "x: y\r\ncookie: a=1; b=2\r\n\r\n"},
		{"host only", []string{":method", "GET", ":scheme", "https", ":path", "/", "host", "h"}, "GET / HTTP/2.0\r\nhost: h\r\n\r\n"},
		{"host and authority", get("/", "host", "EXAMPLE.org"), line + "\r\n"},
		{"another host", get("/", "host", "example.com"), ""},
		{"two hosts", []string{":method", "GET", ":scheme", "https", ":path", "/", "host", "h", "host", "h"}, ""},
		{"asterisk", []string{":method", "OPTIONS", ":scheme", "http", ":path", "*", ":authority", "h"}, "OPTIONS * HTTP/2.0\r\nhost: h\r\n\r\n"},
		{"asterisk, GET", []string{":method", "GET", ":scheme", "http", ":path", "*", ":authority", "h"}, ""},
		{"CONNECT", []string{":method", "CONNECT", ":authority", "h:80"}, "CONNECT h:80 HTTP/2.0\r\nhost: h:80\r\n\r\n"},
		{"CONNECT with path", []string{":method", "CONNECT", ":authority", "h:80", ":path", "/"}, ""},
		{"extended CONNECT", []string{":method", "CONNECT", ":protocol", "websocket", ":scheme", "http", ":path", "/", ":authority", "h"}, ""},
		{"length", post("/", "content-length", "0"), "POST / HTTP/2.0\r\nhost: example.org\r\ncontent-length: 0\r\n\r\n"},
		{"length and no body", post("/", "content-length", "5"), ""},
		{"length twice, the same", post("/", "content-length", "0", "content-length", "0"), "POST / HTTP/2.0\r\nhost: example.org\r\ncontent-length: 0\r\n\r\n"},
		{"lengths", post("/", "content-length", "0", "content-length", "1"), ""},
		{"signed length", post("/", "content-length", "+0"), ""},
		{"no length", post("/", "content-length", ""), ""},

		{"no method", []string{":scheme", "http", ":path", "/", ":authority", "h"}, ""},
		{"no scheme", []string{":method", "GET", ":path", "/", ":authority", "h"}, ""},
		{"no path", []string{":method", "GET", ":scheme", "http", ":authority", "h"}, ""},
		{"empty path", []string{":method", "GET", ":scheme", "http", ":path", "", ":authority", "h"}, ""},
		{"path without slash", []string{":method", "GET", ":scheme", "http", ":path", "a", ":authority", "h"}, ""},
		{"absolute path", []string{":method", "GET", ":scheme", "http", ":path", "http://h/", ":authority", "h"}, ""},
		{"path with space", get("/ HTTP/1.1"), ""},
		{"path with line end", get("/\r\nx: y"), ""},
		{"method twice", append([]string{":method", "GET"}, get("/")...), ""},
		{"method with space", []string{":method", "G ET", ":scheme", "http", ":path", "/", ":authority", "h"}, ""},
		{"unknown pseudo", get("/", ":x", "y"), ""},
		{"response pseudo", get("/", ":status", "200"), ""},
		{"pseudo after field", []string{":method", "GET", ":scheme", "http", "a", "b", ":path", "/"}, ""},
		{"upper case", get("/", "Accept", "x"), ""},
		{"empty name", get("/", "", "x"), ""},
		{"space in name", get("/", "a b", "x"), ""},
		{"colon in name", get("/", "a:b", "x"), ""},
		{"line end in value", get("/", "a", "x\r\ny: z"), ""},
		{"NUL in value", get("/", "a", "x\x00"), ""},
		{"space before value", get("/", "a", " x"), ""},
		{"space after value", get("/", "a", "x\t"), ""},
		{"authority with line end", []string{":method", "GET", ":scheme", "http", ":path", "/", ":authority", "h\r\na: b"}, ""},
		{"connection", get("/", "connection", "close"), ""},
		{"keep-alive", get("/", "keep-alive", "1"), ""},
		{"proxy-connection", get("/", "proxy-connection", "x"), ""},
		{"transfer-encoding", get("/", "transfer-encoding", "chunked"), ""},
		{"upgrade", get("/", "upgrade", "h2c"), ""},
		{"te", get("/", "te", "gzip"), ""},
		{"te trailers", get("/", "te", "trailers"), line + "te: trailers\r\n\r\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := dial(t, Config{})
			p.headers(1, true, tt.fields...)
			if tt.want == "" {
				require.NoError(t, p.flush())
				assert.Empty(t, p.news())
				assert.Equal(t, []string{"1 RST PROTOCOL_ERROR"}, p.frames())
				p.headers(3, true, get("/next")...)
				_, head := p.opened()
				assert.Contains(t, head, "/next", "the connection goes on")
				return
			}
			s, head := p.opened()
			assert.Equal(t, tt.want, head)
			assert.Empty(t, p.frames())
			_, err := body(s)
			assert.EqualError(t, err, "EOF")
		})
	}
}

func TestBlockInPieces(t *testing.T) {
	p := dial(t, Config{})
	block := p.block(get("/", "x", strings.Repeat("y", 500))...)
	require.NoError(t, p.fr.WriteHeaders(xhttp2.HeadersFrameParam{StreamID: 1, BlockFragment: block[:7], EndStream: true, PadLength: 9,
		Priority: xhttp2.PriorityParam{StreamDep: 77, Weight: 3}}))
	require.NoError(t, p.fr.WriteContinuation(1, false, block[7:100]))
	require.NoError(t, p.fr.WriteContinuation(1, true, block[100:]))
	_, head := p.opened()
	assert.Contains(t, head, "yyy\r\n\r\n")
}

// TestTooLong: more fields than the limits allow get an answer if the block,
// which has to be decoded in any case, is not too long.
func TestTooLong(t *testing.T) {
	long := get("/")
	for range 20 {
		long = append(long, "x", strings.Repeat("y", 3900))
	}
	p := dial(t, Config{})
	p.headers(1, true, long...) // a byte each, of the table
	s, head := p.opened()
	assert.Equal(t, 431, s.Refusal())
	assert.Empty(t, head)
	respond(t, s, "HTTP/1.1 431 X\r\nContent-Length: 0\r\n\r\n")
	s.Release()
	p.headers(3, true, get("/next")...)
	_, head = p.opened()
	assert.Contains(t, head, "/next")

	p = dial(t, Config{})
	p.enc.SetMaxDynamicTableSize(0)
	block := p.block(long...)
	require.NoError(t, p.fr.WriteHeaders(xhttp2.HeadersFrameParam{StreamID: 1, BlockFragment: block[:maxFrame], EndStream: true}))
	for block = block[maxFrame:]; len(block) > 0; block = block[min(maxFrame, len(block)):] {
		require.NoError(t, p.fr.WriteContinuation(1, len(block) <= maxFrame, block[:min(maxFrame, len(block))]))
	}
	require.Error(t, p.flush())
	assert.Equal(t, []string{"GOAWAY 0 ENHANCE_YOUR_CALM"}, p.frames())
}

func TestTrailers(t *testing.T) {
	tests := []struct {
		name string
		do   func(p *peer)
		want string
	}{
		{"chunks", func(p *peer) {
			p.headers(1, false, post("/")...)
			p.data(1, false, "abc")
			p.headers(1, true, "x-sum", "1")
		}, "3\r\nabc\r\n0\r\n\r\n"},
		{"length", func(p *peer) {
			p.headers(1, false, post("/", "content-length", "3")...)
			p.data(1, false, "abc")
			p.headers(1, true, "x-sum", "1")
		}, "abc"},
		{"short", func(p *peer) {
			p.headers(1, false, post("/", "content-length", "4")...)
			p.data(1, false, "abc")
			p.headers(1, true, "x-sum", "1")
		}, ""},
		{"pseudo", func(p *peer) {
			p.headers(1, false, post("/")...)
			p.headers(1, true, ":path", "/")
		}, ""},
		{"upper case", func(p *peer) {
			p.headers(1, false, post("/")...)
			p.headers(1, true, "X-Sum", "/")
		}, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := dial(t, Config{})
			tt.do(p)
			s, _ := p.opened()
			got, err := body(s)
			if tt.want != "" {
				assert.Equal(t, tt.want, got)
				assert.EqualError(t, err, "EOF")
				return
			}
			assert.Equal(t, ErrGone, err)
			assert.Equal(t, []string{"1 RST PROTOCOL_ERROR"}, p.frames())
		})
	}
}

// TestBodies: a request's body, and its length against what was announced.
func TestBodies(t *testing.T) {
	for _, tt := range []struct {
		name   string
		length string
		frames []string // the last one with END_STREAM
		want   string
		gone   bool
	}{
		{"length", "5", []string{"hel", "lo"}, "hello", false},
		{"length, empty end", "5", []string{"hello", ""}, "hello", false},
		{"too long", "5", []string{"hello", "x"}, "hello", true},
		{"too short", "5", []string{"hel", ""}, "hel", true},
		{"chunked", "", []string{"hel", "lo"}, "5\r\nhello\r\n0\r\n\r\n", false},
		{"chunked, empty", "", []string{""}, "0\r\n\r\n", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := dial(t, Config{})
			fields := post("/")
			if tt.length != "" {
				fields = append(fields, "content-length", tt.length)
			}
			p.headers(1, false, fields...)
			for i, f := range tt.frames {
				p.data(1, i == len(tt.frames)-1, f)
			}
			s, _ := p.opened()
			got, err := body(s)
			if tt.gone {
				assert.Equal(t, ErrGone, err)
				assert.Equal(t, []string{"1 RST PROTOCOL_ERROR"}, p.frames())
				return
			}
			assert.Equal(t, tt.want, got)
			assert.EqualError(t, err, "EOF")
		})
	}
}

func TestBodyByByte(t *testing.T) {
	p := dial(t, Config{})
	p.headers(1, false, post("/")...)
	p.data(1, false, "hello")
	s, head := p.opened()
	assert.Contains(t, head, "transfer-encoding: chunked\r\n\r\n")
	var got []byte
	one := make([]byte, 1)
	for {
		n, err := s.Read(one)
		got = append(got, one[:n]...)
		if err == ErrAgain {
			p.data(1, true, "w")
			require.NoError(t, p.flush())
			continue
		}
		if err != nil {
			break
		}
	}
	assert.Equal(t, "5\r\nhello\r\n1\r\nw\r\n0\r\n\r\n", string(got))
}
