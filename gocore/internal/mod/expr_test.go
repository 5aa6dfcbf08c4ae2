// This file checks what expressions see of a request: variables, tables,
// sub-requests, and the Vary header they leave.

package mod

import (
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"modwsgi/gocore/internal/httpd"
)

// get runs a request for a URL of host x from 192.0.2.7 to its outcome.
func get(srv *httpd.Server, path, query string, header ...httpd.Field) (*httpd.Request, *httpd.Outcome) {
	local := netip.MustParseAddrPort("127.0.0.1:80")
	r := &httpd.Request{Method: "GET", RawTarget: path, RawPath: path, Query: query, Proto: "HTTP/1.1", HostName: "x:8080", ContentLength: -1,
		Local: local, Remote: netip.MustParseAddrPort("192.0.2.7:4711"), Peer: netip.MustParseAddrPort("192.0.2.8:1"), Start: time.Now(),
		Header: append([]httpd.Field{{Name: "Host", Value: "x:8080"}, {Name: "User-Agent", Value: "test"}}, header...)}
	if query != "" {
		r.RawTarget += "?" + query
	}
	out := srv.Hosts(local).Select([]byte("x")).Handle(r)
	return r, out
}

func TestVariables(t *testing.T) {
	srv := compile(t, `
ServerName named.example
Listen 80
ServerAdmin root@example.org
DocumentRoot $DIR/docs
Alias /al $DIR/docs
SetEnv FROM_CONF yes
`)
	r, out := get(srv, "/al/a.txt", "a=1", httpd.Field{Name: "Cookie", Value: "c=1"}, httpd.Field{Name: "cookie", Value: "d=2"})
	require.Equal(t, 200, out.Status)
	if out.File != nil {
		defer out.File.Close()
	}
	docs := r.Core().DocumentRoot.V
	for name, want := range map[string]string{
		"REQUEST_METHOD": "GET", "REQUEST_SCHEME": "http", "REQUEST_URI": "/al/a.txt", "DOCUMENT_URI": "/al/a.txt",
		"REQUEST_FILENAME": docs + "/a.txt", "SCRIPT_FILENAME": docs + "/a.txt", "PATH_INFO": "", "QUERY_STRING": "a=1", "IS_SUBREQ": "false",
		"THE_REQUEST": "GET /al/a.txt?a=1 HTTP/1.1", "REMOTE_ADDR": "192.0.2.7", "REMOTE_PORT": "4711", "REMOTE_HOST": "192.0.2.7",
		"CONN_REMOTE_ADDR": "192.0.2.8", "REMOTE_USER": "", "SERVER_NAME": "x", "SERVER_PORT": "8080", "SERVER_ADDR": "127.0.0.1",
		"SERVER_ADMIN": "root@example.org", "SERVER_PROTOCOL": "HTTP/1.1", "DOCUMENT_ROOT": docs, "CONTEXT_PREFIX": "/al",
		"CONTEXT_DOCUMENT_ROOT": docs, "HTTPS": "off", "HTTP2": "off", "IPV6": "off", "REQUEST_STATUS": "200", "API_VERSION": "20120211",
		"HTTP_HOST": "x:8080", "HTTP_USER_AGENT": "test", "HTTP_COOKIE": "c=1, d=2", "HTTP_REFERER": "", "HTTP_ACCEPT": "",
		"CONTENT_TYPE": "text/plain", "HANDLER": "", "SSL_PROTOCOL": "", "TIME_YEAR": time.Now().Format("2006"),
	} {
		got, ok := r.Var(name)
		assert.True(t, ok, name)
		assert.Equal(t, want, got, name)
	}
	for _, name := range []string{"HTTP_ACCEPT_LANGUAGE", "NONE", "request_method", "ENV:X"} {
		_, ok := r.Var(name)
		assert.False(t, ok, name)
	}
	for text, want := range map[string]bool{
		"reqenv('FROM_CONF') == 'yes'": true, "%{req:COOKIE} =~ /(d)=2/ && $1 == 'd'": true, "-R '192.0.2.0/24'": true, "-F '" + docs + "/a.txt'": true,
		"-F '" + docs + "/missing'": false, "-U '/al/a.txt'": true, "-F 'a.txt'": true, "%{LAST_MODIFIED} -gt 20200101000000": true,
		"'abc' =~ /(?=b)b(c)/ && $1 == 'c'": true, // needs the backtracking engine
	} {
		e, err := httpd.ParseExpr(text)
		require.NoError(t, err, text)
		got, err := e.True(r)
		require.NoError(t, err, text)
		assert.Equal(t, want, got, text)
	}
	s, err := httpd.ParseStringExpr("%{REQUEST_URI}?%{QUERY_STRING}")
	require.NoError(t, err)
	v, err := s.Eval(r)
	require.NoError(t, err)
	assert.Equal(t, "/al/a.txt?a=1", v)
}

