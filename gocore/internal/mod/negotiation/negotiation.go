// Package negotiation is mod_negotiation: it chooses among several files for
// one URL by what the client accepts. Options MultiViews finds them by name,
// type maps list them.
//
// This file has the directives and the hooks, accept.go reads the Accept
// fields, choose.go is the algorithm (Apache manual "Content Negotiation"),
// typemap.go reads type maps, answer.go writes what the client is told.
package negotiation

import (
	"fmt"
	"net/http"
	"os"
	"path"
	"slices"
	"strings"
	"time"

	"modwsgi/gocore/internal/httpd"
	"modwsgi/gocore/internal/mod/mime"
)

// Config is the module's settings of one scope.
type Config struct {
	priority []string                   // LanguagePriority; nil: not given
	force    httpd.Opt[forcePriorities] // ForceLanguagePriority
	cache    httpd.Opt[bool]            // CacheNegotiatedDocs
}

// forcePriorities says when LanguagePriority decides.
type forcePriorities struct{ prefer, fallback bool }

// manyFiles is the size of a directory whose search is no work for the thread
// that serves all connections.
const manyFiles = 200

const (
	mapHandler = "type-map"
	mapType    = "application/x-type-map"
)

// Module is mod_negotiation. It must stand before mod_mime: what it chooses
// has its type already.
var Module = &httpd.Module[Config]{
	Name: "negotiation", ID: "negotiation_module", File: "mod_negotiation.c",
	Directives: []httpd.Directive[Config]{
		{Name: "LanguagePriority", Args: "language ...", Min: 1, Max: -1, In: httpd.Anywhere, Override: httpd.OverrideFileInfo,
			Set: func(k *httpd.Cmd, c *Config) error { c.priority = append(c.priority, k.Args...); return nil },
			Doc: "Orders languages for clients that have no preference."},
		{Name: "ForceLanguagePriority", Args: "None|Prefer|Fallback ...", Min: 1, Max: -1, In: httpd.Anywhere, Override: httpd.OverrideFileInfo, Default: "Prefer",
			Set: setForce, Doc: "Says whether LanguagePriority decides between equal variants, and where no variant is acceptable."},
		{Name: "CacheNegotiatedDocs", Args: "On|Off", Min: 1, Max: 1, In: httpd.InServerHost, Default: "Off",
			Set: func(k *httpd.Cmd, c *Config) error {
				on, err := k.Flag(0)
				c.cache = httpd.Some(on)
				return err
			}, Doc: "Lets proxies of HTTP/1.0 cache negotiated documents."},
	},
	Merge: func(parent, child *Config) *Config {
		c := &Config{priority: parent.priority, force: parent.force.Over(child.force), cache: parent.cache.Over(child.cache)}
		if child.priority != nil {
			c.priority = child.priority
		}
		return c
	},
	Type:    multiviews,
	Handler: handleMap,
}

func setForce(k *httpd.Cmd, c *Config) error {
	var f forcePriorities
	for _, w := range k.Args {
		switch strings.ToLower(w) {
		case "none":
			if len(k.Args) > 1 {
				return fmt.Errorf("None must stand alone")
			}
		case "prefer":
			f.prefer = true
		case "fallback":
			f.fallback = true
		default:
			return fmt.Errorf("unknown word %q; known are None, Prefer and Fallback", w)
		}
	}
	c.force = httpd.Some(f)
	return nil
}

// variant is one of the files to choose from.
type variant struct {
	name      string // as in a link: relative to the URL's directory
	mediaType string // lower case, without parameters
	level     float64
	charset   string
	encoding  string
	languages []string
	size      int64
	quality   float64        // qs
	about     string         // Description of a type map
	sub       *httpd.Request // of MultiViews
	body      []byte         // of a type map with Body

	// filled in by choose
	typeQ, languageQ, charsetQ, encodingQ float64
	languageRank                          int // place in LanguagePriority, -1 none
}

