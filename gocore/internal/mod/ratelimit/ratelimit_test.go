package ratelimit

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

// The bytes of a response take their time, and all of them go.
func TestPace(t *testing.T) {
	for _, c := range []struct {
		rate, burst, size int
		want              time.Duration
	}{
		{1024, 0, 2048, 2 * time.Second},
		{1024, 0, 512, 500 * time.Millisecond},
		{1024, 1024, 2048, time.Second},
		{1024, 4096, 2048, 0},
		{5 * 1000, 0, 1, 200 * time.Microsecond},
	} {
		p := &pacer{part: c.rate / 5, burst: c.burst}
		left, total := c.size, time.Duration(0)
		for left > 0 {
			n, wait := p.Pace(left)
			assert.Positive(t, n)
			assert.LessOrEqual(t, wait, interval)
			left -= n
			total += wait
		}
		assert.Zero(t, left)
		assert.InDelta(t, c.want, total, float64(10*time.Millisecond), "%+v", c)
	}
}
