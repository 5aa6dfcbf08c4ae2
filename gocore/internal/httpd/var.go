// Server variables: %{NAME} of expressions and of mod_rewrite.
package httpd

import (
	"fmt"
	"net/netip"
	"os/user"
	"strconv"
	"strings"
	"time"
)

// apiVersion is API_VERSION: the module magic number of httpd 2.4.
const apiVersion = "20120211"

// vars are the variables and how each is found. Those of mod_ssl are the
// connection's; without TLS, what the request's variables of the same name say.
var vars map[string]func(r *Request) string

func init() { // not a literal, because the functions reach vars again
	vars = map[string]func(r *Request) string{
		"REQUEST_METHOD":   func(r *Request) string { return r.Method },
		"REQUEST_SCHEME":   func(r *Request) string { return r.Scheme() },
		"REQUEST_URI":      func(r *Request) string { return r.URI },
		"DOCUMENT_URI":     func(r *Request) string { return r.URI },
		"REQUEST_FILENAME": filename,
		"SCRIPT_FILENAME":  filename,
		"LAST_MODIFIED": func(r *Request) string {
			if r.Info == nil {
				return ""
			}
			return r.Info.ModTime().Format("20060102150405")
		},
		"SCRIPT_USER":     func(r *Request) string { return r.fileOwner(false) },
		"SCRIPT_GROUP":    func(r *Request) string { return r.fileOwner(true) },
		"PATH_INFO":       func(r *Request) string { return r.PathInfo },
		"QUERY_STRING":    func(r *Request) string { return r.Query },
		"IS_SUBREQ":       func(r *Request) string { return strconv.FormatBool(r.SubRequest) },
		"THE_REQUEST":     func(r *Request) string { return r.Original().Method + " " + r.RawTarget + " " + r.Proto },
		"REMOTE_ADDR":     func(r *Request) string { return addrText(r.Remote) },
		"REMOTE_HOST":     remoteHost,
		"REMOTE_PORT":     func(r *Request) string { return portText(int(r.Remote.Port())) },
		"REMOTE_USER":     func(r *Request) string { return r.User },
		"REMOTE_IDENT":    func(*Request) string { return "" },
		"SERVER_NAME":     func(r *Request) string { name, _ := r.SelfName(); return name },
		"SERVER_PORT":     serverPort,
		"SERVER_ADDR":     func(r *Request) string { return addrText(r.Local) },
		"SERVER_ADMIN":    func(r *Request) string { return r.Host.ServerAdmin },
		"SERVER_PROTOCOL": func(r *Request) string { return r.Proto },
		"SERVER_SOFTWARE": func(r *Request) string { return r.Host.server.Software },
		"DOCUMENT_ROOT":   func(r *Request) string { return r.Root() },
		"CONTEXT_PREFIX":  func(r *Request) string { return r.ContextPrefix },
		"CONTEXT_DOCUMENT_ROOT": func(r *Request) string {
			if r.ContextRoot != "" {
				return r.ContextRoot
			}
			return r.Root()
		},
		"AUTH_TYPE":      func(r *Request) string { return r.AuthType },
		"CONTENT_TYPE":   func(r *Request) string { return r.contentType() },
		"HANDLER":        handlerName,
		"HTTPS":          func(r *Request) string { return onOff(r.TLS) },
		"HTTP2":          func(r *Request) string { return onOff(strings.HasPrefix(r.Proto, "HTTP/2")) },
		"IPV6":           func(r *Request) string { return onOff(r.Remote.Addr().Unmap().Is6()) },
		"REQUEST_STATUS": func(r *Request) string { return strconv.Itoa(r.status()) },
		"REQUEST_LOG_ID": func(r *Request) string { return r.LogID() },
		"CONN_LOG_ID":    func(r *Request) string { return r.ConnLogID() },
		"CONN_REMOTE_ADDR": func(r *Request) string {
			if !r.Peer.IsValid() {
				return addrText(r.Remote)
			}
			return addrText(r.Peer)
		},
		"API_VERSION": func(*Request) string { return apiVersion },
		"TIME":        clock("20060102150405"),
		"TIME_YEAR":   clock("2006"),
		"TIME_MON":    clock("01"),
		"TIME_DAY":    clock("02"),
		"TIME_HOUR":   clock("15"),
		"TIME_MIN":    clock("04"),
		"TIME_SEC":    clock("05"),
		"TIME_WDAY":   func(*Request) string { return strconv.Itoa(int(time.Now().Weekday())) },
	}
	for name, field := range headerVars {
		vars[name] = func(r *Request) string { v, _ := r.Get(field); return v }
	}
}

