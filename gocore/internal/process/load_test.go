// Tests of reading a real configuration file with the real modules.
package process

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"modwsgi/gocore/internal/conf"
	"modwsgi/gocore/internal/httpd"
	"modwsgi/gocore/internal/mod"
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

// TestUnknownAccounts: each wrong name has the place where it stands, the last
// User counts, ids need no account, and only root's server cannot do without.
func TestUnknownAccounts(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "httpd.conf")
	opt := SuperviseOptions{ConfigFile: file, ServerRoot: dir}
	compiled := func(text string) *httpd.Server {
		require.NoError(t, os.WriteFile(file, []byte(text), 0o644))
		o := httpd.ConfOptions(mod.All)
		o.ServerRoot = dir
		tree, diags := conf.Parse(file, o)
		require.False(t, hasErrors(diags), "%v", diags)
		srv, diags := httpd.Compile(tree, mod.All)
		require.False(t, hasErrors(diags), "%v", diags)
		return srv
	}
	wrong := "Listen 8099\nUser root\nUser no-such-user-1\nGroup no-such-group-2\n" +
		"WSGIDaemonProcess a user=no-such-user-3 group=no-such-group-4\n" +
		"WSGIDaemonProcess b user=root2-no group=#4711 supplementary-groups=#4712,no-such-group-5\n"
	lines := func(diags []conf.Diagnostic) []string {
		var out []string
		for _, d := range diags {
			out = append(out, strings.TrimPrefix(d.String(), file))
		}
		return out
	}
	assert.Equal(t, []string{
		`:3: error: User: this system has no user "no-such-user-1" (create the account, or name one that exists) [PROCESS-ACCOUNT]`,
		`:4: error: Group: this system has no group "no-such-group-2" (create the account, or name one that exists) [PROCESS-ACCOUNT]`,
		`:5: error: WSGIDaemonProcess: option user: this system has no user "no-such-user-3" (create the account, or name one that exists) [PROCESS-ACCOUNT]`,
		`:5: error: WSGIDaemonProcess: option group: this system has no group "no-such-group-4" (create the account, or name one that exists) [PROCESS-ACCOUNT]`,
		`:6: error: WSGIDaemonProcess: option user: this system has no user "root2-no" (create the account, or name one that exists) [PROCESS-ACCOUNT]`,
		`:6: error: WSGIDaemonProcess: option supplementary-groups: this system has no group "no-such-group-5" (create the account, or name one that exists) [PROCESS-ACCOUNT]`,
	}, lines(UnknownAccounts(compiled(wrong), true)))
	for _, d := range UnknownAccounts(compiled(wrong), false) {
		assert.Equal(t, conf.Warning, d.Severity)
		assert.Contains(t, d.Message, "as root the server would not start")
	}
	assert.Empty(t, UnknownAccounts(compiled("Listen 8099\nUser #4711\nGroup #4711\nWSGIDaemonProcess a\n"), true))
	assert.Empty(t, UnknownAccounts(compiled("Listen 8099\nWSGIDaemonProcess a\n"), true))

	compiled(wrong)
	snap, diags := readConfig(opt)
	if os.Geteuid() == 0 {
		assert.Nil(t, snap)
		assert.Contains(t, (&configError{diags}).Error(), "AH00526: Syntax error on line 3 of "+file+":\nUser: ")
	} else {
		assert.NotNil(t, snap)
	}
}
