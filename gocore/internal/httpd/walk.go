// The walk over the mapped path: which part of it is the file, which is
// PATH_INFO, and which sections apply to it.
package httpd

import (
	"net/http"
	"os"
	"path"
	"strings"
)

// walk splits r.Filename into existing file and PathInfo and merges the
// settings that apply: Directory, DirectoryMatch, Files, Location.
func (r *Request) walk() Status {
	v := r.Host
	if st := r.split(); st != OK {
		return st
	}
	var buf [32]*section
	list := buf[:0]
	isDir := r.Info != nil && r.Info.IsDir()
	dir := r.Filename
	if !isDir {
		dir = path.Dir(dir)
	}
	if v.sections.htaccess || v.sections.symlinks {
		var st Status
		if list, st = r.walkLevels(list, dir, isDir); st != OK {
			return st
		}
	} else {
		for _, x := range v.sections.dirs {
			if x.matchDir(dir) {
				list = append(list, x)
			}
		}
	}
	for _, x := range v.sections.dirMatch {
		if x.re.MatchString(dir) || dir != "/" && x.re.MatchString(dir+"/") {
			list = append(list, x)
			r.exportGroups(x, dir)
		}
	}
	if !isDir {
		base, n := path.Base(r.Filename), len(list)
		add := func(files []*section) {
			for _, x := range files {
				if x.matchFile(base) {
					list = append(list, x)
					r.exportGroups(x, base)
				}
			}
		}
		add(v.sections.files)
		for _, x := range list[:n] {
			add(x.files)
		}
	}
	for _, x := range r.locs {
		list = append(list, x)
		r.exportGroups(x, r.URI)
	}
	return r.cover(list)
}

// ProxyPrefix is what the Filename of a request begins with that is passed on
// to another server; the URL follows. Translate sets it.
const ProxyPrefix = "proxy:"

// NoteHtaccessProxy is the note of a request that a .htaccess file passes on.
const NoteHtaccessProxy = "proxy-htaccess"

// walkProxy merges the settings for a request that goes to a URL.
func (r *Request) walkProxy(url string) Status {
	var list []*section
	for _, x := range r.Host.sections.proxies {
		if x.matchProxy(url) {
			list = append(list, x)
			r.exportGroups(x, url)
		}
	}
	for _, x := range r.locs {
		list = append(list, x)
		r.exportGroups(x, r.URI)
	}
	return r.cover(list)
}

// exportGroups sets MATCH_NAME variables for the named groups of a Match
// section.
func (r *Request) exportGroups(x *section, s string) {
	if !x.named {
		return
	}
	g := x.re.Find(s)
	if g == nil && !strings.HasSuffix(s, "/") {
		s += "/"
		g = x.re.Find(s)
	}
	for i, name := range x.re.Names() {
		if name != "" && 2*i+1 < len(g) && g[2*i] >= 0 {
			r.SetEnv("MATCH_"+strings.ToUpper(name), s[g[2*i]:g[2*i+1]])
		}
	}
}

// split finds the file in the mapped path: the mapped prefix if that is a file
// (a mounted script), else the longest part that exists.
func (r *Request) split() Status {
	full := r.Filename
	if full == "" || full[0] != '/' {
		r.Logf(LevelError, "core", "%s was mapped to %q, which is not an absolute path", r.URI, full)
		return http.StatusForbidden
	}
	slash := len(full) > 1 && full[len(full)-1] == '/'
	full = path.Clean(full)
	file, rest := full, ""
	var info os.FileInfo
	if base := path.Clean(r.Base); r.Base != "" && strings.HasPrefix(full, base+"/") {
		if fi, err := os.Stat(base); err == nil && !fi.IsDir() {
			file, rest, info = base, full[len(base):], fi
		}
	}
	for info == nil {
		fi, err := os.Stat(file)
		if err == nil {
			info = fi
			break
		}
		if !missing(err) || file == "/" {
			r.Logf(LevelError, "core", "access to %s denied: %v", r.URI, err)
			return http.StatusForbidden
		}
		i := strings.LastIndexByte(file, '/')
		rest = file[i:] + rest
		file = file[:max(i, 1)]
	}
	isDir := info.IsDir()
	if isDir && rest != "" { // the next component is what is missing
		end := len(rest)
		if i := strings.IndexByte(rest[1:], '/'); i >= 0 {
			end = i + 1
		}
		file, rest, info, isDir = strings.TrimSuffix(file, "/")+rest[:end], rest[end:], nil, false
	}
	if slash && !isDir {
		rest += "/"
	}
	r.Filename, r.PathInfo, r.Info = file, rest, info
	if info != nil && !isDir && !info.Mode().IsRegular() {
		r.Logf(LevelError, "core", "access to %s denied: %s is not a regular file", r.URI, file)
		return http.StatusForbidden
	}
	return OK
}

