// This file has the tests of RewriteCond: pattern, comparison, file, URL,
// expression.

package rewrite

import (
	"io/fs"
	"os"
	"strings"

	"modwsgi/gocore/internal/httpd"
)

// fileTests are the patterns that look at a file with the name of the test
// string.
var fileTests = map[string]func(name string) bool{
	"-f": func(name string) bool { fi, err := os.Stat(name); return err == nil && fi.Mode().IsRegular() },
	"-d": func(name string) bool { fi, err := os.Stat(name); return err == nil && fi.IsDir() },
	"-s": func(name string) bool {
		fi, err := os.Stat(name)
		return err == nil && fi.Mode().IsRegular() && fi.Size() > 0
	},
	"-x": func(name string) bool { fi, err := os.Stat(name); return err == nil && fi.Mode()&0o111 != 0 },
	"-l": isLink, "-L": isLink, "-h": isLink,
}

func isLink(name string) bool {
	fi, err := os.Lstat(name)
	return err == nil && fi.Mode()&fs.ModeSymlink != 0
}

var intTests = map[string]func(a, b int64) bool{
	"-eq": func(a, b int64) bool { return a == b }, "-ne": func(a, b int64) bool { return a != b },
	"-lt": func(a, b int64) bool { return a < b }, "-le": func(a, b int64) bool { return a <= b },
	"-gt": func(a, b int64) bool { return a > b }, "-ge": func(a, b int64) bool { return a >= b },
}

// parseTest turns the pattern into a test. ignoredCase says that NC was given
// where it means nothing.
func (x *cond) parseTest(parseExpr func(string) (*httpd.Expr, error)) (ignoredCase bool, err error) {
	pattern := x.pattern
	if strings.HasPrefix(pattern, "!") {
		x.flags |= condNot
		pattern = pattern[1:]
	}
	noCase := x.flags&condNoCase != 0
	if strings.EqualFold(x.text, "expr") {
		e, err := parseExpr(pattern)
		if err != nil {
			return false, err
		}
		if x.flags&condNoVary == 0 {
			e = e.Vary()
		}
		not := x.flags&condNot != 0
		x.test = func(run *run, _ string) bool { return run.expr(e, pattern, not) }
		return noCase, nil
	}
	x.input = parseTemplate(x.text)
	if test := fileTests[pattern]; test != nil {
		x.test = func(_ *run, name string) bool { return test(name) }
		return noCase, nil
	}
	switch {
	case pattern == "-U":
		x.test = (*run).reachableURL
		return noCase, nil
	case pattern == "-F":
		x.test = (*run).reachableFile
		return noCase, nil
	case len(pattern) > 3 && intTests[pattern[:3]] != nil:
		test, number := intTests[pattern[:3]], atoi(pattern[3:])
		x.test = func(_ *run, s string) bool { return test(atoi(s), number) }
		return noCase, nil
	case len(pattern) > 1 && strings.IndexByte("<>=", pattern[0]) >= 0:
		x.test = lexical(pattern, noCase)
		return false, nil
	}
	re, err := httpd.CompileRegexp(pattern, noCase)
	if err != nil {
		return false, err
	}
	not := x.flags&condNot != 0
	x.test = func(run *run, s string) bool {
		g := re.Find(s)
		if g != nil && !not {
			run.condMatch = match{s, g}
		}
		return g != nil
	}
	return false, nil
}

// lexical reads "=text", "<text", "<=text" and so on; ="" is the empty string.
func lexical(pattern string, noCase bool) func(*run, string) bool {
	op, text := pattern[:1], pattern[1:]
	if op != "=" && strings.HasPrefix(text, "=") {
		op, text = pattern[:2], text[1:]
	}
	if op == "=" && text == `""` {
		text = ""
	}
	return func(_ *run, s string) bool {
		n := compare(s, text)
		if noCase {
			n = strings.Compare(strings.ToLower(s), strings.ToLower(text))
		}
		switch op {
		case "=":
			return n == 0
		case "<":
			return n < 0
		case "<=":
			return n <= 0
		case ">":
			return n > 0
		}
		return n >= 0
	}
}

// compare orders a longer string after a shorter one, as httpd does, so that
// numbers with the same number of digits compare as one expects.
func compare(a, b string) int {
	if len(a) != len(b) {
		return len(a) - len(b)
	}
	return strings.Compare(a, b)
}

// atoi is C's: blanks, a sign, digits; the rest does not count.
func atoi(s string) int64 {
	i := 0
	for i < len(s) && isBlank(s[i]) {
		i++
	}
	negative := i < len(s) && s[i] == '-'
	if negative || i < len(s) && s[i] == '+' {
		i++
	}
	var n int64
	for ; i < len(s) && '0' <= s[i] && s[i] <= '9' && n < 1<<31; i++ {
		n = n*10 + int64(s[i]-'0')
	}
	if negative {
		return -n
	}
	return n
}

// expr evaluates an ap_expr expression; one that fails is false.
func (x *run) expr(e *httpd.Expr, text string, not bool) bool {
	var m httpd.Captures
	ok, err := e.TrueWith(x.r, &m)
	if ok && len(m.Groups) > 0 && !not {
		x.condMatch = match{m.Source, m.Groups}
	}
	if err != nil {
		x.trace(1, "RewriteCond: expr='%s' evaluation failed: %v", text, err)
		return false
	}
	return ok
}

// mayLookUp guards against a sub-request that leads to itself.
func (x *run) mayLookUp() bool {
	main := x.r.Main()
	return main == nil || main.URI != x.r.URI
}

// reachableURL is -U: a sub-request for the URL would succeed.
func (x *run) reachableURL(url string) bool {
	if url == "" || !x.mayLookUp() {
		return false
	}
	path, query, _ := strings.Cut(url, "?")
	_, st := x.r.LookupURI(path, query)
	x.trace(5, "RewriteCond URI (-U check: path=%s -> status=%d", url, st)
	return st < 400
}

// reachableFile is -F: the file exists and a request could get it.
func (x *run) reachableFile(file string) bool {
	if file == "" || !x.mayLookUp() {
		return false
	}
	sub, st := x.r.LookupFile(file)
	if sub == nil {
		return false
	}
	x.trace(5, "RewriteCond file (-F check: path=%s -> file=%s status=%d", file, sub.Filename, st)
	return st < 300 && sub.Info != nil
}

// holds evaluates the condition.
func (c *cond) holds(x *run) bool {
	input := ""
	if c.input != nil {
		input = x.expand(c.input, nil)
	}
	ok := c.test(x, input) != (c.flags&condNot != 0)
	if x.tracing {
		word, nc := "not-matched", ""
		if ok {
			word = "matched"
		}
		if c.flags&condNoCase != 0 {
			nc = " [NC]"
		}
		x.trace(4, "RewriteCond: input='%s' pattern='%s'%s => %s", input, c.pattern, nc, word)
	}
	return ok
}
