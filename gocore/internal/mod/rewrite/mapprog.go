// This file has the maps that are programs: a child process that answers a
// line with the key by a line with the value.

package rewrite

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"time"

	"modwsgi/gocore/internal/httpd"
)

const (
	// programTimeout is how long a program may take for an answer. Other
	// questions to it wait meanwhile.
	programTimeout = 2 * time.Second
	// programPause is how long a program that failed stays down, so that it
	// does not delay every request.
	programPause = 5 * time.Second
	// maxAnswer bounds the length of a program's answer.
	maxAnswer = 64 << 10
)

// program is a prg: map. It is started by the first lookup of each server
// process and runs as its user.
type program struct {
	name string
	args []string
	mu   sync.Mutex // one question at a time
	cmd  *exec.Cmd
	in   io.WriteCloser
	out  chan answer
	down time.Time // of the last failure
}

// question is the key of an answer that the request remembers: a program is
// not asked twice when the phases run again elsewhere.
type question struct {
	p   *program
	key string
}

type answer struct {
	line string
	err  error
}

func newProgram(name, line string, file func(string) string) (*program, error) {
	args, err := splitCommand(line)
	if err != nil {
		return nil, err
	}
	if len(args) == 0 {
		return nil, errors.New("prg: needs the path of a program")
	}
	args[0] = file(args[0])
	return &program{name: name, args: args}, nil
}

// splitCommand takes a command line apart as a shell does with words, quotes
// and backslashes.
func splitCommand(s string) ([]string, error) {
	var out []string
	var word []byte
	var quote byte
	open := false
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch {
		case c == '\\' && i+1 < len(s):
			i++
			word, open = append(word, s[i]), true
		case quote != 0 && c == quote:
			quote = 0
		case quote == 0 && (c == '"' || c == '\''):
			quote, open = c, true
		case quote == 0 && isBlank(c):
			if open {
				out, word, open = append(out, string(word)), nil, false
			}
		default:
			word, open = append(word, c), true
		}
	}
	if quote != 0 {
		return nil, fmt.Errorf("a quote is not closed in %q", s)
	}
	if open {
		out = append(out, string(word))
	}
	return out, nil
}

// find asks the program. A newline in the key would put question and answer
// out of step. When the program does not answer, neither "found" nor "not
// found" would be safe, and the request gets 500.
func (p *program) find(x *run, key string) (string, bool) {
	if strings.ContainsAny(key, "\n\x00") {
		return "", false
	}
	if v, ok := x.r.Memo(question{p, key}); ok {
		line := v.(string)
		return line, !strings.EqualFold(line, "NULL")
	}
	x.r.Need(httpd.OnWorker)
	p.mu.Lock()
	defer p.mu.Unlock()
	line, err := p.ask(key)
	x.r.SetMemo(question{p, key}, line)
	if err != nil {
		p.stop()
		p.down = time.Now()
		x.r.Logf(httpd.LevelError, "rewrite", "the program of RewriteMap %s failed: %v", p.name, err)
		x.r.Abort()
	}
	return line, !strings.EqualFold(line, "NULL")
}

func (p *program) ask(key string) (string, error) {
	if p.cmd == nil {
		if since := time.Since(p.down); since < programPause {
			return "", fmt.Errorf("it failed %v ago and is not started again yet", since.Round(time.Millisecond))
		}
		if err := p.start(); err != nil {
			return "", err
		}
	}
	timer := time.NewTimer(programTimeout)
	defer timer.Stop()
	in := p.in
	wrote := make(chan error, 1)
	go func() {
		_, err := io.WriteString(in, key+"\n")
		wrote <- err
	}()
	for {
		select {
		case err := <-wrote:
			if err != nil {
				return "", err
			}
			wrote = nil
		case a, ok := <-p.out:
			if !ok {
				return "", io.ErrUnexpectedEOF
			}
			return a.line, a.err
		case <-timer.C:
			return "", fmt.Errorf("no answer within %v", programTimeout)
		}
	}
}

func (p *program) start() error {
	cmd := exec.Command(p.args[0], p.args[1:]...)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	answers := make(chan answer)
	p.cmd, p.in, p.out = cmd, in, answers
	go func() {
		defer close(answers)
		defer cmd.Wait()
		r := bufio.NewReaderSize(out, maxAnswer)
		for {
			line, err := r.ReadSlice('\n')
			if err != nil {
				if !errors.Is(err, io.EOF) {
					answers <- answer{err: err}
				}
				return
			}
			answers <- answer{line: strings.TrimRight(string(line), "\r\n")}
		}
	}()
	return nil
}

// stop ends the program; its reader goes with it.
func (p *program) stop() {
	if p.cmd == nil {
		return
	}
	p.in.Close()
	p.cmd.Process.Kill()
	out := p.out
	go func() {
		for range out {
		}
	}()
	p.cmd, p.in, p.out = nil, nil, nil
}
