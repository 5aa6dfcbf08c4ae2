// This file is the algorithm that chooses: the qualities of each variant in the
// four dimensions, then the comparison in the order of the manual. Where
// clients say less than they mean, Apache reads more into it ("fiddling"): a
// wildcard without q counts little if every element lacks one.

package negotiation

import (
	"slices"
	"strings"

	"modwsgi/gocore/internal/httpd"
)

// Qualities for what the client did not name but would probably take.
const (
	anyTypeQ      = 0.01   // */* beside types without q
	anySubtypeQ   = 0.02   // text/* beside types without q
	unlabelledQ   = 0.0001 // no language, where the client names some
	otherDialectQ = 0.001  // en for a client that named en-GB
	halfEncodingQ = 0.5    // an encoding for a client that did not say which it knows
)

// accepted is what the client accepts; nil: it did not say.
type accepted struct {
	types, languages, charsets, encodings []preference
}

func read(r *httpd.Request) (a accepted) {
	get := func(name string) ([]preference, bool) {
		value, ok := r.Get(name)
		if !ok {
			return nil, false
		}
		list, anyQ := parse(value)
		return list, anyQ
	}
	var anyQ bool
	if a.types, anyQ = get("Accept"); !anyQ {
		for i := range a.types {
			switch p := &a.types[i]; {
			case p.name == "*/*" || p.name == "*":
				p.q = anyTypeQ
			case strings.HasSuffix(p.name, "/*"):
				p.q = anySubtypeQ
			}
		}
	}
	a.languages, _ = get("Accept-Language")
	a.charsets, _ = get("Accept-Charset")
	if value, ok := r.Get("Accept-Encoding"); ok { // an empty one says: none
		a.encodings, _ = parse(value)
		if a.encodings == nil {
			a.encodings = []preference{}
		}
	}
	return a
}

func (a *accepted) typeQ(v *variant) float64 {
	if a.types == nil {
		return 1
	}
	q, rank := 0.0, -1
	for _, p := range a.types {
		n := -1
		switch {
		case p.name == v.mediaType && (p.level == 0 || p.level == v.level):
			n = 2
			if p.level != 0 {
				n = 3
			}
		case strings.HasSuffix(p.name, "/*") && p.name != "*/*" && strings.HasPrefix(v.mediaType, p.name[:len(p.name)-1]):
			n = 1
		case p.name == "*/*" || p.name == "*":
			n = 0
		}
		if n > rank {
			q, rank = p.q, n
		}
	}
	return q
}

func (a *accepted) languageQ(v *variant) float64 {
	switch {
	case a.languages == nil:
		return 1
	case len(v.languages) == 0:
		return unlabelledQ
	}
	best := 0.0
	for _, l := range v.languages {
		l = strings.ToLower(l)
		q, longest, star, dialect := 0.0, -1, -1.0, 0.0
		for _, p := range a.languages {
			switch {
			case p.name == "*":
				star = p.q
			case (p.name == l || strings.HasPrefix(l, p.name+"-")) && len(p.name) > longest:
				q, longest = p.q, len(p.name)
			case strings.HasPrefix(p.name, l+"-") && p.q > 0:
				dialect = otherDialectQ
			}
		}
		switch {
		case longest >= 0:
		case dialect > 0:
			q = dialect
		case star >= 0:
			q = star
		}
		best = max(best, q)
	}
	return best
}

// charsetOf is the charset that counts: text without one is taken as
// ISO-8859-1, other types have none.
func (v *variant) charsetOf() string {
	switch {
	case v.charset != "":
		return strings.ToLower(v.charset)
	case strings.HasPrefix(v.mediaType, "text/"):
		return "iso-8859-1"
	}
	return ""
}

// labelled says that somebody chose another charset than the usual one.
func (v *variant) labelled() bool {
	return v.charset != "" && !strings.EqualFold(v.charset, "iso-8859-1")
}

func (a *accepted) charsetQ(v *variant) float64 {
	name := v.charsetOf()
	if a.charsets == nil || name == "" {
		return 1
	}
	star := -1.0
	for _, p := range a.charsets {
		if p.name == name {
			return p.q
		}
		if p.name == "*" {
			star = p.q
		}
	}
	switch {
	case star >= 0:
		return star
	case name == "iso-8859-1": // acceptable unless excluded
		return 1
	}
	return 0
}

