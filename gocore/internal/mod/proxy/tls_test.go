// This file passes requests on to a server with TLS.

package proxy_test

import (
	"crypto/tls"
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"modwsgi/gocore/internal/conf"
	"modwsgi/gocore/internal/mod/internal/streamtest"
)

func TestTLS(t *testing.T) {
	b := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Version", tls.VersionName(r.TLS.Version))
		w.Header().Set("X-Sni", r.TLS.ServerName)
	}))
	b.Config.ErrorLog = nil
	b.StartTLS() // its certificate is for 127.0.0.1 and example.com, signed by itself
	defer b.Close()
	ca := filepath.Join(t.TempDir(), "ca.pem")
	require.NoError(t, os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: b.Certificate().Raw}), 0o600))
	local := strings.Replace(b.URL, "127.0.0.1", "localhost", 1)
	for _, c := range []struct {
		url, config string
		want        int
		message     string
	}{
		{b.URL, "SSLProxyVerify none", 200, ""},
		{b.URL, "SSLProxyVerify require", 502, "SSLProxyVerify"},
		{b.URL, "SSLProxyVerify require\nSSLProxyCACertificateFile " + ca, 200, ""},
		{b.URL, "SSLProxyVerify require\nSSLProxyCACertificatePath " + filepath.Dir(ca), 200, ""},
		{b.URL, "SSLProxyVerify require\nSSLProxyVerifyDepth 0\nSSLProxyCACertificateFile " + ca, 200, ""},
		{local, "SSLProxyVerify none", 502, "SSLProxyCheckPeerName"},
		{local, "SSLProxyVerify none\nSSLProxyCheckPeerName Off", 502, "SSLProxyCheckPeerName"},
		{local, "SSLProxyVerify none\nSSLProxyCheckPeerName Off\nSSLProxyCheckPeerCN Off", 200, ""},
		{local, "SSLProxyVerify require\nSSLProxyCheckPeerName Off\nSSLProxyCheckPeerCN Off\nSSLProxyCACertificateFile " + ca, 200, ""},
		{b.URL, "SSLProxyVerify none\nSSLProxyProtocol TLSv1.2", 200, "TLS 1.2"},
		{b.URL, "SSLProxyVerify none\nSSLProxyProtocol all -SSLv3 -TLSv1.2", 200, "TLS 1.3"},
		{b.URL, "SSLProxyVerify none\nSSLProxyProtocol TLSv1.2\nSSLProxyCipherSuite ECDHE+AES256+AESGCM", 200, "TLS 1.2"},
		{b.URL, "SSLProxyVerify none\nSSLProxyProtocol TLSv1.2\nSSLProxyCipherSuite ECDHE-ECDSA-AES256-GCM-SHA384", 502, "handshake failure"}, // the server has a key for RSA
		{strings.Replace(b.URL, "https", "http", 1), "SSLProxyVerify none", 400, ""},
	} {
		srv := server(t, "SSLProxyEngine On\n"+c.config+"\nProxyPass / "+c.url+"/\n")
		for range 2 { // the second may resume the session
			w := &streamtest.Writer{}
			_, err := streamtest.Do(srv.Main, streamtest.Request("GET", "/", ""), w)
			if c.want == 502 {
				assert.Equal(t, 502, status(t, err), c.config)
				assert.ErrorContains(t, err, c.message)
				continue
			}
			require.NoError(t, err, c.config)
			assert.Equal(t, c.want, w.Status, c.config)
			if strings.HasPrefix(c.message, "TLS") {
				assert.Equal(t, c.message, w.Field("X-Version"))
			}
		}
	}
	// the name that is asked for and checked is the client's with ProxyPreserveHost
	srv := server(t, "SSLProxyEngine On\nSSLProxyVerify require\nSSLProxyCACertificateFile "+ca+"\nProxyPreserveHost On\nProxyPass / "+b.URL+"/\n")
	for host, want := range map[string]int{"example.com": 200, "example.test": 502} {
		r := streamtest.Request("GET", "/", "")
		r.HostName = host
		w := &streamtest.Writer{}
		_, err := streamtest.Do(srv.Main, r, w)
		if want == 502 {
			assert.Equal(t, 502, status(t, err))
			continue
		}
		require.NoError(t, err)
		assert.Equal(t, host, w.Field("X-Sni"))
	}
	// rules and sections
	srv = server(t, "RewriteEngine On\nRewriteRule ^/(.*) "+b.URL+"/$1 [P]\n<Proxy "+b.URL+">\nSSLProxyEngine On\n</Proxy>\n")
	w := &streamtest.Writer{}
	_, err := streamtest.Do(srv.Main, streamtest.Request("GET", "/", ""), w)
	require.NoError(t, err)
	assert.Equal(t, 200, w.Status)
	out, err := streamtest.Do(server(t, "RewriteEngine On\nRewriteRule ^/(.*) "+b.URL+"/$1 [P]\n").Main, streamtest.Request("GET", "/", ""), w)
	require.NoError(t, err)
	assert.Equal(t, 500, out.Status)
}

func TestTLSDiagnostics(t *testing.T) {
	dir := t.TempDir()
	good, _ := identity(t, dir, "good")
	bad := filepath.Join(dir, "bad.pem")
	require.NoError(t, os.WriteFile(bad, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: []byte("no")}), 0o600))
	for text, want := range map[string]string{
		"SSLProxyEngine On\nProxyPass / https://h/":               "is not asked who signed its certificate",
		"SSLProxyVerify optional":                                 "optional is not available",
		"SSLProxyVerify maybe":                                    "must be none or require",
		"SSLProxyCACertificateFile " + filepath.Join(dir, "none"): "no such file",
		"SSLProxyCACertificateFile /etc/passwd":                   "has no certificate",
		"SSLProxyMachineCertificateChainFile /etc/passwd":         "has no certificate",
		"SSLProxyMachineCertificateChainFile " + good + "\nSSLProxyMachineCertificateChainFile /etc/passwd": "has no certificate",
		"SSLProxyMachineCertificateChainFile " + bad:                                                        "malformed",
		"SSLProxyProtocol -all":                         "no version of TLS is left",
		"SSLProxyProtocol TLSv1 TLSv1.2":                "is not secure and never used",
		"SSLProxyProtocol x":                            "is no version",
		"SSLProxyCARevocationCheck chain":               "certificates would not be checked",
		"BalancerMember balancer://b https://h/":        "https:// needs SSLProxyEngine",
		"<Location /x>\nSSLProxyEngine On\n</Location>": "not allowed here",
	} {
		_, diags := compile(text)
		require.NotEmpty(t, diags, text)
		var all strings.Builder
		for _, d := range diags {
			all.WriteString(conf.Diagnostic.String(d) + "\n")
		}
		assert.Contains(t, all.String(), want, text)
	}
}
