// The worker's entry.
package gocore

import "modwsgi/gocore/internal/worker"

// RunWorker runs the worker process that the supervisor started, on the
// descriptors it inherited, and returns the exit status. Call it from the main
// thread of a fresh interpreter, GIL released.
func RunWorker() int { return worker.Main() }
