// Tests of times and of the fields they give. What is expected was asked of
// httpd 2.4.

package expires

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"modwsgi/gocore/internal/conf"
	"modwsgi/gocore/internal/httpd"
)

func TestParse(t *testing.T) {
	for s, want := range map[string]lifetime{
		"A60": {false, 60}, "M60": {true, 60}, "A-5": {false, -5}, "A0": {false, 0},
		"access plus 1 month": {false, 30 * 86400}, "now 2 hour 3 minutes": {false, 7380}, "Modification Plus 1 day": {true, 86400},
		"access plus 1 year 2 weeks 1 second": {false, 365*86400 + 14*86400 + 1}, "acc plus 1 d": {false, 86400}, "access": {false, 0},
		"access plus 0 seconds": {false, 0}, "access 2 mo 2 mi": {false, 2*30*86400 + 120},
	} {
		got, err := parse(s)
		if assert.NoError(t, err, s) {
			assert.Equal(t, want, got, s)
		}
	}
	for s, want := range map[string]string{
		"": "empty", "plus 1 day": "does not begin with", "60": "does not begin with", "A5x": "does not begin with",
		"access plus 1": "lacks a number or unit", "access plus -5 days": "not a number", "access plus x days": "not a number",
		"access plus 1 fortnight": "not a unit", "access plus 1 m": "not a unit", "access plus 5000 years": "too far away", "A99999999999": "too far away",
	} {
		_, err := parse(s)
		assert.ErrorContains(t, err, want, s)
	}
}

func read(t *testing.T, lines ...string) *config {
	c := &config{}
	for _, l := range lines {
		w := conf.Words(l)
		for i := range Module.Directives {
			if d := &Module.Directives[i]; d.Name == w[0] {
				require.NoError(t, d.Set(&httpd.Cmd{Directive: &conf.Directive{Name: w[0], Args: w[1:]}}, c), l)
			}
		}
	}
	return c
}

func TestResponse(t *testing.T) {
	file := filepath.Join(t.TempDir(), "f")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	start := time.Date(2030, 1, 1, 0, 0, 0, 5, time.UTC)
	require.NoError(t, os.Chtimes(file, start.Add(-time.Hour), start.Add(-time.Hour)))
	info, err := os.Stat(file)
	require.NoError(t, err)
	const none = ""
	for _, c := range []struct {
		lines []string
		set   func(r *httpd.Request, h *httpd.ResponseHead)
		cc, e string
	}{
		{[]string{"ExpiresDefault A60"}, nil, "max-age=60", "Tue, 01 Jan 2030 00:01:00 GMT"},
		{[]string{"ExpiresByType text/html A5", "ExpiresDefault A60"}, nil, "max-age=5", "Tue, 01 Jan 2030 00:00:05 GMT"},
		{[]string{"ExpiresByType TEXT/* A6", "ExpiresDefault A60"}, nil, "max-age=6", "Tue, 01 Jan 2030 00:00:06 GMT"},
		{[]string{"ExpiresByType image/png A6"}, nil, none, none},
		{[]string{"ExpiresDefault A-5"}, nil, "max-age=0", "Tue, 01 Jan 2030 00:00:00 GMT"},
		{[]string{"ExpiresDefault M7200"}, nil, "max-age=3600", "Tue, 01 Jan 2030 01:00:00 GMT"},
		{[]string{"ExpiresDefault M60"}, nil, "max-age=0", "Tue, 01 Jan 2030 00:00:00 GMT"},
		{[]string{"ExpiresDefault M60"}, func(r *httpd.Request, _ *httpd.ResponseHead) { r.Handler = "wsgi-script" }, none, none},
		{[]string{"ExpiresDefault M60"}, func(r *httpd.Request, _ *httpd.ResponseHead) { r.Info = nil }, none, none},
		{[]string{"ExpiresDefault A60"}, func(_ *httpd.Request, h *httpd.ResponseHead) { h.Status = 404 }, none, none},
		{[]string{"ExpiresDefault A60"}, func(_ *httpd.Request, h *httpd.ResponseHead) { h.Status = 304 }, "max-age=60", "Tue, 01 Jan 2030 00:01:00 GMT"},
		{[]string{"ExpiresByType text/css A7"}, func(r *httpd.Request, h *httpd.ResponseHead) { h.Del("Content-Type"); r.ContentType = "text/css" }, "max-age=7", "Tue, 01 Jan 2030 00:00:07 GMT"},
		{[]string{"ExpiresDefault A60"}, func(_ *httpd.Request, h *httpd.ResponseHead) { h.Set("Expires", "0") }, none, "0"},
		{[]string{"ExpiresDefault A60"}, func(_ *httpd.Request, h *httpd.ResponseHead) { h.Set("Cache-Control", "private") }, "private, max-age=60", "Tue, 01 Jan 2030 00:01:00 GMT"},
	} {
		r := &httpd.Request{Start: start, Info: info}
		h := &httpd.ResponseHead{Status: 200, Header: httpd.Fields{{Name: "Content-Type", Value: "Text/HTML; charset=utf-8"}}}
		if c.set != nil {
			c.set(r, h)
		}
		response(r, read(t, c.lines...), h)
		cc, _ := h.Get("Cache-Control")
		e, _ := h.Get("Expires")
		assert.Equal(t, c.cc, cc, "%v", c.lines)
		assert.Equal(t, c.e, e, "%v", c.lines)
	}
}

func TestMerge(t *testing.T) {
	p := read(t, "ExpiresActive On", "ExpiresByType a/b A1", "ExpiresByType a/c A2", "ExpiresDefault A3")
	c := Module.Merge(p, read(t, "ExpiresByType a/c A4"))
	assert.Equal(t, map[string]lifetime{"a/b": {false, 1}, "a/c": {false, 4}}, c.byType)
	assert.Equal(t, lifetime{false, 3}, c.def.V)
	assert.True(t, Module.HasResponse(c))
	assert.False(t, Module.HasResponse(Module.Merge(p, read(t, "ExpiresActive Off"))))
	assert.False(t, Module.HasResponse(read(t, "ExpiresActive On")))
	for _, bad := range []string{"text", "*/*", "text/", "text/plain;x", "/x"} {
		d := &conf.Directive{Name: "ExpiresByType", Args: []string{bad, "A1"}}
		assert.ErrorContains(t, setByType(&httpd.Cmd{Directive: d}, &config{}), "not a media type", bad)
	}
}

func FuzzTime(f *testing.F) {
	for _, s := range []string{"A60", "M-1", "access plus 1 month 2 days", "now", "modification 3 h"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if l, err := parse(s); err == nil {
			assert.LessOrEqual(t, l.seconds, int64(maxSeconds))
			assert.GreaterOrEqual(t, l.seconds, int64(-maxSeconds))
		}
	})
}
