// This file checks the precomputed way: that it gives what the phases give,
// and that it does not allocate.

package mod

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
)

// compile compiles a text with $DIR replaced by a directory that holds
// app.wsgi, docs/a.txt and docs/index.html.
func compile(t testing.TB, text string) *httpd.Server {
	dir, err := filepath.EvalSymlinks(t.TempDir())
	require.NoError(t, err)
	for _, f := range []string{"app.wsgi", "docs/a.txt", "docs/index.html"} {
		require.NoError(t, os.MkdirAll(filepath.Dir(filepath.Join(dir, f)), 0o755))
		require.NoError(t, os.WriteFile(filepath.Join(dir, f), nil, 0o644))
	}
	opt := httpd.ConfOptions(All)
	opt.ServerRoot = dir
	tree, diags := conf.ParseText("httpd.conf", strings.ReplaceAll(text, "$DIR", dir), opt)
	require.False(t, conf.HasErrors(diags), diags)
	srv, diags := httpd.Compile(tree, All)
	require.False(t, conf.HasErrors(diags), diags)
	return srv
}

const fastConfig = `
ServerName x
Listen 80
DocumentRoot $DIR/docs
Alias /static $DIR/docs
Alias /st/at/ic/ $DIR/docs/
AliasMatch ^/re/x+$ $DIR/docs/a.txt
Redirect /away http://example.org/
WSGIScriptAlias /app/sub $DIR/app.wsgi
WSGIScriptAlias /app $DIR/app.wsgi
WSGIScriptAlias /slash/ $DIR/
WSGIScriptAlias /gone $DIR/gone.wsgi
WSGIScriptAlias /a/b/c $DIR/app.wsgi
WSGIScriptAlias /a/b $DIR/app.wsgi
WSGIScriptAlias / $DIR/app.wsgi
<Location /admin>
  Require all denied
</Location>
<Location /app/x/>
  SetEnv X 1
</Location>
<LocationMatch "/private(/|$)">
  Require all denied
</LocationMatch>
<Location "/*/glob">
  WSGICallableObject glob
</Location>
`

// few has so few entries that the table is not indexed.
const fewConfig = "ServerName x\nListen 80\nAlias /static $DIR/docs\nWSGIScriptAlias / $DIR/app.wsgi\n<Location /admin>\nRequire all denied\n</Location>\n"

// agrees checks one path on both ways.
func agrees(t testing.TB, v *httpd.VirtualHost, path string) {
	plan, n := v.Fast([]byte("GET"), []byte(path))
	if plan == nil {
		return
	}
	out := v.Handle(&httpd.Request{Method: "GET", RawPath: path, RawTarget: path, Proto: "HTTP/1.1", ContentLength: -1})
	require.Same(t, plan, out.Plan, path)
	require.Equal(t, path[:n], out.ScriptName, path)
	require.Equal(t, path[n:], out.PathInfo, path)
}

var fastPaths = []string{"/", "/x", "/app", "/app/", "/app/x", "/app/x/", "/apple", "/app/sub", "/app/sub/", "/app/subway", "/static", "/static/a.txt", "/statics",
	"/st/at/ic/", "/st/at/ic", "/re/xxx", "/re/y", "/away", "/away/x", "/slash/", "/slash/app.wsgi", "/gone", "/gone/x", "/a", "/a/b", "/a/b/c", "/a/b/cc", "/a/b/c/d",
	"/admin", "/admin/", "/administrator", "/x/private", "/private/x", "/privates", "/app/glob", "/app/y/glob", "/x/glob", "/q/w/glob"}

func TestFastAgreesWithPhases(t *testing.T) {
	for _, text := range []string{fastConfig, fewConfig} {
		v := compile(t, text).Main
		taken := 0
		for _, p := range fastPaths {
			agrees(t, v, p)
			if plan, _ := v.Fast([]byte("GET"), []byte(p)); plan != nil {
				taken++
			}
		}
		assert.Greater(t, taken, 10)
	}
}

func FuzzFast(f *testing.F) {
	for _, p := range fastPaths {
		f.Add(p)
	}
	many, few := compile(f, fastConfig).Main, compile(f, fewConfig).Main
	f.Fuzz(func(t *testing.T, path string) {
		if !plain(path) || strings.ContainsAny(path, "?#\x00") {
			return
		}
		agrees(t, many, path)
		agrees(t, few, path)
	})
}

