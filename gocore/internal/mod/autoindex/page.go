// This file writes the page of a listing: a plain list, columns in preformatted
// text (FancyIndexing), or a table (HTMLTable).

package autoindex

import (
	"fmt"
	"html"
	"io"
	"mime"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"modwsgi/gocore/internal/httpd"
)

// Formats of the column "Last modified".
const (
	dateFormat    = "2006-01-02 15:04"
	oldDateFormat = "02-Jan-2006 15:04"
)

// insertMax bounds the size of HeaderName and ReadmeName files, bytes.
const insertMax = 1 << 20

// writer builds the page.
type writer struct {
	strings.Builder
	c    *Config
	l    *listing
	end  string // of an empty element: ">" or " />"
	name int    // width of the columns, in characters
	desc int
}

// page makes the outcome.
func (c *Config) page(r *httpd.Request, l *listing) *httpd.Outcome {
	kind := c.options.mediaType.Or("text/html")
	charset := c.options.charset.Or("UTF-8")
	h := []httpd.Field{{Name: "Content-Type", Value: kind + ";charset=" + charset}}
	if l.flags&trackModified != 0 {
		modified := r.Info.ModTime().Truncate(time.Second)
		tag := fmt.Sprintf(`W/"%x-%x"`, r.Info.ModTime().UnixMicro(), len(l.entries))
		h = append(h, httpd.Field{Name: "Last-Modified", Value: modified.UTC().Format(http.TimeFormat)}, httpd.Field{Name: "ETag", Value: tag})
		if quoted, ok := r.Get("If-None-Match"); ok {
			if quoted == tag || quoted == "*" {
				return &httpd.Outcome{Status: http.StatusNotModified, Header: h}
			}
		} else if since, ok := r.Get("If-Modified-Since"); ok {
			if t, err := http.ParseTime(since); err == nil && !modified.After(t) {
				return &httpd.Outcome{Status: http.StatusNotModified, Header: h}
			}
		}
	}
	w := &writer{c: c, l: l, end: ">"}
	if l.flags&xhtml != 0 {
		w.end = " />"
	}
	shown := r.URI
	if shown != "/" {
		shown = strings.TrimSuffix(shown, "/")
	}
	heading := "Index of " + html.EscapeString(shown)
	above, aboveHTML := c.insert(r, c.header.V)
	if l.flags&noPreamble == 0 || above == "" || !aboveHTML {
		w.preamble(heading)
	}
	if above != "" {
		w.WriteString(above)
	} else {
		w.WriteString("<h1" + w.styled("", "id", "indextitle") + ">" + heading + "</h1>\n")
	}
	w.widths()
	switch {
	case l.flags&htmlTable != 0:
		w.table()
	case l.flags&fancy != 0:
		w.columns()
	default:
		w.list()
	}
	below, _ := c.insert(r, c.readme.V)
	w.WriteString(below)
	w.WriteString(r.Signature())
	w.WriteString("</body></html>\n")
	return &httpd.Outcome{Status: http.StatusOK, Header: h, Body: []byte(w.String())}
}

func (w *writer) preamble(title string) {
	if w.l.flags&xhtml != 0 {
		w.WriteString("<!DOCTYPE html PUBLIC \"-//W3C//DTD XHTML 1.0 Transitional//EN\" \"http://www.w3.org/TR/xhtml1/DTD/xhtml1-transitional.dtd\">\n" +
			"<html xmlns=\"http://www.w3.org/1999/xhtml\">\n")
	} else {
		w.WriteString("<!DOCTYPE html>\n<html>\n")
	}
	w.WriteString(" <head>\n  <title>" + title + "</title>\n")
	if s := w.c.style.V; s != "" {
		w.WriteString("  <link rel=\"stylesheet\" href=\"" + html.EscapeString(s) + "\" type=\"text/css\"" + w.end + "\n")
	}
	if s := w.c.head.V; s != "" {
		w.WriteString(s + "\n")
	}
	w.WriteString(" </head>\n <body>\n")
}

