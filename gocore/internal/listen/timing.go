// The time-outs of reading: RequestReadTimeout and Timeout.
package listen

import (
	"math"
	"time"
)

// RequestReadTimeout (mod_reqtimeout): a stage, the head or the body, may take
// t in total; with a rate, each rate bytes earn a second, up to most after the
// stage's beginning (0: without bound). A stage without a limit of its own is
// bounded by Timeout, which runs anew with each read.

// stage begins one.
func (c *Conn) stage(now int64, t time.Duration) {
	c.started = now
	if t <= 0 {
		t = c.Settings.IO
	}
	c.arm(now, t)
}

// earn counts n bytes of a stage.
func (c *Conn) earn(now int64, n int, t, most time.Duration, rate int) {
	if t <= 0 {
		c.arm(now, c.Settings.IO)
		return
	}
	if rate <= 0 {
		return
	}
	d := c.deadline.Load() + int64(n)*int64(time.Second)/int64(rate)
	if most > 0 {
		d = min(d, c.started+int64(most))
	}
	c.deadline.Store(d)
}

// received counts bytes of the present stage.
func (c *Conn) received(now int64, n int) {
	s := c.Settings
	if c.phase == phHead {
		c.earn(now, n, s.Header, s.HeaderMax, s.HeaderRate)
	} else {
		c.earn(now, n, s.Body, s.BodyMax, s.BodyRate)
	}
}

// bodyLimits tells the C side, which receives what does not fit into the buffer.
func (c *Conn) bodyLimits(q *Req) {
	ms := func(d time.Duration) int32 { return int32(min(d/time.Millisecond, math.MaxInt32)) }
	q.BodyMs, q.BodyMaxMs, q.BodyRate = ms(c.Settings.Body), ms(c.Settings.BodyMax), int32(c.Settings.BodyRate)
	q.BodyBegan, q.BodyUntil = 0, 0
}

// freshGrace is how long a new connection may still bring its first request to
// a server that stops: it was accepted, so its client counts on an answer.
const freshGrace = 500 * time.Millisecond

// lastChance leaves a connection that has brought no request yet little time.
func (c *Conn) lastChance(now int64) {
	if d := c.deadline.Load(); d == 0 || d > now+int64(freshGrace) {
		c.arm(now, freshGrace)
	}
}

func (c *Conn) arm(now int64, d time.Duration) {
	if d <= 0 {
		c.deadline.Store(0)
		return
	}
	c.deadline.Store(now + int64(d))
}
