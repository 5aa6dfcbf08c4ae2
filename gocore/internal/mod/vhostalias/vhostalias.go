// Package vhostalias is mod_vhost_alias: document roots whose path has parts of
// the host name or the address.
//
// The whole module is in this file. Source: Apache manual, "mod_vhost_alias".
package vhostalias

import (
	"errors"
	"net/http"
	"strconv"
	"strings"

	"modwsgi/gocore/internal/httpd"
	"modwsgi/gocore/internal/mod/alias"
)

// part of a path: text, or a piece of the name.
type part struct {
	text         string
	port         bool
	piece        bool
	n, m         int // one-based numbers of a component and of a character; 0 = all
	nBack, mBack bool
	nPlus, mPlus bool
}

// root is one directive. "none" has no parts.
type root struct {
	parts []part
	ip    bool
}

// Config is the module's settings of a server or virtual host.
type Config struct{ docs, scripts *root }

// Module is mod_vhost_alias.
var Module = &httpd.Module[Config]{
	Name: "vhostalias", ID: "vhost_alias_module", File: "mod_vhost_alias.c",
	Directives: []httpd.Directive[Config]{
		row("VirtualDocumentRoot", "The document root of a host, from its name.", false, func(c *Config) **root { return &c.docs }),
		row("VirtualDocumentRootIP", "The document root of a host, from its address.", true, func(c *Config) **root { return &c.docs }),
		row("VirtualScriptAlias", "The directory of programs of a host, from its name.", false, func(c *Config) **root { return &c.scripts }),
		row("VirtualScriptAliasIP", "The directory of programs of a host, from its address.", true, func(c *Config) **root { return &c.scripts }),
	},
	Merge: func(p, k *Config) *Config {
		c := *p
		if k.docs != nil {
			c.docs = k.docs
		}
		if k.scripts != nil {
			c.scripts = k.scripts
		}
		return &c
	},
	Routes: func(c *Config) []httpd.Route {
		if len(c.docs.list()) == 0 && len(c.scripts.list()) == 0 {
			return nil
		}
		return []httpd.Route{{Match: func([]byte) bool { return true }}}
	},
	Translate: translate,
}

func (r *root) list() []part {
	if r == nil {
		return nil
	}
	return r.parts
}

func row(name, doc string, ip bool, field func(*Config) **root) httpd.Directive[Config] {
	return httpd.Directive[Config]{Name: name, Args: "interpolated-directory|none", Min: 1, Max: 1, In: httpd.InServerHost, Default: "none", Doc: doc,
		Set: func(k *httpd.Cmd, c *Config) error {
			parts, err := parse(k.Arg(0))
			*field(c) = &root{parts, ip}
			return err
		}}
}

// parse reads a path with %p, %% and %N[.M]; N and M may have a "-" before and
// a "+" after.
func parse(s string) ([]part, error) {
	if strings.EqualFold(s, "none") {
		return nil, nil
	}
	if !strings.HasPrefix(s, "/") {
		return nil, errors.New("must be an absolute path or none")
	}
	var out []part
	for s != "" {
		text, rest, ok := strings.Cut(s, "%")
		if text != "" {
			out = append(out, part{text: text})
		}
		if !ok {
			break
		}
		if rest != "" && (rest[0] == 'p' || rest[0] == '%') {
			p := part{text: "%"}
			if rest[0] == 'p' {
				p = part{port: true}
			}
			out, s = append(out, p), rest[1:]
			continue
		}
		p := part{piece: true}
		if p.n, p.nBack, p.nPlus, rest, ok = number(rest); !ok {
			return nil, errors.New("after % comes a number, - and a number, p or %")
		}
		if strings.HasPrefix(rest, ".") {
			if p.m, p.mBack, p.mPlus, rest, ok = number(rest[1:]); !ok {
				return nil, errors.New("after the dot comes a number; a plain dot cannot follow here, use %N+ or another character")
			}
		}
		out, s = append(out, p), rest
	}
	return out, nil
}

func number(s string) (n int, back, plus bool, rest string, ok bool) {
	s, back = strings.CutPrefix(s, "-")
	if s == "" || s[0] < '0' || s[0] > '9' {
		return 0, false, false, s, false
	}
	n = int(s[0] - '0')
	rest, plus = strings.CutPrefix(s[1:], "+")
	return n, back, plus, rest, true
}

// choose picks what a specifier names from a name; "_" stands for what the name
// does not have.
func (p *part) choose(name string) string {
	if p.n != 0 {
		list := strings.Split(name, ".")
		switch {
		case p.n > len(list):
			name = "_"
		case p.nBack && p.nPlus:
			name = strings.Join(list[:len(list)-p.n+1], ".")
		case p.nBack:
			name = list[len(list)-p.n]
		case p.nPlus:
			name = strings.Join(list[p.n-1:], ".")
		default:
			name = list[p.n-1]
		}
	}
	if p.m != 0 {
		switch {
		case p.m > len(name):
			name = "_"
		case p.mBack && p.mPlus:
			name = name[:len(name)-p.m+1]
		case p.mBack:
			name = name[len(name)-p.m:][:1]
		case p.mPlus:
			name = name[p.m-1:]
		default:
			name = name[p.m-1 : p.m]
		}
	}
	return strings.ToLower(name)
}

// fill makes the path for a name.
func (r *root) fill(name string, port int) string {
	var b strings.Builder
	for i := range r.parts {
		switch p := &r.parts[i]; {
		case p.piece:
			b.WriteString(p.choose(name))
		case p.port:
			b.WriteString(strconv.Itoa(port))
		default:
			b.WriteString(p.text)
		}
	}
	return strings.TrimSuffix(b.String(), "/")
}

const scriptPrefix = "/cgi-bin/"

// translate maps a URL path below the host's own root.
func translate(r *httpd.Request, c *Config) httpd.Status {
	root, rest := c.docs, r.URI
	cgi := len(c.scripts.list()) > 0 && strings.HasPrefix(r.URI, scriptPrefix)
	if cgi {
		root, rest = c.scripts, r.URI[len(scriptPrefix)-1:]
	}
	if len(root.list()) == 0 || !strings.HasPrefix(r.URI, "/") {
		return httpd.Declined
	}
	name, port := r.SelfName()
	if root.ip {
		name = r.Local.Addr().Unmap().String()
	}
	if port == 0 {
		port = 80
		if r.Scheme() == "https" {
			port = 443
		}
	}
	name = strings.TrimSuffix(name, ".")
	if !safe(name) {
		r.Logf(httpd.LevelError, "vhost_alias", "the host name %q cannot be part of a path", name)
		return http.StatusBadRequest
	}
	dir := root.fill(name, port)
	r.Filename, r.Base, r.ContextRoot = dir+rest, dir, dir
	r.DocRoot = dir
	if cgi {
		r.Handler, r.ContextPrefix = "cgi-script", strings.TrimSuffix(scriptPrefix, "/")
		r.Note(alias.NoteHandler, r.Handler)
	}
	return httpd.OK
}

// safe reports whether a name that a client sent can be part of a path: no
// slash, and no component that is empty or leads up.
func safe(name string) bool {
	return name != "" && !strings.ContainsAny(name, "/\\\x00") && name[0] != '.' && !strings.Contains(name, "..")
}
