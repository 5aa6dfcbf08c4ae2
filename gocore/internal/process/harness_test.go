// The test binary plays all parts: started again with an environment variable
// it is a supervisor with a configuration in JSON, or the worker process that
// such a supervisor starts, which speaks the control frames and answers one
// command per connection.
package process

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"modwsgi/gocore/internal/conf"
	"modwsgi/gocore/internal/httpd"
)

const (
	roleEnv = "PROCESS_TEST_ROLE"
	confEnv = "PROCESS_TEST_CONF"
	oomEnv  = "PROCESS_TEST_OOM"
)

// testConf is the configuration of the tests.
type testConf struct {
	Listen      []httpd.ListenSpec
	Groups      []httpd.DaemonGroup
	Mode        string // what workers do, see fakeWorker
	Version     string
	Error       string // a configuration error
	PidFile     string
	ErrorLog    httpd.LogTarget
	Logs        []httpd.LogTarget
	User, Group string
	Graceful    time.Duration
	Executable  string
	Stable      bool   // WSGISocketRotation Off
	Prefix      string // WSGISocketPrefix
}

// becomeReaper makes the orphans below this process its children, where that is possible.
var becomeReaper = func() {}

func TestMain(m *testing.M) {
	switch os.Getenv(roleEnv) {
	case "reaper":
		becomeReaper()
		os.Exit(fakeServer(os.Getenv(confEnv)))
	case "supervisor":
		os.Exit(fakeServer(os.Getenv(confEnv)))
	case "worker":
		fakeWorker()
	}
	os.Exit(m.Run())
}

func loadTestConf(opt SuperviseOptions) (*snapshot, []conf.Diagnostic) {
	bad := func(line int, msg string) (*snapshot, []conf.Diagnostic) {
		return nil, []conf.Diagnostic{{Severity: conf.Error, Pos: conf.Pos{File: opt.ConfigFile, Line: line},
			Directive: "Listne", Message: msg, Suggestion: "did you mean Listen?"}}
	}
	data, err := os.ReadFile(opt.ConfigFile)
	if err != nil {
		return bad(0, err.Error())
	}
	var c testConf
	if err := json.Unmarshal(data, &c); err != nil {
		return bad(1, err.Error())
	}
	if c.Error != "" {
		return bad(7, c.Error)
	}
	tree := &conf.Tree{Root: []*conf.Directive{{Name: "ServerName", Args: []string{c.Mode, c.Version}}}}
	srv := &httpd.Server{Listen: c.Listen, Groups: c.Groups, PidFile: c.PidFile, ErrorLog: c.ErrorLog, User: c.User, Group: c.Group,
		GracefulShutdownTimeout: c.Graceful, Software: "Test/" + c.Version, ServerRoot: filepath.Dir(opt.ConfigFile), Tree: tree,
		Main: &httpd.VirtualHost{LogLevel: httpd.LogLevels{Default: levelDebug}}}
	srv.Python.SocketRotation, srv.Python.SocketPrefix = !c.Stable, c.Prefix
	if c.Prefix == "" {
		srv.Python.SocketPrefix = filepath.Join(srv.ServerRoot, "wsgi")
	}
	return &snapshot{tree: tree, srv: srv, logs: c.Logs}, nil
}

func fakeServer(file string) int {
	loadConfig = loadTestConf
	if f := os.Getenv(oomEnv); f != "" {
		oomCounts = func() oomWatch { return oomWatch{{file: f, what: "a test"}} }
	}
	exe, err := os.Executable()
	if err != nil {
		panic(err)
	}
	data, _ := os.ReadFile(file)
	var c testConf
	if json.Unmarshal(data, &c) == nil && c.Executable != "" {
		exe = c.Executable
	}
	env := append(os.Environ(), roleEnv+"=worker")
	_, allow := os.LookupEnv("PROCESS_TEST_ALLOW_ROOT")
	return Supervise(SuperviseOptions{ConfigFile: file, Executable: exe, Environ: env, Foreground: true, AllowRoot: allow})
}

