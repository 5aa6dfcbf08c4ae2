// This file edits fields of answers: URLs of the other server become own ones
// (ProxyPassReverse), and so do domains and paths of cookies.

package proxy

import (
	"errors"
	"fmt"
	"strings"

	"modwsgi/gocore/internal/httpd"
)

// pair is what a text is replaced by: real by fake.
type pair struct{ fake, real string }

// setReverse reads ProxyPassReverse.
func setReverse(k *httpd.Cmd, c *Config) error {
	var p pair
	if k.In == httpd.InLocation {
		if re, err := k.PathRegexp(); err != nil || re != nil || httpd.HasWildcard(k.Path) {
			return errors.New("needs a <Location> with a plain URL path")
		}
		if len(k.Args) != 1 {
			return errors.New("takes only the URL inside of <Location>")
		}
		p = pair{k.Path, k.Arg(0)}
	} else {
		if len(k.Args) != 2 {
			return errors.New("needs a URL path and a URL outside of <Location>")
		}
		p = pair{k.Arg(0), k.Arg(1)}
	}
	if !strings.HasPrefix(p.fake, "/") && !strings.Contains(p.fake, "://") {
		return fmt.Errorf("%q is not a URL path", p.fake)
	}
	if strings.HasPrefix(strings.ToLower(p.real), "unix:") { // the server knows nothing of its socket
		_, p.real, _ = strings.Cut(p.real, "|")
	}
	if p.real == "" {
		return errors.New("the URL is empty")
	}
	c.reverse = append(c.reverse, p)
	return nil
}

// setPair reads the directives for cookies.
func setPair(field func(*Config) *[]pair) func(*httpd.Cmd, *Config) error {
	return func(k *httpd.Cmd, c *Config) error {
		*field(c) = append(*field(c), pair{fake: k.Arg(1), real: k.Arg(0)})
		return nil
	}
}

// reverse edits one field of an answer; name as net/http spells it.
func (f *forward) reverse(name, value string) string {
	switch name {
	case "Location", "Content-Location", "Uri", "Destination":
		return f.location(value)
	case "Set-Cookie":
		return f.cookie(value)
	}
	return value
}

// location is a URL of the other server as one of ours. The first entry that
// fits counts.
func (f *forward) location(value string) string {
	for _, p := range f.c.reverse {
		for _, real := range f.reals(p.real) {
			part := value
			if strings.HasPrefix(real, "/") {
				if _, after, ok := strings.Cut(value, "://"); ok {
					if i := strings.IndexByte(after, '/'); i >= 0 {
						part = after[i:]
					}
				}
			}
			if len(part) < len(real) || !strings.EqualFold(part[:len(real)], real) {
				continue
			}
			return f.r.AbsoluteURL(p.fake + part[len(real):])
		}
	}
	return value
}

// reals are the texts to compare with: for a balancer those of its members.
func (f *forward) reals(real string) []string {
	if !strings.HasPrefix(strings.ToLower(real), "balancer://") {
		return []string{real}
	}
	t, err := parseTarget(real)
	if err != nil || f.c.reg == nil {
		return nil
	}
	b := f.c.reg.lookup(f.r.Host.Index(), t.host)
	if b == nil {
		return nil
	}
	var out []string
	for _, m := range b.members {
		out = append(out, m.t.scheme+"://"+m.t.host+strings.TrimSuffix(m.t.path, "/")+t.path)
	}
	return out
}

// cookie edits the attributes Domain and Path of a Set-Cookie value (RFC 6265
// section 4.1).
func (f *forward) cookie(value string) string {
	if len(f.c.domains) == 0 && len(f.c.paths) == 0 {
		return value
	}
	parts := strings.Split(value, ";")
	for i, part := range parts[1:] {
		name, v, _ := strings.Cut(part, "=")
		v = strings.TrimSpace(v)
		switch strings.ToLower(strings.TrimSpace(name)) {
		case "domain":
			for _, p := range f.c.domains {
				if strings.EqualFold(strings.TrimPrefix(v, "."), strings.TrimPrefix(p.real, ".")) {
					parts[i+1] = name + "=" + p.fake
					break
				}
			}
		case "path":
			for _, p := range f.c.paths {
				if strings.HasPrefix(v, p.real) {
					parts[i+1] = name + "=" + p.fake // all of it, as the manual says
					break
				}
			}
		}
	}
	return strings.Join(parts, ";")
}
