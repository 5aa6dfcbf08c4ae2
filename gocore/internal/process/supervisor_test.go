// Tests of the supervisor against real processes, see harness_test.go.
package process

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"modwsgi/gocore/internal/httpd"
)

func TestStartServeStop(t *testing.T) {
	for _, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT, syscall.SIGWINCH} {
		t.Run(sig.String(), func(t *testing.T) {
			t.Parallel()
			s := newServer(t, testConf{Groups: oneGroup(2)})
			s.conf.PidFile = filepath.Join(s.dir, "httpd.pid")
			s.start()
			w := s.up("v1")
			assert.Equal(t, "app", w[3])
			pid, err := os.ReadFile(s.conf.PidFile)
			require.NoError(t, err)
			assert.Equal(t, strconv.Itoa(s.cmd.Process.Pid)+"\n", string(pid))
			s.signal(sig)
			assert.Equal(t, 0, s.wait())
			assert.True(t, gone(w[0]), "the worker is still there")
			assert.NoFileExists(t, s.conf.PidFile)
			assert.Regexp(t, `(?m)^\[\w{3} \w{3} \d\d \d\d:\d\d:\d\d\.\d{6} \d{4}\] \[mpm:notice\] \[pid \d+:tid \d+\] AH00489: Test/v1 configured`, s.out.String())
		})
	}
}

func TestEmbedded(t *testing.T) {
	t.Parallel()
	s := newServer(t, testConf{Groups: []httpd.DaemonGroup{}}).start()
	w := s.up("v1")
	assert.Equal(t, "0", w[2])
}

func TestConfigurationError(t *testing.T) {
	t.Parallel()
	s := newServer(t, testConf{Error: "unknown directive"})
	s.conf.PidFile = filepath.Join(s.dir, "httpd.pid")
	s.start()
	assert.Equal(t, 1, s.wait())
	assert.Equal(t, "AH00526: Syntax error on line 7 of "+s.file+":\nListne: unknown directive\ndid you mean Listen?\n", s.out.String())
	assert.NoFileExists(t, s.conf.PidFile)
}

func TestPortInUse(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	s := newServer(t, testConf{Listen: []httpd.ListenSpec{{Network: "tcp", Addr: l.Addr().String()}}}).start()
	assert.Equal(t, 1, s.wait())
	assert.Contains(t, s.out.String(), "(98)Address already in use: AH00072: make_sock: could not bind to address "+l.Addr().String())
	assert.Contains(t, s.out.String(), "no listening sockets available, shutting down")
}

func TestExecutableMissing(t *testing.T) {
	t.Parallel()
	s := newServer(t, testConf{Executable: "/nonexistent/python"}).start()
	assert.Equal(t, 1, s.wait())
	assert.Contains(t, s.out.String(), "/nonexistent/python")
}

func TestSecondServerRefused(t *testing.T) {
	t.Parallel()
	s := newServer(t, testConf{})
	s.conf.PidFile = filepath.Join(s.dir, "httpd.pid")
	s.start()
	s.up("v1")
	s.logged("AH00489")
	second := newServer(t, testConf{PidFile: s.conf.PidFile}).start()
	assert.Equal(t, 0, second.wait())
	assert.Equal(t, "httpd (pid "+strconv.Itoa(s.cmd.Process.Pid)+") already running\n", second.out.String())
	assert.FileExists(t, s.conf.PidFile)
	// After kill -9 the file is left behind and does not matter.
	require.NoError(t, s.cmd.Process.Kill())
	<-s.done
	third := newServer(t, testConf{PidFile: s.conf.PidFile}).start()
	third.up("v1")
}

func TestRespawn(t *testing.T) {
	t.Parallel()
	s := newServer(t, testConf{}).start()
	first := s.up("v1")
	_, _ = s.try("kill")
	second := s.up("v1")
	assert.NotEqual(t, first[0], second[0])
	s.logged("process 'app' (pid " + first[0] + ") was killed by SIGKILL (9)")
	s.logged("after having served requests; restarting (up ")
	_, _ = s.try("exit 4")
	s.up("v1")
	s.logged("exited with code 4 after having served requests; restarting (up ")
}

