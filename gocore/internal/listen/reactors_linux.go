// Several leaders: without a global lock in the interpreter short requests run
// on as many processors as there are, so the Python threads are divided among
// several reactors, each with a leader, a spare and a monitor of its own. A
// connection belongs to one of them; which one is decided when it is accepted,
// by their numbers of connections. A thread that is idle helps out where all
// others are inside the application.
package listen

import "sync"

// home is the reactor that a connection belongs to.
type home struct{ r *Reactor }

// Reactors is the Source made of several reactors.
type Reactors struct {
	list []*Reactor
	done chan struct{}
	once sync.Once
}

// NewReactors prepares c.Leaders reactors, at most one for each thread. The
// processes that accept from the same sockets do not share connections then.
func NewReactors(c Config) (*Reactors, error) {
	n := min(c.Leaders, c.Threads)
	s := &Reactors{done: make(chan struct{})}
	left := c.Threads
	for i := range n {
		part := c
		part.Siblings, part.Share = nil, nil
		part.Threads = left / (n - i)
		r, err := New(part)
		if err != nil {
			return nil, err
		}
		for _, th := range r.lead.threads {
			th.id += c.Threads - left
		}
		left -= part.Threads
		r.nextID += uint64(i) << 32
		r.parallel = true
		s.list = append(s.list, r)
	}
	for _, r := range s.list {
		r.start, r.wall, r.group = s.list[0].start, s.list[0].wall, s.list
	}
	return s, nil
}

// least is the reactor of the group with the fewest connections; while it drains each keeps what it accepts.
func (r *Reactor) least() *Reactor {
	if r.draining.Load() {
		return r
	}
	for _, o := range r.group {
		if o.nconn.Load() < r.nconn.Load() {
			r = o
		}
	}
	return r
}

// lend gives a request that finds no idle thread in its own reactor to one of
// another; false: all are busy.
func (l *leadership) lend(c *Conn) bool {
	for _, o := range l.r.group {
		if o == l.r {
			continue
		}
		o.lead.mu.Lock()
		to := o.lead.popIdle()
		o.lead.mu.Unlock()
		if to != nil {
			to.wake <- wakeup{job: c}
			return true
		}
	}
	return false
}

func (l *leadership) hasIdle() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.idle) > 0
}

// lendQueue gives what waits to idle threads of others: a thread may have become
// idle just when a request was put into the queue. The janitor's.
func (l *leadership) lendQueue() {
	if l.r.group == nil {
		return
	}
	for c := l.pop(true); c != nil; c = l.pop(true) {
		if !l.lend(c) {
			l.putFirst(c)
			return
		}
	}
}

// borrow takes a request that waits in another reactor; nil: none does.
func (l *leadership) borrow() *Conn {
	for _, o := range l.r.group {
		if o != l.r {
			if c := o.lead.pop(true); c != nil {
				return c
			}
		}
	}
	return nil
}

// Start implements Source.
func (s *Reactors) Start() error { return startAll(s.list, s.list[0].onReady) }

// Watch is Reactor.Watch: whichever leader serves a request has looked before.
func (s *Reactors) Watch(fd int, fn func()) error {
	var mu sync.Mutex
	for _, r := range s.list {
		err := r.Watch(fd, func() {
			mu.Lock()
			defer mu.Unlock()
			fn()
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// Drain implements Source.
func (s *Reactors) Drain(handoff bool) {
	for _, r := range s.list {
		r.leaving(handoff)
	}
	var all sync.WaitGroup
	for _, r := range s.list { // each takes its time
		all.Go(func() { r.Drain(handoff) })
	}
	all.Wait()
	go func() {
		for _, r := range s.list {
			<-r.Done()
		}
		s.once.Do(func() { close(s.done) })
	}()
}

// Done implements Source.
func (s *Reactors) Done() <-chan struct{} { return s.done }

// Adopt implements Source.
func (s *Reactors) Adopt(fd int, pending []byte) error {
	return s.list[0].least().Adopt(fd, pending)
}

// Connections implements Source.
func (s *Reactors) Connections() (n int) {
	for _, r := range s.list {
		n += r.Connections()
	}
	return n
}

// Running implements Source.
func (s *Reactors) Running() (n int) {
	for _, r := range s.list {
		n += r.Running()
	}
	return n
}

// Resume implements Resumer.
func (s *Reactors) Resume(c *Conn, a Action) { c.home.r.Resume(c, a) }

// LeaveHops is Reactor.LeaveHops.
func (s *Reactors) LeaveHops() {
	for _, r := range s.list {
		r.LeaveHops()
	}
}

// Stop implements Source.
func (s *Reactors) Stop() {
	for _, r := range s.list {
		r.Stop()
	}
}
