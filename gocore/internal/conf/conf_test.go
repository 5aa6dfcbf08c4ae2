// This file tests the public functions and the parts that the golden files do
// not show: the real file system, limits, encoding and suggestions.

package conf

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func codes(diags []Diagnostic) []string {
	list := []string{}
	for _, d := range diags {
		list = append(list, d.Code)
	}
	return list
}

func TestDiagnosticText(t *testing.T) {
	tests := []struct {
		name       string
		d          Diagnostic
		line, form string
	}{
		{
			"everything",
			Diagnostic{Error, CodeUnknownDirective, Pos{"a.conf", 7}, "WSGIScriptAlais", "unknown directive", `did you mean "WSGIScriptAlias"?`},
			`a.conf:7: error: WSGIScriptAlais: unknown directive (did you mean "WSGIScriptAlias"?) [CONF-UNKNOWN-DIRECTIVE]`,
			"AH00526: Syntax error on line 7 of a.conf:\nWSGIScriptAlais: unknown directive (did you mean \"WSGIScriptAlias\"?)",
		},
		{"no line", Diagnostic{Severity: Warning, Pos: Pos{File: "a.conf"}, Message: "text"}, "a.conf: warning: text", "a.conf: text"},
		{"no place", Diagnostic{Severity: Notice, Message: "text"}, "notice: text", "text"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			assert.Equal(t, tt.line, tt.d.String())
			assert.Equal(t, tt.form, tt.d.ErrorForm())
		})
	}
	assert.False(t, HasErrors([]Diagnostic{{Severity: Warning}, {Severity: Notice}}))
	assert.True(t, HasErrors([]Diagnostic{{Severity: Warning}, {Severity: Error}}))
}

func TestSuggest(t *testing.T) {
	names := []string{"", "Alias", "Listen", "ListenBacklog", "Options", "User", "UserDir", "WSGIScriptAlias", "WSGIScriptAliasMatch"}
	for name, want := range map[string]string{
		"Listne":           "Listen",
		"lisen":            "Listen",
		"WSGIScriptAlia":   "WSGIScriptAlias",
		"wsgiscriptalais":  "WSGIScriptAlias",
		"Usre":             "User",
		"Usr":              "User",
		"U":                "",
		"":                 "",
		"Nonsense":         "",
		"WSGIScriptAliasM": "WSGIScriptAlias",
		"Ailas":            "Alias",

		strings.Repeat("x", 300): "",
	} {
		assert.Equal(t, want, Suggest(name, names), "for %q", name)
	}
	assert.Empty(t, Suggest("Listen", nil))
}

func TestEditDistance(t *testing.T) {
	for _, tt := range []struct {
		a, b string
		want int
	}{
		{"", "", 0}, {"a", "", 1}, {"", "ab", 2}, {"ab", "ba", 1}, {"abc", "abd", 1},
		{"abcd", "acbd", 1}, {"ca", "abc", 3}, {"kitten", "sitting", 3},
	} {
		assert.Equal(t, tt.want, editDistance(tt.a, tt.b), "%s %s", tt.a, tt.b)
		assert.Equal(t, tt.want, editDistance(tt.b, tt.a), "%s %s", tt.b, tt.a)
	}
}

func TestEncode(t *testing.T) {
	tree, diags := ParseText("a.conf", "Define X y\nServerRoot /srv\n<Directory />\n<Files \"a b\">\nRequire all granted\n</Files>\n</Directory>\nEmpty\n", Options{})
	require.Empty(t, diags)
	var b bytes.Buffer
	require.NoError(t, Encode(&b, tree))
	back, err := Decode(&b)
	require.NoError(t, err)
	assert.Equal(t, tree, back)

	_, err = Decode(strings.NewReader("nonsense"))
	assert.ErrorContains(t, err, "decoding the configuration")
}

func TestWords(t *testing.T) {
	assert.Equal(t, []string{"a b", "c", `d\e`}, Words(` "a b" c d\e `))
	assert.Empty(t, Words(" "))
}

