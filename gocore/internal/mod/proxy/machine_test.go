// This file passes requests on to a server that asks who we are.

package proxy_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"modwsgi/gocore/internal/mod/internal/streamtest"
	"modwsgi/gocore/internal/mod/ssl"
)

// identity writes a self-signed certificate and its key to one file.
func identity(t *testing.T, dir, name string) (file string, cert *x509.Certificate) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotAfter: time.Now().Add(time.Hour),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}, IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	require.NoError(t, err)
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	require.NoError(t, err)
	text := append(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret})...)
	file = filepath.Join(dir, name+".pem")
	require.NoError(t, os.WriteFile(file, text, 0o600))
	cert, err = x509.ParseCertificate(der)
	require.NoError(t, err)
	return file, cert
}

func TestMachineCertificate(t *testing.T) {
	dir := t.TempDir()
	one, first := identity(t, dir, "one")
	two, second := identity(t, dir, "two")
	b := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name := "-"
		if len(r.TLS.PeerCertificates) > 0 {
			name = r.TLS.PeerCertificates[0].Subject.CommonName
		}
		w.Header().Set("X-Name", name)
	}))
	known := x509.NewCertPool()
	known.AddCert(second)
	b.TLS = &tls.Config{ClientAuth: tls.VerifyClientCertIfGiven, ClientCAs: known}
	b.StartTLS()
	defer b.Close()
	for config, want := range map[string]string{
		"":                                      "-",
		"SSLProxyMachineCertificateFile " + two: "two",
		"SSLProxyMachineCertificateFile " + one: "-", // not trusted there
		"SSLProxyMachineCertificateFile " + one + "\nSSLProxyMachineCertificateFile " + two: "two",
		"SSLProxyMachineCertificatePath " + dir:                                             "two",
	} {
		srv := server(t, "SSLProxyEngine On\nSSLProxyVerify none\n"+config+"\nProxyPass / "+b.URL+"/\n")
		files, diags := ssl.Read(srv)
		require.Empty(t, diags, config)
		assert.Len(t, ssl.Keys(srv), len(srv.SecretFiles), "other users must not have them")
		srv.GiveSecrets(files)
		w := &streamtest.Writer{}
		_, err := streamtest.Do(srv.Main, streamtest.Request("GET", "/", ""), w)
		require.NoError(t, err, config)
		assert.Equal(t, want, w.Field("X-Name"), config)
	}
	lone := filepath.Join(t.TempDir(), "lone.pem")
	require.NoError(t, os.WriteFile(lone, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: first.Raw}), 0o600))
	for file, want := range map[string]string{lone: "no certificate with its private key", filepath.Join(dir, "none"): "no such file"} {
		_, diags := ssl.Read(server(t, "SSLProxyEngine On\nSSLProxyVerify none\nSSLProxyMachineCertificateFile "+file+"\nProxyPass / "+b.URL+"/\n"))
		require.NotEmpty(t, diags)
		assert.Contains(t, diags[0].Message, want)
	}
}
