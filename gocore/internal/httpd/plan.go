// Plans: what the wsgi module's handler asks for. One Plan object per distinct
// content, so that everything behind it (environ template, interpreter) can be
// prepared once.
package httpd

import (
	"fmt"
	"strconv"
	"strings"
)

// maxPlans bounds the plans that are kept. Names that come from the request
// (%{HOST}) could otherwise fill the memory; above the limit a plan serves one
// request and has the ID -1.
const maxPlans = 4096

// Plans returns the plans made so far by ID; any goroutine.
func (s *Server) Plans() []*Plan {
	s.plansMu.RLock()
	defer s.plansMu.RUnlock()
	return s.plans[:len(s.plans):len(s.plans)]
}

// MakePlan returns the plan for the request with the fields that the wsgi
// module decided; the core adds Host, Environ, BodyLimit and ID. The same
// content gives the same pointer.
func (r *Request) MakePlan(p Plan) *Plan {
	s := r.Host.server
	var k strings.Builder
	for _, f := range []string{r.m.key, p.Script, p.Handler, p.HandlerScript, p.ProcessGroup, p.ApplicationGroup, p.CallableObject,
		p.ScriptName, r.ContextPrefix, r.ContextRoot, r.DocRoot} {
		fmt.Fprintf(&k, "%d:", len(f))
		k.WriteString(f)
	}
	fmt.Fprint(&k, r.Host.index, r.TLS, p.PassAuthorization)
	key := k.String()
	s.plansMu.RLock()
	old := s.planBy[key]
	s.plansMu.RUnlock()
	if old != nil {
		return old
	}
	p.Host, p.merged = r.Host, r.m
	c := r.m.core
	p.BodyLimit = c.LimitRequestBody.Or(1 << 30)
	p.LogLevel = r.Host.LogLevel.Level("wsgi")
	if c.LogLevel.Set {
		p.LogLevel = c.LogLevel.V.Level("wsgi")
	}
	if c.CGIPassAuth.Or(false) {
		p.PassAuthorization = true
	}
	p.Environ, p.URLScheme = r.environ(p.Script)
	if p.Group != nil && p.Group.Chroot != "" { // Script is a path inside already
		for i := range p.Environ {
			if e := &p.Environ[i]; e.Name == "DOCUMENT_ROOT" || e.Name == "CONTEXT_DOCUMENT_ROOT" {
				if inside, ok := p.Group.Inside(e.Value); ok {
					e.Value = inside
				}
			}
		}
	}
	s.plansMu.Lock()
	defer s.plansMu.Unlock()
	if old := s.planBy[key]; old != nil {
		return old
	}
	p.ID = -1
	if len(s.plans) < maxPlans {
		p.ID = len(s.plans)
		s.plans = append(s.plans, &p)
		if s.planBy == nil {
			s.planBy = map[string]*Plan{}
		}
		s.planBy[key] = &p
	}
	return &p
}

// environ is the constant part of the CGI environment (RFC 3875 and the
// additions of httpd): the modules' variables first, overridden by the
// computed ones. HTTPS decides the scheme and is not passed on.
func (r *Request) environ(script string) (env []EnvVar, scheme string) {
	scheme = "http"
	if r.TLS {
		scheme = "https"
	}
	computed := []EnvVar{
		{"REQUEST_SCHEME", scheme},
		{"SERVER_SOFTWARE", r.Host.server.Software},
		{"DOCUMENT_ROOT", r.Root()},
		{"CONTEXT_PREFIX", r.ContextPrefix},
		{"CONTEXT_DOCUMENT_ROOT", r.ContextRoot},
		{"SCRIPT_FILENAME", script},
	}
	if r.ContextRoot == "" {
		computed[4].Value = r.Root()
	}
	if a := r.Host.ServerAdmin; a != "" {
		computed = append(computed, EnvVar{"SERVER_ADMIN", a})
	}
	at := map[string]int{}
	put := func(e EnvVar) {
		if i, ok := at[e.Name]; ok {
			env[i].Value = e.Value
			return
		}
		at[e.Name] = len(env)
		env = append(env, e)
	}
	for _, e := range r.m.environ {
		if e.Name == "HTTPS" {
			scheme = schemeOf(e.Value, scheme)
		} else {
			put(e)
		}
	}
	for _, e := range computed {
		put(e)
	}
	return env, scheme
}

// CGIVariables are the variables of the configuration and of the modules for a
// request, with the computed ones that Plan.Environ has; a list of the caller's own.
func (r *Request) CGIVariables(script string) []EnvVar {
	env, _ := r.environ(script)
	for _, e := range r.env {
		if e.Name != "HTTPS" {
			env = append(env, e)
		}
	}
	return env
}

// httpsOn is what mod_ssl sets for every request over TLS.
var httpsOn = EnvVar{"HTTPS", "on"}

// schemeOf is wsgi.url_scheme for a value of the variable HTTPS.
func schemeOf(https, def string) string {
	if strings.EqualFold(https, "on") || https == "1" {
		return "https"
	}
	return def
}

// Call makes the outcome that runs a plan for this request.
func (r *Request) Call(p *Plan) *Outcome {
	out := &Outcome{Plan: p, Request: r}
	out.ScriptName, out.PathInfo = r.ScriptName()
	for _, e := range r.env {
		if e.Name == "HTTPS" {
			out.URLScheme = schemeOf(e.Value, "http")
			continue
		}
		out.Env = append(out.Env, e)
	}
	if r.m.core.OwnName() {
		name, port := r.SelfName()
		if port == 0 && r.Scheme() == "https" {
			port = 443
		} else if port == 0 {
			port = 80
		}
		out.Env = append(out.Env, EnvVar{"SERVER_NAME", name}, EnvVar{"SERVER_PORT", strconv.Itoa(port)})
	}
	if name := r.ClientName(); name != "" {
		out.Env = append(out.Env, EnvVar{"REMOTE_HOST", name})
	}
	if r.User != "" {
		out.Env = append(out.Env, EnvVar{"REMOTE_USER", r.User})
		if r.AuthType != "" { // else mod_ssl took the name from the certificate
			out.Env = append(out.Env, EnvVar{"AUTH_TYPE", r.AuthType})
		}
	}
	return out
}
