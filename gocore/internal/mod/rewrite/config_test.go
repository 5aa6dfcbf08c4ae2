// This file tests what only we promise: errors and warnings of the
// configuration, limits, programs that fail, and rules that cost nothing.

package rewrite_test

import (
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"modwsgi/gocore/internal/conf"
	"modwsgi/gocore/internal/httpd"
	"modwsgi/gocore/internal/mod"
)

// compile reads a configuration and returns the server and all diagnostics.
func compile(t *testing.T, dir, text string) (*httpd.Server, string) {
	opt := httpd.ConfOptions(mod.All)
	opt.ServerRoot = dir
	tree, diags := conf.ParseText("httpd.conf", "ServerName example.test:80\nListen 80\n"+text, opt)
	srv, more := httpd.Compile(tree, mod.All)
	var b strings.Builder
	for _, d := range append(diags, more...) {
		b.WriteString(d.String() + "\n")
	}
	return srv, b.String()
}

func get(srv *httpd.Server, path string) *httpd.Outcome {
	return handle(srv, func() *httpd.Request {
		return &httpd.Request{Method: "GET", RawTarget: path, RawPath: path, Proto: "HTTP/1.1", HostName: "example.test", ContentLength: -1, Start: time.Now(),
			Local: netip.MustParseAddrPort("127.0.0.1:80"), Remote: netip.MustParseAddrPort("127.0.0.1:4000")}
	})
}

func TestDiagnostics(t *testing.T) {
	dir := t.TempDir()
	file := func(name, text string) string {
		name = filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(name, []byte(text), 0o755))
		return name
	}
	file("map.txt", "a b\n")
	file("bdb", strings.Repeat("\x00", 12)+"\x61\x15\x06\x00")
	for _, c := range []struct{ text, want string }{
		{`RewriteRule ^x$ fcgi://y.test/ [P]`, "error: RewriteRule: the flag P cannot use fcgi://"},
		{`RewriteRule ^(x$ /y`, `error: RewriteRule: "^(x$" is not a valid regular expression`},
		{`RewriteRule ^x$`, "error: RewriteRule: too few arguments"},
		{`RewriteCond %{X} y [XY]`, `unknown flag "XY"`},
		{`RewriteCond %{X} -f [NC]`, "warning: RewriteCond: the flag NC has no effect"},
		{"RewriteCond a b [OR]\nRewriteRule x y", "warning: RewriteRule: the last condition has the flag OR"},
		{"RewriteCond a b", "warning: RewriteCond: no RewriteRule follows"},
		{"RewriteCond expr nonsense(", "error: RewriteCond: the expression"},
		{"RewriteRule x ${nomap:$1}", `warning: RewriteRule: no RewriteMap of this server is called "nomap"`},
		{"RewriteMap m txt:missing.txt", "error: RewriteMap: stat "},
		{"RewriteMap m int:nothing", `error: RewriteMap: there is no internal map "nothing"`},
		{"RewriteMap m odd:x", `error: RewriteMap: unknown type of map "odd"`},
		{"RewriteMap m dbd:select", "error: RewriteMap: maps of type dbd need mod_dbd"},
		{"RewriteMap m dbm:bdb", "is a Berkeley DB file; only SDBM files can be read"},
		{"RewriteMap m dbm=gdbm:x", "error: RewriteMap: DBM files of type gdbm cannot be read"},
		{"RewriteMap m dbm:nothing", "no such file"},
		{"RewriteMap m prg:/bin/cat joe:users", "error: RewriteMap: the program runs as the user of the server"},
		{"RewriteMap m prg:", "needs the path of a program"},
		{"RewriteMap m txt:map.txt\nRewriteRule x ${m:$1}", ""},
		{"RewriteOptions inherit NoSuch", `error: RewriteOptions: unknown option "NoSuch"`},
		{"RewriteOptions MaxRedirects=5", "warning: RewriteOptions: MaxRedirects=5 has no effect"},
		{"RewriteBase /x", "error: RewriteBase: not allowed here"},
		{"<Directory />\nRewriteBase x\n</Directory>", "error: RewriteBase: \"x\" is not a URL path"},
		{"RewriteEngine maybe", "error: RewriteEngine: must be On or Off"},
	} {
		_, got := compile(t, dir, c.text)
		if c.want == "" {
			assert.Empty(t, got, c.text)
		} else {
			assert.Contains(t, got, c.want, c.text)
		}
	}
}

func TestCatastrophicPattern(t *testing.T) {
	srv, diags := compile(t, t.TempDir(), `RewriteEngine On
RewriteRule ^/(?=(a+)+$).*b /never`)
	require.Empty(t, diags)
	logged := ""
	srv.Logger = func(_ *httpd.VirtualHost, _ *httpd.Request, _ int, _, msg string) { logged += msg }
	assert.Equal(t, 500, get(srv, "/"+strings.Repeat("a", 40)+"c").Status)
	assert.Contains(t, logged, "took longer than")
}

