// Tests of who gets private keys.
package process

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"modwsgi/gocore/internal/mod/ssl"
)

func TestReadable(t *testing.T) {
	top, err := os.MkdirTemp("/tmp", "keys") // t.TempDir's are closed to others
	require.NoError(t, err)
	t.Cleanup(func() { os.RemoveAll(top) })
	require.NoError(t, os.Mkdir(filepath.Join(top, "d"), 0o755))
	file := filepath.Join(top, "d", "key")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	me, mine := os.Getuid(), os.Getgid()
	stranger := identity{uid: me + 4711, gid: mine + 4711, groups: []int{mine + 4711}}
	member := identity{uid: me + 4711, gid: mine + 4711, groups: []int{mine + 4711, mine}}
	owner := identity{uid: me, gid: mine, groups: []int{mine}}
	if me == 0 { // as whom the bits say nothing
		owner = identity{uid: 4712, gid: 4712}
		require.NoError(t, os.Chown(file, 4712, mine))
	}
	for _, c := range []struct {
		dir, file                      os.FileMode
		ofOwner, ofMember, ofStrangers bool
	}{
		{0o755, 0o600, true, false, false},
		{0o755, 0o640, true, true, false},
		{0o755, 0o644, true, true, true},
		{0o755, 0o604, true, false, true},
		{0o711, 0o644, true, true, true},
		{0o700, 0o644, me != 0, false, false},
		{0o755, 0o044, false, true, true},
	} {
		require.NoError(t, os.Chmod(filepath.Join(top, "d"), c.dir))
		require.NoError(t, os.Chmod(top, 0o755))
		require.NoError(t, os.Chmod(file, c.file))
		assert.Equal(t, c.ofOwner, readable(file, owner), "owner %o %o", c.dir, c.file)
		assert.Equal(t, c.ofMember, readable(file, member), "group %o %o", c.dir, c.file)
		assert.Equal(t, c.ofStrangers, readable(file, stranger), "others %o %o", c.dir, c.file)
		assert.True(t, readable(file, keepIdentity()))
	}
	assert.False(t, readable(filepath.Join(top, "nothing"), stranger))
}

const secure = "<Directory @>\nRequire all granted\n</Directory>\nWSGIDaemonProcess a\nWSGIProcessGroup a\nWSGIScriptAlias / @/a.wsgi\n" +
	"<VirtualHost *:8099>\nServerName a.test\nSSLEngine on\nSSLCertificateFile @/a.wsgi\nSSLCertificateKeyFile @/b.wsgi\n</VirtualHost>\n"

// Of a key that the server's user could not read, a front process has charge.
func TestDirectWithKeys(t *testing.T) {
	snap := compiled(t, secure)
	key := snap.srv.ServerRoot + "/b.wsgi"
	require.Equal(t, []string{key}, ssl.Keys(snap.srv))
	group := func(id identity) []groupPlan { return []groupPlan{{name: "a", threads: 1, id: id}} }
	stranger := identity{uid: os.Getuid() + 4711, gid: os.Getgid() + 4711}
	assert.Equal(t, 0, direct(snap.srv, group(keepIdentity()), keepIdentity()))
	assert.Equal(t, -1, direct(snap.srv, group(stranger), stranger), "the folder of a test is closed to others")
	assert.Equal(t, 0, direct(compiled(t, "<Directory @>\nRequire all granted\n</Directory>\nWSGIDaemonProcess a\nWSGIProcessGroup a\nWSGIScriptAlias / @/a.wsgi\n").srv,
		group(stranger), stranger), "without keys it does not matter")
}

// Who is behind the front gets neither certificates nor keys, nor where they are.
func TestKeysAreNotGivenAway(t *testing.T) {
	snap := compiled(t, secure+"WSGIDaemonProcess b\n")
	snap.tls = ssl.Files{snap.srv.ServerRoot + "/b.wsgi": []byte("-----BEGIN PRIVATE KEY-----")}
	_, g := generationOf(t, snap)
	told := map[string]bool{}
	for _, pg := range g.groups {
		var b bytes.Buffer
		require.NoError(t, (&slot{group: pg}).config(false).Write(&b))
		has := bytes.Contains(b.Bytes(), []byte("PRIVATE KEY"))
		assert.Equal(t, has, bytes.Contains(b.Bytes(), []byte("SSLCertificateKeyFile")))
		told[pg.name] = has
	}
	assert.Equal(t, map[string]bool{"": true, "a": false, "b": false}, told)
}
