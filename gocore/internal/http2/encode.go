// HPACK for responses (RFC 7541). The fields of responses repeat: a line that
// was sent once is put into the dynamic table when it comes a second time and is
// one or two bytes from then on. Lines are compared as they stand in the
// response, without looking at names and values. Strings are not compressed with
// Huffman's code: with the table it would save little and cost time.
package http2

import (
	"bytes"
	"hash/maphash"
	"slices"
)

// encoder is the sender's half of the compression of a connection.
type encoder struct {
	entries []entry // oldest first
	added   int     // entries ever added
	size    int     // of the table, section 4.1
	max     int
	limit   int // the client's, not said yet if different from max
	lowest  int // that limit was meanwhile
	resized bool
	seen    [64]uint64 // hashes of the last lines that were sent once
	next    int        // in seen
}

type entry struct {
	line []byte // "Name: value" as it was given
	size int
	seq  int
}

var seed = maphash.MakeSeed()

// resize is SETTINGS_HEADER_TABLE_SIZE; the next block says so.
func (e *encoder) resize(n int) {
	if !e.resized || n < e.lowest {
		e.lowest = n
	}
	e.limit, e.resized = n, true
}

// begin begins a block.
func (e *encoder) begin(dst []byte) []byte {
	if !e.resized {
		return dst
	}
	if e.lowest < e.limit {
		e.setMax(e.lowest)
		dst = appendInt(dst, 0x20, 5, e.lowest)
	}
	e.setMax(e.limit)
	e.resized = false
	return appendInt(dst, 0x20, 5, e.limit)
}

func (e *encoder) setMax(n int) {
	e.max = n
	e.evict(0)
}

// evict makes room for n bytes.
func (e *encoder) evict(n int) {
	k := 0
	for k < len(e.entries) && e.size+n > e.max {
		e.size -= e.entries[k].size
		k++
	}
	if k > 0 {
		rest := copy(e.entries, e.entries[k:])
		clear(e.entries[rest:])
		e.entries = e.entries[:rest]
	}
}

// status begins a response.
func (e *encoder) status(dst []byte, code int) []byte {
	for i, c := range [...]int{200, 204, 206, 304, 400, 404, 500} {
		if c == code {
			return append(dst, byte(0x88+i))
		}
	}
	return append(dst, 0x08, 3, byte('0'+code/100), byte('0'+code/10%10), byte('0'+code%10))
}

// line appends a field line without its line end: colon is where the name ends.
// The name has token characters only.
func (e *encoder) line(dst, line []byte, colon int) []byte {
	for i := len(e.entries) - 1; i >= 0; i-- {
		if x := &e.entries[i]; len(x.line) == len(line) && bytes.Equal(x.line, line) {
			return appendInt(dst, 0x80, 7, 61+e.added-x.seq)
		}
	}
	var lower [64]byte
	name := lower[:0]
	for _, c := range line[:colon] {
		if c-'A' < 26 {
			c |= 0x20
		}
		name = append(name, c)
	}
	value := trim(line[colon+1:])
	first, bits := byte(0x00), 4 // literal without indexing
	index, policy := known(name)
	size := len(name) + len(value) + 32
	switch {
	case policy == secret:
		first = 0x10 // never indexed
	case policy == unique || size > e.max/4:
	default:
		if h := maphash.Bytes(seed, line); !slices.Contains(e.seen[:], h) {
			e.seen[e.next%len(e.seen)] = h
			e.next++
		} else {
			first, bits = 0x40, 6
			e.evict(size)
			e.entries = append(e.entries, entry{append([]byte(nil), line...), size, e.added})
			e.added++
			e.size += size
		}
	}
	dst = appendInt(dst, first, bits, index)
	if index == 0 {
		dst = appendInt(dst, 0, 7, len(name))
		dst = append(dst, name...)
	}
	dst = appendInt(dst, 0, 7, len(value))
	return append(dst, value...)
}

// Policies of known.
const (
	repeats = iota
	unique  // another value each time: not worth a place in the table
	secret  // a proxy must not keep it in a table either (section 7.1.3)
)

// known is the name's place in the static table (appendix A), 0 none.
func known(name []byte) (index, policy int) {
	switch string(name) {
	case "accept-ranges":
		return 18, repeats
	case "access-control-allow-origin":
		return 20, repeats
	case "age":
		return 21, unique
	case "allow":
		return 22, repeats
	case "cache-control":
		return 24, repeats
	case "content-disposition":
		return 25, unique
	case "content-encoding":
		return 26, repeats
	case "content-language":
		return 27, repeats
	case "content-length":
		return 28, unique
	case "content-location":
		return 29, unique
	case "content-range":
		return 30, unique
	case "content-type":
		return 31, repeats
	case "date":
		return 33, repeats
	case "etag":
		return 34, unique
	case "expires":
		return 36, repeats
	case "last-modified":
		return 44, unique
	case "link":
		return 45, repeats
	case "location":
		return 46, unique
	case "proxy-authenticate":
		return 48, repeats
	case "refresh":
		return 52, repeats
	case "retry-after":
		return 53, repeats
	case "server":
		return 54, repeats
	case "set-cookie":
		return 55, secret
	case "strict-transport-security":
		return 56, repeats
	case "vary":
		return 59, repeats
	case "via":
		return 60, repeats
	case "www-authenticate":
		return 61, repeats
	case "authentication-info", "x-csrf-token":
		return 0, secret
	case "x-request-id":
		return 0, unique
	}
	return 0, repeats
}

// appendInt appends an integer with a prefix of bits (section 5.1).
func appendInt(dst []byte, first byte, bits, n int) []byte {
	limit := 1<<bits - 1
	if n < limit {
		return append(dst, first|byte(n))
	}
	dst = append(dst, first|byte(limit))
	for n -= limit; n >= 128; n >>= 7 {
		dst = append(dst, byte(n)|128)
	}
	return append(dst, byte(n))
}

func trim(b []byte) []byte {
	for len(b) > 0 && (b[0] == ' ' || b[0] == '\t') {
		b = b[1:]
	}
	for n := len(b); n > 0 && (b[n-1] == ' ' || b[n-1] == '\t'); n-- {
		b = b[:n-1]
	}
	return b
}
