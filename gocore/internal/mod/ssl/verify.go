// Clients' certificates: who signed them, how long the chain is, whether they
// are revoked. The reasons are OpenSSL's, which applications know from
// SSL_CLIENT_VERIFY.

package ssl

import (
	"bytes"
	"crypto/x509"
	"errors"
	"time"
)

// checker judges the certificates of a host's clients. Immutable.
type checker struct {
	known    *authorities // nil: nobody
	depth    int
	generous bool
	crl      crlMode
	lists    map[string][]*x509.RevocationList
}

// Reasons that optional_no_ca forgives: nobody who is known signed it.
var (
	errSelfSigned = errors.New("self-signed certificate")
	errNoIssuer   = errors.New("unable to get local issuer certificate")
)

func forgivable(err error) bool { return errors.Is(err, errSelfSigned) || errors.Is(err, errNoIssuer) }

var (
	errTooLong    = errors.New("certificate chain too long")
	errExpired    = errors.New("certificate has expired")
	errNotYet     = errors.New("certificate is not yet valid")
	errPurpose    = errors.New("unsuitable certificate purpose")
	errRevoked    = errors.New("certificate revoked")
	errNoCRL      = errors.New("unable to get certificate CRL")
	errCRLExpired = errors.New("CRL has expired")
	errCRLSigned  = errors.New("CRL signature failure")
)

// verify finds a chain from the client's certificate to a known authority.
func (k *checker) verify(certs []*x509.Certificate) ([]*x509.Certificate, error) {
	leaf := certs[0]
	roots, others := x509.NewCertPool(), x509.NewCertPool()
	if k.known != nil {
		roots, others = k.known.roots, k.known.others.Clone()
	}
	for _, c := range certs[1:] {
		others.AddCert(c)
	}
	chains, err := leaf.Verify(x509.VerifyOptions{Roots: roots, Intermediates: others, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
	if err != nil {
		return nil, reason(leaf, err)
	}
	err = errTooLong
	for _, chain := range chains {
		if len(chain)-1 > k.depth {
			continue
		}
		if err = k.revoked(chain); err == nil {
			return chain, nil
		}
	}
	return nil, err
}

// reason translates an error of crypto/x509.
func reason(leaf *x509.Certificate, err error) error {
	var invalid x509.CertificateInvalidError
	var unknown x509.UnknownAuthorityError
	switch {
	case errors.As(err, &invalid):
		switch invalid.Reason {
		case x509.Expired:
			if time.Now().Before(leaf.NotBefore) {
				return errNotYet
			}
			return errExpired
		case x509.IncompatibleUsage:
			return errPurpose
		case x509.TooManyIntermediates:
			return errTooLong
		}
	case errors.As(err, &unknown):
		if bytes.Equal(leaf.RawIssuer, leaf.RawSubject) {
			return errSelfSigned
		}
		return errNoIssuer
	}
	return err
}

// revoked looks the chain up in the lists, as SSLCARevocationCheck says.
func (k *checker) revoked(chain []*x509.Certificate) error {
	n := 0
	switch {
	case k.crl.chain:
		n = len(chain) - 1 // the root vouches for itself
	case k.crl.leaf:
		n = min(1, len(chain)-1)
	}
	for i := range n {
		if err := k.listed(chain[i], chain[i+1]); err != nil {
			return err
		}
	}
	return nil
}

// listed is nil if a list that is in force says nothing against the certificate.
func (k *checker) listed(c, issuer *x509.Certificate) error {
	lists := k.lists[string(c.RawIssuer)]
	if len(lists) == 0 {
		if k.crl.mayLack {
			return nil
		}
		return errNoCRL
	}
	now := time.Now()
	err, found := errNoCRL, false
	for _, l := range lists {
		switch {
		case l.CheckSignatureFrom(issuer) != nil:
			err = errCRLSigned
			continue
		case !l.NextUpdate.IsZero() && now.After(l.NextUpdate) || now.Before(l.ThisUpdate):
			err = errCRLExpired
			continue
		case partialCRL(l): // it does not speak of all certificates
			continue
		}
		found = true
		for _, e := range l.RevokedCertificateEntries {
			if e.SerialNumber.Cmp(c.SerialNumber) == 0 {
				return errRevoked
			}
		}
	}
	if found {
		return nil
	}
	return err
}

// partialCRL reports extensions that must be understood and are not here:
// lists of some certificates, or of changes since another list.
func partialCRL(l *x509.RevocationList) bool {
	for _, e := range l.Extensions {
		if e.Critical {
			return true
		}
	}
	return false
}
