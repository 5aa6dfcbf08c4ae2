// The table of directives. What only tunes OpenSSL is accepted with a notice;
// what would leave a site less protected than it says is refused.

package ssl

import (
	"fmt"
	"strings"

	"modwsgi/gocore/internal/httpd"
)

const (
	sections = httpd.InSection | httpd.InHtaccess
	anywhere = httpd.InServerHost | sections
)

var directives = append([]httpd.Directive[Config]{
	{Name: "SSLEngine", Args: "on|off", Min: 1, Max: 1, In: httpd.InServerHost, Default: "off", Set: setEngine,
		Doc: "Whether the host speaks TLS."},
	{Name: "SSLCertificateFile", Args: "file", Min: 1, Max: 1, In: httpd.InServerHost, Set: appendPath(func(c *Config) *[]path { return &c.certs }),
		Doc: "The host's certificate, and those of the authorities between it and the root (PEM); may be repeated for other types of keys."},
	{Name: "SSLCertificateKeyFile", Args: "file", Min: 1, Max: 1, In: httpd.InServerHost, Default: "the SSLCertificateFile", Set: appendPath(func(c *Config) *[]path { return &c.keys }),
		Doc: "The private key of the certificate (PEM, not encrypted), in the order of the certificates."},
	{Name: "SSLCertificateChainFile", Args: "file", Min: 1, Max: 1, In: httpd.InServerHost, Set: onePath(func(c *Config) *path { return &c.chain }),
		Doc: "Certificates of authorities that are sent after the host's own."},
	{Name: "SSLCACertificateFile", Args: "file", Min: 1, Max: 1, In: httpd.InServerHost, Set: onePath(func(c *Config) *path { return &c.caFile }),
		Doc: "Authorities whose certificates clients may have."},
	{Name: "SSLCACertificatePath", Args: "directory", Min: 1, Max: 1, In: httpd.InServerHost, Set: onePath(func(c *Config) *path { return &c.caPath }),
		Doc: "As SSLCACertificateFile, every file of a directory."},
	{Name: "SSLCADNRequestFile", Args: "file", Min: 1, Max: 1, In: httpd.InServerHost, Default: "the SSLCACertificateFile", Set: onePath(func(c *Config) *path { return &c.dnFile }),
		Doc: "Authorities that clients are told when they are asked for a certificate."},
	{Name: "SSLCADNRequestPath", Args: "directory", Min: 1, Max: 1, In: httpd.InServerHost, Set: onePath(func(c *Config) *path { return &c.dnPath }),
		Doc: "As SSLCADNRequestFile, every file of a directory."},
	{Name: "SSLCARevocationFile", Args: "file", Min: 1, Max: 1, In: httpd.InServerHost, Set: onePath(func(c *Config) *path { return &c.crlFile }),
		Doc: "Lists of certificates of clients that are revoked."},
	{Name: "SSLCARevocationPath", Args: "directory", Min: 1, Max: 1, In: httpd.InServerHost, Set: onePath(func(c *Config) *path { return &c.crlPath }),
		Doc: "As SSLCARevocationFile, every file of a directory."},
	{Name: "SSLCARevocationCheck", Args: "chain|leaf|none [no_crl_for_cert_ok]", Min: 1, Max: 2, In: httpd.InServerHost, Default: "none", Set: setCRLCheck,
		Doc: "Which certificates of a client are looked up in the lists."},
	{Name: "SSLVerifyClient", Args: "none|optional|require|optional_no_ca", Min: 1, Max: 1, In: anywhere, Override: httpd.OverrideAuthConfig, Default: "none", Set: setVerify,
		Doc: "Whether clients need a certificate; those of a host with sections that do are all asked, in the handshake."},
	{Name: "SSLVerifyDepth", Args: "number", Min: 1, Max: 1, In: anywhere, Override: httpd.OverrideAuthConfig, Default: "1", Set: setDepth,
		Doc: "How many certificates may stand above that of the client."},
	{Name: "SSLOptions", Args: "[+|-]option ...", Min: 1, Max: -1, In: anywhere, Override: httpd.OverrideOptions, Set: setOptions,
		Doc: "StdEnvVars, ExportCertData: variables of the certificates for applications; FakeBasicAuth, StrictRequire, LegacyDNStringFormat, OptRenegotiate."},
	{Name: "SSLProtocol", Args: "[+|-]protocol ...", Min: 1, Max: -1, In: httpd.InServerHost, Default: "all -SSLv3", Set: setProtocol,
		Doc: "Versions of TLS: TLSv1.2 and TLSv1.3 are there."},
	{Name: "SSLCipherSuite", Args: "[protocol] specification", Min: 1, Max: 2, In: anywhere, Override: httpd.OverrideAuthConfig, Default: "DEFAULT", Set: setCiphers,
		Doc: "Cipher suites of TLS 1.2 in OpenSSL's notation; those of TLS 1.3 are fixed."},
	{Name: "SSLSessionTickets", Args: "on|off", Min: 1, Max: 1, In: httpd.InServerHost, Default: "on", Set: setTickets,
		Doc: "Whether clients may resume sessions, in all processes and across restarts."},
	{Name: "SSLStrictSNIVHostCheck", Args: "on|off", Min: 1, Max: 1, In: httpd.InServerHost, Default: "off", Set: setStrictSNI,
		Doc: "Whether clients that name no host in the handshake (SNI) are refused by name-based hosts."},
	{Name: "SSLVHostSNIPolicy", Args: "strict|secure|authonly|insecure", Min: 1, Max: 1, In: httpd.InServer, Default: "secure", Set: setSNIPolicy,
		Doc: "How far the host of a request may differ from that of the handshake."},
	{Name: "SSLUserName", Args: "variable", Min: 1, Max: 1, In: anywhere, Override: httpd.OverrideAuthConfig, Set: setUserName,
		Doc: "The variable SSL_* that becomes REMOTE_USER."},
	{Name: "SSLRequireSSL", In: sections, Override: httpd.OverrideAuthConfig, Set: setRequireSSL,
		Doc: "Refuses requests without TLS."},
	{Name: "SSLRequire", Args: "expression", Min: 1, Max: -1, In: sections, Override: httpd.OverrideAuthConfig, Set: setRequire,
		Doc: "Refuses requests for which the expression, in mod_ssl's old language, is false."},
	{Name: "SSLHonorCipherOrder", Args: "on|off", Min: 1, Max: 1, In: httpd.InServerHost, Default: "off", NoEffect: true,
		Set: flag("off", "the server always chooses, the fastest of the strongest that the client's machine has too"),
		Doc: "Whose order of cipher suites counts."},
	{Name: "SSLUseStapling", Args: "on|off", Min: 1, Max: 1, In: httpd.InServerHost, Default: "off", NoEffect: true, Set: flag("off", "no answer of an OCSP server is sent along"),
		Doc: "Whether a proof that the certificate is not revoked is sent along."},
	{Name: "SSLCompression", Args: "on|off", Min: 1, Max: 1, In: httpd.InServerHost, Default: "off", NoEffect: true, Set: flag("off", "TLS never compresses"),
		Doc: "Whether TLS compresses."},
	{Name: "SSLInsecureRenegotiation", Args: "on|off", Min: 1, Max: 1, In: httpd.InServerHost, Default: "off", NoEffect: true, Set: flag("off", "nothing is renegotiated"),
		Doc: "Whether clients may renegotiate without protection."},
	{Name: "SSLClientHelloVars", Args: "on|off", Min: 1, Max: 1, In: httpd.InServerHost, Default: "off", NoEffect: true, Set: flag("off", "there are no variables SSL_CLIENTHELLO_*"),
		Doc: "Whether variables show the client's first message."},
	{Name: "SSLFIPS", Args: "on|off", Min: 1, Max: 1, In: httpd.InServer, Default: "off", Set: refuseOn("the cryptography is not that of a validated module"),
		Doc: "Whether cryptography is restricted to a validated module."},
	{Name: "SSLOCSPEnable", Args: "on|leaf|off [no_ocsp_for_cert_ok]", Min: 1, Max: 2, In: httpd.InServerHost, Default: "off", Set: refuseOn("nobody would ask whether certificates of clients are revoked: use SSLCARevocationFile"),
		Doc: "Whether an OCSP server is asked about certificates of clients."},
	{Name: "SSLOpenSSLConfCmd", Args: "command value", Min: 2, Max: 2, In: httpd.InServerHost, NoEffect: true, Set: setConfCmd,
		Doc: "Settings of OpenSSL."},
	{Name: "SSLPassPhraseDialog", Args: "type", Min: 1, Max: 1, In: httpd.InServer, Default: "builtin", NoEffect: true, Set: setDialog,
		Doc: "Who gives pass phrases of private keys."},
	{Name: "SSLCryptoDevice", Args: "engine", Min: 1, Max: 1, In: httpd.InServer, Default: "builtin", NoEffect: true, Set: flag("builtin", "there are no engines of OpenSSL"),
		Doc: "Hardware for cryptography."},
}, ignored...)

