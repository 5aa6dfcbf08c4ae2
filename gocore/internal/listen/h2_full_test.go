//go:build linux || darwin || freebsd

// HTTP/2 where the client opens its windows and does not read: what is sent waits
// for the socket, not for the windows.
package listen

import (
	"bytes"
	"crypto/tls"
	"io"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	xhttp2 "golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// openWindows asks for path on so many streams of a new connection whose windows
// are no bound and whose socket takes little.
func (k *h2Kit) openWindows(t *testing.T, path string, streams int) (net.Conn, *xhttp2.Framer) {
	plain, err := net.Dial("tcp", k.addr)
	require.NoError(t, err)
	t.Cleanup(func() { plain.Close() })
	require.NoError(t, plain.(*net.TCPConn).SetReadBuffer(16<<10))
	require.NoError(t, plain.SetDeadline(time.Now().Add(30*time.Second)))
	conn := plain
	if k.scheme == "https" {
		conf := trusting.Clone()
		conf.NextProtos = []string{"h2"}
		conn = tls.Client(plain, conf)
	}
	_, err = io.WriteString(conn, xhttp2.ClientPreface)
	require.NoError(t, err)
	f := xhttp2.NewFramer(conn, conn)
	require.NoError(t, f.WriteSettings(xhttp2.Setting{ID: xhttp2.SettingInitialWindowSize, Val: 1 << 30}))
	require.NoError(t, f.WriteWindowUpdate(0, 1<<30))
	var block bytes.Buffer
	e := hpack.NewEncoder(&block)
	for i := range streams {
		block.Reset()
		for _, field := range [][2]string{{":method", "GET"}, {":scheme", k.scheme}, {":authority", "x"}, {":path", path}} {
			require.NoError(t, e.WriteField(hpack.HeaderField{Name: field[0], Value: field[1]}))
		}
		require.NoError(t, f.WriteHeaders(xhttp2.HeadersFrameParam{StreamID: uint32(2*i + 1), BlockFragment: block.Bytes(), EndStream: true, EndHeaders: true}))
	}
	return conn, f
}

// TestH2FullSocket: everything arrives at a client whose socket is full most of the time.
func TestH2FullSocket(t *testing.T) { eachH2(t, testH2FullSocket) }

func testH2FullSocket(t *testing.T, k *h2Kit) {
	k.start(t, 2, nil)
	_, f := k.openWindows(t, "/big", 3)
	assert.Equal(t, map[uint32]int{1: bigSize, 3: bigSize, 5: bigSize}, readStreams(t, f, 3, nil))
}

// readStreams is how much of each stream came until so many have ended; each is called after a frame.
func readStreams(t *testing.T, f *xhttp2.Framer, streams int, each func()) map[uint32]int {
	got := map[uint32]int{}
	for ended := 0; ended < streams; {
		frame, err := f.ReadFrame()
		require.NoError(t, err)
		if d, ok := frame.(*xhttp2.DataFrame); ok {
			got[d.StreamID] += len(d.Data())
			if d.StreamEnded() {
				ended++
			}
		}
		if each != nil {
			each()
		}
	}
	return got
}

// TestH2SlowTail: KeepAliveTimeout does not cut off the end of a response that
// the client has not taken yet.
func TestH2SlowTail(t *testing.T) { eachH2(t, testH2SlowTail) }

func testH2SlowTail(t *testing.T, k *h2Kit) {
	k.start(t, 1, func(f *fakeApp) { f.settings.IO, f.settings.KeepAlive = 2*time.Second, 50*time.Millisecond })
	_, f := k.openWindows(t, "/big", 1)
	paused := false
	got := readStreams(t, f, 1, func() {
		if !paused && k.app.done.Load() == 1 {
			paused = true
			time.Sleep(500 * time.Millisecond) // more than the time-out, or nothing is tested
		}
	})
	assert.Equal(t, map[uint32]int{1: bigSize}, got)
	k.gone(t)
}

// TestH2NeverReads: a client that reads nothing at all loses its streams after
// Timeout, then its connection.
func TestH2NeverReads(t *testing.T) { eachH2(t, testH2NeverReads) }

func testH2NeverReads(t *testing.T, k *h2Kit) {
	k.start(t, 2, func(f *fakeApp) { f.settings.IO, f.settings.KeepAlive = 300*time.Millisecond, 300*time.Millisecond })
	conn, _ := k.openWindows(t, "/big", 3)
	require.Eventually(t, func() bool { return k.app.done.Load() == 3 }, 10*time.Second, time.Millisecond)
	k.gone(t)
	conn.Close()
	k.source.Drain(false)
	select {
	case <-k.source.Done():
	case <-time.After(10 * time.Second):
		t.Fatal("not done")
	}
}
