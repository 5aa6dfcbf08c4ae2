// Tests of what the supervisor has to do with whoever started it: passed
// sockets, notifications, the watchdog, and the children of others.
package process

import (
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"modwsgi/gocore/internal/httpd"
)

func init() {
	becomeReaper = func() {
		if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
			panic(err)
		}
	}
}

// asService starts s with more variables, as root if the tests are.
func (s *server) asService(env ...string) *server {
	s.conf.User, s.conf.Group = "#0", "#0"
	return s.start(append(env, "PROCESS_TEST_ALLOW_ROOT=1")...)
}

// passSocket makes a listening socket for the server to inherit.
func passSocket(t *testing.T, s *server, network, addr string) net.Listener {
	t.Helper()
	l, err := net.Listen(network, addr)
	require.NoError(t, err)
	t.Cleanup(func() { l.Close() })
	f, err := l.(interface{ File() (*os.File, error) }).File()
	require.NoError(t, err)
	t.Cleanup(func() { f.Close() })
	s.passed = append(s.passed, f)
	return l
}

func TestPassedSocket(t *testing.T) {
	t.Parallel()
	s := newServer(t, testConf{Groups: oneGroup(2)})
	l := passSocket(t, s, "tcp4", s.conf.Listen[0].Addr)
	s.asService("LISTEN_FDS=1", "LISTEN_FDNAMES=web")
	s.up("v1")
	for _, name := range serviceVariables {
		assert.Empty(t, s.ask("env "+name), name)
	}
	s.conf.Version = "v2"
	s.writeConf()
	s.signal(syscall.SIGUSR1)
	s.up("v2")
	s.conf.Version = "v3"
	s.writeConf()
	s.signal(syscall.SIGHUP)
	s.up("v3")
	s.signal(syscall.SIGTERM)
	assert.Equal(t, 0, s.wait())
	// The next server finds who comes now: the socket was closed, not shut down.
	c, err := s.dial()
	require.NoError(t, err)
	defer c.Close()
	got, err := l.Accept()
	require.NoError(t, err)
	got.Close()
	assert.NotContains(t, s.out.String(), "WSGI033")
}

func TestPassedSocketByName(t *testing.T) {
	t.Parallel()
	s := newServer(t, testConf{})
	addr := s.conf.Listen[0].Addr
	s.conf.Listen = []httpd.ListenSpec{{Network: NetworkSystemd, Addr: "web", Proto: "http"}}
	passSocket(t, s, "tcp4", addr)
	path := filepath.Join(s.dir, "sock")
	passSocket(t, s, "unix", path).(*net.UnixListener).SetUnlinkOnClose(false)
	idle := passSocket(t, s, "tcp4", "127.0.0.1:0").Addr().String()
	s.asService("LISTEN_FDS=3", "LISTEN_FDNAMES=web:web:idle")
	for _, spec := range []httpd.ListenSpec{{Network: "tcp4", Addr: addr}, {Network: "unix", Addr: path}} {
		s.conf.Listen = []httpd.ListenSpec{spec}
		s.up("v1")
	}
	s.logged("WSGI0332: nobody serves the socket " + idle + " that was passed to the server as idle")
	s.logged("Add `Listen systemd:idle` or `Listen " + idle + "`")
	s.signal(syscall.SIGTERM)
	assert.Equal(t, 0, s.wait())
	assert.FileExists(t, path, "a Unix socket of the service manager is not ours to remove")
}

func TestPassedSocketMissing(t *testing.T) {
	t.Parallel()
	for name, env := range map[string][]string{
		"none was: start the server through its socket unit": nil,
		"passed were other (":                                {"LISTEN_FDS=1", "LISTEN_FDNAMES=other"},
		"it is not a listening stream socket":                {"LISTEN_FDS=2", "LISTEN_FDNAMES=other:web"},
		"\"no\" is no number":                                {"LISTEN_FDS=no"},
		"a script that starts the server has to end":         {"LISTEN_FDS=1", "LISTEN_PID=1"},
	} {
		s := newServer(t, testConf{Listen: []httpd.ListenSpec{{Network: NetworkSystemd, Addr: "web"}}})
		if env != nil && !strings.HasPrefix(env[len(env)-1], "LISTEN_PID") {
			passSocket(t, s, "tcp4", "127.0.0.1:0")
			datagram, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
			require.NoError(t, err)
			s.passed = append(s.passed, os.NewFile(uintptr(datagram), "datagram"))
		}
		s.asService(env...)
		assert.Equal(t, 1, s.wait(), name)
		assert.Contains(t, s.out.String(), "no socket named web was passed to the server")
		assert.Contains(t, s.out.String(), strings.ReplaceAll(name, `\"`, `"`))
	}
}

