//go:build !linux

// Keeps the memory of a process from others of the same user: not here.
package worker

func closeMemory() error { return nil }
