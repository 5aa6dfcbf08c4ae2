// Logs as the supervisor sees them: it opens every file and starts every log
// program with its own privileges, hands the descriptors to the workers, and
// writes its own lines to the main error log. Each generation has its own set,
// so a restart reopens files (rotation) and starts log programs anew, while
// processes of the old generation still finish theirs.
package process

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"modwsgi/gocore/internal/errorlog"
	"modwsgi/gocore/internal/httpd"
)

// Levels of LogLevel that the supervisor uses, numbered as in syslog.
const (
	levelAlert  = 1
	levelError  = 3
	levelWarn   = 4
	levelNotice = 5
	levelInfo   = 6
	levelDebug  = 7
)

// errorLog writes the supervisor's own records. All methods may be called
// from any goroutine.
type errorLog struct {
	mu     sync.Mutex
	fd     int
	max    func(module string) int // LogLevel
	format *errorlog.Format        // nil: the default
	server string                  // %v
	failed func(error)             // told of records that could not be written; nil: nobody
	syslog bool                    // the reader of fd takes "<level>" off each line
}

// shape sets what further records look like: as the main server's configuration says.
func (l *errorLog) shape(v *httpd.VirtualHost) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.format, l.server, l.syslog = nil, v.ServerName, v.ErrorLog.Kind == httpd.LogToSyslog
	if f, err := errorlog.Compile(v.ErrorLogFormat, true); err == nil && v.ErrorLogFormat != "" {
		l.format = f
	} else if l.syslog {
		l.format = errorlog.DefaultSyslog("client")
	}
}

// redirect makes fd the place of all further records. The caller keeps it open.
func (l *errorLog) redirect(fd int, max func(module string) int) {
	l.mu.Lock()
	l.fd, l.max = fd, max
	l.mu.Unlock()
}

// printf writes one record for each line of the message. As in Apache,
// LogLevel cannot suppress anything from notice upwards.
func (l *errorLog) printf(module string, level int, format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if level > levelNotice && (l.max == nil || level > l.max(module)) {
		return
	}
	r := errorlog.Record{Time: time.Now(), Level: level, Module: module, PID: os.Getpid(), TID: errorlog.ThreadID(), Server: l.server}
	for r.Message = range strings.SplitSeq(strings.TrimRight(fmt.Sprintf(format, args...), "\n"), "\n") {
		if err := errorlog.Write(l.fd, l.append(nil, &r)); err != nil && l.failed != nil {
			l.failed(err)
		}
	}
}

// noticeAgain is how long the same notice is not repeated: all processes see
// that a disk is full.
const noticeAgain = 10 * time.Minute

// Bounds of notices: they come from processes of other users too, who must not
// fill the supervisor's memory, or somebody else's screen.
const (
	noticeMax  = 1 << 10 // bytes of one
	noticeKept = 64      // different ones in noticeAgain
)

// clip is the beginning of a text that a process sent.
func clip(text []byte) string { return string(text[:min(len(text), noticeMax)]) }

// news reports whether a text was not noticed lately, and remembers it.
func (s *supervisor) news(text string) bool {
	maps.DeleteFunc(s.noticed, func(_ string, at time.Time) bool { return time.Since(at) >= noticeAgain })
	if _, known := s.noticed[text]; known || len(s.noticed) >= noticeKept {
		return false
	}
	s.noticed[text] = time.Now()
	return true
}

// notice writes to the server's standard error what cannot be said where it should be.
func (s *supervisor) notice(text string) {
	if !s.news(text) {
		return
	}
	r := errorlog.Record{Time: time.Now(), Level: levelError, Module: "core", PID: os.Getpid(), TID: errorlog.ThreadID(), Message: text}
	_ = errorlog.Write(2, defaultFormat.Append(nil, &r)) // there is no further place
}

