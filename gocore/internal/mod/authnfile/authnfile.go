// Package authnfile is mod_authn_file: users in text files, AuthUserFile.
//
//	user:hash             for Basic, as the program htpasswd writes it
//	user:realm:hash       for Digest, as htdigest writes it
//
// This file has the directive and the provider, hash.go the kinds of hashes.
// Files are read when they changed (package textfile).
package authnfile

import (
	"errors"
	"io/fs"
	"strings"

	"modwsgi/gocore/internal/httpd"
	"modwsgi/gocore/internal/mod/authncore"
	"modwsgi/gocore/internal/mod/internal/textfile"
)

// Config is the module's settings of one scope.
type Config struct{ file httpd.Opt[string] }

// Module is mod_authn_file.
var Module = &httpd.Module[Config]{
	Name: "authnfile", ID: "authn_file_module", File: "mod_authn_file.c",
	Directives: []httpd.Directive[Config]{
		{Name: "AuthUserFile", Args: "file", Min: 1, Max: 1, In: httpd.InSection | httpd.InHtaccess, Override: httpd.OverrideAuthConfig,
			Set: func(k *httpd.Cmd, c *Config) error { c.file = httpd.Some(k.File(k.Arg(0))); return nil },
			Doc: "The file of users and password hashes."},
	},
	Merge: func(p, k *Config) *Config { return &Config{p.file.Over(k.file)} },
}

// Provider is the provider "file".
var Provider = authncore.Provider{Name: "file", Password: password, Hash: realmHash}

// users is a file as it was read.
type users struct {
	hash   map[string]string    // user -> rest of the line
	sample string               // some hash, see password
	realms map[[2]string]string // user, realm -> hash
}

var files = textfile.New(parse)

func parse(lines []string) *users {
	u := &users{hash: map[string]string{}, realms: map[[2]string]string{}}
	for _, l := range lines {
		name, rest, ok := strings.Cut(l, ":")
		if !ok {
			continue
		}
		// the first line of a name counts
		if _, dup := u.hash[name]; !dup {
			h, _, _ := strings.Cut(rest, ":")
			u.hash[name] = h
			if u.sample == "" {
				u.sample = h
			}
		}
		if realm, h, ok := strings.Cut(rest, ":"); ok {
			h, _, _ = strings.Cut(h, ":")
			if _, dup := u.realms[[2]string{name, realm}]; !dup {
				u.realms[[2]string{name, realm}] = h
			}
		}
	}
	return u
}

func load(r *httpd.Request) *users {
	c, ok := httpd.ConfigOf(r, Module)
	if !ok || !c.file.Set {
		r.Logf(httpd.LevelError, "authn_file", "AH01619: AuthUserFile not specified in the configuration")
		return nil
	}
	u, err := files.Get(c.file.V)
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) {
			r.Logf(httpd.LevelError, "authn_file", "AH01620: Could not open password file: %v", err)
		} else {
			r.Logf(httpd.LevelError, "authn_file", "Could not read password file: %v", err)
		}
		return nil
	}
	return u
}

func password(r *httpd.Request, user, pw string) (string, authncore.Result) {
	u := load(r)
	if u == nil {
		return user, authncore.Failed
	}
	hash, ok := u.hash[user]
	if !ok {
		if u.sample != "" { // take the same time as for a user who exists
			_, _ = Verify(r, u.sample, pw)
		}
		return user, authncore.NotFound
	}
	return user, Check(r, "authn_file", user, hash, pw)
}

// Check is Verify as a provider of passwords wants it: what is wrong with the
// hash is in the error log, in the name of that module.
func Check(r *httpd.Request, module, user, hash, pw string) authncore.Result {
	right, err := Verify(r, hash, pw)
	if err != nil {
		r.Logf(httpd.LevelError, module, "the password of user %s cannot be checked: %v", user, err)
	}
	if right {
		return authncore.Granted
	}
	return authncore.Denied
}

func realmHash(r *httpd.Request, user, realm string) (string, authncore.Result) {
	u := load(r)
	if u == nil {
		return "", authncore.Failed
	}
	hash, ok := u.realms[[2]string{user, realm}]
	if !ok {
		return "", authncore.NotFound
	}
	return hash, authncore.Granted
}
