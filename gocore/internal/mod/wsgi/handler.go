// Requests: from a URL path to a script, and from a script to a plan.
package wsgi

import (
	"errors"
	"fmt"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"

	"modwsgi/gocore/internal/httpd"
)

// handlerName is the handler of mounted scripts; scriptType is its old form as
// a media type.
const (
	handlerName = "wsgi-script"
	scriptType  = "application/x-httpd-wsgi"
)

// routes tells the core which paths translate answers.
func routes(c *config) []httpd.Route {
	var out []httpd.Route
	files := c.fileOrApplication.Set && c.fileOrApplication.V != "off"
	dirs := files && c.fileOrApplication.V == "directories"
	for _, m := range c.mounts {
		if m.re != nil {
			out = append(out, httpd.Route{Match: m.re.Match, Mount: &m.pub, Files: files, Dirs: dirs})
		} else {
			out = append(out, httpd.Route{Prefix: m.prefix, Mount: &m.pub, Files: files, Dirs: dirs})
		}
	}
	return out
}

// perRequest: names that come from the request, a script that decides, and
// scripts whose owner counts, which can change.
func perRequest(c *config) bool {
	return c.main.checksOwner(c.processGroup.V) || c.accessScript.Set || c.dispatchScript.Set || dynamic(c.processGroup.V) || dynamic(c.applicationGroup.V) || dynamic(c.callable.V)
}

// checksOwner reports whether a process group has script-user or script-group.
func (m *mainConfig) checksOwner(name string) bool {
	return m != nil && slices.ContainsFunc(m.groups, func(g *group) bool {
		return g.Name == name && (g.ScriptUser != "" || g.ScriptGroup != "")
	})
}

// translate maps a URL path to a mounted script: the first mount in order
// (not the longest) whose prefix matches.
func translate(r *httpd.Request, c *config) httpd.Status {
	for _, m := range c.mounts {
		if m.fallback && m.host != r.Host.Index() {
			continue
		}
		file, base := "", m.target
		if m.re != nil {
			g := m.re.Find(r.URI)
			if g == nil {
				continue
			}
			// only the part up to the end of the match is replaced
			file, base = httpd.Expand(m.target, r.URI, g)+r.URI[g[1]:], ""
		} else {
			n := httpd.MatchPrefix(r.URI, m.prefix)
			if n == 0 {
				continue
			}
			if n == 1 {
				n = 0 // the mount "/": the whole path follows the script
			}
			file = strings.TrimSuffix(m.target, "/") + r.URI[n:]
			if strings.HasSuffix(m.target, "/") && !strings.HasPrefix(r.URI[n:], "/") {
				file = m.target + r.URI[n:]
			}
		}
		if fileFirst(r, c) || m.fallback && c.afterRules && c.filesHost == r.Host.Index() {
			return httpd.Declined
		}
		r.Filename, r.Base, r.Mount, r.Aliased = file, base, &m.pub, true
		r.Handler = handlerName
		return httpd.OK
	}
	return httpd.Declined
}

// fileFirst reports whether WSGIFileOrApplication gives the path to a file
// below DocumentRoot. Names that begin with a dot never win, so that .htaccess
// and the like stay unseen.
func fileFirst(r *httpd.Request, c *config) bool {
	mode := c.fileOrApplication.V
	if mode == "" || mode == "off" || c.filesHost != r.Host.Index() {
		return false
	}
	root := r.Core().DocumentRoot.V
	if root == "" || strings.Contains(r.URI, "/.") {
		return false
	}
	fi, err := os.Stat(path.Clean(root + r.URI))
	if err != nil {
		return false
	}
	if fi.IsDir() {
		return mode == "directories"
	}
	return fi.Mode().IsRegular() && !strings.HasSuffix(r.URI, "/")
}

// fixup gives what is no file of the document root to the fallback, where
// "WSGIFileOrApplication ... Rules" says that the settings of the directories
// (rewrite rules, .htaccess files, access) count first. It runs after the
// modules that redirect and that find index files.
func fixup(r *httpd.Request, c *config) httpd.Status {
	if !c.afterRules || c.filesHost != r.Host.Index() || r.Handler != "" || r.SubRequest || r.Mount != nil {
		return httpd.Declined
	}
	hidden := strings.Contains(r.URI, "/.")
	if r.Info != nil && !hidden && (!r.Info.IsDir() || c.fileOrApplication.V == "directories") {
		return httpd.Declined
	}
	for _, m := range c.mounts {
		if !m.fallback || m.host != r.Host.Index() || m.re != nil {
			continue
		}
		n := httpd.MatchPrefix(r.URI, m.prefix)
		if n == 0 {
			continue
		}
		if n == 1 {
			n = 0
		}
		info, err := os.Stat(m.target)
		if err != nil {
			info = nil
		}
		r.Filename, r.Base, r.PathInfo, r.Info = m.target, m.target, r.URI[n:], info
		r.Mount, r.Aliased, r.Handler = &m.pub, true, handlerName
		r.ContentType, r.Encoding, r.Charset, r.Language = "", "", "", nil // of the name that led nowhere
		return httpd.OK
	}
	return httpd.Declined
}

