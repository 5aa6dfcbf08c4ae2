// Telemetry (WSGITelemetryService) and reports of slow requests
// (WSGISlowRequests). A goroutine sends what each interval has counted as
// datagrams to a Unix socket; nobody has to be there, and nothing waits. The
// figures come without the GIL; only those of Python's garbage collector need
// it, and have a goroutine of their own, so that an application that keeps the
// GIL does not silence the rest.
//
// Without a service, slow requests are reported in the error log.
package worker

import (
	"cmp"
	"errors"
	"os"
	"path"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"modwsgi/gocore/internal/python"
	"modwsgi/gocore/internal/telemetry"
)

const (
	collectorsMax = 32          // interpreters whose garbage collector is reported
	slowLogEvery  = time.Second // without a service
)

// telemeter sends what is measured of this process.
type telemeter struct {
	w        *worker
	target   *syscall.SockaddrUnix // nil: none, slow requests go to the error log
	fd       int
	hostname string
	every    time.Duration
	sequence atomic.Uint32
	failed   error // the last one that was logged; one goroutine
	turn     sync.Mutex
	asking   atomic.Bool  // the garbage collectors
	decided  atomic.Int64 // requests that ran when the end was decided
	over     atomic.Bool  // the last word is said
}

// startTelemetry begins to measure if the configuration asks for it. Before
// requests run; it takes the GIL.
func (w *worker) startTelemetry() error {
	p := &w.srv.Python
	if p.Telemetry.Path == "" && p.SlowRequests <= 0 || w.group == nil && p.RestrictEmbedded {
		return nil
	}
	if p.Telemetry.Path != "" {
		if err := python.StartTelemetry(); err != nil {
			return err
		}
	}
	if p.SlowRequests > 0 {
		if err := python.StartSlow(p.SlowRequests, p.Telemetry.UserAgent); err != nil {
			return err
		}
	}
	t := &telemeter{w: w, every: slowLogEvery, fd: -1}
	if p.Telemetry.Path != "" {
		fd, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_DGRAM, 0)
		if err != nil {
			w.logf(levelWarn, "wsgi", "WSGI0132: cannot open a socket for telemetry: %v", err)
			return nil
		}
		syscall.CloseOnExec(fd)
		if err := syscall.SetNonblock(fd, true); err != nil {
			return err
		}
		python.TrackFD(fd, true)
		t.fd, t.target, t.every = fd, &syscall.SockaddrUnix{Name: p.Telemetry.Path}, p.Telemetry.Interval
		t.hostname, _ = os.Hostname()
		w.logf(levelInfo, "wsgi", "telemetry is sent to %s every %s", p.Telemetry.Path, t.every)
		m := t.message(telemetry.Started)
		m.Float(telemetry.Every, t.every.Seconds())
		if p.SlowRequests > 0 {
			m.Float(telemetry.SlowThreshold, p.SlowRequests)
		}
		if v := w.interpreter("").SwitchInterval; v > 0 {
			m.Float(telemetry.SwitchInterval, v)
		}
		_ = t.send(m)
	}
	w.telemeter = t
	go func() {
		for range time.Tick(t.every) {
			t.report()
		}
	}()
	return nil
}

// message begins a datagram with who sends it.
func (t *telemeter) message(kind telemetry.Kind) *telemetry.Message {
	m := telemetry.New(kind, os.Getpid(), t.sequence.Add(1), time.Now())
	if kind == telemetry.Started {
		m.Text(telemetry.ModWSGI, "6.0.5", telemetry.MaxHost)
		m.Text(telemetry.Python, python.Version(), telemetry.MaxHost)
		m.Text(telemetry.Server, t.w.srv.Software, telemetry.MaxHost)
		m.Text(telemetry.MPM, "modwsgi-go", telemetry.MaxHost)
	}
	m.Text(telemetry.Hostname, t.hostname, telemetry.MaxHost)
	m.Text(telemetry.ProcessGroup, t.w.cfg.Group, telemetry.MaxHost)
	m.Uint(telemetry.Parent, int64(os.Getppid()))
	return m
}

// send gives a datagram to the socket if somebody has it open and there is room.
func (t *telemeter) send(m *telemetry.Message) error {
	return syscall.Sendto(t.fd, m.Bytes(), syscall.MSG_DONTWAIT, t.target)
}

// report sends what there is since the last time.
func (t *telemeter) report() {
	t.turn.Lock()
	defer t.turn.Unlock()
	if t.over.Load() {
		return
	}
	if t.target == nil {
		for _, s := range python.TakeSlow() {
			t.logSlow(&s)
		}
		return
	}
	s, err := python.TakeSample()
	if err == nil {
		err = t.send(t.sample(s))
	}
	t.trouble(err)
	if t.w.srv.Python.SlowRequests > 0 {
		for _, s := range python.TakeSlow() {
			_ = t.send(t.slow(&s))
		}
	}
	if !t.asking.Swap(true) {
		go func() {
			defer t.asking.Store(false)
			for _, c := range python.Collectors(collectorsMax) {
				t.collector(&c)
			}
		}()
	}
}

