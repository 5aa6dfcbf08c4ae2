// Package telemetry has the datagrams of WSGITelemetryService, in the format
// that mod_wsgi 6 sends them, so that its ingesters (mod_wsgi-telemetry) read
// them: a header of 24 bytes, then fields. Little-endian throughout.
//
//	header  "WSGI", version 1, kind, flags (16 bits), pid, sequence (32 bits each), seconds since the epoch (float64)
//	field   id (16 bits), type (8 bits), for the types from Bytes on a length or count (16 bits), value
//
// No I/O here.
package telemetry

import (
	"encoding/binary"
	"math"
	"time"
	"unicode/utf8"
)

// Max is the size of the largest datagram, in bytes.
const Max = 8192

// Kind says what a datagram is about.
type Kind uint8

// The kinds that are sent; 1 (process) and 3 (server) are not used.
const (
	Interval  Kind = 2 // what an interval has counted
	Slow      Kind = 4 // a slow request
	Started   Kind = 5
	Stopping  Kind = 6
	Stopped   Kind = 7
	Collector Kind = 8 // figures of Python's garbage collector
	Collected Kind = 9 // one run of it
)

const (
	version    = 1
	headerSize = 24
)

// Types of fields.
const (
	typeUint   = 1
	typeFloat  = 2
	typeBytes  = 4
	typeInts   = 5 // int32
	typeFloats = 6
)

// Message is a datagram that is being written. A field that would make it
// larger than Max is left out.
type Message struct{ b []byte }

// New begins a datagram.
func New(kind Kind, pid int, sequence uint32, now time.Time) *Message {
	b := append(make([]byte, 0, 512), "WSGI"...)
	b = append(b, version, byte(kind), 0, 0)
	b = binary.LittleEndian.AppendUint32(b, uint32(pid))
	b = binary.LittleEndian.AppendUint32(b, sequence)
	return &Message{appendFloat(b, float64(now.UnixMicro())/1e6)}
}

// Bytes is the datagram so far.
func (m *Message) Bytes() []byte { return m.b }

func appendFloat(b []byte, v float64) []byte {
	return binary.LittleEndian.AppendUint64(b, math.Float64bits(v))
}

// head begins a field whose value has n bytes; false: there is no room.
func (m *Message) head(id uint16, kind byte, n int) bool {
	if len(m.b)+5+n > Max {
		return false
	}
	m.b = append(binary.LittleEndian.AppendUint16(m.b, id), kind)
	return true
}

func (m *Message) count(n int) { m.b = binary.LittleEndian.AppendUint16(m.b, uint16(n)) }

// Uint adds a number; a negative one is sent as 0.
func (m *Message) Uint(id uint16, v int64) {
	if m.head(id, typeUint, 8) {
		m.b = binary.LittleEndian.AppendUint64(m.b, uint64(max(v, 0)))
	}
}

// Flag adds 1 or 0.
func (m *Message) Flag(id uint16, v bool) {
	n := int64(0)
	if v {
		n = 1
	}
	m.Uint(id, n)
}

// Float adds a number, times in seconds.
func (m *Message) Float(id uint16, v float64) {
	if m.head(id, typeFloat, 8) {
		m.b = appendFloat(m.b, v)
	}
}

// Text adds a string of at most limit bytes; one that is cut ends with "...".
func (m *Message) Text(id uint16, s string, limit int) {
	if len(s) > limit {
		n := limit - len("...")
		for n > 0 && !utf8.RuneStart(s[n]) {
			n--
		}
		s = s[:n] + "..."
	}
	if m.head(id, typeBytes, len(s)) {
		m.count(len(s))
		m.b = append(m.b, s...)
	}
}

// Ints adds a list.
func (m *Message) Ints(id uint16, list []int32) {
	if m.head(id, typeInts, 4*len(list)) {
		m.count(len(list))
		for _, v := range list {
			m.b = binary.LittleEndian.AppendUint32(m.b, uint32(v))
		}
	}
}

// Floats adds a list.
func (m *Message) Floats(id uint16, list []float64) {
	if m.head(id, typeFloats, 8*len(list)) {
		m.count(len(list))
		for _, v := range list {
			m.b = appendFloat(m.b, v)
		}
	}
}
