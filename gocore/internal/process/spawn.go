// Starting processes: always exec of a fresh program, never a fork that goes
// on running (the Go runtime does not survive that).
package process

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Back-off between starts of a process that died before it was of any use.
const (
	backoffMin   = 100 * time.Millisecond
	backoffMax   = 5 * time.Second
	backoffReset = 30 * time.Second // one that lived this long counts as started
)

// startProcess execs path with files as descriptors 0, 1, 2 ... The caller has to
// waitOwn for it. It works on
// plain descriptors because os.File would change the blocking mode of sockets
// that other processes share.
func startProcess(path string, argv, env []string, files []int, sys *syscall.SysProcAttr) (*os.Process, error) {
	attr := &syscall.ProcAttr{Env: env, Sys: sys, Files: make([]uintptr, len(files))}
	if sys.Chroot != "" {
		attr.Dir = "/" // the present one is outside, and a way out
	}
	for i, fd := range files {
		attr.Files[i] = uintptr(fd)
	}
	pid, err := startOwn(func() (int, error) { return syscall.ForkExec(path, argv, attr) })
	if err != nil {
		if sys.Chroot != "" {
			return nil, fmt.Errorf("exec %s in chroot %s: %w: a process with chroot= needs this Python, its libraries and this package inside, at the same paths",
				path, sys.Chroot, err)
		}
		if sys.Credential != nil && errors.Is(err, syscall.EACCES) {
			return nil, fmt.Errorf("exec %s: %w: user id %d may not run it, or may not enter a directory on the way to it",
				path, err, sys.Credential.Uid)
		}
		return nil, fmt.Errorf("exec %s: %w", path, err)
	}
	// The child cannot have been reaped yet, so the handle is certainly its.
	return os.FindProcess(pid)
}

// launcher knows how worker processes are made.
type launcher struct {
	path         string // absolute
	version      string // of that Python
	freeThreaded bool   // can it run without a GIL
	argv         []string
	env          []string
	null         int // /dev/null
	lifeline     int // read end; the write end is only ever ours
	lifeW        int
}

func newLauncher(opt SuperviseOptions) (*launcher, error) {
	path, err := exec.LookPath(opt.Executable)
	if err == nil {
		path, err = filepath.Abs(path)
	}
	if err != nil {
		return nil, fmt.Errorf("cannot start worker processes: %w", err)
	}
	l := &launcher{path: path, version: opt.Version, freeThreaded: opt.FreeThreaded}
	// Python finds its venv by argv[0], so it stays as the caller has it.
	l.argv = append([]string{opt.Executable}, opt.WorkerArgs...)
	env := opt.Environ
	if env == nil {
		env = os.Environ()
	}
	l.env = lastWins(withoutService(env))
	if l.null, err = unix.Open(os.DevNull, unix.O_RDWR|unix.O_CLOEXEC, 0); err != nil {
		return nil, fmt.Errorf("%s: %w", os.DevNull, err)
	}
	if l.lifeline, l.lifeW, err = newPipe(); err != nil {
		_ = unix.Close(l.null)
		return nil, os.NewSyscallError("pipe", err)
	}
	return l, nil
}

// lastWins drops all but the last entry of every name: which of several a
// program would see is not defined.
func lastWins(env []string) []string {
	last := make(map[string]int, len(env))
	for i, kv := range env {
		name, _, _ := strings.Cut(kv, "=")
		last[name] = i
	}
	out := make([]string, 0, len(last))
	for i, kv := range env {
		if name, _, _ := strings.Cut(kv, "="); last[name] == i {
			out = append(out, kv)
		}
	}
	return out
}

func (l *launcher) close() {
	_ = unix.Close(l.lifeW)
	_ = unix.Close(l.lifeline)
	_ = unix.Close(l.null)
}

