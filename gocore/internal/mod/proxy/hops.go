// This file knows which fields of an answer belong to the connection (RFC 9110
// section 7.6.1). net/http removes a Connection field with "close" and the
// other names in it, so the head is looked at on its way in.

package proxy

import (
	"bytes"
	"net"
	"strings"
	"sync"
)

// conn is a connection to a server that remembers the Connection fields of
// the answer's head.
type conn struct {
	net.Conn
	mu    sync.Mutex
	head  []byte // of the answer so far; nil: not looked at
	names []string
}

// expect prepares for the answer to a new request.
func (c *conn) expect() {
	c.mu.Lock()
	c.head, c.names = []byte{}, nil
	c.mu.Unlock()
}

// listed are the words of its Connection fields, lower case.
func (c *conn) listed() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.names
}

// Read implements net.Conn.
func (c *conn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if n > 0 {
		c.mu.Lock()
		if c.head != nil {
			c.look(p[:n])
		}
		c.mu.Unlock()
	}
	return n, err
}

// look takes more of the head. Heads of interim answers (1xx) come before it.
func (c *conn) look(p []byte) {
	c.head = append(c.head, p...)
	for {
		end := bytes.Index(c.head, []byte("\n\r\n"))
		if bare := bytes.Index(c.head, []byte("\n\n")); bare >= 0 && (end < 0 || bare < end) {
			end = bare
		}
		if end < 0 {
			if len(c.head) > maxHead { // net/http refuses it
				c.head = nil
			}
			return
		}
		for line := range bytes.Lines(c.head[:end+1]) {
			name, value, ok := strings.Cut(strings.TrimRight(string(line), "\r\n"), ":")
			if ok && strings.EqualFold(name, "Connection") {
				for word := range strings.SplitSeq(value, ",") {
					c.names = append(c.names, strings.ToLower(strings.TrimSpace(word)))
				}
			}
		}
		first, _, _ := bytes.Cut(c.head, []byte("\n"))
		_, status, _ := bytes.Cut(first, []byte(" "))
		if !bytes.HasPrefix(status, []byte("1")) || bytes.HasPrefix(status, []byte("101")) {
			c.head = nil
			return
		}
		c.head = append([]byte{}, bytes.TrimLeft(c.head[end+1:], "\r\n")...)
	}
}
