// Package autoindex is mod_autoindex: it lists directories that have no index
// file, where Options Indexes allows it.
//
// This file has the settings and directives, options.go reads IndexOptions,
// listing.go finds and sorts the entries, page.go writes the page.
package autoindex

import (
	"fmt"
	"net/http"
	"path"
	"slices"
	"strings"

	"modwsgi/gocore/internal/httpd"
)

// Config is the module's settings of one scope.
type Config struct {
	options                     options
	icons, alts, descriptions   []item
	ignore                      []string
	ignoreReset                 httpd.Opt[bool]
	defaultIcon, header, readme httpd.Opt[string]
	head, style                 httpd.Opt[string]
	orderKey                    httpd.Opt[byte] // N, M, S, D
	orderDown                   bool            // with orderKey
}

// by says what an item's pattern is compared with.
type by uint8

const (
	byName by = iota
	byType
	byEncoding
)

// item is a text (icon, alternative text, description) for the files that a
// pattern matches.
type item struct {
	by      by
	pattern string
	text    string
	alt     string // of an icon written as (alt,url)
}

// Names with a meaning of their own in AddIcon and AddAlt.
const (
	nameDirectory = "^^DIRECTORY^^"
	nameBlank     = "^^BLANKICON^^"
	dirType       = "httpd/unix-directory"
)

func row(name, args, doc string, min, max int, set func(*httpd.Cmd, *Config) error) httpd.Directive[Config] {
	return httpd.Directive[Config]{Name: name, Args: args, Doc: doc, Min: min, Max: max, In: httpd.Anywhere, Override: httpd.OverrideIndexes, Set: set}
}

// Module is mod_autoindex.
var Module = &httpd.Module[Config]{
	Name: "autoindex", ID: "autoindex_module", File: "mod_autoindex.c",
	Directives: []httpd.Directive[Config]{
		row("IndexOptions", "[+|-]option ...", "Says what a listing shows and how.", 0, -1, setOptions),
		row("IndexIgnore", "file ...", "Names entries that a listing leaves out.", 1, -1, func(k *httpd.Cmd, c *Config) error {
			c.ignore = append(c.ignore, k.Args...)
			return nil
		}),
		row("IndexIgnoreReset", "ON|OFF", "Forgets what enclosing scopes leave out.", 1, 1, func(k *httpd.Cmd, c *Config) error {
			on, err := k.Flag(0)
			c.ignoreReset = httpd.Some(on)
			return err
		}),
		row("IndexOrderDefault", "Ascending|Descending Name|Date|Size|Description", "Sets the order of a listing that nobody asked another one of.", 2, 2, setOrder),
		row("IndexStyleSheet", "url", "Names the style sheet of listings.", 1, 1, text(func(c *Config) *httpd.Opt[string] { return &c.style })),
		row("IndexHeadInsert", "markup", "Adds markup to the head element of listings.", 1, 1, text(func(c *Config) *httpd.Opt[string] { return &c.head })),
		row("HeaderName", "file", "Names a file that is shown above a listing.", 1, 1, text(func(c *Config) *httpd.Opt[string] { return &c.header })),
		row("ReadmeName", "file", "Names a file that is shown below a listing.", 1, 1, text(func(c *Config) *httpd.Opt[string] { return &c.readme })),
		row("DefaultIcon", "url", "Sets the icon of entries that no AddIcon matches.", 1, 1, text(func(c *Config) *httpd.Opt[string] { return &c.defaultIcon })),
		row("AddIcon", "icon name ...", "Sets the icon of entries by name.", 2, -1, addIcon(byName)),
		row("AddIconByType", "icon media-type ...", "Sets the icon of entries by media type.", 2, -1, addIcon(byType)),
		row("AddIconByEncoding", "icon encoding ...", "Sets the icon of entries by content encoding.", 2, -1, addIcon(byEncoding)),
		row("AddAlt", "string file ...", "Sets the text in an icon's place by name.", 2, -1, addAlt(byName)),
		row("AddAltByType", "string media-type ...", "Sets the text in an icon's place by media type.", 2, -1, addAlt(byType)),
		row("AddAltByEncoding", "string encoding ...", "Sets the text in an icon's place by content encoding.", 2, -1, addAlt(byEncoding)),
		row("AddDescription", "string file ...", "Describes entries.", 2, -1, func(k *httpd.Cmd, c *Config) error {
			for _, name := range k.Args[1:] {
				c.descriptions = append(c.descriptions, item{pattern: name, text: k.Arg(0)})
			}
			return nil
		}),
	},
	Merge:   merge,
	Handler: handle,
}

// merge: what a scope adds is looked at before what encloses it.
func merge(parent, child *Config) *Config {
	c := &Config{
		options:      parent.options.over(child.options),
		icons:        append(slices.Clip(child.icons), parent.icons...),
		alts:         append(slices.Clip(child.alts), parent.alts...),
		descriptions: append(slices.Clip(child.descriptions), parent.descriptions...),
		ignore:       child.ignore,
		ignoreReset:  parent.ignoreReset.Over(child.ignoreReset),
		defaultIcon:  parent.defaultIcon.Over(child.defaultIcon),
		header:       parent.header.Over(child.header),
		readme:       parent.readme.Over(child.readme),
		head:         parent.head.Over(child.head),
		style:        parent.style.Over(child.style),
		orderKey:     parent.orderKey, orderDown: parent.orderDown,
	}
	if !child.ignoreReset.V {
		c.ignore = append(slices.Clip(child.ignore), parent.ignore...)
	}
	if child.orderKey.Set {
		c.orderKey, c.orderDown = child.orderKey, child.orderDown
	}
	return c
}

