// One worker process as the supervisor sees it, and the slot that it fills.
// All of this runs on the supervisor's loop; the goroutines here only carry
// frames and exits to it.
//
//	child state | event                       | next     | done
//	------------+-----------------------------+----------+------------------------------------------
//	(none)      | start, death, 'X'           | Starting | exec
//	Starting    | 'R'                         | Ready    | queued connections out; predecessor gets 'G'
//	Starting    | stop                        | Stopping | 'T', SIGTERM; SIGKILL after the grace
//	Ready       | 'S'                         | Ready    | failures of the slot forgotten
//	Ready       | successor ready, its end    | Draining | 'G'; stop after the drain limit (ending.go)
//	Ready       | stop                        | Stopping | 'T'; SIGTERM a little later; SIGKILL
//	Draining    | drain limit, stop           | Stopping | as above
//	any         | exit                        | Dead     | slot refilled unless somebody else fills it
package process

import (
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"syscall"
	"time"
)

type childState int

const (
	childStarting childState = iota
	childReady
	childDraining
	childStopping
	childDead
)

// A worker gets this long to act on 'T' before it gets SIGTERM too.
const termDelay = time.Second

// StopDelay is how long the groups behind a front that stops go on, if it is
// not done before.
const StopDelay = time.Second

// child is one worker process.
type child struct {
	slot    *slot
	state   childState
	served  bool
	asked   bool // for its successor: it goes on, but connections that are handed over wait for that one
	proc    *os.Process
	conn    *Conn
	out     *outbox
	pending []Frame // connections that wait for 'R'
	started time.Time
	timers  []*time.Timer
	place   int       // on the scoreboard of its generation, -1 none
	pinged  time.Time // asked and not answered since, see watchdog.go; zero: nothing asked
	given   bool      // given up: killed because it did not answer
}

func (c *child) gen() *generation { return c.slot.group.gen }

// log is where the group's lines go: the error log of its host.
func (c *child) log() *errorLog { return c.slot.group.given.log }

// slot is a place for one process of a group.
type slot struct {
	num     int
	group   *procGroup
	socks   []*listener // what its processes inherit
	cur     *child      // who serves
	next    *child      // its successor, starting
	fails   int         // deaths in a row without having been of use
	pending []Frame     // connections that wait for the next start
	retry   *time.Timer
}

// outbox is the queue of frames to one child, so that a child that does not
// read never blocks the supervisor. A connection that was sent is kept until
// the child says that it has it: a child that dies first leaves it to the next.
type outbox struct {
	mu     sync.Mutex
	wake   *sync.Cond
	queue  []Frame
	sent   []Frame // hand-overs not acknowledged
	closed bool
}

func newOutbox() *outbox {
	o := &outbox{}
	o.wake = sync.NewCond(&o.mu)
	return o
}

func (o *outbox) push(f Frame) {
	o.mu.Lock()
	o.queue = append(o.queue, f)
	o.mu.Unlock()
	o.wake.Signal()
}

func (o *outbox) close() {
	o.mu.Lock()
	o.closed = true
	o.mu.Unlock()
	o.wake.Signal()
}

// taken drops the oldest hand-over that was sent; false: there is none.
func (o *outbox) taken() bool {
	o.mu.Lock()
	if len(o.sent) == 0 {
		o.mu.Unlock()
		return false
	}
	f := o.sent[0]
	o.sent[0] = Frame{}
	o.sent = o.sent[1:]
	o.mu.Unlock()
	f.CloseFDs() // tells the sender, which may be the same child
	return true
}

// rest takes what the child did not get, in order. For the end of the child.
func (o *outbox) rest() []Frame {
	o.mu.Lock()
	defer o.mu.Unlock()
	all := append(o.sent, o.queue...)
	o.sent, o.queue = nil, nil
	return all
}

