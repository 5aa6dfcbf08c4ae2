//go:build darwin || freebsd

package listen

// home is for systems with reactors: reactors_linux.go.
type home struct{}
