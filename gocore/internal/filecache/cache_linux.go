// Package filecache is the file cache: static files that the phases have served
// once are served again without them. What may be kept, and under which
// conditions, is decided in package httpd (repeat.go); here the answers lie
// ready: the fields of the response, the contents of small files, an open
// descriptor of large ones.
//
// A kept file is looked at with every request by stat (one system call; the
// other files that the decision rests on as well, but for .htaccess files that are
// watched).
// Any difference, in inode, size or times, and the phases run anew. Files that
// changed within the last two seconds are not kept, because they could change
// again without their times showing it. So nobody ever gets old contents.
package filecache

import (
	"errors"
	"io/fs"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"modwsgi/gocore/internal/http1"
	"modwsgi/gocore/internal/httpd"
	"modwsgi/gocore/internal/listen"
)

// Bounds of the cache.
const (
	smallFile  = 32 << 10        // contents up to this are kept in memory; sendfile is as good above
	maxKept    = 8192            // files
	maxKeptFDs = 256             // open descriptors among them
	maxContent = 64 << 20        // bytes of contents
	maxKey     = 1024            // bytes of a path
	maxAccept  = 64              // bytes of an Accept-Encoding field; browsers send less
	keepUnused = 30              // seconds; the disk space of a deleted file is held for so long at most
	settleTime = 2 * time.Second // younger changes may not be the last ones
)

// settle is settleTime; tests set it.
var settle = settleTime

// stamp is what must not change.
type stamp struct {
	dev, ino     uint64
	size         int64
	mtime, ctime syscall.Timespec
}

func stampOf(st *syscall.Stat_t) stamp {
	return stamp{uint64(st.Dev), st.Ino, st.Size, st.Mtim, st.Ctim}
}

type dependency struct {
	path    string
	exists  bool
	stamp   stamp
	watched *httpd.Watched // nil: by stat only
}

func unchanged(list []dependency) bool {
	now := uint64(0) // not asked yet
	for i := range list {
		d := &list[i]
		if d.watched == nil {
			if !d.unchanged() {
				return false
			}
			continue
		}
		if now == 0 {
			now = d.watched.Now()
		}
		if !d.watched.Same(now) {
			return false
		}
	}
	return true
}

// unchanged looks at the file; one allocation for the path's C form.
func (d *dependency) unchanged() bool {
	var st syscall.Stat_t
	switch err := syscall.Stat(d.path, &st); {
	case err == nil:
		return d.exists && stampOf(&st) == d.stamp
	case errors.Is(err, fs.ErrNotExist) || err == syscall.ENOTDIR:
		return !d.exists
	}
	return false
}

// File is one entry, immutable but for the counters. It closes its descriptor
// when nobody refers to it any more.
type File struct {
	Data []byte // the contents if small
	FD   int    // else an open descriptor; -1: none
	Size int64
	Tag  any // the caller's

	second            int64 // 0, or the one that it holds for
	selects           bool  // nothing but: look again under the request's Accept-Encoding
	head, notModified []byte
	etag, modified    string
	depends           []dependency
	refs              atomic.Int32 // the cache counts for one
	used              atomic.Int64 // second
}

// Release gives a reference back.
func (f *File) Release() {
	if f.refs.Add(-1) == 0 && f.FD >= 0 {
		syscall.Close(f.FD)
	}
}

// Cache is safe for any goroutine. The zero value is ready.
type Cache struct {
	mu      sync.RWMutex
	hosts   map[*httpd.VirtualHost]map[string]*File
	kept    int
	fds     int
	content int64
	clock   atomic.Int64 // seconds, for used
}

// get returns a file with a reference, or nil.
func (c *Cache) get(host *httpd.VirtualHost, path []byte) *File {
	c.mu.RLock()
	f := c.hosts[host][string(path)]
	if f != nil {
		f.refs.Add(1)
	}
	c.mu.RUnlock()
	return f
}

// drop takes a file out unless another one has taken its place.
func (c *Cache) drop(host *httpd.VirtualHost, path string, f *File) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.hosts[host][path] == f {
		c.remove(host, path, f)
	}
}

