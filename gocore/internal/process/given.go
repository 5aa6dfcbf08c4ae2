// What a process is given: configuration, logs and secrets. A process that
// accepts from clients works for all hosts and gets everything. A process of a
// group behind the front runs somebody's application, and what it does not have
// cannot be read or written there: it gets the settings of processes and error
// logs without the contents of sites, its own hosts' error logs, no access
// logs, and a secret of its own.
//
// So the routes that such a process compiles are not those of the front, and
// neither are the numbers of plans (httpd.Plan.ID): a request has to carry what
// it needs, see package hop.
package process

import (
	"crypto/rand"
	"slices"
	"strings"

	"modwsgi/gocore/internal/conf"
	"modwsgi/gocore/internal/httpd"
)

// handout is what the processes of a group inherit besides their sockets.
type handout struct {
	stdout, stderr int
	names          []string // WorkerConfig.LogNames
	fds            []int    // of them
	log            *errorLog
}

// handOut chooses the logs for a group. Descriptor 2 is the error log of the
// host that the group was defined in, whose descendants keep it when all others
// are closed.
func (s *supervisor) handOut(pg *procGroup) (h handout) {
	srv, logs := pg.gen.snap.srv, pg.gen.logs
	home := pg.home()
	own := home.ErrorLog.Key()
	h.stdout, h.stderr, h.log = logs.stdout, logs.stderr, s.log
	if fd, ok := logs.fds[own]; ok && own != srv.ErrorLog.Key() {
		h.stdout, h.stderr = fd, fd
		h.log = &errorLog{fd: fd, max: home.LogLevel.Level}
		h.log.shape(home)
	}
	names := logs.names
	if pg.behind() {
		names = pg.errorLogs()
		if logs.fds[ScoreboardName] > 0 && pg.id.number() == pg.gen.frontUID() { // it shows what clients ask for
			names = append(names, ScoreboardName)
		}
	}
	for _, name := range names {
		if fd, ok := logs.fds[name]; ok && (name != own || !pg.behind()) {
			h.names, h.fds = append(h.names, name), append(h.fds, fd)
		}
	}
	if main := srv.ErrorLog.Key(); own != main && !pg.behind() && logs.fds[main] == 0 { // not opened: the stream we were started with
		h.names, h.fds = append(h.names, main), append(h.fds, logs.stderr)
	}
	return h
}

// behind says whether the group's processes take nothing from clients.
func (g *groupPlan) behind() bool { return len(g.listen) == 0 }

// daemon is the definition of the group, nil for the server's own processes.
func (pg *procGroup) daemon() *httpd.DaemonGroup {
	groups := pg.gen.snap.srv.Groups
	for i := range groups {
		if groups[i].Name == pg.name {
			return &groups[i]
		}
	}
	return nil
}

// onBoard says whether processes of the group map the scoreboard. They can
// write to it, so another user's do only if the configuration lets them look.
func (pg *procGroup) onBoard() bool {
	g := pg.daemon()
	return g == nil || !pg.behind() || pg.id.number() == pg.gen.frontUID() || g.ServerMetrics
}

// home is the host whose error log is the group's.
func (pg *procGroup) home() *httpd.VirtualHost {
	srv := pg.gen.snap.srv
	if g := pg.daemon(); g != nil && g.HostIndex > 0 && g.HostIndex <= len(srv.VirtualHosts) {
		return srv.VirtualHosts[g.HostIndex-1]
	}
	return srv.Main
}

// errorLogs are the keys of the error logs of the hosts that send requests to
// the group. Of hosts that only a request's variables send there, the records
// are in the group's own log.
func (pg *procGroup) errorLogs() []string {
	g := pg.daemon()
	if g == nil {
		return nil
	}
	srv := pg.gen.snap.srv
	var out []string
	add := func(v *httpd.VirtualHost) {
		if key := v.ErrorLog.Key(); !slices.Contains(out, key) {
			out = append(out, key)
		}
	}
	add(pg.home())
	for _, v := range srv.VirtualHosts {
		if g.HostIndex > 0 && strings.EqualFold(v.ServerName, g.HostServerName) {
			add(v)
		}
	}
	for _, p := range srv.Plans() {
		if p.ProcessGroup == g.Name {
			add(p.Host)
		}
	}
	return out
}

