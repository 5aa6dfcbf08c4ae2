// Package env is mod_env: variables of the request that are known when the
// configuration is read. They reach the application's environ, not os.environ.
//
// The whole module is in this file.
package env

import (
	"fmt"
	"os"
	"slices"
	"strings"

	"modwsgi/gocore/internal/httpd"
)

// Config is the module's settings of one scope.
type Config struct {
	vars  []httpd.EnvVar // in order of first mention, each name once
	unset []string       // names to take away from the enclosing scopes
}

// lookup is how PassEnv reads the server's own environment.
var lookup = os.LookupEnv

// Module is mod_env.
var Module = &httpd.Module[Config]{
	Name: "env", ID: "env_module", File: "mod_env.c",
	Directives: []httpd.Directive[Config]{
		{Name: "SetEnv", Args: "name [value]", Min: 1, Max: 2, In: httpd.Anywhere, Override: httpd.OverrideFileInfo, Set: setEnv,
			Doc: "Sets a variable of the request; without value it is empty."},
		{Name: "PassEnv", Args: "name ...", Min: 1, Max: -1, In: httpd.Anywhere, Override: httpd.OverrideFileInfo, Set: passEnv,
			Doc: "Copies variables from the environment that the server was started in."},
		{Name: "UnsetEnv", Args: "name ...", Min: 1, Max: -1, In: httpd.Anywhere, Override: httpd.OverrideFileInfo, Set: unsetEnv,
			Doc: "Removes variables that an enclosing scope set with SetEnv or PassEnv."},
	},
	Merge:   merge,
	Environ: func(c *Config) []httpd.EnvVar { return c.vars },
	Fixup:   fixup,

	HasResponse: func(c *Config) bool {
		return slices.ContainsFunc(c.vars, func(v httpd.EnvVar) bool { return v.Name == httpd.NoVary })
	},
	Response: func(r *httpd.Request, _ *Config, h *httpd.ResponseHead) { r.DropVary(h) },
	Steady:   func(*Config) httpd.Steadiness { return httpd.SteadyAlways },
}

func (c *Config) put(name, value string) {
	for i := range c.vars {
		if c.vars[i].Name == name {
			c.vars[i].Value = value
			return
		}
	}
	c.vars = append(c.vars, httpd.EnvVar{Name: name, Value: value})
}

func (c *Config) remove(name string) {
	c.vars = slices.DeleteFunc(c.vars, func(v httpd.EnvVar) bool { return v.Name == name })
}

func merge(parent, child *Config) *Config {
	c := &Config{vars: slices.Clone(parent.vars)}
	for _, name := range child.unset {
		c.remove(name)
	}
	for _, v := range child.vars {
		c.put(v.Name, v.Value)
	}
	return c
}

// validName refuses what no environ can hold. Apache passes such names on.
func validName(name string) error {
	if name == "" || strings.ContainsAny(name, "=\x00") {
		return fmt.Errorf("%q is not the name of a variable", name)
	}
	return nil
}

func setEnv(k *httpd.Cmd, c *Config) error {
	if strings.Contains(k.Arg(0), "=") && len(k.Args) == 1 {
		return &httpd.Coded{Code: "ENV-NAME", Message: fmt.Sprintf("%q is not the name of a variable", k.Arg(0)),
			Suggestion: "SetEnv " + strings.Replace(k.Arg(0), "=", " ", 1)}
	}
	if err := validName(k.Arg(0)); err != nil {
		return err
	}
	k.NoticeVariable(k.Arg(0))
	c.put(k.Arg(0), k.Arg(1))
	return nil
}

func passEnv(k *httpd.Cmd, c *Config) error {
	for _, name := range k.Args {
		if err := validName(name); err != nil {
			return err
		}
		value, ok := lookup(name)
		if !ok {
			k.Warn("ENV-PASS-UNDEFINED", "variable %s is not in the server's environment", name)
			continue
		}
		c.put(name, value)
	}
	return nil
}

func unsetEnv(k *httpd.Cmd, c *Config) error {
	for _, name := range k.Args {
		c.remove(name)
		c.unset = append(c.unset, name)
	}
	return nil
}

func fixup(r *httpd.Request, c *Config) httpd.Status {
	for i := range c.vars {
		r.SetEnv(c.vars[i].Name, c.vars[i].Value)
	}
	return httpd.Declined
}
