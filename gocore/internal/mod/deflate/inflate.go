// This file decompresses gzip: the input filter DEFLATE for bodies of requests,
// within limits, and the output filter INFLATE for responses, of a server
// behind a proxy for instance, that another filter has to see in plain.

package deflate

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"iter"
	"math"
	"net/http"
	"strings"

	"github.com/klauspost/compress/gzip"

	"modwsgi/gocore/internal/httpd"
	"modwsgi/gocore/internal/mod/coding"
)

// Inflate is the part of mod_deflate that comes before all compressing
// modules: INFLATE. It has no settings of its own.
var Inflate = &httpd.Module[struct{}]{
	Name: "inflate", ID: "deflate_module", File: "mod_deflate.c",
	OutputFilters: []string{"INFLATE"},
	Filter:        inflateResponse,
}

const (
	defaultBuffer = 8096 // DeflateBufferSize: bytes of output between two looks at the ratio
	defaultRatio  = 200
	defaultBurst  = 3
)

// withoutGzip takes gzip, the coding that was applied last, off a
// Content-Encoding; false: it is another one.
func withoutGzip(encoding string) (string, bool) {
	rest, last := "", encoding
	if i := strings.LastIndexByte(encoding, ','); i >= 0 {
		rest, last = strings.TrimSpace(encoding[:i]), encoding[i+1:]
	}
	last = strings.TrimSpace(last)
	return rest, strings.EqualFold(last, "gzip") || strings.EqualFold(last, "x-gzip")
}

// input is the filter DEFLATE for bodies that the client says to be gzip.
func input(r *httpd.Request, c *config) httpd.InputFilter {
	if !r.HasInputFilter("DEFLATE") {
		return nil
	}
	if _, part := r.Get("Content-Range"); part {
		return nil
	}
	e, _ := r.Get("Content-Encoding")
	rest, ok := withoutGzip(e)
	if !ok {
		return nil
	}
	r.DelHeader("Content-Encoding")
	if rest != "" {
		r.SetHeader(append(r.Header[:len(r.Header):len(r.Header)], httpd.Field{Name: "Content-Encoding", Value: rest}))
	}
	r.DelHeader("Content-MD5")
	limit := r.BodyLimit()
	return func(body io.Reader) io.Reader { return newInflater(body, c, limit) }
}

// newInflater decompresses a body. limit is LimitRequestBody, which the core
// applies to the body as it was sent, and this filter to what becomes of it.
func newInflater(body io.Reader, c *config, limit int64) *inflater {
	if c.inflateLimit.V != 0 {
		limit = c.inflateLimit.V
	}
	raw := &counter{r: body}
	return &inflater{raw: raw, in: bufio.NewReader(raw), limit: limit, every: c.buffer.Or(defaultBuffer),
		ratio: int64(c.inflateRatio.Or(defaultRatio)), burst: c.inflateBurst.Or(defaultBurst)}
}

// counter counts what is read through it and remembers the error.
type counter struct {
	r   io.Reader
	n   int64
	err error
}

func (c *counter) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	if err != nil && err != io.EOF {
		c.err = err
	}
	return n, err
}

// inflater is the decompressed body. A body of some kilobytes can be made to
// decompress to gigabytes: the size, and the ratio of output to input, which
// may be over its limit for burst checks in a row, end it.
type inflater struct {
	raw          *counter
	in           *bufio.Reader
	gz           *gzip.Reader
	out, checked int64
	every        int // bytes of output between two looks at the ratio
	limit, ratio int64
	burst, hits  int
	err          error
}

// Read implements io.Reader.
func (f *inflater) Read(p []byte) (n int, err error) {
	if f.err != nil || len(p) == 0 {
		return 0, f.err
	}
	if n, err = f.read(p[:min(len(p), f.every)]); n > 0 {
		f.out += int64(n)
		if e := f.judge(); e != nil {
			n, err = 0, e
		}
	}
	if err != nil && !errors.Is(err, io.EOF) {
		var status *httpd.StatusError
		switch {
		case f.raw.err != nil:
			err = f.raw.err
		case !errors.As(err, &status):
			err = &httpd.StatusError{Status: http.StatusBadRequest, Err: fmt.Errorf("the body is no gzip stream: %w", err)}
		}
	}
	f.err = err
	return n, err
}

// read takes members (RFC 1952 section 2.2) until there is a byte or the end.
// What follows the last one and is none is ignored, as in httpd.
func (f *inflater) read(p []byte) (int, error) {
	for {
		if f.gz == nil {
			gz, err := gzip.NewReader(f.in)
			if err != nil {
				if errors.Is(err, io.EOF) && f.raw.n > 0 {
					err = io.ErrUnexpectedEOF
				}
				return 0, err
			}
			f.gz = gz
			gz.Multistream(false)
		}
		n, err := f.gz.Read(p)
		if n > 0 || err == nil {
			if errors.Is(err, io.EOF) { // comes again
				err = nil
			}
			return n, err
		}
		if !errors.Is(err, io.EOF) {
			return 0, err
		}
		next, err := f.in.Peek(2)
		if !bytes.Equal(next, []byte{0x1f, 0x8b}) {
			if err == nil || errors.Is(err, io.EOF) {
				_, err = io.Copy(io.Discard, f.in)
			}
			if err == nil {
				err = io.EOF
			}
			return 0, err
		}
		if err := f.gz.Reset(f.in); err != nil {
			return 0, err
		}
		f.gz.Multistream(false)
	}
}

