package ssl

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"slices"
)

// Pairs finds certificates with their private keys in the PEM blocks of a file,
// in the order of the keys. Certificates without a key are sent after each.
func Pairs(name string, data []byte) (out []tls.Certificate, err error) {
	certs, err := Certificates(name, data)
	if err != nil {
		return nil, err
	}
	used := map[int]bool{}
	for b, rest := pem.Decode(data); b != nil; b, rest = pem.Decode(rest) {
		key, err := keyIn(name, b)
		if err != nil {
			return nil, err
		}
		if key == nil {
			continue
		}
		i := slices.IndexFunc(certs, func(c *x509.Certificate) bool { return fits(c, key) })
		if i < 0 {
			return nil, fmt.Errorf("%s has a private key without its certificate", name)
		}
		out = append(out, tls.Certificate{Certificate: [][]byte{certs[i].Raw}, PrivateKey: key, Leaf: certs[i]})
		used[i] = true
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("%s has no certificate with its private key in the PEM form", name)
	}
	for i, c := range certs {
		if !used[i] {
			for n := range out {
				out[n].Certificate = append(out[n].Certificate, c.Raw)
			}
		}
	}
	return out, nil
}
