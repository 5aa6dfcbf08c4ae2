// Who this server is to other servers that ask for a certificate:
// SSLProxyMachineCertificate*. The private keys are secrets, so the supervisor
// reads them (httpd.SecretFile); one is chosen in the handshake.

package proxy

import (
	"crypto/tls"
	"os"
	"sync"

	"modwsgi/gocore/internal/httpd"
	"modwsgi/gocore/internal/mod/ssl"
)

// machine is what the directives of one scope name.
type machine struct {
	files []*httpd.SecretFile
	chain [][]byte // DER
	once  sync.Once
	pairs []tls.Certificate
	err   error
}

// own is the scope's value, made when its first directive comes.
func (p *tlsSettings) own() *machine {
	if !p.machine.Set {
		p.machine = httpd.Some(&machine{})
	}
	return p.machine.V
}

func setMachine(k *httpd.Cmd, c *Config) error {
	name := k.File(k.Arg(0))
	m := c.tls.own()
	m.files = append(m.files, k.Secret(name, func(content []byte) error {
		_, err := ssl.Pairs(name, content)
		return err
	}))
	return nil
}

func setMachineChain(k *httpd.Cmd, c *Config) error {
	name := k.File(k.Arg(0))
	data, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	certs, err := ssl.Certificates(name, data)
	if err != nil {
		return err
	}
	m := c.tls.own()
	for _, cert := range certs {
		m.chain = append(m.chain, cert.Raw)
	}
	return nil
}

// choose implements tls.Config.GetClientCertificate. A server that trusts none
// of the certificates gets none, and decides.
func (m *machine) choose(ask *tls.CertificateRequestInfo) (*tls.Certificate, error) {
	m.once.Do(m.load)
	if m.err != nil {
		return nil, m.err
	}
	for i := range m.pairs {
		if ask.SupportsCertificate(&m.pairs[i]) == nil {
			return &m.pairs[i], nil
		}
	}
	return &tls.Certificate{}, nil
}

func (m *machine) load() {
	for _, f := range m.files {
		pairs, err := ssl.Pairs(f.Name, f.Content())
		if err != nil {
			m.err = err
			return
		}
		for i := range pairs {
			pairs[i].Certificate = append(pairs[i].Certificate, m.chain...)
		}
		m.pairs = append(m.pairs, pairs...)
	}
}
