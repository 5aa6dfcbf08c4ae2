// What is sent: DATA within the windows (RFC 9113 section 5.2), and the output
// that waits for the socket. A stream that cannot send waits for its own window,
// or in a queue for that of the connection or for room in the output, first
// come, first served.
package http2

// Take gives the output and leaves spare, or nothing, for what follows. The
// caller sends it and says so with Sent.
func (c *Conn) Take(spare []byte) []byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	b := c.out
	c.out = spare[:0]
	c.lastData = nil
	c.taken += len(b)
	return b
}

// Sent counts bytes that Take gave and the socket took.
func (c *Conn) Sent(n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.taken -= n
	if len(c.waiting) > 0 && c.queued() <= outMax/2 {
		c.wake()
	}
}

// Pending is the number of bytes that wait for Take.
func (c *Conn) Pending() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.out)
}

// Full reports whether so much output waits that nothing more should be read:
// else a client that reads nothing would let it grow.
func (c *Conn) Full() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.queued() > 2*outMax
}

func (c *Conn) queued() int { return len(c.out) + c.taken }

// send appends as much of p as DATA as the windows allow. mu held.
func (c *Conn) send(s *Stream, p []byte) (n int) {
	for n < len(p) {
		window := min(s.window, c.window)
		room := outMax - c.queued()
		if window <= 0 || room <= 0 {
			s.wants = true
			if s.window > 0 && !s.queued {
				s.queued = true
				c.waiting = append(c.waiting, s)
			}
			return n
		}
		k := min(int64(len(p)-n), window, int64(max(room, dribbleSize)))
		if k < dribbleSize && k == window && k < int64(len(p)-n) && !c.guard.dribbled() {
			c.fail(calm("too many small windows"))
			return n
		}
		if have := len(c.out) - c.lastAt - frameHeader; c.lastData == s && c.lastEnd == len(c.out) && have+int(k) <= c.frameMax {
			f := c.out[c.lastAt:]
			have += int(k)
			f[0], f[1], f[2] = byte(have>>16), byte(have>>8), byte(have)
		} else {
			k = min(k, int64(c.frameMax))
			c.lastData, c.lastAt = s, len(c.out)
			c.out = appendFrame(c.out, int(k), frameData, 0, s.ID)
		}
		c.out = append(c.out, p[n:n+int(k)]...)
		c.lastEnd = len(c.out)
		n += int(k)
		s.window -= k
		c.window -= k
		c.guard.sentData(int(k))
	}
	return n
}

// finish ends the response. mu held.
func (c *Conn) finish(s *Stream) {
	if c.lastData == s {
		c.out[c.lastAt+4] |= flagEndStream
		c.lastData = nil
	} else {
		c.out = appendFrame(c.out, 0, frameData, flagEndStream, s.ID)
	}
	c.finished(s)
}

// finished is called when END_STREAM is in the output. mu held.
func (c *Conn) finished(s *Stream) {
	s.localEnd = true
	s.t.state = tEnded
	c.served++
	c.guard.servedOne()
	if s.remoteEnd {
		c.over(s, false)
		return
	}
	c.out = appendRST(c.out, s.ID, NoError) // section 8.1: the rest of the request is not needed
	c.over(s, true)
}

// wakeStream tells the user of a stream that it may go on. mu held.
func (c *Conn) wakeStream(s *Stream) {
	s.wants = false
	c.note(s, Writable)
}

// wake tells the first of those that wait, as many as can expect to send
// something. mu held.
func (c *Conn) wake() {
	for n := 1 + min(c.window, outMax)/maxFrame; n > 0 && len(c.waiting) > 0 && c.window > 0 && c.queued() < outMax; n-- {
		s := c.waiting[0]
		c.waiting[0] = nil
		if c.waiting = c.waiting[1:]; len(c.waiting) == 0 {
			c.waiting = nil
		}
		s.queued = false
		if s.closed || !s.wants {
			c.recycle(s)
			n++
			continue
		}
		c.wakeStream(s)
	}
}

// headerFrames appends the header block that begins at out[at+frameHeader]; its
// frame's header has its place there already. mu held.
func (c *Conn) headerFrames(at int, id uint32, end bool) {
	c.lastData = nil
	var fl byte = flagEndHeaders
	if end {
		fl |= flagEndStream
	}
	n := len(c.out) - at - frameHeader
	if n <= c.frameMax {
		appendFrame(c.out[:at], n, frameHeaders, fl, id)
		return
	}
	rest := append([]byte(nil), c.out[at+frameHeader:]...)
	c.out = c.out[:at]
	for kind := byte(frameHeaders); len(rest) > 0; kind = frameContinuation {
		k := min(len(rest), c.frameMax)
		f := fl
		if k < len(rest) {
			f &^= flagEndHeaders
		}
		if kind == frameContinuation {
			f &^= flagEndStream
		}
		c.out = appendFrame(c.out, k, kind, f, id)
		c.out = append(c.out, rest[:k]...)
		rest = rest[k:]
	}
}
