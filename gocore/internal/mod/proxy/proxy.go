// Package proxy is mod_proxy as a gateway, with mod_proxy_http,
// mod_proxy_wstunnel, mod_proxy_balancer and its lbmethods: it passes requests
// on to other servers. There is no forward proxy.
//
// Files: proxy.go has settings and directives; params.go reads key=value
// parameters; pass.go decides which requests go where; worker.go keeps the
// connections to one server; balancer.go chooses among several; forward.go
// makes the request and hands the answer back; upgrade.go is what follows
// 101 (Switching Protocols); reverse.go edits fields of answers; hops.go finds
// fields of one connection; tls.go is for https:// servers.
//
// The decision is made in the translate phase, so that access control of
// <Location> and <Proxy> comes before anything is sent.
//
// Source: Apache manual, "mod_proxy" and the modules named above; RFC 9110
// section 7.6 (forwarding), RFC 9112.
package proxy

import (
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"modwsgi/gocore/internal/conf"
	"modwsgi/gocore/internal/httpd"
)

// handlerName is the handler of requests that are passed on, the prefix is
// what their file name begins with.
const (
	handlerName = "proxy-server"
	prefix      = httpd.ProxyPrefix
	noteNocanon = "proxy-nocanon" // set by mod_rewrite too
	noteWorker  = "proxy-worker"  // number of the ProxyPass line's worker
)

// Config is the module's settings of one scope.
type Config struct {
	entries []*entry // ProxyPass of server scopes: the main server's first
	own     *entry   // ProxyPass of a Location
	reverse []pair   // ProxyPassReverse, likewise for cookies
	domains []pair
	paths   []pair

	inherit       httpd.Opt[bool] // ProxyPassInherit
	preserveHost  httpd.Opt[bool]
	addHeaders    httpd.Opt[bool]
	via           httpd.Opt[string] // off, on, full, block
	timeout       httpd.Opt[time.Duration]
	errorOverride httpd.Opt[override]
	expect        httpd.Opt[bool] // Proxy100Continue
	source        httpd.Opt[netip.Addr]
	tls           tlsSettings

	reg *registry // of the whole configuration; nil: nothing is passed on
}

// override is ProxyErrorOverride: on for the codes, none: all from 400 on.
type override struct {
	on    bool
	codes []int
}

func (o override) takes(status int) bool {
	if !o.on {
		return false
	}
	if len(o.codes) == 0 {
		return status >= 400
	}
	return slices.Contains(o.codes, status)
}

const (
	sv = httpd.InServerHost
	// svl are the places that can decide where a request goes: directories
	// and files are known too late.
	svl = httpd.InServerHost | httpd.InLocation
	svd = httpd.InServerHost | httpd.InSection
)

