// Clients that cost more than they ask for.
package http2

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	xhttp2 "golang.org/x/net/http2"
)

// flood does something until the connection has enough, at most n times.
func (p *peer) flood(n int, do func(i int)) (times int) {
	for i := range n {
		do(i)
		if p.flush() != nil {
			assert.EqualValues(p.t, EnhanceYourCalm, p.err.(*Error).Code)
			lines := p.frames()
			assert.Contains(p.t, lines[len(lines)-1], "ENHANCE_YOUR_CALM")
			return i
		}
		p.news()
		if i%10 == 0 {
			p.frames()
		}
	}
	return n
}

func TestRapidReset(t *testing.T) {
	p := dial(t, Config{MaxStreams: 10})
	held := 0
	n := p.flood(1000, func(i int) {
		id := uint32(1 + 2*i)
		p.headers(id, true, get("/")...)
		require.NoError(t, p.fr.WriteRSTStream(id, xhttp2.ErrCodeCancel))
		held = max(held, p.c.used)
	})
	assert.Less(t, n, 30)
	assert.LessOrEqual(t, held, 20, "requests that nobody waits for are bounded")

	// who resets one of two of its requests, or one a second, is a client
	p = dial(t, Config{MaxStreams: 10})
	n = p.flood(1000, func(i int) {
		id := uint32(1 + 4*i)
		p.headers(id, true, get("/")...)
		s, _ := p.opened()
		respond(t, s, ok200)
		s.Release()
		p.headers(id+2, true, get("/")...)
		s, _ = p.opened()
		require.NoError(t, p.fr.WriteRSTStream(id+2, xhttp2.ErrCodeCancel))
		require.NoError(t, p.flush())
		s.Release()
	})
	assert.Equal(t, 1000, n)
	p = dial(t, Config{MaxStreams: 10})
	n = p.flood(1000, func(i int) {
		id := uint32(1 + 2*i)
		p.headers(id, true, get("/")...)
		s, _ := p.opened()
		require.NoError(t, p.fr.WriteRSTStream(id, xhttp2.ErrCodeCancel))
		require.NoError(t, p.flush())
		s.Release()
		p.clock = p.clock.Add(time.Second)
	})
	assert.Equal(t, 1000, n)
}

// TestMadeYouReset: errors that make the server reset do the same (CVE-2025-8671).
func TestMadeYouReset(t *testing.T) {
	p := dial(t, Config{})
	n := p.flood(1000, func(i int) {
		id := uint32(1 + 2*i)
		p.headers(id, true, get("/")...)
		require.NoError(t, p.fr.WriteWindowUpdate(id, 1<<31-1))
	})
	assert.Less(t, n, 60)
	p = dial(t, Config{})
	n = p.flood(1000, func(i int) { p.headers(uint32(1+2*i), true, get("/", "Bad", "x")...) })
	assert.Less(t, n, 60)
}

func TestContinuations(t *testing.T) {
	p := dial(t, Config{})
	require.NoError(t, p.fr.WriteHeaders(xhttp2.HeadersFrameParam{StreamID: 1, BlockFragment: []byte{0x82}}))
	n := p.flood(1000, func(int) { require.NoError(t, p.fr.WriteContinuation(1, false, nil)) })
	assert.Less(t, n, 20)
	p = dial(t, Config{})
	require.NoError(t, p.fr.WriteHeaders(xhttp2.HeadersFrameParam{StreamID: 1, BlockFragment: []byte{0x82}}))
	n = p.flood(1000, func(int) { require.NoError(t, p.fr.WriteContinuation(1, false, make([]byte, maxFrame))) })
	assert.Less(t, n, 5)
}

func TestQuestions(t *testing.T) {
	p := dial(t, Config{})
	assert.Less(t, p.flood(10_000, func(int) { require.NoError(t, p.fr.WritePing(false, [8]byte{})) }), 300)
	p = dial(t, Config{})
	assert.Less(t, p.flood(10_000, func(int) { require.NoError(t, p.fr.WriteSettings()) }), 300)
	p = dial(t, Config{})
	assert.Equal(t, 1000, p.flood(1000, func(int) {
		require.NoError(t, p.fr.WritePing(false, [8]byte{}))
		p.clock = p.clock.Add(100 * time.Millisecond)
	}), "ten a second are fine")
}