func TestRealFiles(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		full := filepath.Join(dir, name)
		require.NoError(t, os.MkdirAll(filepath.Dir(full), 0o755))
		require.NoError(t, os.WriteFile(full, []byte(text), 0o644))
		return full
	}
	main := write("httpd.conf", "\xef\xbb\xbfInclude sites[1]/*.conf\nInclude "+os.DevNull+"\n<IfFile sites[1]>\nYes\n</IfFile>\n")
	one := write("sites[1]/one.conf", "One ${CONF_TEST_VARIABLE}\n")
	t.Setenv("CONF_TEST_VARIABLE", "value")

	tree, diags := Parse(main, Options{ServerRoot: dir})
	// The brackets in the pattern are a wildcard for "sites1".
	assert.Equal(t, []string{CodeEncoding, CodeInclude}, codes(diags))
	require.Len(t, tree.Root, 1)

	// Those of the ServerRoot are not.
	write("sites[1]/httpd.conf", "Include o*.conf\n")
	root := filepath.Dir(one)
	tree, diags = Parse(filepath.Join(root, "httpd.conf"), Options{ServerRoot: root})
	require.Empty(t, diags)
	require.Len(t, tree.Root, 1)
	assert.Equal(t, []string{"value"}, tree.Root[0].Args)
	assert.Equal(t, Pos{one, 1}, tree.Root[0].Pos)

	t.Run("unreadable", func(t *testing.T) {
		tree, diags := Parse(filepath.Join(dir, "none.conf"), Options{})
		require.Len(t, diags, 1)
		assert.Equal(t, Error, diags[0].Severity)
		assert.Equal(t, filepath.Join(dir, "none.conf")+": error: cannot read the configuration file: no such file or directory [CONF-FILE]", diags[0].String())
		assert.NotNil(t, tree)

		_, diags = Parse(dir, Options{})
		assert.Equal(t, []string{CodeFile}, codes(diags))
		assert.Contains(t, diags[0].Message, "is a directory")
	})
	t.Run("no permission", func(t *testing.T) {
		if os.Getuid() == 0 {
			t.Skip("root may read everything")
		}
		require.NoError(t, os.Chmod(one, 0))
		_, diags := ParseText("x", "IncludeOptional "+root, Options{})
		assert.Contains(t, codes(diags), CodeFile)
	})
	t.Run("directory loop", func(t *testing.T) {
		loop := filepath.Join(t.TempDir(), "loop")
		require.NoError(t, os.MkdirAll(loop, 0o755))
		if err := os.Symlink(loop, filepath.Join(loop, "again")); err != nil {
			t.Skip(err)
		}
		_, diags := ParseText("x", "Include "+loop, Options{})
		assert.Equal(t, []string{CodeIncludeLimit}, codes(diags))
	})
}

func TestLimits(t *testing.T) {
	t.Run("nesting", func(t *testing.T) {
		text := strings.Repeat("<S>\n", 300) + "Inside\n" + strings.Repeat("</S>\n", 300) + "After\n"
		tree, diags := ParseText("x", text, Options{})
		assert.Equal(t, []string{CodeNesting}, codes(diags))
		require.Len(t, tree.Root, 2)
		assert.Equal(t, "After", tree.Root[1].Name)
	})
	t.Run("doubling variable", func(t *testing.T) {
		_, diags := ParseText("x", "Define A xxxxxxxxxxxxxxxx\n"+strings.Repeat("Define A ${A}${A}\n", 40), Options{})
		assert.Contains(t, codes(diags), CodeLineTooLong)
	})
	t.Run("doubling macro", func(t *testing.T) {
		var b strings.Builder
		b.WriteString("<Macro M0>\nX\n</Macro>\n")
		for i := 1; i < 40; i++ {
			fmt.Fprintf(&b, "<Macro M%d>\nUse M%d\nUse M%d\n</Macro>\n", i, i-1, i-1)
		}
		tree, diags := ParseText("x", b.String()+"Use M39\n", Options{})
		assert.Equal(t, []string{CodeMacro}, codes(diags))
		assert.LessOrEqual(t, len(tree.Root), maxExpansions)
	})
	t.Run("growing macro argument", func(t *testing.T) {
		text := "<Macro M $x>\nX " + strings.Repeat("$x", 2000) + "\n</Macro>\nUse M " + strings.Repeat("y", 2000) + "\n"
		_, diags := ParseText("x", text, Options{})
		assert.Equal(t, []string{CodeMacro}, codes(diags))
	})
	t.Run("long line", func(t *testing.T) {
		tree, diags := ParseText("x", "A "+strings.Repeat("y", maxLine)+"\nB\n", Options{})
		assert.Equal(t, []string{CodeLineTooLong}, codes(diags))
		require.Len(t, tree.Root, 1)
	})
	t.Run("many files", func(t *testing.T) {
		files := memFiles{fstest.MapFS{"d/a": &fstest.MapFile{Data: []byte("A\n")}}}
		_, diags := ParseText("x", strings.Repeat("Include /d/a\n", maxFiles+5), Options{files: files})
		assert.Equal(t, []string{CodeIncludeLimit}, codes(diags))
	})
}

// Without HasModule the LoadModule lines decide, from their place on.
func TestLoadedModules(t *testing.T) {
	tree, diags := ParseText("x", `
<IfModule wsgi_module>
Before yes
</IfModule>
LoadModule wsgi_module modules/mod_wsgi-py3.so
<IfModule mod_wsgi.c>
After c
</IfModule>
<IfModule wsgi_module>
After id
</IfModule>
<IfModule !other_module>
After other
</IfModule>
`, Options{})
	require.Empty(t, diags)
	var got []string
	for _, d := range tree.Root {
		got = append(got, d.Name+" "+d.Raw)
	}
	assert.Equal(t, []string{"LoadModule wsgi_module modules/mod_wsgi-py3.so", "After c", "After id", "After other"}, got)
}

// Raw is what directives with a syntax of their own read.
func TestRaw(t *testing.T) {
	tree, _ := ParseText("x", "Define A b\nRewriteCond   %{X} \"a\\\"${A}\" [NC] \n<If  \"%{X} == 'y'\" >\n</If>", Options{})
	require.Len(t, tree.Root, 2)
	assert.Equal(t, `%{X} "a\"b" [NC]`, tree.Root[0].Raw)
	assert.Equal(t, `"%{X} == 'y'"`, tree.Root[1].Raw)
	assert.Equal(t, []string{"%{X} == 'y'"}, tree.Root[1].Args)
}