// Module is mod_proxy.
var Module = &httpd.Module[Config]{
	Name: "proxy", ID: "proxy_module", File: "mod_proxy.c",
	Also: []string{"proxy_http_module", "mod_proxy_http.c", "proxy_wstunnel_module", "mod_proxy_wstunnel.c", "proxy_balancer_module", "mod_proxy_balancer.c",
		"lbmethod_byrequests_module", "mod_lbmethod_byrequests.c", "lbmethod_bytraffic_module", "mod_lbmethod_bytraffic.c",
		"lbmethod_bybusyness_module", "mod_lbmethod_bybusyness.c", "slotmem_shm_module", "mod_slotmem_shm.c"},
	Directives: append([]httpd.Directive[Config]{
		{Name: "ProxyPass", Args: "[path] !|url [key=value ...] [nocanon]", Min: 1, Max: -1, In: svl, Set: setPass(false),
			Doc: "Passes requests below a URL path on to another server."},
		{Name: "ProxyPassMatch", Args: "[regex] !|url [key=value ...] [nocanon]", Min: 1, Max: -1, In: svl, Set: setPass(true),
			Doc: "As ProxyPass, for URL paths that match."},
		{Name: "ProxyPassInherit", Args: "On|Off", Min: 1, Max: 1, In: sv, Default: "On", Set: setFlag(func(c *Config) *httpd.Opt[bool] { return &c.inherit }),
			Doc: "Whether a virtual host has the main server's ProxyPass lines."},
		{Name: "ProxyPassReverse", Args: "[path] url", Min: 1, Max: 2, In: svl, Set: setReverse,
			Doc: "Turns URLs of the other server in Location, Content-Location and URI into own ones."},
		{Name: "ProxyPassReverseCookieDomain", Args: "internal-domain public-domain", Min: 2, Max: 2, In: svl, Set: setPair(func(c *Config) *[]pair { return &c.domains }),
			Doc: "Changes the domain of cookies."},
		{Name: "ProxyPassReverseCookiePath", Args: "internal-path public-path", Min: 2, Max: 2, In: svl, Set: setPair(func(c *Config) *[]pair { return &c.paths }),
			Doc: "Changes the path of cookies."},
		{Name: "ProxyPreserveHost", Args: "On|Off", Min: 1, Max: 1, In: svd, Default: "Off", Set: setFlag(func(c *Config) *httpd.Opt[bool] { return &c.preserveHost }),
			Doc: "Whether the other server sees the client's Host."},
		{Name: "ProxyAddHeaders", Args: "On|Off", Min: 1, Max: 1, In: svd, Default: "On", Set: setFlag(func(c *Config) *httpd.Opt[bool] { return &c.addHeaders }),
			Doc: "Whether the other server gets X-Forwarded-For, -Host and -Server."},
		{Name: "ProxyVia", Args: "On|Off|Full|Block", Min: 1, Max: 1, In: sv, Default: "Off", Set: setVia,
			Doc: "Whether requests and responses carry a Via field."},
		{Name: "ProxyErrorOverride", Args: "On|Off [code ...]", Min: 1, Max: -1, In: svd, Default: "Off", Set: setErrorOverride,
			Doc: "Whether errors of the other server are answered with own pages."},
		{Name: "ProxyTimeout", Args: "time", Min: 1, Max: 1, In: sv, Default: "value of Timeout", Set: setTimeout,
			Doc: "How long the other server may be silent."},
		{Name: "Proxy100Continue", Args: "On|Off", Min: 1, Max: 1, In: svd, Default: "On", Set: setFlag(func(c *Config) *httpd.Opt[bool] { return &c.expect }),
			Doc: "Whether Expect: 100-continue is passed on."},
		{Name: "ProxySourceAddress", Args: "address", Min: 1, Max: 1, In: sv, Set: setSource,
			Doc: "Local address of the connections to other servers."},
		{Name: "ProxyRequests", Args: "Off", Min: 1, Max: 1, In: sv, Default: "Off", Set: setRequests,
			Doc: "On is refused: there is no forward proxy."},
		{Name: "ProxyBadHeader", Args: "IsError", Min: 1, Max: 1, In: sv, Default: "IsError", Set: setBadHeader,
			Doc: "A malformed field in an answer is an error; other values are refused."},
		{Name: "ProxyPassInterpolateEnv", Args: "Off", Min: 1, Max: 1, In: svd, Default: "Off", Set: setInterpolate,
			Doc: "On is refused: variables in ProxyPass lines are not replaced."},
		{Name: "BalancerMember", Args: "[balancer://name] url [key=value ...]", Min: 1, Max: -1, In: sv | httpd.InProxy, Set: setMember,
			Doc: "Adds a server to a balancer."},
		{Name: "ProxySet", Args: "[url] key=value ...", Min: 1, Max: -1, In: sv | httpd.InProxy | httpd.InLocation, Set: setSet,
			Doc: "Sets parameters of a server or a balancer."},
		{Name: "Proxy", Args: "url-prefix|wildcard [key=value ...]", Min: 1, Max: -1, In: sv, Section: true,
			Doc: "Settings, above all access control, for requests that go to matching URLs."},
		{Name: "ProxyMatch", Args: "regex", Min: 1, Max: 1, In: sv, Section: true, Doc: "As Proxy, with a regular expression."},
		noEffect("ProxyIOBufferSize", "bytes", sv), noEffect("ProxyReceiveBufferSize", "bytes", sv), noEffect("ProxyDomain", "domain", sv),
		noEffect("ProxyMaxForwards", "number", sv), noEffect("ProxyStatus", "On|Off|Full", sv), noEffect("ProxyWebsocketFallbackToProxyHttp", "On|Off", sv),
		noEffect("BalancerGrowth", "number", sv), noEffect("BalancerInherit", "On|Off", sv), noEffect("BalancerPersist", "On|Off", sv),
	}, tlsDirectives...),
	Begin:     begin,
	Merge:     merge,
	Routes:    routes,
	Translate: translate,
	Fixup:     fixup,
	Handler:   handle,
	Check:     check,
	Finish:    finish,
}

func noEffect(name, args string, in httpd.Context) httpd.Directive[Config] {
	return httpd.Directive[Config]{Name: name, Args: args, Min: 1, Max: 1, In: in, NoEffect: true, Doc: "Accepted without effect.",
		Set: func(k *httpd.Cmd, _ *Config) error {
			k.Notice(httpd.CodeIgnored, "accepted without effect")
			return nil
		}}
}

func merge(p, k *Config) *Config {
	c := &Config{own: k.own, entries: p.entries, reg: p.reg,
		reverse: append(slices.Clip(p.reverse), k.reverse...), domains: append(slices.Clip(p.domains), k.domains...), paths: append(slices.Clip(p.paths), k.paths...),
		inherit: p.inherit.Over(k.inherit), preserveHost: p.preserveHost.Over(k.preserveHost), addHeaders: p.addHeaders.Over(k.addHeaders),
		via: p.via.Over(k.via), timeout: p.timeout.Over(k.timeout), errorOverride: p.errorOverride.Over(k.errorOverride),
		expect: p.expect.Over(k.expect), source: p.source.Over(k.source), tls: p.tls.over(k.tls)}
	if c.own == nil {
		c.own = p.own
	}
	if c.reg == nil {
		c.reg = k.reg
	}
	if !c.inherit.Or(true) {
		c.entries = k.entries
	} else {
		c.entries = append(slices.Clip(c.entries), k.entries...)
	}
	return c
}