// TestEmptyFrames: frames that carry nothing, in any number.
func TestEmptyFrames(t *testing.T) {
	for name, do := range map[string]func(p *peer){
		"data":     func(p *peer) { p.data(1, false, "") },
		"padding":  func(p *peer) { require.NoError(t, p.fr.WriteDataPadded(1, false, nil, make([]byte, 255))) },
		"priority": func(p *peer) { require.NoError(t, p.fr.WritePriority(1, xhttp2.PriorityParam{StreamDep: 3})) },
		"unknown":  func(p *peer) { require.NoError(t, p.fr.WriteRawFrame(99, 0, 0, nil)) },
		"window":   func(p *peer) { require.NoError(t, p.fr.WriteWindowUpdate(1, 1)) },
		"reset":    func(p *peer) { require.NoError(t, p.fr.WriteRSTStream(3, xhttp2.ErrCodeCancel)) },
	} {
		t.Run(name, func(t *testing.T) {
			p := dial(t, Config{})
			p.headers(1, false, post("/")...)
			p.opened()
			p.headers(3, true, get("/")...)
			p.opened()
			n := p.flood(2000, func(int) {
				for range 100 {
					do(p)
				}
			})
			assert.Less(t, n, 2000)
			assert.Greater(t, n, 20)
		})
	}
}

// TestDribble: windows of a byte make a response cost a hundred times as much.
func TestDribble(t *testing.T) {
	p := dial(t, Config{}, xhttp2.Setting{ID: xhttp2.SettingInitialWindowSize, Val: 1})
	p.headers(1, true, get("/")...)
	s, _ := p.opened()
	text := []byte(ofLength(100_000))
	n, err := s.Write(text)
	require.NoError(t, err)
	rounds := 0
	for ; rounds < 10_000 && err == nil; rounds++ {
		require.NoError(t, p.fr.WriteWindowUpdate(1, 1))
		if p.flush() != nil {
			break
		}
		var k int
		k, err = s.Write(text[n:])
		n += k
	}
	assert.Less(t, rounds, 3000)
	assert.True(t, p.c.Leaving())
	lines := p.frames()
	assert.Contains(t, lines[len(lines)-1], "ENHANCE_YOUR_CALM")
}

// TestReadsNothing: a client that asks and does not read is not read from.
func TestReadsNothing(t *testing.T) {
	p := dial(t, Config{}, xhttp2.Setting{ID: xhttp2.SettingInitialWindowSize, Val: 1 << 30})
	require.NoError(t, p.fr.WriteWindowUpdate(0, 1<<30))
	for i := range uint32(90) {
		p.headers(1+2*i, true, get("/")...)
		s, _ := p.opened()
		_, err := s.Write([]byte(ofLength(1 << 20)))
		require.NoError(t, err)
	}
	assert.Less(t, p.c.Pending(), 2*outMax)
	assert.False(t, p.c.Full())
	// heads are sent in any case, and they are what Full is for
	for i := range uint32(90) {
		p.headers(1001+2*i, true, get("/")...)
		require.NoError(t, p.flush())
		for _, e := range p.news() {
			_, _ = e.Stream.Write([]byte("HTTP/1.1 200 OK\r\nX: " + strings.Repeat("x", 20_000) + "\r\nContent-Length: 0\r\n\r\n"))
			e.Stream.Release()
		}
	}
	assert.True(t, p.c.Full())
}

// TestBodiesInMemory: what is kept of bodies is bounded by the windows.
func TestBodiesInMemory(t *testing.T) {
	p := dial(t, Config{})
	kept := 0
	for i := range uint32(100) {
		id := 1 + 2*i
		p.headers(id, false, post("/")...)
		s, _ := p.opened()
		for range 3 {
			p.data(id, false, strings.Repeat("x", maxFrame))
		}
		require.NoError(t, p.flush())
		kept += len(s.in)
	}
	assert.LessOrEqual(t, kept, 100*defaultWindow)
	p.data(1, false, strings.Repeat("x", maxFrame))
	require.NoError(t, p.flush())
	lines := p.frames()
	assert.Equal(t, "1 RST FLOW_CONTROL_ERROR", lines[len(lines)-1])
}
