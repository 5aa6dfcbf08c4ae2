// This file passes requests on to small servers, without a server of our own
// around: mapping, fields, balancers, errors, diagnostics.

package proxy_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
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

func compile(text string) (*httpd.Server, []conf.Diagnostic) {
	tree, diags := conf.ParseText("httpd.conf", "ServerName example.test:80\nListen 80\n"+text, httpd.ConfOptions(mod.All))
	srv, more := httpd.Compile(tree, mod.All)
	return srv, append(diags, more...)
}

func server(t *testing.T, text string) *httpd.Server {
	srv, diags := compile(text)
	require.Empty(t, diags, text)
	return srv
}

// backend answers with what it was asked and its name.
func backend(t *testing.T, name string) *httptest.Server {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Uri", r.RequestURI)
		w.Header().Set("X-Host", r.Host)
		w.Header().Set("X-Name", name)
		for k, v := range r.Header {
			w.Header()["X-Got-"+k] = v
		}
		body, _ := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%s %s", name, body)
	}))
	t.Cleanup(s.Close)
	return s
}

func status(t *testing.T, err error) int {
	var se *httpd.StatusError
	require.ErrorAs(t, err, &se)
	return se.Status
}

func TestMapping(t *testing.T) {
	b := backend(t, "b")
	for _, c := range []struct{ config, target, want string }{
		{"ProxyPass /a/ $B/", "/a/x?q=1&r", "/x?q=1&r"},
		{"ProxyPass /a/ $B/", "/b/x", ""},
		{"ProxyPass /a $B/c", "/a", "/c"},
		{"ProxyPass /a $B/c", "/ab", ""},
		{"ProxyPass / $B", "/x/y", "/x/y"},
		{"ProxyPass /a/ $B/", "/a/b%20c%25%3F%23;d", "/b%20c%25%3F%23;d"},
		{"ProxyPass /a/ $B/ nocanon", "/a/b%41%7e", "/b%41%7e"},
		{"AllowEncodedSlashes NoDecode\nProxyPass /a/ $B/", "/a/b%2fc", "/b%2fc"},
		{"AllowEncodedSlashes NoDecode\nProxyPass /a/ $B/ nocanon", "/a/b%2fc?x", "/b%2fc?x"},
		{"AllowEncodedSlashes NoDecode\nProxyPass /a/ $B/", "/a/b%252Fc", "400"},
		{"ProxyPass /a/ $B/", "/a/b%252Fc", "/b%252Fc"},
		{"ProxyPass /a/no !\nProxyPass /a/ $B/", "/a/no/x", ""},
		{"ProxyPass /a/no !\nProxyPass /a/ $B/", "/a/yes", "/yes"},
		{"ProxyPassMatch ^/m/(.*)\\.gif$ $B/g/$1", "/m/x/y.gif", "/g/x/y"},
		{"ProxyPassMatch ^/m/(.*)\\.gif$ $B/g/$1", "/m/x/y.png", ""},
		{"ProxyPassMatch ^(/.*)$ $B$1", "/z", "/z"},
		{"<Location /l/>\nProxyPass $B/k/\n</Location>", "/l/x", "/k/x"},
		{"ProxyPass /l/ $B/first/\n<Location /l/>\nProxyPass $B/own/\n</Location>", "/l/x", "/own/x"},
		{"<LocationMatch ^/r/(.*)>\nProxyPassMatch $B/$1\n</LocationMatch>", "/r/x", "/x"},
		{"RewriteEngine On\nRewriteRule ^/w/(.*) $B/v/$1 [P]", "/w/x%20y?a=b", "/v/x%20y?a=b"},
		{"RewriteEngine On\nRewriteRule ^/w/(.*) $B/v/$1 [P,NE]", "/w/x?a=b", "/v/x?a=b"},
		{"SetEnvIf Host . no-proxy=1\nProxyPass / $B/", "/x", ""},
		{"ProxyPass / $B/\n<Location /status>\nSetHandler default-handler\n</Location>", "/status", ""},
		{"ProxyPass / $B/", "//x", "/x"},
		{"ProxyPass / $B/", "/x?", "/x?"},
	} {
		srv := server(t, strings.ReplaceAll(c.config, "$B", b.URL))
		w := &streamtest.Writer{}
		out, err := streamtest.Do(srv.Main, streamtest.Request("GET", c.target, ""), w)
		require.NoError(t, err, c.config)
		if c.want == "400" {
			assert.Equal(t, 400, out.Status)
			continue
		}
		assert.Equal(t, c.want, w.Field("X-Uri"), "%s %s", c.config, c.target)
		if c.want == "" {
			assert.Nil(t, out.Stream, c.config)
		}
	}
}

