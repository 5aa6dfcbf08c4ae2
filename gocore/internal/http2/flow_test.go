// Windows in both directions, the queue of those that wait, GOAWAY.
package http2

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	xhttp2 "golang.org/x/net/http2"
)

func ofLength(n int) string {
	return fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", n, strings.Repeat("x", n))
}

func writable(events []Event) (ids []uint32) {
	for _, e := range events {
		if e.What&Writable != 0 {
			ids = append(ids, e.Stream.ID)
		}
	}
	return ids
}

// TestStreamWindow: a response goes as far as its stream's window and on with it.
func TestStreamWindow(t *testing.T) {
	p := dial(t, Config{}, xhttp2.Setting{ID: xhttp2.SettingInitialWindowSize, Val: 10})
	p.headers(1, true, get("/")...)
	s, _ := p.opened()
	text := []byte(ofLength(100))
	n, err := s.Write(text)
	require.NoError(t, err)
	assert.Equal(t, len(text)-90, n)
	assert.Equal(t, []string{"1 HEADERS :status=200 content-length=100", "1 DATA xxxxxxxxxx"}, p.frames())

	require.NoError(t, p.fr.WriteWindowUpdate(1, 5))
	require.NoError(t, p.flush())
	assert.Equal(t, []uint32{1}, writable(p.news()))
	k, err := s.Write(text[n:])
	require.NoError(t, err)
	assert.Equal(t, 5, k)
	n += k

	// a smaller initial window takes what is left of it below nothing
	require.NoError(t, p.fr.WriteSettings(xhttp2.Setting{ID: xhttp2.SettingInitialWindowSize, Val: 4}))
	require.NoError(t, p.fr.WriteWindowUpdate(1, 6))
	require.NoError(t, p.flush())
	k, err = s.Write(text[n:])
	require.NoError(t, err)
	assert.Zero(t, k)
	p.news()
	require.NoError(t, p.fr.WriteSettings(xhttp2.Setting{ID: xhttp2.SettingInitialWindowSize, Val: 1000}))
	require.NoError(t, p.flush())
	assert.Equal(t, []uint32{1}, writable(p.news()))
	k, err = s.Write(text[n:])
	require.NoError(t, err)
	assert.Equal(t, len(text)-n, k)
	assert.True(t, s.Ended())
}

// TestConnectionWindow: streams that wait for the connection's window are told
// in order, and each gets its turn.
func TestConnectionWindow(t *testing.T) {
	p := dial(t, Config{}, xhttp2.Setting{ID: xhttp2.SettingInitialWindowSize, Val: 1 << 20})
	var streams []*Stream
	var rest [][]byte
	for id := uint32(1); id < 7; id += 2 {
		p.headers(id, true, get("/")...)
		s, _ := p.opened()
		text := []byte(ofLength(60_000))
		n, err := s.Write(text)
		require.NoError(t, err)
		streams, rest = append(streams, s), append(rest, text[n:])
	}
	p.frames()
	assert.Empty(t, rest[0])
	assert.NotEmpty(t, rest[1])
	assert.Len(t, rest[2], 60_000)
	got := map[uint32]bool{}
	for round := 0; len(rest[1])+len(rest[2]) > 0; round++ {
		require.Less(t, round, 20)
		require.NoError(t, p.fr.WriteWindowUpdate(0, 10_000))
		require.NoError(t, p.flush())
		for _, id := range writable(p.news()) {
			got[id] = true
			i := id / 2
			n, err := streams[i].Write(rest[i])
			require.NoError(t, err)
			rest[i] = rest[i][n:]
		}
		if round < 3 {
			assert.NotEmpty(t, rest[1], "the other one has its turn")
		}
		p.frames()
	}
	assert.Equal(t, map[uint32]bool{3: true, 5: true}, got)
}

// TestOutputRoom: what waits for the socket is bounded, and who waits goes on
// when it has left.
func TestOutputRoom(t *testing.T) {
	p := dial(t, Config{}, xhttp2.Setting{ID: xhttp2.SettingInitialWindowSize, Val: 10 << 20})
	require.NoError(t, p.fr.WriteWindowUpdate(0, 10<<20))
	p.headers(1, true, get("/")...)
	s, _ := p.opened()
	text := []byte(ofLength(1 << 20))
	n, err := s.Write(text)
	require.NoError(t, err)
	assert.Less(t, p.c.Pending(), outMax+10_000)
	for round := 0; n < len(text); round++ {
		require.Less(t, round, 100)
		b := p.c.Take(nil)
		k, err := s.Write(text[n:])
		require.NoError(t, err)
		assert.Zero(t, k, "it is not sent yet")
		p.c.Sent(len(b) / 3)
		assert.Empty(t, p.c.Events(nil))
		p.c.Sent(len(b) - len(b)/3)
		assert.Equal(t, []uint32{1}, writable(p.c.Events(nil)))
		k, err = s.Write(text[n:])
		require.NoError(t, err)
		n += k
	}
	assert.True(t, s.Ended())
}

