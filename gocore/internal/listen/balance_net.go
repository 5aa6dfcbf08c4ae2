//go:build linux || darwin || freebsd

// Sharing work where each connection has a goroutine: the occasions are those of
// balance_linux.go. The goroutine that waits for a request, or for a thread, gives
// its connection away itself.
package listen

import "time"

// lookGap is how often a request that waits for a thread looks for a sibling with an idle one.
const lookGap = 10 * time.Millisecond

// passNew gives a connection that was just accepted to a sibling, if this
// process has more than its share; false: it stays here.
func (s *NetSource) passNew(nc socket) (ok bool) {
	n := s.Connections() + 1
	if s.draining.Load() || s.siblings.Excess(n) == 0 {
		return false
	}
	to, found := s.siblings.Least(n)
	if !found {
		return false
	}
	raw, err := nc.SyscallConn()
	if err != nil || raw.Control(func(fd uintptr) { ok = s.share(int(fd), nil, to) }) != nil || !ok {
		return false
	}
	_ = nc.Close() // the sibling has its own
	return true
}

// leveler tells siblings that this process is alive and asks connections over
// the share to leave when they are idle.
func (s *NetSource) leveler() {
	t := time.NewTicker(levelGap)
	defer t.Stop()
	for {
		select {
		case <-t.C:
			s.siblings.Beat()
			s.level()
		case <-s.stop:
			return
		}
	}
}

func (s *NetSource) level() {
	excess := s.siblings.Excess(s.Connections())
	if excess == 0 || s.draining.Load() {
		return
	}
	now := s.now()
	left := min(excess, max(levelAtOnce, excess/4))
	s.mu.Lock()
	defer s.mu.Unlock()
	for n := range s.conns {
		if left == 0 {
			return
		}
		if n.busy || n.wireID != 0 || n.h2.Load() != nil || n.move.Load() != 0 || n.adopted != 0 && now-n.adopted < int64(settleTime) {
			continue
		}
		to, ok := s.siblings.Least(len(s.conns))
		if !ok {
			return
		}
		n.move.Store(int32(to) + 1)
		_ = n.nc.SetReadDeadline(time.Unix(1, 0)) // fails on a closed one only
		left--
	}
}

// moved gives an idle connection to the sibling that it was announced to.
func (n *netConn) moved() (ok bool) {
	to := int(n.move.Swap(0)) - 1
	err := n.raw.Control(func(fd uintptr) { ok = n.s.share(int(fd), n.handover(nil), to) })
	return err == nil && ok
}

// relieved gives a request that waits while all threads are busy to a sibling
// with an idle one. On the connection's goroutine, which holds the descriptor.
func (n *netConn) relieved(fd int) bool {
	s := n.s
	if n.wire != nil || int(s.active.Load()) < len(s.threads) || s.draining.Load() {
		return false
	}
	to, ok := s.siblings.Idle()
	return ok && s.share(fd, n.handover(n.req.Input()), to)
}