// multiviews is the type phase: for a path that leads to no file it looks for
// files with the same name and further extensions.
func multiviews(r *httpd.Request, c *Config) httpd.Status {
	if r.Info != nil || strings.HasPrefix(r.Filename, httpd.ProxyPrefix) || r.Core().OptionsValue()&httpd.OptMultiViews == 0 || r.Filename == "" || r.Mount != nil {
		return httpd.Declined
	}
	dir, prefix := path.Split(r.Filename)
	if prefix == "" {
		return httpd.Declined
	}
	list, err := os.ReadDir(dir)
	if err != nil {
		if !os.IsNotExist(err) {
			r.Logf(httpd.LevelError, "negotiation", "AH00686: cannot read directory for multi: %s: %v", dir, err)
			return http.StatusForbidden
		}
		return httpd.Declined
	}
	if len(list) > manyFiles {
		r.Need(httpd.OnWorker)
	}
	r.Varies()
	var variants []*variant
	forbidden := false
	for _, d := range list {
		if !strings.HasPrefix(d.Name(), prefix+".") || d.IsDir() {
			continue
		}
		sub, st := r.Entry(dir, d.Name())
		if sub == nil {
			return st
		}
		if sub.Info == nil || !sub.Info.Mode().IsRegular() {
			continue
		}
		if st != httpd.OK {
			forbidden = forbidden || st == http.StatusForbidden || st == http.StatusUnauthorized
			continue
		}
		if !extensionsCount(sub, d.Name(), prefix) {
			continue
		}
		if sub.Handler == mapHandler || sub.ContentType == mapType { // it stands for all of them
			return c.useMap(r, sub)
		}
		variants = append(variants, describe(sub, d.Name()))
	}
	if len(variants) == 0 {
		if forbidden {
			r.Logf(httpd.LevelError, "negotiation", "AH00687: Negotiation: discovered file(s) matching request: %s (None could be negotiated).", r.Filename)
		}
		return httpd.Declined
	}
	best, st := c.negotiate(r, variants)
	if st != httpd.OK {
		return st
	}
	best.sub.PathInfo, best.sub.Encoding = r.PathInfo, best.encoding
	best.sub.URI += r.PathInfo
	notes := r.Notes
	r.Adopt(best.sub)
	r.Notes = notes
	return httpd.OK
}

// extensionsCount says that what the name has beyond the request's is all
// known to mod_mime, as MultiviewsMatch wants it: a part that means nothing
// must stand in the URL.
func extensionsCount(sub *httpd.Request, name, prefix string) bool {
	c, ok := httpd.ConfigOf(sub, mime.Module)
	if !ok {
		return false
	}
	facts := c.Describe(name)
	if len(facts.Unknown) > strings.Count(name, ".") && len(facts.Unknown) > 1 {
		return false // no extension means anything
	}
	unknown := facts.Unknown
	for _, part := range strings.Split(prefix, ".") {
		if len(unknown) > 0 && unknown[0] == part {
			unknown = unknown[1:]
		}
	}
	return len(unknown) == 0 && (sub.ContentType != "" || sub.Handler != "")
}

// describe makes the variant of a file that the phases know.
func describe(sub *httpd.Request, name string) *variant {
	v := &variant{name: linkTo(name), charset: sub.Charset, encoding: sub.Encoding, languages: sub.Language, size: sub.Info.Size(), quality: 1, sub: sub}
	v.setType(sub.ContentType)
	if v.mediaType == "" { // a script whose output nobody knows
		v.mediaType = "application/x-httpd-cgi"
	}
	return v
}

// setType reads a media type with the parameters that matter.
func (v *variant) setType(s string) {
	kind, rest, _ := strings.Cut(s, ";")
	v.mediaType = strings.ToLower(strings.TrimSpace(kind))
	for p := range strings.SplitSeq(rest, ";") {
		name, value, _ := strings.Cut(strings.TrimSpace(p), "=")
		value = strings.Trim(value, `"`)
		switch strings.ToLower(name) {
		case "qs":
			v.quality = quality(value, 1)
		case "level":
			v.level = number(value, v.level)
		case "charset":
			v.charset = value
		}
	}
}

// negotiate chooses, and says what the choice depended on.
func (c *Config) negotiate(r *httpd.Request, variants []*variant) (*variant, httpd.Status) {
	r.Varies()
	best, several := choose(r, c, variants)
	// RFC 2295 speaks of variants with URLs of their own.
	transparent := r.PathInfo == "" && !slices.ContainsFunc(variants, func(v *variant) bool { return v.body != nil })
	r.ErrOut = addVary(r.ErrOut, varyOf(variants, transparent))
	if best == nil {
		r.ErrOut = httpd.SetField(r.ErrOut, "Alternates", alternates(variants))
		if transparent {
			r.ErrOut = httpd.SetField(r.ErrOut, "TCN", "list")
		}
		remember(r, variants)
		if several {
			return nil, http.StatusMultipleChoices
		}
		r.Logf(httpd.LevelError, "negotiation", "AH00690: no acceptable variant: %s", r.Filename)
		return nil, http.StatusNotAcceptable
	}
	if transparent {
		r.ErrOut = httpd.SetField(r.ErrOut, "TCN", "choice")
		r.ErrOut = httpd.SetField(r.ErrOut, "Content-Location", best.name)
	}
	if !c.cache.V && r.Proto == "HTTP/1.0" {
		r.SetOut("Expires", time.Now().UTC().Format(http.TimeFormat))
	}
	return best, httpd.OK
}

// addVary adds names to a Vary field.
func addVary(h []httpd.Field, names string) []httpd.Field {
	if names == "" {
		return h
	}
	for i := range h {
		if strings.EqualFold(h[i].Name, "Vary") {
			h = slices.Clone(h)
			h[i].Value += "," + names
			return h
		}
	}
	return append(h, httpd.Field{Name: "Vary", Value: names})
}