func TestFastIsPlainOnlyWhenNothingCanChange(t *testing.T) {
	head := "ServerName x\nListen 80\nDocumentRoot $DIR/docs\nWSGIScriptAlias / $DIR/app.wsgi\n"
	for _, c := range []struct {
		name, more string
		fast       bool
	}{
		{"nothing", "", true},
		{"granted", "<Directory />\nRequire all granted\n</Directory>", true},
		{"denied", "<Directory />\nRequire all denied\n</Directory>", false},
		{"denied, but the file is granted", "<Directory />\nRequire all denied\n</Directory>\n<Directory $DIR>\n<Files app.wsgi>\nRequire all granted\n</Files>\n</Directory>", true},
		{"by address", "<Location />\nRequire ip 10.0.0.0/8\n</Location>", false},
		{"by method", "<Location />\nRequire method GET\n</Location>", false},
		{"access files", "<Directory $DIR>\nAllowOverride All\n</Directory>", false},
		{"access files elsewhere", "<Directory $DIR/docs>\nAllowOverride All\n</Directory>", true},
		{"constant variables", "SetEnv A b", true},
		{"another handler", "AddHandler other .wsgi", false},
		{"set handler", "<Files app.wsgi>\nSetHandler none\n</Files>", false},
		{"group by host", "WSGIApplicationGroup %{HOST}", false},
		{"group by variable", "WSGIApplicationGroup %{ENV:X}", false},
		{"group of the server", "WSGIApplicationGroup %{SERVER}", true},
		{"files first", "WSGIFileOrApplication On", true}, // a directory is no file
		{"files and directories first", "WSGIFileOrApplication Directories", false},
		{"redirect in a Location", "<Location />\nRedirect http://example.org/\n</Location>", false},
		{"named groups", "<LocationMatch ^/(?<n>.*)>\nSetEnv X 1\n</LocationMatch>", false},
		{"limited", "<Location />\n<Limit POST>\nRequire all denied\n</Limit>\n</Location>", false},
	} {
		v := compile(t, head+c.more).Main
		plan, _ := v.Fast([]byte("GET"), []byte("/"))
		assert.Equal(t, c.fast, plan != nil, c.name)
		trace, _ := v.Fast([]byte("TRACE"), []byte("/"))
		assert.Nil(t, trace)
	}
	v := compile(t, head+"AcceptPathInfo Off\nWSGIScriptAlias /x $DIR/app.wsgi\n").Main
	out := v.Handle(&httpd.Request{Method: "GET", RawPath: "/y", RawTarget: "/y", ContentLength: -1})
	assert.Equal(t, 404, out.Status)
	plan, _ := v.Fast([]byte("GET"), []byte("/y"))
	assert.Nil(t, plan)
}

func TestFastWhereFilesComeFirst(t *testing.T) {
	head := "ServerName x\nListen 80\nDocumentRoot $DIR/docs\nWSGIScriptAlias /app $DIR/app.wsgi\nWSGIScriptAlias / $DIR/app.wsgi\nWSGIFileOrApplication "
	for mode, fast := range map[string]map[string]bool{
		"On":          {"/": true, "/none": true, "/a.txt": false, "/a.txt/x": true, "/index.html": false, "/sub": true, "/app": true, "/app/a.txt": true, "/app/": true},
		"Directories": {"/": false, "/none": true, "/a.txt": false, "/a.txt/x": true, "/app": true, "/app/x": true},
		"Off":         {"/a.txt": true},
	} {
		v := compile(t, head+mode).Main
		for path, want := range fast {
			plan, _ := v.Fast([]byte("GET"), []byte(path))
			assert.Equal(t, want, plan != nil, "%s %s", mode, path)
			agrees(t, v, path)
		}
		method, path := []byte("GET"), []byte("/none")
		assert.Zero(t, testing.AllocsPerRun(100, func() { v.Fast(method, path) }), mode)
	}
}

func TestNoAllocations(t *testing.T) {
	for name, text := range map[string]string{"few": fewConfig, "many": fastConfig} {
		v := compile(t, text).Main
		method, hit, miss := []byte("GET"), []byte("/app/some/path"), []byte("/static/x")
		assert.Zero(t, testing.AllocsPerRun(100, func() {
			v.Fast(method, hit)
			v.Fast(method, miss)
		}), name)
	}
	hosts := "Listen 80\n"
	for _, n := range []string{"a", "b", "c"} {
		hosts += "<VirtualHost *:80>\nServerName " + n + ".example\nServerAlias *." + n + ".example\n</VirtualHost>\n"
	}
	srv := compile(t, hosts)
	local := netip.MustParseAddrPort("127.0.0.1:80")
	set, host := srv.Hosts(local), []byte("WWW.C.example:80")
	assert.Equal(t, 3, set.Select(host).Index())
	assert.Zero(t, testing.AllocsPerRun(100, func() {
		srv.Hosts(local)
		set.Select(host)
	}))
}

func BenchmarkFast(b *testing.B) {
	for name, text := range map[string]string{"few": fewConfig, "many": fastConfig} {
		b.Run(name, func(b *testing.B) {
			v := compile(b, text).Main
			method, path := []byte("GET"), []byte("/some/path")
			for b.Loop() {
				v.Fast(method, path)
			}
		})
	}
}

func BenchmarkHandle(b *testing.B) {
	v := compile(b, fastConfig).Main
	for b.Loop() {
		v.Handle(&httpd.Request{Method: "GET", RawPath: "/some/path", RawTarget: "/some/path", ContentLength: -1})
	}
}