// run sends until the box is closed or the channel fails. What could not be
// sent is left to rest.
func (o *outbox) run(conn *Conn) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for {
		for len(o.queue) == 0 && !o.closed {
			o.wake.Wait()
		}
		if o.closed {
			return
		}
		f := o.queue[0]
		o.queue = o.queue[1:]
		if len(f.FDs) > 0 {
			o.sent = append(o.sent, f) // before the answer can come
		}
		o.mu.Unlock()
		err := conn.Send(&f)
		o.mu.Lock()
		if err != nil {
			return
		}
	}
}

// post runs f on the supervisor's loop.
func (s *supervisor) post(f func()) {
	select {
	case s.events <- f:
	case <-s.done:
	}
}

// after runs f on the loop in d, unless the child has ended by then.
func (s *supervisor) after(c *child, d time.Duration, f func()) {
	c.timers = append(c.timers, time.AfterFunc(d, func() {
		s.post(func() {
			if c.state != childDead {
				f()
			}
		})
	}))
}

// launch starts a process for the slot. It does not enter it into the slot.
func (s *supervisor) launch(sl *slot) (*child, error) {
	s.mendSlot(sl)
	cfg := sl.config(s.opt.Foreground)
	place := -1
	if sl.group.onBoard() {
		place = sl.group.gen.board.take(cfg)
	}
	proc, conn, err := s.launcher.launch(cfg, sl, s.log)
	if err != nil {
		sl.group.gen.board.free(place)
		return nil, err
	}
	c := &child{slot: sl, proc: proc, conn: conn, out: newOutbox(), started: time.Now(), pending: sl.pending, place: place}
	sl.pending = nil
	s.children[c] = true
	c.gen().alive++
	s.moved = true
	s.tellAll(c)
	sl.group.given.log.printf("wsgi", levelInfo, "%s (pid %d) started", sl.group.title(), proc.Pid)
	writer, reader := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(writer)
		c.out.run(conn)
	}()
	go func() {
		defer close(reader)
		s.receive(c)
	}()
	go func() {
		state, err := waitOwn(proc)
		// Frames that the process sent right before its end are still in the
		// socket. A child of the application may hold the other end open for
		// ever, so there is a limit to waiting for the end of file.
		_ = conn.c.SetReadDeadline(time.Now().Add(200 * time.Millisecond))
		<-reader
		c.out.close()
		_ = conn.Close()
		<-writer
		s.post(func() { s.exited(c, state, err) })
	}()
	return c, nil
}

// receive carries frames to the loop.
func (s *supervisor) receive(c *child) {
	var rate frameRate
	for {
		f, err := c.conn.Receive()
		if err == nil && c.slot.group.behind() && rate.exceeded(time.Now()) {
			err = fmt.Errorf("%w: more than %d within %s", ErrFrame, frameBurst, frameSpan)
			f.CloseFDs()
		}
		if errors.Is(err, ErrFrame) {
			s.post(func() {
				c.log().printf("mpm", levelError, "%s (pid %d): %s; killing it", c.slot.group.title(), c.proc.Pid, err)
				s.signal(c, syscall.SIGKILL)
			})
			return
		}
		if err != nil {
			if !errors.Is(err, io.EOF) && !errors.Is(err, os.ErrDeadlineExceeded) {
				s.post(func() {
					c.log().printf("mpm", levelDebug, "%s (pid %d): control channel: %s", c.slot.group.title(), c.proc.Pid, err)
				})
			}
			return
		}
		if len(f.FDs) > 0 {
			f.done = func() { c.out.push(Frame{Type: FrameTaken}) }
		}
		s.post(func() { s.frame(c, f) })
	}
}

func (s *supervisor) signal(c *child, sig syscall.Signal) {
	if err := c.proc.Signal(sig); err != nil && !errors.Is(err, os.ErrProcessDone) {
		s.log.printf("mpm", levelError, "could not send %s to %s (pid %d): %s", sig, c.slot.group.title(), c.proc.Pid, err)
	}
}

