// Tests of the parts: the field, targets, counts. The whole is tested in
// package mod, and over sockets in tests/test_auth.py.

package authdigest

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"modwsgi/gocore/internal/conf"
	"modwsgi/gocore/internal/httpd"
)

func TestCredentials(t *testing.T) {
	good := `username="joe", realm="r", nonce="n", uri="/", response="x", qop=auth, nc=00000001, cnonce="c"`
	for _, c := range []struct{ field, problem string }{
		{"Digest " + good, ""},
		{"digest   " + good, ""},
		{"Digest " + strings.ReplaceAll(good, `"`, ""), ""},
		{"Digest " + strings.ReplaceAll(good, ", ", ","), ""},
		{"Digest " + good + ", unknown=\"a, b\"", ""},
		{"Digest " + strings.Replace(good, "=auth", "\t= \"auth\"", 1), ""},
		{"Basic am9lOng=", "wrong authentication scheme"},
		{"Digest " + good + ", username=\"ann\"", "cannot be read"},
		{"Digest " + good + ", USERNAME=ann", "cannot be read"},
		{"Digest " + strings.Replace(good, `"joe"`, `"joe`, 1), "cannot be read"},
		{"Digest " + strings.Replace(good, `"joe"`, `"jo"e"`, 1), "cannot be read"},
		{"Digest " + good + `, x="\`, "cannot be read"},
		{"Digest " + good + ", x", "cannot be read"},
		{"Digest =x", "cannot be read"},
		{"Digest", "missing user"},
		{"Digest " + strings.Replace(good, "username", "username*", 1), "missing user"},
		{"Digest " + strings.Replace(good, "00000001", "1", 1), "missing user"},
		{"Digest " + strings.Replace(good, "cnonce", "xnonce", 1), "missing user"},
		{"Digest " + good + ", userhash=true", "hashed user name"},
		{"Digest " + strings.Replace(good, "joe", "joe:x", 1), "colon"},
		{"Digest " + strings.Replace(good, "joe", "joe\x01", 1), "control"},
	} {
		h, problem := credentials(&httpd.Request{Header: []httpd.Field{{Name: "authorization", Value: c.field}}})
		if c.problem == "" {
			require.Empty(t, problem, c.field)
			assert.Equal(t, header{username: "joe", realm: "r", nonce: "n", uri: "/", response: "x", qop: "auth", nc: "00000001", cnonce: "c"}, *h)
			continue
		}
		assert.Nil(t, h, c.field)
		assert.Contains(t, problem, c.problem, c.field)
	}
	twice := []httpd.Field{{Name: "Authorization", Value: "Digest " + good}, {Name: "Authorization", Value: "Digest " + good}}
	_, problem := credentials(&httpd.Request{Header: twice})
	assert.Contains(t, problem, "more than one")
	h, problem := credentials(&httpd.Request{})
	assert.Nil(t, h)
	assert.Empty(t, problem)
}

func TestQuotedPairs(t *testing.T) {
	h, ok := parse(`username="a\"b\\c", realm="\r"`)
	require.True(t, ok)
	assert.Equal(t, `a"b\c`, h.username)
	assert.Equal(t, "r", h.realm)
}

func FuzzParse(f *testing.F) {
	f.Add(`username="joe", realm="r", nc=00000001`)
	f.Add(`a="\"",b=c,,`)
	f.Add(`a = b , c="`)
	f.Fuzz(func(t *testing.T, s string) {
		h, ok := parse(s)
		if ok {
			// quoting what was read gives the same again
			back, ok := parse(fmt.Sprintf("username=%s, realm=%s", quote(h.username), quote(h.realm)))
			require.True(t, ok)
			assert.Equal(t, []string{h.username, h.realm}, []string{back.username, back.realm})
		}
	})
}

func quote(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s) + `"`
}

func TestSameTarget(t *testing.T) {
	for _, c := range []struct {
		signed, target string
		same           bool
	}{
		{"/a?b", "/a?b", true},
		{"/a%20b", "/a b", true},
		{"/%61", "/a", true},
		{"http://x/a?b", "/a?b", true},
		{"/a", "http://x:80/a", true},
		{"http://x", "/", true},
		{"http://x?q", "/?q", true},
		{"*", "*", true},
		{"/a", "/b", false},
		{"/a", "/a/", false},
		{"/a?b", "/a", false},
		{"/a?", "/a", false},
		{"/a?%62", "/a?b", false},
		{"/a%2", "/a", false},
		{"/a?u=http://x/b", "/b", false},
	} {
		assert.Equal(t, c.same, sameTarget(c.signed, c.target), "%s %s", c.signed, c.target)
	}
}

// RFC 2617 section 3.5 has this example; RFC 7616 keeps the calculation.
func TestResponse(t *testing.T) {
	h := &header{nonce: "dcd98b7102dd2f0e8b11d0f600bfb0c093", nc: "00000001", cnonce: "0a4f113b", qop: "auth"}
	ha1 := sum("Mufasa:testrealm@host.com:Circle Of Life")
	assert.Equal(t, "6629fae49393a05397450978507c4ef1", response(ha1, h, "GET:/dir/index.html"))
	h.qop = ""
	assert.Equal(t, "670fd8c2df070c60b045671b8b24ff02", response(ha1, h, "GET:/dir/index.html"))
}

func TestCounts(t *testing.T) {
	u := &used{m: map[string]*count{}}
	for i, c := range []struct {
		n    uint64
		want verdict
	}{
		{1, nonceGood}, {1, nonceUsed}, {2, nonceGood}, {4, nonceGood}, {3, nonceGood}, {3, nonceUsed}, {2, nonceUsed},
		{70, nonceGood}, {6, nonceUsed}, {7, nonceGood}, {7, nonceUsed}, {4, nonceUsed}, {1000, nonceGood}, {999, nonceGood}, {936, nonceUsed}, {937, nonceGood},
	} {
		assert.Equal(t, c.want, u.use(defaultNonces, "a", 5, c.n), "step %d, count %d", i, c.n)
	}
	assert.Equal(t, nonceGood, u.use(defaultNonces, "b", 6, 1), "another nonce")
}

// However many nonces come, memory is bounded and none is good again.
func TestForgottenNoncesAreStale(t *testing.T) {
	u := &used{m: map[string]*count{}}
	for i := range 3 * 32 {
		require.Equal(t, nonceGood, u.use(32, fmt.Sprint(i), int64(i+1), 1))
		require.LessOrEqual(t, len(u.m), 32)
	}
	for i := range 3 * 32 {
		require.NotEqual(t, nonceGood, u.use(32, fmt.Sprint(i), int64(i+1), 1), i)
	}
}

func TestShmemSize(t *testing.T) {
	for arg, want := range map[string]int{"1000": minNonces, "512K": 4096, "1m": 8192, "2147483647": 2147483647 / 128, "0": 0, "-1": 0, "K": 0, "": 0, "1G": 0, "4096M": 0} {
		var c Config
		err := setShmemSize(&httpd.Cmd{Directive: &conf.Directive{Args: []string{arg}}}, &c)
		assert.Equal(t, want == 0, err != nil, "%q: %v", arg, err)
		assert.Equal(t, want, c.nonces, arg)
	}
	assert.Equal(t, defaultNonces, (&Config{}).maxNonces())
	merged := New(nil).Merge(&Config{nonces: 20, counted: true}, &Config{})
	assert.Equal(t, 20, merged.maxNonces(), "the main server's size holds in sections")
	assert.False(t, merged.counted, "and nothing else does")
}
