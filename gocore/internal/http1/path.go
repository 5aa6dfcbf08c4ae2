// This file decodes and normalises the path of a request-target the way Apache
// httpd does (ap_unescape_url and ap_normalize_path): one round of percent
// decoding, then dot segments and, if asked, double slashes are removed.
package http1

// EncodedSlashes is the setting of Apache's AllowEncodedSlashes: what becomes
// of %2F in a path.
type EncodedSlashes uint8

// The settings.
const (
	EncodedSlashesOff      EncodedSlashes = iota // 404, the default
	EncodedSlashesOn                             // decoded to '/'
	EncodedSlashesNoDecode                       // kept as it is
)

// CleanPath appends the decoded and normalised form of the path raw, which is
// without query, to dst and returns the extended slice and 0. mergeSlashes is
// Apache's MergeSlashes. An empty raw path (absolute-form) gives "/".
//
// It refuses with a status code and dst as it was: 400 for a path that does
// not begin with '/', for a malformed escape, and for ".." above the root;
// 404 for %00 and, with EncodedSlashesOff, for %2F. Escapes are decoded once,
// and before the dot segments are looked at, so that %2e%2e hides nothing.
// raw and dst must not overlap. No allocation beyond growing dst.
func CleanPath(dst, raw []byte, mergeSlashes bool, slashes EncodedSlashes) ([]byte, int) {
	base := len(dst)
	if len(raw) == 0 {
		return append(dst, '/'), 0
	}
	if raw[0] != '/' {
		return dst, 400
	}
	notFound := false
	for i := 0; i < len(raw); i++ {
		c := raw[i]
		if c != '%' {
			dst = append(dst, c)
			continue
		}
		if i+2 >= len(raw) {
			return dst[:base], 400
		}
		hi, lo := hexValue[raw[i+1]], hexValue[raw[i+2]]
		if hi|lo > 15 {
			return dst[:base], 400
		}
		switch c = hi<<4 | lo; {
		case c == 0 || c == '/' && slashes == EncodedSlashesOff:
			notFound = true // left escaped: it is no separator for the dot segments
			dst = append(dst, raw[i:i+3]...)
		case c == '/' && slashes == EncodedSlashesNoDecode:
			dst = append(dst, raw[i:i+3]...)
		default:
			dst = append(dst, c)
		}
		i += 2
	}
	n, ok := removeDots(dst[base:], mergeSlashes)
	if !ok {
		return dst[:base], 400
	}
	if notFound {
		return dst[:base], 404
	}
	return dst[:base+n], 0
}

// removeDots normalises p, which begins with '/', in place and returns its new
// length; false when ".." leads above the root. With merge a ".." removes a
// real segment; without it, an empty segment counts as one, as in RFC 3986
// section 5.2.4.
func removeDots(p []byte, merge bool) (int, bool) {
	r, w := 1, 1 // p[:w] is done and ends with '/' whenever a segment begins
	for r < len(p) {
		end := r
		for end < len(p) && p[end] != '/' {
			end++
		}
		seg := p[r:end]
		more := end < len(p) // a slash follows
		r = end + 1
		switch {
		case len(seg) == 0 && merge:
		case len(seg) == 1 && seg[0] == '.':
		case len(seg) == 2 && seg[0] == '.' && seg[1] == '.':
			if w == 1 {
				return 0, false
			}
			for w--; p[w-1] != '/'; w-- {
			}
		default:
			w += copy(p[w:], seg)
			if more {
				p[w] = '/'
				w++
			}
		}
	}
	return w, true
}
