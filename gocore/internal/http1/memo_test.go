// This file tests that remembering field lines never changes what a head means.
package http1

import (
	"bytes"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// sameHead demands that a parse with a memory gives what Parse gives.
func sameHead(t testing.TB, memos *Memos, last **Memo, buf []byte, lim *Limits) {
	t.Helper()
	var want, got Head
	// What an earlier request left must not show through.
	got.ContentLength, got.NFields, got.Flags, got.Host = 99, 77, ^uint32(0), Span{1, 2}
	n, st := Parse(buf, &want, lim)
	m, su := memos.Parse(buf, &got, lim, last)
	require.Equal(t, st, su)
	require.Equal(t, n, m)
	if st == OK {
		require.Equal(t, describe(buf[:n], &want, n, OK), describe(buf[:m], &got, m, OK))
		require.Equal(t, want.HeadLen, got.HeadLen)
	}
}

// TestMemoCases gives every case of testdata three times, each after a usual
// request: first sight, remembered, taken.
func TestMemoCases(t *testing.T) {
	files, _ := filepath.Glob("testdata/*.md")
	require.NotEmpty(t, files)
	var memos Memos
	for _, file := range files {
		for _, c := range readCases(t, file) {
			buf := unescape(t, c.request)
			var last *Memo
			for range 3 {
				sameHead(t, &memos, &last, []byte(browserHead), nil)
				sameHead(t, &memos, &last, buf, nil)
				sameHead(t, &memos, &last, buf, &Limits{Line: 60, Fields: 3, FieldSize: 30})
			}
		}
	}
}

// TestMemoDiffers changes what surrounds a remembered block: request line,
// version, limits, one byte of the block, and where the buffer ends.
func TestMemoDiffers(t *testing.T) {
	var memos Memos
	var last *Memo
	for range 3 {
		sameHead(t, &memos, &last, []byte(browserHead), nil)
	}
	require.NotNil(t, last)
	_, fields, _ := strings.Cut(browserHead, "\r\n")
	for _, line := range []string{"POST /x HTTP/1.1", "GET http://other.example/y HTTP/1.1", "GET / HTTP/1.0", "CONNECT a:1 HTTP/1.1",
		"OPTIONS * HTTP/1.1", "GET /%2e/x?a HTTP/1.1", "\r\nGET / HTTP/1.1", "GET / HTTP/2.0"} {
		for range 3 {
			sameHead(t, &memos, &last, []byte(line+"\r\n"+fields), nil)
			sameHead(t, &memos, &last, []byte(line+"\r\n"+fields+"rest of the body"), nil)
		}
	}
	sameHead(t, &memos, &last, []byte(browserHead), &Limits{Line: 8190, Fields: 5, FieldSize: 8190})
	for i := range browserHead {
		for range 3 {
			sameHead(t, &memos, &last, []byte(browserHead), nil)
		}
		b := []byte(browserHead)
		b[i] ^= 4
		sameHead(t, &memos, &last, b, nil)
		sameHead(t, &memos, &last, b[:i], nil)
	}
}

// TestMemoAllocates: nothing for blocks that never repeat, nothing once a block is known.
func TestMemoAllocates(t *testing.T) {
	var memos Memos
	var last *Memo
	var h Head
	head := []byte("GET / HTTP/1.1\r\nHost: a.example\r\nX-Request-Id: 00000000-0000\r\nAccept: text/html\r\n\r\n")
	id := bytes.Index(head, []byte("0000-0000"))
	n := 0
	assert.Zero(t, testing.AllocsPerRun(200, func() {
		n++
		for k, v := 0, n; k < 9; k, v = k+1, v/7 {
			head[id+k] = byte('a' + v%7)
		}
		_, st := memos.Parse(head, &h, nil, &last)
		require.Equal(t, OK, st)
	}))
	memos.Parse(head, &h, nil, &last)
	assert.Zero(t, testing.AllocsPerRun(100, func() { memos.Parse(head, &h, nil, &last) }))
	require.NotNil(t, last)
}

func BenchmarkMemo(b *testing.B) {
	var memos Memos
	var last *Memo
	var h Head
	buf := []byte(browserHead)
	b.ReportAllocs()
	for b.Loop() {
		memos.Parse(buf, &h, &DefaultLimits, &last)
	}
}
