// Scripts that take part in access control: WSGIAccessScript, WSGIAuthUserScript
// (the authentication provider "wsgi") and WSGIAuthGroupScript (Require
// wsgi-group). Here is what they are asked and what their answers mean; package
// python runs them. Whatever goes wrong with a script lets nobody in.
package wsgi

import (
	"errors"
	"fmt"
	"strings"

	"modwsgi/gocore/internal/httpd"
	"modwsgi/gocore/internal/mod/authncore"
	"modwsgi/gocore/internal/mod/authzcore"
)

// authScript is a script with the interpreter it runs in.
type authScript struct{ path, group string }

// AuthnProvider is the provider "wsgi" for Basic and Digest.
var AuthnProvider = authncore.Provider{Name: "wsgi", Password: checkPassword, Hash: realmHash}

// AuthzProviders are the Require lines of the module.
var AuthzProviders = []authzcore.Provider{{Name: "wsgi-group", Parse: parseGroups}}

func setAuthScript(field func(*config) *httpd.Opt[authScript]) func(*httpd.Cmd, *config) error {
	return func(k *httpd.Cmd, c *config) error {
		s := authScript{path: k.File(k.Arg(0))}
		pairs, err := optionPairs(k, 1)
		if err != nil {
			return err
		}
		for _, p := range pairs {
			if p.key != "application-group" || p.value == "" {
				return &httpd.Coded{Code: "WSGI-OPTION", Message: fmt.Sprintf("unknown option %q", p.key), Suggestion: "the option is application-group"}
			}
			s.group = global(p.value)
		}
		*field(c) = httpd.Some(s)
		return nil
	}
}

// call asks a script's function.
func call(r *httpd.Request, s authScript, kind httpd.ScriptKind, function string, args ...string) httpd.ScriptResult {
	return askScript(r, s, authEnviron(r), kind, function, args...)
}

func askScript(r *httpd.Request, s authScript, env []httpd.EnvVar, kind httpd.ScriptKind, function string, args ...string) httpd.ScriptResult {
	group := s.group
	if group == "%{SERVER}" || group == "%{HOST}" {
		group = expand(r, group, &httpd.Plan{}, false)
	}
	return r.Script(&httpd.ScriptCall{Script: s.path, Function: function, ApplicationGroup: group, Kind: kind, Environ: env,
		Args: args, HTTPS: r.TLS})
}

// authEnviron is what these scripts see: the request, no SetEnv variables, no
// file, no credentials.
func authEnviron(r *httpd.Request) []httpd.EnvVar {
	env := make([]httpd.EnvVar, 0, len(r.Header)+18)
	at := map[string]int{}
	for _, f := range r.Header {
		name := headerVariable(f.Name)
		if name == "" {
			continue
		}
		if i, ok := at[name]; ok { // the last one counts
			env[i].Value = f.Value
			continue
		}
		at[name] = len(env)
		env = append(env, httpd.EnvVar{Name: name, Value: f.Value})
	}
	for _, n := range []string{"SERVER_SOFTWARE", "SERVER_NAME", "SERVER_ADDR", "SERVER_PORT", "REMOTE_ADDR", "REMOTE_PORT", "DOCUMENT_ROOT",
		"SERVER_PROTOCOL", "REQUEST_METHOD", "QUERY_STRING"} {
		v, _ := r.Var(n)
		env = append(env, httpd.EnvVar{Name: n, Value: v})
	}
	if name := r.ClientName(); name != "" {
		env = append(env, httpd.EnvVar{Name: "REMOTE_HOST", Value: name})
	}
	if a := r.Host.ServerAdmin; a != "" {
		env = append(env, httpd.EnvVar{Name: "SERVER_ADMIN", Value: a})
	}
	return append(env, httpd.EnvVar{Name: "SERVER_SIGNATURE"}, httpd.EnvVar{Name: "REQUEST_URI", Value: r.RawTarget},
		httpd.EnvVar{Name: "SCRIPT_NAME", Value: strings.TrimSuffix(r.URI, r.PathInfo)}, httpd.EnvVar{Name: "PATH_INFO", Value: r.PathInfo})
}

