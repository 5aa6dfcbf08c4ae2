// Package authnanon is mod_authn_anon: the provider "anon", which lets in
// certain names with any password, an email address as a rule.
package authnanon

import (
	"errors"
	"strings"

	"modwsgi/gocore/internal/httpd"
	"modwsgi/gocore/internal/mod/authncore"
)

// Config is the settings of one section; nothing is inherited piecewise, as in
// Apache.
type Config struct {
	names    []string
	anybody  bool // Anonymous *
	noEmail  bool // Anonymous_MustGiveEmail Off
	noLog    bool // Anonymous_LogEmail Off
	verified bool // Anonymous_VerifyEmail On
}

const dh = httpd.InSection | httpd.InHtaccess

// Module is mod_authn_anon.
var Module = &httpd.Module[Config]{
	Name: "authnanon", ID: "authn_anon_module", File: "mod_authn_anon.c",
	Directives: []httpd.Directive[Config]{
		{Name: "Anonymous", Args: "user ...", Min: 1, Max: -1, In: dh, Override: httpd.OverrideAuthConfig, Set: setNames,
			Doc: "The names that need no password; * is every name."},
		{Name: "Anonymous_MustGiveEmail", Args: "On|Off", Min: 1, Max: 1, In: dh, Override: httpd.OverrideAuthConfig, Default: "On",
			Set: flag(func(c *Config, on bool) { c.noEmail = !on }), Doc: "Whether the password may not be empty."},
		{Name: "Anonymous_VerifyEmail", Args: "On|Off", Min: 1, Max: 1, In: dh, Override: httpd.OverrideAuthConfig, Default: "Off",
			Set: flag(func(c *Config, on bool) { c.verified = on }), Doc: "Whether the password must look like an email address."},
		{Name: "Anonymous_LogEmail", Args: "On|Off", Min: 1, Max: 1, In: dh, Override: httpd.OverrideAuthConfig, Default: "On",
			Set: flag(func(c *Config, on bool) { c.noLog = !on }), Doc: "Whether the password is written to the error log, at level info."},
		{Name: "Anonymous_NoUserID", Args: "Off", Min: 1, Max: 1, In: dh, Override: httpd.OverrideAuthConfig, Default: "Off", Set: setNoUserID,
			Doc: "Only Off: an empty name is no user."},
	},
	Merge: func(_, k *Config) *Config { return k },
}

// Provider is the provider "anon".
var Provider = authncore.Provider{Name: "anon", Password: password}

func setNames(k *httpd.Cmd, c *Config) error {
	for _, n := range k.Args {
		if n == "*" {
			c.anybody = true
		} else {
			c.names = append(c.names, n)
		}
	}
	return nil
}

func flag(set func(*Config, bool)) func(*httpd.Cmd, *Config) error {
	return func(k *httpd.Cmd, c *Config) error {
		on, err := k.Flag(0)
		set(c, on)
		return err
	}
}

func setNoUserID(k *httpd.Cmd, _ *Config) error {
	on, err := k.Flag(0)
	if on {
		return errors.New("an empty name is no user here; name one with Anonymous")
	}
	return err
}

func password(r *httpd.Request, user, pw string) (string, authncore.Result) {
	c, _ := httpd.ConfigOf(r, Module)
	known := c.anybody
	for _, n := range c.names {
		known = known || strings.EqualFold(n, user)
	}
	switch {
	case !known:
		return user, authncore.NotFound
	case pw == "" && !c.noEmail, c.verified && !(strings.Contains(pw, "@") && strings.Contains(pw, ".")):
		return user, authncore.Denied
	}
	if !c.noLog && r == r.Original() {
		r.Logf(httpd.LevelInfo, "authn_anon", "AH01672: Anonymous: Passwd <%q> Accepted", pw)
	}
	return user, authncore.Granted
}
