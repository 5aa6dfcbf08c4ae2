// Log programs (ErrorLog "|rotatelogs ...") and syslog: a pipe whose read end
// the supervisor keeps too, so that nothing is lost, and no writer is killed,
// while a program that died is started again.
package process

import (
	"bufio"
	"errors"
	"fmt"
	"log/syslog"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"modwsgi/gocore/internal/httpd"
)

// logProgram is a running reader of a log pipe. proc is nil for syslog.
type logProgram struct {
	argv []string
	log  *errorLog
	w    int // write end, for workers to inherit

	mu     sync.Mutex
	r      int // read end, for the next start; -1 after close
	closed bool
}

// startLogProgram starts the program of a LogToPipe target with the
// supervisor's privileges.
func startLogProgram(t httpd.LogTarget, log *errorLog) (*logProgram, error) {
	argv := []string{"/bin/sh", "-c", t.Name}
	if !t.Shell {
		var err error
		if argv, err = splitCommand(t.Name); err != nil {
			return nil, fmt.Errorf("log program %q: %w", t.Name, err)
		}
		path, err := exec.LookPath(argv[0])
		if err != nil {
			return nil, fmt.Errorf("could not start the log program %q: %w", t.Name, err)
		}
		argv[0] = path
	}
	r, w, err := newPipe()
	if err != nil {
		return nil, os.NewSyscallError("pipe", err)
	}
	p := &logProgram{argv: argv, log: log, r: r, w: w}
	proc, err := p.spawn()
	if err != nil {
		p.close()
		return nil, fmt.Errorf("could not start the log program %q: %w", t.Name, err)
	}
	go p.watch(proc)
	return p, nil
}

// spawn runs the program on the read end. Caller holds no lock.
func (p *logProgram) spawn() (*os.Process, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil, os.ErrClosed
	}
	// Terminal signals are for the server: a log program that Ctrl-C ended
	// would miss the last lines. It ends with its input.
	return startProcess(p.argv[0], p.argv, withoutService(os.Environ()), []int{p.r, 2, 2}, &syscall.SysProcAttr{Setpgid: true})
}

func (p *logProgram) watch(proc *os.Process) {
	delay := backoffMin
	for {
		started := time.Now()
		state, err := waitOwn(proc)
		p.mu.Lock()
		closed := p.closed
		p.mu.Unlock()
		if closed || err != nil {
			return
		}
		if time.Since(started) > backoffReset {
			delay = backoffMin
		}
		p.log.printf("core", levelError, "AH00106: piped log program '%s' ended unexpectedly (%s), starting it again in %s",
			strings.Join(p.argv, " "), state, delay)
		for {
			time.Sleep(delay)
			delay = min(2*delay, backoffMax)
			if proc, err = p.spawn(); err == nil {
				break
			}
			if errors.Is(err, os.ErrClosed) {
				return
			}
			p.log.printf("core", levelError, "AH00104: could not start the log program '%s': %s", strings.Join(p.argv, " "), err)
		}
	}
}

// close gives up both ends. What is in the pipe still reaches the program.
func (p *logProgram) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return
	}
	p.closed = true
	_ = unix.Close(p.w)
	if p.r >= 0 {
		_ = unix.Close(p.r)
	}
	p.r = -1
}

// startSyslog reads lines from a pipe into the system's log.
func startSyslog(t httpd.LogTarget, log *errorLog) (*logProgram, error) {
	facility, tag, _ := strings.Cut(t.Name, ":")
	prio, ok := syslogFacilities[strings.ToLower(facility)]
	if !ok {
		return nil, fmt.Errorf("unknown syslog facility %q", facility)
	}
	if tag == "" {
		tag = "httpd"
	}
	sw, err := syslog.New(prio|syslog.LOG_ERR, tag)
	if err != nil {
		return nil, fmt.Errorf("could not reach syslog: %w", err)
	}
	r, w, err := newPipe()
	if err != nil {
		_ = sw.Close()
		return nil, os.NewSyscallError("pipe", err)
	}
	go func() {
		in := os.NewFile(uintptr(r), "syslog pipe")
		defer in.Close()
		defer sw.Close()
		lines := bufio.NewReaderSize(in, 64<<10)
		for {
			line, err := lines.ReadString('\n')
			if line = strings.TrimRight(line, "\n"); line != "" {
				if err := toSyslog(sw, line); err != nil {
					// The line would be lost; the terminal is what is left.
					fmt.Fprintln(os.Stderr, line)
				}
			}
			if err != nil {
				return
			}
		}
	}()
	return &logProgram{log: log, w: w, r: -1}, nil
}

// toSyslog sends a line at the level that stands before it, "<3>" for errors.
// Lines without one, which do not come from us, are errors.
func toSyslog(sw *syslog.Writer, line string) error {
	level := levelError
	if len(line) > 2 && line[0] == '<' && line[2] == '>' && line[1] >= '0' && line[1] <= '7' {
		level, line = int(line[1]-'0'), line[3:]
	}
	return [...]func(string) error{sw.Emerg, sw.Alert, sw.Crit, sw.Err, sw.Warning, sw.Notice, sw.Info, sw.Debug}[level](line)
}

var syslogFacilities = map[string]syslog.Priority{
	"": syslog.LOG_LOCAL7, "auth": syslog.LOG_AUTH, "authpriv": syslog.LOG_AUTHPRIV, "cron": syslog.LOG_CRON,
	"daemon": syslog.LOG_DAEMON, "ftp": syslog.LOG_FTP, "kern": syslog.LOG_KERN, "lpr": syslog.LOG_LPR,
	"mail": syslog.LOG_MAIL, "news": syslog.LOG_NEWS, "syslog": syslog.LOG_SYSLOG, "user": syslog.LOG_USER,
	"uucp": syslog.LOG_UUCP, "local0": syslog.LOG_LOCAL0, "local1": syslog.LOG_LOCAL1, "local2": syslog.LOG_LOCAL2,
	"local3": syslog.LOG_LOCAL3, "local4": syslog.LOG_LOCAL4, "local5": syslog.LOG_LOCAL5, "local6": syslog.LOG_LOCAL6,
	"local7": syslog.LOG_LOCAL7,
}

// splitCommand makes words of a command that no shell sees: blanks separate,
// quotes of both kinds group, a backslash takes the next character as it is.
func splitCommand(s string) ([]string, error) {
	var words []string
	var word strings.Builder
	in, quote := false, rune(0)
	escaped := false
	for _, c := range s {
		switch {
		case escaped:
			word.WriteRune(c)
			escaped = false
		case c == '\\':
			in, escaped = true, true
		case quote != 0 && c == quote:
			quote = 0
		case quote != 0:
			word.WriteRune(c)
		case c == '"' || c == '\'':
			in, quote = true, c
		case c == ' ' || c == '\t':
			if in {
				words = append(words, word.String())
				word.Reset()
			}
			in = false
		default:
			in = true
			word.WriteRune(c)
		}
	}
	if quote != 0 || escaped {
		return nil, errors.New("unbalanced quotes")
	}
	if in {
		words = append(words, word.String())
	}
	if len(words) == 0 {
		return nil, errors.New("no command")
	}
	return words, nil
}
