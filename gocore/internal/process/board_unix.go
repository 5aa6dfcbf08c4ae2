//go:build unix && !linux

package process

import (
	"os"

	"golang.org/x/sys/unix"
)

// memoryFile is a file without a name, which can be passed on as a descriptor.
func memoryFile(name string) (int, error) {
	f, err := os.CreateTemp("", name)
	if err != nil {
		return -1, err
	}
	defer f.Close()
	defer os.Remove(f.Name())
	fd, err := unix.FcntlInt(f.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	return fd, os.NewSyscallError("fcntl", err)
}

// sealMemory: the file has no name, but its size can be changed by those who have it.
func sealMemory(int) error { return nil }
