// This file chooses a server for balancer:// URLs: stickiness, methods,
// standby. Source: Apache manual, "mod_proxy_balancer" and mod_lbmethod_*.

package proxy

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"modwsgi/gocore/internal/conf"
	"modwsgi/gocore/internal/httpd"
)

// balancerKey names a balancer: each virtual host has its own, and those of
// the main server.
type balancerKey struct {
	host int
	name string
}

// balancer is a group of servers.
type balancer struct {
	key     balancerKey
	p       lbParams
	members []*worker
	used    []conf.Pos // ProxyPass lines

	mu sync.Mutex // guards the choice: the members' status
}

func (reg *registry) balancer(host int, name string) *balancer {
	key := balancerKey{host, strings.ToLower(name)}
	b := reg.balancers[key]
	if b == nil {
		b = &balancer{key: key}
		reg.balancers[key] = b
	}
	return b
}

// lookup finds the balancer for a host: its own with members, else the main
// server's. With both, what the host's ProxyPass says about it counts.
func (reg *registry) lookup(host int, name string) *balancer {
	name = strings.ToLower(name)
	b := reg.balancers[balancerKey{host, name}]
	if b == nil || len(b.members) == 0 {
		b = reg.balancers[balancerKey{0, name}]
	}
	return b
}

func (b *balancer) finish(report func(conf.Diagnostic), reg *registry) {
	if len(b.members) > 0 {
		return
	}
	main := reg.balancers[balancerKey{0, b.key.name}]
	for _, pos := range b.used {
		switch {
		case main == nil || len(main.members) == 0:
			report(conf.Diagnostic{Severity: conf.Error, Code: "PROXY-BALANCER", Pos: pos, Directive: "ProxyPass",
				Message:    fmt.Sprintf("the balancer %q has no members", b.key.name),
				Suggestion: fmt.Sprintf("<Proxy balancer://%s> with BalancerMember lines", b.key.name)})
		case b != main:
			main.p = main.p.over(b.p)
		}
	}
}

// setMember reads BalancerMember.
func setMember(k *httpd.Cmd, c *Config) error {
	args, name := k.Args, ""
	if k.In == httpd.InProxy {
		name = k.Path
	} else {
		name, args = args[0], args[1:]
	}
	b, err := balancerName(name)
	if err != nil {
		return err
	}
	if len(args) == 0 {
		return errors.New("needs the URL of a server")
	}
	t, err := parseTarget(args[0])
	if err != nil {
		return err
	}
	if t.scheme == "balancer" {
		return errors.New("a balancer cannot be a member of a balancer")
	}
	var p params
	if err := readParams(args[1:], workerKeys(k, &p), nil); err != nil {
		return err
	}
	reg := registryOf(k, c)
	bal := reg.balancer(k.HostIndex, b)
	bal.members = append(bal.members, reg.add(k, t, p))
	return nil
}

// balancerName takes the name out of balancer://name.
func balancerName(url string) (string, error) {
	t, err := parseTarget(url)
	if err != nil || t.scheme != "balancer" {
		return "", fmt.Errorf("%q is not of the form balancer://name", url)
	}
	return t.host, nil
}

// setSet reads ProxySet, for the server or balancer of the section or of the
// first word.
func setSet(k *httpd.Cmd, c *Config) error {
	args, url := k.Args, k.Path
	switch {
	case k.In == httpd.InLocation:
		if c.own == nil || c.own.worker == nil {
			return errors.New("needs a ProxyPass to a server before it in the same <Location>")
		}
		var p params
		if err := readParams(args, workerKeys(k, &p), nil); err != nil {
			return err
		}
		c.own.worker.p = c.own.worker.p.over(p)
		return nil
	case k.In != httpd.InProxy:
		url, args = args[0], args[1:]
	}
	t, err := parseTarget(url)
	if err != nil {
		return err
	}
	reg := registryOf(k, c)
	if t.scheme == "balancer" {
		return readParams(args, balancerKeys(k, &reg.balancer(k.HostIndex, t.host).p), nil)
	}
	var p params
	if err := readParams(args, workerKeys(k, &p), nil); err != nil {
		return err
	}
	reg.sets = append(reg.sets, setting{host: k.HostIndex, name: t.name() + t.path, p: p, pos: k.Pos})
	return nil
}

// session is what a request says about the server it belongs to.
type session struct {
	id    string // the whole value
	name  string // of the cookie or parameter
	route string
}

// session finds the route in the path parameter, then in the cookie.
func (b *balancer) session(r *httpd.Request, url string) session {
	if !b.p.sticky.Set {
		return session{}
	}
	cookie, param, two := strings.Cut(b.p.sticky.V, "|")
	if !two {
		param = cookie
	}
	s := session{name: param, id: pathParameter(url, r.Query, param, b.p.scolon.V)}
	if s.id == "" {
		s = session{name: cookie, id: cookieValue(r, cookie)}
	}
	if i := strings.LastIndex(s.id, b.p.sep.Or(".")); i >= 0 {
		s.route = s.id[i+1:]
	}
	return s
}

