// What the directives do to the settings.

package ssl

import (
	"crypto/tls"
	"fmt"
	"slices"
	"strings"

	"modwsgi/gocore/internal/httpd"
)

func setEngine(k *httpd.Cmd, c *Config) error {
	if strings.EqualFold(k.Arg(0), "optional") {
		return &httpd.Coded{Code: httpd.CodeUnavailable, Message: "optional (RFC 2817) is not available: connections would not be encrypted", Suggestion: "SSLEngine on, and a host of its own for HTTP"}
	}
	on, err := k.Flag(0)
	c.engine, c.enginePos = httpd.Some(on), k.Pos
	return err
}

func setCRLCheck(k *httpd.Cmd, c *Config) error {
	var m crlMode
	switch strings.ToLower(k.Arg(0)) {
	case "none":
	case "leaf":
		m.leaf = true
	case "chain":
		m.leaf, m.chain = true, true
	default:
		return fmt.Errorf("must be chain, leaf or none, not %q", k.Arg(0))
	}
	if len(k.Args) == 2 {
		if !strings.EqualFold(k.Args[1], "no_crl_for_cert_ok") {
			return fmt.Errorf("unknown flag %q: the only one is no_crl_for_cert_ok", k.Args[1])
		}
		m.mayLack = true
	}
	c.crlCheck = httpd.Some(m)
	return nil
}

var verifyNames = map[string]verifyMode{"none": verifyNone, "optional": verifyOptional, "require": verifyRequire, "optional_no_ca": verifyOptionalNoCA}

func setVerify(k *httpd.Cmd, c *Config) error {
	m, ok := verifyNames[strings.ToLower(k.Arg(0))]
	if !ok {
		return fmt.Errorf("must be none, optional, require or optional_no_ca, not %q", k.Arg(0))
	}
	if k.In&httpd.InServerHost != 0 {
		c.client = httpd.Some(m)
		return nil
	}
	c.verify = httpd.Some(m)
	if m != verifyNone && !k.Htaccess {
		main := httpd.MainConf(k, c)
		if main.asking == nil {
			main.asking = &asking{map[int]bool{}}
		}
		main.asking.hosts[k.HostIndex] = true
	}
	return nil
}

func setDepth(k *httpd.Cmd, c *Config) error {
	n, err := httpd.ParseInt(k.Arg(0), 0, 100)
	if k.In&httpd.InServerHost != 0 {
		c.depth = httpd.Some(int(n))
	} else {
		c.dirDepth = httpd.Some(int(n))
	}
	return err
}

var optionNames = map[string]option{"stdenvvars": optStdEnvVars, "exportcertdata": optExportCertData, "fakebasicauth": optFakeBasicAuth,
	"strictrequire": optStrictRequire, "optrenegotiate": optOptRenegotiate, "legacydnstringformat": optLegacyDN}

func setOptions(k *httpd.Cmd, c *Config) error {
	for _, w := range k.Args {
		name := strings.ToLower(strings.TrimLeft(w, "+-"))
		o, ok := optionNames[name]
		switch {
		case !ok && name == "none" && w == k.Arg(0):
			c.options = options{given: true}
			continue
		case !ok:
			return fmt.Errorf("unknown option %q; they are StdEnvVars, ExportCertData, FakeBasicAuth, StrictRequire, OptRenegotiate and LegacyDNStringFormat", w)
		}
		switch w[0] {
		case '+':
			c.options.add, c.options.remove, c.options.set = c.options.add|o, c.options.remove&^o, c.options.set|o
		case '-':
			c.options.add, c.options.remove, c.options.set = c.options.add&^o, c.options.remove|o, c.options.set&^o
		default: // replaces what was there, also of earlier words, but not of others without a sign
			if !c.options.given {
				c.options = options{given: true}
			}
			c.options.set |= o
		}
	}
	return nil
}

// setProtocol reads a list of versions. Those before TLS 1.2 are never used (RFC 8996).
func setProtocol(k *httpd.Cmd, c *Config) error {
	v, err := ParseProtocol(k)
	if err == nil {
		c.versions = httpd.Some(v)
	}
	return err
}

var protocols = map[string][]uint16{"all": {tls.VersionTLS12, tls.VersionTLS13}, "tlsv1.2": {tls.VersionTLS12}, "tlsv1.3": {tls.VersionTLS13},
	"sslv2": nil, "sslv3": nil, "tlsv1": nil, "tlsv1.1": nil}

// ParseProtocol reads the arguments of SSLProtocol and SSLProxyProtocol: the
// least and the greatest version that are left.
func ParseProtocol(k *httpd.Cmd) (v [2]uint16, err error) {
	var have []uint16
	for i, w := range k.Args {
		sign := byte(0)
		name := strings.ToLower(w)
		if name != "" && (name[0] == '+' || name[0] == '-') {
			sign, name = name[0], name[1:]
		}
		versions, ok := protocols[name]
		if !ok {
			return v, fmt.Errorf("%q is no version; they are all, TLSv1.2 and TLSv1.3", w)
		}
		if versions == nil && sign != '-' {
			k.Notice(httpd.CodeIgnored, "%s is not secure and never used", strings.TrimLeft(w, "+-"))
		}
		switch {
		case sign == '-':
			have = slices.DeleteFunc(have, func(v uint16) bool { return slices.Contains(versions, v) })
		case sign == 0 && i > 0 && versions != nil:
			// a word without a sign replaces those before it, as in httpd
			k.Warn("SSL-PROTOCOL", "%s replaces what stands before it: write +%s to add it", w, w)
			have = slices.Clone(versions)
		default:
			have = append(have, versions...)
		}
	}
	if len(have) == 0 {
		return v, &httpd.Coded{Code: httpd.CodeArguments, Message: "no version of TLS is left", Suggestion: "TLSv1.2 and TLSv1.3 are there: SSLProtocol all"}
	}
	return [2]uint16{slices.Min(have), slices.Max(have)}, nil
}

