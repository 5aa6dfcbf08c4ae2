// This file reads the header of a program's answer (RFC 3875 section 6).

package cgi

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"

	"modwsgi/gocore/internal/httpd"
)

const (
	// maxLine is the longest header line, httpd's limit.
	maxLine = 8192
	// maxFields bounds the header as a whole.
	maxFields = 1000
)

// head is the header of an answer.
type head struct {
	status   int // 0: the program said none
	location string
	fields   []httpd.Field // without Status and Location
}

var errNoHead = errors.New("end of script output before headers")

// readHead reads lines up to the empty one. Lines may end with LF alone.
func readHead(r *bufio.Reader) (*head, error) {
	h := &head{}
	for n := 0; ; n++ {
		line, err := readLine(r)
		if errors.Is(err, io.EOF) {
			return nil, errNoHead
		}
		if err != nil {
			return nil, err
		}
		if line == "" {
			if n == 0 {
				return nil, errors.New("the answer begins with an empty line instead of headers")
			}
			return h, nil
		}
		if n >= maxFields {
			return nil, fmt.Errorf("more than %d header lines", maxFields)
		}
		if err := h.add(line); err != nil {
			return nil, err
		}
	}
}

func readLine(r *bufio.Reader) (string, error) {
	line, err := r.ReadSlice('\n')
	switch {
	case errors.Is(err, bufio.ErrBufferFull):
		return "", fmt.Errorf("a header line is longer than %d bytes", maxLine)
	case err != nil:
		return "", err
	}
	return strings.TrimSuffix(string(line[:len(line)-1]), "\r"), nil
}

func (h *head) add(line string) error {
	name, value, ok := strings.Cut(line, ":")
	if !ok || !isToken(name) {
		return fmt.Errorf("malformed header from script: bad header: %.40q", line)
	}
	value = strings.Trim(value, " \t")
	if badValue(value) {
		return fmt.Errorf("the header %s from the script has control characters", name)
	}
	switch strings.ToLower(name) {
	case "status":
		code, _, _ := strings.Cut(value, " ")
		n, err := strconv.Atoi(code)
		if err != nil || n < 200 || n > 599 {
			return fmt.Errorf("invalid status line from script: %.40q", value)
		}
		h.status = n
	case "location":
		h.location = value
	default:
		h.fields = append(h.fields, httpd.Field{Name: name, Value: value})
	}
	return nil
}

// isToken reports whether s can name a field (RFC 9110 section 5.6.2).
func isToken(s string) bool {
	for i := 0; i < len(s); i++ {
		c := s[i]
		if !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.IndexByte("!#$%&'*+-.^_`|~", c) >= 0) {
			return false
		}
	}
	return s != ""
}

func badValue(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] < ' ' && s[i] != '\t' || s[i] == 0x7f {
			return true
		}
	}
	return false
}

// decide says what the header means: a path of this host to go on with in
// place of the answer ("" = none), else status and fields of the response.
func (h *head) decide() (local string, status int, fields []httpd.Field) {
	status, fields = h.status, h.fields
	if h.location != "" {
		if (status == 0 || status == http.StatusOK) && strings.HasPrefix(h.location, "/") {
			return h.location, 0, nil
		}
		fields = append(fields, httpd.Field{Name: "Location", Value: h.location})
		if status == 0 || status == http.StatusOK {
			status = http.StatusFound
		}
	}
	if status == 0 {
		status = http.StatusOK
	}
	return "", status, fields
}