// headerVariable is the environ key of a header field, "" if it has none:
// credentials, Proxy (the variable HTTP_PROXY means something else to clients
// of HTTP), and names that would look like others.
func headerVariable(name string) string {
	b := []byte(name)
	for i, c := range b {
		switch {
		case 'a' <= c && c <= 'z':
			b[i] = c - 'a' + 'A'
		case 'A' <= c && c <= 'Z' || '0' <= c && c <= '9':
		case c == '-':
			b[i] = '_'
		default:
			return ""
		}
	}
	switch s := string(b); s {
	case "AUTHORIZATION", "PROXY_AUTHORIZATION", "PROXY":
		return ""
	case "CONTENT_TYPE", "CONTENT_LENGTH":
		return s
	default:
		return "HTTP_" + s
	}
}

func checkPassword(r *httpd.Request, user, password string) (string, authncore.Result) {
	c, _ := httpd.ConfigOf(r, Module)
	if !c.userScript.Set {
		r.Logf(httpd.LevelError, "wsgi", "WSGI0041: the location of the user script is not given with WSGIAuthUserScript")
		return user, authncore.Failed
	}
	switch res := call(r, c.userScript.V, httpd.ScriptPassword, "check_password", user, password); res.Answer {
	case httpd.ScriptTrue:
		return user, authncore.Granted
	case httpd.ScriptFalse:
		return user, authncore.Denied
	case httpd.ScriptNone:
		return user, authncore.NotFound
	case httpd.ScriptText:
		if httpd.ValidUser(res.Text) {
			return res.Text, authncore.Granted
		}
		r.Logf(httpd.LevelError, "wsgi", "[script %s] WSGI0308: the name that check_password gave instead of %q has control characters", c.userScript.V.path, user)
	}
	return user, authncore.Failed
}

func realmHash(r *httpd.Request, user, realm string) (string, authncore.Result) {
	c, _ := httpd.ConfigOf(r, Module)
	if !c.userScript.Set {
		r.Logf(httpd.LevelError, "wsgi", "WSGI0044: the location of the user script is not given with WSGIAuthUserScript")
		return "", authncore.Failed
	}
	switch res := call(r, c.userScript.V, httpd.ScriptHash, "get_realm_hash", user, realm); res.Answer {
	case httpd.ScriptNone:
		return "", authncore.NotFound
	case httpd.ScriptText:
		return res.Text, authncore.Granted
	}
	return "", authncore.Failed
}

// parseGroups reads Require wsgi-group: one of the groups suffices. Names are
// compared without case, as in mod_wsgi.
func parseGroups(k *httpd.Cmd, args []string) (authzcore.Check, error) {
	if len(args) == 0 {
		return nil, errors.New("needs the name of a group")
	}
	words, err := authzcore.Words(k, args)
	return func(r *httpd.Request) authzcore.Result {
		if r.User == "" {
			return authzcore.DeniedNoUser
		}
		wanted, err := words(r)
		if err != nil {
			return authzcore.Failed
		}
		c, _ := httpd.ConfigOf(r, Module)
		if !c.groupScript.Set {
			r.Logf(httpd.LevelError, "wsgi", "WSGI0058: the location of the group script is not given with WSGIAuthGroupScript")
			return authzcore.Denied
		}
		res := call(r, c.groupScript.V, httpd.ScriptGroups, "groups_for_user", r.User)
		if res.Answer != httpd.ScriptStrings {
			return authzcore.Denied
		}
		for _, have := range res.Strings {
			for _, want := range wanted {
				if equalFold(have, want) {
					return authzcore.Granted
				}
			}
		}
		r.Logf(httpd.LevelError, "wsgi", "WSGI0060: user %s is not in any of the groups that %s needs", r.User, r.URI)
		return authzcore.Denied
	}, err
}

// equalFold compares without the case of ASCII letters: names are bytes.
func equalFold(a, b string) bool {
	if len(a) != len(b) {
		return false
	}
	lower := func(c byte) byte {
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		return c
	}
	for i := range len(a) {
		if lower(a[i]) != lower(b[i]) {
			return false
		}
	}
	return true
}

// access asks WSGIAccessScript.
func access(r *httpd.Request, c *config) httpd.Status {
	if !c.accessScript.Set {
		return httpd.Declined
	}
	host, _ := r.Var("REMOTE_HOST")
	switch call(r, c.accessScript.V, httpd.ScriptAccess, "allow_access", host).Answer {
	case httpd.ScriptTrue:
		return httpd.OK
	case httpd.ScriptNone:
		return httpd.Declined
	}
	if !r.SatisfiesAny() { // a user may still be let in
		r.Logf(httpd.LevelError, "wsgi", "WSGI0057: client denied by the access script: %s", r.URI)
	}
	return 403
}
