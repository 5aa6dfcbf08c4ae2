// Tests of clients' certificates: the handshake, sections, users, Require, and
// the variables.
package ssl_test

import (
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/base64"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"modwsgi/gocore/internal/httpd"
	"modwsgi/gocore/internal/mod/ssl"
)

// world is a set of certificates: a root, what it signed, and strangers.
type world struct {
	root, mid, good, deep, revoked, expired, server, stranger, selfSigned *identity
	files                                                                 map[string]string
}

func forClients(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth} }

func newWorld(t testing.TB) *world {
	w := &world{root: issue(t, nil, "root", authority)}
	w.mid = issue(t, w.root, "mid", authority)
	w.good = issue(t, w.root, "alice", forClients)
	w.deep = issue(t, w.mid, "bob", forClients)
	w.revoked = issue(t, w.root, "carol", forClients)
	w.expired = issue(t, w.root, "dave", func(c *x509.Certificate) { forClients(c); c.NotAfter = time.Now().Add(-time.Minute) })
	w.server = issue(t, w.root, "erin", func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth} })
	w.stranger = issue(t, issue(t, nil, "another root", authority), "mallory", forClients)
	w.selfSigned = issue(t, nil, "self", forClients)
	host := issue(t, nil, "www.example.com", nil)
	w.files = map[string]string{"c.pem": host.pem(), "k.pem": host.keyPEM(t), "ca.pem": w.root.pem() + w.mid.pem(), "mid.pem": w.mid.pem(),
		"ca/one.crt": w.root.pem(), "crl.pem": crl(t, w.root, tomorrow, w.revoked), "old.crl": crl(t, w.root, time.Now().Add(-dayOf)),
		"users": "/C=NL/O=Example, Inc./CN=alice:" + "$apr1$abcdefgh$fzGQwIP5tDoVWDHy3JxTs1\n"}
	return w
}

func (w *world) host(t testing.TB, text string) (*httpd.Server, *ssl.Host) {
	srv, read, said := site(t, w.files, hostFrom+pair+text+"</VirtualHost>\n")
	require.NotContains(t, said, "error")
	return srv, load(t, srv, read)[srv.VirtualHosts[0]]
}

func TestClientCertificates(t *testing.T) {
	w := newWorld(t)
	const ca = "SSLCACertificateFile ca.pem\n"
	crls := ca + "SSLCARevocationFile crl.pem\nSSLVerifyClient require\n"
	for _, c := range []struct {
		name, text string
		client     *identity
		want       string // SSL_CLIENT_VERIFY; "": the handshake fails
	}{
		{"not asked", ca, w.good, "NONE"},
		{"required", ca + "SSLVerifyClient require\n", w.good, "SUCCESS"},
		{"required, none", ca + "SSLVerifyClient require\n", nil, ""},
		{"required, a stranger", ca + "SSLVerifyClient require\n", w.stranger, ""},
		{"required, signed by itself", ca + "SSLVerifyClient require\n", w.selfSigned, ""},
		{"required, expired", ca + "SSLVerifyClient require\n", w.expired, ""},
		{"required, for servers", ca + "SSLVerifyClient require\n", w.server, ""},
		{"directory", "SSLCACertificatePath ca\nSSLVerifyClient require\n", w.good, "SUCCESS"},
		{"too deep", ca + "SSLVerifyClient require\n", w.deep, ""},
		{"deep", ca + "SSLVerifyClient require\nSSLVerifyDepth 2\n", w.deep, "SUCCESS"},
		{"no root", "SSLCACertificateFile mid.pem\nSSLVerifyClient require\n", w.deep, ""},
		{"optional", ca + "SSLVerifyClient optional\n", w.good, "SUCCESS"},
		{"optional, none", ca + "SSLVerifyClient optional\n", nil, "NONE"},
		{"optional, a stranger", ca + "SSLVerifyClient optional\n", w.stranger, ""},
		{"anybody", ca + "SSLVerifyClient optional_no_ca\n", w.stranger, "GENEROUS"},
		{"anybody, signed by itself", ca + "SSLVerifyClient optional_no_ca\n", w.selfSigned, "GENEROUS"},
		{"anybody, known", ca + "SSLVerifyClient optional_no_ca\n", w.good, "SUCCESS"},
		{"anybody, expired", ca + "SSLVerifyClient optional_no_ca\n", w.expired, ""},
		{"in a section", ca + "<Location /x>\nSSLVerifyClient require\n</Location>\n", w.good, "SUCCESS"},
		{"in a section, none", ca + "<Location /x>\nSSLVerifyClient require\n</Location>\n", nil, "NONE"},
		{"in a section, a stranger", ca + "<Location /x>\nSSLVerifyClient require\n</Location>\n", w.stranger, "FAILED:unable to get local issuer certificate"},
		{"in a section, signed by itself", ca + "<Location /x>\nSSLVerifyClient require\n</Location>\n", w.selfSigned, "FAILED:self-signed certificate"},
		{"in a section, expired", ca + "<Location /x>\nSSLVerifyClient require\n</Location>\n", w.expired, "FAILED:certificate has expired"},
		{"revoked, not looked up", crls, w.revoked, "SUCCESS"},
		{"revoked", crls + "SSLCARevocationCheck leaf\n", w.revoked, ""},
		{"not revoked", crls + "SSLCARevocationCheck chain\n", w.good, "SUCCESS"},
		{"no list of its issuer", crls + "SSLCARevocationCheck leaf\nSSLVerifyDepth 3\n", w.deep, ""},
		{"no list of its issuer, accepted", crls + "SSLCARevocationCheck chain no_crl_for_cert_ok\nSSLVerifyDepth 3\n", w.deep, "SUCCESS"},
		{"an old list", ca + "SSLVerifyClient require\nSSLCARevocationCheck leaf\nSSLCARevocationFile old.crl\n", w.good, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, h := w.host(t, c.text)
			for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
				client := &tls.Config{InsecureSkipVerify: true, MaxVersion: version, GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
					if c.client == nil {
						return &tls.Certificate{}, nil
					}
					return c.client.forClient(w.mid), nil
				}}
				state, err, _ := handshake(t, h.Config, client)
				if c.want == "" {
					assert.Error(t, err)
					continue
				}
				require.NoError(t, err)
				conn := h.Connection(&state)
				assert.Equal(t, c.want, conn.Lookup(nil, "SSL_CLIENT_VERIFY"))
				trusted := c.want == "SUCCESS" || c.want == "GENEROUS"
				assert.Equal(t, trusted, conn.Lookup(nil, "SSL_CLIENT_S_DN_CN") != "", "what is not verified does not show")
			}
		})
	}
}

