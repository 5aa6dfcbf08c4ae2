// Package errorlog compiles ErrorLogFormat and writes error log records. The
// Go side writes with it (append.go); the C side, which must be able to write
// from a process that the application forked, gets the compiled format as a
// program (program.go) and interprets it (python/errorlog.c).
//
// A format is a sequence of fields that blanks separate. A field with an item
// that has nothing to say vanishes, together with the blank before it.
//
// Source: Apache manual, core, "ErrorLogFormat".
package errorlog

import (
	"errors"
	"fmt"
	"strings"
)

// What an item prints: Apache's letters, but for literal text and variants.
const (
	opLiteral  = 'S'
	opClient   = 'a' // client address and port
	opPeer     = 'p' // %{c}a: the other end of the connection
	opLocal    = 'A'
	opEnv      = 'e'
	opErrno    = 'E' // operating system's status and text
	opSource   = 'F' // source file and line
	opHeader   = 'i'
	opKeep     = 'k' // requests before this one on the connection
	opLevel    = 'l'
	opLogID    = 'L' // of the request
	opConnID   = 'C' // %{c}L: of the connection
	opConnOnly = 'c' // %{C}L: of the connection, in a message without request
	opModule   = 'm'
	opMessage  = 'M'
	opNote     = 'n'
	opPID      = 'P'
	opTID      = 'T'
	opTime     = 't' // arg: letters u (microseconds), c (compact), z (zone)
	opStrftime = 'D' // arg: format
	opServer   = 'v'
	opHost     = 'V' // by UseCanonicalName
	opGap      = ' ' // separates fields and prints nothing
)

// Flags of an item.
const (
	flagField    = 1 << iota // begins a field
	flagRequired             // '+': without a value the whole line is dropped
	flagHyphen               // '-': without a value it prints "-"
)

// item is one piece of a line.
type item struct {
	op    byte
	flags byte
	min   byte // least level (0 emerg ... 15 trace8) at which the field is printed
	arg   string
}

// Format is a compiled ErrorLogFormat: immutable, for any number of goroutines.
type Format struct {
	items []item
}

// Default is the format without an ErrorLogFormat directive. The word before
// the address tells the records of the server ("client") from those of a
// process group ("remote"), as they do with mod_wsgi.
func Default(word string) *Format {
	return must(`[%{u}t] [%-m:%l] [pid %P:tid %T] %7F: %E: [` + word + `\ %a] %M% ,\ referer:\ %{Referer}i`)
}

// DefaultSyslog is the same for syslog, which adds the time itself.
func DefaultSyslog(word string) *Format {
	return must(`[%-m:%l] [pid %P:tid %T] %7F: %E: [` + word + `\ %a] %M% ,\ referer:\ %{Referer}i`)
}

func must(format string) *Format {
	f, err := Compile(format, true)
	if err != nil {
		panic(err)
	}
	return f
}

// Compile compiles a format. message says that the format is that of records,
// which must contain %M; the formats for a connection and a request need not.
func Compile(format string, message bool) (*Format, error) {
	f := &Format{}
	has := false
	for s := format; s != ""; {
		it, n, err := compileItem(s)
		if err != nil {
			return nil, err
		}
		has = has || it.op == opMessage
		f.items = append(f.items, it)
		s = s[n:]
	}
	if message && !has {
		return nil, errors.New("the format must contain %M, the message")
	}
	return f, nil
}

// compileItem compiles the item that s begins with and says how long it is.
func compileItem(s string) (it item, n int, err error) {
	if s[0] != '%' {
		it.op = opLiteral
		if s[0] == ' ' {
			it.flags = flagField
		}
		it.arg, n = literal(s)
		return it, n, nil
	}
	arg := ""
	for n = 1; n < len(s); {
		switch c := s[n]; {
		case c == '{':
			end := strings.IndexByte(s[n:], '}')
			if end < 0 {
				return it, n, errors.New("missing } after %{ in the error log format")
			}
			arg = s[n+1 : n+end]
			n += end + 1
		case c == '+':
			it.flags |= flagRequired
			n++
		case c == '-':
			it.flags |= flagHyphen
			n++
		case c >= '0' && c <= '9':
			v := 0
			for ; n < len(s) && s[n] >= '0' && s[n] <= '9' && v < 1000; n++ {
				v = v*10 + int(s[n]-'0')
			}
			if v > 15 {
				return it, n, fmt.Errorf("level %d in the error log format: levels are 0 (emerg) to 15 (trace8)", v)
			}
			it.min = byte(v)
		default:
			n++
			return it, n, it.letter(c, arg)
		}
	}
	return it, n, errors.New("the error log format ends within a % directive")
}

// literal reads text up to the next directive or blank; leading blanks belong
// to it.
func literal(s string) (text string, n int) {
	var b strings.Builder
	start := true
	for n < len(s) && s[n] != '%' && (s[n] != ' ' || start) {
		c := s[n]
		n++
		if c != ' ' {
			start = false
		}
		if c != '\\' || n == len(s) {
			b.WriteByte(c)
			continue
		}
		switch c = s[n]; c {
		case 'r':
			b.WriteByte('\r')
		case 'n':
			b.WriteByte('\n')
		case 't':
			b.WriteByte('\t')
		case '\\', ' ':
			b.WriteByte(c)
		default: // an escape that is not known stays
			b.WriteByte('\\')
			b.WriteByte(c)
		}
		n++
	}
	return b.String(), n
}

// letter completes the item for a format letter.
func (it *item) letter(c byte, arg string) error {
	it.op, it.arg = c, ""
	switch c {
	case '%':
		it.op, it.arg = opLiteral, "%"
	case ' ':
		it.op, it.flags = opGap, it.flags|flagField
	case 'a':
		if arg == "c" {
			it.op = opPeer
		}
	case 'A', 'E', 'F', 'k', 'l', 'm', 'M', 'P', 'v', 'V':
	case 'L':
		switch arg {
		case "c":
			it.op = opConnID
		case "C":
			it.op = opConnOnly
		}
	case 'T': // the system's id of the thread, with g or without
	case 'e', 'i', 'n':
		if arg == "" {
			return fmt.Errorf("error log format directive %%%c needs a name: %%{name}%c", c, c)
		}
		it.arg = arg
	case 't':
		if strings.Contains(arg, "%") {
			it.op, it.arg = opStrftime, arg
			return nil
		}
		if bad := strings.Trim(arg, "ucz"); bad != "" {
			return fmt.Errorf("unknown form %q in %%{FORM}t; it is made of u, c and z, or a strftime format", arg)
		}
		it.arg = arg
	default:
		return fmt.Errorf("unknown error log format directive %%%c", c)
	}
	return nil
}
