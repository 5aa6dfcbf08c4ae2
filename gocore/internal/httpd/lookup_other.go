//go:build !linux

// A look at a file for the precomputed way.
package httpd

import (
	"errors"
	"io/fs"
	"os"
	"syscall"
)

// lookup says what is at root + path.
func lookup(root string, path []byte) int {
	fi, err := os.Stat(root + string(path))
	switch {
	case errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR):
		return nothing
	case err == nil && fi.IsDir():
		return directory
	}
	return something
}
