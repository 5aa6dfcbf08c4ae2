// This file finds the entries of a directory that the client may see, and puts
// them in order.

package autoindex

import (
	"bytes"
	"cmp"
	"html"
	"io"
	"mime"
	"os"
	"slices"
	"strings"
	"time"

	"modwsgi/gocore/internal/httpd"
)

// entry is one line of a listing.
type entry struct {
	name        string // directories end with a slash
	parent, dir bool
	modified    time.Time
	size        int64
	icon, alt   string
	description string // of AddDescription, as markup; or a title, escaped
}

// listing is a directory as it is shown, with what the query asked for.
type listing struct {
	entries []entry
	flags   flags
	key     byte // N, M, S, D
	down    bool
	query   string // to keep in links that sort: F, V and P
}

// manyFiles is the size of a directory whose listing is no work for the thread
// that serves all connections.
const manyFiles = 50

// titleMax is how much of a page is searched for its title, bytes.
const titleMax = 4096

// list reads the directory.
func (c *Config) list(r *httpd.Request) (*listing, error) {
	l := &listing{flags: c.options.flags(), key: c.orderKey.Or('N'), down: c.orderKey.Set && c.orderDown}
	pattern := l.ask(r.Query)
	names, err := os.ReadDir(r.Filename)
	if err != nil {
		return nil, err
	}
	if len(names) > manyFiles {
		r.Need(httpd.OnWorker)
	}
	if r.URI != "/" {
		up := entry{name: "../", parent: true, dir: true}
		up.icon, up.alt = c.folder("..", "PARENTDIR")
		l.entries = append(l.entries, up)
	}
	for _, d := range names {
		if e, ok := c.entry(r, l, d.Name(), pattern); ok {
			l.entries = append(l.entries, e)
		}
	}
	slices.SortStableFunc(l.entries, l.compare)
	return l, nil
}

// ask reads the query: C=column;O=order;F=form;V=version sort;P=pattern. What
// is not understood is left alone.
func (l *listing) ask(query string) (pattern string) {
	if l.flags&ignoreClient != 0 {
		return ""
	}
	keep := func(word string) { l.query += ";" + html.EscapeString(word) }
	for word := range strings.FieldsFuncSeq(query, func(c rune) bool { return c == ';' || c == '&' }) {
		name, value, ok := strings.Cut(word, "=")
		if !ok || value == "" {
			continue
		}
		switch {
		case name == "C" && len(value) == 1 && strings.Contains("NMSD", value):
			l.key, l.down = value[0], false
		case name == "F" && value == "0":
			l.flags &^= fancy | htmlTable
			keep(word)
		case name == "F" && value == "1":
			l.flags = l.flags&^htmlTable | fancy
			keep(word)
		case name == "F" && value == "2":
			l.flags |= fancy | htmlTable
			keep(word)
		case name == "V" && value == "0":
			l.flags &^= versionSort
			keep(word)
		case name == "V" && value == "1":
			l.flags |= versionSort
			keep(word)
		case name == "P":
			pattern = unescape(value)
			keep(word)
		}
	}
	for word := range strings.FieldsFuncSeq(query, func(c rune) bool { return c == ';' || c == '&' }) {
		switch word { // after C, which is a link's first word
		case "O=A":
			l.down = false
		case "O=D":
			l.down = true
		}
	}
	return pattern
}

