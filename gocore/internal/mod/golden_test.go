// This file runs testdata/*.txtar: each holds a configuration with the files it
// speaks of, requests, and what comes of them: diagnostics, the compiled
// configuration, and the outcome of every request. "go test -update" rewrites
// the expectations. $DIR stands for the directory the files are in.

package mod

import (
	"flag"
	"fmt"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/tools/txtar"

	"modwsgi/gocore/internal/conf"
	"modwsgi/gocore/internal/httpd"
)

var update = flag.Bool("update", false, "rewrite the expectations in testdata")

func TestGolden(t *testing.T) {
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
	dir, err := filepath.EvalSymlinks(t.TempDir())
	require.NoError(t, err)
	var want, requests string
	for _, f := range a.Files {
		switch text := string(f.Data); f.Name {
		case "want":
			want = text
		case "requests":
			requests = text
		default:
			name := filepath.Join(dir, f.Name)
			require.NoError(t, os.MkdirAll(filepath.Dir(name), 0o755))
			if target, ok := strings.CutPrefix(strings.TrimSpace(text), "symlink "); ok {
				require.NoError(t, os.Symlink(strings.ReplaceAll(target, "$DIR", dir), name))
				continue
			}
			require.NoError(t, os.WriteFile(name, []byte(strings.ReplaceAll(text, "$DIR", dir)), 0o644))
		}
	}
	got := strings.ReplaceAll(run(filepath.Join(dir, "httpd.conf"), dir, requests), dir, "$DIR")
	if *update {
		for i := range a.Files {
			if a.Files[i].Name == "want" {
				a.Files[i].Data = []byte(got)
			}
		}
		require.NoError(t, os.WriteFile(file, txtar.Format(a), 0o644))
		return
	}
	assert.Equal(t, want, got)
}

// run compiles a configuration and handles requests: lines of method, URL and
// header fields; the URL's host and port choose the virtual host.
func run(file, dir, requests string) string {
	var b strings.Builder
	opt := httpd.ConfOptions(All)
	opt.ServerRoot = dir
	tree, diags := conf.Parse(file, opt)
	var srv *httpd.Server
	if !conf.HasErrors(diags) {
		var more []conf.Diagnostic
		srv, more = httpd.Compile(tree, All)
		diags = append(diags, more...)
	}
	for _, d := range diags {
		fmt.Fprintln(&b, d)
	}
	if conf.HasErrors(diags) {
		return b.String()
	}
	srv.Logger = func(v *httpd.VirtualHost, r *httpd.Request, level int, module, msg string) {
		fmt.Fprintf(&b, "    log %s:%s %s\n", module, httpd.LevelNames[level], msg)
	}
	srv.Dump(&b)
	for line := range strings.Lines(requests) {
		words := strings.Fields(line)
		if len(words) < 2 {
			continue
		}
		fmt.Fprintf(&b, "> %s", line)
		request(&b, srv, words)
	}
	return b.String()
}

func request(b *strings.Builder, srv *httpd.Server, words []string) {
	authority, target, _ := strings.Cut(strings.TrimPrefix(words[1], "http://"), "/")
	target = "/" + target
	_, port := httpd.SplitHost(authority)
	if port == "" {
		port = "80"
	}
	r := &httpd.Request{Method: words[0], RawTarget: target, Proto: "HTTP/1.1", HostName: authority, ContentLength: -1,
		Local: netip.MustParseAddrPort("127.0.0.1:" + port), Remote: netip.MustParseAddrPort("192.0.2.7:4000")}
	r.RawPath, r.Query, _ = strings.Cut(target, "?")
	for _, w := range words[2:] {
		name, value, _ := strings.Cut(w, ":")
		r.Header = append(r.Header, httpd.Field{Name: name, Value: strings.ReplaceAll(value, "~", " ")})
	}
	first := *r
	v := srv.Hosts(r.Local).Select([]byte(authority))
	var fast *httpd.Plan
	n := 0
	if plain(r.RawPath) {
		fast, n = v.Fast([]byte(r.Method), []byte(r.RawPath))
	}
	out := v.Handle(r)
	for out.Needs != httpd.OnLeader { // what the leader's thread may not do
		again := first
		again.Resume(r, out.Needs, fakeScripts{})
		r = &again
		out = v.Handle(r)
	}
	fmt.Fprintf(b, "  host %d", v.Index())
	if fast != nil {
		fmt.Fprintf(b, " fast")
		// the precomputed way must agree with the phases
		if out.Plan != fast || out.ScriptName != r.RawPath[:n] || out.PathInfo != r.RawPath[n:] {
			fmt.Fprintf(b, " DISAGREES(%v %q %q)", fast, r.RawPath[:n], r.RawPath[n:])
		}
	}
	if p := out.Plan; p != nil {
		fmt.Fprintf(b, " wsgi plan=%d script=%s group=%q/%q callable=%s script-name=%q path-info=%q", p.ID, p.Script, p.ProcessGroup, p.ApplicationGroup, p.CallableObject, out.ScriptName, out.PathInfo)
		if out.StatusOverride != 0 {
			fmt.Fprintf(b, " status=%d method=%s nobody=%t", out.StatusOverride, out.Method, out.NoBody)
		}
		for _, e := range out.Env {
			fmt.Fprintf(b, " %s=%s", e.Name, e.Value)
		}
		if out.URLScheme != "" {
			fmt.Fprintf(b, " url-scheme=%s", out.URLScheme)
		}
		fmt.Fprintln(b)
		return
	}
	fmt.Fprintf(b, " status=%d", out.Status)
	for _, f := range append(out.ErrHeader, out.Header...) {
		switch f.Name {
		case "Last-Modified", "ETag", "Date", "Accept-Ranges", "Content-Length":
		default:
			fmt.Fprintf(b, " %s=%q", f.Name, f.Value)
		}
	}
	if u := out.Request.User; u != "" {
		fmt.Fprintf(b, " user=%q", u)
	}
	if out.CloseConn {
		fmt.Fprint(b, " close")
	}
	if out.File != nil {
		data, _ := io.ReadAll(io.NewSectionReader(out.File, out.FileOff, out.FileLen))
		out.File.Close()
		fmt.Fprintf(b, " file=%q", data)
	} else if len(out.Body) > 0 && out.Body[0] != '<' {
		fmt.Fprintf(b, " body=%q", out.Body)
	}
	fmt.Fprintln(b)
}

// fakeScripts answers for Python scripts: the text after "=" in the script's name.
type fakeScripts struct{}

func (fakeScripts) Call(c *httpd.ScriptCall) httpd.ScriptResult {
	name := strings.TrimSuffix(filepath.Base(c.Script), ".py")
	_, says, _ := strings.Cut(name, "=")
	switch says {
	case "true":
		return httpd.ScriptResult{Answer: httpd.ScriptTrue}
	case "false":
		return httpd.ScriptResult{Answer: httpd.ScriptFalse}
	case "none":
		return httpd.ScriptResult{Answer: httpd.ScriptNone}
	case "groups":
		return httpd.ScriptResult{Answer: httpd.ScriptStrings, Strings: []string{"Staff", "others"}}
	case "failed":
		return httpd.ScriptResult{}
	}
	return httpd.ScriptResult{Answer: httpd.ScriptText, Text: says}
}

// plain is http1.FlagPlainPath.
func plain(p string) bool {
	return strings.HasPrefix(p, "/") && !strings.Contains(p, "%") && !strings.Contains(p, "//") && !strings.Contains(p, "/.")
}
