//go:build !linux

// Package filecache is empty on systems where file times are not fine enough,
// or not reported in the same way, to tell that a file did not change: the
// phases serve every request.
package filecache

import (
	"modwsgi/gocore/internal/httpd"
	"modwsgi/gocore/internal/listen"
)

// File is never made.
type File struct {
	Data []byte
	FD   int
	Size int64
	Tag  any
}

// Fields is never called.
func (*File) Fields(int) []byte { return nil }

// Release is never called.
func (*File) Release() {}

// Cache keeps nothing.
type Cache struct{}

// Tick does nothing.
func (*Cache) Tick(int64) {}

// Find finds nothing.
func (*Cache) Find(*httpd.VirtualHost, *listen.Req) (*File, int) { return nil, 0 }

// Keep keeps nothing.
func (*Cache) Keep(*httpd.VirtualHost, *listen.Req, *httpd.Outcome, string, func(*File) any) {}
