// Package actions is mod_actions: programs that handle all files of a type or
// handler, or all requests with a method.
//
// The whole module is in this file. The request goes on as an internal redirect
// to the program's URL, followed by the URL path that was asked for. Source:
// Apache manual, "mod_actions".
package actions

import (
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"strings"

	"modwsgi/gocore/internal/httpd"
)

// action is one Action.
type action struct {
	script  string
	virtual bool // the file need not exist
}

// Config is the module's settings of one scope.
type Config struct {
	actions map[string]action // by handler name or media type
	scripts map[string]string // by method
}

// Module is mod_actions.
var Module = &httpd.Module[Config]{
	Name: "actions", ID: "actions_module", File: "mod_actions.c",
	Directives: []httpd.Directive[Config]{
		{Name: "Action", Args: "action-type cgi-script [virtual]", Min: 2, Max: 3, In: httpd.Anywhere, Override: httpd.OverrideFileInfo, Set: setAction,
			Doc: "Names the program for files with a handler or media type."},
		{Name: "Script", Args: "method cgi-script", Min: 2, Max: 2, In: httpd.InServerHost | httpd.InSection, Set: setScript,
			Doc: "Names the program for requests with a method; for GET only those with a query."},
	},
	Merge: func(p, k *Config) *Config {
		c := &Config{actions: maps.Clone(p.actions), scripts: maps.Clone(p.scripts)}
		if c.actions == nil {
			c.actions = map[string]action{}
		}
		if c.scripts == nil {
			c.scripts = map[string]string{}
		}
		maps.Copy(c.actions, k.actions)
		maps.Copy(c.scripts, k.scripts)
		return c
	},
	PerRequest: perRequest,
	Handler:    handle,
}

func setAction(k *httpd.Cmd, c *Config) error {
	if len(k.Args) > 2 && !strings.EqualFold(k.Arg(2), "virtual") {
		return fmt.Errorf("unknown option %q; there is virtual", k.Arg(2))
	}
	if !strings.HasPrefix(k.Arg(1), "/") {
		return fmt.Errorf("%q is not a URL path; it must begin with a slash", k.Arg(1))
	}
	if c.actions == nil {
		c.actions = map[string]action{}
	}
	c.actions[k.Arg(0)] = action{k.Arg(1), len(k.Args) > 2}
	return nil
}

func setScript(k *httpd.Cmd, c *Config) error {
	if k.Arg(0) == "TRACE" {
		return fmt.Errorf("TRACE cannot have a script")
	}
	if !strings.HasPrefix(k.Arg(1), "/") {
		return fmt.Errorf("%q is not a URL path; it must begin with a slash", k.Arg(1))
	}
	if c.scripts == nil {
		c.scripts = map[string]string{}
	}
	c.scripts[k.Arg(0)] = k.Arg(1)
	return nil
}

// perRequest: a method's script, or an action for a handler, may take what is
// mounted. Media types are those of files.
func perRequest(c *Config) bool {
	for name := range c.actions {
		if !strings.Contains(name, "/") {
			return true
		}
	}
	return len(c.scripts) > 0
}

// handle sends the request to a program. Actions win over scripts.
func handle(r *httpd.Request, c *Config) *httpd.Outcome {
	if len(c.actions) == 0 && len(c.scripts) == 0 {
		return nil
	}
	script := ""
	switch r.Method {
	case "GET", "HEAD":
		if r.Query != "" {
			script = c.scripts["GET"]
		}
	default:
		script = c.scripts[r.Method]
	}
	if script != "" && r.Prev != nil && r.Prev.Prev != nil {
		return nil // the script is not a program and would be asked for ever
	}
	kind := r.Handler
	if kind == "" {
		kind, _, _ = strings.Cut(r.ContentType, ";")
		kind = strings.TrimSpace(kind)
	}
	if a, ok := c.actions[kind]; ok && kind != "" {
		if !a.virtual && r.Info == nil {
			r.Logf(httpd.LevelInfo, "actions", "file does not exist: %s", r.Filename)
			return r.Fail(http.StatusNotFound)
		}
		script = a.script
		r.SetEnv("HANDLER", kind)
	}
	if script == "" {
		return nil
	}
	return r.InternalRedirect(script+(&url.URL{Path: r.URI}).EscapedPath(), r.Query)
}
