// Socket activation: listening sockets that the service manager opened and
// passed on (sd_listen_fds(3)): descriptors from 3 on, their number in
// LISTEN_FDS, their names in LISTEN_FDNAMES, for the process LISTEN_PID only.
//
// A Listen directive of the same address takes its socket from here instead of
// making one; `Listen systemd:NAME` takes those of that name whatever their
// address is. Both become plain addresses (useSockets) before anything else
// looks at the configuration. The sockets stay open for the whole life of the
// supervisor, so that a later configuration may name one again.
package process

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"modwsgi/gocore/internal/conf"
	"modwsgi/gocore/internal/httpd"
)

// firstPassed is SD_LISTEN_FDS_START.
const firstPassed = 3

// NetworkSystemd is the Network of a Listen directive that names a passed
// socket; its Addr is the name.
const NetworkSystemd = "systemd"

// serviceVariables are what a service manager tells the process that it
// started, and nobody else: no other process of the server has them.
var serviceVariables = []string{"LISTEN_PID", "LISTEN_PIDFDID", "LISTEN_FDS", "LISTEN_FDNAMES", "NOTIFY_SOCKET", "WATCHDOG_PID", "WATCHDOG_USEC"}

// withoutService drops them from the environment of a process.
func withoutService(env []string) []string {
	return slices.DeleteFunc(slices.Clone(env), func(kv string) bool {
		name, _, _ := strings.Cut(kv, "=")
		return slices.Contains(serviceVariables, name)
	})
}

// passedSockets takes the sockets over that the environment announces. notes
// are what a person should know. first is firstPassed outside of tests.
func passedSockets(getenv func(string) string, first int) (sockets []*listener, notes []string) {
	count, pid := getenv("LISTEN_FDS"), getenv("LISTEN_PID")
	if count == "" {
		return nil, nil
	}
	if pid != strconv.Itoa(os.Getpid()) {
		return nil, []string{fmt.Sprintf("WSGI0331: sockets were passed to process %q, and this is %d: they are not used; a script that starts the server has to end with exec", pid, os.Getpid())}
	}
	n, err := strconv.Atoi(count)
	if err != nil || n < 0 || n > 1<<16 {
		return nil, []string{fmt.Sprintf("WSGI0331: LISTEN_FDS=%q is no number of descriptors", count)}
	}
	names := strings.Split(getenv("LISTEN_FDNAMES"), ":")
	for i := range n {
		fd := first + i
		unix.CloseOnExec(fd)
		l, err := passedSocket(fd)
		if err != nil {
			notes = append(notes, fmt.Sprintf("WSGI0331: descriptor %d, which was passed to the server, is not used: %s", fd, err))
			continue
		}
		l.name = "unknown" // as sd_listen_fds_with_names says
		if i < len(names) && names[i] != "" {
			l.name = names[i]
		}
		sockets = append(sockets, l)
	}
	return sockets, notes
}

// passedSocket looks at a descriptor: a listener under the address that it is bound to.
func passedSocket(fd int) (*listener, error) {
	kind, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TYPE)
	if err != nil {
		return nil, fmt.Errorf("it is not a socket (%w)", err)
	}
	if listening, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ACCEPTCONN); kind != unix.SOCK_STREAM || err == nil && listening == 0 {
		return nil, errors.New("it is not a listening stream socket (ListenStream= with Accept=no)")
	}
	sa, err := unix.Getsockname(fd)
	if err != nil {
		return nil, os.NewSyscallError("getsockname", err)
	}
	l := &listener{fd: fd, passed: true}
	switch a := sa.(type) {
	case *unix.SockaddrInet4:
		l.spec.Network, l.spec.Addr = "tcp4", netip.AddrPortFrom(netip.AddrFrom4(a.Addr), uint16(a.Port)).String()
	case *unix.SockaddrInet6:
		ip := netip.AddrFrom16(a.Addr)
		if a.ZoneId != 0 {
			ip = ip.WithZone(strconv.Itoa(int(a.ZoneId)))
			if ifi, err := net.InterfaceByIndex(int(a.ZoneId)); err == nil {
				ip = ip.WithZone(ifi.Name)
			}
		}
		l.spec.Network, l.spec.Addr = "tcp6", netip.AddrPortFrom(ip, uint16(a.Port)).String()
	case *unix.SockaddrUnix:
		l.spec.Network, l.spec.Addr = "unix", a.Name
	default:
		return nil, errors.New("it is neither an Internet nor a Unix socket")
	}
	if l.spec.Network != "unix" {
		// As on our own sockets: accepted connections inherit it.
		_ = unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1)
	}
	// All who have the socket share its blocking mode, and systemd clears it whenever it
	// starts a second service with the socket (unless NonBlocking=yes). A thread that found
	// the queue empty would stay in accept; so it comes back on its own.
	moment := unix.NsecToTimeval(int64(time.Millisecond))
	_ = unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &moment)
	return l, os.NewSyscallError("fcntl", unix.SetNonblock(fd, true))
}

