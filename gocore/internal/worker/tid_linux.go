// The kernel's thread id, the tid field of error log records.
package worker

import "syscall"

func threadID() int { return syscall.Gettid() }
