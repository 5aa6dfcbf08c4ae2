// Package userdir is mod_userdir: pages of the users of the machine, at /~name.
//
// The whole module is in this file. Source: Apache manual, "mod_userdir".
package userdir

import (
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"os"
	"os/user"
	"strings"

	"modwsgi/gocore/internal/httpd"
)

// Config is the module's settings of a server or virtual host.
type Config struct {
	dirs     []string        // in order; nil: not given
	all      httpd.Opt[bool] // "enabled" or "disabled" for everybody
	enabled  map[string]bool
	disabled map[string]bool
}

// Module is mod_userdir.
var Module = &httpd.Module[Config]{
	Name: "userdir", ID: "userdir_module", File: "mod_userdir.c",
	Directives: []httpd.Directive[Config]{
		{Name: "UserDir", Args: "directory ...|disabled [user ...]|enabled [user ...]", Min: 1, Max: -1, In: httpd.InServerHost, Set: set,
			Doc: "Where the pages of a user are, and who has any."},
	},
	Merge: func(p, k *Config) *Config {
		c := &Config{dirs: p.dirs, all: p.all.Over(k.all), enabled: union(p.enabled, k.enabled), disabled: union(p.disabled, k.disabled)}
		if k.dirs != nil {
			c.dirs = k.dirs
		}
		return c
	},
	Routes: func(c *Config) []httpd.Route {
		if c.dirs == nil {
			return nil
		}
		return []httpd.Route{{Match: func(path []byte) bool { return len(path) > 1 && path[1] == '~' }}}
	},
	Translate: translate,
}

func union(a, b map[string]bool) map[string]bool {
	c := map[string]bool{}
	maps.Copy(c, a)
	maps.Copy(c, b)
	return c
}

func set(k *httpd.Cmd, c *Config) error {
	var users *map[string]bool
	on := false
	switch strings.ToLower(k.Arg(0)) {
	case "disabled", "disable":
		users = &c.disabled
	case "enabled", "enable":
		users, on = &c.enabled, true
	default:
		for _, d := range k.Args {
			if d == "" {
				return fmt.Errorf("a directory is empty")
			}
		}
		c.dirs = k.Args
		return nil
	}
	if len(k.Args) == 1 {
		c.all = httpd.Some(on)
		return nil
	}
	*users = union(*users, nil)
	for _, u := range k.Args[1:] {
		(*users)[u] = true
	}
	return nil
}

// translate maps /~name to the first of the directories that exists, or the
// last one.
func translate(r *httpd.Request, c *Config) httpd.Status {
	if c.dirs == nil || !strings.HasPrefix(r.URI, "/~") {
		return httpd.Declined
	}
	name, _, _ := strings.Cut(r.URI[2:], "/")
	rest := r.URI[2+len(name):]
	if name == "" || name == "." || name == ".." || strings.IndexByte(name, 0) >= 0 {
		return httpd.Declined
	}
	if c.disabled[name] || !c.all.Or(true) && !c.enabled[name] {
		return httpd.Declined
	}
	for i, dir := range c.dirs {
		prefix, after, star := strings.Cut(dir, "*")
		file := ""
		switch {
		case strings.Contains(prefix, ":") && !strings.HasPrefix(dir, "/"): // a URL
			to := dir
			if star {
				to = prefix + name + after
			} else {
				to += "/" + name
			}
			r.ErrOut = httpd.SetField(r.ErrOut, "Location", to+(&url.URL{Path: rest}).EscapedPath())
			return http.StatusFound
		case star && strings.HasPrefix(dir, "/"):
			file = prefix + name + after
		case strings.HasPrefix(dir, "/"):
			file = dir + "/" + name
		default:
			r.Need(httpd.OnWorker) // the answer may come from the network
			u, err := user.Lookup(name)
			if err != nil || !strings.HasPrefix(u.HomeDir, "/") {
				continue
			}
			file = u.HomeDir + "/" + dir
		}
		if i < len(c.dirs)-1 {
			if _, err := os.Stat(file); err != nil {
				continue
			}
		}
		r.Filename, r.Base = file+rest, file
		r.ContextPrefix, r.ContextRoot = r.URI[:2+len(name)], file
		return httpd.OK
	}
	return httpd.Declined
}
