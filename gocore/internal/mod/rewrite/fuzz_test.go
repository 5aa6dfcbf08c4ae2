// This file fuzzes the reading of rules and conditions and the expansion of
// strings: nothing that a configuration or request says may crash or loop.

package rewrite

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"modwsgi/gocore/internal/httpd"
)

func FuzzParse(f *testing.F) {
	for _, s := range []string{`^/a(.*)$ /b$1?x=%{QUERY_STRING} [R=301,L,E=A:${m:$1|d}]`, `"^/a b" '/c' "[CO=a:b:c,B=\x20?]"`, `a\ b - [F]`,
		`%{HTTP:X} "-ge 5" [NC,OR]`, `expr "%{REQUEST_URI} == '/'"`, `^ ${a:${b:%1|$2}|%{ENV:X}} [N=3]`, `x y [`, `" `, `\`, `a ? [QSA]`, `( x`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		if p, err := parseRule(raw); err == nil {
			require.NotNil(t, p.re)
			x := &run{r: &httpd.Request{Host: &httpd.VirtualHost{}}, c: &Config{}, ruleMatch: match{"abc", []int{0, 3, 1, 2}}}
			if !strings.Contains(raw, "{") { // variables need a server
				x.expandTracked(p.subst, p)
			}
			p.mapNames()
		}
		words, n, err := splitArgs(raw)
		if err == nil {
			c := &cond{text: words[0], pattern: words[1]}
			if n > 2 {
				_ = eachFlag(words[2], c.setFlag)
			}
			if _, err := c.parseTest(httpd.ParseExpr); err == nil {
				require.NotNil(t, c.test)
			}
		}
	})
}

// FuzzTemplate: without anything to expand a string stays as it is.
func FuzzTemplate(f *testing.F) {
	for _, s := range []string{"", "$1%2", "${a:b|c}", "%{X", "${", `\`, `\\$`, "${a:{}|}x", "%", "$", "?%1?"} {
		f.Add(s, "v?")
	}
	f.Fuzz(func(t *testing.T, s, v string) {
		tpl := parseTemplate(s)
		tpl.mapNames(nil)
		if strings.ContainsAny(s, `{\`) {
			return
		}
		x := &run{ruleMatch: match{v, []int{0, len(v)}}, condMatch: match{v, []int{0, len(v)}}, c: &Config{}}
		got, _ := x.expandTracked(tpl, nil)
		if !strings.ContainsAny(s, "$%") {
			require.Equal(t, s, got)
		}
		want := strings.NewReplacer("$0", v, "%0", v).Replace(s)
		if !strings.ContainsAny(strings.NewReplacer("$0", "", "%0", "").Replace(s), "$%") {
			require.Equal(t, want, got)
		}
	})
}

func TestSplitArgs(t *testing.T) {
	for _, c := range []struct {
		raw   string
		words []string
		err   string
	}{
		{`a b`, []string{"a", "b"}, ""}, {`  a   b   [L] `, []string{"a", "b", "[L]"}, ""},
		{`"a b" 'c d' "[E=x:y z]"`, []string{"a b", "c d", "[E=x:y z]"}, ""},
		{`a\ b c`, []string{`a\ b`, "c"}, ""}, {`"a\"b c`, []string{`a\`, "b", "c"}, ""},
		{`a`, nil, "at least two"}, {`"a b`, nil, "closing"}, {`a b [E=x:y z]`, nil, "unexpected"},
		{`a "" [R]`, []string{"a", "", "[R]"}, ""},
	} {
		words, n, err := splitArgs(c.raw)
		if c.err != "" {
			assert.ErrorContains(t, err, c.err, c.raw)
			continue
		}
		require.NoError(t, err, c.raw)
		assert.Equal(t, c.words, words[:n], c.raw)
	}
}

func TestFlagErrors(t *testing.T) {
	for flags, want := range map[string]string{
		"[Z]": "unknown flag", "L": "brackets", "[R=99]": "not the status", "[R=abc]": "not the status", "[N=x]": "rounds", "[S=-1]": "skip",
		"[E]": "needs the name", "[CO]": "needs name", "[BNE]": "list of characters",
	} {
		_, err := parseRule("^x$ /y " + flags)
		assert.ErrorContains(t, err, want, flags)
	}
	p, err := parseRule("^x$ /y [last,QSAppend,nocase,chain,env=A:b,Redirect=temp,skip=3,handler=h,type=t/x,ns,DPI,UnsafeAllow3F,UnsafePrefixStat,UNC,Next=7]")
	require.NoError(t, err)
	assert.Equal(t, flagLast|flagQueryAppend|flagNoCase|flagChain|flagRedirect|flagNoSubreq|flagDiscardPath|flagAllow3F|flagUnsafeStat|flagUNC|flagNext, p.flags)
	assert.Equal(t, [3]int{302, 3, 7}, [3]int{p.status, p.skip, p.rounds})
}

func TestSplitCommand(t *testing.T) {
	got, err := splitCommand(`/bin/x  a\ b "c d" 'e' ""`)
	require.NoError(t, err)
	assert.Equal(t, []string{"/bin/x", "a b", "c d", "e", ""}, got)
	_, err = splitCommand(`x "y`)
	assert.Error(t, err)
}
