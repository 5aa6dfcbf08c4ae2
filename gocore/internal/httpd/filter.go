// Responses on their way out: the head that response hooks may change and the
// filters that may take the body. This is Apache's "insert filters" phase and
// what follows it, without brigades: a hook sees a head, a filter sees bytes.
//
// Order for one response: names of output filters are collected (SetOutputFilter,
// AddOutputFilter, AddOutputFilterByType), the filters among them change the
// head and take the body, then the response hooks (Header, Expires*) run. So a
// Header directive sees the Content-Encoding that a filter set, as in Apache.
package httpd

import (
	"net/http"
	"slices"
	"strings"
	"time"
)

// Fields is a table of header fields. Names compare without case.
type Fields []Field

// Get returns a field's value, repeated fields joined with ", ".
func (t Fields) Get(name string) (string, bool) {
	out, found := "", false
	for i := range t {
		if strings.EqualFold(t[i].Name, name) {
			if found {
				out += ", " + t[i].Value
			} else {
				out, found = t[i].Value, true
			}
		}
	}
	return out, found
}

// Set replaces every field of that name by one, in the place of the first.
func (t *Fields) Set(name, value string) {
	for i := range *t {
		if strings.EqualFold((*t)[i].Name, name) {
			(*t)[i].Value = value
			rest := Fields((*t)[i+1:])
			rest.Del(name)
			*t = (*t)[:i+1+len(rest)]
			return
		}
	}
	*t = append(*t, Field{name, value})
}

// Add adds a field whether or not there is one of that name.
func (t *Fields) Add(name, value string) { *t = append(*t, Field{name, value}) }

// Del removes every field of that name.
func (t *Fields) Del(name string) {
	*t = slices.DeleteFunc(*t, func(f Field) bool { return strings.EqualFold(f.Name, name) })
}

// ResponseHead is a response's head before it is sent. The fields that frame
// the message (Content-Length, Transfer-Encoding, Connection, Keep-Alive) are
// not in the tables: the sender makes them from Length. Of a Connection field
// that a hook sets only "close" counts; the others of these are dropped.
type ResponseHead struct {
	Status    int
	Header    Fields // headers_out: fields of a successful response
	ErrHeader Fields // err_headers_out: fields that are sent whatever the status
	Length    int64  // bytes of the body, -1 unknown; after a filter took the body, -1 unless it says otherwise

	keep bool // the filter that is being asked called KeepLength
}

// KeepLength is called by a Filter hook whose filter does not change the
// number of bytes.
func (h *ResponseHead) KeepLength() { h.keep = true }

// Get looks a field up in both tables, Header first.
func (h *ResponseHead) Get(name string) (string, bool) {
	if v, ok := h.Header.Get(name); ok {
		return v, true
	}
	return h.ErrHeader.Get(name)
}

// Set leaves one field of that name: in ErrHeader if it is there already, else in Header.
func (h *ResponseHead) Set(name, value string) {
	if _, ok := h.ErrHeader.Get(name); ok {
		h.Header.Del(name)
		h.ErrHeader.Set(name, value)
		return
	}
	h.Header.Set(name, value)
}

// Add adds a field to Header.
func (h *ResponseHead) Add(name, value string) { h.Header.Add(name, value) }

// Del removes a field from both tables.
func (h *ResponseHead) Del(name string) {
	h.Header.Del(name)
	h.ErrHeader.Del(name)
}

// AddVary adds a field name to Vary unless it is there.
func (h *ResponseHead) AddVary(name string) {
	old, _ := h.Get("Vary")
	for w := range strings.SplitSeq(old, ",") {
		if w = strings.TrimSpace(w); w == "*" || strings.EqualFold(w, name) {
			return
		}
	}
	if old != "" {
		name = old + ", " + name
	}
	h.Set("Vary", name)
}

// NoBody reports whether a status never has a body (RFC 9110 section 6.4.1).
func (h *ResponseHead) NoBody() bool { return noBody(h.Status) }

func noBody(status int) bool {
	return status == http.StatusNoContent || status == http.StatusNotModified || status/100 == 1
}

// OutputFilters reads a list of filter names separated by semicolons, upper
// case and as written in order; NONE gives none. A name that no module serves
// is an error: the response would go out as it was not meant to.
func (k *Cmd) OutputFilters(list string) ([]string, error) {
	return k.filterNames(list, "output", func(m moduleMeta) []string { return m.filters })
}