// mountOf finds the settings of the mount that the request came through.
func mountOf(r *httpd.Request, c *config) *mount {
	for _, m := range c.mounts {
		if r.Mount == &m.pub {
			return m
		}
	}
	return nil
}

// handle makes the plan for requests whose handler is ours. The statuses are
// those of mod_wsgi.
func handle(r *httpd.Request, c *config) *httpd.Outcome {
	p := httpd.Plan{Handler: r.Handler}
	script := c.handlers[r.Handler]
	var o scriptOptions
	switch {
	case script != nil:
		o, p.HandlerScript = script.options, script.path
	case r.Handler == handlerName || r.Handler == "" && r.ContentType == scriptType || r.Handler == scriptType:
		if m := mountOf(r, c); m != nil {
			o = m.options
		} else if r.Core().OptionsValue()&httpd.OptExecCGI == 0 {
			r.Logf(httpd.LevelError, "wsgi", "[script %s] WSGI0134: Options ExecCGI is off in this directory", r.Filename)
			return r.Fail(403)
		}
		switch {
		case r.Info == nil:
			r.Logf(httpd.LevelError, "wsgi", "[script %s] WSGI0135: target WSGI script not found or unable to stat: %s", r.Filename, unseen(r.Filename))
			return r.Fail(404)
		case r.Info.IsDir():
			r.Logf(httpd.LevelError, "wsgi", "[script %s] WSGI0136: the target is a directory", r.Filename)
			return r.Fail(403)
		}
		p.Handler = handlerName
	default:
		return nil
	}
	if r.PathInfo != "" && r.Core().AcceptPathInfo.V == "off" {
		r.Logf(httpd.LevelError, "wsgi", "[script %s] WSGI0137: AcceptPathInfo Off, and something follows the script: %s", r.Filename, r.PathInfo)
		return r.Fail(404)
	}
	p.Script = r.Filename
	p.ScriptName, _ = r.ScriptName()
	p.CaseSensitivity = true
	srv := r.Host.Server()
	p.CaseSensitivity = srv.Python.CaseSensitivity
	p.ProcessGroup = expand(r, o.processGroup.Or(c.processGroup.V), &p, false)
	app := o.applicationGroup
	if !app.Set {
		app = httpd.Some(c.applicationGroup.Or("%{RESOURCE}"))
	}
	p.ApplicationGroup = expand(r, app.V, &p, false)
	if o.callable.Set {
		p.CallableObject = o.callable.V // taken as it is, as in mod_wsgi
	} else {
		p.CallableObject = expand(r, c.callable.Or("application"), &p, true)
	}
	if c.dispatchScript.Set && !dispatch(r, c, &p) {
		return r.Fail(500)
	}
	if list := c.restrictProcess; list.Set && !slices.ContainsFunc(list.V, func(n string) bool { return strings.EqualFold(n, p.ProcessGroup) }) {
		r.Logf(httpd.LevelError, "wsgi", "[script %s] WSGI0149: process group %q is not among those of WSGIRestrictProcess", r.Filename, p.ProcessGroup)
		return r.Fail(500)
	}
	if p.ProcessGroup == "" {
		if srv.Python.RestrictEmbedded {
			r.Logf(httpd.LevelError, "wsgi", "[script %s] WSGI0143: embedded mode is disabled by WSGIRestrictEmbedded", r.Filename)
			return r.Fail(500)
		}
		p.Multithread = srv.ThreadsPerChild != 1
		p.Multiprocess = max(srv.StartServers, srv.ServerLimit) > 1
	} else {
		g := findGroup(srv, p.ProcessGroup)
		switch {
		case g == nil:
			id := "WSGI0151"
			if len(srv.Groups) == 0 {
				id = "WSGI0150"
			}
			r.Logf(httpd.LevelError, "wsgi", "[script %s] %s: no WSGIDaemonProcess has the name %q", r.Filename, id, p.ProcessGroup)
			return r.Fail(500)
		case !reachable(g, r.Host.Index(), r.Host.ServerName):
			r.Logf(httpd.LevelError, "wsgi", "[script %s] WSGI0152: process group %q belongs to another virtual host", r.Filename, p.ProcessGroup)
			return r.Fail(500)
		}
		if why := ownership(g, r.Filename); why != "" {
			r.Logf(httpd.LevelError, "wsgi", "[script %s] %s", r.Filename, why)
			return r.Fail(403)
		}
		if g.Threads == 0 {
			r.Logf(httpd.LevelError, "wsgi", "[script %s] WSGI0342: process group %q has threads=0 and takes no requests", r.Filename, g.Name)
			return r.Fail(503)
		}
		if g.Chroot != "" && !inside(r, g, &p) {
			return r.Fail(500)
		}
		p.Group, p.Multithread, p.Multiprocess = g, g.Threads != 1, g.Multiprocess
	}
	p.PassAuthorization = o.passAuthorization.Or(c.passAuthorization.V)
	p.ChunkedRequest = c.chunked.V
	p.ScriptReloading = c.scriptReloading.Or(true)
	p.ErrorOverride = c.errorOverride.V && p.Group != nil
	p.IgnoreActivity = c.ignoreActivity.V
	p.MapHEAD = c.mapHEAD.V
	p.TrustedHeaders, p.TrustedProxies = c.trustedHeaders.V, c.trustedProxies.V
	return r.Call(r.MakePlan(p))
}

