// Package reqtimeout is mod_reqtimeout: how long a client may take to send a
// request's head and body. It fills in the time-outs of the virtual hosts; the
// connection code enforces them.
package reqtimeout

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"modwsgi/gocore/internal/httpd"
)

type config struct{ head, body, handshake httpd.Opt[httpd.ReadTimeout] }

// Module is mod_reqtimeout.
var Module = &httpd.Module[config]{
	Name: "reqtimeout", ID: "reqtimeout_module", File: "mod_reqtimeout.c",
	Directives: []httpd.Directive[config]{
		{Name: "RequestReadTimeout", Args: "[handshake|header|body]=timeout[-maxtimeout][,MinRate=rate] ...", Min: 1, Max: -1, In: httpd.InServerHost,
			Default: "handshake=0 header=20-40,MinRate=500 body=20,MinRate=500", Set: set, Doc: "How long a client may take to send a request."},
	},
	Merge: func(p, k *config) *config {
		return &config{p.head.Over(k.head), p.body.Over(k.body), p.handshake.Over(k.handshake)}
	},
	Host: func(v *httpd.VirtualHost, c *config) {
		h := c.head.Or(httpd.ReadTimeout{Time: 20 * time.Second, Max: 40 * time.Second, MinRate: 500})
		b := c.body.Or(httpd.ReadTimeout{Time: 20 * time.Second, MinRate: 500})
		v.HeaderTimeout, v.HeaderTimeoutMax, v.HeaderMinRate = h.Time, h.Max, h.MinRate
		v.BodyTimeout, v.BodyTimeoutMax, v.BodyMinRate = b.Time, b.Max, b.MinRate
		s := c.handshake.Or(httpd.ReadTimeout{}) // a handshake is a few kilobytes: they earn what can be earned
		v.HandshakeTimeout = max(s.Time, s.Max)
	},
}

// set reads the clauses. A clause may also be split: "header=20-40,MinRate=500"
// and "header=20" "header=MinRate=500" are the forms in use.
func set(k *httpd.Cmd, c *config) error {
	for _, w := range k.Args {
		name, value, ok := strings.Cut(w, "=")
		if !ok {
			return fmt.Errorf("%q is not stage=time", w)
		}
		var t httpd.ReadTimeout
		for i, part := range strings.Split(value, ",") {
			if r, isRate := cutFold(part, "minrate="); isRate {
				n, err := strconv.ParseUint(r, 10, 31)
				if err != nil || n == 0 {
					return fmt.Errorf("%q is not a rate", part)
				}
				t.MinRate = int(n)
				continue
			}
			if i > 0 {
				return fmt.Errorf("unknown %q", part)
			}
			first, last, has := strings.Cut(part, "-")
			var err error
			if t.Time, err = httpd.ParseDuration(first, time.Second); err != nil {
				return err
			}
			if has {
				if t.Max, err = httpd.ParseDuration(last, time.Second); err != nil {
					return err
				}
				if t.Max <= t.Time {
					return fmt.Errorf("the maximum of %q is not above its minimum", part)
				}
			}
		}
		if t.Max != 0 && t.MinRate == 0 {
			return fmt.Errorf("%q has a maximum but no MinRate to earn it with", w)
		}
		switch strings.ToLower(name) {
		case "header":
			c.head = httpd.Some(t)
		case "body":
			c.body = httpd.Some(t)
		case "handshake":
			c.handshake = httpd.Some(t)
		default:
			return fmt.Errorf("unknown stage %q", name)
		}
	}
	return nil
}

func cutFold(s, prefix string) (string, bool) {
	if len(s) >= len(prefix) && strings.EqualFold(s[:len(prefix)], prefix) {
		return s[len(prefix):], true
	}
	return s, false
}
