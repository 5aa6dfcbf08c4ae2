// Package httpd is the core that all modules plug into: it compiles a
// configuration tree into an immutable snapshot (Server), chooses the virtual
// host, and takes a request through Apache's phases to an Outcome.
//
// This file is the contract between the core and a module: Module, Directive,
// the places a directive may stand in, and what a directive's Set sees.
package httpd

import (
	"fmt"
	"path/filepath"
	"slices"

	"modwsgi/gocore/internal/conf"
)

// Context is a set of places in the configuration.
type Context uint16

const (
	InServer     Context = 1 << iota // outside of every section
	InHost                           // <VirtualHost>
	InDir                            // <Directory>, <DirectoryMatch>
	InLocation                       // <Location>, <LocationMatch>
	InFiles                          // <Files>, <FilesMatch>
	InIf                             // <If>, <ElseIf>, <Else>
	InProxy                          // <Proxy>, <ProxyMatch>
	InHtaccess                       // .htaccess
	InLimit                          // also inside <Limit> and <LimitExcept>
	InServerHost = InServer | InHost
	InSection    = InDir | InLocation | InFiles | InIf | InProxy // what the manual calls "directory"
	Anywhere     = InServerHost | InSection | InHtaccess         // "server config, virtual host, directory, .htaccess"
)

// String names the places as the Apache manual does.
func (c Context) String() string {
	s := ""
	add := func(bit Context, name string) {
		if c&bit != 0 {
			if s != "" {
				s += ", "
			}
			s += name
		}
	}
	add(InServer, "server config")
	add(InHost, "virtual host")
	if c&InSection == InSection {
		add(InSection, "directory")
	} else {
		add(InDir, "<Directory>")
		add(InLocation, "<Location>")
		add(InFiles, "<Files>")
		add(InIf, "<If>")
		add(InProxy, "<Proxy>")
	}
	add(InHtaccess, ".htaccess")
	return s
}

// Override is the AllowOverride class that a directive needs in .htaccess.
type Override uint8

const (
	OverrideNone       Override = 0
	OverrideAuthConfig Override = 1 << iota
	OverrideFileInfo
	OverrideIndexes
	OverrideLimit
	OverrideOptions
	OverrideAll = OverrideAuthConfig | OverrideFileInfo | OverrideIndexes | OverrideLimit | OverrideOptions
)

// String is the class's name in AllowOverride.
func (o Override) String() string {
	names := []struct {
		o Override
		s string
	}{{OverrideAuthConfig, "AuthConfig"}, {OverrideFileInfo, "FileInfo"}, {OverrideIndexes, "Indexes"}, {OverrideLimit, "Limit"}, {OverrideOptions, "Options"}}
	s := ""
	for _, n := range names {
		if o&n.o != 0 {
			if s != "" {
				s += " "
			}
			s += n.s
		}
	}
	return s
}

// Directive is one row of a module's table: everything that the parser, the
// documentation and `check` need to know, and the effect.
type Directive[C any] struct {
	Name     string
	Args     string   // syntax after the name, as in the manual: "[url-path] path"
	Min, Max int      // number of words; Max < 0: any number. Checked before Set
	In       Context  // where it may stand
	Override Override // class needed in .htaccess, if InHtaccess
	Section  bool     // a container that the module reads itself (RequireAny ...): Set sees Children
	NoEffect bool     // known and checked, but does nothing here; Set says so with a notice
	Mapped   bool     // has its effect by other means than in Apache, as Doc says
	Default  string   // as in the manual; "" = none
	Doc      string   // one sentence
	// Set nil on a Section: the core itself reads the container.
	// Set applies one occurrence to the settings of the section it stands in.
	// An error makes the configuration unusable; its text is lower case
	// without the directive's name. Use Cmd.Notice and Cmd.Warn for the rest.
	Set func(k *Cmd, c *C) error
}

// Status is what a phase hook answers: Declined, OK, or an HTTP status code.
type Status int

const (
	Declined Status = -1 // not my business; the next module is asked
	OK       Status = 0  // done; what follows in the phase depends on the phase
)

