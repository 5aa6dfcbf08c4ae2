// Package authzgroupfile is mod_authz_groupfile: groups of users in a text
// file, lines of "group: user user ...", for Require group and file-group.
package authzgroupfile

import (
	"errors"
	"strings"

	"modwsgi/gocore/internal/conf"
	"modwsgi/gocore/internal/httpd"
	"modwsgi/gocore/internal/mod/authzcore"
	"modwsgi/gocore/internal/mod/internal/textfile"
)

// Config is the module's settings of one scope.
type Config struct{ file httpd.Opt[string] }

// Module is mod_authz_groupfile.
var Module = &httpd.Module[Config]{
	Name: "authzgroupfile", ID: "authz_groupfile_module", File: "mod_authz_groupfile.c",
	Directives: []httpd.Directive[Config]{
		{Name: "AuthGroupFile", Args: "file", Min: 1, Max: 1, In: httpd.InSection | httpd.InHtaccess, Override: httpd.OverrideAuthConfig,
			Set: func(k *httpd.Cmd, c *Config) error { c.file = httpd.Some(k.File(k.Arg(0))); return nil },
			Doc: "The file of groups and their members."},
	},
	Merge: func(p, k *Config) *Config { return &Config{p.file.Over(k.file)} },
}

// Providers are the Require providers of the module.
var Providers = []authzcore.Provider{
	{Name: "group", Parse: parseGroup},
	{Name: "file-group", Parse: parseFileGroup},
}

// groups are the members of each group.
type groups map[string]map[string]bool

var files = textfile.New(parse)

func parse(lines []string) *groups {
	g := groups{}
	for _, l := range lines {
		name, members, ok := strings.Cut(l, ":")
		if !ok {
			continue
		}
		name = strings.TrimSpace(name)
		if g[name] == nil {
			g[name] = map[string]bool{}
		}
		for _, m := range conf.Words(members) {
			g[name][m] = true
		}
	}
	return &g
}

// member says whether the user is in one of the groups. What cannot be read
// grants nothing.
func member(r *httpd.Request, names []string) bool {
	c, ok := httpd.ConfigOf(r, Module)
	if !ok || !c.file.Set {
		logf(r, "AH01664: No group file was specified in the configuration")
		return false
	}
	g, err := files.Get(c.file.V)
	if err != nil {
		logf(r, "AH01665: Could not open group file: %v", err)
		return false
	}
	for _, n := range names {
		if (*g)[n][r.User] {
			return true
		}
	}
	logf(r, "AH01667: Authorization of user %s to access %s failed, reason: user is not part of the 'require'ed group(s).", r.User, r.URI)
	return false
}

func parseGroup(k *httpd.Cmd, args []string) (authzcore.Check, error) {
	if len(args) == 0 {
		return nil, errors.New("needs the name of a group")
	}
	names, err := authzcore.Words(k, args)
	return func(r *httpd.Request) authzcore.Result {
		if r.User == "" {
			return authzcore.DeniedNoUser
		}
		switch list, err := names(r); {
		case err != nil:
			return authzcore.Failed
		case member(r, list):
			return authzcore.Granted
		}
		return authzcore.Denied
	}, err
}

// parseFileGroup: the group of the file in the file system must be one of the
// user's groups in the group file.
func parseFileGroup(_ *httpd.Cmd, args []string) (authzcore.Check, error) {
	if len(args) != 0 {
		return nil, errors.New("takes no arguments")
	}
	return func(r *httpd.Request) authzcore.Result {
		if r.User == "" {
			return authzcore.DeniedNoUser
		}
		r.Need(httpd.OnWorker) // names of groups may come from a directory service
		name, _ := r.Var("SCRIPT_GROUP")
		if name != "" && member(r, []string{name}) {
			return authzcore.Granted
		}
		return authzcore.Denied
	}, nil
}

func logf(r *httpd.Request, format string, a ...any) {
	r.Logf(httpd.LevelError, "authz_groupfile", format, a...)
}
