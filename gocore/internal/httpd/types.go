// The runtime types that the request path sees: Server, HostSet, VirtualHost,
// Plan, Request, Outcome and what they are made of. See compile.go for how a
// snapshot is made and phases.go for how it is used.
package httpd

import (
	"io"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"modwsgi/gocore/internal/conf"
)

// Server is a compiled configuration: immutable after Compile and OpenLogs
// (but for caches that lock themselves), shared by all goroutines.
type Server struct {
	SecretFiles               []*SecretFile // see Cmd.Secret
	Listen                    []ListenSpec
	User, Group               string // as written: name or "#id"; "" = not given
	PidFile, ServerRoot       string
	DefaultRuntimeDir         string
	ListenBacklog             int
	SendBuffer, ReceiveBuffer int
	MaxRequestWorkers         int // 0 = not given
	MaxConnectionsPerChild    int
	StartServers, ServerLimit int // processes of embedded mode; 0 = not given
	ThreadsPerChild           int // threads of embedded mode; 0 = not given
	ThreadStackSize           int
	GracefulShutdownTimeout   time.Duration // 0 = no limit
	ErrorLog                  LogTarget     // of the main server
	Main                      *VirtualHost
	VirtualHosts              []*VirtualHost // without Main, file order
	Groups                    []DaemonGroup
	Python                    PythonConfig
	Software                  string // Server header and SERVER_SOFTWARE, after ServerTokens

	Tree *conf.Tree

	// Logger receives messages of the server itself (module as in LogLevel,
	// level 0 emerg ... 7 debug); r may be nil. Set it before the first request.
	Logger func(v *VirtualHost, r *Request, level int, module, msg string)
	// LogTrouble is told when an access log cannot be written to, and when it can
	// be again (err nil). Set before OpenLogs; nil: nobody listens; any goroutine.
	LogTrouble func(t LogTarget, err error)

	secret secret
	// Watcher tells of changed .htaccess files; nil: each is looked at with every
	// request. Set it before the first request.
	Watcher Watcher
	// Status gives the state of the running server; nil: nobody keeps it, because
	// no SetHandler asks for server-status. Set it before the first request.
	Status         func() *ServerStatus
	ExtendedStatus bool
	wantsStatus    bool

	mods     []AnyModule
	hooks    []hooks
	coreSlot int
	rows     map[string]rowRef           // by lower-case name
	sets     map[netip.AddrPort]*HostSet // port 0: any port; unspecified address: any address
	mainSet  *HostSet
	nextID   atomic.Uint32 // of sections
	access   htaccessCache
	plansMu  sync.RWMutex
	plans    []*Plan
	planBy   map[string]*Plan
	logs     map[string]*LogFile
}

// ListenSpec is one listening socket.
type ListenSpec struct {
	Network string // "tcp", "tcp4", "tcp6", "unix", or "systemd" until the supervisor has put the address in
	Addr    string // "0.0.0.0:80", "[::1]:80", ":80", a path, or the name of a socket that was passed
	Proto   string // "http" or "https"
	Pos     conf.Pos
}

// LogKind says what a log target is.
type LogKind int

const (
	LogToFile   LogKind = iota
	LogToPipe           // Name is a command
	LogToSyslog         // Name is "facility:tag", may be empty
)

// LogTarget is where a log goes. The zero value means "not given".
type LogTarget struct {
	Kind  LogKind
	Name  string // absolute path or command
	Shell bool   // pipe through a shell ("|$cmd")
	Pos   conf.Pos
}

// Key identifies the target in OpenLogs' map and among LogFiles.
func (t LogTarget) Key() string {
	switch t.Kind {
	case LogToPipe:
		if t.Shell {
			return "|$" + t.Name
		}
		return "|" + t.Name
	case LogToSyslog:
		return "syslog:" + t.Name
	}
	return t.Name
}

// LogFile is an opened target. Several hosts may share one; Mu orders writes.
type LogFile struct {
	Target LogTarget
	File   *os.File
	Mu     sync.Mutex
	Buf    []byte // pending lines, guarded by Mu

	failing atomic.Bool
	trouble func(t LogTarget, err error)
}

// HostSet is the virtual hosts that answer on one local address.
type HostSet struct {
	Default *VirtualHost // the first; its per-connection settings rule until the Host is known
	hosts   []*VirtualHost
	byName  map[string]nameRef // exact names, lower case
	globs   []hostGlob         // names with wildcards, file order
	specs   []hostGlob         // names written in <VirtualHost> lines
}

