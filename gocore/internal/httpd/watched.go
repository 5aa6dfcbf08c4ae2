// Watched: the state of a .htaccess file, mostly of its absence, which holds until
// an event says that it may have changed. Requests then look at no file at all.
package httpd

import (
	"io/fs"
	"os"
	"sync/atomic"
)

// Watcher tells whether what paths lead to may have changed; any goroutine.
type Watcher interface {
	// Now returns a number, never 0, that grows with every change of a watched
	// path. All changes made before the call are in it. Never blocks.
	Now() uint64
	// Watch watches an absolute path, whether it exists or not, also for changes
	// of the folders and symbolic links on its way. False: Now will not tell of
	// all changes. Repeat it when Now has grown.
	Watch(path string) bool
}

// Watched is what was found at a path. It does not change, but for how long it is
// known to hold; any goroutine.
type Watched struct {
	by    Watcher
	path  string
	info  os.FileInfo   // nil: there is nothing
	holds atomic.Uint64 // Now for which info is right
	blind atomic.Uint64 // Now for which the path could not be watched
}

// Now is to be asked once for each request, for all that it depends on.
func (x *Watched) Now() uint64 { return x.by.Now() }

// Same reports whether the path leads to the same still. It looks there if there
// was a change since the last look, or if it cannot be watched.
func (x *Watched) Same(now uint64) bool {
	if x.holds.Load() == now {
		return true
	}
	fi, err := x.look(now)
	switch {
	case missing(err):
		if x.info != nil {
			return false
		}
	case err != nil || x.info == nil || !sameState(x.info, fi):
		return false
	}
	if x.blind.Load() != now {
		x.holds.Store(now)
	}
	return true
}

// look watches the path, then looks: a change between the two is an event.
func (x *Watched) look(now uint64) (os.FileInfo, error) {
	if x.blind.Load() != now && !x.by.Watch(x.path) {
		x.blind.Store(now)
	}
	return os.Stat(x.path)
}

// accessFile is os.Stat, without the system call while a file is watched; the
// third result is nil if it is not.
func (r *Request) accessFile(file string) (os.FileInfo, error, *Watched) {
	s := r.Host.server
	if s.Watcher == nil {
		fi, err := os.Stat(file)
		return fi, err, nil
	}
	if r.changes == 0 {
		r.changes = s.Watcher.Now()
	}
	s.access.mu.Lock()
	x := s.access.at[file]
	s.access.mu.Unlock()
	if x == nil || !x.Same(r.changes) {
		x = &Watched{by: s.Watcher, path: file}
		fi, err := x.look(r.changes)
		if err != nil && !missing(err) {
			return nil, err, nil
		}
		if x.info = fi; err != nil {
			x.info = nil
		}
		if x.blind.Load() != r.changes {
			x.holds.Store(r.changes)
		}
		s.access.mu.Lock()
		if s.access.at == nil || len(s.access.at) >= watchedMax {
			s.access.at = map[string]*Watched{}
		}
		s.access.at[file] = x
		s.access.mu.Unlock()
	}
	if x.info == nil {
		return nil, fs.ErrNotExist, x
	}
	return x.info, nil, x
}

// watchedMax bounds the states that are kept.
const watchedMax = 16384
