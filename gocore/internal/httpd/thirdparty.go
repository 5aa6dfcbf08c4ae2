// Modules that Apache hosts often have and that do not come with httpd. Their
// directives are known by their beginnings, so that a message can say whose
// they are, and LoadModule of one that protects a site is refused: everything
// else about it usually stands in <IfModule>, and would be skipped in silence.
package httpd

import (
	"strings"

	"modwsgi/gocore/internal/conf"
)

// family is a module with the beginnings of its directives' names.
type family struct {
	module   string // as people call it
	ids      string // in LoadModule, separated by blanks; "*" at the end stands for anything
	prefixes string // of directives; a whole name ends with "$"
	tunes    bool   // nothing is lost but speed or comfort: directives are ignored
	old      bool   // of httpd 2.2, unknown to 2.4
	guards   bool   // LoadModule alone is refused, too
	why      string // what would be lost
	cure     string // what to do instead
}

const dropIt = "if the site can do without it, remove the lines, or put them into <IfModule> of that module"

var families = []family{
	{module: "mod_security", ids: "security2_module security3_module", prefixes: "Sec modsecurity", guards: true, why: "requests would not be checked"},
	{module: "mod_evasive", ids: "evasive20_module evasive24_module evasive_module", prefixes: "DOS", guards: true, why: "requests would not be limited"},
	{module: "mod_qos", ids: "qos_module", prefixes: "QS_", guards: true, why: "requests would not be limited"},
	{module: "mod_limitipconn", ids: "limitipconn_module", prefixes: "MaxConnPerIP$ NoIPLimit$ OnlyIPLimit$", guards: true, why: "connections would not be limited"},
	{module: "mod_antiloris", ids: "antiloris_module", prefixes: "IPReadLimit$ IPOtherLimit$ IPTotalLimit$ IPWriteLimit$ LocalIPs$", guards: true, why: "connections would not be limited", cure: "RequestReadTimeout is there"},
	{module: "mod_geoip", ids: "geoip_module", prefixes: "GeoIP", guards: true, why: "rules that look at its variables would not hold"},
	{module: "mod_maxminddb", ids: "maxminddb_module", prefixes: "MaxMind", guards: true, why: "rules that look at its variables would not hold"},
	{module: "mod_auth_openidc", ids: "auth_openidc_module", prefixes: "OIDC", guards: true, why: "nobody would be asked who he is", cure: otherLogin},
	{module: "mod_auth_mellon", ids: "auth_mellon_module", prefixes: "Mellon", guards: true, why: "nobody would be asked who he is", cure: otherLogin},
	{module: "mod_shib", ids: "mod_shib shib_module", prefixes: "Shib", guards: true, why: "nobody would be asked who he is", cure: otherLogin},
	{module: "mod_auth_cas", ids: "auth_cas_module", prefixes: "CAS", guards: true, why: "nobody would be asked who he is", cure: otherLogin},
	{module: "mod_auth_gssapi", ids: "auth_gssapi_module", prefixes: "Gssapi", guards: true, why: "nobody would be asked who he is", cure: otherLogin},
	{module: "mod_auth_kerb", ids: "auth_kerb_module", prefixes: "Krb Kerberos", guards: true, why: "nobody would be asked who he is", cure: otherLogin},
	{module: "mod_authnz_external", ids: "authnz_external_module", prefixes: "AuthExternal DefineExternal AddExternal GroupExternal", guards: true, why: "nobody would be asked for a password", cure: ownCheck},
	{module: "mod_authnz_pam", ids: "authnz_pam_module auth_pam_module", prefixes: "AuthPAM AuthnPAM", guards: true, why: "nobody would be asked for a password", cure: ownCheck},
	{module: "mod_auth_mysql or its like", ids: "mysql_auth_module auth_mysql_module auth_pgsql_module", prefixes: "AuthMySQL Auth_MySQL Auth_PG_ AuthPG_", guards: true, why: "nobody would be asked for a password", cure: ownCheck},
	{old: true, prefixes: "AuthzLDAPAuthoritative$ AuthzUserAuthoritative$ AuthzGroupFileAuthoritative$ AuthzDefaultAuthoritative$ AuthzDBMAuthoritative$ AuthzOwnerAuthoritative$ AuthUserFileAuthoritative$",
		cure: "remove the line; Require alone decides"},
	{module: "mod_authz_svn", ids: "authz_svn_module", prefixes: "AuthzSVN AuthzForceUsernameCase$", guards: true, why: "access would not be restricted", cure: noDav},
	{module: "mod_dav_svn", ids: "dav_svn_module", prefixes: "SVN", why: "there is no WebDAV", cure: noDav},
	{module: "mpm_itk", ids: "mpm_itk_module", prefixes: "AssignUserID$ LimitUIDRange$ LimitGIDRange$ MaxClientsVHost$ NiceValue$", guards: true, why: "programs would run as another user", cure: "WSGIDaemonProcess has user= and group="},
	{module: "mod_ruid2", ids: "ruid2_module", prefixes: "RMode$ RUidGid$ RMinUidGid$ RDefaultUidGid$ RGroups$ RDocumentChRoot$", guards: true, why: "programs would run as another user", cure: "WSGIDaemonProcess has user= and group="},
	{module: "mod_rpaf", ids: "rpaf_module mod_rpaf-2.0.c", prefixes: "RPAF", guards: true, why: "access rules would see the address of the proxy", cure: remoteIP},
	{module: "mod_cloudflare", ids: "cloudflare_module", prefixes: "CloudFlareRemoteIP DenyAllButCloudFlare$", guards: true, why: "access rules would see the address of the proxy", cure: remoteIP},
	{module: "mod_fcgid", ids: "fcgid_module", prefixes: "Fcgid FCGIWrapper$ FastCgi", why: "programs would not run", cure: otherProgram},
	{module: "mod_fastcgi", ids: "fastcgi_module", prefixes: "FastCgi", why: "programs would not run", cure: otherProgram},
	{module: "Passenger", ids: "passenger_module", prefixes: "Passenger Rails Rack", why: "the application would not run", cure: otherProgram},
	{module: "mod_perl", ids: "perl_module", prefixes: "Perl", why: "programs would not run", cure: otherProgram},
	{module: "mod_python", ids: "python_module", prefixes: "Python", why: "programs would not run", cure: "WSGIScriptAlias or AddHandler wsgi-script serve Python"},
	{module: "mod_jk", ids: "jk_module", prefixes: "Jk", why: "requests would not reach their servers", cure: "ProxyPass to the server's HTTP port"},
	{module: "WebLogic's plug-in", ids: "weblogic_module", prefixes: "WebLogic MatchExpression$", why: "requests would not reach their servers", cure: "ProxyPass to the server's HTTP port"},
	{module: "mod_xsendfile", ids: "xsendfile_module", prefixes: "XSendFile", why: "responses would be empty", cure: "wsgi.file_wrapper sends files as fast"},
	{module: "mod_bw", ids: "bw_module", prefixes: "BandWidth ForceBandWidthModule$ LargeFileLimit$ MinBandWidth$", tunes: true, why: "responses are not slowed down; SetOutputFilter RATE_LIMIT does that"},
	{module: "mod_pagespeed", ids: "pagespeed_module", prefixes: "ModPagespeed", tunes: true, why: "pages are sent as they are"},
	{module: "mod_spdy", ids: "spdy_module", prefixes: "Spdy", tunes: true, why: "HTTP/2 took its place"},
}