func TestProgramFails(t *testing.T) {
	dir := t.TempDir()
	name := filepath.Join(dir, "prog.sh")
	require.NoError(t, os.WriteFile(name, []byte("#!/bin/sh\nread line; [ \"$line\" = quit ] && exit 1; echo ok; read line; exec sleep 100\n"), 0o755))
	srv, diags := compile(t, dir, "RewriteEngine On\nRewriteMap p prg:"+name+"\nRewriteRule ^/(.*)$ /to/${p:$1} [R]")
	require.Empty(t, diags)
	logged := ""
	srv.Logger = func(_ *httpd.VirtualHost, _ *httpd.Request, _ int, _, msg string) { logged += msg + "\n" }
	assert.Equal(t, 302, get(srv, "/x").Status)
	assert.Equal(t, 500, get(srv, "/hangs").Status)
	assert.Contains(t, logged, "no answer within")
	assert.Equal(t, 500, get(srv, "/again").Status)
	assert.Contains(t, logged, "is not started again yet")
}

func TestTextMapReread(t *testing.T) {
	dir := t.TempDir()
	name := filepath.Join(dir, "map.txt")
	write := func(text string, at time.Time) {
		require.NoError(t, os.WriteFile(name, []byte(text), 0o644))
		require.NoError(t, os.Chtimes(name, at, at))
	}
	write("k one\n", time.Unix(1e9, 0))
	srv, _ := compile(t, dir, "RewriteEngine On\nRewriteMap m txt:map.txt\nRewriteRule ^/k$ /${m:k|none} [R]")
	location := func() string {
		for _, f := range append(get(srv, "/k").Header, get(srv, "/k").ErrHeader...) {
			if f.Name == "Location" {
				return f.Value
			}
		}
		return ""
	}
	assert.Equal(t, "http://example.test/one", location())
	write("k two\n", time.Unix(1e9, 1))
	assert.Equal(t, "http://example.test/two", location())
	require.NoError(t, os.Remove(name))
	assert.Equal(t, "http://example.test/none", location())
}

// Seed: the process group of an application from a DBM file.
func TestSDBM(t *testing.T) {
	tool, err := exec.LookPath("httxt2dbm")
	if err != nil {
		t.Skip("httxt2dbm is not installed")
	}
	dir := t.TempDir()
	var text strings.Builder
	for i := range 500 { // several pages
		text.WriteString("/app" + strings.Repeat("x", i%7) + string(rune('a'+i%26)) + string(rune('a'+i/26)) + " group" + string(rune('a'+i%26)) + string(rune('a'+i/26)) + "\n")
	}
	require.NoError(t, os.WriteFile(filepath.Join(dir, "map.txt"), []byte(text.String()), 0o644))
	out, err := exec.Command(tool, "-f", "SDBM", "-i", filepath.Join(dir, "map.txt"), "-o", filepath.Join(dir, "map.dbm")).CombinedOutput()
	require.NoError(t, err, "%s", out)
	srv, diags := compile(t, dir, "RewriteEngine On\nRewriteMap m dbm:map.dbm\nRewriteRule . /to/${m:%{REQUEST_URI}|none} [R]")
	require.Empty(t, diags)
	for line := range strings.Lines(text.String()) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		out := get(srv, key)
		assert.Contains(t, append(out.Header, out.ErrHeader...), httpd.Field{Name: "Location", Value: "http://example.test/to/" + value})
	}
	none := get(srv, "/nothing")
	assert.Contains(t, append(none.Header, none.ErrHeader...), httpd.Field{Name: "Location", Value: "http://example.test/to/none"})
}

// A virtual host that says nothing of rules has none, and keeps the fast way.
func TestFastRouteOfOtherHosts(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "app.wsgi"), nil, 0o644))
	srv, diags := compile(t, dir, "WSGIScriptAlias /app "+dir+"/app.wsgi\nRewriteEngine On\nRewriteRule x y\n<VirtualHost *>\nServerName other.test\n</VirtualHost>\n"+
		"<VirtualHost *>\nServerName rules.test\nRewriteOptions Inherit\n</VirtualHost>\n")
	require.NotContains(t, diags, "error")
	for i, want := range []bool{true, false} {
		p, _ := srv.VirtualHosts[i].Fast([]byte("GET"), []byte("/app/z"))
		assert.Equal(t, want, p != nil, srv.VirtualHosts[i].ServerName)
	}
}

// A site whose engine is off keeps its precomputed routes.
func TestFastRoute(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "app.wsgi"), nil, 0o644))
	for rules, fast := range map[string]bool{
		"": true, "RewriteEngine Off\nRewriteRule x y\n": true, "RewriteEngine On\n": true, "RewriteEngine On\nRewriteRule x y\n": false,
		"<Directory />\nRewriteEngine On\nRewriteRule x y\n</Directory>\n": false, "<Location /app>\nRewriteEngine On\n</Location>\nRewriteRule x y\n": false,
	} {
		srv, diags := compile(t, dir, "DocumentRoot "+dir+"\nWSGIScriptAlias /app "+dir+"/app.wsgi\n"+rules)
		require.NotContains(t, diags, "error", rules)
		p, _ := srv.Main.Fast([]byte("GET"), []byte("/app/z"))
		assert.Equal(t, fast, p != nil, rules)
	}
}
