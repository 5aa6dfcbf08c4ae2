// Package coding is what the compressing modules (deflate, brotli, zstd) have
// in common; it is no module itself. It decides whether a response may be
// compressed and with which content coding, and runs the compressor as a
// filter.
//
// Rules: RFC 9110 sections 8.4 and 12.5.3, and mod_deflate's for what is left
// alone. Of the codings that the configuration offers for a response and the
// client accepts, the one with the highest weight is taken; among equals the
// one that the configuration names first.
package coding

import (
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"

	"modwsgi/gocore/internal/httpd"
)

// MinLength is the length in bytes below which a body is left alone: the
// framing of a compressed one would eat what is gained.
const MinLength = 64

// Coding is one content coding.
type Coding struct {
	Filter string // as in SetOutputFilter: "DEFLATE"
	Token  string // as in Content-Encoding: "gzip"
	Env    string // the variable that switches it off for a request: "no-gzip"
}

// Codings are all of them.
var (
	Gzip    = Coding{"DEFLATE", "gzip", "no-gzip"}
	Brotli  = Coding{"BROTLI_COMPRESS", "br", "no-brotli"}
	Zstd    = Coding{"ZSTD_COMPRESS", "zstd", "no-zstd"}
	Codings = []Coding{Gzip, Brotli, Zstd}
)

// AlterETag says what happens to the ETag of a response that is compressed.
type AlterETag uint8

const (
	AddSuffix AlterETag = iota
	NoChange
	Remove
)

// ParseAlterETag reads the argument of DeflateAlterETag and its like.
func ParseAlterETag(s string) (AlterETag, error) {
	switch strings.ToLower(s) {
	case "addsuffix":
		return AddSuffix, nil
	case "nochange":
		return NoChange, nil
	case "remove":
		return Remove, nil
	}
	return 0, fmt.Errorf("must be AddSuffix, NoChange or Remove, not %q", s)
}

// Apply decides whether the coding takes the response, and if so changes the
// head. It may be asked by several modules in turn: the answer fits all.
func (c Coding) Apply(r *httpd.Request, h *httpd.ResponseHead, alter AlterETag) bool {
	if !r.HasOutputFilter(c.Filter) {
		return false
	}
	if _, off := r.Env(c.Env); off {
		return false
	}
	if h.Status == http.StatusPartialContent { // of the file as it is, but the whole would vary (RFC 9110 section 15.3.7)
		h.AddVary("Accept-Encoding")
		return false
	}
	if _, part := h.Get("Content-Range"); part {
		return false
	}
	if e, ok := h.Get("Content-Encoding"); ok && !strings.EqualFold(strings.TrimSpace(e), "identity") {
		return false
	}
	if h.Length >= 0 && h.Length < MinLength && !h.NoBody() {
		return false
	}
	if cc, ok := h.Get("Cache-Control"); ok && hasToken(cc, "no-transform") {
		return false
	}
	h.AddVary("Accept-Encoding")
	if h.NoBody() {
		c.confirm(r, h, alter)
		return false
	}
	if best(r) != c {
		return false
	}
	h.Del("Content-Encoding") // identity
	h.Set("Content-Encoding", c.Token)
	for _, f := range [...]string{"Content-MD5", "Content-Digest", "Digest"} {
		h.Del(f)
	}
	if tag, ok := h.Get("ETag"); ok {
		switch alter {
		case AddSuffix:
			h.Set("ETag", c.suffixed(tag))
		case Remove:
			h.Del("ETag")
		}
	}
	return true
}

// suffixed is an entity tag for the coded representation: "abc" becomes
// "abc-gzip".
func (c Coding) suffixed(tag string) string {
	tag = strings.TrimSpace(tag)
	if n := len(tag); n > 1 && tag[n-1] == '"' {
		return tag[:n-1] + "-" + c.Token + `"`
	}
	return tag
}

// Uncoded gives a list of entity tags without the suffixes of the codings.
func Uncoded(tags string) string { return uncode.Replace(tags) }

var uncode = strings.NewReplacer(`-gzip"`, `"`, `-br"`, `"`, `-zstd"`, `"`)

