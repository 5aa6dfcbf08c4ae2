// This file runs testdata/*.txtar: rules, files and requests, with the
// responses of Apache httpd itself. They were recorded with
//
//	go test ./gocore/internal/mod/rewrite -run Httpd -httpd /usr/sbin/apache2
//
// which starts one httpd per file. Without the flag the module's answers are
// compared with what was recorded. A line in the section "differs" replaces the
// recorded answer where we differ on purpose (docs/differences.md).

package rewrite_test

import (
	"bufio"
	"flag"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/tools/txtar"

	"modwsgi/gocore/internal/conf"
	"modwsgi/gocore/internal/httpd"
	"modwsgi/gocore/internal/mod"
)

var (
	reference = flag.String("httpd", "", "record the answers of this httpd")
	showLog   = flag.Bool("log", false, "show the log of the rules")
)

// host is the frame around the rules of a file. Every file below docs has its
// own path as content.
const host = `ServerName example.test:80
Listen $PORT
DocumentRoot $DIR/docs
<Directory />
  Require all granted
</Directory>
<Directory $DIR/docs>
  AllowOverride All
</Directory>
`

const apache = `ServerRoot $DIR
PidFile $DIR/httpd.pid
ErrorLog $DIR/error.log
LogLevel warn $TRACE
LoadModule mpm_event_module /usr/lib/apache2/modules/mod_mpm_event.so
LoadModule authz_core_module /usr/lib/apache2/modules/mod_authz_core.so
LoadModule alias_module /usr/lib/apache2/modules/mod_alias.so
LoadModule dir_module /usr/lib/apache2/modules/mod_dir.so
LoadModule autoindex_module /usr/lib/apache2/modules/mod_autoindex.so
LoadModule mime_module /usr/lib/apache2/modules/mod_mime.so
LoadModule env_module /usr/lib/apache2/modules/mod_env.so
LoadModule rewrite_module /usr/lib/apache2/modules/mod_rewrite.so
LoadModule vhost_alias_module /usr/lib/apache2/modules/mod_vhost_alias.so
LoadModule actions_module /usr/lib/apache2/modules/mod_actions.so
LoadModule userdir_module /usr/lib/apache2/modules/mod_userdir.so
TypesConfig /dev/null
AddType text/html html
AddType image/jpeg jpg
AddType text/css css
User www-data
Group www-data
`

func TestHttpd(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txtar")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) { golden(t, file) })
	}
}

