// A generation: one reading of the configuration with everything that was
// opened for it and the processes that run with it. A restart builds the next
// one completely before the present one is touched.
package process

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"modwsgi/gocore/internal/conf"
	"modwsgi/gocore/internal/httpd"
	"modwsgi/gocore/internal/mod/ssl"
	"modwsgi/gocore/internal/scoreboard"
)

// snapshot is a configuration that was read and compiled.
type snapshot struct {
	tree *conf.Tree
	srv  *httpd.Server
	logs []httpd.LogTarget // to open besides the main error log
	tls  ssl.Files         // certificates and keys, as they were when the configuration was read
}

// loadConfig reads and compiles; a variable so that tests can do without the
// real parser. The snapshot is nil when a diagnostic is an Error.
var loadConfig = readConfig

type generation struct {
	num       int
	snap      *snapshot
	logs      *logSet
	listeners []*listener
	groups    []*procGroup
	board     *board // nil: nobody looks at it
	alive     int    // processes, successors and draining ones included
	ending    ending
}

// procGroup is a running groupPlan.
type procGroup struct {
	groupPlan
	gen   *generation
	slots []*slot
	given handout
}

// configError is a configuration with errors; its text is for people at a terminal.
type configError struct{ diags []conf.Diagnostic }

// Error gives all errors the way httpd gives the first.
func (e *configError) Error() string {
	var b strings.Builder
	for _, d := range e.diags {
		if d.Severity != conf.Error {
			continue
		}
		if b.Len() > 0 {
			b.WriteByte('\n')
		}
		if d.Pos.Line > 0 {
			fmt.Fprintf(&b, "AH00526: Syntax error on line %d of %s:\n", d.Pos.Line, d.Pos.File)
		} else if d.Pos.File != "" {
			fmt.Fprintf(&b, "httpd: %s: ", d.Pos.File)
		}
		if d.Directive != "" && !strings.HasPrefix(d.Message, d.Directive) {
			b.WriteString(d.Directive + ": ")
		}
		b.WriteString(d.Message)
		if d.Suggestion != "" {
			b.WriteString("\n" + d.Suggestion)
		}
	}
	return b.String()
}

func hasErrors(diags []conf.Diagnostic) bool {
	for _, d := range diags {
		if d.Severity == conf.Error {
			return true
		}
	}
	return false
}

// read loads the configuration and computes the groups. Nothing is opened.
func (s *supervisor) read(num int) (*generation, error) {
	snap, diags := loadConfig(s.opt)
	if hasErrors(diags) {
		return nil, &configError{diags}
	}
	s.warnings = diags
	allow := s.opt.AllowRoot
	if _, ok := snap.tree.Defines["MOD_WSGI_ALLOW_ROOT"]; ok {
		allow = true
	}
	if v := os.Getenv("MOD_WSGI_ALLOW_ROOT"); v != "" && v != "0" {
		allow = true
	}
	if err := s.useSockets(snap.srv); err != nil {
		return nil, err
	}
	plans, err := layout(snap, num, s.root, allow)
	if err != nil {
		return nil, err
	}
	g := &generation{num: num, snap: snap}
	for i := range plans {
		pg := &procGroup{groupPlan: plans[i], gen: g}
		for n := range plans[i].processes {
			pg.slots = append(pg.slots, &slot{num: n, group: pg})
		}
		g.groups = append(g.groups, pg)
	}
	return g, nil
}

// open opens the generation's logs and sockets, taking over the sockets of
// old that are still wanted. On error everything new is closed again.
func (s *supervisor) open(g, old *generation) error {
	srv := g.snap.srv
	logs, err := openLogs(srv.ErrorLog, g.snap.logs, s.log)
	if err != nil {
		return err
	}
	if err := s.shareScoreboard(srv, logs); err != nil {
		logs.close()
		return err
	}
	if err := s.socketPlace(g); err != nil {
		logs.close()
		return err
	}
	var specs []httpd.ListenSpec
	groupOf := map[string]*procGroup{} // those of sockets behind the front
	var direct *httpd.DaemonGroup      // the group that accepts from clients itself
	for _, pg := range g.groups {
		specs = append(append(specs, pg.listen...), pg.sockets...)
		for _, s := range pg.sockets {
			groupOf[listenKey(s)] = pg
		}
		if len(pg.listen) > 0 {
			direct = pg.daemon()
		}
	}
	options := func(spec httpd.ListenSpec) listenOptions {
		o := listenOptions{backlog: srv.ListenBacklog, sndbuf: srv.SendBuffer, rcvbuf: srv.ReceiveBuffer, mode: unixSocketMode, uid: -1, gid: -1}
		if direct != nil { // one queue instead of two: as long as the longer of them
			o.backlog = max(backlogOf(o), direct.ListenBacklog)
			o.sndbuf, o.rcvbuf = max(o.sndbuf, direct.SendBufferSize), max(o.rcvbuf, direct.ReceiveBufferSize)
		}
		if pg := groupOf[listenKey(spec)]; pg != nil {
			o = pg.socketOptions()
		}
		return o
	}
	var have []*listener
	if old != nil {
		have = old.listeners
	}
	if g.listeners, err = openListeners(specs, s.withPassed(have), options); err != nil {
		logs.close()
		return err
	}
	by := map[string]*listener{}
	for _, l := range g.listeners {
		if l.stale {
			s.log.printf("core", levelWarn, "removed the socket %s, on which nobody listened any more", l.path)
			l.stale = false
		}
		by[listenKey(l.spec)] = l
	}
	for _, pg := range g.groups {
		var shared []*listener
		for _, spec := range pg.listen {
			if l := by[listenKey(spec)]; !slices.Contains(shared, l) {
				shared = append(shared, l)
			}
		}
		for i, sl := range pg.slots {
			sl.socks = shared
			if len(pg.sockets) > 0 {
				sl.socks = []*listener{by[listenKey(pg.sockets[i])]}
			}
		}
	}
	g.logs = logs
	for _, pg := range g.groups {
		pg.given = s.handOut(pg)
	}
	if g.board, err = newBoard(srv, g); err != nil {
		s.log.printf("wsgi", levelError, "server metrics are not available: %s", err)
	}
	return nil
}