// A resumed session is judged like a new one, by the host that resumes it.
func TestResumption(t *testing.T) {
	w := newWorld(t)
	_, open := w.host(t, "SSLCACertificateFile ca.pem\nSSLVerifyClient optional\n")
	_, closed := w.host(t, "SSLCACertificateFile ca.pem\nSSLVerifyClient require\nSSLCARevocationFile crl.pem\nSSLCARevocationCheck leaf\n")
	key := [][32]byte{{1}}
	open.Config.SetSessionTicketKeys(key)
	closed.Config.SetSessionTicketKeys(key) // as one process would not do: see Policy
	assert.NotEqual(t, open.Policy(), closed.Policy())
	client := &tls.Config{InsecureSkipVerify: true, ServerName: "www.example.com", ClientSessionCache: tls.NewLRUClientSessionCache(4), Certificates: []tls.Certificate{*w.revoked.forClient()}}
	state, err, _ := handshake(t, open.Config, client)
	require.NoError(t, err)
	assert.False(t, state.DidResume)
	state, err, _ = handshake(t, open.Config, client)
	require.NoError(t, err)
	assert.True(t, state.DidResume)
	assert.Equal(t, "Resumed", open.Connection(&state).Lookup(nil, "SSL_SESSION_RESUMED"))
	assert.Equal(t, "SUCCESS", open.Connection(&state).Lookup(nil, "SSL_CLIENT_VERIFY"))
	_, err, _ = handshake(t, closed.Config, client)
	assert.ErrorContains(t, err, "certificate revoked")
}

// ask runs the phases for a path on a connection of the client, nil: without a certificate.
func ask(t testing.TB, srv *httpd.Server, h *ssl.Host, client *identity, path string, header ...httpd.Field) (*httpd.Request, *httpd.Outcome) {
	state := &tls.ConnectionState{Version: tls.VersionTLS12, CipherSuite: tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, ServerName: "www.example.com", HandshakeComplete: true}
	if client != nil {
		state.PeerCertificates = []*x509.Certificate{client.cert}
	}
	r := &httpd.Request{Method: "GET", RawTarget: path, RawPath: path, Proto: "HTTP/1.1", HostName: "www.example.com", ContentLength: -1, Header: header,
		TLS: true, Secure: h.Connection(state), Local: netip.MustParseAddrPort("127.0.0.1:8443"), Remote: netip.MustParseAddrPort("127.0.0.1:5"), Start: time.Now()}
	out := srv.VirtualHosts[0].Handle(r)
	if out.Request != nil {
		r = out.Request
	}
	return r, out
}

