// What the front processes are told of those behind them: whether the process
// of each request socket serves, is starting, or is not there. A connection to
// the socket does not tell: the supervisor keeps it, whoever listens. The front
// needs to know because a request waits connect-timeout for a process that is
// not there, and socket-timeout for one that is and does not answer.
package process

import "modwsgi/gocore/internal/hop"

// NewStanding makes the frame that says what the process of a request socket does.
func NewStanding(socket string, state hop.State) *Frame {
	return &Frame{Type: FrameStanding, Payload: append([]byte{byte(state)}, socket...)}
}

// Standing takes a frame of NewStanding apart.
func (f *Frame) Standing() (socket string, state hop.State) {
	return string(f.Payload[1:]), hop.State(f.Payload[0])
}

// standings are the states of all request sockets by path. Generations share
// one where WSGISocketRotation is Off: what counts is that somebody serves.
func (s *supervisor) standings() map[string]hop.State {
	out := map[string]hop.State{}
	for _, g := range s.living() {
		for _, pg := range g.groups {
			for i, spec := range pg.sockets {
				state := hop.Absent
				for _, c := range []*child{pg.slots[i].cur, pg.slots[i].next} {
					if c != nil && c.state == childStarting {
						state = max(state, hop.Starting)
					} else if c != nil && c.state == childReady {
						state = hop.Serving
					}
				}
				out[spec.Addr] = max(out[spec.Addr], state)
			}
		}
	}
	return out
}

// tellFronts sends what has changed to the processes that pass requests on. On
// the loop, after each event that may have changed something.
func (s *supervisor) tellFronts() {
	if !s.moved {
		return
	}
	s.moved = false
	now := s.standings()
	for socket, state := range now {
		if s.told[socket] != state {
			for c := range s.children {
				if len(c.slot.group.hops) > 0 && c.state < childStopping {
					c.out.push(*NewStanding(socket, state))
				}
			}
		}
	}
	s.told = now
}

// tellAll sends a new front process what the others know.
func (s *supervisor) tellAll(c *child) {
	if len(c.slot.group.hops) == 0 {
		return
	}
	for socket, state := range s.told {
		c.out.push(*NewStanding(socket, state))
	}
}
