// Package deflate is mod_deflate: the output filter DEFLATE, which compresses
// responses with gzip, and what decompresses (inflate.go). Which responses it gets is said with SetOutputFilter,
// AddOutputFilter and AddOutputFilterByType; package coding has the rules.
package deflate

import (
	"strings"
	"sync"

	"github.com/klauspost/compress/gzip"

	"modwsgi/gocore/internal/httpd"
	"modwsgi/gocore/internal/mod/coding"
)

type config struct {
	level                      httpd.Opt[int]
	inflateLimit               httpd.Opt[int64]
	inflateRatio, inflateBurst httpd.Opt[int]
	coding.Settings
}

// Module is mod_deflate.
var Module = &httpd.Module[config]{
	Name: "deflate", ID: "deflate_module", File: "mod_deflate.c",
	Directives: []httpd.Directive[config]{
		coding.Row("DeflateCompressionLevel", "1-9", 1, 1, "zlib's default", coding.Number(1, 9, func(c *config) *httpd.Opt[int] { return &c.level }), "How hard responses are compressed: 1 is fastest, 9 smallest."),
		coding.ETagRow("Deflate", settings),
		coding.NoteRow("Deflate", settings),
		tuning("DeflateMemLevel", "1-9", "9", 1, 9, "memory"),
		tuning("DeflateWindowSize", "1-15", "15", 1, 15, "window size"),
		tuning("DeflateBufferSize", "bytes", "8096", 1, 1<<30, "buffer size"),
		limit("DeflateInflateLimitRequestBody", "bytes", "LimitRequestBody", "The largest request body after the input filter DEFLATE; 0 is LimitRequestBody.", func(k *httpd.Cmd, c *config) error {
			n, err := httpd.ParseInt(k.Arg(0), 0, 1<<62)
			c.inflateLimit = httpd.Some(n)
			return err
		}),
		limit("DeflateInflateRatioLimit", "number", "200", "To how many times its size a request body may decompress.",
			coding.Number(1, 1<<31-1, func(c *config) *httpd.Opt[int] { return &c.inflateRatio })),
		limit("DeflateInflateRatioBurst", "number", "3", "How many times in a row, each 8 KiB, the ratio may be over DeflateInflateRatioLimit.",
			coding.Number(1, 1<<31-1, func(c *config) *httpd.Opt[int] { return &c.inflateBurst })),
	},
	Merge: func(p, k *config) *config {
		return &config{level: p.level.Over(k.level), Settings: p.Settings.Over(k.Settings), inflateLimit: p.inflateLimit.Over(k.inflateLimit),
			inflateRatio: p.inflateRatio.Over(k.inflateRatio), inflateBurst: p.inflateBurst.Over(k.inflateBurst)}
	},
	OutputFilters: []string{coding.Gzip.Filter},
	Filter:        filter,
	InputFilters:  []string{coding.Gzip.Filter},
	Input:         input,
}

func settings(c *config) *coding.Settings { return &c.Settings }

// tuning is a directive about zlib's memory, which the compressor here does
// not have.
func tuning(name, args, def string, min, max int64, what string) httpd.Directive[config] {
	d := coding.Row(name, args, 1, 1, def, func(k *httpd.Cmd, _ *config) error {
		if _, err := httpd.ParseInt(k.Arg(0), min, max); err != nil {
			return err
		}
		k.Notice(httpd.CodeIgnored, "accepted without effect: the compressor's %s is fixed", what)
		return nil
	}, "Accepted; the compressor's "+what+" is fixed.")
	d.NoEffect = true
	return d
}

// limit is a directive about request bodies that are decompressed.
func limit(name, args, def, doc string, set func(*httpd.Cmd, *config) error) httpd.Directive[config] {
	return httpd.Directive[config]{Name: name, Args: args, Min: 1, Max: 1, In: httpd.Anywhere, Override: httpd.OverrideFileInfo, Default: def, Doc: doc, Set: set}
}

// filter takes the body if the response is to be compressed with gzip.
func filter(r *httpd.Request, c *config, h *httpd.ResponseHead) httpd.BodyFilter {
	if v, ok := r.Env("gzip-only-text/html"); ok && v != "0" {
		t, _ := h.Get("Content-Type")
		t, _, _ = strings.Cut(t, ";")
		if !strings.EqualFold(strings.TrimSpace(t), "text/html") {
			return nil
		}
	}
	if !coding.Gzip.Apply(r, h, c.ETag.V) {
		return nil
	}
	e := get(c.level.Or(gzip.DefaultCompression))
	return c.Filter(r, &e.to, e, func() { e.pool.Put(e) })
}

// encoder is a gzip.Writer with its buffer. Making one costs some hundred
// kilobytes, so that they are used again.
type encoder struct {
	*gzip.Writer
	to   coding.Buffer
	pool *sync.Pool
}

var pools [gzip.BestCompression - gzip.DefaultCompression + 1]sync.Pool

func get(level int) *encoder {
	p := &pools[level-gzip.DefaultCompression]
	if e, ok := p.Get().(*encoder); ok {
		e.Reset(&e.to)
		return e
	}
	e := &encoder{pool: p}
	e.Writer, _ = gzip.NewWriterLevel(&e.to, level) // fails for a level out of range only
	return e
}
