// Package textfile keeps parsed text files (users, groups) in memory and reads
// them again when they changed. Any goroutine.
package textfile

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"

	"modwsgi/gocore/internal/httpd"
)

const (
	maxSize  = 64 << 20 // bytes of a file
	maxFiles = 256      // kept in memory; .htaccess files can name any number
)

// Cache holds files of one kind.
type Cache[T any] struct {
	parse func(lines []string) *T
	mu    sync.Mutex
	m     map[string]entry[T]
}

type entry[T any] struct {
	version httpd.FileVersion
	value   *T
}

// New makes a cache; parse gets the lines without blanks at their ends, and
// without those that are empty or comments (#). It must not fail.
func New[T any](parse func(lines []string) *T) *Cache[T] {
	return &Cache[T]{parse: parse, m: map[string]entry[T]{}}
}

// Get returns the parsed file as it is now. One stat if it did not change.
func (c *Cache[T]) Get(name string) (*T, error) {
	fi, err := os.Stat(name)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	e, ok := c.m[name]
	c.mu.Unlock()
	if ok && e.version.Same(fi) {
		return e.value, nil
	}
	if !fi.Mode().IsRegular() { // a pipe would hold up the reader
		return nil, fmt.Errorf("%s is not a regular file", name)
	}
	version := httpd.VersionOf(fi)
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxSize+1))
	if err != nil {
		return nil, err
	}
	if len(b) > maxSize {
		return nil, errors.New(name + " is too large")
	}
	var lines []string
	for l := range strings.Lines(string(b)) {
		if l = strings.Trim(l, " \t\r\n"); l != "" && l[0] != '#' {
			lines = append(lines, l)
		}
	}
	v := c.parse(lines)
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.m) >= maxFiles {
		clear(c.m)
	}
	// fi was taken before reading: a change meanwhile shows as another time or size
	c.m[name] = entry[T]{version, v}
	return v, nil
}