// launch starts one worker. Must be called on the OS thread that lives as long
// as the supervisor (see deathSignal). The config is written by a goroutine:
// a big one does not fit into the pipe before the worker reads.
func (l *launcher) launch(cfg *WorkerConfig, sl *slot, log *errorLog) (*os.Process, *Conn, error) {
	pg := sl.group
	id := pg.id
	var data strings.Builder
	if err := cfg.Write(&data); err != nil {
		return nil, nil, err
	}
	mine, theirs, err := socketPair()
	if err != nil {
		return nil, nil, err
	}
	cr, cw, err := newPipe()
	if err != nil {
		_, _ = mine.Close(), theirs.Close()
		return nil, nil, os.NewSyscallError("pipe", err)
	}
	files := []int{l.null, pg.given.stdout, pg.given.stderr, cr, l.lifeline, int(theirs.Fd())}
	for _, ls := range sl.socks {
		files = append(files, ls.fd)
	}
	files = append(files, pg.given.fds...)
	if cfg.BoardSize > 0 {
		files = append(files, pg.gen.board.fd)
	}
	sys := &syscall.SysProcAttr{}
	deathSignal(sys)
	sys.Chroot = pg.chroot
	if id.uid >= 0 {
		groups := make([]uint32, len(id.groups))
		for i, g := range id.groups {
			groups[i] = uint32(g)
		}
		sys.Credential = &syscall.Credential{Uid: uint32(id.uid), Gid: uint32(id.gid), Groups: groups}
	}
	path, argv, env, err := pg.command(l)
	if err != nil {
		_, _ = unix.Close(cr), unix.Close(cw)
		_, _ = mine.Close(), theirs.Close()
		return nil, nil, err
	}
	var proc *os.Process
	withStack(pg.stackSize, func() { proc, err = startProcess(path, argv, id.environ(env), files, sys) })
	runtime.KeepAlive(theirs)
	_ = unix.Close(cr)
	_ = theirs.Close()
	if err != nil {
		_ = unix.Close(cw)
		_ = mine.Close()
		return nil, nil, err
	}
	if pg.priority != 0 { // before it has threads, which inherit it
		if err := unix.Setpriority(unix.PRIO_PROCESS, proc.Pid, pg.priority); err != nil {
			log.printf("wsgi", levelWarn, "WSGI0075: cpu-priority %d not applied to %s: %s", pg.priority, pg.title(), err)
		}
	}
	go func() {
		w := os.NewFile(uintptr(cw), "worker configuration")
		_, _ = w.WriteString(data.String()) // a worker that died is reported by its exit
		_ = w.Close()
	}()
	conn, err := NewConn(mine)
	if err != nil {
		_ = proc.Kill()
		_, _ = waitOwn(proc)
		return nil, nil, err
	}
	return proc, conn, nil
}

// withStack runs f with a soft limit of n bytes for stacks: the C library gives
// threads of a program stacks as large as the limit it was started with. 0: as is.
// Linux; other systems have fixed sizes.
func withStack(n int, f func()) {
	var old unix.Rlimit
	if n <= 0 || unix.Getrlimit(unix.RLIMIT_STACK, &old) != nil {
		f()
		return
	}
	limit := old
	limit.Cur = atMost(max(n, stackMin), old.Max)
	if unix.Setrlimit(unix.RLIMIT_STACK, &limit) == nil {
		defer func() { _ = unix.Setrlimit(unix.RLIMIT_STACK, &old) }() // back to what was allowed
	}
	f()
}

// atMost knows both types that systems have for limits.
func atMost[T int64 | uint64](n int, most T) T { return min(T(n), most) }

// stackMin is what an interpreter needs at least to start, and exec to pass arguments.
const stackMin = 256 << 10

// usageText is what a process has used, for the line about its end.
func usageText(state *os.ProcessState, lived time.Duration) string {
	text := "up " + lived.Round(time.Millisecond).String()
	if state == nil {
		return text
	}
	text += ", CPU " + (state.UserTime() + state.SystemTime()).Round(10*time.Millisecond).String()
	if u, ok := state.SysUsage().(*syscall.Rusage); ok {
		text += fmt.Sprintf(", at most %.1f MiB", float64(maxResident(u))/(1<<20))
	}
	return text
}

// exitText describes how a process ended.
func exitText(state *os.ProcessState) string {
	ws, ok := state.Sys().(syscall.WaitStatus)
	if !ok {
		return state.String()
	}
	if ws.Signaled() {
		s := fmt.Sprintf("was killed by %s (%d)", unix.SignalName(ws.Signal()), int(ws.Signal()))
		if ws.CoreDump() {
			s += ", possible coredump"
		}
		return s
	}
	return fmt.Sprintf("exited with code %d", ws.ExitStatus())
}