func setCiphers(k *httpd.Cmd, c *Config) error {
	list, older, err := ParseCiphers(k)
	if err != nil || !older {
		return err
	}
	if k.In&httpd.InServerHost != 0 {
		c.suites = httpd.Some(list)
		return nil
	}
	if list == nil { // DEFAULT: everything that can have been negotiated
		for _, s := range tls.CipherSuites() {
			list = append(list, s.ID)
		}
	}
	c.ciphers = httpd.Some(list)
	return nil
}

// ParseCiphers reads the arguments of SSLCipherSuite and SSLProxyCipherSuite.
// older: they are about TLS 1.2, list is for tls.Config; else about TLS 1.3,
// whose suites are what they are.
func ParseCiphers(k *httpd.Cmd) (list []uint16, older bool, err error) {
	spec, protocol := k.Arg(len(k.Args)-1), "ssl"
	if len(k.Args) == 2 {
		protocol = strings.ToLower(k.Arg(0))
	}
	switch protocol {
	case "ssl":
	case "tlsv1.3":
		return nil, false, ciphers13(k, spec)
	default:
		return nil, false, fmt.Errorf("%q is neither SSL nor TLSv1.3", k.Arg(0))
	}
	list, unknown, err := cipherList(spec)
	if len(unknown) > 0 {
		k.Notice(httpd.CodeIgnored, "not known here: %s", strings.Join(unknown, " "))
	}
	return list, true, err
}

func setTickets(k *httpd.Cmd, c *Config) error {
	on, err := k.Flag(0)
	c.tickets = httpd.Some(on)
	return err
}

func setStrictSNI(k *httpd.Cmd, c *Config) error {
	on, err := k.Flag(0)
	c.strictSNI = httpd.Some(on)
	return err
}

func setSNIPolicy(k *httpd.Cmd, c *Config) error {
	switch v := strings.ToLower(k.Arg(0)); v {
	case "strict":
		c.sni = httpd.Some(sniStrict)
	case "secure":
		c.sni = httpd.Some(sniSecure)
	case "authonly":
		c.sni = httpd.Some(sniAuth)
	case "insecure":
		return &httpd.Coded{Code: httpd.CodeUnavailable, Message: "insecure is not available: what one host demands of clients could be got round with the name of another", Suggestion: "secure, or authonly"}
	default:
		return fmt.Errorf("must be strict, secure, authonly or insecure, not %q", k.Arg(0))
	}
	return nil
}

func setUserName(k *httpd.Cmd, c *Config) error {
	c.user = k.Arg(0)
	if !strings.HasPrefix(c.user, "SSL_") || !known(c.user) {
		return fmt.Errorf("%q is not a variable of this module: SSL_CLIENT_S_DN_CN for instance", c.user)
	}
	return nil
}

func setRequireSSL(_ *httpd.Cmd, c *Config) error {
	c.onlyTLS = true
	return nil
}

func setRequire(k *httpd.Cmd, c *Config) error {
	text := strings.TrimSpace(k.Raw) // the quotes are the expression's own
	modern, err := translate(text)
	if err != nil {
		return err
	}
	cond, err := k.Expr(modern)
	if err != nil {
		return err
	}
	c.requires = append(c.requires, &requirement{text, cond})
	return nil
}

// setConfCmd refuses what would loosen protection if it were ignored.
func setConfCmd(k *httpd.Cmd, _ *Config) error {
	better := map[string]string{"minprotocol": "SSLProtocol", "maxprotocol": "SSLProtocol", "protocol": "SSLProtocol", "cipherstring": "SSLCipherSuite",
		"ciphersuites": "SSLCipherSuite", "verifymode": "SSLVerifyClient", "verifycafile": "SSLCACertificateFile", "certificate": "SSLCertificateFile",
		"privatekey": "SSLCertificateKeyFile", "clientcafile": "SSLCADNRequestFile", "requestcafile": "SSLCADNRequestFile"}[strings.ToLower(k.Arg(0))]
	if better != "" {
		return &httpd.Coded{Code: httpd.CodeUnavailable, Message: k.Arg(0) + " of OpenSSL is not available", Suggestion: "use " + better}
	}
	k.Notice(httpd.CodeIgnored, "has no effect: there is no OpenSSL, Go chooses groups and signatures")
	return nil
}

func setDialog(k *httpd.Cmd, _ *Config) error {
	if strings.HasPrefix(k.Arg(0), "|") || strings.HasPrefix(k.Arg(0), "exec:") {
		k.Notice(httpd.CodeIgnored, "has no effect: keys must not be encrypted")
	}
	return nil
}
