// Package wsgi is the configuration side of mod_wsgi: mounts, process groups,
// Python's settings, and the handler that turns a request into a plan for
// package python to run. Nothing here runs Python.
//
// This file has the settings, their merge rules and the directives. mount.go
// reads mounts and scripts, daemon.go WSGIDaemonProcess, set.go the rest;
// handler.go serves requests.
package wsgi

import (
	"maps"
	"net/netip"
	"slices"

	"modwsgi/gocore/internal/conf"
	"modwsgi/gocore/internal/httpd"
)

// config is the module's settings of one section.
type config struct {
	mounts                                   []*mount
	processGroup, applicationGroup, callable httpd.Opt[string]
	passAuthorization, scriptReloading       httpd.Opt[bool]
	errorOverride, chunked, ignoreActivity   httpd.Opt[bool]
	mapHEAD                                  httpd.Opt[httpd.MapHEADMode]
	restrictProcess                          httpd.Opt[[]string]
	trustedHeaders                           httpd.Opt[[]string]
	trustedProxies                           httpd.Opt[[]netip.Prefix]
	fileOrApplication                        httpd.Opt[string] // off, on, directories
	afterRules                               bool              // the document root's rules count first
	filesHost                                int               // host that fileOrApplication was written in: it is not inherited
	handlers                                 map[string]*handlerScript
	accessScript, userScript, groupScript    httpd.Opt[authScript]
	dispatchScript                           httpd.Opt[authScript]

	processGroupPos conf.Pos

	// main server only
	main *mainConfig
}

// mainConfig is what the main server alone decides. It is reached through
// the main server's config, also while a virtual host is read.
type mainConfig struct {
	groups       []*httpd.DaemonGroup
	imports      []importScript
	python       httpd.PythonConfig
	interpreters []httpd.InterpreterOptions
	block        *httpd.InterpreterOptions // inside <WSGIInterpreterOptions>
}

// importScript is a script to load at process start, explicit or by a mount.
type importScript struct {
	processGroup, path, applicationGroup string
	host                                 int
	byMount                              bool
	directive                            string
	pos                                  conf.Pos
}

func newConfig() *config { return &config{} }

// mainOf gives the settings of the main server during reading.
func mainOf(k *httpd.Cmd, c *config) *mainConfig {
	m := httpd.MainConf(k, c)
	if m.main == nil {
		m.main = &mainConfig{python: defaultPython()}
	}
	return m.main
}

func defaultPython() httpd.PythonConfig {
	return httpd.PythonConfig{DestroyInterpreter: true, RestrictSignal: true, CaseSensitivity: caseSensitive, SocketRotation: true}
}

const (
	s   = httpd.InServer
	sv  = httpd.InServerHost
	svd = httpd.InServerHost | httpd.InSection
	all = httpd.Anywhere
	dh  = httpd.InSection | httpd.InHtaccess
	fi  = httpd.OverrideFileInfo
	ac  = httpd.OverrideAuthConfig
)

// Module is mod_wsgi.
var Module = &httpd.Module[config]{
	Name: "wsgi", ID: "wsgi_module", File: "mod_wsgi.c",
	Directives: slices.Concat(mountRows, requestRows, pythonRows, authRows),
	New:        newConfig,
	Merge:      merge,
	Finish:     finish,
	Check:      check,
	PerRequest: perRequest,
	Routes:     routes,
	Translate:  translate,
	Access:     access,
	Fixup:      fixup,
	Handler:    handle,
}

