// The precomputed way: which plain paths lead to a WSGI script whatever else
// the request says. When in doubt the answer is "run the phases", which decide
// alike, only slower.
package httpd

import (
	"bytes"
	"slices"
	"strings"
)

// fastEntry is one answer of the translate phase, in order of preference.
type fastEntry struct {
	prefix  string            // literal, without trailing slash; "" for the mount "/"
	match   func([]byte) bool // else
	exact   bool              // prefix ended with a slash: only the part below it
	plan    *Plan             // nil: the phases must run
	varying []*section        // Locations that cover some of the paths
	noInfo  bool              // AcceptPathInfo Off
	files   string            // DocumentRoot, if a file there comes first
	dirs    bool              // with files: a directory comes first too
}

// fastTable is a host's entries; index is by first path segment when there are
// many.
type fastTable struct {
	entries []fastEntry
	index   map[string][]int32
	rest    []int32 // entries that can match whatever the first segment
}

const fastIndexMin = 9

// Fast returns the precomputed plan for a path without escapes, double
// slashes and dot segments (http1.FlagPlainPath), or nil: then Handle must
// run. scriptLen is the number of bytes of path that are SCRIPT_NAME. It does
// not allocate; any goroutine.
func (v *VirtualHost) Fast(method, path []byte) (plan *Plan, scriptLen int) {
	if len(path) == 0 || path[0] != '/' || string(method) == "TRACE" {
		return nil, 0
	}
	t := &v.fast
	if t.index == nil {
		for i := range t.entries {
			if e := &t.entries[i]; e.takes(path) {
				return e.answer(path)
			}
		}
		return nil, 0
	}
	seg := path[1:]
	if i := bytes.IndexByte(seg, '/'); i >= 0 {
		seg = seg[:i]
	}
	list, ok := t.index[string(seg)]
	if !ok {
		list = t.rest
	}
	for _, i := range list {
		if e := &t.entries[i]; e.takes(path) {
			return e.answer(path)
		}
	}
	return nil, 0
}

// takes reports whether the translate phase would stop at this entry.
func (e *fastEntry) takes(path []byte) bool {
	if e.match != nil {
		return e.match(path)
	}
	n := len(e.prefix)
	if len(path) < n || string(path[:n]) != e.prefix {
		return false
	}
	if len(path) == n {
		return !e.exact
	}
	return path[n] == '/'
}

// answer gives the plan unless a Location makes this path special.
func (e *fastEntry) answer(path []byte) (*Plan, int) {
	if e.plan == nil || e.noInfo && len(path) > len(e.prefix) {
		return nil, 0
	}
	for _, x := range e.varying {
		if matchLocation(x, path) {
			return nil, 0
		}
	}
	if e.files != "" {
		if there := lookup(e.files, path); there != nothing && (there != directory || e.dirs) {
			return nil, 0
		}
	}
	return e.plan, len(e.prefix)
}

// What lookup finds at a path.
const (
	nothing = iota
	directory
	something // or it could not be found out
)

// buildFast fills the table from what the modules say they would answer.
func (v *VirtualHost) buildFast() {
	t := &v.fast
	s := v.server
	for i := range s.hooks {
		h := &s.hooks[i]
		if h.phase[phTranslate] == nil {
			continue
		}
		if h.routes == nil { // a module that may take any path
			t.entries = append(t.entries, fastEntry{match: func([]byte) bool { return true }})
			continue
		}
		for _, route := range h.routes(v.base.conf[i]) {
			t.entries = append(t.entries, v.fastEntry(route))
		}
	}
	if len(t.entries) < fastIndexMin {
		return
	}
	t.index = map[string][]int32{}
	key := func(e *fastEntry) string {
		seg, _, _ := strings.Cut(strings.TrimPrefix(e.prefix, "/"), "/")
		return seg
	}
	anywhere := func(e *fastEntry) bool { return e.match != nil || e.prefix == "" }
	for i := range t.entries {
		if e := &t.entries[i]; !anywhere(e) {
			t.index[key(e)] = nil
		} else {
			t.rest = append(t.rest, int32(i))
		}
	}
	for seg := range t.index {
		for i := range t.entries {
			if e := &t.entries[i]; anywhere(e) || key(e) == seg {
				t.index[seg] = append(t.index[seg], int32(i))
			}
		}
	}
}

// fastEntry judges one route: is its outcome the same for every plain path
// below it, but for the Locations listed as varying?
func (v *VirtualHost) fastEntry(route Route) fastEntry {
	if route.Prefix == "" {
		e := fastEntry{match: route.Match}
		if e.match == nil {
			e.match = func([]byte) bool { return true }
		}
		return e
	}
	prefix := CollapseSlashes(route.Prefix)
	e := fastEntry{prefix: strings.TrimSuffix(prefix, "/")}
	e.exact = e.prefix != prefix && e.prefix != ""
	if route.Mount == nil || route.Mount.PerRequest || e.exact || v.base.perRequest {
		return e
	}
	var always []*section
	for _, x := range v.sections.locs {
		switch {
		case x.re != nil || x.glob:
			e.varying = append(e.varying, x)
		case matchLocation(x, e.prefix) || x.arg == "/" || x.arg == "":
			if x.translates {
				return e
			}
			always = append(always, x)
		case strings.HasPrefix(x.arg, e.prefix+"/"):
			e.varying = append(e.varying, x)
		}
	}
	uri := prefix
	if route.Files {
		if e.files, e.dirs = v.base.core.DocumentRoot.V, route.Dirs; e.files == "" {
			return e
		}
		uri = e.prefix + "/.none" // no file of such a name comes first
	}
	// Ask the phases once, with those Locations only that always apply.
	r := &Request{Method: "GET", RawTarget: uri, RawPath: uri, Proto: "HTTP/1.1", ContentLength: -1, TLS: v.TLS,
		Host: v, m: v.base, URI: uri, locs: always, onlyLocs: true}
	if st, known := r.probe(); !known || st != OK || r.Mount != route.Mount || r.dynamic || !sameVars(r.env, r.m.environ, r.TLS) ||
		r.Info == nil || r.Info.IsDir() || r.m.perRequest {
		return e
	}
	if n, _ := r.ScriptName(); n != e.prefix {
		return e
	}
	out := r.handle()
	if out.Plan == nil || len(out.Header) > 0 || len(r.Out) > 0 || len(r.ErrOut) > 0 || out.URLScheme != "" && out.URLScheme != out.Plan.URLScheme {
		return e
	}
	e.plan = out.Plan
	e.noInfo = r.m.core.AcceptPathInfo.V == "off"
	return e
}

// probe resolves a request that no client sent; known is false if a hook needs
// another place to run.
func (r *Request) probe() (st Status, known bool) {
	defer func() {
		if e := recover(); e != nil {
			if _, ok := e.(needs); !ok {
				panic(e)
			}
			st, known = 0, false
		}
	}()
	return r.resolve(), true
}

// sameVars reports whether the variables that the phases set are among the
// constant ones. HTTPS is, of a host that speaks TLS.
func sameVars(set, constant []EnvVar, https bool) bool {
	for _, e := range set {
		if (!https || e != httpsOn) && !slices.Contains(constant, e) {
			return false
		}
	}
	return true
}
