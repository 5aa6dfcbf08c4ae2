// The variables by which requests to other servers are adjusted (mod_proxy,
// "Protocol Adjustments"): set with SetEnv, SetEnvIf or a rule for those
// servers that need it.
//
//	proxy-nokeepalive         a connection of its own for each request
//	proxy-initial-not-pooled  the same for the first request of a client's connection
//	proxy-sendcl              bodies always have a Content-Length
//	proxy-sendchunked         bodies always go in chunks
//	proxy-chain-auth          Proxy-Authorization is passed on
//
// Those that have no effect are known to httpd.InertVariable.

package proxy

import (
	"net/http"
)

// set reports whether a variable is there, with whatever value.
func (f *forward) set(name string) bool {
	_, ok := f.r.Env(name)
	return ok
}

// transport is the pool for the request.
func (f *forward) transport(m *worker) *http.Transport {
	if f.set("proxy-nokeepalive") || f.r.RequestNo <= 1 && f.set("proxy-initial-not-pooled") {
		return m.fresh
	}
	return m.pool
}

// spool gives a body of unknown length one.
func (f *forward) spool() error {
	r := f.r
	if !r.Chunked || !f.set("proxy-sendcl") {
		return nil
	}
	file, n, err := r.SpoolBody()
	if err != nil {
		return err
	}
	f.spooled = file
	r.SetBody(file)
	r.Chunked, r.ContentLength = false, n
	return nil
}

// chunk makes the body of a request go in chunks.
func (f *forward) chunk(req *http.Request) {
	if req.Body != nil && (f.set("proxy-sendchunked") || f.set("proxy-sendchunks")) && !f.set("proxy-sendcl") {
		req.ContentLength = -1
	}
}
