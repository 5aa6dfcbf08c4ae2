// Package worker is the worker process: it takes the configuration and the
// sockets that the supervisor passed, prepares Python, serves, and leaves when
// it is told to. It is apart from package process so that the supervisor can be
// tested without an interpreter.
//
//	worker state | entered by                       | next
//	starting     | exec                             | serving (frame R sent)
//	serving      |                                  | replacing, draining, stopping
//	replacing    | script changed, a limit, SIGUSR1 | draining (frame X sent, then G comes)
//	draining     | frame G, frame D                 | stopping (last connection gone, time over)
//	stopping     | frame T, SIGTERM, supervisor gone| exit
package worker

import (
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"modwsgi/gocore/internal/balance"
	"modwsgi/gocore/internal/httpd"
	"modwsgi/gocore/internal/listen"
	"modwsgi/gocore/internal/mod"
	"modwsgi/gocore/internal/pathwatch"
	"modwsgi/gocore/internal/process"
	"modwsgi/gocore/internal/python"
	"modwsgi/gocore/internal/timefmt"
)

// Main runs a worker process to its end and returns the exit code. It is
// called once, from Python's main thread with the GIL released.
func Main() int {
	timefmt.SetZone()
	signal.Ignore(syscall.SIGINT, syscall.SIGWINCH, syscall.SIGPIPE)
	signals := make(chan os.Signal, 16)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGUSR1, syscall.SIGUSR2, syscall.SIGHUP, syscall.SIGXCPU)
	pipe := os.NewFile(process.FDConfig, "configuration")
	cfg, err := process.ReadWorkerConfig(pipe)
	pipe.Close()
	if err != nil {
		fmt.Fprintln(os.Stderr, "modwsgi-go worker:", err)
		return 1
	}
	collectSeldom()
	w := &worker{cfg: cfg, lifecycle: lifecycle{stop: make(chan string, 8), drain: make(chan bool, 8)}}
	w.away = make(chan struct{}, max(cfg.Handovers, 1))
	if err := w.start(); err != nil {
		w.logf(levelCrit, "core", "WSGI0317: worker cannot start: %v", err)
		return 1
	}
	if w.cfg.Threads == 0 {
		return w.service(signals)
	}
	return w.serve(signals)
}

type worker struct {
	cfg       *process.WorkerConfig
	srv       *httpd.Server
	group     *httpd.DaemonGroup // nil: embedded
	control   *process.Conn
	source    listen.Source
	siblings  *balance.Member // nil: this process alone accepts from its sockets
	d         *dispatcher
	logs      []*hostLog     // by index of the virtual host
	away      chan struct{}  // full of connections that have left and not arrived, see send
	stuck     atomic.Bool    // they do not arrive
	threads   sync.WaitGroup // Python threads
	logFailed atomic.Bool    // an error log could not be written to
	sinkMu    sync.Mutex
	sinks     map[sinkKey]int // the same for the Python side, see sink

	telemeter    *telemeter // nil: nobody wants to know
	scriptMu     sync.Mutex
	scriptRoutes map[scriptKey]uint32 // see logRoute
	lifecycle
}

func (w *worker) start() error {
	syscall.CloseOnExec(process.FDLifeline)
	go func() { // the supervisor never writes: whatever comes is its end
		var b [1]byte
		for {
			n, err := syscall.Read(process.FDLifeline, b[:])
			if err == syscall.EINTR {
				continue
			}
			if n <= 0 {
				w.stop <- "supervisor is gone"
				time.Sleep(defaultShutdown)
				os.Exit(1)
			}
		}
	}()
	ctl := os.NewFile(process.FDControl, "control")
	var err error
	if w.control, err = process.NewConn(ctl); err != nil {
		return err
	}
	srv, diags := httpd.Compile(w.cfg.Tree, mod.All)
	for _, d := range diags {
		if d.Severity == 2 {
			return fmt.Errorf("compile the configuration: %s", d.String())
		}
	}
	w.srv = srv
	if w.cfg.Front && len(w.cfg.TLS) > 0 {
		if err := closeMemory(); err != nil {
			return fmt.Errorf("keeping private keys from other processes: %w", err)
		}
	}
	srv.SetSecret(w.cfg.Secret)
	srv.Logger = func(v *httpd.VirtualHost, r *httpd.Request, level int, module, msg string) {
		w.record(v, r, level, module, msg)
	}
	for i := range srv.Groups {
		if srv.Groups[i].Name == w.cfg.Group {
			w.group = &srv.Groups[i]
		}
	}
	fd := process.FDFirstListener
	var listeners, hops []*os.File
	for _, l := range w.cfg.Listeners {
		syscall.CloseOnExec(fd)
		f := os.NewFile(uintptr(fd), l.Addr)
		if l.Proto == process.ProtoHop {
			hops = append(hops, f)
		} else {
			listeners = append(listeners, f)
		}
		fd++
	}
	logs := map[string]*os.File{}
	for _, name := range w.cfg.LogNames {
		syscall.CloseOnExec(fd)
		logs[name] = os.NewFile(uintptr(fd), name)
		fd++
	}
	srv.LogTrouble = w.logTrouble
	if err := srv.OpenLogs(logs); err != nil {
		return err
	}
	w.logs = newHostLogs(srv, w.home(), logs, w.errorLogTrouble)
	if err := w.environment(); err != nil {
		return err
	}
	threads := max(w.cfg.Threads, 1)
	if err := python.Init(w.pythonConfig(threads)); err != nil {
		return err
	}
	trackAll()
	w.attachBoard(fd)
	if _, err := w.sink(w.home(), w.home().LogLevel.Level("wsgi")); err != nil {
		return err
	}
	w.announceGIL()
	w.addPaths()
	if w.cfg.Threads == 0 {
		w.limits()
		return nil
	}
	if python.SizeofReq() != listen.SizeofReq {
		return fmt.Errorf("the request structures of Go (%d bytes) and C (%d bytes) differ: a broken build", listen.SizeofReq, python.SizeofReq())
	}
	python.SetWires(listen.Wires{})
	w.d = newDispatcher(w)
	srv.GiveSecrets(w.cfg.TLS)
	if w.d.tls, err = newTLS(srv, w.cfg.TLS); err != nil {
		return err
	}
	python.SetSecureVar(w.d.secureVar)
	w.d.board = newStatusBoard(w, logs[process.ScoreboardName])
	w.d.front = newFront(w.d, w.cfg, srv)
	w.source, err = listen.Open(listen.Config{Handler: w.d, Listeners: listeners, Threads: threads, Leaders: leaders(), Track: python.TrackFD,
		QueueTimeout: w.d.queueTimeout, FlushDelay: w.d.flushDelay,
		Memory: listen.Memory{Alloc: python.Alloc, Realloc: python.Realloc, Free: python.Free}, Hop: w.hopConfig(hops),
		ThreadStart: w.threadStart, ThreadEnd: w.threadEnd, Ready: w.ready, Panic: w.panicked, Exhausted: w.exhausted, Siblings: w.siblings, Share: w.share})
	if err != nil {
		return err
	}
	if w.d.front != nil {
		w.d.front.resumer, _ = w.source.(listen.Resumer)
	}
	w.d.mem = listen.Memory{Alloc: python.Alloc, Realloc: python.Realloc, Free: python.Free}
	if err := w.d.watch(w.source); err != nil {
		w.logf(levelInfo, "core", "scripts are checked with every request: %v", err)
	}
	srv.Watcher = pathwatch.New(python.TrackFD, func(err error) {
		w.logf(levelInfo, "core", "watch .htaccess files: %v; some are looked at with every request", err)
	})
	return w.source.Start()
}

