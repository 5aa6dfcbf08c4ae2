// Package gocore is the control-plane API that gopy binds for Python. It is small and
// speaks in strings and numbers only: a call costs a fraction of a microsecond, which is
// right for starting a server and wrong for serving a request. Requests never pass here;
// package python handles them inside the same library.
//
// gopy releases the GIL around every function, so a function may block. It turns a Go
// error into a bare RuntimeError; therefore nothing here returns an error: diagnostics
// travel as JSON, and the Python layer raises ConfigError from them.
//
// This file holds what needs no configuration.
package gocore

// version is set by the build (-X modwsgi/gocore.version=...), from __version__ of the
// Python package, the one place where it is written.
var version = "0+unknown"

// Version returns the version of this library, as in `pip show modwsgi-go`.
func Version() string { return version }
