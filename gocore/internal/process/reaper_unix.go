//go:build unix && !linux

// Strangers come to process 1 of a container, which is a matter of Linux.
package process

import "time"

func reapStrangers(<-chan struct{}) {}

// monotonic is the clock of RELOADING=1, which only systemd reads.
func monotonic() time.Duration { return 0 }
