// How a process ended, for the error log: exit status or signal, what it had
// done and used, and whether it was the kernel that ran out of memory. The
// kernel counts what it kills for that; a count that has grown when a process
// was found killed by SIGKILL is as much as anybody can know.
package process

import (
	"bytes"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

func (s *supervisor) logExit(c *child, was childState, state *os.ProcessState, err error) {
	how, clean := "vanished", false
	if err != nil {
		how += ": " + err.Error()
	} else {
		how, clean = exitText(state), state.Success()
	}
	served := " without having served a request"
	if c.served {
		served = " after having served requests"
	} else if c.slot.group.threads == 0 {
		served = ""
	}
	expected := was == childStopping || (was == childDraining && clean)
	level, then := levelNotice, ""
	switch {
	case expected:
		level = levelInfo
	case s.wants(c.slot) && c.slot.cur == c && c.slot.next == nil, s.wants(c.slot) && c.slot.next == c:
		fails := c.slot.fails
		if !c.served && time.Since(c.started) <= backoffReset {
			fails++
		} else {
			fails = 0
		}
		then = "; restarting"
		if d := backoff(fails); d > 0 {
			then = "; restarting in " + d.String()
		}
	}
	if oom := s.oom.look(); oom != "" && was != childStopping && killed(state) {
		c.log().printf("mpm", levelError, "WSGI0372: the kernel ended a process because memory ran out (%s), most likely %s (pid %d): %s",
			oom, c.slot.group.title(), c.proc.Pid, usageText(state, time.Since(c.started)))
	}
	c.log().printf("mpm", level, "%s (pid %d) %s%s%s (%s)", c.slot.group.title(), c.proc.Pid, how, served, then, usageText(state, time.Since(c.started)))
}

// killed says whether the process was ended by SIGKILL.
func killed(state *os.ProcessState) bool {
	if state == nil {
		return false
	}
	ws, ok := state.Sys().(syscall.WaitStatus)
	return ok && ws.Signaled() && ws.Signal() == syscall.SIGKILL
}

// oomCount is a count of processes that the kernel has ended for lack of memory.
type oomCount struct {
	file string // of lines "name number", one of them oom_kill
	what string // for people
	last int64  // -1: not known
}

// oomWatch compares such counts with those of the last look. The nearest first.
type oomWatch []oomCount

// oomCounts finds the counts of this process's control group and of the system;
// a variable because no test can make the kernel run out of memory.
var oomCounts = func() oomWatch {
	b, _ := os.ReadFile("/proc/self/cgroup") // not there: the count is not known
	return oomWatch{{file: cgroupOOM(string(b)), what: "memory limit of the control group"}, {file: "/proc/vmstat", what: "of the whole system"}}
}

func newOOMWatch() oomWatch {
	w := oomCounts()
	for i := range w {
		w[i].last = -1
	}
	w.look()
	return w
}

// cgroupOOM is the file with the count of the control group, from the contents
// of /proc/self/cgroup (cgroups(7)): "0::/path", or of version 1 "9:memory:/path".
func cgroupOOM(text string) string {
	for line := range strings.Lines(text) {
		f := strings.SplitN(strings.TrimSpace(line), ":", 3)
		switch {
		case len(f) != 3:
		case f[0] == "0" && f[1] == "":
			return filepath.Join("/sys/fs/cgroup", f[2], "memory.events")
		case f[1] == "memory":
			return filepath.Join("/sys/fs/cgroup/memory", f[2], "memory.oom_control")
		}
	}
	return ""
}

// look says which count has grown since the last look; "": none.
func (w oomWatch) look() (what string) {
	for i := range w {
		c := &w[i]
		n := readOOM(c.file)
		if c.last >= 0 && n > c.last && what == "" {
			what = c.what
		}
		c.last = n
	}
	return what
}

func readOOM(file string) int64 {
	b, err := os.ReadFile(file)
	if err != nil {
		return -1
	}
	for line := range bytes.Lines(b) {
		f := bytes.Fields(line)
		if len(f) == 2 && string(f[0]) == "oom_kill" {
			if n, err := strconv.ParseInt(string(f[1]), 10, 64); err == nil {
				return n
			}
		}
	}
	return -1
}
