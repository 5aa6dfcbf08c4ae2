// Package uniqueid is mod_unique_id: UNIQUE_ID, a variable that is different
// for every request of every server. LoadModule switches it on, as in Apache.
//
// The whole module is in this file. 24 characters of a URL-safe alphabet: the
// second, a number of the process that was drawn by lot, and a counter.
package uniqueid

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/binary"
	"strings"
	"sync/atomic"
	"time"

	"modwsgi/gocore/internal/conf"
	"modwsgi/gocore/internal/httpd"
)

// Config says whether the module was loaded.
type Config struct{ on bool }

const (
	id       = "unique_id_module"
	variable = "UNIQUE_ID"
)

// Module is mod_unique_id.
var Module = &httpd.Module[Config]{
	Name: "uniqueid", ID: id, File: "mod_unique_id.c",
	Begin:      func(tree *conf.Tree, c *Config) { c.on = loaded(tree.Root) },
	PerRequest: func(c *Config) bool { return c.on },
	PostRead:   postRead,
	Fixup:      fixup,
}

// loaded looks for LoadModule unique_id_module.
func loaded(list []*conf.Directive) bool {
	for _, d := range list {
		if strings.EqualFold(d.Name, "LoadModule") && len(d.Args) > 0 && strings.EqualFold(d.Args[0], id) || loaded(d.Children) {
			return true
		}
	}
	return false
}

// alphabet is Apache's: that of MIME with @ and - instead of + and /.
var alphabet = base64.NewEncoding("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789@-").WithPadding(base64.NoPadding)

var (
	process [10]byte // by lot; 80 bits do not meet again
	counter atomic.Uint32
)

func init() {
	rand.Read(process[:]) // never fails (crypto/rand)
}

// next makes an id. Any goroutine.
func next(now time.Time) string {
	var b [18]byte
	binary.BigEndian.PutUint32(b[:], uint32(now.Unix()))
	copy(b[4:], process[:])
	binary.BigEndian.PutUint32(b[14:], counter.Add(1))
	return alphabet.EncodeToString(b[:])
}

func postRead(r *httpd.Request, c *Config) httpd.Status {
	if c.on {
		if _, have := r.Env(variable); !have { // the phases may run again elsewhere
			r.SetEnv(variable, next(time.Now()))
		}
	}
	return httpd.Declined
}

// fixup gives the id to a request that was made by an internal redirect.
func fixup(r *httpd.Request, c *Config) httpd.Status {
	if c.on && r.Prev != nil {
		if v, ok := r.Prev.Env(variable); ok {
			r.SetEnv(variable, v)
		}
	}
	return httpd.Declined
}