func TestReachableAsksForAccess(t *testing.T) {
	srv := compile(t, `
ServerName x
Listen 80
DocumentRoot $DIR/docs
<Location /no>
  Require all denied
</Location>
<Files secret>
  Require all denied
</Files>
`)
	r, out := get(srv, "/a.txt", "")
	require.Equal(t, 200, out.Status)
	out.File.Close()
	secret := filepath.Join(r.Core().DocumentRoot.V, "secret")
	require.NoError(t, os.WriteFile(secret, nil, 0o600))
	for text, want := range map[string]bool{"-U '/no/x'": false, "-U '/a.txt'": true, "-A 'a.txt'": true, "-F '" + secret + "'": false} {
		e, err := httpd.ParseExpr(text)
		require.NoError(t, err)
		got, err := e.True(r)
		require.NoError(t, err)
		assert.Equal(t, want, got, text)
	}
}

func TestVary(t *testing.T) {
	srv := compile(t, "ServerName x\nListen 80\nDocumentRoot $DIR/docs\n")
	r, out := get(srv, "/a.txt", "")
	out.File.Close()
	r.Out = []httpd.Field{{Name: "vary", Value: "Accept"}}
	e, err := httpd.ParseExpr("%{HTTP_HOST} == '' || %{req_novary:X} != '' || %{HTTP_ACCEPT} != '' || %{HTTP_REFERER} != '' || req('x-y') != ''")
	require.NoError(t, err)
	_, err = e.True(r)
	require.NoError(t, err)
	assert.Equal(t, "Accept", r.Out[0].Value, "conditions that do not shape the response leave no trace")
	_, err = e.Vary().True(r)
	require.NoError(t, err)
	assert.Equal(t, []httpd.Field{{Name: "vary", Value: "Accept, Referer, x-y"}}, r.Out)
}

func TestRegexTimeoutIsAnError(t *testing.T) {
	srv := compile(t, "ServerName x\nListen 80\nDocumentRoot $DIR/docs\n")
	r, out := get(srv, "/a.txt", "", httpd.Field{Name: "X", Value: "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa!"})
	out.File.Close()
	e, err := httpd.ParseExpr(`%{req:X} =~ /^(?=a)(a+)+$/`)
	require.NoError(t, err)
	_, err = e.True(r)
	assert.ErrorContains(t, err, "took longer")
}

func TestConditionalSectionsAreNotRepeatable(t *testing.T) {
	srv := compile(t, "ServerName x\nListen 80\nDocumentRoot $DIR/docs\n<Files index.html>\n<If \"%{HTTP_COOKIE} == 'x'\">\nForceType text/x\n</If>\n</Files>\n")
	for path, repeatable := range map[string]bool{"/a.txt": true, "/index.html": false} {
		r, out := get(srv, path, "")
		out.File.Close()
		old := time.Now().Add(-time.Hour) // a file that was just written is not repeatable anyway
		require.NoError(t, os.Chtimes(r.Filename, old, old))
		_, out = get(srv, path, "")
		require.Equal(t, 200, out.Status)
		out.File.Close()
		assert.Equal(t, repeatable, out.Repeat != nil, path)
	}
}

// Header with constant values must not take applications off the precomputed
// route; RequestHeader and SetEnvIf must.
func TestPrecomputedRouteWithHeaders(t *testing.T) {
	for lines, fast := range map[string]bool{
		"Header set A b\nHeader always set B c":                       true,
		"Header set A \"expr=%{REQUEST_METHOD}\"":                     true,
		"ExpiresActive On\nExpiresDefault A60":                        true,
		"RequestHeader unset Proxy early":                             true,
		"<Location /other>\nRequestHeader set A b\n</Location>":       true,
		"Header set A b early":                                        false,
		"RequestHeader set A b":                                       false,
		"SetEnvIf Host x y":                                           false,
		"SetEnv nokeepalive 1":                                        false,
		"StrictHostCheck On":                                          false,
		"<If true>\nSetEnv A b\n</If>":                                false,
		"<Location />\n<If true>\nHeader set A b\n</If>\n</Location>": false,
	} {
		srv := compile(t, "ServerName x\nListen 80\nWSGIScriptAlias / $DIR/app.wsgi\n"+lines+"\n")
		p, _ := srv.Main.Fast([]byte("GET"), []byte("/a"))
		assert.Equal(t, fast, p != nil, lines)
		if p != nil {
			assert.Equal(t, strings.Contains(lines, "Header set A") && !strings.Contains(lines, "RequestHeader") || strings.Contains(lines, "Expires"), p.Hooked(), lines)
		}
	}
}
