// This file is TLS towards other servers: the SSLProxy* directives of mod_ssl.
//
// As in httpd, SSLProxyVerify is "none" unless it is set: the certificate's
// name and dates are checked then, but not who signed it. A warning says so.

package proxy

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"modwsgi/gocore/internal/httpd"
	"modwsgi/gocore/internal/mod/ssl"
)

// tlsSettings are the directives' values.
type tlsSettings struct {
	engine, name, cn, expire httpd.Opt[bool]
	require                  httpd.Opt[bool] // SSLProxyVerify
	depth                    httpd.Opt[int]
	roots                    httpd.Opt[*x509.CertPool] // not set: the system's
	versions                 httpd.Opt[[2]uint16]      // least and greatest
	suites                   httpd.Opt[[]uint16]       // of TLS 1.2
	machine                  httpd.Opt[*machine]       // who we are
}

func (p tlsSettings) over(k tlsSettings) tlsSettings {
	return tlsSettings{engine: p.engine.Over(k.engine), name: p.name.Over(k.name), cn: p.cn.Over(k.cn), expire: p.expire.Over(k.expire),
		require: p.require.Over(k.require), depth: p.depth.Over(k.depth), roots: p.roots.Over(k.roots), versions: p.versions.Over(k.versions),
		suites: p.suites.Over(k.suites), machine: p.machine.Over(k.machine)}
}

// svp is where the directives may stand: "server config, virtual host, proxy section".
const svp = httpd.InServerHost | httpd.InProxy

var tlsDirectives = []httpd.Directive[Config]{
	{Name: "SSLProxyEngine", Args: "On|Off", Min: 1, Max: 1, In: svp, Default: "Off", Set: setEngine,
		Doc: "Whether https:// servers may be used."},
	{Name: "SSLProxyVerify", Args: "none|require", Min: 1, Max: 1, In: svp, Default: "none", Set: setVerify,
		Doc: "Whether certificates of https:// servers must be signed by a known authority."},
	{Name: "SSLProxyVerifyDepth", Args: "number", Min: 1, Max: 1, In: svp, Set: setDepth,
		Doc: "How many certificates may stand above that of the server."},
	{Name: "SSLProxyCACertificateFile", Args: "file", Min: 1, Max: 1, In: svp, Default: "those of the system", Set: setCAFile,
		Doc: "The authorities that are known."},
	{Name: "SSLProxyCACertificatePath", Args: "directory", Min: 1, Max: 1, In: svp, Set: setCAPath,
		Doc: "As SSLProxyCACertificateFile, every file of a directory."},
	{Name: "SSLProxyCheckPeerName", Args: "On|Off", Min: 1, Max: 1, In: svp, Default: "On", Set: setFlag(func(c *Config) *httpd.Opt[bool] { return &c.tls.name }),
		Doc: "Whether the certificate must be for the server's name."},
	{Name: "SSLProxyCheckPeerCN", Args: "On|Off", Min: 1, Max: 1, In: svp, Default: "On", Set: setFlag(func(c *Config) *httpd.Opt[bool] { return &c.tls.cn }),
		Doc: "As SSLProxyCheckPeerName: Off for both turns the check off."},
	{Name: "SSLProxyCheckPeerExpire", Args: "On|Off", Min: 1, Max: 1, In: svp, Default: "On", Set: setFlag(func(c *Config) *httpd.Opt[bool] { return &c.tls.expire }),
		Doc: "Whether the certificate must not have expired."},
	{Name: "SSLProxyProtocol", Args: "[+|-]protocol ...", Min: 1, Max: -1, In: svp, Default: "all", Set: setProtocol,
		Doc: "Versions of TLS towards https:// servers: TLSv1.2 and TLSv1.3 are there."},
	{Name: "SSLProxyCipherSuite", Args: "[protocol] specification", Min: 1, Max: 2, In: svp, Default: "DEFAULT", Set: setSuites,
		Doc: "Cipher suites of TLS 1.2 towards https:// servers, as SSLCipherSuite has them."},
	{Name: "SSLProxyMachineCertificateFile", Args: "file", Min: 1, Max: 1, In: svp, Set: setMachine,
		Doc: "Certificates and their private keys, by which this server says who it is to https:// servers that ask."},
	{Name: "SSLProxyMachineCertificatePath", Args: "directory", Min: 1, Max: 1, In: svp, Set: setMachine,
		Doc: "As SSLProxyMachineCertificateFile, every file of a directory."},
	{Name: "SSLProxyMachineCertificateChainFile", Args: "file", Min: 1, Max: 1, In: svp, Set: setMachineChain,
		Doc: "Certificates of authorities that are sent after those of SSLProxyMachineCertificateFile."},
}

