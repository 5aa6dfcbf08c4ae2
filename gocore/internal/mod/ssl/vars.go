// The variables SSL_* (mod_ssl, "Environment Variables") of a connection.

package ssl

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"time"

	"modwsgi/gocore/internal/httpd"
)

// Notes of a request: names of certificates are wanted in the old form; a
// certificate that nobody known has signed is as good as any (optional_no_ca).
const (
	noteLegacy   = "ssl-legacy-dn"
	noteGenerous = "ssl-optional-no-ca"
)

// connection is what the variables of a connection are made of. Any goroutine.
type connection struct {
	host   *Host
	state  *tls.ConnectionState
	server *x509.Certificate // sent to the client; nil: not known
	verify func() error      // what is wrong with the client's certificate, once
}

// view is the connection as a request sees it.
type view struct {
	*connection
	legacy, generous bool
}

func (c *connection) of(r *httpd.Request) view {
	if r == nil {
		return view{c, false, c.host.check.generous}
	}
	return view{c, r.Notes[noteLegacy] != "", c.host.check.generous || r.Notes[noteGenerous] != ""}
}

// Connection gives what requests of a TLS connection know about it: h is the
// host of the handshake. state stays valid as long as the connection.
func (h *Host) Connection(state *tls.ConnectionState) *httpd.Secure {
	c := &connection{host: h, state: state, server: h.sent(state)}
	c.verify = sync.OnceValue(func() error {
		_, err := h.check.verify(state.PeerCertificates)
		return err
	})
	return &httpd.Secure{State: state, Host: h.V, Data: c, Lookup: func(r *httpd.Request, name string) string { return c.of(r).lookup(name) }}
}

// verdict is SSL_CLIENT_VERIFY: NONE, SUCCESS, GENEROUS or FAILED:reason.
func (c view) verdict() string {
	if len(c.state.PeerCertificates) == 0 {
		return "NONE"
	}
	switch err := c.verify(); {
	case err == nil:
		return "SUCCESS"
	case c.generous && forgivable(err):
		return "GENEROUS"
	default:
		return "FAILED:" + err.Error()
	}
}

// peers are the certificates of the client, none if they are not accepted: a
// host may have asked for the sake of another of its sections, and whoever
// believes SSL_CLIENT_S_DN here need not look at SSL_CLIENT_VERIFY.
func (c view) peers() []*x509.Certificate {
	if list := c.state.PeerCertificates; len(list) > 0 && (c.verify() == nil || c.generous && forgivable(c.verify())) {
		return list
	}
	return nil
}

// peer is the client's own certificate, nil if it has none that is accepted.
func (c view) peer() *x509.Certificate {
	if list := c.peers(); len(list) > 0 {
		return list[0]
	}
	return nil
}

// sent finds the certificate that the handshake used. crypto/tls does not say
// it; with several it follows from the suite and, in TLS 1.3, from nothing: the first is taken.
func (h *Host) sent(state *tls.ConnectionState) *x509.Certificate {
	list := h.Config.Certificates
	if len(list) == 0 {
		return nil
	}
	name, _ := cipherName(state.CipherSuite)
	for _, c := range list {
		_, isRSA := c.Leaf.PublicKey.(*rsa.PublicKey)
		if state.Version == tls.VersionTLS12 && isRSA == strings.Contains(name, "ECDSA") {
			continue
		}
		return c.Leaf
	}
	return list[0].Leaf
}

// standard are the variables of StdEnvVars, without the parts of names.
var standard = strings.Fields("SSL_VERSION_INTERFACE SSL_VERSION_LIBRARY SSL_PROTOCOL SSL_SECURE_RENEG SSL_COMPRESS_METHOD SSL_CIPHER SSL_CIPHER_EXPORT " +
	"SSL_CIPHER_USEKEYSIZE SSL_CIPHER_ALGKEYSIZE SSL_SESSION_RESUMED SSL_TLS_SNI SSL_CLIENT_VERIFY SSL_CLIENT_M_VERSION SSL_CLIENT_M_SERIAL SSL_CLIENT_V_START " +
	"SSL_CLIENT_V_END SSL_CLIENT_V_REMAIN SSL_CLIENT_S_DN SSL_CLIENT_I_DN SSL_CLIENT_A_KEY SSL_CLIENT_A_SIG SSL_CLIENT_CERT_RFC4523_CEA " +
	"SSL_SERVER_M_VERSION SSL_SERVER_M_SERIAL SSL_SERVER_V_START SSL_SERVER_V_END SSL_SERVER_S_DN SSL_SERVER_I_DN SSL_SERVER_A_KEY SSL_SERVER_A_SIG")

