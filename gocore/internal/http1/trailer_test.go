package http1

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestTrailer(t *testing.T) {
	const whole = "3\r\nabc\r\n0a;x=y\r\n0123456789\r\n0\r\nX-One:  first \r\nx-two:\r\nX-ONE: second\r\n\r\n"
	for _, c := range []struct {
		body, name, want string
		ok               bool
	}{
		{whole, "x-one", "first", true}, {whole, "X-Two", "", true}, {whole, "X-Three", "", false}, {whole, "X-On", "", false},
		{"0\r\n\r\n", "X", "", false}, {"", "X", "", false}, {"3\r\nabc\r\n0\r\nX: cut", "X", "", false},
		{"5\r\nX: 1\r\n0\r\n\r\n", "X", "", false}, {"ffffffff\r\nabc", "X", "", false},
		{"5\r\nX: 1\n\r\n0\r\nX: 2\r\n\r\n", "X", "2", true},
	} {
		v, ok := Trailer([]byte(c.body), c.name)
		assert.Equal(t, c.ok, ok, "%q %s", c.body, c.name)
		assert.Equal(t, c.want, string(v), "%q %s", c.body, c.name)
	}
}

func FuzzTrailer(f *testing.F) {
	f.Add("3\r\nabc\r\n0\r\nX: 1\r\n\r\n", "X")
	f.Add("fffffffffffffff\r\n", "X")
	f.Fuzz(func(t *testing.T, body, name string) {
		v, ok := Trailer([]byte(body), name)
		if ok {
			assert.True(t, strings.Contains(body, string(v)))
		}
	})
}
