// Tests of the format compiler against what Apache's documentation says.

package logconfig

import (
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"modwsgi/gocore/internal/httpd"
)

var request = map[string]string{
	"referer": "http://a.example/?q=\"x\"", "user-agent": "curl/8\x1b[31m\n", "cookie": "a=1; SID = abc=d ; b=2", "empty": "",
}

func lookup(m map[string]string) func(string) (string, bool) {
	return func(name string) (string, bool) {
		for k, v := range m {
			if strings.EqualFold(k, name) {
				return v, true
			}
		}
		return "", false
	}
}

func entry() *httpd.LogEntry {
	return &httpd.LogEntry{
		Line: []byte("GET /a%20b/%7Ex%zz?q=1&r=\"2\" HTTP/1.1"), LogID: []byte("00000000000000a1-3"), Handler: "wsgi-script", KeepAlive: true,
		Method: []byte("GET"), Target: []byte("/a%20b/%7Ex%zz?q=1&r=\"2\""), Proto: []byte("HTTP/1.1"), Host: []byte("www.example.org:8080"),
		HeaderLookup:   lookup(request),
		ResponseLookup: lookup(map[string]string{"content-type": "text/html; charset=utf-8", "x-request": "7"}),
		EnvLookup:      lookup(map[string]string{"mod_wsgi.process_group": "app"}),
		Local:          netip.MustParseAddrPort("192.0.2.1:8000"), Remote: netip.MustParseAddrPort("[::ffff:198.51.100.7]:5555"), Peer: netip.MustParseAddrPort("203.0.113.9:6666"),
		RemoteUser: "joe smith", Status: 200, BytesSent: 1234, BytesIn: 100, BytesOut: 1500,
		Start:    time.Date(2024, 2, 29, 7, 5, 9, 12345678, time.FixedZone("CET", 3600)),
		Duration: 2500 * time.Millisecond, KeepAlives: 3, Completed: true, Script: "/srv/app.wsgi",
	}
}

func TestFormat(t *testing.T) {
	for _, c := range []struct{ format, want string }{
		{"%h %l %u %t \"%r\" %>s %b", `198.51.100.7 - joe smith [29/Feb/2024:07:05:09 +0100] "GET /a%20b/%7Ex%zz?q=1&r=\"2\" HTTP/1.1" 200 1234`},
		{`\"%{Referer}i\" \t%{User-agent}i \q\\`, "\\\"http://a.example/?q=\\\"x\\\"\\\" \tcurl/8\\x1b[31m\\n \\q\\"},
		{"100%%", "100%"},
		{"%a %{c}a %A", "198.51.100.7 203.0.113.9 192.0.2.1"},
		{"%B %I %O %S", "1234 100 1500 1600"},
		{"%D %T %{s}T %{ms}T %{us}T", "2500000 2 2 2500 2500000"},
		{"%{mod_wsgi.process_group}e %{none}e %{x}n", "app - -"},
		{"%{Content-Type}o %{x-request}o %{none}o %{empty}i.", "text/html 7 - ."},
		{"%{sid}C %{a}C %{zz}C", "abc=d 1 -"},
		{"%f %H %m %k %X", "/srv/app.wsgi HTTP/1.1 GET 3 +"},
		{"%U|%q", `/a b/~x%zz|?q=1&r=\"2\"`},
		{"%v %V %p %{local}p %{remote}p %{canonical}p", "example.org www.example.org 8080 8000 6666 8080"},
		{"%P %{pid}P", strconv.Itoa(pid) + " " + strconv.Itoa(pid)},
		{"%400,501{User-agent}i %!200,304{Referer}i %200s %!404s", "- - 200 200"},
		{"%s %<s %>s %R %L", "200 200 200 wsgi-script 00000000000000a1-3"},
		{"%{sec}t %{msec}t %{usec}t %{msec_frac}t %{usec_frac}t", "1709186709 1709186709012 1709186709012345 012 012345"},
		{"%{end:sec}t %{begin:%H:%M}t %{end:}t", "1709186711 07:05 [29/Feb/2024:07:05:11 +0100]"},
		{"%{%Y-%m-%dT%H:%M:%S%z}t", "2024-02-29T07:05:09+0100"},
		{"%{Foo}^ti %{Foo}^to %^FB", "- - -"},
	} {
		t.Run(c.format, func(t *testing.T) {
			f, err := Compile(c.format)
			require.NoError(t, err)
			assert.Equal(t, c.want+"\n", string(f.Append(nil, &Server{Name: "example.org"}, entry(), &stamp{})))
		})
	}
}

