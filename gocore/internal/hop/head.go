// The head of a response: status, length of the body, and the text of status
// line and header fields as the application gave them. The daemon may be
// another user's process, so the text is checked byte by byte: a line break in
// a value would forge a response, for whoever shares the client's connection.
package hop

import (
	"bytes"
	"encoding/binary"
)

// Head is the payload of a Head frame:
//
//	u16 status | i64 length | text
type Head struct {
	Status int // 100 to 999
	// Length is the number of bytes of body that follow in Data frames, -1 if it
	// is not known. For the answer to HEAD it is 0, whatever Content-Length says.
	Length int64
	// Text is the status line ("200 OK"), then the fields, each line with CR LF.
	Text []byte
}

const headFixed = 10

// AppendHead appends the frame; end: no body follows. The text must pass
// CheckText and is at most MaxPayload - 10 bytes long.
func AppendHead(dst []byte, stream uint32, h *Head, end bool) []byte {
	dst = appendHeader(dst, stream, TypeHead, end, headFixed+len(h.Text))
	dst = binary.BigEndian.AppendUint16(dst, uint16(h.Status))
	dst = binary.BigEndian.AppendUint64(dst, uint64(h.Length))
	return append(dst, h.Text...)
}

// DecodeHead reads and checks a Head's payload; Text points into it.
func DecodeHead(p []byte) (h Head, err error) {
	if len(p) < headFixed {
		return h, protocolError("Head with %d bytes of payload", len(p))
	}
	h.Status = int(binary.BigEndian.Uint16(p))
	h.Length = int64(binary.BigEndian.Uint64(p[2:]))
	h.Text = p[headFixed:]
	if h.Status < 100 || h.Status > 999 || h.Length < -1 {
		return h, protocolError("Head with status %d, length %d", h.Status, h.Length)
	}
	return h, CheckText(h.Status, h.Text)
}

// CheckText checks a head's text: a status line of three digits, which say
// status, and a reason without control characters; names of fields of bytes
// above blank but DEL and ':'; values without CR, LF and NUL. It is what
// start_response checks.
func CheckText(status int, text []byte) error {
	line, rest, ok := cutLine(text)
	if !ok || !checkStatus(status, line) {
		return protocolError("Head with a malformed status line")
	}
	for len(rest) > 0 {
		if line, rest, ok = cutLine(rest); !ok {
			return protocolError("Head with a malformed header field")
		}
		n := 0
		for n < len(line) && nameByte[line[n]] {
			n++
		}
		if n == 0 || n == len(line) || line[n] != ':' || bytes.IndexByte(line[n:], 0) >= 0 {
			return protocolError("Head with a malformed header field")
		}
	}
	return nil
}

func checkStatus(status int, line []byte) bool {
	if len(line) < 3 || len(line) > 3 && line[3] != ' ' {
		return false
	}
	n := 0
	for _, c := range line[:3] {
		if c < '0' || c > '9' {
			return false
		}
		n = n*10 + int(c-'0')
	}
	for _, c := range line[3:] {
		if c < ' ' || c == 0x7f {
			return false
		}
	}
	return n == status
}

// nameByte: bytes above blank but DEL and ':'.
var nameByte = func() (t [256]bool) {
	for c := '!'; c < 256; c++ {
		t[c] = c != 0x7f && c != ':'
	}
	return t
}()

// cutLine splits text after its first CR LF; a line contains neither CR nor LF.
func cutLine(text []byte) (line, rest []byte, ok bool) {
	i := bytes.IndexByte(text, '\n')
	if i < 1 || text[i-1] != '\r' {
		return nil, nil, false
	}
	line = text[:i-1]
	return line, text[i+1:], bytes.IndexByte(line, '\r') < 0
}

// StatusLine gives the first line of a checked text, and the fields for NextField.
func StatusLine(text []byte) (line, fields []byte) {
	line, fields, _ = cutLine(text)
	return line, fields
}

// NextField gives the first field of a checked text without the status line,
// and the rest. Blanks around the value are not part of it. ok is false at the end.
func NextField(fields []byte) (name, value, rest []byte, ok bool) {
	line, rest, ok := cutLine(fields)
	if !ok {
		return nil, nil, nil, false
	}
	i := bytes.IndexByte(line, ':')
	if i < 0 {
		return nil, nil, nil, false
	}
	return line[:i], bytes.Trim(line[i+1:], " \t"), rest, true
}
