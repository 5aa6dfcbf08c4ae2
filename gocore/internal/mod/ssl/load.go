// Files: which ones the hosts need, reading them, and certificates and keys out
// of them. The supervisor reads, with the rights that it has, and hands the
// content to the processes that accept connections; nobody else opens a key.

package ssl

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"modwsgi/gocore/internal/conf"
	"modwsgi/gocore/internal/httpd"
)

// Codes of diagnostics about files.
const (
	codeFile    = "SSL-FILE"
	codeKey     = "SSL-KEY"
	codeNoCert  = "SSL-NO-CERTIFICATE"
	codeExpired = "SSL-EXPIRED"
	codeName    = "SSL-NAME"
	codeAddress = "SSL-ADDRESS"
)

// Files is the content of the files that the configuration names, by path. A
// directory has that of all its files, one after the other.
type Files map[string][]byte

// maxFile bounds what is read of one file or directory, in bytes: the largest
// bundles of authorities and lists of revoked certificates are far below it.
const maxFile = 64 << 20

// Keys are the paths of all private keys: of hosts that speak TLS, and other secrets.
func Keys(srv *httpd.Server) (out []string) {
	for _, f := range srv.SecretFiles {
		if !slices.Contains(out, f.Name) {
			out = append(out, f.Name)
		}
	}
	for _, v := range srv.AllHosts() {
		if v == nil || !v.TLS {
			continue
		}
		if c := settings(v); c != nil {
			for i := range c.certs {
				if p := c.key(i).name; !slices.Contains(out, p) {
					out = append(out, p)
				}
			}
		}
	}
	return out
}

// key is the file that the key of certificate i is in.
func (c *Config) key(i int) path {
	if i < len(c.keys) {
		return c.keys[i]
	}
	return c.certs[i]
}

// paths are all files and directories that the host needs.
func (c *Config) paths() []path {
	list := append(slices.Clone(c.certs), c.keys...)
	list = append(list, c.chain, c.caFile, c.caPath, c.dnFile, c.dnPath)
	if m := c.crlCheck.V; m.leaf || m.chain {
		list = append(list, c.crlFile, c.crlPath)
	}
	return slices.DeleteFunc(list, func(p path) bool { return p.name == "" })
}

// Read reads what the hosts need and tries it: certificates that cannot be
// used are errors, others that clients may not like are warnings.
func Read(srv *httpd.Server) (Files, []conf.Diagnostic) {
	files := Files{}
	var diags []conf.Diagnostic
	failed := map[string]bool{}
	for _, v := range srv.AllHosts() {
		c := settings(v)
		if !v.TLS || c == nil {
			continue
		}
		for _, p := range c.paths() {
			if files[p.name] != nil || failed[p.name] {
				continue
			}
			data, err := readAll(p.name)
			if err != nil {
				failed[p.name] = true
				hint := "the file must exist and be readable for the user who starts the server"
				diags = append(diags, conf.Diagnostic{Severity: conf.Error, Code: codeFile, Pos: p.pos, Directive: p.by, Message: err.Error(), Suggestion: hint})
				continue
			}
			files[p.name] = data
		}
	}
	for _, f := range srv.SecretFiles {
		data, err := readAll(f.Name)
		if err == nil {
			err = f.Check(data)
		}
		if err != nil {
			failed[f.Name] = true
			diags = append(diags, conf.Diagnostic{Severity: conf.Error, Code: codeFile, Pos: f.Pos, Directive: f.Directive, Message: err.Error()})
			continue
		}
		files[f.Name] = data
	}
	if len(failed) > 0 {
		return nil, diags
	}
	_, more := Load(srv, files, time.Now())
	diags = append(diags, more...)
	if conf.HasErrors(diags) {
		return nil, diags
	}
	return files, diags
}

