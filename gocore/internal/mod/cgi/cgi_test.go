// This file runs programs without a server: what they see, what becomes of
// their answers, how they end.

package cgi_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"modwsgi/gocore/internal/conf"
	"modwsgi/gocore/internal/httpd"
	"modwsgi/gocore/internal/mod"
	"modwsgi/gocore/internal/mod/internal/streamtest"
)

type site struct {
	t    *testing.T
	dir  string
	srv  *httpd.Server
	mu   sync.Mutex
	logs strings.Builder
}

func newSite(t *testing.T, config string, files map[string]string) *site {
	s := &site{t: t, dir: t.TempDir()}
	for name, text := range files {
		name = filepath.Join(s.dir, name)
		require.NoError(t, os.MkdirAll(filepath.Dir(name), 0o755))
		require.NoError(t, os.WriteFile(name, []byte(text), 0o755))
	}
	opt := httpd.ConfOptions(mod.All)
	opt.ServerRoot = s.dir
	text := "ServerName example.test:80\nListen 80\nDocumentRoot " + s.dir + "\nAddHandler cgi-script .cgi\n<Directory " + s.dir + ">\nOptions +ExecCGI\n</Directory>\n"
	tree, diags := conf.ParseText("httpd.conf", text+strings.ReplaceAll(config, "$DIR", s.dir), opt)
	srv, more := httpd.Compile(tree, mod.All)
	require.False(t, conf.HasErrors(append(diags, more...)), "%v %v", diags, more)
	srv.Logger = func(_ *httpd.VirtualHost, _ *httpd.Request, _ int, module, msg string) {
		s.mu.Lock()
		defer s.mu.Unlock()
		fmt.Fprintf(&s.logs, "%s: %s\n", module, msg)
	}
	s.srv = srv
	return s
}

func (s *site) log() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.logs.String()
}

func sh(lines ...string) string { return "#!/bin/sh\n" + strings.Join(lines, "\n") + "\n" }

func TestAnswers(t *testing.T) {
	s := newSite(t, "ScriptAlias /bin/ $DIR/bin/\n", map[string]string{
		"ok.cgi":        sh(`printf 'Content-Type: text/plain\nX-A: b\nSet-Cookie: a=1\nSet-Cookie: b=2\n\nhello'`),
		"crlf.cgi":      sh(`printf 'Content-Type: text/plain\r\nStatus: 404 Not Found\r\n\r\nnone'`),
		"redirect.cgi":  sh(`printf 'Location: http://other.test/\n\n'`),
		"seeother.cgi":  sh(`printf 'Status: 303 See Other\nLocation: /x\n\n'`),
		"local.cgi":     sh(`printf 'Location: /page.txt?x\n\n'`),
		"chain.cgi":     sh(`printf 'Location: /ok.cgi\n\n'`),
		"loop.cgi":      sh(`printf 'Location: /loop.cgi\n\n'`),
		"page.txt":      "a page",
		"empty.cgi":     sh(`exit 0`),
		"nohead.cgi":    sh(`echo hello world`),
		"blank.cgi":     sh(`echo; echo hello`),
		"badstatus.cgi": sh(`printf 'Status: abc\n\n'`),
		"control.cgi":   sh(`printf 'X: a\001b\n\n'`),
		"long.cgi":      sh(`printf 'X: '; head -c 9000 /dev/zero | tr '\0' x; printf '\n\n'`),
		"stderr.cgi":    sh(`echo oops >&2; printf 'Content-Type: text/plain\n\nx'`),
		"missing.cgi":   "#!/no/such/interpreter\n",
		"bin/prog":      sh(`printf 'Content-Type: text/plain\n\nfrom bin'`),
		"dir.cgi/x":     "",
	})
	for _, c := range []struct {
		path   string
		status int
		body   string
		field  string
		fails  int
		log    string
	}{
		{path: "/ok.cgi", status: 200, body: "hello", field: "Set-Cookie: b=2"},
		{path: "/crlf.cgi", status: 404, body: "none", field: "Content-Type: text/plain"},
		{path: "/redirect.cgi", status: 302, field: "Location: http://other.test/"},
		{path: "/seeother.cgi", status: 303, field: "Location: /x"},
		{path: "/local.cgi", status: 200, body: "a page"},
		{path: "/chain.cgi", status: 200, body: "hello"},
		{path: "/loop.cgi", status: 500, log: "internal redirects"},
		{path: "/empty.cgi", fails: 500}, {path: "/nohead.cgi", fails: 500}, {path: "/blank.cgi", fails: 500},
		{path: "/badstatus.cgi", fails: 500}, {path: "/control.cgi", fails: 500}, {path: "/long.cgi", fails: 500},
		{path: "/stderr.cgi", status: 200, body: "x", log: "stderr from " + s.dir + "/stderr.cgi: oops"},
		{path: "/missing.cgi", fails: 500},
		{path: "/bin/prog", status: 200, body: "from bin"},
	} {
		w := &streamtest.Writer{}
		_, err := streamtest.Do(s.srv.Main, streamtest.Request("GET", c.path, ""), w)
		if c.fails != 0 {
			var se *httpd.StatusError
			require.ErrorAs(t, err, &se, c.path)
			assert.Equal(t, c.fails, se.Status, c.path)
			assert.Zero(t, w.Status, c.path)
			continue
		}
		require.NoError(t, err, c.path)
		assert.Equal(t, c.status, w.Status, c.path)
		if c.status != 500 {
			assert.Equal(t, c.body, w.Body.String(), c.path)
		}
		if c.field != "" {
			name, value, _ := strings.Cut(c.field, ": ")
			assert.Contains(t, w.Header, httpd.Field{Name: name, Value: value}, c.path)
		}
		assert.Contains(t, s.log(), c.log)
	}
}

