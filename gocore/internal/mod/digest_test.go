// This file runs Digest authentication through the phases: what a client with
// the right password may do, and what nobody may.

package mod

import (
	"crypto/md5"
	"encoding/hex"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"modwsgi/gocore/internal/conf"
	"modwsgi/gocore/internal/httpd"
)

const digestConf = `
ServerName x
Listen 80
DocumentRoot $DIR/docs
<Location />
  AuthType Digest
  AuthName "A \"realm\""
  AuthUserFile $DIR/digests
  Require valid-user
</Location>
<Location /short>
  AuthDigestNonceLifetime 1
</Location>
<Location /once>
  AuthDigestNonceLifetime 0
</Location>
<Location /counted>
  AuthDigestNcCheck On
</Location>
<Location /old>
  AuthDigestQop none
  AuthDigestDomain / http://y/
</Location>
<Location /script>
  AuthDigestProvider file wsgi
  WSGIAuthUserScript $DIR/says=HASH.py
</Location>
`

func md5hex(s string) string { b := md5.Sum([]byte(s)); return hex.EncodeToString(b[:]) }

// browser is a client that knows a password.
type browser struct {
	t               *testing.T
	srv             *httpd.Server
	user, pw, realm string
	nonce, opaque   string
	nc              int
	change          func(fields map[string]string)
}

func compileText(t *testing.T, text string, files map[string]string) *httpd.Server {
	t.Helper()
	dir := t.TempDir()
	for name, data := range files {
		name = filepath.Join(dir, name)
		require.NoError(t, os.MkdirAll(filepath.Dir(name), 0o755))
		require.NoError(t, os.WriteFile(name, []byte(data), 0o644))
	}
	opt := httpd.ConfOptions(All)
	opt.ServerRoot = dir
	tree, diags := conf.ParseText(filepath.Join(dir, "httpd.conf"), strings.ReplaceAll(text, "$DIR", dir), opt)
	require.False(t, conf.HasErrors(diags), "%v", diags)
	srv, diags := httpd.Compile(tree, All)
	require.False(t, conf.HasErrors(diags), "%v", diags)
	return srv
}

// do sends one request, as the worker does it, with the fields given.
func do(srv *httpd.Server, method, target string, header ...httpd.Field) (*httpd.Outcome, *httpd.Request) {
	first := httpd.Request{Method: method, RawTarget: target, Proto: "HTTP/1.1", HostName: "x", ContentLength: -1, Header: header,
		Local: netip.MustParseAddrPort("127.0.0.1:80"), Remote: netip.MustParseAddrPort("192.0.2.7:4000")}
	first.RawPath, first.Query, _ = strings.Cut(target, "?")
	r := first
	v := srv.Hosts(r.Local).Default
	out := v.Handle(&r)
	for out.Needs != httpd.OnLeader {
		again := first
		again.Resume(&r, out.Needs, fakeScripts{})
		r = again
		out = v.Handle(&r)
	}
	return out, &r
}

func responseField(out *httpd.Outcome, name string) string {
	for _, f := range append(out.ErrHeader, out.Header...) {
		if strings.EqualFold(f.Name, name) {
			return f.Value
		}
	}
	return ""
}

var quoted = regexp.MustCompile(`(\w+)="((?:[^"\\]|\\.)*)"`)