// confirm makes a 304 name the representation that the client has, if that is
// the coded one.
func (c Coding) confirm(r *httpd.Request, h *httpd.ResponseHead, alter AlterETag) {
	tag, ok := h.Get("ETag")
	asked, conditional := r.Get("If-None-Match")
	if !ok || !conditional || alter != AddSuffix || h.Status != http.StatusNotModified {
		return
	}
	coded := c.suffixed(tag)
	for t := range strings.SplitSeq(asked, ",") {
		if t = strings.TrimSpace(t); strings.TrimPrefix(t, "W/") == strings.TrimPrefix(coded, "W/") {
			h.Set("ETag", coded)
			return
		}
	}
}

// best is the coding for the request among those whose filter applies, the
// zero value if there is none.
func best(r *httpd.Request) (c Coding) {
	accept, ok := r.Get("Accept-Encoding")
	if !ok {
		accept = ""
	}
	weights := parseAccept(accept)
	bestQ := 0
	for _, name := range r.OutputFilters() {
		for _, x := range Codings {
			if x.Filter != name {
				continue
			}
			if _, off := r.Env(x.Env); off {
				continue
			}
			q := weights.of(x.Token)
			if v, force := r.Env("force-gzip"); force && v != "0" && x == Gzip {
				q = 1000
			}
			if q > bestQ {
				c, bestQ = x, q
			}
		}
	}
	if q, given := weights["identity"]; given && q > bestQ {
		return Coding{}
	}
	return c
}

// weights are the codings of an Accept-Encoding field with their weight in
// thousandths.
type weights map[string]int

func (w weights) of(token string) int {
	if q, ok := w[token]; ok {
		return q
	}
	return w["*"]
}

// parseAccept reads Accept-Encoding. What is not understood counts as not
// there, so that a broken field means no coding.
func parseAccept(s string) weights {
	w := weights{}
	for item := range strings.SplitSeq(s, ",") {
		token, params, _ := strings.Cut(item, ";")
		token = strings.ToLower(strings.TrimSpace(token))
		if token == "" {
			continue
		}
		if token == "x-gzip" { // RFC 9110 section 8.4.1.3
			token = "gzip"
		}
		q := 1000
		for p := range strings.SplitSeq(params, ";") {
			name, value, _ := strings.Cut(strings.TrimSpace(p), "=")
			if !strings.EqualFold(strings.TrimSpace(name), "q") {
				continue
			}
			f, err := strconv.ParseFloat(strings.TrimSpace(value), 64)
			if err != nil || !(f >= 0 && f <= 1) {
				q = 0
			} else {
				q = int(f * 1000)
			}
		}
		w[token] = q
	}
	return w
}

func hasToken(list, token string) bool {
	for t := range strings.SplitSeq(list, ",") {
		if strings.EqualFold(strings.TrimSpace(t), token) {
			return true
		}
	}
	return false
}

// Encoder is a compressor that writes to the io.Writer it was made for.
type Encoder interface {
	io.Writer
	Flush() error
	Close() error
}

// Buffer is what an Encoder of a Filter writes to.
type Buffer struct{ b []byte }

// Write appends.
func (s *Buffer) Write(p []byte) (int, error) {
	s.b = append(s.b, p...)
	return len(p), nil
}

// Filter is an Encoder as a body filter.
type Filter struct {
	to      *Buffer
	enc     Encoder
	release func(in, out int64)
	in, out int64
}

// NewFilter makes a filter of an encoder that writes to the buffer. release is
// called once at the end of a complete body with the bytes that went in and
// came out; the encoder may be used again then.
func NewFilter(to *Buffer, enc Encoder, release func(in, out int64)) *Filter {
	return &Filter{to: to, enc: enc, release: release}
}

// Write implements httpd.BodyFilter.
func (f *Filter) Write(dst, p []byte) ([]byte, error) {
	f.in += int64(len(p))
	return f.run(dst, func() error { _, err := f.enc.Write(p); return err })
}

// Flush implements httpd.BodyFilter.
func (f *Filter) Flush(dst []byte) ([]byte, error) { return f.run(dst, f.enc.Flush) }

// Close implements httpd.BodyFilter.
func (f *Filter) Close(dst []byte) ([]byte, error) {
	dst, err := f.run(dst, f.enc.Close)
	if f.release != nil && err == nil {
		f.release(f.in, f.out)
		f.release = nil
	}
	return dst, err
}

