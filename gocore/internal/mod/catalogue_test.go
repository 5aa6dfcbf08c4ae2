// This file checks the tables as a whole: every directive of mod_wsgi and every
// one that Apache's manual has is known, and none twice.

package mod

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	"modwsgi/gocore/internal/httpd"
)

const wsgiDirectives = `WSGIScriptAlias WSGIScriptAliasMatch WSGIDaemonProcess WSGISocketPrefix WSGISocketRotation WSGIAcceptMutex
WSGIVerboseDebugging WSGIDontWriteBytecode WSGIPythonWarnings WSGIPythonOptimize WSGIPythonHome WSGIPythonPath WSGIPythonEggs
WSGIPythonHashSeed WSGISwitchInterval WSGIDestroyInterpreter WSGIPerInterpreterGIL WSGIFreeThreading WSGIInterpreterOptions
WSGIRestrictEmbedded WSGIRestrictStdin WSGIRestrictStdout WSGIRestrictSignal WSGICaseSensitivity WSGIRestrictProcess WSGIProcessGroup
WSGIApplicationGroup WSGICallableObject WSGIImportScript WSGIDispatchScript WSGIPassApacheRequest WSGIPassAuthorization
WSGIScriptReloading WSGIErrorOverride WSGIChunkedRequest WSGIMapHEADToGET WSGIIgnoreActivity WSGITrustedProxyHeaders
WSGITrustedProxies WSGIEnableSendfile WSGIAccessScript WSGIAuthUserScript WSGIAuthGroupScript WSGIGroupAuthoritative
WSGIHandlerScript WSGIServerMetrics WSGITelemetryService WSGISlowRequests WSGITelemetryOptions`

