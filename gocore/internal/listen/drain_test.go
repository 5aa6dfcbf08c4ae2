// What a server that stops does with connections that have no request yet.
package listen

import (
	"io"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestDrainAnswersNewConnections: who was accepted gets an answer to what it
// sends right away, also when the stop comes first; who says nothing, or has
// had an answer and is silent, is closed.
func TestDrainAnswersNewConnections(t *testing.T) { each(t, testDrainAnswersNewConnections) }

func testDrainAnswersNewConnections(t *testing.T, open opener) {
	s, _, addr := open.start(t, 2, nil)
	dial := func() net.Conn {
		c, err := net.Dial("tcp", addr)
		require.NoError(t, err)
		t.Cleanup(func() { c.Close() })
		require.NoError(t, c.SetDeadline(time.Now().Add(10*time.Second)))
		return c
	}
	used, fresh, silent := dial(), dial(), dial()
	_, err := io.WriteString(used, "GET /a HTTP/1.1\r\nHost: x\r\n\r\n")
	require.NoError(t, err)
	buf := make([]byte, 4096)
	_, err = used.Read(buf)
	require.NoError(t, err)
	for s.Connections() < 3 {
		time.Sleep(time.Millisecond)
	}
	go s.Drain(false)
	_, err = used.Read(buf)
	assert.ErrorIs(t, err, io.EOF, "an idle connection is closed")
	_, err = io.WriteString(fresh, "GET /b HTTP/1.1\r\nHost: x\r\n\r\n")
	require.NoError(t, err)
	answer, err := io.ReadAll(fresh)
	require.NoError(t, err)
	assert.Contains(t, string(answer), "HTTP/1.1 200")
	assert.Contains(t, string(answer), "Connection: close")
	rest, _ := io.ReadAll(silent)
	assert.Empty(t, rest)
	select {
	case <-s.Done():
	case <-time.After(10 * time.Second):
		t.Fatal("a connection without a request keeps the server")
	}
}
