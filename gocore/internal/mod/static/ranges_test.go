// Tests and fuzzing of the Range parser and the validators.

package static

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

func TestParseRanges(t *testing.T) {
	for _, c := range []struct {
		value   string
		limit   rangeLimits
		want    []span
		verdict rangeVerdict
	}{
		{"bytes=0-0", defaultLimits, []span{{0, 1}}, someRanges},
		{"BYTES=0-0,,  9-9 ,", defaultLimits, []span{{0, 1}, {9, 1}}, someRanges},
		{"bytes=-20", defaultLimits, []span{{0, 10}}, someRanges},
		{"bytes=8-20", defaultLimits, []span{{8, 2}}, someRanges},
		{"bytes=10-,0-1", defaultLimits, []span{{0, 2}}, someRanges},
		{"bytes=10-,-0", defaultLimits, nil, unsatisfiable},
		{"bytes=", defaultLimits, nil, wholeFile},
		{"bytes=,", defaultLimits, nil, wholeFile},
		{"bytes=-", defaultLimits, nil, wholeFile},
		{"bytes=--1", defaultLimits, nil, wholeFile},
		{"bytes=1-x", defaultLimits, nil, wholeFile},
		{"bytes=0x1-2", defaultLimits, nil, wholeFile},
		{"bytes=+1-2", defaultLimits, nil, wholeFile},
		{"bytes 0-1", defaultLimits, nil, wholeFile},
		{"bytes=0-1,3-4,6-7", rangeLimits{2, 20, 20}, nil, wholeFile},
		{"bytes=0-1,3-4,6-7", rangeLimits{-1, 0, 0}, []span{{0, 2}, {3, 2}, {6, 2}}, someRanges},
		{"bytes=0-1,1-2", rangeLimits{200, 0, 20}, nil, wholeFile},
		{"bytes=0-1,1-2", rangeLimits{200, 1, 20}, []span{{0, 3}}, someRanges},
		{"bytes=0-1,2-3,8-9", defaultLimits, []span{{0, 4}, {8, 2}}, someRanges},
		{"bytes=5-6,1-8", defaultLimits, []span{{1, 8}}, someRanges},
		{"bytes=0-5,8-9,2-9", defaultLimits, nil, wholeFile},
		{"bytes=4-5,1-2", rangeLimits{200, 20, 0}, nil, wholeFile},
		{"bytes=0-9,0-0", defaultLimits, []span{{0, 10}}, someRanges},
		{"bytes=0-9", rangeLimits{0, 20, 20}, nil, wholeFile},
	} {
		got, verdict := parseRanges(c.value, 10, c.limit)
		assert.Equal(t, c.verdict, verdict, c.value)
		assert.Equal(t, c.want, got, c.value)
	}
}

func FuzzParseRanges(f *testing.F) {
	for _, s := range []string{"bytes=0-1", "bytes=-5,1-", "bytes=99999999999999999999-", "bytes=0-0,2-2,1-1", "bytes=-9223372036854775808"} {
		f.Add(s, int64(10))
	}
	f.Fuzz(func(t *testing.T, s string, size int64) {
		if size < 0 {
			return
		}
		spans, verdict := parseRanges(s, size, defaultLimits)
		if (verdict == someRanges) != (len(spans) > 0) {
			t.Fatal("verdict and ranges differ")
		}
		var sum int64
		for _, r := range spans {
			if r.off < 0 || r.len <= 0 || r.off+r.len > size {
				t.Fatalf("range %v outside of %d bytes", r, size)
			}
			sum += r.len
		}
		if sum > size || len(spans) > defaultLimits.count {
			t.Fatal("more than the limits allow")
		}
	})
}

func TestETag(t *testing.T) {
	at := time.UnixMicro(0x60a212c0b6240)
	for _, c := range []struct {
		parts etagParts
		now   time.Time
		want  string
	}{
		{etagDefault, at.Add(time.Hour), `"1f-60a212c0b6240"`},
		{etagINode | etagDefault, at.Add(time.Hour), `"ff-1f-60a212c0b6240"`},
		{etagSize, at, `W/"1f"`},
		{0, at, ""},
	} {
		assert.Equal(t, c.want, makeETag(c.parts, 255, 31, at, c.now))
	}
}

func FuzzMatchesAny(f *testing.F) {
	f.Add(`"a", W/"b"`, `"b"`)
	f.Add(`*`, ``)
	f.Add(`"`, `"`)
	f.Fuzz(func(t *testing.T, list, tag string) {
		matchesAny(list, tag, true)
		matchesAny(list, tag, false)
	})
}
