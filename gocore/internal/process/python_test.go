// This file tests what command starts a worker: options and variables of its
// Python, and another home.

package process

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"modwsgi/gocore/internal/httpd"
)

func TestCommand(t *testing.T) {
	dir := t.TempDir()
	venv := func(name, cfg string) string {
		home := filepath.Join(dir, name)
		require.NoError(t, os.MkdirAll(filepath.Join(home, "bin"), 0o755))
		if cfg != "" {
			require.NoError(t, os.WriteFile(filepath.Join(home, "pyvenv.cfg"), []byte(cfg), 0o644))
		}
		return home
	}
	own := venv("own", "version = 3.11.2\n")
	same, old, plain := venv("same", "home = /usr/bin\nversion = 3.11.9\n"), venv("old", "version_info = 3.9.1.final.0\n"), venv("plain", "")
	l := &launcher{path: filepath.Join(own, "bin", "python"), version: "3.11", argv: []string{"python", "-c", "work"}, env: []string{"A=1", "LANG=de"}}
	for _, tt := range []struct {
		name      string
		options   pythonOptions
		path      string
		argv, env []string
	}{
		{"nothing asked", pythonOptions{}, l.path, l.argv, l.env},
		{"its own environment", pythonOptions{home: own}, l.path, l.argv, l.env},
		{"another environment", pythonOptions{home: same}, same + "/bin/python", []string{same + "/bin/python", "-c", "work"}, l.env},
		{"no environment", pythonOptions{home: plain}, l.path, l.argv, []string{"A=1", "LANG=de", "PYTHONHOME=" + plain}},
		{"options and variables", pythonOptions{options: []string{"-O", "-B"}, env: []string{"LANG=C"}}, l.path,
			[]string{"python", "-O", "-B", "-c", "work"}, []string{"A=1", "LANG=C"}},
	} {
		p := groupPlan{python: tt.options}
		path, argv, env, err := p.command(l)
		require.NoError(t, err, tt.name)
		assert.Equal(t, tt.path, path, tt.name)
		assert.Equal(t, tt.argv, argv, tt.name)
		assert.Equal(t, tt.env, env, tt.name)
	}
	assert.Equal(t, []string{"python", "-c", "work"}, l.argv, "the launcher's own stay as they are")
	assert.Equal(t, []string{"A=1", "LANG=de"}, l.env)
	p := groupPlan{python: pythonOptions{home: old}}
	_, _, _, err := p.command(l)
	assert.ErrorContains(t, err, "is a virtual environment of Python 3.9, this server runs in Python 3.11")
}

func TestGroupPython(t *testing.T) {
	srv := &httpd.Server{Python: httpd.PythonConfig{Home: "/h", Optimize: 9, Warnings: []string{"error"}, DontWriteBytecode: true, HashSeed: "7", Eggs: "/e"}}
	g := &httpd.DaemonGroup{Lang: "C", Locale: "C.UTF-8", PythonEggs: "/g"}
	want := pythonOptions{home: "/h", options: []string{"-O", "-O", "-W", "error", "-B"},
		env: []string{"PYTHONHASHSEED=7", "LANG=C", "LC_ALL=C.UTF-8", "PYTHON_EGG_CACHE=/g"}}
	assert.Equal(t, want, groupPython(srv, g))
	g.PythonHome = "/own"
	assert.Equal(t, "/own", groupPython(srv, g).home)
	assert.Equal(t, []string{"PYTHONHASHSEED=7", "PYTHON_EGG_CACHE=/e"}, embeddedPython(srv).env)
}

func TestBoardPlaces(t *testing.T) {
	srv := &httpd.Server{Groups: []httpd.DaemonGroup{{ServerMetrics: true}}}
	g := &generation{num: 3, groups: []*procGroup{{groupPlan: groupPlan{processes: 1, threads: 2}}}}
	b, err := newBoard(srv, g)
	require.NoError(t, err)
	defer b.close()
	var first, second, third WorkerConfig
	assert.Equal(t, 0, b.take(&first))
	for i := 1; i < placesEach; i++ {
		assert.Equal(t, i, b.take(&second), "a successor starts while others still drain")
	}
	assert.Equal(t, -1, b.take(&third))
	assert.Equal(t, int64(boardHead+placesEach*(boardProc+2*boardSlot)), second.BoardSize)
	assert.Zero(t, third.BoardSize)
	mark := []byte{1, 2, 3, 4}
	_, err = unix.Pwrite(b.fd, mark, int64(boardHead)) // the pid of place 0
	require.NoError(t, err)
	b.free(0)
	_, err = unix.Pread(b.fd, mark, int64(boardHead))
	require.NoError(t, err)
	assert.Equal(t, []byte{0, 0, 0, 0}, mark)
	assert.Equal(t, 0, b.take(&third))
	shared := &generation{num: 1, groups: []*procGroup{{groupPlan: groupPlan{processes: 2, threads: 5, listen: make([]httpd.ListenSpec, 1)}}}}
	small, err := newBoard(&httpd.Server{}, shared)
	require.NoError(t, err)
	defer small.close()
	assert.Equal(t, int64(boardHead+2*placesEach*boardProc), small.size, "no threads: nobody may look at them")
	none, err := newBoard(&httpd.Server{}, g)
	require.NoError(t, err)
	assert.Equal(t, -1, none.take(&first))
	none.free(-1)
	none.close()
}
