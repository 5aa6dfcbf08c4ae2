//go:build unix && !linux

// Elsewhere the file is one that has no name any more.
package scoreboard

import "os"

func anonymous() (*os.File, error) {
	f, err := os.CreateTemp("", "scoreboard")
	if err != nil {
		return nil, err
	}
	return f, os.Remove(f.Name())
}
