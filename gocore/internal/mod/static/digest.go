// This file makes entity tags from the contents of files (FileETag Digest).
// Reading a file for every request would make it as dear as sending it, so
// tags are remembered for as long as the file's times and size stay.

package static

import (
	"crypto/sha1" //nolint:gosec // the form of Apache's tag; nothing relies on it being unforgeable
	"encoding/base64"
	"io"
	"os"
	"sync"
	"time"
)

// maxDigests bounds the memory; beyond it the tags are made anew.
const maxDigests = 4096

type digestKey struct {
	name     string
	inode    uint64
	size     int64
	modified time.Time
}

type digestCache struct {
	mu sync.Mutex
	m  map[digestKey]string
}

var digests digestCache

// tag gives the strong tag of an open file: SHA-1 in base64, as Apache.
func (d *digestCache) tag(f *os.File, info os.FileInfo) (string, error) {
	key := digestKey{f.Name(), inodeOf(info), info.Size(), info.ModTime()}
	d.mu.Lock()
	tag := d.m[key]
	d.mu.Unlock()
	if tag != "" {
		return tag, nil
	}
	h := sha1.New()
	if _, err := io.Copy(h, io.NewSectionReader(f, 0, info.Size())); err != nil {
		return "", err
	}
	tag = `"` + base64.StdEncoding.EncodeToString(h.Sum(nil)) + `"`
	if now().Sub(info.ModTime()) < 2*time.Second {
		return tag, nil // it may change again without its time showing it
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.m == nil || len(d.m) >= maxDigests {
		d.m = map[digestKey]string{}
	}
	d.m[key] = tag
	return tag, nil
}
