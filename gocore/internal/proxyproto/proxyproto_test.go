// Tests of both versions of the header, whole, in pieces, and malformed.
package proxyproto

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

const sig = "\r\n\r\n\x00\r\nQUIT\n"

var headers = []struct {
	name, text string
	client     string // "" = the connection's own
	err        error
}{
	{"v1 TCP4", "PROXY TCP4 192.0.2.1 198.51.100.1 56324 443\r\n", "192.0.2.1:56324", nil},
	{"v1 TCP6", "PROXY TCP6 2001:db8::1 2001:db8::2 1 65535\r\n", "[2001:db8::1]:1", nil},
	{"v1 IPv4 as IPv6", "PROXY TCP6 ::ffff:192.0.2.1 2001:db8::2 1 65535\r\n", "192.0.2.1:1", nil},
	{"v1 unknown", "PROXY UNKNOWN\r\n", "", nil},
	{"v1 unknown with addresses", "PROXY UNKNOWN ffff:f...f:ffff ffff:f...f:ffff 65535 65535\r\n", "", nil},
	{"v2 TCP4", sig + "\x21\x11\x00\x0c\xc0\x00\x02\x01\xc6\x33\x64\x01\x00\x50\x01\xbb", "192.0.2.1:80", nil},
	{"v2 TCP6", sig + "\x21\x21\x00\x24" + "\x20\x01\x0d\xb8" + strings.Repeat("\x00", 11) + "\x01" + strings.Repeat("\x00", 16) + "\x00\x50\x01\xbb", "[2001:db8::1]:80", nil},
	{"v2 IPv4 as IPv6", sig + "\x21\x21\x00\x24" + strings.Repeat("\x00", 10) + "\xff\xff\xc0\x00\x02\x01" + strings.Repeat("\x00", 16) + "\x00\x50\x01\xbb", "192.0.2.1:80", nil},
	{"v2 with more fields", sig + "\x21\x11\x00\x10\xc0\x00\x02\x01\xc6\x33\x64\x01\x00\x50\x01\xbb\x04\x00\x01x", "192.0.2.1:80", nil},
	{"v2 local", sig + "\x20\x00\x00\x00", "", nil},
	{"v2 unix", sig + "\x21\x31\x00\x02ab", "", nil},

	{"HTTP", "GET / HTTP/1.1\r\n", "", ErrMissing},
	{"TLS", "\x16\x03\x01", "", ErrMissing},
	{"lower case", "proxy tcp4 ", "", ErrMissing},
	{"v1 bare LF", "PROXY TCP4 192.0.2.1 198.51.100.1 56324 443\n", "", ErrFormat},
	{"v1 wrong family", "PROXY TCP6 192.0.2.1 198.51.100.1 56324 443\r\n", "", ErrFormat},
	{"v1 port", "PROXY TCP4 192.0.2.1 198.51.100.1 65536 443\r\n", "", ErrFormat},
	{"v1 port with zero", "PROXY TCP4 192.0.2.1 198.51.100.1 01 443\r\n", "", ErrFormat},
	{"v1 too few", "PROXY TCP4 192.0.2.1 198.51.100.1 1\r\n", "", ErrFormat},
	{"v1 two blanks", "PROXY TCP4  192.0.2.1 198.51.100.1 1 2\r\n", "", ErrFormat},
	{"v1 too long", "PROXY UNKNOWN " + strings.Repeat("x", 100) + "\r\n", "", ErrLong},
	{"v2 version", sig + "\x11\x11\x00\x00", "", ErrVersion},
	{"v2 command", sig + "\x22\x11\x00\x00", "", ErrVersion},
	{"v2 short body", sig + "\x21\x11\x00\x04abcd", "", ErrFormat},
	{"v2 family", sig + "\x21\x41\x00\x00", "", ErrFormat},
	{"v2 too long", sig + "\x21\x11\xff\xff", "", ErrLong},
}

func TestParse(t *testing.T) {
	for _, c := range headers {
		t.Run(c.name, func(t *testing.T) {
			client, n, err := Parse([]byte(c.text + "GET"))
			assert.ErrorIs(t, err, c.err)
			if c.err != nil {
				assert.Zero(t, n)
				return
			}
			assert.Equal(t, len(c.text), n)
			if c.client == "" {
				assert.False(t, client.IsValid())
			} else {
				assert.Equal(t, c.client, client.String())
			}
			for i := range c.text { // every beginning asks for more
				_, n, err := Parse([]byte(c.text[:i]))
				assert.NoError(t, err, i)
				assert.Zero(t, n, i)
			}
		})
	}
}

func FuzzParse(f *testing.F) {
	for _, c := range headers {
		f.Add([]byte(c.text))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		_, n, err := Parse(b)
		if n < 0 || n > len(b) || err != nil && n != 0 {
			t.Fatal(n, err)
		}
	})
}
