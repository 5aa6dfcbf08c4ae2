// Tests of the order in which the processes of a generation end, and of the
// sockets between them over restarts. See harness_test.go for the processes.
package process

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"modwsgi/gocore/internal/httpd"
)

// twoGroups are app with one process and other with two.
func twoGroups() []httpd.DaemonGroup {
	return append(oneGroup(1), httpd.DaemonGroup{Name: "other", ID: 2, Processes: 2, Threads: 3, ShutdownTimeout: time.Second})
}

// behind gives a client for a process behind the front.
func (s *server) behind(generation string, id, slot int) *server {
	name := fmt.Sprintf("wsgi.%d.%s.%d", s.cmd.Process.Pid, generation, id)
	if slot > 0 {
		name += fmt.Sprintf(".%d", slot)
	}
	return &server{t: s.t, conf: testConf{Listen: []httpd.ListenSpec{{Network: "unix", Addr: filepath.Join(s.dir, name+".sock")}}}, out: s.out}
}

func (s *server) sockets() (names []string) {
	list, err := filepath.Glob(filepath.Join(s.dir, "wsgi.*.sock"))
	require.NoError(s.t, err)
	for _, path := range list {
		_, name, _ := strings.Cut(filepath.Base(path), fmt.Sprintf(".%d.", s.cmd.Process.Pid))
		names = append(names, strings.TrimSuffix(name, ".sock"))
	}
	return names
}

func (s *server) release() {
	s.t.Helper()
	require.NoError(s.t, os.WriteFile(s.file+".release", nil, 0o600))
}

// inOrder asserts that the texts are in the output, one after the other.
func (s *server) inOrder(texts ...string) {
	s.t.Helper()
	for _, text := range texts {
		s.logged(text)
	}
	out := s.out.String()
	at := -1
	for _, text := range texts {
		i := strings.Index(out, text)
		require.GreaterOrEqual(s.t, i, 0, text)
		assert.Greater(s.t, i, at, text)
		at = i
	}
}

func TestGracefulRestartOfGroups(t *testing.T) {
	t.Parallel()
	s := newServer(t, testConf{Groups: twoGroups(), Mode: "held"}).start()
	front := s.up("v1")
	assert.Equal(t, []string{"1.1", "1.2.1", "1.2"}, s.sockets())
	old := s.behind("1", 2, 1).up("v1")

	s.conf.Version = "v2"
	s.writeConf()
	s.signal(syscall.SIGUSR1)
	s.logged("AH00489: Test/v2 configured")
	s.logged("fake worker: /0 of v1 gets G")
	// The old front still works, so the groups behind it do.
	assert.Equal(t, old[0], s.behind("1", 2, 1).up("v1")[0])
	s.behind("2", 2, 1).up("v2")
	_, _ = s.behind("1", 2, 1).try("kill")
	assert.NotEqual(t, old[0], s.behind("1", 2, 1).up("v1")[0], "one that dies is replaced as long as it is needed")

	// The next configuration has one group less and one more.
	s.conf.Version = "v3"
	s.conf.Groups = []httpd.DaemonGroup{twoGroups()[0], {Name: "new", ID: 2, Processes: 1, Threads: 3, ShutdownTimeout: time.Second}}
	s.writeConf()
	s.signal(syscall.SIGUSR1)
	s.logged("AH00489: Test/v3 configured")
	assert.Equal(t, "new", s.behind("3", 2, 0).up("v3")[3])
	assert.Len(t, s.sockets(), 8)
	assert.NotContains(t, s.out.String(), "app/0 of v1 gets")

	s.release()
	s.eventually(func() bool { return len(s.sockets()) == 2 }, "sockets of ended generations stay")
	assert.Equal(t, []string{"3.1", "3.2"}, s.sockets())
	assert.True(t, gone(front[0]))
	assert.True(t, gone(old[0]))
	s.inOrder("fake worker: /0 of v1 gets G", "fake worker: app/0 of v1 gets G")
	s.up("v3")
	s.signal(syscall.SIGTERM)
	assert.Equal(t, 0, s.wait())
	assert.Empty(t, s.sockets())
}

