package worker

import (
	"bytes"
	"io"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// What was flushed can be decoded while the handler waits; the client's reset
// ends it.
func TestFlushedStreamAndReset(t *testing.T) {
	addr, ended := serve(t, "AddOutputFilterByType DEFLATE text/plain")
	c, err := net.Dial("tcp", addr)
	require.NoError(t, err)
	c.SetDeadline(time.Now().Add(10 * time.Second))
	io.WriteString(c, "GET /s/flushed HTTP/1.0\r\nAccept-Encoding: gzip\r\n\r\n")
	var got []byte
	buf := make([]byte, 4096)
	for !bytes.Contains(got, []byte("now")) { // three bytes are stored, not compressed
		n, err := c.Read(buf)
		require.NoError(t, err)
		got = append(got, buf[:n]...)
	}
	c.(*net.TCPConn).SetLinger(0)
	c.Close()
	select {
	case err := <-ended:
		assert.Error(t, err)
	case <-time.After(10 * time.Second):
		require.Fail(t, "the handler was not told")
	}
}
