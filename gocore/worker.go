// The entry of a worker process.
package gocore

import "modwsgi/gocore/internal/worker"

// RunWorker serves what the supervisor describes on the inherited descriptors
// until it is told to stop, and returns the exit status. Call it from the main
// thread of a fresh interpreter that the supervisor started, GIL released.
func RunWorker() int { return worker.Main() }
