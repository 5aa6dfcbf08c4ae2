// Unit tests of the supervisor's parts: identities, pid file, sockets, logs,
// the layout of groups, and the configuration pipe.
package process

import (
	"bytes"
	"errors"
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

	"modwsgi/gocore/internal/conf"
	"modwsgi/gocore/internal/errorlog"
	"modwsgi/gocore/internal/httpd"
)

func TestParseID(t *testing.T) {
	cases := []struct {
		in  string
		id  int
		num bool
		err bool
	}{
		{"www", 0, false, false}, {"#33", 33, true, false}, {"#0", 0, true, false},
		{"#-1", 0, true, true}, {"#", 0, true, true}, {"#4294967295", 0, true, true}, {"#4294967294", 4294967294, true, false}, {"#3x", 0, true, true},
	}
	for _, c := range cases {
		id, num, err := parseID(c.in)
		assert.Equal(t, c.num, num, c.in)
		assert.Equal(t, c.err, err != nil, c.in)
		if err == nil {
			assert.Equal(t, c.id, id, c.in)
		}
	}
}

func TestResolveIdentity(t *testing.T) {
	id, err := resolveIdentity("root", "", nil)
	require.NoError(t, err)
	assert.Equal(t, 0, id.uid)
	assert.Equal(t, "root", id.name)
	assert.Contains(t, id.groups, id.gid)

	id, err = resolveIdentity("#54321", "#54322", nil)
	require.NoError(t, err)
	assert.Equal(t, identity{uid: 54321, gid: 54322, groups: []int{54322}}, id)

	id, err = resolveIdentity("#54321", "#54322", []string{"#7", "#7", "#54322"})
	require.NoError(t, err)
	assert.Equal(t, []int{54322, 7}, id.groups)

	for _, bad := range [][3]string{{"", "", ""}, {"#54321", "", "Group"}, {"nobody-here", "", "nobody-here"}, {"root", "no-group-here", "no-group-here"}} {
		_, err = resolveIdentity(bad[0], bad[1], nil)
		require.Error(t, err)
		assert.Contains(t, err.Error(), bad[2])
	}
	assert.Equal(t, []string{"A=1", "HOME=/h", "USER=u", "LOGNAME=u"},
		identity{uid: 1, name: "u", home: "/h"}.environ([]string{"HOME=/root", "A=1", "USER=root"}))
}

func TestLastWins(t *testing.T) {
	assert.Equal(t, []string{"B=2", "A=3", "C"}, lastWins([]string{"A=1", "B=2", "A=3", "C"}))
}

func TestPIDFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pid")
	write := func(s string, when time.Time) {
		require.NoError(t, os.WriteFile(path, []byte(s), 0o644))
		require.NoError(t, os.Chtimes(path, when, when))
	}
	own := strconv.Itoa(os.Getpid())
	parent := strconv.Itoa(os.Getppid())
	cases := []struct {
		name, content string
		age           time.Duration
		refused       bool
	}{
		{"none", "", 0, false},
		{"garbage", "x y\n", 0, false},
		{"our own number", own + "\n", 0, false},
		{"dead", "999999999\n", 0, false},
		{"alive", parent + "\n", -time.Hour, true}, // written later than it started
		{"number used again", parent + "\n", 24 * 365 * 20 * time.Hour, false},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			write(c.content, time.Now().Add(-c.age))
			p, err := claimPIDFile(path)
			if c.refused {
				var running *runningError
				require.ErrorAs(t, err, &running)
				assert.Equal(t, os.Getppid(), running.pid)
				return
			}
			require.NoError(t, err)
			require.NoError(t, p.write())
			data, err := os.ReadFile(path)
			require.NoError(t, err)
			assert.Equal(t, own+"\n", string(data))
			_, err = claimPIDFile(path)
			var running *runningError
			assert.ErrorAs(t, err, &running, "locked")
			p.release()
			assert.NoFileExists(t, path)
		})
	}
	t.Run("replaced meanwhile", func(t *testing.T) {
		p, err := claimPIDFile(path)
		require.NoError(t, err)
		require.NoError(t, os.Remove(path))
		write("1\n", time.Now())
		p.release()
		assert.FileExists(t, path, "it belongs to somebody else now")
	})
	_, err := claimPIDFile(filepath.Join(t.TempDir(), "missing", "pid"))
	assert.Error(t, err)
}

func testOptions(httpd.ListenSpec) listenOptions {
	return listenOptions{backlog: 10, mode: 0o600, uid: -1, gid: -1}
}

