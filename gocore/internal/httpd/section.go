// Sections that select by directory, file name or URL, the order in which they
// apply, and the cache of merged settings. Order and rules: Apache manual
// "How sections are merged":
//
//	1 <Directory> without regex, shortest path first
//	2 <DirectoryMatch> and <Directory ~>, in file order
//	3 <Files> and <FilesMatch>; those inside a Directory after the others
//	4 <Location> and <LocationMatch>, in file order
//	5 <If>, <ElseIf> and <Else>, see ifs.go
//
// and within each step the main server's before the virtual host's. For
// requests that are passed on to another server, <Proxy> and <ProxyMatch> in
// file order stand in the place of steps 1 to 3.
package httpd

import (
	"cmp"
	"encoding/binary"
	"slices"
	"strings"
	"sync"

	"modwsgi/gocore/internal/conf"
)

type sectionKind uint8

const (
	kindDirectory sectionKind = iota
	kindFiles
	kindLocation
	kindIf
	kindProxy
)

// section is one such container with the settings given in it.
type section struct {
	id         uint32 // unique in the snapshot, for cache keys
	kind       sectionKind
	arg        string // cleaned literal path or pattern
	glob       bool
	re         *Regexp // regex form
	depth      int     // number of path components of a Directory
	conf       []any   // per module; nil where the section says nothing
	files      []*section
	ifs        []ifGroup // inside
	cond       *Expr     // of <If> and <ElseIf>
	translates bool      // says something about the translate phase (Alias, Redirect)
	named      bool      // exports named groups
	params     []string  // key=value words of <Proxy url key=value ...>
	pos        conf.Pos
}

// hostSections is a host's sections, main server's first, by step.
type hostSections struct {
	dirs, dirMatch, files, locs []*section
	proxies                     []*section
	ifs                         []ifGroup
	symlinks                    bool // some settings lack FollowSymLinks: components must be checked
	htaccess                    bool // AllowOverride is not None somewhere
}

// newHostSections sorts the sections of main server and host into steps; they
// are given in this order.
func newHostSections(scopes ...*hostBuild) *hostSections {
	s := &hostSections{}
	for _, scope := range scopes {
		s.ifs = append(s.ifs, scope.ifs...)
		for _, x := range scope.sections {
			switch {
			case x.kind == kindLocation:
				s.locs = append(s.locs, x)
			case x.kind == kindProxy:
				s.proxies = append(s.proxies, x)
			case x.kind == kindFiles:
				s.files = append(s.files, x)
			case x.re != nil:
				s.dirMatch = append(s.dirMatch, x)
			default:
				s.dirs = append(s.dirs, x)
			}
		}
	}
	slices.SortStableFunc(s.dirs, func(a, b *section) int { return cmp.Compare(a.depth, b.depth) })
	return s
}

// matchDir reports whether a plain Directory section covers the directory dir
// (clean, absolute, "/" or without trailing slash).
func (x *section) matchDir(dir string) bool {
	if x.depth == 0 {
		return true
	}
	if !x.glob {
		return strings.HasPrefix(dir, x.arg) && (len(dir) == len(x.arg) || dir[len(x.arg)] == '/')
	}
	n := 0
	for i := 1; i <= len(dir); i++ {
		if i == len(dir) || dir[i] == '/' {
			if n++; n == x.depth {
				return Fnmatch(x.arg, dir[:i], true)
			}
		}
	}
	return false
}

// matchLocation reports whether a Location covers a decoded URL path.
func matchLocation[S string | []byte](x *section, uri S) bool {
	switch {
	case x.re != nil:
		return x.re.Match([]byte(uri)) // no copy when S is []byte
	case x.glob:
		return Fnmatch(x.arg, uri, true)
	}
	n := len(x.arg)
	if len(uri) < n || string(uri[:n]) != x.arg {
		return false
	}
	return n == 0 || x.arg[n-1] == '/' || len(uri) == n || uri[n] == '/'
}

// matchURI is matchLocation for a path that may have runs of slashes, with
// "MergeSlashes Off": patterns see the path as it is, others merged, so that
// more slashes are no way around a section. Source: ap_location_walk.
func (x *section) matchURI(uri, merged string) bool {
	if x.re == nil {
		uri = merged
	}
	return matchLocation(x, uri)
}

// matchProxy reports whether a Proxy section covers the URL that a request goes
// to. The URL behind a socket's path ("unix:/path|") counts too.
func (x *section) matchProxy(url string) bool {
	covers := func(url string) bool {
		switch {
		case x.re != nil:
			return x.re.MatchString(url)
		case x.glob:
			return Fnmatch(x.arg, url, false)
		}
		return len(url) >= len(x.arg) && strings.EqualFold(url[:len(x.arg)], x.arg)
	}
	if _, behind, ok := strings.Cut(url, "|"); ok && strings.HasPrefix(url, "unix:") && covers(behind) {
		return true
	}
	return covers(url)
}