func TestDrainInOrder(t *testing.T) {
	t.Parallel()
	s := newServer(t, testConf{Groups: twoGroups(), Mode: "held"}).start()
	s.up("v1")
	s.eventually(func() bool { return strings.Count(s.out.String(), "is ready") == 4 }, "not ready")
	s.signal(syscall.SIGWINCH)
	s.logged("fake worker: /0 of v1 gets D")
	_, err := s.try("hello")
	require.NoError(t, err, "the front of the test does not stop accepting")
	s.behind("1", 1, 0).up("v1")
	_, _ = s.behind("1", 1, 0).try("kill")
	s.behind("1", 1, 0).up("v1")
	s.release()
	assert.Equal(t, 0, s.wait())
	s.inOrder("fake worker: /0 of v1 gets D", "fake worker: app/0 of v1 gets D")
}

func TestStopInOrder(t *testing.T) {
	for _, c := range []struct {
		name string
		mode string
		sig  syscall.Signal
	}{{"at once", "", syscall.SIGTERM}, {"a front that takes its time", "held", syscall.SIGTERM}, {"restart", "", syscall.SIGHUP}} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := newServer(t, testConf{Groups: twoGroups(), Mode: c.mode}).start()
			s.up("v1")
			s.eventually(func() bool { return strings.Count(s.out.String(), "is ready") == 4 }, "not ready")
			s.conf.Version = "v2"
			s.writeConf()
			s.signal(c.sig)
			if c.mode == "held" { // not for longer than StopDelay
				s.logged("fake worker: app/0 of v1 gets T")
				s.release()
			}
			if c.sig == syscall.SIGTERM {
				assert.Equal(t, 0, s.wait())
			} else {
				s.up("v2")
			}
			frame := "T"
			if c.sig == syscall.SIGHUP { // others follow
				frame = "U"
			}
			s.inOrder("fake worker: /0 of v1 gets "+frame, "fake worker: app/0 of v1 gets "+frame)
		})
	}
}

// A reload that fails ends the new processes in order, too, and leaves the old ones alone.
func TestRestartOfGroupsGivenUp(t *testing.T) {
	t.Parallel()
	s := newServer(t, testConf{Groups: twoGroups()}).start()
	first := s.behind("1", 1, 0).up("v1")
	s.conf.Version, s.conf.Mode = "v2", "nostart"
	s.writeConf()
	s.signal(syscall.SIGUSR1)
	s.logged("restart given up")
	s.eventually(func() bool { return len(s.sockets()) == 3 }, "sockets of the generation that did not come stay")
	assert.Equal(t, first[0], s.behind("1", 1, 0).up("v1")[0])
	s.up("v1")
}

// A group that cannot be started is its own trouble: the others start, and are restarted, without it.
func TestGroupThatDoesNotStart(t *testing.T) {
	t.Parallel()
	groups := twoGroups()
	s := newServer(t, testConf{Groups: groups})
	home := filepath.Join(s.dir, "venv")
	require.NoError(t, os.MkdirAll(filepath.Join(home, "bin"), 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(home, "pyvenv.cfg"), []byte("version = 3.11\n"), 0o644))
	groups[1].PythonHome = home
	s.start()
	s.behind("1", 1, 0).up("v1")
	s.logged("WSGI0024: cannot start process 'other': exec " + home + "/bin/python: no such file or directory")
	s.conf.Version = "v2"
	s.writeConf()
	s.signal(syscall.SIGUSR1)
	s.logged("AH00489: Test/v2 configured")
	s.eventually(func() bool { return strings.Contains(s.ask("hello"), "v2") }, "no v2")

	exe, err := os.Executable()
	require.NoError(t, err)
	require.NoError(t, os.Symlink(exe, filepath.Join(home, "bin", "python")))
	s.behind("2", 2, 0).up("v2") // tried again and again
	s.behind("2", 2, 1).up("v2")
}

