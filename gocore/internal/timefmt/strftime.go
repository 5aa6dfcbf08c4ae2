// Package timefmt formats times as strftime(3) does in the C locale, for the
// formats of both logs.
package timefmt

import (
	"strconv"
	"time"
)

// AppendPadded appends n in at least width digits, padded with pad.
func AppendPadded(dst []byte, n, width int, pad byte) []byte {
	if n < 0 {
		dst = append(dst, '-')
		n = -n
	}
	limit := 1
	for i := 1; i < width; i++ {
		limit *= 10
	}
	for ; limit > 1 && n < limit; limit /= 10 {
		dst = append(dst, pad)
	}
	return strconv.AppendInt(dst, int64(n), 10)
}

// AppendStrftime appends t in the format of strftime(3), C locale. The glibc
// flags - _ 0 ^ # and the E and O modifiers are understood; an unknown
// conversion is copied as it is, as glibc does. It does not allocate beyond the
// growth of dst, apart from the time zone's name.
func AppendStrftime(dst []byte, format string, t time.Time) []byte {
	for i := 0; i < len(format); i++ {
		c := format[i]
		if c != '%' {
			dst = append(dst, c)
			continue
		}
		start := i
		i++
		var flag byte
		for i < len(format) && (format[i] == '-' || format[i] == '_' || format[i] == '0' || format[i] == '^' || format[i] == '#') {
			flag = format[i]
			i++
		}
		if i < len(format) && (format[i] == 'E' || format[i] == 'O') {
			i++
		}
		if i >= len(format) {
			return append(dst, format[start:]...)
		}
		mark := len(dst)
		var known bool
		if dst, known = appendConversion(dst, format[i], flag, t); !known {
			dst = append(dst, format[start:i+1]...)
			continue
		}
		if flag == '^' || flag == '#' && format[i] != 'p' {
			upper(dst[mark:])
		}
	}
	return dst
}

func upper(b []byte) {
	for i, c := range b {
		if c >= 'a' && c <= 'z' {
			b[i] = c - 'a' + 'A'
		}
	}
}

// number appends n padded to width with pad, or as the flag says.
func number(dst []byte, n, width int, pad, flag byte) []byte {
	switch flag {
	case '-':
		return strconv.AppendInt(dst, int64(n), 10)
	case '_':
		pad = ' '
	case '0':
		pad = '0'
	}
	return AppendPadded(dst, n, width, pad)
}

// appendConversion appends one conversion. known is false, and dst unchanged,
// when strftime has no such letter.
func appendConversion(dst []byte, c, flag byte, t time.Time) (out []byte, known bool) {
	hour12 := (t.Hour()+11)%12 + 1
	switch c {
	case 'a':
		dst = append(dst, t.Weekday().String()[:3]...)
	case 'A':
		dst = append(dst, t.Weekday().String()...)
	case 'b', 'h':
		dst = append(dst, t.Month().String()[:3]...)
	case 'B':
		dst = append(dst, t.Month().String()...)
	case 'c':
		dst = AppendStrftime(dst, "%a %b %e %H:%M:%S %Y", t)
	case 'C':
		dst = number(dst, t.Year()/100, 2, '0', flag)
	case 'd':
		dst = number(dst, t.Day(), 2, '0', flag)
	case 'D', 'x':
		dst = AppendStrftime(dst, "%m/%d/%y", t)
	case 'e':
		dst = number(dst, t.Day(), 2, ' ', flag)
	case 'F':
		dst = AppendStrftime(dst, "%Y-%m-%d", t)
	case 'g':
		y, _ := t.ISOWeek()
		dst = number(dst, y%100, 2, '0', flag)
	case 'G':
		y, _ := t.ISOWeek()
		dst = number(dst, y, 4, '0', flag)
	case 'H':
		dst = number(dst, t.Hour(), 2, '0', flag)
	case 'I':
		dst = number(dst, hour12, 2, '0', flag)
	case 'j':
		dst = number(dst, t.YearDay(), 3, '0', flag)
	case 'k':
		dst = number(dst, t.Hour(), 2, ' ', flag)
	case 'l':
		dst = number(dst, hour12, 2, ' ', flag)
	case 'm':
		dst = number(dst, int(t.Month()), 2, '0', flag)
	case 'M':
		dst = number(dst, t.Minute(), 2, '0', flag)
	case 'n':
		dst = append(dst, '\n')
	case 'p', 'P':
		half := "AM"
		if t.Hour() >= 12 {
			half = "PM"
		}
		if c == 'P' || flag == '#' {
			dst = append(dst, half[0]+'a'-'A', 'm')
			break
		}
		dst = append(dst, half...)
	case 'r':
		dst = AppendStrftime(dst, "%I:%M:%S %p", t)
	case 'R':
		dst = AppendStrftime(dst, "%H:%M", t)
	case 's':
		dst = strconv.AppendInt(dst, t.Unix(), 10)
	case 'S':
		dst = number(dst, t.Second(), 2, '0', flag)
	case 't':
		dst = append(dst, '\t')
	case 'T', 'X':
		dst = AppendStrftime(dst, "%H:%M:%S", t)
	case 'u':
		dst = number(dst, (int(t.Weekday())+6)%7+1, 1, '0', flag)
	case 'U':
		dst = number(dst, (t.YearDay()+6-int(t.Weekday()))/7, 2, '0', flag)
	case 'V':
		_, w := t.ISOWeek()
		dst = number(dst, w, 2, '0', flag)
	case 'w':
		dst = number(dst, int(t.Weekday()), 1, '0', flag)
	case 'W':
		dst = number(dst, (t.YearDay()+6-(int(t.Weekday())+6)%7)/7, 2, '0', flag)
	case 'y':
		dst = number(dst, t.Year()%100, 2, '0', flag)
	case 'Y':
		dst = number(dst, t.Year(), 4, '0', flag)
	case 'z':
		dst = t.AppendFormat(dst, "-0700")
	case 'Z':
		dst = t.AppendFormat(dst, "MST")
	case '%':
		dst = append(dst, '%')
	default:
		return dst, false
	}
	return dst, true
}
