// Tests of reading a real configuration file with the real modules.
package process

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestReadConfig(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "httpd.conf")
	write := func(text string) {
		require.NoError(t, os.WriteFile(file, []byte(text), 0o644))
	}
	opt := SuperviseOptions{ConfigFile: file, ServerRoot: dir, Defines: map[string]string{"X": ""}}

	write("ServerRoot " + dir + "\nListen 127.0.0.1:8099\nPidFile run.pid\nErrorLog err.log\n" +
		"<IfDefine X>\nWSGIDaemonProcess app threads=3\n</IfDefine>\nGracefulShutdownTimeout 3\n")
	snap, diags := readConfig(opt)
	require.False(t, hasErrors(diags), "%v", diags)
	assert.Equal(t, filepath.Join(dir, "run.pid"), snap.srv.PidFile)
	assert.Equal(t, filepath.Join(dir, "err.log"), snap.srv.ErrorLog.Key())
	plans, err := layout(snap, 1, false, false)
	require.NoError(t, err)
	require.Len(t, plans, 1)
	assert.Equal(t, "app", plans[0].name)
	assert.Equal(t, 3, plans[0].threads)
	require.Len(t, plans[0].listen, 1)
	assert.Equal(t, "127.0.0.1:8099", plans[0].listen[0].Addr)

	write("Listen 8099\nListne 80\n")
	snap, diags = readConfig(opt)
	assert.Nil(t, snap)
	text := (&configError{diags}).Error()
	assert.Contains(t, text, "AH00526: Syntax error on line 2 of "+file+":\n")
	assert.Contains(t, text, "Listne")

	opt.ConfigFile = filepath.Join(dir, "missing.conf")
	snap, diags = readConfig(opt)
	assert.Nil(t, snap)
	assert.Contains(t, (&configError{diags}).Error(), "missing.conf")
}

func TestScriptsThatShareTheInterpreter(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "httpd.conf")
	site := func(name, group string) string {
		return "<VirtualHost *:8099>\nServerName " + name + ".test\n" + group + "WSGIScriptAlias / " + dir + "/" + name + ".wsgi\n" +
			"<Directory " + dir + ">\nRequire all granted\n</Directory>\n</VirtualHost>\n"
	}
	for _, name := range []string{"a", "b"} { // a script that is not there has no route
		require.NoError(t, os.WriteFile(filepath.Join(dir, name+".wsgi"), nil, 0o644))
	}
	const global = "WSGIApplicationGroup %{GLOBAL}\n"
	for _, c := range []struct {
		name, text, warning string
	}{
		{"one site", site("a", ""), ""},
		{"one script under two names", site("a", "") + "<VirtualHost *:8099>\nServerName b.test\nWSGIScriptAlias / " + dir + "/a.wsgi\n</VirtualHost>\n", ""},
		{"two sites that share on purpose", site("a", global) + site("b", global), ""},
		{"two sites by default", site("a", "") + site("b", ""), "(a.test:8099|, b.test:8099|)"},
		{"two sites, one of them global", site("a", global) + site("b", "WSGIApplicationGroup own\n"), "(%{GLOBAL}, own)"},
	} {
		t.Run(c.name, func(t *testing.T) {
			require.NoError(t, os.WriteFile(file, []byte("Listen 8099\n"+c.text), 0o644))
			snap, diags := readConfig(SuperviseOptions{ConfigFile: file, ServerRoot: dir})
			require.NotNil(t, snap, "%v", diags)
			var found string
			for _, d := range diags {
				if d.Code == "WSGI-ONE-INTERPRETER" {
					found = d.Message
				}
			}
			if c.warning == "" {
				assert.Empty(t, found)
				return
			}
			assert.Contains(t, found, c.warning)
		})
	}
}
