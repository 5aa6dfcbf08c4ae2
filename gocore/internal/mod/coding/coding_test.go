package coding

import (
	"bytes"
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestWeights(t *testing.T) {
	for _, c := range []struct {
		accept         string
		gzip, br, zstd int
	}{
		{"", 0, 0, 0},
		{"gzip", 1000, 0, 0},
		{"x-gzip", 1000, 0, 0},
		{"GZIP ; Q=0.5 , br;q=1.000", 500, 1000, 0},
		{"*", 1000, 1000, 1000},
		{"*;q=0.3, br;q=0", 300, 0, 300},
		{"gzip;q=2", 0, 0, 0},
		{"gzip;q=-1", 0, 0, 0},
		{"gzip;q=NaN", 0, 0, 0},
		{"gzip;q=", 0, 0, 0},
		{"gzip;level=9", 1000, 0, 0},
		{",, gzip,", 1000, 0, 0},
		{"gzipped", 0, 0, 0},
	} {
		w := parseAccept(c.accept)
		assert.Equal(t, []int{c.gzip, c.br, c.zstd}, []int{w.of("gzip"), w.of("br"), w.of("zstd")}, c.accept)
	}
}

func TestTags(t *testing.T) {
	assert.Equal(t, `"a-gzip"`, Gzip.suffixed(`"a"`))
	assert.Equal(t, `W/"a-br"`, Brotli.suffixed(`W/"a"`))
	assert.Equal(t, `broken`, Zstd.suffixed(`broken`))
	assert.Equal(t, `"a", W/"b", "c", "gzip"`, Uncoded(`"a-gzip", W/"b-br", "c-zstd", "gzip"`))
}

// upper is an encoder that holds everything back until it is flushed.
type upper struct {
	to   io.Writer
	held bytes.Buffer
}

func (u *upper) Write(p []byte) (int, error) { return u.held.WriteString(strings.ToUpper(string(p))) }
func (u *upper) Flush() error                { _, err := u.held.WriteTo(u.to); return err }
func (u *upper) Close() error                { u.held.WriteString("."); return u.Flush() }

func TestFilter(t *testing.T) {
	var buf Buffer
	var sizes []int64
	f := NewFilter(&buf, &upper{to: &buf}, func(in, out int64) { sizes = append(sizes, in, out) })
	b, err := f.Write([]byte("before|"), []byte("abc"))
	assert.NoError(t, err)
	assert.Equal(t, "before|", string(b))
	b, _ = f.Flush(b)
	assert.Equal(t, "before|ABC", string(b))
	f.Write(nil, []byte("d"))
	b, _ = f.Close(b)
	assert.Equal(t, "before|ABCD.", string(b))
	assert.Equal(t, []int64{4, 5}, sizes)
}

func FuzzAcceptEncoding(f *testing.F) {
	for _, s := range []string{"gzip;q=0.5, br", "*;q=0", "a;b;c=d;q=1", ";;=,,", "gzip;q=0.0000000001"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		for token, q := range parseAccept(s) {
			if q < 0 || q > 1000 || token == "" || token != strings.ToLower(token) {
				t.Fatalf("%q gives %q weight %d", s, token, q)
			}
		}
	})
}
