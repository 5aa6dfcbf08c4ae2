// This file reads the Range field (RFC 9110 section 14) and makes multipart
// answers. Its limits are Apache's: a request must not make the server do much
// more work than sending the file once.

package static

import (
	"crypto/rand"
	"encoding/hex"
	"strconv"
	"strings"

	"modwsgi/gocore/internal/httpd"
)

// span is a range of bytes [off, off+len).
type span struct{ off, len int64 }

// rangeLimits are MaxRanges, MaxRangeOverlaps and MaxRangeReversals; -1 is no
// limit, 0 none at all.
type rangeLimits struct{ count, overlaps, reversals int }

var defaultLimits = rangeLimits{200, 20, 20}

type rangeVerdict int

const (
	wholeFile     rangeVerdict = iota // ignore the field
	someRanges                        // 206
	unsatisfiable                     // 416
)

// parseRanges reads a Range value for a file of size bytes. An invalid field
// is ignored, as the RFC demands. A range that overlaps or touches the one
// before it is joined with that one.
func parseRanges(value string, size int64, limit rangeLimits) ([]span, rangeVerdict) {
	const unit = "bytes="
	if len(value) < len(unit) || !strings.EqualFold(value[:len(unit)], unit) || limit.count == 0 {
		return nil, wholeFile
	}
	var out []span
	seen, overlaps, reversals := 0, 0, 0
	for part := range strings.SplitSeq(value[len(unit):], ",") {
		part = strings.Trim(part, " \t")
		if part == "" {
			continue
		}
		seen++
		if limit.count > 0 && seen > limit.count {
			return nil, wholeFile
		}
		s, ok, within := parseRange(part, size)
		if !ok {
			return nil, wholeFile
		}
		if !within {
			continue
		}
		merged := false
		if n := len(out); n > 0 {
			last := &out[n-1]
			if s.off < last.off {
				reversals++
			}
			if s.off <= last.off+last.len && last.off <= s.off+s.len { // they overlap or touch
				overlaps++
				merged = true
				end := max(s.off+s.len, last.off+last.len)
				last.off = min(s.off, last.off)
				last.len = end - last.off
			}
		}
		if limit.overlaps >= 0 && overlaps > limit.overlaps || limit.reversals >= 0 && reversals > limit.reversals {
			return nil, wholeFile
		}
		if !merged {
			out = append(out, s)
		}
	}
	var sum int64
	for _, s := range out {
		if sum += s.len; sum > size {
			return nil, wholeFile
		}
	}
	switch {
	case seen == 0:
		return nil, wholeFile
	case len(out) == 0:
		return nil, unsatisfiable
	}
	return out, someRanges
}

// parseRange reads "first-last", "first-" or "-count". within is false when
// no byte of it exists.
func parseRange(s string, size int64) (r span, ok, within bool) {
	first, last, found := strings.Cut(s, "-")
	first, last = strings.TrimRight(first, " \t"), strings.TrimLeft(last, " \t")
	if !found || first == "" && last == "" {
		return r, false, false
	}
	if first == "" {
		n, ok := position(last)
		if !ok {
			return r, false, false
		}
		n = min(n, size)
		return span{size - n, n}, true, n > 0
	}
	from, ok := position(first)
	if !ok {
		return r, false, false
	}
	to := size - 1
	if last != "" {
		n, ok := position(last)
		if !ok || n < from {
			return r, false, false
		}
		to = min(to, n)
	}
	if from >= size {
		return r, true, false
	}
	return span{from, to - from + 1}, true, true
}

// position reads digits; what is too large for an offset is the largest one.
func position(s string) (int64, bool) {
	for i := 0; i < len(s); i++ {
		if s[i] < '0' || s[i] > '9' {
			return 0, false
		}
	}
	if s == "" {
		return 0, false
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		return 1<<62 - 1, true
	}
	return n, true
}

// contentRange is the field's value for one range.
func contentRange(s span, size int64) string {
	return "bytes " + strconv.FormatInt(s.off, 10) + "-" + strconv.FormatInt(s.off+s.len-1, 10) + "/" + strconv.FormatInt(size, 10)
}

// boundary is a delimiter that does not occur in the parts, for all practical
// purposes.
func boundary() string {
	var b [12]byte
	_, _ = rand.Read(b[:]) // never fails (crypto/rand)
	return hex.EncodeToString(b[:])
}

// multipart makes the body of a multipart/byteranges answer: each range with
// its own small head, sent from the file.
func multipart(spans []span, size int64, contentType, mark string) []httpd.Part {
	parts := make([]httpd.Part, 0, len(spans)+1)
	for _, s := range spans {
		b := "\r\n--" + mark + "\r\n"
		if contentType != "" {
			b += "Content-Type: " + contentType + "\r\n"
		}
		b += "Content-Range: " + contentRange(s, size) + "\r\n\r\n"
		parts = append(parts, httpd.Part{Data: []byte(b), Off: s.off, Len: s.len})
	}
	return append(parts, httpd.Part{Data: []byte("\r\n--" + mark + "--\r\n")})
}