const content = "DocumentRoot $D\n<Directory $D>\nRequire all granted\n</Directory>\n"

func TestSections(t *testing.T) {
	w := newWorld(t)
	w.files["f"] = "text"
	for _, c := range []struct {
		name, text string
		client     *identity
		want       int
	}{
		{"require", "SSLVerifyClient require", w.good, 200},
		{"require, none", "SSLVerifyClient require", nil, 403},
		{"require, a stranger", "SSLVerifyClient require", w.stranger, 403},
		{"require, depth", "SSLVerifyClient require\nSSLVerifyDepth 0", w.good, 403},
		{"optional, none", "SSLVerifyClient optional", nil, 200},
		{"optional, a stranger", "SSLVerifyClient optional", w.stranger, 403},
		{"anybody", "SSLVerifyClient optional_no_ca", w.stranger, 200},
		{"anybody, expired", "SSLVerifyClient optional_no_ca", w.expired, 403},
		{"cipher", "SSLCipherSuite AES128+ECDSA", nil, 200},
		{"another cipher", "SSLCipherSuite AES256", nil, 403},
		{"only TLS", "SSLRequireSSL", nil, 200},
		{"Require ssl", "Require ssl", nil, 200},
		{"Require not ssl", "<RequireAll>\nRequire all granted\nRequire not ssl\n</RequireAll>", nil, 403},
		{"verified", "Require ssl-verify-client", w.good, 200},
		{"not verified", "Require ssl-verify-client", nil, 403},
		{"verified by nobody", "Require ssl-verify-client", w.stranger, 403},
		{"expression", `Require expr "%{SSL_CLIENT_S_DN_CN} == 'alice' && %{HTTPS} == 'on'"`, w.good, 200},
		{"expression, another", `Require expr "%{SSL_CLIENT_S_DN_CN} == 'alice'"`, w.selfSigned, 403},
		{"old language", `SSLRequire %{SSL_CLIENT_S_DN_O} eq "Example, Inc." and %{SSL_CLIENT_S_DN_CN} in {"alice", "bob"}`, w.good, 200},
		{"old language, false", `SSLRequire %{SSL_CLIENT_S_DN_CN} in {"bob"}`, w.good, 403},
		{"old language, numbers", `SSLRequire ( %{SSL_CIPHER_USEKEYSIZE} >= 128 ) and not ( %{SSL_CIPHER} =~ m/^(EXP|NULL)/ )`, nil, 200},
		{"old language, pattern", `SSLRequire %{REMOTE_ADDR} =~ m/^127\.0\.0\.[0-9]+$/ or %{REMOTE_ADDR} !~ m/./`, nil, 200},
		{"any, let in by address", "SSLRequireSSL\nSSLRequire false\nSatisfy Any\nRequire all granted", nil, 200},
		{"any, but strict", "SSLOptions +StrictRequire\nSSLRequire false\nSatisfy Any\nRequire all granted", nil, 403},
	} {
		t.Run(c.name, func(t *testing.T) {
			srv, h := w.host(t, "SSLCACertificateFile ca.pem\n"+content+"<Location /f>\n"+c.text+"\n</Location>\n")
			_, out := ask(t, srv, h, c.client, "/f")
			assert.Equal(t, c.want, out.Status)
			if out.File != nil {
				out.File.Close()
			}
		})
	}
}

func TestWithoutTLS(t *testing.T) {
	for text, want := range map[string]int{"SSLRequireSSL": 403, "Require ssl": 403, "Require ssl-verify-client": 403, "SSLVerifyClient require": 200, "": 200} {
		srv, _, said := site(t, map[string]string{"f": "text"}, "Listen 80\nServerName a\n"+content+"<Location /f>\n"+text+"\n</Location>\n")
		require.NotContains(t, said, "error")
		out := srv.Main.Handle(&httpd.Request{Method: "GET", RawTarget: "/f", RawPath: "/f", Proto: "HTTP/1.1", HostName: "a", ContentLength: -1})
		assert.Equal(t, want, out.Status, text)
		if out.File != nil {
			out.File.Close()
		}
	}
}