func TestStableSockets(t *testing.T) {
	t.Parallel()
	s := newServer(t, testConf{Groups: twoGroups(), Mode: "held", Stable: true}).start()
	s.up("v1")
	s.eventually(func() bool { return strings.Count(s.out.String(), "is ready") == 4 }, "not ready")
	u := fmt.Sprintf("u%d", os.Getuid())
	assert.Equal(t, []string{u + ".1", u + ".2.1", u + ".2"}, s.sockets())
	s.conf.Version = "v2"
	s.writeConf()
	s.signal(syscall.SIGUSR1)
	s.logged("AH00489: Test/v2 configured")
	// The new processes serve the old front, which still works.
	s.logged("fake worker: other/1 of v1 gets G")
	s.eventually(func() bool { return strings.Count(s.out.String(), "exited with code 0") == 3 }, "the old ones stay")
	s.behind(u, 2, 1).up("v2")
	assert.Equal(t, 4, strings.Count(s.out.String(), ") started"), "no others in their place") // the log was not open for the first four
	assert.Len(t, s.sockets(), 3)

	s.conf.Version = "v3"
	s.conf.Groups = []httpd.DaemonGroup{twoGroups()[1], twoGroups()[0]}
	s.conf.Groups[0].ID, s.conf.Groups[1].ID = 1, 2
	s.writeConf()
	s.signal(syscall.SIGUSR1)
	s.logged(`process group "other" would get the socket of "app"`)
	s.behind(u, 1, 0).up("v2")

	s.conf.Groups = twoGroups()[:1]
	s.conf.Groups = append(s.conf.Groups, httpd.DaemonGroup{Name: "other", ID: 2, Processes: 1, Threads: 3, ShutdownTimeout: time.Second})
	s.writeConf()
	s.release()
	s.signal(syscall.SIGUSR1)
	s.behind(u, 2, 0).up("v3")
	s.eventually(func() bool { return len(s.sockets()) == 2 }, "the socket of a slot that is gone stays")
	s.behind(u, 1, 0).up("v3")
}

// Connections of clients go to who accepts from clients, whatever its group is.
func TestRestartFromDirectToFront(t *testing.T) {
	t.Parallel()
	s := newServer(t, testConf{Groups: oneGroup(1)}).start()
	s.up("v1")
	keep := func() *bufio.Reader {
		c, err := s.dial()
		require.NoError(t, err)
		t.Cleanup(func() { _ = c.Close() })
		_, err = io.WriteString(c, "keep\n")
		require.NoError(t, err)
		in := bufio.NewReader(c)
		_, err = in.ReadString('\n')
		require.NoError(t, err)
		return in
	}
	idle := keep()
	s.conf.Version, s.conf.Groups = "v2", twoGroups()
	s.writeConf()
	s.signal(syscall.SIGUSR1)
	line, err := idle.ReadString('\n')
	require.NoError(t, err)
	assert.Regexp(t, fmt.Sprintf(`^handed kept \d+ v2 0  %d`, os.Getuid()), line, "the name of the front's group is empty")
	s.eventually(func() bool { return strings.Contains(s.ask("hello"), "v2") }, "no v2")

	idle = keep()
	s.conf.Version, s.conf.Groups = "v3", oneGroup(1)
	s.writeConf()
	s.signal(syscall.SIGUSR1)
	line, err = idle.ReadString('\n')
	require.NoError(t, err)
	assert.Regexp(t, `^handed kept \d+ v3 0 app`, line)
	s.eventually(func() bool { return len(s.sockets()) == 0 }, "sockets stay")
}

// Who is behind the front has no connections of clients to hand over: those it
// offers could be anything.
func TestHandOverFromBehind(t *testing.T) {
	t.Parallel()
	s := newServer(t, testConf{Groups: twoGroups()}).start()
	s.up("v1")
	got, err := s.behind("1", 2, 0).try("hand x")
	require.NoError(t, err)
	assert.Empty(t, got)
	s.logged("handed a connection over, and has none of clients")
}

func TestServicesTakeTurns(t *testing.T) {
	t.Parallel()
	groups := append(oneGroup(1), httpd.DaemonGroup{Name: "job", ID: 2, Processes: 1, Threads: 0, ShutdownTimeout: time.Second})
	s := newServer(t, testConf{Groups: groups}).start()
	s.up("v1")
	s.logged("service job v1 runs")
	s.conf.Version = "v2"
	s.writeConf()
	s.signal(syscall.SIGUSR1)
	s.up("v2")
	s.logged("service job v2 runs")
	s.inOrder("AH00489: Test/v2 configured", "process 'job' (pid", "service job v2 runs")
	before, _, _ := strings.Cut(s.out.String(), "service job v2 runs")
	assert.Regexp(t, `process 'job' \(pid \d+\) (exited|was killed)`, before, "the old one ends first")
	// A restart that is given up does not touch it.
	s.conf.Mode = "nostart"
	s.conf.Version = "v3"
	s.writeConf()
	s.signal(syscall.SIGUSR1)
	s.logged("restart given up")
	assert.NotContains(t, s.out.String(), "service job v3")
	assert.Equal(t, 1, strings.Count(s.out.String(), "service job v2 runs"))
}
