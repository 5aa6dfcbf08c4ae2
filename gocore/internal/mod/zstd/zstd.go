// Package zstd is the output filter ZSTD_COMPRESS: responses compressed with
// Zstandard (RFC 8878). httpd 2.4 has no such module; directives and behaviour
// follow mod_brotli. Which responses it gets is said with SetOutputFilter,
// AddOutputFilter and AddOutputFilterByType; package coding has the rules.
package zstd

import (
	"sync"

	"github.com/klauspost/compress/zstd"

	"modwsgi/gocore/internal/httpd"
	"modwsgi/gocore/internal/mod/coding"
)

const (
	defaultLevel = 3       // zstd's own
	window       = 1 << 20 // bytes; browsers need not accept more than 8 MiB (RFC 9659)
)

type config struct {
	level httpd.Opt[int]
	coding.Settings
}

// Module is mod_zstd.
var Module = &httpd.Module[config]{
	Name: "zstd", ID: "zstd_module", File: "mod_zstd.c",
	Directives: []httpd.Directive[config]{
		coding.Row("ZstdCompressionLevel", "1-22", 1, 1, "3", coding.Number(1, 22, func(c *config) *httpd.Opt[int] { return &c.level }), "How hard responses are compressed, as in the zstd program; levels with the same effect here are taken together."),
		coding.ETagRow("Zstd", settings),
		coding.NoteRow("Zstd", settings),
	},
	Merge: func(p, k *config) *config {
		return &config{level: p.level.Over(k.level), Settings: p.Settings.Over(k.Settings)}
	},
	OutputFilters: []string{coding.Zstd.Filter},
	Filter:        filter,
}

func settings(c *config) *coding.Settings { return &c.Settings }

// filter takes the body if the response is to be compressed with Zstandard.
func filter(r *httpd.Request, c *config, h *httpd.ResponseHead) httpd.BodyFilter {
	if !coding.Zstd.Apply(r, h, c.ETag.V) {
		return nil
	}
	e := get(zstd.EncoderLevelFromZstd(c.level.Or(defaultLevel)))
	return c.Filter(r, &e.to, e, func() { e.pool.Put(e) })
}

// encoder is a zstd.Encoder with its buffer, to be used again.
type encoder struct {
	*zstd.Encoder
	to   coding.Buffer
	pool *sync.Pool
}

var pools [zstd.SpeedBestCompression + 1]sync.Pool

func get(level zstd.EncoderLevel) *encoder {
	p := &pools[level]
	if e, ok := p.Get().(*encoder); ok {
		e.Reset(&e.to)
		return e
	}
	e := &encoder{pool: p}
	// One goroutine: the filter's caller is the only one that may append.
	e.Encoder, _ = zstd.NewWriter(&e.to, zstd.WithEncoderLevel(level), zstd.WithEncoderConcurrency(1), zstd.WithWindowSize(window), zstd.WithLowerEncoderMem(true)) // fails for bad options only
	return e
}