// pathParameter is the value of ;name=value in the path or of a parameter in
// the query.
func pathParameter(url, query, name string, scolon bool) string {
	for _, part := range strings.Split(url, ";")[1:] {
		if v, ok := strings.CutPrefix(part, name+"="); ok {
			end := "?&/"
			if i := strings.IndexAny(v, end); i >= 0 {
				v = v[:i]
			}
			return v
		}
	}
	for part := range strings.FieldsFuncSeq(query, func(c rune) bool { return c == '&' || scolon && c == ';' }) {
		if v, ok := strings.CutPrefix(part, name+"="); ok {
			return v
		}
	}
	return ""
}

func cookieValue(r *httpd.Request, name string) string {
	for _, f := range r.Header {
		if !strings.EqualFold(f.Name, "Cookie") {
			continue
		}
		for part := range strings.SplitSeq(f.Value, ";") {
			if v, ok := strings.CutPrefix(strings.TrimSpace(part), name+"="); ok {
				return strings.Trim(v, `"`)
			}
		}
	}
	return ""
}

// errNobody is a balancer without a usable member.
var errNobody = &httpd.StatusError{Status: http.StatusServiceUnavailable, Err: errors.New("all members of the balancer are out of service")}

// choose picks the member for a request; those that were tried already do not
// count. The member's busy count is raised: end must follow.
func (b *balancer) choose(r *httpd.Request, s session, tried []*worker) (*worker, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := time.Now()
	free := func(w *worker) bool { return !slices.Contains(tried, w) && w.usable(now) }
	if s.route != "" {
		if w, mine := b.byRoute(s.route, free); w != nil {
			w.begin()
			return w, nil
		} else if mine && b.p.nofail.V {
			return nil, &httpd.StatusError{Status: http.StatusServiceUnavailable, Err: fmt.Errorf("the member with the route %s is out of service", s.route)}
		}
	}
	w := b.best(free, s.route)
	if w == nil && b.p.force.Or(true) && len(tried) == 0 && !b.anyUsable(now) {
		// everybody is out of service for errors: ask all the same
		for _, m := range b.members {
			m.works()
		}
		w = b.best(free, s.route)
	}
	if w == nil {
		return nil, errNobody
	}
	w.begin()
	return w, nil
}

// anyUsable reports whether some member is usable.
func (b *balancer) anyUsable(now time.Time) bool {
	return slices.ContainsFunc(b.members, func(w *worker) bool { return w.usable(now) })
}

// byRoute is the member of a route, or the one that takes its place; mine says
// that there is such a route at all.
func (b *balancer) byRoute(route string, free func(*worker) bool) (w *worker, mine bool) {
	for _, m := range b.members {
		if m.p.route.V == route && m.p.route.Set {
			mine = true
			if free(m) {
				return m, true
			}
			if to := m.p.redirect.V; to != "" {
				for _, o := range b.members {
					if o.p.route.V == to && free(o) {
						return o, true
					}
				}
			}
		}
	}
	return nil, mine
}

// best asks the method, set by set (lbset), ordinary members before spares
// and standbys.
func (b *balancer) best(free func(*worker) bool, route string) *worker {
	var sets []int
	for _, w := range b.members {
		if n := w.p.set.Or(0); !slices.Contains(sets, n) {
			sets = append(sets, n)
		}
	}
	slices.Sort(sets)
	for _, n := range sets {
		var ordinary, spares, standby []*worker
		missing := 0
		for _, w := range b.members {
			if w.p.set.Or(0) != n || w.p.on&stDrain != 0 && (route == "" || w.p.route.V != route) {
				continue
			}
			ok := free(w)
			switch {
			case w.p.on&stHotStandby != 0:
				if ok {
					standby = append(standby, w)
				}
			case w.p.on&stHotSpare != 0:
				if ok {
					spares = append(spares, w)
				}
			case ok:
				ordinary = append(ordinary, w)
			default:
				missing++
			}
		}
		ordinary = append(ordinary, spares[:min(missing, len(spares))]...)
		for _, group := range [][]*worker{ordinary, standby} {
			if len(group) > 0 {
				return b.method(group)
			}
		}
	}
	return nil
}

// method is lbmethod. Under byrequests the members are chosen in turn, in
// proportion to their factors.
func (b *balancer) method(group []*worker) *worker {
	factor := func(w *worker) int { return w.p.factor.Or(100) }
	var best *worker
	total := 0
	for _, w := range group {
		w.status += factor(w)
		total += factor(w)
		if best == nil || b.before(w, best, factor) {
			best = w
		}
	}
	best.status -= total
	return best
}

// before reports whether a is the better choice. Equal members are told apart
// by their turn.
func (b *balancer) before(a, best *worker, factor func(*worker) int) bool {
	load := func(w *worker) (busy int, traffic int64) {
		w.mu.Lock()
		defer w.mu.Unlock()
		return w.busy, w.traffic
	}
	switch b.p.method.Or("byrequests") {
	case "bybusyness":
		x, _ := load(a)
		y, _ := load(best)
		if x != y {
			return x < y
		}
	case "bytraffic":
		_, x := load(a)
		_, y := load(best)
		if x, y := x*int64(factor(best)), y*int64(factor(a)); x != y {
			return x < y
		}
	}
	return a.status > best.status
}
