// Package mime is mod_mime: it derives media type, encoding, languages,
// charset and handler of a file from the extensions of its name.
//
// This file has the settings, directives and hooks; types.go the built-in
// table of types.
package mime

import (
	"fmt"
	"maps"
	"os"
	"path"
	"slices"
	"strings"

	"modwsgi/gocore/internal/httpd"
)

// mapping is what the configuration says about one extension. "" = nothing.
type mapping struct {
	mediaType, encoding, charset, handler string
	languages                             []string
	filters                               []string // of responses
	inputs                                []string // of request bodies
}

// field of a mapping, for the Remove directives.
type field uint8

const (
	fieldType field = 1 << iota
	fieldEncoding
	fieldCharset
	fieldHandler
	fieldLanguage
	fieldFilter
	fieldInput
)

// Config is the module's settings of one scope.
type Config struct {
	types           map[string]string // of TypesConfig; nil: the built-in table
	ext             map[string]mapping
	removed         map[string]field // taken away from the enclosing scopes
	defaultLanguage httpd.Opt[string]
	// Multiviews is MultiviewsMatch in lower case: "any", "negotiatedonly",
	// "filters", "handlers"; package negotiation works with it.
	Multiviews httpd.Opt[[]string]
}

// Module is mod_mime.
var Module = &httpd.Module[Config]{
	Name: "mime", ID: "mime_module", File: "mod_mime.c",
	Directives: []httpd.Directive[Config]{
		{Name: "TypesConfig", Args: "file", Min: 1, Max: 1, In: httpd.InServer, Default: "conf/mime.types", Set: setTypesConfig,
			Doc: "Names the file with media types by extension; without it a built-in table is used."},
		row("AddType", "media-type extension ...", "Maps extensions to a media type.", 2, addType),
		row("AddEncoding", "encoding extension ...", "Maps extensions to a content encoding.", 2, addEncoding),
		row("AddLanguage", "language extension ...", "Maps extensions to a language.", 2, addLanguage),
		row("AddCharset", "charset extension ...", "Maps extensions to a character set.", 2, addCharset),
		row("AddHandler", "handler extension ...", "Maps extensions to a handler.", 2, addHandler),
		row("AddOutputFilter", "filter[;filter...] extension ...", "Sends responses for files with these extensions through filters.", 2, addOutputFilter),
		row("RemoveOutputFilter", "extension ...", "Removes the output filters that an enclosing scope gave to extensions.", 1, remove(fieldFilter)),
		row("AddInputFilter", "filter[;filter...] extension ...", "Sends request bodies for files with these extensions through filters.", 2, addInputFilter),
		row("RemoveInputFilter", "extension ...", "Removes the input filters that an enclosing scope gave to extensions.", 1, remove(fieldInput)),
		row("RemoveType", "extension ...", "Removes the types that AddType of an enclosing scope gave to extensions.", 1, remove(fieldType)),
		row("RemoveEncoding", "extension ...", "Removes the encodings that an enclosing scope gave to extensions.", 1, remove(fieldEncoding)),
		row("RemoveLanguage", "extension ...", "Removes the languages that an enclosing scope gave to extensions.", 1, remove(fieldLanguage)),
		row("RemoveCharset", "extension ...", "Removes the character sets that an enclosing scope gave to extensions.", 1, remove(fieldCharset)),
		row("RemoveHandler", "extension ...", "Removes the handlers that an enclosing scope gave to extensions.", 1, remove(fieldHandler)),
		{Name: "DefaultLanguage", Args: "language", Min: 1, Max: 1, In: httpd.Anywhere, Override: httpd.OverrideFileInfo, Set: setDefaultLanguage,
			Doc: "Sets the language of files whose name has none."},
		{Name: "MultiviewsMatch", Args: "Any|NegotiatedOnly|Filters|Handlers ...", Min: 1, Max: -1, In: httpd.Anywhere, Override: httpd.OverrideFileInfo,
			Default: "NegotiatedOnly", Set: setMultiviews, Doc: "Says which extensions may be left out of a URL under Options MultiViews."},
		{Name: "ModMimeUsePathInfo", Args: "On|Off", Min: 1, Max: 1, In: httpd.InSection, Default: "Off", Set: setUsePathInfo,
			Doc: "Accepted; path information is never looked at for extensions."},
	},
	Merge:     merge,
	Type:      findType,
	Insert:    func(r *httpd.Request, c *Config, _ *httpd.ResponseHead) []string { return insert(r, c, outputs) },
	HasFilter: names(outputs),

	InsertInput: func(r *httpd.Request, c *Config) []string { return insert(r, c, inputs) },
	HasInput:    names(inputs),
}

func row(name, args, doc string, min int, set func(*httpd.Cmd, *Config) error) httpd.Directive[Config] {
	return httpd.Directive[Config]{Name: name, Args: args, Doc: doc, Min: min, Max: -1, In: httpd.Anywhere, Override: httpd.OverrideFileInfo, Set: set}
}

