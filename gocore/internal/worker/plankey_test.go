// Tests of the descriptions of applications that go over the hop.
package worker

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"modwsgi/gocore/internal/httpd"
)

func TestPlanKey(t *testing.T) {
	host := &httpd.VirtualHost{ServerName: "one.example", TLS: true}
	p := &httpd.Plan{ID: 3, Host: host, LogLevel: 5, ProcessGroup: "app", Script: "/srv/app.wsgi", Handler: "wsgi-script", ApplicationGroup: "one",
		CallableObject: "application", ScriptName: "/x", Multithread: true, ScriptReloading: true, MapHEAD: httpd.MapHEADOn,
		Environ: []httpd.EnvVar{{Name: "A", Value: "b"}, {Name: "EMPTY"}}}
	for _, made := range []bool{true, false} {
		key := planKey(p, made)
		got, port, err := planOf(key, []*httpd.VirtualHost{host})
		require.NoError(t, err)
		assert.Equal(t, 443, port)
		assert.Same(t, host, got.Host)
		assert.Equal(t, []any{p.LogLevel, p.ProcessGroup, p.Script, p.Handler, p.ApplicationGroup, p.CallableObject, true, false, true, p.MapHEAD},
			[]any{got.LogLevel, got.ProcessGroup, got.Script, got.Handler, got.ApplicationGroup, got.CallableObject, got.Multithread, got.Multiprocess,
				got.ScriptReloading, got.MapHEAD})
		if made {
			assert.Equal(t, "/x", got.ScriptName)
			assert.Equal(t, append([]httpd.EnvVar{{Name: "SERVER_NAME", Value: "one.example"}, {Name: "HTTPS", Value: "on"}}, p.Environ...), got.Environ)
		} else {
			assert.Empty(t, got.Environ)
		}
		for n := range key { // cut anywhere
			_, _, err := planOf(key[:n], []*httpd.VirtualHost{host})
			if !made {
				assert.Error(t, err, n)
			}
		}
		_, _, err = planOf(key, nil)
		assert.Error(t, err, "no such host")
	}
	main, other := &httpd.VirtualHost{ServerName: "main"}, &httpd.VirtualHost{ServerName: "other"}
	for want, hosts := range map[*httpd.VirtualHost][]*httpd.VirtualHost{host: {main, other, host}, main: {main, other}} {
		got, _, err := planOf(planKey(p, true), hosts)
		require.NoError(t, err)
		assert.Same(t, want, got.Host)
	}
	_, _, err := planOf(append(planKey(p, false), 0), []*httpd.VirtualHost{host})
	assert.Error(t, err, "more than it has")
}

func FuzzPlanOf(f *testing.F) {
	host := &httpd.VirtualHost{ServerName: "h"}
	p := &httpd.Plan{Host: host, ProcessGroup: "g", Script: "/s"}
	f.Add(planKey(p, true))
	f.Add(planKey(p, false))
	f.Fuzz(func(t *testing.T, key []byte) {
		if p, _, err := planOf(key, []*httpd.VirtualHost{host}); err == nil && p.Host != host {
			t.Fatal("a host from nowhere")
		}
	})
}
