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
	etag  httpd.Opt[coding.AlterETag]
	notes coding.Notes
}

// Module is mod_zstd.
var Module = &httpd.Module[config]{
	Name: "zstd", ID: "zstd_module", File: "mod_zstd.c",
	Directives: []httpd.Directive[config]{
		row("ZstdCompressionLevel", "1-22", 1, 1, "3", setLevel, "How hard responses are compressed, as in the zstd program; levels with the same effect here are taken together."),
		row("ZstdAlterETag", "AddSuffix|NoChange|Remove", 1, 1, "AddSuffix", setETag, "What happens to the ETag of a compressed response."),
		row("ZstdFilterNote", "[Input|Output|Ratio] note", 1, 2, "", func(k *httpd.Cmd, c *config) error { return c.notes.Set(k) },
			"Leaves the size before, the size after, or their ratio in percent as a note for access logs."),
	},
	Merge: func(p, k *config) *config {
		return &config{level: p.level.Over(k.level), etag: p.etag.Over(k.etag), notes: p.notes.Over(k.notes)}
	},
	OutputFilters: []string{coding.Zstd.Filter},
	Filter:        filter,
}

func row(name, args string, min, max int, def string, set func(*httpd.Cmd, *config) error, doc string) httpd.Directive[config] {
	return httpd.Directive[config]{Name: name, Args: args, Min: min, Max: max, In: httpd.InServerHost, Default: def, Set: set, Doc: doc}
}

func setLevel(k *httpd.Cmd, c *config) error {
	n, err := httpd.ParseInt(k.Arg(0), 1, 22)
	c.level = httpd.Some(int(n))
	return err
}

func setETag(k *httpd.Cmd, c *config) error {
	a, err := coding.ParseAlterETag(k.Arg(0))
	c.etag = httpd.Some(a)
	return err
}

// filter takes the body if the response is to be compressed with Zstandard.
func filter(r *httpd.Request, c *config, h *httpd.ResponseHead) httpd.BodyFilter {
	if !coding.Zstd.Apply(r, h, c.etag.V) {
		return nil
	}
	e := get(zstd.EncoderLevelFromZstd(c.level.Or(defaultLevel)))
	return coding.NewFilter(&e.to, e, func(in, out int64) {
		c.notes.Write(r, in, out)
		e.pool.Put(e)
	})
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
