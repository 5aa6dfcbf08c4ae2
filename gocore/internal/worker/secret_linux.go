// Keeps the memory of a process from others of the same user.
package worker

import "golang.org/x/sys/unix"

// closeMemory denies ptrace, /proc/PID/mem and core dumps (prctl(2),
// PR_SET_DUMPABLE): a front process has private keys, and an application behind
// it may run as the same user.
func closeMemory() error { return unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0) }
