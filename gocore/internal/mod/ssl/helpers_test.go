// Certificates, configurations and connections for the tests of this package.
package ssl_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"modwsgi/gocore/internal/conf"
	"modwsgi/gocore/internal/httpd"
	"modwsgi/gocore/internal/mod"
	"modwsgi/gocore/internal/mod/ssl"
)

// identity is a certificate with its key.
type identity struct {
	cert *x509.Certificate
	key  crypto.Signer
}

var (
	serial   int64 = 0x0a01
	rsaOnce        = sync.OnceValue(func() *rsa.PrivateKey { k, _ := rsa.GenerateKey(rand.Reader, 2048); return k })
	dayOf          = 24 * time.Hour
	tomorrow       = time.Now().Add(dayOf)
)

// issue makes a certificate; by nil: signed by itself. change may alter the template.
func issue(t testing.TB, by *identity, name string, change func(*x509.Certificate)) *identity {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	return issueFor(t, by, name, key, change)
}

func issueFor(t testing.TB, by *identity, name string, key crypto.Signer, change func(*x509.Certificate)) *identity {
	serial++
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(serial), Subject: pkix.Name{Country: []string{"NL"}, Organization: []string{"Example, Inc."}, CommonName: name},
		NotBefore: time.Now().Add(-dayOf), NotAfter: tomorrow, BasicConstraintsValid: true, DNSNames: []string{name}}
	if change != nil {
		change(tmpl)
	}
	id := &identity{key: key}
	parent, signer := tmpl, key
	if by != nil {
		parent, signer = by.cert, by.key
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, parent, key.Public(), signer)
	require.NoError(t, err)
	id.cert, err = x509.ParseCertificate(der)
	require.NoError(t, err)
	return id
}

func authority(c *x509.Certificate) {
	c.IsCA, c.KeyUsage, c.DNSNames = true, x509.KeyUsageCertSign|x509.KeyUsageCRLSign, nil
}

func (id *identity) pem() string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: id.cert.Raw}))
}

func (id *identity) keyPEM(t testing.TB) string {
	der, err := x509.MarshalPKCS8PrivateKey(id.key)
	require.NoError(t, err)
	return string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
}

func (id *identity) forClient(more ...*identity) *tls.Certificate {
	c := &tls.Certificate{PrivateKey: id.key, Certificate: [][]byte{id.cert.Raw}}
	for _, m := range more {
		c.Certificate = append(c.Certificate, m.cert.Raw)
	}
	return c
}

// crl is a list of revoked certificates.
func crl(t testing.TB, by *identity, until time.Time, revoked ...*identity) string {
	l := &x509.RevocationList{Number: big.NewInt(1), ThisUpdate: time.Now().Add(-2 * dayOf), NextUpdate: until}
	for _, r := range revoked {
		l.RevokedCertificateEntries = append(l.RevokedCertificateEntries, x509.RevocationListEntry{SerialNumber: r.cert.SerialNumber, RevocationTime: time.Now()})
	}
	der, err := x509.CreateRevocationList(rand.Reader, l, by.cert, by.key)
	require.NoError(t, err)
	return string(pem.EncodeToMemory(&pem.Block{Type: "X509 CRL", Bytes: der}))
}

// site writes files and compiles a configuration; $D is their directory.
func site(t testing.TB, files map[string]string, text string) (*httpd.Server, ssl.Files, string) {
	dir := t.TempDir()
	for name, content := range files {
		path := filepath.Join(dir, name)
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
		require.NoError(t, os.WriteFile(path, []byte(content), 0o600))
	}
	opt := httpd.ConfOptions(mod.All)
	opt.ServerRoot = dir
	tree, diags := conf.ParseText("httpd.conf", strings.ReplaceAll(text, "$D", dir), opt)
	srv, more := httpd.Compile(tree, mod.All)
	diags = append(diags, more...)
	var read ssl.Files
	if !conf.HasErrors(diags) {
		read, more = ssl.Read(srv)
		diags = append(diags, more...)
	}
	var out strings.Builder
	for _, d := range diags {
		out.WriteString(strings.ReplaceAll(d.String(), dir, "$D") + "\n")
	}
	return srv, read, out.String()
}

// loaded is a site without anything to complain of.
func loaded(t testing.TB, files map[string]string, text string) (*httpd.Server, map[*httpd.VirtualHost]*ssl.Host) {
	srv, read, said := site(t, files, text)
	require.Empty(t, said)
	hosts, diags := ssl.Load(srv, read, time.Now())
	require.Empty(t, diags)
	return srv, hosts
}

// handshake connects a client with a host; the errors are the server's and the client's.
func handshake(t testing.TB, server, client *tls.Config) (state tls.ConnectionState, serverErr, clientErr error) {
	l, err := net.Listen("tcp", "127.0.0.1:0") // buffers what is sent, other than net.Pipe: both sides may write at the same time
	require.NoError(t, err)
	defer l.Close()
	b, err := net.Dial("tcp", l.Addr().String())
	require.NoError(t, err)
	a, err := l.Accept()
	require.NoError(t, err)
	defer a.Close()
	defer b.Close()
	require.NoError(t, errors.Join(a.SetDeadline(time.Now().Add(10*time.Second)), b.SetDeadline(time.Now().Add(10*time.Second))))
	s, c := tls.Server(a, server), tls.Client(b, client)
	done := make(chan error, 1)
	go func() {
		err := c.Handshake()
		if err == nil {
			_, err = c.Read(make([]byte, 1)) // of TLS 1.3 the client sees a refusal only now
		}
		b.Close()
		done <- err
	}()
	if serverErr = s.Handshake(); serverErr == nil {
		state = s.ConnectionState()
		_, _ = s.Write([]byte("x"))
	}
	a.Close()
	return state, serverErr, <-done
}

func load(t testing.TB, srv *httpd.Server, read ssl.Files) map[*httpd.VirtualHost]*ssl.Host {
	hosts, diags := ssl.Load(srv, read, time.Now())
	require.False(t, conf.HasErrors(diags), diags)
	return hosts
}
