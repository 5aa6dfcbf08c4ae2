// This file gives Go the time zones that POSIX describes in a text, which libc
// takes from TZ and package time does not: TZ=CET-1CEST,M3.5.0,M10.5.0/3. Go
// has the rules in it all the same, because files of the zone database end with
// such a text for the years after their last entry.
package timefmt

import (
	"encoding/binary"
	"os"
	"strings"
	"time"
)

// SetZone makes time.Local what TZ says, if that is a POSIX zone; it leaves
// it alone otherwise: package time knows names and files. Called once, first
// thing in a process of the server.
func SetZone() {
	if z := Zone(os.Getenv("TZ")); z != nil {
		time.Local = z
	}
}

// Zone is the zone that a POSIX TZ text describes (POSIX.1-2017 section 8.3);
// nil: it is none, or has no offset.
func Zone(tz string) *time.Location {
	if strings.HasPrefix(tz, ":") || len(tz) > 255 || strings.ContainsAny(tz, "\n\x00") {
		return nil
	}
	// A file of version 2 (RFC 9636) with one moment, long ago, from which on
	// the text at the end holds. The zone of before that is never asked for.
	const header, zones, transitions, names = "TZif2\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00", 1, 1, 4
	counts := func(b []byte, transitions, zones, names uint32) []byte { // UT and standard indicators, leap seconds, ...
		for _, n := range []uint32{0, 0, 0, transitions, zones, names} {
			b = binary.BigEndian.AppendUint32(b, n)
		}
		return b
	}
	b := counts([]byte(header), 0, 0, 0) // the part of version 1 is empty
	b = counts(append(b, header...), transitions, zones, names)
	b = binary.BigEndian.AppendUint64(b, 1<<63) // the beginning of time
	b = append(b, 0)                            // is when the zone 0 begins:
	b = append(b, 0, 0, 0, 0, 0, 0)             // no offset, no summer time, the first name
	b = append(b, "UTC\x00\n"...)
	b = append(append(b, tz...), '\n')
	z, err := time.LoadLocationFromTZData("Local", b)
	if err != nil {
		return nil
	}
	// What is no POSIX zone is not heeded, and leaves the zone made up above: two
	// zones never agree about all of a year with offset 0 and the name UTC.
	for month := time.January; month <= time.December; month++ {
		if name, offset := time.Date(2030, month, 15, 0, 0, 0, 0, z).Zone(); name != "UTC" || offset != 0 {
			return z
		}
	}
	return nil
}
