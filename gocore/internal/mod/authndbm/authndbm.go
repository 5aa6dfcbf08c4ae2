// Package authndbm is mod_authn_dbm: users in DBM files, AuthDBMUserFile, as
// htdbm and dbmmanage write them. Of the formats there is SDBM (package sdbm).
//
//	user         hash[:groups[:comment]]    for Basic
//	user:realm   hash[:...]                 for Digest
//
// Nothing is cached: a look-up is two small reads of the file.
package authndbm

import (
	"errors"
	"fmt"
	"strings"
	"sync"

	"modwsgi/gocore/internal/httpd"
	"modwsgi/gocore/internal/mod/authncore"
	"modwsgi/gocore/internal/mod/authnfile"
	"modwsgi/gocore/internal/sdbm"
)

// Config is the module's settings of one scope.
type Config struct{ file httpd.Opt[string] }

// Module is mod_authn_dbm.
var Module = &httpd.Module[Config]{
	Name: "authndbm", ID: "authn_dbm_module", File: "mod_authn_dbm.c",
	Directives: []httpd.Directive[Config]{
		FileRow("AuthDBMUserFile", "The DBM file of users and password hashes.", func(c *Config) *httpd.Opt[string] { return &c.file }),
		TypeRow[Config]("AuthDBMType", "The format of AuthDBMUserFile; SDBM can be read."),
	},
	Merge: func(p, k *Config) *Config { return &Config{p.file.Over(k.file)} },
}

// FileRow is a directive that names a DBM file. A file that is there must be
// one that can be read; one that is not may be made later.
func FileRow[C any](name, doc string, field func(*C) *httpd.Opt[string]) httpd.Directive[C] {
	return httpd.Directive[C]{Name: name, Args: "file", Min: 1, Max: 1, In: httpd.InSection | httpd.InHtaccess, Override: httpd.OverrideAuthConfig, Doc: doc,
		Set: func(k *httpd.Cmd, c *C) error {
			file := k.File(k.Arg(0))
			*field(c) = httpd.Some(file)
			return refuse(sdbm.Check(file), file)
		}}
}

// TypeRow is a directive that names the format of DBM files.
func TypeRow[C any](name, doc string) httpd.Directive[C] {
	return httpd.Directive[C]{Name: name, Args: "default|SDBM", Min: 1, Max: 1, In: httpd.InSection | httpd.InHtaccess, Override: httpd.OverrideAuthConfig, Default: "default", Doc: doc,
		Set: func(k *httpd.Cmd, _ *C) error {
			err := sdbm.CheckType(strings.ToLower(k.Arg(0)))
			if refused := refuse(err, "FILE"); refused != nil {
				return refused
			}
			return err
		}}
}

// refuse is the error for a file of another format, nil for other problems.
func refuse(err error, file string) error {
	var other sdbm.FormatError
	if !errors.As(err, &other) {
		return nil
	}
	return &httpd.Coded{Code: httpd.CodeUnavailable, Message: other.Error(), Suggestion: fmt.Sprintf("make one with htdbm -TSDBM -c %s USER, and AuthDBMType SDBM", file)}
}

// Provider is the provider "dbm".
var Provider = authncore.Provider{Name: "dbm", Password: password, Hash: realmHash}

// samples has one hash of each file, for the time that a check takes.
var samples sync.Map

func lookup(r *httpd.Request, key string) (hash, file string, res authncore.Result) {
	c, ok := httpd.ConfigOf(r, Module)
	if !ok || !c.file.Set {
		r.Logf(httpd.LevelError, "authn_dbm", "AuthDBMUserFile is not set where the provider dbm is used")
		return "", "", authncore.Failed
	}
	value, found, err := sdbm.Lookup(c.file.V, key)
	switch {
	case err != nil:
		r.Logf(httpd.LevelError, "authn_dbm", "AH01754: could not open dbm file: %v", err)
		return "", c.file.V, authncore.Failed
	case !found:
		return "", c.file.V, authncore.NotFound
	}
	hash, _, _ = strings.Cut(value, ":")
	return hash, c.file.V, authncore.Granted
}

func password(r *httpd.Request, user, pw string) (string, authncore.Result) {
	hash, file, res := lookup(r, user)
	if res == authncore.NotFound {
		if sample, ok := samples.Load(file); ok { // take the same time as for a user who exists
			_, _ = authnfile.Verify(r, sample.(string), pw)
		}
	}
	if res != authncore.Granted {
		return user, res
	}
	samples.LoadOrStore(file, hash)
	return user, authnfile.Check(r, "authn_dbm", user, hash, pw)
}

func realmHash(r *httpd.Request, user, realm string) (string, authncore.Result) {
	hash, _, res := lookup(r, user+":"+realm)
	return hash, res
}
