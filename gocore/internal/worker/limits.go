// Limits and surroundings that WSGIDaemonProcess gives its processes: umask,
// working directory, locale, title, and the kernel's limits. What must be so
// before the interpreter starts (locale variables, python-home, stack-size) and
// what needs the supervisor's rights (user, cpu-priority) is done in package
// process. A limit that cannot be set is a warning, as in mod_wsgi.
package worker

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"modwsgi/gocore/internal/balance"
	"modwsgi/gocore/internal/python"
)

// environment applies the group's umask, working directory and title.
func (w *worker) environment() error {
	g := w.group
	if g == nil {
		return nil
	}
	if g.Umask >= 0 {
		syscall.Umask(g.Umask)
	}
	if g.Home != "" {
		if err := os.Chdir(g.Home); err != nil {
			return fmt.Errorf("WSGI0009: change to home= of WSGIDaemonProcess %s: %w", g.Name, err)
		}
	}
	// Without home=, a process of another user is where that user is at home.
	if c := w.cfg; g.Home == "" && c.Uid >= 0 && c.FrontUID >= 0 && c.Uid != c.FrontUID {
		if home := os.Getenv("HOME"); os.Chdir(home) != nil {
			w.logf(levelInfo, "wsgi", "WSGI0340: cannot change to %s, the home directory of user id %d: the working directory is /", home, c.Uid)
			if err := os.Chdir("/"); err != nil {
				return err
			}
		}
	}
	if g.Locale != "" && !python.SetLocale(g.Locale) {
		w.logf(levelWarn, "wsgi", "WSGI0079: locale %q is not supported by this system; keeping the inherited one", g.Locale)
	}
	if title := displayName(g.DisplayName, g.Name); title != "" {
		if err := python.SetTitle(title); err != nil {
			w.logf(levelInfo, "wsgi", "display-name: %v", err)
		}
	}
	return nil
}

// displayName is what ps shows: %{GROUP} stands for "(wsgi:name)".
func displayName(s, group string) string {
	if s == "%{GROUP}" {
		return "(wsgi:" + group + ")"
	}
	return s
}

// limits sets the kernel's limits of the process. Called when the interpreter
// and the threads are there: memory-limit and virtual-memory-limit are for
// what the application adds (the address space that Go reserves, and the
// stacks, are not its doing).
func (w *worker) limits() {
	g := w.group
	if g == nil {
		return
	}
	set := func(id, what string, resource int, soft, hard uint64) {
		var old unix.Rlimit
		err := unix.Getrlimit(resource, &old)
		if err == nil {
			err = unix.Setrlimit(resource, &unix.Rlimit{Cur: min(soft, old.Max), Max: min(hard, old.Max)})
		}
		if err != nil {
			w.logf(levelWarn, "wsgi", "%s: %s %d not applied to process group '%s': %v", id, what, soft, g.Name, err)
		}
	}
	if n := g.CPUTimeLimit; n > 0 {
		// SIGXCPU at n seconds begins a replacement; SIGKILL when that has taken all its time, and more.
		grace := (g.GracefulTimeout + g.ShutdownTimeout) / time.Second
		set("WSGI0076", "cpu-time-limit", unix.RLIMIT_CPU, uint64(n), uint64(n)+1+uint64(grace))
	}
	data, space := memorySizes()
	if n := g.MemoryLimit; n > 0 {
		set("WSGI0077", "memory-limit", unix.RLIMIT_DATA, uint64(n)+data, uint64(n)+data)
	}
	if n := g.VirtualMemoryLimit; n > 0 {
		set("WSGI0078", "virtual-memory-limit", unix.RLIMIT_AS, uint64(n)+space, uint64(n)+space)
	}
}

// memorySizes are the present sizes that RLIMIT_DATA and RLIMIT_AS are compared
// with (VmData, VmSize of proc(5)), in bytes; 0 where they are not known.
func memorySizes() (data, space uint64) {
	b, _ := os.ReadFile("/proc/self/status")
	for line := range strings.Lines(string(b)) {
		f := strings.Fields(line)
		if len(f) < 2 {
			continue
		}
		n, _ := strconv.ParseUint(f[1], 10, 64)
		switch f[0] {
		case "VmData:":
			data = n << 10
		case "VmSize:":
			space = n << 10
		}
	}
	return data, space
}

// announce logs what the group's timers will do.
func (w *worker) announce() {
	g := w.group
	if g == nil {
		return
	}
	list := ""
	for _, t := range []struct {
		name string
		d    time.Duration
	}{
		{"startup", g.StartupTimeout}, {"interrupt", g.InterruptTimeout}, {"inactivity", g.InactivityTimeout}, {"deadlock", g.DeadlockTimeout},
		{"queue", g.QueueTimeout}, {"graceful", g.GracefulTimeout}, {"eviction", g.EvictionTimeout}, {"shutdown", g.ShutdownTimeout},
	} {
		if t.d > 0 {
			list += fmt.Sprintf(", %s-timeout %s", t.name, t.d)
		}
	}
	if g.RequestTimeout > 0 {
		list = fmt.Sprintf(", request-timeout %s, which is %.1f s for each of %d threads", g.RequestTimeout, requestLimit(g).Seconds(), g.Threads) + list
	}
	w.logf(levelInfo, "wsgi", "process group '%s': %d threads%s", g.Name, w.cfg.Threads, list)
}

// attachBoard joins the scoreboard, if there is one.
func (w *worker) attachBoard(fd int) {
	if w.cfg.BoardSize == 0 {
		return
	}
	shown := w.srv.Python.ServerMetrics
	if w.group != nil {
		shown = w.group.ServerMetrics
	}
	err := python.AttachBoard(fd, w.cfg.BoardSize, w.cfg.BoardPlace, w.cfg.ProcessNum, w.cfg.Generation, shown)
	if err == nil && w.cfg.BoardGroup > 0 {
		var mem []byte
		if mem, err = unix.Mmap(fd, 0, int(w.cfg.BoardSize), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED); err == nil {
			w.siblings, err = balance.New(mem, w.cfg.BoardPlace, w.cfg.BoardGroup)
		}
	}
	if err != nil {
		w.logf(levelErr, "wsgi", "WSGI0316: the scoreboard is not available: %v", err)
	}
	syscall.Close(fd)
}
