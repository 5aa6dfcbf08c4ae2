// The pid file: says where the supervisor is, and keeps a second one from
// starting on the same files.
package process

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// pidFile is a pid file that this process holds locked. The lock goes with the
// process, whatever way it ends, so that a file left behind never blocks a start.
type pidFile struct {
	path string
	f    *os.File
}

// runningError says that another server holds the pid file.
type runningError struct{ pid int }

func (e *runningError) Error() string { return fmt.Sprintf("httpd (pid %d) already running", e.pid) }

// claimPIDFile opens and locks the file. It refuses with *runningError when
// another supervisor has it locked, or when it names a live process that can
// have written it (an Apache httpd with the same file, say).
func claimPIDFile(path string) (*pidFile, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, fmt.Errorf("could not create the pid file: %w", err)
	}
	st, err := f.Stat()
	if err == nil && !st.Mode().IsRegular() {
		err = fmt.Errorf("the pid file %s is not a regular file", path)
	}
	var content []byte
	if err == nil {
		content, err = io.ReadAll(io.LimitReader(f, 64))
	}
	if err != nil {
		_ = f.Close()
		return nil, err
	}
	pid, _ := strconv.Atoi(strings.TrimSpace(string(content))) // garbage counts as stale
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		_ = f.Close()
		if errors.Is(err, unix.EWOULDBLOCK) {
			return nil, &runningError{pid}
		}
		return nil, fmt.Errorf("locking the pid file %s: %w", path, err)
	}
	if pid > 0 && pid != os.Getpid() && alive(pid) && !startedAfter(pid, st.ModTime()) {
		_ = f.Close()
		return nil, &runningError{pid}
	}
	return &pidFile{path: path, f: f}, nil
}

// write puts the own pid into the file.
func (p *pidFile) write() error {
	err := p.f.Truncate(0)
	if err == nil {
		_, err = p.f.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0)
	}
	if err != nil {
		return fmt.Errorf("writing the pid file: %w", err)
	}
	return nil
}

// release removes the file, if it is still the one that was claimed, and unlocks it.
func (p *pidFile) release() {
	if p == nil {
		return
	}
	mine, err1 := p.f.Stat()
	there, err2 := os.Stat(p.path)
	if err1 == nil && err2 == nil && os.SameFile(mine, there) {
		_ = os.Remove(p.path) // a leftover is harmless
	}
	_ = p.f.Close()
}

func alive(pid int) bool {
	err := unix.Kill(pid, 0)
	return err == nil || errors.Is(err, unix.EPERM)
}

// startedAfter says that process pid is certainly younger than t: its number
// was used again, as happens to the low numbers in a restarted container.
func startedAfter(pid int, t time.Time) bool {
	start, ok := processStart(pid)
	return ok && start.After(t.Add(2*time.Second)) // the kernel's clock arithmetic is coarse
}