// The main server's lines come before those of the virtual host.
func TestHosts(t *testing.T) {
	b := backend(t, "b")
	text := fmt.Sprintf("ProxyPass /api/ %[1]s/main/\n<VirtualHost *:80>\nServerName v\nProxyPass / %[1]s/host/\n</VirtualHost>\n"+
		"<VirtualHost *:80>\nServerName alone\nProxyPassInherit Off\nProxyPass / %[1]s/alone/\n</VirtualHost>\n<VirtualHost *:80>\nServerName plain\n</VirtualHost>\n", b.URL)
	srv := server(t, text)
	for i, want := range []string{"/main/x", "/alone/api/x", "/main/x"} {
		w := &streamtest.Writer{}
		_, err := streamtest.Do(srv.VirtualHosts[i], streamtest.Request("GET", "/api/x", ""), w)
		require.NoError(t, err)
		assert.Equal(t, want, w.Field("X-Uri"))
	}
}

func TestFields(t *testing.T) {
	b := backend(t, "b")
	send := func(config string) *streamtest.Writer {
		r := streamtest.Request("POST", "/x", "body")
		r.Header = append(r.Header, httpd.Field{Name: "X-Forwarded-For", Value: "203.0.113.1"}, httpd.Field{Name: "Connection", Value: "close, X-Hop"},
			httpd.Field{Name: "X-Hop", Value: "1"}, httpd.Field{Name: "Keep-Alive", Value: "5"}, httpd.Field{Name: "Te", Value: "trailers"},
			httpd.Field{Name: "Proxy-Authorization", Value: "x"}, httpd.Field{Name: "Proxy", Value: "x"}, httpd.Field{Name: "Upgrade", Value: "websocket"},
			httpd.Field{Name: "Accept", Value: "a"}, httpd.Field{Name: "Accept", Value: "b"}, httpd.Field{Name: "Via", Value: "1.0 old"})
		w := &streamtest.Writer{}
		_, err := streamtest.Do(server(t, "ProxyPass / "+b.URL+"/\n"+config).Main, r, w)
		require.NoError(t, err)
		assert.Equal(t, "b body", w.Body.String())
		return w
	}
	w := send("")
	for name, want := range map[string]string{"Host": strings.TrimPrefix(b.URL, "http://"), "Got-X-Forwarded-For": "203.0.113.1, 192.0.2.7",
		"Got-X-Forwarded-Host": "example.test", "Got-X-Forwarded-Server": "example.test", "Got-Accept": "a, b", "Got-Content-Length": "4", "Got-Via": "1.0 old",
		"Got-User-Agent": "", "Got-Accept-Encoding": "", "Got-X-Hop": "", "Got-Keep-Alive": "", "Got-Te": "", "Got-Proxy-Authorization": "", "Got-Proxy": "", "Got-Upgrade": ""} {
		assert.Equal(t, want, w.Field("X-"+name), name)
	}
	w = send("ProxyPreserveHost On\nProxyAddHeaders Off\nProxyVia On")
	for name, want := range map[string]string{"X-Host": "example.test", "X-Got-X-Forwarded-For": "203.0.113.1", "X-Got-X-Forwarded-Host": "",
		"X-Got-Via": "1.0 old, 1.1 example.test", "Via": "1.1 example.test"} {
		assert.Equal(t, want, w.Field(name), name)
	}
	w = send("ProxyVia Block")
	assert.Equal(t, "", w.Field("X-Got-Via"))
}

