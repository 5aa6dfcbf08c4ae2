// Tests of the default handler, from configuration text to outcome, and of the
// parsers beneath it.

package static_test

import (
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"modwsgi/gocore/internal/conf"
	"modwsgi/gocore/internal/httpd"
	"modwsgi/gocore/internal/mod/authzcore"
	"modwsgi/gocore/internal/mod/authzhost"
	"modwsgi/gocore/internal/mod/core"
	"modwsgi/gocore/internal/mod/dir"
	"modwsgi/gocore/internal/mod/env"
	"modwsgi/gocore/internal/mod/logconfig"
	"modwsgi/gocore/internal/mod/mime"
	"modwsgi/gocore/internal/mod/static"
)

var modules = []httpd.AnyModule{core.Module, authzcore.New(authzhost.Providers...), authzhost.Module, mime.Module, env.Module, dir.Module, logconfig.Module, static.Module}

// site is a document root and the configuration over it.
type site struct {
	t    *testing.T
	root string
	host *httpd.VirtualHost
}

func newSite(t *testing.T, config string) *site {
	t.Helper()
	root := t.TempDir()
	write := func(name, text string) {
		p := filepath.Join(root, name)
		require.NoError(t, os.MkdirAll(filepath.Dir(p), 0o755))
		require.NoError(t, os.WriteFile(p, []byte(text), 0o644))
		old := time.Date(2024, 2, 29, 12, 0, 0, 0, time.UTC)
		require.NoError(t, os.Chtimes(p, old, old))
	}
	write("a.txt", "0123456789")
	write("empty.txt", "")
	write("page.html.fr", "<p>salut")
	write("app.py", "secret = 1")
	write("sub/index.html", "index of sub")
	write("bare/x.txt", "x")
	write("front.html", "front")
	require.NoError(t, os.Symlink("a.txt", filepath.Join(root, "link.txt")))
	require.NoError(t, syscall.Mkfifo(filepath.Join(root, "fifo"), 0o644))
	tree, diags := conf.ParseText("test.conf", strings.ReplaceAll("ServerRoot /tmp\nServerName www.example.org\nDocumentRoot ROOT\nListen 8000\n"+config, "ROOT", root), httpd.ConfOptions(modules))
	require.Empty(t, diags)
	s, diags := httpd.Compile(tree, modules)
	for _, d := range diags {
		require.Less(t, d.Severity, conf.Error, d.String())
	}
	return &site{t, root, s.Main}
}

type answer struct {
	status int
	header map[string]string
	body   string
	raw    *httpd.Outcome
}

// get sends "METHOD /path" with "Name: value" fields.
func (s *site) get(line string, fields ...string) answer {
	s.t.Helper()
	method, target, _ := strings.Cut(line, " ")
	p, query, _ := strings.Cut(target, "?")
	r := &httpd.Request{Method: method, RawTarget: target, RawPath: p, Query: query, Proto: "HTTP/1.1", HostName: "www.example.org",
		Local: netip.MustParseAddrPort("192.0.2.1:80"), Remote: netip.MustParseAddrPort("198.51.100.7:5555"), Start: time.Now(), ContentLength: -1}
	for _, f := range fields {
		name, value, _ := strings.Cut(f, ": ")
		if name == "From" {
			r.Remote = netip.AddrPortFrom(netip.MustParseAddr(value), 1)
			continue
		}
		r.Header = append(r.Header, httpd.Field{Name: name, Value: value})
	}
	out := s.host.Handle(r)
	require.NotNil(s.t, out)
	a := answer{status: out.Status, header: map[string]string{}, body: string(out.Body), raw: out}
	for _, f := range append(out.Header, out.ErrHeader...) {
		_, twice := a.header[f.Name]
		assert.False(s.t, twice, "%s sent twice", f.Name)
		a.header[f.Name] = f.Value
	}
	b, err := io.ReadAll(out.BodyReader())
	require.NoError(s.t, err)
	a.body = string(b)
	if out.File != nil {
		require.NoError(s.t, out.File.Close())
	}
	return a
}

const (
	stamp = "Thu, 29 Feb 2024 12:00:00 GMT"
)

