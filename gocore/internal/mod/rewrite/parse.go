// This file reads RewriteRule and RewriteCond: their arguments, which have a
// quoting of their own, their flags and patterns.

package rewrite

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"modwsgi/gocore/internal/conf"
	"modwsgi/gocore/internal/httpd"
)

// flags of a rule.
type flags uint32

const (
	flagNoSub      flags = 1 << iota // nothing is substituted
	flagNot                          // the pattern must not match
	flagEscapeBack                   // B
	flagNoPlus                       // BNP
	flagEscapeCtls                   // BCTLS
	flagChain                        // C
	flagDiscardPath
	flagEnd
	flagLast
	flagNext
	flagNoCase
	flagNoEscape
	flagNoSubreq
	flagProxy
	flagPassThrough
	flagQueryAppend
	flagQueryDiscard
	flagQueryLast
	flagQueryNone // the substitution ends with "?": no query
	flagRedirect
	flagStatus // answers with a status at once
	flagAllow3F
	flagUnsafeStat
	flagUNC
)

// maxRounds is how often [N] may start again if it does not say: httpd's
// limit.
const maxRounds = 32000

// rule is one RewriteRule with its conditions. Immutable.
type rule struct {
	pattern            string // as written, without "!"
	re                 *httpd.Regexp
	output             string // the substitution as written, without a last "?" that clears the query
	subst              template
	flags              flags
	status             int // of a redirect or of flagStatus
	skip, rounds       int
	env, cookies       []template
	mimeType, handler  template
	escapes, noEscapes string // B=, BNE=
	conds              []*cond
	pos                conf.Pos
	htaccess           bool // stands in a .htaccess file
}

// condFlags of a condition.
type condFlags uint8

const (
	condNot condFlags = 1 << iota
	condOr
	condNoCase
	condNoVary
)

// cond is one RewriteCond. Immutable.
type cond struct {
	text    string // the test string as written
	pattern string // as written, with "!"
	input   template
	flags   condFlags
	test    func(x *run, input string) bool
	pos     conf.Pos
}

// splitArgs takes the arguments apart: two or three words, each may be in
// quotes, inside of which a backslash has no meaning. A blank after a
// backslash does not end a word; the backslash stays.
func splitArgs(raw string) (words [3]string, n int, err error) {
	i := 0
	for n < 3 {
		for i < len(raw) && isBlank(raw[i]) {
			i++
		}
		if i == len(raw) {
			break
		}
		var quote byte
		if raw[i] == '"' || raw[i] == '\'' {
			quote = raw[i]
			i++
		}
		start := i
		for i < len(raw) && !(quote == 0 && isBlank(raw[i])) && (quote == 0 || raw[i] != quote) {
			if raw[i] == '\\' && i+1 < len(raw) && isBlank(raw[i+1]) {
				i++
			}
			i++
		}
		if quote != 0 && i == len(raw) && n == 0 {
			return words, n, fmt.Errorf("the first argument lacks a closing %c", quote)
		}
		words[n] = raw[start:i]
		n++
		if i < len(raw) {
			i++
		}
	}
	if rest := strings.TrimSpace(raw[min(i, len(raw)):]); rest != "" {
		return words, n, fmt.Errorf("unexpected %q after the flags; a flag's value with blanks needs quotes around all flags", rest)
	}
	if n < 2 {
		return words, n, errors.New("needs at least two arguments")
	}
	return words, n, nil
}

func isBlank(c byte) bool { return c == ' ' || '\t' <= c && c <= '\r' }

// eachFlag calls set for every flag of "[A,B=value]".
func eachFlag(field string, set func(key, value string) error) error {
	if len(field) < 2 || field[0] != '[' || field[len(field)-1] != ']' {
		return fmt.Errorf("flags stand in brackets without blanks between: [%s]", strings.Trim(field, "[]"))
	}
	for f := range strings.SplitSeq(field[1:len(field)-1], ",") {
		if f = strings.TrimSpace(f); f == "" {
			continue
		}
		key, value, _ := strings.Cut(f, "=")
		if err := set(key, value); err != nil {
			return err
		}
	}
	return nil
}

