// The health of the request sockets. A process behind the front inherits its
// listener, and shutdown(2) or listen(2) on it change the socket itself, which outlives the
// process: whatever a tenant did there must not last longer than its process.
package process

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

const (
	healthEvery = 3 * time.Second
	// A listener that was shut down takes no connections any more, while its
	// process may go on: in a name of the same length a new one is made ready.
	socketSuffix, spareSuffix = ".sock", ".next"
)

// spoiled reports whether a listener was shut down: nobody can connect to it, for good.
func spoiled(fd int) bool {
	p := []unix.PollFd{{Fd: int32(fd), Events: pollHangup}}
	for {
		_, err := unix.Poll(p, 0)
		if !errors.Is(err, unix.EINTR) {
			return err == nil && p[0].Revents&(pollHangup|unix.POLLHUP|unix.POLLERR|unix.POLLNVAL) != 0
		}
	}
}

// mend looks after a request socket. replaced: it is another one, which
// processes that run already do not have.
func (s *supervisor) mend(pg *procGroup, l *listener) (replaced bool, err error) {
	o := pg.socketOptions()
	// The length of the queue again, and whose socket the peer sees (SO_PEERCRED):
	// both are of who called listen(2) last.
	if err := unix.Listen(l.fd, backlogOf(o)); err == nil && !spoiled(l.fd) {
		return false, nil
	}
	stem, ok := strings.CutSuffix(l.path, socketSuffix)
	if !ok {
		return false, fmt.Errorf("a request socket of an unknown name, %s", l.path)
	}
	spec := l.spec
	spec.Addr = stem + spareSuffix
	spare, err := openUnix(spec, o)
	if err != nil {
		return false, err
	}
	if err := os.Rename(spare.path, l.path); err != nil {
		spare.close()
		return false, err
	}
	_ = unix.Close(l.fd)
	l.fd = spare.fd
	pg.given.log.printf("wsgi", levelError, "WSGI0364: the request socket of %s was shut down, by one of its processes: it is made anew", pg.title())
	return true, nil
}

// socketOptions are those of the group's request sockets.
func (pg *procGroup) socketOptions() listenOptions {
	return listenOptions{backlog: pg.daemon().ListenBacklog, mode: hopSocketMode, uid: pg.socketUID, gid: -1}
}

// mendSlot looks after the sockets of a slot before a process gets them.
func (s *supervisor) mendSlot(sl *slot) (replaced bool) {
	if len(sl.group.sockets) == 0 {
		return false
	}
	for _, l := range sl.socks {
		again, err := s.mend(sl.group, l)
		if err != nil {
			s.log.printf("wsgi", levelError, "WSGI0364: the request socket of %s cannot be made anew: %s", sl.group.title(), err)
		}
		replaced = replaced || again
	}
	return replaced
}

// checkup looks after the sockets of processes that run; one that has spoiled
// its own is replaced. It counts as a death without use: who does so again and
// again is started ever more slowly.
func (s *supervisor) checkup() {
	for _, g := range s.living() {
		for _, pg := range g.groups {
			for _, sl := range pg.slots {
				if s.mendSlot(sl) {
					s.succeedAll(sl.socks)
				}
			}
		}
	}
}

// succeedAll replaces the processes that listen on sockets which are no more.
func (s *supervisor) succeedAll(socks []*listener) {
	for _, g := range s.living() {
		for _, pg := range g.groups {
			for _, sl := range pg.slots {
				if len(sl.socks) == 0 || sl.socks[0] != socks[0] || sl.cur == nil {
					continue
				}
				if sl.fails++; sl.next != nil { // it was given the old socket
					s.stop(sl.next) // and its end starts another
				} else {
					s.refill(sl)
				}
			}
		}
	}
}
