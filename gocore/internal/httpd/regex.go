// Regular expressions and shell patterns of the configuration. Apache uses
// PCRE; Go's regexp (linear time) takes nearly every pattern, the rest goes to
// a backtracking engine with a time limit.
package httpd

import (
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/dlclark/regexp2"
)

// regexTimeout bounds one match in the backtracking engine. A request that
// exceeds it gets 500: neither "matched" nor "did not match" would be safe.
const regexTimeout = 250 * time.Millisecond

// errRegexTimeout is thrown by the methods of Regexp and caught by Handle.
type errRegexTimeout struct{ pattern string }

func (e errRegexTimeout) Error() string {
	return fmt.Sprintf("matching %q took longer than %v", e.pattern, regexTimeout)
}

// Regexp is a compiled pattern with PCRE's defaults of httpd: unanchored, "."
// matches a newline, "$" matches at the very end only. Safe for any goroutine.
type Regexp struct {
	re    *regexp.Regexp
	pc    *regexp2.Regexp // if re is nil
	names []string        // of groups by number, "" if unnamed
	src   string
}

// CompileRegexp compiles a pattern; icase ignores case.
func CompileRegexp(src string, icase bool) (*Regexp, error) {
	flags := "(?s)"
	opt := regexp2.RegexOptions(regexp2.Singleline)
	if icase {
		flags = "(?si)"
		opt |= regexp2.IgnoreCase
	}
	re, err := regexp.Compile(flags + src)
	if err == nil {
		return &Regexp{re: re, names: re.SubexpNames(), src: src}, nil
	}
	// "$" of regexp2 also matches before a last newline, \z does not; patterns
	// that come here are rare enough to accept the difference.
	pc, err2 := regexp2.Compile(latin1(src), opt)
	if err2 != nil {
		return nil, fmt.Errorf("%q is not a valid regular expression: %v", src, strings.TrimPrefix(err.Error(), "error parsing regexp: "))
	}
	pc.MatchTimeout = regexTimeout
	r := &Regexp{pc: pc, src: src}
	for _, n := range pc.GetGroupNumbers() {
		name := pc.GroupNameFromNumber(n)
		if name == fmt.Sprint(n) {
			name = ""
		}
		r.names = append(r.names, name)
	}
	return r, nil
}

// String returns the pattern as written.
func (r *Regexp) String() string { return r.src }

// Match reports whether b contains a match.
func (r *Regexp) Match(b []byte) bool {
	if r.re != nil {
		return r.re.Match(b)
	}
	return r.MatchString(string(b))
}

// MatchString is Match for a string.
func (r *Regexp) MatchString(s string) bool {
	if r.re != nil {
		return r.re.MatchString(s)
	}
	ok, err := r.pc.MatchString(latin1(s))
	if err != nil {
		panic(errRegexTimeout{r.src})
	}
	return ok
}

// Find returns the byte offsets of the first match and its groups as
// regexp.FindStringSubmatchIndex does, nil if there is none.
func (r *Regexp) Find(s string) []int {
	if r.re != nil {
		return r.re.FindStringSubmatchIndex(s)
	}
	m, err := r.pc.FindStringMatch(latin1(s))
	if err != nil {
		panic(errRegexTimeout{r.src})
	}
	if m == nil {
		return nil
	}
	out := make([]int, 0, 2*m.GroupCount())
	for _, g := range m.Groups() {
		if len(g.Captures) == 0 {
			out = append(out, -1, -1)
		} else {
			out = append(out, g.Index, g.Index+g.Length)
		}
	}
	return out
}

// Names are the names of the groups, "" for those without.
func (r *Regexp) Names() []string { return r.names }

// hasNames reports whether any group has a name.
func (r *Regexp) hasNames() bool {
	for _, n := range r.names {
		if n != "" {
			return true
		}
	}
	return false
}