// The source of a program is never shown.
func TestRefused(t *testing.T) {
	s := newSite(t, `Alias /plain $DIR/plain
ScriptAlias /bin $DIR/bin
<Directory $DIR/plain>
Options None
</Directory>
<Files "noinfo.cgi">
AcceptPathInfo Off
</Files>`, map[string]string{
		"plain/a.cgi": sh("echo secret"), "noexec.cgi": sh("echo secret"), "noinfo.cgi": sh("echo secret"), "dir.cgi/x": "", "bin/sub/x": "",
	})
	require.NoError(t, os.Chmod(filepath.Join(s.dir, "noexec.cgi"), 0o644))
	for path, want := range map[string]int{"/plain/a.cgi": 403, "/noexec.cgi": 403, "/noinfo.cgi/x": 404, "/none.cgi": 404, "/bin/sub": 301, "/bin/none": 404} {
		out, err := streamtest.Do(s.srv.Main, streamtest.Request("GET", path, ""), &streamtest.Writer{})
		require.NoError(t, err, path)
		assert.Equal(t, want, out.Status, path)
		assert.Nil(t, out.File, path)
		assert.NotContains(t, string(out.Body), "secret", path)
	}
	assert.Contains(t, s.log(), "Options ExecCGI is off in this directory")
}