func TestReverse(t *testing.T) {
	var location, cookie string
	b := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Location", location)
		w.Header().Add("Set-Cookie", cookie)
		w.WriteHeader(302)
	}))
	defer b.Close()
	config := "ProxyPass /a/ $B/x/\nProxyPassReverse /a/ $B/x/\nProxyPassReverse /p/ /path/\nProxyPassReverseCookieDomain inside.test example.test\nProxyPassReverseCookiePath /x/ /a/\n"
	srv := server(t, strings.ReplaceAll(config, "$B", b.URL))
	for from, want := range map[string]string{"$B/x/y?z": "http://example.test/a/y?z", "$B/other": "$B/other", "http://else.test/path/q": "http://example.test/p/q",
		"/path/1": "http://example.test/p/1", "/free": "/free"} {
		location, cookie = strings.ReplaceAll(from, "$B", b.URL), "k=v; Domain=.inside.test; Path=/x/y; Secure"
		w := &streamtest.Writer{}
		_, err := streamtest.Do(srv.Main, streamtest.Request("GET", "/a/1", ""), w)
		require.NoError(t, err)
		assert.Equal(t, strings.ReplaceAll(want, "$B", b.URL), w.Field("Location"))
		assert.Equal(t, "k=v; Domain=example.test; Path=/a/; Secure", w.Field("Set-Cookie"))
	}
}

func TestUnixSocket(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", path)
	require.NoError(t, err)
	go http.Serve(l, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, r.Host, " ", r.RequestURI) }))
	defer l.Close()
	for config, want := range map[string]string{
		"ProxyPass /u/ unix:" + path + "|http://name/v/":                               "name /v/x",
		"RewriteEngine On\nRewriteRule ^/u/(.*) \"unix:" + path + "|http://h/$1\" [P]": "h /x",
	} {
		w := &streamtest.Writer{}
		_, err = streamtest.Do(server(t, config).Main, streamtest.Request("GET", "/u/x", ""), w)
		require.NoError(t, err)
		assert.Equal(t, want, w.Body.String())
	}
}

// raw answers every connection with a text.
func raw(t *testing.T, text string) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				buf := make([]byte, 4096)
				c.Read(buf)
				if text == "silent" {
					c.Read(buf) // until the other side closes
				} else {
					io.WriteString(c, text)
				}
				c.Close()
			}()
		}
	}()
	return "http://" + l.Addr().String()
}

// Fields that Connection lists do not go further, whatever else it says.
func TestHopByHop(t *testing.T) {
	for _, head := range []string{"HTTP/1.1 200 OK\r\nconnection: close, X-Gone\r\nX-Gone: 1\r\nX-Stays: 1\r\nContent-Length: 0\r\n\r\n",
		"HTTP/1.1 103 Early Hints\r\nConnection: X-Stays\r\n\r\nHTTP/1.1 200 OK\r\nX-Gone: 1\r\nX-Stays: 1\r\nConnection: x-gone\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
		"HTTP/1.0 200 OK\nConnection: close,X-Gone\nX-Gone: 1\nX-Stays: 1\n\n"} {
		w := &streamtest.Writer{}
		_, err := streamtest.Do(server(t, "ProxyPass / "+raw(t, head)+"/").Main, streamtest.Request("GET", "/?", ""), w)
		require.NoError(t, err)
		assert.Equal(t, 200, w.Status)
		assert.Equal(t, "", w.Field("X-Gone"), head)
		if !strings.Contains(head, "103") {
			assert.Equal(t, "1", w.Field("X-Stays"), head)
		}
	}
}

func closedPort(t *testing.T) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	return "http://" + l.Addr().String()
}

