// This file reads the Accept fields (RFC 9110 section 12.5).

package negotiation

import (
	"strconv"
	"strings"
)

// preference is one element of an Accept field.
type preference struct {
	name  string // lower case
	q     float64
	level float64 // of a media range; 0 none
}

// acceptMax bounds the elements that are read of one field: more can only be
// meant to keep the server busy.
const acceptMax = 200

// parse reads a field's value. An element without q has 1; one that cannot be
// read counts as 1 too, as in Apache.
func parse(value string) (list []preference, anyQ bool) {
	for part := range strings.SplitSeq(value, ",") {
		words := strings.Split(part, ";")
		p := preference{name: strings.ToLower(strings.TrimSpace(words[0])), q: 1}
		if p.name == "" {
			continue
		}
		for _, w := range words[1:] {
			name, text, _ := strings.Cut(strings.TrimSpace(w), "=")
			text = strings.Trim(strings.TrimSpace(text), `"`)
			switch strings.ToLower(strings.TrimSpace(name)) {
			case "q":
				p.q, anyQ = quality(text, 1), true
			case "level":
				p.level = number(text, 0)
			}
		}
		if list = append(list, p); len(list) == acceptMax {
			break
		}
	}
	return list, anyQ
}

// quality reads 0 to 1 with at most three digits after the point.
func quality(s string, def float64) float64 {
	if len(s) > 5 {
		s = s[:5]
	}
	q, err := strconv.ParseFloat(s, 64)
	if err != nil || !(q >= 0 && q <= 1) {
		return def
	}
	return q
}

func number(s string, def float64) float64 {
	n, err := strconv.ParseFloat(s, 64)
	if err != nil || !(n >= 0 && n < 1e6) {
		return def
	}
	return n
}
