// Tests of configurations: what is accepted, noticed and refused, where hosts
// speak TLS, and with which settings.
package ssl_test

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"modwsgi/gocore/internal/httpd"
)

const hostFrom = "Listen 8443\nServerName www.example.com\n<VirtualHost *:8443>\nSSLEngine on\n"

func simple(t *testing.T) map[string]string {
	id := issue(t, nil, "www.example.com", nil)
	return map[string]string{"c.pem": id.pem(), "k.pem": id.keyPEM(t), "both.pem": id.keyPEM(t) + id.pem()}
}

const pair = "SSLCertificateFile c.pem\nSSLCertificateKeyFile k.pem\n"

func TestDiagnostics(t *testing.T) {
	files := simple(t)
	other := issue(t, nil, "www.example.com", nil)
	old := issue(t, nil, "www.example.com", func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Hour) })
	future := issue(t, nil, "www.example.com", func(c *x509.Certificate) { c.NotBefore = time.Now().Add(time.Hour) })
	elsewhere := issue(t, nil, "elsewhere.example", nil)
	files["other.pem"] = other.keyPEM(t)
	files["old.pem"], files["future.pem"], files["elsewhere.pem"] = old.pem()+old.keyPEM(t), future.pem()+future.keyPEM(t), elsewhere.pem()+elsewhere.keyPEM(t)
	files["enc.pem"] = string(pem.EncodeToMemory(&pem.Block{Type: "ENCRYPTED PRIVATE KEY", Bytes: []byte("x")}))
	files["enc1.pem"] = string(pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Headers: map[string]string{"Proc-Type": "4,ENCRYPTED", "DEK-Info": "AES-128-CBC,00"}, Bytes: []byte("x")}))
	files["none.pem"] = "nothing here\n"
	for _, c := range []struct{ name, text, want string }{
		{"good", pair, ""},
		{"key in the certificate's file", "SSLCertificateFile both.pem\n", ""},
		{"no certificate", "", "httpd.conf:4: error: SSLEngine: the host www.example.com has no certificate (SSLCertificateFile and SSLCertificateKeyFile name the files) [SSL-NO-CERTIFICATE]"},
		{"no file", "SSLCertificateFile nope.pem\n", "httpd.conf:5: error: SSLCertificateFile: stat $D/nope.pem: no such file or directory (the file must exist and be readable for the user who starts the server) [SSL-FILE]"},
		{"no PEM", "SSLCertificateFile none.pem\n", "$D/none.pem has no certificate in the PEM form"},
		{"no key", "SSLCertificateFile c.pem\n", "$D/c.pem has no private key in the PEM form (SSLCertificateKeyFile names the file with the key) [SSL-KEY]"},
		{"another's key", "SSLCertificateFile c.pem\nSSLCertificateKeyFile other.pem\n", "httpd.conf:6: error: SSLCertificateKeyFile: the key in $D/other.pem does not belong to the first certificate in $D/c.pem"},
		{"encrypted", "SSLCertificateFile c.pem\nSSLCertificateKeyFile enc.pem\n", "openssl pkey -in $D/enc.pem -out $D/enc.pem.plain"},
		{"encrypted, old form", "SSLCertificateFile c.pem\nSSLCertificateKeyFile enc1.pem\n", "the private key in $D/enc1.pem is encrypted"},
		{"expired", "SSLCertificateFile old.pem\n", "warning: SSLCertificateFile: the certificate in $D/old.pem expired on "},
		{"too early", "SSLCertificateFile future.pem\n", "is not valid before"},
		{"another's name", "SSLCertificateFile elsewhere.pem\n", "warning: SSLCertificateFile: the certificate in $D/elsewhere.pem is not for the ServerName www.example.com"},
		{"chain without certificates", pair + "SSLCertificateChainFile none.pem\n", "SSLCertificateChainFile: $D/none.pem has no certificate"},
		{"client certificates without an authority", pair + "SSLVerifyClient require\n", "error: SSLVerifyClient: the host www.example.com demands certificates of clients, and knows no authority"},
		{"revocation without lists", pair + "SSLVerifyClient require\nSSLCACertificateFile c.pem\nSSLCARevocationCheck chain\n", "there is no list of revoked certificates"},
		{"optional", pair + "SSLEngine optional\n", "error: SSLEngine: optional (RFC 2817) is not available"},
		{"FIPS", pair + "</VirtualHost>\nSSLFIPS on\n<VirtualHost *:8443>\n", "error: SSLFIPS: on is not available"},
		{"FIPS off", pair + "</VirtualHost>\nSSLFIPS off\n<VirtualHost 127.0.0.1:8443>\n", ""},
		{"OCSP", pair + "SSLOCSPEnable on\n", "use SSLCARevocationFile"},
		{"no version", pair + "SSLProtocol SSLv3\n", "error: SSLProtocol: no version of TLS is left"},
		{"old versions", pair + "SSLProtocol all -SSLv3 -TLSv1 -TLSv1.1\n", ""},
		{"old version wanted", pair + "SSLProtocol +TLSv1 +TLSv1.2\n", "notice: SSLProtocol: TLSv1 is not secure and never used"},
		{"version forgotten sign", pair + "SSLProtocol TLSv1.2 TLSv1.3\n", "TLSv1.3 replaces what stands before it"},
		{"unknown cipher", pair + "SSLCipherSuite ECDHE-RSA-AES128-GCM-SHA256:FOO\n", "notice: SSLCipherSuite: not known here: FOO"},
		{"no cipher", pair + "SSLCipherSuite RC4-SHA\n", "error: SSLCipherSuite: no cipher suite is left"},
		{"cipher of 1.3", pair + "SSLCipherSuite TLSv1.3 TLS_AES_256_GCM_SHA384\n", "notice: SSLCipherSuite: has no effect for TLSv1.3"},
		{"no cipher of 1.3", pair + "SSLCipherSuite TLSv1.3 TLS_AES_128_CCM_SHA256\n", "error: SSLCipherSuite: no cipher suite is left"},
		{"stapling", pair + "SSLUseStapling on\n", "notice: SSLUseStapling: has no effect"},
		{"stapling off", pair + "SSLUseStapling off\n", ""},
		{"session cache", pair + "SSLSessionCacheTimeout 300\n", "notice: SSLSessionCacheTimeout: has no effect: sessions are kept by clients"},
		{"OpenSSL's own", pair + "SSLOpenSSLConfCmd MinProtocol TLSv1.3\n", "error: SSLOpenSSLConfCmd: MinProtocol of OpenSSL is not available (use SSLProtocol)"},
		{"OpenSSL's curves", pair + "SSLOpenSSLConfCmd Curves X25519\n", "notice: SSLOpenSSLConfCmd"},
		{"unknown option", pair + "SSLOptions +Foo\n", "unknown option \"+Foo\""},
		{"user", pair + "SSLUserName SSL_CLIENT_S_DN_CN\n", ""},
		{"user from nowhere", pair + "SSLUserName REMOTE_ADDR\n", "is not a variable of this module"},
		{"policy", pair + "</VirtualHost>\nSSLVHostSNIPolicy insecure\n<VirtualHost *:8443>\n", "error: SSLVHostSNIPolicy: insecure is not available"},
		{"in hardware", "SSLCertificateFile c.pem\nSSLCertificateKeyFile pkcs11:object=x\n", "keys in hardware are not available"},
		{"extensions", pair + "<Location />\nSSLRequire \"x\" in PeerExtList(\"1.2\")\n</Location>\n", "PeerExtList() is not available"},
		{"compared by length", pair + "<Location />\nSSLRequire %{SSL_CLIENT_S_DN_O} < %{SSL_CLIENT_S_DN_OU}\n</Location>\n", "-lt"},
		{"a mixed address", pair + "</VirtualHost>\n<VirtualHost *:8443>\nServerName b\n", "warning: SSLEngine: the host www.example.com shares an address with the host b, which does not speak TLS"},
		{"nobody listens", pair + "</VirtualHost>\n<VirtualHost *:9443>\nSSLEngine on\n" + pair, "warning: SSLEngine: nothing listens on port 9443 of the host www.example.com (Listen 9443) [SSL-ADDRESS]"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, _, said := site(t, files, hostFrom+c.text+"</VirtualHost>\n")
			if c.want == "" {
				assert.Empty(t, said)
				return
			}
			assert.Contains(t, said, c.want)
		})
	}
}

