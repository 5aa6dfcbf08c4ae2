// Tests of the file cache over the real phases: what is kept, what makes it
// ask the phases again, and that descriptors do not leak.

package filecache

import (
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"modwsgi/gocore/internal/conf"
	"modwsgi/gocore/internal/http1"
	"modwsgi/gocore/internal/httpd"
	"modwsgi/gocore/internal/listen"
	"modwsgi/gocore/internal/mod"
	"modwsgi/gocore/internal/pathwatch"
)

// site is a folder of files whose changes lie back far enough, with a host
// over it and a cache.
type site struct {
	t     *testing.T
	root  string
	host  *httpd.VirtualHost
	cache Cache
}

func newSite(t *testing.T, config string) *site {
	root, err := filepath.EvalSymlinks(t.TempDir())
	require.NoError(t, err)
	s := &site{t: t, root: root}
	s.write("a.txt", "0123456789")
	s.write("big.bin", strings.Repeat("x", smallFile+1))
	s.write("sub/index.html", "index")
	opt := httpd.ConfOptions(mod.All)
	text := "ServerRoot /tmp\nServerName x\nListen 80\nDocumentRoot ROOT\n" + config
	tree, diags := conf.ParseText("httpd.conf", strings.ReplaceAll(text, "ROOT", root), opt)
	require.False(t, conf.HasErrors(diags), diags)
	srv, diags := httpd.Compile(tree, mod.All)
	require.False(t, conf.HasErrors(diags), diags)
	s.host = srv.Main
	watcher := pathwatch.New(nil, nil)
	t.Cleanup(watcher.Close)
	srv.Watcher = watcher
	settle = -time.Hour // every file counts as old
	t.Cleanup(func() { settle = settleTime })
	return s
}

func (s *site) write(name, text string) {
	p := filepath.Join(s.root, name)
	require.NoError(s.t, os.MkdirAll(filepath.Dir(p), 0o755))
	require.NoError(s.t, os.WriteFile(p, []byte(text), 0o644))
	old := time.Now().Add(-time.Hour)
	require.NoError(s.t, os.Chtimes(p, old, old))
}

// find asks the cache.
func (s *site) find(method, path string, fields ...string) (*File, int) {
	return s.cache.Find(s.host, s.request(method, path, fields...))
}

func (s *site) request(method, path string, fields ...string) *listen.Req {
	text := []byte(method + " " + path + " HTTP/1.1\r\nHost: x\r\n")
	for _, f := range fields {
		text = append(text, f+"\r\n"...)
	}
	text = append(text, "\r\n"...)
	q := &listen.Req{In: unsafe.Pointer(&text[0]), InLen: uint64(len(text))}
	_, st := http1.Parse(text, &q.Head, &http1.Limits{Line: 8190, Fields: 100, FieldSize: 8190})
	require.Equal(s.t, http1.OK, st)
	return q
}

// serve is what the dispatcher does; it tells whether the cache answered, and
// with what contents.
func (s *site) serve(path string, fields ...string) (cached bool, body string) {
	s.t.Helper()
	if f, status := s.find("GET", path, fields...); f != nil {
		defer f.Release()
		require.Equal(s.t, 200, status)
		if f.FD >= 0 {
			b := make([]byte, f.Size)
			_, err := os.NewFile(uintptr(dup(s.t, f.FD)), path).ReadAt(b, 0)
			require.NoError(s.t, err)
			return true, string(b)
		}
		return true, string(f.Data)
	}
	r := &httpd.Request{Method: "GET", RawPath: path, RawTarget: path, Proto: "HTTP/1.1", HostName: "x", ContentLength: -1, Start: time.Now(),
		Remote: netip.MustParseAddrPort("127.0.0.1:5"), Local: netip.MustParseAddrPort("127.0.0.1:80")}
	for _, f := range fields {
		name, value, _ := strings.Cut(f, ": ")
		r.Header = append(r.Header, httpd.Field{Name: name, Value: value})
	}
	out := s.host.Handle(r)
	s.cache.Keep(s.host, s.request("GET", path, fields...), out, "Server: t\r\n", func(f *File) any { return f })
	b := make([]byte, out.FileLen)
	if out.File != nil {
		_, err := out.File.ReadAt(b, out.FileOff)
		require.NoError(s.t, err)
		require.NoError(s.t, out.File.Close())
	}
	if out.Status != 200 {
		return false, ""
	}
	return false, string(b)
}

