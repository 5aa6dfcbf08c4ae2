// Package ssl is mod_ssl: which hosts speak TLS, with which certificates, what
// is demanded of clients, and what applications are told about it.
//
// This file has the settings and their merge; directives.go the table, set.go
// what the directives do. load.go turns files into certificates, host.go a
// host's settings into a tls.Config, verify.go judges clients' certificates,
// vars.go has the variables SSL_*, access.go the hooks. The transport itself is
// crypto/tls under package listen.
package ssl

import (
	"slices"

	"modwsgi/gocore/internal/conf"
	"modwsgi/gocore/internal/httpd"
)

// path is a file or directory that a directive names.
type path struct {
	name string
	pos  conf.Pos
	by   string // the directive
}

// verifyMode is SSLVerifyClient.
type verifyMode uint8

const (
	verifyNone         verifyMode = iota
	verifyOptionalNoCA            // a certificate may come, signed by anybody
	verifyOptional                // a certificate may come; if it does, it must be good
	verifyRequire
)

// crlMode is SSLCARevocationCheck.
type crlMode struct {
	chain, leaf bool
	mayLack     bool // no_crl_for_cert_ok
}

// sniPolicy is SSLVHostSNIPolicy: how much a request's host may differ from that of the handshake.
type sniPolicy uint8

const (
	sniSecure sniPolicy = iota // the same certificates, protocols, ciphers and demands on clients
	sniAuth                    // the same demands on clients
	sniStrict                  // not at all
)

// Config is the module's settings: those of a host, then those of a request.
type Config struct {
	engine    httpd.Opt[bool]
	enginePos conf.Pos
	certs     []path // SSLCertificateFile, and keys by the same index
	keys      []path
	chain     path
	caFile    path
	caPath    path
	dnFile    path // SSLCADNRequestFile
	dnPath    path
	crlFile   path
	crlPath   path
	crlCheck  httpd.Opt[crlMode]
	versions  httpd.Opt[[2]uint16] // least and greatest
	suites    httpd.Opt[[]uint16]  // of TLS 1.2; nil: those of Go
	client    httpd.Opt[verifyMode]
	depth     httpd.Opt[int]
	tickets   httpd.Opt[bool]
	strictSNI httpd.Opt[bool]
	sni       httpd.Opt[sniPolicy]

	// of requests: sections and .htaccess
	verify   httpd.Opt[verifyMode]
	dirDepth httpd.Opt[int]
	ciphers  httpd.Opt[[]uint16]
	options  options
	user     string // SSLUserName
	onlyTLS  bool   // SSLRequireSSL
	requires []*requirement

	asking *asking // of the main server
}

// asking notes, for the main server, which hosts have sections that look at
// clients' certificates: those must be asked for in the handshake.
type asking struct{ hosts map[int]bool }

// requirement is one SSLRequire.
type requirement struct {
	text string
	cond *httpd.Expr
}

// options is SSLOptions, merged like Options.
type options struct {
	set, add, remove option
	given            bool // without + and -: replaces what was there
}

type option uint8

const (
	optStdEnvVars option = 1 << iota
	optExportCertData
	optFakeBasicAuth
	optStrictRequire
	optLegacyDN
	optOptRenegotiate // without meaning: nothing is renegotiated
)

// value is the options in force.
func (o options) value() option { return o.set }

func (o options) over(k options) options {
	switch {
	case k.given:
		return k
	case k.add|k.remove == 0:
		return o
	}
	o.set = (o.set | k.add) &^ k.remove
	o.add, o.remove = (o.add|k.add)&^k.remove, (o.remove|k.remove)&^k.add
	return o
}

// Module is mod_ssl.
var Module = &httpd.Module[Config]{
	Name: "ssl", ID: "ssl_module", File: "mod_ssl.c",
	Directives: directives,
	Merge:      merge,
	Host:       setHost,
	Check:      check,
	PerRequest: func(c *Config) bool {
		return c.options.value()&(optStdEnvVars|optExportCertData|optFakeBasicAuth|optLegacyDN) != 0 || c.user != "" || len(c.requires) > 0 ||
			c.verify.V != verifyNone || c.ciphers.Set
	},
	PostRead:   postRead,
	Access:     access,
	AuthzRules: func(*Config) bool { return false },
	AuthzFirst: strict,
	Authn:      authn,
	Fixup:      fixup,
}

func firstPath(parent, child path) path {
	if child.name != "" {
		return child
	}
	return parent
}

// overlay puts the child's files in the place of the parent's, one by one, as httpd does.
func overlay(parent, child []path) []path {
	if len(child) == 0 {
		return parent
	}
	out := slices.Clone(child)
	if len(parent) > len(child) {
		out = append(out, parent[len(child):]...)
	}
	return out
}

func merge(p, k *Config) *Config {
	c := &Config{
		engine: p.engine.Over(k.engine), enginePos: p.enginePos,
		certs: overlay(p.certs, k.certs), keys: overlay(p.keys, k.keys), chain: firstPath(p.chain, k.chain),
		caFile: firstPath(p.caFile, k.caFile), caPath: firstPath(p.caPath, k.caPath), dnFile: firstPath(p.dnFile, k.dnFile), dnPath: firstPath(p.dnPath, k.dnPath),
		crlFile: firstPath(p.crlFile, k.crlFile), crlPath: firstPath(p.crlPath, k.crlPath), crlCheck: p.crlCheck.Over(k.crlCheck),
		versions: p.versions.Over(k.versions), suites: p.suites.Over(k.suites), client: p.client.Over(k.client), depth: p.depth.Over(k.depth),
		tickets: p.tickets.Over(k.tickets), strictSNI: p.strictSNI.Over(k.strictSNI), sni: p.sni.Over(k.sni),
		verify: p.verify.Over(k.verify), dirDepth: p.dirDepth.Over(k.dirDepth), ciphers: p.ciphers.Over(k.ciphers),
		options: p.options.over(k.options), user: p.user, onlyTLS: p.onlyTLS || k.onlyTLS,
		requires: append(slices.Clip(p.requires), k.requires...), asking: p.asking,
	}
	if k.engine.Set {
		c.enginePos = k.enginePos
	}
	if k.user != "" {
		c.user = k.user
	}
	return c
}

// settings gives the settings that the Host hook left with the host.
func settings(v *httpd.VirtualHost) *Config {
	c, _ := v.SSL.(*Config)
	return c
}

// setHost decides whether the host speaks TLS: as SSLEngine says or, as in
// httpd, without it if what listens on a port of the host is said to be https
// and there is a certificate.
func setHost(v *httpd.VirtualHost, c *Config) {
	v.SSL, v.TLS = c, c.engine.Or(len(c.certs) > 0 && listensHTTPS(v))
}
