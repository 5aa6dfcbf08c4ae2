//go:build !linux

// The entry of a worker process on systems without epoll.
package gocore

import (
	"fmt"
	"os"
	"runtime"
)

// RunWorker says that workers need Linux, and returns 1.
func RunWorker() int {
	fmt.Fprintf(os.Stderr, "modwsgi: serving requests needs Linux; this is %s\n", runtime.GOOS)
	return 1
}