func TestKept(t *testing.T) {
	for _, c := range []struct {
		config, path string
		kept         bool
	}{
		{"", "/a.txt", true},
		{"", "/big.bin", true},
		{"", "/sub/", true},
		{"", "/none.txt", false},
		{"Alias /s ROOT/sub", "/s/index.html", true},
		{"SetEnv X 1", "/a.txt", true},
		{"<Directory ROOT>\nAllowOverride All\n</Directory>", "/a.txt", true},
		{"<Directory ROOT>\nAllowOverride All\n</Directory>", "/sub/", true},
		{"DirectoryIndex /a.txt", "/sub/", false},
		{"<If \"%{HTTP_USER_AGENT} == 'x'\">\nRequire all denied\n</If>", "/a.txt", false},
		{"<Files a.txt>\n<If \"%{HTTP_USER_AGENT} == 'x'\">\nSetEnv X 1\n</If>\n</Files>", "/a.txt", false},
		{"<Directory ROOT>\nOptions +MultiViews\n</Directory>", "/a", false},
		{"<Directory ROOT>\nOptions +Indexes\n</Directory>", "/", false},
		{"<Directory ROOT>\nRequire ip 127.0.0.1\n</Directory>", "/a.txt", false},
		{"<Files a.txt>\nRequire local\n</Files>", "/a.txt", false},
		{"<Location /a.txt>\nRequire local\n</Location>", "/big.bin", true},
		{"<Directory ROOT>\nOptions SymLinksIfOwnerMatch\n</Directory>", "/a.txt", false},
		{"<Directory ROOT/sub>\nOptions None\n</Directory>", "/a.txt", true},
		{"<Directory ROOT/sub>\nOptions None\n</Directory>", "/sub/index.html", false},
		{"Header set Cache-Control max-age=60", "/a.txt", true},
		{"Header set X %{X}e", "/a.txt", false},
		{"Header set X y env=z", "/a.txt", false},
		{"Header set X \"expr=%{REMOTE_ADDR}\"", "/a.txt", false},
		{"Header echo Host", "/a.txt", false},
		{"Header set Connection close", "/a.txt", false},
		{"RequestHeader set X y", "/a.txt", false},
		{"SetEnvIf User-Agent x y", "/a.txt", false},
		{"AddOutputFilterByType DEFLATE text/plain", "/a.txt", false},
		{"AddOutputFilterByType DEFLATE text/plain", "/big.bin", true},
		{"SetOutputFilter DEFLATE", "/a.txt", false},
		{"WSGIScriptAlias / ROOT/app.wsgi\nWSGIFileOrApplication On", "/a.txt", true},
	} {
		t.Run(c.config+c.path, func(t *testing.T) {
			s := newSite(t, c.config)
			cached, first := s.serve(c.path)
			require.False(t, cached)
			cached, second := s.serve(c.path)
			assert.Equal(t, c.kept, cached)
			assert.Equal(t, first, second)
		})
	}
}

// TestChanges does something to the files; the next answer must know it.
func TestChanges(t *testing.T) {
	override := "<Directory ROOT>\nAllowOverride All\n</Directory>"
	for _, c := range []struct {
		name, config, path string
		change             func(s *site)
		want               string
	}{
		{"rewritten", "", "/a.txt", func(s *site) { s.write("a.txt", "9876543210") }, "9876543210"},
		{"removed", "", "/a.txt", func(s *site) { os.Remove(s.root + "/a.txt") }, ""},
		{"replaced", "", "/a.txt", func(s *site) { s.write("b", "bbbbbbbbbb"); os.Rename(s.root+"/b", s.root+"/a.txt") }, "bbbbbbbbbb"},
		{"big one grows", "", "/big.bin", func(s *site) { s.write("big.bin", "small now") }, "small now"},
		{"parent replaced", "", "/sub/index.html", func(s *site) {
			os.Rename(s.root+"/sub", s.root+"/old")
			s.write("sub/index.html", "other")
		}, "other"},
		{"earlier index appears", "DirectoryIndex first.html index.html", "/sub/", func(s *site) { s.write("sub/first.html", "first") }, "first"},
		{"index removed", "", "/sub/", func(s *site) { os.Remove(s.root + "/sub/index.html") }, ""},
		{"htaccess appears", override, "/a.txt", func(s *site) { s.write(".htaccess", "Require all denied") }, ""},
		{"htaccess appears below", override, "/sub/index.html", func(s *site) { s.write("sub/.htaccess", "Require all denied") }, ""},
		{"becomes a directory", "", "/a.txt", func(s *site) { os.Remove(s.root + "/a.txt"); os.Mkdir(s.root+"/a.txt", 0o755) }, ""},
		{"fallback is needed no more", "FallbackResource /a.txt", "/later.txt", func(s *site) { s.write("later.txt", "here") }, "here"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newSite(t, c.config)
			s.serve(c.path)
			cached, _ := s.serve(c.path)
			require.True(t, cached)
			c.change(s)
			cached, body := s.serve(c.path)
			assert.False(t, cached)
			assert.Equal(t, c.want, body)
		})
	}
}

