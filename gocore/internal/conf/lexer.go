// This file turns text into logical lines and logical lines into words: the
// joining of continued lines, comments, quoting and ${NAME} replacement.

package conf

import "strings"

// maxLine is the longest joined line that is accepted, as in Apache 2.4
// (VARBUF_MAX_LEN, 16 MiB).
const maxLine = 16 << 20

// maxGrowth is how much longer variables and macro arguments may make a line.
// It stops "Define A ${A}${A}" from doubling without end.
const maxGrowth = 1 << 20

// logical is one line after joining, without surrounding blanks. It is never
// empty. num is its first physical line, counted from 1.
type logical struct {
	num  int
	text string
	// swallowed is the number of a physical line that a comment took in
	// because of its final backslash, although that line looks like a
	// directive; 0 if none.
	swallowed int
}

func isBlank(c byte) bool {
	return c == ' ' || (c >= '\t' && c <= '\r')
}

func trimBlank(s string) string {
	for len(s) > 0 && isBlank(s[0]) {
		s = s[1:]
	}
	for len(s) > 0 && isBlank(s[len(s)-1]) {
		s = s[:len(s)-1]
	}
	return s
}

// splitLines cuts a file into logical lines. A backslash right before the line
// end joins, with no way to write a literal one there; that holds in comments
// as well (Apache: ap_cfg_getline). Lines that are blank are left out.
func splitLines(src string) []logical {
	var out []logical
	var joined strings.Builder
	start, num, swallowed := 0, 0, 0
	flush := func(last string) {
		text := last
		if joined.Len() > 0 {
			joined.WriteString(last)
			text = joined.String()
			joined.Reset()
		}
		if text = trimBlank(text); text != "" {
			if text[0] != '#' {
				swallowed = 0
			}
			out = append(out, logical{num: start, text: text, swallowed: swallowed})
		}
		start, swallowed = 0, 0
	}
	for len(src) > 0 {
		physical, rest, terminated := strings.Cut(src, "\n")
		src = rest
		num++
		physical = strings.TrimSuffix(physical, "\r")
		if t := trimBlank(physical); start != 0 && t != "" && t[0] != '#' && swallowed == 0 {
			swallowed = num
		}
		if start == 0 {
			start = num
		}
		if terminated && strings.HasSuffix(physical, `\`) {
			joined.WriteString(physical[:len(physical)-1])
			continue
		}
		flush(physical)
	}
	if joined.Len() > 0 {
		flush("")
	}
	return out
}

// nextWord takes the first word off s and returns it with what follows,
// leading blanks removed. A word that starts with " or ' runs to the same
// quote; inside, a backslash protects that quote and itself only. Outside
// quotes \\ becomes \ and every other backslash stays (Apache:
// ap_getword_conf). open reports a quote that nothing closes; the word is then
// the rest of the text.
func nextWord(s string) (word, rest string, open bool) {
	s = trimBlank(s)
	if s == "" {
		return "", "", false
	}
	var quote byte
	body := s
	if s[0] == '"' || s[0] == '\'' {
		quote = s[0]
		body = s[1:]
	}
	var b strings.Builder
	i := 0
	for ; i < len(body); i++ {
		c := body[i]
		if quote != 0 && c == quote {
			return b.String(), trimBlank(body[i+1:]), false
		}
		if quote == 0 && isBlank(c) {
			return b.String(), trimBlank(body[i:]), false
		}
		if c == '\\' && i+1 < len(body) && (body[i+1] == '\\' || (quote != 0 && body[i+1] == quote)) {
			i++
			c = body[i]
		}
		b.WriteByte(c)
	}
	return b.String(), "", quote != 0
}

// splitWords splits argument text into its words. open is as for nextWord.
func splitWords(s string) (words []string, open bool) {
	for s = trimBlank(s); s != ""; {
		var word string
		var unclosed bool
		word, s, unclosed = nextWord(s)
		words = append(words, word)
		open = open || unclosed
	}
	return words, open
}

// Words splits argument text into words as the configuration reader does. It
// is for directives that take Directive.Raw apart on their own, for instance
// after cutting an expression off. An unclosed quote runs to the end of the
// text. Pure function; safe from any goroutine.
func Words(s string) []string {
	words, _ := splitWords(s)
	return words
}

// expandVars replaces every ${NAME} in s by what lookup returns. The first }
// ends a name; replaced text is not searched again; what lookup does not know
// stays as written and goes to unknown (Apache: ap_resolve_env). ok is false if
// the line grows beyond maxGrowth.
func expandVars(s string, lookup func(string) (string, bool), unknown func(string)) (out string, ok bool) {
	if !strings.Contains(s, "${") {
		return s, true
	}
	var b strings.Builder
	limit := len(s) + maxGrowth
	for {
		i := strings.Index(s, "${")
		if i < 0 {
			break
		}
		n := strings.IndexByte(s[i:], '}')
		if n < 0 {
			break
		}
		name := s[i+2 : i+n]
		b.WriteString(s[:i])
		if v, ok := lookup(name); ok && name != "" {
			if b.Len()+len(v) > limit {
				return "", false
			}
			b.WriteString(v)
		} else {
			b.WriteString(s[i : i+n+1])
			unknown(name)
		}
		s = s[i+n+1:]
	}
	b.WriteString(s)
	return b.String(), true
}
