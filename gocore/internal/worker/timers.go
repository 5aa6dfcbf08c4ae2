// Timers of a worker process: the time-outs and limits of WSGIDaemonProcess.
//
// They cost a request nothing: each Python thread counts its requests (package
// python), and a look at these counters every tick says who has been busy with
// the same request for how long. Whatever has to wait for the GIL (stacks,
// interruptions) runs on the agent, a goroutine of its own.
//
//	cause                 | when                                                  | ends by
//	startup_timeout       | no script loaded so long after the first request      | stop
//	deadlock_timeout      | the GIL was not to be had for so long                 | stop
//	request_timeout       | a request ran longer than T x (1 + ln threads) and    | drain
//	                      | its interruption did not help                         |
//	inactivity_timeout    | no request for so long after one                      | drain
//	restart_interval      | so long after the process started                     | drain
//	resident_memory_limit | more resident memory than that                        | drain
//	maximum_requests      | so many requests (dispatcher.Done)                    | drain
//	cpu_time_limit        | SIGXCPU                                               | drain
//	graceful_signal, eviction_signal | SIGUSR1                                    | drain
//	script_reload         | a script changed (dispatcher.Run)                     | drain
//
// Both ends begin with a successor (lifecycle.go); drain then gives running
// requests graceful-timeout (eviction-timeout), stop only shutdown-timeout.
package worker

import (
	"math"
	"sync/atomic"
	"time"

	"modwsgi/gocore/internal/httpd"
	"modwsgi/gocore/internal/python"
)

const (
	tickEvery    = 100 * time.Millisecond // resolution of everything here; options are whole seconds
	probeEvery   = time.Second            // as mod_wsgi's deadlock thread
	memoryEvery  = time.Second
	trimEvery    = 30 * time.Second
	askAgain     = 30 * time.Second // a lost request for a successor is repeated
	agentBacklog = 64
)

// watched is what is known of a thread.
type watched struct {
	serial      uint64    // of the request it is busy with, 0 none
	since       time.Time // first seen with it
	interrupted time.Time // RequestTimeout was raised, zero: not
	overdue     bool      // it outlived every limit: nobody waits for it any more
}

type timers struct {
	w       *worker
	g       *httpd.DaemonGroup
	limit   time.Duration // of a request; 0 none
	started time.Time
	threads []watched
	buf     []python.Thread

	first    time.Time // request
	loaded   bool
	activity uint64 // requests that count, at the last look
	active   time.Time
	looked   time.Time    // at the memory
	gil      atomic.Int64 // when the GIL was last to be had, nanoseconds since started
	agent    chan func()

	trimmed  time.Time // see trim
	trimmedN uint64    // requests then
}

// requestLimit scales request-timeout: threads that are stuck one after the
// other leave the others to serve, so more threads can be more patient.
func requestLimit(g *httpd.DaemonGroup) time.Duration {
	return time.Duration(float64(g.RequestTimeout) * (1 + math.Log(float64(max(g.Threads, 1)))))
}

// newTimers starts the agent and, with deadlock-timeout, the probe of the GIL.
func newTimers(w *worker) *timers {
	g := w.group
	if g == nil {
		g = &httpd.DaemonGroup{}
	}
	threads := max(w.cfg.Threads, 1)
	t := &timers{w: w, g: g, limit: requestLimit(g), started: time.Now(), threads: make([]watched, threads), buf: make([]python.Thread, threads),
		agent: make(chan func(), agentBacklog)}
	go func() {
		for f := range t.agent {
			f()
		}
	}()
	if g.DeadlockTimeout > 0 {
		go func() {
			for range time.Tick(probeEvery) {
				python.Probe()
				t.gil.Store(int64(time.Since(t.started)))
			}
		}()
	}
	return t
}

// ask gives the agent something to do that waits for the GIL. When it is
// stuck, what it cannot do any more is dropped.
func (t *timers) ask(f func()) {
	select {
	case t.agent <- f:
	default:
	}
}