// HasVar says whether a variable exists; name in upper case. Those of mod_ssl
// exist always and are empty without TLS.
func HasVar(name string) bool { return vars[name] != nil || strings.HasPrefix(name, "SSL_") }

// Var is a server variable by its name in upper case, as in %{NAME} of
// mod_rewrite and expressions. false: there is no such variable. One that is
// not known yet in this phase is empty.
func (r *Request) Var(name string) (string, bool) {
	if f := vars[name]; f != nil {
		return f(r), true
	}
	if strings.HasPrefix(name, "SSL_") {
		if r.Secure != nil {
			if v := r.Secure.Lookup(r, name); v != "" {
				return v, true
			}
		}
		v, _ := r.Env(name)
		return v, true
	}
	return "", false
}

func onOff(b bool) string {
	if b {
		return "on"
	}
	return "off"
}

// handlerName is HANDLER: without one, the media type stands in for it once
// there is a response.
func handlerName(r *Request) string {
	if r.Handler != "" || r.head == nil && r.replied == nil {
		return r.Handler
	}
	t, _, _ := strings.Cut(r.contentType(), ";")
	return t
}

// filename is REQUEST_FILENAME: the URL path before it is mapped to a file.
func filename(r *Request) string {
	if r.Filename == "" {
		return r.URI
	}
	return r.Filename
}

// Original is the request that the client sent, before internal redirects and
// sub-requests.
func (r *Request) Original() *Request {
	for {
		switch {
		case r.main != nil:
			r = r.main
		case r.Prev != nil:
			r = r.Prev
		default:
			return r
		}
	}
}

func addrText(a netip.AddrPort) string {
	if !a.IsValid() {
		return ""
	}
	return a.Addr().Unmap().String()
}

func portText(n int) string {
	if n == 0 {
		return ""
	}
	return strconv.Itoa(n)
}

// serverPort is the port that the server gives itself, or the scheme's.
func serverPort(r *Request) string {
	_, port := r.SelfName()
	switch {
	case port != 0:
		return strconv.Itoa(port)
	case r.Scheme() == "https":
		return "443"
	}
	return "80"
}

func clock(layout string) func(*Request) string {
	return func(*Request) string { return time.Now().Format(layout) }
}

// contentType is the media type of the response as far as it is known.
func (r *Request) contentType() string {
	if t, ok := r.response("Content-Type"); ok {
		return t
	}
	return r.ContentType
}

// status is the status of the response as far as it is known.
func (r *Request) status() int {
	switch {
	case r.replied != nil:
		return r.replied.status
	case r.head != nil:
		return r.head.Status
	case r.failed != 0:
		return r.failed
	case r.Status != 0:
		return r.Status
	}
	return 200
}

// fileOwner is the name of the file's owner or group, or its number if it has
// no name; "" if there is no file.
func (r *Request) fileOwner(group bool) string {
	if r.Info == nil {
		return ""
	}
	uid, gid, ok := owner(r.Info)
	if !ok {
		return ""
	}
	if group {
		if g, err := user.LookupGroupId(fmt.Sprint(gid)); err == nil {
			return g.Name
		}
		return fmt.Sprint(gid)
	}
	if u, err := user.LookupId(fmt.Sprint(uid)); err == nil {
		return u.Username
	}
	return fmt.Sprint(uid)
}
