// Tests of the place of the sockets between processes: names, directories that
// are not safe, and what killed servers leave.
package process

import (
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"modwsgi/gocore/internal/conf"
	"modwsgi/gocore/internal/httpd"
)

func TestSocketPrefix(t *testing.T) {
	own := "/tmp/modwsgi-go-sockets-" + strconv.Itoa(os.Geteuid())
	for _, c := range []struct {
		name, prefix, runtime string
		root                  bool
		env                   map[string]string
		want, make            string
	}{
		{"root", "", "", true, nil, "/run/modwsgi-go-sockets/wsgi", "/run/modwsgi-go-sockets"},
		{"root, as somebody with a session", "", "", true, map[string]string{"XDG_RUNTIME_DIR": "/run/user/7"}, "/run/modwsgi-go-sockets/wsgi", "/run/modwsgi-go-sockets"},
		{"user", "", "", false, nil, own + "/wsgi", own},
		{"user with a session", "", "", false, map[string]string{"XDG_RUNTIME_DIR": "/run/user/7"}, "/run/user/7/modwsgi-go-sockets/wsgi", "/run/user/7/modwsgi-go-sockets"},
		{"systemd", "", "", true, map[string]string{"RUNTIME_DIRECTORY": "/run/a:/run/b"}, "/run/a/wsgi", ""},
		{"DefaultRuntimeDir", "", "/r", true, map[string]string{"RUNTIME_DIRECTORY": "/run/a"}, "/r/wsgi", ""},
		{"DefaultRuntimeDir below ServerRoot", "", "r", true, nil, "/srv/r/wsgi", ""},
		{"WSGISocketPrefix", "/x/y", "/r", true, nil, "/x/y", ""},
		{"WSGISocketPrefix below ServerRoot", "run/y", "", false, nil, "/srv/run/y", ""},
	} {
		srv := &httpd.Server{ServerRoot: "/srv", DefaultRuntimeDir: c.runtime, Python: httpd.PythonConfig{SocketPrefix: c.prefix}}
		prefix, dir := socketPrefix(srv, c.root, func(name string) string { return c.env[name] })
		assert.Equal(t, c.want, prefix, c.name)
		assert.Equal(t, c.make, dir, c.name)
	}
}

func TestSocketNames(t *testing.T) {
	g := &httpd.DaemonGroup{Name: "app", ID: 3, Pos: conf.Pos{File: "f", Line: 5}}
	pid := strconv.Itoa(os.Getpid())
	names, err := socketNames("/p/wsgi", g, 3, 7, true, identity{uid: 33})
	require.NoError(t, err)
	assert.Equal(t, []string{"/p/wsgi." + pid + ".7.3.sock", "/p/wsgi." + pid + ".7.3.1.sock", "/p/wsgi." + pid + ".7.3.2.sock"}, names)
	for _, name := range names {
		assert.Regexp(t, socketName, strings.TrimPrefix(name, "/p/wsgi"))
	}
	names, err = socketNames("/p/wsgi", g, 1, 7, false, identity{uid: 33})
	require.NoError(t, err)
	assert.Equal(t, []string{"/p/wsgi." + pid + ".u33.3.sock"}, names)
	_, err = socketNames("/"+strings.Repeat("x", 100), g, 12, 7, true, identity{})
	assert.ErrorContains(t, err, `f:5: the socket of process group "app"`)
	assert.ErrorContains(t, err, "the system allows 107")
	assert.ErrorContains(t, err, "WSGISocketPrefix")
}

func TestSocketUser(t *testing.T) {
	front := identity{uid: 54321, gid: 1}
	for _, c := range []struct {
		user string
		root bool
		uid  int
		err  string
	}{
		{"", true, 54321, ""}, {"", false, -1, ""}, {"root", false, -1, ""}, {"#54321", true, 54321, ""},
		{"#54322", true, -1, "run as user id 54321"}, {"no-such-user-here", true, -1, "bad user name"},
	} {
		uid, err := socketUser(&httpd.DaemonGroup{SocketUser: c.user}, c.root, front)
		if c.err == "" {
			require.NoError(t, err)
			assert.Equal(t, c.uid, uid)
		} else {
			assert.ErrorContains(t, err, c.err)
		}
	}
	if os.Geteuid() == 0 {
		uid, err := socketUser(&httpd.DaemonGroup{SocketUser: "#54322"}, true, keepIdentity())
		require.NoError(t, err)
		assert.Equal(t, 54322, uid, "a front that is root connects to everything")
	}
}