// VirtualHost is a host's effective settings and routes.
type VirtualHost struct {
	ServerName                             string // without scheme and port
	ServerPort                             int    // of ServerName or of the address; 0 = the connection's
	SelfPort                               int    // of a request whose Host names none; 0 = the scheme's own
	ServerScheme                           string // of ServerName, "" if none
	Aliases                                []string
	ServerAdmin                            string
	KeepAlive                              bool
	KeepAliveTimeout, Timeout              time.Duration
	HeaderTimeout, BodyTimeout             time.Duration // first allowance; 0 = off
	HeaderTimeoutMax, BodyTimeoutMax       time.Duration // with MinRate; 0 = no limit
	HandshakeTimeout                       time.Duration // 0 = Timeout
	HeaderMinRate, BodyMinRate             int           // bytes per second that earn one more second; 0 = off
	MaxKeepAliveRequests                   int           // 0 = no limit
	Protocols                              []string      // "h2", "h2c" and "http/1.1", the best first
	H2Streams, H2Window                    int           // of one HTTP/2 connection (mod_http2)
	H2Direct                               bool          // h2c begins without an upgrade
	LimitLine, LimitFields, LimitFieldSize int
	TraceEnable                            bool
	MergeTrailers                          bool // for access logs; see the directive
	ErrorLog                               LogTarget
	LogLevel                               LogLevels
	ErrorLogFormat                         string   // as written, "" = the default
	ErrorLogConnection, ErrorLogRequest    []string // lines before the first record of a connection, a request
	HasLog                                 bool
	ProxyProtocol                          bool           // connections begin with a PROXY header (mod_remoteip)
	ProxyProtocolExceptions                []netip.Prefix // of these clients they do not
	LogsResponse                           bool           // some access log shows fields of the response
	LogsFirstByte                          bool           // some access log shows the time to the first byte
	TLS                                    bool           // all its connections are TLS
	SSL                                    any            // settings of mod_ssl (package mod/ssl); nil: none
	UseCanonicalName                       bool           // On or DNS
	UseCanonicalPhysicalPort               bool
	Pos                                    conf.Pos

	server   *Server
	index    int
	keys     []netip.AddrPort
	addrs    []string // names and addresses written in <VirtualHost>, without ports
	base     *merged  // main + host
	sections *hostSections
	fast     fastTable
	merged   mergeCache
}

// Server gives the snapshot that the host belongs to.
func (v *VirtualHost) Server() *Server { return v.server }

// Index is 0 for the main server, then counts virtual hosts in file order.
func (v *VirtualHost) Index() int { return v.index }

// MapHEADMode is WSGIMapHEADToGET.
type MapHEADMode uint8

const (
	MapHEADAuto MapHEADMode = iota
	MapHEADOff
	MapHEADOn
)

// Plan is everything about a WSGI call that does not differ between the
// requests that share it. Immutable; the pointer is stable for a snapshot.
type Plan struct {
	ID               int // dense from 0; -1: made for one request, do not cache by ID
	Host             *VirtualHost
	Script           string // the resource file
	Handler          string // "wsgi-script" or the name of a WSGIHandlerScript
	HandlerScript    string // its path, or ""
	ProcessGroup     string // "" = embedded
	ApplicationGroup string // "" = main interpreter
	CallableObject   string
	ScriptName       string // of a mounted file; "" when the request decides (see Outcome)
	Environ          []EnvVar
	Group            *DaemonGroup // nil = embedded
	URLScheme        string       // wsgi.url_scheme: the variable HTTPS (removed from Environ) or the connection's

	merged *merged

	PassAuthorization, ChunkedRequest, ScriptReloading bool
	ErrorOverride, CaseSensitivity, IgnoreActivity     bool
	LogLevel                                           int // for messages of the module wsgi
	MapHEAD                                            MapHEADMode
	BodyLimit                                          int64 // 0 = none
	TrustedProxies                                     []netip.Prefix
	TrustedHeaders                                     []string // as configured, lower case HTTP form
	Multithread, Multiprocess                          bool
}

// EnvVar is one environ entry.
type EnvVar struct{ Name, Value string }

// Field is one header field.
type Field struct{ Name, Value string }

// Outcome is what the phases decided: a WSGI call (Plan != nil) or a finished
// response. The sender closes File.
type Outcome struct {
	Plan                 *Plan
	ScriptName, PathInfo string
	Method, Query        string   // after an internal redirect (Method != ""): these replace the request's
	NoBody               bool     // after an internal redirect: the request's body does not belong to the call
	URLScheme            string   // wsgi.url_scheme as the variable HTTPS decided; "" = as the plan says
	Env                  []EnvVar // per-request additions, override Plan.Environ
	StatusOverride       int      // keep this status whatever the application says; 0 none

	// Stream, if set, writes the response itself, on a goroutine of its own
	// that may wait: CGI programs, proxies, what is too long to hold in memory.
	// It calls w.WriteHead once, then Write; r.Body() is the request's body. An
	// error before WriteHead is answered with 502 (or the status of a
	// StatusError), after it the connection is cut. Status, Header, Body and
	// File do not count then.
	Stream func(w StreamWriter) error

	Status           int
	Header           []Field // headers_out; with a Plan: fields to add to the application's response
	ErrHeader        []Field // err_headers_out: sent whatever hooks and error pages do
	Body             []byte
	File             *os.File
	FileOff, FileLen int64
	Parts            []Part  // instead of Body, FileOff and FileLen: the body in pieces, all of one File
	Repeat           *Repeat // later requests of the path may get the same; nil: they may not
	CloseConn        bool
	Request          *Request // final request (after internal redirects), for logging
	page             bool     // made by the server for a status: the fields for a success do not belong to it
	Needs            Place    // not OnLeader: nothing is decided yet, run the phases again there (see Resume)
}

