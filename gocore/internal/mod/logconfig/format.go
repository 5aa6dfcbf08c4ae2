// This file compiles a LogFormat string into items. The grammar and the
// meaning of every letter are those of Apache's mod_log_config and mod_logio.

package logconfig

import (
	"fmt"
	"strings"
)

// op is what an item prints.
type op uint8

const (
	opLiteral op = iota
	opClientIP
	opPeerIP
	opLocalIP
	opBytes    // %B
	opBytesCLF // %b
	opCookie
	opDuration
	opEnv
	opFile
	opHost
	opProto
	opHeaderIn
	opKeepAlives
	opLogname
	opLogID
	opMethod
	opNote
	opHeaderOut
	opPort
	opPID
	opTID
	opQuery
	opRequestLine
	opHandler
	opStatus
	opTime
	opUser
	opPath
	opServerName
	opHostName
	opConnState
	opBytesIn
	opBytesOut
	opBytesAll
	opFirstByte
	opTrailerIn
	opTrailerOut
	opSecure  // %{NAME}x, %{name}c
	opNothing // accepted, always "-": responses have no trailers
)

// unit and variant of an item; the meaning depends on its op.
type unit uint8

const (
	unitSeconds unit = iota
	unitMillis
	unitMicros
	unitMillisFrac
	unitMicrosFrac
	unitCLF
	unitStrftime
	portCanonical
	portLocal
	portRemote
	idHex
)

// item is one piece of a line.
type item struct {
	op       op
	unit     unit
	original bool   // '<' or the letter's default: the request before internal redirects
	end      bool   // %{end:...}t: the time of the end of the request
	negate   bool   // '!' before the status list
	statuses []int  // nil: always
	arg      string // literal text, or the name in braces
}

// Format is a compiled LogFormat. It is immutable; any number of goroutines
// may use it.
type Format struct {
	items []item
}

// Server is what a line needs to know of the virtual host it is for.
type Server struct {
	Name          string // ServerName without port: %v
	Port          uint16 // port of ServerName, 0 when it has none
	UseCanonical  bool   // UseCanonicalName On: %V and %p ignore the Host field
	PhysicalPort  bool   // UseCanonicalPhysicalPort On
	DefaultScheme string // "https" makes 443 the default port
}

// originalByDefault has the letters that speak of the original request unless
// '>' is given (mod_log_config, "Modifiers").
const originalByDefault = "sUTDrLP"

// Compile compiles a LogFormat string. The error, for people, names the
// directive that is unknown.
func Compile(format string) (*Format, error) {
	f := &Format{}
	var lit []byte
	flush := func() {
		if len(lit) > 0 {
			f.items = append(f.items, item{op: opLiteral, arg: string(lit)})
			lit = nil
		}
	}
	for i := 0; i < len(format); {
		c := format[i]
		switch {
		case c == '\\' && i+1 < len(format):
			switch e := format[i+1]; e {
			case '\\':
				lit = append(lit, '\\')
			case 'n':
				lit = append(lit, '\n')
			case 'r':
				lit = append(lit, '\r')
			case 't':
				lit = append(lit, '\t')
			default: // Apache keeps an escape that it does not know
				lit = append(lit, '\\', e)
			}
			i += 2
		case c == '%':
			if i+1 < len(format) && format[i+1] == '%' {
				lit = append(lit, '%')
				i += 2
				continue
			}
			it, n, err := compileItem(format[i+1:])
			if err != nil {
				return nil, err
			}
			flush()
			f.items = append(f.items, it)
			i += 1 + n
		default:
			lit = append(lit, c)
			i++
		}
	}
	lit = append(lit, '\n')
	flush()
	return f, nil
}

// uses says whether a line shows something of the kind.
func (f *Format) uses(what op) bool {
	for i := range f.items {
		if f.items[i].op == what {
			return true
		}
	}
	return false
}

// compileItem compiles what follows a percent sign and says how many bytes it
// took.
func compileItem(s string) (it item, n int, err error) {
	var arg string
	orig := 0 // +1 '<', -1 '>'
	for n < len(s) {
		c := s[n]
		switch {
		case c == '!':
			it.negate = true
			n++
		case c == '<':
			orig = 1
			n++
		case c == '>':
			orig = -1
			n++
		case c == ',':
			n++
		case c == '{':
			end := strings.IndexByte(s[n:], '}')
			if end < 0 {
				return it, n, fmt.Errorf("missing } after %%{ in log format")
			}
			arg = s[n+1 : n+end]
			n += end + 1
		case c >= '0' && c <= '9':
			v := 0
			for n < len(s) && s[n] >= '0' && s[n] <= '9' && v < 100000 {
				v = v*10 + int(s[n]-'0')
				n++
			}
			it.statuses = append(it.statuses, v)
		case c == '^':
			if n+3 > len(s) {
				return it, n, fmt.Errorf("unknown log format directive %%%s", s[n:])
			}
			name := s[n : n+3]
			n += 3
			switch name {
			case "^FB":
				it.op = opFirstByte
			case "^ti":
				it.op, it.arg = opTrailerIn, arg
			case "^to":
				it.op, it.arg = opTrailerOut, arg
			default:
				return it, n, fmt.Errorf("unknown log format directive %%%s", name)
			}
			return it, n, nil
		default:
			n++
			it.original = orig > 0 || orig == 0 && strings.IndexByte(originalByDefault, c) >= 0
			return it, n, it.letter(c, arg)
		}
	}
	return it, n, fmt.Errorf("log format ends within a %% directive")
}

