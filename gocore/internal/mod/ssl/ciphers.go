// SSLCipherSuite: OpenSSL's notation for sets of cipher suites (its manual page
// ciphers(1)), evaluated over the suites that Go has.

package ssl

import (
	"crypto/tls"
	"errors"
	"slices"
	"strings"

	"modwsgi/gocore/internal/httpd"
)

// suite is a cipher suite of TLS 1.2 by OpenSSL's name, with the words that
// stand for it in a specification.
type suite struct {
	id   uint16
	name string
	tags string // between blanks
	weak bool   // Go has it, but only uses it when it is named
}

var suites = []suite{
	{tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, "ECDHE-ECDSA-AES128-GCM-SHA256", " kECDHE aECDSA AES128 AESGCM AEAD TLSv1.2 ", false},
	{tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256, "ECDHE-RSA-AES128-GCM-SHA256", " kECDHE aRSA AES128 AESGCM AEAD TLSv1.2 ", false},
	{tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, "ECDHE-ECDSA-AES256-GCM-SHA384", " kECDHE aECDSA AES256 AESGCM AEAD TLSv1.2 ", false},
	{tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384, "ECDHE-RSA-AES256-GCM-SHA384", " kECDHE aRSA AES256 AESGCM AEAD TLSv1.2 ", false},
	{tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256, "ECDHE-ECDSA-CHACHA20-POLY1305", " kECDHE aECDSA CHACHA20 AEAD TLSv1.2 ", false},
	{tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256, "ECDHE-RSA-CHACHA20-POLY1305", " kECDHE aRSA CHACHA20 AEAD TLSv1.2 ", false},
	{tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA, "ECDHE-ECDSA-AES128-SHA", " kECDHE aECDSA AES128 SHA1 TLSv1 ", false},
	{tls.TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA, "ECDHE-RSA-AES128-SHA", " kECDHE aRSA AES128 SHA1 TLSv1 ", false},
	{tls.TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA, "ECDHE-ECDSA-AES256-SHA", " kECDHE aECDSA AES256 SHA1 TLSv1 ", false},
	{tls.TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA, "ECDHE-RSA-AES256-SHA", " kECDHE aRSA AES256 SHA1 TLSv1 ", false},
	{tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA256, "ECDHE-ECDSA-AES128-SHA256", " kECDHE aECDSA AES128 SHA256 TLSv1.2 ", true},
	{tls.TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA256, "ECDHE-RSA-AES128-SHA256", " kECDHE aRSA AES128 SHA256 TLSv1.2 ", true},
	{tls.TLS_RSA_WITH_AES_128_GCM_SHA256, "AES128-GCM-SHA256", " kRSA aRSA AES128 AESGCM AEAD TLSv1.2 ", true},
	{tls.TLS_RSA_WITH_AES_256_GCM_SHA384, "AES256-GCM-SHA384", " kRSA aRSA AES256 AESGCM AEAD TLSv1.2 ", true},
	{tls.TLS_RSA_WITH_AES_128_CBC_SHA256, "AES128-SHA256", " kRSA aRSA AES128 SHA256 TLSv1.2 ", true},
	{tls.TLS_RSA_WITH_AES_128_CBC_SHA, "AES128-SHA", " kRSA aRSA AES128 SHA1 SSLv3 ", true},
	{tls.TLS_RSA_WITH_AES_256_CBC_SHA, "AES256-SHA", " kRSA aRSA AES256 SHA1 SSLv3 ", true},
}

// aliases are other words for tags, and for unions of them.
var aliases = map[string][]string{
	"kEECDH": {"kECDHE"}, "ECDHE": {"kECDHE"}, "EECDH": {"kECDHE"}, "kECDH": {"kECDHE"}, "ECDH": {"kECDHE"}, "ECDSA": {"aECDSA"}, "RSA": {"kRSA"},
	"AES": {"AES128", "AES256"}, "SHA": {"SHA1"}, "TLSv1.0": {"TLSv1"}, "HIGH": {"AES128", "AES256", "CHACHA20"},
	"ALL": {"AES128", "AES256", "CHACHA20"}, "DEFAULT": {"AES128", "AES256", "CHACHA20"},
}

// empty are words of OpenSSL for suites that do not exist here.
var empty = func() map[string]bool {
	m := map[string]bool{}
	for w := range strings.FieldsSeq("COMPLEMENTOFALL COMPLEMENTOFDEFAULT MEDIUM LOW EXP EXPORT EXPORT40 EXPORT56 aNULL eNULL NULL ADH AECDH AESCCM AESCCM8 ARIA ARIA128 ARIA256 " +
		"ARIAGCM CAMELLIA CAMELLIA128 CAMELLIA256 SEED IDEA RC2 RC4 DES 3DES MD5 SHA384 DH EDH DHE kEDH kDHE kDH kDHr kDHd aDH aDSS DSS kPSK PSK aPSK kECDHEPSK kDHEPSK kRSAPSK " +
		"SRP kSRP aSRP kGOST aGOST aGOST01 GOST94 GOST89MAC kECDHr kECDHe aECDH SSLv2") {
		m[w] = true
	}
	return m
}()