func TestHTTPSWithoutHost(t *testing.T) {
	_, _, said := site(t, nil, "Listen 8443 https\nServerName a\n")
	assert.Contains(t, said, "warning: Listen: :8443 is to be https, but its host does not speak TLS")
}

func TestWhichHostsSpeakTLS(t *testing.T) {
	files := simple(t)
	for _, c := range []struct{ name, text, want string }{
		{"engine on", "Listen 80\nListen 8443\n<VirtualHost *:80>\n</VirtualHost>\n<VirtualHost *:8443>\nSSLEngine on\n" + pair + "</VirtualHost>", "--t"},
		{"inherited", "Listen 80\nSSLEngine on\n" + pair + "<VirtualHost *:80>\n</VirtualHost>", "tt"},
		{"taken back", "Listen 80\nListen 81\nSSLEngine on\n" + pair + "<VirtualHost *:80>\nSSLEngine off\n</VirtualHost>", "t-"},
		{"said by Listen", "Listen 80\nListen 8443 https\n<VirtualHost *:80>\n" + pair + "</VirtualHost>\n<VirtualHost *:8443>\n" + pair + "</VirtualHost>", "--t"},
		{"said by Listen, but off", "Listen 80\nListen 443\n<VirtualHost *:443>\nSSLEngine off\n" + pair + "</VirtualHost>", "--"},
		{"port 443", "Listen 443\n<VirtualHost *:443>\n" + pair + "</VirtualHost>", "-t"},
	} {
		t.Run(c.name, func(t *testing.T) {
			srv, _, said := site(t, files, "ServerName www.example.com\n"+c.text+"\n")
			require.NotContains(t, said, "error")
			got := ""
			for _, v := range srv.AllHosts() {
				if v.TLS {
					got += "t"
				} else {
					got += "-"
				}
			}
			assert.Equal(t, c.want, got)
		})
	}
}