// After an internal redirect the letters differ in the request they speak of
// (mod_log_config, "Modifiers").
func TestFormatInternalRedirect(t *testing.T) {
	e := entry()
	e.Status, e.FirstStatus = 404, 200
	e.First = &httpd.Request{Method: "POST", URI: "/old", Filename: "/srv/old", Handler: "h1", User: "anna"}
	e.Final = &httpd.Request{Method: "GET", URI: "/new", Query: "x=1", Filename: "/srv/new", Handler: "h2", Prev: e.First}
	e.Method, e.Script, e.Handler, e.RemoteUser = []byte("POST"), "/srv/new", "h2", "anna"
	for format, want := range map[string]string{
		"%s %>s %<s": "200 404 200", "%U %>U": "/old /new", "%m %<m": "GET POST", "%q %<q": `?x=1 ?q=1&r=\"2\"`,
		"%f %<f": "/srv/new /srv/old", "%R %<R": "h2 h1", "%u %<u": "anna anna", "%404U %200U %!404U": "/old - -",
	} {
		f, err := Compile(format)
		require.NoError(t, err)
		assert.Equal(t, want+"\n", string(f.Append(nil, &Server{}, e, nil)), format)
	}
}

// The name in credentials that were refused, on the request that had them.
func TestFormatClaimedUser(t *testing.T) {
	e := entry()
	e.First = &httpd.Request{Claimed: "joe"}
	e.Final, e.RemoteUser = e.First, "joe"
	f, err := Compile("%u %<u %>u")
	require.NoError(t, err)
	assert.Equal(t, "joe joe joe\n", string(f.Append(nil, &Server{}, e, nil)))
}

func TestFormatConnectionState(t *testing.T) {
	f, err := Compile("%X")
	require.NoError(t, err)
	for want, e := range map[string]httpd.LogEntry{"X": {KeepAlive: true}, "-": {Completed: true}, "+": {Completed: true, KeepAlive: true}} {
		assert.Equal(t, want+"\n", string(f.Append(nil, &Server{}, &e, nil)))
	}
}

func TestFormatNothingKnown(t *testing.T) {
	f, err := Compile("%h %u \"%r\" %s %b %U%q %{x}i %{x}C %{c}a %A %f %m %H %v %V %p %{%F}t")
	require.NoError(t, err)
	got := string(f.Append(nil, &Server{}, &httpd.LogEntry{}, nil))
	assert.Equal(t, "- - \"-\" - - - - - - - - - - - - 80 0001-01-01\n", got)
}

func TestFormatErrors(t *testing.T) {
	for _, c := range []struct{ format, want string }{
		{"%y", "unknown log format directive %y"},
		{"%", "ends within"},
		{"%{x", "missing }"},
		{"%{h}T", "unknown unit"},
		{"%{x}P", "unknown form"},
		{"%i", "needs a name"},
		{"%^xx", "%^xx"},
		{"%^F", "%^F"},
	} {
		_, err := Compile(c.format)
		require.Error(t, err, c.format)
		assert.Contains(t, err.Error(), c.want)
	}
}

func TestPortAndHost(t *testing.T) {
	for _, c := range []struct {
		name, host string
		server     Server
		want       string
	}{
		{"host with port", "h:81", Server{Name: "s", Port: 82}, "h 81"},
		{"host without port", "h", Server{Name: "s", Port: 82}, "h 82"},
		{"nothing known", "h", Server{Name: "s"}, "h 80"},
		{"https", "h", Server{Name: "s", DefaultScheme: "https"}, "h 443"},
		{"canonical", "h:81", Server{Name: "s", Port: 82, UseCanonical: true}, "s 82"},
		{"physical", "h", Server{Name: "s", Port: 82, PhysicalPort: true}, "h 8000"},
		{"IPv6", "[::1]:81", Server{Name: "s"}, "[::1] 81"},
		{"capitals", "WWW.Example:81", Server{Name: "s"}, "www.example 81"},
		{"IPv6 without port", "[::1]", Server{Name: "s"}, "[::1] 80"},
		{"forged", "h:8x\"", Server{Name: "s"}, `h:8x\" 80`},
	} {
		t.Run(c.name, func(t *testing.T) {
			f, err := Compile("%V %p")
			require.NoError(t, err)
			e := entry()
			e.Host = []byte(c.host)
			assert.Equal(t, c.want+"\n", string(f.Append(nil, &c.server, e, nil)))
		})
	}
}

