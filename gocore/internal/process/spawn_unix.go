//go:build unix && !linux

// Systems without a parent-death signal rely on the lifeline pipe alone.
package process

import "syscall"

func deathSignal(*syscall.SysProcAttr) {}

// maxResident is the largest resident set in bytes.
func maxResident(u *syscall.Rusage) int64 { return u.Maxrss }
