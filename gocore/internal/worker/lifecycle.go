// From serving to the end of a worker process. Every way out that leaves the
// server running begins with a successor: the process asks for one (frame X)
// and goes on serving; when it is ready (frame G) the listeners, the idle
// connections and the requests that wait for a thread go to it.
//
//	serve -> recycle (X) -> G: drain, graceful-timeout -> finish, shutdown-timeout -> exit
//	      -> SIGTERM (X, does not wait), T, supervisor gone -------------> finish
//
// finish publishes process_stopping first, while requests may still run, then
// waits for them, joins the application's threads and runs atexit functions.
// When shutdown-timeout is over the process ends without the rest: requests
// that have no response yet get one from here (502, or 504 if they ran into
// request-timeout) and the exit status is 255, as with mod_wsgi.
package worker

import (
	"fmt"
	"os"
	"sync/atomic"
	"syscall"
	"time"

	"modwsgi/gocore/internal/process"
	"modwsgi/gocore/internal/python"
)

// Bounds of what depends on others.
const (
	defaultShutdown = 5 * time.Second        // shutdown-timeout's default; embedded mode
	hardPatience    = 10 * time.Second       // a process that cannot serve waits so long for its successor
	reportPatience  = time.Second            // for the GIL, before giving up without it
	sharePatience   = 100 * time.Millisecond // for connections that siblings exchange when both stop
	writePatience   = 750 * time.Millisecond // without a request: complete responses leave, new connections bring theirs
)

// stopRestart, as a reason to stop, means that the server goes on with other processes.
const stopRestart = "restart"

// recycling is why a process is being replaced.
type recycling struct {
	reason string
	asked  time.Time
}

// causes says what an operator reads, whether running requests get no drain
// window, and whether something went wrong (then stacks are logged).
var causes = map[string]struct {
	text          string
	hard, trouble bool
}{
	"startup_timeout":       {"no script was loaded within startup-timeout", true, true},
	"deadlock_timeout":      {"the GIL could not be taken within deadlock-timeout", true, true},
	"request_timeout":       {"a request ran longer than request-timeout allows", false, true},
	"inactivity_timeout":    {"no request came within inactivity-timeout", false, false},
	"restart_interval":      {"restart-interval is over", false, false},
	"resident_memory_limit": {"resident-memory-limit is exceeded", false, false},
	"maximum_requests":      {"maximum-requests is reached", false, false},
	"cpu_time_limit":        {"cpu-time-limit is used up", false, false},
	"graceful_signal":       {"SIGUSR1", false, false},
	"eviction_signal":       {"SIGUSR1", false, false},
	"script_reload":         {"script changed", false, false},
}

// recycle asks for a successor; only the first cause counts. Any goroutine.
func (w *worker) recycle(reason string) {
	if !w.recycling.CompareAndSwap(nil, &recycling{reason, time.Now()}) {
		return
	}
	c := causes[reason]
	level := levelNotice
	if c.trouble {
		level = levelWarn
	}
	w.logf(level, "wsgi", "WSGI0310: %s: replacing the process (%s)", c.text, w.state())
	if w.timers != nil {
		w.timers.ask(func() {
			if c.trouble {
				python.Report(levelWarn, true, 0)
			} else {
				python.Report(levelInfo, false, 0)
			}
		})
		if c.hard {
			time.AfterFunc(hardPatience, func() { w.drain <- true })
		}
	}
	w.ask(reason)
	if s, ok := w.source.(interface{ LeaveHops() }); ok && reason == "script_reload" {
		s.LeaveHops()
	}
}

func (w *worker) ask(reason string) {
	w.control.Send(&process.Frame{Type: process.FrameReplace, Payload: []byte(reason)})
}

// remind repeats the request for a successor when none has come.
func (w *worker) remind(now time.Time) {
	if r := w.recycling.Load(); r != nil && now.Sub(r.asked) > askAgain && !w.draining.Load() {
		w.recycling.Store(&recycling{r.reason, now})
		w.ask(r.reason)
	}
}

// state is one line about what the process has done and is doing.
func (w *worker) state() string {
	served, running := uint64(0), 0
	up := time.Duration(0)
	if w.timers != nil {
		served, running = w.timers.served()
		up = time.Since(w.timers.started)
	}
	memory := "?"
	if n, err := residentMemory(); err == nil {
		memory = fmt.Sprintf("%.1f MiB", float64(n)/(1<<20))
	}
	group := "embedded mode"
	if w.group != nil {
		group = "process group '" + w.group.Name + "'"
	}
	return fmt.Sprintf("%s, %d requests, %d running, up %s, memory %s, CPU %s", group, served, running, up.Round(time.Second), memory, cpuTime().Round(10*time.Millisecond))
}

// window is how long running requests may go on once the successor serves;
// 0: not at all, negative: without limit.
func (w *worker) window() time.Duration {
	r := w.recycling.Load()
	switch {
	case r == nil && (w.group == nil || w.group.GracefulTimeout <= 0): // the server's own graceful restart
		return -1
	case r != nil && causes[r.reason].hard:
		return 0
	case w.group == nil:
		return -1
	case r != nil && r.reason == "eviction_signal":
		return w.group.EvictionTimeout
	}
	return w.group.GracefulTimeout
}