// insert is the contents of a HeaderName or ReadmeName file, as markup. HTML is
// taken as it is, other text is escaped.
func (c *Config) insert(r *httpd.Request, name string) (markup string, isHTML bool) {
	if name == "" {
		return "", false
	}
	var sub *httpd.Request
	var st httpd.Status
	if strings.Contains(name, "/") {
		if name[0] != '/' {
			name = strings.TrimSuffix(r.URI, "/") + "/" + name
		}
		sub, st = r.Lookup(name)
	} else {
		sub, st = r.Entry(r.Filename, name)
	}
	if st != httpd.OK || sub == nil || sub.Info == nil || !sub.Info.Mode().IsRegular() || sub.Handler != "" && sub.Handler != "default-handler" {
		return "", false
	}
	kind, _, err := mime.ParseMediaType(sub.ContentType)
	if err != nil || !strings.HasPrefix(kind, "text/") || sub.Encoding != "" {
		return "", false
	}
	f, err := os.Open(sub.Filename)
	if err != nil {
		return "", false
	}
	defer f.Close()
	if fi, err := f.Stat(); err != nil || !os.SameFile(fi, sub.Info) {
		return "", false
	}
	b, err := io.ReadAll(io.LimitReader(f, insertMax))
	if err != nil {
		r.Logf(httpd.LevelError, "autoindex", "reading %s: %v", sub.Filename, err)
	}
	if kind == "text/html" {
		return string(b), true
	}
	return "<pre>" + html.EscapeString(string(b)) + "</pre>\n", false
}

// widths computes the columns of preformatted text; tables use them to cut
// names and descriptions.
func (w *writer) widths() {
	w.name, w.desc = w.c.options.nameWidth, w.c.options.descriptionWidth
	if w.name == 0 {
		w.name = defaultNameWidth
	}
	if w.desc == 0 { // columns that are not shown leave their place
		w.desc = defaultDescriptionWidth
		if w.l.flags&noModified != 0 {
			w.desc += 19
		}
		if w.l.flags&noSize != 0 {
			w.desc += 7
		}
	}
	for i := range w.l.entries {
		e := &w.l.entries[i]
		if w.c.options.nameWidth < 0 {
			w.name = max(w.name, utf8.RuneCountInString(e.shown()))
		}
		if w.c.options.descriptionWidth < 0 {
			w.desc = max(w.desc, len(e.description))
		}
	}
}

func (e *entry) shown() string {
	if e.parent {
		return "Parent Directory"
	}
	return e.name
}

// href is the link to an entry. A first segment with a colon must not look
// like a scheme.
func (e *entry) href() string {
	if e.parent {
		return "../"
	}
	u := (&url.URL{Path: e.name}).EscapedPath()
	if strings.Contains(u, ":") {
		u = "./" + u
	}
	return html.EscapeString(u)
}

func (w *writer) list() {
	w.WriteString("<ul>")
	for i := range w.l.entries {
		e := &w.l.entries[i]
		w.WriteString("<li><a href=\"" + e.href() + "\"> " + html.EscapeString(e.shown()) + "</a></li>\n")
	}
	w.WriteString("</ul>\n")
}

// heading is a column's title with the link that sorts by it; the column that
// is sorted by already offers the other direction.
func (w *writer) heading(key byte, title string) string {
	if w.l.flags&noSorting != 0 {
		return title
	}
	order := byte('A')
	if w.l.key == key && !w.l.down {
		order = 'D'
	}
	return fmt.Sprintf(`<a href="?C=%c;O=%c%s">%s</a>`, key, order, w.l.query, title)
}

// image is the icon of an entry, or text of its width.
func (w *writer) image(e *entry) string {
	if e.icon == "" {
		if w.l.flags&htmlTable != 0 {
			return "&nbsp;"
		}
		return "     "
	}
	s := w.img(e.icon, e.alt)
	if w.l.flags&iconsAreLinks != 0 {
		s = `<a href="` + e.href() + `">` + s + "</a>"
	}
	return s
}