// unescape decodes percent escapes; broken ones stay.
func unescape(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '%' && i+2 < len(s) {
			hi, lo := strings.IndexByte(hexDigits, s[i+1]|0x20), strings.IndexByte(hexDigits, s[i+2]|0x20)
			if hi >= 0 && lo >= 0 {
				b.WriteByte(byte(hi<<4 | lo))
				i += 2
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

const hexDigits = "0123456789abcdef"

// entry makes the line for a name; false if it is not shown.
func (c *Config) entry(r *httpd.Request, l *listing, name, pattern string) (entry, bool) {
	if name[0] == '.' || c.ignored(name, l.flags&ignoreCase != 0) {
		return entry{}, false
	}
	if pattern != "" && !fnmatch(pattern, name, l.flags&ignoreCase != 0) {
		return entry{}, false
	}
	sub, st := r.Entry(r.Filename, name)
	if sub == nil || sub.Info == nil || !sub.Info.IsDir() && !sub.Info.Mode().IsRegular() {
		return entry{}, false // gone, or a device
	}
	if st != httpd.OK && (st < 300 || st >= 400) && l.flags&showForbidden == 0 {
		return entry{}, false
	}
	e := entry{name: name, dir: sub.Info.IsDir(), modified: sub.Info.ModTime(), size: sub.Info.Size()}
	if e.dir {
		e.name += "/"
		e.icon, e.alt = c.folder(name, "DIR")
	} else {
		kind, _, _ := strings.Cut(sub.ContentType, ";")
		e.icon, e.alt = c.image(name, strings.TrimSpace(kind), sub.Encoding)
	}
	if l.flags&noDescription == 0 {
		e.description = c.describe(r.Filename + "/" + name)
		if e.description == "" && l.flags&scanTitles != 0 && st == httpd.OK && !e.dir && sub.Encoding == "" && sub.Handler == "" {
			e.description = title(sub)
		}
	}
	return e, true
}

func fnmatch(pattern, name string, fold bool) bool {
	if fold {
		pattern, name = strings.ToLower(pattern), strings.ToLower(name)
	}
	return httpd.Fnmatch(pattern, name, false)
}

func (c *Config) ignored(name string, fold bool) bool {
	return slices.ContainsFunc(c.ignore, func(p string) bool { return matches(p, name, fold) })
}

// image finds icon and alternative text.
func (c *Config) image(name, mediaType, encoding string) (icon, alt string) {
	if x := find(c.icons, name, mediaType, encoding); x != nil {
		icon, alt = x.text, x.alt
	} else {
		icon = c.defaultIcon.V
	}
	if x := find(c.alts, name, mediaType, encoding); x != nil {
		alt = x.text
	}
	return icon, alt
}

// folder finds icon and alternative text of a directory: by its name, else by
// ^^DIRECTORY^^.
func (c *Config) folder(name, alt string) (string, string) {
	icon := c.defaultIcon.V
	for _, list := range [2]*item{find(c.icons, "", dirType, ""), find(c.icons, name, "", "")} {
		if list != nil {
			icon, alt = list.text, cmp.Or(list.alt, alt)
		}
	}
	if x := cmp.Or(find(c.alts, name, "", ""), find(c.alts, "", dirType, "")); x != nil {
		alt = x.text
	}
	return icon, alt
}

// title is the title of an HTML page, escaped, or "".
func title(sub *httpd.Request) string {
	kind, _, _ := mime.ParseMediaType(sub.ContentType)
	if kind != "text/html" && kind != "application/xhtml+xml" {
		return ""
	}
	f, err := os.Open(sub.Filename)
	if err != nil {
		return ""
	}
	defer f.Close()
	if fi, err := f.Stat(); err != nil || !os.SameFile(fi, sub.Info) {
		return ""
	}
	b, _ := io.ReadAll(io.LimitReader(f, titleMax))
	lower := bytes.ToLower(b)
	from := bytes.Index(lower, []byte("<title>"))
	if from < 0 {
		return ""
	}
	from += len("<title>")
	to := bytes.Index(lower[from:], []byte("</title>"))
	if to < 0 || len(lower) != len(b) {
		return ""
	}
	text := strings.Join(strings.Fields(string(b[from:from+to])), " ")
	return html.EscapeString(html.UnescapeString(text))
}

// compare orders two entries: the parent first, then directories if wanted,
// then by the column; names decide between equals.
func (l *listing) compare(a, b entry) int {
	if a.parent != b.parent {
		if a.parent {
			return -1
		}
		return 1
	}
	if l.flags&foldersFirst != 0 && a.dir != b.dir {
		if a.dir {
			return -1
		}
		return 1
	}
	n := 0
	switch l.key {
	case 'M':
		n = a.modified.Truncate(time.Second).Compare(b.modified.Truncate(time.Second))
	case 'S':
		n = cmp.Compare(a.shownSize(), b.shownSize())
	case 'D':
		n = strings.Compare(a.description, b.description)
	}
	if n == 0 {
		x, y := a.name, b.name
		if l.flags&ignoreCase != 0 {
			x, y = strings.ToLower(x), strings.ToLower(y)
		}
		if l.flags&versionSort != 0 {
			n = compareVersions(x, y)
		} else {
			n = strings.Compare(x, y)
		}
		if n == 0 {
			n = strings.Compare(a.name, b.name)
		}
	}
	if l.down {
		return -n
	}
	return n
}

// shownSize is the size by which entries are ordered; directories have none.
func (e *entry) shownSize() int64 {
	if e.dir {
		return -1
	}
	return e.size
}

// compareVersions compares runs of digits as numbers: foo-1.10 after foo-1.9.
func compareVersions(a, b string) int {
	digits := func(s string) int {
		n := 0
		for n < len(s) && s[n] >= '0' && s[n] <= '9' {
			n++
		}
		return n
	}
	for a != "" && b != "" {
		if m, n := digits(a), digits(b); m > 0 && n > 0 {
			x, y := strings.TrimLeft(a[:m], "0"), strings.TrimLeft(b[:n], "0")
			if c := cmp.Or(cmp.Compare(len(x), len(y)), strings.Compare(x, y), cmp.Compare(n, m)); c != 0 {
				return c
			}
			a, b = a[m:], b[n:]
			continue
		}
		if a[0] != b[0] {
			return cmp.Compare(a[0], b[0])
		}
		a, b = a[1:], b[1:]
	}
	return cmp.Compare(len(a), len(b))
}
