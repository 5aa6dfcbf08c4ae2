package listen

import (
	"context"
	"io"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A client that resets its connection ends the context of a stream that waits
// for something else; one that only sends no more does not.
func TestStreamClientGone(t *testing.T) {
	_, app, addr := startStream(t, func(c Config) (Source, error) { return New(c) }, nil)
	c, err := net.Dial("tcp", addr)
	require.NoError(t, err)
	defer c.Close()
	c.SetDeadline(time.Now().Add(10 * time.Second))
	io.WriteString(c, "GET /stream/gone HTTP/1.1\r\nHost: x\r\n\r\n")
	b := make([]byte, 10)
	_, err = io.ReadFull(c, b)
	require.NoError(t, err)
	require.NoError(t, c.(*net.TCPConn).CloseWrite())
	select {
	case <-app.ended:
		require.Fail(t, "a half-closed client still waits for its response")
	case <-time.After(100 * time.Millisecond):
	}
	c.(*net.TCPConn).SetLinger(0)
	c.Close()
	assert.ErrorIs(t, awaitEnd(t, app), context.Canceled)
}
