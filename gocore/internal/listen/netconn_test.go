//go:build linux || darwin || freebsd

package listen

func init() { sources["netconn"] = func(c Config) (Source, error) { return NewNet(c) } }