// setRule reads a RewriteRule.
func setRule(k *httpd.Cmd, c *Config) error {
	p, err := parseRule(k.Raw)
	if err != nil {
		return err
	}
	if p.flags&flagProxy != 0 && !k.HasModule("proxy_module") {
		return &httpd.Coded{Code: httpd.CodeUnavailable, Message: "the flag P needs mod_proxy, which is not available", Suggestion: "use [PT] or [R], or leave the proxying to a server in front"}
	}
	if p.flags&flagProxy != 0 {
		scheme, _, _ := strings.Cut(strings.ToLower(p.output), "://")
		switch scheme {
		case "ajp", "fcgi", "scgi", "uwsgi", "h2", "h2c", "ftp":
			return &httpd.Coded{Code: httpd.CodeUnavailable, Message: "the flag P cannot use " + scheme + "://", Suggestion: "the schemes are http, https, ws, wss, balancer, and unix:/path|http"}
		}
	}
	p.pos, p.htaccess = k.Pos, k.Htaccess
	s := scope(k, c)
	p.conds, s.pending = s.pending, nil
	if n := len(p.conds); n > 0 && p.conds[n-1].flags&condOr != 0 {
		k.Warn("REWRITE-OR-LAST", "the last condition has the flag OR and nothing to be joined with: the rule applies whether it holds or not")
	}
	s.list = append(s.list, p)
	return nil
}

func parseRule(raw string) (*rule, error) {
	words, n, err := splitArgs(raw)
	if err != nil {
		return nil, err
	}
	p := &rule{status: http.StatusFound, rounds: maxRounds}
	if n > 2 {
		if err := eachFlag(words[2], p.setFlag); err != nil {
			return nil, err
		}
	}
	pattern := words[0]
	if strings.HasPrefix(pattern, "!") {
		p.flags |= flagNot
		pattern = pattern[1:]
	}
	if p.re, err = httpd.CompileRegexp(pattern, p.flags&flagNoCase != 0); err != nil {
		return nil, err
	}
	p.pattern, p.output = pattern, words[1]
	if p.output == "-" {
		p.flags |= flagNoSub
	}
	switch {
	case strings.HasSuffix(p.output, "?") && p.flags&flagQueryAppend != 0:
		p.flags |= flagQueryLast
	case strings.HasSuffix(p.output, "?"):
		p.flags |= flagQueryNone
		p.output = p.output[:len(p.output)-1]
	case p.flags&flagQueryDiscard != 0 && !strings.Contains(p.output, "?"):
		p.flags |= flagQueryNone
	}
	p.subst = parseTemplate(p.output)
	return p, nil
}

// plainFlags are the flags without a value, by upper-case name.
var plainFlags = map[string]flags{
	"BNP": flagNoPlus, "BACKREFERNOPLUS": flagNoPlus, "BCTLS": flagEscapeBack | flagEscapeCtls,
	"C": flagChain, "CHAIN": flagChain, "DPI": flagDiscardPath, "DISCARDPATH": flagDiscardPath, "END": flagEnd,
	"L": flagLast, "LAST": flagLast, "NC": flagNoCase, "NOCASE": flagNoCase, "NE": flagNoEscape, "NOESCAPE": flagNoEscape,
	"NS": flagNoSubreq, "NOSUBREQ": flagNoSubreq, "P": flagProxy, "PROXY": flagProxy, "PT": flagPassThrough, "PASSTHROUGH": flagPassThrough,
	"QSA": flagQueryAppend, "QSAPPEND": flagQueryAppend, "QSD": flagQueryDiscard, "QSDISCARD": flagQueryDiscard,
	"QSL": flagQueryLast, "QSLAST": flagQueryLast,
	"UNSAFEALLOW3F": flagAllow3F, "UNSAFEPREFIXSTAT": flagUnsafeStat, "UNC": flagUNC,
}