func TestFieldsOfModules(t *testing.T) {
	s := newSite(t, "Header set Cache-Control max-age=60\nHeader always set X-Y z\nHeader unset Accept-Ranges")
	s.serve("/a.txt")
	f, _ := s.find("GET", "/a.txt")
	head := string(f.Fields(200))
	assert.Contains(t, head, "Cache-Control: max-age=60\r\n")
	assert.Contains(t, head, "X-Y: z\r\n")
	assert.Equal(t, 1, strings.Count(head, "Content-Length: 10\r\n"))
	assert.NotContains(t, head, "Accept-Ranges")
	assert.Contains(t, string(f.Fields(304)), "X-Y: z\r\n")
	assert.NotContains(t, string(f.Fields(304)), "Content-Length")
}

func TestDatesHoldForASecond(t *testing.T) {
	s := newSite(t, "ExpiresActive On\nExpiresDefault \"access plus 1 hour\"")
	s.serve("/a.txt")
	f, _ := s.find("GET", "/a.txt")
	if f == nil {
		t.Skip("the second ended meanwhile")
	}
	assert.Contains(t, string(f.Fields(200)), "Expires: ")
	assert.Contains(t, string(f.Fields(200)), "Cache-Control: max-age=3600\r\n")
	f.second-- // as if it were of the last second
	f, _ = s.find("GET", "/a.txt")
	assert.Nil(t, f)
}

func TestPrecompressedForms(t *testing.T) {
	s := newSite(t, "PrecompressedFiles On")
	s.write("a.txt.gz", "zipped")
	s.write("a.txt.br", "brotli")
	for _, c := range []struct{ accept, want string }{{"gzip", "zipped"}, {"gzip, br", "brotli"}, {"", "0123456789"}, {"deflate", "0123456789"}} {
		fields := []string{"Accept-Encoding: " + c.accept}
		cached, body := s.serve("/a.txt", fields...)
		assert.False(t, cached, c.accept)
		assert.Equal(t, c.want, body)
		cached, body = s.serve("/a.txt", fields...)
		assert.True(t, cached, c.accept)
		assert.Equal(t, c.want, body)
	}
	f, _ := s.find("GET", "/a.txt", "Accept-Encoding: gzip")
	assert.Contains(t, string(f.Fields(200)), "Content-Encoding: gzip\r\n")
	assert.Contains(t, string(f.Fields(200)), "Vary: Accept-Encoding\r\n")
	assert.Contains(t, string(f.Fields(304)), "Vary: Accept-Encoding\r\n")
	cached, _ := s.serve("/a.txt", "Accept-Encoding: gzip", "Accept-Encoding: br")
	assert.False(t, cached)
	require.NoError(t, os.Remove(s.root+"/a.txt.br"))
	_, body := s.serve("/a.txt", "Accept-Encoding: gzip, br")
	assert.Equal(t, "zipped", body)
	require.NoError(t, os.Remove(s.root+"/a.txt"))
	_, body = s.serve("/a.txt", "Accept-Encoding: gzip")
	assert.Empty(t, body)
	s.write("sub/later.css", "css")
	s.serve("/sub/later.css", "Accept-Encoding: gzip")
	cached, _ = s.serve("/sub/later.css")
	assert.True(t, cached, "no form exists: the same for everybody")
	s.write("sub/later.css.gz", "zip")
	_, body = s.serve("/sub/later.css", "Accept-Encoding: gzip")
	assert.Equal(t, "zip", body)
}

func TestYoungFilesAreNotKept(t *testing.T) {
	s := newSite(t, "")
	settle = settleTime
	s.serve("/a.txt") // its inode changed just now
	cached, _ := s.serve("/a.txt")
	assert.False(t, cached)
}

