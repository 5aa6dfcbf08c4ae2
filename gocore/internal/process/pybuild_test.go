// Tests of what the build of Python decides.
package process

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"modwsgi/gocore/internal/httpd"
)

func TestDirectivesForOtherPythons(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "httpd.conf")
	const section = "<WSGIInterpreterOptions application-group=x>\nWSGIPerInterpreterGIL On\n</WSGIInterpreterOptions>\n"
	for _, c := range []struct {
		name, text, version string
		freeThreaded        bool
		codes               []string
	}{
		{"nothing asked", "", "3.10", false, nil},
		{"Off is what is", "WSGIPerInterpreterGIL Off\nWSGIFreeThreading Off\n", "3.10", false, nil},
		{"own GIL, too old", "WSGIPerInterpreterGIL On\n", "3.11", false, []string{"WSGI0198"}},
		{"own GIL in a section, too old", section, "3.10", false, []string{"WSGI0198"}},
		{"own GIL", section, "3.12", false, nil},
		{"no GIL, ordinary build", "WSGIFreeThreading On\n", "3.13", false, []string{"WSGI0200"}},
		{"no GIL", "WSGIFreeThreading On\n", "3.13", true, nil},
		{"unknown Python", "WSGIFreeThreading On\nWSGIPerInterpreterGIL On\n", "", false, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			require.NoError(t, os.WriteFile(file, []byte("Listen 8099\n"+c.text), 0o644))
			snap, diags := readConfig(SuperviseOptions{ConfigFile: file, ServerRoot: dir, Version: c.version, FreeThreaded: c.freeThreaded})
			require.NotNil(t, snap, "%v", diags)
			var codes []string
			for _, d := range diags {
				codes = append(codes, d.Code)
				assert.Greater(t, d.Pos.Line, 1)
			}
			assert.Equal(t, c.codes, codes)
		})
	}
}

func TestFreeThreading(t *testing.T) {
	a, b, x := "a", "b", "x"
	on, off := httpd.Some(true), httpd.Some(false)
	p := &httpd.PythonConfig{Interpreters: []httpd.InterpreterOptions{
		{ProcessGroup: &a, FreeThreading: on},
		{FreeThreading: off},
		{ProcessGroup: &b, FreeThreading: off},
		{ProcessGroup: &b, FreeThreading: on},
		{ProcessGroup: &b},
		{ApplicationGroup: &x, FreeThreading: on},
	}}
	assert.True(t, freeThreading(p, "a"), "more selectors count more than the place")
	assert.True(t, freeThreading(p, "b"), "the last of equals")
	assert.False(t, freeThreading(p, "c"))
	assert.False(t, freeThreading(p, ""))
	p = &httpd.PythonConfig{FreeThreading: true}
	assert.True(t, freeThreading(p, ""))

	l := &launcher{path: "/bin/python", argv: []string{"python", "-c", "work"}}
	for _, c := range []struct {
		build, asked bool
		want         []string
	}{
		{false, true, []string{"python", "-c", "work"}},
		{true, true, []string{"python", "-X", "gil=0", "-c", "work"}},
		{true, false, []string{"python", "-X", "gil=1", "-c", "work"}},
	} {
		l.freeThreaded = c.build
		_, argv, _, err := (&groupPlan{python: pythonOptions{gilOff: c.asked}}).command(l)
		require.NoError(t, err)
		assert.Equal(t, c.want, argv)
	}
}