var mountRows = []httpd.Directive[config]{
	{Name: "WSGIScriptAlias", Args: "URL-path file|directory [option=value ...]", Min: 2, Max: -1, In: sv, Set: setScriptAlias,
		Doc: "Mounts a WSGI script, or a directory of them, on a URL path. Options: process-group, application-group, callable-object, pass-authorization."},
	{Name: "WSGIScriptAliasMatch", Args: "regex file|directory [option=value ...]", Min: 2, Max: -1, In: sv, Set: setScriptAliasMatch,
		Doc: "Mounts WSGI scripts on URL paths that match; $1 is the first group."},
	{Name: "WSGIHandlerScript", Args: "name file [option=value ...]", Min: 2, Max: -1, In: svd, Set: setHandlerScript,
		Doc: "Names a handler, for SetHandler and AddHandler, that a script's handle_request serves. Options: process-group, application-group, pass-authorization."},
	{Name: "WSGIImportScript", Args: "file process-group=name application-group=name", Min: 1, Max: -1, In: sv, Set: setImportScript,
		Doc: "Loads a script when a process starts."},
	{Name: "WSGIDaemonProcess", Args: "name [option=value ...]", Min: 1, Max: -1, In: sv, Set: setDaemonProcess,
		Doc: "Defines a group of processes that applications can run in."},
	{Name: "WSGIFallbackScriptAlias", Args: "URL-path file [option=value ...]", Min: 2, Max: -1, In: sv, Set: setFallbackAlias,
		Doc: "As WSGIScriptAlias, but after all other mounts, and not inherited by virtual hosts. It is what mod_wsgi-express writes."},
	{Name: "WSGIFileOrApplication", Args: "Off|On|Directories [Rules]", Min: 1, Max: 2, In: sv, Default: "Off", Set: setFileOrApplication,
		Doc: "On: a file that exists below DocumentRoot is served in place of the application mounted there. Directories: existing directories are, too. With Rules the rewrite rules, .htaccess files and access rules of the document root count first, also for what only the application has. This server's own directive."},
}

// requestRows can differ between sections.
var requestRows = []httpd.Directive[config]{
	{Name: "WSGIProcessGroup", Args: "name|%{GLOBAL}|%{ENV:variable}", Min: 1, Max: 1, In: svd, Default: "%{GLOBAL}", Set: setProcessGroup,
		Doc: "The process group that runs the application; %{GLOBAL} is the server itself."},
	{Name: "WSGIApplicationGroup", Args: "name|%{GLOBAL}|%{SERVER}|%{RESOURCE}|%{ENV:variable}", Min: 1, Max: 1, In: svd, Default: "%{RESOURCE}", Set: text(func(c *config) *httpd.Opt[string] { return &c.applicationGroup }),
		Doc: "The interpreter that runs the application; %{GLOBAL} is the main one."},
	{Name: "WSGICallableObject", Args: "name|%{ENV:variable}", Min: 1, Max: 1, In: all, Override: fi, Default: "application", Set: text(func(c *config) *httpd.Opt[string] { return &c.callable }),
		Doc: "The name of the application in its script."},
	{Name: "WSGIDispatchScript", Args: "file [application-group=name]", Min: 1, Max: -1, In: svd, Set: setAuthScript(func(c *config) *httpd.Opt[authScript] { return &c.dispatchScript }),
		Doc: "A script whose process_group(environ), application_group(environ) and callable_object(environ) choose, for each request, where it runs."},
	{Name: "WSGIRestrictProcess", Args: "name ...", Min: 0, Max: -1, In: svd, Set: setRestrictProcess, Doc: "The process groups that may be used here."},
	{Name: "WSGIPassAuthorization", Args: "On|Off", Min: 1, Max: 1, In: all, Override: fi, Default: "Off", Set: flag(func(c *config) *httpd.Opt[bool] { return &c.passAuthorization }),
		Doc: "Whether the application sees the Authorization header."},
	{Name: "WSGIScriptReloading", Args: "On|Off", Min: 1, Max: 1, In: all, Override: fi, Default: "On", Set: flag(func(c *config) *httpd.Opt[bool] { return &c.scriptReloading }),
		Doc: "Whether a changed script is loaded again."},
	{Name: "WSGIErrorOverride", Args: "On|Off", Min: 1, Max: 1, In: all, Override: fi, Default: "Off", Set: flag(func(c *config) *httpd.Opt[bool] { return &c.errorOverride }),
		Doc: "Whether the server's error documents replace those of the application (daemon mode)."},
	{Name: "WSGIChunkedRequest", Args: "On|Off", Min: 1, Max: 1, In: all, Override: fi, Default: "Off", Set: flag(func(c *config) *httpd.Opt[bool] { return &c.chunked }),
		Doc: "Whether requests with a chunked body are accepted."},
	{Name: "WSGIMapHEADToGET", Args: "On|Off|Auto", Min: 1, Max: 1, In: all, Override: fi, Default: "Auto", Set: setMapHEAD,
		Doc: "Whether the application sees HEAD as GET."},
	{Name: "WSGIIgnoreActivity", Args: "On|Off", Min: 1, Max: 1, In: all, Override: fi, Default: "Off", Set: flag(func(c *config) *httpd.Opt[bool] { return &c.ignoreActivity }),
		Doc: "Whether requests here do not count as activity for inactivity-timeout."},
	{Name: "WSGIEnableSendfile", Args: "On|Off", Min: 1, Max: 1, In: all, Override: fi, Default: "Off", Set: checkedFlag,
		Doc: "Accepted; files from wsgi.file_wrapper are always sent the fastest way."},
	{Name: "WSGITrustedProxyHeaders", Args: "header ...", Min: 1, Max: -1, In: all, Override: fi, Set: setTrustedHeaders,
		Doc: "Which headers of a proxy change the environ."},
	{Name: "WSGITrustedProxies", Args: "address[/bits] ...", Min: 1, Max: -1, In: all, Override: fi, Set: setTrustedProxies,
		Doc: "Which proxies may send them; without this directive, all."},
	{Name: "WSGIPassApacheRequest", Args: "On|Off", Min: 1, Max: 1, In: svd, Default: "Off", NoEffect: true, Set: ignoredFlag,
		Doc: "Accepted without effect: there is no Apache request object."},
}

