// Listening sockets: made by the supervisor, with its privileges, and
// inherited by workers. A socket outlives restarts as long as the
// configuration goes on naming it, so its queue of connections is never lost.
//
// Descriptors are plain ints here: os.File would switch them to blocking mode
// when they are handed to a child.
package process

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"

	"modwsgi/gocore/internal/httpd"
)

// listener is one open socket.
type listener struct {
	spec   httpd.ListenSpec
	fd     int
	path   string // of a Unix socket, removed at the end
	passed bool   // opened by the service manager, see activation.go: never closed here
	name   string // its name there
	stale  bool   // a socket of that path lay there, and nobody listened
}

// listenOptions are the settings that all sockets of a kind share.
type listenOptions struct {
	backlog        int
	sndbuf, rcvbuf int         // 0: system default
	mode           os.FileMode // of a Unix socket
	uid, gid       int         // owner of a Unix socket; -1: as created
	share          bool        // bind beside another socket of ours
}

const (
	defaultBacklog = 511
	// Whoever may reach the directory may connect, as with a TCP port.
	unixSocketMode = 0o666
	// Only the front processes' user may send requests to a group.
	hopSocketMode = 0o600
)

// listenKey identifies a socket across generations.
func listenKey(s httpd.ListenSpec) string {
	hop := ""
	if s.Proto == ProtoHop {
		hop = " " + ProtoHop
	}
	return s.Network + " " + s.Addr + hop
}

// bindError is a socket that could not be made, in Apache's words.
type bindError struct {
	spec httpd.ListenSpec
	op   string
	err  error
}

func (e *bindError) Unwrap() error { return e.err }

func (e *bindError) Error() string {
	cause := e.err.Error()
	var no syscall.Errno
	if errors.As(e.err, &no) {
		cause = fmt.Sprintf("(%d)%s", int(no), capital(no.Error()))
	}
	msg := fmt.Sprintf("%s: AH00072: make_sock: could not %s address %s", cause, e.op, e.spec.Addr)
	switch {
	case no == syscall.EADDRINUSE && e.spec.Network == "unix":
		msg += "\nanother process is accepting connections on this socket"
	case no == syscall.EADDRINUSE:
		msg += "\nanother process, or another Listen of this configuration, has this port already: stop it, take that out or choose another port"
	case no == syscall.EACCES && e.spec.Network != "unix":
		msg += "\nports below 1024 need root, or the capability CAP_NET_BIND_SERVICE"
	case no == syscall.EADDRNOTAVAIL:
		msg += "\nno network interface of this machine has this address"
	}
	return msg
}

func capital(s string) string {
	if s == "" || s[0] < 'a' || s[0] > 'z' {
		return s
	}
	return string(s[0]-'a'+'A') + s[1:]
}

// openListeners makes the sockets of specs, taking those over that old has.
// On error only the ones that it made itself are closed again. reused holds
// the ones taken over.
func openListeners(specs []httpd.ListenSpec, old []*listener, opt func(httpd.ListenSpec) listenOptions) (all []*listener, err error) {
	had := map[string]*listener{}
	for _, l := range old {
		had[listenKey(l.spec)] = l
	}
	wild4 := map[string]bool{} // ports with an IPv4 wildcard of their own
	for _, s := range specs {
		if host, port, err := net.SplitHostPort(s.Addr); err == nil && s.Network != "unix" && host == "0.0.0.0" {
			wild4[port] = true
		}
	}
	var made []*listener
	seen := map[string]bool{}
	for _, s := range specs {
		key := listenKey(s)
		if seen[key] {
			continue // Apache, too, takes a repeated Listen once
		}
		seen[key] = true
		if l := had[key]; l != nil {
			l.spec = s // Pos and Proto may have changed
			// Adjusts the length of the queue; the socket goes on as it is.
			if !l.passed {
				if err := unix.Listen(l.fd, backlogOf(opt(s))); err != nil {
					closeListeners(made)
					return nil, &bindError{s, "listen on", err}
				}
			}
			all = append(all, l)
			continue
		}
		l, err := openListener(s, opt(s), wild4)
		if errors.Is(err, syscall.EADDRINUSE) && s.Network != "unix" {
			l, err = openBeside(s, opt(s), wild4, old)
		}
		if err != nil {
			closeListeners(made)
			return nil, err
		}
		made = append(made, l)
		all = append(all, l)
	}
	return all, nil
}

// openBeside binds an address that overlaps one of ours which is on its way
// out (`Listen 8000` becomes `Listen 127.0.0.1:8000`). Both listen until the
// old workers are gone, so no connection is refused: the kernel prefers the
// socket with the more specific address. SO_REUSEPORT is set for the moment of
// the bind only; it would let a second server start on the same port.
func openBeside(s httpd.ListenSpec, o listenOptions, wild4 map[string]bool, old []*listener) (*listener, error) {
	share := func(fd, on int) { _ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEPORT, on) } // a failure shows in bind
	for _, l := range old {
		if l.path == "" && !l.passed {
			share(l.fd, 1)
			defer share(l.fd, 0)
		}
	}
	o.share = true
	l, err := openListener(s, o, wild4)
	if err == nil {
		share(l.fd, 0)
	}
	return l, err
}

func backlogOf(o listenOptions) int {
	if o.backlog <= 0 {
		return defaultBacklog
	}
	return o.backlog
}

