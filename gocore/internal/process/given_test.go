// Tests of what processes behind the front are given: no contents of sites, no
// logs of other hosts, no secret that others trust.
package process

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"modwsgi/gocore/internal/conf"
	"modwsgi/gocore/internal/httpd"
	"modwsgi/gocore/internal/mod"
)

// compiled reads a configuration with the real modules, in a folder with scripts a.wsgi and b.wsgi.
func compiled(t *testing.T, text string) *snapshot {
	t.Helper()
	dir := t.TempDir()
	for _, name := range []string{"a.wsgi", "b.wsgi"} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), nil, 0o644))
	}
	file := filepath.Join(dir, "httpd.conf")
	require.NoError(t, os.WriteFile(file, []byte("ServerRoot "+dir+"\nListen 127.0.0.1:8099\n"+strings.ReplaceAll(text, "@", dir)), 0o644))
	tree, diags := conf.Parse(file, httpd.ConfOptions(mod.All))
	require.False(t, hasErrors(diags), "%v", diags)
	srv, diags := httpd.Compile(tree, mod.All)
	require.False(t, hasErrors(diags), "%v", diags)
	return &snapshot{tree: tree, srv: srv, logs: srv.LogFiles()}
}

const tenants = `
ErrorLog @/main.log
LogLevel info
Define TOKEN secret-define
SetEnv MAIN secret-main
WSGIPythonOptimize 1
WSGISwitchInterval 0.01
<WSGIInterpreterOptions process-group=a>
  WSGISwitchInterval 0.02
</WSGIInterpreterOptions>
<Directory @>
  Require all granted
  SetEnv ALL secret-directory
</Directory>
WSGIDaemonProcess shared threads=2
WSGIImportScript @/a.wsgi process-group=shared application-group=%{GLOBAL}
<VirtualHost *:8099>
  ServerName a.test
  ErrorLog @/a.log
  CustomLog @/a-access.log "%h"
  SetEnv A secret-a
  WSGIDaemonProcess a threads=3 home=@ python-path=@/secret-path-a
  WSGIScriptAlias /shared @/a.wsgi process-group=shared application-group=%{GLOBAL}
  WSGIScriptAlias / @/a.wsgi process-group="a" application-group=%{GLOBAL}
</VirtualHost>
<VirtualHost *:8099>
  ServerName b.test
  ErrorLog @/b.log
  CustomLog @/b-access.log "%h"
  SetEnv B secret-b
  WSGIDaemonProcess "b b" threads=4 "python-path=@/secret-path-b"
  WSGIProcessGroup "b b"
  WSGIScriptAlias / @/b.wsgi
</VirtualHost>
<VirtualHost *:8098>
  ServerName A.test
  ErrorLog @/a-again.log
</VirtualHost>
`

// generationOf makes the groups of a snapshot as restart does, with all logs open.
func generationOf(t *testing.T, snap *snapshot) (*supervisor, *generation) {
	t.Helper()
	plans, err := layout(snap, 1, false, false)
	require.NoError(t, err)
	g := &generation{num: 1, snap: snap}
	for i := range plans {
		g.groups = append(g.groups, &procGroup{groupPlan: plans[i], gen: g})
	}
	s := &supervisor{log: &errorLog{fd: 2}}
	g.logs, err = openLogs(snap.srv.ErrorLog, snap.logs, s.log)
	require.NoError(t, err)
	t.Cleanup(g.logs.close)
	for _, pg := range g.groups {
		pg.given = s.handOut(pg)
	}
	return s, g
}