// stop ends a child now, by ever stronger means.
func (s *supervisor) stop(c *child) {
	if c.state >= childStopping {
		return
	}
	starting := c.state == childStarting
	c.state = childStopping
	s.moved = true
	if s.phase == phaseRestarting {
		c.out.push(Frame{Type: FrameLeave})
	} else {
		c.out.push(Frame{Type: FrameStop})
	}
	grace := c.slot.group.stopGrace
	if starting {
		s.signal(c, syscall.SIGTERM) // it may not read its channel yet
	} else {
		s.after(c, min(termDelay, grace/2), func() { s.signal(c, syscall.SIGTERM) })
	}
	s.after(c, grace, func() {
		c.log().printf("mpm", levelWarn, "AH00045: %s (pid %d) still did not exit %s after it was told to stop, sending SIGKILL",
			c.slot.group.title(), c.proc.Pid, grace)
		s.signal(c, syscall.SIGKILL)
	})
}

// drain lets a child finish what it has; frame says whether somebody follows.
// limit 0: for as long as it takes.
func (s *supervisor) drain(c *child, frame FrameType, limit time.Duration) {
	switch c.state {
	case childStarting:
		s.stop(c) // it has nothing yet
		return
	case childReady:
	default:
		return
	}
	c.state = childDraining
	s.moved = true
	c.out.push(Frame{Type: frame})
	if limit > 0 {
		s.after(c, limit, func() {
			if c.state == childDraining {
				c.log().printf("mpm", levelNotice, "%s (pid %d) was not done within %s, stopping it", c.slot.group.title(), c.proc.Pid, limit)
				s.stop(c)
			}
		})
	}
}

// fill starts a process for an empty slot, or tries again later.
func (s *supervisor) fill(sl *slot) {
	sl.retry = nil
	if sl.cur != nil || !s.wants(sl) {
		return
	}
	c, err := s.launch(sl)
	if err != nil {
		s.launchFailed(sl, err)
		return
	}
	sl.cur = c
}

// succeed starts the successor of the process in the slot.
func (s *supervisor) succeed(sl *slot) {
	sl.retry = nil
	if sl.cur == nil || sl.next != nil || !s.wants(sl) {
		return
	}
	c, err := s.launch(sl)
	if err != nil {
		s.launchFailed(sl, err)
		return
	}
	sl.next = c
}

func (s *supervisor) launchFailed(sl *slot, err error) {
	log := sl.group.given.log
	log.printf("mpm", levelAlert, "WSGI0024: cannot start %s: %s", sl.group.title(), err)
	if sl.fails == 0 && log != s.log {
		s.log.printf("mpm", levelAlert, "WSGI0024: cannot start %s: %s", sl.group.title(), err)
	}
	sl.fails++
	s.refill(sl)
	s.checkReady()
}

// checkReady puts a generation that is coming up into service when it is ready.
func (s *supervisor) checkReady() {
	if s.phase == phaseReloading && s.next.ready() {
		s.promote()
	}
}

// wants says whether the slot is to have a process: its generation is (or is
// about to be) in service, or its front is still at work.
func (s *supervisor) wants(sl *slot) bool {
	g := sl.group.gen
	switch s.phase {
	case phaseServing:
		return g == s.gen || s.needed(sl)
	case phaseReloading:
		return g == s.gen || g == s.next || s.needed(sl)
	case phaseDraining:
		return s.needed(sl)
	}
	return false
}

// needed says whether processes that are ending send requests to the slot, and
// nobody else takes them.
func (s *supervisor) needed(sl *slot) bool {
	pg := sl.group
	return len(pg.sockets) > 0 && (pg.gen.ending == endGraceful || pg.gen.ending == endDrain) && s.accepting(pg.gen) &&
		(pg.gen == s.gen || !s.takenOver(sl))
}

// backoff is the wait before the next start after n useless deaths.
func backoff(n int) time.Duration {
	if n <= 0 {
		return 0
	}
	return min(backoffMin<<min(n-1, 10), backoffMax)
}

