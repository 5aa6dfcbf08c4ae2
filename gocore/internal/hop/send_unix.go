//go:build unix && !linux

// Elsewhere SIGPIPE is ignored, as Python sets it.
package hop

import "golang.org/x/sys/unix"

func send(fd int, b []byte) (int, error) { return unix.Write(fd, b) }
