// Static files from the file cache: a response that needs no phases.
package worker

import (
	"modwsgi/gocore/internal/filecache"
	"modwsgi/gocore/internal/http1"
	"modwsgi/gocore/internal/httpd"
	"modwsgi/gocore/internal/listen"
)

// keptFile answers from the cache; false: the phases must run.
func (d *dispatcher) keptFile(c *listen.Conn, q *listen.Req, host *httpd.VirtualHost) bool {
	f, status := d.files.Find(host, q)
	if f == nil {
		return false
	}
	c.Tag = f.Tag
	var buf [1024]byte
	b := http1.AppendStatusLine(buf[:0], true, status)
	b = http1.AppendDate(b, &d.date)
	b = append(b, f.Fields(status)...)
	if q.BodyPending() {
		q.KeepAlive = 0
	}
	if q.KeepAlive == 0 {
		b = append(b, "Connection: close\r\n"...)
	} else if q.Head.Flags&http1.FlagHTTP11 == 0 {
		b = append(b, "Connection: keep-alive\r\n"...)
	}
	b = append(b, "\r\n"...)
	d.mem.Append(q, b)
	if host.LogsResponse {
		d.mem.Keep(q, b)
	}
	q.Status = int32(status)
	if status == 304 || q.Head.Method.Len == 4 { // HEAD
		return true
	}
	q.SentBody = f.Size
	if f.FD < 0 {
		d.mem.Append(q, f.Data)
		return true
	}
	q.FileFD, q.FileOff, q.FileLeft = int32(f.FD), 0, f.Size
	c.Borrowed = true // until Done
	return true
}

// keepFile takes an outcome of the phases into the cache if it may be used again.
func (d *dispatcher) keepFile(q *listen.Req, host *httpd.VirtualHost, out *httpd.Outcome) {
	if out.Repeat == nil || q.Head.Flags&http1.FlagPlainPath == 0 {
		return
	}
	kept := *out.Request
	kept.Header, kept.RawTarget, kept.RawPath, kept.Query = nil, "", "", "" // the first client's own
	t := &target{host: host, kept: &kept}
	d.files.Keep(host, q, out, "Server: "+d.w.srv.Software+"\r\n", func(f *filecache.File) any {
		t.file = f
		return t
	})
}
