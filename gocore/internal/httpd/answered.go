// Requests after their response, for conditions of access logs.
package httpd

// answer is the response as it went out.
type answer struct {
	status int
	field  func(name string) (string, bool)
}

// Answered makes a request fit for the expressions of access logs: status and
// field are those of the response. like is a request whose phases decided this
// one as well (a kept file); nil: r went through the phases, or Assume was
// called, or the request was malformed and has the settings of its host only.
// The request must not be used for anything else afterwards.
func (r *Request) Answered(like *Request, status int, field func(name string) (string, bool)) {
	if like != nil {
		r.m, r.URI, r.Filename, r.PathInfo, r.Info, r.Base = like.m, like.URI, like.Filename, like.PathInfo, like.Info, like.Base
		r.Handler, r.ContentType, r.ContextPrefix, r.ContextRoot, r.env = like.Handler, like.ContentType, like.ContextPrefix, like.ContextRoot, like.env
	}
	if r.m == nil {
		r.m = r.Host.base
	}
	r.replied = &answer{status, field}
}