func (l *errorLog) append(dst []byte, r *errorlog.Record) []byte {
	if l.syslog {
		dst = fmt.Appendf(dst, "<%d>", r.Level)
	}
	if l.format == nil {
		return defaultFormat.Append(dst, r)
	}
	return l.format.Append(dst, r)
}

var defaultFormat = errorlog.Default("client")

// logSet is the opened logs of a generation.
type logSet struct {
	names  []string       // keys in the order in which workers inherit them
	fds    map[string]int // by httpd.LogTarget.Key()
	stdout int            // what workers get as descriptor 1 and 2
	stderr int
	stdio  bool // the main error log is an inherited stream
	progs  []*logProgram
}

// openLogs opens targets, main (the main server's error log) among them. The
// zero main means standard error. progLog gets news about log programs.
func openLogs(main httpd.LogTarget, targets []httpd.LogTarget, progLog *errorLog) (*logSet, error) {
	s := &logSet{fds: map[string]int{}, stdout: 1, stderr: 2, stdio: true}
	if main.Name != "" || main.Kind != httpd.LogToFile {
		targets = append([]httpd.LogTarget{main}, targets...)
	}
	for _, t := range targets {
		key := t.Key()
		if _, have := s.fds[key]; have || (t.Name == "" && t.Kind == httpd.LogToFile) {
			continue
		}
		fd, err := s.open(t, progLog)
		if err != nil {
			s.close()
			return nil, err
		}
		s.fds[key] = fd
		s.names = append(s.names, key)
	}
	if fd, ok := s.fds[main.Key()]; ok {
		if main.Kind != httpd.LogToFile || inheritedFD(main.Name) < 0 {
			s.stdout, s.stderr, s.stdio = fd, fd, false
		}
	}
	return s, nil
}

// errorFD is where the supervisor writes its own records.
func (s *logSet) errorFD() int { return s.stderr }

// inheritedFD recognises the names of the streams that the server was started
// with. They are used as they are: opening /dev/stderr anew would truncate or
// rewind a redirected file, and fails for sockets and after a change of user.
func inheritedFD(name string) int {
	switch name {
	case "/dev/stdout", "/dev/fd/1", "/proc/self/fd/1":
		return 1
	case "/dev/stderr", "/dev/fd/2", "/proc/self/fd/2":
		return 2
	}
	return -1
}

func (s *logSet) open(t httpd.LogTarget, progLog *errorLog) (int, error) {
	switch t.Kind {
	case httpd.LogToPipe:
		p, err := startLogProgram(t, progLog)
		if err != nil {
			return -1, err
		}
		s.progs = append(s.progs, p)
		return dupCloexec(p.w)
	case httpd.LogToSyslog:
		p, err := startSyslog(t, progLog)
		if err != nil {
			return -1, err
		}
		s.progs = append(s.progs, p)
		return dupCloexec(p.w)
	}
	if fd := inheritedFD(t.Name); fd >= 0 {
		return dupCloexec(fd)
	}
	fd, err := unix.Open(t.Name, unix.O_WRONLY|unix.O_APPEND|unix.O_CREAT|unix.O_CLOEXEC|unix.O_NOCTTY, 0o644)
	if err != nil {
		var no = err
		return -1, fmt.Errorf("%s: AH00091: could not open log file %s", errnoText(no), t.Name)
	}
	return fd, nil
}

func errnoText(err error) string {
	var no unix.Errno
	if errors.As(err, &no) {
		return fmt.Sprintf("(%d)%s", int(no), capital(no.Error()))
	}
	return err.Error()
}

func dupCloexec(fd int) (int, error) {
	n, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 3)
	return n, os.NewSyscallError("fcntl", err)
}

// close lets go of the set. Log programs see the end of their input once the
// last worker with a copy is gone too, and then end by themselves.
func (s *logSet) close() {
	for _, fd := range s.fds {
		_ = unix.Close(fd)
	}
	s.fds = nil
	for _, p := range s.progs {
		p.close()
	}
	s.progs = nil
}
