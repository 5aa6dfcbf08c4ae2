// This file runs a program: process, its standard streams, time-outs, and what
// becomes of its answer.

package cgi

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path"
	"strings"
	"sync"
	"time"

	"modwsgi/gocore/internal/httpd"
)

const (
	// killDelay is how long a program has to end after it was asked to.
	killDelay = 3 * time.Second
	// errorsDelay is how long the end of standard error is waited for when the
	// program has ended: something that it started may hold it open.
	errorsDelay = 100 * time.Millisecond
	// maxErrorLine cuts lines of standard error for the log.
	maxErrorLine = 8192
	copyBlock    = 32 << 10
)

// script is one run of a program. Its methods run on the goroutine of the
// response, except feed and logErrors.
type script struct {
	r       *httpd.Request
	c       *Config
	env     []string
	timeout time.Duration // of silence

	cmd   *exec.Cmd
	mu    sync.Mutex
	first []byte // of the request's body, read before the program started
	body  error  // why the request's body could not be read
	ended bool   // the process is gone, its number may be another's
}

// errSilent is the time-out.
var errSilent = errors.New("the script was silent for too long")

// run is the Stream of the outcome.
func (s *script) run(w httpd.StreamWriter) error {
	ctx, cancel := context.WithCancel(w.Context())
	defer cancel()
	nph := strings.HasPrefix(path.Base(s.r.Filename), "nph-")
	hasBody := s.r.ContentLength > 0 || s.r.Chunked
	s.cmd = exec.Command(s.r.Filename)
	s.cmd.Env, s.cmd.Dir = s.env, path.Dir(s.r.Filename)
	ownGroup(s.cmd)
	var in io.WriteCloser
	if hasBody && nph {
		spool, _, err := s.r.SpoolBody()
		if err != nil {
			return err
		}
		defer spool.Close()
		s.cmd.Stdin = spool
	} else if hasBody {
		if v, _ := s.r.Get("Expect"); strings.EqualFold(v, "100-continue") {
			// The client waits for 100 (Continue), which the first Read sends: once
			// the program's answer has begun it would be too late.
			s.first = make([]byte, copyBlock)
			n, err := s.r.Body().Read(s.first)
			if s.first = s.first[:n]; err != nil && !errors.Is(err, io.EOF) {
				return err
			}
		}
		pipe, err := s.cmd.StdinPipe()
		if err != nil {
			return s.broken(err)
		}
		in = pipe
	}
	out, err := s.cmd.StdoutPipe()
	if err != nil {
		return s.broken(err)
	}
	errs, err := s.cmd.StderrPipe()
	if err != nil {
		return s.broken(err)
	}
	if err := s.cmd.Start(); err != nil {
		return s.broken(fmt.Errorf("cannot start %s: %w", s.r.Filename, err))
	}
	if err := setLimits(s.cmd.Process.Pid, s.c); err != nil {
		kill(s.cmd)
		s.cmd.Wait()
		return s.broken(err)
	}
	logged := make(chan struct{})
	own := *s.r // the request has one owner
	go func() { defer close(logged); logErrors(&own, errs) }()
	if in != nil {
		go s.feed(in) // may outlive run: the owner of the body ends it
	}
	// Whatever happens below, nothing of the program stays behind.
	defer s.end(out, errs, logged)
	o := &output{f: out.(*os.File), timeout: s.timeout}
	stop := context.AfterFunc(ctx, func() { o.f.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	if nph {
		return s.raw(w, o)
	}
	return s.answer(w, o)
}

// broken is an error of ours: 500.
func (s *script) broken(err error) error {
	return &httpd.StatusError{Status: http.StatusInternalServerError, Err: err}
}

// feed gives the request's body to the program. A program need not read it.
func (s *script) feed(in io.WriteCloser) {
	defer in.Close()
	buf := make([]byte, copyBlock)
	body := s.r.Body()
	if len(s.first) > 0 {
		if _, err := in.Write(s.first); err != nil {
			return
		}
	}
	for {
		n, err := body.Read(buf)
		if n > 0 {
			if _, err := in.Write(buf[:n]); err != nil {
				return
			}
		}
		if err != nil {
			if !errors.Is(err, io.EOF) {
				s.mu.Lock()
				s.body = err
				if !s.ended {
					kill(s.cmd) // it must not take a part for the whole
				}
				s.mu.Unlock()
			}
			return
		}
	}
}

func (s *script) bodyError() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.body
}

// output is the program's standard output with the time-out for silence.
type output struct {
	f       *os.File
	timeout time.Duration
	late    bool
}

func (o *output) Read(p []byte) (int, error) {
	if o.timeout > 0 {
		o.f.SetReadDeadline(time.Now().Add(o.timeout))
	}
	n, err := o.f.Read(p)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		o.late, err = true, errSilent
	}
	return n, err
}

