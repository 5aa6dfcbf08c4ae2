// The payload of a Request frame: the fields of fixed size, then the lengths of
// the others, then those.
package hop

import (
	"encoding/binary"
	"net/netip"
)

// Request is a request on its way to the application. What is opaque here is
// agreed on by those who make and take it. After Decode the slices point into
// the payload.
type Request struct {
	Plan          uint32 // number of what it is for: of a Plan frame before it. 0: Key says it
	Key           []byte // with 0 in Plan; opaque
	ScriptLen     uint32 // bytes of the path that are SCRIPT_NAME
	Local, Remote netip.AddrPort
	ConnID        uint64
	RequestNo     uint64
	StartUs       int64 // when it arrived at the front; microseconds of Unix time
	QueueUs       int64 // when it began to wait there; 0: it did not. Pool notes it when it waits in the queue
	Flags         uint32
	Window        uint32 // credit that the response's body begins with; Pool sends its own
	BodyLimit     int64  // LimitRequestBody, 0 none
	BodyLen       int64  // of the whole body; -1 unknown, 0 none
	Chunked       bool   // the client sent it so
	Head          []byte // request line and fields as HTTP/1.1 text, with the empty line
	Extra         []byte // additions to the environ; opaque
	Body          []byte // the part of the body that is here; all of it if it fits
}

// The layout of the fixed part, offsets in bytes.
const (
	offPlan      = 0
	offScript    = 4
	offFlags     = 8
	offWindow    = 12
	offBits      = 16 // and a byte that is 0
	offLocal     = 18 // 16 bytes of address, 2 of port
	offRemote    = 36
	offZones     = 54 // a byte of length each
	offConnID    = 56
	offRequestNo = 64
	offStart     = 72
	offQueue     = 80
	offLimit     = 88
	offBodyLen   = 96
	offKeyLen    = 104
	offExtraLen  = 108
	offHeadLen   = 112
	requestFixed = 116 // local zone, remote zone, key, extra, head, body
)

// Bits of the byte at offBits.
const (
	bitChunked  = 1 << iota
	bitLocal4   // an IPv4 address: the last four of its 16 bytes
	bitLocal6   // an IPv6 address; neither: none, a Unix socket
	bitRemote4  //
	bitRemote6  //
	bitsDefined = 1<<iota - 1
)

// size is that of the payload.
func (r *Request) size() int {
	return requestFixed + len(zone(r.Local)) + len(zone(r.Remote)) + len(r.Key) + len(r.Extra) + len(r.Head) + len(r.Body)
}

// Complete reports whether Body is the whole body.
func (r *Request) Complete() bool { return r.BodyLen >= 0 && int64(len(r.Body)) == r.BodyLen }

// AppendRequest appends the frame, with the end flag if the body is complete.
// The payload must not be longer than MaxRequest; Pool checks that.
func AppendRequest(dst []byte, stream uint32, r *Request) []byte {
	return r.appendPayload(appendHeader(dst, stream, TypeRequest, r.Complete(), r.size()), r.Window)
}

func (r *Request) appendPayload(dst []byte, window uint32) []byte {
	var f [requestFixed]byte
	be := binary.BigEndian
	be.PutUint32(f[offPlan:], r.Plan)
	be.PutUint32(f[offScript:], r.ScriptLen)
	be.PutUint32(f[offFlags:], r.Flags)
	be.PutUint32(f[offWindow:], window)
	bits := byte(0)
	if r.Chunked {
		bits = bitChunked
	}
	f[offBits] = bits | putAddr(f[offLocal:], r.Local, bitLocal4) | putAddr(f[offRemote:], r.Remote, bitRemote4)
	lz, rz := zone(r.Local), zone(r.Remote)
	f[offZones], f[offZones+1] = byte(len(lz)), byte(len(rz))
	be.PutUint64(f[offConnID:], r.ConnID)
	be.PutUint64(f[offRequestNo:], r.RequestNo)
	be.PutUint64(f[offStart:], uint64(r.StartUs))
	be.PutUint64(f[offQueue:], uint64(r.QueueUs))
	be.PutUint64(f[offLimit:], uint64(r.BodyLimit))
	be.PutUint64(f[offBodyLen:], uint64(r.BodyLen))
	be.PutUint32(f[offKeyLen:], uint32(len(r.Key)))
	be.PutUint32(f[offExtraLen:], uint32(len(r.Extra)))
	be.PutUint32(f[offHeadLen:], uint32(len(r.Head)))
	dst = append(dst, f[:]...)
	dst = append(dst, lz...)
	dst = append(dst, rz...)
	dst = append(dst, r.Key...)
	dst = append(dst, r.Extra...)
	dst = append(dst, r.Head...)
	return append(dst, r.Body...)
}

