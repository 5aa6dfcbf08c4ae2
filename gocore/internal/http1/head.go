// Package http1 is the HTTP/1.x codec (RFC 9112): it parses request heads in
// place and decodes and encodes chunked bodies. It does no I/O and allocates
// nothing per request: bytes in, offsets out.
//
// This file holds the one structure that the parser fills and the C side of
// package python reads. It contains offsets only, no pointers, so that it can
// live in C memory. gocore/internal/python/mw.h mirrors it byte for byte.
package http1

// MaxFields is the capacity of Head.Fields. Apache's LimitRequestFields
// default is 100; a configured limit above MaxFields is capped to it.
const MaxFields = 256

// Span is a half-open range of bytes [Off, Off+Len) of the connection's buffer.
type Span struct{ Off, Len uint32 }

// Field is one header field line: name without colon, value without
// surrounding whitespace (RFC 9112 section 5.1).
type Field struct{ Name, Value Span }

// Flags of a parsed head.
const (
	FlagHTTP11         uint32 = 1 << iota // request is HTTP/1.1 (else 1.0)
	FlagKeepAlive                         // the connection persists after this request
	FlagChunked                           // Transfer-Encoding: chunked
	FlagContentLength                     // ContentLength is valid
	FlagExpectContinue                    // Expect: 100-continue (HTTP/1.1 only)
	FlagUpgrade                           // Connection: upgrade
	FlagPlainPath                         // Path needs no decoding or normalising: no '%', no "//", no "/.", starts with '/'
	FlagHasHost                           // a Host field or an absolute-form authority is present
	FlagHTTP2                             // written by package http2; FlagHTTP11 is set too
)

// Head is a parsed request head. All spans refer to the buffer given to
// [Parser.Parse]. Owner: the connection; valid until its buffer is reused.
type Head struct {
	Method        Span
	Target        Span   // as on the request line
	Path          Span   // path of the target, still percent-encoded, without query; for absolute-form the path part ("/" when empty is represented by Len 0)
	Query         Span   // without '?'
	Host          Span   // Host field value, or the authority of an absolute-form target
	HeadLen       uint32 // bytes of the head including the blank line
	NFields       uint32
	Flags         uint32
	Pad           uint32
	ContentLength int64
	Fields        [MaxFields]Field
}
