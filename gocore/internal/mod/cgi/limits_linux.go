// This file sets the RLimit directives for a program that was just started.

package cgi

import (
	"golang.org/x/sys/unix"

	"modwsgi/gocore/internal/httpd"
)

const canLimit = true

// setLimits limits a process. It runs while the process starts: it may have
// executed a few instructions without limits.
func setLimits(pid int, c *Config) error {
	for _, l := range []struct {
		value    httpd.Opt[limit]
		resource int
	}{{c.cpu, unix.RLIMIT_CPU}, {c.mem, unix.RLIMIT_AS}, {c.proc, unix.RLIMIT_NPROC}} {
		if !l.value.Set {
			continue
		}
		var have unix.Rlimit
		if err := unix.Prlimit(pid, l.resource, nil, &have); err != nil {
			return err
		}
		// what the server itself may not exceed stays the limit
		want := unix.Rlimit{Cur: bound(l.value.V.soft, have.Max), Max: bound(l.value.V.hard, have.Max)}
		if err := unix.Prlimit(pid, l.resource, &want, nil); err != nil {
			return err
		}
	}
	return nil
}

func bound(n int64, most uint64) uint64 {
	if n < 0 {
		return most
	}
	return min(uint64(n), most)
}