// refill gets the slot a process or a successor, at once or after the back-off.
func (s *supervisor) refill(sl *slot) {
	if !s.wants(sl) || sl.retry != nil {
		return
	}
	if sl.group.gen == s.next && sl.fails >= reloadAttempts && !sl.group.behind() {
		s.abandon("its processes do not start")
		return
	}
	start := func() {
		if sl.cur == nil {
			s.fill(sl)
		} else {
			s.succeed(sl)
		}
	}
	d := backoff(sl.fails)
	if d == 0 {
		start()
		return
	}
	sl.retry = time.AfterFunc(d, func() { s.post(start) })
}

// frame handles a message of a child.
func (s *supervisor) frame(c *child, f Frame) {
	sl := c.slot
	switch f.Type {
	case FrameReady:
		if c.state != childStarting {
			return
		}
		c.state = childReady
		s.moved = true
		c.log().printf("wsgi", levelInfo, "%s (pid %d) is ready after %s", sl.group.title(), c.proc.Pid, time.Since(c.started).Round(time.Millisecond))
		for _, h := range c.pending {
			c.out.push(h)
		}
		c.pending = nil
		if sl.next == c {
			old := sl.cur
			sl.cur, sl.next = c, nil
			s.drain(old, FrameGraceful, sl.group.drainLimit)
		}
		s.checkReady()
	case FrameServed:
		c.served = true
		sl.fails = 0
	case FrameReplace:
		if c.state != childReady || c != sl.cur {
			return // it has been replaced
		}
		c.asked = true
		if sl.next != nil || sl.retry != nil {
			return // somebody is coming already
		}
		c.log().printf("wsgi", levelInfo, "%s (pid %d) asks to be replaced: %s", sl.group.title(), c.proc.Pid, clip(f.Payload))
		s.succeed(sl)
	case FrameHandoff, FrameShare:
		if sl.group.behind() {
			f.CloseFDs()
			c.log().printf("mpm", levelError, "%s (pid %d) handed a connection over, and has none of clients", sl.group.title(), c.proc.Pid)
			return
		}
		if f.Type == FrameHandoff {
			s.route(c, f)
			return
		}
		s.share(c, f)
	case FrameNotice:
		s.notice(clip(f.Payload))
	case FramePing:
		c.pinged = time.Time{}
	case FrameTaken:
		if !c.out.taken() {
			c.log().printf("mpm", levelError, "%s (pid %d) acknowledged a connection that it was not sent", sl.group.title(), c.proc.Pid)
		}
	default:
		f.CloseFDs()
		c.log().printf("mpm", levelError, "%s (pid %d) sent a frame %q, which is ours to send", sl.group.title(), c.proc.Pid, byte(f.Type))
	}
}

// exited handles the end of a child. state is nil if waiting failed.
func (s *supervisor) exited(c *child, state *os.ProcessState, err error) {
	was := c.state
	c.state = childDead
	s.moved = true
	delete(s.children, c)
	c.gen().alive--
	c.gen().board.free(c.place)
	for _, t := range c.timers {
		t.Stop()
	}
	sl := c.slot
	s.logExit(c, was, state, err)
	useful := c.served || time.Since(c.started) > backoffReset
	if useful {
		sl.fails = 0
	} else if was <= childReady {
		sl.fails++
	}
	left := append(c.out.rest(), c.pending...)
	c.pending = nil
	service := sl.group.threads == 0 // a service script may end and is started again
	switch {
	case sl.cur == c && sl.next != nil:
		sl.cur, sl.next = sl.next, nil
	case sl.cur == c:
		sl.cur = nil
		if service && state != nil && state.Success() {
			sl.fails = 1 // but not in a tight loop
		}
		s.refill(sl)
	case sl.next == c:
		sl.next = nil
		s.refill(sl)
	}
	for _, f := range left {
		if f.Type == FrameShare {
			_, f.Payload = f.Shared()
			f.Type = FrameHandoff
		}
		if f.Type == FrameHandoff {
			s.route(c, f)
		}
	}
	s.endRest(c.gen(), false)
	if service {
		s.startServices()
	}
	s.checkReady()
	s.settle(c.gen())
}
