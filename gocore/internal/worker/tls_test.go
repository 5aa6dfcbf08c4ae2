// Tests of the choice of a host in the handshake and of the keys of tickets.
package worker

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"modwsgi/gocore/internal/conf"
	"modwsgi/gocore/internal/httpd"
	"modwsgi/gocore/internal/mod"
	"modwsgi/gocore/internal/mod/ssl"
)

// secureSite compiles hosts whose certificates are in the folder $D.
func secureSite(t *testing.T, text string) (*httpd.Server, ssl.Files) {
	dir := t.TempDir()
	for _, name := range []string{"a.example", "b.example"} {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		require.NoError(t, err)
		tmpl := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{name}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
		der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, key.Public(), key)
		require.NoError(t, err)
		private, err := x509.MarshalPKCS8PrivateKey(key)
		require.NoError(t, err)
		both := append(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})...)
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), both, 0o600))
	}
	tree, diags := conf.ParseText("httpd.conf", strings.ReplaceAll(text, "$D", dir), httpd.ConfOptions(mod.All))
	srv, more := httpd.Compile(tree, mod.All)
	require.False(t, conf.HasErrors(append(diags, more...)), "%v", more)
	files, diags := ssl.Read(srv)
	require.False(t, conf.HasErrors(diags), "%v", diags)
	return srv, files
}

const twoHosts = "Listen 8443\nServerName m\n<VirtualHost *:8443>\nServerName a.example\nSSLEngine on\nSSLCertificateFile $D/a.example\n</VirtualHost>\n" +
	"<VirtualHost *:8443>\nServerName b.example\nServerAlias *.b.example\nSSLEngine on\nSSLCertificateFile $D/b.example\n</VirtualHost>\n" +
	"<VirtualHost *:8443>\nServerName c.example\n</VirtualHost>\n"

func TestHostOfTheHandshake(t *testing.T) {
	srv, files := secureSite(t, twoHosts)
	hosts, err := newTLS(srv, files)
	require.NoError(t, err)
	set := srv.Hosts(netip.MustParseAddrPort("127.0.0.1:8443"))
	for name, want := range map[string]string{"a.example": "a.example", "b.example": "b.example", "B.Example": "b.example", "x.b.example": "b.example",
		"": "a.example", "other": "a.example", "c.example": "a.example"} {
		assert.Equal(t, want, hosts.choose(set, name).V.ServerName, name)
	}
	assert.Same(t, hosts.config(set), hosts.config(set))
	none, err := newTLS(func() *httpd.Server { s, _ := secureSite(t, "Listen 80\n"); return s }(), nil)
	assert.NoError(t, err)
	assert.Nil(t, none)
	_, err = newTLS(srv, ssl.Files{})
	assert.ErrorContains(t, err, "no certificate")
}

// resumes says whether a client takes up its session with another process's hosts.
func resumes(t *testing.T, client *tls.Config, server *tls.Config) bool {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	out := make(chan bool, 1)
	go func() {
		defer close(out)
		plain, err := l.Accept()
		if err != nil {
			return
		}
		defer plain.Close()
		s := tls.Server(plain, server)
		if s.Handshake() == nil {
			_, _ = s.Write([]byte("x"))
			out <- s.ConnectionState().DidResume
		}
	}()
	plain, err := net.Dial("tcp", l.Addr().String())
	require.NoError(t, err)
	defer plain.Close()
	c := tls.Client(plain, client)
	_, err = c.Read(make([]byte, 1)) // with the first data come the tickets
	require.NoError(t, err)
	return <-out
}

// Processes of a server take each other's tickets, for two periods, and nobody
// takes those of another server or of a host that demands something else.
func TestTickets(t *testing.T) {
	srv, files := secureSite(t, twoHosts)
	set := srv.Hosts(netip.MustParseAddrPort("127.0.0.1:8443"))
	process := func(secret byte, at time.Time) *tls.Config {
		s, diags := httpd.Compile(srv.Tree, mod.All)
		require.False(t, conf.HasErrors(diags))
		s.SetSecret([32]byte{secret})
		h, err := newTLS(s, files)
		require.NoError(t, err)
		h.rotate(at)
		return h.config(s.Hosts(netip.MustParseAddrPort("127.0.0.1:8443")))
	}
	require.NotNil(t, set)
	now := time.Now()
	client := func(name string) *tls.Config {
		return &tls.Config{InsecureSkipVerify: true, ServerName: name, ClientSessionCache: tls.NewLRUClientSessionCache(4)}
	}
	a := client("a.example")
	assert.False(t, resumes(t, a, process(1, now)))
	assert.True(t, resumes(t, a, process(1, now)), "another process")
	assert.True(t, resumes(t, a, process(1, now.Add(ticketPeriod))), "the next period")
	assert.False(t, resumes(t, a, process(1, now.Add(4*ticketPeriod))), "much later")
	assert.False(t, resumes(t, a, process(2, now.Add(4*ticketPeriod))), "another server")
	both := tls.NewLRUClientSessionCache(4)
	for _, name := range []string{"a.example", "b.example"} {
		c := client(name)
		c.ClientSessionCache = oneSession{both}
		assert.False(t, resumes(t, c, process(1, now)), name)
	}
}

// oneSession offers the same session to every host.
type oneSession struct{ tls.ClientSessionCache }

func (c oneSession) Get(string) (*tls.ClientSessionState, bool) { return c.ClientSessionCache.Get("x") }
func (c oneSession) Put(_ string, s *tls.ClientSessionState)    { c.ClientSessionCache.Put("x", s) }
