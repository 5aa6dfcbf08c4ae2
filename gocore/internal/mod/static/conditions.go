// This file evaluates conditional requests (RFC 9110 section 13) and makes the
// validators that they compare.

package static

import (
	"net/http"
	"strconv"
	"strings"
	"time"

	"modwsgi/gocore/internal/httpd"
	"modwsgi/gocore/internal/mod/coding"
)

// validators of a file.
type validators struct {
	etag     string    // with quotes and, if weak, W/; "" = none
	modified time.Time // in whole seconds
	strong   bool      // modified is old enough to compare as a strong validator
}

// etagParts says what an ETag is made of (FileETag).
type etagParts uint8

const (
	etagINode etagParts = 1 << iota
	etagMTime
	etagSize
	etagDigest
	etagDefault = etagMTime | etagSize
)

// makeETag gives Apache's form: the chosen parts in hexadecimal, joined with
// "-": inode, size, modification time in microseconds. A file that was changed
// within the last second may change again without the time showing it; its tag
// is weak.
func makeETag(parts etagParts, inode uint64, size int64, modified, now time.Time) string {
	if parts == 0 {
		return ""
	}
	b := make([]byte, 0, 48)
	if now.Sub(modified) <= time.Second {
		b = append(b, 'W', '/')
	}
	b = append(b, '"')
	first := true
	add := func(n uint64) {
		if !first {
			b = append(b, '-')
		}
		first = false
		b = strconv.AppendUint(b, n, 16)
	}
	if parts&etagINode != 0 {
		add(inode)
	}
	if parts&etagSize != 0 {
		add(uint64(size))
	}
	if parts&etagMTime != 0 {
		add(uint64(modified.UnixMicro()))
	}
	return string(append(b, '"'))
}

// outcome of the preconditions.
type verdict int

const (
	proceed verdict = iota
	notModified
	preconditionFailed
)

// condition finds the fields of a conditional request. Where a filter may have
// compressed the file, a client asks with the tag of what it got.
func condition(r *httpd.Request) func(string) (string, bool) {
	if !r.Filtered() {
		return r.Get
	}
	return func(name string) (string, bool) {
		v, ok := r.Get(name)
		if name == "If-None-Match" {
			v = coding.Uncoded(v)
		}
		return v, ok
	}
}

// evaluate applies the preconditions in the order of RFC 9110 section 13.2.2.
// get finds a request field; safe says that the method is GET or HEAD. A date
// of If-Modified-Since that is in the future is not believed, as in Apache.
func evaluate(get func(string) (string, bool), v validators, safe bool, at time.Time) verdict {
	if list, ok := get("If-Match"); ok {
		if !matchesAny(list, v.etag, true) {
			return preconditionFailed
		}
	} else if date, ok := get("If-Unmodified-Since"); ok {
		if t, err := http.ParseTime(date); err == nil && v.modified.After(t) {
			return preconditionFailed
		}
	}
	if list, ok := get("If-None-Match"); ok {
		if matchesAny(list, v.etag, false) {
			if safe {
				return notModified
			}
			return preconditionFailed
		}
	} else if date, ok := get("If-Modified-Since"); ok && safe {
		date, _, _ = strings.Cut(date, ";") // old browsers add the length
		if t, err := http.ParseTime(date); err == nil && !v.modified.After(t) && !t.After(at) {
			return notModified
		}
	}
	return proceed
}

// rangeApplies evaluates If-Range (RFC 9110 section 13.1.5): a strong match
// only, and exactly the date for a date.
func rangeApplies(get func(string) (string, bool), v validators) bool {
	cond, ok := get("If-Range")
	if !ok {
		return true
	}
	if strings.HasPrefix(cond, `"`) || strings.HasPrefix(cond, "W/") {
		return v.etag != "" && cond == v.etag && cond[0] == '"'
	}
	t, err := http.ParseTime(cond)
	return err == nil && v.strong && t.Equal(v.modified)
}

// matchesAny compares an entity tag with a list of them or "*". Strong
// comparison wants both not weak.
func matchesAny(list, etag string, strong bool) bool {
	if strings.TrimSpace(list) == "*" {
		return true
	}
	if etag == "" || strong && etag[0] == 'W' {
		return false
	}
	opaque := strings.TrimPrefix(etag, "W/")
	for list != "" {
		list = strings.TrimLeft(list, " \t,")
		weak := strings.HasPrefix(list, "W/")
		if weak {
			list = list[2:]
		}
		if list == "" || list[0] != '"' {
			return false // not a tag: the rest cannot be read
		}
		end := strings.IndexByte(list[1:], '"')
		if end < 0 {
			return false
		}
		if list[:end+2] == opaque && !(weak && strong) {
			return true
		}
		list = list[end+2:]
	}
	return false
}
