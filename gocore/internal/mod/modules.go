// Package mod holds the list of modules. There is no registration: what is in
// the list exists. The order is the order of modules inside every request
// phase: aliases before mounts, and the handler for files last.
package mod

import (
	"slices"

	"modwsgi/gocore/internal/httpd"
	"modwsgi/gocore/internal/mod/accesscompat"
	"modwsgi/gocore/internal/mod/actions"
	"modwsgi/gocore/internal/mod/alias"
	"modwsgi/gocore/internal/mod/authbasic"
	"modwsgi/gocore/internal/mod/authdigest"
	"modwsgi/gocore/internal/mod/authnanon"
	"modwsgi/gocore/internal/mod/authncore"
	"modwsgi/gocore/internal/mod/authndbm"
	"modwsgi/gocore/internal/mod/authnfile"
	"modwsgi/gocore/internal/mod/authnsocache"
	"modwsgi/gocore/internal/mod/authzcore"
	"modwsgi/gocore/internal/mod/authzdbm"
	"modwsgi/gocore/internal/mod/authzgroupfile"
	"modwsgi/gocore/internal/mod/authzhost"
	"modwsgi/gocore/internal/mod/authzowner"
	"modwsgi/gocore/internal/mod/authzuser"
	"modwsgi/gocore/internal/mod/autoindex"
	"modwsgi/gocore/internal/mod/brotli"
	"modwsgi/gocore/internal/mod/cgi"
	"modwsgi/gocore/internal/mod/core"
	"modwsgi/gocore/internal/mod/deflate"
	"modwsgi/gocore/internal/mod/dir"
	"modwsgi/gocore/internal/mod/env"
	"modwsgi/gocore/internal/mod/expires"
	"modwsgi/gocore/internal/mod/filter"
	"modwsgi/gocore/internal/mod/headers"
	"modwsgi/gocore/internal/mod/http2"
	"modwsgi/gocore/internal/mod/info"
	"modwsgi/gocore/internal/mod/logconfig"
	"modwsgi/gocore/internal/mod/logio"
	"modwsgi/gocore/internal/mod/mime"
	"modwsgi/gocore/internal/mod/negotiation"
	"modwsgi/gocore/internal/mod/proxy"
	"modwsgi/gocore/internal/mod/ratelimit"
	"modwsgi/gocore/internal/mod/remoteip"
	"modwsgi/gocore/internal/mod/reqtimeout"
	"modwsgi/gocore/internal/mod/rewrite"
	"modwsgi/gocore/internal/mod/setenvif"
	"modwsgi/gocore/internal/mod/so"
	"modwsgi/gocore/internal/mod/ssl"
	"modwsgi/gocore/internal/mod/static"
	"modwsgi/gocore/internal/mod/status"
	"modwsgi/gocore/internal/mod/uniqueid"
	"modwsgi/gocore/internal/mod/unixd"
	"modwsgi/gocore/internal/mod/userdir"
	"modwsgi/gocore/internal/mod/vhostalias"
	"modwsgi/gocore/internal/mod/wsgi"
	"modwsgi/gocore/internal/mod/zstd"
)

// authn is mod_authn_core with everybody who knows passwords.
var authn = authncore.New(authnfile.Provider, authndbm.Provider, authnanon.Provider, authnsocache.Provider, wsgi.AuthnProvider)

// authz are the kinds of Require lines.
var authz = slices.Concat(authzhost.Providers, authzuser.Providers, authzgroupfile.Providers, authzdbm.Providers(authn.Realm), authzowner.Providers, ssl.Providers, wsgi.AuthzProviders)

// All is every module.
var All = []httpd.AnyModule{
	core.Module,
	so.Module,
	unixd.Module,
	reqtimeout.Module,
	http2.Module,
	uniqueid.Module,
	remoteip.Module, // before all that looks at the client's address
	ssl.Module,      // before authzcore, which may let in by Satisfy Any whom this one must keep out, and before the schemes
	authzcore.NewWith(authn.Type, authz...),
	authzhost.Module,
	authzuser.Module,
	authzgroupfile.Module,
	authzdbm.Module,
	authzowner.Module,
	accesscompat.Module,
	authnfile.Module,
	authndbm.Module,
	authnanon.Module,
	authnsocache.Module,
	authbasic.New(authn),
	authdigest.New(authn),
	authn.Module,   // after the schemes: what none of them took up is an error
	rewrite.Module, // before those that map URLs, and before other redirects
	proxy.Module,   // ProxyPass comes before Alias and after rules
	alias.Module,
	env.Module,
	negotiation.Module,
	mime.Module,
	dir.Module,
	actions.Module, // before the handlers
	wsgi.Module,
	expires.Module,
	headers.Module,  // after all that may end in a field: RequestHeader is the last fixup
	setenvif.Module, // after headers: early RequestHeader comes before it
	userdir.Module,
	vhostalias.Module,
	cgi.Module,
	logconfig.Module,
	logio.Module,
	status.Module,
	info.Module,
	autoindex.Module,
	static.Module,
	// filters of content, then of transfer
	filter.Module,
	deflate.Inflate,
	brotli.Module,
	zstd.Module,
	deflate.Module,
	ratelimit.Module,
}
