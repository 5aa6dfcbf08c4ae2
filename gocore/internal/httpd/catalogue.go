// The catalogue of directives that belong to Apache modules which do not exist
// here (yet). A directive that only tunes or decorates is accepted with one
// notice; one whose loss would open a site, or serve other content than was
// configured, is an error. A module that is added takes its directives out of
// the catalogue's reach, because its own rows are looked up first.
package httpd

import (
	"slices"
	"strings"

	"modwsgi/gocore/internal/conf"
)

// catalogueRow is a group of directives of one Apache module that are treated
// alike.
type catalogueRow struct {
	module   string // as in LoadModule, without _module
	names    string // separated by blanks
	refuse   bool
	harmless func(args []string) bool // with refuse: these arguments are ignored all the same
	section  bool
	why      string // what would be lost
}

func argIs(i int, words ...string) func([]string) bool {
	return func(a []string) bool {
		return i < len(a) && slices.ContainsFunc(words, func(w string) bool { return strings.EqualFold(w, a[i]) })
	}
}

var catalogue = []catalogueRow{
	// core and MPMs: the process model is different here
	{module: "core", names: "NameVirtualHost DefaultType", why: "it means nothing any more in httpd 2.4 either"},
	{module: "core", names: "HttpProtocolOptions", why: "requests are always read strictly"},
	{module: "core", names: "LimitXMLRequestBody", why: "there is no WebDAV"},
	{module: "core", names: "ContentDigest", why: "responses have no Content-MD5"},
	{module: "core", names: "QualifyRedirectURL", why: "REDIRECT_URL is a path"},
	{module: "core", names: "ServerPath", why: "paths do not choose hosts"},
	{module: "core", names: "SeeRequestTail", why: "server-status shows the beginning of request lines"},
	{module: "core", names: "RegisterHttpMethod", why: "applications get all methods"},
	{module: "core", names: "RegexDefaultOptions", why: "$ matches at the very end, . matches line breaks"},
	{module: "core", names: "Mutex EnableExceptionHook CoreDumpDirectory ScoreBoardFile ListenCoresBucketsRatio FlushMaxThreshold FlushMaxPipelined CGIMapExtension ReadBufferSize " +
		"KeptBodySize AcceptFilter", why: "there is nothing here that it could tune"},
	{module: "core", names: "Protocol", harmless: argIs(0, "http"), refuse: true, why: "connections would be taken for HTTP"},
	{module: "core", names: "Port", refuse: true, why: "Listen names the ports"},
	{module: "mpm", names: "MinSpareThreads MaxSpareThreads MinSpareServers MaxSpareServers",
		why: "there are as many processes and threads all the time as StartServers, ThreadsPerChild and WSGIDaemonProcess say"},
	{module: "mpm", names: "ThreadLimit", why: "it bounds ThreadsPerChild over restarts, which here may change as it likes"},
	{module: "mpm", names: "MaxMemFree", why: "memory that is free goes back to the system by itself"},
	{module: "mpm", names: "ListenTCPDeferAccept AsyncRequestWorkerFactor", why: "connections that are idle take no thread"},
	{module: "privileges", names: "PrivilegesMode VHostUser VHostGroup VHostSecure VHostPrivs DTracePrivileges VHostCGIMode VHostCGIPrivs", refuse: true,
		harmless: argIs(0, "FAST"), why: "processes would run with other rights"},

	// access and authentication
	{module: "auth_form", names: "AuthFormProvider AuthFormAuthoritative AuthFormLoginRequiredLocation AuthFormLoginSuccessLocation AuthFormLogoutLocation " +
		"AuthFormUsername AuthFormPassword AuthFormMimetype AuthFormSize AuthFormSitePassphrase AuthFormFakeBasicAuth AuthFormDisableNoStore AuthFormBody AuthFormMethod AuthFormLocation",
		refuse: true, why: "no password would be asked for"},
	{module: "authn_dbd", names: "AuthDBDUserPWQuery AuthDBDUserRealmQuery AuthzDBDQuery AuthzDBDRedirectQuery AuthzDBDLoginToReferer", why: "there is no provider dbd"},
	{module: "authnz_ldap", names: "AuthLDAPURL AuthLDAPBindDN AuthLDAPBindPassword AuthLDAPGroupAttribute AuthLDAPGroupAttributeIsDN AuthLDAPRemoteUserAttribute " +
		"AuthLDAPRemoteUserIsDN AuthLDAPDereferenceAliases AuthLDAPCharsetConfig AuthLDAPCompareDNOnServer AuthLDAPInitialBindAsUser AuthLDAPInitialBindPattern " +
		"AuthLDAPMaxSubGroupDepth AuthLDAPSearchAsUser AuthLDAPSubGroupAttribute AuthLDAPSubGroupClass AuthLDAPAuthorizePrefix AuthLDAPBindAuthoritative AuthLDAPCompareAsUser",
		why: "there is no provider ldap"},
	{module: "ldap", names: "LDAPSharedCacheSize LDAPSharedCacheFile LDAPCacheEntries LDAPCacheTTL LDAPOpCacheEntries LDAPOpCacheTTL LDAPTrustedGlobalCert LDAPTrustedClientCert " +
		"LDAPTrustedMode LDAPVerifyServerCert LDAPConnectionTimeout LDAPReferrals LDAPReferralHopLimit LDAPLibraryDebug LDAPTimeout LDAPConnectionPoolTTL LDAPRetries LDAPRetryDelay",
		why: "nobody asks an LDAP server"},
	{module: "authnz_fcgi", names: "AuthnzFcgiDefineProvider AuthnzFcgiCheckAuthnProvider", refuse: true, why: "nobody would be asked for a password"},
	{module: "allowmethods", names: "AllowMethods", refuse: true, why: "methods would not be restricted"},
	{module: "security", names: "SecRuleEngine SecRequestBodyAccess SecResponseBodyAccess", refuse: true, harmless: argIs(0, "Off"), why: "requests would not be checked"},

	// headers and filters
	{module: "substitute", names: "Substitute SubstituteInheritBefore SubstituteMaxLineLength", why: "responses are not edited"},
	{module: "sed", names: "OutputSed InputSed", why: "bodies are not edited"},
	{module: "ext_filter", names: "ExtFilterDefine ExtFilterOptions", why: "SetOutputFilter cannot name such a filter"},
	{module: "buffer", names: "BufferSize", why: "there is no filter BUFFER"},
	{module: "reflector", names: "ReflectorHeader", why: "there is no handler reflector"},
	{module: "case_filter", names: "CaseFilter CaseFilterIn", why: "it is an example"},
	{module: "include", names: "SSIEndTag SSIErrorMsg SSIETag SSILastModified SSILegacyExprParser SSIStartTag SSITimeFormat SSIUndefinedEcho XBitHack", why: "pages are not parsed"},

	// variables and addresses
	{module: "ident", names: "IdentityCheck IdentityCheckTimeout", why: "identd is not asked"},
	{module: "usertrack", names: "CookieTracking CookieName CookieExpires CookieDomain CookieStyle CookieFormat CookieHTTPOnly CookieSameSite CookieSecure", why: "no cookie is set"},

	// content
	{module: "mime_magic", names: "MimeMagicFile", why: "types are not guessed"},
	{module: "cern_meta", names: "MetaFiles MetaDir MetaSuffix", why: "fields are not read from files beside the pages"},
	{module: "imagemap", names: "ImapBase ImapDefault ImapMenu", why: "there are no image maps"},
	{module: "dav", names: "Dav", refuse: true, harmless: argIs(0, "Off"), why: "there is no WebDAV"},
	{module: "dav", names: "DavDepthInfinity DavMinTimeout DavLockDB DavGenericLockDB DAVBasePath DAVLockDiscovery", why: "it has no effect without Dav"},
	{module: "speling", names: "CheckSpelling CheckCaseOnly CheckBasenameMatch", why: "addresses are not corrected"},

	// logs and status
	{module: "log_forensic", names: "ForensicLog", why: "there is no forensic log"},
	{module: "log_debug", names: "LogMessage", why: "nothing is logged"},
	{module: "info", names: "AddModuleInfo", why: "there is no info page"},
	{module: "dumpio", names: "DumpIOInput DumpIOOutput", why: "nothing is dumped"},

	// TLS
	{module: "ssl", names: "SSLProxyCARevocationCheck", refuse: true, harmless: argIs(0, "none"), why: "certificates would not be checked"},
	{module: "ssl", names: "SSLProxyCARevocationFile SSLProxyCARevocationPath", refuse: true, why: "certificates would not be checked"},
	{module: "md", names: "MDomain MDCertificateAgreement MDCertificateAuthority MDContactEmail MDPrivateKeys MDRenewMode MDRequireHttps MDMembers MDStoreDir " +
		"MDCAChallenges MDCertificateProtocol MDDriveMode MDMember MDMustStaple MDPortMap MDHttpProxy MDRenewWindow MDNotifyCmd MDBaseServer MDChallengeDns01 MDChallengeDns01Version " +
		"MDCertificateFile MDCertificateKeyFile MDServerStatus MDCertificateStatus MDWarnWindow MDMessageCmd MDStapling MDStapleOthers MDStaplingKeepResponse MDStaplingRenewWindow " +
		"MDCertificateCheck MDActivationDelay MDCACertificateFile MDHttpProxyCACertificateFile MDExternalAccountBinding MDRetryDelay MDRetryFailover MDStoreLocks MDMatchNames " +
		"MDInitialDelay MDCheckInterval MDProfile MDProfileMandatory MDRenewViaARI", refuse: true,
		why: "there would be no certificate"},

	// proxy
	{module: "proxy", names: "ProxyRemote ProxyRemoteMatch", refuse: true, why: "requests would take another way"},
	{module: "proxy", names: "ProxyBlock NoProxy", refuse: true, why: "access would not be restricted"},
	{module: "proxy_express", names: "ProxyExpressEnable", refuse: true, harmless: argIs(0, "Off"), why: "requests would not reach their servers"},
	{module: "proxy_express", names: "ProxyExpressDBMFile ProxyExpressDBMType", why: "it has no effect without ProxyExpressEnable"},
	{module: "proxy_connect", names: "AllowCONNECT", why: "there is no forward proxy"},
	{module: "proxy_ftp", names: "ProxyFtpListOnWildcard ProxyFtpEscapeWildcards ProxyFtpDirCharset", why: "there is no proxy for FTP"},
	{module: "proxy_hcheck", names: "ProxyHCTemplate ProxyHCExpr ProxyHCTPsize", why: "servers of a balancer are not asked for their health"},
	{module: "proxy_scgi", names: "ProxySCGISendfile ProxySCGIInternalRedirect", why: "there is no SCGI"},
	{module: "proxy_fcgi", names: "ProxyFCGIBackendType ProxyFCGISetEnvIf", why: "there is no FastCGI"},
	{module: "proxy_html", names: "ProxyHTMLEnable ProxyHTMLURLMap ProxyHTMLLinks ProxyHTMLEvents ProxyHTMLDocType ProxyHTMLExtended ProxyHTMLInterp ProxyHTMLMeta ProxyHTMLBufSize " +
		"ProxyHTMLCharsetOut ProxyHTMLFixups ProxyHTMLStripComments", why: "pages are not edited"},
	{module: "http2", names: "H2PushPriority H2PushDiarySize H2PushResource H2MaxWorkers H2MinWorkers H2MaxWorkerIdleSeconds " +
		"H2StreamMaxMemSize H2SerializeHeaders H2ModernTLSOnly H2TLSWarmUpSize H2TLSCoolDownSecs H2CopyFiles H2OutputBuffering H2StreamTimeout " +
		"H2MaxDataFrameLen H2MaxHeaderBlockLen H2SessionExtraFiles H2MaxStreamErrors H2ProxyRequests H2EarlyHint", why: "it tunes Apache's HTTP/2"},

	// others
	{module: "cache", names: "CacheEnable CacheDisable CacheRoot CacheDirLevels CacheDirLength CacheMaxFileSize CacheMinFileSize CacheDefaultExpire CacheMaxExpire CacheMinExpire " +
		"CacheIgnoreHeaders CacheIgnoreNoLastMod CacheIgnoreQueryString CacheIgnoreCacheControl CacheLock CacheLockMaxAge CacheLockPath CacheQuickHandler CacheHeader CacheDetailHeader " +
		"CacheKeyBaseURL CacheStaleOnError CacheStoreExpired CacheStoreNoStore CacheStorePrivate CacheSocache CacheSocacheMaxSize CacheSocacheMaxTime CacheFile MMapFile " +
		"CacheIgnoreURLSessionIdentifiers CacheLastModifiedFactor CacheReadSize CacheReadTime CacheSocacheMinTime CacheSocacheReadSize CacheSocacheReadTime MemcacheConnTTL RedisConnPoolTTL RedisTimeout", why: "nothing is cached"},
	{module: "session", names: "Session SessionEnv SessionExclude SessionHeader SessionInclude SessionMaxAge SessionExpiryUpdateInterval SessionCookieName SessionCookieName2 " +
		"SessionCookieRemove SessionCryptoCipher SessionCryptoDriver SessionCryptoPassphrase SessionCryptoPassphraseFile SessionDBDCookieName SessionDBDPerUser " +
		"SessionDBDSelectLabel SessionDBDInsertLabel SessionDBDUpdateLabel SessionDBDDeleteLabel SessionDBDCookieRemove SessionDBDCookieName2", why: "there are no sessions"},
	{module: "lua", names: "LuaAuthzProvider LuaHookAccessChecker LuaHookAuthChecker LuaHookCheckUserID LuaQuickHandler LuaHookTranslateName LuaHookMapToStorage LuaHookFixups " +
		"LuaHookTypeChecker LuaHookPreTranslate LuaHookPreTranslateName LuaMapHandler LuaInputFilter LuaOutputFilter", refuse: true, why: "the script would not run"},
	{module: "lua", names: "LuaHookLog LuaHookInsertFilter LuaRoot LuaScope LuaPackagePath LuaPackageCPath LuaCodeCache LuaInherit", why: "there is no Lua"},
	{module: "dbd", names: "DBDriver DBDParams DBDPersist DBDPrepareSQL DBDKeep DBDMax DBDMin DBDExptime DBDInitSQL", why: "there are no database connections"},
	{module: "suexec", names: "SuexecUserGroup", refuse: true, why: "programs would run as another user"},
	{module: "watchdog", names: "WatchdogInterval HeartbeatAddress HeartbeatListen HeartbeatMaxServers HeartbeatStorage", why: "there is no watchdog"},
	{module: "systemd", names: "IdleShutdown", why: "it has no effect"},
	{module: "php", names: "php_value php_flag php_admin_value php_admin_flag PHPIniDir", why: "there is no PHP"},
	{module: "xml2enc", names: "xml2EncAlias xml2EncDefault xml2StartParse", why: "pages are not edited"},
	{module: "charset_lite", names: "CharsetDefault CharsetOptions CharsetSourceEnc", why: "pages are not converted"},
	{module: "dialup", names: "ModemStandard", why: "responses are not slowed down"},
	{module: "echo", names: "ProtocolEcho", refuse: true, harmless: argIs(0, "Off"), why: "connections would be taken for HTTP"},
	{module: "example_hooks", names: "Example", why: "it is an example"},
	{module: "nw_ssl", names: "SecureListen NWSSLTrustedCerts NWSSLUpgradeable", refuse: true, why: "connections would not be encrypted"},
	{module: "isapi", names: "ISAPIAppendLogToErrors ISAPIAppendLogToQuery ISAPICacheFile ISAPIFakeAsync ISAPILogNotSupported ISAPIReadAheadBuffer", why: "there is no ISAPI"},
}

