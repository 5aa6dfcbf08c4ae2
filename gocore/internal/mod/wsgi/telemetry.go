// Readers of the directives about telemetry; package worker sends it.
package wsgi

import (
	"fmt"
	"strings"
	"time"

	"modwsgi/gocore/internal/httpd"
)

// maxSocketPath is the size of sockaddr_un.sun_path of unix(7) without its NUL.
const maxSocketPath = 107

func setSlowRequests(k *httpd.Cmd, c *config) error {
	v, err := seconds(k.Arg(0))
	mainOf(k, c).python.SlowRequests = v
	return err
}

// Of WSGITelemetryService, in seconds.
const (
	telemetryInterval = 1.0
	telemetryLeast    = 0.5
)

func setTelemetryService(k *httpd.Cmd, c *config) error {
	path, ok := strings.CutPrefix(k.Arg(0), "unix:")
	if !ok || !strings.HasPrefix(path, "/") {
		return fmt.Errorf("%q is not unix:/path", k.Arg(0))
	}
	if len(path) > maxSocketPath {
		return fmt.Errorf("%q is longer than a socket's name can be (%d bytes)", path, maxSocketPath)
	}
	interval := telemetryInterval
	if w := k.Arg(1); w != "" {
		v, ok := strings.CutPrefix(w, "interval=")
		n, err := seconds(v)
		if !ok || err != nil || n < telemetryLeast {
			return fmt.Errorf("%q is not interval=seconds with at least %g seconds", w, telemetryLeast)
		}
		interval = n
	}
	t := &mainOf(k, c).python.Telemetry
	t.Path, t.Interval = path, time.Duration(interval*float64(time.Second))
	return nil
}

// setTelemetryOptions: all flags without sign replace those before, all with sign change them.
func setTelemetryOptions(k *httpd.Cmd, c *config) error {
	agent := &mainOf(k, c).python.Telemetry.UserAgent
	signed, on := 0, false
	for _, w := range k.Args {
		name := strings.TrimLeft(w, "+-")
		if len(w)-len(name) > 1 || name == "" {
			return fmt.Errorf("%q is not a flag", w)
		}
		sign := len(w) != len(name)
		if sign {
			signed++
		}
		switch strings.ToLower(name) {
		case "none", "all":
			if sign {
				return fmt.Errorf("%q takes no sign", name)
			}
			on = strings.EqualFold(name, "all")
		case "captureuseragent":
			on = w[0] != '-'
		default:
			return fmt.Errorf("unknown flag %q; known are None, All and CaptureUserAgent", name)
		}
	}
	if signed != 0 && signed != len(k.Args) {
		return fmt.Errorf("flags must all have a sign or none")
	}
	*agent = on
	return nil
}