func (f *Filter) run(dst []byte, do func() error) ([]byte, error) {
	n := len(dst)
	f.to.b = dst
	err := do()
	dst, f.to.b = f.to.b, nil
	f.out += int64(len(dst) - n)
	return dst, err
}

// Notes are the names under which a filter leaves its figures for access logs
// (DeflateFilterNote): bytes in and out, and out in percent of in.
type Notes struct{ Input, Output, Ratio string }

// Set reads the arguments [Input|Output|Ratio] name.
func (n *Notes) Set(k *httpd.Cmd) error {
	kind, name := "ratio", k.Arg(0)
	if len(k.Args) == 2 {
		kind, name = strings.ToLower(k.Arg(0)), k.Arg(1)
	}
	switch kind {
	case "input":
		n.Input = name
	case "output":
		n.Output = name
	case "ratio":
		n.Ratio = name
	default:
		return fmt.Errorf("must be Input, Output or Ratio and the name of a note, not %q", k.Arg(0))
	}
	return nil
}

// Over is the usual merge: what the child says wins.
func (n Notes) Over(child Notes) Notes {
	if child.Input != "" {
		n.Input = child.Input
	}
	if child.Output != "" {
		n.Output = child.Output
	}
	if child.Ratio != "" {
		n.Ratio = child.Ratio
	}
	return n
}

// Write leaves the notes. Without a body Ratio is "-".
func (n Notes) Write(r *httpd.Request, in, out int64) {
	if n.Input != "" {
		r.Note(n.Input, strconv.FormatInt(in, 10))
	}
	if n.Output != "" {
		r.Note(n.Output, strconv.FormatInt(out, 10))
	}
	if n.Ratio != "" && in > 0 {
		r.Note(n.Ratio, strconv.FormatInt(out*100/in, 10))
	}
}

var _ httpd.BodyFilter = (*Filter)(nil)

// Settings are what the directives of every compressing module say.
type Settings struct {
	ETag  httpd.Opt[AlterETag]
	Notes Notes
}

// Over is the usual merge: what the child says wins.
func (s Settings) Over(child Settings) Settings {
	return Settings{s.ETag.Over(child.ETag), s.Notes.Over(child.Notes)}
}

// Filter makes the body filter that leaves the notes and gives the encoder
// back at the end of a complete body.
func (s Settings) Filter(r *httpd.Request, to *Buffer, enc Encoder, back func()) *Filter {
	return NewFilter(to, enc, func(in, out int64) {
		s.Notes.Write(r, in, out)
		back()
	})
}

// Row is a directive for servers and virtual hosts.
func Row[C any](name, args string, min, max int, def string, set func(*httpd.Cmd, *C) error, doc string) httpd.Directive[C] {
	return httpd.Directive[C]{Name: name, Args: args, Min: min, Max: max, In: httpd.InServerHost, Default: def, Set: set, Doc: doc}
}

// ETagRow and NoteRow are the directives PREFIXAlterETag and PREFIXFilterNote.
func ETagRow[C any](prefix string, of func(*C) *Settings) httpd.Directive[C] {
	return Row(prefix+"AlterETag", "AddSuffix|NoChange|Remove", 1, 1, "AddSuffix", func(k *httpd.Cmd, c *C) error {
		a, err := ParseAlterETag(k.Arg(0))
		of(c).ETag = httpd.Some(a)
		return err
	}, "What happens to the ETag of a compressed response.")
}

// NoteRow is like ETagRow, for the note that the access log shows.
func NoteRow[C any](prefix string, of func(*C) *Settings) httpd.Directive[C] {
	return Row(prefix+"FilterNote", "[Input|Output|Ratio] note", 1, 2, "", func(k *httpd.Cmd, c *C) error { return of(c).Notes.Set(k) },
		"Leaves the size before, the size after, or their ratio in percent as a note for access logs.")
}

// Number sets a whole number between min and max.
func Number[C any](min, max int64, field func(*C) *httpd.Opt[int]) func(*httpd.Cmd, *C) error {
	return func(k *httpd.Cmd, c *C) error {
		n, err := httpd.ParseInt(k.Arg(0), min, max)
		*field(c) = httpd.Some(int(n))
		return err
	}
}
