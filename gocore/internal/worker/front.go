// The front's side of the hop: requests for process groups that run in other
// processes, as other users. The phases run here; what they decided travels
// with the request (plankey.go), and the response passes hooks, filters and
// access log here.
//
//	forward.go  a request whose body is in the buffer and whose response nothing
//	            looks at: no goroutine, no thread, the response is written by
//	            the goroutine that reads from the daemon process
//	relay.go    everything else: a goroutine of the request's own
package worker

import (
	"sync"
	"time"

	"modwsgi/gocore/internal/hop"
	"modwsgi/gocore/internal/httpd"
	"modwsgi/gocore/internal/listen"
	"modwsgi/gocore/internal/process"
	"modwsgi/gocore/internal/python"
)

// leastConnect is what connect-timeout=0 gives a process that serves to answer a new connection.
const leastConnect = 100 * time.Millisecond

// front is what a process knows of the groups behind it.
type front struct {
	d       *dispatcher
	pools   map[string]*hop.Pool
	resumer listen.Resumer // the source

	mu       sync.Mutex
	complete []*forward // responses that leave at the end of a batch
	begun    []*forward // responses that did not come at once
}

// newFront makes the pools of a front process; nil: it is none.
func newFront(d *dispatcher, cfg *process.WorkerConfig, srv *httpd.Server) *front {
	if !cfg.Front {
		return nil
	}
	f := &front{d: d, pools: map[string]*hop.Pool{}}
	for i := range srv.Groups {
		g := &srv.Groups[i]
		sockets := cfg.Hops[g.Name]
		if len(sockets) == 0 {
			continue
		}
		socketTimeout := g.SocketTimeout
		if socketTimeout == 0 {
			socketTimeout = srv.Main.Timeout
		}
		f.pools[g.Name] = hop.NewPool(hop.Config{
			Group: g.Name, Sockets: sockets, Generation: uint32(cfg.Generation), AnyGeneration: !srv.Python.SocketRotation,
			Threads: g.Threads, Window: g.ResponseBufferSize,
			ConnectTimeout: max(g.ConnectTimeout, leastConnect), SocketTimeout: socketTimeout, QueueTimeout: g.QueueTimeout, QueueLimit: g.ListenBacklog,
			PeerUID: cfg.SupervisorUID, PeerPID: cfg.SupervisorPID,
			Log: func(level int, msg string) { d.w.logf(level, "wsgi", "%s", msg) },
			Track: func(fd int, open bool) {
				if open {
					listen.SetBuffers(fd, g.SendBufferSize, g.ReceiveBufferSize)
				}
				python.TrackFD(fd, open)
			},
			Batch: f.batch,
		})
	}
	return f
}

// standing notes what the supervisor says of a process behind this one.
func (f *front) standing(socket string, state hop.State) {
	for _, p := range f.pools {
		p.SetState(socket, state)
	}
}

// pool is where requests of a plan go; nil: they run in this process.
func (d *dispatcher) pool(p *httpd.Plan) *hop.Pool {
	if d.front == nil || p.ProcessGroup == "" {
		return nil
	}
	return d.front.pools[p.ProcessGroup]
}

// away prepares the call of a plan in another process; the target is the connection's.
func (d *dispatcher) away(c *listen.Conn, q *listen.Req, t *target) listen.Action {
	if t.pool == nil {
		return listen.Run
	}
	if inputFilter(t.out) == nil {
		return listen.Forward
	}
	c.Stream = d.ForwardStream(c, q)
	return listen.Streamed
}

// describe says what the target's requests are for: by a number, or at length where there are too many.
func (t *target) describe(key []byte) {
	if t.planNo = t.pool.Plan(key); t.planNo == 0 {
		t.key = key
	}
}

// slowPlan describes a plan that the phases gave. Those that the configuration
// names have a number; what the phases made for this request goes with it.
func (d *dispatcher) slowPlan(t *target) {
	if t.plan.ID < 0 {
		t.key = planKey(t.plan, false)
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if t.planNo = d.numbered[t.plan]; t.planNo != 0 {
		return
	}
	if t.describe(planKey(t.plan, false)); t.planNo != 0 {
		if d.numbered == nil {
			d.numbered = map[*httpd.Plan]uint32{}
		}
		d.numbered[t.plan] = t.planNo
	}
}

// hopRequest describes the request of a connection without its body.
func hopRequest(c *listen.Conn, q *listen.Req, t *target) hop.Request {
	m := hop.Request{Plan: t.planNo, Key: t.key, ScriptLen: q.ScriptLen, Local: c.Local, Remote: c.Remote,
		ConnID: q.ConnID, RequestNo: q.RequestNo, StartUs: q.StartUs, BodyLimit: q.BodyLimit, Extra: q.ExtraBytes()}
	if t.out != nil && t.out.NoBody {
		m.Flags |= hopNoBody
	}
	return m
}

// note puts a response into one of the lists of the next batch.
func (f *front) note(list *[]*forward, w *forward) {
	f.mu.Lock()
	*list = append(*list, w)
	f.mu.Unlock()
}

// batch is called after what one read from a daemon process has brought.
func (f *front) batch() {
	f.mu.Lock()
	complete, begun := f.complete, f.begun
	f.complete, f.begun = nil, nil
	f.mu.Unlock()
	for _, w := range complete {
		w.respond()
	}
	for _, w := range begun {
		w.goOn()
	}
}

// FlushForwards implements listen.Forwarder.
func (d *dispatcher) FlushForwards() {
	for _, p := range d.front.pools {
		p.Flush()
	}
}

// answerFailure makes the response to a request that no application answered,
// or whose answer is to be replaced by that of a status.
func (d *dispatcher) answerFailure(c *listen.Conn, q *listen.Req, t *target, r *httpd.Request, code int, w way) listen.Action {
	q.Result, q.OutOff, q.OutLen, q.SentBody = listen.ResultOK, 0, 0, 0
	if t.out != nil && t.out.StatusOverride != 0 { // the page of an error failed
		code, w = t.out.StatusOverride, atOnce
	}
	return d.status(c, q, t.host, r, code, w)
}

// failure gives the status for a request that no application answered, and says
// in the log what happened unless the daemon process has.
func (d *dispatcher) failure(q *listen.Req, r *httpd.Request, t *target, f *hop.Failure) int {
	script := t.plan.Script
	if t.plan.HandlerScript != "" {
		script = t.plan.HandlerScript
	}
	log := func(code, format string, args ...any) {
		r.Note(httpd.NoteLogCode, code)
		r.Logf(httpd.LevelError, "wsgi", "[script %s] %s: "+format, append([]any{script, code}, args...)...)
	}
	switch f.Kind {
	case hop.Broken: // after a head that has not gone to the client
		log("WSGI0319", "response broke off: %s", f.Message)
		return 502
	case hop.App: // the process has, in a record with the request's id
		q.Logged = 1
	case hop.Lost:
		log("WSGI0146", "process %d of process group '%s' ended while it had the request '%s %s'; what ended it stands in the server's error log under its pid",
			f.PID, t.plan.ProcessGroup, r.Method, r.URI)
	case hop.Late:
		log("WSGI0084", "the request waited longer than queue-timeout for a thread of process group '%s'", t.plan.ProcessGroup)
	case hop.Timeout:
		log("WSGI0145", "process %d of process group '%s' sent nothing for socket-timeout: %s", f.PID, t.plan.ProcessGroup, f.Message)
	default:
		log("WSGI0116", "no process of process group '%s' takes the request: %s", t.plan.ProcessGroup, f.Message)
	}
	return f.Status
}

var _ listen.Forwarder = (*dispatcher)(nil)
