// This file tests what the cases in testdata cannot show: limits, progress of
// slow heads, allocation, and by fuzzing that the way the bytes arrive does not
// matter and that net/http sees the same request.
package http1

import (
	"bufio"
	"bytes"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// browserHead is a usual request: twelve fields, about 700 bytes.
const browserHead = "GET /app/account/orders?page=2&sort=date HTTP/1.1\r\n" +
	"Host: www.example.com\r\n" +
	"Connection: keep-alive\r\n" +
	"Cache-Control: max-age=0\r\n" +
	"sec-ch-ua-platform: \"Linux\"\r\n" +
	"Upgrade-Insecure-Requests: 1\r\n" +
	"User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36\r\n" +
	"Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8\r\n" +
	"Sec-Fetch-Site: same-origin\r\n" +
	"Referer: https://www.example.com/app/account\r\n" +
	"Accept-Encoding: gzip, deflate, br, zstd\r\n" +
	"Accept-Language: en-GB,en;q=0.9,de;q=0.8\r\n" +
	"Cookie: sessionid=4f9a7c0d2b8e4a61b0c5d3e7f1a29b84; csrftoken=Zk3vQ9pL1xT7mW5bN8rY2cD6; theme=dark\r\n\r\n"

// checkIncremental checks that every prefix of buf parses to Incomplete or to
// the result of the whole, that a result once there stays, and that Progress
// never hides a complete head.
func checkIncremental(t testing.TB, buf []byte, lim *Limits) {
	var whole, h Head
	n, st := Parse(buf, &whole, lim)
	if st == OK {
		require.LessOrEqual(t, n, len(buf))
		require.EqualValues(t, n, whole.HeadLen)
	} else {
		require.Zero(t, n)
	}
	var p Progress
	decided, ready := false, false
	step := 1 + len(buf)/2000
	for k := 0; k <= len(buf); k += step {
		nk, stk := Parse(buf[:k], &h, lim)
		was := ready
		ready = p.Ready(buf[:k], lim)
		if stk == OK && !was && !decided {
			require.True(t, ready, "prefix %d is complete and not ready", k)
		}
		if stk == Incomplete {
			require.False(t, decided, "prefix %d takes a decision back", k)
			continue
		}
		decided = true
		require.Equal(t, st, stk, "prefix %d", k)
		require.Equal(t, n, nk, "prefix %d", k)
		if st == OK {
			require.Equal(t, describe(buf[:n], &whole, n, OK), describe(buf[:n], &h, n, OK))
		}
	}
}

// TestLimits checks each limit at its value and one above, and that a line
// too long is refused before it ends.
func TestLimits(t *testing.T) {
	lim := &Limits{Line: 30, Fields: 3, FieldSize: 20}
	line := func(n int) string { return "GET /" + strings.Repeat("a", n-14) + " HTTP/1.1\r\n" }
	field := func(n int) string { return "X:" + strings.Repeat("v", n-2) + "\r\n" }
	tests := map[string]struct {
		in   string
		want Status
	}{
		"line at limit":            {line(30) + "Host: a\r\n\r\n", OK},
		"line above limit":         {line(31) + "Host: a\r\n\r\n", URITooLong},
		"line unended at limit":    {"GET /" + strings.Repeat("a", 25), Incomplete},
		"line unended above":       {"GET /" + strings.Repeat("a", 26), URITooLong},
		"query unended above":      {"GET /?" + strings.Repeat("a", 25), URITooLong},
		"method unended above":     {strings.Repeat("A", 31), URITooLong},
		"no room for the version":  {"GET /" + strings.Repeat("a", 17) + " ", URITooLong},
		"field at limit":           {line(20) + "Host: a\r\n" + field(20) + "\r\n", OK},
		"field above limit":        {line(20) + "Host: a\r\n" + field(21) + "\r\n", BadRequest},
		"field unended at limit":   {line(20) + "X:" + strings.Repeat("v", 18), Incomplete},
		"field unended, CR":        {line(20) + "X:" + strings.Repeat("v", 18) + "\r", Incomplete},
		"field unended above":      {line(20) + "X:" + strings.Repeat("v", 19), BadRequest},
		"name unended above":       {line(20) + strings.Repeat("n", 21), BadRequest},
		"fields at limit":          {line(20) + "Host: a\r\nA:\r\nB:\r\n\r\n", OK},
		"fields above limit":       {line(20) + "Host: a\r\nA:\r\nB:\r\nC:\r\n\r\n", BadRequest},
		"blank lines at limit":     {"\r\n\r\n\r\n\r\n" + line(20) + "Host: a\r\n\r\n", OK},
		"blank lines above limit":  {"\r\n\r\n\r\n\r\n\r\n" + line(20) + "Host: a\r\n\r\n", BadRequest},
		"too long and then a line": {strings.Repeat("A", 31) + "\r\n", URITooLong},
	}
	for name, c := range tests {
		t.Run(name, func(t *testing.T) {
			var h Head
			_, st := Parse([]byte(c.in), &h, lim)
			assert.Equal(t, c.want, st)
			checkIncremental(t, []byte(c.in), lim)
		})
	}
	t.Run("no limit of fields but the capacity", func(t *testing.T) {
		var h Head
		lim := &Limits{}
		head := func(n int) []byte { return []byte(line(20) + "Host: a\r\n" + strings.Repeat("A: b\r\n", n-1) + "\r\n") }
		_, st := Parse(head(MaxFields), &h, lim)
		assert.Equal(t, OK, st)
		assert.EqualValues(t, MaxFields, h.NFields)
		_, st = Parse(head(MaxFields+1), &h, lim)
		assert.Equal(t, BadRequest, st)
		lim.Fields = 1000
		_, st = Parse(head(MaxFields+1), &h, lim)
		assert.Equal(t, BadRequest, st)
	})
}

// TestPipelined checks that n separates pipelined requests.
func TestPipelined(t *testing.T) {
	buf := []byte(strings.Repeat(browserHead, 3))
	var h Head
	for range 3 {
		n, st := Parse(buf, &h, nil)
		require.Equal(t, OK, st)
		require.Equal(t, len(browserHead), n)
		require.EqualValues(t, 12, h.NFields)
		require.NotZero(t, h.Flags&FlagPlainPath)
		require.Equal(t, "/app/account/orders", at(buf, h.Path))
		buf = buf[n:]
	}
	_, st := Parse(buf, &h, nil)
	assert.Equal(t, Incomplete, st)
}

// TestFirstByte checks that bytes that no request can begin with, such as a
// TLS handshake on a plaintext port, are refused at once.
func TestFirstByte(t *testing.T) {
	var h Head
	for _, in := range []string{"\x16\x03\x01", "\x00", "\n", " ", "\rX", "(GET"} {
		_, st := Parse([]byte(in), &h, nil)
		assert.Equal(t, BadRequest, st, "%q", in)
	}
}

// TestControlBytes checks each byte value in a field value at every offset of
// the eight that are looked at together.
func TestControlBytes(t *testing.T) {
	var h Head
	for c := 0; c < 256; c++ {
		for pad := range 9 {
			buf := []byte("GET / HTTP/1.1\r\nHost: a\r\nX: " + strings.Repeat("\xff", pad) + string([]byte{byte(c)}) + "yyyyyyyyy\r\n\r\n")
			_, st := Parse(buf, &h, nil)
			want := OK
			if c < 0x20 && c != '\t' || c == 0x7f {
				want = BadRequest
			}
			require.Equal(t, want, st, "byte %#x after %d", c, pad)
		}
	}
}

// TestProgress checks that a head sent byte by byte is parsed again only when
// it is complete, and that a head beyond a limit becomes ready.
func TestProgress(t *testing.T) {
	var p Progress
	buf := []byte("\r\n" + browserHead)
	for k := range buf {
		require.False(t, p.Ready(buf[:k], nil), "at %d", k)
	}
	assert.True(t, p.Ready(buf, nil))
	p = Progress{}
	assert.True(t, p.Ready(bytes.Repeat([]byte("a"), 8192), nil))
	p = Progress{}
	assert.True(t, p.Ready(bytes.Repeat([]byte("a:\r\n"), 300), &Limits{}))
}

// TestParseAllocatesNothing covers an accepted, a refused and an incomplete head.
func TestParseAllocatesNothing(t *testing.T) {
	h := new(Head)
	heads := [][]byte{
		[]byte(browserHead), []byte(browserHead)[:500],
		[]byte("POST http://[::1]:80/x HTTP/1.1\r\nHost: [::1]\r\nTransfer-Encoding: gzip, chunked\r\n\r\n"),
		[]byte("POST / HTTP/1.1\r\nHost: a\r\nConnection: a, b, close\r\nExpect: 100-continue\r\nContent-Length: 12\r\n\r\n"),
	}
	assert.Zero(t, testing.AllocsPerRun(100, func() {
		for _, b := range heads {
			Parse(b, h, nil)
		}
	}))
}

// FuzzParse checks the properties of checkIncremental and, for every head
// accepted here and by net/http, that both understood the same.
func FuzzParse(f *testing.F) {
	files, _ := filepath.Glob("testdata/*.md")
	for _, file := range files {
		for _, c := range readCases(f, file) {
			if b := unescape(f, c.request); len(b) < 1000 {
				f.Add(b)
			}
		}
	}
	f.Add([]byte(browserHead))
	lim := &Limits{Line: 200, Fields: 10, FieldSize: 120}
	f.Fuzz(func(t *testing.T, buf []byte) {
		checkIncremental(t, buf, lim)
		var memos Memos
		var last *Memo
		for range 3 {
			sameHead(t, &memos, &last, buf, lim)
		}
		var h Head
		n, st := Parse(buf, &h, nil)
		if st != OK {
			return
		}
		require.False(t, h.Flags&FlagChunked != 0 && h.Flags&FlagContentLength != 0)
		if h.Flags&FlagPlainPath != 0 {
			path, status := CleanPath(nil, buf[h.Path.Off:h.Path.Off+h.Path.Len], true, EncodedSlashesOff)
			require.Zero(t, status)
			require.Equal(t, at(buf, h.Path), string(path), "a plain path needs no cleaning")
		}
		r, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(bytes.TrimLeft(buf[:n], "\r\n"))))
		if err != nil {
			return // net/http is stricter about URIs, for one
		}
		require.Equal(t, r.Method, at(buf, h.Method))
		require.Equal(t, r.RequestURI, at(buf, h.Target))
		require.Equal(t, len(r.TransferEncoding) > 0, h.Flags&FlagChunked != 0)
		if h.Flags&FlagContentLength != 0 {
			require.Equal(t, r.ContentLength, h.ContentLength)
		} else if h.Flags&FlagChunked == 0 {
			require.Zero(t, r.ContentLength)
		}
		if h.Flags&FlagHTTP11 != 0 && at(buf, h.Method) != "CONNECT" {
			require.Equal(t, r.Host, at(buf, h.Host))
		}
	})
}

