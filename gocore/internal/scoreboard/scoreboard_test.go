//go:build unix

// Tests of slots, their reuse, and readers beside a writer.
package scoreboard

import (
	"bytes"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func board(t *testing.T) (*Board, *Board) {
	f, err := Create()
	require.NoError(t, err)
	t.Cleanup(func() { f.Close() })
	a, err := Open(f)
	require.NoError(t, err)
	b, err := Open(f)
	require.NoError(t, err)
	return a, b
}

func texts(b *Board) map[int]string {
	out := map[int]string{}
	b.Each(func(pid int, text []byte) { out[pid] = string(text) })
	return out
}

func TestSlots(t *testing.T) {
	a, b := board(t)
	alive := map[int]bool{1: true, 2: true}
	look := func(pid int) bool { return alive[pid] }
	one, last, err := a.Claim(1, look)
	require.NoError(t, err)
	assert.Empty(t, last)
	two, _, err := b.Claim(2, look)
	require.NoError(t, err)
	require.NoError(t, one.Write([]byte("first")))
	require.NoError(t, two.Write([]byte("second")))
	assert.Equal(t, map[int]string{1: "first", 2: "second"}, texts(b))
	assert.Error(t, one.Write(make([]byte, MaxText+1)))
	alive[1] = false
	_, last, err = b.Claim(3, look)
	require.NoError(t, err)
	assert.Equal(t, "first", string(last), "the totals of a process that is gone are not lost")
	assert.Equal(t, map[int]string{3: "first", 2: "second"}, texts(a))
}

func TestReadersSeeWholeTexts(t *testing.T) {
	a, b := board(t)
	s, _, err := a.Claim(1, func(int) bool { return true })
	require.NoError(t, err)
	require.NoError(t, s.Write(nil))
	var wg sync.WaitGroup
	wg.Add(1)
	go func() {
		defer wg.Done()
		for i := range 2000 {
			_ = s.Write(bytes.Repeat([]byte{byte('a' + i%26)}, 100+i))
		}
	}()
	for range 2000 {
		if text := texts(b)[1]; text != "" {
			assert.Equal(t, len(text), bytes.Count([]byte(text), []byte(text[:1])))
		}
	}
	wg.Wait()
}
