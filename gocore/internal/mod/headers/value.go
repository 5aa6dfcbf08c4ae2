// Values of fields: texts with format specifiers, or expressions.
package headers

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"modwsgi/gocore/internal/httpd"
)

// value makes the text for a request.
type value struct {
	parts []part
	expr  *httpd.StringExpr
}

// part is a literal text or what a specifier stands for.
type part struct {
	text string
	make func(r *httpd.Request) string
}

// newValue reads "expr=..." or a text with %% %t %D %l %i %b %{NAME}e %{NAME}s. A
// percent sign at the very end stands for itself.
func newValue(k *httpd.Cmd, s string) (*value, error) {
	if text, ok := strings.CutPrefix(s, "expr="); ok {
		e, err := k.StringExpr(text)
		return &value{expr: e}, err
	}
	v := &value{}
	var lit strings.Builder
	flush := func() {
		if lit.Len() > 0 {
			v.parts = append(v.parts, part{text: lit.String()})
			lit.Reset()
		}
	}
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '\n' || s[i] == '\r' || s[i] == 0:
			return nil, errors.New("a value cannot have a line break or null character")
		case s[i] == '\\' && i+1 < len(s) && s[i+1] == 't':
			lit.WriteByte('\t')
			i++
		case s[i] == '\\' && i+1 < len(s) && (s[i+1] == 'n' || s[i+1] == 'r'):
			return nil, errors.New("a value cannot have a line break")
		case s[i] != '%' || i+1 == len(s):
			lit.WriteByte(s[i])
		case s[i+1] == '%':
			lit.WriteByte('%')
			i++
		default:
			f, n, err := specifier(k, s[i+1:])
			if err != nil {
				return nil, err
			}
			flush()
			v.parts = append(v.parts, part{make: f})
			i += n
		}
	}
	flush()
	return v, nil
}

// specifier reads what follows a percent sign and says how long it is.
func specifier(k *httpd.Cmd, s string) (f func(*httpd.Request) string, n int, err error) {
	arg := ""
	if s[0] == '{' {
		end := strings.IndexByte(s, '}')
		if end < 0 || end+1 == len(s) {
			return nil, 0, fmt.Errorf("%q is not complete: %%{NAME}e or %%{NAME}s", "%"+s)
		}
		arg, n = s[1:end], end+1
	}
	switch s[n] {
	case 't':
		f = func(r *httpd.Request) string { return "t=" + strconv.FormatInt(r.Start.UnixMicro(), 10) }
	case 'D':
		f = func(r *httpd.Request) string {
			return "D=" + strconv.FormatInt(max(0, time.Since(r.Start).Microseconds()), 10)
		}
	case 'l':
		f = func(*httpd.Request) string { return "l=" + loadAverage() }
	case 'e':
		f = func(r *httpd.Request) string { return orNull(r.Env(arg)) }
	case 's':
		f = func(r *httpd.Request) string {
			v, _ := r.Var(arg)
			return orNull(v, v != "")
		}
	case 'i', 'b':
		f = share(s[n])
		err = k.WantStatus()
	default:
		return nil, 0, fmt.Errorf("unknown specifier %q; known are %%%% %%t %%D %%l %%i %%b %%{NAME}e and %%{NAME}s", "%"+s[:n+1])
	}
	if (s[n] == 'e' || s[n] == 's') && arg == "" {
		return nil, 0, fmt.Errorf("%%%c needs a name: %%{NAME}%c", s[n], s[n])
	}
	return f, n + 1, err
}

// share is the percentage of Python threads of all processes that are idle (i)
// or busy (b), in other processes as of the last second.
func share(letter byte) func(*httpd.Request) string {
	return func(r *httpd.Request) string {
		status := r.Host.Server().Status
		if status == nil {
			return string(letter) + "=-1"
		}
		threads, busy := 0, 0
		for _, p := range status().Processes {
			threads, busy = threads+p.Threads, busy+min(p.Running, p.Threads)
		}
		n := 0
		if threads > 0 {
			n = busy * 100 / threads
		}
		if letter == 'i' {
			n = 100 - n
		}
		return string(letter) + "=" + strconv.Itoa(n)
	}
}

// orNull is the value of a variable as httpd prints it.
func orNull(v string, ok bool) string {
	if !ok {
		return "(null)"
	}
	return v
}

// loadAverage is the system's load over 1, 5 and 15 minutes; where that is not
// known -1, as in httpd.
func loadAverage() string {
	if b, err := os.ReadFile("/proc/loadavg"); err == nil {
		if f := strings.Fields(string(b)); len(f) >= 3 {
			return strings.Join(f[:3], "/")
		}
	}
	return "-1.00/-1.00/-1.00"
}

// eval gives the text; m holds $0 to $9 for an expression. ok is false if it
// could not be made, which is logged.
func (v *value) eval(r *httpd.Request, m *httpd.Captures) (text string, ok bool) {
	if v.expr != nil {
		s, err := v.expr.EvalWith(r, m)
		if err != nil {
			r.Logf(httpd.LevelError, "headers", "AH02557: the value %q could not be evaluated: %v", v.expr, err)
			return "", false
		}
		return oneLine(s), true
	}
	switch len(v.parts) {
	case 0:
		return "", true
	case 1:
		if p := v.parts[0]; p.make == nil {
			return p.text, true
		}
	}
	var b strings.Builder
	for _, p := range v.parts {
		if p.make == nil {
			b.WriteString(p.text)
		} else {
			b.WriteString(oneLine(p.make(r)))
		}
	}
	return b.String(), true
}

// oneLine keeps what comes from a request or the environment from making
// fields of its own.
func oneLine(s string) string {
	if !strings.ContainsAny(s, "\r\n\x00") {
		return s
	}
	return strings.Map(func(c rune) rune {
		switch c {
		case '\r', '\n', 0:
			return ' '
		}
		return c
	}, s)
}