func TestAppendDoesNotAllocate(t *testing.T) {
	f, err := Compile(`%h %l %u %t \"%r\" %>s %b \"%{Referer}i\" \"%{User-agent}i\" %D %U %q %V %p %{sid}C %{%H}t %{usec_frac}t`)
	require.NoError(t, err)
	e := entry()
	e.HeaderLookup = func(name string) (string, bool) { return "value", true }
	buf, clock, server := make([]byte, 0, 4096), &stamp{}, &Server{Name: "h"}
	allocs := testing.AllocsPerRun(1000, func() { buf = f.Append(buf[:0], server, e, clock) })
	assert.Zero(t, allocs)
}

// wholeLines fails the test when a write does not end with a line feed.
type wholeLines struct {
	t   *testing.T
	got []byte
	max int
}

func (w *wholeLines) Write(b []byte) (int, error) {
	assert.Equal(w.t, byte('\n'), b[len(b)-1])
	w.max = max(w.max, len(b))
	w.got = append(w.got, b...)
	return len(b), nil
}

func TestWriteLines(t *testing.T) {
	text := strings.Repeat(strings.Repeat("x", 99)+"\n", 200) + strings.Repeat("y", 5000) + "\n" + "z\n"
	file, pipe := &wholeLines{t: t}, &wholeLines{t: t}
	require.NoError(t, writeLines(file, []byte(text), false))
	require.NoError(t, writeLines(pipe, []byte(text), true))
	assert.Equal(t, text, string(file.got))
	assert.Equal(t, len(text), file.max)
	assert.Equal(t, text, string(pipe.got))
	assert.Equal(t, 5001, pipe.max)
}

func TestLogConcurrently(t *testing.T) {
	out, err := os.Create(filepath.Join(t.TempDir(), "access_log"))
	require.NoError(t, err)
	defer out.Close()
	format, err := Compile("%h %{User-agent}i")
	require.NoError(t, err)
	target := &httpd.LogFile{File: out}
	c := &Config{logs: []*customLog{
		{format: format, file: target},
		{format: format, file: target, env: "none"},
		{format: format, file: target, env: "none", negate: true},
	}}
	var g sync.WaitGroup
	for range 4 {
		g.Add(1)
		go func() {
			defer g.Done()
			for i := range 5000 {
				log(&httpd.VirtualHost{}, c, entry())
				if i%1000 == 0 {
					flushAll(c)
				}
			}
		}()
	}
	g.Wait()
	flushAll(c)
	got, err := os.ReadFile(out.Name())
	require.NoError(t, err)
	line := "198.51.100.7 curl/8\\x1b[31m\\n\n"
	assert.Equal(t, strings.Repeat(line, 40000), string(got))
}

func FuzzCompile(f *testing.F) {
	for _, s := range []string{"%h %l %u %t \"%r\" %>s %b", "%{%d/%b}t", "%!400,5{x}i", "%{", "%^FB", "\\", "%<>s", "%{end:%Ez}t", "%99999999999999s"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		format, err := Compile(s)
		if err != nil {
			return
		}
		out := format.Append(nil, &Server{}, entry(), nil)
		if out[len(out)-1] != '\n' {
			t.Fatalf("no line feed: %q", out)
		}
	})
}

func FuzzEscape(f *testing.F) {
	f.Add("a\"b\\\x00\n\xff")
	f.Fuzz(func(t *testing.T, s string) {
		for _, c := range appendEscaped(nil, s) {
			if c < 0x20 || c > 0x7e {
				t.Fatalf("unescaped byte %#x", c)
			}
		}
	})
}