// inside makes the paths of a plan those that processes with chroot= see.
func inside(r *httpd.Request, g *httpd.DaemonGroup, p *httpd.Plan) bool {
	for _, path := range []*string{&p.Script, &p.HandlerScript} {
		if *path == "" {
			continue
		}
		in, ok := g.Inside(*path)
		if !ok {
			r.Logf(httpd.LevelError, "wsgi", "[script %s] WSGI0341: %s is outside of chroot=%s of process group %q", r.Filename, *path, g.Chroot, g.Name)
			return false
		}
		*path = in
	}
	root := r.Root()
	if _, ok := g.Inside(root); !ok && root != "" {
		r.Logf(httpd.LevelError, "wsgi", "[script %s] WSGI0341: DocumentRoot %s is outside of chroot=%s of process group %q", r.Filename, root, g.Chroot, g.Name)
		return false
	}
	return true
}

// expand resolves %{...} names. A name that is not known stays as it is; for
// a callable it means the default.
func expand(r *httpd.Request, name string, p *httpd.Plan, callable bool) string {
	for range 2 { // a variable's value is expanded once more
		if !strings.HasPrefix(name, "%") {
			return name
		}
		v, known := "", true
		switch {
		case name == "%{GLOBAL}":
		case name == "%{SERVER}":
			v = r.Host.ServerName + portSuffix(r)
		case name == "%{HOST}":
			host, _ := httpd.SplitHost(r.HostName)
			if host == "" {
				host = r.Host.ServerName
			}
			v = strings.ToLower(host) + portSuffix(r)
		case name == "%{RESOURCE}":
			script := p.ScriptName
			if !p.CaseSensitivity {
				script = strings.ToLower(script)
			}
			v = r.Host.ServerName + portSuffix(r) + "|" + script
		case strings.HasPrefix(name, "%{ENV:") && strings.HasSuffix(name, "}"):
			v, known = lookup(r, name[len("%{ENV:"):len(name)-1])
			if known && !strings.HasPrefix(v, "%{ENV:") && strings.HasPrefix(v, "%") {
				name = v
				continue
			}
		default:
			known = false
		}
		switch {
		case callable && (!known || !strings.HasPrefix(name, "%{ENV:") || v == ""):
			return "application"
		case !known:
			return name
		}
		return v
	}
	return name
}

// lookup finds a variable: notes, request variables, the process's own.
func lookup(r *httpd.Request, name string) (string, bool) {
	if v, ok := r.Notes[name]; ok {
		return v, true
	}
	if v, ok := r.Env(name); ok {
		return v, true
	}
	return os.LookupEnv(name)
}

// portSuffix is ":port" unless it is the port of http or https.
func portSuffix(r *httpd.Request) string {
	if n := r.Host.ServerPort; n != 0 && n != 80 && n != 443 {
		return ":" + strconv.Itoa(n)
	}
	return ""
}

// unseen says why a file cannot be seen: the part of its path that is missing
// or that this process may not enter.
func unseen(file string) string {
	dir := ""
	for _, part := range strings.Split(strings.TrimPrefix(path.Dir(file), "/"), "/") {
		if part == "" {
			break
		}
		dir += "/" + part
		if _, err := os.Stat(dir); errors.Is(err, os.ErrNotExist) {
			return dir + " does not exist"
		}
		if _, err := os.Stat(dir + "/."); errors.Is(err, os.ErrPermission) {
			return fmt.Sprintf("user %d may not enter the directory %s", os.Geteuid(), dir)
		}
	}
	_, err := os.Stat(file)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return "there is no such file in its directory"
	case err != nil:
		return err.Error()
	}
	return "it is there now"
}
