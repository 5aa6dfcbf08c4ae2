// Script changes come from inotify: the reactor sees the event before the
// request that was sent after the change, so no request needs a stat of its own.
package worker

import (
	"errors"
	"path/filepath"
	"syscall"

	"modwsgi/gocore/internal/listen"
)

// What can change what a path means: written, replaced, touched, removed.
const watchMask = syscall.IN_MODIFY | syscall.IN_CLOSE_WRITE | syscall.IN_MOVED_TO | syscall.IN_MOVED_FROM |
	syscall.IN_CREATE | syscall.IN_DELETE | syscall.IN_ATTRIB

// watch prepares inotify. On an error every request looks at its script.
func (d *dispatcher) watch(s listen.Source) error {
	r, ok := s.(interface{ Watch(int, func()) error })
	if !ok {
		return errors.New("this source of requests does not wait for other events")
	}
	fd, err := syscall.InotifyInit1(syscall.IN_NONBLOCK | syscall.IN_CLOEXEC)
	if err != nil {
		return err
	}
	buf := make([]byte, 16<<10)
	err = r.Watch(fd, func() {
		for {
			if n, err := syscall.Read(fd, buf); n <= 0 || err != nil {
				break
			}
		}
		d.changes.Add(1)
	})
	if err != nil {
		syscall.Close(fd)
		return err
	}
	d.inotify, d.watching = fd, true
	return nil
}

// watchScript watches the directory of a script and, for a symbolic link, that of its target.
func (d *dispatcher) watchScript(script string) {
	if !d.watching {
		return
	}
	dirs := []string{filepath.Dir(script)}
	if real, err := filepath.EvalSymlinks(script); err == nil && real != script {
		dirs = append(dirs, filepath.Dir(real))
	}
	for _, dir := range dirs {
		if _, err := syscall.InotifyAddWatch(d.inotify, dir, watchMask); err != nil {
			d.w.logf(levelInfo, "core", "watch %s: %v; changes there are noticed within a second", dir, err)
		}
	}
}