func TestSocketDirectory(t *testing.T) {
	needRoot(t)
	front := identity{uid: 54001, gid: 54001, groups: []int{54001}}
	tenant := identity{uid: 54002, gid: 54002, groups: []int{54002, 54100}}
	base, err := os.MkdirTemp("/tmp", "modwsgi-sockets")
	require.NoError(t, err)
	defer os.RemoveAll(base)
	require.NoError(t, os.Chmod(base, 0o755))
	dir := func(name string, uid, gid int, mode uint32) string {
		path := filepath.Join(base, name)
		require.NoError(t, os.MkdirAll(path, 0o755))
		require.NoError(t, os.Chown(path, uid, gid))
		require.NoError(t, unix.Chmod(path, mode))
		return path
	}
	inside := func(parent string) string {
		path := filepath.Join(parent, "in")
		require.NoError(t, os.MkdirAll(path, 0o755))
		return path
	}
	link := filepath.Join(base, "link")
	require.NoError(t, os.Symlink(dir("target", 0, 0, 0o777), link))
	good := dir("good", 0, 0, 0o711)
	linked := func(parent string, uid int) string { // a link to a good place
		path := filepath.Join(parent, "link")
		require.NoError(t, os.Symlink(good, path))
		require.NoError(t, os.Lchown(path, uid, uid))
		return path
	}
	for _, c := range []struct {
		name, dir, want string
	}{
		{"root's", good, ""},
		{"the front's", dir("front", 54001, 54001, 0o700), ""},
		{"the tenant's own, read-only", dir("own", 54002, 54002, 0o555), "can be written to by user id 54002"},
		{"everybody's", dir("all", 0, 0, 0o777), "can be written to by user id 54002"},
		{"everybody's with sticky bit", dir("sticky", 0, 0, 0o1777), "can be written to by user id 54002"},
		{"a group's", dir("group", 0, 54100, 0o775), "can be written to by user id 54002"},
		{"another group's", dir("group2", 0, 54101, 0o775), ""},
		{"below everybody's", inside(dir("all2", 0, 0, 0o777)), "can be written to by user id 54002"},
		{"below everybody's with sticky bit", inside(dir("sticky2", 0, 0, 0o1777)), ""},
		{"below the tenant's with sticky bit", inside(dir("sticky3", 54002, 54002, 0o1777)), "can be written to by user id 54002"},
		{"behind a link", link, "can be written to by user id 54002"},
		{"behind root's link", linked(dir("links", 0, 0, 0o755), 0), ""},
		{"behind a link that lies in everybody's", linked(dir("links2", 0, 0, 0o777), 0), "can be written to by user id 54002"},
		{"behind the tenant's link", linked(dir("links3", 0, 54100, 0o1775), 54002), "can be written to by user id 54002"},
		{"closed to the front", dir("closed", 0, 0, 0o700), "cannot be entered by user id 54001"},
		{"on a closed way", inside(dir("closed2", 0, 0, 0o700)), "cannot be entered by user id 54001"},
		{"not there", filepath.Join(base, "missing"), "make it, or set WSGISocketPrefix"},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := prepareSocketDir(filepath.Join(c.dir, "wsgi"), "", true, front, []identity{tenant})
			if c.want == "" {
				assert.NoError(t, err)
				return
			}
			assert.ErrorContains(t, err, c.want)
			assert.ErrorContains(t, err, "WSGISocketPrefix")
		})
	}
	t.Run("made", func(t *testing.T) {
		own := filepath.Join(base, "made")
		old := unix.Umask(0o077)
		defer unix.Umask(old)
		for range 2 {
			require.NoError(t, prepareSocketDir(filepath.Join(own, "wsgi"), own, true, front, []identity{tenant}))
		}
		st, err := os.Stat(own)
		require.NoError(t, err)
		assert.Equal(t, os.FileMode(0o711), st.Mode().Perm())
	})
}