func TestConditions(t *testing.T) {
	s := newSite(t, "")
	s.serve("/a.txt")
	f, status := s.find("HEAD", "/a.txt")
	require.Equal(t, 200, status)
	etag, modified := f.etag, f.modified
	assert.Contains(t, string(f.Fields(200)), "Content-Length: 10\r\n")
	assert.Equal(t, "Server: t\r\nLast-Modified: "+modified+"\r\nETag: "+etag+"\r\n", string(f.Fields(304)))
	for _, c := range []struct {
		method, path, field string
		status              int
	}{
		{"GET", "/a.txt", "If-None-Match: " + etag, 304},
		{"GET", "/a.txt", "IF-NONE-MATCH: " + etag, 304},
		{"GET", "/a.txt", "If-Modified-Since: " + modified, 304},
		{"GET", "/a.txt", "If-None-Match: \"x\", " + etag, 0},
		{"GET", "/a.txt", "If-None-Match: *", 0},
		{"GET", "/a.txt", "If-Modified-Since: Thu, 01 Jan 1970 00:00:00 GMT", 0},
		{"GET", "/a.txt", "Range: bytes=0-1", 0},
		{"GET", "/a.txt", "If-Range: x", 0},
		{"GET", "/a.txt", "If-Match: x", 0},
		{"GET", "/a.txt", "If-Unmodified-Since: x", 0},
		{"GET", "/a.txt", "Content-Length: 3", 0},
		{"GET", "/a.txt", "Transfer-Encoding: chunked", 0},
		{"GET", "/a.txt", "Accept: */*", 200},
		{"GET", "/a.txt?q", "Referer: x", 200},
		{"POST", "/a.txt", "Accept: */*", 0},
		{"OPTIONS", "/a.txt", "Accept: */*", 0},
		{"GET", "/b.txt", "Accept: */*", 0},
	} {
		_, status := s.find(c.method, c.path, c.field)
		assert.Equal(t, c.status, status, "%s %s %s", c.method, c.path, c.field)
	}
}

func TestBounds(t *testing.T) {
	s := newSite(t, "")
	before := openFiles(t)
	for i := range maxKeptFDs + 40 {
		name := "/f" + strings.Repeat("i", i%7) + time.Duration(i).String()
		s.write(name, strings.Repeat("y", smallFile+1))
		s.serve(name)
	}
	assert.Equal(t, maxKeptFDs, s.cache.fds)
	assert.LessOrEqual(t, openFiles(t)-before, maxKeptFDs)
	s.cache.Tick(keepUnused*10 + 10)
	assert.Zero(t, s.cache.kept+s.cache.fds+int(s.cache.content))
	assert.LessOrEqual(t, openFiles(t), before)
}

// TestConcurrentUse lets readers and a writer meet; the race detector and the
// count of descriptors judge.
func TestConcurrentUse(t *testing.T) {
	s := newSite(t, "")
	before := openFiles(t)
	var group sync.WaitGroup
	for range 4 {
		group.Go(func() {
			for range 300 {
				for _, path := range []string{"/a.txt", "/big.bin"} {
					if f, _ := s.find("GET", path); f != nil {
						if f.FD >= 0 {
							_, err := syscall.Pread(f.FD, make([]byte, 1), 0)
							assert.NoError(t, err)
						}
						f.Release()
						continue
					}
					s.serve(path)
				}
			}
		})
	}
	group.Go(func() {
		for i := range 50 {
			s.write("next", strings.Repeat("z", smallFile+1+i))
			assert.NoError(t, os.Rename(s.root+"/next", s.root+"/big.bin"))
			s.cache.Tick(int64(i * 10))
		}
	})
	group.Wait()
	s.cache.Tick(1 << 40 / 10 * 10)
	assert.Equal(t, before, openFiles(t))
}

func TestHeldWhileSent(t *testing.T) {
	s := newSite(t, "")
	s.serve("/big.bin")
	f, _ := s.find("GET", "/big.bin")
	s.write("big.bin", "x")
	s.serve("/big.bin")
	b := make([]byte, 1)
	_, err := os.NewFile(uintptr(dup(t, f.FD)), "").ReadAt(b, 0)
	assert.NoError(t, err)
	n := openFiles(t)
	f.Release()
	assert.Less(t, openFiles(t), n)
}

func TestFindAllocatesLittle(t *testing.T) {
	s := newSite(t, "")
	s.serve("/a.txt")
	text := []byte("GET /a.txt HTTP/1.1\r\nHost: x\r\nAccept: */*\r\n\r\n")
	q := &listen.Req{In: unsafe.Pointer(&text[0]), InLen: uint64(len(text))}
	http1.Parse(text, &q.Head, &http1.Limits{Line: 8190, Fields: 100, FieldSize: 8190})
	assert.LessOrEqual(t, testing.AllocsPerRun(200, func() {
		f, _ := s.cache.Find(s.host, q)
		f.Release()
	}), 1.0) // the path for stat
}

func openFiles(t *testing.T) int {
	list, err := os.ReadDir("/proc/self/fd")
	require.NoError(t, err)
	return len(list)
}

func dup(t *testing.T, fd int) int {
	n, err := dupFD(uintptr(fd))
	require.NoError(t, err)
	return n
}
