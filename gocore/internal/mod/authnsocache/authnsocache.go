// Package authnsocache is mod_authn_socache as far as configurations need it:
// right passwords are remembered anyway (package authnfile), so its provider
// knows nobody and leaves every question to the next one.
package authnsocache

import (
	"modwsgi/gocore/internal/httpd"
	"modwsgi/gocore/internal/mod/authncore"
)

const dh = httpd.InSection | httpd.InHtaccess

// Module is mod_authn_socache.
var Module = &httpd.Module[struct{}]{
	Name: "authnsocache", ID: "authn_socache_module", File: "mod_authn_socache.c",
	Directives: []httpd.Directive[struct{}]{
		{Name: "AuthnCacheEnable", Min: 0, Max: 0, In: httpd.InServer, NoEffect: true, Set: ignored, Doc: "Accepted without effect: right passwords are remembered anyway."},
		{Name: "AuthnCacheSOCache", Args: "provider[:arguments]", Min: 1, Max: 1, In: httpd.InServer, NoEffect: true, Set: ignored, Doc: "Accepted without effect: they are remembered in memory."},
		{Name: "AuthnCacheProvideFor", Args: "provider ...", Min: 1, Max: -1, In: dh, Override: httpd.OverrideAuthConfig, NoEffect: true, Set: ignored, Doc: "Accepted without effect."},
		{Name: "AuthnCacheTimeout", Args: "seconds", Min: 1, Max: 1, In: dh, Override: httpd.OverrideAuthConfig, NoEffect: true, Set: ignored, Doc: "Accepted without effect: they are remembered for five minutes."},
		{Name: "AuthnCacheContext", Args: "directory|server|text", Min: 1, Max: 1, In: dh, Override: httpd.OverrideAuthConfig, NoEffect: true, Set: ignored, Doc: "Accepted without effect."},
	},
	Merge: func(_, k *struct{}) *struct{} { return k },
}

func ignored(k *httpd.Cmd, _ *struct{}) error {
	k.Notice(httpd.CodeIgnored, "accepted without effect: right passwords are remembered in memory for five minutes")
	return nil
}

// Provider is the provider "socache".
var Provider = authncore.Provider{
	Name:     "socache",
	Password: func(_ *httpd.Request, user, _ string) (string, authncore.Result) { return user, authncore.NotFound },
	Hash:     func(*httpd.Request, string, string) (string, authncore.Result) { return "", authncore.NotFound },
}
