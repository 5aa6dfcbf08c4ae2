// Tests of multi-extension names and of how scopes combine.

package mime

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"modwsgi/gocore/internal/conf"
	"modwsgi/gocore/internal/httpd"
)

func apply(t *testing.T, c *Config, words ...string) {
	t.Helper()
	for _, d := range Module.Directives {
		if d.Name == words[0] {
			require.NoError(t, d.Set(&httpd.Cmd{Directive: &conf.Directive{Name: d.Name, Args: words[1:]}}, c))
			return
		}
	}
	t.Fatal("no directive ", words[0])
}

func TestDescribe(t *testing.T) {
	c := &Config{}
	apply(t, c, "AddType", "application/x-thing", ".thing", "THINGY")
	apply(t, c, "AddEncoding", "x-gzip", "gz")
	apply(t, c, "AddEncoding", "x-uu", "uu")
	apply(t, c, "AddLanguage", "fr", ".fr")
	apply(t, c, "AddLanguage", "de", ".de")
	apply(t, c, "AddCharset", "UTF-8", "utf8")
	apply(t, c, "AddHandler", "WSGI-script", ".wsgi", "py")
	for _, x := range []struct {
		name string
		want Facts
	}{
		{"index.html", Facts{Type: "text/html", Unknown: []string{"index"}}},
		{"INDEX.HTML", Facts{Type: "text/html", Unknown: []string{"INDEX"}}},
		{"index", Facts{Unknown: []string{"index"}}},
		{"html", Facts{Unknown: []string{"html"}}},
		{".htaccess", Facts{Unknown: []string{"htaccess"}}},
		{"a.thing", Facts{Type: "application/x-thing", Unknown: []string{"a"}}},
		{"a.html.thingy", Facts{Type: "application/x-thing", Unknown: []string{"a"}}},
		{"a.html.fr.de.utf8", Facts{Type: "text/html", Charset: "utf-8", Languages: []string{"fr", "de"}, Unknown: []string{"a"}}},
		{"a.html.bak", Facts{Type: "text/html", Unknown: []string{"a", "bak"}}},
		{"app.wsgi", Facts{Handler: "wsgi-script", Unknown: []string{"app", "wsgi"}}},
		{"app.py.txt", Facts{Type: "text/plain", Handler: "wsgi-script", Unknown: []string{"app", "py"}}},
		{"a..css.", Facts{Type: "text/css", Unknown: []string{"a"}}},
		{"a.tar.bz2", Facts{Type: "application/x-bzip2", Unknown: []string{"a"}}},
		{"a.txt.uu.gz", Facts{Type: "text/plain", Encoding: "x-uu, x-gzip", Unknown: []string{"a"}}},
	} {
		assert.Equal(t, x.want, c.Describe(x.name), x.name)
	}
	apply(t, c, "MultiviewsMatch", "Handlers")
	assert.Equal(t, []string{"app"}, c.Describe("app.wsgi").Unknown)
	apply(t, c, "MultiviewsMatch", "Any")
	assert.Equal(t, []string{"app"}, c.Describe("app.wsgi.bak").Unknown)
	apply(t, c, "DefaultLanguage", "en")
	assert.Equal(t, []string{"en"}, c.Describe("a.html").Languages)
	assert.Equal(t, []string{"fr"}, c.Describe("a.html.fr").Languages)
}

func TestMerge(t *testing.T) {
	parent, child := &Config{}, &Config{}
	apply(t, parent, "AddHandler", "cgi-script", "cgi", "py")
	apply(t, parent, "AddType", "text/x-a", "a")
	apply(t, child, "RemoveHandler", ".py", "cgi")
	apply(t, child, "AddHandler", "wsgi-script", "py")
	apply(t, child, "RemoveType", "a", "html")
	got := merge(parent, child)
	assert.Equal(t, "wsgi-script", got.Describe("x.py").Handler)
	assert.Equal(t, "", got.Describe("x.cgi").Handler)
	assert.Equal(t, "", got.TypeOf("a"))
	assert.Equal(t, "text/html", got.TypeOf("html"), "RemoveType does not reach TypesConfig")
	assert.Equal(t, "cgi-script", parent.Describe("x.py").Handler, "merging is pure")
}

func TestTypesConfig(t *testing.T) {
	file := filepath.Join(t.TempDir(), "types")
	require.NoError(t, os.WriteFile(file, []byte("# comment\ntext/x-one one uno # more\n\ntext/x-none\n"), 0o600))
	c := &Config{}
	apply(t, c, "TypesConfig", file)
	assert.Equal(t, "text/x-one", c.TypeOf("UNO"))
	assert.Equal(t, "", c.TypeOf("html"))
	apply(t, c, "TypesConfig", os.DevNull)
	assert.Equal(t, "", c.TypeOf("uno"))
}

func TestTypePhase(t *testing.T) {
	r := &httpd.Request{Filename: "/srv/a.css"}
	assert.Equal(t, httpd.Declined, findType(r, &Config{}))
	assert.Equal(t, "text/css", r.ContentType)
	assert.Greater(t, len(builtinTypes), 400)
}

func TestMultiviewsMatch(t *testing.T) {
	c := &Config{}
	apply(t, c, "MultiviewsMatch", "Handlers", "Filters")
	assert.Equal(t, []string{"handlers", "filters"}, c.Multiviews.V)
	assert.Error(t, setMultiviews(&httpd.Cmd{Directive: &conf.Directive{Args: []string{"x"}}}, c))
	assert.Error(t, setMultiviews(&httpd.Cmd{Directive: &conf.Directive{Args: []string{"Any"}}, In: httpd.InLocation}, c))
}