func TestServe(t *testing.T) {
	s := newSite(t, "")
	a := s.get("GET /a.txt")
	assert.Equal(t, 200, a.status)
	assert.Equal(t, "0123456789", a.body)
	assert.Equal(t, map[string]string{"Content-Type": "text/plain", "Content-Length": "10", "Last-Modified": stamp, "ETag": a.header["ETag"], "Accept-Ranges": "bytes"}, a.header)
	assert.Regexp(t, `^"a-[0-9a-f]+"$`, a.header["ETag"])
	tag := a.header["ETag"]

	for _, c := range []struct {
		line   string
		fields []string
		status int
		body   string
		header string // "Name: value" or "Name" (must be absent)
	}{
		{"HEAD /a.txt", nil, 200, "", "Content-Length: 10"},
		{"POST /a.txt", nil, 200, "0123456789", ""},
		{"OPTIONS /a.txt", nil, 200, "", "Allow: GET,POST,OPTIONS,HEAD,TRACE"},
		{"PUT /a.txt", nil, 405, "*", "Last-Modified"},
		{"BREW /a.txt", nil, 501, "*", ""},
		{"GET /empty.txt", nil, 200, "", "Content-Length: 0"},
		{"GET /none.txt", nil, 404, "*", "ETag"},
		{"GET /a.txt/more", nil, 404, "*", ""},
		{"GET /fifo", nil, 403, "*", ""},
		{"GET /link.txt", nil, 200, "0123456789", ""},
		{"GET /sub/", nil, 200, "index of sub", "Content-Type: text/html"},
		{"GET /sub?q=1", nil, 301, "*", "Location: http://www.example.org/sub/?q=1"},
		{"GET /bare/", nil, 403, "*", ""},
		{"GET /page.html.fr", nil, 200, "<p>salut", "Content-Type: text/html"},
		// conditions
		{"GET /a.txt", []string{"If-None-Match: " + tag}, 304, "", "ETag: " + tag},
		{"GET /a.txt", []string{"If-None-Match: W/" + tag}, 304, "", "Content-Length"},
		{"GET /a.txt", []string{`If-None-Match: "x", ` + tag}, 304, "", ""},
		{"GET /a.txt", []string{"If-None-Match: *"}, 304, "", ""},
		{"POST /a.txt", []string{"If-None-Match: *"}, 412, "*", ""},
		{"GET /a.txt", []string{`If-None-Match: "x"`, "If-Modified-Since: " + stamp}, 200, "0123456789", ""},
		{"HEAD /a.txt", []string{"If-Modified-Since: " + stamp}, 304, "", ""},
		{"GET /a.txt", []string{"If-Modified-Since: Thu, 29 Feb 2024 11:59:59 GMT"}, 200, "0123456789", ""},
		{"GET /a.txt", []string{"If-Modified-Since: Fri, 01 Jan 2100 00:00:00 GMT"}, 200, "0123456789", ""}, // a clock that is wrong
		{"GET /a.txt", []string{"If-Modified-Since: nonsense"}, 200, "0123456789", ""},
		{"GET /a.txt", []string{"If-Match: " + tag}, 200, "0123456789", ""},
		{"GET /a.txt", []string{`If-Match: "x"`}, 412, "*", ""},
		{"GET /a.txt", []string{"If-Match: W/" + tag}, 412, "*", ""},
		{"GET /a.txt", []string{"If-Unmodified-Since: Thu, 29 Feb 2024 11:59:59 GMT"}, 412, "*", ""},
		{"GET /a.txt", []string{"If-Unmodified-Since: " + stamp}, 200, "0123456789", ""},
		// ranges
		{"GET /a.txt", []string{"Range: bytes=2-4"}, 206, "234", "Content-Range: bytes 2-4/10"},
		{"GET /a.txt", []string{"Range: bytes=2-4"}, 206, "234", "Content-Length: 3"},
		{"GET /a.txt", []string{"Range: bytes=7-"}, 206, "789", "Content-Range: bytes 7-9/10"},
		{"GET /a.txt", []string{"Range: bytes=-3"}, 206, "789", "Content-Type: text/plain"},
		{"GET /a.txt", []string{"Range: bytes=0-99999999999999999999"}, 206, "0123456789", "Content-Range: bytes 0-9/10"},
		{"GET /a.txt", []string{"Range: bytes=10-"}, 416, "*", "Content-Range: bytes */10"},
		{"GET /a.txt", []string{"Range: bytes=-0"}, 416, "*", "Content-Range: bytes */10"},
		{"GET /a.txt", []string{"Range: bytes=4-2"}, 200, "0123456789", ""},
		{"GET /a.txt", []string{"Range: lines=1-2"}, 200, "0123456789", ""},
		{"HEAD /a.txt", []string{"Range: bytes=2-4"}, 200, "", "Content-Length: 10"},
		{"GET /a.txt", []string{"Range: bytes=2-4", "If-Range: " + tag}, 206, "234", ""},
		{"GET /a.txt", []string{"Range: bytes=2-4", "If-Range: " + stamp}, 206, "234", ""},
		{"GET /a.txt", []string{"Range: bytes=2-4", `If-Range: "x"`}, 200, "0123456789", ""},
		{"GET /a.txt", []string{"Range: bytes=2-4", "If-Range: Thu, 29 Feb 2024 12:00:01 GMT"}, 200, "0123456789", ""},
		{"GET /a.txt", []string{"Range: bytes=0-5,2-9"}, 206, "0123456789", "Content-Range: bytes 0-9/10"},
		{"GET /a.txt", []string{"Range: bytes=0-5,8-9,2-9"}, 200, "0123456789", "Content-Range"}, // more than the file
		{"GET /a.txt", []string{"If-Modified-Since: " + stamp + "; length=10"}, 304, "", ""},
	} {
		t.Run(c.line+strings.Join(c.fields, ","), func(t *testing.T) {
			s.t = t
			a := s.get(c.line, c.fields...)
			assert.Equal(t, c.status, a.status)
			if c.body != "*" {
				assert.Equal(t, c.body, a.body)
			}
			if name, value, ok := strings.Cut(c.header, ": "); ok {
				assert.Equal(t, value, a.header[name])
			} else if c.header != "" {
				assert.NotContains(t, a.header, c.header)
			}
		})
	}
}

