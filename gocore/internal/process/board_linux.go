package process

import (
	"os"

	"golang.org/x/sys/unix"
)

// memoryFile is anonymous memory that can be passed on as a descriptor.
func memoryFile(name string) (int, error) {
	fd, err := unix.MemfdCreate(name, unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	return fd, os.NewSyscallError("memfd_create", err)
}

// sealMemory fixes the size: who maps the file must not lose pages because
// another process cuts it short.
func sealMemory(fd int) error {
	_, err := unix.FcntlInt(uintptr(fd), unix.F_ADD_SEALS, unix.F_SEAL_SHRINK|unix.F_SEAL_GROW|unix.F_SEAL_SEAL)
	return os.NewSyscallError("fcntl", err)
}