func BenchmarkParse(b *testing.B) {
	heads := map[string]string{
		"browser": browserHead,
		"small":   "GET / HTTP/1.1\r\nHost: localhost:8000\r\n\r\n",
	}
	for name, head := range heads {
		b.Run(name, func(b *testing.B) {
			buf, h := []byte(head), new(Head)
			b.SetBytes(int64(len(buf)))
			b.ReportAllocs()
			for b.Loop() {
				if _, st := Parse(buf, h, nil); st != OK {
					b.Fatal(st)
				}
			}
		})
	}
}

// TestHTTP2: heads that package http2 writes, and nobody else.
func TestHTTP2(t *testing.T) {
	const fields = "host: x\r\ntransfer-encoding: chunked\r\n\r\n"
	http2 := &Limits{HTTP2: true}
	var h Head
	n, st := Parse([]byte("GET /a HTTP/2.0\r\n"+fields), &h, http2)
	assert.Equal(t, OK, st)
	assert.EqualValues(t, n, h.HeadLen)
	assert.Equal(t, FlagHTTP2|FlagHTTP11|FlagKeepAlive|FlagChunked|FlagHasHost|FlagPlainPath, h.Flags)
	for _, line := range []string{"GET /a HTTP/1.1", "GET /a HTTP/2.1", "GET /a HTTP/3.0"} {
		_, st = Parse([]byte(line+"\r\n"+fields), &h, http2)
		assert.Equal(t, BadRequest, st, line)
	}
	_, st = Parse([]byte("GET /a HTTP/2.0\r\n"+fields), &h, nil)
	assert.Equal(t, VersionNotSupported, st)

	var memos Memos
	var last *Memo
	for range 4 {
		_, st = memos.Parse([]byte("GET /a HTTP/2.0\r\n"+fields), &h, http2, &last)
		assert.Equal(t, OK, st)
		assert.NotZero(t, h.Flags&FlagHTTP2)
	}
	_, st = memos.Parse([]byte("GET /a HTTP/1.1\r\n"+fields), &h, nil, &last)
	assert.Equal(t, OK, st)
	assert.Zero(t, h.Flags&FlagHTTP2)
}
