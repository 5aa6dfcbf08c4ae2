// The error log of a worker for what the Go side has to say; the Python side
// writes the same layout itself (python/log.c).
package worker

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"time"

	"modwsgi/gocore/internal/httpd"
	"modwsgi/gocore/internal/listen"
)

// Levels of the error log, as syslog and Apache number them.
const (
	levelCrit = 2
	levelErr  = 3
	levelInfo = 6
)

var levelNames = [...]string{"emerg", "alert", "crit", "error", "warn", "notice", "info", "debug"}

// logf writes one record. r may be nil. Any goroutine.
func (w *worker) logf(r *httpd.Request, level int, module, format string, a ...any) {
	if w.srv != nil && level > 5 {
		l := w.srv.Main.LogLevel
		if r != nil && r.Host != nil {
			l = r.Host.LogLevel
		}
		if level > l.Level(module) {
			return
		}
	}
	name := "trace"
	if level < len(levelNames) {
		name = levelNames[level]
	}
	b := append([]byte("["), time.Now().Format("Mon Jan 02 15:04:05.000000 2006")...)
	b = append(b, "] ["+module+":"+name+"] [pid "...)
	b = strconv.AppendInt(b, int64(os.Getpid()), 10)
	b = append(b, ":tid "...)
	b = strconv.AppendInt(b, int64(threadID()), 10)
	b = append(b, "] "...)
	if r != nil && r.Remote.IsValid() {
		b = append(b, "[remote "+r.Remote.String()+"] "...)
	}
	b = fmt.Appendf(b, format, a...)
	os.Stderr.Write(append(b, '\n'))
}

// codePanic marks the records of a panic, for those who search for them.
const codePanic = "WSGI0301"

// panicked reports a panic of a module while it handled a request: the reason
// and the stack, one record per line. It is a bug of this program; the client
// gets 500. c is nil outside a connection. Any goroutine.
func (w *worker) panicked(c *listen.Conn, value any, stack []byte) {
	var r *httpd.Request
	where := ""
	if c != nil {
		r = &httpd.Request{Remote: c.Remote}
		where = " on connection " + strconv.FormatUint(c.ID, 10)
	}
	w.logf(r, levelCrit, "core", codePanic+": internal error%s: %q; the request is answered with 500 and the connection closed", where, fmt.Sprint(value))
	for line := range bytes.Lines(bytes.TrimSpace(stack)) {
		w.logf(r, levelCrit, "core", codePanic+": %s", bytes.TrimRight(line, "\n"))
	}
}
