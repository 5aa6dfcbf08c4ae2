// Package logio is mod_logio: bytes and the time to the first byte in access
// logs. The letters %I, %O, %S and %^FB are mod_log_config's here (package
// logconfig); this module has the directive that switches the last one on.
package logio

import "modwsgi/gocore/internal/httpd"

// Config is the module's settings of one scope.
type Config struct{ track httpd.Opt[bool] }

// Module is mod_logio.
var Module = &httpd.Module[Config]{
	Name: "logio", ID: "logio_module", File: "mod_logio.c",
	Directives: []httpd.Directive[Config]{
		{Name: "LogIOTrackTTFB", Args: "On|Off", Min: 1, Max: 1, In: httpd.Anywhere, Override: httpd.OverrideAll, Default: "Off",
			Set: func(k *httpd.Cmd, c *Config) error {
				on, err := k.Flag(0)
				c.track = httpd.Some(on)
				return err
			},
			Doc: "Whether %^FB of access logs shows the time to the first byte of a response, in microseconds."},
	},
	Merge: func(p, k *Config) *Config { return &Config{p.track.Over(k.track)} },
}

// Tracks reports whether LogIOTrackTTFB is On for a request.
func Tracks(r *httpd.Request) bool {
	c, ok := httpd.ConfigOf(r, Module)
	return ok && c.track.V
}
