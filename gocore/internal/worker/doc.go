// Package worker is the worker process; see worker_linux.go.
package worker
