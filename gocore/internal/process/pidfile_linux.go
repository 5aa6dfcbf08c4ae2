// When a process was started, from /proc.
package process

import (
	"bytes"
	"os"
	"strconv"
	"strings"
	"time"
)

// clockTicks is USER_HZ, which the kernel fixes to 100 for all of /proc.
const clockTicks = 100

// processStart gives the start time of a process; ok is false if unknown.
func processStart(pid int) (t time.Time, ok bool) {
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return t, false
	}
	// The command name, in parentheses, may hold anything; field 3 follows it.
	i := bytes.LastIndexByte(stat, ')')
	if i < 0 {
		return t, false
	}
	fields := strings.Fields(string(stat[i+1:]))
	if len(fields) < 20 {
		return t, false
	}
	ticks, err := strconv.ParseInt(fields[19], 10, 64) // field 22: after boot
	if err != nil {
		return t, false
	}
	sys, err := os.ReadFile("/proc/stat")
	if err != nil {
		return t, false
	}
	_, rest, found := strings.Cut(string(sys), "\nbtime ")
	if !found {
		return t, false
	}
	line, _, _ := strings.Cut(rest, "\n")
	boot, err := strconv.ParseInt(strings.TrimSpace(line), 10, 64)
	if err != nil {
		return t, false
	}
	return time.Unix(boot+ticks/clockTicks, ticks%clockTicks*int64(time.Second/clockTicks)), true
}