// An address that overlaps a passed socket cannot be bound: the reason is said.
func TestPassedSocketOverlaps(t *testing.T) {
	t.Parallel()
	s := newServer(t, testConf{})
	_, port, _ := net.SplitHostPort(s.conf.Listen[0].Addr)
	passSocket(t, s, "tcp4", "0.0.0.0:"+port)
	s.asService("LISTEN_FDS=1")
	assert.Equal(t, 1, s.wait())
	assert.Contains(t, s.out.String(), "a socket for 0.0.0.0:"+port+" was passed to the server: write `Listen 0.0.0.0:"+port+"`")
}

func TestStandsFor(t *testing.T) {
	spec := func(network, addr string) httpd.ListenSpec { return httpd.ListenSpec{Network: network, Addr: addr} }
	for _, c := range []struct {
		listen, passed httpd.ListenSpec
		want           bool
	}{
		{spec("tcp", ":80"), spec("tcp6", "[::]:80"), true},
		{spec("tcp", ":80"), spec("tcp4", "0.0.0.0:80"), true},
		{spec("tcp", ":80"), spec("tcp4", "127.0.0.1:80"), false},
		{spec("tcp", ":80"), spec("tcp6", "[::]:81"), false},
		{spec("tcp4", "0.0.0.0:80"), spec("tcp4", "0.0.0.0:80"), true},
		{spec("tcp4", "0.0.0.0:80"), spec("tcp6", "[::]:80"), false},
		{spec("tcp6", "[::]:80"), spec("tcp6", "[::]:80"), true},
		{spec("tcp6", "[::]:80"), spec("tcp4", "0.0.0.0:80"), false},
		{spec("tcp4", "127.0.0.1:80"), spec("tcp6", "[::]:80"), false},
		{spec("tcp4", "127.0.0.1:80"), spec("tcp4", "127.0.0.1:80"), true},
		{spec("tcp6", "[::1]:80"), spec("tcp6", "[::1]:80"), true},
		{spec("tcp4", "127.0.0.1:80"), spec("tcp6", "[::ffff:127.0.0.1]:80"), true},
		{spec("unix", "/run/a"), spec("unix", "/run/a"), true},
		{spec("unix", "/run/a"), spec("tcp4", "0.0.0.0:80"), false},
		{spec("tcp", ":80"), spec("unix", "/run/a"), false},
		{spec(NetworkSystemd, "web"), spec("unix", "/run/a"), true},
		{spec(NetworkSystemd, "other"), spec("unix", "/run/a"), false},
	} {
		assert.Equal(t, c.want, standsFor(c.listen, &listener{spec: c.passed, name: "web"}), "%v for %v", c.listen, c.passed)
	}
}

// notifications is the service manager's end.
type notifications struct {
	t    *testing.T
	c    *net.UnixConn
	addr string
}

func listenNotify(t *testing.T, addr string) *notifications {
	t.Helper()
	c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Net: "unixgram", Name: addr})
	require.NoError(t, err)
	t.Cleanup(func() { c.Close() })
	return &notifications{t, c, addr}
}

// until gives the fields of all messages up to the one with field, last value each.
func (n *notifications) until(field string) map[string]string {
	n.t.Helper()
	all := map[string]string{}
	buf := make([]byte, 4096)
	require.NoError(n.t, n.c.SetReadDeadline(time.Now().Add(8*time.Second)))
	for {
		k, err := n.c.Read(buf)
		require.NoError(n.t, err, "waiting for %s, got %v", field, all)
		for line := range strings.SplitSeq(string(buf[:k]), "\n") {
			name, value, ok := strings.Cut(line, "=")
			require.True(n.t, ok, "%q", line)
			all[name] = value
		}
		if name, value, _ := strings.Cut(field, "="); strings.HasPrefix(all[name], value) {
			return all
		}
	}
}

