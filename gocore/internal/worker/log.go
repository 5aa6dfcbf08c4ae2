// The error log of a worker for what the Go side has to say; the Python side
// writes the same layout itself (python/log.c).
package worker

import (
	"fmt"
	"os"
	"strconv"
	"time"

	"modwsgi/gocore/internal/httpd"
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
