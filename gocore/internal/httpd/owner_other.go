//go:build !unix

// Ownership of files, for SymLinksIfOwnerMatch: unknown here, so refused.
package httpd

import "os"

func sameOwner(a, b os.FileInfo) bool { return false }
