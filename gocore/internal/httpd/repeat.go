// Outcomes that can be used again: what a cache in front of the phases may
// keep, and what has to be looked at before a kept outcome is used.
//
// The phases are the only judge of a path. An outcome is repeatable when the
// phases could not decide otherwise for the next GET of the same path on the
// same host as long as some files do not change; the files are listed with it.
package httpd

import (
	"bytes"
	"cmp"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
)

// Part is a piece of a response's body: Data, then Len bytes of the outcome's
// File from offset Off.
type Part struct {
	Data     []byte
	Off, Len int64
}

// Repeat says that every GET or HEAD of this path that has no precondition and
// no Range gets this outcome for as long as nothing in Depends changes.
type Repeat struct {
	Info           os.FileInfo // of File
	Path           string      // of File; "" = the request's Filename
	ByEncoding     bool        // it holds for requests with the same Accept-Encoding only
	ETag, Modified string      // as sent; what a conditional request may quote
	Header         []Field     // of the 200, complete but for Date, Server and Connection
	Validators     []Field     // of a 304, likewise
	Second         int64       // it holds for this second since the epoch only; 0 = for longer
	Depends        []Dependency
}

// Dependency is a file whose state went into an outcome. Info nil: it did not
// exist.
type Dependency struct {
	Path    string
	Info    os.FileInfo
	Watched *Watched // nil: only a look at the file tells whether it changed
}

// maxDepends bounds what a kept outcome has to look at: beyond it the phases
// are not much dearer.
const maxDepends = 12

// Varies says that the outcome depends on more than the path: header fields,
// the client, the time. Modules call it where PerRequest cannot tell.
func (r *Request) Varies() { r.varies = true }

// Depend says that the outcome depends on the state of a file besides the one
// that is served. info nil: it does not exist.
func (r *Request) Depend(path string, info os.FileInfo) {
	r.depend(Dependency{Path: path, Info: info})
}

func (r *Request) depend(d Dependency) {
	if len(r.depends) >= maxDepends {
		r.varies = true
		return
	}
	r.depends = append(r.depends, d)
}

// settle keeps out.Repeat only if the phases were free of everything that can
// differ between requests, and completes it.
func (r *Request) settle(out *Outcome) {
	if out.Repeat == nil {
		return
	}
	v := r.Host
	if r.Prev != nil || r.SubRequest || r.varies || r.Method != "GET" || out.Status != 200 || r.User != "" ||
		r.m.perRequest || v.base.perRequest || v.merge(r.locs).perRequest || r.m.steady == Changing {
		out.Repeat = nil
		return
	}
	x := *out.Repeat
	out.Repeat = nil
	full := ResponseHead{Status: out.Status, Header: slices.Clone(out.Header), ErrHeader: slices.Clone(out.ErrHeader), Length: out.BodyLen()}
	not := ResponseHead{Status: 304, Header: append(slices.Clone(x.Validators), r.Out...), ErrHeader: slices.Clone(r.ErrOut), Length: -1}
	if !r.sent(&full) || !r.sent(&not) {
		return
	}
	x.Header = append(append(full.ErrHeader, full.Header...), Field{"Content-Length", strconv.FormatInt(full.Length, 10)})
	x.Validators = append(not.ErrHeader, not.Header...)
	if r.m.steady == ForASecond {
		x.Second = r.Start.Unix()
	}
	x.Depends = append(r.depends[:len(r.depends):len(r.depends)], Dependency{Path: cmp.Or(x.Path, r.Filename), Info: x.Info})
	out.Repeat = &x
}

// sent takes a head through the response hooks as the sender will; false if
// more than fields that can be kept comes of it.
func (r *Request) sent(h *ResponseHead) bool {
	h.Header.Del("Content-Length")
	s := r.Host.server
	for i := range s.hooks {
		x := &s.hooks[i]
		if !r.m.filtered {
			break
		}
		if x.filter != nil && x.hasFilter != nil && x.hasFilter(r.m.conf[i]) || x.insert != nil && len(x.insert(r, r.m.conf[i], h)) > 0 {
			return false
		}
	}
	if len(r.m.response) > 0 && (r.Guard(func() { r.Outgoing(h, false) }) != nil || r.varies) {
		return false
	}
	for _, name := range []string{"Date", "Server", "Connection", "Keep-Alive", "Transfer-Encoding", "Content-Length"} {
		if _, ok := h.Get(name); ok {
			return false // the sender has its own ideas about them
		}
	}
	return !slices.ContainsFunc(append(slices.Clone(h.Header), h.ErrHeader...), func(f Field) bool { return strings.ContainsAny(f.Value, "\r\n\x00") })
}

// BodyLen is the length of the body in bytes.
func (o *Outcome) BodyLen() int64 {
	n := int64(len(o.Body)) + o.FileLen
	for _, p := range o.Parts {
		n += int64(len(p.Data)) + p.Len
	}
	return n
}

// BodyReader reads the whole body, for senders without sendfile. The caller
// closes File afterwards.
func (o *Outcome) BodyReader() io.Reader {
	list := []io.Reader{bytes.NewReader(o.Body)}
	if o.File != nil {
		list = append(list, io.NewSectionReader(o.File, o.FileOff, o.FileLen))
	}
	for _, p := range o.Parts {
		list = append(list, bytes.NewReader(p.Data))
		if p.Len > 0 {
			list = append(list, io.NewSectionReader(o.File, p.Off, p.Len))
		}
	}
	return io.MultiReader(list...)
}
