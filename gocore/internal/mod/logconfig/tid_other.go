//go:build !linux

// This file stands in where the system has no thread ids: %{tid}P prints the
// process id.

package logconfig

func threadID() int { return pid }