// ignored are the directives that tune what Go does by itself, or what is not there.
var ignored = func() (out []httpd.Directive[Config]) {
	for _, g := range []struct {
		names, why string
		in         httpd.Context
	}{
		{"SSLSessionCache SSLSessionCacheTimeout SSLMutex SSLRandomSeed", "sessions are kept by clients, in tickets that every process understands", httpd.InServerHost},
		{"SSLSessionTicketKeyFile", "keys of tickets are made by the supervisor and change twice a day", httpd.InServerHost},
		{"SSLStaplingCache SSLStaplingErrorCacheTimeout SSLStaplingFakeTryLater SSLStaplingForceURL SSLStaplingResponderTimeout SSLStaplingResponseMaxAge " +
			"SSLStaplingResponseTimeSkew SSLStaplingReturnResponderErrors SSLStaplingStandardCacheTimeout", "no answer of an OCSP server is sent along", httpd.InServerHost},
		{"SSLOCSPDefaultResponder SSLOCSPOverrideResponder SSLOCSPNoverify SSLOCSPProxyURL SSLOCSPResponderCertificateFile SSLOCSPResponderTimeout " +
			"SSLOCSPResponseMaxAge SSLOCSPResponseTimeSkew SSLOCSPUseRequestNonce", "it has no effect without SSLOCSPEnable", httpd.InServerHost},
		{"SSLSRPUnknownUserSeed SSLSRPVerifierFile", "there is no SRP: clients need no password for the handshake, and cannot use one", httpd.InServerHost},
		{"SSLRenegBufferSize", "nothing is renegotiated", anywhere},
	} {
		for name := range strings.FieldsSeq(g.names) {
			d := httpd.Directive[Config]{Name: name, Args: "...", Min: 0, Max: -1, In: g.in, NoEffect: true, Doc: "Without effect: " + g.why + "."}
			if g.in&httpd.InHtaccess != 0 {
				d.Override = httpd.OverrideAuthConfig
			}
			d.Set = func(k *httpd.Cmd, _ *Config) error {
				k.Notice(httpd.CodeIgnored, "has no effect: %s", g.why)
				return nil
			}
			out = append(out, d)
		}
	}
	return out
}()