func TestListenDual(t *testing.T) {
	_, port, err := net.SplitHostPort(freePort(t))
	require.NoError(t, err)
	ls, err := openListeners([]httpd.ListenSpec{{Network: "tcp", Addr: ":" + port}}, nil, testOptions)
	require.NoError(t, err)
	defer closeListeners(ls)
	c, err := net.Dial("tcp4", "127.0.0.1:"+port)
	require.NoError(t, err)
	_ = c.Close()
	if l, err := net.Listen("tcp6", "[::1]:0"); err == nil {
		_ = l.Close()
		c, err = net.Dial("tcp6", "[::1]:"+port)
		require.NoError(t, err)
		_ = c.Close()
	}
	for _, want := range []struct{ cmd, flag int }{{unix.F_GETFD, unix.FD_CLOEXEC}, {unix.F_GETFL, unix.O_NONBLOCK}} {
		flags, err := unix.FcntlInt(uintptr(ls[0].fd), want.cmd, 0)
		require.NoError(t, err)
		assert.NotZero(t, flags&want.flag)
	}
}

func TestListenBothWildcards(t *testing.T) {
	_, port, err := net.SplitHostPort(freePort(t))
	require.NoError(t, err)
	for _, other := range []string{":" + port, "[::]:" + port} {
		ls, err := openListeners([]httpd.ListenSpec{{Network: "tcp", Addr: other}, {Network: "tcp", Addr: "0.0.0.0:" + port}}, nil, testOptions)
		if errors.Is(err, unix.EAFNOSUPPORT) || errors.Is(err, unix.EADDRINUSE) && other[0] == ':' {
			continue // a machine without IPv6
		}
		require.NoError(t, err)
		assert.Len(t, ls, 2)
		closeListeners(ls)
	}
}

func TestListenReuseAndErrors(t *testing.T) {
	a := httpd.ListenSpec{Network: "tcp", Addr: freePort(t)}
	first, err := openListeners([]httpd.ListenSpec{a, a}, nil, testOptions)
	require.NoError(t, err)
	defer closeListeners(first)
	require.Len(t, first, 1)
	second, err := openListeners([]httpd.ListenSpec{a}, first, testOptions)
	require.NoError(t, err)
	assert.Same(t, first[0], second[0])

	_, err = openListeners([]httpd.ListenSpec{a}, nil, testOptions)
	require.Error(t, err)
	assert.True(t, strings.HasPrefix(err.Error(), "(98)Address already in use: AH00072: make_sock: could not bind to address "+a.Addr), err.Error())
	_, err = openListeners([]httpd.ListenSpec{{Network: "tcp", Addr: "192.0.2.1:80"}}, nil, testOptions)
	require.Error(t, err)
	assert.Contains(t, err.Error(), "192.0.2.1:80")
	e := &bindError{httpd.ListenSpec{Network: "tcp", Addr: ":80"}, "bind to", syscall.EACCES}
	assert.Equal(t, "(13)Permission denied: AH00072: make_sock: could not bind to address :80\nports below 1024 need root, or the capability CAP_NET_BIND_SERVICE", e.Error())
}

func TestListenUnix(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "s")
	spec := []httpd.ListenSpec{{Network: "unix", Addr: path}}
	ls, err := openListeners(spec, nil, testOptions)
	require.NoError(t, err)
	st, err := os.Stat(path)
	require.NoError(t, err)
	assert.Equal(t, os.FileMode(0o600), st.Mode().Perm())
	_, err = openListeners(spec, nil, testOptions)
	assert.ErrorIs(t, err, syscall.EADDRINUSE, "a live one must not be removed")
	_ = unix.Close(ls[0].fd) // as if the server had been killed
	ls, err = openListeners(spec, nil, testOptions)
	require.NoError(t, err, "a stale one must")
	closeListeners(ls)
	assert.NoFileExists(t, path)

	require.NoError(t, os.WriteFile(path, []byte("precious"), 0o600))
	_, err = openListeners(spec, nil, testOptions)
	require.Error(t, err)
	assert.FileExists(t, path)
	require.NoError(t, os.Symlink(path, filepath.Join(dir, "link")))
	require.Error(t, settleSocket(filepath.Join(dir, "link"), 0o666, -1, -1), "put in the place of the socket after bind")
	st, err = os.Stat(path)
	require.NoError(t, err)
	assert.Equal(t, os.FileMode(0o600), st.Mode().Perm())
	_, err = openListeners([]httpd.ListenSpec{{Network: "unix", Addr: filepath.Join(dir, strings.Repeat("x", 120))}}, nil, testOptions)
	assert.ErrorContains(t, err, "longer than")
}

