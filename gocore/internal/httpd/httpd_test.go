// This file tests the helpers of the request path by tables: patterns, prefix
// matching, SCRIPT_NAME, templates, durations, addresses of virtual hosts.

package httpd

import (
	"net/netip"
	"path"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestFnmatch(t *testing.T) {
	for _, c := range []struct {
		pattern, name    string
		pathname, result bool
	}{
		{"", "", false, true}, {"*", "", false, true}, {"*", "a/b", false, true}, {"*", "a/b", true, false},
		{"/home/*/www", "/home/joe/www", true, true}, {"/home/*/www", "/home/a/b/www", true, false},
		{"?", "/", true, false}, {"[/]", "/", true, false}, {"[!a]", "b", false, true}, {"[^a]", "a", false, false},
		{"[a-c]x", "bx", false, true}, {"[]]", "]", false, true}, {"[a", "[a", false, true}, {`\*`, "*", false, true}, {`\*`, "x", false, false},
		{"a*b*c", "aXbYc", false, true}, {"a*b*c", "aXbY", false, false}, {"*.txt", "x.txt", false, true}, {`x\`, `x\`, false, true},
		{"*a*b", "xa/ab", true, false}, {"**", "x", true, true},
	} {
		assert.Equal(t, c.result, Fnmatch(c.pattern, c.name, c.pathname), "%q %q", c.pattern, c.name)
		assert.Equal(t, c.result, Fnmatch(c.pattern, []byte(c.name), c.pathname))
	}
}

// TestFnmatchUnclosed: what is no bracket expression is looked at once, not
// for each byte of the name; with thousands of brackets that was minutes.
func TestFnmatchUnclosed(t *testing.T) {
	open := strings.Repeat("[", 5000)
	assert.True(t, Fnmatch("*"+open, open, false))
	assert.False(t, Fnmatch("*"+open, open+"x", false))
	assert.False(t, Fnmatch("*"+open+`\]`, open+"x", false))
	assert.True(t, Fnmatch("*[a-c]["+open, "xb"+"["+open, false), "one that is closed comes first")
}

// FuzzFnmatch compares with path.Match, where both know the same syntax.
func FuzzFnmatch(f *testing.F) {
	f.Add("a*[b-d]?", "axxcx")
	f.Add("/home/*/x", "/home/y/x")
	f.Fuzz(func(t *testing.T, pattern, name string) {
		got := Fnmatch(pattern, name, true)
		for _, s := range []string{pattern, name} {
			for i := range len(s) {
				if s[i] >= 0x80 {
					return // path.Match counts runes
				}
			}
		}
		if strings.ContainsAny(pattern, `[\`) {
			return
		}
		want, err := path.Match(pattern, name)
		if err == nil {
			require.Equal(t, want, got, "%q %q", pattern, name)
		}
	})
}

func TestMatchPrefix(t *testing.T) {
	for _, c := range []struct {
		uri, alias string
		n          int
	}{
		{"/a", "/a", 2}, {"/a/", "/a", 2}, {"/ab", "/a", 0}, {"/a/b", "/a/", 3}, {"/a", "/a/", 0}, {"//a", "/a", 3}, {"/a//b", "/a/b", 5},
		{"/a/b", "//a//b", 4}, {"/", "/", 1}, {"/x", "/", 1}, {"/A", "/a", 0}, {"/a/bc", "/a/b", 0},
	} {
		assert.Equal(t, c.n, MatchPrefix(c.uri, c.alias), "%q %q", c.uri, c.alias)
	}
}

func TestScriptName(t *testing.T) {
	for _, c := range []struct{ uri, info, wantName, wantInfo string }{
		{"/", "/", "", "/"}, {"/app", "", "/app", ""}, {"/app/", "/", "/app", "/"}, {"/app/x", "/x", "/app", "/x"},
		{"//app//x/", "/x/", "/app", "/x/"}, {"//", "/", "", "/"}, {"/app///x//y", "/x/y", "/app", "/x/y"},
	} {
		r := &Request{URI: c.uri, PathInfo: c.info}
		name, info := r.ScriptName()
		assert.Equal(t, [2]string{c.wantName, c.wantInfo}, [2]string{name, info}, c.uri)
	}
}

func TestMatchLocation(t *testing.T) {
	for _, c := range []struct {
		arg, uri string
		want     bool
	}{
		{"/a", "/a", true}, {"/a", "/a/", true}, {"/a", "/a/b", true}, {"/a", "/ab", false}, {"/a/", "/a", false}, {"/a/", "/a/b", true}, {"/", "/x", true},
	} {
		assert.Equal(t, c.want, matchLocation(&section{arg: c.arg}, c.uri), "%q %q", c.arg, c.uri)
	}
}

func TestRegexp(t *testing.T) {
	re, err := CompileRegexp(`^/(\w+)/(x)?`, false)
	require.NoError(t, err)
	assert.Equal(t, "<ab><>&$&", Expand(`<$1><$2>&\$\&`, "/ab/q", re.Find("/ab/q")))
	// look-ahead and back-references need the other engine; offsets are bytes
	re, err = CompileRegexp(`(?<=é)(x)(?!y)\1`, false)
	require.NoError(t, err)
	assert.Equal(t, []int{3, 5, 3, 4}, re.Find("zéxx"))
	assert.True(t, re.Match([]byte("éxx")))
	assert.Nil(t, re.Find("éxy"))
	_, err = CompileRegexp(`(`, false)
	assert.ErrorContains(t, err, "not a valid regular expression")
	dot, err := CompileRegexp(`^/a.b$`, true)
	require.NoError(t, err)
	assert.True(t, dot.MatchString("/A\nb"))
	assert.False(t, dot.MatchString("/a-b\n"))
	slow, err := CompileRegexp(`^(?=a)(a+)+$`, false)
	require.NoError(t, err)
	assert.PanicsWithValue(t, errRegexTimeout{slow.src}, func() { slow.MatchString(strings.Repeat("a", 40) + "b") })
}

func TestParseDuration(t *testing.T) {
	for s, want := range map[string]time.Duration{"5": 5 * time.Second, "300ms": 300 * time.Millisecond, "2min": 2 * time.Minute, "1H": time.Hour, "0": 0} {
		d, err := ParseDuration(s, time.Second)
		assert.NoError(t, err)
		assert.Equal(t, want, d)
	}
	for _, s := range []string{"", "x", "-1", "5 s", "5days", "99999999999999999999", "9999999999999999h"} {
		_, err := ParseDuration(s, time.Second)
		assert.Error(t, err, s)
	}
}

func TestVhostAddr(t *testing.T) {
	for arg, want := range map[string]string{"*": "[::]:0", "*:80": "[::]:80", "_Default_:81": "[::]:81", "10.0.0.1:82": "10.0.0.1:82", "10.0.0.1": "10.0.0.1:0",
		"[::1]:83": "[::1]:83", "[::1]": "[::1]:0", "*:*": "[::]:0", "0.0.0.0:84": "[::]:84"} {
		keys, _, err := vhostAddr(arg)
		require.NoError(t, err, arg)
		require.Len(t, keys, 1)
		assert.Equal(t, netip.MustParseAddrPort(want), keys[0], arg)
	}
	for _, arg := range []string{"*:0", "*:x", "*:70000", "10.0.0.1:"} {
		_, _, err := vhostAddr(arg)
		assert.Error(t, err, arg)
	}
}

func TestSplitHost(t *testing.T) {
	for h, want := range map[string][2]string{"a": {"a", ""}, "a:1": {"a", "1"}, "[::1]:2": {"[::1]", "2"}, "[::1]": {"[::1]", ""}, "": {"", ""}} {
		n, p := SplitHost(h)
		assert.Equal(t, want, [2]string{n, p})
	}
}

func TestSoftware(t *testing.T) {
	defer func(p string) { Product = p }(Product)
	Product = "modwsgi/1.2.3"
	assert.Equal(t, "modwsgi", software("Prod"))
	assert.Equal(t, "modwsgi/1", software("Major"))
	assert.Equal(t, "modwsgi/1.2", software("minor"))
	assert.Equal(t, "modwsgi/1.2.3", software("Min"))
	assert.True(t, strings.HasPrefix(software("Full"), "modwsgi/1.2.3 ("))
}