func TestErrors(t *testing.T) {
	for _, c := range []struct {
		url, params string
		want        int
	}{
		{raw(t, "nonsense\r\n\r\n"), "", 502},
		{raw(t, "HTTP/1.1 200 OK\r\nBad Name: x\r\n\r\n"), "", 502},
		{raw(t, ""), "", 502},
		{raw(t, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n"), "", 502},
		{raw(t, "silent"), "timeout=100ms", 504},
		{closedPort(t), "", 503},
		{"http://nowhere.invalid", "", 502},
	} {
		srv := server(t, "ProxyPass / "+c.url+"/ "+c.params)
		_, err := streamtest.Do(srv.Main, streamtest.Request("GET", "/", ""), &streamtest.Writer{})
		assert.Equal(t, c.want, status(t, err), "%s %v", c.url, err)
	}
	// what breaks later cannot have a status
	w := &streamtest.Writer{}
	_, err := streamtest.Do(server(t, "ProxyPass / "+raw(t, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")+"/").Main, streamtest.Request("GET", "/", ""), w)
	require.Error(t, err)
	assert.Equal(t, 200, w.Status)
	// a body that breaks off
	broken := &httpd.StatusError{Status: 408}
	r := streamtest.Request("POST", "/", "12345")
	r.SetBody(io.MultiReader(strings.NewReader("123"), iotest.ErrReader(broken)))
	_, err = streamtest.Do(server(t, "ProxyPass / "+backend(t, "b").URL+"/").Main, r, &streamtest.Writer{})
	assert.ErrorIs(t, err, broken)
	// a client that leaves
	ctx, cancel := context.WithCancel(context.Background())
	time.AfterFunc(50*time.Millisecond, cancel)
	_, err = streamtest.Do(server(t, "ProxyPass / "+raw(t, "silent")+"/").Main, streamtest.Request("GET", "/", ""), &streamtest.Writer{Ctx: ctx})
	assert.ErrorIs(t, err, context.Canceled)
}

// A server that could not be reached is left alone for the time of retry=.
func TestRetry(t *testing.T) {
	url := closedPort(t)
	srv := server(t, "ProxyPass /a/ "+url+"/\nProxyPass /b/ "+url+"/ retry=0\n")
	for range 2 {
		_, err := streamtest.Do(srv.Main, streamtest.Request("GET", "/a/", ""), &streamtest.Writer{})
		assert.Equal(t, 503, status(t, err))
		_, err = streamtest.Do(srv.Main, streamtest.Request("GET", "/b/", ""), &streamtest.Writer{})
		assert.Equal(t, 503, status(t, err))
	}
	l, err := net.Listen("tcp", strings.TrimPrefix(url, "http://"))
	require.NoError(t, err)
	defer l.Close()
	go http.Serve(l, http.NotFoundHandler())
	_, err = streamtest.Do(srv.Main, streamtest.Request("GET", "/a/", ""), &streamtest.Writer{})
	assert.ErrorContains(t, err, "out of service")
	w := &streamtest.Writer{}
	_, err = streamtest.Do(srv.Main, streamtest.Request("GET", "/b/", ""), w)
	require.NoError(t, err)
	assert.Equal(t, 404, w.Status)
}

func TestErrorOverride(t *testing.T) {
	b := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("WWW-Authenticate", "Basic")
		w.WriteHeader(401)
	}))
	defer b.Close()
	r := streamtest.Request("GET", "/", "")
	_, err := streamtest.Do(server(t, "ProxyPass / "+b.URL+"/\nProxyErrorOverride On\n").Main, r, &streamtest.Writer{})
	assert.Equal(t, 401, status(t, err))
	assert.Contains(t, r.ErrOut, httpd.Field{Name: "WWW-Authenticate", Value: "Basic"})
	w := &streamtest.Writer{}
	_, err = streamtest.Do(server(t, "ProxyPass / "+b.URL+"/\nProxyErrorOverride On 404\n").Main, streamtest.Request("GET", "/", ""), w)
	require.NoError(t, err)
	assert.Equal(t, 401, w.Status)
	assert.Equal(t, "Basic", w.Field("WWW-Authenticate"))
}

func TestProxySections(t *testing.T) {
	b := backend(t, "b")
	for section, want := range map[string]int{
		"<Proxy *>\nRequire all denied\n</Proxy>":                                                       403,
		"<Proxy $B/secret>\nRequire all denied\n</Proxy>":                                               403,
		"<Proxy $B/open>\nRequire all denied\n</Proxy>":                                                 0,
		"<ProxyMatch /sec[a-z]+/>\nRequire all denied\n</ProxyMatch>":                                   403,
		"<Location /secret>\nRequire all denied\n</Location>":                                           403,
		"<Proxy *>\nRequire all denied\n</Proxy>\n<Location /secret>\nRequire all granted\n</Location>": 0,
	} {
		out, err := streamtest.Do(server(t, strings.ReplaceAll("ProxyPass / $B/\n"+section, "$B", b.URL)).Main, streamtest.Request("GET", "/secret/x", ""), &streamtest.Writer{})
		require.NoError(t, err)
		assert.Equal(t, want, out.Status, section)
	}
}

func TestBalancer(t *testing.T) {
	a, b := backend(t, "a"), backend(t, "b")
	names := func(srv *httpd.Server, n int, header ...httpd.Field) string {
		var s strings.Builder
		for range n {
			w := &streamtest.Writer{}
			r := streamtest.Request("GET", "/x", "")
			r.Header = append(r.Header, header...)
			_, err := streamtest.Do(srv.Main, r, w)
			require.NoError(t, err)
			s.WriteString(w.Field("X-Name"))
			assert.Equal(t, "/base/x", w.Field("X-Uri"))
		}
		return s.String()
	}
	config := func(first, second, set string) *httpd.Server {
		return server(t, fmt.Sprintf("<Proxy balancer://c>\nBalancerMember %s/base %s\nBalancerMember %s/base %s\nProxySet timeout=5 %s\n</Proxy>\nProxyPass / balancer://c/\n",
			a.URL, first, b.URL, second, set))
	}
	assert.Equal(t, "ababab", names(config("", "", ""), 6))
	assert.Equal(t, 6, strings.Count(names(config("loadfactor=3", "", ""), 8), "a"))
	assert.Equal(t, "ababab", names(config("", "", "lbmethod=bytraffic"), 6))
	assert.Equal(t, "abab", names(config("", "", "lbmethod=bybusyness"), 4))
	assert.Equal(t, "bbb", names(config("status=D", "", ""), 3))
	assert.Equal(t, "aaa", names(config("", "status=+H", ""), 3))
	assert.Equal(t, "bbb", names(config("status=D", "status=+H", ""), 3))
	assert.Equal(t, "bbb", names(config("lbset=1", "", ""), 3))
	sticky := config("route=one", "route=two", "stickysession=SID")
	assert.Equal(t, "bbb", names(sticky, 3, httpd.Field{Name: "Cookie", Value: "x=y; SID=abc.two"}))
	assert.Equal(t, "aaa", names(sticky, 3, httpd.Field{Name: "Cookie", Value: "SID=abc.one"}))
	r := streamtest.Request("GET", "/x", "")
	_, err := streamtest.Do(sticky.Main, r, &streamtest.Writer{})
	require.NoError(t, err)
	for name, want := range map[string]string{"BALANCER_NAME": "balancer://c", "BALANCER_SESSION_STICKY": "SID", "BALANCER_ROUTE_CHANGED": "1"} {
		v, _ := r.Env(name)
		assert.Equal(t, want, v, name)
	}
	a.Close() // failover
	assert.Equal(t, "bbbb", names(config("", "", ""), 4))
	assert.Equal(t, "bb", names(config("route=one", "route=two", "stickysession=SID"), 2, httpd.Field{Name: "Cookie", Value: "SID=abc.one"}))
	w := &streamtest.Writer{}
	r = streamtest.Request("GET", "/x", "")
	r.Header = append(r.Header, httpd.Field{Name: "Cookie", Value: "SID=abc.one"})
	_, err = streamtest.Do(config("route=one", "route=two", "stickysession=SID nofailover=On").Main, r, w)
	assert.Equal(t, 503, status(t, err))
	_, err = streamtest.Do(config("", "status=D", "").Main, streamtest.Request("GET", "/x", ""), w)
	assert.Equal(t, 503, status(t, err))
}

func TestMax(t *testing.T) {
	hold := make(chan struct{})
	entered := make(chan struct{})
	b := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		entered <- struct{}{}
		<-hold
	}))
	defer b.Close()
	srv := server(t, "ProxyPass / "+b.URL+"/ max=1 acquire=10")
	var wg sync.WaitGroup
	wg.Go(func() { streamtest.Do(srv.Main, streamtest.Request("GET", "/", ""), &streamtest.Writer{}) })
	<-entered
	_, err := streamtest.Do(srv.Main, streamtest.Request("GET", "/", ""), &streamtest.Writer{})
	assert.Equal(t, 503, status(t, err))
	close(hold)
	wg.Wait()
}

