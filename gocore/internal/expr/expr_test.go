// Tables of expressions. What a row expects was asked of httpd 2.4, but for
// the rows marked "ours".
package expr

import (
	"net/netip"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// fake is a request: variables, tables by "table:name", and who was asked.
type fake struct {
	values map[string]string
	warned []string
	asked  []string
}

func (f *fake) Var(name string) string { return f.values[name] }

func (f *fake) key(t Table, name string) string {
	return []string{"req:", "req:", "resp:", "reqenv:", "note:"}[t] + strings.ToLower(name)
}
func (f *fake) Lookup(t Table, name string) string { return f.values[f.key(t, name)] }
func (f *fake) Has(t Table, name string) bool      { _, ok := f.values[f.key(t, name)]; return ok }
func (f *fake) Client() netip.Addr                 { return netip.MustParseAddr("::ffff:127.0.0.1") }
func (f *fake) Warn(m string)                      { f.warned = append(f.warned, m) }
func (f *fake) Reachable(file bool, s string) bool {
	f.asked = append(f.asked, s)
	return file && s == "/etc/passwd" || !file && s == "/f.txt"
}

type goRegexp struct{ *regexp.Regexp }

func (r goRegexp) Find(s string) []int { return r.FindStringSubmatchIndex(s) }

func testDialect() Dialect {
	return Dialect{
		Regexp: func(p string, icase bool) (Regexp, error) {
			if icase {
				p = "(?i)" + p
			}
			re, err := regexp.Compile("(?s)" + p)
			return goRegexp{re}, err
		},
		Glob: func(pattern, s string, pathname bool) bool {
			if !pathname {
				s = strings.ReplaceAll(s, "/", "\x01")
			}
			ok, _ := path.Match(pattern, s)
			return ok
		},
		Variable: func(name string) bool { return strings.HasPrefix(name, "REQUEST_") || name == "REMOTE_ADDR" },
	}
}

func testWorld() *fake {
	return &fake{values: map[string]string{
		"REQUEST_METHOD": "GET", "REQUEST_URI": "/a/f.txt", "REMOTE_ADDR": "127.0.0.1",
		"req:host": "127.0.0.1:18999", "resp:x-r": "there", "reqenv:e": "request", "note:e": "note", "reqenv:empty": "",
	}}
}

func TestConditions(t *testing.T) {
	t.Setenv("EXPR_TEST", "os")
	t.Setenv("empty", "os")
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	require.NoError(t, os.WriteFile(file, []byte("text"), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "none"), nil, 0o600))
	require.NoError(t, os.Symlink(file, filepath.Join(dir, "link")))
	for text, want := range map[string]bool{
		"true": true, "false": false, "(true)": true, " ( ( true ) ) ": true, "!(true)": false, "!!true": true,
		"! false && false": false, "!true || true": true, "true || true && false": true, "false || true && false": false,
		"true&&true": true, "false||true": true, "true and true": true, "false or true": true, "not true": false,
		"not 'a' == 'b' and true": true, "((true) && (false || true))": true,
		"'a' == 'b' . 'c'": false, "'bc' == 'b' . 'c'": true, "!'a' == 'b'": true, "'a'=='a'&&'b'=='b'": true,
		"'a' = 'a'": true, "'a' != 'b'": true, "'a' < 'b'": true, "'10' < '9'": true, "'b' >= 'b'": true, "'a' <= 'b'": true, "'b' > 'a'": true,
		"5 -gt 3": true, "-5 -lt 3": true, "5 gt -3": true, "5-gt 3": true, "10 -lt 9": false, "'10' -lt '9x'": false, "' 12' -eq 12": true,
		"'a' eq 'b'": true, "05 -eq 5": true, "5 ne 6": true, "5 -ge 5": true, "5 le 4": false, "'5' == 5": true, "-5 -lt -4": true,
		"1 . 2 == '12'": true, "1.2 == '12'": true, "'a'. 'b' == 'ab'": true, "'a' .'b' == 'ab'": true,
		"'99999999999999999999' -gt 5": true, // ours: the nearest number

		"'abc' =~ /b/": true, "'a/c' =~ m#a/c#": true, "'a/c' =~ m'a/c'": true, "'ABC' =~ /abc/i": true, "'ABC' =~ /abc/": false,
		"'a' !~ /b/": true, "'a' =~ //": true, "'ac' =~ m.ac.": true, "'ac' =~ m-ac-": true, "'ac' =~ m/ac/": true,
		"'a\\nb' =~ /a.b/": true, "'x\\ny' =~ /^y/m": true, "'x\\ny' =~ /^y/": false, "'ABC' =~ /b/igsm": true, // flags but i: ours
		"'abc' =~ /(b)/ && $0 == 'b'": true, "'abc' =~ /b/ && '$0' == 'b'": false, "'abc' =~ /b(c)/ && $1 == 'c'": true,
		"'x' =~ /(x)/ && \"a$1b\" == 'axb'": true, "'x' =~ /(x)/ && 'y' !~ /z/ && '$1' == 'x'": true,
		"'x' =~ /(x)/ && 'y' =~ /y/ && '$1' == 'x'": true, "'ab' =~ /(x)?b/ && '$1' == ''": true, "'$1' == ''": true,
		"'x' =~ /(x)/ && '$9' == ''": true,

		"'a' in {'b','a'}": true, "'a' -in { 'b' , 'c' }": false, "'abc' -in{'abc'}": true, "'a' in {req('x'), 'b', 'a'} && true": true,
		"'a' -strmatch '?'": true, "'A' -strcmatch 'a*'": true, "'a/b' -fnmatch 'a*'": false, "'a/b' -strmatch 'a*'": true,
		"'a' -STRMATCH 'a'": true, "'b' -strmatch '[ab]'": true, "'a' -strmatch %{REQUEST_METHOD}": false,
		"-R '127.0.0.0/8'": true, "-R '127'": true, "-R '128.0.0.1'": false, "%{REMOTE_ADDR} -ipmatch '127.0.0.0/255.0.0.0'": true,
		"'a' -ipmatch '1.2.3.4'": false, "'1.2.3.4' -ipmatch '1.2.3'": true, "'::1' -ipmatch '::/64'": true, "'1.2.3.4' -ipmatch '::/0'": false,

		"-n 'a'": true, "-z ''": true, "-n%{REQUEST_METHOD}": true, "!-n ''": true, "-n reqenv('x')": false,
		"-T 'off'": false, "-T '0'": false, "-T 'No'": false, "-T 'FALSE'": false, "-T ''": false, "-T 'x'": true,
		"-f '" + file + "'": true, "-e '" + dir + "'": true, "-d '" + dir + "'": true, "-d '" + file + "'": false, "-s '" + file + "'": true,
		"-s '" + dir + "/none'": false, "-L '" + dir + "/link'": true, "-h '" + file + "'": false, "-x '" + dir + "'": true, "-x '" + file + "'": false,
		"-f ''": false, "-e '" + dir + "/missing'": false,
		"-U '/f.txt'": true, "-A '/nothing'": false, "-F '/etc/passwd'": true,

		`'\101' == 'A'`: true, `"a\"b" == 'a"b'`: true, `'\x41' == 'x41'`: true, `'a\qb' == 'aqb'`: true, `"a'b" == 'a\'b'`: true, `'\\' == "\\"`: true,
		"'$a' == '$a'": true, "'%a' == '%a'": true, "'}' == '}'": true, "'/' == '/'": true, "'a\tb' == 'a\\tb'": true,
		"%{REQUEST_URI} =~ m#/f#": true, "%{request_uri} =~ /f/": true, "%{req:Host} == '127.0.0.1:18999'": true, "%{REQ:host}=~/127/": true,
		"%{HTTP:Host} != ''": true, "req('host') -strmatch '127*'": true, "http('none') == ''": true, "%{req_novary:host} != ''": true,
		"resp('X-R') == 'there'": true, "reqenv('e') == 'request'": true, "note('e') == 'note'": true, "env('e') == 'note'": true,
		"env('EXPR_TEST') == 'os'": true, "env('empty') == ''": true, "%{ENV:EXPR_TEST} == 'os'": true, "osenv('EXPR_TEST') == 'os'": true,
		"'%{tolower:A%{REQUEST_METHOD}}' == 'aget'": true, "%{REQUEST_METHOD} . 'x' == 'GETx'": true, `%{tolower:A"'B} == 'a"\'b'`: true, // quotes: ours
		"tolower(toupper('a')) == 'a'": true, "tolower ( 'A' . 'b' ) == 'ab'": true, "toupper('\\303\\244a') == '\\303\\244A'": true,
		"escape('a b/c?d\\303') == 'a%20b/c%3fd%c3'": true, "unescape('a%2fb%20c') == 'a%2fb c'": true, "unescape('a%zz') == ''": true,
		"unescape('%00') == ''": true, "unescape('%4') == ''": true,
		"base64('foo') == 'Zm9v'": true, "unbase64('Zm9v!') == 'foo'": true, "unbase64('Zm9') == 'fo'": true, "unbase64('Zm9vZ') == 'foo'": true,
		"md5('foo') == 'acbd18db4cc2f85cedef654fccc4a4d8'": true, "sha1('foo') == '0beec7b5ea3f0fdbc95d0dd47f3c5bc275da8a33'": true,
		`ldap('a*') == 'a\\2a'`:          true,
		"filesize('" + file + "') -eq 4": true, "filesize('/missing') == '0'": true, "file('" + file + "') == 'text'": true, "file('" + dir + "') == ''": true,
		"file('/dev/zero') == ''": true,
	} {
		c, err := Parse(text, testDialect())
		if assert.NoError(t, err, text) {
			assert.Equal(t, want, c.Eval(testWorld(), nil), text)
		}
	}
}

