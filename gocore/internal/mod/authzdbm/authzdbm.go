// Package authzdbm is mod_authz_dbm: groups of users in DBM files, for Require
// dbm-group and dbm-file-group. A user's value is a list of groups separated by
// commas, or hash:groups[:...], so that the file of mod_authn_dbm can be the
// same. A key user:realm comes before one of the user alone.
package authzdbm

import (
	"slices"
	"strings"

	"modwsgi/gocore/internal/httpd"
	"modwsgi/gocore/internal/mod/authndbm"
	"modwsgi/gocore/internal/mod/authzcore"
	"modwsgi/gocore/internal/sdbm"
)

// Config is the module's settings of one scope.
type Config struct{ file httpd.Opt[string] }

// Module is mod_authz_dbm.
var Module = &httpd.Module[Config]{
	Name: "authzdbm", ID: "authz_dbm_module", File: "mod_authz_dbm.c",
	Directives: []httpd.Directive[Config]{
		authndbm.FileRow("AuthDBMGroupFile", "The DBM file of users and their groups.", func(c *Config) *httpd.Opt[string] { return &c.file }),
		authndbm.TypeRow[Config]("AuthzDBMType", "The format of AuthDBMGroupFile; SDBM can be read."),
	},
	Merge: func(p, k *Config) *Config { return &Config{p.file.Over(k.file)} },
}

// Providers are the Require providers of the module; realm gives AuthName.
func Providers(realm func(*httpd.Request) (string, bool)) []authzcore.Provider {
	return authzcore.GroupProviders("dbm-group", "dbm-file-group", func(r *httpd.Request, names []string) authzcore.Result {
		return member(r, names, realm)
	})
}

// member says whether the user is in one of the groups. What cannot be read
// grants nothing.
func member(r *httpd.Request, names []string, realmOf func(*httpd.Request) (string, bool)) authzcore.Result {
	c, ok := httpd.ConfigOf(r, Module)
	if !ok || !c.file.Set {
		logf(r, "AuthDBMGroupFile is not set where Require dbm-group is used")
		return authzcore.Denied
	}
	realm, ok := realmOf(r)
	if !ok {
		return authzcore.Failed
	}
	value, found, err := sdbm.Lookup(c.file.V, r.User+":"+realm)
	if err == nil && !found {
		value, found, err = sdbm.Lookup(c.file.V, r.User)
	}
	switch {
	case err != nil:
		logf(r, "AH01799: could not access the dbm file of groups: %v", err)
		return authzcore.Failed
	case !found:
		logf(r, "AH01800: user %s not in group file %s", r.User, c.file.V)
		return authzcore.Denied
	}
	if _, rest, ok := strings.Cut(value, ":"); ok { // hash:groups:comment
		value, _, _ = strings.Cut(rest, ":")
	}
	for g := range strings.SplitSeq(value, ",") {
		if slices.Contains(names, g) {
			return authzcore.Granted
		}
	}
	logf(r, "AH01801: Authorization of user %s to access %s failed, reason: user is not part of the 'require'ed group(s).", r.User, r.URI)
	return authzcore.Denied
}

func logf(r *httpd.Request, format string, a ...any) {
	r.Logf(httpd.LevelError, "authz_dbm", format, a...)
}
