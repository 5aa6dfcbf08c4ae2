// Process 1 of a container inherits the processes whose parents have died and
// has to take their exit status, or they stay in the process table as zombies
// (wait(2)). These strangers are children of applications, of CGI programs, or
// of whoever enters the container with a command.
//
// The statuses of our own children belong to the goroutines that wait for
// them. So a look at who has ended comes first (WNOWAIT), under a lock that
// keeps children from being started between the look and the deed.
package process

import (
	"errors"
	"os"
	"os/signal"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// ownerPause is how long the owner of an ended child gets to take its status
// before the next look; the kernel shows children one at a time.
const ownerPause = 5 * time.Millisecond

// reapStrangers starts taking the statuses of strangers if this process gets
// any: as process 1 of its namespace, or as a declared reaper (prctl(2),
// PR_SET_CHILD_SUBREAPER). It goes on until stop is closed.
func reapStrangers(stop <-chan struct{}) {
	if os.Getpid() != 1 && !declaredReaper() {
		return
	}
	ended := make(chan os.Signal, 1)
	signal.Notify(ended, syscall.SIGCHLD)
	go func() {
		defer signal.Stop(ended)
		for {
			for reapOne() {
				time.Sleep(ownerPause)
			}
			select {
			case <-ended:
			case <-stop:
				return
			}
		}
	}()
}

func declaredReaper() bool {
	var is int32
	_, _, no := unix.RawSyscall(unix.SYS_PRCTL, unix.PR_GET_CHILD_SUBREAPER, uintptr(unsafe.Pointer(&is)), 0)
	return no == 0 && is != 0
}

// reapOne takes strangers until there is none, or a child of our own stands
// before them: then the answer is true.
func reapOne() bool {
	own.Lock()
	defer own.Unlock()
	for {
		var info unix.Siginfo
		err := unix.Waitid(unix.P_ALL, 0, &info, unix.WEXITED|unix.WNOHANG|unix.WNOWAIT, nil)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		pid := childOf(&info)
		if err != nil || pid == 0 {
			return false
		}
		if own.pids[pid] > 0 {
			return true
		}
		_, _ = unix.Wait4(pid, nil, unix.WNOHANG, nil)
	}
}

// childOf is the pid in what waitid(2) filled in; 0: nobody has ended. It comes
// first in a union behind three ints, aligned as a pointer is.
func childOf(info *unix.Siginfo) int {
	const word = unsafe.Sizeof(uintptr(0))
	const union = (3*4 + word - 1) &^ (word - 1)
	return int(*(*int32)(unsafe.Add(unsafe.Pointer(info), union)))
}
