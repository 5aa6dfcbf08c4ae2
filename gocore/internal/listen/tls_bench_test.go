//go:build linux || darwin || freebsd

package listen

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// BenchmarkTLS is a request and its response on one encrypted connection,
// client and server together.
func BenchmarkTLS(b *testing.B) {
	t := &testing.T{}
	_, _, addr := startTLS(t, opener(sources["reactor"]), 1, nil)
	c := dialTLS(t, addr)
	request := []byte("GET /a HTTP/1.1\r\nHost: www.example.com\r\nUser-Agent: a benchmark\r\n\r\n")
	buf := make([]byte, 4096)
	b.ReportAllocs()
	for b.Loop() {
		_, err := c.Write(request)
		require.NoError(b, err)
		_, err = c.Read(buf)
		require.NoError(b, err)
	}
}