func TestSuites(t *testing.T) {
	gcm := []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384}
	aead := append(gcm[:4:4], tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256, tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256)
	for spec, want := range map[string][]uint16{
		"DEFAULT":                     nil,
		"HIGH:!aNULL:!MD5":            nil,
		"ALL:!EXPORT:!LOW":            nil,
		"ECDHE+AESGCM":                gcm,
		"HIGH:!SHA1":                  aead,
		"HIGH:!SHA:@STRENGTH":         aead,
		"ALL:-kECDHE:+HIGH:AESGCM":    gcm,
		"ECDHE-RSA-AES256-GCM-SHA384": {tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384},
		"ECDHE-RSA-AES256-GCM-SHA384 DHE-RSA-AES256-GCM-SHA384": {tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384},
		"AES128-SHA:!ECDHE":     {tls.TLS_RSA_WITH_AES_128_CBC_SHA},
		"AESGCM:!AES256:!ECDSA": {tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256},
		"!AES:ALL":              {tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256, tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256},
	} {
		_, hosts := loaded(t, simple(t), hostFrom+pair+`SSLCipherSuite "`+spec+"\"\n</VirtualHost>\n")
		for _, h := range hosts {
			assert.Equal(t, want, h.Config.CipherSuites, spec)
		}
	}
}

func TestVersionsAndTickets(t *testing.T) {
	for _, c := range []struct {
		text     string
		min, max uint16
		off      bool
	}{
		{"", tls.VersionTLS12, 0, false},
		{"SSLProtocol all -TLSv1.2", tls.VersionTLS13, tls.VersionTLS13, false},
		{"SSLProtocol -all +TLSv1.2\nSSLSessionTickets off", tls.VersionTLS12, tls.VersionTLS12, true},
	} {
		_, hosts := loaded(t, simple(t), hostFrom+pair+c.text+"\n</VirtualHost>\n")
		for _, h := range hosts {
			assert.Equal(t, []any{c.min, c.max, c.off}, []any{h.Config.MinVersion, h.Config.MaxVersion, h.Config.SessionTicketsDisabled}, c.text)
		}
	}
}

// RSA and ECDSA on one host: each client gets what it can use.
func TestTwoKeys(t *testing.T) {
	r := issueFor(t, nil, "www.example.com", rsaOnce(), nil)
	e := issue(t, nil, "www.example.com", nil)
	chain := issue(t, nil, "in between", authority)
	files := map[string]string{"r.pem": r.pem() + r.keyPEM(t), "e.pem": e.pem() + e.keyPEM(t), "chain.pem": chain.pem()}
	_, hosts := loaded(t, files, hostFrom+"SSLCertificateFile r.pem\nSSLCertificateFile e.pem\nSSLCertificateChainFile chain.pem\n</VirtualHost>\n")
	for _, h := range hosts {
		for suite, want := range map[uint16]*identity{tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256: r, tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256: e} {
			var sent []*x509.Certificate
			state, err, _ := handshake(t, h.Config, &tls.Config{InsecureSkipVerify: true, MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{suite},
				VerifyConnection: func(s tls.ConnectionState) error { sent = s.PeerCertificates; return nil }})
			require.NoError(t, err)
			require.Len(t, sent, 2)
			assert.Equal(t, want.cert.Raw, sent[0].Raw)
			assert.Equal(t, chain.cert.Raw, sent[1].Raw)
			assert.Contains(t, h.Connection(&state).Lookup(nil, "SSL_SERVER_CERT"), want.pem())
		}
	}
}

