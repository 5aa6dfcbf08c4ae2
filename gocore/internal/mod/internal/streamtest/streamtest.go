// Package streamtest is what the tests of modules share that write their
// responses themselves (Outcome.Stream): a request, and a recorder of its
// response.
package streamtest

import (
	"bytes"
	"context"
	"errors"
	"net"
	"net/netip"
	"strings"
	"time"

	"modwsgi/gocore/internal/httpd"
)

// Writer records a response; it is an httpd.StreamWriter.
type Writer struct {
	Ctx    context.Context // nil: the background
	Status int
	Header httpd.Fields
	Body   bytes.Buffer
	Conn   net.Conn // what Hijack gives; nil: an error
	Early  []byte   // what was received on it already
}

// WriteHead implements httpd.StreamWriter.
func (w *Writer) WriteHead(status int, h []httpd.Field) error {
	w.Status, w.Header = status, h
	return nil
}

// Write implements httpd.StreamWriter.
func (w *Writer) Write(p []byte) (int, error) { return w.Body.Write(p) }

// Flush implements httpd.StreamWriter.
func (w *Writer) Flush() error { return nil }

// Context implements httpd.StreamWriter.
func (w *Writer) Context() context.Context {
	if w.Ctx == nil {
		return context.Background()
	}
	return w.Ctx
}

// Hijack implements httpd.StreamWriter.
func (w *Writer) Hijack() (net.Conn, []byte, error) {
	if w.Conn == nil {
		return nil, nil, errors.New("no connection")
	}
	return w.Conn, w.Early, nil
}

// Field is a field of the response, "" if it has none of that name.
func (w *Writer) Field(name string) string {
	v, _ := w.Header.Get(name)
	return v
}

// Request is a request of 192.0.2.7 for http://example.test, with a body
// unless that is "".
func Request(method, target, body string) *httpd.Request {
	r := &httpd.Request{Method: method, RawTarget: target, Proto: "HTTP/1.1", HostName: "example.test", ContentLength: -1, Start: time.Now(),
		Header: []httpd.Field{{Name: "Host", Value: "example.test"}},
		Local:  netip.MustParseAddrPort("127.0.0.1:80"), Remote: netip.MustParseAddrPort("192.0.2.7:4000")}
	r.RawPath, r.Query, _ = strings.Cut(target, "?")
	if body != "" {
		r.ContentLength = int64(len(body))
		r.SetBody(strings.NewReader(body))
	}
	return r
}

// Do handles a request and runs the Stream of its outcome, if it has one.
func Do(v *httpd.VirtualHost, r *httpd.Request, w *Writer) (*httpd.Outcome, error) {
	out := v.Handle(r)
	if out.Stream == nil {
		return out, nil
	}
	return out, out.Stream(w)
}

var _ httpd.StreamWriter = (*Writer)(nil)