// ready says that this process serves from now on. Before the first connection
// and the first tick: a process that asks for its successor or hands a request
// over has to be known as one that serves.
func (w *worker) ready() error {
	w.limits()
	w.announce()
	w.timers = newTimers(w)
	if err := w.startTelemetry(); err != nil {
		return err
	}
	if err := w.control.Send(&process.Frame{Type: process.FrameReady}); err != nil {
		return fmt.Errorf("report to the supervisor: %w", err)
	}
	go w.clock()
	return nil
}

// trackAll marks every descriptor of this process that is open before
// application code runs: a child that the application forks closes them.
func trackAll() {
	list, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		list, err = os.ReadDir("/dev/fd") // macOS
	}
	if err != nil {
		return
	}
	for _, e := range list {
		if fd, err := strconv.Atoi(e.Name()); err == nil && fd > 2 {
			python.TrackFD(fd, true)
		}
	}
}

// threadStart runs on each Python thread; the first one loads the scripts that
// the configuration wants loaded at start.
func (w *worker) threadStart(id int) error {
	if err := python.StartThread(id); err != nil {
		return err
	}
	w.threads.Add(1)
	if id != 1 {
		return nil
	}
	scripts := w.srv.Python.EmbeddedImports
	if w.group != nil {
		scripts = w.group.Preload
	}
	for _, s := range scripts { // a failure is logged and the first request tries again, as in mod_wsgi
		if err := python.Import(s.Path, s.ApplicationGroup); err != nil {
			w.logf(levelErr, "wsgi", "%v", err)
		}
	}
	return nil
}

func (w *worker) threadEnd() {
	python.EndThread()
	w.threads.Done()
}

// clock keeps the Date field, flushes access logs and looks after the timers.
func (w *worker) clock() {
	for now := range time.Tick(tickEvery) {
		w.d.tick(now)
		w.timers.tick(now)
		w.srv.FlushLogs()
		if err := python.LogError(); err != nil {
			w.errorLogTrouble(err)
		}
	}
}

// leaders is how many threads can run short requests at the same time.
func leaders() int {
	if python.GILOff() {
		return runtime.NumCPU()
	}
	return 1
}

// adopt serves a connection that another process had, and which sent pending.
func (w *worker) adopt(f *process.Frame, pending []byte) {
	// before the first byte is read: who acknowledges serves it, nobody else
	w.control.Send(&process.Frame{Type: process.FrameTaken})
	if err := w.source.Adopt(f.FDs[0], pending); err != nil {
		w.logf(levelErr, "core", "WSGI0318: take over connection: %v", err)
	}
	f.FDs = f.FDs[1:] // one has none more
	f.CloseFDs()
}

func (w *worker) receive() {
	for {
		f, err := w.control.Receive()
		if err != nil {
			w.stop <- "control channel closed"
			return
		}
		switch f.Type {
		case process.FrameTaken:
			w.arrived()
		case process.FrameGraceful:
			w.drain <- true
		case process.FrameDrain:
			w.drain <- false
		case process.FrameStop:
			w.stop <- "stop"
		case process.FrameLeave:
			w.stop <- stopRestart
		case process.FrameStanding:
			if w.d.front != nil {
				w.d.front.standing(f.Standing())
			}
		case process.FramePing:
			w.control.Send(&process.Frame{Type: process.FramePing})
		case process.FrameHandoff:
			w.adopt(&f, f.Payload)
		case process.FrameShare:
			w.siblings.Arrived()
			_, pending := f.Shared()
			w.adopt(&f, pending)
		default:
			f.CloseFDs()
		}
	}
}