// Module is one Apache module. C holds its settings: the same type for the
// main server, a virtual host and a section. A hook's c is never nil and is
// the effective (merged) value for this request; it must not be changed.
// The order of Compile's list is the order of modules inside every phase.
// Hooks that are nil cost nothing.
type Module[C any] struct {
	Name       string   // without mod_ and underscores dropped as the package is: "authzcore"
	ID         string   // "authz_core_module", for IfModule and LoadModule
	File       string   // "mod_authz_core.c"
	Also       []string // further names that IfModule finds it by
	Directives []Directive[C]
	New        func() *C                 // initial settings of a section; nil: new(C)
	Merge      func(parent, child *C) *C // pure; nil: settings exist for the main server only
	Inherit    func(main *C) *C          // settings of a virtual host without a directive of the module; nil: the main server's
	// Begin sees the main server's fresh settings and the whole tree before the
	// first directive is applied: for what LoadModule switches on.
	Begin func(tree *conf.Tree, c *C)
	// Finish sees the main server's settings once after the whole file was read
	// and fills in what the Server shows to the rest of the program.
	Finish func(s *Server, c *C, report func(conf.Diagnostic))
	// Host sees every host's effective settings (main server first) and fills
	// in the public fields of the VirtualHost that belong to the module.
	Host func(v *VirtualHost, c *C)
	// Check sees every host's effective settings (main server first) after the
	// whole file was read, for what cannot be judged line by line.
	Check func(k *Checker, c *C)

	// PerRequest says that with these settings the outcome of a request for a
	// WSGI script or a file can differ between requests for the same path
	// (address, headers, time): no precomputed route and no cached file then.
	// nil: never. See also Request.Varies and Request.Depend.
	PerRequest func(c *C) bool
	// Environ is the part of the environ that Fixup would set for every request.
	Environ func(c *C) []EnvVar
	// Routes lists what Translate would answer, in order of preference, so
	// that the core knows whose a path is without running the phase. Needed if
	// Translate is set.
	Routes func(c *C) []Route

	PostRead   func(r *Request, c *C) Status   // all run until one gives an HTTP status; also after an internal redirect
	Translate  func(r *Request, c *C) Status   // first that does not decline wins: sets r.Filename
	MapStorage func(r *Request, c *C) Status   // as Translate
	Header     func(r *Request, c *C) Status   // header parse; as PostRead
	Access     func(r *Request, c *C) Status   // as PostRead: without a user; must not decline to refuse
	AuthzRules func(c *C) bool                 // with AuthzFirst: are there rules at all? nil: always
	AuthzFirst func(r *Request, c *C) Status   // can it be decided without a user? OK: granted; Declined: do Authn and Authz; else refused
	Authn      func(r *Request, c *C) Status   // first that does not decline; sets r.User, r.AuthType
	Authz      func(r *Request, c *C) Status   // first that does not decline
	Challenge  func(r *Request, c *C)          // the request is answered with 401: add WWW-Authenticate if the scheme is yours
	SatisfyAny func(r *Request, c *C) bool     // Satisfy Any: passing Access is enough, and so is being authorised
	Type       func(r *Request, c *C) Status   // all run until one gives an HTTP status
	Fixup      func(r *Request, c *C) Status   // as PostRead
	Handler    func(r *Request, c *C) *Outcome // first that gives an outcome; looks at r.Handler

	// Response runs on every response (file, error page, redirect, WSGI
	// application, proxy) before its head is sent, after the filters were chosen.
	Response    func(r *Request, c *C, h *ResponseHead)
	HasResponse func(c *C) bool // would Response do anything? false costs nothing; nil: true
	// Steady says for how long Response does the same to the same head of the
	// same path, whoever asks: files may be cached for that time. nil: Changing.
	Steady func(c *C) Steadiness
	// Insert names output filters for the response, in order, upper case; the
	// names are those that modules list in OutputFilters. Its answer rests on
	// nothing but path, head and settings, or it calls Varies.
	Insert        func(r *Request, c *C, h *ResponseHead) []string
	OutputFilters []string // names that the Filter hook serves, upper case
	// Filter may take the body and change the head for it; nil: not me. It is
	// also asked for HEAD requests and for 304, where only the head goes out.
	// Modules in list order: filters of content, then those of transfer (ratelimit).
	Filter func(r *Request, c *C, h *ResponseHead) BodyFilter
	// HasFilter says that with these settings a response may be filtered. A
	// module whose Filter serves names alone leaves it nil: the one that
	// inserts the names says so.
	HasFilter func(c *C) bool

	// InsertInput names filters for the request's body, and Input makes what
	// the body passes through, nil: nothing; it may change r.Header for it.
	// Modules in list order, the one nearest to the client first. Once after
	// the fixups, if the request has a body and some HasInput is true.
	InsertInput  func(r *Request, c *C) []string
	InputFilters []string // names that the Input hook serves, upper case
	Input        func(r *Request, c *C) InputFilter
	HasInput     func(c *C) bool // InsertInput may name something; nil: never

	HasLog   func(c *C) bool                                 // the host writes an access log
	LogFiles func(c *C) []LogTarget                          // files and pipes to open before privileges drop
	OpenLogs func(c *C, open func(LogTarget) *LogFile) error // once, before the first request
	Log      func(v *VirtualHost, c *C, e *LogEntry)         // no allocation in steady state
	FlushLog func(c *C)                                      // from a timer, any goroutine
}

// Steadiness is how long something stays the same.
type Steadiness uint8

const (
	Changing     Steadiness = iota // may differ between two requests
	ForASecond                     // until the clock's next second
	SteadyAlways                   // until the settings change
)

