// This file has the CLF time stamp, which is formatted once a second.

package logconfig

import "time"

// stamp caches the CLF form of the last second seen. A log owns one and
// uses it under its target's lock: a busy server formats one stamp per second.
type stamp struct {
	sec  int64
	text []byte
}

// append appends "[02/Jan/2006:15:04:05 -0700]" of t.
func (c *stamp) append(dst []byte, t time.Time) []byte {
	if c == nil {
		return t.AppendFormat(dst, "[02/Jan/2006:15:04:05 -0700]")
	}
	if s := t.Unix(); c.text == nil || s != c.sec {
		c.sec = s
		c.text = t.AppendFormat(c.text[:0], "[02/Jan/2006:15:04:05 -0700]")
	}
	return append(dst, c.text...)
}
