// Compression: what the window does.

package deflate

import (
	"bytes"
	stdgzip "compress/gzip"
	"io"
	"math/rand"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"modwsgi/gocore/internal/mod/coding"
)

// compressed is the size of data after an encoder, as the output filter has it.
func compressed(t *testing.T, level, window int, data []byte) int {
	e := get(level, window)
	f := coding.NewFilter(&e.to, e, func(_, _ int64) { e.pool.Put(e) })
	out, err := f.Write(nil, data)
	require.NoError(t, err)
	out, err = f.Close(out)
	require.NoError(t, err)
	r, err := stdgzip.NewReader(bytes.NewReader(out))
	require.NoError(t, err)
	back, err := io.ReadAll(r)
	require.NoError(t, err)
	assert.Equal(t, data, back)
	return len(out)
}

// A text that comes again after 2 KiB is found again with a window of 4 KiB,
// not with one of 512 bytes.
func TestWindow(t *testing.T) {
	text := make([]byte, 2048)
	rand.New(rand.NewSource(1)).Read(text)
	data := append(append([]byte{}, text...), text...)
	for range 2 { // the second time with an encoder that was used before
		assert.Less(t, compressed(t, -1, 15, data), 3000)
		assert.Less(t, compressed(t, 9, 12, data), 3000)
		assert.Greater(t, compressed(t, 9, 9, data), 4000)
		assert.Greater(t, compressed(t, -1, 1, data), 4000)
	}
}
