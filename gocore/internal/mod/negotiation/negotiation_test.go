// Tests of the choice, from files and configuration to the answer. What they
// expect was compared with httpd 2.4 where httpd has an opinion.

package negotiation

import (
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"modwsgi/gocore/internal/conf"
	"modwsgi/gocore/internal/httpd"
	"modwsgi/gocore/internal/mod/authzcore"
	"modwsgi/gocore/internal/mod/authzhost"
	"modwsgi/gocore/internal/mod/core"
	"modwsgi/gocore/internal/mod/dir"
	"modwsgi/gocore/internal/mod/mime"
	"modwsgi/gocore/internal/mod/static"
)

var modules = []httpd.AnyModule{core.Module, authzcore.New(authzhost.Providers...), authzhost.Module, Module, mime.Module, dir.Module, static.Module}

const languages = "AddLanguage en .en\nAddLanguage fr .fr\nAddLanguage de .de\nAddEncoding gzip .gz\nAddCharset utf-8 .utf8\nAddCharset iso-8859-1 .latin1\nAddHandler type-map .var\n"

func site(t *testing.T, config string) func(line string, fields ...string) *httpd.Outcome {
	t.Helper()
	root := t.TempDir()
	for name, text := range map[string]string{"doc.html.en": "en", "doc.html.fr": "fr", "doc.html.de": "de", "mix.html": "<p>long page</p>", "mix.txt": "plain",
		"mix.pdf": "%PDF", "pack.txt.txt": "plain and long", "pack.txt.gz": "zip", "set.txt.latin1": "l", "set.txt.utf8": "u", "eq.txt": "none",
		"eq.txt.fr": "fr", "app.py": "code", "foo.bar.html": "foobar", "unknown.zzz": "x", "only.html.de": "de", "closed.html": "no", "sub.d/x": "x",
		"map.var":    "# map\nURI: doc.html.en\nContent-Type: text/html; qs=0.5\nContent-Language: en\n\nURI: mix.txt\nContent-Type: text/plain\nContent-Language: fr\n",
		"body.var":   "Content-Type: text/plain\nContent-Language: en\nBody:--end\nhello\n\nworld\n--end\n\nContent-Type: text/plain\nContent-Language: fr\nBody: xx\nsalut\nxx\n",
		"broken.var": "URI doc\n", "index.html.en": "index", "index.html.fr": "accueil",
	} {
		p := filepath.Join(root, name)
		require.NoError(t, os.MkdirAll(filepath.Dir(p), 0o755))
		require.NoError(t, os.WriteFile(p, []byte(text), 0o644))
	}
	text := "ServerName x\nListen 80\nDocumentRoot ROOT\nDirectoryIndex index\n<Directory ROOT>\nOptions +MultiViews\n</Directory>\n<Files closed.html>\nRequire all denied\n</Files>\n" +
		languages + config
	tree, diags := conf.ParseText("test.conf", strings.ReplaceAll(text, "ROOT", root), httpd.ConfOptions(modules))
	require.False(t, conf.HasErrors(diags), diags)
	s, diags := httpd.Compile(tree, modules)
	require.False(t, conf.HasErrors(diags), diags)
	return func(path string, fields ...string) *httpd.Outcome {
		r := &httpd.Request{Method: "GET", RawPath: path, RawTarget: path, Proto: "HTTP/1.1", HostName: "x", ContentLength: -1,
			Remote: netip.MustParseAddrPort("127.0.0.1:5"), Local: netip.MustParseAddrPort("127.0.0.1:80")}
		for _, f := range fields {
			if f == "HTTP/1.0" {
				r.Proto = f
				continue
			}
			name, value, _ := strings.Cut(f, ": ")
			r.Header = append(r.Header, httpd.Field{Name: name, Value: value})
		}
		return s.Main.Handle(r)
	}
}

func field(out *httpd.Outcome, name string) string {
	for _, list := range [2][]httpd.Field{out.Header, out.ErrHeader} {
		for _, f := range list {
			if f.Name == name {
				return f.Value
			}
		}
	}
	return ""
}

