// Readers of words that many directives share.
package httpd

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// ParseFlag reads On or Off in any case, as Apache's flags.
func ParseFlag(s string) (bool, error) {
	switch {
	case strings.EqualFold(s, "on"):
		return true, nil
	case strings.EqualFold(s, "off"):
		return false, nil
	}
	return false, fmt.Errorf("must be On or Off, not %q", s)
}

// ParseInt reads a decimal integer in [min, max].
func ParseInt(s string, min, max int64) (int64, error) {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("%q is not a number", s)
	}
	if n < min || n > max {
		return 0, fmt.Errorf("%s is out of range, %d to %d", s, min, max)
	}
	return n, nil
}

// ParseDuration reads Apache's time-out form: a number with an optional unit
// ms, s, min (mi), h; without unit it is in def.
func ParseDuration(s string, def time.Duration) (time.Duration, error) {
	i := 0
	for i < len(s) && s[i] >= '0' && s[i] <= '9' {
		i++
	}
	if i == 0 {
		return 0, fmt.Errorf("%q is not a time", s)
	}
	n, err := strconv.ParseInt(s[:i], 10, 64)
	if err != nil {
		return 0, fmt.Errorf("%q is not a time", s)
	}
	unit := def
	switch strings.ToLower(s[i:]) {
	case "":
	case "ms":
		unit = time.Millisecond
	case "s":
		unit = time.Second
	case "mi", "min":
		unit = time.Minute
	case "h":
		unit = time.Hour
	default:
		return 0, fmt.Errorf("%q has an unknown unit; known are ms, s, min and h", s)
	}
	if n > int64(1<<62)/int64(unit) {
		return 0, errors.New("time is too long")
	}
	return time.Duration(n) * unit, nil
}
