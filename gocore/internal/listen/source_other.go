//go:build (linux && netconn) || darwin || freebsd

// The source of systems without the reactor, and of Linux with the tag netconn.
package listen

// Open makes the source of this system. Nothing is accepted before Start.
func Open(c Config) (Source, error) { return NewNet(c) }