// fakeWorker is the worker process. Modes: "" well behaved; "nostart" exits
// before it is ready; "slow" gets ready late; "stubborn" ignores 'T' and SIGTERM;
// "held": a front drains and stops only when the file .release is there;
// "gated": the first process of a slot gets ready, the others when that file is there;
// "deaf": the first second process dies of its first frame without reading it.
func fakeWorker() {
	check := func(err error) {
		if err != nil {
			fmt.Fprintln(os.Stderr, "fake worker:", err)
			os.Exit(9)
		}
	}
	cf := os.NewFile(FDConfig, "config")
	cfg, err := ReadWorkerConfig(cf)
	check(err)
	rest, err := io.ReadAll(cf)
	check(err)
	if len(rest) > 0 {
		check(fmt.Errorf("%d bytes after the configuration", len(rest)))
	}
	go func() {
		_, _ = io.ReadAll(os.NewFile(FDLifeline, "lifeline"))
		fmt.Fprintln(os.Stderr, "fake worker: lifeline ended")
		os.Exit(8)
	}()
	conn, err := NewConn(os.NewFile(FDControl, "control"))
	check(err)
	mode, version := cfg.Tree.Root[0].Args[0], cfg.Tree.Root[0].Args[1]
	switch mode {
	case "nostart":
		os.Exit(3)
	case "slow":
		time.Sleep(400 * time.Millisecond)
	case "stubborn":
		signal.Ignore(syscall.SIGTERM)
	}
	if marker := os.Getenv(confEnv) + ".deaf"; mode == "deaf" && cfg.ProcessNum == 1 {
		if f, err := os.OpenFile(marker, os.O_CREATE|os.O_EXCL, 0o600); err == nil {
			_ = f.Close()
			check(conn.Send(&Frame{Type: FrameReady}))
			dieUnread(conn)
		}
	}
	if first := fmt.Sprintf("%s.%s.%d", os.Getenv(confEnv), cfg.Group, cfg.ProcessNum); mode == "gated" {
		if f, err := os.OpenFile(first, os.O_CREATE|os.O_EXCL, 0o600); err == nil {
			_ = f.Close()
		} else {
			waitReleased()
		}
	}
	signal.Ignore(syscall.SIGINT)
	var ls []net.Listener
	fd := FDFirstListener
	for range cfg.Listeners {
		l, err := net.FileListener(os.NewFile(uintptr(fd), "listener"))
		check(err)
		ls = append(ls, l)
		fd++
	}
	for _, name := range cfg.LogNames {
		_, err := fmt.Fprintf(os.NewFile(uintptr(fd), name), "worker %d log %s\n", os.Getpid(), name)
		check(err)
		fd++
	}
	send := func(f Frame) { check(conn.Send(&f)) }
	var mu sync.Mutex
	var kept []net.Conn
	served := false
	pass := func(c net.Conn, frame func(fd int) *Frame) {
		f, err := c.(interface{ File() (*os.File, error) }).File()
		check(err)
		send(*frame(int(f.Fd())))
		_, _ = f.Close(), c.Close()
	}
	hand := func(c net.Conn, payload string) {
		pass(c, func(fd int) *Frame { return &Frame{Type: FrameHandoff, Payload: []byte(payload), FDs: []int{fd}} })
	}
	who := func() string {
		groups, _ := os.Getgroups()
		return fmt.Sprintf("%d %s %d %s %d %d %v", os.Getpid(), version, cfg.ProcessNum, cfg.Group, os.Getuid(), os.Getgid(), groups)
	}
	serve := func(c net.Conn) {
		line, err := bufio.NewReader(c).ReadString('\n')
		if err != nil {
			_ = c.Close()
			return
		}
		word, arg, _ := strings.Cut(strings.TrimSpace(line), " ")
		mu.Lock()
		if !served && word != "useless" {
			served = true
			send(Frame{Type: FrameServed})
		}
		mu.Unlock()
		switch word {
		case "kill", "useless":
			_ = unix.Kill(os.Getpid(), unix.SIGKILL)
		case "exit":
			n, _ := strconv.Atoi(arg)
			os.Exit(n)
		case "replace": // and hand the connection to the successor
			send(Frame{Type: FrameReplace, Payload: []byte("script changed")})
			hand(c, arg)
			return
		case "hand":
			hand(c, arg)
			return
		case "share": // with the process of that number
			num, text, _ := strings.Cut(arg, " ")
			n, _ := strconv.Atoi(num)
			pass(c, func(fd int) *Frame { return NewShare(n, fd, []byte(text)) })
			return
		case "keep":
			fmt.Fprintln(c, who())
			mu.Lock()
			kept = append(kept, c)
			mu.Unlock()
			return
		case "orphan": // the shell ends, its child goes to whoever reaps
			out, err := exec.Command("/bin/sh", "-c", "sleep 0.05 & echo $!").Output()
			check(err)
			fmt.Fprintf(c, "%s", out)
		case "shutdown": // whoever has the listener can: it is the socket itself that changes
			check(unix.Shutdown(FDFirstListener, unix.SHUT_RD))
			fmt.Fprintln(c, who())
		case "listen": // the same
			check(unix.Listen(FDFirstListener, 1))
			fmt.Fprintln(c, who())
		case "flood":
			go func() {
				for conn.Send(&Frame{Type: FramePing}) == nil {
				}
			}()
			fmt.Fprintln(c, who())
		case "env":
			fmt.Fprintln(c, os.Getenv(arg))
		default:
			fmt.Fprintln(c, who())
		}
		_ = c.Close()
	}
	if cfg.Threads > 0 { // before the first connection, as the real one
		send(Frame{Type: FrameReady})
	}
	for _, l := range ls {
		go func() {
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				go serve(c)
			}
		}()
	}
	if cfg.Threads == 0 {
		fmt.Fprintf(os.Stderr, "fake worker: service %s %s runs\n", cfg.Group, version)
	}
	for {
		f, err := conn.Receive()
		check(err)
		if f.Type == FrameStanding {
			socket, state := f.Standing()
			fmt.Fprintf(os.Stderr, "fake worker: of %s told of %s: %d\n", version, filepath.Base(socket), state)
			continue
		}
		if f.Type != FrameHandoff {
			fmt.Fprintf(os.Stderr, "fake worker: %s/%d of %s gets %c\n", cfg.Group, cfg.ProcessNum, version, f.Type)
		}
		if mode == "held" && cfg.Front && f.Type != FrameHandoff { // requests of clients last
			signal.Ignore(syscall.SIGTERM)
			waitReleased()
		}
		switch f.Type {
		case FrameHandoff, FrameShare:
			send(Frame{Type: FrameTaken})
			how := "handed"
			if f.Type == FrameShare {
				how = "shared"
				_, f.Payload = f.Shared()
			}
			nf := os.NewFile(uintptr(f.FDs[0]), "handed")
			c, err := net.FileConn(nf)
			check(err)
			fmt.Fprintf(c, "%s %s %s\n", how, f.Payload, who())
			_, _ = nf.Close(), c.Close()
		case FrameGraceful, FrameDrain:
			for _, l := range ls {
				_ = l.Close()
			}
			mu.Lock()
			for _, c := range kept {
				hand(c, "kept")
			}
			mu.Unlock()
			if mode == "nodrain" {
				continue
			}
			time.Sleep(50 * time.Millisecond)
			os.Exit(0)
		case FramePing:
			send(Frame{Type: FramePing})
		case FrameStop, FrameLeave:
			if mode != "stubborn" {
				os.Exit(0)
			}
		}
	}
}