func TestRecord(t *testing.T) {
	at := time.Date(2026, 11, 21, 14, 20, 14, 123456789, time.UTC)
	r := &errorlog.Record{Time: at, Level: levelNotice, Module: "mpm", PID: 7, TID: 8, Message: "hello", Server: "a.example"}
	l := &errorLog{}
	assert.Equal(t, "[Sat Nov 21 14:20:14.123456 2026] [mpm:notice] [pid 7:tid 8] hello\n", string(l.append(nil, r)))
	l.shape(&httpd.VirtualHost{ErrorLogFormat: "%v %l %M"})
	assert.Equal(t, "a.example notice hello\n", string(l.append(nil, r)))
	l.shape(&httpd.VirtualHost{ErrorLog: httpd.LogTarget{Kind: httpd.LogToSyslog}})
	assert.Equal(t, "<5>[mpm:notice] [pid 7:tid 8] hello\n", string(l.append(nil, r)))
}

// A process that says ever new things fills neither the supervisor's memory nor the screen.
func TestNoticesAreBounded(t *testing.T) {
	s := &supervisor{noticed: map[string]time.Time{}}
	for i := range 10 * noticeKept {
		s.news(clip(append([]byte(strconv.Itoa(i)), make([]byte, MaxFramePayload-10)...)))
	}
	assert.Len(t, s.noticed, noticeKept)
	for text := range s.noticed {
		require.Len(t, text, noticeMax)
		s.noticed[text] = time.Now().Add(-noticeAgain)
	}
	assert.True(t, s.news("later"))
	assert.False(t, s.news("later"))
	assert.Len(t, s.noticed, 1)
}

func TestErrorLogLevels(t *testing.T) {
	r, w, err := os.Pipe()
	require.NoError(t, err)
	defer r.Close()
	l := &errorLog{}
	l.redirect(int(w.Fd()), httpd.LogLevels{Default: 4, Module: map[string]int{"wsgi": levelInfo}}.Level)
	l.printf("mpm", levelInfo, "hidden")
	l.printf("mpm", levelNotice, "notices are never hidden\nnor is this")
	l.printf("wsgi", levelInfo, "shown")
	require.NoError(t, w.Close())
	var b bytes.Buffer
	_, err = b.ReadFrom(r)
	require.NoError(t, err)
	assert.Equal(t, 3, strings.Count(b.String(), "\n"))
	assert.NotContains(t, b.String(), "] hidden\n")
	assert.Contains(t, b.String(), "[wsgi:info]")
}