// pythonRows belong to the main server.
var pythonRows = []httpd.Directive[config]{
	{Name: "WSGIPythonHome", Args: "directory", Min: 1, Max: 1, In: s, Set: python(setPythonHome), Doc: "The virtual environment or prefix of Python."},
	{Name: "WSGIPythonPath", Args: "directory[:directory ...]", Min: 1, Max: 1, In: s, Set: python(setPythonPath), Doc: "Directories for sys.path of the server's own processes."},
	{Name: "WSGIPythonEggs", Args: "directory", Min: 1, Max: 1, In: s, Set: python(func(k *httpd.Cmd, p *httpd.PythonConfig) error { p.Eggs = k.File(k.Arg(0)); return nil }), Doc: "The directory for unpacked eggs."},
	{Name: "WSGIPythonWarnings", Args: "filter", Min: 1, Max: 1, In: s, Set: python(func(k *httpd.Cmd, p *httpd.PythonConfig) error {
		p.Warnings = append(p.Warnings, k.Arg(0))
		return nil
	}), Doc: "A warning filter as for Python's option -W."},
	{Name: "WSGIPythonOptimize", Args: "level", Min: 1, Max: 1, In: s, Default: "0", Set: python(func(k *httpd.Cmd, p *httpd.PythonConfig) error {
		warnNumber(k, "", k.Arg(0), 32, "")
		p.Optimize = max(atoi(k.Arg(0)), 0)
		return nil
	}), Doc: "Python's optimisation level."},
	{Name: "WSGIPythonHashSeed", Args: "random|number", Min: 1, Max: 1, In: s, Default: "random", Set: python(setHashSeed), Doc: "The seed of Python's hashes."},
	{Name: "WSGIDontWriteBytecode", Args: "On|Off", Min: 1, Max: 1, In: s, Default: "Off", Set: python(pyFlag(func(p *httpd.PythonConfig) *bool { return &p.DontWriteBytecode })), Doc: "Whether no .pyc files are written."},
	{Name: "WSGIDestroyInterpreter", Args: "On|Off", Min: 1, Max: 1, In: s, Default: "On", Set: python(pyFlag(func(p *httpd.PythonConfig) *bool { return &p.DestroyInterpreter })), Doc: "Whether interpreters are ended in order when a process stops."},
	{Name: "WSGIPerInterpreterGIL", Args: "On|Off", Min: 1, Max: 1, In: s, Default: "Off", Set: block(func(p *httpd.PythonConfig) *bool { return &p.PerInterpreterGIL }, func(o *httpd.InterpreterOptions) *httpd.Opt[bool] { return &o.PerInterpreterGIL }), Doc: "Whether sub-interpreters have a GIL of their own."},
	{Name: "WSGIFreeThreading", Args: "On|Off", Min: 1, Max: 1, In: s, Default: "Off", Set: block(func(p *httpd.PythonConfig) *bool { return &p.FreeThreading }, func(o *httpd.InterpreterOptions) *httpd.Opt[bool] { return &o.FreeThreading }), Doc: "Whether a free-threaded Python runs without GIL."},
	{Name: "WSGISwitchInterval", Args: "seconds", Min: 1, Max: 1, In: s, Set: setSwitchInterval, Doc: "How long a thread may keep the GIL."},
	{Name: "WSGIRestrictEmbedded", Args: "On|Off", Min: 1, Max: 1, In: s, Default: "Off", Set: python(func(k *httpd.Cmd, p *httpd.PythonConfig) error {
		v, err := k.Flag(0)
		p.RestrictEmbedded, p.RestrictEmbeddedSet = v, true
		return err
	}), Doc: "Whether applications may not run in the server's own processes."},
	{Name: "WSGIRestrictStdin", Args: "On|Off", Min: 1, Max: 1, In: s, Default: "Off", Set: block(func(p *httpd.PythonConfig) *bool { return &p.RestrictStdin }, func(o *httpd.InterpreterOptions) *httpd.Opt[bool] { return &o.RestrictStdin }), Doc: "Whether the application may not use sys.stdin."},
	{Name: "WSGIRestrictStdout", Args: "On|Off", Min: 1, Max: 1, In: s, Default: "Off", Set: block(func(p *httpd.PythonConfig) *bool { return &p.RestrictStdout }, func(o *httpd.InterpreterOptions) *httpd.Opt[bool] { return &o.RestrictStdout }), Doc: "Whether the application may not use sys.stdout."},
	{Name: "WSGIRestrictSignal", Args: "On|Off", Min: 1, Max: 1, In: s, Default: "On", Set: block(func(p *httpd.PythonConfig) *bool { return &p.RestrictSignal }, func(o *httpd.InterpreterOptions) *httpd.Opt[bool] { return &o.RestrictSignal }), Doc: "Whether the application may not install signal handlers."},
	{Name: "WSGIInterpreterOptions", Args: "[process-group=name] [application-group=name]", Min: 0, Max: 2, In: s, Section: true, Set: setInterpreterOptions, Doc: "Settings for some interpreters only."},
	{Name: "WSGICaseSensitivity", Args: "On|Off", Min: 1, Max: 1, In: s, Default: "On", Set: python(pyFlag(func(p *httpd.PythonConfig) *bool { return &p.CaseSensitivity })), Doc: "Whether names of scripts differ by case."},
	{Name: "WSGIServerMetrics", Args: "On|Off", Min: 1, Max: 1, In: s, Default: "Off", Set: python(pyFlag(func(p *httpd.PythonConfig) *bool { return &p.ServerMetrics })), Doc: "Whether mod_wsgi.server_metrics() answers in embedded mode."},
	{Name: "WSGISocketPrefix", Args: "path", Min: 1, Max: 1, In: s, Set: python(func(k *httpd.Cmd, p *httpd.PythonConfig) error { p.SocketPrefix = k.File(k.Arg(0)); return nil }), Doc: "The first part of the names of sockets between processes."},
	{Name: "WSGISocketRotation", Args: "On|Off", Min: 1, Max: 1, In: s, Default: "On", Set: python(pyFlag(func(p *httpd.PythonConfig) *bool { return &p.SocketRotation })), Doc: "Whether each start has sockets of its own."},
	{Name: "WSGIAcceptMutex", Args: "default|method", Min: 1, Max: 1, In: s, NoEffect: true, Set: setAcceptMutex, Doc: "Accepted without effect: there is no accept lock."},
	{Name: "WSGIVerboseDebugging", Args: "On|Off", Min: 1, Max: 1, In: s, Default: "Off", NoEffect: true, Set: ignoredFlag, Doc: "Accepted without effect, as in mod_wsgi itself."},
	{Name: "WSGISlowRequests", Args: "seconds", Min: 1, Max: 1, In: s, Default: "0", Set: setSlowRequests, Doc: "Reports requests that take longer to the telemetry service, or in the error log if there is none; 0 reports none."},
	{Name: "WSGITelemetryService", Args: "unix:path [interval=seconds]", Min: 1, Max: 2, In: s, Set: setTelemetryService, Doc: "Sends what each process measures to a Unix datagram socket, every second if not said otherwise."},
	{Name: "WSGITelemetryOptions", Args: "[+|-]flag ...", Min: 1, Max: -1, In: s, Set: setTelemetryOptions, Doc: "What measurements contain: None, All, CaptureUserAgent (the User-Agent of slow requests)."},
}

