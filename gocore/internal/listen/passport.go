// What goes with a connection to another process: bytes that it had sent, and
// for an encrypted one who the client is. Such a connection is not handed over
// itself, since nobody else has its keys: its process stays between (relay_linux.go).
package listen

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"encoding/json"
	"errors"
	"net/netip"
	"slices"
)

// The first byte of what is passed if it does not begin with a byte of the
// client: no request begins with NUL, but a client could send one.
const (
	passMark   = 0
	passPlain  = 'P' // the client's bytes follow
	passSecure = 'S' // a length of 4 bytes, big-endian, and a passport come first
)

// passport is what the process that has the keys knows of an encrypted connection.
type passport struct {
	Remote, Local   netip.AddrPort
	Version, Cipher uint16 // 0: in clear text
	Resumed         bool
	ALPN, SNI       string
	Peer            [][]byte   // the client's certificates, DER
	Chains          [][][]byte // as verified
	Note            string     // Conn.SecureNote
	HTTP2           uint32     // a stream of HTTP/2 with this number; 0: a connection of HTTP/1.1
}

// handover is what the successor has to read first: the PROXY header again, then what was received.
func (c *Conn) handover(received []byte) []byte {
	if c.Secure == nil && c.h2s == nil {
		b := received
		if len(c.before) > 0 {
			b = append(slices.Clone(c.before), received...)
		}
		if len(b) > 0 && b[0] == passMark {
			b = append([]byte{passMark, passPlain}, b...)
		}
		return b
	}
	p := passport{Remote: c.Remote, Local: c.Local, Note: c.SecureNote, HTTP2: c.HTTP2()}
	if s := c.Secure; s != nil {
		p.Version, p.Cipher, p.Resumed, p.ALPN, p.SNI, p.Peer = s.Version, s.CipherSuite, s.DidResume, s.NegotiatedProtocol, s.ServerName, raw(s.PeerCertificates)
		for _, chain := range s.VerifiedChains {
			p.Chains = append(p.Chains, raw(chain))
		}
	}
	text, err := json.Marshal(&p)
	if err != nil {
		panic(err) // nothing in it can fail
	}
	b := binary.BigEndian.AppendUint32([]byte{passMark, passSecure}, uint32(len(text)))
	return append(append(b, text...), received...)
}

func raw(certs []*x509.Certificate) (out [][]byte) {
	for _, c := range certs {
		out = append(out, c.Raw)
	}
	return out
}

func parseAll(ders [][]byte) (out []*x509.Certificate, err error) {
	for _, der := range ders {
		c, err := x509.ParseCertificate(der)
		if err != nil {
			return nil, err
		}
		out = append(out, c)
	}
	return out, nil
}

// unpack reads what handover made. The passport is nil for a connection in clear text.
func unpack(pending []byte) (*passport, []byte, error) {
	if len(pending) < 2 || pending[0] != passMark {
		return nil, pending, nil
	}
	kind, rest := pending[1], pending[2:]
	switch {
	case kind == passPlain:
		return nil, rest, nil
	case kind != passSecure || len(rest) < 4:
		return nil, nil, errors.New("adopt connection: malformed message")
	}
	n := binary.BigEndian.Uint32(rest)
	if rest = rest[4:]; uint64(n) > uint64(len(rest)) {
		return nil, nil, errors.New("adopt connection: malformed message")
	}
	var p passport
	if err := json.Unmarshal(rest[:n], &p); err != nil {
		return nil, nil, err
	}
	return &p, rest[n:], nil
}

// stamp makes the connection the one that the passport describes.
func (p *passport) stamp(c *Conn) error {
	c.last = true
	if p.HTTP2 != 0 {
		limits := c.Settings.Limits
		limits.HTTP2 = true
		c.h2id, c.limits = p.HTTP2, &limits
	}
	if p.Version == 0 {
		c.TLS = nil
		return nil
	}
	s := &tls.ConnectionState{Version: p.Version, HandshakeComplete: true, DidResume: p.Resumed, CipherSuite: p.Cipher,
		NegotiatedProtocol: p.ALPN, ServerName: p.SNI}
	var err error
	if s.PeerCertificates, err = parseAll(p.Peer); err != nil {
		return err
	}
	for _, ders := range p.Chains {
		chain, err := parseAll(ders)
		if err != nil {
			return err
		}
		s.VerifiedChains = append(s.VerifiedChains, chain)
	}
	c.Secure, c.SecureNote, c.TLS = s, p.Note, nil
	return nil
}