// readAll reads a file, or all regular files of a directory once each.
func readAll(name string) ([]byte, error) {
	info, err := os.Stat(name)
	if err != nil {
		return nil, err
	}
	if info.Mode().IsRegular() {
		if info.Size() > maxFile {
			return nil, fmt.Errorf("%s is larger than %d MiB", name, maxFile>>20)
		}
		return os.ReadFile(name)
	}
	if !info.IsDir() {
		return nil, fmt.Errorf("%s is neither a file nor a directory", name)
	}
	entries, err := os.ReadDir(name)
	if err != nil {
		return nil, err
	}
	out := []byte{}
	var seen []os.FileInfo // the links by hash lead to the files beside them
	for _, e := range entries {
		p := filepath.Join(name, e.Name())
		i, err := os.Stat(p)
		if err != nil || !i.Mode().IsRegular() || slices.ContainsFunc(seen, func(o os.FileInfo) bool { return os.SameFile(i, o) }) {
			continue
		}
		if seen = append(seen, i); int64(len(out))+i.Size() > maxFile {
			return nil, fmt.Errorf("the files in %s are larger than %d MiB", name, maxFile>>20)
		}
		data, err := os.ReadFile(p)
		if err != nil {
			return nil, err
		}
		out = append(append(out, data...), '\n')
	}
	return out, nil
}

// blocks are the contents of the PEM blocks of a type.
func blocks(data []byte, types ...string) (out [][]byte) {
	for {
		var b *pem.Block
		if b, data = pem.Decode(data); b == nil {
			return out
		}
		if slices.Contains(types, b.Type) {
			out = append(out, b.Bytes)
		}
	}
}

// Certificates are those of a file of that content; none, or one that cannot be
// read, is an error.
func Certificates(name string, data []byte) (out []*x509.Certificate, err error) {
	for _, der := range blocks(data, "CERTIFICATE", "X509 CERTIFICATE") {
		c, err := x509.ParseCertificate(der)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		out = append(out, c)
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("%s has no certificate in the PEM form", name)
	}
	return out, nil
}

// problem is what is wrong with a file, and what to do about it.
type problem struct{ code, text, cure string }

func (p *problem) Error() string { return p.text }

// parseKey finds the private key in a file.
func parseKey(name string, data []byte) (crypto.Signer, error) {
	for rest := data; ; {
		var b *pem.Block
		if b, rest = pem.Decode(rest); b == nil {
			break
		}
		if key, err := keyIn(name, b); key != nil || err != nil {
			return key, err
		}
	}
	return nil, &problem{codeKey, fmt.Sprintf("%s has no private key in the PEM form", name), "SSLCertificateKeyFile names the file with the key"}
}

// keyIn is the private key in a PEM block of a file, nil if it is something else.
func keyIn(name string, b *pem.Block) (crypto.Signer, error) {
	if !strings.HasSuffix(b.Type, "PRIVATE KEY") {
		return nil, nil
	}
	if b.Type == "ENCRYPTED PRIVATE KEY" || strings.Contains(b.Headers["Proc-Type"], "ENCRYPTED") {
		return nil, &problem{codeKey, fmt.Sprintf("the private key in %s is encrypted, and nobody is there to give its pass phrase", name),
			fmt.Sprintf("write a key without pass phrase: (umask 077; openssl pkey -in %s -out %s.plain)", name, name)}
	}
	key, err := x509.ParsePKCS8PrivateKey(b.Bytes)
	if err != nil {
		if key, err = x509.ParsePKCS1PrivateKey(b.Bytes); err != nil {
			if key, err = x509.ParseECPrivateKey(b.Bytes); err != nil {
				return nil, &problem{codeKey, fmt.Sprintf("the private key in %s cannot be read: RSA, ECDSA (P-256, P-384, P-521) and Ed25519 are known", name),
					"openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 makes one"}
			}
		}
	}
	if s, ok := key.(crypto.Signer); ok {
		return s, nil
	}
	return nil, &problem{codeKey, fmt.Sprintf("the private key in %s cannot sign", name), "RSA, ECDSA or Ed25519"}
}

