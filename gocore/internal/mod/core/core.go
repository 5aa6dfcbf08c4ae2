// Package core is Apache's core and the directives of its process managers
// that mean something here. The settings are httpd.CoreConfig, because the
// request phases work with them; this package has the rows, how they are read
// (set.go, setmain.go) and how they merge.
package core

import (
	"strings"

	"modwsgi/gocore/internal/httpd"
)

type config = httpd.CoreConfig

// Module is core, together with http_core and the one process manager that
// IfModule finds.
var Module = &httpd.Module[config]{
	Name: "core", ID: "core_module", File: "core.c",
	Also:       []string{"http_core.c", "http_module", "mpm_event_module", "event.c", "mpm_event.c", "mod_version.c", "version_module", "mod_macro.c", "macro_module"},
	Directives: append(append(append([]httpd.Directive[config]{}, sections...), everywhere...), serverRows...),
	Merge:      merge,
	Insert:     func(_ *httpd.Request, c *config, _ *httpd.ResponseHead) []string { return c.SetOutputFilter.V },
	HasFilter:  func(c *config) bool { return len(c.SetOutputFilter.V) > 0 },

	InsertInput: func(_ *httpd.Request, c *config) []string { return c.SetInputFilter.V },
	HasInput:    func(c *config) bool { return len(c.SetInputFilter.V) > 0 },

	// the precomputed route has the client's names for the server, and knows no name of the client
	PerRequest: func(c *config) bool { return c.OwnName() || c.Lookups() != httpd.LookupsOff },
	Header:     func(r *httpd.Request, _ *config) httpd.Status { r.LookupClient(); return httpd.Declined },

	HasResponse: func(c *config) bool { return c.AddDefaultCharset.V != "" },
	Steady:      func(*config) httpd.Steadiness { return httpd.SteadyAlways },
	Response:    addCharset,
}

// addCharset applies AddDefaultCharset to what is not a file: responses of
// applications and programs. Source: ap_make_content_type.
func addCharset(_ *httpd.Request, c *config, h *httpd.ResponseHead) {
	t, ok := h.Header.Get("Content-Type")
	if main, _, _ := strings.Cut(t, ";"); ok && !strings.Contains(strings.ToLower(t), "charset=") {
		if main = strings.TrimSpace(main); main == "text/plain" || main == "text/html" {
			h.Header.Set("Content-Type", t+"; charset="+c.AddDefaultCharset.V)
		}
	}
}

const (
	sv   = httpd.InServerHost
	all  = httpd.Anywhere
	dirs = httpd.InSection | httpd.InHtaccess
)

// sections are the containers that the core itself reads.
var sections = []httpd.Directive[config]{
	{Name: "VirtualHost", Args: "address[:port] ...", Min: 1, Max: -1, In: httpd.InServer, Section: true, Doc: "Holds the settings of a host, chosen by address, port and name."},
	{Name: "Directory", Args: "path", Min: 1, Max: 2, In: sv, Section: true, Doc: "Applies to a directory of the file system and everything below it."},
	{Name: "DirectoryMatch", Args: "regex", Min: 1, Max: 1, In: sv, Section: true, Doc: "Applies to directories whose path matches."},
	{Name: "Files", Args: "name", Min: 1, Max: 2, In: sv | httpd.InDir | httpd.InHtaccess, Override: httpd.OverrideAll, Section: true, Doc: "Applies to files by the last part of their path."},
	{Name: "FilesMatch", Args: "regex", Min: 1, Max: 1, In: sv | httpd.InDir | httpd.InHtaccess, Override: httpd.OverrideAll, Section: true, Doc: "Applies to files whose name matches."},
	{Name: "Location", Args: "URL-path", Min: 1, Max: 2, In: sv, Section: true, Doc: "Applies to a URL path and everything below it."},
	{Name: "LocationMatch", Args: "regex", Min: 1, Max: 1, In: sv, Section: true, Doc: "Applies to URL paths that match."},
	{Name: "If", Args: "expression", Min: 1, Max: 1, In: all, Override: httpd.OverrideAll, Section: true, Doc: "Applies to requests for which an expression is true."},
	{Name: "ElseIf", Args: "expression", Min: 1, Max: 1, In: all, Override: httpd.OverrideAll, Section: true, Doc: "Applies if the sections before it did not and an expression is true."},
	{Name: "Else", Min: 0, Max: 0, In: all, Override: httpd.OverrideAll, Section: true, Doc: "Applies if the <If> and <ElseIf> before it did not."},
	{Name: "Limit", Args: "method ...", Min: 1, Max: -1, In: dirs, Override: httpd.OverrideLimit | httpd.OverrideAuthConfig, Section: true, Doc: "Restricts the access rules inside to some methods."},
	{Name: "LimitExcept", Args: "method ...", Min: 1, Max: -1, In: dirs, Override: httpd.OverrideLimit | httpd.OverrideAuthConfig, Section: true, Doc: "Restricts the access rules inside to all other methods."},
}