// trouble logs why datagrams do not arrive, once for each cause. That nobody
// listens is no trouble: a service may start later and be restarted.
func (t *telemeter) trouble(err error) {
	if err == nil || err == syscall.ENOENT || err == syscall.ECONNREFUSED || err == syscall.EAGAIN || errors.Is(err, t.failed) {
		return
	}
	t.failed = err
	t.w.logf(levelWarn, "wsgi", "WSGI0132: cannot send telemetry to %s: %v", t.target.Name, err)
}

func (t *telemeter) sample(s *python.Sample) *telemetry.Message {
	m := t.message(telemetry.Interval)
	period := max(s.Stop-s.Start, 1e-6)
	m.Float(telemetry.Period, period)
	m.Float(telemetry.Every, t.every.Seconds())
	if n := t.w.srv.Python.SlowRequests; n > 0 {
		m.Float(telemetry.SlowThreshold, n)
	}
	m.Uint(telemetry.Requests, s.Count)
	m.Float(telemetry.Throughput, float64(s.Count)/period)
	m.Float(telemetry.Capacity, min(s.Busy/(period*float64(max(s.ThreadsMax, 1))), 1))
	m.Float(telemetry.UserRate, s.User/period)
	m.Float(telemetry.SystemRate, s.System/period)
	m.Float(telemetry.CPURate, (s.User+s.System)/period)
	m.Uint(telemetry.Resident, s.RSS)
	m.Uint(telemetry.MaxResident, s.MaxRSS)
	m.Uint(telemetry.ThreadsMax, int64(s.ThreadsMax))
	m.Uint(telemetry.ThreadsStarted, int64(s.ThreadsStarted))
	m.Uint(telemetry.ThreadsActive, int64(s.ThreadsRunning))
	m.Uint(telemetry.InBytes, s.InBytes)
	m.Uint(telemetry.InReads, s.InReads)
	m.Uint(telemetry.OutBytes, s.OutBytes)
	m.Uint(telemetry.OutWrites, s.OutWrites)
	for i, n := range s.Statuses {
		m.Uint(telemetry.Status+uint16(i), n)
	}
	for i := range s.Phases {
		if p := &s.Phases[i]; t.w.group != nil || i != python.PhaseQueue && i != python.PhaseDaemon {
			id := uint16(i)
			m.Float(telemetry.Mean+id, p.Sum/float64(max(p.N, 1)))
			if p.N > 0 {
				m.Float(telemetry.Least+id, float64(p.MinUS)/1e6)
				m.Float(telemetry.Most+id, float64(p.MaxUS)/1e6)
			}
			m.Ints(telemetry.Histogram+id, p.Buckets)
		}
	}
	slots := len(s.Slots)
	completed, busy, cpu := make([]int32, slots), make([]float64, slots), make([]float64, slots)
	elapsed, longest := make([]float64, slots), make([]float64, slots)
	for i, one := range s.Slots {
		completed[i], busy[i], cpu[i], elapsed[i], longest[i] = one.Completed, one.Busy, one.CPU, one.Current, one.Longest
	}
	m.Ints(telemetry.SlotCompleted, completed)
	m.Floats(telemetry.SlotBusy, busy)
	m.Floats(telemetry.SlotCPU, cpu)
	m.Floats(telemetry.SlotElapsed, elapsed)
	m.Floats(telemetry.SlotLongest, longest)
	return m
}