// lower makes the key of an extension.
func lower(ext string) string { return strings.ToLower(strings.TrimPrefix(ext, ".")) }

// merge: what the child removed goes first, then its own mappings come on top.
func merge(parent, child *Config) *Config {
	c := &Config{types: parent.types, ext: parent.ext, defaultLanguage: parent.defaultLanguage.Over(child.defaultLanguage),
		Multiviews: parent.Multiviews.Over(child.Multiviews)}
	if child.types != nil {
		c.types = child.types
	}
	if len(child.ext) == 0 && len(child.removed) == 0 {
		return c
	}
	c.ext = maps.Clone(parent.ext)
	if c.ext == nil {
		c.ext = map[string]mapping{}
	}
	for ext, f := range child.removed {
		m, ok := c.ext[ext]
		if !ok {
			continue
		}
		if f&fieldType != 0 {
			m.mediaType = ""
		}
		if f&fieldEncoding != 0 {
			m.encoding = ""
		}
		if f&fieldCharset != 0 {
			m.charset = ""
		}
		if f&fieldHandler != 0 {
			m.handler = ""
		}
		if f&fieldLanguage != 0 {
			m.languages = nil
		}
		if f&fieldFilter != 0 {
			m.filters = nil
		}
		if f&fieldInput != 0 {
			m.inputs = nil
		}
		c.ext[ext] = m
	}
	for ext, add := range child.ext {
		m := c.ext[ext]
		if add.mediaType != "" {
			m.mediaType = add.mediaType
		}
		if add.encoding != "" {
			m.encoding = add.encoding
		}
		if add.charset != "" {
			m.charset = add.charset
		}
		if add.handler != "" {
			m.handler = add.handler
		}
		if add.languages != nil {
			m.languages = add.languages
		}
		if add.filters != nil {
			m.filters = add.filters
		}
		if add.inputs != nil {
			m.inputs = add.inputs
		}
		c.ext[ext] = m
	}
	return c
}

// each applies change to the mapping of every extension after the first word.
func each(k *httpd.Cmd, c *Config, change func(m *mapping)) error {
	if c.ext == nil {
		c.ext = map[string]mapping{}
	}
	for _, ext := range k.Args[1:] {
		m := c.ext[lower(ext)]
		change(&m)
		c.ext[lower(ext)] = m
	}
	return nil
}

func addType(k *httpd.Cmd, c *Config) error {
	if !strings.Contains(k.Arg(0), "/") {
		k.Warn("MIME-TYPE", "%q is not a media type, which has a slash", k.Arg(0))
	}
	return each(k, c, func(m *mapping) { m.mediaType = k.Arg(0) })
}

func addEncoding(k *httpd.Cmd, c *Config) error {
	return each(k, c, func(m *mapping) { m.encoding = strings.ToLower(k.Arg(0)) })
}

func addLanguage(k *httpd.Cmd, c *Config) error {
	return each(k, c, func(m *mapping) {
		if !slices.Contains(m.languages, k.Arg(0)) {
			m.languages = append(slices.Clone(m.languages), k.Arg(0))
		}
	})
}

func addCharset(k *httpd.Cmd, c *Config) error {
	return each(k, c, func(m *mapping) { m.charset = strings.ToLower(k.Arg(0)) })
}

func addHandler(k *httpd.Cmd, c *Config) error {
	return each(k, c, func(m *mapping) { m.handler = strings.ToLower(k.Arg(0)) })
}

func addOutputFilter(k *httpd.Cmd, c *Config) error {
	names, err := k.OutputFilters(k.Arg(0))
	if err != nil {
		return err
	}
	return each(k, c, func(m *mapping) { m.filters = names })
}

func addInputFilter(k *httpd.Cmd, c *Config) error {
	names, err := k.InputFilters(k.Arg(0))
	if err != nil {
		return err
	}
	return each(k, c, func(m *mapping) { m.inputs = names })
}

func outputs(m mapping) []string { return m.filters }
func inputs(m mapping) []string  { return m.inputs }

// names reports whether the extensions of some file name filters.
func names(of func(mapping) []string) func(c *Config) bool {
	return func(c *Config) bool {
		for _, m := range c.ext {
			if len(of(m)) > 0 {
				return true
			}
		}
		return false
	}
}

// insert names the filters that the extensions of the request's file ask for.
func insert(r *httpd.Request, c *Config, of func(mapping) []string) (names []string) {
	if r.Info != nil && r.Info.IsDir() || r.Filename == "" {
		return nil
	}
	_, rest, _ := strings.Cut(strings.TrimLeft(path.Base(r.Filename), "."), ".")
	for rest != "" {
		var ext string
		ext, rest, _ = strings.Cut(rest, ".")
		names = append(names, of(c.ext[lower(ext)])...)
	}
	return names
}

