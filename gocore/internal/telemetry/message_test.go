package telemetry

import (
	"encoding/binary"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestMessage(t *testing.T) {
	m := New(Slow, 100000, 4, time.Unix(1795300218, 500_000_000))
	m.Uint(SlowState, 1)
	m.Uint(SlowThread, -3)
	m.Float(SlowDuration, 1.5)
	m.Text(SlowMethod, "GET", MaxShort)
	m.Ints(Histogram, []int32{1, -1})
	m.Floats(SlotBusy, []float64{0.25})
	m.Flag(Graceful, true)
	want := "WSGI\x01\x04\x00\x00\xa0\x86\x01\x00\x04\x00\x00\x00"
	want += string(binary.LittleEndian.AppendUint64(nil, math.Float64bits(1795300218.5)))
	want += "\xc8\x00\x01\x01\x00\x00\x00\x00\x00\x00\x00" // 200
	want += "\xcb\x00\x01\x00\x00\x00\x00\x00\x00\x00\x00" // 203
	want += "\xca\x00\x02\x00\x00\x00\x00\x00\x00\xf8\x3f" // 202
	want += "\xd2\x00\x04\x03\x00GET"
	want += "\x5a\x00\x05\x02\x00\x01\x00\x00\x00\xff\xff\xff\xff"
	want += "\x6f\x00\x06\x01\x00\x00\x00\x00\x00\x00\x00\xd0\x3f"
	want += "\x87\x00\x01\x01\x00\x00\x00\x00\x00\x00\x00"
	assert.Equal(t, want, string(m.Bytes()))
}

func TestTextIsCutAtACharacter(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"0123456789abcdef", "0123456789abcdef"},
		{"0123456789abcdefg", "0123456789abc..."},
		{"0123456789abéééé", "0123456789ab..."},
	} {
		m := New(Slow, 1, 1, time.Time{})
		m.Text(SlowMethod, c.text, MaxShort)
		assert.Equal(t, c.want, string(m.Bytes()[headerSize+5:]), c.text)
	}
}

func TestWhatDoesNotFitIsLeftOut(t *testing.T) {
	m := New(Interval, 1, 1, time.Time{})
	m.Text(Hostname, strings.Repeat("x", 8000), 8000)
	m.Ints(Histogram, make([]int32, 65))
	m.Uint(Requests, 7)
	require.LessOrEqual(t, len(m.Bytes()), Max)
	assert.Equal(t, headerSize+5+8000+11, len(m.Bytes()))
}
