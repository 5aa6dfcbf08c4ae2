// Package pathwatch tells by inotify whether what paths lead to may have
// changed, so that their state need not be looked at again and again.
//
// A path is watched in every folder on its way: for the name that comes next, in
// the folders of symbolic links and of their targets too, and for the folder
// itself being moved or removed. The file at the end has a watch of its own, which
// sees changes through other names and mounts. Whoever asks empties the queue
// first, so a change that was made before is always seen. What has no events
// (network file systems, folders that may not be read) is not watched. Mounts
// have none either: everything is to be looked at again once a second.
package pathwatch

import (
	"bytes"
	"encoding/binary"
	"os"
	"strings"
	"sync"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Bounds, for each process; the system's own are for each user
// (/proc/sys/fs/inotify).
const (
	maxWatches = 8192
	maxNames   = 4 * maxWatches
	maxLinks   = 40 // in one path, as in the kernel
)

// period is how long a state holds without an event: for what has none.
const period = time.Second

const (
	dirEvents = unix.IN_CREATE | unix.IN_DELETE | unix.IN_MOVED_FROM | unix.IN_MOVED_TO | unix.IN_ATTRIB |
		unix.IN_DELETE_SELF | unix.IN_MOVE_SELF | unix.IN_ONLYDIR | unix.IN_DONT_FOLLOW
	fileEvents = unix.IN_MODIFY | unix.IN_CLOSE_WRITE | unix.IN_ATTRIB | unix.IN_DELETE_SELF | unix.IN_MOVE_SELF | unix.IN_DONT_FOLLOW
)

// Watcher is safe for any goroutine. It opens inotify when the first path is watched.
type Watcher struct {
	track   func(fd int, open bool)
	trouble func(error)

	mu     sync.Mutex
	fd     int // -1: none yet
	state  uint64
	due    time.Time         // of the next look at everything
	nodes  map[int32]*node   // by watch descriptor
	names  int               // in all nodes
	told   bool              // trouble was called
	buf    [16 << 10]byte    // of Now
	limit  int               // maxWatches; tests set it
	magic  func(string) kind // fileSystem; tests set it
	closed bool
}

// node is a watched folder or file.
type node struct {
	kind  kind
	names map[string]struct{} // what is of interest in a folder
}

// kind says what inotify sees of a file system.
type kind int

const (
	blind   kind = iota // not all changes
	layered             // all of names; of files not those made in a layer below
	sees                // all
)

// New makes a watcher. track is told of its descriptor; trouble, once, of a limit that
// keeps it from watching. Both may be nil.
func New(track func(fd int, open bool), trouble func(error)) *Watcher {
	return &Watcher{track: track, trouble: trouble, fd: -1, state: 1, nodes: map[int32]*node{}, limit: maxWatches, magic: fileSystem}
}

// Now returns a number, never 0, that grows with every change of a watched path. All
// changes made before the call are in it. Never blocks; one system call.
func (w *Watcher) Now() uint64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.fd < 0 {
		return w.state
	}
	changed := false
	for {
		n, _, e := unix.RawSyscall(unix.SYS_READ, uintptr(w.fd), uintptr(unsafe.Pointer(&w.buf[0])), uintptr(len(w.buf)))
		if e == unix.EINTR {
			continue
		}
		if e != 0 {
			break
		}
		if w.take(w.buf[:n]) {
			changed = true
		}
		if int(n) < len(w.buf)/2 {
			break // that was all
		}
	}
	if now := time.Now(); changed || now.After(w.due) {
		w.state++
		w.due = now.Add(period)
	}
	return w.state
}

// take reports whether events may have changed what a watched path leads to.
func (w *Watcher) take(b []byte) (changed bool) {
	for len(b) >= unix.SizeofInotifyEvent {
		wd, mask, size := int32(binary.NativeEndian.Uint32(b)), binary.NativeEndian.Uint32(b[4:]), int(binary.NativeEndian.Uint32(b[12:]))
		b = b[unix.SizeofInotifyEvent:]
		name := b[:size]
		b = b[size:]
		n := w.nodes[wd]
		if n == nil && mask&unix.IN_Q_OVERFLOW == 0 {
			continue // not watched any more; that was a change itself
		}
		if mask&unix.IN_IGNORED != 0 {
			w.names -= len(n.names)
			delete(w.nodes, wd)
		}
		if changed || size == 0 { // size 0: the folder or file itself, or an overflow
			changed = true
			continue
		}
		if i := bytes.IndexByte(name, 0); i >= 0 {
			name = name[:i]
		}
		_, changed = n.names[string(name)]
	}
	return changed
}

