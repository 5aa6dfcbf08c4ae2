// This file tests settings and their merging. What requests get is recorded in
// the tests of package rewrite.

package userdir

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"modwsgi/gocore/internal/conf"
	"modwsgi/gocore/internal/httpd"
)

func cmd(args ...string) *httpd.Cmd { return &httpd.Cmd{Directive: &conf.Directive{Args: args}} }

func TestSettings(t *testing.T) {
	p, k := &Config{}, &Config{}
	require.NoError(t, set(cmd("public_html", "/home/*/www"), p))
	require.NoError(t, set(cmd("disabled", "root", "evil"), p))
	require.NoError(t, set(cmd("Disabled"), k))
	require.NoError(t, set(cmd("enabled", "joe"), k))
	assert.Error(t, set(cmd(""), k))
	m := Module.Merge(p, k)
	assert.Equal(t, []string{"public_html", "/home/*/www"}, m.dirs)
	assert.Equal(t, map[string]bool{"root": true, "evil": true}, m.disabled)
	assert.Equal(t, map[string]bool{"joe": true}, m.enabled)
	assert.False(t, m.all.Or(true))
	assert.Len(t, Module.Routes(m), 1)
	assert.Empty(t, Module.Routes(k))
}