func TestUpgrade(t *testing.T) {
	b := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Upgrade") != "websocket" {
			fmt.Fprint(w, "plain")
			return
		}
		c, buf, _ := http.NewResponseController(w).Hijack()
		defer c.Close()
		io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: WebSocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: x\r\n\r\n")
		line, _ := buf.ReadString('\n')
		io.WriteString(c, "echo "+line)
	}))
	defer b.Close()
	ask := func(params string) (*streamtest.Writer, net.Conn, chan error) {
		r := streamtest.Request("GET", "/", "")
		r.Header = append(r.Header, httpd.Field{Name: "Connection", Value: "keep-alive, Upgrade"}, httpd.Field{Name: "Upgrade", Value: "websocket"})
		client, ours := net.Pipe()
		w := &streamtest.Writer{Conn: ours, Early: []byte("hel")}
		done := make(chan error, 1)
		go func() {
			_, err := streamtest.Do(server(t, "ProxyPass / "+b.URL+"/ "+params).Main, r, w)
			done <- err
		}()
		return w, client, done
	}
	w, client, done := ask("upgrade=websocket")
	_, err := io.WriteString(client, "lo\n")
	require.NoError(t, err)
	got, err := io.ReadAll(client)
	require.NoError(t, err)
	assert.Equal(t, "echo hello\n", string(got))
	require.NoError(t, <-done)
	assert.Equal(t, 101, w.Status)
	assert.Equal(t, "x", w.Field("Sec-WebSocket-Accept"))
	assert.Equal(t, "Upgrade", w.Field("Connection"))
	w, _, done = ask("")
	require.NoError(t, <-done)
	assert.Equal(t, "plain", w.Body.String())
}