// TestWaitingIsGone: the window that a stream waited for is the next one's.
func TestWaitingIsGone(t *testing.T) {
	p := dial(t, Config{}, xhttp2.Setting{ID: xhttp2.SettingInitialWindowSize, Val: 1 << 20})
	var streams []*Stream
	for id := uint32(1); id < 9; id += 2 {
		p.headers(id, true, get("/")...)
		s, _ := p.opened()
		_, err := s.Write([]byte(ofLength(100_000)))
		require.NoError(t, err)
		streams = append(streams, s)
	}
	require.NoError(t, p.fr.WriteRSTStream(3, xhttp2.ErrCodeCancel))
	streams[0].Reset(Cancel)
	require.NoError(t, p.flush())
	p.news()
	require.NoError(t, p.fr.WriteWindowUpdate(0, 10))
	require.NoError(t, p.flush())
	assert.Equal(t, []uint32{5}, writable(p.news()))
	streams[2].Reset(Cancel) // told, and does not use it
	streams[2].Release()
	require.NoError(t, p.fr.WriteWindowUpdate(0, 10))
	require.NoError(t, p.flush())
	assert.Equal(t, []uint32{7}, writable(p.news()))
}

// TestTurnsAreNotLost: a stream whose turn it is may be reset, or have no window
// of its own; then it is the next one's.
func TestTurnsAreNotLost(t *testing.T) {
	for name, give := range map[string]func(p *peer, s *Stream){
		"by the client": func(p *peer, s *Stream) { require.NoError(t, p.fr.WriteRSTStream(s.ID, xhttp2.ErrCodeCancel)) },
		"by the user":   func(_ *peer, s *Stream) { s.Release() },
		"its window": func(p *peer, s *Stream) {
			s.window = 1
			_, err := s.Write([]byte("xxx"))
			require.NoError(t, err)
		},
	} {
		t.Run(name, func(t *testing.T) {
			p := dial(t, Config{}, xhttp2.Setting{ID: xhttp2.SettingInitialWindowSize, Val: 1 << 20})
			var streams []*Stream
			for id := uint32(1); id < 9; id += 2 {
				p.headers(id, true, get("/")...)
				s, _ := p.opened()
				_, err := s.Write([]byte(ofLength(100_000)))
				require.NoError(t, err)
				streams = append(streams, s)
			}
			p.news()
			require.NoError(t, p.fr.WriteWindowUpdate(0, 1000))
			require.NoError(t, p.flush())
			assert.Equal(t, []uint32{1}, writable(p.news()))
			for _, s := range streams[:3] {
				give(p, s)
				require.NoError(t, p.flush())
				assert.Equal(t, []uint32{s.ID + 2}, writable(p.news()))
			}
		})
	}
}

// TestBodyWindow: the client may send as much as was read; the connection's
// window is given back at once; a large body gets a larger window.
func TestBodyWindow(t *testing.T) {
	p := dial(t, Config{Window: 1000})
	p.headers(1, false, post("/")...)
	s, _ := p.opened()
	p.data(1, false, strings.Repeat("x", 1000))
	require.NoError(t, p.flush())
	assert.Empty(t, p.frames(), "nothing was read")
	buf := make([]byte, 300)
	_, err := s.Read(buf)
	require.NoError(t, err)
	first := p.frames()
	require.Len(t, first, 1)
	assert.Contains(t, first[0], "1 WINDOW ")
	assert.EqualValues(t, growWindow, s.inWindow+int64(len(s.in)-s.off), "of the large window, less what is unread")

	sent := 1000
	for range 300 {
		p.data(1, false, strings.Repeat("x", 10_000))
		require.NoError(t, p.flush())
		sent += 10_000
		for {
			if _, err := s.Read(buf); err != nil {
				break
			}
		}
	}
	all := strings.Join(p.frames(), "\n")
	assert.Contains(t, all, "0 WINDOW")
	assert.NotContains(t, all, "RST")

	p.headers(3, false, post("/")...)
	p.headers(5, false, post("/")...)
	p.data(3, false, strings.Repeat("x", 1000))
	p.data(5, false, strings.Repeat("x", 1001))
	require.NoError(t, p.flush())
	assert.Equal(t, []string{"5 RST FLOW_CONTROL_ERROR"}, p.frames())
}