func TestOwnSocketDirectory(t *testing.T) {
	base := t.TempDir()
	own := filepath.Join(base, "own")
	require.NoError(t, prepareSocketDir(filepath.Join(own, "wsgi"), own, false, keepIdentity(), nil))
	st, err := os.Stat(own)
	require.NoError(t, err)
	assert.Equal(t, os.FileMode(0o700), st.Mode().Perm())
	require.NoError(t, os.Chmod(own, 0o777))
	assert.ErrorContains(t, prepareSocketDir(filepath.Join(own, "wsgi"), own, false, keepIdentity(), nil), "is not a directory that user id")
	file := filepath.Join(base, "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	assert.ErrorContains(t, prepareSocketDir(filepath.Join(file, "wsgi"), file, false, keepIdentity(), nil), "is not a directory that user id")
	link := filepath.Join(base, "link")
	require.NoError(t, os.Symlink(base, link))
	assert.ErrorContains(t, prepareSocketDir(filepath.Join(link, "wsgi"), link, false, keepIdentity(), nil), "is not a directory that user id")
	if os.Geteuid() == 0 {
		require.NoError(t, os.Remove(file))
		require.NoError(t, os.Mkdir(file, 0o700))
		require.NoError(t, os.Chown(file, 54002, 54002))
		assert.ErrorContains(t, prepareSocketDir(filepath.Join(file, "wsgi"), file, false, keepIdentity(), nil), "is not a directory that user id")
	}
}

func TestLeftSockets(t *testing.T) {
	dir := t.TempDir()
	prefix := filepath.Join(dir, "wsgi")
	left := func(name string) string {
		path := filepath.Join(dir, name)
		fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM, 0)
		require.NoError(t, err)
		require.NoError(t, unix.Bind(fd, &unix.SockaddrUnix{Name: path}))
		require.NoError(t, unix.Close(fd))
		return path
	}
	own, parent := strconv.Itoa(os.Getpid()), strconv.Itoa(os.Getppid())
	gone := []string{left("wsgi.999999999.1.1.sock"), left("wsgi.999999999.1.1.12.sock"), left("wsgi.999999999.u33.2.sock"), left("wsgi." + own + ".1.1.sock")}
	stay := []string{left("wsgi." + parent + ".1.1.sock"), left("other.999999999.1.1.sock"), left("wsgi.999999999.1.sock.old"), left("wsgi.x.1.1.sock")}
	live := filepath.Join(dir, "wsgi.999999999.2.1.sock")
	l, err := net.Listen("unix", live)
	require.NoError(t, err)
	defer l.Close()
	file := filepath.Join(dir, "wsgi.999999999.3.1.sock")
	require.NoError(t, os.WriteFile(file, nil, 0o600))

	r, w, err := os.Pipe()
	require.NoError(t, err)
	removeLeftSockets(prefix, &errorLog{fd: int(w.Fd()), max: func(string) int { return levelDebug }})
	require.NoError(t, w.Close())
	buf := make([]byte, 4096)
	n, _ := r.Read(buf)
	for _, path := range gone {
		assert.NoFileExists(t, path)
		assert.Contains(t, string(buf[:n]), "removed the socket "+path)
	}
	for _, path := range append(stay, live, file) {
		_, err := os.Lstat(path)
		assert.NoError(t, err, path)
	}
}

func TestUnsafeSocketDirectoryStopsTheStart(t *testing.T) {
	needRoot(t)
	t.Parallel()
	groups := twoGroups()
	groups[1].User, groups[1].Group = "#54002", "#54002"
	s := newServer(t, testConf{Groups: groups, User: "#54001", Group: "#54001"})
	open := filepath.Join(s.dir, "open")
	require.NoError(t, os.Mkdir(open, 0o755))
	require.NoError(t, os.Chmod(open, 0o777))
	s.conf.Prefix = filepath.Join(open, "wsgi")
	s.start()
	assert.Equal(t, 1, s.wait())
	assert.Contains(t, s.out.String(), "can be written to by user id 54002")
	list, err := os.ReadDir(open)
	require.NoError(t, err)
	assert.Empty(t, list)
}
