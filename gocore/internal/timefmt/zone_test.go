// POSIX time zones against what the C library makes of them.

package timefmt

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestZone(t *testing.T) {
	summer, winter := time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC), time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	for _, c := range []struct{ tz, summer, winter string }{
		{"CET-1CEST,M3.5.0,M10.5.0/3", "14:00 CEST +0200", "13:00 CET +0100"},
		{"CET-1CEST", "14:00 CEST +0200", "13:00 CET +0100"}, // without rule: those of the United States
		{"EST5EDT,M3.2.0,M11.1.0", "08:00 EDT -0400", "07:00 EST -0500"},
		{"<+0530>-5:30", "17:30 +0530 +0530", "17:30 +0530 +0530"},
		{"<-03>3", "09:00 -03 -0300", "09:00 -03 -0300"},
		{"AEST-10AEDT,M10.1.0,M4.1.0/3", "22:00 AEST +1000", "23:00 AEDT +1100"},
		{"XYZ2ABC1,J60,J300", "11:00 ABC -0100", "10:00 XYZ -0200"},
		{"GMT0BST,M3.5.0/1,M10.5.0", "13:00 BST +0100", "12:00 GMT +0000"},
	} {
		z := Zone(c.tz)
		require.NotNil(t, z, c.tz)
		assert.Equal(t, c.summer, summer.In(z).Format("15:04 MST -0700"), c.tz)
		assert.Equal(t, c.winter, winter.In(z).Format("15:04 MST -0700"), c.tz)
	}
	before, after := time.Date(2026, 3, 29, 0, 59, 59, 0, time.UTC), time.Date(2026, 3, 29, 1, 0, 0, 0, time.UTC)
	z := Zone("CET-1CEST,M3.5.0,M10.5.0/3")
	assert.Equal(t, "01:59:59 03:00:00", before.In(z).Format(time.TimeOnly)+" "+after.In(z).Format(time.TimeOnly), "the night it begins")
}

func TestNoZone(t *testing.T) {
	for _, tz := range []string{"", "UTC", "UTC0", "Europe/Berlin", ":Europe/Berlin", "/etc/localtime", "CET", "X-1", "CET-1CEST,M13.5.0,M10.5.0", "CET-1\nCEST"} {
		assert.Nil(t, Zone(tz), tz)
	}
}

func FuzzZone(f *testing.F) {
	for _, tz := range []string{"CET-1CEST,M3.5.0,M10.5.0/3", "<+0530>-5:30", "XYZ2ABC1,J60,J300", "A0,", ":x"} {
		f.Add(tz)
	}
	f.Fuzz(func(t *testing.T, tz string) {
		if z := Zone(tz); z != nil {
			_, offset := time.Unix(1790000000, 0).In(z).Zone()
			assert.Less(t, max(offset, -offset), 200*3600)
		}
	})
}
