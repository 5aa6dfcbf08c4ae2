// A host's settings as a tls.Config.

package ssl

import (
	"cmp"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"modwsgi/gocore/internal/conf"
	"modwsgi/gocore/internal/httpd"
)

// Host is a virtual host that speaks TLS. Immutable but for the keys of tickets.
type Host struct {
	V      *httpd.VirtualHost
	Config *tls.Config // NextProtos, SessionTicketKeys and GetConfigForClient are the caller's
	c      *Config
	ask    bool // clients are asked for a certificate
	check  *checker
}

// Load makes the hosts of a configuration out of the content of its files. now
// is when: certificates that have expired are warned of.
func Load(srv *httpd.Server, files Files, now time.Time) (map[*httpd.VirtualHost]*Host, []conf.Diagnostic) {
	out := map[*httpd.VirtualHost]*Host{}
	var diags []conf.Diagnostic
	asked := settings(srv.Main)
	for _, v := range srv.AllHosts() {
		c := settings(v)
		if !v.TLS || c == nil {
			continue
		}
		h := &Host{V: v, c: c, ask: c.client.V != verifyNone}
		if asked != nil && asked.asking != nil && (asked.asking.hosts[0] || asked.asking.hosts[v.Index()]) {
			h.ask = true
		}
		diags = append(diags, h.load(files, now)...)
		out[v] = h
	}
	return out, diags
}

func (h *Host) load(files Files, now time.Time) (diags []conf.Diagnostic) {
	c, v := h.c, h.V
	report := func(s conf.Severity, p path, code, cure, format string, a ...any) {
		diags = append(diags, conf.Diagnostic{Severity: s, Code: code, Pos: p.pos, Directive: p.by, Message: fmt.Sprintf(format, a...), Suggestion: cure})
	}
	h.Config = &tls.Config{MinVersion: tls.VersionTLS12, CipherSuites: c.suites.V, SessionTicketsDisabled: !c.tickets.Or(true), DynamicRecordSizingDisabled: true}
	if c.versions.Set {
		h.Config.MinVersion, h.Config.MaxVersion = c.versions.V[0], c.versions.V[1]
	}
	if len(c.certs) == 0 {
		report(conf.Error, path{"", cmp.Or(c.enginePos, v.Pos), "SSLEngine"}, codeNoCert, "SSLCertificateFile and SSLCertificateKeyFile name the files",
			"%s has no certificate", hostName(v))
		return diags
	}
	for i, p := range c.certs {
		cert, err := c.certificate(i, files)
		if err != nil {
			var what *problem
			if !errors.As(err, &what) {
				what = &problem{codeNoCert, err.Error(), ""}
			}
			if what.code == codeKey {
				p = c.key(i)
			}
			report(conf.Error, p, what.code, what.cure, "%s", what.text)
			continue
		}
		leaf := cert.Leaf
		switch {
		case now.After(leaf.NotAfter):
			report(conf.Warning, p, codeExpired, "renew it; a graceful restart loads the new one", "the certificate in %s expired on %s", p.name, leaf.NotAfter.UTC().Format(time.DateTime))
		case now.Before(leaf.NotBefore):
			report(conf.Warning, p, codeExpired, "is the clock right?", "the certificate in %s is not valid before %s", p.name, leaf.NotBefore.UTC().Format(time.DateTime))
		}
		if !strings.Contains(v.ServerName, "_") && !covers(leaf, v.ServerName) { // no client asks for a name with an underscore
			report(conf.Warning, p, codeName, "clients will refuse it", "the certificate in %s is not for the ServerName %s", p.name, v.ServerName)
		}
		h.Config.Certificates = append(h.Config.Certificates, cert)
	}
	slices.SortStableFunc(h.Config.Certificates, func(a, b tls.Certificate) int { return strength(a) - strength(b) })
	if c.chain.name != "" && len(blocks(files[c.chain.name], "CERTIFICATE", "X509 CERTIFICATE")) == 0 {
		report(conf.Error, c.chain, codeNoCert, "", "%s has no certificate in the PEM form", c.chain.name)
	}
	h.loadClients(files, report)
	return diags
}