// flag accepts one word in silence and gives a notice for everything else.
func flag(silent, why string) func(*httpd.Cmd, *Config) error {
	return func(k *httpd.Cmd, _ *Config) error {
		if strings.EqualFold(k.Arg(0), silent) {
			return nil
		}
		if _, err := k.Flag(0); err != nil && silent == "off" {
			return err
		}
		k.Notice(httpd.CodeIgnored, "has no effect: %s", why)
		return nil
	}
}

func refuseOn(why string) func(*httpd.Cmd, *Config) error {
	return func(k *httpd.Cmd, _ *Config) error {
		if strings.EqualFold(k.Arg(0), "off") {
			return nil
		}
		return &httpd.Coded{Code: httpd.CodeUnavailable, Message: fmt.Sprintf("%s is not available: %s", k.Arg(0), why), Suggestion: k.Name + " off"}
	}
}

func onePath(at func(*Config) *path) func(*httpd.Cmd, *Config) error {
	return func(k *httpd.Cmd, c *Config) error {
		*at(c) = path{k.File(k.Arg(0)), k.Pos, k.Name}
		return nil
	}
}

func appendPath(at func(*Config) *[]path) func(*httpd.Cmd, *Config) error {
	return func(k *httpd.Cmd, c *Config) error {
		list := at(c)
		if name := k.Arg(0); strings.HasPrefix(strings.ToLower(name), "pkcs11:") || strings.HasPrefix(strings.ToLower(name), "store:") {
			return &httpd.Coded{Code: httpd.CodeUnavailable, Message: "keys in hardware are not available", Suggestion: "a file in the PEM form"}
		}
		*list = append(*list, path{k.File(k.Arg(0)), k.Pos, k.Name})
		return nil
	}
}
