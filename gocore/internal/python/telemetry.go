// The Go face of what telemetry is made of: metrics.c, slow.c and collector.c.
package python

/*
#cgo nocallback mw_telemetry_sample
#cgo nocallback mw_slow_take
#include "mw.h"
*/
import "C"

import (
	"errors"
	"strings"
)

// Phase is what was measured of one part of all requests of an interval.
type Phase struct {
	Sum          float64 // seconds
	N            int64   // requests
	MinUS, MaxUS int64   // microseconds
	Buckets      []int32 // see mod_wsgi.request_metrics()
}

// The parts of a request, Sample.Phases.
const (
	PhaseServer = iota
	PhaseQueue
	PhaseDaemon
	PhaseApplication
	PhaseRequest
	PhaseGIL
	PhaseInput
	PhaseOutput
)

// Slot is a Python thread in an interval; times in seconds.
type Slot struct {
	Completed                   int32
	Busy, CPU, Current, Longest float64
}

// Sample is what an interval has counted; times in seconds, those of day since the epoch.
type Sample struct {
	Start, Stop                                float64
	User, System                               float64 // CPU of the process
	Busy                                       float64 // of all threads together
	Count, GILCount                            int64
	InBytes, InReads, OutBytes, OutWrites      int64
	RSS, MaxRSS                                int64    // bytes
	Statuses                                   [5]int64 // 1xx ... 5xx
	ThreadsMax, ThreadsStarted, ThreadsRunning int
	Phases                                     [C.MW_PHASES]Phase
	Slots                                      []Slot
}

// StartTelemetry counts requests from now on and watches the garbage collector,
// for a service: mod_wsgi.request_metrics() and process_metrics() have nothing
// then. Takes the GIL. Called before requests run.
func StartTelemetry() error {
	if C.mw_telemetry_start() != 0 {
		return errors.New("start telemetry: out of memory")
	}
	C.mw_collector_start()
	return nil
}

// TakeSample ends an interval, which began with the last call. Never waits for the GIL.
func TakeSample() (*Sample, error) {
	var c C.mw_sample
	if C.mw_telemetry_sample(&c) != 0 {
		return nil, errors.New("take a sample: out of memory")
	}
	s := &Sample{Start: float64(c.start), Stop: float64(c.stop), User: float64(c.user), System: float64(c.system), Busy: float64(c.busy),
		Count: int64(c.count), GILCount: int64(c.gil_count), InBytes: int64(c.in_bytes), InReads: int64(c.in_reads),
		OutBytes: int64(c.out_bytes), OutWrites: int64(c.out_writes), RSS: int64(c.rss), MaxRSS: int64(c.max_rss),
		ThreadsMax: int(c.threads_max), ThreadsStarted: int(c.threads_started), ThreadsRunning: int(c.threads_active)}
	for i, n := range c.statuses {
		s.Statuses[i] = int64(n)
	}
	for i, p := range c.phases {
		b := make([]int32, len(p.buckets))
		for k, n := range p.buckets {
			b[k] = int32(n)
		}
		s.Phases[i] = Phase{Sum: float64(p.sum), N: int64(p.n), MinUS: int64(p.min_us), MaxUS: int64(p.max_us), Buckets: b}
	}
	for _, t := range c.slots[:c.nslots] {
		s.Slots = append(s.Slots, Slot{Completed: int32(t.completed), Busy: float64(t.busy), CPU: float64(t.cpu), Current: float64(t.current), Longest: float64(t.longest)})
	}
	return s, nil
}

// Slow is a request that takes, or took, longer than WSGISlowRequests. Times in
// seconds, Start since the epoch.
type Slow struct {
	Done, Fresh                                            bool // it has ended; it was not reported before
	Start, Duration                                        float64
	Server, Queue, Daemon, Application                     float64
	GILTime, CPUUser, CPUSystem                            float64
	GILCount, InBytes, InReads, OutBytes, OutWrites        int64
	Thread, Status, ActiveStart, ActiveEnd                 int
	ID, Method, Scheme, Protocol, Peer, Host, Script, Path string
	Agent                                                  string // with CaptureUserAgent
}