// useSockets replaces the Listen directives that stand for passed sockets by
// the addresses of these. The error names a Listen systemd:NAME without one.
func (s *supervisor) useSockets(srv *httpd.Server) error {
	var specs []httpd.ListenSpec
	for _, spec := range srv.Listen {
		found := false
		for _, p := range s.passed {
			if standsFor(spec, p) {
				found = true
				specs = append(specs, httpd.ListenSpec{Network: p.spec.Network, Addr: p.spec.Addr, Proto: spec.Proto, Pos: spec.Pos})
			}
		}
		switch {
		case found:
		case spec.Network == NetworkSystemd:
			return &configError{[]conf.Diagnostic{{Severity: conf.Error, Pos: spec.Pos, Directive: "Listen", Code: "WSGI-NO-SOCKET",
				Message:    fmt.Sprintf("no socket named %s was passed to the server", spec.Addr),
				Suggestion: s.passedNames() + "; the name is FileDescriptorName= of the socket unit, or else that unit's own name"}}}
		default:
			specs = append(specs, spec)
		}
	}
	srv.Listen = specs
	return nil
}

// standsFor says whether a Listen directive means a passed socket. An address
// has to be the very same: a directive for one address must not open all.
func standsFor(spec httpd.ListenSpec, p *listener) bool {
	switch {
	case spec.Network == NetworkSystemd:
		return spec.Addr == p.name
	case spec.Network == "unix" || p.spec.Network == "unix":
		return spec.Network == p.spec.Network && spec.Addr == p.spec.Addr
	}
	want, err := net.ResolveTCPAddr(spec.Network, spec.Addr)
	if err != nil {
		return false // told when it is to be opened
	}
	has := netip.MustParseAddrPort(p.spec.Addr)
	if want.Port != int(has.Port()) {
		return false
	}
	if want.IP == nil || want.IP.IsUnspecified() && spec.Network == "tcp" {
		return has.Addr().IsUnspecified() // `Listen 80` is both families; the unit decides which
	}
	return want.AddrPort().Addr().Unmap() == has.Addr().Unmap()
}

func (s *supervisor) passedNames() string {
	if len(s.passed) == 0 {
		return "none was: start the server through its socket unit"
	}
	var names []string
	for _, p := range s.passed {
		names = append(names, p.name+" ("+p.spec.Addr+")")
	}
	return "passed were " + strings.Join(names, ", ")
}

// withPassed adds the passed sockets to those that a generation may take over.
func (s *supervisor) withPassed(have []*listener) []*listener {
	all := slices.Clone(have)
	for _, p := range s.passed {
		if !slices.Contains(all, p) {
			all = append(all, p)
		}
	}
	return all
}

// unserved warns of passed sockets that g does not listen on: who connects to
// one waits for ever, because the service manager goes on listening.
func (s *supervisor) unserved(g *generation) {
	for _, p := range s.passed {
		if !slices.Contains(g.listeners, p) {
			s.log.printf("core", levelWarn, "WSGI0332: nobody serves the socket %s that was passed to the server as %s: its clients wait in vain. "+
				"Add `Listen systemd:%s` or `Listen %s` to the configuration, or take it out of the socket unit", p.spec.Addr, p.name, p.name, listenArgument(p.spec))
		}
	}
}

// listenArgument is how a Listen directive writes an address.
func listenArgument(spec httpd.ListenSpec) string {
	if spec.Network == "unix" {
		return "unix:" + spec.Addr
	}
	if a, err := netip.ParseAddrPort(spec.Addr); err == nil && a.Addr() == netip.IPv6Unspecified() {
		return strconv.Itoa(int(a.Port()))
	}
	return spec.Addr
}

// explainBind adds to a failure to bind what a passed socket has to do with it.
func (s *supervisor) explainBind(err error) error {
	var bind *bindError
	if !errors.As(err, &bind) || !errors.Is(err, syscall.EADDRINUSE) {
		return err
	}
	_, port, _ := net.SplitHostPort(bind.spec.Addr)
	for _, p := range s.passed {
		if _, has, _ := net.SplitHostPort(p.spec.Addr); has == port && port != "" {
			return fmt.Errorf("%w\na socket for %s was passed to the server: write `Listen %s`, or another ListenStream= in the socket unit",
				err, p.spec.Addr, listenArgument(p.spec))
		}
	}
	return err
}
