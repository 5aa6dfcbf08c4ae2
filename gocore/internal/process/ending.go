// The end of a generation's processes, in order. Those that accept from clients
// go first; the groups behind them go on taking their requests (and are
// replaced when they die) until the last of them is gone.
//
//	ending   | why                                | accept from clients | behind them                    | service scripts
//	---------+------------------------------------+---------------------+--------------------------------+----------------
//	graceful | a new generation is ready          | 'G'                 | 'G' when the former are gone   | stop
//	drain    | SIGWINCH: nobody follows           | 'D'                 | 'D' when the former are gone   | stop
//	stop     | SIGTERM, SIGHUP, restart given up  | stop                | stop then, at the latest after | stop
//	         |                                    |                     | StopDelay                      |
//
// Client sockets are closed at the beginning, those between the processes when
// the last process of the generation is gone.
package process

import (
	"slices"
	"time"
)

type ending int

const (
	notEnding ending = iota
	endGraceful
	endDrain
	endStop
)

// end begins the end of g, or hastens it.
func (s *supervisor) end(g *generation, how ending) {
	if how <= g.ending {
		return
	}
	g.ending = how
	for c := range s.children {
		if pg := c.slot.group; c.gen() == g && (!pg.behind() || pg.threads == 0 || how == endGraceful && s.takenOver(c.slot)) {
			s.endChild(c, how)
		}
	}
	if how == endStop {
		time.AfterFunc(StopDelay, func() { s.post(func() { s.endRest(g, true) }) })
	}
	s.endRest(g, false)
}

// endRest ends what is behind the processes that accept from clients, once
// they are gone; now: whether they are or not.
func (s *supervisor) endRest(g *generation, now bool) {
	if g.ending == notEnding || !now && s.accepting(g) {
		return
	}
	for c := range s.children {
		if c.gen() == g {
			s.endChild(c, g.ending)
		}
	}
}

func (s *supervisor) endChild(c *child, how ending) {
	switch {
	case how == endStop || c.slot.group.threads == 0:
		s.stop(c)
	case how == endDrain:
		s.drain(c, FrameDrain, 0)
	default:
		s.drain(c, FrameGraceful, c.slot.group.drainLimit)
	}
}

// accepting reports whether processes of g that accept from clients are alive.
func (s *supervisor) accepting(g *generation) bool {
	for c := range s.children {
		if c.gen() == g && !c.slot.group.behind() {
			return true
		}
	}
	return false
}

// takenOver reports whether the generation in service listens on the very
// sockets of the slot (WSGISocketRotation Off): it serves the old front as well.
func (s *supervisor) takenOver(sl *slot) bool {
	return len(sl.socks) > 0 && !slices.ContainsFunc(sl.socks, func(l *listener) bool { return !slices.Contains(s.gen.listeners, l) })
}

// living are the generations that have processes or are to have some.
func (s *supervisor) living() []*generation {
	var out []*generation
	for _, g := range append([]*generation{s.gen, s.next}, s.old...) {
		if g != nil {
			out = append(out, g)
		}
	}
	return out
}

// dropClients closes the sockets for clients that keep (may be nil) does not have.
func (g *generation) dropClients(keep *generation) {
	g.listeners = slices.DeleteFunc(g.listeners, func(l *listener) bool {
		if l.spec.Proto == ProtoHop {
			return false
		}
		if keep == nil || !slices.Contains(keep.listeners, l) {
			l.close()
		}
		return true
	})
}

// dispose closes what a generation without processes has left.
func (s *supervisor) dispose(g *generation) {
	s.old = slices.DeleteFunc(s.old, func(o *generation) bool { return o == g })
	for _, l := range g.listeners {
		if !slices.ContainsFunc(s.living(), func(o *generation) bool { return o != g && slices.Contains(o.listeners, l) }) {
			l.close()
		}
	}
	g.listeners = nil
	if g.logs == nil {
		return
	}
	for _, pg := range g.groups {
		pg.given.log = s.log
	}
	g.logs.close()
	g.logs = nil
	g.board.close()
}

// startServices starts the service scripts of the generation in service that
// wait for their predecessors: two of the same name never run at the same time.
func (s *supervisor) startServices() {
	for _, pg := range s.gen.groups {
		if pg.threads > 0 {
			continue
		}
		busy := false
		for c := range s.children {
			busy = busy || c.gen() != s.gen && c.slot.group.name == pg.name
		}
		for _, sl := range pg.slots {
			if !busy && sl.cur == nil && sl.retry == nil {
				s.refill(sl)
			}
		}
	}
}
