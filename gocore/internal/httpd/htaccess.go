// .htaccess files: read where AllowOverride lets them count, parsed again when
// they change. Rules: Apache manual, "Apache HTTP Server Tutorial: .htaccess
// files".
package httpd

import (
	"crypto/sha256"
	"errors"
	"io"
	"net/http"
	"os"
	"path"
	"sync"

	"modwsgi/gocore/internal/conf"
)

// maxHtaccess bounds the size of a .htaccess file.
const maxHtaccess = 1 << 20

// htaccessCache remembers parsed files by name and permitted classes.
type htaccessCache struct {
	mu sync.Mutex
	m  map[htaccessKey]*htaccessFile
	at map[string]*Watched // by name; files that do not exist as well
}

type htaccessKey struct {
	file     string
	override Override
	options  Options
	list     string
}

type htaccessFile struct {
	version FileVersion
	sum     [sha256.Size]byte // of the text
	sec     *section          // nil: unusable
}

const htaccessCacheMax = 4096

// htaccess returns the settings in dir's access file, nil if it has none or
// overrides are not allowed. A file that cannot be used refuses the request:
// it may have been meant to restrict access.
func (r *Request) htaccess(dir string, m *merged) (*section, Status) {
	c := m.core
	if c.AllowOverride.V == OverrideNone && len(c.AllowOverrideList.V) == 0 {
		return nil, OK
	}
	r.dynamic = true
	for _, name := range r.Host.base.core.AccessFileName.Or([]string{".htaccess"}) {
		file := dir + "/" + name
		if dir == "/" {
			file = "/" + name
		}
		fi, err, watched := r.accessFile(file)
		if missing(err) {
			r.depend(Dependency{file, nil, watched})
			continue
		}
		if err != nil {
			r.Logf(LevelCrit, "core", "unable to check the access file: %v", err)
			return nil, http.StatusForbidden
		}
		if !fi.Mode().IsRegular() { // as in httpd: denied to be safe
			r.Logf(LevelCrit, "core", "AH00529: the access file %s is not a regular file", file)
			return nil, http.StatusForbidden
		}
		r.depend(Dependency{file, fi, watched})
		x := r.Host.server.htaccessFile(r, file, fi, c)
		if x == nil {
			return nil, http.StatusInternalServerError
		}
		return x, OK
	}
	return nil, OK
}

// htaccessFile returns the parsed file, from the cache if it did not change.
func (s *Server) htaccessFile(r *Request, file string, fi os.FileInfo, c *CoreConfig) *section {
	key := htaccessKey{file, c.AllowOverride.V, c.OverrideOptions, ""}
	for _, n := range c.AllowOverrideList.V {
		key.list += n + " "
	}
	s.access.mu.Lock()
	f := s.access.m[key]
	s.access.mu.Unlock()
	if f != nil && f.sec != nil && f.version.Same(fi) {
		return f.sec
	}
	version := VersionOf(fi)
	text, err := readLimited(file)
	if err != nil {
		r.Logf(LevelCrit, "core", "cannot read the access file %s: %v", file, err)
		return nil
	}
	sum := sha256.Sum256([]byte(text))
	switch {
	case f != nil && f.sec != nil && f.sum == sum: // the same section: what was made of it stays
		f = &htaccessFile{version, sum, f.sec}
	default:
		f = &htaccessFile{version, sum, s.parseHtaccess(r, file, text, c)}
	}
	s.access.mu.Lock()
	defer s.access.mu.Unlock()
	if s.access.m == nil || len(s.access.m) >= htaccessCacheMax {
		s.access.m = map[htaccessKey]*htaccessFile{}
	}
	s.access.m[key] = f
	return f.sec
}

// parseHtaccess parses a file; nil after an error, which is logged with file
// and line.
func (s *Server) parseHtaccess(r *Request, file, text string, c *CoreConfig) *section {
	opt := ConfOptions(s.mods)
	opt.ServerRoot, opt.Defines, opt.Htaccess = s.ServerRoot, s.Tree.Defines, true
	tree, diags := conf.ParseText(file, text, opt)
	x := &section{id: s.nextID.Add(1), kind: kindDirectory, conf: make([]any, len(s.mods))}
	b := &builder{s: s, mods: s.mods, diags: diags, seen: map[string]bool{}}
	if !conf.HasErrors(diags) {
		b.apply(tree.Root, &place{host: &hostBuild{index: r.Host.index}, conf: x.conf, in: InHtaccess, path: path.Dir(file),
			sec: x, htaccess: true, override: c.AllowOverride.V, options: c.OverrideOptions, overrideList: c.AllowOverrideList.V})
	}
	for _, d := range b.diags {
		level := LevelError
		if d.Severity != conf.Error {
			level = LevelInfo
		}
		r.Logf(level, "core", "%s", d)
	}
	if conf.HasErrors(b.diags) {
		return nil
	}
	return x
}

// readLimited reads a file of at most maxHtaccess bytes.
func readLimited(file string) (string, error) {
	f, err := os.Open(file)
	if err != nil {
		return "", err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxHtaccess+1))
	if err == nil && len(b) > maxHtaccess {
		err = errors.New("file is too large")
	}
	return string(b), err
}
