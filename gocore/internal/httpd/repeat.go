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
	Validators     []Field     // the fields of a 304
	Depends        []Dependency
}

// Dependency is a file whose state went into an outcome. Info nil: it did not
// exist.
type Dependency struct {
	Path string
	Info os.FileInfo
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
	if len(r.depends) >= maxDepends {
		r.varies = true
		return
	}
	r.depends = append(r.depends, Dependency{path, info})
}

// settle keeps out.Repeat only if the phases were free of everything that can
// differ between requests.
func (r *Request) settle(out *Outcome) {
	if out.Repeat == nil {
		return
	}
	v := r.Host
	if r.Prev != nil || r.SubRequest || r.varies || r.Method != "GET" || out.Status != 200 || r.User != "" ||
		r.m.perRequest || v.base.perRequest || v.merge(r.locs).perRequest || r.m.hooked() {
		out.Repeat = nil
		return
	}
	out.Repeat.Validators = append(append(out.Repeat.Validators, r.Out...), r.ErrOut...)
	out.Repeat.Depends = append(r.depends[:len(r.depends):len(r.depends)], Dependency{cmp.Or(out.Repeat.Path, r.Filename), out.Repeat.Info})
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