func (t *telemeter) slow(s *python.Slow) *telemetry.Message {
	m := t.message(telemetry.Slow)
	m.Flag(telemetry.SlowState, s.Done)
	m.Float(telemetry.SlowStart, s.Start)
	m.Float(telemetry.SlowDuration, s.Duration)
	m.Uint(telemetry.SlowThread, int64(s.Thread))
	m.Text(telemetry.SlowID, s.ID, telemetry.MaxID)
	m.Uint(telemetry.SlowPID, int64(os.Getpid()))
	m.Text(telemetry.SlowMethod, s.Method, telemetry.MaxShort)
	m.Text(telemetry.SlowScheme, s.Scheme, telemetry.MaxShort)
	m.Text(telemetry.SlowHost, s.Host, telemetry.MaxHost)
	m.Text(telemetry.SlowScript, s.Script, telemetry.MaxHost)
	m.Text(telemetry.SlowPath, s.Path, telemetry.MaxPath)
	m.Text(telemetry.SlowProtocol, s.Protocol, telemetry.MaxShort)
	m.Text(telemetry.SlowPeer, s.Peer, telemetry.MaxHost)
	if s.Agent != "" {
		m.Text(telemetry.SlowAgent, s.Agent, telemetry.MaxPath)
	}
	m.Float(telemetry.SlowServer, s.Server)
	if t.w.group != nil {
		m.Float(telemetry.SlowQueue, s.Queue)
		m.Float(telemetry.SlowDaemon, s.Daemon)
	}
	m.Float(telemetry.SlowApplication, s.Application)
	m.Float(telemetry.SlowGIL, s.GILTime)
	m.Uint(telemetry.SlowGILCount, s.GILCount)
	m.Uint(telemetry.SlowInBytes, s.InBytes)
	m.Uint(telemetry.SlowInReads, s.InReads)
	m.Uint(telemetry.SlowOutBytes, s.OutBytes)
	m.Uint(telemetry.SlowOutWrites, s.OutWrites)
	m.Uint(telemetry.SlowStatus, int64(s.Status))
	m.Float(telemetry.SlowUser, s.CPUUser)
	m.Float(telemetry.SlowSystem, s.CPUSystem)
	m.Uint(telemetry.SlowActiveStart, int64(s.ActiveStart))
	m.Uint(telemetry.SlowActiveEnd, int64(s.ActiveEnd))
	return m
}

// logSlow reports a request when it becomes slow, and when it has ended.
func (t *telemeter) logSlow(s *python.Slow) {
	target := path.Join("/", s.Script) + s.Path
	if s.Script == "" || s.Script == "/" {
		target = cmp.Or(s.Path, "/")
	}
	if s.Done {
		t.w.logf(levelWarn, "wsgi", "WSGI0380: slow request: %s %s of %s took %.1f s, status %d (%.1f s in the application, thread %d, request %s)",
			s.Method, target, s.Peer, s.Duration, s.Status, s.Application, s.Thread, s.ID)
	} else if s.Fresh {
		t.w.logf(levelWarn, "wsgi", "WSGI0381: slow request: %s %s of %s has been running for %.1f s (thread %d, request %s)",
			s.Method, target, s.Peer, s.Duration, s.Thread, s.ID)
	}
}

func (t *telemeter) collector(c *python.Collector) {
	m := t.message(telemetry.Collector)
	m.Text(telemetry.Interpreter, c.Interpreter, telemetry.MaxHost)
	for i := range 3 {
		id := uint16(i)
		m.Uint(telemetry.GCCounts+id, c.Counts[i])
		m.Uint(telemetry.GCThresholds+id, c.Thresholds[i])
		m.Uint(telemetry.GCCollections+id, c.Collections[i])
		m.Uint(telemetry.GCCollected+id, c.Collected[i])
		m.Uint(telemetry.GCUncollectable+id, c.Uncollected[i])
	}
	m.Flag(telemetry.GCEnabled, c.Enabled)
	m.Uint(telemetry.GCFrozen, c.Frozen)
	m.Uint(telemetry.GCDropped, c.Dropped)
	_ = t.send(m)
	for _, e := range c.Events {
		m := t.message(telemetry.Collected)
		m.Text(telemetry.Interpreter, c.Interpreter, telemetry.MaxHost)
		m.Float(telemetry.RunStart, e.Start)
		m.Float(telemetry.RunDuration, e.Duration)
		m.Uint(telemetry.RunGeneration, e.Generation)
		m.Uint(telemetry.RunCollected, e.Collected)
		m.Uint(telemetry.RunUncollected, e.Uncollectable)
		_ = t.send(m)
	}
}

// stopping tells that the process is about to end, stopped that it does now,
// after what was measured last. No GIL.
func (t *telemeter) stopping(reason string) { t.ending(telemetry.Stopping, reason) }

func (t *telemeter) stopped(reason string) {
	if t == nil {
		return
	}
	t.report()
	if !t.over.Swap(true) {
		t.ending(telemetry.Stopped, reason)
	}
}

func (t *telemeter) ending(kind telemetry.Kind, reason string) {
	if t == nil || t.target == nil {
		return
	}
	served, running := t.w.timers.served()
	if kind == telemetry.Stopping {
		t.decided.Store(int64(running))
	}
	r := t.w.recycling.Load()
	m := t.message(kind)
	m.Text(telemetry.Reason, reason, telemetry.MaxHost)
	m.Float(telemetry.Uptime, time.Since(t.w.timers.started).Seconds())
	m.Uint(telemetry.Lifetime, int64(served))
	m.Uint(telemetry.ActiveDecision, t.decided.Load())
	if kind == telemetry.Stopped {
		m.Uint(telemetry.ActiveExit, int64(running))
	}
	m.Flag(telemetry.Graceful, r != nil && !causes[r.reason].hard)
	_ = t.send(m)
}
