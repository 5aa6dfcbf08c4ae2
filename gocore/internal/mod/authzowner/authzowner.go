// Package authzowner is mod_authz_owner: Require file-owner, which lets in the
// user whose name owns the file in the file system. Require file-group is part
// of package authzgroupfile, which knows the groups of users.
package authzowner

import (
	"errors"
	"strings"

	"modwsgi/gocore/internal/httpd"
	"modwsgi/gocore/internal/mod/authzcore"
)

// Module is mod_authz_owner for IfModule; its work is in Providers.
var Module = &httpd.Module[struct{}]{Name: "authzowner", ID: "authz_owner_module", File: "mod_authz_owner.c"}

// Providers are the Require providers of the module.
var Providers = []authzcore.Provider{{Name: "file-owner", Parse: parse}}

func parse(_ *httpd.Cmd, args []string) (authzcore.Check, error) {
	if len(args) != 0 {
		return nil, errors.New("takes no arguments")
	}
	return func(r *httpd.Request) authzcore.Result {
		if r.User == "" {
			return authzcore.DeniedNoUser
		}
		r.Need(httpd.OnWorker) // names of users may come from a directory service
		owner, _ := r.Var("SCRIPT_USER")
		if strings.Trim(owner, "0123456789") != "" && owner == r.User { // a number: an owner without name
			return authzcore.Granted
		}
		r.Logf(httpd.LevelError, "authz_owner", "AH01637: Authorization of user %s to access %s failed, reason: file owner %s does not match.", r.User, r.URI, owner)
		return authzcore.Denied
	}, nil
}