// tick looks at everything. Called from one goroutine, every tickEvery.
func (t *timers) tick(now time.Time) {
	t.buf = python.Threads(t.buf)
	var begun, ignored uint64
	busy := 0
	for i, th := range t.buf {
		begun += th.Serial
		ignored += th.Ignored
		w := &t.threads[i]
		if !th.Busy {
			*w = watched{}
			continue
		}
		busy++
		if w.serial != th.Serial {
			*w = watched{serial: th.Serial, since: now}
		}
	}
	if begun > 0 && t.first.IsZero() {
		t.first, t.active = now, now
	}
	t.startup(now)
	t.requests(now)
	t.inactivity(now, begun-ignored, busy)
	t.trim(now, begun, busy)
	g := t.g
	if g.RestartInterval > 0 && now.Sub(t.started) > g.RestartInterval {
		t.w.recycle("restart_interval")
	}
	if g.DeadlockTimeout > 0 && now.Sub(t.started)-time.Duration(t.gil.Load()) > g.DeadlockTimeout+probeEvery {
		t.w.recycle("deadlock_timeout")
	}
	if g.ResidentMemoryLimit > 0 && now.Sub(t.looked) >= memoryEvery {
		t.looked = now
		if n, err := residentMemory(); err == nil && n > g.ResidentMemoryLimit {
			t.w.recycle("resident_memory_limit")
		}
	}
	t.w.remind(now)
}

// trim gives memory back that a peak has left with malloc, in a moment without
// a request: each of its arenas keeps what it had at most, some megabytes, and
// there are several for each CPU.
func (t *timers) trim(now time.Time, begun uint64, busy int) {
	if busy > 0 || begun == t.trimmedN || now.Sub(t.trimmed) < trimEvery || now.Sub(t.started) < trimEvery {
		return
	}
	t.trimmed, t.trimmedN = now, begun
	go python.Trim()
}

// startup: armed by the first request, cancelled for good by the first script that loads.
func (t *timers) startup(now time.Time) {
	if t.g.StartupTimeout <= 0 || t.loaded || t.first.IsZero() {
		return
	}
	if t.loaded = python.Loaded(); !t.loaded && now.Sub(t.first) > t.g.StartupTimeout {
		t.w.recycle("startup_timeout")
	}
}

// requests looks for those that run too long. At most one is interrupted in a
// tick; each has its own time to end.
func (t *timers) requests(now time.Time) {
	if t.limit <= 0 {
		return
	}
	interrupted := false
	for i := range t.threads {
		w := &t.threads[i]
		if w.serial == 0 || w.overdue || now.Sub(w.since) <= t.limit {
			continue
		}
		switch {
		case t.g.InterruptTimeout <= 0 || !w.interrupted.IsZero() && now.Sub(w.interrupted) > t.g.InterruptTimeout:
			w.overdue = true
			t.w.recycle("request_timeout")
		case w.interrupted.IsZero() && !interrupted:
			interrupted = true
			w.interrupted = now
			t.interrupt(i+1, w.serial, now.Sub(w.since))
		}
	}
}

func (t *timers) interrupt(thread int, serial uint64, age time.Duration) {
	t.ask(func() {
		t.w.logf(levelWarn, "wsgi", "WSGI0313: a request has been running for %.1f s (limit %.1f s), interrupting it", age.Seconds(), t.limit.Seconds())
		python.Report(levelWarn, true, thread)
		if !python.Interrupt(thread, serial) {
			t.w.logf(levelInfo, "wsgi", "the request has ended by itself")
		}
	})
}

// inactivity: never before the first request that counts, never while one runs.
func (t *timers) inactivity(now time.Time, counted uint64, busy int) {
	if counted != t.activity || busy > 0 {
		t.activity, t.active = counted, now
	}
	if t.g.InactivityTimeout > 0 && counted > 0 && now.Sub(t.active) > t.g.InactivityTimeout {
		t.w.recycle("inactivity_timeout")
	}
}

// overdue marks the threads whose requests nobody waits for any more.
func (t *timers) overdue() []bool {
	out := make([]bool, len(t.threads))
	for i := range t.threads {
		out[i] = t.threads[i].overdue
	}
	return out
}

// served is the number of requests that the application has finished or is running.
func (t *timers) served() (n uint64, running int) {
	for _, th := range python.Threads(make([]python.Thread, len(t.threads))) {
		n += th.Serial
		if th.Busy {
			running++
		}
	}
	return n, running
}
