// The functions, the tests with one operand, and networks.
package expr

import (
	"crypto/md5"
	"crypto/sha1"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"
	"net/netip"
	"os"
	"strconv"
	"strings"
)

// maxFile bounds what file() reads, in bytes.
const maxFile = 1 << 20

// function is one row of the table of functions; names are in lower case.
type function struct {
	run        func(r *run, arg string) string
	restricted bool // reads files
}

func table(t Table) function {
	return function{run: func(r *run, arg string) string { return r.Lookup(t, arg) }}
}

func plain(f func(string) string) function {
	return function{run: func(_ *run, arg string) string { return f(arg) }}
}

// The hashes are for telling values apart, as in Apache; nothing here relies
// on them for security.
var functions = map[string]function{
	"req": table(RequestHeader), "http": table(RequestHeader), "req_novary": table(RequestHeaderNoVary), "resp": table(ResponseHeader),
	"reqenv": table(RequestEnv), "note": table(Notes),
	"osenv":    plain(os.Getenv),
	"env":      {run: env},
	"tolower":  plain(lower),
	"toupper":  plain(upper),
	"escape":   plain(escape),
	"unescape": {run: unescape},
	"base64":   plain(func(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }),
	"unbase64": plain(unbase64),
	"md5":      plain(func(s string) string { h := md5.Sum([]byte(s)); return hex.EncodeToString(h[:]) }),
	"sha1":     plain(func(s string) string { h := sha1.Sum([]byte(s)); return hex.EncodeToString(h[:]) }),
	"ldap":     plain(ldap),
	"file":     {run: file, restricted: true},
	"filesize": {run: filesize, restricted: true},
}

// env takes the first that exists of note, request variable and the server's
// environment.
func env(r *run, name string) string {
	for _, t := range []Table{Notes, RequestEnv} {
		if r.Has(t, name) {
			return r.Lookup(t, name)
		}
	}
	return os.Getenv(name)
}

// lower and upper know ASCII only: the bytes of other characters stay.
func lower(s string) string { return mapASCII(s, 'A', 'Z') }
func upper(s string) string { return mapASCII(s, 'a', 'z') }

// mapASCII changes the case of the letters from first to last.
func mapASCII(s string, first, last byte) string {
	b := []byte(s)
	for i, c := range b {
		if c >= first && c <= last {
			b[i] = c ^ 0x20
		}
	}
	return string(b)
}

// escape encodes what cannot stand in the path of a URL.
func escape(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if c := s[i]; letter(c) || digit(c) || strings.IndexByte("$-_.+!*'(),:;@&=/~", c) >= 0 {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "%%%02x", c)
		}
	}
	return b.String()
}

// unescape decodes %XX, but leaves an encoded slash as it is. What is not
// valid gives "".
func unescape(r *run, s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] != '%' {
			b.WriteByte(s[i])
			continue
		}
		if i+2 >= len(s) {
			r.Warn(fmt.Sprintf("unescape(%q): a %% is not followed by two hexadecimal digits", s))
			return ""
		}
		n, err := strconv.ParseUint(s[i+1:i+3], 16, 8)
		switch {
		case err != nil || n == 0:
			r.Warn(fmt.Sprintf("unescape(%q): %q is not a usable escape", s, s[i:i+3]))
			return ""
		case n == '/':
			b.WriteString(s[i : i+3])
		default:
			b.WriteByte(byte(n))
		}
		i += 2
	}
	return b.String()
}

// unbase64 decodes up to the first character that is not of the alphabet.
func unbase64(s string) string {
	end := strings.IndexFunc(s, func(c rune) bool {
		return c >= 0x80 || !letter(byte(c)) && !digit(byte(c)) && c != '+' && c != '/'
	})
	if end >= 0 {
		s = s[:end]
	}
	if len(s)%4 == 1 {
		s = s[:len(s)-1] // six bits are no byte
	}
	b, err := base64.RawStdEncoding.DecodeString(s)
	if err != nil {
		return ""
	}
	return string(b)
}

// ldap escapes a value for a search filter (RFC 4515 section 3).
func ldap(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if strings.IndexByte("*()\\\x00", s[i]) >= 0 {
			fmt.Fprintf(&b, "\\%02x", s[i])
		} else {
			b.WriteByte(s[i])
		}
	}
	return b.String()
}

