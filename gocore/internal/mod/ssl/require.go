// SSLRequire: mod_ssl's old language for conditions, put into that of <If> and
// Require expr. What both write alike and mean differently is refused with the
// words that say it today.

package ssl

import (
	"fmt"
	"strings"

	"modwsgi/gocore/internal/httpd"
)

// Words of the old language and what stands for them.
var oldWords = map[string]string{"and": "&&", "or": "||", "not": "!", "eq": "==", "ne": "!=", "lt": "<", "le": "<=", "gt": ">", "ge": ">=", "in": "in", "true": "true", "false": "false"}

// integers are the comparisons of numbers.
var integers = map[string]string{"<": "-lt", "<=": "-le", ">": "-gt", ">=": "-ge"}

// translate gives the condition in the present language.
func translate(text string) (string, error) {
	list, err := tokens(text)
	if err != nil {
		return "", err
	}
	var out []string
	for i, t := range list {
		low := strings.ToLower(t)
		if w, ok := oldWords[low]; ok {
			t = w
		}
		if op, ok := integers[t]; ok {
			// The old language compares lengths first: with a number beside it,
			// that is what -lt and so on do; with other texts it is nothing of use.
			if i == 0 || i+1 == len(list) || !number(list[i-1]) && !number(list[i+1]) {
				return "", &httpd.Coded{Code: "SSL-REQUIRE", Message: fmt.Sprintf("%s compares texts by their length first, which nobody means", t),
					Suggestion: "Require expr \"... " + op + " ...\" compares numbers, " + t + " texts by their letters"}
			}
			t = op
		}
		if low == "file" || low == "oid" || low == "peerextlist" {
			if low != "file" {
				return "", &httpd.Coded{Code: httpd.CodeUnavailable, Message: t + "() is not available: extensions of certificates are not compared", Suggestion: "compare SSL_CLIENT_S_DN_x or SSL_CLIENT_SAN_x"}
			}
			t = "file"
		}
		if n := len(out); t == "(" && n > 0 && out[n-1] == "file" { // a call has no blank before its argument
			out[n-1] += t
			continue
		}
		out = append(out, t)
	}
	return strings.Join(out, " "), nil
}

// number says whether a token is a number, also in quotes.
func number(t string) bool {
	t = strings.Trim(t, `"`)
	return t != "" && strings.Trim(t, "0123456789") == ""
}

// tokens cuts the text: strings and regular expressions stay whole.
func tokens(s string) (out []string, err error) {
	for i := 0; i < len(s); {
		c := s[i]
		end := i + 1
		switch {
		case strings.IndexByte(" \t\r\n", c) >= 0:
			i++
			continue
		case c == '"' || c == '\'':
			for end < len(s) && s[end] != c {
				if s[end] == '\\' {
					end++
				}
				end++
			}
			if end++; end > len(s) {
				return nil, fmt.Errorf("the text at %q does not end", s[i:])
			}
		case c == '%' && strings.HasPrefix(s[i:], "%{"):
			n := strings.IndexByte(s[i:], '}')
			if n < 0 {
				return nil, fmt.Errorf("%q lacks a }", s[i:])
			}
			end = i + n + 1
		case c == '/' || c == 'm' && i+1 < len(s) && strings.IndexByte("#/!|,", s[i+1]) >= 0 && len(out) > 0 && strings.HasSuffix(out[len(out)-1], "~"):
			delim := byte('/')
			start := i + 1
			if c == 'm' {
				delim, start = s[i+1], i+2
			}
			n := start
			for n < len(s) && s[n] != delim {
				if s[n] == '\\' {
					n++
				}
				n++
			}
			if n >= len(s) {
				return nil, fmt.Errorf("the pattern at %q does not end", s[i:])
			}
			for end = n + 1; end < len(s) && wordChar(s[end]); end++ { // flags
			}
		case wordChar(c):
			for end < len(s) && wordChar(s[end]) {
				end++
			}
		case end < len(s) && strings.Contains("&& || == != <= >= =~ !~", s[i:end+1]) && s[end] != ' ':
			end++
		}
		out = append(out, s[i:end])
		i = end
	}
	return out, nil
}

func wordChar(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '_' || c == '-' || c == '.'
}
