//go:build !linux

// Where the system has no numbers for threads, records carry the process id.
package errorlog

import "os"

// ThreadID is the number for Record.TID of the calling thread.
func ThreadID() int { return os.Getpid() }
