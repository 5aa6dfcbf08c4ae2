// This file decodes and encodes the chunked transfer coding (RFC 9112 section
// 7.1). The decoder is a state machine over whatever bytes have arrived; it can
// decode in place and holds no pointers, so that a connection can embed it.
package http1

import "errors"

// Errors of the decoder. All of them mean: answer 400 and close the connection.
var (
	ErrChunk     = errors.New("http1: malformed chunked body")
	ErrChunkSize = errors.New("http1: chunk size too large")
	ErrChunkExt  = errors.New("http1: too many bytes of chunk extensions")
	ErrTrailer   = errors.New("http1: malformed or too large trailer section")
)

const (
	// maxChunkExt bounds the extension of one chunk, and how far the bytes of
	// extensions may run ahead of the bytes of data over the whole body: an
	// extension costs work and bandwidth that no body limit counts.
	maxChunkExt  = 4096
	maxExtExcess = 16384
	// maxTrailer bounds the whole trailer section.
	maxTrailer = 16384
	// maxHexDigits keeps a size below 1<<60, far from overflow, and refuses an
	// endless row of leading zeros.
	maxHexDigits = 15
)

// States of ChunkDecoder; the zero value is the start of a chunk.
const (
	csSizeFirst uint8 = iota // first digit of a size
	csSize
	csExt
	csSizeLF
	csData
	csDataCR
	csDataLF
	csTrailer // start of a trailer line
	csName
	csValue
	csValueLF
	csEndLF
	csDone
	csFailed
)

// ChunkDecoder decodes one chunked body. The zero value is ready to use.
type ChunkDecoder struct {
	remain  int64  // bytes of data left in this chunk, or its size so far
	excess  int64  // bytes of extensions not yet paid for by data
	line    uint32 // bytes of this extension, or of the trailer section
	state   uint8
	digits  uint8
	failure uint8 // index into chunkErrors
}

var chunkErrors = [...]error{ErrChunk, ErrChunkSize, ErrChunkExt, ErrTrailer}

// Reset makes d ready for another body.
func (d *ChunkDecoder) Reset() { *d = ChunkDecoder{} }

// Done reports whether the end of the body has been decoded.
func (d *ChunkDecoder) Done() bool { return d.state == csDone }

// Decode consumes src and writes the data of the chunks to dst. nsrc and ndst
// are the bytes consumed and written. It stops when src is used up, when dst
// is full and more data comes (call again with more room), or at the end of
// the body: then done is true and src[nsrc:] belongs to the next request.
// Extensions and trailers are checked and dropped.
//
// dst may be the same memory as src, or begin before it and overlap: what is
// written never runs ahead of what was read. After an error every further
// call fails alike; what was decoded before it (ndst) is valid. No allocation.
func (d *ChunkDecoder) Decode(src, dst []byte) (nsrc, ndst int, done bool, err error) {
	i, o := 0, 0
	for i < len(src) && d.state != csDone {
		c := src[i]
		switch d.state {
		case csSizeFirst, csSize:
			if v := hexValue[c]; v < 16 {
				if d.digits == maxHexDigits {
					return d.fail(i, o, 1)
				}
				d.digits++
				d.remain = d.remain<<4 | int64(v)
				d.state = csSize
			} else if c == '\r' && d.state == csSize {
				d.state = csSizeLF
			} else if c == ';' && d.state == csSize {
				d.state, d.line = csExt, 0
			} else {
				return d.fail(i, o, 0)
			}
			i++
		case csExt:
			if c == '\r' {
				d.state = csSizeLF
			} else if c < ' ' && c != '\t' || c == 0x7f {
				return d.fail(i, o, 0)
			} else {
				d.line++
				d.excess++
				if d.line > maxChunkExt || d.excess > maxExtExcess {
					return d.fail(i, o, 2)
				}
			}
			i++
		case csSizeLF:
			if c != '\n' {
				return d.fail(i, o, 0)
			}
			i++
			d.digits = 0
			d.excess = max(0, d.excess-d.remain)
			d.state = csData
			if d.remain == 0 {
				d.state, d.line = csTrailer, 0
			}
		case csData:
			n := min(int64(len(src)-i), int64(len(dst)-o), d.remain)
			if n == 0 {
				return i, o, false, nil
			}
			copy(dst[o:], src[i:i+int(n)])
			i += int(n)
			o += int(n)
			if d.remain -= n; d.remain == 0 {
				d.state = csDataCR
			}
		case csDataCR, csDataLF:
			if d.state == csDataCR && c == '\r' {
				d.state = csDataLF
			} else if d.state == csDataLF && c == '\n' {
				d.state = csSizeFirst
			} else {
				return d.fail(i, o, 0)
			}
			i++
		default:
			if !d.trailer(c) {
				return d.fail(i, o, 3)
			}
			i++
		}
	}
	if d.state == csFailed {
		return 0, 0, false, chunkErrors[d.failure]
	}
	return i, o, d.state == csDone, nil
}

// trailer advances over one byte of the trailer section, whose lines are
// field lines as in a head. False: refuse.
func (d *ChunkDecoder) trailer(c byte) bool {
	if d.line++; d.line > maxTrailer {
		return false
	}
	switch d.state {
	case csTrailer:
		if c == '\r' {
			d.state = csEndLF
			return true
		}
		d.state = csName
		return class[c]&isToken != 0
	case csName:
		if c == ':' {
			d.state = csValue
			return true
		}
		return class[c]&isToken != 0
	case csValue:
		if c == '\r' {
			d.state = csValueLF
			return true
		}
		return c >= ' ' && c != 0x7f || c == '\t'
	case csValueLF:
		d.state = csTrailer
		return c == '\n'
	case csEndLF:
		d.state = csDone
		return c == '\n'
	}
	return false // csFailed
}

// fail records the failure. In the failed state the first reason stays.
func (d *ChunkDecoder) fail(i, o int, reason uint8) (int, int, bool, error) {
	if d.state != csFailed {
		d.state, d.failure = csFailed, reason
	}
	return i, o, false, chunkErrors[d.failure]
}

// hexValue gives the value of a hex digit, 255 for any other byte.
var hexValue = func() (t [256]uint8) {
	for i := range t {
		t[i] = 255
	}
	for i := uint8(0); i < 16; i++ {
		t["0123456789abcdef"[i]] = i
		t["0123456789ABCDEF"[i]] = i
	}
	return
}()

// What surrounds the data of chunks in a response.
const (
	ChunkEnd   = "\r\n"      // after the data of each chunk
	FinalChunk = "0\r\n\r\n" // after the last one; no trailers
)

// AppendChunkHeader appends the line that precedes n bytes of chunk data. For
// n <= 0 it appends nothing, since a chunk of size 0 would end the body.
func AppendChunkHeader(dst []byte, n int) []byte {
	if n <= 0 {
		return dst
	}
	shift := 0
	for n>>shift > 15 {
		shift += 4
	}
	for ; shift >= 0; shift -= 4 {
		dst = append(dst, "0123456789abcdef"[n>>shift&15])
	}
	return append(dst, '\r', '\n')
}
