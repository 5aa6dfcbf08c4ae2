// The supervisor: starts, watches, replaces and stops the processes of a
// server. It never runs application code and never waits for a worker.
//
//	phase      | event                        | next       | done
//	-----------+------------------------------+------------+---------------------------------------------
//	(start)    | configuration good, bound    | Serving    | every process started
//	Serving    | SIGUSR1, new one good        | Reloading  | new sockets bound, new generation started
//	Serving    | SIGUSR1 or SIGHUP, it is bad | Serving    | errors logged
//	Serving    | SIGHUP, new one good         | Restarting | new sockets bound, old processes stopped
//	Reloading  | new generation all ready     | Serving    | the old one ends gracefully (ending.go)
//	Reloading  | who accepts does not start   | Serving    | new generation stopped, errors logged
//	Reloading  | SIGUSR1, SIGHUP              | as Serving | the generation that was coming up is stopped
//	Restarting | old processes gone           | Serving    | new generation started
//	Restarting | SIGUSR1, SIGHUP              | Restarting | the newest configuration is the one to start
//	any        | SIGWINCH                     | Draining   | client sockets closed, 'D' in order (ending.go)
//	any        | SIGTERM, SIGINT              | Stopping   | 'T' in order
//	Draining   | GracefulShutdownTimeout      | Stopping   | 'T' in order
//	Draining   | last process gone            | (end)      | exit 0
//	Stopping   | last process gone            | (end)      | exit 0
//
// One goroutine, locked to its thread, owns all state; others post functions
// to it. See slots.go for the states of a single process.
package process

import (
	"errors"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"modwsgi/gocore/internal/conf"
	"modwsgi/gocore/internal/hop"
)

type phase int

const (
	phaseServing phase = iota
	phaseReloading
	phaseRestarting
	phaseDraining
	phaseStopping
)

// reloadAttempts is how often a process of a new generation may die before it
// is ready until the reload is given up.
const reloadAttempts = 3

type supervisor struct {
	opt      SuperviseOptions
	root     bool
	log      *errorLog
	manager  *manager    // who started the server
	passed   []*listener // sockets that it passed on, see activation.go
	board    *os.File    // see shareScoreboard; nil: not wanted so far
	launcher *launcher
	oom      oomWatch
	noticed  map[string]time.Time // texts of notices, see notice
	pid      *pidFile
	warnings []conf.Diagnostic // of the last reading

	phase    phase
	gen      *generation   // in service
	next     *generation   // Reloading: coming up; Restarting: to be started
	old      []*generation // ending, see ending.go
	numbers  int           // generations so far
	children map[*child]bool
	finished bool
	moved    bool                 // processes behind the front may have begun, got ready or ended
	told     map[string]hop.State // what fronts know, see standing.go
	health   <-chan time.Time     // when to look after request sockets; nil: there are none

	events chan func()
	done   chan struct{}
}

// Supervise runs the server that opt describes until it is stopped by a
// signal, and returns the exit code: 0 after a stop, 1 if it could not start.
// It takes over SIGTERM, SIGINT, SIGHUP, SIGUSR1 and SIGWINCH of the process.
// The calling goroutine stays on its OS thread, which must live as long as the
// process (Python's main thread does). The GIL must not be held.
func Supervise(opt SuperviseOptions) int {
	// The kernel kills workers when the thread that started them ends.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	s := &supervisor{
		opt: opt, root: os.Geteuid() == 0, log: &errorLog{fd: 2},
		children: map[*child]bool{}, events: make(chan func(), 64), done: make(chan struct{}),
	}
	signals := make(chan os.Signal, 16)
	wanted := []os.Signal{syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP, syscall.SIGUSR1, syscall.SIGWINCH}
	signal.Notify(signals, wanted...)
	defer signal.Stop(signals)
	s.oom, s.noticed = newOOMWatch(), map[string]time.Time{}
	s.log.failed = func(err error) {
		go s.post(func() { s.notice("WSGI0371: the error log cannot be written: " + err.Error()) })
	}
	// On a terminal SIGWINCH says that the window was resized.
	_, err := unix.IoctlGetWinsize(1, unix.TIOCGWINSZ)
	onTerminal := err == nil

	reapStrangers(s.done)
	if err := s.start(); err != nil {
		s.manager.failed(err)
		return s.startFailed(err)
	}
	for !s.finished {
		s.tell()
		s.tellFronts()
		select {
		case sig := <-signals:
			if sig != syscall.SIGWINCH || !onTerminal {
				s.onSignal(sig)
			}
		case f := <-s.events:
			f()
		case <-s.health:
			s.checkup()
		case now := <-s.manager.tick:
			s.watchdog(now)
		}
	}
	close(s.done)
	s.release()
	return 0
}