// remove: mu held.
func (c *Cache) remove(host *httpd.VirtualHost, path string, f *File) {
	delete(c.hosts[host], path)
	c.kept--
	c.content -= int64(len(f.Data))
	if f.FD >= 0 {
		c.fds--
	}
	f.Release()
}

// put adds a file and makes room for it.
func (c *Cache) put(host *httpd.VirtualHost, path string, f *File) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if old := c.hosts[host][path]; old != nil {
		c.remove(host, path, old)
	}
	for c.kept >= maxKept || c.content+int64(len(f.Data)) > maxContent || f.FD >= 0 && c.fds >= maxKeptFDs {
		c.evict(f.FD >= 0 && c.fds >= maxKeptFDs)
	}
	if c.hosts == nil {
		c.hosts = map[*httpd.VirtualHost]map[string]*File{}
	}
	if c.hosts[host] == nil {
		c.hosts[host] = map[string]*File{}
	}
	c.hosts[host][path] = f
	c.kept++
	c.content += int64(len(f.Data))
	if f.FD >= 0 {
		c.fds++
	}
}

// evict removes the longest unused of a few files, which is nearly as good as
// the longest unused of all. Go's maps begin to iterate anywhere.
func (c *Cache) evict(withFD bool) {
	const sample = 8
	var host *httpd.VirtualHost
	var path string
	var oldest *File
	n := 0
	for h, m := range c.hosts {
		for p, f := range m {
			if withFD && f.FD < 0 {
				continue
			}
			if oldest == nil || f.used.Load() < oldest.used.Load() {
				host, path, oldest = h, p, f
			}
			if n++; n >= sample {
				c.remove(host, path, oldest)
				return
			}
		}
	}
	if oldest != nil {
		c.remove(host, path, oldest)
	}
}