func TestEnvironment(t *testing.T) {
	t.Setenv("PATH", "/bin:/usr/bin")
	t.Setenv("SECRET", "of the server")
	s := newSite(t, "SetEnv FOO bar\nSetEnv odd-name x\nSetEnv QUERY_STRING fake\nServerAdmin me@example.test\n", map[string]string{
		"env.cgi": sh(`printf 'Content-Type: text/plain\n\n'; env; echo "pwd:$(pwd)"; ls -l /proc/self/fd | grep -c socket`),
	})
	r := streamtest.Request("GET", "/env.cgi/extra/p%20q?a=b&c", "")
	r.Header = append(r.Header, httpd.Field{Name: "User-Agent", Value: "test"}, httpd.Field{Name: "Accept", Value: "a"}, httpd.Field{Name: "Accept", Value: "b"},
		httpd.Field{Name: "Proxy", Value: "http://evil.test"}, httpd.Field{Name: "Authorization", Value: "Basic eA=="}, httpd.Field{Name: "X_Under", Value: "x"},
		httpd.Field{Name: "Content-Type", Value: "text/x"})
	w := &streamtest.Writer{}
	_, err := streamtest.Do(s.srv.Main, r, w)
	require.NoError(t, err)
	got := map[string]string{}
	for line := range strings.Lines(w.Body.String()) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		got[name] = value
	}
	for name, want := range map[string]string{
		"GATEWAY_INTERFACE": "CGI/1.1", "REQUEST_METHOD": "GET", "QUERY_STRING": "a=b&c", "SCRIPT_NAME": "/env.cgi", "PATH_INFO": "/extra/p q",
		"PATH_TRANSLATED": s.dir + "/extra/p q", "REQUEST_URI": "/env.cgi/extra/p%20q?a=b&c", "SCRIPT_FILENAME": s.dir + "/env.cgi",
		"DOCUMENT_ROOT": s.dir, "SERVER_NAME": "example.test", "SERVER_PORT": "80", "SERVER_PROTOCOL": "HTTP/1.1", "SERVER_ADMIN": "me@example.test",
		"REMOTE_ADDR": "192.0.2.7", "REMOTE_PORT": "4000", "REQUEST_SCHEME": "http", "HTTP_HOST": "example.test", "HTTP_USER_AGENT": "test",
		"HTTP_ACCEPT": "a, b", "CONTENT_TYPE": "text/x", "FOO": "bar", "odd_name": "x", "PATH": "/bin:/usr/bin", "pwd:" + s.dir: "",
	} {
		assert.Equal(t, want, got[name], name)
		assert.Contains(t, got, name)
	}
	for _, name := range []string{"HTTP_PROXY", "HTTP_AUTHORIZATION", "HTTP_X_UNDER", "CONTENT_LENGTH", "SECRET", "HTTPS"} {
		assert.NotContains(t, got, name)
	}
}

func TestBody(t *testing.T) {
	s := newSite(t, "", map[string]string{
		"cat.cgi":    sh(`printf 'Content-Type: text/plain\n\n'; echo "$CONTENT_LENGTH"; cat`),
		"ignore.cgi": sh(`printf 'Content-Type: text/plain\n\nignored'`),
	})
	body := strings.Repeat("0123456789abcdef", 1<<16) // more than a pipe holds
	w := &streamtest.Writer{}
	_, err := streamtest.Do(s.srv.Main, streamtest.Request("POST", "/cat.cgi", body), w)
	require.NoError(t, err)
	assert.Equal(t, fmt.Sprintf("%d\n%s", len(body), body), w.Body.String())

	w = &streamtest.Writer{}
	_, err = streamtest.Do(s.srv.Main, streamtest.Request("POST", "/ignore.cgi", body), w)
	require.NoError(t, err)
	assert.Equal(t, "ignored", w.Body.String())

	// a body that breaks off must not be taken for the whole
	r := streamtest.Request("POST", "/cat.cgi", body)
	broken := &httpd.StatusError{Status: 408}
	r.SetBody(io.MultiReader(strings.NewReader("half"), iotest.ErrReader(broken)))
	_, err = streamtest.Do(s.srv.Main, r, &streamtest.Writer{})
	assert.ErrorIs(t, err, broken)
}

