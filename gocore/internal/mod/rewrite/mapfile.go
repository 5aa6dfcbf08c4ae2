// This file has the maps that are files: text, and SDBM. They are read again
// when the file changes.

package rewrite

import (
	"errors"
	"os"
	"strings"
	"sync"

	"modwsgi/gocore/internal/httpd"
	"modwsgi/gocore/internal/sdbm"
)

// textMap is a txt: or rnd: map: lines of key and value, "#" begins a comment.
type textMap struct {
	name, file string
	mu         sync.Mutex
	version    httpd.FileVersion
	values     map[string]string
}

func (t *textMap) find(x *run, key string) (string, bool) {
	values := t.load(x)
	v, ok := values[key]
	return v, ok
}

// load gives the values, nil if the file cannot be read.
func (t *textMap) load(x *run) map[string]string {
	fi, err := os.Stat(t.file)
	if err != nil {
		x.r.Logf(httpd.LevelError, "rewrite", "cannot access the RewriteMap %s: %v", t.name, err)
		return nil
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.values != nil && t.version.Same(fi) {
		return t.values
	}
	version := httpd.VersionOf(fi)
	text, err := os.ReadFile(t.file)
	if err != nil {
		x.r.Logf(httpd.LevelError, "rewrite", "cannot read the RewriteMap %s: %v", t.name, err)
		return nil
	}
	t.values, t.version = parseText(string(text)), version
	return t.values
}

// parseText reads a text map. The first line of a key counts; a key without a
// value is not there.
func parseText(text string) map[string]string {
	values := map[string]string{}
	for line := range strings.Lines(text) {
		if line[0] == '#' || isBlank(line[0]) {
			continue
		}
		words := strings.FieldsFunc(line, func(c rune) bool { return c < 0x80 && isBlank(byte(c)) })
		if len(words) < 2 {
			continue
		}
		if _, ok := values[words[0]]; !ok {
			values[words[0]] = words[1]
		}
	}
	return values
}

// dbmMap is a dbm: map in the SDBM format.
type dbmMap struct{ name, file string }

// newDBM checks that the file is one that can be read.
func newDBM(name, format, file string) (*dbmMap, error) {
	err := sdbm.CheckType(format)
	if err == nil {
		err = sdbm.Check(file)
	}
	var other sdbm.FormatError
	if errors.As(err, &other) {
		return nil, &httpd.Coded{Code: httpd.CodeUnavailable, Message: other.Error(), Suggestion: "httxt2dbm -f SDBM -i map.txt -o " + file + " and dbm=sdbm:" + file}
	}
	if err != nil {
		return nil, err
	}
	return &dbmMap{name, file}, nil
}

// find reads the value from the file: two reads, no cache is needed.
func (d *dbmMap) find(x *run, key string) (string, bool) {
	v, ok, err := sdbm.Lookup(d.file, key)
	if err != nil {
		x.r.Logf(httpd.LevelError, "rewrite", "cannot read the RewriteMap %s: %v", d.name, err)
		return "", false
	}
	return v, ok && v != ""
}