func setFlag(field func(*Config) *httpd.Opt[bool]) func(*httpd.Cmd, *Config) error {
	return func(k *httpd.Cmd, c *Config) error {
		v, err := k.Flag(0)
		*field(c) = httpd.Some(v)
		return err
	}
}

func setVia(k *httpd.Cmd, c *Config) error {
	switch v := strings.ToLower(k.Arg(0)); v {
	case "on", "off", "full", "block":
		c.via = httpd.Some(v)
		return nil
	}
	return fmt.Errorf("must be On, Off, Full or Block, not %q", k.Arg(0))
}

func setErrorOverride(k *httpd.Cmd, c *Config) error {
	on, err := k.Flag(0)
	if err != nil {
		return err
	}
	o := override{on: on}
	for _, w := range k.Args[1:] {
		code, err := strconv.Atoi(w)
		if err != nil || code < 400 || code > 599 || http.StatusText(code) == "" {
			return fmt.Errorf("%q is not the status of an error, 400 to 599", w)
		}
		if !on {
			return errors.New("statuses are listed after On only")
		}
		o.codes = append(o.codes, code)
	}
	c.errorOverride = httpd.Some(o)
	return nil
}

func setTimeout(k *httpd.Cmd, c *Config) error {
	d, err := httpd.ParseDuration(k.Arg(0), time.Second)
	if err == nil && d < time.Millisecond {
		err = errors.New("must be at least a millisecond")
	}
	c.timeout = httpd.Some(d)
	return err
}

func setSource(k *httpd.Cmd, c *Config) error {
	a, err := netip.ParseAddr(k.Arg(0))
	if err != nil {
		return fmt.Errorf("%q is not an IP address", k.Arg(0))
	}
	c.source = httpd.Some(a)
	return nil
}

func setRequests(k *httpd.Cmd, _ *Config) error {
	if on, err := k.Flag(0); err != nil {
		return err
	} else if on {
		return &httpd.Coded{Code: httpd.CodeUnavailable, Message: "there is no forward proxy", Suggestion: "ProxyPass works without it; leave the line out"}
	}
	return nil
}

func setBadHeader(k *httpd.Cmd, _ *Config) error {
	if !strings.EqualFold(k.Arg(0), "IsError") {
		return &httpd.Coded{Code: httpd.CodeUnavailable, Message: fmt.Sprintf("%q is not supported: an answer with a malformed field is always an error", k.Arg(0)), Suggestion: "ProxyBadHeader IsError"}
	}
	return nil
}

func setInterpolate(k *httpd.Cmd, _ *Config) error {
	if on, err := k.Flag(0); err != nil {
		return err
	} else if on {
		return &httpd.Coded{Code: httpd.CodeUnavailable, Message: "variables in ProxyPass lines are not replaced", Suggestion: "use RewriteRule with the flag P"}
	}
	return nil
}

// begin notes whether LoadModule names the module.
func begin(tree *conf.Tree, c *Config) {
	if loaded(tree.Root) {
		c.reg = newRegistry()
	}
}

func loaded(list []*conf.Directive) bool {
	return slices.ContainsFunc(list, func(d *conf.Directive) bool {
		return strings.EqualFold(d.Name, "LoadModule") && len(d.Args) > 0 && strings.EqualFold(d.Args[0], "proxy_module") || loaded(d.Children)
	})
}

// finish completes what the whole file says about servers and balancers.
func finish(_ *httpd.Server, c *Config, report func(conf.Diagnostic)) {
	if c.reg != nil {
		c.reg.finish(report)
	}
}

// check warns of https:// servers of a host that anybody can pretend to be.
func check(k *httpd.Checker, c *Config) {
	if c.reg == nil || c.tls.require.Set || !c.tls.engine.V {
		return
	}
	for _, w := range c.reg.workers {
		if w.host == k.Host.Index() && w.t.secure() {
			k.Report(conf.Diagnostic{Severity: conf.Warning, Code: "PROXY-TLS", Pos: w.pos, Directive: "SSLProxyVerify",
				Message:    fmt.Sprintf("%s is not asked who signed its certificate", w.t.name()),
				Suggestion: "SSLProxyVerify require; or none, to keep it so"})
			return
		}
	}
}

// registryOf is the registry of the configuration that is being read.
func registryOf(k *httpd.Cmd, c *Config) *registry {
	main := httpd.MainConf(k, c)
	if main.reg == nil {
		main.reg = newRegistry()
	}
	c.reg = main.reg
	return main.reg
}