func TestTimeouts(t *testing.T) {
	s := newSite(t, "CGIScriptTimeout 100ms\n", map[string]string{
		"silent.cgi": sh(`sleep 100`), "half.cgi": sh(`printf 'Content-Type: text/plain\n\nhalf'; sleep 100`),
		"wait.cgi":  sh(`echo $$ > "$0.pid"; trap '' TERM; exec sleep 100`),
		"early.cgi": sh(`printf 'Content-Type: text/plain\n\ndone'; exec >&- 2>&-; exec sleep 100`),
	})
	w := &streamtest.Writer{}
	_, err := streamtest.Do(s.srv.Main, streamtest.Request("GET", "/silent.cgi", ""), w)
	var se *httpd.StatusError
	require.ErrorAs(t, err, &se)
	assert.Equal(t, 504, se.Status)

	w = &streamtest.Writer{}
	_, err = streamtest.Do(s.srv.Main, streamtest.Request("GET", "/half.cgi", ""), w)
	assert.ErrorContains(t, err, "silent")
	assert.Equal(t, "half", w.Body.String())

	w = &streamtest.Writer{}
	_, err = streamtest.Do(s.srv.Main, streamtest.Request("GET", "/early.cgi", ""), w)
	assert.NoError(t, err, "a program that closes its output has answered")
	assert.Equal(t, "done", w.Body.String())
}

// A client that leaves ends the program.
func TestClientLeaves(t *testing.T) {
	s := newSite(t, "", map[string]string{"wait.cgi": sh(`echo $$ > "$PWD/pid"; sleep 100`)})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() {
		_, err := streamtest.Do(s.srv.Main, streamtest.Request("GET", "/wait.cgi", ""), &streamtest.Writer{Ctx: ctx})
		done <- err
	}()
	var pid int
	require.Eventually(t, func() bool {
		b, _ := os.ReadFile(filepath.Join(s.dir, "pid"))
		n, _ := fmt.Sscan(string(b), &pid)
		return n == 1
	}, 10*time.Second, 5*time.Millisecond)
	cancel()
	assert.Error(t, <-done)
	_, err := os.Stat(fmt.Sprintf("/proc/%d", pid))
	assert.True(t, os.IsNotExist(err), "the program is gone")
}

func TestNPH(t *testing.T) {
	s := newSite(t, "", map[string]string{"nph-x.cgi": sh(`printf 'HTTP/1.0 299 Odd\r\n\r\n'; cat`)})
	client, server := net.Pipe()
	got := make(chan string)
	go func() {
		b, _ := io.ReadAll(client)
		got <- string(b)
	}()
	_, err := streamtest.Do(s.srv.Main, streamtest.Request("POST", "/nph-x.cgi", "body"), &streamtest.Writer{Conn: server})
	require.NoError(t, err)
	assert.Equal(t, "HTTP/1.0 299 Odd\r\n\r\nbody", <-got)
}

func TestLimits(t *testing.T) {
	s := newSite(t, "RLimitCPU 7 max\nRLimitMEM 500000000\n", map[string]string{
		"limits.cgi": sh(`sleep 0.1; printf 'Content-Type: text/plain\n\n'; ulimit -St; ulimit -Sv`)})
	w := &streamtest.Writer{}
	_, err := streamtest.Do(s.srv.Main, streamtest.Request("GET", "/limits.cgi", ""), w)
	require.NoError(t, err)
	assert.Equal(t, "7\n488281\n", w.Body.String())
}

func TestDirectiveErrors(t *testing.T) {
	for text, want := range map[string]string{
		"CGIScriptTimeout soon": "is not a time", "CGIScriptTimeout 0": "is not a time", "RLimitCPU x": "not a number", "RLimitMEM 5 3": "above the hard limit",
		"RLimitNPROC max 3": "above the hard limit", "CGIVar X y": "knows no rule", "CGIVar REQUEST_URI y": "the rule is", "ScriptLog x": "accepted without effect",
	} {
		tree, _ := conf.ParseText("httpd.conf", "Listen 80\n"+text, httpd.ConfOptions(mod.All))
		_, diags := httpd.Compile(tree, mod.All)
		require.NotEmpty(t, diags, text)
		assert.Contains(t, diags[len(diags)-1].Message, want, text)
	}
}
