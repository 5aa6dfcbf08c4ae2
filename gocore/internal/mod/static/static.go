// Package static is Apache's default handler: it serves the file that the
// request was mapped to. It stands last in the list of modules.
//
// This file has the settings and the handler; conditions.go evaluates If-*
// fields, ranges.go the Range field, digest.go makes tags from contents. The
// body is not read here: the sender gets the open file and copies it with
// sendfile.
package static

import (
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"modwsgi/gocore/internal/conf"
	"modwsgi/gocore/internal/httpd"
)

// Config is the settings that only the default handler looks at. The others
// (FileETag, MaxRanges, AcceptPathInfo ...) are the core's.
type Config struct {
	overlaps, reversals httpd.Opt[int]
	encodings           httpd.Opt[[]string] // PrecompressedFiles, in order of preference
	runners             []runner            // modules that ran programs and are not here
}

// Module is the default handler.
var Module = &httpd.Module[Config]{
	Name: "static", ID: "core_static", File: "core_static.c",
	Directives: []httpd.Directive[Config]{
		{Name: "MaxRangeOverlaps", Args: "default|unlimited|none|number", Min: 1, Max: 1, In: httpd.Anywhere, Override: httpd.OverrideAll, Default: "20",
			Set: setOverlaps, Doc: "Limits how many ranges of a request may overlap; beyond it the whole file is sent."},
		{Name: "MaxRangeReversals", Args: "default|unlimited|none|number", Min: 1, Max: 1, In: httpd.Anywhere, Override: httpd.OverrideAll, Default: "20",
			Set: setReversals, Doc: "Limits how often the ranges of a request may go backwards; beyond it the whole file is sent."},
		{Name: "PrecompressedFiles", Args: "On|Off|encoding ...", Min: 1, Max: 3, In: httpd.Anywhere, Override: httpd.OverrideFileInfo, Default: "Off",
			Set: setPrecompressed, Doc: "Sends file.br, file.zst or file.gz in place of file to clients that accept it; On means br zstd gzip."},
	},
	Merge: func(parent, child *Config) *Config {
		return &Config{overlaps: parent.overlaps.Over(child.overlaps), reversals: parent.reversals.Over(child.reversals),
			encodings: parent.encodings.Over(child.encodings), runners: parent.runners}
	},
	Begin:   func(tree *conf.Tree, c *Config) { c.runners = runners(tree.Root) },
	Handler: handle,
}

func setOverlaps(k *httpd.Cmd, c *Config) error {
	return setLimit(k, &c.overlaps, defaultLimits.overlaps)
}
func setReversals(k *httpd.Cmd, c *Config) error {
	return setLimit(k, &c.reversals, defaultLimits.reversals)
}

func setLimit(k *httpd.Cmd, to *httpd.Opt[int], def int) error {
	switch strings.ToLower(k.Arg(0)) {
	case "default":
		*to = httpd.Some(def)
	case "unlimited":
		*to = httpd.Some(-1)
	case "none":
		*to = httpd.Some(0)
	default:
		n, err := httpd.ParseInt(k.Arg(0), 0, 1<<30)
		if err != nil {
			return err
		}
		*to = httpd.Some(int(n))
	}
	return nil
}

// now is the clock; tests set it.
var now = time.Now

// handle serves the file. It declines handlers with a name of their own: what
// nobody serves must not be sent as a file, it may be a script's source.
func handle(r *httpd.Request, c *Config) *httpd.Outcome {
	if r.Handler != "" && r.Handler != "default-handler" {
		return nil
	}
	switch r.Method {
	case "GET", "HEAD", "POST": // Apache serves a file for POST too
	case "OPTIONS":
		return &httpd.Outcome{Status: 200, Header: []httpd.Field{{Name: "Allow", Value: r.Allowed()}}}
	default:
		if !knownMethod(r.Method) {
			return r.Fail(http.StatusNotImplemented)
		}
		return r.Fail(http.StatusMethodNotAllowed)
	}
	switch {
	case r.Info == nil:
		r.Logf(httpd.LevelInfo, "core", "AH00128: File does not exist: %s", r.Filename+r.PathInfo)
		return r.Fail(http.StatusNotFound)
	case r.Info.IsDir():
		return directory(r)
	case r.PathInfo != "" && !strings.EqualFold(r.Core().AcceptPathInfo.V, "on"):
		r.Logf(httpd.LevelInfo, "core", "AH00128: File does not exist: %s", r.Filename+r.PathInfo)
		return r.Fail(http.StatusNotFound)
	}
	if why := source(r, c); why != "" {
		r.Logf(httpd.LevelError, "core", "%s is not sent, it may be the source of a program: %s; SetHandler default-handler sends it all the same", r.Filename, why)
		return r.Fail(http.StatusInternalServerError)
	}
	name, found, kind := r.Filename, r.Info, ""
	if s := c.compressed(r); s != nil {
		name, found, kind = s.name, s.info, s.encoding
		r.Encoding = kind
	}
	f, info, err := open(r, name, found)
	if err != nil {
		if errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE) {
			r.Logf(httpd.LevelError, "core", "open %s: %v", r.Filename, err)
			return r.Fail(http.StatusServiceUnavailable)
		}
		r.Logf(httpd.LevelError, "core", "AH00132: file permissions deny server access: %s: %v", r.Filename, err)
		if errors.Is(err, fs.ErrNotExist) { // it went away meanwhile
			return r.Fail(http.StatusNotFound)
		}
		return r.Fail(http.StatusForbidden)
	}
	out, send := respond(r, c, f, info, kind)
	if out.Repeat != nil {
		out.Repeat.Path, out.Repeat.ByEncoding = name, len(c.encodings.V) > 0 && slices.ContainsFunc(r.Out, func(f httpd.Field) bool { return f.Name == "Vary" })
	}
	if !send {
		_ = f.Close() // read only: nothing can be lost
	}
	return out
}