func remove(f field) func(*httpd.Cmd, *Config) error {
	return func(k *httpd.Cmd, c *Config) error {
		if c.removed == nil {
			c.removed = map[string]field{}
		}
		for _, ext := range k.Args {
			c.removed[lower(ext)] |= f
		}
		return nil
	}
}

func setDefaultLanguage(k *httpd.Cmd, c *Config) error {
	c.defaultLanguage = httpd.Some(k.Arg(0))
	return nil
}

func setMultiviews(k *httpd.Cmd, c *Config) error {
	if k.In == httpd.InLocation {
		return fmt.Errorf("has no meaning in <Location>: there are no files to choose from")
	}
	words := make([]string, len(k.Args))
	for i, w := range k.Args {
		words[i] = strings.ToLower(w)
		if !slices.Contains([]string{"any", "negotiatedonly", "filters", "handlers"}, words[i]) {
			return fmt.Errorf("unknown word %q; known are Any, NegotiatedOnly, Filters and Handlers", w)
		}
	}
	c.Multiviews = httpd.Some(words)
	return nil
}

func setUsePathInfo(k *httpd.Cmd, _ *Config) error {
	on, err := k.Flag(0)
	if on {
		k.Notice("MIME-USE-PATH-INFO", "accepted, without effect: path information is never looked at for extensions")
	}
	return err
}

// setTypesConfig reads the file. Apache refuses to start without it; here the
// built-in table stands in, and the warning says so.
func setTypesConfig(k *httpd.Cmd, c *Config) error {
	text, err := os.ReadFile(k.File(k.Arg(0)))
	if err != nil {
		k.Warn("MIME-TYPES-CONFIG", "cannot be read, the built-in table is used instead: %v", err)
		c.types = builtinTypes
		return nil
	}
	c.types = parseTypes(string(text))
	return nil
}

// TypeOf gives the media type of an extension (without dot), or "".
func (c *Config) TypeOf(ext string) string {
	ext = lower(ext)
	if m := c.ext[ext]; m.mediaType != "" {
		return m.mediaType
	}
	types := c.types
	if types == nil {
		types = builtinTypes
	}
	return types[ext]
}

// Facts is what the extensions of a file name say.
type Facts struct {
	Type, Encoding, Charset, Handler string
	Languages                        []string
	Unknown                          []string // parts of the name that are no known extension; the base name is first
}

// Describe looks at every extension of a file name, from left to right. For
// type, charset and handler the last one that says something wins; encodings
// and languages add up. An unknown extension says nothing.
func (c *Config) Describe(name string) Facts {
	var f Facts
	base, rest, _ := strings.Cut(strings.TrimLeft(name, "."), ".")
	f.Unknown = append(f.Unknown, base)
	for rest != "" {
		var ext string
		ext, rest, _ = strings.Cut(rest, ".")
		if ext == "" {
			continue
		}
		known := false
		m := c.ext[lower(ext)]
		// The built-in table calls gz a type. Where AddEncoding calls it an
		// encoding, a.html.gz is still HTML.
		if t := c.TypeOf(ext); t != "" && (m.encoding == "" || m.mediaType != "" || c.types != nil) {
			f.Type, known = t, true
		}
		if m.charset != "" {
			f.Charset, known = m.charset, true
		}
		if m.languages != nil {
			f.Languages, known = append(f.Languages, m.languages...), true
		}
		if m.encoding != "" {
			known = true
			if f.Encoding != "" {
				f.Encoding += ", "
			}
			f.Encoding += m.encoding
		}
		if m.handler != "" {
			f.Handler = m.handler
			known = known || c.multiviews("handlers")
		}
		if !known && !c.multiviews("any") {
			f.Unknown = append(f.Unknown, ext)
		}
	}
	if f.Languages == nil && c.defaultLanguage.V != "" {
		f.Languages = []string{c.defaultLanguage.V}
	}
	return f
}

// multiviews says that MultiviewsMatch has the word.
func (c *Config) multiviews(word string) bool { return slices.Contains(c.Multiviews.V, word) }

// findType is the type phase. It looks at the name whether or not the file
// exists: a handler may make the resource. Directories have no extensions.
func findType(r *httpd.Request, c *Config) httpd.Status {
	if r.Info != nil && r.Info.IsDir() || r.Filename == "" {
		return httpd.Declined
	}
	f := c.Describe(path.Base(r.Filename))
	if r.ContentType == "" { // content negotiation may have found it before
		r.ContentType = f.Type
	}
	if r.Charset == "" {
		r.Charset = f.Charset
	}
	if r.Encoding == "" {
		r.Encoding = f.Encoding
	}
	if r.Language == nil {
		r.Language = f.Languages
	}
	if f.Handler != "" {
		r.Handler = f.Handler
	}
	return httpd.Declined
}
