// Which processes a configuration asks for: process groups, who of them
// accepts connections from clients, and who takes requests from front
// processes over a Unix socket. See docs/architecture.md for the three cases.
package process

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"modwsgi/gocore/internal/conf"
	"modwsgi/gocore/internal/httpd"
)

const (
	defaultStopGrace       = 5 * time.Second // shutdown-timeout's default
	defaultEmbeddedThreads = 25              // ThreadsPerChild's default
	// The worker enforces graceful-timeout and shutdown-timeout itself; the
	// supervisor gives it this much longer before it steps in.
	drainSlack = 2 * time.Second
	stopSlack  = 2 * time.Second // the worker's last words, when it gives up its requests
)

// groupPlan is one process group to run.
type groupPlan struct {
	name               string // "" = the server's own processes
	processes, threads int
	id                 identity
	listen             []httpd.ListenSpec  // what each of its workers inherits
	sockets            []httpd.ListenSpec  // behind the hop: what the worker of each slot inherits besides
	socketUID          int                 // owner of sockets; -1: as created
	hops               map[string][]string // of the front: the sockets of the other groups
	stopGrace          time.Duration       // from 'T' to SIGKILL
	drainLimit         time.Duration       // from 'G' to 'T'; 0 = none
	python             pythonOptions
	chroot             string
	stackSize          int // bytes of each thread's stack; 0 = the system's
	priority           int // nice value; 0 = as the supervisor
}

// title names the group in log lines.
func (g *groupPlan) title() string {
	if g.name == "" {
		return "server process"
	}
	return "process '" + g.name + "'"
}

// layout computes the groups of a configuration. With root, identities are
// resolved; allowRoot lets them be uid 0.
func layout(snap *snapshot, generation int, root, allowRoot bool) ([]groupPlan, error) {
	srv := snap.srv
	if len(srv.Listen) == 0 {
		return nil, errors.New("no listening sockets available, shutting down: the configuration has no Listen directive")
	}
	resolve := func(user, group string, supplementary []string, pos conf.Pos) (identity, error) {
		if !root || user == "" && allowRoot {
			return keepIdentity(), nil
		}
		id, err := resolveIdentity(user, group, supplementary)
		if err == nil && id.uid == 0 && !allowRoot {
			err = errRootWorker
		}
		if err != nil && pos.Line > 0 {
			err = fmt.Errorf("%s:%d: %w", pos.File, pos.Line, err)
		}
		return id, err
	}
	server, err := resolve(srv.User, srv.Group, nil, conf.Pos{})
	if err != nil {
		return nil, err
	}
	var groups []groupPlan
	for i := range srv.Groups {
		g := &srv.Groups[i]
		user, group := g.User, g.Group
		if user == "" {
			user = srv.User
		}
		if group == "" {
			group = srv.Group
		}
		id, err := resolve(user, group, g.SupplementaryGroups, g.Pos)
		if err != nil {
			return nil, err
		}
		p := groupPlan{name: g.Name, processes: max(g.Processes, 1), threads: g.Threads, id: id, stopGrace: g.ShutdownTimeout}
		if p.stopGrace <= 0 {
			p.stopGrace = defaultStopGrace // "for ever" is for the worker's own restarts
		}
		if n := max(g.GracefulTimeout, g.EvictionTimeout); n > 0 && g.ShutdownTimeout > 0 {
			p.drainLimit = n + p.stopGrace + drainSlack
		}
		p.stopGrace += stopSlack
		p.python = groupPython(srv, g)
		if p.chroot = strings.TrimRight(g.Chroot, "/"); p.chroot != "" && !root {
			return nil, fmt.Errorf("%s:%d: chroot=%s of process group %q needs a server that is started as root", g.Pos.File, g.Pos.Line, g.Chroot, g.Name)
		}
		p.stackSize, p.priority = g.StackSize, g.CPUPriority
		groups = append(groups, p)
	}
	if i := direct(srv, groups, server); i >= 0 {
		groups[i].listen = srv.Listen
		return groups, nil
	}
	own := groupPlan{id: server, listen: srv.Listen, stackSize: srv.ThreadStackSize, stopGrace: defaultStopGrace + stopSlack, hops: map[string][]string{}, python: embeddedPython(srv)}
	own.processes, own.threads = embeddedSize(snap.tree)
	if srv.MaxRequestWorkers > 0 {
		own.threads = min(own.threads, max(1, srv.MaxRequestWorkers/own.processes))
	}
	prefix, _ := socketPrefix(srv, root, os.Getenv)
	for i := range groups {
		p, g := &groups[i], &srv.Groups[i]
		if p.threads == 0 {
			continue
		}
		own.stopGrace = max(own.stopGrace, p.stopGrace+StopDelay+time.Second) // as the worker counts it
		if p.socketUID, err = socketUser(g, root, server); err != nil {
			return nil, err
		}
		paths, err := socketNames(prefix, g, p.processes, generation, srv.Python.SocketRotation, p.id)
		if err != nil {
			return nil, err
		}
		for _, path := range paths {
			p.sockets = append(p.sockets, httpd.ListenSpec{Network: "unix", Addr: path, Proto: ProtoHop, Pos: g.Pos})
		}
		own.hops[p.name] = paths
	}
	// The front comes last so that the groups behind it start first.
	return append(groups, own), nil
}

// embeddedSize is the number of the server's own processes and of their
// threads: StartServers (there is no growing and shrinking) and ThreadsPerChild.
func embeddedSize(tree *conf.Tree) (processes, threads int) {
	processes, threads = 1, defaultEmbeddedThreads
	limit := 0
	number := func(d *conf.Directive, to *int) {
		if len(d.Args) == 1 {
			if n, err := strconv.Atoi(d.Args[0]); err == nil && n > 0 {
				*to = n
			}
		}
	}
	for _, d := range tree.Root {
		switch strings.ToLower(d.Name) {
		case "startservers":
			number(d, &processes)
		case "serverlimit":
			number(d, &limit)
		case "threadsperchild":
			number(d, &threads)
		}
	}
	if limit > 0 {
		processes = min(processes, limit)
	}
	return processes, threads
}