func setEngine(k *httpd.Cmd, c *Config) error {
	on, err := k.Flag(0)
	if err != nil {
		return err
	}
	c.tls.engine = httpd.Some(on)
	reg := registryOf(k, c)
	reg.engine = reg.engine || on
	return nil
}

func setVerify(k *httpd.Cmd, c *Config) error {
	switch v := strings.ToLower(k.Arg(0)); v {
	case "none", "require":
		c.tls.require = httpd.Some(v == "require")
		return nil
	case "optional", "optional_no_ca":
		return &httpd.Coded{Code: httpd.CodeUnavailable, Message: v + " is not available", Suggestion: "require, or none"}
	}
	return fmt.Errorf("must be none or require, not %q", k.Arg(0))
}

func setDepth(k *httpd.Cmd, c *Config) error {
	n, err := httpd.ParseInt(k.Arg(0), 0, 100)
	c.tls.depth = httpd.Some(int(n))
	return err
}

func setCAFile(k *httpd.Cmd, c *Config) error { return c.tls.trust(k.File(k.Arg(0))) }

func setCAPath(k *httpd.Cmd, c *Config) error {
	dir := k.File(k.Arg(0))
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	found := false
	for _, e := range entries {
		if strings.Contains(e.Name(), ".r") { // hashed revocation lists
			continue
		}
		if c.tls.trust(filepath.Join(dir, e.Name())) == nil {
			found = true
		}
	}
	if !found {
		return fmt.Errorf("no file in %s has a certificate", dir)
	}
	return nil
}

// trust adds the certificates in a file to those of the scope.
func (p *tlsSettings) trust(file string) error {
	pem, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	pool := x509.NewCertPool()
	if p.roots.Set {
		pool = p.roots.V.Clone()
	}
	if !pool.AppendCertsFromPEM(pem) {
		return fmt.Errorf("%s has no certificate in the PEM form", file)
	}
	p.roots = httpd.Some(pool)
	return nil
}

func setProtocol(k *httpd.Cmd, c *Config) error {
	v, err := ssl.ParseProtocol(k)
	if err == nil {
		c.tls.versions = httpd.Some(v)
	}
	return err
}

func setSuites(k *httpd.Cmd, c *Config) error {
	list, older, err := ssl.ParseCiphers(k)
	if older {
		c.tls.suites = httpd.Some(list)
	}
	return err
}

// id differs between settings that demand different things of a server.
func (p tlsSettings) id() string {
	return fmt.Sprintf("%v %v %v %v %v %v %v %p %p", p.name, p.cn, p.expire, p.require, p.depth, p.versions, p.suites, p.roots.V, p.machine.V)
}

// config is the client's side of a connection to a server of that name.
func (p tlsSettings) config(name string, cache tls.ClientSessionCache) *tls.Config {
	c := &tls.Config{ServerName: name, NextProtos: []string{"http/1.1"}, MinVersion: tls.VersionTLS12, ClientSessionCache: cache, CipherSuites: p.suites.V,
		InsecureSkipVerify: true, // check decides, also for resumed sessions
		VerifyConnection:   func(s tls.ConnectionState) error { return p.check(name, s) }}
	if p.versions.Set {
		c.MinVersion, c.MaxVersion = p.versions.V[0], p.versions.V[1]
	}
	if p.machine.Set {
		c.GetClientCertificate = p.machine.V.choose
	}
	return c
}

// check is what the directives demand of the server's certificate.
func (p tlsSettings) check(name string, s tls.ConnectionState) error {
	if len(s.PeerCertificates) == 0 {
		return errors.New("the server has no certificate")
	}
	leaf := s.PeerCertificates[0]
	if now := time.Now(); p.expire.Or(true) && (now.Before(leaf.NotBefore) || now.After(leaf.NotAfter)) {
		return fmt.Errorf("the certificate is valid from %s to %s only (SSLProxyCheckPeerExpire)", leaf.NotBefore.Format(time.DateTime), leaf.NotAfter.Format(time.DateTime))
	}
	if p.cn.Or(true) || p.name.V { // On is the default of both, either keeps the check
		if err := leaf.VerifyHostname(name); err != nil {
			return fmt.Errorf("%w (SSLProxyCheckPeerName)", err)
		}
	}
	if !p.require.V {
		return nil
	}
	others := x509.NewCertPool()
	for _, c := range s.PeerCertificates[1:] {
		others.AddCert(c)
	}
	chains, err := leaf.Verify(x509.VerifyOptions{Roots: p.roots.V, Intermediates: others})
	if err != nil {
		return fmt.Errorf("%w (SSLProxyVerify)", err)
	}
	if p.depth.Set && !slices.ContainsFunc(chains, func(c []*x509.Certificate) bool { return len(c)-1 <= p.depth.V }) {
		return fmt.Errorf("more than %d certificates stand above that of the server (SSLProxyVerifyDepth)", p.depth.V)
	}
	return nil
}