const (
	otherLogin   = "let the application do it, or a proxy in front of this server; AuthBasicProvider wsgi and WSGIAccessScript run your own code"
	ownCheck     = "AuthBasicProvider wsgi with WSGIAuthUserScript: a function in Python that may ask anybody"
	noDav        = "leave repositories to a server of their own, and ProxyPass to it"
	remoteIP     = "RemoteIPHeader and RemoteIPInternalProxy do the same"
	otherProgram = "let its own server run it, and ProxyPass to that"
)

// familyOf finds the family of a directive, nil: none.
func familyOf(name string) *family {
	name = strings.ToLower(name)
	for i := range families {
		for p := range strings.FieldsSeq(strings.ToLower(families[i].prefixes)) {
			if whole, ok := strings.CutSuffix(p, "$"); ok && whole == name || !ok && strings.HasPrefix(name, p) {
				return &families[i]
			}
		}
	}
	return nil
}

func (f *family) remedy() string {
	switch {
	case f.cure == "":
		return dropIt
	case f.guards:
		return f.cure + "; " + dropIt
	}
	return f.cure
}

// ofFamily treats a directive of a family.
func (b *builder) ofFamily(d *conf.Directive, f *family) {
	if f.old {
		b.report(d, conf.Error, CodeUnknown, f.cure, "is a directive of httpd 2.2, which 2.4 does not know either")
		return
	}
	if f.tunes {
		if name := strings.ToLower(d.Name); !b.seen[name] {
			b.seen[name] = true
			b.report(d, conf.Notice, CodeIgnored, "", "accepted without effect: %s does not exist here; %s", f.module, f.why)
		}
		return
	}
	b.report(d, conf.Error, CodeUnavailable, f.remedy(), "is a directive of %s, which does not exist here; ignoring it would not be safe: %s", f.module, f.why)
}

