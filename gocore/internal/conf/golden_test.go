// This file runs testdata/*.txt: each holds a configuration, what it includes,
// and the tree and diagnostics that reading gives. "go test -update" rewrites
// the expectations.

package conf

import (
	"flag"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/tools/txtar"
)

var update = flag.Bool("update", false, "rewrite the expectations in testdata")

// memFiles is a file system in memory; every path in it is absolute.
type memFiles struct{ fstest.MapFS }

func key(name string) string {
	if name = strings.TrimPrefix(filepath.Clean(name), "/"); name == "" {
		return "."
	}
	return name
}

func (m memFiles) open(name string) (fs.File, error)     { return m.MapFS.Open(key(name)) }
func (m memFiles) stat(name string) (fs.FileInfo, error) { return m.MapFS.Stat(key(name)) }
func (m memFiles) list(name string) ([]string, error) {
	entries, err := m.MapFS.ReadDir(key(name))
	var names []string
	for _, e := range entries {
		names = append([]string{e.Name()}, names...) // not in order
	}
	return names, err
}

// options reads the head of a golden file: lines of "key: words"; anything
// else is commentary.
func options(head string) Options {
	opt := Options{ServerRoot: "/srv", Defines: map[string]string{}}
	env := map[string]string{}
	opt.Getenv = func(name string) (string, bool) { v, ok := env[name]; return v, ok }
	oneOf := func(list []string) func(string) bool {
		return func(name string) bool {
			return slices.ContainsFunc(list, func(s string) bool { return strings.EqualFold(s, name) })
		}
	}
	for line := range strings.Lines(head) {
		what, rest, _ := strings.Cut(strings.TrimSpace(line), ":")
		list := strings.Fields(rest)
		switch what {
		case "define", "env":
			for _, word := range list {
				name, value, _ := strings.Cut(word, "=")
				if what == "env" {
					env[name] = value
				} else {
					opt.Defines[name] = value
				}
			}
		case "known":
			opt.Known, opt.Names = oneOf(list), func() []string { return list }
		case "sections":
			opt.IsSection = oneOf(list)
		case "modules":
			opt.HasModule = func(id string) bool { return slices.Contains(list, id) }
		case "version":
			fmt.Sscanf(rest, "%d.%d.%d", &opt.Version[0], &opt.Version[1], &opt.Version[2])
		case "htaccess":
			opt.Htaccess = true
		}
	}
	return opt
}

func dump(b *strings.Builder, list []*Directive, indent string) {
	for _, d := range list {
		b.WriteString(indent)
		if d.Section {
			b.WriteString("<" + d.Name + ">")
		} else {
			b.WriteString(d.Name)
		}
		for _, arg := range d.Args {
			fmt.Fprintf(b, " [%s]", arg)
		}
		fmt.Fprintf(b, "  # %s\n", d.Pos)
		dump(b, d.Children, indent+"    ")
	}
}

func describe(t *Tree, diags []Diagnostic) string {
	var b strings.Builder
	dump(&b, t.Root, "")
	for _, d := range diags {
		b.WriteString(d.String() + "\n")
	}
	if t.ServerRoot != "/srv" {
		fmt.Fprintf(&b, "server root: %s\n", t.ServerRoot)
	}
	for _, name := range slices.Sorted(maps.Keys(t.Defines)) {
		fmt.Fprintf(&b, "defined: %s=%s\n", name, t.Defines[name])
	}
	if len(t.Files) > 1 {
		fmt.Fprintf(&b, "files: %s\n", strings.Join(t.Files, " "))
	}
	return b.String()
}

func TestGolden(t *testing.T) {
	names, err := filepath.Glob("testdata/*.txt")
	require.NoError(t, err)
	require.NotEmpty(t, names)
	for _, name := range names {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".txt"), func(t *testing.T) {
			archive, err := txtar.ParseFile(name)
			require.NoError(t, err)
			files := memFiles{fstest.MapFS{}}
			expect := -1
			for i, f := range archive.Files {
				if f.Name == "expect" {
					expect = i
					continue
				}
				files.MapFS["srv/"+f.Name] = &fstest.MapFile{Data: f.Data}
			}
			require.Contains(t, files.MapFS, "srv/httpd.conf")
			opt := options(string(archive.Comment))
			opt.files = files
			got := describe(Parse("/srv/httpd.conf", opt))
			if *update {
				if expect < 0 {
					archive.Files = append(archive.Files, txtar.File{Name: "expect"})
					expect = len(archive.Files) - 1
				}
				archive.Files[expect].Data = []byte(got)
				require.NoError(t, os.WriteFile(name, txtar.Format(archive), 0o644))
				return
			}
			require.GreaterOrEqual(t, expect, 0, "no expectation")
			assert.Equal(t, string(archive.Files[expect].Data), got)
		})
	}
}