// matchFile reports whether a Files section covers a base name.
func (x *section) matchFile(base string) bool {
	if x.re != nil {
		return x.re.MatchString(base)
	}
	if x.glob {
		return Fnmatch(x.arg, base, false)
	}
	return x.arg == base
}

// merged is the effective settings for one sequence of sections.
type merged struct {
	key        string // identifies the sequence within the host
	conf       []any
	core       *CoreConfig
	environ    []EnvVar   // constant additions of the modules
	perRequest bool       // some module's outcome depends on the request
	input      bool       // filters for request bodies
	response   []int      // slots of the modules whose response hook does something
	steady     Steadiness // of all of these
	filtered   bool       // output filters may apply
}

// mergeCache remembers merged settings by sequence of section ids. Sequences
// are bounded by the configuration except for .htaccess files that change, so
// the cache is emptied when it grows large.
type mergeCache struct {
	mu sync.RWMutex
	m  map[string]*merged
}

const mergeCacheMax = 4096

// merge returns the effective settings of the host with the sections applied
// in order.
func (v *VirtualHost) merge(list []*section) *merged {
	if len(list) == 0 {
		return v.base
	}
	var buf [256]byte
	key := buf[:0]
	for _, x := range list {
		key = binary.BigEndian.AppendUint32(key, x.id)
	}
	v.merged.mu.RLock()
	m := v.merged.m[string(key)]
	v.merged.mu.RUnlock()
	if m != nil {
		return m
	}
	c := slices.Clone(v.base.conf)
	for _, x := range list {
		for i, child := range x.conf {
			if child != nil {
				c[i] = v.server.mods[i].mergeConf(c[i], child)
			}
		}
	}
	return v.remember(v.server.newMerged(string(key), c))
}

// mergeOver puts one more section on top of settings that were merged already.
func (v *VirtualHost) mergeOver(m *merged, x *section) *merged {
	key := string(binary.BigEndian.AppendUint32([]byte(m.key), x.id))
	v.merged.mu.RLock()
	over := v.merged.m[key]
	v.merged.mu.RUnlock()
	if over != nil {
		return over
	}
	c := slices.Clone(m.conf)
	for i, child := range x.conf {
		if child != nil {
			c[i] = v.server.mods[i].mergeConf(c[i], child)
		}
	}
	return v.remember(v.server.newMerged(key, c))
}

// remember keeps merged settings; an equal one that is there already wins.
func (v *VirtualHost) remember(m *merged) *merged {
	v.merged.mu.Lock()
	defer v.merged.mu.Unlock()
	if old := v.merged.m[m.key]; old != nil {
		return old
	}
	if v.merged.m == nil || len(v.merged.m) >= mergeCacheMax {
		v.merged.m = map[string]*merged{}
	}
	v.merged.m[m.key] = m
	return m
}

// newMerged completes a settings vector with what is derived from it.
func (s *Server) newMerged(key string, c []any) *merged {
	m := &merged{steady: SteadyAlways, key: key, conf: c, core: c[s.coreSlot].(*CoreConfig)}
	for i := range s.mods {
		h := &s.hooks[i]
		if h.environ != nil {
			m.environ = append(m.environ, h.environ(c[i])...)
		}
		if h.hasInput != nil && h.hasInput(c[i]) {
			m.input, m.perRequest = true, true
		}
		if h.perRequest != nil && h.perRequest(c[i]) {
			m.perRequest = true
		}
		if slices.ContainsFunc(m.environ, func(e EnvVar) bool { return slices.Contains(closing, e.Name) }) {
			m.perRequest = true // the precomputed route keeps connections
		}
		if m.core.SetHandlerExpr != nil || m.core.StrictHostCheck.V {
			m.perRequest = true
		}
		if h.response != nil && (h.hasResp == nil || h.hasResp(c[i])) {
			m.response = append(m.response, i)
			steady := Changing
			if h.steady != nil {
				steady = h.steady(c[i])
			}
			m.steady = min(m.steady, steady)
		}
		if h.hasFilter != nil && h.hasFilter(c[i]) {
			m.filtered = true
		}
	}
	return m
}

// pathDepth counts the components of a clean absolute path: 0 for "/".
func pathDepth(p string) int {
	if p == "/" {
		return 0
	}
	return strings.Count(p, "/")
}