// Route is one entry of a Translate hook's list.
type Route struct {
	Prefix string                 // literal URL prefix, decoded; "" if Match is set
	Match  func(path []byte) bool // else: does the entry take this path? nil with Prefix "": takes every path
	Mount  *Mount                 // a WSGI mount; nil: something else, the phases must run
	Files  bool                   // an existing file below DocumentRoot comes first, but for names that begin with a dot
	Dirs   bool                   // with Files: an existing directory as well
}

// RouteOf is the route of an entry that takes a prefix or, with re, a pattern.
func RouteOf(prefix string, re *Regexp) Route {
	if re != nil {
		return Route{Match: re.Match}
	}
	return Route{Prefix: prefix}
}

// Mount is a WSGI script or directory of scripts mounted on a URL prefix.
type Mount struct {
	Target     string // file or directory
	PerRequest bool   // its options depend on the request: no precomputed route
	Pos        conf.Pos
}

// Cmd is what Set sees: the directive as written and where it stands.
type Cmd struct {
	*conf.Directive
	In         Context      // the one place it stands in
	Path       string       // argument of the enclosing <Directory>, <Location> or <Files>, "" outside
	Limit      *MethodLimit // inside <Limit> or <LimitExcept>
	ServerRoot string
	Defines    map[string]string
	HostName   string // arguments of the enclosing <VirtualHost>; "" in the main server
	HostIndex  int    // 0 in the main server, then counts <VirtualHost> sections
	Htaccess   bool
	Options    Options // those that the Options directive may set here
	diags      *[]conf.Diagnostic
	b          *builder
	at         *place
	slot       int
}

// MethodLimit is an enclosing <Limit> (or <LimitExcept>, with Except).
type MethodLimit struct {
	Methods []string
	Except  bool
}

// Applies says whether the limit includes a request's method. GET stands for
// HEAD too; no limit (nil) includes every method.
func (l *MethodLimit) Applies(method string) bool {
	if l == nil {
		return true
	}
	if method == "HEAD" {
		method = "GET"
	}
	return slices.Contains(l.Methods, method) != l.Except
}

// Arg returns the i-th word or "".
func (k *Cmd) Arg(i int) string {
	if i < len(k.Args) {
		return k.Args[i]
	}
	return ""
}

// File resolves a path against ServerRoot.
func (k *Cmd) File(p string) string {
	if filepath.IsAbs(p) {
		return filepath.Clean(p)
	}
	return filepath.Join(k.ServerRoot, p)
}

// PathRegexp is the pattern of the enclosing Match section (or "~" form), nil
// if the section is a plain one.
func (k *Cmd) PathRegexp() (*Regexp, error) {
	if k.at.sec == nil {
		return nil, nil
	}
	return k.at.sec.re, nil
}

// Flag reads On or Off in any case.
func (k *Cmd) Flag(i int) (bool, error) { return ParseFlag(k.Arg(i)) }

// Notice reports that something is accepted and has no effect.
func (k *Cmd) Notice(code, format string, a ...any) { k.report(conf.Notice, code, format, a...) }

// Warn reports something that is probably not what was meant.
func (k *Cmd) Warn(code, format string, a ...any) { k.report(conf.Warning, code, format, a...) }

// Fail reports an error and lets the reading go on.
func (k *Cmd) Fail(code, format string, a ...any) { k.report(conf.Error, code, format, a...) }

func (k *Cmd) report(s conf.Severity, code, format string, a ...any) {
	if k.diags == nil {
		return // made by a test
	}
	*k.diags = append(*k.diags, conf.Diagnostic{Severity: s, Code: code, Pos: k.Pos, Directive: k.Name, Message: fmt.Sprintf(format, a...)})
}

// Coded is an error with its own diagnostic code and advice.
type Coded struct{ Code, Message, Suggestion string }

func (e *Coded) Error() string { return e.Message }

// HasModule reports whether a module is part of this server, by its
// identifier ("proxy_module").
func (k *Cmd) HasModule(id string) bool {
	return slices.ContainsFunc(k.b.mods, func(m AnyModule) bool { return m.meta().id == id })
}

// Apply works through the directives inside a section that the module reads
// itself, as if they stood where the section stands.
func (k *Cmd) Apply(list []*conf.Directive) { k.b.apply(list, k.at) }

// Diagnostic is conf.Diagnostic, for modules that need nothing else of conf.
type Diagnostic = conf.Diagnostic

// Checker is what a module's Check sees.
type Checker struct {
	Server *Server
	Host   *VirtualHost
	diags  *[]conf.Diagnostic
}

// Report adds a diagnostic.
func (k *Checker) Report(d conf.Diagnostic) { *k.diags = append(*k.diags, d) }

// DirectiveInfo describes a row to people: directives(), the documentation.
type DirectiveInfo struct {
	Name, Module, Syntax string
	Context              string
	Override             string
	Default, Doc         string
	Section              bool
	Effect               string // "yes", "mapped", "ignored" or "refused"
}
