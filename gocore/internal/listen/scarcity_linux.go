// The reactor without descriptors: it lets go of its listeners, which would stay
// readable and wake it without end, and tries again four times a second. Siblings
// that have descriptors left accept meanwhile.
package listen

import "syscall"

// listen waits for the listeners.
func (r *Reactor) listen() error {
	for fd := range r.lfds {
		if err := r.add(fd, syscall.EPOLLIN|epollExclusive); err != nil {
			return err
		}
	}
	if r.hop.gone.Load() {
		return nil
	}
	for fd := range r.hop.lfds { // this process alone has them
		if err := r.add(fd, syscall.EPOLLIN); err != nil {
			return err
		}
	}
	return nil
}

// deafen stops waiting for the listeners.
func (r *Reactor) deafen() {
	for fd := range r.lfds {
		syscall.EpollCtl(r.ep, syscall.EPOLL_CTL_DEL, fd, nil)
	}
	for fd := range r.hop.lfds {
		syscall.EpollCtl(r.ep, syscall.EPOLL_CTL_DEL, fd, nil)
	}
}

// turnAway is called by the leader when accept failed with a scarce error.
func (r *Reactor) turnAway(err error) {
	r.scarcity.mu.Lock()
	r.scarcity.deaf = true
	r.scarcity.mu.Unlock()
	r.siblings.Leave()
	r.deafen()
	r.scarcity.note(err, int(r.nconn.Load()))
}

// invite waits for the listeners again. The janitor's.
func (r *Reactor) invite() {
	s := &r.scarcity
	s.mu.Lock()
	deaf := s.deaf
	s.deaf = false
	s.mu.Unlock()
	if !deaf || r.draining.Load() {
		return
	}
	r.siblings.Join(len(r.lead.threads))
	if r.listen() != nil { // memory of the kernel; they may be half there
		r.deafen()
		s.mu.Lock()
		s.deaf = true
		s.mu.Unlock()
		return
	}
	if r.draining.Load() { // Drain may have been here before
		r.siblings.Leave()
		r.deafen()
	} else if r.hop.gone.Load() { // and so may LeaveHops
		r.drainHops()
	}
}
