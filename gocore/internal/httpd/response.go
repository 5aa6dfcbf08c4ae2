// Responses that the server makes itself: error documents, redirects, the
// built-in pages.
package httpd

import (
	"cmp"
	"fmt"
	"html"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// Error gives the outcome for a status that the server produces itself
// (400 ... 504), with the ErrorDocument of the host or the built-in page. r is
// nil when the head was unusable; then only the built-in page will do, as in
// Apache. If a plan was running, r.Plan says so and its settings count.
func (v *VirtualHost) Error(r *Request, status int) *Outcome {
	if r == nil {
		r = &Request{Host: v, m: v.base}
		return r.builtin(status)
	}
	r.Host = v
	switch {
	case r.Plan != nil && r.Plan.merged != nil:
		r.m = r.Plan.merged
	case r.m == nil:
		r.m = v.base
	}
	if r.URI == "" && r.clean() != OK {
		return r.builtin(status)
	}
	return r.failHere(status)
}

// failHere is Fail where nothing slow can be done: if the error document
// needed that, the built-in page has to do.
func (r *Request) failHere(status int) (out *Outcome) {
	defer func() {
		if e := recover(); e != nil {
			if _, ok := e.(needs); !ok {
				panic(e)
			}
			out = r.builtin(status)
		}
	}()
	return r.Fail(status)
}

// Fail is the outcome for an HTTP status with the ErrorDocument that applies
// to the request. Modules return it from Handler; the other phases return the
// status itself.
func (r *Request) Fail(status int) *Outcome {
	for p := r; p != nil; p = p.Prev {
		if p.Status != 0 { // an error in an error document: the page of the first
			if p.Status != http.StatusUnauthorized { // how to authenticate for the document does not belong to this answer
				r.ErrOut = slices.DeleteFunc(r.ErrOut, func(f Field) bool { return strings.EqualFold(f.Name, "WWW-Authenticate") })
			}
			return r.builtin(p.Status)
		}
	}
	if status < 400 {
		return r.builtin(status)
	}
	switch doc := r.errorDocument(status); doc.Kind {
	case ErrorDocText:
		out := r.bare(status)
		out.Header = append(out.Header, Field{"Content-Type", "text/html; charset=iso-8859-1"})
		out.Body = []byte(doc.Text)
		return out
	case ErrorDocLocal:
		return r.Redirect(doc.Text, status)
	case ErrorDocExternal:
		out := r.builtin(http.StatusFound)
		out.Header = SetField(out.Header, "Location", doc.Text)
		out.CloseConn = dropsConnection(status)
		return out
	}
	return r.builtin(status)
}

// errorDocument is the ErrorDocument for a status with its expression
// evaluated.
func (r *Request) errorDocument(status int) ErrorDoc {
	doc := r.m.core.ErrorDocument[status]
	if doc.Expr == nil {
		return doc
	}
	r.failed = status // REQUEST_STATUS
	text, err := doc.Expr.Eval(r)
	r.failed = 0
	lower := strings.ToLower(text)
	switch {
	case err != nil:
		r.Logf(LevelError, "core", "AH01284: the ErrorDocument for %d cannot be evaluated: %v", status, err)
		return ErrorDoc{}
	case doc.Kind == ErrorDocText:
	case strings.HasPrefix(text, "/"):
		doc.Kind = ErrorDocLocal
	case status != http.StatusUnauthorized && (strings.HasPrefix(lower, "http://") || strings.HasPrefix(lower, "https://")):
		doc.Kind = ErrorDocExternal
	default:
		r.Logf(LevelError, "core", "AH01285: the ErrorDocument for %d is neither a path nor a URL: %q", status, text)
		return ErrorDoc{}
	}
	doc.Text = text
	return doc
}

// RedirectTo is the outcome of a redirect to a URL (absolute, or a path of
// this host). extra are header fields to add.
func (r *Request) RedirectTo(status int, location string) *Outcome {
	out := r.builtin(status)
	out.Header = SetField(out.Header, "Location", r.AbsoluteURL(location))
	return out
}

// AbsoluteURL turns a path of this host into a URL as UseCanonicalName says.
func (r *Request) AbsoluteURL(u string) string {
	if !strings.HasPrefix(u, "/") {
		return u
	}
	scheme, def := r.Scheme(), 80
	if scheme == "https" {
		def = 443
	}
	name, port := r.SelfName()
	if strings.Contains(name, ":") && name[0] != '[' {
		name = "[" + name + "]"
	}
	if port != 0 && port != def {
		name += ":" + strconv.Itoa(port)
	}
	return scheme + "://" + name + u
}

// Scheme is the scheme for URLs of this host: that of ServerName if it has
// one (TLS is handled by something in front), else the connection's.
func (r *Request) Scheme() string {
	switch {
	case r.Host.ServerScheme != "":
		return r.Host.ServerScheme
	case r.TLS:
		return "https"
	}
	return "http"
}

// SelfName is the name and port that the server gives itself for this request,
// the source of SERVER_NAME and SERVER_PORT, as UseCanonicalName and
// UseCanonicalPhysicalPort say. port 0: the scheme's own. Source: ap_get_server_port.
func (r *Request) SelfName() (name string, port int) {
	c := r.m.core
	physical := func() int {
		if c.UseCanonicalPhysicalPort.Or(false) && r.Local.IsValid() {
			return int(r.Local.Port())
		}
		return 0
	}
	if c.UseCanonicalName.Or("off") != "off" {
		return r.Host.ServerName, cmp.Or(r.Host.SelfPort, physical())
	}
	name, text := SplitHost(r.HostName)
	if name = strings.ToLower(name); name == "" {
		name = r.Host.ServerName
	}
	if n, err := strconv.Atoi(text); err == nil {
		return name, n
	}
	return name, cmp.Or(physical(), r.Host.SelfPort)
}

// SplitHost splits a Host header into name and port, "" if there is none.
func SplitHost(h string) (name, port string) {
	if strings.HasPrefix(h, "[") {
		if i := strings.IndexByte(h, ']'); i >= 0 {
			return h[:i+1], strings.TrimPrefix(h[i+1:], ":")
		}
		return h, ""
	}
	if i := strings.LastIndexByte(h, ':'); i >= 0 {
		return h[:i], h[i+1:]
	}
	return h, ""
}

// bare is an outcome with a status and what always goes with it.
func (r *Request) bare(status int) *Outcome {
	r.ownPage = true
	out := &Outcome{Status: status, CloseConn: dropsConnection(status), Request: r, page: true}
	if status == http.StatusMethodNotAllowed || status == http.StatusNotImplemented {
		out.Header = append(out.Header, Field{"Allow", r.Allowed()})
	}
	out.ErrHeader = append(out.ErrHeader, r.ErrOut...)
	return out
}

// builtin is the server's own page for a status.
func (r *Request) builtin(status int) *Outcome {
	out := r.bare(status)
	if status == 304 || status == 204 || status < 200 {
		return out
	}
	text := http.StatusText(status)
	if text == "" {
		text = "Error"
	}
	var b strings.Builder
	fmt.Fprintf(&b, "<!DOCTYPE html>\n<html><head>\n<title>%d %s</title>\n</head><body>\n<h1>%s</h1>\n<p>%s</p>\n",
		status, text, text, explain(status))
	if first := r.failedDocument(status); first != "" {
		fmt.Fprintf(&b, "<p>The page that was configured for this error could not be shown.</p>\n")
	}
	if list := r.Notes[NoteVariants]; status == 300 || status == 406 {
		b.WriteString(list)
	}
	b.WriteString(r.Notes[NoteError])
	if code := r.Notes[NoteLogCode]; code != "" {
		fmt.Fprintf(&b, "<p>The server's error log says more: %s.</p>\n", html.EscapeString(code))
	}
	b.WriteString(r.Signature())
	b.WriteString("</body></html>\n")
	mediaType := "text/html; charset=utf-8"
	if _, ok := r.Env("suppress-error-charset"); ok { // for clients that would read the next page with it
		mediaType = "text/html"
	}
	out.Header = append(out.Header, Field{"Content-Type", mediaType})
	out.Body = []byte(b.String())
	return out
}

// Signature is the line below pages that the server makes, as ServerSignature
// says.
func (r *Request) Signature() string {
	sig := strings.ToLower(r.m.core.ServerSignature.V)
	if sig != "on" && sig != "email" {
		return ""
	}
	name, _ := r.SelfName()
	name = html.EscapeString(name)
	if a := r.Host.ServerAdmin; sig == "email" && a != "" {
		if !strings.Contains(a, ":") {
			a = "mailto:" + a
		}
		name = `<a href="` + html.EscapeString(a) + `">` + name + "</a>"
	}
	return fmt.Sprintf("<hr>\n<address>%s Server at %s Port %s</address>\n", html.EscapeString(r.Host.server.Software), name, serverPort(r))
}

// failedDocument tells whether r is an error document that failed itself.
func (r *Request) failedDocument(status int) string {
	for p := r; p != nil; p = p.Prev {
		if p.Status == status && p.Prev != nil {
			return p.URI
		}
	}
	return ""
}

// NoteVariants is the note with which mod_negotiation leaves the list of variants,
// as markup, for the pages of 300 and 406.
const NoteVariants = "variant-list"

// NoteError is the note with markup that goes into the page of an error.
const NoteError = "error-notes"

// NoteLogCode is the note with the code of the log record that explains an
// error, for its page.
const NoteLogCode = "log-code"

// explain is one sentence about a status for people who see the page.
func explain(status int) string {
	switch status {
	case 300:
		return "There are several documents at this address."
	case 406:
		return "None of the documents at this address is of a kind that your browser accepts."
	case 301, 302, 303, 307, 308:
		return "The document is at another address."
	case 400:
		return "The server could not understand the request."
	case 401:
		return "This page needs a user name and password that the server accepts."
	case 403:
		return "You do not have permission to see this page."
	case 404:
		return "There is no page at this address."
	case 405:
		return "This address does not support the method of the request."
	case 408:
		return "The request did not arrive in time."
	case 410:
		return "The page that was here is gone for good."
	case 411:
		return "The request must say how long its body is."
	case 413:
		return "The body of the request is larger than the server accepts."
	case 414:
		return "The address is longer than the server accepts."
	case 421:
		return "The connection was made for another host, which asks for other protection than this one."
	case 431:
		return "The header of the request is larger than the server accepts."
	case 500:
		return "The server met an error that it could not handle. The error log says more."
	case 501:
		return "The server does not support what the request asks for."
	case 502:
		return "The application ended its answer too early."
	case 503:
		return "The server cannot answer now. Please try again later."
	case 504:
		return "The application did not answer in time."
	}
	if status >= 500 {
		return "The server could not answer the request."
	}
	return "The request could not be answered."
}

// dropsConnection lists the statuses after which the connection is closed
// because its state is not known any more (as in Apache).
func dropsConnection(status int) bool {
	switch status {
	case 400, 408, 411, 413, 414, 431, 500, 501, 503:
		return true
	}
	return false
}
