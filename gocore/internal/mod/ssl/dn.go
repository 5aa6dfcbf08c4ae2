// Names and times of certificates as OpenSSL writes them: RFC 2253 and the old
// form with slashes, and their single attributes.

package ssl

import (
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/hex"
	"fmt"
	"math/big"
	"strings"
	"time"
	"unicode/utf8"
)

// attribute is a part of a name: OpenSSL's short name, and mod_ssl's in SSL_x_S_DN_n
// ("" if it has none).
type attribute struct {
	oid         string
	short, name string
}

var attributes = []attribute{
	{"2.5.4.6", "C", "C"}, {"2.5.4.8", "ST", "ST"}, {"2.5.4.7", "L", "L"}, {"2.5.4.10", "O", "O"}, {"2.5.4.11", "OU", "OU"}, {"2.5.4.3", "CN", "CN"},
	{"2.5.4.12", "title", "T"}, {"2.5.4.43", "initials", "I"}, {"2.5.4.42", "GN", "G"}, {"2.5.4.4", "SN", "S"}, {"2.5.4.13", "description", "D"},
	{"0.9.2342.19200300.100.1.1", "UID", "UID"}, {"1.2.840.113549.1.9.1", "emailAddress", "Email"}, {"0.9.2342.19200300.100.1.25", "DC", "DC"},
	{"2.5.4.5", "serialNumber", ""}, {"2.5.4.9", "street", ""}, {"2.5.4.17", "postalCode", ""}, {"2.5.4.46", "dnQualifier", ""},
	{"2.5.4.44", "generationQualifier", ""}, {"2.5.4.65", "pseudonym", ""}, {"2.5.4.97", "organizationIdentifier", ""},
	{"2.5.4.15", "businessCategory", ""}, {"1.3.6.1.4.1.311.60.2.1.3", "jurisdictionC", ""}, {"1.3.6.1.4.1.311.60.2.1.2", "jurisdictionST", ""},
	{"1.3.6.1.4.1.311.60.2.1.1", "jurisdictionL", ""},
}

func attributeOf(oid asn1.ObjectIdentifier) (a attribute) {
	text := oid.String()
	for _, a := range attributes {
		if a.oid == text {
			return a
		}
	}
	return attribute{oid: text}
}

// rdns reads a name; a malformed one is empty.
func rdns(raw []byte) (seq pkix.RDNSequence) {
	if rest, err := asn1.Unmarshal(raw, &seq); err != nil || len(rest) > 0 {
		return nil
	}
	return seq
}

// distinguished is the name as RFC 2253 writes it, the last part first, or in
// the old form of OpenSSL.
func distinguished(raw []byte, legacy bool) string {
	seq := rdns(raw)
	var b strings.Builder
	if legacy {
		for _, set := range seq {
			for _, a := range set {
				name := attributeOf(a.Type)
				if name.short == "" {
					name.short = name.oid
				}
				fmt.Fprintf(&b, "/%s=%s", name.short, hexed(fmt.Sprint(a.Value)))
			}
		}
		return b.String()
	}
	for i := len(seq) - 1; i >= 0; i-- {
		for j, a := range seq[i] {
			switch {
			case j > 0:
				b.WriteByte('+')
			case i < len(seq)-1:
				b.WriteByte(',')
			}
			text, isText := a.Value.(string)
			switch name := attributeOf(a.Type); {
			case name.short != "" && isText:
				b.WriteString(name.short + "=" + escaped(text))
			default:
				der, _ := asn1.Marshal(a.Value)
				b.WriteString(name.oid + "=#" + strings.ToUpper(hex.EncodeToString(der)))
			}
		}
	}
	return b.String()
}

// escaped is a value as RFC 2253 section 2.4 wants it, bytes above ASCII as they are.
func escaped(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch {
		case strings.IndexByte(`,+"\<>;`, c) >= 0, i == 0 && (c == '#' || c == ' '), i == len(s)-1 && c == ' ':
			b.WriteByte('\\')
			b.WriteByte(c)
		case c < ' ' || c == 0x7f:
			fmt.Fprintf(&b, `\%02X`, c)
		default:
			b.WriteByte(c)
		}
	}
	return b.String()
}

// hexed is a value in the old form: what is not printable as \xHH.
func hexed(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if c := s[i]; c < ' ' || c > '~' {
			fmt.Fprintf(&b, `\x%02X`, c)
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}

// part gives the n-th attribute of a kind in a name, "" if there is none.
func part(raw []byte, name string, n int) string {
	for _, set := range rdns(raw) {
		for _, a := range set {
			if attributeOf(a.Type).name != name {
				continue
			}
			if n == 0 {
				return plain(a.Value)
			}
			n--
		}
	}
	return ""
}

// parts calls f with all attributes that have a name: CN, OU, OU_1 ...
func parts(raw []byte, f func(name, value string)) {
	count := map[string]int{}
	for _, set := range rdns(raw) {
		for _, a := range set {
			name := attributeOf(a.Type).name
			if name == "" {
				continue
			}
			n := count[name]
			count[name]++
			if n > 0 {
				name = fmt.Sprintf("%s_%d", name, n)
			}
			f(name, plain(a.Value))
		}
	}
}

// plain is an attribute's text, safe for a variable.
func plain(v any) string {
	s := fmt.Sprint(v)
	if !utf8.ValidString(s) || strings.ContainsFunc(s, func(c rune) bool { return c < ' ' || c == 0x7f }) {
		return hexed(s)
	}
	return s
}

// dateText is a time as OpenSSL prints it.
func dateText(t time.Time) string { return t.UTC().Format("Jan _2 15:04:05 2006 GMT") }

// serialText is a serial number in hexadecimal, whole bytes.
func serialText(n *big.Int) string {
	s := strings.ToUpper(new(big.Int).Abs(n).Text(16))
	if len(s)%2 == 1 {
		s = "0" + s
	}
	if n.Sign() < 0 {
		s = "-" + s
	}
	return s
}
