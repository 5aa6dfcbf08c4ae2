// This file reads the key=value parameters of ProxyPass, BalancerMember and
// ProxySet. Unknown keys and impossible values are errors.

package proxy

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"modwsgi/gocore/internal/httpd"
)

// Bits of a member's state (status=).
const (
	stDisabled   = 1 << iota // D: not used
	stStopped                // S: the same, as administrators say it
	stIgnore                 // I: never taken out of service for errors
	stHotStandby             // H: only if nobody else is left
	stHotSpare               // R: takes the place of an unusable member
	stError                  // E: starts out of service
	stDrain                  // N: only for requests that belong to it
)

var statusBits = map[byte]int{'D': stDisabled, 'S': stStopped, 'I': stIgnore, 'H': stHotStandby, 'R': stHotSpare, 'E': stError, 'N': stDrain}

// params are a server's parameters. Times of 0 mean "not given" unless said.
type params struct {
	timeout  httpd.Opt[time.Duration]
	connect  httpd.Opt[time.Duration]
	retry    httpd.Opt[time.Duration] // 0: never out of service
	acquire  httpd.Opt[time.Duration]
	ttl      httpd.Opt[time.Duration]
	max      httpd.Opt[int] // connections
	smax     httpd.Opt[int]
	reuse    httpd.Opt[bool]
	keep     httpd.Opt[bool] // TCP keep-alive
	flush    httpd.Opt[string]
	upgrade  httpd.Opt[string]
	field    httpd.Opt[int] // responsefieldsize
	route    httpd.Opt[string]
	redirect httpd.Opt[string]
	factor   httpd.Opt[int] // loadfactor in hundredths
	set      httpd.Opt[int] // lbset
	on, off  int            // status bits set and cleared
	nocanon  bool
}

// over puts later parameters above p.
func (p params) over(k params) params {
	return params{timeout: p.timeout.Over(k.timeout), connect: p.connect.Over(k.connect), retry: p.retry.Over(k.retry), acquire: p.acquire.Over(k.acquire),
		ttl: p.ttl.Over(k.ttl), max: p.max.Over(k.max), smax: p.smax.Over(k.smax), reuse: p.reuse.Over(k.reuse), keep: p.keep.Over(k.keep),
		flush: p.flush.Over(k.flush), upgrade: p.upgrade.Over(k.upgrade), field: p.field.Over(k.field),
		route: p.route.Over(k.route), redirect: p.redirect.Over(k.redirect), factor: p.factor.Over(k.factor), set: p.set.Over(k.set),
		on: p.on&^k.off | k.on, off: p.off&^k.on | k.off, nocanon: p.nocanon || k.nocanon}
}

// lbParams are a balancer's own parameters.
type lbParams struct {
	method   httpd.Opt[string]
	sticky   httpd.Opt[string] // stickysession: cookie, or cookie|path parameter
	sep      httpd.Opt[string]
	scolon   httpd.Opt[bool]
	nofail   httpd.Opt[bool]
	attempts httpd.Opt[int]
	statuses httpd.Opt[[]int] // failonstatus
	late     httpd.Opt[bool]  // failontimeout
	force    httpd.Opt[bool]  // forcerecovery
	timeout  httpd.Opt[time.Duration]
}

func (p lbParams) over(k lbParams) lbParams {
	return lbParams{method: p.method.Over(k.method), sticky: p.sticky.Over(k.sticky), sep: p.sep.Over(k.sep), scolon: p.scolon.Over(k.scolon),
		nofail: p.nofail.Over(k.nofail), attempts: p.attempts.Over(k.attempts), statuses: p.statuses.Over(k.statuses), late: p.late.Over(k.late),
		force: p.force.Over(k.force), timeout: p.timeout.Over(k.timeout)}
}

// reader gives one key its meaning.
type reader func(value string) error

func duration(to *httpd.Opt[time.Duration], unit, least time.Duration) reader {
	return func(v string) error {
		d, err := httpd.ParseDuration(v, unit)
		if err == nil && d < least {
			err = fmt.Errorf("%q is too short", v)
		}
		*to = httpd.Some(d)
		return err
	}
}

func number(to *httpd.Opt[int], least, most int64) reader {
	return func(v string) error {
		n, err := httpd.ParseInt(v, least, most)
		*to = httpd.Some(int(n))
		return err
	}
}

func flag(to *httpd.Opt[bool], means bool) reader {
	return func(v string) error {
		on, err := httpd.ParseFlag(v)
		*to = httpd.Some(on == means)
		return err
	}
}

func word(to *httpd.Opt[string]) reader {
	return func(v string) error {
		if v == "" {
			return fmt.Errorf("is empty")
		}
		*to = httpd.Some(v)
		return nil
	}
}

func without(k *httpd.Cmd, key string) reader {
	return func(string) error {
		k.Notice(httpd.CodeIgnored, "the parameter %s is accepted without effect", key)
		return nil
	}
}

func refused(why string) reader {
	return func(string) error { return &httpd.Coded{Code: httpd.CodeUnavailable, Message: why} }
}

