//go:build !netconn

// The source that Linux serves plaintext HTTP/1 with.
package listen

// Open makes the source of this system. Nothing is accepted before Start.
func Open(c Config) (Source, error) {
	if c.Leaders > 1 && c.Threads > 1 {
		return NewReactors(c)
	}
	return New(c)
}