// latin1 turns every byte into one rune, so that rune offsets of regexp2 are
// byte offsets and bytes that are not UTF-8 survive, as in PCRE's byte mode.
func latin1(s string) string {
	ascii := true
	for i := 0; i < len(s); i++ {
		if s[i] >= 0x80 {
			ascii = false
			break
		}
	}
	if ascii {
		return s
	}
	r := make([]rune, len(s))
	for i := 0; i < len(s); i++ {
		r[i] = rune(s[i])
	}
	return string(r)
}

// Expand replaces $0 ... $9 in a template by the
// groups of a match in s; \$ and \& stand for themselves.
func Expand(template, s string, groups []int) string {
	var b strings.Builder
	for i := 0; i < len(template); i++ {
		c := template[i]
		n := -1
		switch {
		case c == '\\' && i+1 < len(template) && (template[i+1] == '$' || template[i+1] == '&'):
			i++
			b.WriteByte(template[i])
			continue
		case c == '$' && i+1 < len(template) && template[i+1] >= '0' && template[i+1] <= '9':
			n = int(template[i+1] - '0')
			i++
		}
		switch {
		case n < 0:
			b.WriteByte(c)
		case 2*n+1 < len(groups) && groups[2*n] >= 0:
			b.WriteString(s[groups[2*n]:groups[2*n+1]])
		}
	}
	return b.String()
}

// HasWildcard reports whether a pattern has shell wildcards.
func HasWildcard(s string) bool { return strings.ContainsAny(s, "*?[") }

// Fnmatch is fnmatch(3) without FNM_PERIOD. With pathname, no wildcard matches
// '/'. Case matters. It does not allocate and its time is linear in
// len(pattern)*len(name).
func Fnmatch[S string | []byte](pattern string, name S, pathname bool) bool {
	p, n := 0, 0
	starP, starN := -1, 0
	open := len(pattern) // from here on no bracket expression is closed; found out once
	for n < len(name) {
		if p < len(pattern) {
		token:
			switch c := pattern[p]; c {
			case '*':
				starP, starN = p, n
				p++
				continue
			case '?':
				if !(pathname && name[n] == '/') {
					p++
					n++
					continue
				}
			case '[':
				if p < open && !(pathname && name[n] == '/') {
					w, ok, valid := matchClass(pattern[p:], name[n])
					switch {
					case !valid:
						open = p
					case ok:
						p += w
						n++
						continue
					default:
						break token
					}
				}
				if name[n] == '[' { // an unclosed class is literal
					p++
					n++
					continue
				}
			case '\\':
				if p+1 < len(pattern) {
					if pattern[p+1] == name[n] {
						p += 2
						n++
						continue
					}
					break
				}
				if name[n] == '\\' {
					p++
					n++
					continue
				}
			default:
				if c == name[n] {
					p++
					n++
					continue
				}
			}
		}
		if starP < 0 || pathname && name[starN] == '/' {
			return false
		}
		starN++
		p, n = starP+1, starN
	}
	for p < len(pattern) && pattern[p] == '*' {
		p++
	}
	return p == len(pattern)
}

// matchClass matches c against the bracket expression at the start of p and
// returns the expression's width. valid is false if it is never closed.
func matchClass(p string, c byte) (width int, ok, valid bool) {
	i := 1
	negate := i < len(p) && (p[i] == '!' || p[i] == '^')
	if negate {
		i++
	}
	for first := true; i < len(p); first = false {
		if p[i] == ']' && !first {
			return i + 1, ok != negate, true
		}
		lo := p[i]
		if lo == '\\' && i+1 < len(p) {
			i++
			lo = p[i]
		}
		hi := lo
		i++
		if i+1 < len(p) && p[i] == '-' && p[i+1] != ']' {
			hi = p[i+1]
			i += 2
			if hi == '\\' && i < len(p) {
				hi = p[i]
				i++
			}
		}
		if lo <= c && c <= hi {
			ok = true
		}
	}
	return 0, false, false
}
