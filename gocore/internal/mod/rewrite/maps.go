// This file reads RewriteMap and asks maps: files, internal functions,
// programs.

package rewrite

import (
	"fmt"
	"math/rand/v2"
	"net/url"
	"os"
	"strings"

	"modwsgi/gocore/internal/httpd"
)

// rewriteMap is one RewriteMap. Its own state locks itself.
type rewriteMap struct {
	kind   string
	random bool // rnd: one of the parts of the value
	find   func(x *run, key string) (string, bool)
}

// internal are the functions of int: maps.
var internal = map[string]func(string) string{
	"toupper": strings.ToUpper, "tolower": strings.ToLower, "escape": escapeURI,
	"unescape": func(s string) string {
		if v, err := url.PathUnescape(s); err == nil {
			return v
		}
		return s
	},
}

// setMap reads a RewriteMap.
func setMap(k *httpd.Cmd, c *Config) error {
	scope(k, c)
	m, err := newMap(k)
	if err != nil {
		return err
	}
	c.server.maps[k.Arg(0)] = m
	return nil
}

func newMap(k *httpd.Cmd) (*rewriteMap, error) {
	kind, source, ok := strings.Cut(k.Arg(1), ":")
	if !ok {
		kind, source = "txt", k.Arg(1)
	}
	kind = strings.ToLower(kind)
	if len(k.Args) > 2 && kind != "prg" {
		return nil, fmt.Errorf("a map of type %s takes no third argument", kind)
	}
	switch {
	case kind == "txt" || kind == "rnd":
		t := &textMap{name: k.Arg(0), file: k.File(source)}
		return &rewriteMap{kind: kind, random: kind == "rnd", find: t.find}, mustExist(k, t.file)
	case kind == "int":
		f := internal[source]
		if f == nil {
			return nil, fmt.Errorf("there is no internal map %q; there are toupper, tolower, escape and unescape", source)
		}
		return &rewriteMap{kind: kind, find: func(_ *run, key string) (string, bool) { return f(key), true }}, nil
	case kind == "prg":
		if len(k.Args) > 2 {
			return nil, fmt.Errorf("the program runs as the user of the server: the argument %q is not available", k.Arg(2))
		}
		p, err := newProgram(k.Arg(0), source, k.File)
		if err != nil {
			return nil, err
		}
		return &rewriteMap{kind: kind, find: p.find}, mustExist(k, p.args[0])
	case kind == "dbm" || strings.HasPrefix(kind, "dbm="):
		d, err := newDBM(k.Arg(0), strings.TrimPrefix(strings.TrimPrefix(kind, "dbm"), "="), k.File(source))
		if err != nil {
			return nil, err
		}
		return &rewriteMap{kind: "dbm", find: d.find}, nil
	case kind == "dbd" || kind == "fastdbd":
		return nil, &httpd.Coded{Code: httpd.CodeUnavailable, Message: "maps of type " + kind + " need mod_dbd, which is not available", Suggestion: "use a prg: map, or export the table to a txt: map"}
	}
	return nil, fmt.Errorf("unknown type of map %q; there are txt, rnd, dbm, int and prg", kind)
}

// mustExist reports a missing file when the server starts.
func mustExist(_ *httpd.Cmd, file string) error {
	_, err := os.Stat(file)
	return err
}

// lookup asks a map. A map that does not exist knows nothing.
func (x *run) lookup(name, key string) (string, bool) {
	var m *rewriteMap
	if x.c.server != nil {
		m = x.c.server.maps[name]
	}
	if m == nil {
		return "", false
	}
	v, ok := m.find(x, key)
	if !ok {
		x.trace(5, "map lookup FAILED: map=%s[%s] key=%s", name, m.kind, key)
		return "", false
	}
	if m.random {
		parts := strings.Split(v, "|")
		v = parts[rand.IntN(len(parts))]
	}
	x.trace(5, "map lookup OK: map=%s[%s] key=%s -> val=%s", name, m.kind, key, v)
	return v, true
}
