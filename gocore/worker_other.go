//go:build !linux

// Systems without the epoll reactor: the configuration can be read and
// checked, a server cannot run.
package gocore

import (
	"fmt"
	"os"
)

// RunWorker says that this system cannot run a worker and returns 1.
func RunWorker() int {
	fmt.Fprintln(os.Stderr, "modwsgi: the server runs on Linux only; here configurations can be read and checked")
	return 1
}