func (a *accepted) encodingQ(v *variant) float64 {
	name := strings.TrimPrefix(strings.ToLower(v.encoding), "x-")
	identity := name == "" || name == "identity" || name == "7bit" || name == "8bit" || name == "binary"
	if a.encodings == nil {
		if identity {
			return 1
		}
		return halfEncodingQ
	}
	star := -1.0
	for _, p := range a.encodings {
		switch {
		case strings.TrimPrefix(p.name, "x-") == name && !identity:
			v.encoding = p.name // gzip is sent as x-gzip to who asks for that
			return p.q
		case identity && (p.name == "identity" || p.name == name):
			return p.q
		case p.name == "*":
			star = p.q
		}
	}
	switch {
	case identity && star != 0: // acceptable, but what was asked for is better
		return unlabelledQ
	case star >= 0:
		return star
	}
	return 0
}

// choose finds the best variant. nil: none is acceptable or, with several,
// nobody may decide between some.
func choose(r *httpd.Request, c *Config, variants []*variant) (best *variant, several bool) {
	a := read(r)
	force := c.force.Or(forcePriorities{prefer: true})
	for _, v := range variants {
		v.typeQ, v.languageQ, v.charsetQ, v.encodingQ = a.typeQ(v), a.languageQ(v), a.charsetQ(v), a.encodingQ(v)
		v.languageRank = -1
		for _, l := range v.languages {
			if i := slices.IndexFunc(c.priority, func(p string) bool { return strings.EqualFold(p, l) }); i >= 0 && (v.languageRank < 0 || i < v.languageRank) {
				v.languageRank = i
			}
		}
	}
	variants = slices.DeleteFunc(slices.Clone(variants), unwanted(r))
	if preferred := inLanguage(r, variants); len(preferred) > 0 {
		if best, several = pick(preferred, force.prefer); best != nil || several {
			return best, several
		}
		for _, v := range preferred {
			v.languageQ = a.languageQ(v)
		}
	}
	best, several = pick(variants, force.prefer)
	if best == nil && !several && force.fallback {
		for _, v := range variants { // as if no language were asked for
			v.languageQ = 1
		}
		best, several = pick(variants, true)
	}
	return best, several
}

// unwanted tells the variants that special variables exclude: with no-gzip
// those with an encoding, with gzip-only-text/html of these all but HTML.
func unwanted(r *httpd.Request) func(*variant) bool {
	_, none := r.Env("no-gzip")
	html, only := r.Env("gzip-only-text/html")
	return func(v *variant) bool {
		if v.encoding == "" || v.encoding == "identity" {
			return false
		}
		return none || only && html != "0" && !strings.HasPrefix(v.mediaType, "text/html")
	}
}

// inLanguage is the variants in the language that the variable prefer-language
// names, which are then as good as if the client had asked for it.
func inLanguage(r *httpd.Request, variants []*variant) (out []*variant) {
	tag, _ := r.Env("prefer-language")
	if tag == "" {
		return nil
	}
	for _, v := range variants {
		if slices.ContainsFunc(v.languages, func(l string) bool { return strings.EqualFold(l, tag) }) {
			v.languageQ = 1
			out = append(out, v)
		}
	}
	return out
}

// pick is one round. A tie between languages is nobody's to break without
// prefer.
func pick(variants []*variant, prefer bool) (best *variant, several bool) {
	for _, v := range variants {
		if v.quality*v.typeQ*v.languageQ*v.charsetQ*v.encodingQ == 0 {
			continue
		}
		if best == nil {
			best = v
			continue
		}
		switch n, tie := compare(v, best, prefer); {
		case n > 0:
			best, several = v, tie
		case tie:
			several = true
		}
	}
	if several {
		return nil, true
	}
	return best, false
}

// compare is positive if a is better than b. tie: they differ in their language
// only by what LanguagePriority would say.
func compare(a, b *variant, prefer bool) (n int, tie bool) {
	for _, x := range [2][2]float64{{a.quality * a.typeQ, b.quality * b.typeQ}, {a.languageQ, b.languageQ}} {
		if x[0] != x[1] {
			return sign(x[0] - x[1]), false
		}
	}
	if a.languageRank != b.languageRank {
		if !prefer {
			return 0, true
		}
		return sign(rank(b) - rank(a)), false
	}
	if !prefer && !slices.Equal(a.languages, b.languages) {
		return 0, true
	}
	if a.level != b.level {
		return sign(a.level - b.level), false
	}
	if a.charsetQ != b.charsetQ {
		return sign(a.charsetQ - b.charsetQ), false
	}
	if x, y := a.labelled(), b.labelled(); x != y {
		if x {
			return 1, false
		}
		return -1, false
	}
	if a.encodingQ != b.encodingQ {
		return sign(a.encodingQ - b.encodingQ), false
	}
	return sign(float64(b.size - a.size)), false
}

// rank is the place in LanguagePriority; what is not there comes last.
func rank(v *variant) float64 {
	if v.languageRank < 0 {
		return 1e9
	}
	return float64(v.languageRank)
}

func sign(x float64) int {
	switch {
	case x > 0:
		return 1
	case x < 0:
		return -1
	}
	return 0
}
