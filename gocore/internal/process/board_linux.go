package process

import (
	"os"

	"golang.org/x/sys/unix"
)

// memoryFile is anonymous memory that can be passed on as a descriptor.
func memoryFile(name string) (int, error) {
	fd, err := unix.MemfdCreate(name, unix.MFD_CLOEXEC)
	return fd, os.NewSyscallError("memfd_create", err)
}
