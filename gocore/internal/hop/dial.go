// Connecting. The supervisor keeps a slot's listening socket open while one
// process ends and the next begins: a connection made meanwhile waits in its
// backlog, and its Hello is the successor's. A request that waits for that waits
// for connect-timeout, unless the supervisor says (SetState) that the process is there: one that hangs has socket-timeout.
package hop

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"syscall"
	"time"
)

// The back-off, as in mod_wsgi: often for two seconds, then every second.
const (
	retryOften = int64(125 * time.Millisecond)
	retryUntil = int64(2 * time.Second)
	retrySlow  = int64(time.Second)
)

// dialMissing starts to connect to the processes that have no connection. Holds the lock.
func (p *Pool) dialMissing() {
	for i := range p.slots {
		p.redial(&p.slots[i])
	}
}

// redial starts to connect to one process. Holds the lock.
func (p *Pool) redial(s *slot) {
	if s.conn == nil && !s.dialing && p.ctx.Err() == nil {
		s.dialing, s.hopeless = true, false
		p.spawn(func() { p.connect(s) })
	}
}

// connect tries until it has a connection or nobody waits for one, then serves it.
func (p *Pool) connect(s *slot) {
	for {
		p.mu.Lock()
		now := p.now()
		wait := s.next - now
		s.next = max(now, s.next) + retryOften // also after a connection that ends at once
		p.mu.Unlock()
		if wait > 0 && !p.sleep(time.Duration(wait)) {
			break
		}
		c, err := p.dial(s)
		if err == nil {
			p.logf(LogDebug, "connected to process %d (number %d)", c.pid, s.index)
			p.Flush()
			p.run(s, c)
			return
		}
		if !p.undialled(s, err) {
			return
		}
	}
	p.mu.Lock()
	s.dialing = false
	p.mu.Unlock()
}

// sleep is false when the pool is closed.
func (p *Pool) sleep(d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-p.ctx.Done():
		return false
	}
}

// dial connects and waits for Hello, for as long as the pool is open: the
// process may be about to start.
func (p *Pool) dial(s *slot) (c *conn, err error) {
	d := net.Dialer{Timeout: p.cfg.ConnectTimeout}
	nc, err := d.DialContext(p.ctx, "unix", s.path)
	if err != nil {
		return nil, err
	}
	p.track(nc, true)
	stop := context.AfterFunc(p.ctx, func() { nc.SetDeadline(time.Unix(1, 0)) })
	p.mu.Lock()
	s.hopeless, s.half = false, true
	p.mu.Unlock()
	defer func() {
		if err != nil {
			stop()
			p.track(nc, false)
			nc.Close()
			p.mu.Lock()
			s.half = false
			p.mu.Unlock()
		}
	}()
	raw, err := nc.(syscall.Conn).SyscallConn()
	if err != nil {
		return nil, err
	}
	c = &conn{pool: p, slot: s.index, nc: nc, raw: raw, rd: NewReader(nc, FromDaemon), stop: stop}
	if err = checkPeer(c.raw, p.cfg.PeerUID, p.cfg.PeerPID); err != nil {
		return nil, fmt.Errorf("%s: %w", s.path, err)
	}
	f, err := c.rd.Frame()
	if err != nil {
		if errors.Is(err, io.EOF) {
			err = fmt.Errorf("%s: %w", s.path, errNoHello)
		}
		return nil, err
	}
	if f.Type == TypeGoaway { // it accepted just before it began to drain
		return nil, fmt.Errorf("%s: %w", s.path, errNoHello)
	}
	if f.Type != TypeHello {
		return nil, protocolError("%v in place of Hello", f.Type)
	}
	h, err := DecodeHello(f.Payload)
	if err != nil {
		return nil, err
	}
	switch {
	case h.Slot != uint32(s.index):
		return nil, protocolError("Hello of process number %d on the socket of number %d", h.Slot, s.index)
	case h.Generation != p.cfg.Generation && !p.cfg.AnyGeneration:
		return nil, fmt.Errorf("%s: the process is of configuration %d, not %d", s.path, h.Generation, p.cfg.Generation)
	}
	c.pid, c.threads = h.PID, int(max(1, min(h.Threads, maxThreads)))
	if n := p.cfg.Threads; n > 0 {
		c.threads = min(c.threads, n)
	}
	now := p.now()
	p.mu.Lock()
	s.conn, s.dialing, s.half, s.err, s.slept, s.pid = c, false, false, nil, 0, h.PID
	p.conns = append(p.conns, c)
	p.place(now)
	p.mu.Unlock()
	return c, nil
}