func golden(t *testing.T, file string) {
	a, err := txtar.ParseFile(file)
	require.NoError(t, err)
	dir, err := os.MkdirTemp("", "rewrite")
	require.NoError(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	require.NoError(t, os.Chmod(dir, 0o755))
	port := "80"
	if *reference != "" {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		_, port, _ = net.SplitHostPort(l.Addr().String())
		l.Close()
	}
	trace := "rewrite:warn"
	if *showLog {
		trace = "rewrite:trace8"
	}
	fill := strings.NewReplacer("$DIR", dir, "$PORT", port, "$TRACE", trace)
	rules, requests, wanted := "", "", map[string]string{}
	differs := map[string]string{}
	wantAt := -1
	for i, f := range a.Files {
		text := string(f.Data)
		switch f.Name {
		case "httpd.conf":
			rules = fill.Replace(text)
		case "requests":
			requests = text
		case "want":
			wantAt = i
			readAnswers(text, wanted)
		case "differs":
			readAnswers(text, differs)
		default:
			name := filepath.Join(dir, f.Name)
			require.NoError(t, os.MkdirAll(filepath.Dir(name), 0o755))
			if text == "" {
				text = strings.TrimPrefix(f.Name, "docs/")
			}
			mode := os.FileMode(0o644)
			if strings.HasPrefix(text, "#!") {
				mode = 0o755
			}
			require.NoError(t, os.WriteFile(name, []byte(fill.Replace(text)), mode))
		}
	}
	maps.Copy(wanted, differs)
	var ask func(words []string) string
	if *reference != "" {
		ask = startHttpd(t, dir, fill.Replace(apache+host)+rules, port)
	} else {
		ask = startOurs(t, dir, fill.Replace(host)+rules)
	}
	var got strings.Builder
	for line := range strings.Lines(requests) {
		words := strings.Fields(line)
		if len(words) < 2 {
			continue
		}
		answer := strings.ReplaceAll(ask(words), dir, "$DIR")
		q := strings.Join(words, " ")
		fmt.Fprintf(&got, "%s => %s\n", q, answer)
		if *reference == "" {
			assert.Equal(t, wanted[q], answer, q)
		}
	}
	if *reference != "" {
		require.GreaterOrEqual(t, wantAt, 0, "no section want")
		a.Files[wantAt].Data = []byte(got.String())
		require.NoError(t, os.WriteFile(file, txtar.Format(a), 0o644))
	}
}

// readAnswers reads lines "request => answer # comment".
func readAnswers(text string, into map[string]string) {
	for line := range strings.Lines(text) {
		if q, answer, ok := strings.Cut(strings.TrimSpace(line), " => "); ok {
			answer, _, _ = strings.Cut(answer, " # ")
			into[q] = answer
		}
	}
}

// startOurs compiles the configuration and handles requests without a socket.
func startOurs(t *testing.T, dir, text string) func([]string) string {
	opt := httpd.ConfOptions(mod.All)
	opt.ServerRoot = dir
	tree, diags := conf.ParseText("httpd.conf", text, opt)
	require.False(t, conf.HasErrors(diags), "%v", diags)
	srv, diags := httpd.Compile(tree, mod.All)
	require.False(t, conf.HasErrors(diags), "%v", diags)
	if *showLog {
		for _, v := range append([]*httpd.VirtualHost{srv.Main}, srv.VirtualHosts...) {
			v.LogLevel = httpd.LogLevels{Default: httpd.LevelTrace1 + 7}
		}
	}
	srv.Logger = func(_ *httpd.VirtualHost, _ *httpd.Request, level int, module, msg string) {
		if *showLog {
			t.Logf("%s:%s %s", module, httpd.LevelNames[level], msg)
		}
	}
	return func(words []string) string {
		request := func() *httpd.Request {
			r := &httpd.Request{Method: words[0], RawTarget: words[1], Proto: "HTTP/1.1", HostName: "example.test", ContentLength: -1, Start: time.Now(),
				Local: netip.MustParseAddrPort("127.0.0.1:80"), Remote: netip.MustParseAddrPort("127.0.0.1:4000")}
			r.RawPath, r.Query, _ = strings.Cut(r.RawTarget, "?")
			for _, w := range words[2:] {
				name, value, _ := strings.Cut(w, ":")
				r.Header = append(r.Header, httpd.Field{Name: name, Value: value})
				if strings.EqualFold(name, "Host") {
					r.HostName = value
				}
			}
			if _, ok := r.Get("Host"); !ok {
				r.Header = append(r.Header, httpd.Field{Name: "Host", Value: "example.test"})
			}
			return r
		}
		out := handle(srv, request)
		head := http.Header{}
		for _, f := range append(out.Header, out.ErrHeader...) {
			head.Add(f.Name, f.Value)
		}
		body := ""
		if out.File != nil {
			b, _ := io.ReadAll(io.NewSectionReader(out.File, out.FileOff, out.FileLen))
			body = string(b)
			out.File.Close()
		}
		return answer(out.Status, head, body)
	}
}

// handle runs the phases, again elsewhere if they have to wait.
func handle(srv *httpd.Server, request func() *httpd.Request) *httpd.Outcome {
	r := request()
	v := srv.Hosts(r.Local).Select([]byte(r.HostName))
	out := v.Handle(r)
	for out.Needs != httpd.OnLeader {
		next := request()
		next.Resume(r, out.Needs, nil)
		out, r = v.Handle(next), next
	}
	return out
}

// startHttpd runs the reference.
func startHttpd(t *testing.T, dir, text, port string) func([]string) string {
	name := filepath.Join(dir, "httpd.conf")
	require.NoError(t, os.WriteFile(name, []byte(text), 0o644))
	cmd := exec.Command(*reference, "-X", "-f", name)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
		if *showLog {
			b, _ := os.ReadFile(filepath.Join(dir, "error.log"))
			t.Logf("%s", b)
		}
	})
	dial := func() (net.Conn, error) { return net.Dial("tcp", "127.0.0.1:"+port) }
	require.Eventually(t, func() bool {
		c, err := dial()
		if err == nil {
			c.Close()
		}
		return err == nil
	}, 10*time.Second, 20*time.Millisecond)
	return func(words []string) string {
		c, err := dial()
		require.NoError(t, err)
		defer c.Close()
		c.SetDeadline(time.Now().Add(10 * time.Second))
		fmt.Fprintf(c, "%s %s HTTP/1.1\r\nConnection: close\r\n", words[0], words[1])
		hasHost := false
		for _, w := range words[2:] {
			n, v, _ := strings.Cut(w, ":")
			fmt.Fprintf(c, "%s: %s\r\n", n, v)
			hasHost = hasHost || strings.EqualFold(n, "Host")
		}
		if !hasHost {
			fmt.Fprint(c, "Host: example.test\r\n")
		}
		fmt.Fprint(c, "\r\n")
		resp, err := http.ReadResponse(bufio.NewReader(c), nil)
		require.NoError(t, err)
		body, _ := io.ReadAll(resp.Body)
		return answer(resp.StatusCode, resp.Header, string(body))
	}
}

// answer is what is compared: status, the fields that rules set, and which
// file was sent.
func answer(status int, head http.Header, body string) string {
	s := fmt.Sprint(status)
	for _, name := range []string{"Location", "Set-Cookie", "Vary"} {
		for _, v := range head.Values(name) {
			if name != "Location" {
				s += " " + name + ":"
			}
			if name == "Vary" {
				v = strings.ReplaceAll(v, ", ", ",")
			}
			s += " " + v
		}
	}
	if status == 200 {
		if t := head.Get("Content-Type"); t != "" && t != "text/html" && t != "text/plain" {
			s += " (" + t + ")"
		}
		s += " " + strings.TrimSpace(body)
	}
	return strings.TrimSpace(s)
}
