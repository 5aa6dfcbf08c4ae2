// Package mod holds the list of modules. There is no registration: what is in
// the list exists. The order is the order of modules inside every request
// phase: aliases before mounts, and the handler for files last.
package mod

import (
	"modwsgi/gocore/internal/httpd"
	"modwsgi/gocore/internal/mod/alias"
	"modwsgi/gocore/internal/mod/authzcore"
	"modwsgi/gocore/internal/mod/authzhost"
	"modwsgi/gocore/internal/mod/core"
	"modwsgi/gocore/internal/mod/dir"
	"modwsgi/gocore/internal/mod/env"
	"modwsgi/gocore/internal/mod/logconfig"
	"modwsgi/gocore/internal/mod/mime"
	"modwsgi/gocore/internal/mod/reqtimeout"
	"modwsgi/gocore/internal/mod/so"
	"modwsgi/gocore/internal/mod/static"
	"modwsgi/gocore/internal/mod/unixd"
	"modwsgi/gocore/internal/mod/wsgi"
)

// All is every module.
var All = []httpd.AnyModule{
	core.Module,
	so.Module,
	unixd.Module,
	reqtimeout.Module,
	authzcore.New(authzhost.Providers...),
	authzhost.Module,
	alias.Module,
	env.Module,
	mime.Module,
	dir.Module,
	wsgi.Module,
	logconfig.Module,
	static.Module,
}
