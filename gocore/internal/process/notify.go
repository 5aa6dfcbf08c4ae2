// Notifications to the service manager (sd_notify(3)): datagrams of lines to
// the Unix socket that NOTIFY_SOCKET names.
//
//	supervisor                      | told
//	--------------------------------+---------------------------------------------
//	every process serves            | READY=1, MAINPID
//	SIGHUP, SIGUSR1                 | RELOADING=1, MONOTONIC_USEC
//	new configuration serves, or is | READY=1
//	given up                        |
//	SIGTERM, SIGINT, SIGWINCH       | STOPPING=1
//	any change                      | STATUS
//	each half of WATCHDOG_USEC      | WATCHDOG=1, see watchdog.go
//
// What to tell follows from the supervisor's state: tell looks at it after each
// event of the loop and sends the difference.
package process

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// notifyPatience bounds a send when the manager does not read its socket.
const notifyPatience = time.Second

// manager is the service manager's end. The zero value has nobody to tell.
// All methods run on the supervisor's loop.
type manager struct {
	fd   int // datagram socket, -1 none
	addr *unix.SockaddrUnix
	log  *errorLog

	ready      bool // READY=1 is what was said last
	began      bool // it was said at least once
	stopping   bool
	status     string
	trouble    string // why the last restart came to nothing
	complained bool

	watchdog time.Duration // WATCHDOG_USEC; 0 none
	tick     <-chan time.Time
	served   time.Time // when every group last had a process that answers
}

// newManager reads the environment. Errors are logged: a server that cannot
// say that it serves still serves.
func newManager(getenv func(string) string, log *errorLog) *manager {
	m := &manager{fd: -1, log: log}
	path := getenv("NOTIFY_SOCKET")
	if path == "" {
		return m
	}
	if path[0] != '/' && path[0] != '@' || len(path) < 2 {
		log.printf("core", levelWarn, "WSGI0333: NOTIFY_SOCKET=%s is neither a path nor an abstract name: the service manager is told nothing", path)
		return m
	}
	fd, err := notifySocket()
	if err != nil {
		log.printf("core", levelWarn, "WSGI0333: a socket to the service manager: %s", err)
		return m
	}
	m.fd, m.addr = fd, &unix.SockaddrUnix{Name: path} // "@" stands for the zero byte of an abstract name
	if usec, err := strconv.ParseInt(getenv("WATCHDOG_USEC"), 10, 64); err == nil && usec > 0 {
		if pid := getenv("WATCHDOG_PID"); pid == "" || pid == strconv.Itoa(os.Getpid()) {
			m.watchdog = time.Duration(usec) * time.Microsecond
			m.tick = time.Tick(m.watchdog / 2)
			m.served = time.Now()
		}
	}
	return m
}

func notifySocket() (int, error) {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM, 0)
	if err != nil {
		return -1, os.NewSyscallError("socket", err)
	}
	unix.CloseOnExec(fd)
	limit := unix.NsecToTimeval(int64(notifyPatience))
	return fd, os.NewSyscallError("setsockopt", unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_SNDTIMEO, &limit))
}

// send passes lines on. The first failure is logged.
func (m *manager) send(lines ...string) {
	if m.fd < 0 {
		return
	}
	err := error(unix.EINTR)
	for errors.Is(err, unix.EINTR) {
		err = unix.Sendto(m.fd, []byte(strings.Join(lines, "\n")), 0, m.addr)
	}
	if err != nil && !m.complained {
		m.complained = true
		m.log.printf("core", levelWarn, "WSGI0333: telling the service manager (%s): %s", m.addr.Name, err)
	}
}

// reloading says that a restart begins. Every restart says so, also one that
// ends at once: the manager counts the time from this message.
func (m *manager) reloading() {
	if m.stopping {
		return
	}
	m.ready, m.trouble = false, ""
	m.status = "Reading the configuration"
	m.send("RELOADING=1", "MONOTONIC_USEC="+strconv.FormatInt(monotonic().Microseconds(), 10), "STATUS="+m.status)
}

// failed says why the server does not start.
func (m *manager) failed(err error) {
	m.send("STATUS=" + oneLine(err.Error()))
}

func (m *manager) close() {
	if m.fd >= 0 {
		_ = unix.Close(m.fd)
		m.fd = -1
	}
}

// oneLine makes a text fit for STATUS.
func oneLine(s string) string {
	return strings.Join(strings.FieldsFunc(s, func(r rune) bool { return r == '\n' || r == '\r' }), " ")
}

// tell brings the manager up to date. Called after every event of the loop.
func (s *supervisor) tell() {
	m := s.manager
	if m.fd < 0 || m.stopping && s.finished {
		return
	}
	var lines []string
	ready := m.ready
	switch s.phase {
	case phaseServing:
		ready = ready || s.gen.ready()
	case phaseDraining, phaseStopping:
		if !m.stopping {
			m.stopping = true
			lines = append(lines, "STOPPING=1")
		}
	}
	if ready && !m.ready {
		m.ready, m.began = true, true
		lines = append(lines, "READY=1", "MAINPID="+strconv.Itoa(os.Getpid()))
	}
	if status := s.statusText(); status != m.status {
		m.status = status
		lines = append(lines, "STATUS="+status)
	}
	if len(lines) > 0 {
		m.send(lines...)
	}
}

// statusText is the line that `systemctl status` shows.
func (s *supervisor) statusText() string {
	switch s.phase {
	case phaseDraining, phaseStopping:
		return fmt.Sprintf("Stopping: %s still running", counted(len(s.children), "process", "processes"))
	case phaseRestarting:
		return fmt.Sprintf("Restarting: %s still running", counted(len(s.children), "process", "processes"))
	case phaseReloading:
		up, all := s.next.serving()
		return fmt.Sprintf("Reloading: %d of %s of the new configuration serve", up, counted(all, "process", "processes"))
	}
	up, all := s.gen.serving()
	switch {
	case up < all && !s.manager.ready:
		return fmt.Sprintf("Starting: %d of %s serve", up, counted(all, "process", "processes"))
	case up < all:
		return fmt.Sprintf("Serving with %d of %s", up, counted(all, "process", "processes"))
	}
	text := "Serving with " + counted(all, "process", "processes")
	if s.manager.trouble != "" {
		text += " and the old configuration: " + s.manager.trouble
	}
	return text
}

// serving counts the processes that take requests, and those there should be.
func (g *generation) serving() (up, all int) {
	for _, pg := range g.groups {
		for _, sl := range pg.slots {
			all++
			if sl.cur != nil && (sl.cur.state == childReady || pg.threads == 0) {
				up++
			}
		}
	}
	return up, all
}

func counted(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return strconv.Itoa(n) + " " + many
}