// notOurs treats a directive that no module of the snapshot knows.
func (b *builder) notOurs(d *conf.Directive) {
	name := strings.ToLower(d.Name)
	for i := range catalogue {
		c := &catalogue[i]
		if !slices.ContainsFunc(strings.Fields(c.names), func(n string) bool { return strings.ToLower(n) == name }) {
			continue
		}
		switch {
		case d.Section != c.section: // another row of that name
		case c.refuse && (c.harmless == nil || !c.harmless(d.Args)):
			what := "mod_" + c.module + " is "
			if c.module == "core" {
				what = ""
			}
			cure := ""
			if f := familyOf(d.Name); f != nil {
				cure = f.remedy()
			}
			b.report(d, conf.Error, CodeUnavailable, cure, "%snot available yet; ignoring this would not be safe: %s", what, c.why)
			return
		default:
			if !b.seen[name] {
				b.seen[name] = true
				switch {
				case c.module == "core" || c.module == "mpm":
					b.report(d, conf.Notice, CodeIgnored, "", "accepted without effect: %s", c.why)
				case c.refuse:
					b.report(d, conf.Notice, CodeIgnored, "", "accepted without effect: mod_%s is not available", c.module)
				default:
					b.report(d, conf.Notice, CodeIgnored, "", "accepted without effect: mod_%s is not available; %s", c.module, c.why)
				}
			}
			return
		}
	}
	if f := familyOf(d.Name); f != nil && !d.Section {
		b.ofFamily(d, f)
		return
	}
	names := make([]string, 0, len(b.s.rows))
	for _, r := range b.s.rows {
		names = append(names, r.name)
	}
	slices.Sort(names)
	hint := ""
	if s := conf.Suggest(d.Name, names); s != "" {
		hint = "did you mean " + s + "?"
	}
	b.report(d, conf.Error, CodeUnknown, hint, "unknown directive: misspelled, or of a module that does not exist here")
}