func TestNotify(t *testing.T) {
	t.Parallel()
	for _, abstract := range []bool{false, true} {
		s := newServer(t, testConf{Groups: oneGroup(2), Mode: "slow"})
		addr := filepath.Join(s.dir, "notify")
		if abstract {
			addr = "@modwsgi-test-" + strconv.Itoa(os.Getpid())
		}
		n := listenNotify(t, addr)
		s.asService("NOTIFY_SOCKET=" + addr)
		got := n.until("STATUS=Starting: 0 of 2 processes serve")
		assert.NotContains(t, got, "READY", "before anybody serves")
		got = n.until("READY=1")
		assert.Equal(t, strconv.Itoa(s.cmd.Process.Pid), got["MAINPID"])
		assert.Equal(t, "Serving with 2 processes", got["STATUS"])

		before := monotonic().Microseconds()
		s.signal(syscall.SIGUSR1)
		got = n.until("RELOADING=1")
		when, err := strconv.ParseInt(got["MONOTONIC_USEC"], 10, 64)
		require.NoError(t, err)
		assert.GreaterOrEqual(t, when, before)
		assert.NotContains(t, got, "READY")
		n.until("READY=1")

		s.conf.Error = "unknown directive"
		s.writeConf()
		s.signal(syscall.SIGHUP)
		n.until("RELOADING=1")
		got = n.until("READY=1") // or the manager would wait for ever
		assert.Contains(t, got["STATUS"], "Serving with 2 processes and the old configuration: AH00526: Syntax error on line 7")

		s.conf.Error = ""
		s.writeConf()
		s.signal(syscall.SIGHUP)
		n.until("RELOADING=1")
		assert.Equal(t, "Serving with 2 processes", n.until("READY=1")["STATUS"])

		s.signal(syscall.SIGTERM)
		assert.Contains(t, n.until("STOPPING=1")["STATUS"], "Stopping: 2 processes still running")
		assert.Equal(t, 0, s.wait())
	}
}

func TestNotifyFailedStart(t *testing.T) {
	t.Parallel()
	s := newServer(t, testConf{Error: "unknown directive"})
	n := listenNotify(t, filepath.Join(s.dir, "notify"))
	s.asService("NOTIFY_SOCKET=" + n.addr)
	assert.Contains(t, n.until("STATUS=AH00526")["STATUS"], "unknown directive")
	assert.Equal(t, 1, s.wait())
}

// A process that cannot watch itself any more is replaced, and the watchdog
// goes on being told; of nobody's death does the server as a whole die.
func TestWatchdog(t *testing.T) {
	t.Parallel()
	s := newServer(t, testConf{Groups: oneGroup(2)})
	n := listenNotify(t, filepath.Join(s.dir, "notify"))
	s.asService("NOTIFY_SOCKET="+n.addr, "WATCHDOG_USEC=300000")
	n.until("READY=1")
	n.until("WATCHDOG=1")
	pid := s.up("v1")[0]
	number, _ := strconv.Atoi(pid)
	require.NoError(t, unix.Kill(number, unix.SIGSTOP))
	s.logged("(pid " + pid + ") has not answered the supervisor for ")
	s.logged("(pid " + pid + ") was killed by SIGKILL")
	n.until("WATCHDOG=1")
	n.until("WATCHDOG=1")
	assert.NotContains(t, s.out.String(), "WSGI0335")
}

// Without a process that answers, the watchdog is told nothing.
func TestWatchdogSilence(t *testing.T) {
	g := &generation{groups: []*procGroup{{groupPlan: groupPlan{threads: 5}, slots: []*slot{{}}}, {slots: []*slot{{}}}}}
	now := time.Now()
	assert.False(t, g.answers(now, time.Second), "nobody")
	c := &child{state: childStarting}
	g.groups[0].slots[0].cur = c
	assert.False(t, g.answers(now, time.Second), "starting")
	c.state = childReady
	assert.True(t, g.answers(now, time.Second))
	c.pinged = now.Add(-time.Second / 2)
	assert.True(t, g.answers(now, time.Second), "may answer yet")
	c.pinged = now.Add(-time.Second)
	assert.False(t, g.answers(now, time.Second), "silent")
}

func TestStrangersAreReaped(t *testing.T) {
	t.Parallel()
	s := newServer(t, testConf{Groups: oneGroup(2)})
	s.role = "reaper"
	s.asService()
	w := s.up("v1")
	for range 5 {
		orphan := s.ask("orphan")
		s.eventually(func() bool {
			_, err := os.Stat("/proc/" + orphan)
			return os.IsNotExist(err)
		}, "the orphan "+orphan+" is still in the process table")
	}
	// The status of an own child is not taken from who waits for it.
	number, _ := strconv.Atoi(w[0])
	require.NoError(t, unix.Kill(number, unix.SIGKILL))
	s.logged("(pid " + w[0] + ") was killed by SIGKILL (9)")
	s.signal(syscall.SIGTERM)
	assert.Equal(t, 0, s.wait())
	assert.NotContains(t, s.out.String(), "vanished")
}
