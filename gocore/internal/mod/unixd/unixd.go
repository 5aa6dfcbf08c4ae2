// Package unixd is mod_unixd: the identity of the processes.
package unixd

import (
	"fmt"
	"strconv"
	"strings"

	"modwsgi/gocore/internal/httpd"
)

type config struct{ user, group string }

// Module is mod_unixd.
var Module = &httpd.Module[config]{
	Name: "unixd", ID: "unixd_module", File: "mod_unixd.c",
	Directives: []httpd.Directive[config]{
		{Name: "User", Args: "name|#id", Min: 1, Max: 1, In: httpd.InServer, Default: "#-1", Doc: "The user of the processes when the server is started as root.",
			Set: func(k *httpd.Cmd, c *config) error { c.user = k.Arg(0); return checkID(c.user) }},
		{Name: "Group", Args: "name|#id", Min: 1, Max: 1, In: httpd.InServer, Default: "#-1", Doc: "The group of the processes when the server is started as root.",
			Set: func(k *httpd.Cmd, c *config) error { c.group = k.Arg(0); return checkID(c.group) }},
		{Name: "ChrootDir", Args: "directory", Min: 1, Max: 1, In: httpd.InServer, Set: setChroot, Doc: "Not available: processes are not confined to a directory."},
		{Name: "Suexec", Args: "On|Off", Min: 1, Max: 1, In: httpd.InServer, NoEffect: true, Set: setSuexec, Doc: "Accepted without effect: there are no CGI programs."},
	},
	Finish: func(s *httpd.Server, c *config, report func(httpd.Diagnostic)) { s.User, s.Group = c.user, c.group },
}

// checkID judges the form; whether a name exists is asked when it is needed.
func checkID(s string) error {
	if id, ok := strings.CutPrefix(s, "#"); ok {
		if n, err := strconv.ParseInt(id, 10, 64); err != nil || n < -1 || n > 1<<32-2 {
			return fmt.Errorf("%q is not a valid id", s)
		}
		return nil
	}
	if s == "" || strings.ContainsAny(s, " \t:/") {
		return fmt.Errorf("%q is not a valid name", s)
	}
	return nil
}

func setChroot(k *httpd.Cmd, c *config) error {
	return &httpd.Coded{Code: httpd.CodeUnavailable, Message: "not available: the processes would see the whole file system"}
}

func setSuexec(k *httpd.Cmd, c *config) error {
	on, err := k.Flag(0)
	if on {
		return &httpd.Coded{Code: httpd.CodeUnavailable, Message: "not available: programs would run as the server's user"}
	}
	return err
}
