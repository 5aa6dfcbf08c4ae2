// This file writes what the client is told about the variants: Vary,
// Alternates (RFC 2295) and the list in the pages for 300 and 406.

package negotiation

import (
	"fmt"
	"html"
	"net/url"
	"strconv"
	"strings"

	"modwsgi/gocore/internal/httpd"
)

// linkTo is a file's name as a relative reference.
func linkTo(name string) string {
	u := (&url.URL{Path: name}).EscapedPath()
	if strings.Contains(u, ":") {
		u = "./" + u
	}
	return u
}

// varyOf names the fields in whose dimension the variants differ.
func varyOf(variants []*variant, transparent bool) string {
	var vary []string
	if transparent {
		vary = append(vary, "negotiate")
	}
	differ := func(of func(*variant) string) bool {
		for _, v := range variants[1:] {
			if of(v) != of(variants[0]) {
				return true
			}
		}
		return false
	}
	for _, d := range []struct {
		field string
		of    func(*variant) string
	}{
		{"accept", func(v *variant) string { return v.mediaType }},
		{"accept-language", func(v *variant) string { return strings.ToLower(strings.Join(v.languages, ",")) }},
		{"accept-charset", func(v *variant) string { return strings.ToLower(v.charset) }},
		{"accept-encoding", func(v *variant) string { return strings.ToLower(v.encoding) }},
	} {
		if differ(d.of) {
			vary = append(vary, d.field)
		}
	}
	return strings.Join(vary, ",")
}

// alternates is the field's value.
func alternates(variants []*variant) string {
	var list []string
	for _, v := range variants {
		s := fmt.Sprintf("{%q %s {type %s}", v.name, strconv.FormatFloat(v.quality, 'g', -1, 64), v.mediaType)
		if v.charset != "" {
			s += " {charset " + strings.ToLower(v.charset) + "}"
		}
		if len(v.languages) > 0 {
			s += " {language " + strings.Join(v.languages, ", ") + "}"
		}
		if v.encoding != "" {
			s += " {encoding " + v.encoding + "}"
		}
		s += " {length " + strconv.FormatInt(v.size, 10) + "}"
		list = append(list, s+"}")
	}
	return strings.Join(list, ", ")
}

// remember leaves the list for the page of the status that follows.
func remember(r *httpd.Request, variants []*variant) {
	var b strings.Builder
	b.WriteString("Available variants:\n<ul>\n")
	for _, v := range variants {
		name := html.EscapeString(v.name)
		b.WriteString(`<li><a href="` + name + `">` + name + "</a> ")
		if v.about != "" {
			b.WriteString(" " + html.EscapeString(v.about))
		}
		if v.mediaType != "" {
			b.WriteString(", type " + html.EscapeString(v.mediaType))
		}
		if len(v.languages) > 0 {
			b.WriteString(", language " + html.EscapeString(strings.Join(v.languages, ", ")))
		}
		if v.charset != "" {
			b.WriteString(", charset " + html.EscapeString(v.charset))
		}
		if v.encoding != "" {
			b.WriteString(", encoding " + html.EscapeString(v.encoding))
		}
		b.WriteString("</li>\n")
	}
	b.WriteString("</ul>\n")
	r.Note(httpd.NoteVariants, b.String())
}