// AbsentModule says what LoadModule of a module means that does not exist
// here: whether it is refused, and with what words.
func AbsentModule(id string) (refuse bool, why, cure string) {
	lower := strings.ToLower(id)
	for i := range families {
		f := &families[i]
		for x := range strings.FieldsSeq(f.ids) {
			if x == lower && f.guards {
				return true, f.module + " does not exist here, and without it " + f.why, f.remedy()
			}
		}
	}
	if kinds := Runs(id); len(kinds) > 0 {
		why := "files with " + kinds[0] + " are answered with 500 so that nobody sees their source"
		if lower == "proxy_fcgi_module" || lower == "lua_module" { // may be there for other things, or for nothing
			return false, why, ""
		}
		return false, why, "let its own server run them, and ProxyPass to that; SetHandler default-handler sends such files as they are"
	}
	return false, "", ""
}

// Runs lists what a module that does not exist here runs on other hosts: the
// name of a language, and the extensions of its files, in lower case. PHP's
// digits are left out: php stands for php8, too.
func Runs(id string) []string {
	php := []string{"PHP", "php", "phps", "phtml", "phar"}
	switch id = strings.ToLower(id); id {
	case "proxy_fcgi_module", "suphp_module":
		return php
	case "fcgid_module", "fastcgi_module":
		return append(php, "fcgi", "fpl")
	case "perl_module":
		return []string{"Perl", "pl", "pm"}
	case "python_module":
		return []string{"Python", "py", "psp"}
	case "lua_module":
		return []string{"Lua", "lua"}
	}
	if rest, ok := strings.CutPrefix(id, "php"); ok && strings.HasSuffix(rest, "_module") {
		return php
	}
	return nil
}

// absentHandlers are handlers of modules that do not exist here.
const absentHandlers = statusPages + "lua-script imap-file send-as-is isapi-handler fcgid-script fastcgi-script php-script php5-script php7-script " +
	"perl-script modperl mod_python python-program server-parsed jakarta-servlet weblogic-handler passenger-script heartbeat dav-handler "

// statusPages are those for the administrator: no site needs them.
const statusPages = " balancer-manager ldap-status http2-status md-status "

// absentHandlers warns of SetHandler and AddHandler with a handler that no
// module here has and no Action runs a program for.
func (b *builder) absentHandlers(root []*conf.Directive) {
	var used []*conf.Directive
	served := map[string]bool{}
	var walk func([]*conf.Directive)
	walk = func(list []*conf.Directive) {
		for _, d := range list {
			walk(d.Children)
			if len(d.Args) == 0 {
				continue
			}
			switch name := strings.ToLower(d.Args[0]); strings.ToLower(d.Name) {
			case "sethandler", "addhandler":
				if strings.HasPrefix(name, "application/x-httpd-") || strings.Contains(absentHandlers, " "+name+" ") {
					used = append(used, d)
				}
			case "action", "wsgihandlerscript":
				served[name] = true
			}
		}
	}
	walk(root)
	for _, d := range used {
		name := strings.ToLower(d.Args[0])
		severity := conf.Warning
		if strings.Contains(statusPages, " "+name+" ") {
			severity = conf.Notice
		}
		if !served[name] {
			b.report(d, severity, CodeHandler, "", "no module here has the handler %q: requests for what it should serve get status 500", d.Args[0])
		}
	}
}
