//go:build unix

// Records that could not be written whole.
package errorlog

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// TestWriteAfterACut: a record that was cut, here by a pipe that is full, is
// ended before the next one.
func TestWriteAfterACut(t *testing.T) {
	var p [2]int
	require.NoError(t, unix.Pipe(p[:]))
	defer unix.Close(p[0])
	defer unix.Close(p[1])
	require.NoError(t, unix.SetNonblock(p[0], true))
	require.NoError(t, unix.SetNonblock(p[1], true))
	drain := func() string {
		var all []byte
		for b := make([]byte, 1<<16); ; {
			n, err := unix.Read(p[0], b)
			if err != nil {
				return string(all)
			}
			all = append(all, b[:n]...)
		}
	}
	long := strings.Repeat("x", 1<<20)
	require.ErrorIs(t, Write(p[1], []byte(long+"\n")), unix.EAGAIN)
	require.ErrorIs(t, Write(p[1], []byte("lost\n")), unix.EAGAIN)
	got := drain()
	require.NotEmpty(t, got)
	require.True(t, strings.HasPrefix(long, got), "a part of the first")
	for _, record := range []string{"next\n", "and so on\n"} {
		require.NoError(t, Write(p[1], []byte(record)))
	}
	assert.Equal(t, "\nnext\nand so on\n", drain())
}