// challenge takes nonce and realm from a refusal.
func (b *browser) challenge(out *httpd.Outcome) string {
	b.t.Helper()
	require.Equal(b.t, 401, out.Status)
	v := responseField(out, "WWW-Authenticate")
	for _, m := range quoted.FindAllStringSubmatch(v, -1) {
		switch m[1] {
		case "nonce":
			b.nonce, b.nc = m[2], 0
		case "opaque":
			b.opaque = m[2]
		case "realm":
			b.realm = strings.ReplaceAll(m[2], `\`, "")
		}
	}
	return v
}

// get asks with credentials for the nonce that it has.
func (b *browser) get(method, target string) (*httpd.Outcome, *httpd.Request) {
	b.nc++
	f := map[string]string{"method": method, "uri": target, "nc": fmt.Sprintf("%08x", b.nc), "cnonce": "cn", "qop": "auth", "username": b.user,
		"realm": b.realm, "nonce": b.nonce, "algorithm": "MD5", "opaque": b.opaque}
	if b.change != nil {
		b.change(f)
	}
	ha1, ha2 := md5hex(b.user+":"+b.realm+":"+b.pw), md5hex(f["method"]+":"+f["uri"])
	if f["qop"] == "" {
		f["response"] = md5hex(ha1 + ":" + f["nonce"] + ":" + ha2)
	} else {
		f["response"] = md5hex(ha1 + ":" + f["nonce"] + ":" + f["nc"] + ":" + f["cnonce"] + ":" + f["qop"] + ":" + ha2)
	}
	if v, ok := f["forged"]; ok {
		f["response"] = v
	}
	var words []string
	for _, k := range []string{"username", "realm", "nonce", "uri", "response", "algorithm", "cnonce", "opaque", "qop", "nc"} {
		if f[k] != "" {
			words = append(words, k+`="`+strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(f[k])+`"`)
		}
	}
	return do(b.srv, method, target, httpd.Field{Name: "Authorization", Value: "Digest " + strings.Join(words, ", ")})
}

func newBrowser(t *testing.T) *browser {
	hash := md5hex("joe:A \"realm\":secret")
	srv := compileText(t, strings.ReplaceAll(digestConf, "HASH", md5hex("ann:A \"realm\":other")), map[string]string{
		"digests": "joe:other:0123\njoe:A \"realm\":" + strings.ToUpper(hash) + "\nbad:A \"realm\":xyz\n", "docs/a.txt": "A"})
	return &browser{t: t, srv: srv, user: "joe", pw: "secret"}
}

func TestDigest(t *testing.T) {
	b := newBrowser(t)
	out, _ := do(b.srv, "GET", "/a.txt")
	v := b.challenge(out)
	assert.Regexp(t, `^Digest realm="A \\"realm\\"", nonce="[\w-]{43}", algorithm=MD5, opaque="[0-9a-f]{16}", qop="auth"$`, v)
	for range 3 {
		out, r := b.get("GET", "/a.txt")
		require.Equal(t, 200, out.Status)
		assert.Equal(t, [2]string{"joe", "Digest"}, [2]string{r.User, r.AuthType})
		assert.Regexp(t, `^qop=auth, rspauth="[0-9a-f]{32}", cnonce="cn", nc=0000000\d$`, responseField(out, "Authentication-Info"))
		out.File.Close()
	}
	for _, c := range []struct {
		name   string
		change func(f map[string]string)
		status int
	}{
		{"other uri", func(f map[string]string) { f["uri"] = "/b.txt" }, 400},
		{"method not signed", func(f map[string]string) { f["method"] = "POST" }, 401},
		{"opaque", func(f map[string]string) { f["opaque"] = "0011223344556677" }, 401},
		{"no opaque", func(f map[string]string) { f["opaque"] = "" }, 200},
		{"realm", func(f map[string]string) { f["realm"] = "other" }, 401},
		{"algorithm", func(f map[string]string) { f["algorithm"] = "SHA-256" }, 401},
		{"old form", func(f map[string]string) { f["qop"] = "" }, 401},
		{"auth-int", func(f map[string]string) { f["qop"] = "auth-int" }, 401},
		{"unknown user", func(f map[string]string) { f["username"] = "jim" }, 401},
		{"no response", func(f map[string]string) { f["forged"] = "" }, 401},
		{"response", func(f map[string]string) { f["forged"] = strings.Repeat("0", 32) }, 401},
		{"hash of the file", func(f map[string]string) { f["username"] = "bad" }, 500},
	} {
		b.change = c.change
		out, r := b.get("GET", "/a.txt")
		assert.Equal(t, c.status, out.Status, c.name)
		if c.status == 401 {
			assert.NotContains(t, responseField(out, "WWW-Authenticate"), "stale", c.name)
			assert.Empty(t, r.User)
		}
	}
	b.change, b.pw = nil, "wrong"
	out, _ = b.get("GET", "/a.txt")
	assert.Equal(t, 401, out.Status)
}

func TestDigestNonces(t *testing.T) {
	b := newBrowser(t)
	out, _ := do(b.srv, "GET", "/a.txt")
	b.challenge(out)
	good := b.nonce
	for name, nonce := range map[string]string{"made up": "x", "changed": strings.Map(func(c rune) rune {
		if c == rune(good[0]) {
			return 'Q' + 'R' - c%2
		}
		return c
	}, good), "short": good[:20]} {
		b.nonce = nonce
		out, _ := b.get("GET", "/a.txt")
		assert.Contains(t, b.challenge(out), "stale=true", name)
	}
	out, _ = b.get("GET", "/a.txt")
	assert.Equal(t, 200, out.Status, "the nonce that came with stale=true")

	// a nonce of another server
	other := newBrowser(t)
	out, _ = do(other.srv, "GET", "/a.txt")
	other.challenge(out)
	b.nonce = other.nonce
	b.change = func(f map[string]string) { f["opaque"] = "" }
	out, _ = b.get("GET", "/a.txt")
	assert.Contains(t, b.challenge(out), "stale=true")
	b.change = nil

	// the same secret: another process of this server
	twin := newBrowser(t)
	twin.srv.SetSecret([32]byte{1})
	third := newBrowser(t)
	third.srv.SetSecret([32]byte{1})
	out, _ = do(twin.srv, "GET", "/a.txt")
	twin.challenge(out)
	twin.srv = third.srv
	out, _ = twin.get("GET", "/a.txt")
	assert.Equal(t, 200, out.Status)
}

func TestDigestLifetime(t *testing.T) {
	b := newBrowser(t)
	out, _ := do(b.srv, "GET", "/short")
	b.challenge(out)
	out, _ = b.get("GET", "/short")
	require.Equal(t, 404, out.Status)
	assert.Eventually(t, func() bool {
		out, _ := b.get("GET", "/short")
		return out.Status == 401 && strings.Contains(b.challenge(out), "stale=true")
	}, 5*time.Second, 50*time.Millisecond)
}

func TestDigestReplay(t *testing.T) {
	b := newBrowser(t)
	out, _ := do(b.srv, "GET", "/counted")
	b.challenge(out)
	out, _ = b.get("GET", "/counted")
	require.Equal(t, 404, out.Status)
	b.nc = 0
	out, _ = b.get("GET", "/counted")
	assert.Contains(t, b.challenge(out), "stale=true", "the same count again")
	b.nc = 4
	for range 3 {
		out, _ = b.get("GET", "/counted")
		assert.Equal(t, 404, out.Status)
	}

	out, _ = do(b.srv, "GET", "/once")
	b.challenge(out)
	out, _ = b.get("GET", "/once")
	require.Equal(t, 404, out.Status)
	out, _ = b.get("GET", "/once")
	assert.Contains(t, b.challenge(out), "stale=true", "another request with the same nonce")
}

func TestDigestOldForm(t *testing.T) {
	b := newBrowser(t)
	out, _ := do(b.srv, "GET", "/old")
	v := b.challenge(out)
	assert.NotContains(t, v, "qop")
	assert.Contains(t, v, `domain="/ http://y/"`)
	b.change = func(f map[string]string) { f["qop"], f["nc"], f["cnonce"] = "", "", "" }
	out, _ = b.get("GET", "/old")
	assert.Equal(t, 404, out.Status)
}

func TestDigestFromScript(t *testing.T) {
	b := newBrowser(t)
	out, _ := do(b.srv, "GET", "/script")
	b.challenge(out)
	b.user, b.pw = "ann", "other"
	out, r := b.get("GET", "/script")
	assert.Equal(t, 404, out.Status)
	assert.Equal(t, "ann", r.User)
	b.user, b.pw = "joe", "secret"
	out, r = b.get("GET", "/script")
	assert.Equal(t, 404, out.Status)
	assert.Equal(t, "joe", r.User)
}

// Outside of Handle (a log's condition) nothing can be run elsewhere: a
// sub-request that would need it is refused.
func TestSubRequestsAfterTheResponse(t *testing.T) {
	srv := compileText(t, `
ServerName x
Listen 80
DocumentRoot $DIR/docs
<Location /in>
  AuthType Basic
  AuthName r
  AuthBasicProvider wsgi
  WSGIAuthUserScript $DIR/u=true.py
  Require valid-user
</Location>
`, map[string]string{"docs/in/a.txt": "A", "docs/a.txt": "A"})
	_, r := do(srv, "GET", "/a.txt", httpd.Field{Name: "Authorization", Value: "Basic am9lOnNlY3JldA=="})
	for path, want := range map[string]bool{"/a.txt": true, "/in/a.txt": false} {
		e, err := httpd.ParseExpr("-U '" + path + "'")
		require.NoError(t, err)
		got, err := e.True(r)
		require.NoError(t, err)
		assert.Equal(t, want, got, path)
	}
}