func TestErrors(t *testing.T) {
	for text, want := range map[string]string{
		"":                              "a value was expected",
		"true true":                     "&&, || or the end of the expression was expected at character 6",
		"truex":                         "truex( was expected at character 1",
		"TRUE":                          "TRUE( was expected",
		"()":                            "a value was expected",
		"(true":                         "the parenthesis is not closed at character 1",
		"true)":                         "at character 5",
		"'a'":                           "an operator such as == or =~ was expected at the end",
		"'a' == 'a' == 'b'":             "&&, || or the end",
		"'a' == ('a')":                  "a value was expected",
		"'a' == 'a',":                   "at character 11",
		"true & true":                   "at character 6",
		"true|false":                    "at character 5",
		"tolower 'A' == 'a'":            "tolower( was expected",
		"tolower('a','b') == ''":        ") was expected after the argument of tolower",
		"tolower() == ''":               "a value was expected",
		"%{foo} == ''":                  "there is no variable foo at character 3",
		"%{foo:x} == ''":                "there is no function foo",
		"foo('bar') == ''":              "there is no function foo",
		"%{REQUEST METHOD} == ''":       `" " is not allowed in the name of a variable at character 10`,
		"%{REQUEST_METHOD":              "%{ is not closed at character 1",
		"'%{req:Host' == ''":            "%{ is not closed at character 2",
		"'%{' == 'x'":                   "%{ must be followed by",
		"%{req:} == ''":                 "the argument of req is empty",
		"'unterminated":                 `"'" has no end at character 1`,
		"'a' =~ 'a'":                    "a regular expression must follow",
		"'a/c' =~ /a\\/c/":              "unknown flag",
		"'ac' =~ m@ac@":                 "a regular expression must follow",
		"'a' =~ /a":                     "no closing",
		"'a' =~ /abc/x":                 "unknown flag of a regular expression",
		"'a' =~ /(/":                    "missing closing )",
		"'a' =~ /b/ . 'x'":              "&&, ||",
		"'a' in {}":                     "a value was expected",
		"'x' -in 'x'":                   "a list",
		"'x' in f('x')":                 "no function that gives a list",
		"'a' IN {'b'}":                  "an operator",
		"3 -EQ 3":                       "an operator",
		"5 -gt3":                        "an operator",
		"-Z 'a'":                        "one of the tests",
		"-foo 'a'":                      "one of the tests",
		"- 5 -lt 3":                     "one of the tests",
		"'a' -foo 'b'":                  "an operator",
		"-R 'foo'":                      `"foo" is not an address or network`,
		"'1.2.3.4' -ipmatch '1.2/33'":   "not an address or network",
		"'a' -ipmatch %{REMOTE_ADDR}":   "must be a constant",
		"'::1' -ipmatch '::/255.0.0.0'": "not an address",
		`'\8' == 'x'`:                   "octal digits of 1 to 377",
		`'\777' == 'x'`:                 "octal digits",
		`'\0' == 'x'`:                   "octal digits",
		"'a\nb' == ''":                  "line break",
		strings.Repeat("(", 200):        "more than 100 levels of nesting",
		strings.Repeat("!", 200):        "more than 100 levels of nesting",
		strings.Repeat("%{req:", 200):   "more than 100 levels of nesting",
		strings.Repeat("req(", 200):     "more than 100 levels of nesting",
	} {
		_, err := Parse(text, testDialect())
		assert.ErrorContains(t, err, want, text)
	}
	d := testDialect()
	d.Restricted = true
	for _, text := range []string{"file('/x') == ''", "%{filesize:/x} == 0"} {
		_, err := Parse(text, d)
		assert.ErrorContains(t, err, "is not allowed here", text)
	}
	_, err := ParseString("%{FILE:/x}", d)
	assert.ErrorContains(t, err, "is not allowed here")
}

