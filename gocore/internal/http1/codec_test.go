// This file tests the chunk decoder beyond testdata/chunked.md, the encoder,
// the response helpers and the path cleaning.
package http1

import (
	"bytes"
	"io"
	"net/http/httputil"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// decodeBy feeds src in pieces of step bytes with room bytes of space each.
func decodeBy(src []byte, step, room int) (data []byte, used int, done bool, err error) {
	var d ChunkDecoder
	dst := make([]byte, room)
	for end := 0; !done && err == nil; {
		if end = min(len(src), end+step); used == end && end == len(src) {
			return
		}
		for {
			var n, o int
			n, o, done, err = d.Decode(src[used:end], dst)
			used += n
			data = append(data, dst[:o]...)
			if n == 0 || done || err != nil {
				break
			}
		}
	}
	return
}

// TestChunkPieces checks that pieces and room do not change the result.
func TestChunkPieces(t *testing.T) {
	src := []byte("5;a=\"b\"\r\nhello\r\n1A\r\nabcdefghijklmnopqrstuvwxyz\r\n0\r\nX-Sum: 1\r\n\r\nGET /")
	for step := 1; step <= len(src); step++ {
		for room := 1; room < 40; room += 3 {
			data, used, done, err := decodeBy(src, step, room)
			require.NoError(t, err)
			require.True(t, done)
			require.Equal(t, "helloabcdefghijklmnopqrstuvwxyz", string(data))
			require.Equal(t, "GET /", string(src[used:]))
		}
	}
}

// TestChunkInPlace decodes over the source itself, also at a distance.
func TestChunkInPlace(t *testing.T) {
	body := []byte("3\r\nabc\r\n10\r\n0123456789abcdef\r\n0\r\n\r\n")
	for gap := range 5 {
		buf := append(make([]byte, gap), body...)
		var d ChunkDecoder
		n, o, done, err := d.Decode(buf[gap:], buf)
		require.NoError(t, err)
		assert.True(t, done)
		assert.True(t, d.Done())
		assert.Equal(t, len(body), n)
		assert.Equal(t, "abc0123456789abcdef", string(buf[:o]))
	}
}

// TestChunkLimits covers what would cost work without bound.
func TestChunkLimits(t *testing.T) {
	decode := func(s string) error {
		_, _, _, err := decodeBy([]byte(s), 1000, 1000)
		return err
	}
	chunk := "1;" + strings.Repeat("e", 1000) + "\r\nx\r\n"
	assert.NoError(t, decode(strings.Repeat(chunk, 16)))
	assert.ErrorIs(t, decode(strings.Repeat(chunk, 17)), ErrChunkExt, "extensions without data")
	paid := "400;" + strings.Repeat("e", 1000) + "\r\n" + strings.Repeat("x", 1024) + "\r\n"
	assert.NoError(t, decode(strings.Repeat(paid, 100)), "extensions with data")
	assert.ErrorIs(t, decode("1;"+strings.Repeat("e", maxChunkExt+1)), ErrChunkExt)
	assert.ErrorIs(t, decode("0\r\n"+strings.Repeat("A: b\r\n", maxTrailer/6+1)), ErrTrailer)
	assert.ErrorIs(t, decode(strings.Repeat("0", 16)), ErrChunkSize)
	assert.ErrorIs(t, decode("fffffffffffffffff"), ErrChunkSize)
}

// TestChunkErrorStays checks that a failed decoder does not recover.
func TestChunkErrorStays(t *testing.T) {
	var d ChunkDecoder
	_, _, _, err := d.Decode([]byte(strings.Repeat("1", 16)), nil)
	require.ErrorIs(t, err, ErrChunkSize)
	for _, more := range []string{"", "0\r\n\r\n"} {
		_, _, done, err := d.Decode([]byte(more), nil)
		assert.ErrorIs(t, err, ErrChunkSize)
		assert.False(t, done)
	}
	d.Reset()
	_, _, done, err := d.Decode([]byte(FinalChunk), nil)
	assert.NoError(t, err)
	assert.True(t, done)
}

// TestAppendChunkHeader checks the encoder against the decoder.
func TestAppendChunkHeader(t *testing.T) {
	assert.Empty(t, AppendChunkHeader(nil, 0), "a chunk of nothing would end the body")
	for n, want := range map[int]string{1: "1", 15: "f", 16: "10", 255: "ff", 4096: "1000", 65535: "ffff"} {
		assert.Equal(t, want+"\r\n", string(AppendChunkHeader(nil, n)))
		body := append(AppendChunkHeader(nil, n), bytes.Repeat([]byte("z"), n)...)
		data, _, done, err := decodeBy(append(body, ChunkEnd+FinalChunk...), 1<<20, 1<<20)
		assert.NoError(t, err)
		assert.True(t, done)
		assert.Len(t, data, n)
	}
}

// FuzzChunk checks that pieces do not matter, that no more is written than
// read, and that net/http's reader, which is laxer, agrees where both accept.
func FuzzChunk(f *testing.F) {
	for _, c := range readCases(f, "testdata/chunked.md") {
		f.Add(unescape(f, c.request), uint8(3), uint8(2))
	}
	f.Fuzz(func(t *testing.T, src []byte, step, room uint8) {
		data, used, done, err := decodeBy(src, len(src)+1, len(src)+1)
		require.LessOrEqual(t, used, len(src))
		require.LessOrEqual(t, len(data), used)
		data2, used2, done2, err2 := decodeBy(src, int(step)+1, int(room)+1)
		require.Equal(t, err, err2)
		require.Equal(t, done, done2)
		require.Equal(t, used, used2)
		require.Equal(t, string(data), string(data2))
		in := bytes.Clone(src)
		var d ChunkDecoder
		_, o, _, err3 := d.Decode(in, in)
		require.Equal(t, err, err3)
		require.Equal(t, string(data), string(in[:o]))
		if done {
			want, err := io.ReadAll(httputil.NewChunkedReader(bytes.NewReader(src[:used])))
			require.NoError(t, err)
			require.Equal(t, string(want), string(data))
		}
	})
}

// TestStatusLine checks the lines, unknown codes, and that nothing is allocated.
func TestStatusLine(t *testing.T) {
	assert.Equal(t, "HTTP/1.1 200 OK\r\n", string(AppendStatusLine(nil, true, 200)))
	assert.Equal(t, "x HTTP/1.0 404 Not Found\r\n", string(AppendStatusLine([]byte("x "), false, 404)))
	assert.Equal(t, "HTTP/1.1 299 \r\n", string(AppendStatusLine(nil, true, 299)))
	assert.Equal(t, "HTTP/1.1 500 Internal Server Error\r\n", string(AppendStatusLine(nil, true, 42)))
	assert.Equal(t, "Request Entity Too Large", ReasonPhrase(413))
	assert.Equal(t, "", ReasonPhrase(299))
	assert.Equal(t, "", ReasonPhrase(1000))
	var c DateCache
	dst := make([]byte, 0, 200)
	AppendDate(dst, &c)
	assert.Zero(t, testing.AllocsPerRun(100, func() { AppendDate(AppendStatusLine(dst, true, 200), &c) }))
}

// TestDate checks the form of the date and when it changes.
func TestDate(t *testing.T) {
	var c DateCache
	now := time.Date(1994, 11, 6, 9, 49, 37, 5, time.FixedZone("", 3600))
	c.Refresh(now)
	const want = "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n"
	assert.Equal(t, want, string(AppendDate(nil, &c)))
	c.Refresh(now.Add(900 * time.Millisecond))
	assert.Equal(t, want, string(AppendDate(nil, &c)))
	c.Refresh(now.Add(time.Second))
	assert.Equal(t, "Date: Sun, 06 Nov 1994 08:49:38 GMT\r\n", string(AppendDate(nil, &c)))
	assert.Equal(t, "Sun, 06 Nov 1994 08:49:37 GMT", string(AppendTime(nil, now)))
}

// TestCleanPath is the table of Apache's behaviour.
func TestCleanPath(t *testing.T) {
	const off, on, keep = EncodedSlashesOff, EncodedSlashesOn, EncodedSlashesNoDecode
	tests := []struct {
		raw     string
		noMerge bool
		slashes EncodedSlashes
		want    string
		status  int
	}{
		{raw: "", want: "/"},
		{raw: "/", want: "/"},
		{raw: "/a/b.html", want: "/a/b.html"},
		{raw: "/a/", want: "/a/"},
		{raw: "/a%20b%C3%A9", want: "/a b\xc3\xa9"},
		{raw: "/%25%32%65", want: "/%2e"},
		{raw: "/a/./b/.", want: "/a/b/"},
		{raw: "/a/b/..", want: "/a/"},
		{raw: "/a/b/../../c", want: "/c"},
		{raw: "/a/..", want: "/"},
		{raw: "/...", want: "/..."},
		{raw: "/.well-known/x", want: "/.well-known/x"},
		{raw: "/..a/b..", want: "/..a/b.."},
		{raw: "/a/%2e%2E/b", want: "/b"},
		{raw: "/..", status: 400},
		{raw: "/a/../../etc", status: 400},
		{raw: "/%2e%2e/etc", status: 400},
		{raw: "//a///b//", want: "/a/b/"},
		{raw: "//a///b//", noMerge: true, want: "//a///b//"},
		{raw: "/a//../b", want: "/b"},
		{raw: "/a//../b", noMerge: true, want: "/a/b"},
		{raw: "//..", status: 400},
		{raw: "//..", noMerge: true, want: "/"},
		{raw: "/a%2Fb", slashes: off, status: 404},
		{raw: "/a%2fb", slashes: on, want: "/a/b"},
		{raw: "/a%2fb", slashes: keep, want: "/a%2fb"},
		{raw: "/a/..%2f..%2fetc", slashes: on, status: 400},
		{raw: "/a/..%2f..%2fetc", slashes: keep, want: "/a/..%2f..%2fetc"},
		{raw: "/%00", status: 404},
		{raw: "/.%00.", status: 404},
		{raw: "/%00%zz", status: 400},
		{raw: "/%", status: 400},
		{raw: "/%4", status: 400},
		{raw: "/%4g", status: 400},
		{raw: "/%-1", status: 400},
		{raw: "a", status: 400},
		{raw: "*", status: 400},
		{raw: `/a\..\b`, want: `/a\..\b`},
	}
	for _, c := range tests {
		dst, status := CleanPath([]byte("x"), []byte(c.raw), !c.noMerge, c.slashes)
		assert.Equal(t, c.status, status, c.raw)
		assert.Equal(t, "x"+c.want, string(dst), c.raw)
	}
}

// FuzzCleanPath checks that a clean path stays as it is and hides no "..".
func FuzzCleanPath(f *testing.F) {
	for _, s := range []string{"/a/../b", "/%2e%2e/x", "//a//", "/a%2Fb", "/./.", "/a/.%00./b"} {
		f.Add([]byte(s), true, uint8(0))
		f.Add([]byte(s), false, uint8(1))
	}
	f.Fuzz(func(t *testing.T, raw []byte, merge bool, mode uint8) {
		got, status := CleanPath(nil, raw, merge, EncodedSlashes(mode%3))
		if status != 0 {
			require.Empty(t, got)
			return
		}
		require.Equal(t, byte('/'), got[0])
		require.NotContains(t, string(append(got, '/')), "/../")
		require.NotContains(t, string(append(got, '/')), "/./")
		if merge {
			require.NotContains(t, string(got), "//")
		}
		n, ok := removeDots(bytes.Clone(got), merge)
		require.True(t, ok)
		require.Equal(t, len(got), n)
	})
}