// directory refuses a directory that has no index: mod_dir found none, and
// nobody lists it. A listing is for GET, so other methods find nothing.
func directory(r *httpd.Request) *httpd.Outcome {
	if r.Core().OptionsValue()&httpd.OptIndexes != 0 || r.Method == "POST" || r.Handler != "" {
		r.Logf(httpd.LevelInfo, "core", "AH00129: Attempt to serve directory: %s", r.Filename)
		return r.Fail(http.StatusNotFound)
	}
	r.Logf(httpd.LevelError, "core", "AH01276: Cannot serve directory %s: No matching DirectoryIndex found, and server-generated directory index forbidden by Options directive", r.Filename)
	return r.Fail(http.StatusForbidden)
}

// open opens the file that the walk found, and no other: it may have been
// replaced by a link, a device or a FIFO since. O_NONBLOCK keeps a FIFO from
// blocking the thread.
func open(r *httpd.Request, name string, found os.FileInfo) (*os.File, os.FileInfo, error) {
	flags := os.O_RDONLY | nonBlock
	if r.Core().OptionsValue()&(httpd.OptFollowSymLinks|httpd.OptSymLinksIfOwnerMatch) == 0 {
		flags |= noFollow
	}
	f, err := os.OpenFile(name, flags, 0)
	if err != nil {
		return nil, nil, err
	}
	info, err := f.Stat()
	switch {
	case err != nil:
	case !info.Mode().IsRegular():
		err = errors.New("not a regular file")
	case r.Core().OptionsValue()&httpd.OptFollowSymLinks == 0 && !os.SameFile(info, found):
		err = errors.New("replaced while the request was checked")
	default:
		return f, info, nil
	}
	_ = f.Close()
	return nil, nil, err
}

