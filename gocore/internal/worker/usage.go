// What this process uses: memory and CPU, for limits and for the log.
package worker

import (
	"bytes"
	"os"
	"strconv"
	"syscall"
	"time"
)

// residentMemory is the resident set in bytes; on systems without /proc its peak.
func residentMemory() (int64, error) {
	b, err := os.ReadFile("/proc/self/statm") // proc(5): sizes in pages, the second is the resident set
	if err != nil {
		return peakMemory()
	}
	f := bytes.Fields(b)
	if len(f) < 2 {
		return peakMemory()
	}
	pages, err := strconv.ParseInt(string(f[1]), 10, 64)
	return pages * int64(os.Getpagesize()), err
}

func usage() (u syscall.Rusage, err error) {
	err = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return u, err
}

// cpuTime is user and system time of all threads.
func cpuTime() time.Duration {
	u, err := usage()
	if err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