// file is the content of a regular file, "" if it cannot be read or is too large.
func file(r *run, name string) string {
	fi, err := os.Stat(name) // before opening: a pipe would block
	if err == nil && !fi.Mode().IsRegular() {
		err = fmt.Errorf("%s is not a regular file", name)
	}
	var b []byte
	if err == nil {
		var f *os.File
		if f, err = os.Open(name); err == nil {
			b, err = io.ReadAll(io.LimitReader(f, maxFile+1))
			f.Close()
		}
	}
	if err == nil && len(b) > maxFile {
		err = fmt.Errorf("%s is larger than %d bytes", name, maxFile)
	}
	if err != nil {
		r.Warn(fmt.Sprintf("file(%q): %v", name, err))
		return ""
	}
	return string(b)
}

// filesize is the size in bytes, "0" if the file does not exist.
func filesize(_ *run, name string) string {
	fi, err := os.Stat(name)
	if err != nil {
		return "0"
	}
	return strconv.FormatInt(fi.Size(), 10)
}

// unaryOps are the letters of the tests with one operand.
const unaryOps = "nzTRdefsLhxFUA"

func (u unaryTest) eval(r *run) bool {
	s := u.a.value(r)
	switch u.op {
	case 'n':
		return s != ""
	case 'z':
		return s == ""
	case 'T':
		switch strings.ToLower(s) {
		case "", "0", "off", "false", "no":
			return false
		}
		return true
	case 'F':
		return r.Reachable(true, s)
	case 'U', 'A':
		return r.Reachable(false, s)
	}
	if s == "" || strings.IndexByte(s, 0) >= 0 {
		return false
	}
	if u.op == 'L' || u.op == 'h' {
		fi, err := os.Lstat(s)
		return err == nil && fi.Mode()&os.ModeSymlink != 0
	}
	fi, err := os.Stat(s)
	if err != nil {
		return false
	}
	switch u.op {
	case 'd':
		return fi.IsDir()
	case 'f':
		return fi.Mode().IsRegular()
	case 's':
		return fi.Mode().IsRegular() && fi.Size() > 0
	case 'x':
		return fi.Mode()&0o111 != 0
	}
	return true // -e
}

// integer is the number at the start of s after blanks, 0 if there is none, as
// atoi; a number out of range is the nearest.
func integer(s string) int64 {
	s = strings.TrimLeft(s, " \t\n\v\f\r")
	i := 0
	if i < len(s) && (s[i] == '-' || s[i] == '+') {
		i++
	}
	for i < len(s) && digit(s[i]) {
		i++
	}
	n, _ := strconv.ParseInt(s[:i], 10, 64)
	return n
}

// subnet reads the operand of -R and -ipmatch: an address, address/bits,
// address/netmask, or the first parts of an IPv4 address.
func (p *parser) subnet(w word, at int) (netip.Prefix, error) {
	s, ok := constant(w)
	if !ok {
		return netip.Prefix{}, p.fail(at, "the network must be a constant")
	}
	n, ok := ParseNet(s)
	if !ok {
		return netip.Prefix{}, p.fail(at, "%q is not an address or network", s)
	}
	return n, nil
}

// ParseNet reads a network in the forms of Require ip.
func ParseNet(s string) (netip.Prefix, bool) {
	addr, mask, has := strings.Cut(s, "/")
	if a, err := netip.ParseAddr(addr); err == nil && a.Zone() == "" {
		if !has {
			return netip.PrefixFrom(a.Unmap(), a.Unmap().BitLen()), true
		}
		if n, err := strconv.ParseUint(mask, 10, 8); err == nil {
			p, err := a.Prefix(int(n))
			return p, err == nil
		}
		m, err := netip.ParseAddr(mask)
		if err != nil || m.BitLen() != a.BitLen() || m.Zone() != "" {
			return netip.Prefix{}, false
		}
		bits, ended := 0, false
		for _, b := range m.AsSlice() {
			for i := 7; i >= 0; i-- {
				switch one := b>>i&1 == 1; {
				case one && ended:
					return netip.Prefix{}, false // holes
				case one:
					bits++
				default:
					ended = true
				}
			}
		}
		p, err := a.Prefix(bits)
		return p, err == nil
	}
	// the first parts of an IPv4 address
	parts := strings.Split(strings.TrimSuffix(s, "."), ".")
	if has || len(parts) > 3 {
		return netip.Prefix{}, false
	}
	var b [4]byte
	for i, part := range parts {
		n, err := strconv.ParseUint(part, 10, 8)
		if err != nil {
			return netip.Prefix{}, false
		}
		b[i] = byte(n)
	}
	return netip.PrefixFrom(netip.AddrFrom4(b), 8*len(parts)), true
}