// Watch begins to watch an absolute path, which need not exist. It reports whether
// Now will tell of every change from now on of what the path leads to; false: the
// caller has to look itself. Call it again whenever Now has grown: another folder
// may be in the place of the one that is watched. Some system calls for each
// component.
func (w *Watcher) Watch(path string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if path == "" || path[0] != '/' || w.closed || !w.open() {
		return false
	}
	root, ok := w.add("/", dirEvents)
	if !ok {
		return false
	}
	cur, at, rest, links := "", root, strings.Split(path[1:], "/"), 0 // cur has no links
	for len(rest) > 0 {
		name := rest[0]
		rest = rest[1:]
		switch name {
		case "", ".":
			continue
		case "..":
			cur = cur[:max(strings.LastIndexByte(cur, '/'), 0)]
			if at, ok = w.add(cur+"/", dirEvents); !ok {
				return false
			}
			continue
		}
		last := len(rest) == 0
		if last && at.kind != sees || !w.name(at, name) {
			return false
		}
		next := cur + "/" + name
		var st unix.Stat_t
		if err := unix.Lstat(next, &st); err != nil { // after the watch of the folder: what comes later is an event
			return err == unix.ENOENT || err == unix.ENOTDIR
		}
		switch st.Mode & unix.S_IFMT {
		case unix.S_IFLNK:
			target, err := os.Readlink(next)
			if links++; err != nil || links > maxLinks {
				return false
			}
			rest = append(strings.Split(target, "/"), rest...)
			if target[0] == '/' {
				cur, at = "", root
			}
		case unix.S_IFDIR:
			if cur = next; last {
				return false
			}
			if at, ok = w.add(cur, dirEvents); !ok {
				return false
			}
		case unix.S_IFREG:
			if !last {
				return true // nothing is below a file, until it is something else
			}
			f, ok := w.add(next, fileEvents)
			return ok && f.kind == sees
		default:
			return false
		}
	}
	return false
}

// name makes a name in a folder one of interest; false: there are too many.
func (w *Watcher) name(at *node, name string) bool {
	if _, ok := at.names[name]; ok {
		return true
	}
	if w.names >= maxNames {
		w.tell(unix.ENOSPC)
		return false
	}
	w.names++
	if at.names == nil {
		at.names = map[string]struct{}{}
	}
	at.names[name] = struct{}{}
	return true
}

// add watches a folder or file; the same one has one node, whatever the path.
func (w *Watcher) add(path string, events uint32) (*node, bool) {
	wd, err := unix.InotifyAddWatch(w.fd, path, events)
	if err != nil {
		if err == unix.ENOSPC || err == unix.ENOMEM {
			w.tell(err)
		}
		return nil, false
	}
	n := w.nodes[int32(wd)]
	if n == nil {
		if len(w.nodes) >= w.limit {
			unix.InotifyRmWatch(w.fd, uint32(wd))
			w.tell(unix.ENOSPC)
			return nil, false
		}
		n = &node{kind: w.magic(path)}
		w.nodes[int32(wd)] = n
	}
	return n, n.kind != blind
}

func (w *Watcher) open() bool {
	if w.fd >= 0 {
		return true
	}
	fd, err := unix.InotifyInit1(unix.IN_NONBLOCK | unix.IN_CLOEXEC)
	if err != nil {
		w.tell(err)
		return false
	}
	if w.fd = fd; w.track != nil {
		w.track(fd, true)
	}
	w.due = time.Now().Add(period)
	return true
}

func (w *Watcher) tell(err error) {
	if !w.told && w.trouble != nil {
		w.told = true
		w.trouble(err)
	}
}

// Close ends all watches; what was watched has to be looked at.
func (w *Watcher) Close() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.state++
	if w.closed = true; w.fd >= 0 {
		if w.track != nil {
			w.track(w.fd, false)
		}
		unix.Close(w.fd)
		w.fd = -1
	}
}

// fileSystem knows the file systems of this machine alone: others are changed
// by machines that send no events.
func fileSystem(path string) kind {
	var st syscall.Statfs_t
	if syscall.Statfs(path, &st) != nil {
		return blind
	}
	switch uint32(st.Type) {
	case unix.EXT4_SUPER_MAGIC, unix.XFS_SUPER_MAGIC, unix.BTRFS_SUPER_MAGIC, unix.F2FS_SUPER_MAGIC, unix.TMPFS_MAGIC, unix.RAMFS_MAGIC,
		unix.REISERFS_SUPER_MAGIC, unix.SQUASHFS_MAGIC, unix.EROFS_SUPER_MAGIC_V1, zfsMagic, jfsMagic, bcachefsMagic:
		return sees
	case unix.OVERLAYFS_SUPER_MAGIC:
		return layered
	}
	return blind
}

// Numbers that the package unix does not have.
const (
	zfsMagic      = 0x2fc12fc1
	jfsMagic      = 0x3153464a
	bcachefsMagic = 0xca451a4e
)
