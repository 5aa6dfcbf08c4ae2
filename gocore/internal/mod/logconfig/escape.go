// This file escapes client-controlled text for a log line, so that a request
// can neither forge a second line nor send terminal control sequences.

package logconfig

const lowerHex = "0123456789abcdef"

// plainByte[c] is true when c goes into a log line as it is. Apache
// (ap_escape_logitem) escapes everything outside printable ASCII, the
// quotation mark and the backslash.
var plainByte = func() (t [256]bool) {
	for c := 0x20; c < 0x7f; c++ {
		t[c] = c != '"' && c != '\\'
	}
	return t
}()

// appendEscaped appends s to dst in Apache's log escaping: \b \n \r \t \v \" \\
// by name, every other byte outside printable ASCII as \xhh. It does not
// allocate beyond the growth of dst and may run on any goroutine.
func appendEscaped[T string | []byte](dst []byte, s T) []byte {
	start := 0
	for i := 0; i < len(s); i++ {
		c := s[i]
		if plainByte[c] {
			continue
		}
		dst = append(dst, s[start:i]...)
		start = i + 1
		switch c {
		case '\b':
			dst = append(dst, '\\', 'b')
		case '\n':
			dst = append(dst, '\\', 'n')
		case '\r':
			dst = append(dst, '\\', 'r')
		case '\t':
			dst = append(dst, '\\', 't')
		case '\v':
			dst = append(dst, '\\', 'v')
		case '"', '\\':
			dst = append(dst, '\\', c)
		default:
			dst = append(dst, '\\', 'x', lowerHex[c>>4], lowerHex[c&15])
		}
	}
	return append(dst, s[start:]...)
}
