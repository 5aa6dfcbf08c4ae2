// Linux ties a worker's life to the supervisor's in the kernel.
package process

import "syscall"

// deathSignal makes the kernel kill the child when the thread that started it
// ends; that thread must therefore live as long as the supervisor. The
// lifeline pipe does the same more gently, for whoever gets that far.
func deathSignal(a *syscall.SysProcAttr) { a.Pdeathsig = syscall.SIGKILL }

// maxResident is the largest resident set in bytes; Linux counts in KiB.
func maxResident(u *syscall.Rusage) int64 { return u.Maxrss << 10 }
