// Clients repeat their field lines: a browser on a keep-alive connection, a
// probe, a proxy's health check. This file remembers the last few blocks of
// field lines that parsed well, so that the next head with the same bytes costs
// one comparison instead of a parse. Every byte is compared, never only a hash,
// and nothing is remembered of heads that were refused.
package http1

import (
	"bytes"
	"encoding/binary"
	"math/bits"
)

// Bounds of what is remembered, in bytes of field lines. Longer ones are
// seldom repeated to the byte (large cookies).
const (
	memoMin = 32
	memoMax = 4096
)

// Memo is what one block of field lines means. Immutable.
type Memo struct {
	block  []byte  // the lines and the empty line
	fields []Field // offsets relative to the block
	host   Span    // relative to the block
	length int64   // ContentLength
	flags  uint32  // that the block added to those of the request line
	v11    uint32  // FlagHTTP11 of the request line, on which their meaning depends
	lim    Limits  // that the block was held to
}

// Memos is a table of memos. One goroutine at a time may use it; memos
// themselves may be shared.
type Memos struct{ slots [32]memoSlot }

// memoSlot: the hash of the last block that fell here, and its memo if it has
// been seen twice. A block that never repeats costs no allocation.
type memoSlot struct {
	hash uint64
	memo *Memo
}

// Parse is the function Parse with a memory. last is where the connection
// keeps the memo of its previous request: nil at first, not to be touched.
func (t *Memos) Parse(buf []byte, h *Head, lim *Limits, last **Memo) (n int, st Status) {
	if lim == nil {
		lim = &DefaultLimits
	}
	i, st := startLine(buf, h, lim)
	if st != OK {
		return 0, st
	}
	if h.Flags&FlagHasHost != 0 { // absolute-form: its authority changes the meaning of the fields
		return fieldLines(buf, i, h, lim)
	}
	if m := *last; m != nil && m.take(buf, i, h, lim) {
		return int(h.HeadLen), OK
	}
	v11 := h.Flags & FlagHTTP11
	if n, st = fieldLines(buf, i, h, lim); st == OK && n-i >= memoMin && n-i <= memoMax {
		*last = t.remember(buf[i:n], uint32(i), h, lim, v11)
	}
	return n, st
}

// take fills h if the bytes at i are the memo's.
func (m *Memo) take(buf []byte, i int, h *Head, lim *Limits) bool {
	if len(buf)-i < len(m.block) || h.Flags&FlagHTTP11 != m.v11 || *lim != m.lim || !bytes.Equal(buf[i:i+len(m.block)], m.block) {
		return false
	}
	d := uint32(i)
	for k, f := range m.fields {
		h.Fields[k] = Field{Span{f.Name.Off + d, f.Name.Len}, Span{f.Value.Off + d, f.Value.Len}}
	}
	h.NFields, h.HeadLen = uint32(len(m.fields)), d+uint32(len(m.block))
	h.Flags |= m.flags
	h.ContentLength = m.length
	if m.flags&FlagHasHost != 0 {
		h.Host = Span{m.host.Off + d, m.host.Len}
	}
	return true
}

// remember returns the memo of a block that parsed as h says, or nil if it is
// seen for the first time.
func (t *Memos) remember(block []byte, at uint32, h *Head, lim *Limits, v11 uint32) *Memo {
	// Eight bytes at the start (Host, often), in the middle and before the end.
	x := binary.LittleEndian.Uint64(block[8:])*0x9E3779B97F4A7C15 ^ uint64(len(block))
	x = bits.RotateLeft64(x, 23) ^ binary.LittleEndian.Uint64(block[len(block)/2:])*0xC2B2AE3D27D4EB4F
	x = bits.RotateLeft64(x, 23) ^ binary.LittleEndian.Uint64(block[len(block)-12:])
	x *= 0x9E3779B97F4A7C15
	s := &t.slots[x>>59]
	if s.hash != x {
		s.hash, s.memo = x, nil
		return nil
	}
	if m := s.memo; m != nil && m.v11 == v11 && m.lim == *lim && bytes.Equal(m.block, block) {
		return m
	}
	m := &Memo{block: bytes.Clone(block), fields: make([]Field, h.NFields), length: h.ContentLength,
		flags: h.Flags &^ (FlagHTTP11 | FlagHTTP2 | FlagPlainPath), v11: v11, lim: *lim}
	for k := range m.fields {
		f := h.Fields[k]
		m.fields[k] = Field{Span{f.Name.Off - at, f.Name.Len}, Span{f.Value.Off - at, f.Value.Len}}
	}
	if m.flags&FlagHasHost != 0 {
		m.host = Span{h.Host.Off - at, h.Host.Len}
	}
	s.memo = m
	return m
}
