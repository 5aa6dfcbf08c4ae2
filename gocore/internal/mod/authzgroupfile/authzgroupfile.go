// Package authzgroupfile is mod_authz_groupfile: groups of users in a text
// file, lines of "group: user user ...", for Require group and file-group.
package authzgroupfile

import (
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
var Providers = authzcore.GroupProviders("group", "file-group", member)

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
func member(r *httpd.Request, names []string) authzcore.Result {
	c, ok := httpd.ConfigOf(r, Module)
	if !ok || !c.file.Set {
		logf(r, "AH01664: No group file was specified in the configuration")
		return authzcore.Denied
	}
	g, err := files.Get(c.file.V)
	if err != nil {
		logf(r, "AH01665: Could not open group file: %v", err)
		return authzcore.Denied
	}
	for _, n := range names {
		if (*g)[n][r.User] {
			return authzcore.Granted
		}
	}
	logf(r, "AH01667: Authorization of user %s to access %s failed, reason: user is not part of the 'require'ed group(s).", r.User, r.URI)
	return authzcore.Denied
}

func logf(r *httpd.Request, format string, a ...any) {
	r.Logf(httpd.LevelError, "authz_groupfile", format, a...)
}
