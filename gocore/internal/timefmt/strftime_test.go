// Tests of strftime's conversions.
package timefmt

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

func TestStrftime(t *testing.T) {
	at := time.Date(2021, 1, 3, 0, 4, 5, 0, time.UTC) // a Sunday, ISO week 53 of 2020
	for _, c := range []struct{ format, want string }{
		{"%a %A %b %B %h", "Sun Sunday Jan January Jan"},
		{"%c", "Sun Jan  3 00:04:05 2021"},
		{"%C %d %D %e %F", "20 03 01/03/21  3 2021-01-03"},
		{"%g %G %V %U %W %u %w", "20 2020 53 01 00 7 0"},
		{"%H %I %j %k %l %m %M %n", "00 12 003  0 12 01 04 \n"},
		{"%p %P %r %R %s %S %t %T", "AM am 12:04:05 AM 00:04 1609632245 05 \t 00:04:05"},
		{"%x %X %y %Y %z %Z %%", "01/03/21 00:04:05 21 2021 +0000 UTC %"},
		{"%-d %_d %-H %^a %#p %Ey %Od", "3  3 0 SUN am 21 03"},
		{"%Q %", "%Q %"},
	} {
		assert.Equal(t, c.want, string(AppendStrftime(nil, c.format, at)), c.format)
	}
}