// LogEntry is what an access log line is made from. Slices, and strings that
// the look-ups return, are valid during the call only.
type LogEntry struct {
	Line                        []byte // request line as received, also of a malformed request
	Method, Target, Proto, Host []byte
	HeaderLookup                func(name string) (string, bool)
	TrailerLookup               func(name string) (string, bool) // fields behind a chunked body that was complete when it was handled
	ResponseLookup              func(name string) (string, bool)
	EnvLookup                   func(name string) (string, bool)
	NoteLookup                  func(name string) (string, bool)
	SecureLookup                func(name string) (string, bool) // a variable SSL_* of the connection; false: it is not encrypted
	Local                       netip.AddrPort
	Remote                      netip.AddrPort // the client, as mod_remoteip says
	Peer                        netip.AddrPort // the other end of the connection
	RemoteUser                  string
	RemoteName                  string // of the client, if it was looked up (HostnameLookups)
	Status                      int    // sent
	FirstStatus                 int    // of the request before internal redirects
	BytesSent                   int64  // body
	BytesIn, BytesOut           int64  // head and body
	Start                       time.Time
	Duration                    time.Duration
	FirstByte                   time.Duration   // until the first byte of the response was sent; 0: not measured, or none was
	KeepAlives                  int             // earlier requests on the connection
	Completed                   bool            // the whole response went out
	KeepAlive                   bool            // the connection may go on
	Script, Handler             string          // of the final request
	LogID                       []byte          // in the error log; nil when nothing was logged there
	First, Final                *Request        // before and after internal redirects; nil on the fast route
	Request                     func() *Request // for expressions: the final request, made if there is none
}

// Request is a request off the fast route, independent of the HTTP version.
// The first block is set by the caller, the rest is the phases' working state.
// One goroutine owns it.
type Request struct {
	Method, RawTarget, RawPath, Query string
	Proto                             string // "HTTP/1.1"
	HostName                          string // Host header or authority, with port, as sent
	Header                            []Field
	Local, Remote                     netip.AddrPort // Remote is the client: mod_remoteip may change it
	Peer                              netip.AddrPort // the other end of the connection
	ConnNo, RequestNo                 uint64         // number of the connection, and of the request on it from 1
	ConnLogged, ReqLogged             bool           // the error log has a record of the connection, of the request already
	TLS                               bool
	Secure                            *Secure // with TLS; nil in a probe, which no client sent
	Start                             time.Time
	ContentLength                     int64 // -1 = not given
	Chunked                           bool

	Host          *VirtualHost
	URI           string      // decoded and normalised path
	Filename      string      // after translate; after the walk, the existing part (file or directory)
	PathInfo      string      // what follows the file
	Info          os.FileInfo // of Filename; nil = does not exist
	Base          string      // the mapped prefix of Filename: DocumentRoot, an alias' target
	ContextPrefix string      // CONTEXT_PREFIX: the alias' URL path
	ContextRoot   string      // CONTEXT_DOCUMENT_ROOT; "" = DocumentRoot
	DocRoot       string      // the request's own DocumentRoot; "" = the configured one. See Root
	Plan          *Plan       // set by the caller of Error when a plan was running
	Handler       string      // handler name, "" = default handler
	ContentType   string
	Encoding      string
	Language      []string
	Charset       string
	User          string
	AuthType      string
	Out           []Field // header fields for a successful response
	ErrOut        []Field // header fields that are sent whatever the status
	TrailerOut    []Field // fields behind the response of a proxied server, for access logs only
	Notes         map[string]string
	Mount         *Mount // set by the wsgi module's Translate
	Aliased       bool   // mapped by Alias, ScriptAlias, WSGIScriptAlias
	SubRequest    bool
	Claimed       string   // user name in credentials that were refused, for logs only
	Prev          *Request // the request that was internally redirected to this one
	Status        int      // of an error document: the original status

	body       io.Reader // see Body
	env        []EnvVar
	filters    []string // names of output filters, upper case
	inputNames []string // of input filters
	input      InputFilter
	m          *merged
	main       *Request // of a sub-request: the request that asked
	at         *execution
	handling   bool          // Handle runs
	permitted  bool          // access control has let it pass
	locs       []*section    // Locations of this URI
	head       *ResponseHead // on its way out; nil before
	replied    *answer       // the response went out
	failed     int           // status of an ErrorDocument that is being evaluated
	ownPage    bool          // see OwnPage
	onlyLocs   bool          // probe: locs is given, do not match
	redirects  int
	logged     bool   // Logf was called
	edited     bool   // see SetHeader
	dynamic    bool   // .htaccess files or conditions were looked at
	changes    uint64 // Watcher.Now of this walk; 0: not asked yet
	varies     bool   // see Varies
	depends    []Dependency
}