func openListener(s httpd.ListenSpec, o listenOptions, wild4 map[string]bool) (*listener, error) {
	if s.Network == "unix" {
		return openUnix(s, o)
	}
	addr, err := net.ResolveTCPAddr(s.Network, s.Addr)
	if err != nil {
		return nil, &bindError{s, "resolve", err}
	}
	ip := addr.AddrPort().Addr()
	port := strconv.Itoa(addr.Port)
	unspecified := addr.IP == nil || ip == netip.IPv6Unspecified()
	if s.Network != "tcp4" && (addr.IP == nil || (ip.Is6() && !ip.Is4In6())) {
		// A wildcard takes IPv4 as well, unless that has a Listen of its own.
		v6only := s.Network == "tcp6" && addr.IP == nil || !unspecified || wild4[port]
		sa := &unix.SockaddrInet6{Port: addr.Port, Addr: ip.As16()}
		if addr.IP == nil {
			sa.Addr = [16]byte{}
		}
		if addr.Zone != "" {
			ifi, err := net.InterfaceByName(addr.Zone)
			if err != nil {
				return nil, &bindError{s, "resolve", err}
			}
			sa.ZoneId = uint32(ifi.Index)
		}
		l, err := bindTCP(s, o, unix.AF_INET6, sa, v6only)
		noV6 := errors.Is(err, unix.EAFNOSUPPORT) || errors.Is(err, unix.EADDRNOTAVAIL)
		if err == nil || !noV6 || addr.IP != nil || s.Network == "tcp6" {
			return l, err
		}
		// `Listen port` on a machine without IPv6.
	}
	sa := &unix.SockaddrInet4{Port: addr.Port}
	if addr.IP != nil {
		sa.Addr = ip.Unmap().As4()
	}
	return bindTCP(s, o, unix.AF_INET, sa, false)
}

func bindTCP(s httpd.ListenSpec, o listenOptions, family int, sa unix.Sockaddr, v6only bool) (*listener, error) {
	fd, err := newSocket(family)
	if err != nil {
		return nil, &bindError{s, "get a socket for", err}
	}
	set := func(level, name, value int) {
		if err == nil {
			err = os.NewSyscallError("setsockopt", unix.SetsockoptInt(fd, level, name, value))
		}
	}
	// A restart must not wait for old connections to time out.
	set(unix.SOL_SOCKET, unix.SO_REUSEADDR, 1)
	if o.share {
		set(unix.SOL_SOCKET, unix.SO_REUSEPORT, 1)
	}
	if family == unix.AF_INET6 {
		only := 0
		if v6only {
			only = 1
		}
		set(unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, only)
	}
	// Accepted connections inherit these, which saves a system call for each.
	set(unix.IPPROTO_TCP, unix.TCP_NODELAY, 1)
	if o.sndbuf > 0 {
		set(unix.SOL_SOCKET, unix.SO_SNDBUF, o.sndbuf)
	}
	if o.rcvbuf > 0 {
		set(unix.SOL_SOCKET, unix.SO_RCVBUF, o.rcvbuf)
	}
	op := "set options of"
	if err == nil {
		op, err = "bind to", unix.Bind(fd, sa)
	}
	if err == nil {
		op, err = "listen on", unix.Listen(fd, backlogOf(o))
	}
	if err != nil {
		_ = unix.Close(fd)
		return nil, &bindError{s, op, err}
	}
	return &listener{spec: s, fd: fd}, nil
}

func openUnix(s httpd.ListenSpec, o listenOptions) (*listener, error) {
	var probe unix.RawSockaddrUnix
	if len(s.Addr) >= len(probe.Path) {
		return nil, &bindError{s, "bind to", fmt.Errorf("the path is longer than the %d bytes that the system allows", len(probe.Path)-1)}
	}
	stale, err := removeStaleSocket(s.Addr)
	if err != nil {
		return nil, &bindError{s, "bind to", err}
	}
	fd, err := newSocket(unix.AF_UNIX)
	if err != nil {
		return nil, &bindError{s, "get a socket for", err}
	}
	// Until listen(2) nobody can connect, so owner and mode are in force first.
	op, err := "bind to", unix.Bind(fd, &unix.SockaddrUnix{Name: s.Addr})
	bound := err == nil
	if err == nil {
		op, err = "set mode and owner of", settleSocket(s.Addr, o.mode, o.uid, o.gid)
	}
	if err == nil {
		op, err = "listen on", unix.Listen(fd, backlogOf(o))
	}
	if err != nil {
		_ = unix.Close(fd)
		if bound {
			_ = os.Remove(s.Addr)
		}
		return nil, &bindError{s, op, err}
	}
	return &listener{spec: s, fd: fd, path: s.Addr, stale: stale}, nil
}

// removeStaleSocket removes what a dead server left; never anything else than
// a socket that nobody listens on.
func removeStaleSocket(path string) (removed bool, err error) {
	st, err := os.Lstat(path)
	if errors.Is(err, os.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	if st.Mode()&os.ModeSocket == 0 {
		return false, fmt.Errorf("%s exists and is not a socket", path)
	}
	c, err := net.Dial("unix", path)
	if err == nil {
		_ = c.Close()
		return false, syscall.EADDRINUSE
	}
	if errors.Is(err, syscall.ECONNREFUSED) {
		err = os.Remove(path)
		return err == nil, err
	}
	if errors.Is(err, syscall.EAGAIN) { // its queue is full: alive
		return false, syscall.EADDRINUSE
	}
	return false, err
}

// close closes the socket here; workers that inherited it are not affected.
func (l *listener) close() {
	if l.passed {
		return
	}
	_ = unix.Close(l.fd)
	if l.path != "" {
		_ = os.Remove(l.path)
	}
}

func closeListeners(ls []*listener) {
	for _, l := range ls {
		l.close()
	}
}
