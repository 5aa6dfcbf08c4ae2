// This file is the form of a format that the C side reads: for each item its
// letter, flags, least level, length of the argument (two bytes, big endian)
// and the argument. What never changes there becomes literal text.

package errorlog

// Program returns the format for the C side, where every record is of one
// module and server. host is what %V prints, "" if it is the request's Host.
func (f *Format) Program(module, server, host string) []byte {
	var out []byte
	for _, it := range f.items {
		switch it.op {
		case opModule:
			it.op, it.arg = opLiteral, module
		case opServer:
			it.op, it.arg = opLiteral, server
		case opHost:
			it.arg = server // without a request
			if host != "" {
				it.op, it.arg = opLiteral, host
			}
		}
		n := min(len(it.arg), 1<<16-1)
		out = append(out, it.op, it.flags, it.min, byte(n>>8), byte(n))
		out = append(out, it.arg[:n]...)
	}
	return out
}