func TestPrecompressed(t *testing.T) {
	const gz, all = "PrecompressedFiles gzip\n", "PrecompressedFiles On\n"
	for _, c := range []struct {
		config, accept, body, encoding, vary string
		prepare                              func(s *site)
	}{
		{"", "gzip, br", "0123456789", "", "", nil},
		{all, "gzip, br, zstd", "br", "br", "Accept-Encoding", nil},
		{all, "gzip, br;q=0.5", "gz", "gzip", "Accept-Encoding", nil},
		{all, "x-gzip", "gz", "gzip", "Accept-Encoding", nil},
		{all, "*", "br", "br", "Accept-Encoding", nil},
		{all, "*;q=0, gzip", "gz", "gzip", "Accept-Encoding", nil},
		{all, "br;q=0", "0123456789", "", "Accept-Encoding", nil},
		{all, "identity, gzip;q=0.5", "0123456789", "", "Accept-Encoding", nil},
		{all, "", "0123456789", "", "Accept-Encoding", nil},
		{"PrecompressedFiles gzip br", "br, gzip", "gz", "gzip", "Accept-Encoding", nil},
		{gz, "br, gzip", "gz", "gzip", "Accept-Encoding", nil},
		{gz, "br", "0123456789", "", "Accept-Encoding", nil},
		{gz + "<Files *.gz>\nRequire all denied\n</Files>", "gzip", "0123456789", "", "Accept-Encoding", nil},
		{gz, "gzip", "0123456789", "", "", func(s *site) { // older than the file
			require.NoError(s.t, os.Chtimes(s.root+"/a.txt.gz", time.Unix(0, 0), time.Unix(0, 0)))
		}},
		{gz, "gzip", "0123456789", "", "", func(s *site) { // a link could lead anywhere
			require.NoError(s.t, os.Remove(s.root+"/a.txt.gz"))
			require.NoError(s.t, os.Symlink("app.py", s.root+"/a.txt.gz"))
		}},
	} {
		t.Run(c.config+c.accept, func(t *testing.T) {
			s := newSite(t, c.config)
			for name, text := range map[string]string{"a.txt.gz": "gz", "a.txt.br": "br"} {
				require.NoError(t, os.WriteFile(s.root+"/"+name, []byte(text), 0o644))
			}
			if c.prepare != nil {
				c.prepare(s)
			}
			a := s.get("GET /a.txt", "Accept-Encoding: "+c.accept)
			assert.Equal(t, 200, a.status)
			assert.Equal(t, c.body, a.body)
			assert.Equal(t, c.encoding, a.header["Content-Encoding"])
			assert.Equal(t, c.vary, a.header["Vary"])
			assert.Equal(t, "text/plain", a.header["Content-Type"])
			if c.encoding != "" {
				assert.Contains(t, a.header["ETag"], "-"+c.encoding+`"`)
			}
		})
	}
}

func TestMultipart(t *testing.T) {
	s := newSite(t, "")
	a := s.get("GET /a.txt", "Range: bytes=0-1, 5-6,50-")
	require.Equal(t, 206, a.status)
	mark, ok := strings.CutPrefix(a.header["Content-Type"], "multipart/byteranges; boundary=")
	require.True(t, ok)
	want := "\r\n--B\r\nContent-Type: text/plain\r\nContent-Range: bytes 0-1/10\r\n\r\n01\r\n--B\r\nContent-Type: text/plain\r\nContent-Range: bytes 5-6/10\r\n\r\n56\r\n--B--\r\n"
	assert.Equal(t, strings.ReplaceAll(want, "B", mark), strings.ReplaceAll(a.body, "--B", "--"+mark))
}

