// The kernel's thread id, the tid field of error log records.
package errorlog

import "syscall"

// ThreadID is the number for Record.TID of the calling thread.
func ThreadID() int { return syscall.Gettid() }