// letter completes the item for one format letter.
func (it *item) letter(c byte, arg string) error {
	it.arg = arg
	needArg := func(o op) error {
		if arg == "" {
			return fmt.Errorf("log format directive %%%c needs a name: %%{name}%c", c, c)
		}
		it.op = o
		return nil
	}
	switch c {
	case 'a':
		it.op = opClientIP
		if arg == "c" {
			it.op = opPeerIP
		}
	case 'A':
		it.op = opLocalIP
	case 'b':
		it.op = opBytesCLF
	case 'B':
		it.op = opBytes
	case 'C':
		return needArg(opCookie)
	case 'D':
		it.op, it.unit = opDuration, unitMicros
	case 'T':
		it.op = opDuration
		switch strings.ToLower(arg) {
		case "", "s":
			it.unit = unitSeconds
		case "ms":
			it.unit = unitMillis
		case "us":
			it.unit = unitMicros
		default:
			return fmt.Errorf("unknown unit %q in %%{UNIT}T; it is one of s, ms, us", arg)
		}
	case 'e':
		return needArg(opEnv)
	case 'f':
		it.op = opFile
	case 'h':
		it.op = opHost
		if arg == "c" {
			it.op = opPeerIP
		}
	case 'H':
		it.op = opProto
	case 'i':
		return needArg(opHeaderIn)
	case 'I':
		it.op = opBytesIn
	case 'k':
		it.op = opKeepAlives
	case 'l':
		it.op = opLogname
	case 'L':
		it.op = opLogID
	case 'm':
		it.op = opMethod
	case 'n':
		return needArg(opNote)
	case 'o':
		return needArg(opHeaderOut)
	case 'O':
		it.op = opBytesOut
	case 'p':
		it.op = opPort
		switch strings.ToLower(arg) {
		case "local":
			it.unit = portLocal
		case "remote":
			it.unit = portRemote
		case "", "canonical":
			it.unit = portCanonical
		default: // Apache falls back to the canonical port
			it.unit = portCanonical
		}
	case 'P':
		it.op = opPID
		switch strings.ToLower(arg) {
		case "", "pid":
		case "tid":
			it.op = opTID
		case "hextid":
			it.op, it.unit = opTID, idHex
		default:
			return fmt.Errorf("unknown form %q in %%{FORM}P; it is one of pid, tid, hextid", arg)
		}
	case 'q':
		it.op = opQuery
	case 'r':
		it.op = opRequestLine
	case 'R':
		it.op = opHandler
	case 's':
		it.op = opStatus
	case 'S':
		it.op = opBytesAll
	case 't':
		it.time(arg)
	case 'u':
		it.op = opUser
	case 'U':
		it.op = opPath
	case 'v':
		it.op = opServerName
	case 'V':
		it.op = opHostName
	case 'x':
		return needArg(opSecure)
	case 'c': // the old form; an error's number was never there
		old := map[string]string{"version": "SSL_PROTOCOL", "cipher": "SSL_CIPHER", "subjectdn": "SSL_CLIENT_S_DN", "clientcert": "SSL_CLIENT_S_DN",
			"issuerdn": "SSL_CLIENT_I_DN", "cacert": "SSL_CLIENT_I_DN", "errcode": "SSL_", "errstr": "SSL_CLIENT_VERIFY"}[strings.ToLower(arg)]
		if old == "" {
			return fmt.Errorf("unknown %%{%s}c; it is one of version, cipher, subjectdn, issuerdn, errcode, errstr", arg)
		}
		it.op, it.arg = opSecure, old
	case 'X':
		it.op = opConnState
	default:
		return fmt.Errorf("unknown log format directive %%%c", c)
	}
	return nil
}

// time completes %t: [begin:|end:] then nothing (CLF), one of Apache's tokens,
// or a strftime format.
func (it *item) time(arg string) {
	it.op = opTime
	if rest, ok := strings.CutPrefix(arg, "begin:"); ok {
		arg = rest
	} else if rest, ok := strings.CutPrefix(arg, "end:"); ok {
		arg, it.end = rest, true
	}
	it.arg = arg
	switch arg {
	case "":
		it.unit = unitCLF
	case "sec":
		it.unit = unitSeconds
	case "msec":
		it.unit = unitMillis
	case "usec":
		it.unit = unitMicros
	case "msec_frac":
		it.unit = unitMillisFrac
	case "usec_frac":
		it.unit = unitMicrosFrac
	default:
		it.unit = unitStrftime
	}
}