// respond makes the outcome for an open file. encoding is that of a compressed
// form that stands for the file. send says that the outcome holds the file.
func respond(r *httpd.Request, c *Config, f *os.File, info os.FileInfo, encoding string) (out *httpd.Outcome, send bool) {
	core := r.Core()
	size, modified := info.Size(), info.ModTime()
	at := now()
	v := validators{modified: modified.Truncate(time.Second), strong: at.Sub(modified) >= time.Minute}
	if v.modified.After(at) { // a date in the future is no Last-Modified (RFC 9110 section 8.8.2.1)
		v.modified = at.Truncate(time.Second)
	}
	if parts := etagOf(core.FileETag); parts&etagDigest != 0 {
		var err error
		if v.etag, err = digests.tag(f, info); err != nil {
			r.Logf(httpd.LevelError, "core", "reading %s for its ETag: %v", r.Filename, err)
		}
	} else {
		v.etag = makeETag(parts, inodeOf(info), size, modified, at)
	}
	if encoding != "" && v.etag != "" {
		v.etag = strings.TrimSuffix(v.etag, `"`) + "-" + encoding + `"`
	}
	h := make([]httpd.Field, 0, 8)
	h = append(h, httpd.Field{Name: "Last-Modified", Value: v.modified.UTC().Format(http.TimeFormat)})
	if v.etag != "" {
		h = append(h, httpd.Field{Name: "ETag", Value: v.etag})
	}
	checked := len(h)
	switch evaluate(condition(r), v, r.Method != "POST", at) {
	case notModified:
		return &httpd.Outcome{Status: http.StatusNotModified, Header: h}, false
	case preconditionFailed:
		return r.Fail(http.StatusPreconditionFailed), false
	}
	limit := rangeLimits{core.MaxRanges.Or(defaultLimits.count), c.overlaps.Or(defaultLimits.overlaps), c.reversals.Or(defaultLimits.reversals)}
	if limit.count == 0 {
		h = append(h, httpd.Field{Name: "Accept-Ranges", Value: "none"})
	} else {
		h = append(h, httpd.Field{Name: "Accept-Ranges", Value: "bytes"})
	}
	kind := contentType(r)
	if r.Encoding != "" {
		h = append(h, httpd.Field{Name: "Content-Encoding", Value: r.Encoding})
	}
	if len(r.Language) > 0 {
		h = append(h, httpd.Field{Name: "Content-Language", Value: strings.Join(r.Language, ", ")})
	}
	finish := func(status int, n int64, kind string) *httpd.Outcome {
		h = append(h, httpd.Field{Name: "Content-Length", Value: strconv.FormatInt(n, 10)})
		if kind != "" {
			h = append(h, httpd.Field{Name: "Content-Type", Value: kind})
		}
		return &httpd.Outcome{Status: status, Header: h, File: f}
	}
	if value, ok := r.Get("Range"); ok && r.Method == "GET" && r.Status == 0 && rangeApplies(r.Get, v) {
		spans, verdict := parseRanges(value, size, limit)
		switch {
		case verdict == unsatisfiable:
			out = r.Fail(http.StatusRequestedRangeNotSatisfiable)
			out.Header = httpd.SetField(out.Header, "Content-Range", "bytes */"+strconv.FormatInt(size, 10))
			return out, false
		case verdict == someRanges && len(spans) == 1:
			h = append(h, httpd.Field{Name: "Content-Range", Value: contentRange(spans[0], size)})
			out = finish(http.StatusPartialContent, spans[0].len, kind)
			out.FileOff, out.FileLen = spans[0].off, spans[0].len
			return out, true
		case verdict == someRanges:
			mark := boundary()
			body := httpd.Outcome{Parts: multipart(spans, size, kind, mark)}
			out = finish(http.StatusPartialContent, body.BodyLen(), "multipart/byteranges; boundary="+mark)
			out.Parts = body.Parts
			return out, true
		}
	}
	out = finish(http.StatusOK, size, kind)
	if r.Method == "HEAD" {
		out.File = nil
		return out, false
	}
	out.FileLen = size
	if r.Method == "GET" && !strings.HasPrefix(v.etag, "W/") { // a weak tag will become a strong one
		out.Repeat = &httpd.Repeat{Info: info, ETag: v.etag, Modified: h[0].Value, Validators: h[:checked:checked]}
	}
	return out, true
}

// etagOf reads FileETag as mod/core stores it: words in any case; those with a
// sign change what stands before them, the default at first.
func etagOf(o httpd.Opt[string]) etagParts {
	if !o.Set {
		return etagDefault
	}
	parts, first := etagParts(0), true
	for _, w := range strings.Fields(strings.ToLower(o.V)) {
		sign := byte('+')
		if w[0] == '+' || w[0] == '-' {
			if first {
				parts = etagDefault
			}
			sign, w = w[0], w[1:]
		}
		first = false
		bit := map[string]etagParts{"inode": etagINode, "mtime": etagMTime, "size": etagSize, "all": etagINode | etagDefault, "digest": etagDigest}[w]
		switch {
		case w == "none":
			parts = 0
		case sign == '-':
			parts &^= bit
		default:
			parts |= bit
		}
	}
	return parts
}

// contentType is the file's type with its charset. AddDefaultCharset is for
// text/plain and text/html only.
func contentType(r *httpd.Request) string {
	t, charset := r.ContentType, r.Charset
	if t == "" || strings.Contains(strings.ToLower(t), "charset=") {
		return t
	}
	if charset == "" && (t == "text/plain" || t == "text/html") {
		switch d := r.Core().AddDefaultCharset; strings.ToLower(d.V) {
		case "", "off":
		case "on":
			charset = "iso-8859-1"
		default:
			charset = d.V
		}
	}
	if charset == "" {
		return t
	}
	return fmt.Sprintf("%s; charset=%s", t, charset)
}

// knownMethod lists the methods that Apache knows: 405 for them, 501 for what
// it never heard of.
func knownMethod(m string) bool {
	switch m {
	case "PUT", "DELETE", "CONNECT", "PATCH", "TRACE", "PROPFIND", "PROPPATCH", "MKCOL", "COPY", "MOVE", "LOCK", "UNLOCK",
		"VERSION-CONTROL", "CHECKOUT", "UNCHECKOUT", "CHECKIN", "UPDATE", "LABEL", "REPORT", "MKWORKSPACE", "MKACTIVITY",
		"BASELINE-CONTROL", "MERGE", "PRI":
		return true
	}
	return false
}