func (w *writer) img(icon, alt string) string {
	if alt == "" {
		alt = "   "
	}
	s := `<img src="` + html.EscapeString(icon) + `" alt="[` + html.EscapeString(alt) + `]"`
	if x := w.c.options.iconWidth; x > 0 {
		s += ` width="` + strconv.Itoa(x) + `"`
	}
	if x := w.c.options.iconHeight; x > 0 {
		s += ` height="` + strconv.Itoa(x) + `"`
	}
	return s + w.end
}

// blank is the picture above the column of icons.
func (w *writer) blank() string {
	if x := find(w.c.icons, nameBlank, "", ""); x != nil {
		alt := x.alt
		if a := find(w.c.alts, nameBlank, "", ""); a != nil {
			alt = a.text
		}
		if alt == "" {
			alt = "ICO"
		}
		return w.img(x.text, alt)
	}
	return ""
}

func (e *entry) date(f flags) string {
	switch {
	case e.parent:
		return ""
	case f&oldDates != 0:
		return e.modified.Local().Format(oldDateFormat)
	}
	return e.modified.Local().Format(dateFormat)
}

// bytesText is a size in at most four characters.
func (e *entry) bytesText() string {
	n := e.size
	switch {
	case e.dir:
		return "- "
	case n < 973: // as Apache: 0.95 of a unit is shown in the larger one
		return strconv.FormatInt(n, 10) + " "
	}
	for _, unit := range "KMGTPE" {
		rest := n & 1023
		n >>= 10
		if n >= 973 {
			continue
		}
		if n < 9 || n == 9 && rest < 973 {
			tenths := (rest*5 + 256) / 512
			if tenths >= 10 {
				n, tenths = n+1, 0
			}
			return fmt.Sprintf("%d.%d%c", n, tenths, unit)
		}
		if rest >= 512 {
			n++
		}
		return fmt.Sprintf("%d%c", n, unit)
	}
	return "****"
}

// fit cuts a name to the column and pads it; the padding is apart, outside of
// the link.
func fit(s string, width int) (text, pad string) {
	n := utf8.RuneCountInString(s)
	if n <= width {
		return s, strings.Repeat(" ", width-n)
	}
	cut := max(width-3, 0)
	for i := range s {
		if cut == 0 {
			s = s[:i]
			break
		}
		cut--
	}
	return s + "..>", ""
}

// cutMarkup shortens a description to width characters; tags do not count and
// an entity counts as one.
func cutMarkup(s string, width int) string {
	n := 0
	for i := 0; i < len(s); {
		size := 1
		switch {
		case s[i] == '<':
			if end := strings.IndexByte(s[i:], '>'); end >= 0 {
				i += end + 1
				continue
			}
		case s[i] == '&':
			if end := strings.IndexByte(s[i:], ';'); end >= 0 && end < 12 {
				size = end + 1
			}
		default:
			_, size = utf8.DecodeRuneInString(s[i:])
		}
		if n == width {
			return s[:i] + "&gt;"
		}
		n++
		i += size
	}
	return s
}

func (w *writer) columns() {
	f := w.l.flags
	w.WriteString("<pre>")
	if f&noIcon == 0 {
		if b := w.blank(); b != "" {
			w.WriteString(b + " ")
		} else {
			w.WriteString("      ")
		}
	}
	_, pad := fit("Name", w.name)
	w.WriteString(w.heading('N', "Name") + pad + " ")
	width := len(dateFormat)
	if f&oldDates != 0 {
		width = len(oldDateFormat)
	}
	if f&noModified == 0 {
		w.WriteString(w.heading('M', "Last modified") + strings.Repeat(" ", width-len("Last modified")+2))
	}
	if f&noSize == 0 {
		w.WriteString(w.heading('S', "Size") + "  ")
	}
	if f&noDescription == 0 {
		w.WriteString(w.heading('D', "Description"))
	}
	w.rule("\n")
	for i := range w.l.entries {
		e := &w.l.entries[i]
		if f&noIcon == 0 {
			w.WriteString(w.image(e) + " ")
		}
		name, pad := fit(e.shown(), w.name)
		w.WriteString(`<a href="` + e.href() + `">` + html.EscapeString(name) + "</a>" + pad + " ")
		if f&noModified == 0 {
			fmt.Fprintf(w, "%-*s  ", width, e.date(f))
		}
		if f&noSize == 0 {
			fmt.Fprintf(w, "%4s  ", e.bytesText())
		}
		if f&noDescription == 0 {
			w.WriteString(cutMarkup(e.description, w.desc))
		}
		w.WriteString("\n")
	}
	w.rule("")
	w.WriteString("</pre>\n")
}