func TestBackoff(t *testing.T) {
	t.Parallel()
	s := newServer(t, testConf{Mode: "nostart"}).start()
	s.logged("exited with code 3 without having served a request; restarting in 100ms")
	s.logged("restarting in 200ms")
	s.logged("restarting in 400ms")
	s.signal(syscall.SIGTERM)
	assert.Equal(t, 0, s.wait())
}

func TestBackoffLength(t *testing.T) {
	assert.Equal(t, time.Duration(0), backoff(0))
	assert.Equal(t, 100*time.Millisecond, backoff(1))
	assert.Equal(t, 1600*time.Millisecond, backoff(5))
	assert.Equal(t, backoffMax, backoff(7))
	assert.Equal(t, backoffMax, backoff(1_000_000))
}

func TestStubbornWorkerIsKilled(t *testing.T) {
	t.Parallel()
	s := newServer(t, testConf{Mode: "stubborn"}).start()
	w := s.up("v1")
	s.signal(syscall.SIGTERM)
	assert.Equal(t, 0, s.wait())
	s.logged("sending SIGKILL")
	assert.True(t, gone(w[0]))
}

func TestSupervisorKilled(t *testing.T) {
	t.Parallel()
	s := newServer(t, testConf{Groups: oneGroup(3)}).start()
	w := s.up("v1")
	require.NoError(t, s.cmd.Process.Kill())
	s.eventually(func() bool { return gone(w[0]) }, "the worker outlived its supervisor")
	s.eventually(func() bool { _, err := s.dial(); return err != nil }, "somebody still listens")
}

// load asks without pause until stopped; every request must be answered.
func (s *server) load() (stop func()) {
	quit := make(chan struct{})
	fixed := &server{t: s.t, conf: testConf{Listen: s.conf.Listen[:1:1]}} // the test goes on changing s.conf
	var wg sync.WaitGroup
	wg.Add(1)
	go func() {
		defer wg.Done()
		for {
			select {
			case <-quit:
				return
			default:
			}
			if got, err := fixed.try("hello"); err != nil || got == "" {
				s.t.Errorf("request lost: %q, %v", got, err)
			}
			time.Sleep(2 * time.Millisecond)
		}
	}()
	return func() { close(quit); wg.Wait() }
}

func TestGracefulRestart(t *testing.T) {
	t.Parallel()
	s := newServer(t, testConf{Groups: oneGroup(2), Mode: "slow"}).start()
	first := s.up("v1")
	// An idle connection moves to the new generation.
	idle, err := s.dial()
	require.NoError(t, err)
	defer idle.Close()
	_, err = io.WriteString(idle, "keep\n")
	require.NoError(t, err)
	in := bufio.NewReader(idle)
	line, err := in.ReadString('\n')
	require.NoError(t, err)
	assert.Contains(t, line, "v1")

	s.conf.Version, s.conf.Groups = "v2", oneGroup(3)
	s.conf.Listen = append(s.conf.Listen, httpd.ListenSpec{Network: "unix", Addr: filepath.Join(s.dir, "sock")})
	s.writeConf()
	s.signal(syscall.SIGUSR1)
	s.up("v2")
	s.eventually(func() bool { return gone(first[0]) }, "the old generation stays")
	line, err = in.ReadString('\n')
	require.NoError(t, err)
	assert.Regexp(t, `^handed kept \d+ v2`, line)
	_, err = net.Dial("unix", filepath.Join(s.dir, "sock"))
	assert.NoError(t, err)
	s.logged("AH00489: Test/v2 configured")

	// Back to one socket, to see the other go.
	s.conf.Listen = s.conf.Listen[:1]
	s.conf.Version = "v3"
	s.writeConf()
	s.signal(syscall.SIGUSR1)
	s.up("v3")
	s.eventually(func() bool { _, err := os.Stat(filepath.Join(s.dir, "sock")); return err != nil }, "the socket file stays")
}