// answer reads the header, then passes the body on as it comes.
func (s *script) answer(w httpd.StreamWriter, o *output) error {
	r := bufio.NewReaderSize(o, maxLine)
	h, err := readHead(r)
	if err != nil {
		switch {
		case s.bodyError() != nil:
			return s.bodyError()
		case w.Context().Err() != nil:
			return w.Context().Err()
		case o.late:
			return &httpd.StatusError{Status: http.StatusGatewayTimeout, Err: fmt.Errorf("script timed out before returning headers: %s", path.Base(s.r.Filename))}
		}
		return s.broken(fmt.Errorf("%w: %s", err, path.Base(s.r.Filename)))
	}
	local, status, fields := h.decide()
	if local != "" {
		return s.redirect(w, local)
	}
	if err := w.WriteHead(status, fields); err != nil {
		return err
	}
	buf := make([]byte, copyBlock)
	for {
		n, err := r.Read(buf)
		if n > 0 {
			if _, err := w.Write(buf[:n]); err != nil {
				return err
			}
			if r.Buffered() == 0 {
				if err := w.Flush(); err != nil {
					return err
				}
			}
		}
		switch {
		case errors.Is(err, io.EOF):
			return s.bodyError()
		case err != nil:
			return fmt.Errorf("%s: %w", s.r.Filename, err)
		}
	}
}

// redirect answers with another resource of this host, as a GET (RFC 3875
// section 6.2.2). What only a Python thread can make is left to the client.
func (s *script) redirect(w httpd.StreamWriter, local string) error {
	s.r.Out = nil
	out := s.r.RedirectOnWorker(local)
	if out == nil || out.Plan != nil {
		return w.WriteHead(http.StatusFound, []httpd.Field{{Name: "Location", Value: s.r.AbsoluteURL(local)}, {Name: "Content-Length", Value: "0"}})
	}
	if out.File != nil {
		defer out.File.Close()
	}
	if out.Stream != nil {
		return out.Stream(w)
	}
	fields := append(out.Header, out.ErrHeader...)
	if err := w.WriteHead(out.Status, fields); err != nil {
		return err
	}
	_, err := io.Copy(w, out.BodyReader())
	return err
}

// raw passes on what the program writes without a look at it: the connection
// is the program's.
func (s *script) raw(w httpd.StreamWriter, o *output) error {
	conn, _, err := w.Hijack()
	if err != nil {
		return s.broken(err)
	}
	defer conn.Close()
	buf := make([]byte, copyBlock)
	for {
		n, err := o.Read(buf)
		if n > 0 {
			if s.timeout > 0 {
				conn.SetWriteDeadline(time.Now().Add(s.timeout))
			}
			if _, err := conn.Write(buf[:n]); err != nil {
				return err
			}
		}
		if err != nil {
			return nil
		}
	}
}

// logErrors logs the lines that the program writes to its standard error.
func logErrors(own *httpd.Request, errs io.Reader) {
	r := bufio.NewReaderSize(errs, maxErrorLine)
	for {
		line, err := r.ReadSlice('\n')
		if len(line) > 0 && (err == nil || !errors.Is(err, bufio.ErrBufferFull) || len(line) == maxErrorLine) {
			own.Logf(httpd.LevelError, "cgi", "stderr from %s: %s", own.Filename, strings.TrimRight(string(line), "\r\n"))
		}
		if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
			return
		}
	}
}

// end waits for the program, and ends it if it goes on without a reader.
func (s *script) end(out, errs io.Closer, logged <-chan struct{}) {
	out.Close()
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.cmd.Process.Wait()
	}()
	ask := time.NewTimer(errorsDelay)
	defer ask.Stop()
	select {
	case <-done:
	case <-ask.C:
		interrupt(s.cmd)
		force := time.NewTimer(killDelay)
		defer force.Stop()
		select {
		case <-done:
		case <-force.C:
			kill(s.cmd)
			<-done
		}
	}
	s.mu.Lock()
	s.ended = true
	s.mu.Unlock()
	rest := time.NewTimer(errorsDelay)
	defer rest.Stop()
	select {
	case <-logged:
	case <-rest.C:
		errs.Close()
		<-logged
	}
	s.cmd.Wait() // closes what is left; the process was waited for
}