func TestFakeBasicAuth(t *testing.T) {
	w := newWorld(t)
	w.files["f"] = "text"
	w.files["users"] = "/C=NL/O=Example, Inc./CN=alice:{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=\nalice:{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=\n" // "password"
	rules := "SSLCACertificateFile ca.pem\nSSLVerifyClient optional_no_ca\n" + content +
		"<Location /f>\nSSLOptions +FakeBasicAuth\nAuthType Basic\nAuthName x\nAuthUserFile $D/users\nRequire valid-user\n"
	claim := httpd.Field{Name: "Authorization", Value: "Basic " + base64.StdEncoding.EncodeToString([]byte("/C=NL/O=Example, Inc./CN=alice:password"))}
	for _, c := range []struct {
		name, more string
		client     *identity
		header     []httpd.Field
		want       int
		user       string
	}{
		{"known", "", w.good, nil, 200, "/C=NL/O=Example, Inc./CN=alice"},
		{"known, by another name", "SSLUserName SSL_CLIENT_S_DN_CN\n", w.good, nil, 200, "alice"},
		{"nobody", "", nil, nil, 401, ""},
		{"anybody can write a name", "", w.selfSigned, nil, 401, ""},
		{"without a password", "", w.revoked, nil, 401, ""},
		{"said by the client", "", nil, []httpd.Field{claim}, 403, ""},
		{"said by another client", "", w.good, []httpd.Field{claim}, 403, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			srv, h := w.host(t, strings.ReplaceAll(rules, "$D/users", "users")+c.more+"</Location>\n")
			r, out := ask(t, srv, h, c.client, "/f", c.header...)
			assert.Equal(t, c.want, out.Status)
			assert.Equal(t, c.user, r.User)
			if out.File != nil {
				out.File.Close()
			}
		})
	}
}

