//go:build unix && !linux

// Without /proc the start of a process is not known: a live pid counts.
package process

import "time"

func processStart(int) (t time.Time, ok bool) { return t, false }