func TestGracefulRestartBroken(t *testing.T) {
	t.Parallel()
	s := newServer(t, testConf{}).start()
	first := s.up("v1")
	stop := s.load()
	s.conf.Error = "nonsense"
	s.writeConf()
	s.signal(syscall.SIGUSR1)
	s.logged("AH00526: Syntax error on line 7")
	s.logged("going on with the old one")
	s.signal(syscall.SIGHUP)
	s.eventually(func() bool { return strings.Count(s.out.String(), "going on with the old one") == 2 }, "SIGHUP")

	// A port that is taken.
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	s.conf.Error = ""
	s.conf.Listen = append(s.conf.Listen, httpd.ListenSpec{Network: "tcp", Addr: l.Addr().String()})
	s.writeConf()
	s.signal(syscall.SIGUSR1)
	s.logged("could not bind to address " + l.Addr().String())

	// Processes that do not start.
	s.conf.Listen, s.conf.Mode = s.conf.Listen[:1], "nostart"
	s.writeConf()
	s.signal(syscall.SIGUSR1)
	s.logged("restart given up: its processes do not start")
	stop()
	assert.Equal(t, first[0], s.up("v1")[0], "the old process must have served all along")

	// And after all that a good one.
	s.conf.Mode, s.conf.Version = "", "v2"
	s.writeConf()
	s.signal(syscall.SIGUSR1)
	s.up("v2")
}

func TestRestart(t *testing.T) {
	t.Parallel()
	s := newServer(t, testConf{}).start()
	first := s.up("v1")
	s.conf.Version = "v2"
	s.writeConf()
	s.signal(syscall.SIGHUP)
	s.up("v2")
	assert.True(t, gone(first[0]))
	s.signal(syscall.SIGHUP)
	s.signal(syscall.SIGTERM)
	assert.Equal(t, 0, s.wait())
}

func TestGracefulShutdownTimeout(t *testing.T) {
	t.Parallel()
	s := newServer(t, testConf{Mode: "nodrain", Graceful: 300 * time.Millisecond}).start()
	s.up("v1")
	s.logged("is ready") // what is still starting is stopped at once
	s.signal(syscall.SIGWINCH)
	assert.Equal(t, 0, s.wait())
	s.logged("GracefulShutdownTimeout of 300ms is over")
}

func TestReplaceAndHandOver(t *testing.T) {
	t.Parallel()
	s := newServer(t, testConf{Mode: "slow"}).start()
	first := s.up("v1")
	stop := s.load()
	// The connection waits for the successor, which takes a while to start.
	got := s.ask("replace payload-1")
	assert.Regexp(t, `^handed payload-1 \d+ v1`, got)
	assert.NotEqual(t, first[0], strings.Fields(got)[2])
	s.eventually(func() bool { return gone(first[0]) }, "the replaced process stays")
	stop()
	s.logged("asks to be replaced: script changed")
}

func TestHandOverToSibling(t *testing.T) {
	t.Parallel()
	s := newServer(t, testConf{Groups: oneGroup(2)}).start()
	s.up("v1")
	s.eventually(func() bool { return strings.Count(s.out.String(), "is ready") == 2 }, "not ready")
	assert.Regexp(t, `^handed x \d+ v1`, s.ask("hand x"))
}

func TestShareWithSibling(t *testing.T) {
	t.Parallel()
	s := newServer(t, testConf{Groups: oneGroup(2)}).start()
	s.up("v1")
	s.eventually(func() bool { return strings.Count(s.out.String(), "is ready") == 2 }, "not ready")
	for range 8 {
		for _, num := range []string{"0", "1"} {
			// Whoever reads it has no sibling but the other; the one that it is for keeps it.
			got := strings.Fields(s.ask("share " + num + " x"))
			require.Len(t, got, 9, got)
			assert.Contains(t, []string{"shared", "handed"}, got[0])
			assert.Equal(t, num, got[4])
		}
	}
	assert.Regexp(t, `^handed x \d+ v1`, s.ask("share 7 x"), "nobody has that number: it stays where it is")
}

func TestHandOverSurvivesSuccessorDeath(t *testing.T) {
	t.Parallel()
	s := newServer(t, testConf{Mode: "slow"}).start()
	first := s.up("v1")
	c, err := s.dial()
	require.NoError(t, err)
	defer c.Close()
	_, err = io.WriteString(c, "replace again\n")
	require.NoError(t, err)
	// Kill the successor while it starts; the next one gets the connection.
	var pid int
	s.eventually(func() bool {
		_, rest, ok := strings.Cut(s.out.String(), "asks to be replaced")
		_, rest, ok2 := strings.Cut(rest, "process 'app' (pid ")
		if !ok || !ok2 {
			return false
		}
		n, _, _ := strings.Cut(rest, ")")
		pid, _ = strconv.Atoi(n)
		return pid > 0
	}, "no successor")
	require.NoError(t, syscall.Kill(pid, syscall.SIGKILL))
	b, err := io.ReadAll(c)
	require.NoError(t, err)
	assert.Regexp(t, `^handed again \d+ v1`, string(b))
	assert.NotEqual(t, first[0], strings.Fields(string(b))[2], "not back to the one that could not answer it")
}