func (f *inflater) judge() error {
	if f.limit > 0 && f.out > f.limit {
		return &httpd.StatusError{Status: http.StatusRequestEntityTooLarge, Err: fmt.Errorf("AH02649: the decompressed request body is larger than the limit of %d bytes", f.limit)}
	}
	if f.out-f.checked < int64(f.every) {
		return nil
	}
	f.checked = f.out
	if in := f.raw.n - int64(f.in.Buffered()); in > 0 && f.out/in > f.ratio {
		if f.hits++; f.hits > f.burst {
			return &httpd.StatusError{Status: http.StatusBadRequest, Err: fmt.Errorf("AH02650: the request body decompresses to more than %d times its size", f.ratio)}
		}
	} else {
		f.hits = 0
	}
	return nil
}

// inflateResponse is the filter INFLATE.
func inflateResponse(r *httpd.Request, _ *struct{}, h *httpd.ResponseHead) httpd.BodyFilter {
	if !r.HasOutputFilter("INFLATE") || h.Status == http.StatusPartialContent {
		return nil
	}
	if _, part := h.Get("Content-Range"); part {
		return nil
	}
	e, _ := h.Get("Content-Encoding")
	rest, ok := withoutGzip(e)
	if !ok {
		return nil
	}
	if rest == "" {
		h.Del("Content-Encoding")
	} else {
		h.Set("Content-Encoding", rest)
	}
	for _, f := range [...]string{"Content-MD5", "Content-Digest", "Digest"} {
		h.Del(f)
	}
	if tag, ok := h.Get("ETag"); ok {
		c, _ := httpd.ConfigOf(r, Module)
		switch c.ETag.V {
		case coding.AddSuffix:
			if tag = strings.TrimSpace(tag); strings.HasSuffix(tag, `"`) {
				h.Set("ETag", tag[:len(tag)-1]+`-gunzip"`)
			}
		case coding.Remove:
			h.Del("ETag")
		}
	}
	return &inflateFilter{}
}

// inflateFilter turns the reader that gzip is into a filter that is written
// to: the reader runs as a coroutine, which yields what it has, or nil when it
// wants more input.
type inflateFilter struct {
	feed []byte
	end  bool // there is no more input
	done bool
	err  error
	next func() ([]byte, bool)
	stop func()
}

var errStopped = errors.New("the response was given up")

func (f *inflateFilter) run(yield func([]byte) bool) {
	in := &inflater{raw: &counter{r: feeder{f, yield}}, every: defaultBuffer, ratio: math.MaxInt64}
	in.in = bufio.NewReader(in.raw)
	buf := make([]byte, defaultBuffer)
	for {
		n, err := in.Read(buf)
		if n > 0 && !yield(buf[:n]) {
			return
		}
		if err != nil {
			if !errors.Is(err, io.EOF) {
				f.err = fmt.Errorf("filter INFLATE: %w", err)
			}
			return
		}
	}
}

// feeder is the coroutine's end of the input.
type feeder struct {
	f     *inflateFilter
	yield func([]byte) bool
}

func (d feeder) Read(p []byte) (int, error) {
	for len(d.f.feed) == 0 {
		if d.f.end {
			return 0, io.EOF
		}
		if !d.yield(nil) {
			return 0, errStopped
		}
	}
	n := copy(p, d.f.feed)
	d.f.feed = d.f.feed[n:]
	return n, nil
}

// Write implements httpd.BodyFilter.
func (f *inflateFilter) Write(dst, p []byte) ([]byte, error) {
	if f.next == nil {
		f.next, f.stop = iter.Pull(f.run)
	}
	for f.feed = p; !f.done; {
		b, more := f.next()
		switch f.done = !more; {
		case b == nil && more && !f.end:
			return dst, nil
		default:
			dst = append(dst, b...)
		}
	}
	return dst, f.err
}

// Flush implements httpd.BodyFilter. Nothing is held back that could be given.
func (f *inflateFilter) Flush(dst []byte) ([]byte, error) { return dst, nil }

// Close implements httpd.BodyFilter.
func (f *inflateFilter) Close(dst []byte) ([]byte, error) {
	if f.next == nil { // a body of no bytes
		return dst, nil
	}
	f.end = true
	return f.Write(dst, nil)
}

// Abandon implements httpd.Abandoner.
func (f *inflateFilter) Abandon() {
	if f.stop != nil {
		f.stop()
		f.done = true
	}
}

var _ httpd.Abandoner = (*inflateFilter)(nil)