func TestMaxForwards(t *testing.T) {
	b := backend(t, "b")
	srv := server(t, "ProxyPass / "+b.URL+"/")
	for sent, want := range map[string]string{"0": "", "3": "2"} {
		r := streamtest.Request("OPTIONS", "/x", "")
		r.Header = append(r.Header, httpd.Field{Name: "Max-Forwards", Value: sent})
		w := &streamtest.Writer{}
		_, err := streamtest.Do(srv.Main, r, w)
		require.NoError(t, err)
		assert.Equal(t, want, w.Field("X-Got-Max-Forwards"))
	}
}

func TestDiagnostics(t *testing.T) {
	for text, want := range map[string]string{
		"ProxyPass / https://h/":                                   "https:// needs SSLProxyEngine",
		"ProxyPass / ajp://h/":                                     "the protocol ajp is not available",
		"ProxyPass / fcgi://h/":                                    "the protocol fcgi is not available",
		"ProxyPass / gopher://h/":                                  "no known scheme",
		"ProxyPass / h":                                            "is not a URL",
		"ProxyPass / http://":                                      "has no host",
		"ProxyPass / http://u:p@h/":                                "has a user name",
		"ProxyPass / http://h:x/":                                  "is not host:port",
		"ProxyPass / http://h/?q":                                  "cannot have a query",
		"ProxyPass / unix:/x":                                      "unix:/path|http",
		"ProxyPass x http://h/":                                    "is not a URL path",
		"ProxyPass /":                                              "needs a URL path and a URL",
		"ProxyPass / http://h/ colour=red":                         `there is no parameter "colour"`,
		"ProxyPass / http://h/ red":                                `"red" is not a parameter`,
		"ProxyPass / http://h/ timeout=soon":                       "timeout: ",
		"ProxyPass / http://h/ interpolate":                        "are not replaced",
		"ProxyPass / http://h/ secret=x":                           "belongs to AJP",
		"ProxyPass / http://h/ status=X":                           "is not a state",
		"ProxyPass / http://h/ loadfactor=101":                     "out of range",
		"ProxyPass / ! x=y":                                        "takes no parameters",
		"ProxyPass /a/ http://h/b":                                 "ends with a slash",
		"ProxyPassMatch ^/(.*) http://$1/":                         "has no host",
		"ProxyPassMatch ^/(.*) http://h$2/":                        "cannot come from the request",
		"<Location /x>\nProxyPass /y http://h/\n</Location>":       "takes only the URL",
		"<LocationMatch x>\nProxyPass http://h/\n</LocationMatch>": "does not work inside of <LocationMatch>",
		"<Directory />\nProxyPass http://h/\n</Directory>":         "not allowed here",
		"ProxyRequests On":                                         "no forward proxy",
		"ProxyBadHeader Ignore":                                    "always an error",
		"ProxyPassInterpolateEnv On":                               "are not replaced",
		"ProxyVia Maybe":                                           "must be On, Off, Full or Block",
		"ProxyErrorOverride On 200":                                "is not the status of an error",
		"ProxyTimeout 0":                                           "at least a millisecond",
		"ProxySourceAddress x":                                     "is not an IP address",
		"ProxyBlock *":                                             "mod_proxy",
		"ProxyIOBufferSize 9":                                      "accepted without effect",
		"ProxyPass / balancer://none/":                             "has no members",
		"<Proxy http://h>\nBalancerMember http://i\n</Proxy>":      "balancer://name",
		"BalancerMember balancer://b balancer://c":                 "cannot be a member",
		"ProxySet http://h/ timeout=1":                             "no ProxyPass or BalancerMember",
		"ProxySet balancer://b lbmethod=heartbeat":                 "is not available",
		"SetHandler proxy:fcgi://h/":                               "FastCGI",
	} {
		_, diags := compile(text)
		require.NotEmpty(t, diags, text)
		var all strings.Builder
		for _, d := range diags {
			all.WriteString(d.String() + "\n")
		}
		assert.Contains(t, all.String(), want, text)
	}
}