// of gives the suites that a word stands for; ok false: it is no word of OpenSSL.
func of(word string) (list []uint16, ok bool) {
	for i, part := range strings.Split(word, "+") { // all of them have to hold
		tags := append([]string{part}, aliases[part]...)
		has := func(s suite) bool {
			return slices.ContainsFunc(tags, func(t string) bool { return strings.Contains(s.tags, " "+t+" ") })
		}
		known := empty[part] || looksLikeSuite(part)
		var have []uint16
		for _, s := range suites {
			if s.name == part || has(s) && !s.weak {
				have = append(have, s.id)
			}
			known = known || s.name == part || has(s)
		}
		if !known {
			return nil, false
		}
		if i == 0 {
			list = have
		} else {
			list = slices.DeleteFunc(list, func(id uint16) bool { return !slices.Contains(have, id) })
		}
	}
	return list, true
}

// looksLikeSuite knows names that OpenSSL has and Go has not.
func looksLikeSuite(name string) bool {
	for _, prefix := range []string{"DHE-", "EDH-", "ECDHE-", "ECDH-", "ADH-", "AECDH-", "PSK-", "SRP-", "RSA-PSK-", "DH-", "AES128-", "AES256-", "CAMELLIA", "DES-", "RC4-", "NULL-", "SEED-", "IDEA-", "GOST", "ARIA", "TLS_"} {
		if strings.HasPrefix(name, prefix) {
			return true
		}
	}
	return false
}

var errNothingLeft = errors.New("no cipher suite is left that this server has: DEFAULT, or ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256 for instance")

// cipherList evaluates a specification. nil: what Go uses by itself. unknown
// are words that OpenSSL does not have either.
func cipherList(spec string) (list []uint16, unknown []string, err error) {
	have := map[uint16]bool{}
	killed := map[uint16]bool{}
	for word := range strings.FieldsFuncSeq(spec, func(c rune) bool { return c == ':' || c == ',' || c == ' ' }) {
		if word[0] == '@' { // @STRENGTH, @SECLEVEL: order and sizes are Go's business
			continue
		}
		sign := byte(0)
		if strings.IndexByte("!-+", word[0]) >= 0 {
			sign, word = word[0], word[1:]
		}
		ids, ok := of(word)
		if !ok {
			unknown = append(unknown, word)
			continue
		}
		for _, id := range ids {
			switch sign {
			case 0:
				have[id] = !killed[id]
			case '!':
				have[id], killed[id] = false, true
			case '-':
				have[id] = false
			}
		}
	}
	for _, s := range suites {
		if have[s.id] {
			list = append(list, s.id)
		}
	}
	if len(list) == 0 {
		return nil, unknown, errNothingLeft
	}
	for _, s := range suites { // exactly those that need no name: let Go decide
		if have[s.id] == s.weak {
			return list, unknown, nil
		}
	}
	return nil, unknown, nil
}

// ciphers13 judges a list for TLS 1.3, whose three suites Go always has.
func ciphers13(k *httpd.Cmd, spec string) error {
	left := map[string]bool{"TLS_AES_128_GCM_SHA256": true, "TLS_AES_256_GCM_SHA384": true, "TLS_CHACHA20_POLY1305_SHA256": true}
	usable := false
	for name := range strings.FieldsFuncSeq(spec, func(c rune) bool { return c == ':' || c == ',' }) {
		usable = usable || left[name]
		delete(left, name)
	}
	if !usable {
		return errors.New("no cipher suite is left: TLS_AES_128_GCM_SHA256, TLS_AES_256_GCM_SHA384 and TLS_CHACHA20_POLY1305_SHA256 are there")
	}
	if len(left) > 0 {
		k.Notice(httpd.CodeIgnored, "has no effect for TLSv1.3: its three suites are always offered, and all are strong")
	}
	return nil
}

// cipherName is OpenSSL's name of a negotiated suite, and the bits of its key.
func cipherName(id uint16) (name string, bits string) {
	name = tls.CipherSuiteName(id)
	for _, s := range suites {
		if s.id == id {
			name = s.name
		}
	}
	if strings.Contains(name, "128") && !strings.Contains(name, "CHACHA") {
		return name, "128"
	}
	return name, "256"
}