// serve runs until a reason to stop comes, and through the stop.
func (w *worker) serve(signals <-chan os.Signal) int {
	go w.receive()
	var over <-chan time.Time
	for {
		select {
		case s := <-signals:
			if w.signal(s.(syscall.Signal)) {
				// Not from the supervisor, which says stop on its channel first. If the
				// server goes on, somebody else gets the connections, and at once.
				w.ask("SIGTERM")
				return w.finish("shutdown_signal", true)
			}
		case why := <-w.stop:
			return w.finish(w.reason(), why == stopRestart)
		case successor := <-w.drain:
			if w.draining.Swap(true) {
				continue
			}
			python.Quiesce()
			gone := make(chan struct{})
			go func() { // may wait for the supervisor to take connections
				w.source.Drain(successor)
				close(gone)
			}()
			switch n := w.window(); {
			case n == 0:
				select {
				case <-gone:
				case <-time.After(time.Second):
				}
				return w.finish(w.reason(), false)
			case n > 0:
				over = time.After(n)
			}
		case <-over:
			w.logf(levelWarn, "wsgi", "WSGI0311: requests are still running at the end of the graceful period (%s)", w.state())
			w.timers.ask(func() { python.Report(levelWarn, true, 0) })
			return w.finish(w.reason(), false)
		case <-w.source.Done():
			return w.finish(w.reason(), false)
		}
	}
}

// signal acts on a signal that mod_wsgi documents for daemon processes; true: stop.
func (w *worker) signal(s syscall.Signal) bool {
	switch s {
	case syscall.SIGUSR1:
		if w.group != nil && w.group.EvictionTimeout > 0 {
			w.recycle("eviction_signal")
		} else {
			w.recycle("graceful_signal")
		}
	case syscall.SIGXCPU:
		w.recycle("cpu_time_limit")
	case syscall.SIGHUP, syscall.SIGUSR2:
		if w.group != nil {
			name := map[syscall.Signal]string{syscall.SIGHUP: "SIGHUP", syscall.SIGUSR2: "SIGUSR2"}[s]
			w.timers.ask(func() { python.Signal(name, int(s)) })
		}
	default:
		return true
	}
	return false
}

// reason is mod_wsgi's shutdown_reason.
func (w *worker) reason() string {
	if r := w.recycling.Load(); r != nil {
		return r.reason
	}
	return "shutdown_signal"
}

// finish ends the process; it does not return. handoff: idle connections and
// requests that wait for a thread go to the supervisor, which knows who takes them.
func (w *worker) finish(reason string, handoff bool) int {
	limit := defaultShutdown
	if w.group != nil {
		limit = w.group.ShutdownTimeout
		// "For ever" is for replacements of processes that can still end: a server
		// that stops does not wait, nor does a process that cannot serve.
		if r := w.recycling.Load(); limit <= 0 && (r == nil || causes[r.reason].hard) {
			limit = defaultShutdown
		}
	} else if w.cfg.Front { // the groups behind are told to stop a little later, and have times of their own
		for i := range w.srv.Groups {
			limit = max(limit, w.srv.Groups[i].ShutdownTimeout)
		}
		limit += process.StopDelay + time.Second
	}
	w.logf(levelInfo, "wsgi", "stopping: %s (%s)", reason, w.state())
	w.telemeter.stopping(reason)
	if limit > 0 {
		time.AfterFunc(limit, func() { w.giveUp(limit) })
	}
	drained := make(chan struct{})
	go func() {
		if !w.draining.Swap(true) {
			python.Quiesce()
			w.source.Drain(handoff)
		}
		close(drained)
	}()
	told := make(chan struct{})
	go func() {
		why := reason
		if w.group == nil {
			why = "" // as mod_wsgi in embedded mode
		}
		python.Stopping(why)
		close(told)
	}()
	<-told
	<-drained // with handoff shutdown-timeout may have to end this
	w.rest()
	w.telemeter.stopped(reason)
	w.srv.FlushLogs()
	if w.srv.Python.DestroyInterpreter { // as at the end of any Python program: threads first
		w.source.Stop()
		w.threads.Wait()
		python.Shutdown()
	}
	w.srv.FlushLogs()
	w.exit(0) // not through Python's finalisation: threads may still be inside the application
	return 0
}

// rest waits until all connections are gone, or nothing has run for so long
// that responses are out and new connections have had their time for a request.
// One that a sibling was to have may be on its way back from the supervisor.
func (w *worker) rest() {
	quiet := time.Now()
	held := quiet // when there was a connection last
	if w.cfg.Processes == 1 {
		held = held.Add(-sharePatience)
	}
	for ; time.Since(quiet) < writePatience; time.Sleep(5 * time.Millisecond) {
		switch {
		case w.source.Running() > 0:
			quiet = time.Now()
			held = quiet
		case w.source.Connections() > 0:
			held = time.Now()
		case time.Since(held) >= sharePatience:
			return
		}
	}
}

// giveUp ends a process that did not end in time.
func (w *worker) giveUp(limit time.Duration) {
	w.logf(levelWarn, "wsgi", "WSGI0312: not done %s after the stop began, ending the process (%s)", limit, w.state())
	patient := func(f func()) bool {
		done := make(chan struct{})
		go func() { f(); close(done) }()
		select {
		case <-done:
			return true
		case <-time.After(reportPatience):
			return false
		}
	}
	overdue := w.timers.overdue()
	if !patient(func() { python.Report(levelWarn, true, 0); python.Abandon(overdue, true) }) {
		w.logf(levelWarn, "wsgi", "WSGI0067: the GIL cannot be taken: no stacks")
		python.Abandon(overdue, false)
	}
	w.telemeter.stopped(w.reason())
	w.srv.FlushLogs()
	w.exit(255)
}

// exit ends the process once: the second of two callers waits for the first.
func (w *worker) exit(status int) {
	if w.exiting.Swap(true) {
		select {}
	}
	os.Exit(status)
}

// lifecycle is the worker's state for this file.
type lifecycle struct {
	recycling atomic.Pointer[recycling]
	draining  atomic.Bool
	exiting   atomic.Bool
	stop      chan string
	drain     chan bool // true: a successor is there
	timers    *timers
}
