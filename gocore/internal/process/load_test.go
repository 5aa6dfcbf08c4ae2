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
