// This file builds pages by hand and reads them; real files of httxt2dbm are
// read in the tests of package rewrite.

package sdbm

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// page lays pairs out as SDBM does: offsets in front, texts from the end.
func page(pairs ...string) []byte {
	b := make([]byte, pageSize)
	end := pageSize
	for i, s := range pairs {
		end -= len(s)
		copy(b[end:], s)
		binary.NativeEndian.PutUint16(b[2*(i+1):], uint16(end))
	}
	binary.NativeEndian.PutUint16(b, uint16(len(pairs)))
	return b
}

func write(t *testing.T, dir []byte, pages ...[]byte) string {
	name := filepath.Join(t.TempDir(), "db")
	var all []byte
	for _, p := range pages {
		all = append(all, p...)
	}
	require.NoError(t, os.WriteFile(name+PageSuffix, all, 0o644))
	require.NoError(t, os.WriteFile(name+DirectorySuffix, dir, 0o644))
	return name
}

func TestLookup(t *testing.T) {
	name := write(t, nil, page("key", "value", "empty", "", "k", "v"))
	for key, want := range map[string]string{"key": "value", "empty": "", "k": "v"} {
		v, ok, err := Lookup(name, key)
		require.NoError(t, err)
		assert.True(t, ok, key)
		assert.Equal(t, want, v)
	}
	_, ok, err := Lookup(name, "ke")
	require.NoError(t, err)
	assert.False(t, ok)
	_, ok, err = Lookup(write(t, nil), "x")
	require.NoError(t, err)
	assert.False(t, ok, "an empty database")
	_, _, err = Lookup(name+"none", "x")
	assert.ErrorIs(t, err, os.ErrNotExist)
}

// One split: the lowest bit of the hash chooses the page.
func TestSplit(t *testing.T) {
	even, odd := "", ""
	for _, k := range []string{"a", "b", "c", "d"} {
		if hash(k)&1 == 0 {
			even = k
		} else {
			odd = k
		}
	}
	name := write(t, []byte{1}, page(even, "0"), page(odd, "1"))
	for key, want := range map[string]string{even: "0", odd: "1"} {
		v, _, err := Lookup(name, key)
		require.NoError(t, err)
		assert.Equal(t, want, v)
	}
}

func FuzzSearch(f *testing.F) {
	f.Add(page("key", "value"), "key")
	f.Add(make([]byte, pageSize), "x")
	f.Add([]byte{0xff, 0x7f, 3}, "x")
	f.Add([]byte{4, 0, 0xff, 3, 0, 1}, "")
	f.Fuzz(func(t *testing.T, b []byte, key string) {
		p := make([]byte, pageSize)
		copy(p, b)
		v, ok, err := search(p, key)
		if err != nil || !ok {
			require.Empty(t, v)
		}
	})
}
