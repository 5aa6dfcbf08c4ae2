// This file feeds arbitrary texts to what reads URLs.

package proxy

import (
	"strings"
	"testing"
)

func FuzzTarget(f *testing.F) {
	for _, s := range []string{"http://h", "http://h:80/a?b", "unix:/s|http://h/", "unix:/s|http:", "balancer://b/x", "https://[::1]:443/", "ws://h", "http://u@h/", "http://h\x00/"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		u, err := parseTarget(s)
		if err != nil {
			return
		}
		if strings.ContainsAny(u.host, "/?#@ \r\n%") || u.path != "" && u.path[0] != '/' || u.unix != "" && u.unix[0] != '/' {
			t.Fatalf("%q became %+v", s, u)
		}
		if e := escape(u.path, true); strings.ContainsAny(e, " \r\n?#\x00") {
			t.Fatalf("%q became %q", u.path, e)
		}
		if !sameHost("http://h$1", join("http://h", u.path)) {
			t.Fatalf("%q leads elsewhere", u.path)
		}
	})
}
