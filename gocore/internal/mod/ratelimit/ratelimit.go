// Package ratelimit is mod_ratelimit: the output filter RATE_LIMIT, which
// paces responses. The variables rate-limit (KiB per second) and
// rate-initial-burst (KiB that go out at once) say how fast.
package ratelimit

import (
	"strconv"
	"time"

	"modwsgi/gocore/internal/httpd"
)

// interval is the time between two parts of a response, as in mod_ratelimit.
const interval = 200 * time.Millisecond

type config struct{}

// Module is mod_ratelimit.
var Module = &httpd.Module[config]{
	Name: "ratelimit", ID: "ratelimit_module", File: "mod_ratelimit.c",
	OutputFilters: []string{"RATE_LIMIT"},
	Filter:        filter,
}

// filter paces the response if the variables ask for it. Without rate-limit,
// or with one that is no positive number, it goes out as fast as it can.
func filter(r *httpd.Request, _ *config, h *httpd.ResponseHead) httpd.BodyFilter {
	if !r.HasOutputFilter("RATE_LIMIT") {
		return nil
	}
	rate := variable(r, "rate-limit")
	if rate <= 0 {
		return nil
	}
	h.KeepLength()
	return &pacer{part: max(1, rate*1024*int(interval/time.Millisecond)/1000), burst: variable(r, "rate-initial-burst") * 1024}
}

// variable reads a number of KiB, 0 if there is none. More than a terabyte is
// none either: it would only overflow.
func variable(r *httpd.Request, name string) int {
	v, ok := r.Env(name)
	if !ok {
		return 0
	}
	n, err := strconv.Atoi(v)
	if err != nil || n < 0 || n > 1<<30 {
		r.Logf(httpd.LevelError, "ratelimit", "the variable %s has the value %q, which is not a number of KiB: no limit", name, v)
		return 0
	}
	return n
}

// pacer leaves the bytes as they are and says when they go.
type pacer struct{ part, burst int }

// Pace implements httpd.Pacer.
func (p *pacer) Pace(n int) (now int, wait time.Duration) {
	if p.burst > 0 {
		now = min(n, p.burst)
		p.burst -= now
		return now, 0
	}
	now = min(n, p.part)
	// a part that is not full takes its share of the time
	return now, interval * time.Duration(now) / time.Duration(p.part)
}

// Write implements httpd.BodyFilter.
func (p *pacer) Write(dst, b []byte) ([]byte, error) { return append(dst, b...), nil }

// Flush implements httpd.BodyFilter.
func (p *pacer) Flush(dst []byte) ([]byte, error) { return dst, nil }

// Close implements httpd.BodyFilter.
func (p *pacer) Close(dst []byte) ([]byte, error) { return dst, nil }

var _ httpd.Pacer = (*pacer)(nil)