func TestMultiViews(t *testing.T) {
	for _, c := range []struct {
		config, path, field string
		status              int
		location            string
	}{
		{"", "/doc", "", 200, "doc.html.de"}, // the same in all: the first
		{"LanguagePriority fr en", "/doc", "", 200, "doc.html.fr"},
		{"", "/doc.html", "Accept-Language: fr", 200, "doc.html.fr"},
		{"", "/doc", "Accept-Language: de;q=0.5, en", 200, "doc.html.en"},
		{"", "/doc", "Accept-Language: en-GB", 200, "doc.html.en"},
		{"", "/doc", "Accept-Language: it", 406, ""},
		{"ForceLanguagePriority Fallback", "/doc", "Accept-Language: it", 200, "doc.html.de"},
		{"LanguagePriority en\nForceLanguagePriority Prefer Fallback", "/doc", "Accept-Language: it", 200, "doc.html.en"},
		{"ForceLanguagePriority None", "/doc", "", 300, ""},
		{"ForceLanguagePriority None", "/doc", "Accept-Language: fr, en;q=0.1", 200, "doc.html.fr"},
		{"", "/doc.html.en", "Accept-Language: fr", 200, ""}, // a file by itself
		{"", "/mix", "", 200, "mix.pdf"},                     // the smallest
		{"", "/mix", "Accept: text/plain", 200, "mix.txt"},
		{"", "/mix", "Accept: text/html, */*", 200, "mix.html"},
		{"", "/mix", "Accept: text/html;q=0.1, text/plain;q=0.2, */*;q=0", 200, "mix.txt"},
		{"", "/mix", "Accept: image/png", 406, ""},
		{"", "/mix", "Accept: image/*, */*;q=0.1", 200, "mix.pdf"},
		{"", "/pack.txt", "", 200, "pack.txt.txt"},
		{"", "/pack.txt", "Accept-Encoding: gzip", 200, "pack.txt.gz"},
		{"", "/pack.txt", "Accept-Encoding: gzip;q=0", 200, "pack.txt.txt"},
		{"", "/set", "", 200, "set.txt.utf8"},
		{"", "/set", "Accept-Charset: iso-8859-1, utf-8;q=0", 200, "set.txt.latin1"},
		{"", "/eq", "", 200, "eq.txt.fr"},
		{"", "/eq", "Accept-Language: en, fr;q=0.1", 200, "eq.txt.fr"},
		{"", "/eq", "Accept-Language: en", 200, "eq.txt"},
		{"", "/foo.bar", "", 200, "foo.bar.html"},
		{"", "/foo", "", 404, ""}, // bar means nothing
		{"", "/unknown", "", 404, ""},
		{"AddType text/x-z zzz", "/unknown", "", 200, "unknown.zzz"},
		{"", "/closed", "", 404, ""},
		{"", "/sub", "", 404, ""},
		{"", "/none", "", 404, ""},
		{"", "/doc/extra", "", 404, ""},
		{"AcceptPathInfo On", "/doc/extra", "", 200, ""},
		{"<Directory ROOT>\nOptions -MultiViews\n</Directory>", "/doc", "", 404, ""},
		{"", "/", "Accept-Language: fr", 200, "index.html.fr"},
	} {
		t.Run(c.config+c.path+c.field, func(t *testing.T) {
			var fields []string
			if c.field != "" {
				fields = append(fields, c.field)
			}
			out := site(t, c.config)(c.path, fields...)
			assert.Equal(t, c.status, out.Status)
			assert.Equal(t, c.location, field(out, "Content-Location"))
			assert.Nil(t, out.Repeat)
		})
	}
}