// State is what the supervisor says of a process.
type State uint8

// States. A process whose state nobody has said, Unknown, serves once it has said Hello.
const (
	Unknown  State = iota
	Absent         // there is none: it does not start, and is tried again now and then
	Starting       // it is there, and not ready
	Serving        // it takes requests, or should
)

// SetState says what the process behind a socket does. A request waits SocketTimeout
// for a process that serves, even if it hangs, or that starts, however long its
// imports take; and ConnectTimeout where there is none.
func (p *Pool) SetState(socket string, state State) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i := range p.slots {
		if s := &p.slots[i]; s.path == socket {
			if s.state == Serving && state != Serving { // who waited for it waits for the next one from now on
				p.lost = p.now()
			}
			s.state = state
		}
	}
}

// serves: there is a process to wait for, or will be. Holds the lock.
func (p *Pool) serves() bool {
	for i := range p.slots {
		if s := &p.slots[i]; s.conn != nil || s.state == Starting || s.half && s.state == Serving {
			return true
		}
	}
	return false
}

var (
	errNoHello = errors.New("the process ended before it was ready")
	errPeer    = errors.New("the socket was not made by the server")
)

// run serves a connection until it ends, and sees to the next one.
func (p *Pool) run(s *slot, c *conn) {
	err := c.serve()
	c.stop()
	switch {
	case p.ctx.Err() != nil || err == nil:
	case errors.Is(err, ErrProtocol):
		p.logf(LogError, "connection to process %d (number %d) closed: %v", c.pid, s.index, err)
	default:
		p.logf(LogInfo, "connection to process %d (number %d) ended: %v", c.pid, s.index, err)
	}
	c.gone(err)
}

// undialled notes that an attempt failed; false: nobody waits for the next.
func (p *Pool) undialled(s *slot, err error) bool {
	hopeless := isHopeless(err)
	p.mu.Lock()
	now := p.now()
	first := s.err == nil || s.err.Error() != err.Error()
	s.err, s.hopeless = err, hopeless
	pause := retryOften
	if s.slept >= retryUntil {
		pause = retrySlow
	}
	s.slept += pause
	s.next = now + pause
	if p.allHopeless() {
		for x := p.queue.first; x != nil; x = p.queue.first {
			p.queue.remove(x)
			p.fail(x, p.unreachable(err.Error()))
		}
	}
	p.expireQueue(now)
	on := p.queue.n > 0 && p.ctx.Err() == nil
	if !on {
		s.dialing, s.slept = false, 0
	}
	p.mu.Unlock()
	if first && p.ctx.Err() == nil {
		level := LogWarning
		if hopeless || errors.Is(err, ErrProtocol) {
			level = LogError
		}
		p.logf(level, "no connection to process number %d: %v", s.index, err)
	}
	return on
}

// allHopeless: every process failed in a way that waiting does not mend. Holds the lock.
func (p *Pool) allHopeless() bool {
	for i := range p.slots {
		if s := &p.slots[i]; s.conn != nil || !s.hopeless {
			return false
		}
	}
	return true
}

// isHopeless tells errors that waiting does not mend. It mends a full backlog, a
// process that restarts, and want of descriptors or memory here.
func isHopeless(err error) bool {
	for _, e := range []error{syscall.ECONNREFUSED, syscall.EAGAIN, syscall.EINTR, syscall.EMFILE, syscall.ENFILE, syscall.ENOMEM, syscall.ENOBUFS} {
		if errors.Is(err, e) {
			return false
		}
	}
	var op *net.OpError
	return errors.Is(err, errPeer) || errors.As(err, &op) && op.Op == "dial" && !op.Timeout()
}