// Tick tells the time, in seconds since the epoch, and lets go of what nobody asks for.
func (c *Cache) Tick(second int64) {
	if c.clock.Swap(second) == second || second%10 != 0 {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for h, m := range c.hosts {
		for p, f := range m {
			if second-f.used.Load() > keepUnused {
				c.remove(h, p, f)
			}
		}
	}
}

// judge reads the conditional fields and gives the status, 0 if the phases
// must judge. Only the plainest form of revalidation is answered here: the one
// entity tag, or the same date, or both.
func (f *File) judge(q *listen.Req) int {
	status, tagged := 200, false
	for i := range q.Head.Fields[:q.Head.NFields] {
		field := &q.Head.Fields[i]
		switch field.Name.Len { // of the names below; others are not looked at
		case 5, 8, 13, 17, 19:
		default:
			continue
		}
		name := q.Bytes(field.Name)
		if c := name[0] | 0x20; c != 'i' && c != 'r' {
			continue
		}
		switch {
		case is(name, "range"), is(name, "if-range"), is(name, "if-match"), is(name, "if-unmodified-since"):
			return 0
		case is(name, "if-none-match"):
			if tagged || f.etag == "" || string(q.Bytes(field.Value)) != f.etag {
				return 0
			}
			status, tagged = 304, true
		case is(name, "if-modified-since"):
			if string(q.Bytes(field.Value)) != f.modified {
				return 0
			}
			status = 304
		}
	}
	return status
}

// is compares a field name with one in lower case.
func is(name []byte, lower string) bool {
	if len(name) != len(lower) {
		return false
	}
	for i, c := range name {
		if c|0x20 != lower[i]|0x20 {
			return false
		}
	}
	return true
}

// Find returns the file that answers a request whose path needs no decoding,
// with the status of the response, 200 or 304; nil: the phases must run. The
// caller releases the file when the response is out.
func (c *Cache) Find(host *httpd.VirtualHost, q *listen.Req) (f *File, status int) {
	if m := q.Bytes(q.Head.Method); string(m) != "GET" && string(m) != "HEAD" {
		return nil, 0
	}
	if q.Head.Flags&(http1.FlagChunked|http1.FlagContentLength|http1.FlagExpectContinue|http1.FlagUpgrade) != 0 {
		return nil, 0
	}
	var key []byte
	if key = q.Bytes(q.Head.Path); len(key) > maxKey {
		return nil, 0
	}
	if f = c.get(host, key); f == nil {
		return nil, 0
	}
	if f.selects {
		f.used.Store(c.clock.Load())
		f.Release()
		accept, ok := encodings(q)
		if !ok {
			return nil, 0
		}
		var buf [maxKey + 1 + maxAccept]byte
		key = appendKey(buf[:0], key, accept)
		if f = c.get(host, key); f == nil {
			return nil, 0
		}
	}
	status = f.judge(q)
	if status == 0 || f.second != 0 && time.Now().Unix() != f.second {
		f.Release()
		return nil, 0
	}
	if !unchanged(f.depends) {
		c.drop(host, string(key), f)
		f.Release()
		return nil, 0
	}
	f.used.Store(c.clock.Load())
	return f, status
}

// encodings is the request's Accept-Encoding; false if it has several such
// fields or a strange one.
func encodings(q *listen.Req) (value []byte, ok bool) {
	n := 0
	for i := range q.Head.Fields[:q.Head.NFields] {
		if f := &q.Head.Fields[i]; is(q.Bytes(f.Name), "accept-encoding") {
			value = q.Bytes(f.Value)
			n++
		}
	}
	return value, n <= 1 && len(value) <= maxAccept
}

// appendKey makes the key of a form; paths hold no NUL.
func appendKey(b, path, accept []byte) []byte {
	b = append(b, path...)
	b = append(b, 0)
	return append(b, accept...)
}

// Keep takes an outcome of the phases for a request in if it may be used again.
// fields are what the sender puts before the outcome's own; tag makes the caller's
// own part. The outcome's file stays the caller's.
func (c *Cache) Keep(host *httpd.VirtualHost, q *listen.Req, out *httpd.Outcome, fields string, tag func(*File) any) {
	key := q.Bytes(q.Head.Path)
	if len(key) > maxKey || out.Repeat == nil || out.File == nil || len(out.Body) > 0 || len(out.Parts) > 0 || out.FileOff != 0 {
		return
	}
	f := &File{FD: -1, Size: out.FileLen, second: out.Repeat.Second, etag: out.Repeat.ETag, modified: out.Repeat.Modified}
	before := time.Now().Add(-settle)
	for _, x := range out.Repeat.Depends {
		dep := dependency{path: x.Path, watched: x.Watched}
		if x.Info != nil {
			st, ok := x.Info.Sys().(*syscall.Stat_t)
			if !ok || time.Unix(st.Mtim.Unix()).After(before) || time.Unix(st.Ctim.Unix()).After(before) {
				return
			}
			dep.exists, dep.stamp = true, stampOf(st)
		}
		f.depends = append(f.depends, dep)
	}
	if f.Size <= smallFile {
		f.Data = make([]byte, f.Size)
		if n, err := out.File.ReadAt(f.Data, 0); err != nil && n < len(f.Data) {
			return
		}
	} else {
		fd, err := dupFD(out.File.Fd())
		if err != nil {
			return
		}
		f.FD = fd
	}
	f.refs.Store(1)
	if !unchanged(f.depends) { // while the phases ran
		f.Release()
		return
	}
	f.head = appendFields([]byte(fields), out.Repeat.Header)
	f.notModified = appendFields([]byte(fields), out.Repeat.Validators)
	f.Tag = tag(f)
	f.used.Store(c.clock.Load())
	if out.Repeat.ByEncoding {
		accept, ok := encodings(q)
		if !ok {
			f.Release()
			return
		}
		stub := &File{FD: -1, selects: true}
		stub.refs.Store(1)
		stub.used.Store(c.clock.Load())
		c.put(host, string(key), stub)
		key = appendKey(nil, key, accept)
	}
	c.put(host, string(key), f)
}

// Fields are the lines of a response's head after the Date.
func (f *File) Fields(status int) []byte {
	if status == 304 {
		return f.notModified
	}
	return f.head
}

func dupFD(fd uintptr) (int, error) { return unix.FcntlInt(fd, syscall.F_DUPFD_CLOEXEC, 0) }

func appendFields(b []byte, list []httpd.Field) []byte {
	for _, f := range list {
		b = append(b, f.Name...)
		b = append(b, ": "...)
		b = append(b, f.Value...)
		b = append(b, "\r\n"...)
	}
	return b
}