const apacheDirectives = `AccessFileName AddHandler AddOutputFilterByType Alias AliasMatch AllowOverride AuthBasicProvider AuthDigestProvider AuthName AuthType
CustomLog DefaultRuntimeDir DirectoryIndex DocumentRoot ErrorDocument ErrorLog ErrorLogFormat ExtendedStatus Group Header HostnameLookups Include KeepAlive
KeepAliveTimeout LimitRequestBody Listen ListenBacklog LoadModule LogFormat LogLevel MaxKeepAliveRequests MultiviewsMatch Options PassEnv PidFile Protocols
ProxyPass ProxyPassReverse ProxyTimeout Redirect RequestHeader RequestReadTimeout Require RewriteCond RewriteEngine RewriteMap RewriteOptions RewriteRule
ServerAlias ServerName ServerRoot ServerSignature ServerTokens SetEnv SetHandler SSLCACertificateFile SSLCertificateChainFile SSLCertificateFile
SSLCertificateKeyFile SSLEngine SSLOptions SSLVerifyClient SSLVerifyDepth Timeout TypesConfig User EnableSendfile LoadFile MaxClients MaxConnectionsPerChild
MaxMemFree MaxRequestsPerChild MaxRequestWorkers MaxSpareServers MaxSpareThreads MinSpareServers MinSpareThreads ServerLimit StartServers ThreadLimit
ThreadsPerChild ThreadStackSize AcceptPathInfo AuthDBMType AuthDBMUserFile AuthUserFile CGIPassAuth FallbackResource GracefulShutdownTimeout
LimitRequestFields LimitRequestFieldSize ProxyErrorOverride ProxyPreserveHost RedirectMatch ScriptAlias ScriptAliasMatch ServerAdmin SSLCipherSuite SSLProtocol
ProxyHTMLEnable ProxyHTMLURLMap SSLHonorCipherOrder AddCharset AddDefaultCharset AddDescription AddEncoding AddInputFilter AddLanguage AddOutputFilter AddType
AliasPreservePath Allow AllowEncodedSlashes AllowOverrideList AuthBasicAuthoritative AuthBasicFake AuthBasicUseDigestAlgorithm AuthDigestAlgorithm
AuthDigestDomain AuthDigestNonceLifetime AuthDigestQop AuthDigestShmemSize AuthGroupFile AuthMerging AuthzSendForbiddenOnFailure BrowserMatch
BrowserMatchNoCase BufferedLogs CacheNegotiatedDocs CGIDScriptTimeout CGIScriptTimeout DefaultIcon DefaultLanguage Define DeflateAlterETag DeflateBufferSize
DeflateCompressionLevel DeflateFilterNote DeflateMemLevel DeflateWindowSize Deny DirectoryCheckHandler DirectoryIndexRedirect DirectorySlash Error FileETag
ForceLanguagePriority ForceType GlobalLog HeaderName IncludeOptional IndexHeadInsert IndexIgnore IndexIgnoreReset IndexOptions IndexOrderDefault
IndexStyleSheet LanguagePriority LimitInternalRecursion LimitRequestLine LogIOTrackTTFB MaxRangeOverlaps MaxRangeReversals MaxRanges MergeSlashes Order
ProtocolsHonorOrder ProxyAddHeaders ProxyPassInherit ProxyPassMatch ProxyPassReverseCookieDomain ProxyPassReverseCookiePath ProxyVia ReadmeName
ReceiveBufferSize RedirectPermanent RedirectRelative RedirectTemp RemoteIPHeader RemoteIPInternalProxy RemoteIPProxiesHeader RemoteIPProxyProtocol
RemoteIPProxyProtocolExceptions RemoteIPTrustedProxy RemoveHandler RemoveType RewriteBase Satisfy ScriptSock SendBufferSize SetEnvIf SetEnvIfExpr
SetEnvIfNoCase SetInputFilter SetOutputFilter SSLCACertificatePath SSLCARevocationCheck SSLCARevocationFile SSLCARevocationPath SSLProxyCACertificateFile
SSLProxyCheckPeerName SSLProxyEngine SSLProxyMachineCertificateFile SSLProxyProtocol SSLProxyVerify SSLRequire SSLRequireSSL SSLStrictSNIVHostCheck
SSLUserName StrictHostCheck TraceEnable TransferLog UnDefine UnsetEnv UseCanonicalName UseCanonicalPhysicalPort UserDir VirtualDocumentRoot
VirtualDocumentRootIP VirtualScriptAlias Action AsyncRequestWorkerFactor BalancerMember ChrootDir CoreDumpDirectory EnableExceptionHook EnableMMAP
FilterChain FilterDeclare FilterProtocol FilterProvider FilterTrace ForensicLog HttpProtocolOptions IdentityCheck LimitXMLRequestBody
ListenCoresBucketsRatio LuaHookLog ModMimeUsePathInfo Mutex NameVirtualHost NoProxy PrivilegesMode Proxy100Continue ProxyBadHeader ProxyBlock ProxyDomain
ProxyIOBufferSize ProxyMaxForwards ProxyPassInterpolateEnv ProxyReceiveBufferSize ProxyRequests ProxySet ProxySourceAddress ProxyStatus QualifyRedirectURL
ScoreBoardFile Script SeeRequestTail ServerPath SSLCompression SSLCryptoDevice SSLFIPS SSLInsecureRenegotiation SSLOpenSSLConfCmd SSLPassPhraseDialog
SSLRandomSeed SSLSessionTickets SSLUseStapling Substitute Suexec
Directory DirectoryMatch Files FilesMatch Location LocationMatch If ElseIf Else IfDefine IfModule IfVersion IfFile IfDirective IfSection VirtualHost RequireAll
RequireAny RequireNone Limit LimitExcept AuthnProviderAlias AuthzProviderAlias Proxy ProxyMatch Macro`

func TestCatalogue(t *testing.T) {
	rows := map[string]httpd.DirectiveInfo{}
	for _, r := range httpd.Catalogue(All) {
		key := strings.ToLower(r.Name)
		assert.NotContains(t, rows, key, "twice")
		rows[key] = r
		assert.NotEmpty(t, r.Doc, r.Name)
		assert.Contains(t, []string{"yes", "mapped", "ignored", "refused"}, r.Effect, r.Name)
		if r.Effect == "yes" {
			assert.NotEmpty(t, r.Context, r.Name)
			assert.True(t, strings.HasSuffix(r.Doc, "."), r.Name)
		}
	}
	for _, n := range strings.Fields(wsgiDirectives + " " + apacheDirectives) {
		assert.Contains(t, rows, strings.ToLower(n))
	}
	assert.Len(t, strings.Fields(wsgiDirectives), 49)
}