// BodyFilter changes a response's body on its way out. Each method appends
// what it has for the next one to dst and returns it; p is valid during the
// call only. Write may keep bytes back, Flush gives out all that the client
// can use so far, Close ends the body. An error ends the response: the
// connection is cut so that the client sees it. One goroutine at a time calls.
// A filter of a response that breaks off is
// dropped without Close; see Abandoner.
type BodyFilter interface {
	Write(dst, p []byte) ([]byte, error)
	Flush(dst []byte) ([]byte, error)
	Close(dst []byte) ([]byte, error)
}

// Abandoner is a BodyFilter that keeps something which must be given back: it
// is told when a response breaks off, and may be after Close, too.
type Abandoner interface{ Abandon() }

// Pacer is a BodyFilter that does not change bytes but when they go: of n
// bytes that are ready the sender takes the first now, at least one, sends
// them, and waits before it asks again.
type Pacer interface {
	Pace(n int) (now int, wait time.Duration)
}

// Hooked reports whether response hooks or output filters are configured for
// the request as it stands.
func (r *Request) Hooked() bool { return r.m != nil && r.m.hooked() }

// Filtered reports whether output filters may apply to the response.
func (r *Request) Filtered() bool { return r.m != nil && r.m.filtered }

// Hooked reports whether response hooks or output filters are configured where
// the plan applies.
func (p *Plan) Hooked() bool { return p.merged != nil && p.merged.hooked() }

func (m *merged) hooked() bool { return len(m.response) > 0 || m.filtered }

// Assume gives a request that took the precomputed route the working state
// that the phases would have given it, so that hooks can work with it.
// scriptLen is Fast's.
func (r *Request) Assume(p *Plan, scriptLen int) {
	r.Host, r.Plan, r.m = p.Host, p, p.merged
	r.URI = r.RawPath // a plain path is its own normal form
	r.Filename, r.PathInfo, r.Handler = p.Script, r.URI[min(scriptLen, len(r.URI)):], p.Handler
	r.Base = p.Script
	r.env = slices.Clone(p.merged.environ)
	if r.TLS {
		r.env = append(r.env, httpsOn)
	}
}

// OutputFilters are the names of the filters that apply to the response, in
// order and upper case. Only meaningful in a Filter hook.
func (r *Request) OutputFilters() []string { return r.filters }

// HasOutputFilter reports whether a filter of that (upper case) name applies.
func (r *Request) HasOutputFilter(name string) bool { return slices.Contains(r.filters, name) }

// Outgoing takes a head through filters and response hooks and returns the
// filters for the body, in order; nil if it goes out as it is. filtered false
// leaves the filters out, for a sender that cannot apply any. It may panic with
// the time-out of a regular expression, which Guard turns into an error.
func (r *Request) Outgoing(h *ResponseHead, filtered bool) (body []BodyFilter) {
	m := r.m
	if m == nil {
		return nil
	}
	r.head = h // for expressions
	s := r.Host.server
	if m.filtered && filtered {
		r.filters = nil
		for i := range s.hooks {
			if f := s.hooks[i].insert; f != nil {
				for _, name := range f(r, m.conf[i], h) {
					if !slices.Contains(r.filters, name) {
						r.filters = append(r.filters, name)
					}
				}
			}
		}
		if h.Status != http.StatusNoContent && h.Status/100 != 1 {
			for i := range s.hooks {
				if f := s.hooks[i].filter; f != nil {
					length := h.Length
					h.keep = false
					if b := f(r, m.conf[i], h); b != nil {
						body = append(body, b)
						if h.Length == length && !h.keep {
							h.Length = -1
						}
					}
				}
			}
		}
		if h.NoBody() { // a 304 carries the fields that a 200 would; there is nothing to filter
			body = nil
		}
	}
	for _, i := range m.response {
		s.hooks[i].response(r, m.conf[i], h)
	}
	return body
}

// Guard runs f, which calls modules' hooks, and reports the time-out of a
// regular expression as an error.
func (r *Request) Guard(f func()) (err error) {
	defer func() {
		if e := recover(); e != nil {
			t, ok := e.(errRegexTimeout)
			if !ok {
				panic(e)
			}
			r.Logf(LevelError, "core", "%v", t)
			err = t
		}
	}()
	f()
	return nil
}