// start brings the first generation up. Nothing outside of the process is
// touched before the configuration is known to be good.
func (s *supervisor) start() error {
	var notes []string
	s.manager = newManager(os.Getenv, s.log)
	s.passed, notes = passedSockets(os.Getenv, firstPassed)
	for _, note := range notes {
		s.log.printf("core", levelWarn, "%s", note)
	}
	s.numbers = 1
	g, err := s.read(1)
	if err != nil {
		return err
	}
	if path := g.snap.srv.PidFile; path != "" {
		if s.pid, err = claimPIDFile(path); err != nil {
			return err
		}
	}
	if s.launcher, err = newLauncher(s.opt); err != nil {
		return err
	}
	if err := s.open(g, nil); err != nil {
		return s.explainBind(err)
	}
	if s.pid != nil { // before anybody is served: who sees the server's answer finds the file
		if err := s.pid.write(); err != nil {
			return err
		}
	}
	s.gen = g
	if err := s.startAll(g); err != nil {
		return err
	}
	s.useLogs(g)
	s.logWarnings()
	s.unserved(g)
	s.log.printf("mpm", levelNotice, "AH00489: %s configured -- resuming normal operations", g.snap.srv.Software)
	return nil
}

// startFailed reports err where the person who started the server looks, and
// undoes what start did.
func (s *supervisor) startFailed(err error) int {
	fmt.Fprintln(os.Stderr, err)
	var bind *bindError
	if errors.As(err, &bind) {
		fmt.Fprintln(os.Stderr, "no listening sockets available, shutting down")
	}
	for c := range s.children {
		c.state = childStopping
		s.signal(c, syscall.SIGKILL)
	}
	for len(s.children) > 0 {
		s.phase = phaseStopping
		(<-s.events)()
	}
	close(s.done)
	s.release()
	var running *runningError
	if errors.As(err, &running) {
		return 0 // as httpd: what was asked for is the case
	}
	return 1
}

// release gives back everything that outlives the loop.
func (s *supervisor) release() {
	for _, g := range s.living() {
		g.dropClients(nil)
	}
	for _, l := range s.passed {
		_ = unix.Close(l.fd) // the service manager's copy listens on
	}
	s.manager.close()
	s.pid.release()
	s.log.redirect(2, nil)
	for _, g := range s.living() {
		s.gen, s.next = nil, nil
		s.dispose(g)
	}
	if s.launcher != nil {
		s.launcher.close()
	}
}

// startAll starts a process in every slot of g. An error is one of exec, of who
// is to accept from clients; what cannot be started behind those is tried again.
func (s *supervisor) startAll(g *generation) error {
	for _, pg := range g.groups {
		for _, sl := range pg.slots {
			if sl.cur != nil || pg.threads == 0 && g == s.next { // a service waits for its predecessor
				continue
			}
			c, err := s.launch(sl)
			switch {
			case err == nil:
				sl.cur = c
			case pg.behind(): // a tenant's broken environment is not the others' trouble
				s.launchFailed(sl, err)
			default:
				return fmt.Errorf("cannot start %s: %w", pg.title(), err)
			}
		}
	}
	return nil
}

// useLogs makes g's main error log the supervisor's own.
func (s *supervisor) useLogs(g *generation) {
	s.log.redirect(g.logs.errorFD(), g.snap.srv.Main.LogLevel.Level)
	s.log.shape(g.snap.srv.Main)
	if s.opt.Foreground || g.logs.stdio {
		return
	}
	for _, d := range []struct{ from, to int }{{s.launcher.null, 0}, {s.launcher.null, 1}, {g.logs.errorFD(), 2}} {
		if err := dupTo(d.from, d.to); err != nil {
			s.log.printf("core", levelWarn, "redirecting descriptor %d: %s", d.to, err)
		}
	}
}

func (s *supervisor) logWarnings() {
	for _, d := range s.warnings {
		level := levelDebug
		if d.Severity == conf.Warning {
			level = levelWarn
		}
		s.log.printf("core", level, "%s", d.String())
	}
	s.warnings = nil
}

func (s *supervisor) onSignal(sig os.Signal) {
	switch sig {
	case syscall.SIGTERM, syscall.SIGINT:
		name := unix.SignalName(sig.(syscall.Signal))
		s.log.printf("mpm", levelNotice, "AH00169: caught %s, shutting down", name)
		s.stopAll()
	case syscall.SIGWINCH:
		s.log.printf("mpm", levelNotice, "AH00492: caught SIGWINCH, shutting down gracefully")
		s.drainAll()
	case syscall.SIGHUP:
		s.log.printf("mpm", levelNotice, "AH00494: SIGHUP received.  Attempting to restart")
		s.restart(false)
	case syscall.SIGUSR1:
		s.log.printf("mpm", levelNotice, "AH00493: SIGUSR1 received.  Doing graceful restart")
		s.restart(true)
	}
}

// stopAll ends the server now.
func (s *supervisor) stopAll() {
	if s.phase == phaseStopping {
		return
	}
	s.phase = phaseStopping
	s.forget()
	for _, g := range s.living() {
		g.dropClients(nil)
		s.end(g, endStop)
	}
	s.settle(nil)
}

