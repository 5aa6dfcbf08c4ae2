// What each frame of a daemon process does. Whether it may come at this time
// is checked first; if not, the error ends the connection.
package hop

import "fmt"

// frame handles one frame, on the reading goroutine.
func (c *conn) frame(f Frame, now int64) error {
	switch f.Type {
	case TypeHead:
		return c.onHead(f, now)
	case TypeData:
		return c.onData(f, now)
	case TypeEnd:
		return c.onEnd(f, now)
	case TypeCredit:
		return c.onCredit(f, now)
	case TypeQueued:
		return c.onQueued(f, now)
	case TypeRefused:
		return c.onRefused(f, now)
	case TypeError, TypeReset:
		return c.onFailure(f, now)
	case TypeGoaway:
		if c.away {
			return protocolError("a second Goaway")
		}
		c.away = true
		c.pool.mu.Lock()
		c.pool.drain(c, now)
		c.pool.mu.Unlock()
		return nil
	}
	return protocolError("%v at the wrong time", f.Type)
}

// lock takes the pool's lock and finds the frame's stream; without the lock and with an error if there is none.
func (c *conn) lock(f Frame, now int64) (*stream, error) {
	c.pool.mu.Lock()
	if i := uint64(f.Stream) - 1; i < uint64(len(c.streams)) {
		if s := &c.streams[i]; s.open {
			s.progress = now
			if f.Logged && s.x != nil {
				s.x.logged = true
			}
			return s, nil
		}
	}
	c.pool.mu.Unlock()
	return nil, protocolError("%v for stream %d, which is not open", f.Type, f.Stream)
}

// handler is whose stream it is, and who hears of it; nil: not wanted any more.
// Holds the lock: afterwards the exchange may be another one's.
func (s *stream) handler() (*Exchange, Handler) {
	if s.x == nil {
		return nil, nil
	}
	return s.x, s.x.h
}

// wrong gives the lock back with an error.
func (c *conn) wrong(format string, args ...any) error {
	c.pool.mu.Unlock()
	return protocolError(format, args...)
}

// keeps notes that the process keeps the request. Holds the lock.
func (c *conn) keeps(s *stream) {
	if s.taken {
		return
	}
	s.taken = true
	c.kept -= s.kept
	s.kept = 0
	if s.waits {
		s.waits = false
		c.waiting--
	}
	if x := s.x; x != nil {
		x.taken = true
		x.drop()
		x.signal()
	}
}

func (c *conn) onHead(f Frame, now int64) error {
	h, err := DecodeHead(f.Payload)
	if err != nil {
		return err
	}
	s, err := c.lock(f, now)
	if err != nil {
		return err
	}
	if s.head {
		return c.wrong("a second Head")
	}
	c.keeps(s)
	s.head, s.sized, s.left = true, h.Length >= 0, h.Length
	x, hd := s.handler()
	short, fail := c.endIf(f, s, now)
	c.pool.mu.Unlock()
	if hd == nil {
		return nil
	}
	hd.Head(x, h.Status, h.Length, h.Text)
	switch {
	case short:
		hd.Fail(x, fail)
	case f.End:
		hd.End(x)
	}
	return nil
}

func (c *conn) onData(f Frame, now int64) error {
	s, err := c.lock(f, now)
	if err != nil {
		return err
	}
	n := int64(len(f.Payload))
	switch {
	case !s.head:
		return c.wrong("Data before Head")
	case n > s.window:
		return c.wrong("Data beyond the credit")
	case s.sized && n > s.left:
		return c.wrong("Data beyond the length of the body")
	}
	s.window -= n
	s.left -= n
	x, hd := s.handler()
	short, fail := c.endIf(f, s, now)
	c.pool.mu.Unlock()
	if hd == nil {
		return nil
	}
	if n > 0 || f.End && !short {
		hd.Data(x, f.Payload, f.End && !short)
	}
	if short {
		hd.Fail(x, fail)
	}
	return nil
}

