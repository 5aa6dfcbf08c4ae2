// Tests of request sockets that a process has spoiled, of what fronts are told, and of processes that send too much.
package process

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"modwsgi/gocore/internal/hop"
)

// say asks a process something by itself: its socket may take no second connection.
func (s *server) say(word string) []string {
	s.t.Helper()
	var answer []string
	s.eventually(func() bool {
		text, err := s.try(word)
		answer = strings.Fields(text)
		return err == nil && len(answer) > 0
	}, "no answer")
	return answer
}

// listenerPID is who the socket's peer is, for those who connect.
func (s *server) listenerPID(t *testing.T) int {
	c, err := net.Dial("unix", s.conf.Listen[0].Addr)
	require.NoError(t, err)
	defer c.Close()
	raw, err := c.(*net.UnixConn).SyscallConn()
	require.NoError(t, err)
	var cred *unix.Ucred
	require.NoError(t, raw.Control(func(fd uintptr) { cred, err = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED) }))
	require.NoError(t, err)
	return int(cred.Pid)
}

// A process shuts its request socket down, and goes on: both are replaced.
func TestSpoiledSocket(t *testing.T) {
	t.Parallel()
	s := newServer(t, testConf{Groups: twoGroups()}).start()
	app, other := s.behind("1", 1, 0), s.behind("1", 2, 1)
	old, unharmed := app.up("v1")[0], other.up("v1")[0]
	before, err := os.Stat(app.conf.Listen[0].Addr)
	require.NoError(t, err)
	app.say("shutdown")
	s.logged("WSGI0364: the request socket of process 'app' was shut down")
	s.eventually(func() bool {
		text, err := app.try("hello")
		return err == nil && text != "" && !strings.HasPrefix(text, old+" ")
	}, "no successor")
	after, err := os.Stat(app.conf.Listen[0].Addr)
	require.NoError(t, err)
	assert.Equal(t, before.Mode(), after.Mode())
	assert.Equal(t, s.cmd.Process.Pid, app.listenerPID(t))
	assert.Equal(t, unharmed, other.up("v1")[0])
	names, err := filepath.Glob(filepath.Join(s.dir, "*"+spareSuffix))
	require.NoError(t, err)
	assert.Empty(t, names)
	assert.Len(t, s.sockets(), 3)
}

// The next process gets a good socket at once, whatever the last one did before its end.
func TestSpoiledSocketOfADeadProcess(t *testing.T) {
	t.Parallel()
	s := newServer(t, testConf{Groups: twoGroups()}).start()
	app := s.behind("1", 1, 0)
	old := app.say("listen")
	assert.Equal(t, old[0], fmt.Sprint(app.listenerPID(t)), "what a front does not trust")
	_, _ = app.try("kill")
	s.eventually(func() bool { text, err := app.try("hello"); return err == nil && text != "" }, "no successor")
	assert.Equal(t, s.cmd.Process.Pid, app.listenerPID(t))
	pid := app.say("shutdown")[0]
	require.NoError(t, syscall.Kill(number(t, pid), syscall.SIGKILL))
	s.eventually(func() bool { text, err := app.try("hello"); return err == nil && text != "" }, "no successor")
	s.signal(syscall.SIGTERM)
	assert.Equal(t, 0, s.wait())
	assert.Empty(t, s.sockets())
}

// A successor that is starting when the socket is made anew was given the old one.
func TestSpoiledSocketOfASuccessor(t *testing.T) {
	t.Parallel()
	s := newServer(t, testConf{Groups: twoGroups(), Mode: "gated"}).start()
	app := s.behind("1", 1, 0)
	old := app.up("v1")[0]
	_, _ = app.try("replace")
	s.logged("process 'app' (pid " + old + ") asks to be replaced")
	app.say("shutdown")
	s.logged("WSGI0364: the request socket of process 'app' was shut down")
	s.release()
	s.eventually(func() bool {
		text, err := app.try("hello")
		return err == nil && text != ""
	}, "no successor with the new socket")
}

func number(t *testing.T, text string) (n int) {
	_, err := fmt.Sscan(text, &n)
	require.NoError(t, err)
	return n
}

// Fronts hear when a process behind them is ready, dies, and is there again; a new front hears all of it.
func TestFrontsAreTold(t *testing.T) {
	t.Parallel()
	s := newServer(t, testConf{Groups: twoGroups()}).start()
	app := s.behind("1", 1, 0)
	app.up("v1")
	told := func(state hop.State) string {
		return fmt.Sprintf("told of %s: %d\n", filepath.Base(app.conf.Listen[0].Addr), state)
	}
	s.logged(told(hop.Serving))
	count := func(state hop.State) int { return strings.Count(s.out.String(), told(state)) }
	first := count(hop.Serving)
	_, _ = app.try("kill")
	s.eventually(func() bool { return count(hop.Serving) > first }, "the next is not reported")
	assert.NotZero(t, count(hop.Starting))
	second := count(hop.Serving)
	_, _ = s.try("kill")
	s.eventually(func() bool { return count(hop.Serving) > second }, "a new front is not told")
}

// A process behind the front that floods the supervisor is killed; another one of clients would not be there.
func TestFloodOfControlFrames(t *testing.T) {
	t.Parallel()
	s := newServer(t, testConf{Groups: twoGroups()}).start()
	app := s.behind("1", 1, 0)
	old := app.say("flood")[0]
	s.logged(fmt.Sprintf("(pid %s): malformed control frame: more than %d within", old, frameBurst))
	s.eventually(func() bool {
		text, err := app.try("hello")
		return err == nil && text != "" && !strings.HasPrefix(text, old+" ")
	}, "no successor")
}

func TestFrameRate(t *testing.T) {
	var r frameRate
	now := time.Now()
	for range frameBurst {
		assert.False(t, r.exceeded(now))
	}
	assert.True(t, r.exceeded(now.Add(frameSpan)))
	assert.False(t, r.exceeded(now.Add(2*frameSpan)))
}