func TestMisdirected(t *testing.T) {
	both := func(c *x509.Certificate) { c.DNSNames = []string{"a.example", "b.example"} }
	a, b, c := issue(t, nil, "a.example", both), issue(t, nil, "b.example", nil), issue(t, nil, "c.example", nil)
	files := map[string]string{"a.pem": a.pem() + a.keyPEM(t), "b.pem": b.pem() + b.keyPEM(t), "c.pem": c.pem() + c.keyPEM(t)}
	host := func(name, more string) string {
		return "<VirtualHost *:8443>\nServerName " + name + ".example\nSSLEngine on\n" + more + "</VirtualHost>\n"
	}
	for _, x := range []struct {
		name, main, b, sni string
		status             int
	}{
		{"alike", "", "", "a.example", 0},
		{"another certificate", "", "SSLCertificateFile b.pem\n", "a.example", 421},
		{"another certificate, authonly", "SSLVHostSNIPolicy authonly\n", "SSLCertificateFile b.pem\n", "a.example", 0},
		{"other versions", "", "SSLProtocol TLSv1.3\n", "a.example", 421},
		{"other ciphers", "", "SSLCipherSuite AESGCM\n", "a.example", 421},
		{"other demands", "", "SSLCACertificateFile c.pem\nSSLVerifyClient require\n", "a.example", 421},
		{"other versions, authonly", "SSLVHostSNIPolicy authonly\n", "SSLProtocol TLSv1.3\n", "a.example", 0},
		{"other demands, authonly", "SSLVHostSNIPolicy authonly\n", "SSLCACertificateFile c.pem\nSSLVerifyClient require\n", "a.example", 421},
		{"strict", "SSLVHostSNIPolicy strict\n", "", "a.example", 421},
		{"no name", "", "", "", 0},
		{"no name, but wanted", "", "SSLStrictSNIVHostCheck on\n", "", 403},
		{"no name, other demands", "", "SSLCACertificateFile c.pem\nSSLVerifyClient require\n", "", 421},
		{"no TLS", "", "SSLEngine off\n", "a.example", 421},
	} {
		t.Run(x.name, func(t *testing.T) {
			if !strings.Contains(x.b, "SSLCertificateFile") {
				x.b += "SSLCertificateFile a.pem\n"
			}
			srv, read, said := site(t, files, "Listen 8443\nServerName m\n"+x.main+host("a", "SSLCertificateFile a.pem\n")+host("b", x.b))
			require.NotContains(t, said, "error")
			hosts := load(t, srv, read)
			set := srv.Hosts(netip.MustParseAddrPort("127.0.0.1:8443"))
			status, _ := hosts[set.Default].Misdirected(set.Select([]byte("b.example")), x.sni, x.sni == "")
			assert.Equal(t, x.status, status)
			status, _ = hosts[set.Default].Misdirected(set.Default, "a.example", false)
			assert.Zero(t, status)
		})
	}
}

func TestModuleIsThere(t *testing.T) {
	_, _, said := site(t, nil, "Listen 80\n<IfModule !mod_ssl.c>\nNonsense\n</IfModule>\n<IfModule !ssl_module>\nNonsense\n</IfModule>\nLoadModule ssl_module modules/mod_ssl.so\n")
	assert.NotContains(t, said, "Nonsense")
	assert.False(t, strings.Contains(said, "ssl"), said)
	assert.True(t, httpd.HasVar("SSL_CIPHER"))
}

// Without StdEnvVars a request over TLS takes the precomputed route, with scheme https.
func TestFastRoute(t *testing.T) {
	for more, fast := range map[string]bool{
		"": true, "SSLOptions +StrictRequire": true, "<Location />\nSSLRequireSSL\n</Location>": true, "SSLVerifyClient require\nSSLCACertificateFile c.pem": true,
		"Header set X-Secure yes env=HTTPS": true,
		"SSLOptions +StdEnvVars":            false, "SSLUserName SSL_CLIENT_S_DN_CN": false, "<Location />\nRequire ssl-verify-client\n</Location>": false,
		"SSLCACertificateFile c.pem\n<Location />\nSSLVerifyClient optional\n</Location>": false, "<Location />\nSSLRequire true\n</Location>": false,
	} {
		files := simple(t)
		files["app.wsgi"] = "application = None\n"
		srv, _, said := site(t, files, hostFrom+pair+"<Directory $D>\nRequire all granted\n</Directory>\nWSGIScriptAlias / $D/app.wsgi\n"+more+"\n</VirtualHost>\n")
		require.NotContains(t, said, "error")
		p, _ := srv.VirtualHosts[0].Fast([]byte("GET"), []byte("/x"))
		require.Equal(t, fast, p != nil, more)
		if fast {
			assert.Equal(t, "https", p.URLScheme)
			assert.NotContains(t, p.Environ, httpd.EnvVar{Name: "HTTPS", Value: "on"}, "it is removed, as in mod_wsgi")
			assert.Contains(t, p.Environ, httpd.EnvVar{Name: "REQUEST_SCHEME", Value: "https"})
		}
	}
}
