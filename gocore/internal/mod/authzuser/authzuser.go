// Package authzuser is mod_authz_user: Require user and Require valid-user.
package authzuser

import (
	"errors"
	"slices"

	"modwsgi/gocore/internal/httpd"
	"modwsgi/gocore/internal/mod/authzcore"
)

// Module is mod_authz_user for IfModule; its work is in Providers.
var Module = &httpd.Module[struct{}]{Name: "authzuser", ID: "authz_user_module", File: "mod_authz_user.c"}

// Providers are the Require providers of the module.
var Providers = []authzcore.Provider{
	{Name: "user", Parse: parseUser},
	{Name: "valid-user", Parse: parseValidUser},
}

func parseUser(k *httpd.Cmd, args []string) (authzcore.Check, error) {
	if len(args) == 0 {
		return nil, errors.New("needs the name of a user")
	}
	words, err := authzcore.Words(k, args)
	return func(r *httpd.Request) authzcore.Result {
		if r.User == "" {
			return authzcore.DeniedNoUser
		}
		switch names, err := words(r); {
		case err != nil:
			return authzcore.Failed
		case slices.Contains(names, r.User):
			return authzcore.Granted
		}
		return authzcore.Denied
	}, err
}

// parseValidUser ignores further words, as Apache does.
func parseValidUser(*httpd.Cmd, []string) (authzcore.Check, error) {
	return func(r *httpd.Request) authzcore.Result {
		if r.User == "" {
			return authzcore.DeniedNoUser
		}
		return authzcore.Granted
	}, nil
}
