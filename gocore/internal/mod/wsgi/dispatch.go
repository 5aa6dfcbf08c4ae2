// WSGIDispatchScript: Python functions that choose the process group, the
// interpreter and the callable of a request. They run where scripts of access
// control run (authscripts.go), after the configuration has made its choice.
package wsgi

import (
	"strconv"
	"strings"

	"modwsgi/gocore/internal/httpd"
)

// dispatch asks the script. Its functions are optional; None keeps what the
// configuration says, text is expanded as the directives are. false: a function
// failed, the others were not asked, and the request cannot be served.
func dispatch(r *httpd.Request, c *config, p *httpd.Plan) bool {
	s := c.dispatchScript.V
	env := dispatchEnviron(r, c, p)
	for _, f := range [...]struct {
		name     string
		value    *string
		callable bool
	}{{"process_group", &p.ProcessGroup, false}, {"application_group", &p.ApplicationGroup, false}, {"callable_object", &p.CallableObject, true}} {
		res := askScript(r, s, env, httpd.ScriptDispatch, f.name)
		switch res.Answer {
		case httpd.ScriptNone, httpd.ScriptMissing:
		case httpd.ScriptText:
			*f.value = expand(r, res.Text, p, f.callable)
		default:
			r.Logf(httpd.LevelError, "wsgi", "[script %s] WSGI0307: %s of the dispatch script %s failed, so nobody knows where the request belongs", r.Filename, f.name, s.path)
			return false
		}
	}
	return true
}

// dispatchEnviron is what a CGI program would see, after WSGITrustedProxies, without credentials.
func dispatchEnviron(r *httpd.Request, c *config, p *httpd.Plan) []httpd.EnvVar {
	env := r.CGIVariables(p.Script)
	at := map[string]int{}
	for i, e := range env {
		at[e.Name] = i
	}
	set := func(name, value string) {
		if i, ok := at[name]; ok {
			env[i].Value = value
			return
		}
		at[name] = len(env)
		env = append(env, httpd.EnvVar{Name: name, Value: value})
	}
	https := r.TLS
	assign := func(name, value string) {
		if name == "HTTPS" { // as for the application: the scheme says it
			https = strings.EqualFold(value, "on") || value == "1"
			return
		}
		set(name, value)
	}
	for _, f := range r.Header {
		if name := headerVariable(f.Name); name != "" {
			v, _ := r.Get(f.Name) // all fields of the name
			set(name, v)
		}
	}
	for _, n := range []string{"SERVER_NAME", "SERVER_ADDR", "SERVER_PORT", "REMOTE_ADDR", "REMOTE_PORT", "SERVER_PROTOCOL", "REQUEST_METHOD", "QUERY_STRING"} {
		v, _ := r.Var(n)
		set(n, v)
	}
	script, info := r.ScriptName()
	set("REQUEST_URI", r.RawTarget)
	set("SCRIPT_NAME", script)
	set("PATH_INFO", info)
	set("mod_wsgi.script_name", script)
	set("mod_wsgi.path_info", info)
	set("mod_wsgi.request_handler", r.Handler)
	set("mod_wsgi.handler_script", p.HandlerScript)
	if a := r.Local.Port(); a != 0 {
		set("mod_wsgi.listener_port", strconv.Itoa(int(a)))
	}
	if r.User != "" {
		set("REMOTE_USER", r.User)
		set("AUTH_TYPE", r.AuthType)
	}
	removed := map[string]bool{}
	if len(c.trustedHeaders.V) > 0 {
		TrustedProxy(r, c.trustedHeaders.V, c.trustedProxies.V, assign, func(name string) { removed[name] = true })
	}
	if https {
		set("HTTPS", "1")
	}
	out := env[:0]
	for _, e := range env {
		if !removed[e.Name] {
			out = append(out, e)
		}
	}
	return out
}