// socketPlace looks after the directory of the sockets behind the front.
func (s *supervisor) socketPlace(g *generation) error {
	front := keepIdentity()
	var users []identity
	needed := false
	for _, pg := range g.groups {
		if pg.name == "" {
			front = pg.id
		}
		needed = needed || len(pg.sockets) > 0
	}
	if !needed {
		return nil
	}
	if s.health == nil {
		s.health = time.Tick(healthEvery)
	}
	for _, pg := range g.groups { // root may do everything anyway, and the front's user all that the front may
		if uid := pg.id.number(); uid != 0 && uid != front.number() {
			users = append(users, pg.id)
		}
	}
	prefix, dir := socketPrefix(g.snap.srv, s.root, os.Getenv)
	if err := prepareSocketDir(prefix, dir, s.root, front, users); err != nil {
		return err
	}
	if s.gen == nil { // the start
		removeLeftSockets(prefix, s.log)
	}
	return stablePaths(g, s.living())
}

// config is what a process of the slot is told.
func (sl *slot) config(foreground bool) *WorkerConfig {
	pg := sl.group
	c := &WorkerConfig{
		Tree: pg.told(), Group: pg.name, Processes: pg.processes, Threads: pg.threads,
		ProcessNum: sl.num, Generation: pg.gen.num,
		LogNames: pg.given.names,
		Uid:      pg.id.uid, Gid: pg.id.gid, Groups: pg.id.groups,
		Front: len(pg.hops) > 0, Embeds: len(pg.hops) > 0 && embeds(pg.gen.snap.srv), Hops: pg.hops, FrontUID: pg.gen.frontUID(),
		Secret: pg.secret(), SupervisorPID: os.Getpid(), SupervisorUID: os.Geteuid(), ServerStarted: serverStarted.UnixMilli(), Foreground: foreground,
	}
	if !pg.behind() {
		c.TLS = pg.gen.snap.tls
	}
	for _, l := range sl.socks {
		c.Listeners = append(c.Listeners, l.spec)
	}
	c.Handovers = handovers(pg.gen)
	if pg.shares() {
		c.BoardGroup = slices.Index(pg.gen.groups, pg) + 1
	}
	return c
}

// frontUID is the user of the server's own processes; -1: there are none.
func (g *generation) frontUID() int {
	for _, pg := range g.groups {
		if pg.name == "" {
			return pg.id.number()
		}
	}
	return -1
}

// ready says whether every slot of the generation has a process that accepts.
// One that does not start counts if it is behind the front: neither its tenant
// nor a tenant's mistake holds the others' changes up.
func (g *generation) ready() bool {
	for _, pg := range g.groups {
		for _, sl := range pg.slots {
			hopeless := pg.behind() && sl.fails >= reloadAttempts
			if pg.threads > 0 && !hopeless && (sl.cur == nil || sl.cur.state == childStarting) {
				return false
			}
		}
	}
	return true
}

// Descriptors that the supervisor keeps for other things than connections on
// their way, and bounds of what each process may have there.
const (
	ownDescriptors             = 128
	minHandovers, maxHandovers = 16, 4096
)

// handovers is how many connections each process may have on the way through
// the supervisor, which holds a descriptor for each: with all processes of two generations
// it must not run out, or connections are lost.
func handovers(g *generation) int {
	processes := 0
	for _, pg := range g.groups {
		processes += pg.processes
	}
	var l unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &l) != nil {
		return minHandovers
	}
	n := (int64(min(l.Cur, 1<<20)) - ownDescriptors) / int64(2*max(processes, 1))
	return int(min(max(n, minHandovers), maxHandovers))
}

// find gives the slot that takes over connections of clients from sl, of
// another generation: one that accepts from clients as the same user, or nil.
func (g *generation) find(sl *slot) *slot {
	for _, pg := range g.groups { // there is one group that accepts
		if !pg.behind() && pg.id.same(sl.group.id) {
			return pg.slots[sl.num%len(pg.slots)]
		}
	}
	return nil
}

// serverStarted is when this process began, for mod_status.
var serverStarted = time.Now()

// shareScoreboard gives the workers the memory that mod_status needs, if the
// configuration shows it anywhere. It stays the same over restarts.
func (s *supervisor) shareScoreboard(srv *httpd.Server, logs *logSet) error {
	if !srv.UsesStatus() {
		return nil
	}
	if s.board == nil {
		f, err := scoreboard.Create()
		if err != nil {
			return err
		}
		s.board = f
	}
	fd, err := dupCloexec(int(s.board.Fd()))
	if err != nil {
		return err
	}
	logs.fds[ScoreboardName] = fd
	logs.names = append(logs.names, ScoreboardName)
	return nil
}
