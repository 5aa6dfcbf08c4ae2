// Package brotli is mod_brotli: the output filter BROTLI_COMPRESS. Which
// responses it gets is said with SetOutputFilter, AddOutputFilter and
// AddOutputFilterByType; package coding has the rules.
package brotli

import (
	"sync"

	"github.com/andybalholm/brotli"

	"modwsgi/gocore/internal/httpd"
	"modwsgi/gocore/internal/mod/coding"
)

// Defaults of mod_brotli.
const (
	defaultQuality = 5
	defaultWindow  = 18 // 256 KiB
)

type config struct {
	quality, window httpd.Opt[int]
	etag            httpd.Opt[coding.AlterETag]
	notes           coding.Notes
}

// Module is mod_brotli.
var Module = &httpd.Module[config]{
	Name: "brotli", ID: "brotli_module", File: "mod_brotli.c",
	Directives: []httpd.Directive[config]{
		row("BrotliCompressionQuality", "0-11", 1, 1, "5", number(0, 11, func(c *config) *httpd.Opt[int] { return &c.quality }), "How hard responses are compressed: 0 is fastest, 11 smallest."),
		row("BrotliCompressionWindow", "10-24", 1, 1, "18", number(10, 24, func(c *config) *httpd.Opt[int] { return &c.window }), "The window of the compressor as a power of two, in bytes."),
		row("BrotliAlterETag", "AddSuffix|NoChange|Remove", 1, 1, "AddSuffix", setETag, "What happens to the ETag of a compressed response."),
		row("BrotliFilterNote", "[Input|Output|Ratio] note", 1, 2, "", func(k *httpd.Cmd, c *config) error { return c.notes.Set(k) },
			"Leaves the size before, the size after, or their ratio in percent as a note for access logs."),
		{Name: "BrotliCompressionMaxInputBlock", Args: "0|16-24", Min: 1, Max: 1, In: httpd.InServerHost, Default: "0", NoEffect: true, Set: setBlock,
			Doc: "Accepted; the compressor chooses its blocks itself."},
	},
	Merge: func(p, k *config) *config {
		return &config{quality: p.quality.Over(k.quality), window: p.window.Over(k.window), etag: p.etag.Over(k.etag), notes: p.notes.Over(k.notes)}
	},
	OutputFilters: []string{coding.Brotli.Filter},
	Filter:        filter,
}

func row(name, args string, min, max int, def string, set func(*httpd.Cmd, *config) error, doc string) httpd.Directive[config] {
	return httpd.Directive[config]{Name: name, Args: args, Min: min, Max: max, In: httpd.InServerHost, Default: def, Set: set, Doc: doc}
}

func number(min, max int64, field func(*config) *httpd.Opt[int]) func(*httpd.Cmd, *config) error {
	return func(k *httpd.Cmd, c *config) error {
		n, err := httpd.ParseInt(k.Arg(0), min, max)
		*field(c) = httpd.Some(int(n))
		return err
	}
}

func setETag(k *httpd.Cmd, c *config) error {
	a, err := coding.ParseAlterETag(k.Arg(0))
	c.etag = httpd.Some(a)
	return err
}

func setBlock(k *httpd.Cmd, _ *config) error {
	if k.Arg(0) != "0" {
		if _, err := httpd.ParseInt(k.Arg(0), 16, 24); err != nil {
			return err
		}
	}
	k.Notice(httpd.CodeIgnored, "accepted without effect: the compressor chooses its blocks itself")
	return nil
}

// filter takes the body if the response is to be compressed with Brotli.
func filter(r *httpd.Request, c *config, h *httpd.ResponseHead) httpd.BodyFilter {
	if !coding.Brotli.Apply(r, h, c.etag.V) {
		return nil
	}
	e := get(brotli.WriterOptions{Quality: c.quality.Or(defaultQuality), LGWin: c.window.Or(defaultWindow)})
	return coding.NewFilter(&e.to, e, func(in, out int64) {
		c.notes.Write(r, in, out)
		e.pool.Put(e)
	})
}

// encoder is a brotli.Writer with its buffer, to be used again.
type encoder struct {
	*brotli.Writer
	to   coding.Buffer
	pool *sync.Pool
}

var pools sync.Map // brotli.WriterOptions -> *sync.Pool; as many as the configuration has settings

func get(o brotli.WriterOptions) *encoder {
	v, ok := pools.Load(o)
	if !ok {
		v, _ = pools.LoadOrStore(o, new(sync.Pool))
	}
	p := v.(*sync.Pool)
	if e, ok := p.Get().(*encoder); ok {
		e.Reset(&e.to)
		return e
	}
	e := &encoder{pool: p}
	e.Writer = brotli.NewWriterOptions(&e.to, o)
	return e
}