func TestDirectives(t *testing.T) {
	for _, c := range []struct {
		config, line string
		fields       []string
		status       int
		header       string
	}{
		{"FileETag None", "GET /a.txt", nil, 200, "ETag"},
		{"FileETag Size", "GET /a.txt", nil, 200, `ETag: "a"`},
		{"FileETag None\n<Directory ROOT>\nFileETag +Size\n</Directory>", "GET /a.txt", nil, 200, `ETag: "a"`},
		{"FileETag -MTime", "GET /a.txt", nil, 200, `ETag: "a"`},
		{"FileETag Digest", "GET /a.txt", nil, 200, `ETag: "h6zsF82dzSCnFsws9nQXtxyKcBY="`},
		{"MaxRanges none", "GET /a.txt", []string{"Range: bytes=1-2"}, 200, "Accept-Ranges: none"},
		{"MaxRanges 1", "GET /a.txt", []string{"Range: bytes=1-2,4-5"}, 200, "Content-Range"},
		{"AddDefaultCharset UTF-8", "GET /a.txt", nil, 200, "Content-Type: text/plain; charset=UTF-8"},
		{"AddType text/x-py .py\nAddCharset latin1 py", "GET /app.py", nil, 200, "Content-Type: text/x-py; charset=latin1"},
		{"AddHandler frobnicate .py", "GET /app.py", nil, 500, ""},
		{"AddLanguage fr .fr", "GET /page.html.fr", nil, 200, "Content-Language: fr"},
		{"AddEncoding x-gzip .fr", "GET /page.html.fr", nil, 200, "Content-Encoding: x-gzip"},
		{"AcceptPathInfo On", "GET /a.txt/more", nil, 200, ""},
		{"<Directory ROOT>\nOptions None\n</Directory>", "GET /link.txt", nil, 403, ""},
		{"<Directory ROOT>\nOptions SymLinksIfOwnerMatch\n</Directory>", "GET /link.txt", nil, 200, ""},
		{"DirectoryIndex nix.html x.txt", "GET /bare/", nil, 200, "Content-Type: text/plain"},
		{"DirectoryIndex /front.html", "GET /bare/", nil, 200, "Content-Type: text/html"},
		{"DirectoryIndex x.txt\nDirectoryIndexRedirect On", "GET /bare/", nil, 302, "Location: http://www.example.org/bare/x.txt"},
		{"DirectoryIndex disabled", "GET /sub/", nil, 403, ""},
		{"DirectorySlash Off", "GET /sub", nil, 403, "Location"},
		{"FallbackResource /front.html", "GET /no/such/thing", nil, 200, "Content-Length: 5"},
		{"FallbackResource /front.html", "GET /a.txt", nil, 200, "Content-Length: 10"},
		{"FallbackResource /front.html", "GET /bare/", nil, 200, "Content-Length: 5"},
		{"FallbackResource /front.html", "GET /sub/", nil, 200, "Content-Length: 12"},
		{"DirectoryIndex sub/../x.txt\nDirectoryIndexRedirect permanent", "GET /bare/?q=1", nil, 301, "Location: http://www.example.org/bare/x.txt"},
		{"DirectoryIndex ../../../a.txt", "GET /bare/", nil, 200, "Content-Length: 10"},
		{"DirectoryCheckHandler On\nSetHandler default-handler", "GET /sub", nil, 301, ""},
		{"DirectoryCheckHandler On\nSetHandler default-handler", "GET /sub/", nil, 404, ""},
		{"FallbackResource /none.html", "GET /no/such/thing", nil, 404, ""},
	} {
		t.Run(c.config, func(t *testing.T) {
			a := newSite(t, c.config).get(c.line, c.fields...)
			assert.Equal(t, c.status, a.status)
			if name, value, ok := strings.Cut(c.header, ": "); ok {
				assert.Equal(t, value, a.header[name])
			} else if c.header != "" {
				assert.NotContains(t, a.header, c.header)
			}
		})
	}
}

