// The watchdog of the service manager: WATCHDOG=1 proves that this server can
// answer requests, and its absence gets the whole server killed and started anew.
//
// Each of three parties watches what it alone can:
//
//	who        | watches                                             | by
//	-----------+-----------------------------------------------------+-----------------------------
//	worker     | the GIL, the running requests                       | deadlock-timeout, request-timeout
//	supervisor | whether a worker's own watch still runs: a process  | frame 'P' and its answer; SIGKILL
//	           | that is stopped or thrashes cannot time out itself  |
//	manager    | whether the supervisor's loop turns, and brings     | WATCHDOG=1, sent by the loop
//	           | each group a process that answers                   |
//
// So a single stuck worker costs a worker, never the server.
package process

import (
	"syscall"
	"time"
)

// watchdog runs on the loop, twice in each interval.
func (s *supervisor) watchdog(now time.Time) {
	m := s.manager
	for c := range s.children {
		switch {
		case c.state != childReady:
			c.pinged = time.Time{}
		case c.pinged.IsZero():
			c.pinged = now
			c.out.push(Frame{Type: FramePing})
		case now.Sub(c.pinged) >= m.watchdog && !c.given:
			c.given = true
			s.log.printf("mpm", levelError, "WSGI0334: %s (pid %d) has not answered the supervisor for %s; killing it",
				c.slot.group.title(), c.proc.Pid, now.Sub(c.pinged).Round(time.Millisecond))
			s.signal(c, syscall.SIGKILL)
		}
	}
	// The start and every stop have limits of their own.
	if !m.began || s.phase == phaseRestarting || s.phase == phaseDraining || s.phase == phaseStopping || s.gen.answers(now, m.watchdog) {
		m.served = now
	}
	if silent := now.Sub(m.served); silent > m.watchdog {
		s.log.printf("mpm", levelError, "WSGI0335: there is a process group without a process that answers for %s: not telling the watchdog of the service manager",
			silent.Round(time.Millisecond))
		return
	}
	m.send("WATCHDOG=1")
}

// answers says whether each group that takes requests has a process that
// answered its last question, or has not had it for longer than limit.
func (g *generation) answers(now time.Time, limit time.Duration) bool {
	for _, pg := range g.groups {
		if pg.threads == 0 {
			continue
		}
		alive := false
		for _, sl := range pg.slots {
			c := sl.cur
			alive = alive || c != nil && c.state == childReady && (c.pinged.IsZero() || now.Sub(c.pinged) < limit)
		}
		if !alive {
			return false
		}
	}
	return true
}