// workerKeys are the parameters of a server.
func workerKeys(k *httpd.Cmd, p *params) map[string]reader {
	return map[string]reader{
		"timeout":           duration(&p.timeout, time.Second, time.Millisecond),
		"connectiontimeout": duration(&p.connect, time.Second, time.Millisecond),
		"retry":             duration(&p.retry, time.Second, 0),
		"acquire":           duration(&p.acquire, time.Millisecond, time.Millisecond),
		"ttl":               duration(&p.ttl, time.Second, time.Second),
		"max":               number(&p.max, 1, 1<<20),
		"smax":              number(&p.smax, 0, 1<<20),
		"min":               without(k, "min"),
		"disablereuse":      flag(&p.reuse, false),
		"enablereuse":       flag(&p.reuse, true),
		"keepalive":         flag(&p.keep, true),
		"flushpackets": func(v string) error {
			v = strings.ToLower(v)
			p.flush = httpd.Some(v)
			if v != "on" && v != "off" && v != "auto" {
				return fmt.Errorf("must be on, off or auto, not %q", v)
			}
			return nil
		},
		"flushwait":         without(k, "flushwait"), // what waits goes out after 10 ms
		"ping":              without(k, "ping"),
		"receivebuffersize": without(k, "receivebuffersize"),
		"iobuffersize":      without(k, "iobuffersize"),
		"addressttl":        without(k, "addressttl"),
		"responsefieldsize": number(&p.field, 1, 1<<30),
		"upgrade":           word(&p.upgrade),
		"route":             word(&p.route),
		"redirect":          word(&p.redirect),
		"lbset":             number(&p.set, 0, 99),
		"loadfactor": func(v string) error {
			var whole, part int
			w, f, _ := strings.Cut(v, ".")
			n, err := httpd.ParseInt(w, 0, 100)
			if whole = int(n); err != nil {
				return err
			}
			if f != "" {
				m, err := httpd.ParseInt((f + "0")[:2], 0, 99)
				if part = int(m); err != nil {
					return err
				}
			}
			if n := whole*100 + part; n >= 100 && n <= 10000 {
				p.factor = httpd.Some(n)
				return nil
			}
			return fmt.Errorf("%s is out of range, 1 to 100", v)
		},
		"status": func(v string) error {
			clear := false
			for i := 0; i < len(v); i++ {
				switch bit := statusBits[upper(v[i])]; {
				case v[i] == '+' || v[i] == '-':
					clear = v[i] == '-'
				case bit == 0:
					return fmt.Errorf("%q is not a state; they are D, S, I, H, R, E and N", v[i:i+1])
				case clear:
					p.off |= bit
				default:
					p.on |= bit
				}
			}
			return nil
		},
		"secret":     refused("secret= belongs to AJP, which is not available"),
		"mapping":    refused("mapping= is not supported"),
		"hcmethod":   refused("health checks (mod_proxy_hcheck) are not available"),
		"hcinterval": refused("health checks (mod_proxy_hcheck) are not available"),
		"hctemplate": refused("health checks (mod_proxy_hcheck) are not available"),
		"hcuri":      refused("health checks (mod_proxy_hcheck) are not available"),
		"hcexpr":     refused("health checks (mod_proxy_hcheck) are not available"),
	}
}

func upper(c byte) byte {
	if 'a' <= c && c <= 'z' {
		return c - 'a' + 'A'
	}
	return c
}

// balancerKeys are the parameters of a balancer.
func balancerKeys(k *httpd.Cmd, p *lbParams) map[string]reader {
	return map[string]reader{
		"lbmethod": func(v string) error {
			p.method = httpd.Some(v)
			if !slices.Contains([]string{"byrequests", "bytraffic", "bybusyness"}, v) {
				return fmt.Errorf("%q is not available; the methods are byrequests, bytraffic and bybusyness", v)
			}
			return nil
		},
		"stickysession": word(&p.sticky),
		"stickysessionsep": func(v string) error {
			if len(v) != 1 {
				return fmt.Errorf("must be one character, not %q", v)
			}
			p.sep = httpd.Some(v)
			return nil
		},
		"scolonpathdelim": flag(&p.scolon, true),
		"nofailover":      flag(&p.nofail, true),
		"maxattempts":     number(&p.attempts, 0, 99),
		"failonstatus": func(v string) error {
			var list []int
			for w := range strings.SplitSeq(v, ",") {
				n, err := httpd.ParseInt(w, 100, 599)
				if err != nil {
					return err
				}
				list = append(list, int(n))
			}
			p.statuses = httpd.Some(list)
			return nil
		},
		"failontimeout": flag(&p.late, true),
		"forcerecovery": flag(&p.force, true),
		"timeout":       duration(&p.timeout, time.Second, time.Millisecond),
		"nonce":         without(k, "nonce"),
		"growth":        without(k, "growth"),
	}
}

// readParams reads words of the form key=value; bare words are looked up in
// flags.
func readParams(words []string, keys map[string]reader, flags map[string]*bool) error {
	for _, w := range words {
		key, value, ok := strings.Cut(w, "=")
		if !ok {
			if f := flags[strings.ToLower(w)]; f != nil {
				*f = true
				continue
			}
			if strings.EqualFold(w, "interpolate") {
				return &httpd.Coded{Code: httpd.CodeUnavailable, Message: "variables in ProxyPass lines are not replaced", Suggestion: "use RewriteRule with the flag P"}
			}
			return fmt.Errorf("%q is not a parameter; they have the form key=value", w)
		}
		read := keys[strings.ToLower(key)]
		if read == nil {
			return fmt.Errorf("there is no parameter %q", key)
		}
		if err := read(value); err != nil {
			if coded := (*httpd.Coded)(nil); errors.As(err, &coded) {
				return err
			}
			return fmt.Errorf("%s: %w", key, err)
		}
	}
	return nil
}