// walkLevels is the part of the walk that needs every level by itself: the
// check of symbolic links. It returns the Directory sections that apply.
func (r *Request) walkLevels(list []*section, dir string, isDir bool) ([]*section, Status) {
	v := r.Host
	prefixes := []string{"/"}
	for i := 1; i < len(dir); i++ {
		if dir[i] == '/' {
			prefixes = append(prefixes, dir[:i])
		}
	}
	if dir != "/" {
		prefixes = append(prefixes, dir)
	}
	if !isDir && r.Info != nil {
		prefixes = append(prefixes, r.Filename)
	}
	next := 0
	r.changes = 0
	for depth, p := range prefixes {
		if depth > 0 && !r.linkAllowed(p, v.merge(list).core.OptionsValue()) {
			r.Logf(LevelError, "core", "symbolic link not allowed or link target not accessible: %s", p)
			return nil, http.StatusForbidden
		}
		if p != r.Filename || isDir {
			for ; next < len(v.sections.dirs) && v.sections.dirs[next].depth <= depth; next++ {
				if x := v.sections.dirs[next]; x.matchDir(p) {
					list = append(list, x)
				}
			}
			if v.sections.htaccess {
				if x, st := r.htaccess(p, v.merge(list)); st != OK {
					return nil, st
				} else if x != nil {
					list = append(list, x)
				}
			}
		}
	}
	return list, OK
}

// linkAllowed applies FollowSymLinks and SymLinksIfOwnerMatch to one component.
func (r *Request) linkAllowed(p string, o Options) bool {
	if o&OptFollowSymLinks != 0 && o&OptSymLinksIfOwnerMatch == 0 {
		return true
	}
	r.Varies() // a later link in this place must be seen
	l, err := os.Lstat(p)
	if err != nil {
		return false
	}
	if l.Mode()&os.ModeSymlink == 0 {
		return true
	}
	if o&OptSymLinksIfOwnerMatch == 0 {
		return false
	}
	t, err := os.Stat(p)
	return err == nil && sameOwner(l, t)
}

// ScriptName is the part of the URL path before PathInfo, with runs of slashes
// made one; PathInfo with the same treatment is the second result. Source:
// CGI/1.1 (RFC 3875 section 4.1.13) as mod_wsgi applies it.
func (r *Request) ScriptName() (script, info string) {
	uri := CollapseSlashes(r.URI)
	info = CollapseSlashes(r.PathInfo)
	if info == "" || strings.HasSuffix(uri, info) {
		return uri[:len(uri)-len(info)], info
	}
	// A rule gave the file another path than the URL: what both end with is
	// not the script's, down to the next slash, as httpd decides.
	u := len(uri)
	for i := len(info); u > 0 && i > 0 && uri[u-1] == info[i-1]; i-- {
		u--
	}
	if slash := strings.IndexByte(uri[u:], '/'); slash >= 0 {
		return uri[:u+slash], info
	}
	return uri, info
}

// CollapseSlashes makes every run of slashes one.
func CollapseSlashes(s string) string {
	if !strings.Contains(s, "//") {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] != '/' || i == 0 || s[i-1] != '/' {
			b.WriteByte(s[i])
		}
	}
	return b.String()
}

// MatchPrefix reports how many bytes of uri an alias takes, 0 for none: any
// run of slashes equals one, and the match ends at a component boundary unless
// the alias ends with a slash. Source: mod_alias.
func MatchPrefix(uri, alias string) int {
	u, a := 0, 0
	for a < len(alias) {
		if alias[a] == '/' {
			if u >= len(uri) || uri[u] != '/' {
				return 0
			}
			for a < len(alias) && alias[a] == '/' {
				a++
			}
			for u < len(uri) && uri[u] == '/' {
				u++
			}
			continue
		}
		if u >= len(uri) || uri[u] != alias[a] {
			return 0
		}
		u++
		a++
	}
	if a > 0 && alias[a-1] != '/' && u < len(uri) && uri[u] != '/' {
		return 0
	}
	return u
}