func TestSplitCommand(t *testing.T) {
	cases := []struct {
		in   string
		want []string
	}{
		{`rotatelogs /var/log/x.%Y 5M`, []string{"rotatelogs", "/var/log/x.%Y", "5M"}},
		{`"a b" 'c "d"' e\ f ""`, []string{"a b", `c "d"`, "e f", ""}},
		{`x"y"z`, []string{"xyz"}},
		{`  `, nil}, {`"open`, nil}, {`end\`, nil},
	}
	for _, c := range cases {
		got, err := splitCommand(c.in)
		assert.Equal(t, c.want == nil, err != nil, c.in)
		assert.Equal(t, c.want, got, c.in)
	}
}

func TestLogProgramIsRestarted(t *testing.T) {
	file := filepath.Join(t.TempDir(), "out")
	p, err := startLogProgram(httpd.LogTarget{Kind: httpd.LogToPipe, Shell: true, Name: "read l; echo \"$l\" >> " + file}, &errorLog{fd: 2})
	require.NoError(t, err)
	require.NoError(t, errorlog.Write(p.w, []byte("one\n")))
	require.Eventually(t, func() bool { b, _ := os.ReadFile(file); return string(b) == "one\n" }, 5*time.Second, 5*time.Millisecond)
	require.NoError(t, errorlog.Write(p.w, []byte("two\n"))) // nobody reads at this moment
	require.Eventually(t, func() bool { b, _ := os.ReadFile(file); return string(b) == "one\ntwo\n" }, 5*time.Second, 5*time.Millisecond)
	p.close()
	_, err = startLogProgram(httpd.LogTarget{Kind: httpd.LogToPipe, Name: "/no/such/program x"}, &errorLog{fd: 2})
	assert.ErrorContains(t, err, "/no/such/program")
}

func TestOpenLogsFailure(t *testing.T) {
	_, err := openLogs(httpd.LogTarget{Name: "/no/such/dir/error_log"}, nil, &errorLog{fd: 2})
	require.Error(t, err)
	assert.Equal(t, "(2)No such file or directory: AH00091: could not open log file /no/such/dir/error_log", err.Error())
	s, err := openLogs(httpd.LogTarget{Name: "/dev/stderr"}, []httpd.LogTarget{{Name: "/dev/stdout"}, {Name: "/dev/stderr"}}, &errorLog{fd: 2})
	require.NoError(t, err)
	assert.True(t, s.stdio)
	assert.Equal(t, []string{"/dev/stderr", "/dev/stdout"}, s.names)
	s.close()
}

func TestLayout(t *testing.T) {
	directive := func(name string, args ...string) *conf.Directive { return &conf.Directive{Name: name, Args: args} }
	listen := []httpd.ListenSpec{{Network: "tcp", Addr: ":80"}}
	group := func(id int, name string, threads int) httpd.DaemonGroup {
		return httpd.DaemonGroup{Name: name, ID: id, Processes: 2, Threads: threads}
	}
	chroot := group(1, "jail", 5)
	chroot.Chroot = "/jail"
	cases := []struct {
		name   string
		groups []httpd.DaemonGroup
		tree   []*conf.Directive
		want   map[string]string // group -> "processes/threads/what it listens on"
	}{
		{"embedded", nil, nil, map[string]string{"": "1/25/:80"}},
		{"embedded, sized", nil, []*conf.Directive{directive("StartServers", "9"), directive("ServerLimit", "4"), directive("ThreadsPerChild", "7")},
			map[string]string{"": "4/7/:80"}},
		{"one group", []httpd.DaemonGroup{group(1, "a", 5)}, nil, map[string]string{"a": "2/5/:80"}},
		{"one group and a service", []httpd.DaemonGroup{group(1, "a", 5), group(2, "s", 0)}, nil, map[string]string{"a": "2/5/:80", "s": "2/0/"}},
		{"only a service", []httpd.DaemonGroup{group(1, "s", 0)}, nil, map[string]string{"s": "2/0/", "": "1/25/:80"}},
		{"two groups", []httpd.DaemonGroup{group(1, "a", 5), group(2, "b", 1)}, nil,
			map[string]string{"a": "2/5/sock1", "b": "2/1/sock2", "": "1/25/:80"}},
		{"chroot", []httpd.DaemonGroup{chroot}, nil, map[string]string{"jail": "2/5/sock1", "": "1/25/:80"}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			tree := &conf.Tree{Root: c.tree}
			srv := &httpd.Server{Listen: listen, Groups: c.groups, ServerRoot: "/srv"}
			plans, err := layout(&snapshot{tree: tree, srv: srv}, 1, c.name == "chroot", true)
			require.NoError(t, err)
			got := map[string]string{}
			for _, p := range plans {
				on := ""
				for _, l := range p.listen {
					on += l.Addr
				}
				var paths []string
				for i, l := range p.sockets {
					assert.Equal(t, ProtoHop, l.Proto)
					paths = append(paths, l.Addr)
					if i == 0 {
						on = "sock" + strings.TrimSuffix(l.Addr[strings.LastIndexByte(strings.TrimSuffix(l.Addr, ".sock"), '.')+1:], ".sock")
						continue
					}
					assert.Equal(t, strings.TrimSuffix(paths[0], "sock")+strconv.Itoa(i)+".sock", l.Addr)
				}
				if front := plans[len(plans)-1]; len(paths) > 0 {
					assert.Equal(t, paths, front.hops[p.name])
					assert.Len(t, paths, p.processes)
					assert.Nil(t, p.hops)
				}
				got[p.name] = strconv.Itoa(p.processes) + "/" + strconv.Itoa(p.threads) + "/" + on
			}
			assert.Equal(t, c.want, got)
		})
	}
	_, err := layout(&snapshot{tree: &conf.Tree{}, srv: &httpd.Server{Listen: listen, Groups: []httpd.DaemonGroup{chroot}}}, 1, false, false)
	assert.ErrorContains(t, err, `chroot=/jail of process group "jail" needs a server that is started as root`)
	_, err = layout(&snapshot{tree: &conf.Tree{}, srv: &httpd.Server{}}, 1, false, false)
	assert.ErrorContains(t, err, "no listening sockets available")
}

func TestWorkerConfigTravels(t *testing.T) {
	c := &WorkerConfig{Group: "g", Threads: 5, Uid: -1, Gid: -1, LogNames: []string{"a"}, Front: true, FrontUID: 7, Hops: map[string][]string{"g": {"/s", "/s.1"}},
		Listeners: []httpd.ListenSpec{{Network: "tcp", Addr: ":80", Pos: conf.Pos{File: "f", Line: 3}}},
		Tree: &conf.Tree{Defines: map[string]string{"X": ""}, Root: []*conf.Directive{{Name: "VirtualHost", Section: true, Args: []string{"*:80"},
			Children: []*conf.Directive{{Name: "ServerName", Args: []string{"x"}, Pos: conf.Pos{File: "f", Line: 9}}}}}}}
	var b bytes.Buffer
	require.NoError(t, c.Write(&b))
	got, err := ReadWorkerConfig(&b)
	require.NoError(t, err)
	assert.Equal(t, c, got)
	_, err = ReadWorkerConfig(strings.NewReader("junk"))
	assert.Error(t, err)
}