// told is the tree of the group's processes.
func (pg *procGroup) told() *conf.Tree {
	tree := pg.gen.snap.tree
	if !pg.behind() {
		return tree
	}
	return &conf.Tree{Root: part(tree.Root, pg.name), ServerRoot: tree.ServerRoot}
}

// forDaemons are the directives, in lower case, that a process behind the front
// compiles besides those of WSGI: what shapes its logs and time-outs, the names
// of the hosts, and what the reader of a configuration demands to be there.
var forDaemons = map[string]bool{
	"servername": true, "serverroot": true, "servertokens": true, "listen": true, "user": true, "group": true,
	"errorlog": true, "errorlogformat": true, "loglevel": true, "usecanonicalname": true, "timeout": true,
	"gracefulshutdowntimeout": true, "defaultruntimedir": true, "startservers": true, "serverlimit": true,
	"threadsperchild": true, "maxrequestworkers": true, "maxclients": true,
}

// part keeps what processes of the group need of a main server or a host. All
// hosts stay, for their numbers, but empty of their content.
func part(list []*conf.Directive, group string) []*conf.Directive {
	var out []*conf.Directive
	for _, d := range list {
		switch name := strings.ToLower(d.Name); {
		case name == "virtualhost":
			c := *d
			c.Children = part(d.Children, group)
			out = append(out, &c)
		case name == "wsgidaemonprocess" && len(d.Args) > 0 && d.Args[0] != group: // for its number
			out = append(out, &conf.Directive{Name: d.Name, Args: d.Args[:1], Raw: quote(d.Args[0]), Pos: d.Pos})
		case forDaemons[name], !d.Section && ofProcess(name), name == "wsgiinterpreteroptions":
			out = append(out, d)
		case name == "wsgiimportscript", name == "wsgiscriptalias", name == "wsgiscriptaliasmatch", name == "wsgifallbackscriptalias":
			if forGroup(d.Raw, group) { // it may be one to load at the start
				out = append(out, d)
			}
		}
	}
	return out
}

// forGroup reports whether the options of a script name the group.
func forGroup(raw, group string) bool {
	for {
		_, after, ok := strings.Cut(raw, "process-group=")
		if !ok {
			return false
		}
		raw = after
		after = strings.TrimLeft(after, `"'`)
		if rest, ok := strings.CutPrefix(after, group); ok && (rest == "" || strings.ContainsRune(" \t\"'", rune(rest[0]))) {
			return true
		}
	}
}

// quote writes a word as Directive.Raw has it.
func quote(word string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(word) + `"`
}

// ofProcess reports whether the directive of mod_wsgi is about processes and
// interpreters, and not about requests.
func ofProcess(name string) bool {
	for _, prefix := range []string{"wsgidaemonprocess", "wsgipython", "wsgisocket", "wsgirestrict", "wsgidestroyinterpreter",
		"wsgiperinterpretergil", "wsgifreethreading", "wsgiswitchinterval", "wsgidontwritebytecode", "wsgicasesensitivity",
		"wsgiservermetrics", "wsgislowrequests", "wsgitelemetry"} {
		if strings.HasPrefix(name, prefix) {
			return name != "wsgirestrictprocess"
		}
	}
	return false
}

// secret is serverSecret for processes that serve clients. Behind the front
// nothing is signed or remembered for others.
func (pg *procGroup) secret() (s [32]byte) {
	if !pg.behind() {
		return serverSecret()
	}
	if _, err := rand.Read(s[:]); err != nil {
		panic(err) // the system has no random numbers
	}
	return s
}
