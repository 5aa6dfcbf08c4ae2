// This file serves what lies compressed beside a file: style.css.br for
// style.css (directive PrecompressedFiles, which Apache does not have; there it
// takes rewrite rules).
//
// The sibling must be a regular file that the client may have by itself, and
// not older than the file: else somebody forgot to compress it again.

package static

import (
	"errors"
	"fmt"
	"os"
	"path"
	"strconv"
	"strings"

	"modwsgi/gocore/internal/httpd"
)

// extensions of the encodings that the directive knows.
var extensions = map[string]string{"br": ".br", "zstd": ".zst", "gzip": ".gz"}

func setPrecompressed(k *httpd.Cmd, c *Config) error {
	if len(k.Args) == 1 && strings.EqualFold(k.Arg(0), "off") {
		c.encodings = httpd.Some([]string(nil))
		return nil
	}
	if len(k.Args) == 1 && strings.EqualFold(k.Arg(0), "on") {
		c.encodings = httpd.Some([]string{"br", "zstd", "gzip"})
		return nil
	}
	var list []string
	for _, w := range k.Args {
		w = strings.ToLower(w)
		if extensions[w] == "" {
			return fmt.Errorf("unknown encoding %q; known are br, zstd and gzip, or On or Off", w)
		}
		list = append(list, w)
	}
	c.encodings = httpd.Some(list)
	return nil
}

// sibling is a compressed form that exists.
type sibling struct {
	name, encoding string
	info           os.FileInfo
}

// compressed finds the form to send, nil for the file itself, and says what
// the choice depended on.
func (c *Config) compressed(r *httpd.Request) *sibling {
	if len(c.encodings.V) == 0 || r.Encoding != "" || r.Method != "GET" && r.Method != "HEAD" || r.Prev != nil && r.Status != 0 {
		return nil
	}
	dir, base := path.Split(r.Filename)
	at, err := os.Stat(dir)
	if err != nil {
		return nil
	}
	r.Depend(strings.TrimSuffix(dir, "/"), at) // a sibling that comes or goes changes it
	var found []sibling
	for _, encoding := range c.encodings.V {
		name := r.Filename + extensions[encoding]
		info, err := os.Lstat(name)
		if err != nil {
			if !errors.Is(err, os.ErrNotExist) {
				r.Varies()
			}
			continue
		}
		if !info.Mode().IsRegular() || info.ModTime().Before(r.Info.ModTime()) {
			r.Depend(name, info)
			r.Depend(r.Filename, r.Info)
			continue
		}
		found = append(found, sibling{name, encoding, info})
	}
	if found == nil {
		return nil
	}
	r.Out = append(r.Out, httpd.Field{Name: "Vary", Value: "Accept-Encoding"})
	accept, _ := r.Get("Accept-Encoding")
	best, bestQ := (*sibling)(nil), 0.0
	for i := range found {
		if q := acceptQ(accept, found[i].encoding); q > bestQ {
			best, bestQ = &found[i], q
		}
	}
	if best == nil || bestQ < explicitQ(accept, "identity") {
		return nil
	}
	sub, st := r.Entry(dir, base+extensions[best.encoding])
	if st != httpd.OK || sub == nil || sub.Info == nil || !os.SameFile(sub.Info, best.info) {
		r.Varies()
		return nil
	}
	r.Depend(r.Filename, r.Info)
	return best
}

// acceptQ is the quality of an encoding in an Accept-Encoding field (RFC 9110
// section 12.5.3).
func acceptQ(accept, encoding string) float64 {
	if q := explicitQ(accept, encoding); q >= 0 {
		return q
	}
	return max(explicitQ(accept, "*"), 0)
}

// explicitQ is the quality of an encoding that is named, -1 if it is not.
func explicitQ(accept, encoding string) float64 {
	for part := range strings.SplitSeq(accept, ",") {
		name, params, _ := strings.Cut(part, ";")
		name = strings.TrimSpace(name)
		if !strings.EqualFold(name, encoding) && !(encoding == "gzip" && strings.EqualFold(name, "x-gzip")) {
			continue
		}
		key, value, ok := strings.Cut(params, "=")
		if !ok || !strings.EqualFold(strings.TrimSpace(key), "q") {
			return 1
		}
		q, err := strconv.ParseFloat(strings.TrimSpace(value), 64)
		if err != nil || !(q >= 0 && q <= 1) {
			return 0
		}
		return q
	}
	return -1
}