// fits reports whether the key is that of the certificate.
func fits(c *x509.Certificate, key crypto.Signer) bool {
	pub, ok := c.PublicKey.(interface{ Equal(crypto.PublicKey) bool })
	return ok && pub.Equal(key.Public())
}

// certificate makes certificate i of a host.
func (c *Config) certificate(i int, files Files) (cert tls.Certificate, err error) {
	name := c.certs[i].name
	ders := blocks(files[name], "CERTIFICATE", "X509 CERTIFICATE")
	if len(ders) == 0 {
		return cert, &problem{codeNoCert, name + " has no certificate in the PEM form", "openssl x509 -inform DER converts one"}
	}
	cert.Certificate = ders
	if c.chain.name != "" {
		cert.Certificate = append(slices.Clip(ders), blocks(files[c.chain.name], "CERTIFICATE", "X509 CERTIFICATE")...)
	}
	for n, der := range cert.Certificate {
		parsed, err := x509.ParseCertificate(der)
		if err != nil {
			where := name
			if n >= len(ders) {
				where = c.chain.name
			}
			return cert, &problem{codeNoCert, fmt.Sprintf("certificate %d in %s cannot be read: %v", n+1, where, err), ""}
		}
		if n == 0 {
			cert.Leaf = parsed
		}
	}
	keyFile := c.key(i).name
	key, err := parseKey(keyFile, files[keyFile])
	if err != nil {
		return cert, err
	}
	if !fits(cert.Leaf, key) {
		return cert, &problem{codeKey, fmt.Sprintf("the key in %s does not belong to the first certificate in %s", keyFile, name),
			fmt.Sprintf("these must print the same: openssl x509 -in %s -noout -pubkey; openssl pkey -in %s -pubout", name, keyFile)}
	}
	cert.PrivateKey = key
	return cert, nil
}

// strength orders the certificates of a host: the first that a client can use is sent.
func strength(c tls.Certificate) int {
	switch c.Leaf.PublicKey.(type) {
	case *ecdsa.PublicKey:
		return 0
	case *rsa.PublicKey:
		return 2
	}
	return 1
}

// authorities are the certificates of files: those that signed themselves are
// trusted, the others only lead to them, as with OpenSSL. nil: there are no files.
type authorities struct {
	roots, others *x509.CertPool
	rooted        bool
	all           *x509.CertPool
}

func authoritiesIn(files Files, list ...path) (*authorities, error) {
	var out *authorities
	for _, p := range list {
		if p.name == "" {
			continue
		}
		if out == nil {
			out = &authorities{roots: x509.NewCertPool(), others: x509.NewCertPool(), all: x509.NewCertPool()}
		}
		certs, err := Certificates(p.name, files[p.name])
		if err != nil {
			return nil, err
		}
		for _, c := range certs {
			out.all.AddCert(c)
			if bytes.Equal(c.RawSubject, c.RawIssuer) {
				out.roots.AddCert(c)
				out.rooted = true
			} else {
				out.others.AddCert(c)
			}
		}
	}
	return out, nil
}

// revocations reads lists of revoked certificates, by the raw name of their issuer.
func revocations(files Files, list ...path) (map[string][]*x509.RevocationList, error) {
	out := map[string][]*x509.RevocationList{}
	for _, p := range list {
		if p.name == "" {
			continue
		}
		ders := blocks(files[p.name], "X509 CRL")
		if len(ders) == 0 && !bytes.Contains(files[p.name], []byte("-----BEGIN")) && p.by == "SSLCARevocationFile" {
			return nil, fmt.Errorf("%s has no list of revoked certificates in the PEM form", p.name)
		}
		for _, der := range ders {
			l, err := x509.ParseRevocationList(der)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", p.name, err)
			}
			out[string(l.RawIssuer)] = append(out[string(l.RawIssuer)], l)
		}
	}
	if len(out) == 0 {
		return nil, errors.New("there is no list of revoked certificates: SSLCARevocationFile names one")
	}
	return out, nil
}
