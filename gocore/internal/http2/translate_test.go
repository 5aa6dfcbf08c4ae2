// Responses of HTTP/1.1 as frames.
package http2

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	xhttp2 "golang.org/x/net/http2"
)

func TestResponses(t *testing.T) {
	tests := []struct {
		name, method, response string
		want                   []string
	}{
		{"length", "GET", "HTTP/1.1 200 OK\r\nServer: x\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok",
			[]string{"1 HEADERS :status=200 server=x content-length=2", "1 DATA ok END"}},
		{"more than its length", "GET", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokay", []string{"1 HEADERS :status=200 content-length=2", "1 DATA ok END"}},
		{"empty", "GET", "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", []string{"1 HEADERS :status=404 content-length=0 END"}},
		{"HEAD", "HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\n", []string{"1 HEADERS :status=200 content-length=20 END"}},
		{"204", "GET", "HTTP/1.1 204 No Content\r\n\r\n", []string{"1 HEADERS :status=204 END"}},
		{"304", "GET", "HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n", []string{"1 HEADERS :status=304 content-length=9 END"}},
		{"no phrase", "GET", "HTTP/1.1 299\r\nContent-Length: 0\r\n\r\n", []string{"1 HEADERS :status=299 content-length=0 END"}},
		{"HTTP/1.0", "GET", "HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n", []string{"1 HEADERS :status=200 content-length=0 END"}},
		{"chunks", "GET", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nA;x=y\r\n0123456789\r\n0\r\n\r\n",
			[]string{"1 HEADERS :status=200", "1 DATA abc0123456789 END"}},
		{"no chunk", "GET", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", []string{"1 HEADERS :status=200", "1 DATA  END"}},
		{"trailers", "GET", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX-Sum: 1\r\nY: 2\r\n\r\n",
			[]string{"1 HEADERS :status=200", "1 DATA abc", "1 HEADERS x-sum=1 y=2 END"}},
		{"interim", "GET", "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
			[]string{"1 HEADERS :status=100", "1 HEADERS :status=103 link=</a>", "1 HEADERS :status=200 content-length=0 END"}},
		{"of the connection", "GET", "HTTP/1.1 200 OK\r\nconnection: x\r\nKeep-Alive: timeout=5\r\nProxy-Connection: x\r\nUpgrade: h2c\r\nX-Y:z \r\nContent-Length: 0\r\n\r\n",
			[]string{"1 HEADERS :status=200 x-y=z content-length=0 END"}},
		{"field that is none", "GET", "HTTP/1.1 200 OK\r\nBad Name: x\r\n folded\r\nA: b\x01\r\nC: d\r\nContent-Length: 0\r\n\r\n", []string{"1 HEADERS :status=200 c=d content-length=0 END"}},
		{"not HTTP", "GET", "hello world, how are you\r\n\r\n", []string{"1 RST INTERNAL_ERROR"}},
		{"switching", "GET", "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n", []string{"1 RST INTERNAL_ERROR"}},
		{"bad length", "GET", "HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n", []string{"1 HEADERS :status=200", "1 RST INTERNAL_ERROR"}},
		{"other coding", "GET", "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n", []string{"1 HEADERS :status=200", "1 RST INTERNAL_ERROR"}},
		{"bad chunk", "GET", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n", []string{"1 HEADERS :status=200", "1 RST INTERNAL_ERROR"}},
		{"chunk too long", "GET", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nabc", []string{"1 HEADERS :status=200", "1 DATA a", "1 RST INTERNAL_ERROR"}},
	}
	for _, tt := range tests {
		for _, step := range []int{1 << 20, 1, 7} { // in pieces
			t.Run(tt.name, func(t *testing.T) {
				p := dial(t, Config{})
				fields := get("/")
				fields[1] = tt.method
				p.headers(1, true, fields...)
				s, _ := p.opened()
				for text := tt.response; text != ""; {
					n := min(step, len(text))
					if k, err := s.Write([]byte(text[:n])); k != n || err != nil {
						break
					}
					text = text[n:]
				}
				assert.Equal(t, tt.want, p.frames())
				assert.Equal(t, !strings.Contains(tt.want[len(tt.want)-1], "RST"), s.Ended())
				s.Release()
				assert.Empty(t, p.frames())
				assert.Zero(t, p.c.Streams())
			})
		}
	}
}

// TestBrokenOff: what ends before its time is no complete response.
func TestBrokenOff(t *testing.T) {
	for _, tt := range []struct {
		name, response string
		broken         bool
		want           []string
	}{
		{"nothing", "", false, []string{"1 RST INTERNAL_ERROR"}},
		{"half a head", "HTTP/1.1 200 OK\r\n", false, []string{"1 RST INTERNAL_ERROR"}},
		{"interim only", "HTTP/1.1 103 X\r\n\r\n", false, []string{"1 HEADERS :status=103", "1 RST INTERNAL_ERROR"}},
		{"length", "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nab", false, []string{"1 HEADERS :status=200 content-length=3", "1 DATA ab", "1 RST INTERNAL_ERROR"}},
		{"chunks", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n", false, []string{"1 HEADERS :status=200", "1 DATA ab", "1 RST INTERNAL_ERROR"}},
		{"until the end", "HTTP/1.1 200 OK\r\n\r\nab", false, []string{"1 HEADERS :status=200", "1 DATA ab END"}},
		{"until the end, broken", "HTTP/1.1 200 OK\r\n\r\nab", true, []string{"1 HEADERS :status=200", "1 DATA ab", "1 RST INTERNAL_ERROR"}},
		{"complete", ok200, true, []string{"1 HEADERS :status=200 content-length=2", "1 DATA ok END"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := dial(t, Config{})
			p.headers(1, true, get("/")...)
			s, _ := p.opened()
			respond(t, s, tt.response)
			s.End(tt.broken)
			s.Release()
			assert.Equal(t, tt.want, p.frames())
		})
	}
}

// TestEarlyEnd: a response that does not wait for the body ends the stream; what
// of the body is on its way then is no error.
func TestEarlyEnd(t *testing.T) {
	p := dial(t, Config{})
	p.headers(1, false, post("/")...)
	p.data(1, false, "abc")
	s, _ := p.opened()
	respond(t, s, ok200)
	s.Release()
	assert.Equal(t, []string{"1 HEADERS :status=200 content-length=2", "1 DATA ok END", "1 RST NO_ERROR"}, p.frames())
	p.data(1, false, "def")
	p.headers(1, true, "x", "y")
	require.NoError(t, p.fr.WriteRSTStream(1, xhttp2.ErrCodeNo))
	require.NoError(t, p.flush())
	assert.Empty(t, p.frames())
}

// TestRepeatedFields: lines that repeat become indexes, and the client follows.
func TestRepeatedFields(t *testing.T) {
	p := dial(t, Config{})
	response := func(id uint32, text string) int {
		p.headers(id, true, get("/")...)
		s, _ := p.opened()
		respond(t, s, text)
		s.Release()
		n := p.c.Pending()
		want := strings.ToLower(strings.ReplaceAll(strings.ReplaceAll(strings.TrimPrefix(text[:len(text)-4], "HTTP/1.1 200 OK\r\n"), "\r\n", " "), ": ", "="))
		require.Equal(t, []string{strings.TrimSpace(strings.Join([]string{itoa(id), "HEADERS :status=200", want, "END"}, " "))}, p.frames())
		return n
	}
	const text = "HTTP/1.1 200 OK\r\nserver: apache\r\nx-some: thing\r\nset-cookie: secret\r\ncontent-length: 0\r\n\r\n"
	first, second, third := response(1, text), response(3, text), response(5, text)
	assert.Greater(t, first, third+20)
	assert.GreaterOrEqual(t, second, first-2)
	assert.Equal(t, third, response(7, text))

	// many others push them out, and a table of another size is announced
	for i := range uint32(100) {
		line := "HTTP/1.1 200 OK\r\nx-" + itoa(i/2) + ": " + strings.Repeat("v", 100) + "\r\ncontent-length: 0\r\n\r\n"
		response(9+2*i, line)
	}
	require.NoError(t, p.fr.WriteSettings(xhttp2.Setting{ID: xhttp2.SettingHeaderTableSize, Val: 100}))
	require.NoError(t, p.fr.WriteSettings(xhttp2.Setting{ID: xhttp2.SettingHeaderTableSize, Val: 3000}))
	require.NoError(t, p.flush())
	p.frames()
	for i := range uint32(5) {
		response(1001+2*i, text)
	}
}

func itoa(n uint32) string {
	var b [10]byte
	i := len(b)
	for {
		i--
		b[i] = byte('0' + n%10)
		if n /= 10; n == 0 {
			return string(b[i:])
		}
	}
}