var certVariable = regexp.MustCompile(`^SSL_(?:CLIENT|SERVER)_(?:M_VERSION|M_SERIAL|V_START|V_END|V_REMAIN|A_KEY|A_SIG|CERT|CERT_CHAIN_\d+|CERT_RFC4523_CEA|` +
	`[SI]_DN|[SI]_DN_(?:C|ST|SP|L|O|OU|CN|T|I|G|S|D|UID|Email|DC)(?:_\d+)?(?:_RAW)?|SAN_(?:Email|DNS)_\d+)$`)

// known says whether there is a variable of that name.
func known(name string) bool {
	for _, s := range standard {
		if s == name {
			return true
		}
	}
	return certVariable.MatchString(name)
}

// lookup is the value of a variable, "" if the connection has none.
func (c view) lookup(name string) string {
	rest, ours := strings.CutPrefix(name, "SSL_")
	if !ours {
		return ""
	}
	s := c.state
	switch rest {
	case "VERSION_INTERFACE":
		return "mod_ssl/2.4"
	case "VERSION_LIBRARY":
		return "Go/" + strings.TrimPrefix(runtime.Version(), "go")
	case "PROTOCOL":
		return strings.Replace(tls.VersionName(s.Version), "TLS ", "TLSv", 1)
	case "SECURE_RENEG":
		return "true"
	case "COMPRESS_METHOD":
		return "NULL"
	case "CIPHER":
		name, _ := cipherName(s.CipherSuite)
		return name
	case "CIPHER_EXPORT":
		return "false"
	case "CIPHER_USEKEYSIZE", "CIPHER_ALGKEYSIZE":
		_, bits := cipherName(s.CipherSuite)
		return bits
	case "SESSION_RESUMED":
		if s.DidResume {
			return "Resumed"
		}
		return "Initial"
	case "TLS_SNI":
		return s.ServerName
	case "CLIENT_VERIFY":
		return c.verdict()
	}
	if which, ok := strings.CutPrefix(rest, "SERVER_"); ok {
		return certificateVar(c.server, which, c.legacy)
	}
	which, ok := strings.CutPrefix(rest, "CLIENT_")
	peers := c.peers()
	if !ok || len(peers) == 0 {
		return ""
	}
	if n, ok := strings.CutPrefix(which, "CERT_CHAIN_"); ok {
		if i, err := strconv.Atoi(n); err == nil && i >= 0 && i < len(peers)-1 { // without the client's own
			return pemText(peers[i+1])
		}
		return ""
	}
	return certificateVar(peers[0], which, c.legacy)
}

// certificateVar is a variable of a certificate, by its name without SSL_CLIENT_ or SSL_SERVER_.
func certificateVar(cert *x509.Certificate, name string, legacy bool) string {
	if cert == nil {
		return ""
	}
	switch name {
	case "CERT":
		return pemText(cert)
	case "M_VERSION":
		return strconv.Itoa(cert.Version)
	case "M_SERIAL":
		return serialText(cert.SerialNumber)
	case "V_START":
		return dateText(cert.NotBefore)
	case "V_END":
		return dateText(cert.NotAfter)
	case "V_REMAIN":
		return strconv.Itoa(max(0, int(time.Until(cert.NotAfter)/(24*time.Hour))))
	case "S_DN":
		return distinguished(cert.RawSubject, legacy)
	case "I_DN":
		return distinguished(cert.RawIssuer, legacy)
	case "A_KEY":
		return keyName(cert)
	case "A_SIG":
		return signatureName(cert.SignatureAlgorithm)
	case "CERT_RFC4523_CEA":
		return fmt.Sprintf(`{ serialNumber %s, issuer rdnSequence:"%s" }`, cert.SerialNumber, distinguished(cert.RawIssuer, false))
	}
	if kind, index, ok := sanIndex(name); ok {
		if list := map[string][]string{"Email": cert.EmailAddresses, "DNS": cert.DNSNames}[kind]; index < len(list) {
			return plain(list[index])
		}
		return ""
	}
	raw := cert.RawSubject
	attr, ok := strings.CutPrefix(name, "S_DN_")
	if !ok {
		raw = cert.RawIssuer
		if attr, ok = strings.CutPrefix(name, "I_DN_"); !ok {
			return ""
		}
	}
	attr = strings.TrimSuffix(attr, "_RAW")
	n := 0
	if base, index, found := strings.Cut(attr, "_"); found {
		if i, err := strconv.Atoi(index); err == nil && i >= 0 {
			attr, n = base, i
		}
	}
	if attr == "SP" {
		attr = "ST"
	}
	return part(raw, attr, n)
}

