// Tests of how scopes of variables combine.

package env

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"modwsgi/gocore/internal/conf"
	"modwsgi/gocore/internal/httpd"
)

func cmd(name string, args ...string) *httpd.Cmd {
	return &httpd.Cmd{Directive: &conf.Directive{Name: name, Args: args}}
}

func TestMerge(t *testing.T) {
	parent, child := &Config{}, &Config{}
	require.NoError(t, setEnv(cmd("SetEnv", "A", "1"), parent))
	require.NoError(t, setEnv(cmd("SetEnv", "B", "2"), parent))
	require.NoError(t, setEnv(cmd("SetEnv", "C"), parent))
	require.NoError(t, setEnv(cmd("SetEnv", "B", "3"), child))
	require.NoError(t, unsetEnv(cmd("UnsetEnv", "A", "B", "X"), child))
	require.NoError(t, setEnv(cmd("SetEnv", "D", "4"), child))
	got := merge(parent, child)
	assert.Equal(t, []httpd.EnvVar{{Name: "C"}, {Name: "D", Value: "4"}}, got.vars)
	assert.Len(t, parent.vars, 3, "merging is pure")

	r := &httpd.Request{}
	r.SetEnv("C", "old")
	assert.Equal(t, httpd.Declined, fixup(r, got))
	assert.Equal(t, got.vars, r.EnvVars())
}

func TestPassEnv(t *testing.T) {
	lookup = func(name string) (string, bool) { return "v:" + name, true }
	c := &Config{}
	require.NoError(t, passEnv(cmd("PassEnv", "HOME", "PATH"), c))
	assert.Equal(t, []httpd.EnvVar{{Name: "HOME", Value: "v:HOME"}, {Name: "PATH", Value: "v:PATH"}}, Module.Environ(c))
}

func TestNames(t *testing.T) {
	assert.ErrorContains(t, setEnv(cmd("SetEnv", "A=1"), &Config{}), "not the name")
	assert.ErrorContains(t, setEnv(cmd("SetEnv", ""), &Config{}), "not the name")
}
