// Package http2 is mod_http2: its directives. The protocol itself is package
// gocore/internal/http2, connections are package listen's; Protocols, of the
// core, says where it is spoken. Nothing is pushed: clients have given it up.
//
// The whole module is in this file.
package http2

import (
	"fmt"
	"strconv"
	"strings"

	"modwsgi/gocore/internal/httpd"
)

type config struct {
	streams, window httpd.Opt[int]
	direct          httpd.Opt[bool]
}

// Module is mod_http2.
var Module = &httpd.Module[config]{
	Name: "http2", ID: "http2_module", File: "mod_http2.c",
	Directives: []httpd.Directive[config]{
		{Name: "H2MaxSessionStreams", Args: "n", Min: 1, Max: 1, In: httpd.InServerHost, Default: "100",
			Set: number(func(c *config) *httpd.Opt[int] { return &c.streams }, 1, 1000), Doc: "How many requests one HTTP/2 connection may carry at a time."},
		{Name: "H2WindowSize", Args: "bytes", Min: 1, Max: 1, In: httpd.InServerHost, Default: "65535",
			Set: number(func(c *config) *httpd.Opt[int] { return &c.window }, 1024, 1<<24), Doc: "How much of a request's body a client may send before it is read; large bodies get more as they are read."},
		{Name: "H2Direct", Args: "on|off", Min: 1, Max: 1, In: httpd.InServerHost, Default: "on",
			Set: setDirect, Doc: "Whether HTTP/2 in clear text may begin without an upgrade (Protocols h2c)."},
		{Name: "H2Upgrade", Args: "on|off", Min: 1, Max: 1, In: httpd.InServerHost | httpd.InSection, Default: "off",
			Set: unless("off", "RFC 9113 has dropped the upgrade from HTTP/1.1; clients begin with HTTP/2 (H2Direct) or agree on it with TLS"), Doc: "The upgrade from HTTP/1.1: off is all there is."},
		{Name: "H2Push", Args: "on|off", Min: 1, Max: 1, In: httpd.InServerHost | httpd.InSection, Default: "off",
			Set: unless("off", "nothing is pushed: browsers do not take it any more; 103 (Early Hints) passes"), Doc: "Server push: off is all there is."},
		{Name: "H2EarlyHints", Args: "on|off", Min: 1, Max: 1, In: httpd.InServerHost | httpd.InSection, Default: "on",
			Set: unless("on", "103 (Early Hints) of an application's backend passes always"), Doc: "Interim responses 103: they pass always."},
		{Name: "H2Padding", Args: "bits", Min: 1, Max: 1, In: httpd.InServerHost, Default: "0",
			Set: unless("0", "frames are not padded"), Doc: "Padding of frames: 0 is all there is."},
		{Name: "H2WebSockets", Args: "on|off", Min: 1, Max: 1, In: httpd.InServerHost, Default: "off",
			Set: unless("off", "WebSockets go over HTTP/1.1, which clients use for them unless the server says otherwise"), Doc: "WebSockets over HTTP/2: off is all there is."},
	},
	Merge: func(p, k *config) *config {
		return &config{p.streams.Over(k.streams), p.window.Over(k.window), p.direct.Over(k.direct)}
	},
	Host: func(v *httpd.VirtualHost, c *config) {
		v.H2Streams, v.H2Window, v.H2Direct = c.streams.Or(100), c.window.Or(65535), c.direct.Or(true)
	},
}

func number(field func(*config) *httpd.Opt[int], low, high int) func(*httpd.Cmd, *config) error {
	return func(k *httpd.Cmd, c *config) error {
		n, err := strconv.Atoi(k.Arg(0))
		if err != nil || n < low || n > high {
			return fmt.Errorf("%q is not a number from %d to %d", k.Arg(0), low, high)
		}
		*field(c) = httpd.Some(n)
		return nil
	}
}

func setDirect(k *httpd.Cmd, c *config) error {
	on, err := k.Flag(0)
	c.direct = httpd.Some(on)
	return err
}

// unless gives a notice for any other value than the one that is so anyway.
func unless(value, why string) func(*httpd.Cmd, *config) error {
	return func(k *httpd.Cmd, _ *config) error {
		if value == "0" {
			if _, err := strconv.ParseUint(k.Arg(0), 10, 4); err != nil {
				return fmt.Errorf("%q is not a number from 0 to 8", k.Arg(0))
			}
		} else if _, err := k.Flag(0); err != nil {
			return err
		}
		if !strings.EqualFold(k.Arg(0), value) {
			k.Notice(httpd.CodeIgnored, "no effect: %s", why)
		}
		return nil
	}
}
