// CoreConfig: the settings of Apache's core that this package itself works
// with. Package mod/core has the directive rows that fill it in. Pointers mean
// "not given here", so that merging can tell.
package httpd

import (
	"maps"
	"time"
)

// Opt is a setting that may be absent.
type Opt[T any] struct {
	V   T
	Set bool
}

// Some makes a given setting.
func Some[T any](v T) Opt[T] { return Opt[T]{v, true} }

// Or returns the value, or d if it was not given.
func (o Opt[T]) Or(d T) T {
	if o.Set {
		return o.V
	}
	return d
}

// Over returns child if it was given, else o: the usual merge rule.
func (o Opt[T]) Over(child Opt[T]) Opt[T] {
	if child.Set {
		return child
	}
	return o
}

// Options is the bit set of the Options directive.
type Options uint8

const (
	OptExecCGI Options = 1 << iota
	OptFollowSymLinks
	OptSymLinksIfOwnerMatch
	OptIncludes
	OptIncludesNoExec
	OptIndexes
	OptMultiViews
	OptAll = OptExecCGI | OptFollowSymLinks | OptIncludes | OptIndexes
)

// ErrorDoc is one ErrorDocument.
type ErrorDoc struct {
	Kind ErrorDocKind
	Text string
	Expr *StringExpr // gives the text for a request; nil: it is Text
}

// ErrorDocKind says how the text of an ErrorDocument is meant.
type ErrorDocKind int

const (
	ErrorDocDefault ErrorDocKind = iota
	ErrorDocText
	ErrorDocLocal    // URL path: internal redirect
	ErrorDocExternal // full URL: 302
)

// LogLevels is LogLevel: a default and per-module levels (0 emerg ... 7 debug,
// 8..15 trace1..8).
type LogLevels struct {
	Default int // LevelInherited: not given here
	Module  map[string]int
}

// LevelInherited is the default of a section that names modules only.
const LevelInherited = -1

// Over gives the levels of a section inside: a bare level resets all modules,
// else each module's replaces that of the outer scope.
func (l LogLevels) Over(child LogLevels) LogLevels {
	if child.Default != LevelInherited {
		return child
	}
	out := LogLevels{Default: l.Default, Module: maps.Clone(l.Module)}
	if out.Module == nil {
		out.Module = map[string]int{}
	}
	maps.Copy(out.Module, child.Module)
	return out
}

// Level is the level for a module given as in LogLevel, without _module.
func (l LogLevels) Level(module string) int {
	if n, ok := l.Module[module]; ok {
		return n
	}
	if l.Default == LevelInherited {
		return LevelWarn
	}
	return l.Default
}

// CoreConfig are the core's settings of one section; see the directive of the
// same name in mod/core for each field.
type CoreConfig struct {
	// main server only
	Listen                                  []ListenSpec
	User, Group, PidFile, DefaultRuntimeDir string
	ListenBacklog, SendBuffer, RecvBuffer   int
	MaxRequestWorkers, MaxConnPerChild      int
	ThreadStackSize                         int
	StartServers, ServerLimit               int // 0 = not given
	ThreadsPerChild                         int
	GracefulShutdownTimeout                 time.Duration
	ServerTokens                            Opt[string]

	// main server and virtual host
	DocumentRoot                           Opt[string]
	ServerName                             Opt[ServerNameSpec]
	ServerAlias                            []string
	ServerAdmin                            Opt[string]
	ErrorLog                               Opt[LogTarget]
	ErrorLogFormat                         Opt[string]
	ErrorLogConnection, ErrorLogRequest    []string
	KeepAlive                              Opt[bool]
	KeepAliveTimeout, Timeout              Opt[time.Duration]
	MaxKeepAliveRequests                   Opt[int]
	LimitLine, LimitFields, LimitFieldSize Opt[int]
	LimitRecursion                         Opt[int]
	TraceEnable                            Opt[string] // on, off, extended
	AllowEncodedSlashes                    Opt[string] // on, off, nodecode
	MergeSlashes, StrictHostCheck          Opt[bool]
	MergeTrailers                          Opt[bool]
	AccessFileName                         Opt[[]string]
	HeaderTimeout, BodyTimeout             Opt[ReadTimeout]
	Protocols                              Opt[[]string]

	// everywhere
	AcceptPathInfo             Opt[string] // on, off, default
	AllowOverride              Opt[Override]
	OverrideOptions            Options // AllowOverride Options=...: those that .htaccess may set; with AllowOverride.Set
	AllowOverrideList          Opt[[]string]
	AddDefaultCharset          Opt[string]
	ErrorDocument              map[int]ErrorDoc
	FileETag                   Opt[string]
	EnableMMAP, EnableSendfile Opt[bool]
	ForceType                  Opt[string]
	SetHandler                 Opt[string]
	SetHandlerExpr             *StringExpr // of SetHandler; nil: constant
	HostnameLookups            Opt[string]
	LimitRequestBody           Opt[int64]
	LogLevel                   Opt[LogLevels]
	OptSet, OptAdd, OptRemove  Options // see OptionsValue
	OptGiven                   bool    // bare words: OptSet replaces
	ServerSignature            Opt[string]
	UseCanonicalName           Opt[string]
	UseCanonicalPhysicalPort   Opt[bool]
	CGIPassAuth                Opt[bool]
	MaxRanges                  Opt[int]      // -1 = unlimited, 0 = none
	SetOutputFilter            Opt[[]string] // upper case
	SetInputFilter             Opt[[]string]
}

// ServerNameSpec is a ServerName: [scheme://]host[:port].
type ServerNameSpec struct {
	Scheme, Host string
	Port         int
}

// ReadTimeout is one stage of RequestReadTimeout.
type ReadTimeout struct {
	Time, Max time.Duration
	MinRate   int
}

// Core returns the core's effective settings for the request; not to be changed.
func (r *Request) Core() *CoreConfig { return r.m.core }

// OptionsValue is the effective Options.
func (c *CoreConfig) OptionsValue() Options {
	if c.OptGiven {
		return c.OptSet
	}
	return (OptFollowSymLinks | c.OptAdd) &^ c.OptRemove
}

// OwnName reports whether the settings want another SERVER_NAME or SERVER_PORT
// for applications than those that the client used.
func (c *CoreConfig) OwnName() bool {
	return c.UseCanonicalName.Or("off") != "off" || c.UseCanonicalPhysicalPort.V
}

// Lookups is HostnameLookups as it holds for a request.
type Lookups uint8

const (
	LookupsOff    Lookups = iota
	LookupsOn             // the name that the reverse zone gives
	LookupsDouble         // only if the name leads back to the address
)

// Lookups reads HostnameLookups.
func (c *CoreConfig) Lookups() Lookups {
	switch c.HostnameLookups.V {
	case "on":
		return LookupsOn
	case "double":
		return LookupsDouble
	}
	return LookupsOff
}
