// Connections of clients on their way from one process to another: to a
// successor, to a sibling, to the next generation. On the supervisor's loop.
//
//	where it waits | for                                  | until
//	outbox         | a process that serves                | it says that it has it; its end: routed again
//	child.pending  | a process that starts                | 'R'; its end: routed again
//	slot.pending   | a process that is about to be started | its start; none comes any more: routed again
package process

// route passes a connection of child c (which may be dead) to whoever
// continues c's work. It never goes to processes of another user.
func (s *supervisor) route(c *child, f Frame) {
	if s.phase == phaseStopping || s.phase == phaseDraining {
		f.CloseFDs()
		return
	}
	give := func(to *child) bool {
		switch {
		case to == nil || to == c || to.asked || to.state > childReady:
			return false
		case to.state == childReady:
			to.out.push(f)
		default:
			to.pending = append(to.pending, f)
		}
		return true
	}
	home := c.slot
	heir := s.gen
	if s.phase == phaseRestarting {
		heir = s.next
	}
	if c.gen() != heir && c.gen() != s.next {
		home = heir.find(c.slot)
	}
	if home != nil {
		if give(home.next) || give(home.cur) {
			return
		}
		for _, ready := range []bool{true, false} {
			for _, other := range home.group.slots {
				if other.cur != nil && (other.cur.state == childReady) == ready && give(other.cur) {
					return
				}
			}
		}
		if home.cur == c && c.state == childReady && !c.asked {
			c.out.push(f) // nobody else is there: it keeps what it has
			return
		}
		if s.wants(home) || s.phase == phaseRestarting {
			home.pending = append(home.pending, f) // for the next start
			return
		}
	}
	f.CloseFDs()
	s.log.printf("wsgi", levelWarn, "%s handed a connection over and nobody can take it; closed", c.slot.group.title())
}

// reroute passes on the connections that wait for the next start of processes
// of g, which will not come.
func (s *supervisor) reroute(g *generation) {
	for _, pg := range g.groups {
		for _, sl := range pg.slots {
			waiting := sl.pending
			sl.pending = nil
			for _, f := range waiting {
				s.route(&child{slot: sl, state: childDead}, f)
			}
		}
	}
}

// share passes a connection of child c to the sibling that c has chosen. What
// that one cannot take any more stays where it was.
func (s *supervisor) share(c *child, f Frame) {
	num, pending := f.Shared()
	if slots := c.slot.group.slots; num < len(slots) && s.phase != phaseStopping && s.phase != phaseDraining {
		if to := slots[num].cur; to != nil && to != c && to.state == childReady {
			to.out.push(f)
			return
		}
	}
	f.Type, f.Payload = FrameHandoff, pending
	if c.state == childReady || c.state < childDead && (s.phase == phaseDraining || s.phase == phaseStopping) {
		c.out.push(f) // it stops as well, but not before it has looked (worker.rest)
		return
	}
	s.route(c, f)
}