// drainAll ends the server once its requests are done.
func (s *supervisor) drainAll() {
	if s.phase == phaseDraining || s.phase == phaseStopping {
		return
	}
	s.phase = phaseDraining
	limit := s.gen.snap.srv.GracefulShutdownTimeout
	s.forget()
	for _, g := range s.living() {
		g.dropClients(nil)
		s.end(g, endDrain)
	}
	if limit > 0 {
		time.AfterFunc(limit, func() {
			s.post(func() {
				if s.phase == phaseDraining {
					s.log.printf("mpm", levelNotice, "GracefulShutdownTimeout of %s is over, shutting down", limit)
					s.stopAll()
				}
			})
		})
	}
	s.settle(nil)
}

// forget closes the connections that wait for a process which will not come,
// and drops a generation that was not started.
func (s *supervisor) forget() {
	for _, g := range []*generation{s.gen, s.next} {
		if g == nil {
			continue
		}
		for _, pg := range g.groups {
			for _, sl := range pg.slots {
				for i := range sl.pending {
					sl.pending[i].CloseFDs()
				}
				sl.pending = nil
			}
		}
	}
	if next := s.next; next != nil {
		s.next = nil
		s.old = append(s.old, next)
		next.dropClients(s.gen)
		s.settle(next)
	}
}

// restart reads the configuration again. Until the new one is known to be
// good, and its sockets and logs are open, the old one serves untouched.
func (s *supervisor) restart(graceful bool) {
	switch s.phase {
	case phaseDraining, phaseStopping:
		return
	case phaseReloading:
		s.abandon("a newer restart was asked for")
	}
	s.manager.reloading()
	s.numbers++
	g, err := s.read(s.numbers)
	if err == nil {
		// During a restart the sockets to keep are those of the one that was
		// to come; it has all that are in use.
		from := s.gen
		if s.phase == phaseRestarting {
			from = s.next
		}
		err = s.open(g, from)
	}
	if err != nil {
		err = s.explainBind(err)
		s.manager.trouble = oneLine(err.Error())
		s.log.printf("core", levelError, "%s", err)
		s.log.printf("mpm", levelError, "the new configuration cannot be used, going on with the old one")
		return
	}
	if p := g.snap.srv.PidFile; s.pid != nil && p != s.pid.path {
		s.log.printf("core", levelWarn, "a changed PidFile takes effect when the server is stopped and started: it stays %s", s.pid.path)
	}
	if s.phase == phaseRestarting {
		old := s.next
		s.next = g
		s.reroute(old)
		old.dropClients(g)
		s.settle(old)
		return
	}
	s.next = g
	if !graceful {
		s.phase = phaseRestarting
		for _, old := range s.living() {
			if old != g {
				s.end(old, endStop)
			}
		}
		s.settle(nil)
		return
	}
	s.phase = phaseReloading
	if err := s.startAll(g); err != nil {
		s.log.printf("mpm", levelAlert, "WSGI0024: %s", err)
		s.abandon("its processes cannot be started")
		return
	}
	s.checkReady() // nothing but groups that never say so
}

// abandon gives the generation up that was coming up.
func (s *supervisor) abandon(reason string) {
	g := s.next
	s.next, s.phase = nil, phaseServing
	s.manager.trouble = reason
	s.log.printf("mpm", levelError, "restart given up: %s; going on with the old configuration", reason)
	s.old = append(s.old, g)
	s.reroute(g)
	g.dropClients(s.gen)
	s.end(g, endStop)
	s.settle(g)
	s.revive()
}

// revive fills the slots of the generation in service that are empty.
func (s *supervisor) revive() {
	for _, pg := range s.gen.groups {
		for _, sl := range pg.slots {
			if sl.cur == nil {
				s.refill(sl)
			}
		}
	}
}

// promote puts the next generation into service and retires the present one.
func (s *supervisor) promote() {
	old := s.gen
	s.gen, s.next, s.phase = s.next, nil, phaseServing
	s.old = append(s.old, old)
	old.dropClients(s.gen)
	s.useLogs(s.gen)
	s.logWarnings()
	s.unserved(s.gen)
	s.end(old, endGraceful)
	s.startServices()
	s.reroute(old)
	s.log.printf("mpm", levelNotice, "AH00489: %s configured -- resuming normal operations", s.gen.snap.srv.Software)
	s.settle(old)
}

// settle looks whether something was waiting for the last process of g (or of
// the server) to end.
func (s *supervisor) settle(g *generation) {
	if g != nil && g != s.gen && g != s.next && g.alive == 0 {
		s.dispose(g)
	}
	if len(s.children) > 0 {
		return
	}
	switch s.phase {
	case phaseDraining, phaseStopping:
		s.finished = true
	case phaseRestarting:
		s.promote()
		for _, pg := range s.gen.groups {
			for _, sl := range pg.slots {
				s.fill(sl)
			}
		}
	}
}
