// What the worker tells mod_status: counters of its own requests, and the
// scoreboard that all processes share. Nothing of this exists, and no request
// pays for it, unless the configuration has the handler server-status.
package worker

import (
	"encoding/json"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"modwsgi/gocore/internal/httpd"
	"modwsgi/gocore/internal/listen"
	"modwsgi/gocore/internal/process"
	"modwsgi/gocore/internal/scoreboard"
)

// maxCurrent bounds the requests in progress that a process shows, maxBehind
// the processes behind it; their text has to fit into its slot.
const maxCurrent, maxCurrentLine, maxBehind = 24, 160, 40

type statusBoard struct {
	w        *worker
	board    *scoreboard.Board
	started  time.Time
	past     httpd.ProcessStatus // totals of earlier processes in the slot
	front    bool
	requests atomic.Int64
	bytes    atomic.Int64
	micros   atomic.Int64

	mu      sync.Mutex // the fields below
	slot    *scoreboard.Slot
	current map[*listen.Req]httpd.CurrentRequest
}

// newStatusBoard takes part in the scoreboard, if there is one.
func newStatusBoard(w *worker, f *os.File) *statusBoard {
	if f == nil {
		return nil
	}
	b := &statusBoard{w: w, started: time.Now(), current: map[*listen.Req]httpd.CurrentRequest{}}
	var last []byte
	var err error
	if b.board, err = scoreboard.Open(f); err == nil {
		b.slot, last, err = b.board.Claim(os.Getpid(), processLives)
	}
	if err != nil {
		w.logf(levelErr, "status", "no status page: %v", err)
		return nil
	}
	var old httpd.ProcessStatus
	if json.Unmarshal(last, &old) == nil {
		b.past = httpd.ProcessStatus{PastRequests: old.PastRequests + old.Requests, PastBytes: old.PastBytes + old.Bytes, PastBusy: old.PastBusy + old.BusyMillis}
	}
	for _, l := range w.cfg.Listeners {
		b.front = b.front || l.Proto != process.ProtoHop
	}
	w.srv.Status = b.status
	return b
}

func processLives(pid int) bool {
	err := syscall.Kill(pid, 0)
	return err == nil || err == syscall.EPERM
}

// begin and end enclose a request inside the application, done is its end.
func (b *statusBoard) begin(c *listen.Conn, q *listen.Req, t *target) {
	if !b.w.srv.ExtendedStatus {
		return
	}
	line := firstLine(q.Input()[q.Head.Method.Off:])
	if len(line) > maxCurrentLine {
		line = line[:maxCurrentLine]
	}
	r := httpd.CurrentRequest{Client: c.Remote.Addr().Unmap().String(), Host: t.host.ServerName, Line: string(line), Start: q.StartUs / 1000}
	if t.req != nil {
		r.Client = t.req.Remote.Addr().Unmap().String()
	}
	b.mu.Lock()
	b.current[q] = r
	b.mu.Unlock()
}

func (b *statusBoard) end(q *listen.Req) {
	b.mu.Lock()
	delete(b.current, q)
	b.mu.Unlock()
}

func (b *statusBoard) done(q *listen.Req) {
	if !b.front { // the process that the client spoke to counts
		return
	}
	b.requests.Add(1)
	b.bytes.Add(int64(q.Sent))
	b.micros.Add(max(0, time.Now().UnixMicro()-q.StartUs))
}

// publish writes this process's state into its slot.
func (b *statusBoard) publish() {
	b.mu.Lock()
	defer b.mu.Unlock()
	p := b.past
	p.PID, p.Group, p.Generation, p.Started = os.Getpid(), b.w.cfg.Group, b.w.cfg.Generation, b.started.UnixMilli()
	p.Front, p.Threads, p.Stopping = b.front, b.w.cfg.Threads, b.w.draining.Load() || b.w.exiting.Load()
	p.Requests, p.Bytes, p.BusyMillis = b.requests.Load(), b.bytes.Load(), b.micros.Load()/1000
	if f := b.w.d.front; f != nil {
		p.Behind = f.behind()
		if !b.w.cfg.Embeds {
			p.Threads = 0 // for scripts of access control
		}
	}
	if s := b.w.source; s != nil {
		p.Running, p.Connections = s.Running(), s.Connections()
	}
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) == nil {
		p.User, p.System = float64(u.Utime.Nano())/1e9, float64(u.Stime.Nano())/1e9
	}
	for _, r := range b.current {
		if len(p.Current) == maxCurrent {
			break
		}
		p.Current = append(p.Current, r)
	}
	text, err := json.Marshal(&p)
	if err == nil && b.slot.Write(text) != nil { // too long: escapes made the lines longer
		p.Current = nil
		if text, err = json.Marshal(&p); err == nil {
			_ = b.slot.Write(text) // without requests it fits
		}
	}
}

// status is Server.Status: everybody's last word, and our state of this moment.
func (b *statusBoard) status() *httpd.ServerStatus {
	b.publish()
	s := &httpd.ServerStatus{Started: time.Now()}
	if at := time.UnixMilli(b.w.cfg.ServerStarted); b.w.cfg.ServerStarted > 0 {
		s.Started = at
	}
	b.board.Each(func(pid int, text []byte) {
		var p httpd.ProcessStatus
		if json.Unmarshal(text, &p) != nil {
			return
		}
		s.Requests += p.Requests + p.PastRequests
		s.Bytes += p.Bytes + p.PastBytes
		s.Busy += time.Duration(p.BusyMillis+p.PastBusy) * time.Millisecond
		if p.PID == pid && processLives(pid) {
			s.Processes = append(s.Processes, p)
			s.Generation = max(s.Generation, p.Generation)
		}
	})
	addBehind(s)
	return s
}

// addBehind adds the processes that only the fronts know.
func addBehind(s *httpd.ServerStatus) {
	at := map[int]int{}
	for i := range s.Processes {
		at[s.Processes[i].PID] = -1 // it speaks for itself
	}
	for _, f := range s.Processes {
		for _, p := range f.Behind {
			i, known := at[p.PID]
			switch {
			case !known:
				at[p.PID] = len(s.Processes)
				s.Processes = append(s.Processes, httpd.ProcessStatus{PID: p.PID, Group: p.Group, Generation: f.Generation,
					Threads: p.Threads, Running: p.Running, Requests: p.Total})
			case i >= 0:
				q := &s.Processes[i]
				q.Running += p.Running
				q.Requests += p.Total
			}
		}
	}
}

// behind is what this process knows of those that it passes requests to.
func (f *front) behind() (out []httpd.BehindStatus) {
	for name, pool := range f.pools {
		for _, s := range pool.Stats().Slots {
			if s.Connected && len(out) < maxBehind {
				out = append(out, httpd.BehindStatus{PID: s.PID, Group: name, Threads: s.Threads, Running: s.InFlight, Total: int64(s.Total)})
			}
		}
	}
	return out
}