func (p *rule) setFlag(key, value string) error {
	name := strings.ToUpper(key)
	if f, ok := plainFlags[name]; ok {
		p.flags |= f
		return nil
	}
	switch name {
	case "B", "BACKREFESCAPING":
		p.flags |= flagEscapeBack
		p.escapes += value
	case "BNE":
		if value == "" {
			return errors.New("the flag BNE needs a list of characters, as in [BNE=/]")
		}
		p.noEscapes = value // says nothing without B, as in httpd
	case "CO", "COOKIE":
		if value == "" {
			return errors.New("the flag CO needs name:value:domain, as in [CO=seen:1:.example.com]")
		}
		p.cookies = append(p.cookies, parseTemplate(value))
	case "E", "ENV":
		if value == "" {
			return errors.New("the flag E needs the name of a variable, as in [E=NAME:value]")
		}
		p.env = append(p.env, parseTemplate(value))
	case "F", "FORBIDDEN":
		p.flags |= flagStatus | flagNoSub
		p.status = http.StatusForbidden
	case "G", "GONE":
		p.flags |= flagStatus | flagNoSub
		p.status = http.StatusGone
	case "H", "HANDLER":
		p.handler = parseTemplate(value)
	case "N", "NEXT":
		p.flags |= flagNext
		if value != "" {
			n, err := strconv.Atoi(value)
			if err != nil || n < 1 {
				return fmt.Errorf("the flag N needs a number of rounds, not %q", value)
			}
			p.rounds = min(n, maxRounds)
		}
	case "R", "REDIRECT":
		return p.setRedirect(value)
	case "S", "SKIP":
		n, err := strconv.Atoi(value)
		if err != nil || n < 0 {
			return fmt.Errorf("the flag S needs a number of rules to skip, not %q", value)
		}
		p.skip = n
	case "T", "TYPE":
		p.mimeType = parseTemplate(value)
	default:
		return fmt.Errorf("unknown flag %q", key)
	}
	return nil
}

func (p *rule) setRedirect(value string) error {
	p.flags |= flagRedirect
	switch strings.ToLower(value) {
	case "":
		return nil
	case "permanent":
		p.status = http.StatusMovedPermanently
	case "temp":
		p.status = http.StatusFound
	case "seeother":
		p.status = http.StatusSeeOther
	default:
		n, err := strconv.Atoi(value)
		if err != nil || n < 200 || http.StatusText(n) == "" {
			return fmt.Errorf("%q is not the status of a response", value)
		}
		p.status = n
		if !isRedirect(n) {
			p.flags |= flagStatus | flagNoSub
		}
	}
	return nil
}

// isRedirect reports whether a status sends the client elsewhere.
func isRedirect(status int) bool {
	switch status {
	case 300, 301, 302, 303, 307, 308:
		return true
	}
	return false
}

// mapNames lists the maps that a rule and its conditions ask.
func (p *rule) mapNames() []string {
	var out []string
	for _, t := range append([]template{p.subst, p.mimeType, p.handler}, append(p.env, p.cookies...)...) {
		out = t.mapNames(out)
	}
	for _, c := range p.conds {
		out = c.input.mapNames(out)
	}
	return out
}

// setCond reads a RewriteCond.
func setCond(k *httpd.Cmd, c *Config) error {
	words, n, err := splitArgs(k.Raw)
	if err != nil {
		return err
	}
	x := &cond{text: words[0], pattern: words[1], pos: k.Pos}
	if n > 2 {
		if err := eachFlag(words[2], x.setFlag); err != nil {
			return err
		}
	}
	ignoredCase, err := x.parseTest(k.Expr)
	if err != nil {
		return err
	}
	if ignoredCase {
		k.Warn("REWRITE-NC", "the flag NC has no effect on the test %q", x.pattern)
	}
	s := scope(k, c)
	s.pending = append(s.pending, x)
	return nil
}

func (x *cond) setFlag(key, _ string) error {
	switch strings.ToUpper(key) {
	case "NC", "NOCASE":
		x.flags |= condNoCase
	case "OR", "ORNEXT":
		x.flags |= condOr
	case "NV", "NOVARY":
		x.flags |= condNoVary
	default:
		return fmt.Errorf("unknown flag %q; known are NC, OR and NV", key)
	}
	return nil
}
