// This file feeds the reader arbitrary text.

package conf

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"
	"golang.org/x/tools/txtar"
)

// FuzzParseText checks that reading ends, does not panic, and that every
// position it gives lies within a file that was read.
func FuzzParseText(f *testing.F) {
	golden, err := filepath.Glob("testdata/*.txt")
	require.NoError(f, err)
	for _, name := range golden {
		data, err := os.ReadFile(name)
		require.NoError(f, err)
		for _, file := range txtar.Parse(data).Files {
			f.Add(string(file.Data), false)
			f.Add(string(file.Data), true)
		}
	}
	known := func(name string) bool { return len(name)%2 == 0 }
	const included = "A\nInclude ../self.conf\n<B>\nC ${X}\n</B>\n"
	f.Fuzz(func(t *testing.T, text string, strict bool) {
		if len(text) > 1<<14 {
			t.Skip()
		}
		opt := Options{
			ServerRoot: "/srv",
			Defines:    map[string]string{"SET": "", "ROOT": "/srv"},
			Getenv:     func(name string) (string, bool) { return name, name == "HOME" },
			files: memFiles{fstest.MapFS{
				"srv/self.conf":   &fstest.MapFile{Data: []byte(included)},
				"srv/d/a.conf":    &fstest.MapFile{Data: []byte(included)},
				"srv/d/b/c.conf":  &fstest.MapFile{Data: []byte("</X>\nLoadModule a_module b")},
				"srv/d/b/.secret": &fstest.MapFile{},
			}},
		}
		if strict {
			opt.Known, opt.IsSection, opt.HasModule = known, func(name string) bool { return len(name)%4 == 0 }, known
			opt.Names = func() []string { return []string{"Listen", "Directory"} }
		}
		tree, diags := ParseText("main", text, opt)
		require.NotNil(t, tree)
		inside := func(pos Pos) {
			t.Helper()
			require.Contains(t, append([]string{"main"}, tree.Files...), pos.File)
			last := 5
			if pos.File == "main" {
				last = strings.Count(text, "\n") + 1
			}
			require.GreaterOrEqual(t, pos.Line, 1)
			require.LessOrEqual(t, pos.Line, last)
		}
		for _, d := range diags {
			inside(d.Pos)
			require.NotEmpty(t, d.Code)
			require.NotEmpty(t, d.Message)
			require.NotContains(t, d.ErrorForm()[strings.Index(d.ErrorForm(), "\n")+1:], "\n")
		}
		var walk func([]*Directive)
		walk = func(list []*Directive) {
			for _, d := range list {
				inside(d.Pos)
				require.NotEmpty(t, d.Name)
				walk(d.Children)
			}
		}
		walk(tree.Root)
		require.NoError(t, Encode(&bytes.Buffer{}, tree))
	})
}
