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
	coding.Settings
}

// Module is mod_brotli.
var Module = &httpd.Module[config]{
	Name: "brotli", ID: "brotli_module", File: "mod_brotli.c",
	Directives: []httpd.Directive[config]{
		coding.Row("BrotliCompressionQuality", "0-11", 1, 1, "5", coding.Number(0, 11, func(c *config) *httpd.Opt[int] { return &c.quality }), "How hard responses are compressed: 0 is fastest, 11 smallest."),
		coding.Row("BrotliCompressionWindow", "10-24", 1, 1, "18", coding.Number(10, 24, func(c *config) *httpd.Opt[int] { return &c.window }), "The window of the compressor as a power of two, in bytes."),
		coding.ETagRow("Brotli", settings),
		coding.NoteRow("Brotli", settings),
		{Name: "BrotliCompressionMaxInputBlock", Args: "0|16-24", Min: 1, Max: 1, In: httpd.InServerHost, Default: "0", NoEffect: true, Set: setBlock,
			Doc: "Accepted; the compressor chooses its blocks itself."},
	},
	Merge: func(p, k *config) *config {
		return &config{quality: p.quality.Over(k.quality), window: p.window.Over(k.window), Settings: p.Settings.Over(k.Settings)}
	},
	OutputFilters: []string{coding.Brotli.Filter},
	Filter:        filter,
}

func settings(c *config) *coding.Settings { return &c.Settings }

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
	if !coding.Brotli.Apply(r, h, c.ETag.V) {
		return nil
	}
	e := get(brotli.WriterOptions{Quality: c.quality.Or(defaultQuality), LGWin: c.window.Or(defaultWindow)})
	return c.Filter(r, &e.to, e, func() { e.pool.Put(e) })
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