func TestVariables(t *testing.T) {
	w := newWorld(t)
	special := issue(t, w.root, "x", func(c *x509.Certificate) {
		forClients(c)
		c.EmailAddresses, c.DNSNames = []string{"a@example.com", "b@example.com"}, []string{"one.example", "two.example"}
		c.IPAddresses = []net.IP{net.IPv4(10, 0, 0, 1)}
		c.Subject = pkix.Name{ExtraNames: []pkix.AttributeTypeAndValue{
			{Type: asn1.ObjectIdentifier{2, 5, 4, 6}, Value: "DE"}, {Type: asn1.ObjectIdentifier{2, 5, 4, 11}, Value: "First"}, {Type: asn1.ObjectIdentifier{2, 5, 4, 11}, Value: "Second"},
			{Type: asn1.ObjectIdentifier{2, 5, 4, 3}, Value: "#Jürgen, <x>"}, {Type: asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 1}, Value: "j@example.com"}}}
		c.NotAfter = time.Now().Add(5*dayOf + time.Hour)
	})
	w.files["f"] = "text"
	srv, h := w.host(t, "SSLCACertificateFile ca.pem\nSSLVerifyClient optional\nSSLOptions +StdEnvVars +ExportCertData\n"+content+
		"<Location /f>\n</Location>\n<Location /old>\nSSLOptions +LegacyDNStringFormat\n</Location>\n<Location /none>\nSSLOptions -StdEnvVars -ExportCertData\n</Location>\n")
	r, out := ask(t, srv, h, special, "/f")
	require.Equal(t, 200, out.Status)
	out.File.Close()
	get := func(name string) string { v, _ := r.Env(name); return v }
	for name, want := range map[string]string{
		"HTTPS": "on", "SSL_PROTOCOL": "TLSv1.2", "SSL_CIPHER": "ECDHE-ECDSA-AES128-GCM-SHA256", "SSL_CIPHER_USEKEYSIZE": "128", "SSL_CIPHER_ALGKEYSIZE": "128",
		"SSL_CIPHER_EXPORT": "false", "SSL_SESSION_RESUMED": "Initial", "SSL_COMPRESS_METHOD": "NULL", "SSL_SECURE_RENEG": "true", "SSL_TLS_SNI": "www.example.com",
		"SSL_CLIENT_VERIFY": "SUCCESS", "SSL_CLIENT_M_VERSION": "3", "SSL_CLIENT_S_DN": `emailAddress=j@example.com,CN=\#Jürgen\, \<x\>,OU=Second,OU=First,C=DE`,
		"SSL_CLIENT_I_DN": `CN=root,O=Example\, Inc.,C=NL`, "SSL_CLIENT_S_DN_C": "DE", "SSL_CLIENT_S_DN_OU": "First", "SSL_CLIENT_S_DN_OU_1": "Second",
		"SSL_CLIENT_S_DN_CN": "#Jürgen, <x>", "SSL_CLIENT_S_DN_Email": "j@example.com", "SSL_CLIENT_I_DN_O": "Example, Inc.", "SSL_CLIENT_A_KEY": "id-ecPublicKey",
		"SSL_CLIENT_A_SIG": "ecdsa-with-SHA256", "SSL_CLIENT_V_REMAIN": "5", "SSL_CLIENT_SAN_Email_0": "a@example.com", "SSL_CLIENT_SAN_Email_1": "b@example.com",
		"SSL_CLIENT_SAN_DNS_1": "two.example", "SSL_SERVER_S_DN_CN": "www.example.com", "SSL_SERVER_SAN_DNS_0": "www.example.com", "SSL_CLIENT_CERT": special.pem(),
		"SSL_SERVER_CERT": w.files["c.pem"], "SSL_CLIENT_V_END": special.cert.NotAfter.UTC().Format("Jan _2 15:04:05 2006 GMT"),
		"SSL_CLIENT_CERT_CHAIN_0": "", "SSL_CLIENT_SAN_Email_2": "",
	} {
		assert.Equal(t, want, get(name), name)
	}
	assert.Regexp(t, `^(?:[0-9A-F]{2})+$`, get("SSL_CLIENT_M_SERIAL"))
	for name, want := range map[string]string{"SSL_CLIENT_S_DN_OU_1": "Second", "SSL_CLIENT_S_DN_CN_RAW": "#Jürgen, <x>", "SSL_CLIENT_S_DN_SP": "", "SSL_NONSENSE": "", "HTTPS": "on",
		"SSL_CLIENT_CERT_CHAIN_9": "", "SSL_CLIENT_S_DN_X": "", "SSL_CLIENT_SAN_DNS_0": "one.example"} {
		v, _ := r.Var(name)
		assert.Equal(t, want, v, name)
	}
	below := h.Connection(&tls.ConnectionState{PeerCertificates: []*x509.Certificate{w.good.cert, w.root.cert}})
	assert.Equal(t, []string{w.good.pem(), w.root.pem(), ""}, []string{below.Lookup(nil, "SSL_CLIENT_CERT"), below.Lookup(nil, "SSL_CLIENT_CERT_CHAIN_0"),
		below.Lookup(nil, "SSL_CLIENT_CERT_CHAIN_1")}, "the chain is without the client's own")
	r, _ = ask(t, srv, h, special, "/old")
	assert.Equal(t, "/C=DE/OU=First/OU=Second/CN=#J\\xC3\\xBCrgen, <x>/emailAddress=j@example.com", r.Secure.Lookup(r, "SSL_CLIENT_S_DN"))
	r, _ = ask(t, srv, h, special, "/none")
	assert.Equal(t, []httpd.EnvVar{{Name: "HTTPS", Value: "on"}}, r.EnvVars())
}

func TestUserName(t *testing.T) {
	w := newWorld(t)
	w.files["f"] = "text"
	srv, h := w.host(t, "SSLCACertificateFile ca.pem\nSSLVerifyClient optional_no_ca\nSSLUserName SSL_CLIENT_S_DN_CN\n"+content)
	for _, c := range []struct {
		client *identity
		want   string
	}{{w.good, "alice"}, {nil, ""}, {w.stranger, "mallory"}} {
		r, out := ask(t, srv, h, c.client, "/f")
		require.Equal(t, 200, out.Status)
		out.File.Close()
		assert.Equal(t, c.want, r.User)
	}
}

// What a connection of an earlier configuration must have to be served on.
func TestAdmits(t *testing.T) {
	w := newWorld(t)
	const ca = "SSLCACertificateFile ca.pem\n"
	for text, want := range map[string][3]bool{ // nobody, alice, a stranger
		"":                                    {true, true, true},
		ca + "SSLVerifyClient require":        {false, true, false},
		ca + "SSLVerifyClient optional":       {true, true, false},
		ca + "SSLVerifyClient optional_no_ca": {true, true, true},
		"SSLProtocol TLSv1.3":                 {false, false, false},
	} {
		_, h := w.host(t, text+"\n")
		for i, id := range []*identity{nil, w.good, w.stranger} {
			s := &tls.ConnectionState{Version: tls.VersionTLS12}
			if id != nil {
				s.PeerCertificates = []*x509.Certificate{id.cert}
			}
			assert.Equal(t, want[i], h.Admits(s), "%s %d", text, i)
		}
	}
}