func TestAccess(t *testing.T) {
	for _, c := range []struct {
		config, line, from string
		status             int
	}{
		{"<Directory />\nRequire all denied\n</Directory>", "GET /a.txt", "198.51.100.7", 403},
		{"<Directory />\nRequire all denied\n</Directory>\n<Directory ROOT>\nRequire all granted\n</Directory>", "GET /a.txt", "198.51.100.7", 200},
		{"<Directory />\nRequire all denied\n</Directory>\n<Directory ROOT/sub>\nRequire all granted\n</Directory>", "GET /a.txt", "198.51.100.7", 403},
		{"<Location /sub>\nRequire ip 10.0.0.0/8\n</Location>", "GET /sub/", "10.1.2.3", 200},
		{"<Location /sub>\nRequire ip 10.0.0.0/8\n</Location>", "GET /sub/", "11.1.2.3", 403},
		{"<Location /sub>\nRequire ip 10.0.0.0/8\n</Location>", "GET /a.txt", "11.1.2.3", 200},
		{"<Files a.txt>\nRequire local\n</Files>", "GET /a.txt", "127.0.0.1", 200},
		{"<Files a.txt>\nRequire local\n</Files>", "GET /a.txt", "198.51.100.7", 403},
		{"<Files index.html>\nRequire all denied\n</Files>", "GET /sub/", "198.51.100.7", 403},
		{"<Directory ROOT>\n<RequireAll>\nRequire all granted\nRequire not ip 198.51.100\n</RequireAll>\n</Directory>", "GET /a.txt", "198.51.100.7", 403},
		{"<Directory ROOT>\n<RequireAll>\nRequire all granted\nRequire not ip 198.51.100\n</RequireAll>\n</Directory>", "GET /a.txt", "198.51.99.7", 200},
		{"<Directory ROOT>\nRequire method GET\n</Directory>", "POST /a.txt", "198.51.99.7", 403},
		{"<Directory ROOT>\nRequire all granted\n<LimitExcept GET>\nRequire all denied\n</LimitExcept>\n</Directory>", "GET /a.txt", "198.51.99.7", 200},
	} {
		t.Run(c.config+c.line+c.from, func(t *testing.T) {
			a := newSite(t, c.config).get(c.line, "From: "+c.from)
			assert.Equal(t, c.status, a.status)
		})
	}
}

func TestRefusedConfiguration(t *testing.T) {
	for _, c := range []string{
		"<Directory />\nRequire frobnicate\n</Directory>",
		"<Directory />\nRequire ip 10.0.0.0/99\n</Directory>",
		"<Directory />\n<RequireAny>\nRequire not ip 10\n</RequireAny>\n</Directory>",
		"Require all granted",
		"LogFormat %y x",
		"CustomLog logs/a %y",
		"FallbackResource x",
		"MaxRangeOverlaps x",
		"FileETag Frobnicate",
		"PrecompressedFiles deflate",
	} {
		tree, diags := conf.ParseText("test.conf", c, httpd.ConfOptions(modules))
		_, more := httpd.Compile(tree, modules)
		failed := false
		for _, d := range append(diags, more...) {
			failed = failed || d.Severity == conf.Error
		}
		assert.True(t, failed, c)
	}
}

func TestAccessLog(t *testing.T) {
	s := newSite(t, "LogFormat \"%h %>s %b\" short\nCustomLog logs/a short\nCustomLog \"|/bin/cat -n\" \"%v\" env=yes\n")
	server := s.host.Server()
	targets := server.LogFiles()
	fds := map[string]*os.File{}
	var files []*os.File
	for _, target := range targets {
		f, err := os.Create(filepath.Join(t.TempDir(), "log"))
		require.NoError(t, err)
		defer f.Close()
		fds[target.Key()] = f
		files = append(files, f)
	}
	require.NoError(t, server.OpenLogs(fds))
	require.True(t, s.host.HasLog)
	set := func(name string) (string, bool) { return "1", name == "yes" }
	s.host.LogAccess(&httpd.LogEntry{Remote: netip.MustParseAddrPort("198.51.100.7:1"), Status: 200, BytesSent: 10})
	s.host.LogAccess(&httpd.LogEntry{Remote: netip.MustParseAddrPort("198.51.100.7:1"), Status: 404, EnvLookup: set})
	server.FlushLogs()
	var all string
	for _, f := range files {
		b, err := os.ReadFile(f.Name())
		require.NoError(t, err)
		all += string(b)
	}
	assert.Equal(t, "198.51.100.7 200 10\n198.51.100.7 404 -\nwww.example.org\n", all)
	entry := &httpd.LogEntry{Remote: netip.MustParseAddrPort("198.51.100.7:1"), Status: 200, Start: time.Now()}
	for range 2000 { // grow the buffer first
		s.host.LogAccess(entry)
	}
	server.FlushLogs()
	assert.Less(t, testing.AllocsPerRun(1000, func() { s.host.LogAccess(entry) }), 1.0)
}