// everywhere are settings that a section can change.
var everywhere = []httpd.Directive[config]{
	{Name: "AcceptPathInfo", Args: "On|Off|Default", Min: 1, Max: 1, In: all, Override: httpd.OverrideFileInfo, Default: "Default", Set: setAcceptPathInfo, Doc: "Whether a path may go on after the name of a file."},
	{Name: "AddDefaultCharset", Args: "On|Off|charset", Min: 1, Max: 1, In: all, Override: httpd.OverrideFileInfo, Default: "Off", Set: setDefaultCharset, Doc: "The charset of text/plain and text/html responses that have none."},
	{Name: "AllowOverride", Args: "All|None|class ...", Min: 1, Max: -1, In: httpd.InDir, Default: "None", Set: setAllowOverride, Doc: "Which directives .htaccess files may contain."},
	{Name: "AllowOverrideList", Args: "None|directive ...", Min: 1, Max: -1, In: httpd.InDir, Default: "None", Set: setAllowOverrideList, Doc: "Single directives that .htaccess files may contain."},
	{Name: "CGIPassAuth", Args: "On|Off", Min: 1, Max: 1, In: dirs, Override: httpd.OverrideAuthConfig, Default: "Off", Set: flag(func(c *config) *httpd.Opt[bool] { return &c.CGIPassAuth }), Doc: "Whether applications see the Authorization header."},
	{Name: "EnableMMAP", Args: "On|Off", Min: 1, Max: 1, In: all, Override: httpd.OverrideFileInfo, Default: "On", Mapped: true, Set: flag(func(c *config) *httpd.Opt[bool] { return &c.EnableMMAP }), Doc: "Accepted; the way files are sent is chosen by the server."},
	{Name: "EnableSendfile", Args: "On|Off", Min: 1, Max: 1, In: all, Override: httpd.OverrideFileInfo, Default: "Off", Mapped: true, Set: flag(func(c *config) *httpd.Opt[bool] { return &c.EnableSendfile }), Doc: "Accepted; the way files are sent is chosen by the server."},
	{Name: "ErrorDocument", Args: "status document", Min: 2, Max: 2, In: all, Override: httpd.OverrideFileInfo, Set: setErrorDocument, Doc: "What is shown for an error: a text, a path of this host, or a redirect to a URL."},
	{Name: "FileETag", Args: "component ...", Min: 1, Max: -1, In: all, Override: httpd.OverrideFileInfo, Default: "MTime Size", Set: setFileETag, Doc: "What the ETag of a file is made of."},
	{Name: "ForceType", Args: "type|None", Min: 1, Max: 1, In: dirs, Override: httpd.OverrideFileInfo, Set: setForceType, Doc: "The media type of all files."},
	{Name: "HostnameLookups", Args: "On|Off|Double", Min: 1, Max: 1, In: sv | httpd.InSection, Default: "Off", Set: choice(func(c *config) *httpd.Opt[string] { return &c.HostnameLookups }, "On", "Off", "Double"), Doc: "Whether the client's name is looked up, for logs, REMOTE_HOST and SetEnvIf; Double: and must lead back to its address."},
	{Name: "LimitRequestBody", Args: "bytes", Min: 1, Max: 1, In: all, Override: httpd.OverrideAll, Default: "1073741824", Set: setLimitBody, Doc: "The largest request body; 0 is no limit."},
	{Name: "LogLevel", Args: "[module:]level ...", Min: 1, Max: -1, In: sv | httpd.InSection, Default: "warn", Set: setLogLevel, Doc: "Which messages the error log gets."},
	{Name: "MaxRanges", Args: "default|unlimited|none|number", Min: 1, Max: 1, In: sv | httpd.InSection, Default: "200", Set: setMaxRanges, Doc: "How many ranges of a file one request may ask for."},
	{Name: "Options", Args: "[+|-]option ...", Min: 1, Max: -1, In: all, Override: httpd.OverrideOptions, Default: "FollowSymlinks", Set: setOptions, Doc: "What may be done in a directory."},
	{Name: "ServerSignature", Args: "On|Off|EMail", Min: 1, Max: 1, In: all, Override: httpd.OverrideAll, Default: "Off", Set: choice(func(c *config) *httpd.Opt[string] { return &c.ServerSignature }, "On", "Off", "EMail"), Doc: "The last line of generated pages."},
	{Name: "SetHandler", Args: "handler|None|expression", Min: 1, Max: 1, In: all, Override: httpd.OverrideFileInfo, Set: setHandler, Doc: "Which handler serves all files."},
	{Name: "SetInputFilter", Args: "filter[;filter...]", Min: 1, Max: 1, In: all, Override: httpd.OverrideFileInfo, Set: setInputFilter, Doc: "Filters that request bodies pass, such as DEFLATE, which decompresses them; None is none."},
	{Name: "SetOutputFilter", Args: "filter[;filter...]", Min: 1, Max: 1, In: all, Override: httpd.OverrideFileInfo, Set: setOutputFilter, Doc: "Filters that responses pass, such as DEFLATE; None is none."},
	{Name: "UseCanonicalName", Args: "On|Off|DNS", Min: 1, Max: 1, In: sv | httpd.InSection, Default: "Off", Set: choice(func(c *config) *httpd.Opt[string] { return &c.UseCanonicalName }, "On", "Off", "DNS"), Doc: "Whether the server calls itself by ServerName or by the client's Host header."},
	{Name: "UseCanonicalPhysicalPort", Args: "On|Off", Min: 1, Max: 1, In: sv | httpd.InSection, Default: "Off", Set: flag(func(c *config) *httpd.Opt[bool] { return &c.UseCanonicalPhysicalPort }), Doc: "Whether the port of the connection names the server's port."},
}