// authRows are the scripts of access control (authscripts.go).
var authRows = []httpd.Directive[config]{
	{Name: "WSGIAccessScript", Args: "file [application-group=name]", Min: 1, Max: -1, In: dh, Override: ac, Set: setAuthScript(func(c *config) *httpd.Opt[authScript] { return &c.accessScript }),
		Doc: "A script whose allow_access(environ, host) decides by client and request who may see a page."},
	{Name: "WSGIAuthUserScript", Args: "file [application-group=name]", Min: 1, Max: -1, In: dh, Override: ac, Set: setAuthScript(func(c *config) *httpd.Opt[authScript] { return &c.userScript }),
		Doc: "A script whose check_password(environ, user, password) or get_realm_hash(environ, user, realm) knows users, for the provider wsgi."},
	{Name: "WSGIAuthGroupScript", Args: "file [application-group=name]", Min: 1, Max: -1, In: dh, Override: ac, Set: setAuthScript(func(c *config) *httpd.Opt[authScript] { return &c.groupScript }),
		Doc: "A script whose groups_for_user(environ, user) knows the groups of a user, for Require wsgi-group."},
	{Name: "WSGIGroupAuthoritative", Args: "On|Off", Min: 1, Max: 1, In: dh, Override: ac, NoEffect: true, Set: ignoredFlag, Doc: "Accepted without effect, as in mod_wsgi itself."},
}