func TestStrings(t *testing.T) {
	for text, want := range map[string]string{
		"plain": "plain", "": "", "'quoted' \"x\"": "'quoted' \"x\"", "100%": "100%", "a$1b %{REQUEST_METHOD}": "ab GET",
		"50% of %{req:Host}": "50% of 127.0.0.1:18999", `\a\101\\`: `aA\`, "%{tolower:%{toupper:x}}": "x", "a\\": "a\\", "}": "}",
	} {
		s, err := ParseString(text, testDialect())
		if assert.NoError(t, err, text) {
			assert.Equal(t, want, s.Eval(testWorld(), nil), text)
		}
	}
	s, err := ParseString("a\\$1", testDialect())
	require.NoError(t, err)
	v, ok := s.Constant()
	assert.True(t, ok)
	assert.Equal(t, "a$1", v)
	s, err = ParseString("<$1>", testDialect())
	require.NoError(t, err)
	_, ok = s.Constant()
	assert.False(t, ok)
	var m Captures
	c, err := Parse("%{REQUEST_URI} =~ m#^/(.)/#", testDialect())
	require.NoError(t, err)
	assert.True(t, c.Eval(testWorld(), &m))
	assert.Equal(t, "<a>", s.Eval(testWorld(), &m))
	_, err = ParseString("%{req:Host", testDialect())
	assert.ErrorContains(t, err, "%{ is not closed at character 1")
}

func TestUses(t *testing.T) {
	c, err := Parse("true || ('a' == tolower(%{REMOTE_ADDR}) && 'b' in {'c'})", testDialect())
	require.NoError(t, err)
	assert.True(t, c.Uses("REMOTE_ADDR"))
	assert.False(t, c.Uses("REQUEST_URI"))
}

func TestBothSidesAreEvaluatedOnlyWhenNeeded(t *testing.T) {
	w := testWorld()
	c, err := Parse("true || -U '/x'", testDialect())
	require.NoError(t, err)
	assert.True(t, c.Eval(w, nil))
	assert.Empty(t, w.asked)
}

// FuzzParse: no text may panic, hang, or parse to something that cannot be
// evaluated.
func FuzzParse(f *testing.F) {
	for _, s := range []string{"true && !(false || 'a' == \"b\")", "%{REQUEST_URI} =~ m#^/(a)#i && $1 in {'a', 'b' . 'c'}", "-n %{req:X%{req:Y}}",
		"'1.2.3.4' -ipmatch '1.2.3.0/24'", `'\101\n' != base64('x')`, "%{tolower:$0 %{", "5 -gt -3 or not -z ''"} {
		f.Add(s)
	}
	d := testDialect()
	d.Restricted = true
	f.Fuzz(func(t *testing.T, s string) {
		if strings.Contains(s, "-") { // no looking at files
			s = strings.NewReplacer("-d", "-n", "-e", "-n", "-f", "-n", "-s", "-n", "-L", "-n", "-h", "-n", "-x", "-n").Replace(s)
		}
		if c, err := Parse(s, d); err == nil {
			c.Eval(testWorld(), nil)
		} else {
			assert.NotEmpty(t, err.Error())
		}
		if x, err := ParseString(s, d); err == nil {
			x.Eval(testWorld(), nil)
		}
	})
}