// serverRows are settings of the main server and virtual hosts.
var serverRows = []httpd.Directive[config]{
	{Name: "AccessFileName", Args: "name ...", Min: 1, Max: -1, In: sv, Default: ".htaccess", Set: setAccessFileName, Doc: "The names of .htaccess files."},
	{Name: "AllowEncodedSlashes", Args: "On|Off|NoDecode", Min: 1, Max: 1, In: sv, Default: "Off", Set: choice(func(c *config) *httpd.Opt[string] { return &c.AllowEncodedSlashes }, "On", "Off", "NoDecode"), Doc: "What happens to %2F in a path."},
	{Name: "DefaultRuntimeDir", Args: "directory", Min: 1, Max: 1, In: httpd.InServer, Default: "see process-groups.md", Mapped: true, Set: setRuntimeDir, Doc: "Where the server keeps sockets and the like."},
	{Name: "DocumentRoot", Args: "directory", Min: 1, Max: 1, In: sv, Set: setDocumentRoot, Doc: "The directory whose files are served."},
	{Name: "ErrorLog", Args: "file|\"|command\"|syslog[:facility[:tag]]", Min: 1, Max: 1, In: sv, Set: setErrorLog, Doc: "Where errors are logged."},
	{Name: "ErrorLogFormat", Args: "[connection|request] format", Min: 1, Max: 2, In: sv, Set: setErrorLogFormat, Doc: "The form of lines in the error log."},
	{Name: "GracefulShutdownTimeout", Args: "seconds", Min: 1, Max: 1, In: httpd.InServer, Default: "0", Set: setGraceful, Doc: "How long a graceful stop waits for requests; 0 is for ever."},
	{Name: "KeepAlive", Args: "On|Off", Min: 1, Max: 1, In: sv, Default: "On", Set: flag(func(c *config) *httpd.Opt[bool] { return &c.KeepAlive }), Doc: "Whether a connection may carry several requests."},
	{Name: "KeepAliveTimeout", Args: "number[ms]", Min: 1, Max: 1, In: sv, Default: "5", Set: setKeepAliveTimeout, Doc: "How long a connection waits for the next request."},
	{Name: "LimitInternalRecursion", Args: "number [number]", Min: 1, Max: 2, In: sv, Default: "10", Set: number(func(c *config) *httpd.Opt[int] { return &c.LimitRecursion }, 0, 1000), Doc: "How many internal redirects and sub-requests may follow from each other."},
	{Name: "LimitRequestFields", Args: "number", Min: 1, Max: 1, In: sv, Default: "100", Set: number(func(c *config) *httpd.Opt[int] { return &c.LimitFields }, 0, 32767), Doc: "How many header fields a request may have; 0 is the server's own limit."},
	{Name: "LimitRequestFieldSize", Args: "bytes", Min: 1, Max: 1, In: sv, Default: "8190", Set: number(func(c *config) *httpd.Opt[int] { return &c.LimitFieldSize }, 0, 1<<20), Doc: "The largest header field."},
	{Name: "LimitRequestLine", Args: "bytes", Min: 1, Max: 1, In: sv, Default: "8190", Set: number(func(c *config) *httpd.Opt[int] { return &c.LimitLine }, 0, 1<<20), Doc: "The longest request line."},
	{Name: "Listen", Args: "[address:]port [protocol]", Min: 1, Max: 3, In: httpd.InServer, Set: setListen, Doc: "An address and port, unix:path, or systemd:name for a socket that systemd opened, to accept connections on."},
	{Name: "ListenBacklog", Args: "number", Min: 1, Max: 1, In: httpd.InServer, Default: "511", Set: mainInt(func(c *config) *int { return &c.ListenBacklog }, 1, 1<<30), Doc: "How many connections may wait to be accepted."},
	{Name: "MaxConnectionsPerChild", Args: "number", Min: 1, Max: 1, In: httpd.InServer, Default: "0", Mapped: true, Set: mainInt(func(c *config) *int { return &c.MaxConnPerChild }, 0, 1<<31-1), Doc: "After how many requests a process of embedded mode is replaced."},
	{Name: "MaxRequestsPerChild", Args: "number", Min: 1, Max: 1, In: httpd.InServer, Default: "0", Mapped: true, Set: mainInt(func(c *config) *int { return &c.MaxConnPerChild }, 0, 1<<31-1), Doc: "The old name of MaxConnectionsPerChild."},
	{Name: "MaxKeepAliveRequests", Args: "number", Min: 1, Max: 1, In: sv, Default: "100", Set: number(func(c *config) *httpd.Opt[int] { return &c.MaxKeepAliveRequests }, 0, 1<<31-1), Doc: "How many requests one connection may carry; 0 is no limit."},
	{Name: "MaxRequestWorkers", Args: "number", Min: 1, Max: 1, In: httpd.InServer, Mapped: true, Set: mainInt(func(c *config) *int { return &c.MaxRequestWorkers }, 1, 1<<30), Doc: "How many requests may be in progress."},
	{Name: "MaxClients", Args: "number", Min: 1, Max: 1, In: httpd.InServer, Mapped: true, Set: mainInt(func(c *config) *int { return &c.MaxRequestWorkers }, 1, 1<<30), Doc: "The old name of MaxRequestWorkers."},
	{Name: "MergeTrailers", Args: "On|Off", Min: 1, Max: 1, In: sv, Default: "Off", Set: flag(func(c *config) *httpd.Opt[bool] { return &c.MergeTrailers }), Doc: "Whether access logs take fields behind a chunked request body for fields of the request."},
	{Name: "MergeSlashes", Args: "On|Off", Min: 1, Max: 1, In: sv, Default: "On", Set: flag(func(c *config) *httpd.Opt[bool] { return &c.MergeSlashes }), Doc: "Whether // in a path is one slash."},
	{Name: "PidFile", Args: "file", Min: 1, Max: 1, In: httpd.InServer, Default: "logs/httpd.pid", Set: setPidFile, Doc: "The file with the process id of the server."},
	{Name: "Protocols", Args: "protocol ...", Min: 1, Max: -1, In: sv, Default: "http/1.1", Set: setProtocols, Doc: "Which versions of HTTP are spoken."},
	{Name: "ProtocolsHonorOrder", Args: "On|Off", Min: 1, Max: 1, In: sv, Default: "On", Set: setHonorOrder, Doc: "Whose order of protocols counts: the server's in any case."},
	{Name: "ReceiveBufferSize", Args: "bytes", Min: 1, Max: 1, In: httpd.InServer, Default: "0", Set: mainInt(func(c *config) *int { return &c.RecvBuffer }, 0, 1<<30), Doc: "The receive buffer of sockets; 0 is the system's."},
	{Name: "SendBufferSize", Args: "bytes", Min: 1, Max: 1, In: httpd.InServer, Default: "0", Set: mainInt(func(c *config) *int { return &c.SendBuffer }, 0, 1<<30), Doc: "The send buffer of sockets; 0 is the system's."},
	{Name: "ServerAdmin", Args: "email|URL", Min: 1, Max: 1, In: sv, Set: setServerAdmin, Doc: "The address shown on error pages and in SERVER_ADMIN."},
	{Name: "ServerAlias", Args: "name ...", Min: 1, Max: -1, In: httpd.InHost, Set: setServerAlias, Doc: "Further names of a host; * and ? are wildcards."},
	{Name: "ServerLimit", Args: "number", Min: 1, Max: 1, In: httpd.InServer, Mapped: true, Set: mainInt(func(c *config) *int { return &c.ServerLimit }, 1, 20000), Doc: "The largest number of processes of embedded mode."},
	{Name: "ServerName", Args: "[scheme://]name[:port]", Min: 1, Max: 1, In: sv, Set: setServerName, Doc: "The name of the server or host."},
	{Name: "ServerRoot", Args: "directory", Min: 1, Max: 1, In: httpd.InServer, Set: func(*httpd.Cmd, *config) error { return nil }, Doc: "The base of relative paths."},
	{Name: "ServerTokens", Args: "Major|Minor|Min|Prod|OS|Full", Min: 1, Max: 1, In: httpd.InServer, Default: "Full", Set: choice(func(c *config) *httpd.Opt[string] { return &c.ServerTokens }, "Major", "Minor", "Min", "Minimal", "Prod", "ProductOnly", "OS", "Full"), Doc: "How much the Server header says."},
	{Name: "StartServers", Args: "number", Min: 1, Max: 1, In: httpd.InServer, Mapped: true, Set: mainInt(func(c *config) *int { return &c.StartServers }, 1, 20000), Doc: "The number of processes of embedded mode."},
	{Name: "StrictHostCheck", Args: "On|Off", Min: 1, Max: 1, In: sv, Default: "Off", Set: flag(func(c *config) *httpd.Opt[bool] { return &c.StrictHostCheck }), Doc: "Whether a request for a name that the host does not have is refused."},
	{Name: "ThreadsPerChild", Args: "number", Min: 1, Max: 1, In: httpd.InServer, Mapped: true, Set: mainInt(func(c *config) *int { return &c.ThreadsPerChild }, 1, 20000), Doc: "The number of threads of a process of embedded mode."},
	{Name: "ThreadStackSize", Args: "bytes", Min: 1, Max: 1, In: httpd.InServer, Default: "0", Mapped: true, Set: mainInt(func(c *config) *int { return &c.ThreadStackSize }, 0, 1<<31-1), Doc: "The stack of the threads of embedded mode, at least 256 KiB; 0 is the system's. WSGIDaemonProcess has stack-size."},
	{Name: "Timeout", Args: "seconds", Min: 1, Max: 1, In: sv, Default: "60", Set: setTimeout, Doc: "How long a read or write may wait."},
	{Name: "TraceEnable", Args: "on|off|extended", Min: 1, Max: 1, In: sv, Default: "on", Set: choice(func(c *config) *httpd.Opt[string] { return &c.TraceEnable }, "on", "off", "extended"), Doc: "Whether TRACE is answered."},
	{Name: "Define", Args: "name [value]", Min: 1, Max: 2, In: all, Set: readAlready, Doc: "Sets a variable while the file is read."},
	{Name: "UnDefine", Args: "name", Min: 1, Max: 1, In: httpd.InServer, Set: readAlready, Doc: "Removes a variable while the file is read."},
	{Name: "Include", Args: "path|wildcard", Min: 1, Max: 1, In: all, Set: readAlready, Doc: "Reads other files here."},
	{Name: "IncludeOptional", Args: "path|wildcard", Min: 1, Max: 1, In: all, Set: readAlready, Doc: "Reads other files here, if there are any."},
	{Name: "Error", Args: "message", Min: 1, Max: -1, In: all, Set: readAlready, Doc: "Stops reading with a message."},
	{Name: "Use", Args: "macro argument ...", Min: 1, Max: -1, In: all, Set: readAlready, Doc: "Inserts the text of a Macro."},
	{Name: "UndefMacro", Args: "macro", Min: 1, Max: 1, In: all, Set: readAlready, Doc: "Removes a Macro."},
	{Name: "Macro", Args: "name argument ...", Min: 0, Max: -1, In: all, Section: true, Set: readAlready, Doc: "Names a text to insert with Use."},
	{Name: "IfDefine", Args: "[!]name", Min: 0, Max: -1, In: all, Section: true, Set: readAlready, Doc: "Reads its content if a variable is defined."},
	{Name: "IfModule", Args: "[!]module", Min: 0, Max: -1, In: all, Section: true, Set: readAlready, Doc: "Reads its content if a module is present."},
	{Name: "IfVersion", Args: "[operator] version", Min: 0, Max: -1, In: all, Section: true, Set: readAlready, Doc: "Reads its content for some versions of httpd; this server counts as 2.4."},
	{Name: "IfFile", Args: "[!]file", Min: 0, Max: -1, In: all, Section: true, Set: readAlready, Doc: "Reads its content if a file exists."},
	{Name: "IfDirective", Args: "[!]directive", Min: 0, Max: -1, In: all, Section: true, Set: readAlready, Doc: "Reads its content if a directive is known."},
	{Name: "IfSection", Args: "[!]section", Min: 0, Max: -1, In: all, Section: true, Set: readAlready, Doc: "Reads its content if a section is known."},
}
