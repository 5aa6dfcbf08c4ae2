// This file tests the directives' errors, merging, and when routes cannot be
// precomputed. What requests get is recorded in the tests of package rewrite.

package actions

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"modwsgi/gocore/internal/conf"
	"modwsgi/gocore/internal/httpd"
)

func cmd(args ...string) *httpd.Cmd { return &httpd.Cmd{Directive: &conf.Directive{Args: args}} }

func TestSettings(t *testing.T) {
	c := &Config{}
	assert.ErrorContains(t, setAction(cmd("x", "/y", "odd"), c), "unknown option")
	assert.ErrorContains(t, setAction(cmd("x", "y"), c), "not a URL path")
	assert.ErrorContains(t, setScript(cmd("TRACE", "/y"), c), "TRACE")
	assert.ErrorContains(t, setScript(cmd("PUT", "y"), c), "not a URL path")
	require.NoError(t, setAction(cmd("text/x", "/y"), c))
	assert.False(t, perRequest(c), "media types are those of files")
	require.NoError(t, setAction(cmd("handler", "/z", "Virtual"), c))
	assert.True(t, perRequest(c))
	k := &Config{}
	require.NoError(t, setScript(cmd("PUT", "/put"), k))
	require.NoError(t, setAction(cmd("text/x", "/own"), k))
	m := Module.Merge(c, k)
	assert.Equal(t, map[string]action{"text/x": {"/own", false}, "handler": {"/z", true}}, m.actions)
	assert.Equal(t, map[string]string{"PUT": "/put"}, m.scripts)
	assert.Equal(t, "/y", c.actions["text/x"].script, "merging is pure")
	assert.True(t, perRequest(k))
}