// zone is the zone of a link-local address, as far as its length fits a byte.
func zone(a netip.AddrPort) string {
	z := a.Addr().Zone()
	return z[:min(len(z), 255)]
}

// putAddr writes an address and its port, and returns its bit: v4, or v4<<1.
func putAddr(b []byte, a netip.AddrPort, v4 byte) byte {
	if !a.Addr().IsValid() {
		return 0
	}
	ip := a.Addr().As16()
	copy(b, ip[:])
	binary.BigEndian.PutUint16(b[16:], a.Port())
	if a.Addr().Is4() {
		return v4
	}
	return v4 << 1
}

func getAddr(b []byte, bits, v4 byte, zone []byte) (a netip.AddrPort, ok bool) {
	switch bits & (v4 | v4<<1) {
	case 0:
		return a, len(zone) == 0
	case v4:
		ip := netip.AddrFrom4([4]byte(b[12:16]))
		return netip.AddrPortFrom(ip, binary.BigEndian.Uint16(b[16:])), len(zone) == 0
	case v4 << 1:
		ip := netip.AddrFrom16([16]byte(b[:16]))
		if len(zone) > 0 {
			if ip.Is4In6() {
				return a, false
			}
			ip = ip.WithZone(string(zone))
		}
		return netip.AddrPortFrom(ip, binary.BigEndian.Uint16(b[16:])), true
	}
	return a, false
}

// Decode reads a Request's payload. It allocates for nothing but the zone of a
// link-local address.
func (r *Request) Decode(p []byte) error {
	if len(p) < requestFixed || len(p) > MaxRequest {
		return protocolError("Request with %d bytes of payload", len(p))
	}
	be := binary.BigEndian
	bits := p[offBits]
	rest := p[requestFixed:]
	// Each length is below 1<<32, so the sum does not overflow.
	lz, rz := uint64(p[offZones]), uint64(p[offZones+1])
	key, extra, head := uint64(be.Uint32(p[offKeyLen:])), uint64(be.Uint32(p[offExtraLen:])), uint64(be.Uint32(p[offHeadLen:]))
	if lz+rz+key+extra+head > uint64(len(rest)) {
		return protocolError("Request is shorter than its parts")
	}
	var ok, ok2 bool
	r.Local, ok = getAddr(p[offLocal:], bits, bitLocal4, rest[:lz])
	rest = rest[lz:]
	r.Remote, ok2 = getAddr(p[offRemote:], bits, bitRemote4, rest[:rz])
	rest = rest[rz:]
	if !ok || !ok2 || bits&^bitsDefined != 0 || p[offBits+1] != 0 {
		return protocolError("Request with malformed addresses")
	}
	r.Plan = be.Uint32(p[offPlan:])
	r.ScriptLen = be.Uint32(p[offScript:])
	r.Flags = be.Uint32(p[offFlags:])
	r.Window = be.Uint32(p[offWindow:])
	r.Chunked = bits&bitChunked != 0
	r.ConnID = be.Uint64(p[offConnID:])
	r.RequestNo = be.Uint64(p[offRequestNo:])
	r.StartUs = int64(be.Uint64(p[offStart:]))
	r.QueueUs = int64(be.Uint64(p[offQueue:]))
	r.BodyLimit = int64(be.Uint64(p[offLimit:]))
	r.BodyLen = int64(be.Uint64(p[offBodyLen:]))
	// Capacities end where the parts do: an append to one never writes into the next.
	r.Key, rest = rest[:key:key], rest[key:]
	r.Extra, rest = rest[:extra:extra], rest[extra:]
	r.Head, r.Body = rest[:head:head], rest[head:len(rest):len(rest)]
	if r.BodyLen < -1 || r.BodyLen >= 0 && int64(len(r.Body)) > r.BodyLen || r.BodyLimit < 0 {
		return protocolError("Request with %d bytes of a body of %d", len(r.Body), r.BodyLen)
	}
	if r.Plan != 0 && len(r.Key) > 0 {
		return protocolError("Request with both a plan and a key")
	}
	if r.Window > MaxWindow {
		return protocolError("Request with a window of %d bytes", r.Window)
	}
	return nil
}