func TestFields(t *testing.T) {
	get := site(t, "")
	out := get("/doc", "Accept-Language: fr")
	assert.Equal(t, "negotiate,accept-language", field(out, "Vary"))
	assert.Equal(t, "choice", field(out, "TCN"))
	assert.Equal(t, "fr", field(out, "Content-Language"))
	assert.Equal(t, "", field(out, "Expires"))
	assert.NotEmpty(t, field(get("/doc", "HTTP/1.0"), "Expires"))
	assert.Empty(t, field(site(t, "CacheNegotiatedDocs On")("/doc", "HTTP/1.0"), "Expires"))
	out = get("/pack.txt", "Accept-Encoding: x-gzip")
	assert.Equal(t, "x-gzip", field(out, "Content-Encoding"))
	out = get("/only", "Accept-Language: fr")
	assert.Equal(t, 406, out.Status)
	assert.Equal(t, `{"only.html.de" 1 {type text/html} {language de} {length 2}}`, field(out, "Alternates"))
	assert.Equal(t, "list", field(out, "TCN"))
	assert.Contains(t, string(out.Body), `<li><a href="only.html.de">only.html.de</a> , type text/html, language de</li>`)
}

func TestHandlersMatch(t *testing.T) {
	config := "AddHandler default-handler .py\n"
	assert.Equal(t, 404, site(t, config+"AddType text/x-python py\nRemoveType py\n<Files *>\nRemoveType .py\n</Files>\nTypesConfig /dev/null")("/app").Status)
	assert.Equal(t, 200, site(t, config+"MultiviewsMatch Handlers\nTypesConfig /dev/null")("/app").Status)
	assert.Equal(t, 200, site(t, config+"MultiviewsMatch Any\nTypesConfig /dev/null")("/app").Status)
}

func TestTypeMap(t *testing.T) {
	get := site(t, "LanguagePriority en fr")
	out := get("/map.var")
	assert.Equal(t, 200, out.Status)
	assert.Equal(t, "mix.txt", field(out, "Content-Location"))
	assert.Equal(t, "text/plain", field(out, "Content-Type"))
	assert.Equal(t, "negotiate,accept,accept-language", field(out, "Vary"))
	assert.Equal(t, "doc.html.en", field(get("/map.var", "Accept-Language: en"), "Content-Location"))
	get = site(t, "MultiviewsMatch Handlers\nLanguagePriority en")
	assert.Equal(t, "doc.html.en", field(get("/map", "Accept-Language: en"), "Content-Location")) // by MultiViews
	assert.Equal(t, "hello\n\nworld\n", string(get("/body.var").Body))
	out = get("/body.var", "Accept-Language: fr")
	assert.Equal(t, "salut\n", string(out.Body))
	assert.Equal(t, "fr", field(out, "Content-Language"))
	assert.Equal(t, 406, get("/body.var", "Accept: image/png").Status)
	assert.Equal(t, 500, get("/broken.var").Status)
}

func TestRefusedConfiguration(t *testing.T) {
	for _, c := range []string{"ForceLanguagePriority Sometimes", "ForceLanguagePriority None Prefer", "CacheNegotiatedDocs maybe"} {
		tree, _ := conf.ParseText("test.conf", c, httpd.ConfOptions(modules))
		_, diags := httpd.Compile(tree, modules)
		assert.True(t, conf.HasErrors(diags), c)
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"text/html;q=0.5, */*;q=0.1", "en-GB,en;q=0.8;level=2", ";;q=,,", "gzip;q=NaN", "a;q=1e400"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		list, _ := parse(s)
		for _, p := range list {
			if !(p.q >= 0 && p.q <= 1) || p.name == "" {
				t.Fatalf("%q gives %v", s, p)
			}
		}
	})
}

func FuzzParseMap(f *testing.F) {
	f.Add("URI: a\nContent-Type: text/html; qs=0.5\n\nBody:x\ntext\nx\n")
	f.Add("URI\n")
	f.Fuzz(func(t *testing.T, s string) {
		variants, err := parseMap(s)
		if err == nil && len(variants) == 0 {
			t.Fatal("no variants and no error")
		}
	})
}