func (c *conn) onEnd(f Frame, now int64) error {
	s, err := c.lock(f, now)
	if err != nil {
		return err
	}
	if !s.head {
		return c.wrong("End before Head")
	}
	x, hd := s.handler()
	f.End = true
	short, fail := c.endIf(f, s, now)
	c.pool.mu.Unlock()
	switch {
	case hd == nil:
	case short:
		hd.Fail(x, fail)
	default:
		hd.End(x)
	}
	return nil
}

// endIf ends the stream and its exchange if the frame does; short: the body is
// shorter than Head has said. Holds the lock.
func (c *conn) endIf(f Frame, s *stream, now int64) (short bool, fail Failure) {
	if !f.End {
		return false, fail
	}
	if s.x != nil {
		if short = s.sized && s.left > 0; short {
			fail = c.failure(Broken, 0, true, fmt.Sprintf("ended the response %d bytes too early", s.left))
		}
		c.pool.finish(s.x)
	}
	c.closeStream(f.Stream, now)
	return short, fail
}

func (c *conn) onCredit(f Frame, now int64) error {
	n, err := DecodeCredit(f.Payload)
	if err != nil {
		return err
	}
	s, err := c.lock(f, now)
	if err != nil {
		return err
	}
	if s.grants--; s.grants < 0 {
		return c.wrong("Credit for nothing")
	}
	c.keeps(s)
	if x := s.x; x != nil {
		if x.credit+int64(n) > MaxWindow {
			return c.wrong("Credit for more than %d bytes", MaxWindow)
		}
		x.credit += int64(n)
		x.signal()
	}
	c.pool.mu.Unlock()
	return nil
}

func (c *conn) onQueued(f Frame, now int64) error {
	waits, err := DecodeQueued(f.Payload)
	if err != nil {
		return err
	}
	s, err := c.lock(f, now)
	if err != nil {
		return err
	}
	if waits && s.taken {
		return c.wrong("Queued after Credit or Head")
	}
	if s.told++; s.told > 2 {
		return c.wrong("Queued a third time")
	}
	if waits != s.waits {
		s.waits = waits
		if waits {
			c.waiting++
		} else {
			c.waiting--
		}
	}
	c.pool.mu.Unlock()
	return nil
}

func (c *conn) onRefused(f Frame, now int64) error {
	why, err := DecodeRefused(f.Payload)
	if err != nil {
		return err
	}
	s, err := c.lock(f, now)
	if err != nil {
		return err
	}
	if s.taken {
		return c.wrong("Refused after Credit or Head")
	}
	p := c.pool
	x, hd := s.handler()
	c.closeStream(f.Stream, now)
	var fail Failure
	if why == Restarting {
		p.drain(c, now) // before the request looks for another process
		if hd = nil; x != nil {
			p.giveBack(x, now)
		}
	} else if x != nil {
		fail = p.tooLate()
		fail.PID, fail.Slot = int(c.pid), c.slot
		p.finish(x)
	}
	p.mu.Unlock()
	if hd != nil {
		hd.Fail(x, fail)
	}
	return nil
}

// onFailure is Error and Reset.
func (c *conn) onFailure(f Frame, now int64) error {
	kind, status, what := Broken, 0, "broke off in the middle of the response"
	if f.Type == TypeError {
		var err error
		if status, err = DecodeError(f.Payload); err != nil {
			return err
		}
		kind, what = App, fmt.Sprintf("answered with an error of its application (%d)", status)
	}
	s, err := c.lock(f, now)
	if err != nil {
		return err
	}
	if f.Type == TypeError && s.head {
		return c.wrong("Error after Head")
	}
	x, hd := s.handler()
	if f.Type == TypeReset && !s.head {
		kind, status, what = Lost, 502, "broke off before the response"
	}
	var fail Failure
	if x != nil {
		fail = c.failure(kind, status, s.head, what)
		c.pool.finish(x)
	}
	c.closeStream(f.Stream, now)
	c.pool.mu.Unlock()
	if hd != nil {
		hd.Fail(x, fail)
	}
	return nil
}
