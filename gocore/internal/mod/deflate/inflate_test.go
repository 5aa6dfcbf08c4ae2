// Decompression: limits, broken streams, members, and the push form of the reader.

package deflate

import (
	"bytes"
	stdgzip "compress/gzip"
	"errors"
	"io"
	"math/rand"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"modwsgi/gocore/internal/httpd"
)

func zip(parts ...string) []byte {
	var b bytes.Buffer
	for _, p := range parts { // a member each
		w := stdgzip.NewWriter(&b)
		_, _ = io.WriteString(w, p)
		_ = w.Close()
	}
	return b.Bytes()
}

// through decompresses a body as the input filter would.
func through(c *config, body io.Reader) (string, error) {
	got, err := io.ReadAll(newInflater(body, c, 1<<20))
	return string(got), err
}

func TestInput(t *testing.T) {
	noise := make([]byte, 100_000)
	rand.New(rand.NewSource(1)).Read(noise)
	long := strings.Repeat("x", 900_000)
	cut := zip("some text that is cut")
	for _, c := range []struct {
		name, body, want string
		config           config
		status           int
	}{
		{name: "plain", body: string(zip("hello")), want: "hello"},
		{name: "no bytes inside", body: string(zip("")), want: ""},
		{name: "noise", body: string(zip(string(noise))), want: string(noise)},
		{name: "members", body: string(zip("one ", "two")), want: "one two"},
		{name: "something behind", body: string(zip("one")) + "garbage", want: "one"},
		{name: "one byte behind", body: string(zip("one")) + "g", want: "one"},
		{name: "no gzip", body: "hello, this is plain", status: 400},
		{name: "nothing", body: "", want: ""},
		{name: "cut", body: string(cut[:len(cut)-5]), want: "some text that is cut", status: 400},
		{name: "wrong sum", body: string(cut[:len(cut)-6]) + "xxxxxx", want: "some text that is cut", status: 400},
		{name: "bomb", body: string(zip(long)), status: 400},
		{name: "a bomb that is wanted", body: string(zip(long)), want: long, config: config{inflateRatio: httpd.Some(2000)}},
		{name: "bursts", body: string(zip(long)), want: long, config: config{inflateBurst: httpd.Some(1000)}},
		{name: "limit", body: string(zip("0123456789")), status: 413, config: config{inflateLimit: httpd.Some(int64(9))}},
		{name: "no more than the limit", body: string(zip("0123456789")), want: "0123456789", config: config{inflateLimit: httpd.Some(int64(10))}},
		{name: "limit of the core", body: string(zip(long, long)), status: 413, config: config{inflateRatio: httpd.Some(2000)}},
	} {
		for _, slow := range []bool{false, true} {
			var body io.Reader = strings.NewReader(c.body)
			if slow {
				body = iotest.OneByteReader(body)
			}
			got, err := through(&c.config, body)
			if c.status == 0 {
				require.NoError(t, err, c.name)
				assert.Equal(t, len(c.want), len(got), c.name)
				assert.True(t, c.want == got, c.name)
				continue
			}
			var status *httpd.StatusError
			require.True(t, errors.As(err, &status), "%s: %v", c.name, err)
			assert.Equal(t, c.status, status.Status, c.name)
			if c.want != "" {
				assert.Equal(t, c.want, got, c.name)
			}
		}
	}
}

func TestInputPassesErrorsOn(t *testing.T) {
	gone := errors.New("gone")
	body := zip(strings.Repeat("hello", 1000))
	_, err := through(&config{}, io.MultiReader(bytes.NewReader(body[:20]), iotest.ErrReader(gone)))
	assert.Equal(t, gone, err)
}

func TestWithoutGzip(t *testing.T) {
	for in, want := range map[string]string{"gzip": "", "x-gzip": "", "GZip": "", "br, gzip": "br", "br ,x-GZIP ": "br", "gzip, br": "-", "": "-", "deflate": "-"} {
		rest, ok := withoutGzip(in)
		if !ok {
			rest = "-"
		}
		assert.Equal(t, want, rest, in)
	}
}

// push writes a body to the output filter in pieces of a size.
func push(f *inflateFilter, body []byte, size int) (string, error) {
	var out []byte
	var err error
	for len(body) > 0 && err == nil {
		n := min(size, len(body))
		out, err = f.Write(out, body[:n])
		body = body[n:]
	}
	if err == nil {
		out, err = f.Close(out)
	}
	return string(out), err
}

func TestOutput(t *testing.T) {
	noise := make([]byte, 200_000)
	rand.New(rand.NewSource(2)).Read(noise)
	for _, text := range []string{"", "hello", strings.Repeat("long ", 100_000), string(noise)} {
		for _, size := range []int{1, 7, 4096, 1 << 20} {
			if size == 1 && len(text) > 1000 {
				continue
			}
			got, err := push(&inflateFilter{}, zip(text), size)
			require.NoError(t, err)
			assert.True(t, text == got, "%d bytes in pieces of %d", len(text), size)
		}
	}
	got, err := push(&inflateFilter{}, append(zip("one"), "rubbish"...), 5)
	assert.NoError(t, err)
	assert.Equal(t, "one", got, "what follows is ignored")
	body := zip("a body that is cut")
	_, err = push(&inflateFilter{}, body[:len(body)-4], 3)
	assert.ErrorIs(t, err, io.ErrUnexpectedEOF)
	_, err = push(&inflateFilter{}, []byte("no gzip at all"), 3)
	assert.Error(t, err)
	got, err = push(&inflateFilter{}, nil, 1)
	assert.NoError(t, err)
	assert.Empty(t, got)
}

// What is ready goes out with each write: the other side may wait for it.
func TestOutputHoldsNothingBack(t *testing.T) {
	var b bytes.Buffer
	w := stdgzip.NewWriter(&b)
	_, _ = io.WriteString(w, "first")
	_ = w.Flush()
	f := &inflateFilter{}
	out, err := f.Write(nil, b.Bytes())
	require.NoError(t, err)
	assert.Equal(t, "first", string(out))
	f.Abandon()
	f.Abandon()
	_, err = f.Write(nil, []byte("x"))
	assert.ErrorIs(t, err, errStopped)
	(&inflateFilter{}).Abandon()
}

func FuzzInflate(f *testing.F) {
	f.Add(zip("hello"), 3)
	f.Add(zip("one", "two"), 100)
	f.Add([]byte{0x1f, 0x8b}, 1)
	f.Fuzz(func(t *testing.T, body []byte, size int) {
		if size < 1 || size > 1<<16 || len(body) > 1<<16 {
			t.Skip()
		}
		got, err := through(&config{}, bytes.NewReader(body))
		assert.LessOrEqual(t, len(got), 1<<20)
		pushed, err2 := push(&inflateFilter{}, body, size)
		if err == nil && err2 == nil {
			assert.Equal(t, got, pushed)
		}
	})
}
