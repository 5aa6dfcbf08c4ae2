package ssl

import (
	"crypto"
	"crypto/tls"
	"encoding/pem"
	"fmt"
)

// Pairs finds certificates with their private keys in the PEM blocks of a file,
// in the order of the keys. Certificates without a key are sent after each.
func Pairs(name string, data []byte) (out []tls.Certificate, err error) {
	certs, err := certificatesIn(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	type publicKey interface{ Equal(crypto.PublicKey) bool }
	used := map[int]bool{}
	for rest := data; ; {
		var b *pem.Block
		if b, rest = pem.Decode(rest); b == nil {
			break
		}
		if len(b.Type) < len("PRIVATE KEY") || b.Type[len(b.Type)-len("PRIVATE KEY"):] != "PRIVATE KEY" {
			continue
		}
		key, err := parseKey(name, pem.EncodeToMemory(b))
		if err != nil {
			return nil, err
		}
		found := false
		for i, c := range certs {
			if pub, ok := c.PublicKey.(publicKey); ok && pub.Equal(key.Public()) {
				out = append(out, tls.Certificate{Certificate: [][]byte{c.Raw}, PrivateKey: key, Leaf: c})
				used[i], found = true, true
				break
			}
		}
		if !found {
			return nil, fmt.Errorf("%s has a private key without its certificate", name)
		}
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
