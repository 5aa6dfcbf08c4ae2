//go:build !linux

// Where the system has no numbers for threads, records carry the process id.
package worker

import "os"

func threadID() int { return os.Getpid() }
