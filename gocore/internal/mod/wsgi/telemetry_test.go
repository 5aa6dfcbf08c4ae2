package wsgi_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"modwsgi/gocore/internal/conf"
	"modwsgi/gocore/internal/httpd"
	"modwsgi/gocore/internal/mod"
)

func compile(text string) (*httpd.Server, string) {
	tree, _ := conf.ParseText("t.conf", "Listen 8000\n"+text, httpd.ConfOptions(mod.All))
	s, diags := httpd.Compile(tree, mod.All)
	return s, fmt.Sprint(diags)
}

func TestTelemetry(t *testing.T) {
	for text, want := range map[string]httpd.Telemetry{
		"":                                 {},
		"WSGITelemetryService unix:/run/t": {Path: "/run/t", Interval: time.Second},
		"WSGITelemetryService unix:/t interval=0.5":                                     {Path: "/t", Interval: time.Second / 2},
		"WSGITelemetryOptions CaptureUserAgent":                                         {UserAgent: true},
		"WSGITelemetryOptions all":                                                      {UserAgent: true},
		"WSGITelemetryOptions All\nWSGITelemetryOptions None":                           {},
		"WSGITelemetryOptions +captureuseragent":                                        {UserAgent: true},
		"WSGITelemetryOptions CaptureUserAgent\nWSGITelemetryOptions -CaptureUserAgent": {},
	} {
		s, diags := compile(text)
		if !assert.NotNil(t, s, diags) {
			continue
		}
		assert.Equal(t, want, s.Python.Telemetry, text)
	}
	s, _ := compile("WSGISlowRequests 2.5")
	assert.Equal(t, 2.5, s.Python.SlowRequests)
}

func TestTelemetryErrors(t *testing.T) {
	for text, want := range map[string]string{
		"WSGITelemetryService tcp:x":                             `"tcp:x" is not unix:/path`,
		"WSGITelemetryService unix:t":                            `"unix:t" is not unix:/path`,
		"WSGITelemetryService unix:/t interval=0.4":              "at least 0.5 seconds",
		"WSGITelemetryService unix:/t every=3":                   "is not interval=seconds",
		"WSGITelemetryService unix:/" + strings.Repeat("x", 107): "longer than a socket's name",
		"WSGISlowRequests -1":                                    "is not a number of seconds",
		"WSGITelemetryOptions +All":                              `"All" takes no sign`,
		"WSGITelemetryOptions Other":                             `unknown flag "Other"`,
		"WSGITelemetryOptions +":                                 `"+" is not a flag`,
		"WSGITelemetryOptions +CaptureUserAgent All":             "a sign or none",
	} {
		_, diags := compile(text)
		assert.Contains(t, diags, want, text)
	}
}
