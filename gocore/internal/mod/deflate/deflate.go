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
	level, window, buffer      httpd.Opt[int]
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
		coding.Row("DeflateWindowSize", "1-15", 1, 1, "15", coding.Number(1, maxWindow, func(c *config) *httpd.Opt[int] { return &c.window }),
			"How far back the compressor looks, as a power of two, in bytes; below 9 is 9. Other than 15, DeflateCompressionLevel has no effect."),
		memLevel,
		coding.Row("DeflateBufferSize", "bytes", 1, 1, "8096", coding.Number(1, 1<<30, func(c *config) *httpd.Opt[int] { return &c.buffer }),
			"After how many bytes of a decompressed request body DeflateInflateRatioLimit is looked at. Compressed responses are passed on as they come."),
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
		return &config{level: p.level.Over(k.level), window: p.window.Over(k.window), buffer: p.buffer.Over(k.buffer), Settings: p.Settings.Over(k.Settings), inflateLimit: p.inflateLimit.Over(k.inflateLimit),
			inflateRatio: p.inflateRatio.Over(k.inflateRatio), inflateBurst: p.inflateBurst.Over(k.inflateBurst)}
	},
	OutputFilters: []string{coding.Gzip.Filter},
	Filter:        filter,
	InputFilters:  []string{coding.Gzip.Filter},
	Input:         input,
}

func settings(c *config) *coding.Settings { return &c.Settings }

// minWindow is the smallest window that gzip has (RFC 1950 allows 8, which
// zlib takes as 9), maxWindow the largest, both as powers of two.
const minWindow, maxWindow = 9, 15

// memLevel is zlib's choice between memory and speed, which the compressor here
// does not have: it takes about 1.2 MB while a response passes.
var memLevel = httpd.Directive[config]{Name: "DeflateMemLevel", Args: "1-9", Min: 1, Max: 1, In: httpd.InServerHost, Default: "9", NoEffect: true,
	Set: func(k *httpd.Cmd, _ *config) error {
		if _, err := httpd.ParseInt(k.Arg(0), 1, 9); err != nil {
			return err
		}
		k.Notice(httpd.CodeIgnored, "accepted without effect: the compressor's memory is fixed, about 1.2 MB for each response that is being compressed")
		return nil
	},
	Doc: "Accepted; the compressor's memory is fixed, and used for the next response again. Nothing is lost: what clients get is the same."}

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
	e := get(c.level.Or(gzip.DefaultCompression), c.window.Or(maxWindow))
	return c.Filter(r, &e.to, e, func() { e.pool.Put(e) })
}

// encoder is a gzip.Writer with its buffer. Making one costs more than a
// megabyte, so that they are used again.
type encoder struct {
	*gzip.Writer
	to   coding.Buffer
	pool *sync.Pool
}

var (
	pools       [gzip.BestCompression - gzip.DefaultCompression + 1]sync.Pool // by level, the whole window
	windowPools [maxWindow - minWindow]sync.Pool                              // by a smaller window; these know no level
)

func get(level, window int) *encoder {
	window = max(window, minWindow)
	p := &pools[level-gzip.DefaultCompression]
	if window < maxWindow {
		p = &windowPools[window-minWindow]
	}
	if e, ok := p.Get().(*encoder); ok {
		e.Reset(&e.to)
		return e
	}
	e := &encoder{pool: p}
	if window < maxWindow {
		e.Writer, _ = gzip.NewWriterWindow(&e.to, 1<<window)
	} else {
		e.Writer, _ = gzip.NewWriterLevel(&e.to, level) // both fail for numbers out of range only
	}
	return e
}
