//go:build !linux

// A look at a file for the precomputed way.
package httpd

import "os"

// lookup says what is at root + path.
func lookup(root string, path []byte) int {
	fi, err := os.Stat(root + string(path))
	switch {
	case missing(err):
		return nothing
	case err == nil && fi.IsDir():
		return directory
	}
	return something
}