func TestGivenToGroups(t *testing.T) {
	snap := compiled(t, tenants)
	s, g := generationOf(t, snap)
	dir := snap.srv.ServerRoot
	byName := map[string]*procGroup{}
	for _, pg := range g.groups {
		byName[pg.name] = pg
	}
	key := func(names ...string) (out []string) {
		for _, n := range names {
			out = append(out, filepath.Join(dir, n))
		}
		return out
	}
	for _, c := range []struct {
		group   string
		logs    []string // besides descriptor 2
		own     string   // which descriptor 2 is
		secrets []string // that it may know
		threads int
		preload int
	}{
		{"a", key("a-again.log"), "a.log", []string{"secret-path-a"}, 3, 1},
		{"b b", nil, "b.log", []string{"secret-path-b"}, 4, 0},
		{"shared", key("a.log"), "main.log", nil, 2, 1},
	} {
		t.Run(c.group, func(t *testing.T) {
			pg := byName[c.group]
			assert.Equal(t, c.logs, pg.given.names)
			assert.Len(t, pg.given.fds, len(c.logs))
			assert.Equal(t, g.logs.fds[filepath.Join(dir, c.own)], pg.given.stderr)
			assert.Equal(t, pg.given.stderr, pg.given.stdout)
			assert.Equal(t, c.own == "main.log", pg.given.log == s.log)

			cfg := &WorkerConfig{Tree: pg.told(), Group: pg.name}
			var b bytes.Buffer
			require.NoError(t, cfg.Write(&b))
			for _, secret := range []string{"secret-define", "secret-main", "secret-directory", "secret-a", "secret-b", "secret-path-a", "secret-path-b", "-access.log"} {
				known := false
				for _, may := range c.secrets {
					known = known || may == secret
				}
				assert.Equal(t, known, bytes.Contains(b.Bytes(), []byte(secret)), secret)
			}
			srv, diags := httpd.Compile(cfg.Tree, mod.All)
			require.False(t, hasErrors(diags), "%v", diags)
			require.Len(t, srv.Groups, 3)
			require.Len(t, srv.VirtualHosts, 3)
			for i, v := range srv.VirtualHosts {
				assert.Equal(t, snap.srv.VirtualHosts[i].ServerName, v.ServerName)
				assert.Equal(t, snap.srv.VirtualHosts[i].ErrorLog.Key(), v.ErrorLog.Key())
				assert.Equal(t, snap.srv.VirtualHosts[i].LogLevel.Level("wsgi"), v.LogLevel.Level("wsgi"))
			}
			for i := range srv.Groups {
				assert.Equal(t, snap.srv.Groups[i].ID, srv.Groups[i].ID)
				if srv.Groups[i].Name == c.group {
					assert.Equal(t, c.threads, srv.Groups[i].Threads)
					assert.Len(t, srv.Groups[i].Preload, c.preload)
					assert.Equal(t, snap.srv.Groups[i], srv.Groups[i])
				}
			}
			assert.Equal(t, 1, srv.Python.Optimize)
			assert.Len(t, srv.Python.Interpreters, 1)
			assert.Equal(t, snap.srv.Software, srv.Software)
			assert.NotEqual(t, serverSecret(), pg.secret())
			assert.NotEqual(t, pg.secret(), pg.secret())
		})
	}
	front := byName[""]
	assert.Same(t, snap.tree, front.told())
	assert.Equal(t, g.logs.names, front.given.names)
	assert.Equal(t, serverSecret(), front.secret())
}

// A group that accepts from clients itself works for all hosts, but its own
// log is that of its host.
func TestGivenToDirectGroup(t *testing.T) {
	snap := compiled(t, `
<VirtualHost *:8099>
  ServerName a.test
  ErrorLog @/a.log
  WSGIDaemonProcess a
  WSGIProcessGroup a
  WSGIScriptAlias / @/a.wsgi
</VirtualHost>
`)
	_, g := generationOf(t, snap)
	require.Len(t, g.groups, 1)
	own := filepath.Join(snap.srv.ServerRoot, "a.log")
	given := g.groups[0].given
	assert.Equal(t, g.logs.fds[own], given.stderr)
	assert.Equal(t, []string{own, ""}, given.names, "the main server's log is the stream that the server was started with")
	assert.Equal(t, []int{g.logs.fds[own], 2}, given.fds)
	assert.Same(t, snap.tree, g.groups[0].told())
}

func TestForGroup(t *testing.T) {
	for raw, want := range map[string]bool{
		`/ x.wsgi process-group=a application-group=g`:   true,
		`/ x.wsgi application-group=g process-group=a`:   true,
		`/ x.wsgi process-group="a" application-group=g`: true,
		`/ x.wsgi 'process-group=a'`:                     true,
		`/ x.wsgi process-group=ab`:                      false,
		`/ x.wsgi process-group=b application-group=a`:   false,
		`/ process-group=a.wsgi process-group=a`:         true,
		`/ a.wsgi`:                                       false,
	} {
		assert.Equal(t, want, forGroup(raw, "a"), raw)
	}
}