func (w *writer) rule(without string) {
	if w.l.flags&noRules == 0 {
		w.WriteString("<hr" + w.end)
	} else {
		w.WriteString(without)
	}
}

// styled is the attribute that style sheets for httpd's listings look for, if
// there is one (IndexStyleSheet), else what a plain listing has.
func (w *writer) styled(plain, attribute, name string) string {
	if w.c.style.V == "" {
		return plain
	}
	return " " + attribute + `="` + name + `"`
}

func (w *writer) table() {
	f := w.l.flags
	columns := 1
	cell := func(kind, attr, s string) { w.WriteString("<" + kind + attr + ">" + s + "</" + kind + ">") }
	class := func(plain, name string) string { return w.styled(plain, "class", name) }
	heading := func(skip flags, key byte, title, name string) {
		if f&skip == 0 {
			columns++
			cell("th", class("", name), w.heading(key, title))
		}
	}
	w.WriteString("  <table" + w.styled("", "id", "indexlist") + ">\n   <tr" + class("", "indexhead") + ">")
	if f&noIcon == 0 {
		columns++
		b := w.blank()
		if b == "" {
			b = "&nbsp;"
		}
		cell("th", class(` valign="top"`, "indexcolicon"), b)
	}
	cell("th", class("", "indexcolname"), w.heading('N', "Name"))
	heading(noModified, 'M', "Last modified", "indexcollastmod")
	heading(noSize, 'S', "Size", "indexcolsize")
	heading(noDescription, 'D', "Description", "indexcoldesc")
	w.WriteString("</tr>\n")
	rule := func() {
		if f&noRules == 0 {
			fmt.Fprintf(w, "   <tr%s><th colspan=\"%d\"><hr%s</th></tr>\n", class("", "indexbreakrow"), columns, w.end)
		}
	}
	rule()
	for i := range w.l.entries {
		e := &w.l.entries[i]
		parity := [2]string{"even", "odd"}[i%2]
		row := class("", parity)
		if f&altClass != 0 {
			row = ` class="` + parity + " " + html.EscapeString(strings.ToLower(strings.TrimSpace(e.alt))) + `"`
		}
		w.WriteString("<tr" + row + ">")
		if f&noIcon == 0 {
			cell("td", class(` valign="top"`, "indexcolicon"), w.image(e))
		}
		name, pad := fit(e.shown(), w.name)
		cell("td", class("", "indexcolname"), `<a href="`+e.href()+`">`+html.EscapeString(name)+"</a>"+pad)
		if f&noModified == 0 {
			if d := e.date(f); d != "" {
				cell("td", class(` align="right"`, "indexcollastmod"), d+"  ")
			} else {
				cell("td", class("", "indexcollastmod"), "&nbsp;")
			}
		}
		if f&noSize == 0 {
			cell("td", class(` align="right"`, "indexcolsize"), fmt.Sprintf("%4s", e.bytesText()))
		}
		if f&noDescription == 0 {
			if e.description != "" {
				cell("td", class("", "indexcoldesc"), cutMarkup(e.description, w.desc))
			} else {
				cell("td", class("", "indexcoldesc"), "&nbsp;")
			}
		}
		w.WriteString("</tr>\n")
	}
	rule()
	w.WriteString("</table>\n")
}