// waitReleased waits for server.release.
func waitReleased() {
	for {
		if _, err := os.Stat(os.Getenv(confEnv) + ".release"); err == nil {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// dieUnread waits for a frame and kills the process with the frame unread.
func dieUnread(conn *Conn) {
	raw, err := conn.c.SyscallConn()
	if err == nil {
		err = raw.Control(func(fd uintptr) {
			p := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
			for n := 0; n == 0; {
				n, _ = unix.Poll(p, 1000)
			}
		})
	}
	fmt.Fprintln(os.Stderr, "fake worker: dies with a frame unread", err)
	_ = unix.Kill(os.Getpid(), unix.SIGKILL)
	select {}
}

// server is a supervisor in a process of its own.
type server struct {
	t    *testing.T
	dir  string
	file string
	conf testConf
	cmd  *exec.Cmd
	out  *lockedBuffer
	done chan struct{}

	passed []*os.File // as a service manager passes sockets
	role   string
}

type lockedBuffer struct {
	mu sync.Mutex
	b  strings.Builder
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// ports counts those that freePort has looked at, from somewhere on.
var ports = func() *atomic.Uint32 {
	n := new(atomic.Uint32)
	n.Store(rand.Uint32N(12000))
	return n
}()

// freePort gives an address that no other test gets, below the ephemeral ports,
// which clients take between this look and the server's bind.
func freePort(t *testing.T) string {
	t.Helper()
	for range 50 {
		addr := fmt.Sprintf("127.0.0.1:%d", 20000+ports.Add(1)%12000)
		if l, err := net.Listen("tcp4", addr); err == nil {
			l.Close()
			return addr
		}
	}
	t.Fatal("no free port")
	return ""
}

func oneGroup(processes int) []httpd.DaemonGroup {
	return []httpd.DaemonGroup{{Name: "app", ID: 1, Processes: processes, Threads: 5, ShutdownTimeout: 400 * time.Millisecond}}
}

func newServer(t *testing.T, c testConf) *server {
	t.Helper()
	dir := t.TempDir()
	require.NoError(t, os.Chmod(filepath.Dir(dir), 0o755))
	require.NoError(t, os.Chmod(dir, 0o755))
	s := &server{t: t, dir: dir, file: filepath.Join(dir, "httpd.conf"), conf: c, out: &lockedBuffer{}, done: make(chan struct{}), role: "supervisor"}
	if s.conf.Listen == nil {
		s.conf.Listen = []httpd.ListenSpec{{Network: "tcp", Addr: freePort(t), Proto: "http"}}
	}
	if s.conf.Groups == nil {
		s.conf.Groups = oneGroup(1)
	}
	if s.conf.Version == "" {
		s.conf.Version = "v1"
	}
	return s
}

func (s *server) writeConf() {
	data, err := json.Marshal(s.conf)
	require.NoError(s.t, err)
	require.NoError(s.t, os.WriteFile(s.file, data, 0o644))
}

func (s *server) start(env ...string) *server {
	s.t.Helper()
	s.writeConf()
	exe, err := os.Executable()
	require.NoError(s.t, err)
	s.cmd = exec.Command(exe)
	if s.passed != nil {
		s.cmd = exec.Command("/bin/sh", "-c", `LISTEN_PID=$$ exec "$0"`, exe)
		s.cmd.ExtraFiles = s.passed
	}
	s.cmd.Env = append(os.Environ(), roleEnv+"="+s.role, confEnv+"="+s.file)
	s.cmd.Env = append(s.cmd.Env, env...)
	if len(env) == 0 {
		s.cmd.Env = append(s.cmd.Env, "PROCESS_TEST_ALLOW_ROOT=1")
		if s.conf.User == "" { // only looked at when the tests run as root
			s.conf.User, s.conf.Group = "#0", "#0"
			s.writeConf()
		}
	}
	s.cmd.Stdout, s.cmd.Stderr = s.out, s.out
	s.cmd.WaitDelay = time.Second
	require.NoError(s.t, s.cmd.Start())
	go func() { _ = s.cmd.Wait(); close(s.done) }()
	s.t.Cleanup(func() {
		_ = s.cmd.Process.Kill()
		<-s.done
		if s.t.Failed() {
			s.t.Log(s.out.String())
		}
	})
	return s
}

func (s *server) signal(sig syscall.Signal) {
	s.t.Helper()
	require.NoError(s.t, s.cmd.Process.Signal(sig))
}

// wait gives the supervisor's exit code.
func (s *server) wait() int {
	s.t.Helper()
	select {
	case <-s.done:
	case <-time.After(10 * time.Second):
		s.t.Fatal("the supervisor did not end:\n" + s.out.String())
	}
	return s.cmd.ProcessState.ExitCode()
}

func (s *server) dial() (net.Conn, error) {
	l := s.conf.Listen[0]
	c, err := net.DialTimeout(strings.TrimRight(l.Network, "46"), l.Addr, 2*time.Second)
	if err == nil {
		_ = c.SetDeadline(time.Now().Add(8 * time.Second))
	}
	return c, err
}

// try sends one command and gives the answer.
func (s *server) try(cmd string) (string, error) {
	c, err := s.dial()
	if err != nil {
		return "", err
	}
	defer c.Close()
	if _, err := io.WriteString(c, cmd+"\n"); err != nil {
		return "", err
	}
	b, err := io.ReadAll(c)
	return strings.TrimSpace(string(b)), err
}

func (s *server) ask(cmd string) string {
	s.t.Helper()
	got, err := s.try(cmd)
	require.NoError(s.t, err)
	return got
}

// up waits until the server answers with version and gives the answer's words.
func (s *server) up(version string) []string {
	s.t.Helper()
	var words []string
	s.eventually(func() bool {
		got, err := s.try("hello")
		words = strings.Fields(got)
		return err == nil && len(words) > 1 && words[1] == version
	}, "no answer from "+version)
	return words
}

func (s *server) logged(text string) {
	s.t.Helper()
	s.eventually(func() bool { return strings.Contains(s.out.String(), text) }, "not logged: "+text)
}

func (s *server) eventually(f func() bool, msg string) {
	s.t.Helper()
	for end := time.Now().Add(8 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		if f() {
			return
		}
		if time.Now().After(end) {
			s.t.Fatal(msg)
		}
	}
}

// descriptors is how many the supervisor has open.
func (s *server) descriptors() int {
	s.t.Helper()
	list, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", s.cmd.Process.Pid))
	if err != nil {
		s.t.Skip("no /proc")
	}
	return len(list)
}

func gone(pid string) bool {
	n, _ := strconv.Atoi(pid)
	err := unix.Kill(n, 0)
	if err != nil {
		return true
	}
	// A zombie whose new parent does not reap counts as gone.
	b, err := os.ReadFile("/proc/" + pid + "/stat")
	return err == nil && strings.Contains(string(b), ") Z ")
}