func TestPaddingIsNoBody(t *testing.T) {
	p := dial(t, Config{Window: 1000})
	p.headers(1, false, post("/", "content-length", "50")...)
	s, _ := p.opened()
	for range 49 {
		require.NoError(t, p.fr.WriteDataPadded(1, false, []byte("x"), make([]byte, 200)))
		require.NoError(t, p.flush())
		got, err := body(s)
		assert.Equal(t, "x", got)
		assert.Equal(t, ErrAgain, err)
	}
}

func TestConcurrent(t *testing.T) {
	p := dial(t, Config{MaxStreams: 3})
	for id := uint32(1); id < 10; id += 2 {
		p.headers(id, true, get("/")...)
	}
	require.NoError(t, p.flush())
	events := p.news()
	assert.Len(t, events, 3)
	assert.Equal(t, []string{"7 RST REFUSED_STREAM", "9 RST REFUSED_STREAM"}, p.frames())
	respond(t, events[1].Stream, ok200)
	p.headers(11, true, get("/")...)
	require.NoError(t, p.flush())
	assert.Len(t, p.news(), 1, "it is complete for the client, although its user still has it")
}

func TestShutdown(t *testing.T) {
	p := dial(t, Config{})
	p.headers(1, true, get("/")...)
	s, _ := p.opened()
	p.c.Shutdown(false)
	assert.Equal(t, []string{"GOAWAY 2147483647 NO_ERROR", `PING "GO AWAY." false`}, p.frames())
	assert.False(t, p.c.Leaving())
	p.headers(3, true, get("/late")...) // sent before the client knew
	s3, _ := p.opened()
	require.NoError(t, p.fr.WritePing(true, [8]byte([]byte(drainPing))))
	p.headers(5, true, get("/too-late")...)
	require.NoError(t, p.flush())
	assert.Empty(t, p.news())
	assert.Equal(t, []string{"GOAWAY 3 NO_ERROR"}, p.frames())
	assert.True(t, p.c.Leaving())
	assert.Equal(t, 2, p.c.Streams())
	respond(t, s, ok200)
	respond(t, s3, ok200)
	s.Release()
	s3.Release()
	assert.Zero(t, p.c.Streams())
	assert.Len(t, p.frames(), 4)
	p.c.Shutdown(false)
	p.c.Shutdown(true)
	assert.Empty(t, p.frames())

	p = dial(t, Config{})
	p.c.Shutdown(true)
	p.c.Shutdown(false)
	assert.Equal(t, []string{"GOAWAY 0 NO_ERROR"}, p.frames())
}

// TestGone: streams that the client resets, or that end with the connection.
func TestGone(t *testing.T) {
	p := dial(t, Config{})
	p.headers(1, false, post("/")...)
	p.headers(3, true, get("/")...)
	p.data(1, false, "abc")
	require.NoError(t, p.flush())
	events := p.news()
	s1, s3 := events[0].Stream, events[1].Stream
	require.NoError(t, p.fr.WriteRSTStream(1, xhttp2.ErrCodeCancel))
	require.NoError(t, p.flush())
	assert.Equal(t, []Event{{s1, Gone, s1.User}}, p.news())
	assert.True(t, s1.Closed())
	got, err := body(s1)
	assert.Equal(t, "3\r\nabc\r\n", got, "what came")
	assert.Equal(t, ErrGone, err)
	_, err = s1.Write([]byte(ok200))
	assert.Equal(t, ErrGone, err)
	assert.Empty(t, p.frames())
	s1.Release()
	assert.Equal(t, 1, p.c.Streams())

	p.up.Write(make([]byte, 9)) // DATA without a stream
	require.Error(t, p.flush())
	assert.Equal(t, []Event{{s3, Gone, s3.User}}, p.news())
	s3.Release()

	p = dial(t, Config{})
	p.headers(1, true, get("/")...)
	s, _ := p.opened()
	p.c.Close()
	assert.Equal(t, []Event{{s, Gone, s.User}}, p.c.Events(nil))
	s.Release()
	assert.Zero(t, p.c.Streams())
}

// TestRecycled: structures of streams serve again and keep nothing.
func TestRecycled(t *testing.T) {
	p := dial(t, Config{})
	for i := range uint32(100) {
		id := 1 + 2*i
		p.headers(id, false, post("/")...)
		p.data(id, i%3 == 0, "abc")
		s, _ := p.opened()
		if i%2 == 0 {
			got, _ := body(s)
			assert.Contains(t, got, "abc")
		}
		if i%5 != 0 {
			respond(t, s, ok200)
		}
		s.Release()
		p.frames()
	}
	assert.Zero(t, p.c.Streams())
	assert.Zero(t, p.c.used)
	assert.LessOrEqual(t, len(p.c.free), 2)
}