func merge(p, k *config) *config {
	c := &config{
		mounts:            fallbacksLast(append(slices.Clip(k.mounts), p.mounts...)),
		processGroup:      p.processGroup.Over(k.processGroup),
		applicationGroup:  p.applicationGroup.Over(k.applicationGroup),
		callable:          p.callable.Over(k.callable),
		passAuthorization: p.passAuthorization.Over(k.passAuthorization),
		scriptReloading:   p.scriptReloading.Over(k.scriptReloading),
		errorOverride:     p.errorOverride.Over(k.errorOverride),
		chunked:           p.chunked.Over(k.chunked),
		ignoreActivity:    p.ignoreActivity.Over(k.ignoreActivity),
		mapHEAD:           p.mapHEAD.Over(k.mapHEAD),
		restrictProcess:   p.restrictProcess.Over(k.restrictProcess),
		trustedHeaders:    p.trustedHeaders.Over(k.trustedHeaders),
		trustedProxies:    p.trustedProxies.Over(k.trustedProxies),
		fileOrApplication: p.fileOrApplication.Over(k.fileOrApplication),
		filesHost:         p.filesHost,
		afterRules:        p.afterRules,
		accessScript:      p.accessScript.Over(k.accessScript),
		userScript:        p.userScript.Over(k.userScript),
		groupScript:       p.groupScript.Over(k.groupScript),
		dispatchScript:    p.dispatchScript.Over(k.dispatchScript),
		handlers:          p.handlers,
		main:              p.main,
		processGroupPos:   p.processGroupPos,
	}
	if k.processGroup.Set {
		c.processGroupPos = k.processGroupPos
	}
	if k.fileOrApplication.Set {
		c.filesHost, c.afterRules = k.filesHost, k.afterRules
	}
	if len(k.handlers) > 0 {
		c.handlers = maps.Clone(p.handlers)
		if c.handlers == nil {
			c.handlers = map[string]*handlerScript{}
		}
		maps.Copy(c.handlers, k.handlers)
	}
	return c
}