// StartSlow watches for requests that take at least so many seconds. Called before requests run.
func StartSlow(seconds float64, agent bool) error {
	if C.mw_slow_start(C.double(seconds), flag(agent)) != 0 {
		return errors.New("watch for slow requests: out of memory")
	}
	return nil
}

// TakeSlow returns the requests to report now: those that ended since the last
// call, then those that still run. Never waits for the GIL.
func TakeSlow() []Slow {
	var raw [64]C.mw_slow
	n := int(C.mw_slow_take(&raw[0], C.int(len(raw))))
	out := make([]Slow, 0, n)
	for i := range n {
		c := &raw[i]
		s := func(p *C.char) string { return strings.ToValidUTF8(C.GoString(p), "?") }
		out = append(out, Slow{Done: c.done != 0, Fresh: c.fresh != 0, Start: float64(c.start), Duration: float64(c.duration),
			Server: float64(c.server), Queue: float64(c.queue), Daemon: float64(c.daemon), Application: float64(c.application),
			GILTime: float64(c.gil_time), CPUUser: float64(c.cpu_user), CPUSystem: float64(c.cpu_system), GILCount: int64(c.gil_count),
			InBytes: int64(c.in_bytes), InReads: int64(c.in_reads), OutBytes: int64(c.out_bytes), OutWrites: int64(c.out_writes),
			Thread: int(c.thread), Status: int(c.status), ActiveStart: int(c.active_start), ActiveEnd: int(c.active_end),
			ID: s(&c.id[0]), Method: s(&c.method[0]), Scheme: s(&c.scheme[0]), Protocol: s(&c.protocol[0]), Peer: s(&c.peer[0]),
			Host: s(&c.host[0]), Script: s(&c.script[0]), Path: s(&c.path[0]), Agent: s(&c.agent[0])})
	}
	return out
}

// Collection is one run of Python's garbage collector; Start seconds since the epoch.
type Collection struct {
	Start, Duration                      float64
	Generation, Collected, Uncollectable int64
}

// Collector is Python's garbage collector in one interpreter. The arrays are by generation.
type Collector struct {
	Interpreter                                             string
	Counts, Thresholds, Collections, Collected, Uncollected [3]int64
	Enabled                                                 bool
	Frozen, Dropped                                         int64
	Events                                                  []Collection // since the last call
}

// Collectors asks up to n interpreters for their garbage collectors. Takes their GILs one after the other.
func Collectors(n int) []Collector {
	var out []Collector
	var c C.mw_collector
	for i := range n {
		there := C.mw_collector_take(C.int(i), &c)
		if there < 0 {
			break
		}
		if there == 0 {
			continue
		}
		one := Collector{Interpreter: C.GoString(&c.name[0]), Enabled: c.enabled != 0, Frozen: int64(c.frozen), Dropped: int64(c.dropped)}
		for k := range 3 {
			one.Counts[k], one.Thresholds[k] = int64(c.counts[k]), int64(c.thresholds[k])
			one.Collections[k], one.Collected[k], one.Uncollected[k] = int64(c.collections[k]), int64(c.collected[k]), int64(c.uncollectable[k])
		}
		for _, e := range c.events[:c.nevents] {
			one.Events = append(one.Events, Collection{Start: float64(e.start), Duration: float64(e.duration), Generation: int64(e.generation),
				Collected: int64(e.collected), Uncollectable: int64(e.uncollectable)})
		}
		out = append(out, one)
	}
	return out
}

// Version is that of the Python that runs, "3.12.1".
func Version() string {
	v, _, _ := strings.Cut(C.GoString(C.mw_python_version()), " ")
	return v
}