func sanIndex(name string) (kind string, index int, ok bool) {
	rest, ok := strings.CutPrefix(name, "SAN_")
	if !ok {
		return "", 0, false
	}
	kind, n, _ := strings.Cut(rest, "_")
	index, err := strconv.Atoi(n)
	return kind, index, err == nil && index >= 0
}

func pemText(c *x509.Certificate) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw}))
}

// keyName is OpenSSL's name of the type of a key.
func keyName(c *x509.Certificate) string {
	switch c.PublicKey.(type) {
	case *rsa.PublicKey:
		return "rsaEncryption"
	case *ecdsa.PublicKey:
		return "id-ecPublicKey"
	case ed25519.PublicKey:
		return "ED25519"
	}
	return c.PublicKeyAlgorithm.String()
}

// signatureName is OpenSSL's name of a signature's type.
func signatureName(a x509.SignatureAlgorithm) string {
	switch a {
	case x509.SHA1WithRSA:
		return "sha1WithRSAEncryption"
	case x509.SHA256WithRSA:
		return "sha256WithRSAEncryption"
	case x509.SHA384WithRSA:
		return "sha384WithRSAEncryption"
	case x509.SHA512WithRSA:
		return "sha512WithRSAEncryption"
	case x509.ECDSAWithSHA1:
		return "ecdsa-with-SHA1"
	case x509.ECDSAWithSHA256:
		return "ecdsa-with-SHA256"
	case x509.ECDSAWithSHA384:
		return "ecdsa-with-SHA384"
	case x509.ECDSAWithSHA512:
		return "ecdsa-with-SHA512"
	case x509.SHA256WithRSAPSS, x509.SHA384WithRSAPSS, x509.SHA512WithRSAPSS:
		return "rsassaPss"
	case x509.PureEd25519:
		return "ED25519"
	}
	return a.String()
}

// export gives the variables of StdEnvVars and ExportCertData that have a value.
func (c view) export(o option, set func(name, value string)) {
	if o&optStdEnvVars != 0 {
		for _, name := range standard {
			if v := c.lookup(name); v != "" {
				set(name, v)
			}
		}
		for _, x := range []struct {
			prefix string
			cert   *x509.Certificate
		}{{"SSL_SERVER_", c.server}, {"SSL_CLIENT_", c.peer()}} {
			if x.cert == nil {
				continue
			}
			parts(x.cert.RawSubject, func(n, v string) { set(x.prefix+"S_DN_"+n, v) })
			parts(x.cert.RawIssuer, func(n, v string) { set(x.prefix+"I_DN_"+n, v) })
			for i, v := range x.cert.EmailAddresses {
				set(fmt.Sprintf("%sSAN_Email_%d", x.prefix, i), plain(v))
			}
			for i, v := range x.cert.DNSNames {
				set(fmt.Sprintf("%sSAN_DNS_%d", x.prefix, i), plain(v))
			}
		}
	}
	if o&optExportCertData == 0 {
		return
	}
	if c.server != nil {
		set("SSL_SERVER_CERT", pemText(c.server))
	}
	for i, cert := range c.peers() {
		if i == 0 {
			set("SSL_CLIENT_CERT", pemText(cert))
		} else {
			set(fmt.Sprintf("SSL_CLIENT_CERT_CHAIN_%d", i-1), pemText(cert))
		}
	}
}