// What a request can make of a template never changes the server.
func TestHostIsFixed(t *testing.T) {
	b := backend(t, "b")
	srv := server(t, "ProxyPassMatch ^/m(.*)$ "+b.URL+"$1\nProxyPass /a/ "+b.URL+"\n")
	out, err := streamtest.Do(srv.Main, streamtest.Request("GET", "/m.evil.test/", ""), &streamtest.Writer{})
	require.NoError(t, err)
	assert.Equal(t, 403, out.Status)
	w := &streamtest.Writer{}
	_, err = streamtest.Do(srv.Main, streamtest.Request("GET", "/a/.evil.test/", ""), w)
	require.NoError(t, err)
	assert.Equal(t, "/.evil.test/", w.Field("X-Uri"))
}

// A .htaccess file reaches other servers only where the administrator uses the module.
func TestHtaccess(t *testing.T) {
	b, dir := backend(t, "b"), t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, ".htaccess"), []byte("RewriteEngine On\nRewriteRule (.*) "+b.URL+"/$1 [P]\n"), 0o644))
	config := "DocumentRoot " + dir + "\n<Directory " + dir + ">\nAllowOverride FileInfo\nOptions FollowSymLinks\n</Directory>\n"
	for more, want := range map[string]int{"": 403, "LoadModule proxy_module modules/mod_proxy.so\n": 0, "ProxyPass /x/ " + b.URL + "/\n": 0} {
		w := &streamtest.Writer{}
		out, err := streamtest.Do(server(t, config+more).Main, streamtest.Request("GET", "/y", ""), w)
		require.NoError(t, err)
		assert.Equal(t, want, out.Status, more)
		if want == 0 {
			assert.Equal(t, "/y", w.Field("X-Uri"))
		}
	}
}