// A connection that waits for a restart goes to the configuration that is started in the end.
func TestHandOverSurvivesSecondRestart(t *testing.T) {
	t.Parallel()
	s := newServer(t, testConf{Groups: twoGroups(), Mode: "held"}).start()
	s.up("v1")
	c, err := s.dial()
	require.NoError(t, err)
	defer c.Close()
	restart := func(version string, times int) {
		s.conf.Version = version
		s.writeConf()
		s.signal(syscall.SIGHUP)
		s.eventually(func() bool { return strings.Count(s.out.String(), "AH00494") == times }, "no restart")
	}
	restart("v2", 1)
	s.logged("fake worker: /0 of v1 gets U")
	before := s.descriptors()
	_, err = io.WriteString(c, "hand over\n")
	require.NoError(t, err)
	s.eventually(func() bool { return s.descriptors() > before }, "the supervisor does not get it")
	restart("v3", 2)
	s.release()
	b, err := io.ReadAll(c)
	require.NoError(t, err)
	assert.Regexp(t, `^handed over \d+ v3`, string(b))
}

func TestSeveralGroups(t *testing.T) {
	t.Parallel()
	groups := append(oneGroup(1), httpd.DaemonGroup{Name: "other", ID: 2, Processes: 2, Threads: 3, ShutdownTimeout: time.Second})
	s := newServer(t, testConf{Groups: groups}).start()
	// The server's own process accepts from clients; the name of its group is empty.
	w := s.up("v1")
	assert.Equal(t, strconv.Itoa(os.Getuid()), w[3])
	sockets := func() []string {
		list, err := filepath.Glob(filepath.Join(s.dir, "wsgi.*.sock"))
		require.NoError(t, err)
		return list
	}
	require.Len(t, sockets(), 3)
	for i, want := range []string{"0 app", "1 other", "0 other"} { // each process has a socket of its own
		one := newServer(t, testConf{Listen: []httpd.ListenSpec{{Network: "unix", Addr: sockets()[i]}}})
		assert.Equal(t, want, strings.Join(one.up("v1")[2:4], " "))
	}
	st, err := os.Stat(sockets()[0])
	require.NoError(t, err)
	assert.Equal(t, os.FileMode(0o600), st.Mode().Perm())
	s.signal(syscall.SIGTERM)
	assert.Equal(t, 0, s.wait())
	assert.Empty(t, sockets())
}

func TestServiceGroup(t *testing.T) {
	t.Parallel()
	// A group without request threads never reports ready; it must not hold a
	// reload up, nor take the place of the group that accepts.
	groups := append(oneGroup(1), httpd.DaemonGroup{Name: "job", ID: 2, Processes: 1, Threads: 0, ShutdownTimeout: time.Second})
	s := newServer(t, testConf{Groups: groups}).start()
	assert.Equal(t, "app", s.up("v1")[3])
	s.conf.Version = "v2"
	s.writeConf()
	s.signal(syscall.SIGUSR1)
	s.up("v2")
}

func TestLogs(t *testing.T) {
	t.Parallel()
	s := newServer(t, testConf{})
	errlog, acc := filepath.Join(s.dir, "error_log"), filepath.Join(s.dir, "access_log")
	piped := filepath.Join(s.dir, "piped")
	s.conf.ErrorLog = httpd.LogTarget{Name: errlog}
	s.conf.Logs = []httpd.LogTarget{{Name: acc}, {Kind: httpd.LogToPipe, Shell: true, Name: "exec cat >> " + piped}}
	s.start()
	s.up("v1")
	has := func(file, text string) func() bool {
		return func() bool { b, _ := os.ReadFile(file); return strings.Contains(string(b), text) }
	}
	s.eventually(has(errlog, "AH00489"), "error log")
	s.eventually(has(acc, "log "+acc), "access log")
	s.eventually(has(piped, "log |$exec cat"), "piped log")
	assert.Empty(t, s.out.String(), "everything belongs to the error log")
	// Rotation: rename, then restart.
	require.NoError(t, os.Rename(acc, acc+".1"))
	s.signal(syscall.SIGUSR1)
	s.eventually(has(acc, "log "+acc), "access log not reopened")
	s.signal(syscall.SIGTERM)
	assert.Equal(t, 0, s.wait())
	assert.True(t, has(errlog, "AH00169: caught SIGTERM, shutting down")())
}

func needRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("changing users needs root")
	}
}

func TestRootDropsPrivileges(t *testing.T) {
	needRoot(t)
	t.Parallel()
	u, err := user.Lookup("nobody")
	if err != nil {
		t.Skip("no user nobody")
	}
	// The test binary lies in a directory that only root may enter.
	exe, err := os.Executable()
	require.NoError(t, err)
	dir, err := os.MkdirTemp("", "process-test")
	require.NoError(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	require.NoError(t, os.Chmod(dir, 0o755))
	data, err := os.ReadFile(exe)
	require.NoError(t, err)
	bin := filepath.Join(dir, "worker")
	require.NoError(t, os.WriteFile(bin, data, 0o755))

	g := oneGroup(1)
	g[0].SupplementaryGroups = []string{"#4242", "#4343"}
	s := newServer(t, testConf{User: "nobody", Groups: g, Executable: bin}).start("X=1")
	w := s.up("v1") // other groups than User's: not the one that accepts
	assert.Equal(t, []string{u.Uid, u.Gid}, w[3:5])
	sock := filepath.Join(s.dir, fmt.Sprintf("wsgi.%d.1.1.sock", s.cmd.Process.Pid))
	st, err := os.Stat(sock)
	require.NoError(t, err)
	assert.Equal(t, u.Uid, strconv.Itoa(owner(st)))
	s.conf.Listen = []httpd.ListenSpec{{Network: "unix", Addr: sock}}
	w = s.up("v1")
	assert.Equal(t, []string{"app", u.Uid, u.Gid}, w[3:6])
	assert.ElementsMatch(t, []string{u.Gid, "4242", "4343"}, strings.Fields(strings.Trim(strings.Join(w[6:], " "), "[]")))
	assert.Equal(t, u.HomeDir, s.ask("env HOME"))
}

func TestRootRefused(t *testing.T) {
	needRoot(t)
	t.Parallel()
	cases := []struct{ user, group, want string }{
		{"root", "", "refusing to run the application as root"},
		{"#0", "", "refusing to run the application as root"},
		{"", "", "without a User directive"},
		{"no-such-user-here", "", "bad user name no-such-user-here"},
		{"nobody", "no-such-group-here", "bad group name no-such-group-here"},
	}
	for _, c := range cases {
		s := newServer(t, testConf{User: c.user, Group: c.group}).start("X=1")
		assert.Equal(t, 1, s.wait())
		assert.Contains(t, s.out.String(), c.want)
	}
}

// A connection that was sent to a process which dies before it reads it goes
// to the next one.
func TestHandoffSurvivesItsReceiver(t *testing.T) {
	for _, how := range []string{"hand x", "share 1 x"} {
		s := newServer(t, testConf{Mode: "deaf", Groups: oneGroup(2)}).start()
		s.eventually(func() bool { return strings.Count(s.out.String(), "is ready") >= 2 }, "two processes")
		assert.Regexp(t, `^handed x \d+ v1`, s.ask(how))
		s.logged("dies with a frame unread")
	}
}

// The supervisor keeps a connection only until the receiver has it.
func TestHandoffIsLetGo(t *testing.T) {
	s := newServer(t, testConf{Groups: oneGroup(2)}).start()
	s.up("v1")
	s.eventually(func() bool { return strings.Count(s.out.String(), "is ready") >= 2 }, "two processes")
	before := s.descriptors()
	for range 20 {
		assert.Regexp(t, `^handed x \d+ v1`, s.ask("hand x"))
	}
	s.eventually(func() bool { return s.descriptors() <= before }, "descriptors stay in the supervisor")
}