// Catalogue lists every directive that the modules have, in their order, and
// then those that are known but belong to modules that do not exist here.
func Catalogue(mods []AnyModule) []DirectiveInfo {
	var out []DirectiveInfo
	seen := map[string]bool{}
	for _, m := range mods {
		for _, r := range m.rows() {
			seen[strings.ToLower(r.name)] = true
			info := DirectiveInfo{Name: r.name, Module: strings.TrimSuffix(m.meta().id, "_module"), Syntax: strings.TrimSpace(r.name + " " + r.args), Context: r.in.String(),
				Override: r.override.String(), Default: r.def, Doc: r.doc, Section: r.section, Effect: "yes"}
			if r.section {
				info.Syntax = "<" + info.Syntax + "> ... </" + r.name + ">"
			}
			switch {
			case r.noEffect:
				info.Effect = "ignored"
			case r.mapped:
				info.Effect = "mapped"
			}
			out = append(out, info)
		}
	}
	for _, c := range catalogue {
		for _, n := range strings.Fields(c.names) {
			if seen[strings.ToLower(n)] {
				continue
			}
			seen[strings.ToLower(n)] = true
			info := DirectiveInfo{Name: n, Module: c.module, Section: c.section, Effect: "ignored", Doc: "Accepted without effect: " + c.why + "."}
			if c.refuse {
				info.Effect, info.Doc = "refused", "Not available yet: "+c.why+"."
			}
			out = append(out, info)
		}
	}
	return out
}