func text(field func(*Config) *httpd.Opt[string]) func(*httpd.Cmd, *Config) error {
	return func(k *httpd.Cmd, c *Config) error {
		*field(c) = httpd.Some(k.Arg(0))
		return nil
	}
}

func setOrder(k *httpd.Cmd, c *Config) error {
	switch strings.ToLower(k.Arg(0)) {
	case "ascending":
		c.orderDown = false
	case "descending":
		c.orderDown = true
	default:
		return fmt.Errorf("the first word must be Ascending or Descending, not %q", k.Arg(0))
	}
	key, ok := map[string]byte{"name": 'N', "date": 'M', "size": 'S', "description": 'D'}[strings.ToLower(k.Arg(1))]
	if !ok {
		return fmt.Errorf("the second word must be Name, Date, Size or Description, not %q", k.Arg(1))
	}
	c.orderKey = httpd.Some(key)
	return nil
}

// addIcon reads "(alt,url) name ..." or "url name ...".
func addIcon(what by) func(*httpd.Cmd, *Config) error {
	return func(k *httpd.Cmd, c *Config) error {
		icon := item{by: what, text: k.Arg(0)}
		if strings.HasPrefix(icon.text, "(") {
			alt, url, ok := strings.Cut(strings.TrimSuffix(icon.text[1:], ")"), ",")
			if !ok || !strings.HasSuffix(icon.text, ")") {
				return fmt.Errorf("%q is not an icon; write (text,url) or url", icon.text)
			}
			icon.alt, icon.text = alt, url
		}
		for _, name := range k.Args[1:] {
			icon.pattern = name
			if what == byName && name == nameDirectory {
				icon.by, icon.pattern = byType, dirType
			}
			c.icons = append(c.icons, icon)
			icon.by = what
		}
		return nil
	}
}

func addAlt(what by) func(*httpd.Cmd, *Config) error {
	return func(k *httpd.Cmd, c *Config) error {
		for _, name := range k.Args[1:] {
			alt := item{by: what, pattern: name, text: k.Arg(0)}
			if what == byName && name == nameDirectory {
				alt.by, alt.pattern = byType, dirType
			}
			c.alts = append(c.alts, alt)
		}
		return nil
	}
}

// matches compares a name with a pattern: one with wildcards with the whole
// name, else the name must end with it. fold ignores case.
func matches(pattern, name string, fold bool) bool {
	if fold {
		pattern, name = strings.ToLower(pattern), strings.ToLower(name)
	}
	if strings.Contains(pattern, "/") {
		pattern, name = path.Base(pattern), strings.TrimSuffix(name, "/")
	}
	if httpd.HasWildcard(pattern) {
		return httpd.Fnmatch(pattern, name, false)
	}
	return strings.HasSuffix(name, pattern)
}

// find returns the first item of the list for an entry. What has an encoding is
// known by that and not by its type; directories are known by name only, or as
// ^^DIRECTORY^^.
func find(list []item, name, mediaType, encoding string) *item {
	for i := range list {
		x := &list[i]
		ok := false
		switch x.by {
		case byEncoding:
			ok = encoding != "" && httpd.Fnmatch(strings.ToLower(x.pattern), strings.ToLower(encoding), false)
		case byType:
			ok = encoding == "" && mediaType != "" && httpd.Fnmatch(x.pattern, mediaType, false)
		case byName:
			ok = name != "" && matches(x.pattern, name, false)
		}
		if ok {
			return x
		}
	}
	return nil
}

// describe is the description of an entry: the first whose pattern matches the
// name, or the path if the pattern has a slash. Without wildcards it may be any
// part of it.
func (c *Config) describe(file string) string {
	for i := range c.descriptions {
		x := &c.descriptions[i]
		name := path.Base(file)
		if strings.Contains(x.pattern, "/") {
			name = file
		}
		if httpd.HasWildcard(x.pattern) {
			pattern := x.pattern
			if strings.Contains(pattern, "/") {
				pattern = "*" + pattern
			}
			if httpd.Fnmatch(pattern, name, false) {
				return x.text
			}
		} else if strings.Contains(name, x.pattern) {
			return x.text
		}
	}
	return ""
}

// handle lists the directory. Without Options Indexes the default handler
// refuses it.
func handle(r *httpd.Request, c *Config) *httpd.Outcome {
	if r.Info == nil || !r.Info.IsDir() || r.Handler != "" && r.Handler != dirType || strings.Trim(r.PathInfo, "/") != "" ||
		r.Core().OptionsValue()&httpd.OptIndexes == 0 {
		return nil
	}
	if r.Method != "GET" && r.Method != "HEAD" {
		return nil
	}
	l, err := c.list(r)
	if err != nil {
		r.Logf(httpd.LevelError, "autoindex", "AH01275: Can't open directory for index: %s: %v", r.Filename, err)
		return r.Fail(http.StatusForbidden)
	}
	return c.page(r, l)
}
