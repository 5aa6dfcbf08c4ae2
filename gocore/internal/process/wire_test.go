// Tests of the control channel: codec table, fuzzing, and descriptors over a
// real socket pair, glued and split.
package process

import (
	"bytes"
	"errors"
	"io"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

func TestFrameCodec(t *testing.T) {
	cases := []struct {
		name string
		f    Frame
		want string
		err  bool
	}{
		{"ready", Frame{Type: FrameReady}, "R\x00\x00\x00\x00", false},
		{"reason", Frame{Type: FrameReplace, Payload: []byte("script changed")}, "X\x00\x00\x00\x0escript changed", false},
		{"handoff", Frame{Type: FrameHandoff, FDs: []int{7}}, "H\x00\x00\x00\x00", false},
		{"share", *NewShare(258, 7, []byte("rest")), "L\x00\x00\x00\x06\x01\x02rest", false},
		{"share without descriptor", Frame{Type: FrameShare, Payload: []byte("\x00\x01")}, "", true},
		{"share with nobody", Frame{Type: FrameShare, Payload: []byte("\x00"), FDs: []int{7}}, "", true},
		{"taken", Frame{Type: FrameTaken}, "A\x00\x00\x00\x00", false},
		{"taken with descriptor", Frame{Type: FrameTaken, FDs: []int{3}}, "", true},
		{"standing", *NewStanding("/s", 2), "B\x00\x00\x00\x03\x02/s", false},
		{"standing of nobody", Frame{Type: FrameStanding, Payload: []byte{2}}, "", true},
		{"standing at length", Frame{Type: FrameStanding, Payload: make([]byte, maxStanding+1)}, "", true},
		{"ready with payload", Frame{Type: FrameReady, Payload: []byte("x")}, "", true},
		{"unknown", Frame{Type: 'Q'}, "", true},
		{"handoff without descriptor", Frame{Type: FrameHandoff}, "", true},
		{"stop with descriptor", Frame{Type: FrameStop, FDs: []int{1}}, "", true},
		{"too long", Frame{Type: FrameReplace, Payload: make([]byte, MaxFramePayload+1)}, "", true},
		{"too many descriptors", Frame{Type: FrameHandoff, FDs: make([]int, 9)}, "", true},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			b, err := AppendFrame(nil, &c.f)
			if c.err {
				assert.ErrorIs(t, err, ErrFrame)
				return
			}
			require.NoError(t, err)
			assert.Equal(t, c.want, string(b))
			for i := range b {
				_, n, err := DecodeFrame(b[:i], c.f.FDs)
				assert.NoError(t, err)
				assert.Zero(t, n, "frame from %d of %d bytes", i, len(b))
			}
			got, n, err := DecodeFrame(append(b, "rest"...), c.f.FDs)
			require.NoError(t, err)
			assert.Equal(t, len(b), n)
			assert.Equal(t, c.f, got)
		})
	}
}

func FuzzDecodeFrame(f *testing.F) {
	f.Add([]byte("R\x00\x00\x00\x00"), 0)
	f.Add([]byte("X\x00\x00\x00\x03why"), 0)
	f.Add([]byte("H\x00\x00\x00\x02ab"), 1)
	f.Add([]byte("H\xff\xff\xff\xff"), 1)
	f.Add([]byte("L\x00\x00\x00\x03\x00\x01x"), 1)
	f.Fuzz(func(t *testing.T, b []byte, nfds int) {
		fds := make([]int, min(max(nfds, 0), 20))
		fr, n, err := DecodeFrame(b, fds)
		if err != nil {
			if !errors.Is(err, ErrFrame) {
				t.Fatalf("unexpected error %v", err)
			}
			return
		}
		if n == 0 {
			return
		}
		back, err := AppendFrame(nil, &fr)
		if err != nil || !bytes.Equal(back, b[:n]) {
			t.Fatalf("round trip of %q: %q, %v", b[:n], back, err)
		}
	})
}

func connPair(t *testing.T) (*Conn, *Conn) {
	t.Helper()
	a, b, err := socketPair()
	require.NoError(t, err)
	ca, err := NewConn(a)
	require.NoError(t, err)
	cb, err := NewConn(b)
	require.NoError(t, err)
	t.Cleanup(func() { _ = ca.Close(); _ = cb.Close() })
	return ca, cb
}

func TestConnDescriptors(t *testing.T) {
	a, b := connPair(t)
	// Frames with and without descriptors are all in the socket before the
	// first is read, so that the kernel can glue them.
	var readers []*os.File
	want := []Frame{}
	send := func(f Frame) {
		require.NoError(t, a.Send(&f))
		want = append(want, f)
	}
	send(Frame{Type: FrameReady})
	for i := range 5 {
		r, w, err := os.Pipe()
		require.NoError(t, err)
		readers = append(readers, r)
		send(Frame{Type: FrameHandoff, Payload: []byte(strings.Repeat("x", i)), FDs: []int{int(w.Fd())}})
		send(Frame{Type: FrameServed})
		require.NoError(t, w.Close())
	}
	next := 0
	for _, w := range want {
		f, err := b.Receive()
		require.NoError(t, err)
		assert.Equal(t, w.Type, f.Type)
		assert.Equal(t, string(w.Payload), string(f.Payload))
		require.Len(t, f.FDs, len(w.FDs))
		if len(f.FDs) == 0 {
			continue
		}
		flags, err := unix.FcntlInt(uintptr(f.FDs[0]), unix.F_GETFD, 0)
		require.NoError(t, err)
		assert.NotZero(t, flags&unix.FD_CLOEXEC)
		_, err = unix.Write(f.FDs[0], []byte{byte('a' + next)})
		require.NoError(t, err)
		f.CloseFDs()
		got, err := io.ReadAll(readers[next])
		require.NoError(t, err)
		assert.Equal(t, string(rune('a'+next)), string(got), "the descriptor belongs to another frame")
		_ = readers[next].Close()
		next++
	}
}

func TestConnBigPayloadAndEOF(t *testing.T) {
	a, b := connPair(t)
	r, w, err := os.Pipe()
	require.NoError(t, err)
	defer r.Close()
	payload := bytes.Repeat([]byte("0123456789abcdef"), 100_000) // far beyond the socket buffer
	done := make(chan error, 1)
	go func() {
		done <- a.Send(&Frame{Type: FrameHandoff, Payload: payload, FDs: []int{int(w.Fd())}})
		_ = a.Close()
	}()
	f, err := b.Receive()
	require.NoError(t, err)
	require.NoError(t, <-done)
	assert.True(t, bytes.Equal(payload, f.Payload))
	require.Len(t, f.FDs, 1)
	f.CloseFDs()
	_ = w.Close()
	_, err = b.Receive()
	assert.Equal(t, io.EOF, err)
}

func TestConnMalformed(t *testing.T) {
	a, b := connPair(t)
	_, err := a.c.Write([]byte("Z\x00\x00\x00\x00"))
	require.NoError(t, err)
	_, err = b.Receive()
	assert.ErrorIs(t, err, ErrFrame)
}