// loadClients prepares what is demanded of clients.
func (h *Host) loadClients(files Files, report func(s conf.Severity, p path, code, cure, format string, a ...any)) {
	c := h.c
	from := c.caFile
	if from.name == "" {
		from = c.caPath
	}
	known, err := authoritiesIn(files, c.caFile, c.caPath)
	if err != nil {
		report(conf.Error, from, codeNoCert, "", "%v", err)
		return
	}
	h.check = &checker{known: known, depth: c.depth.Or(1), generous: c.client.V == verifyOptionalNoCA, crl: c.crlCheck.V}
	if !h.ask {
		return
	}
	if known == nil && c.client.V != verifyOptionalNoCA {
		report(conf.Error, path{"", cmp.Or(c.enginePos, h.V.Pos), "SSLVerifyClient"}, codeNoCert, "SSLCACertificateFile names the certificates of the authorities",
			"%s demands certificates of clients, and knows no authority that could have signed them", hostName(h.V))
		return
	}
	if known != nil && !known.rooted {
		report(conf.Warning, from, codeNoCert, "add the root's certificate", "no certificate in %s has signed itself: no client can be verified", from.name)
	}
	names, err := authoritiesIn(files, c.dnFile, c.dnPath)
	if err != nil {
		report(conf.Error, c.dnFile, codeNoCert, "", "%v", err)
	}
	if names == nil {
		names = known
	}
	if h.check.crl.leaf || h.check.crl.chain {
		list, err := revocations(files, c.crlFile, c.crlPath)
		if err != nil && !h.check.crl.mayLack {
			p := c.crlFile
			if p.name == "" {
				p = path{"", c.enginePos, "SSLCARevocationCheck"}
			}
			report(conf.Error, p, codeFile, "", "%v", err)
		}
		h.check.lists = list
	}
	if names != nil {
		h.Config.ClientCAs = names.all // for the question alone: the checker decides
	}
	h.Config.ClientAuth = tls.RequestClientCert
	if c.client.V == verifyRequire {
		h.Config.ClientAuth = tls.RequireAnyClientCert
	}
	// Also for resumed sessions. Where only some sections demand a certificate, they decide.
	h.Config.VerifyConnection = func(s tls.ConnectionState) error {
		if len(s.PeerCertificates) == 0 || c.client.V == verifyNone {
			return nil
		}
		if _, err := h.check.verify(s.PeerCertificates); err != nil && !(h.check.generous && forgivable(err)) {
			return err
		}
		return nil
	}
}

// covers says whether a certificate is for a name. One that has only a common
// name is taken by it, as httpd does for its warning.
func covers(leaf *x509.Certificate, name string) bool {
	if leaf.VerifyHostname(name) == nil {
		return true
	}
	return len(leaf.DNSNames)+len(leaf.IPAddresses) == 0 && (strings.EqualFold(leaf.Subject.CommonName, name) ||
		httpd.Fnmatch(strings.ToLower(leaf.Subject.CommonName), strings.ToLower(name), false))
}

func hostName(v *httpd.VirtualHost) string {
	if v.Index() == 0 {
		return "the main server"
	}
	return "the host " + v.ServerName
}

// Policy is a text that is the same for hosts that demand the same of a
// connection: for the keys of tickets.
func (h *Host) Policy() string { return h.c.policy(sniSecure) }

func (c *Config) policy(how sniPolicy) string {
	client := fmt.Sprint(c.client.V, c.depth.Or(1), c.caFile.name, c.caPath.name, c.dnFile.name, c.dnPath.name, c.crlFile.name, c.crlPath.name, c.crlCheck.V)
	if how == sniAuth {
		return client
	}
	all := fmt.Sprint(client, c.versions.V, c.suites.V, c.chain.name)
	for i, p := range c.certs {
		all += " " + p.name + " " + c.key(i).name
	}
	return all
}

// Admits says whether a connection meets the host's demands. One that was made
// here does; one that came from the process before a restart met those of the
// configuration then.
func (h *Host) Admits(s *tls.ConnectionState) bool {
	if s.Version < h.Config.MinVersion || h.Config.MaxVersion != 0 && s.Version > h.Config.MaxVersion {
		return false
	}
	if h.c.client.V == verifyRequire && len(s.PeerCertificates) == 0 {
		return false
	}
	return h.Config.VerifyConnection == nil || h.Config.VerifyConnection(*s) == nil
}

// Misdirected judges a request on a TLS connection: v is the host of its Host
// field, h that of the handshake. why is for the log; 0: it may be served.
func (h *Host) Misdirected(v *httpd.VirtualHost, sni string, several bool) (status int, why string) {
	if !v.TLS {
		return 421, fmt.Sprintf("the host %s does not speak TLS", v.ServerName)
	}
	c := settings(v)
	if sni == "" && several && (h.c.strictSNI.V || c.strictSNI.V) {
		return 403, "no name in the handshake (SNI), which SSLStrictSNIVHostCheck demands"
	}
	if h.V == v {
		return 0, ""
	}
	how := sniSecure
	if main := settings(v.Server().Main); main != nil {
		how = main.sni.V
	}
	if how == sniStrict || h.c.policy(how) != c.policy(how) {
		return 421, fmt.Sprintf("the host %s of the request has other demands than %s of the handshake", v.ServerName, h.V.ServerName)
	}
	return 0, ""
}
