// This file writes records in a compiled format.

package errorlog

import (
	"net/netip"
	"strconv"
	"time"

	"modwsgi/gocore/internal/timefmt"
)

// LevelNames are LogLevel's words in order.
var LevelNames = [...]string{"emerg", "alert", "crit", "error", "warn", "notice", "info", "debug",
	"trace1", "trace2", "trace3", "trace4", "trace5", "trace6", "trace7", "trace8"}

// Record is one message. What is not known stays at its zero value.
type Record struct {
	Time     time.Time
	Level    int // 0 emerg ... 15 trace8
	Module   string
	PID, TID int
	Message  string
	Status   string // operating system's status: "(2)No such file or directory"
	Server   string // ServerName
	Request  *Request
}

// Request is what a record says about the request it belongs to.
type Request struct {
	Client, Peer, Local netip.AddrPort
	LogID, ConnID       string
	KeepAlives          int
	Host                string // by UseCanonicalName
	Header, Env, Note   func(name string) (string, bool)
}

// Append appends the record as one line, with its line feed, to dst. Nothing
// is appended when an item that is required ('+') has no value. Control
// characters in what others wrote are escaped, so that nobody can forge a
// second line or speak to a terminal.
func (f *Format) Append(dst []byte, r *Record) []byte {
	begin, field, skipping := len(dst), len(dst), false
	for i := range f.items {
		it := &f.items[i]
		if it.flags&flagField != 0 {
			if !skipping {
				field = len(dst)
			}
			skipping = false
		}
		if it.op == opMessage {
			dst = appendEscaped(dst, r.Message)
			continue
		}
		if skipping {
			continue
		}
		if int(it.min) > r.Level {
			dst, skipping = dst[:field], true
			continue
		}
		mark := len(dst)
		dst = it.append(dst, r)
		if len(dst) > mark || it.op == opGap {
			continue
		}
		switch {
		case it.flags&flagRequired != 0:
			return dst[:begin]
		case it.flags&flagHyphen != 0:
			dst = append(dst, '-')
		default:
			dst, skipping = dst[:field], true
		}
	}
	return append(dst, '\n')
}

// append appends an item's value, or nothing if it has none.
func (it *item) append(dst []byte, r *Record) []byte {
	switch it.op {
	case opLiteral:
		return append(dst, it.arg...)
	case opErrno:
		return append(dst, r.Status...)
	case opLevel:
		return append(dst, LevelNames[min(max(r.Level, 0), len(LevelNames)-1)]...)
	case opModule:
		return append(dst, r.Module...)
	case opPID:
		return strconv.AppendInt(dst, int64(r.PID), 10)
	case opTID:
		return strconv.AppendInt(dst, int64(r.TID), 10)
	case opTime:
		return it.appendTime(dst, r.Time)
	case opStrftime:
		return timefmt.AppendStrftime(dst, it.arg, r.Time)
	case opServer:
		return append(dst, r.Server...)
	}
	q := r.Request
	if q == nil {
		if it.op == opHost {
			return append(dst, r.Server...)
		}
		return dst
	}
	named := func(lookup func(string) (string, bool)) []byte {
		if lookup == nil {
			return dst
		}
		v, _ := lookup(it.arg)
		return appendEscaped(dst, v)
	}
	switch it.op {
	case opClient:
		return appendAddr(dst, q.Client)
	case opPeer:
		return appendAddr(dst, q.Peer)
	case opLocal:
		return appendAddr(dst, q.Local)
	case opKeep:
		return strconv.AppendInt(dst, int64(q.KeepAlives), 10)
	case opLogID:
		return append(dst, q.LogID...)
	case opConnID:
		return append(dst, q.ConnID...)
	case opHost:
		return appendEscaped(dst, q.Host)
	case opHeader:
		return named(q.Header)
	case opEnv:
		return named(q.Env)
	case opNote:
		return named(q.Note)
	}
	return dst // opSource; opConnOnly, because there is a request
}

// appendTime appends %t: "Sat Nov 21 14:20:14 2026", or with c ISO 8601.
func (it *item) appendTime(dst []byte, t time.Time) []byte {
	micro, compact, zone := false, false, false
	for _, c := range it.arg {
		micro, compact, zone = micro || c == 'u', compact || c == 'c', zone || c == 'z'
	}
	day, year := "Mon Jan 02 15:04:05", " 2006"
	if compact {
		day, year = "2006-01-02 15:04:05", ""
	}
	dst = t.AppendFormat(dst, day)
	if micro {
		dst = timefmt.AppendPadded(append(dst, '.'), t.Nanosecond()/1000, 6, '0')
	}
	dst = t.AppendFormat(dst, year)
	if zone {
		dst = t.AppendFormat(dst, " -0700")
	}
	return dst
}

// appendAddr appends "192.0.2.1:5555", or "2001:db8::1:5555" as Apache prints it.
func appendAddr(dst []byte, a netip.AddrPort) []byte {
	if !a.IsValid() {
		return dst
	}
	dst = a.Addr().Unmap().WithZone("").AppendTo(dst)
	return strconv.AppendInt(append(dst, ':'), int64(a.Port()), 10)
}

// appendEscaped appends text with its control characters escaped.
func appendEscaped(dst []byte, s string) []byte {
	start := 0
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c >= 0x20 && c != 0x7f {
			continue
		}
		dst = append(dst, s[start:i]...)
		start = i + 1
		if k := escapes[c&0x7f]; k != 0 {
			dst = append(dst, '\\', k)
		} else {
			dst = append(dst, '\\', 'x', "0123456789abcdef"[c>>4], "0123456789abcdef"[c&15])
		}
	}
	return append(dst, s[start:]...)
}

var escapes = [128]byte{'\b': 'b', '\n': 'n', '\r': 'r', '\t': 't', '\v': 'v'}
