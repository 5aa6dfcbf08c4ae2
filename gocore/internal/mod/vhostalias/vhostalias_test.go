// This file tests what names must not do, and the errors of the directives. The
// answers of httpd are recorded in the tests of package rewrite.

package vhostalias

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestSafe(t *testing.T) {
	for name, want := range map[string]bool{"a.b": true, "x": true, "127.0.0.1": true, "::1": true, "": false, ".": false, "..": false, "a/b": false,
		"a..b": false, ".hidden": false, `a\b`: false, "a\x00": false} {
		assert.Equal(t, want, safe(name), "%q", name)
	}
}

func TestParse(t *testing.T) {
	for _, bad := range []string{"relative", "/x/%", "/x/%y", "/x/%-", "/x/%1.", "/x/%1.x", "/x/%1.-"} {
		_, err := parse(bad)
		assert.Error(t, err, bad)
	}
	for text, want := range map[string]string{
		"/d/%0": "/d/www.example.com", "/d/%2+": "/d/example.com", "/d/%-2.1": "/d/e", "/d/%3.-1/": "/d/m", "/d/%9": "/d/_", "/d/%p%%": "/d/81%", "/d/%-2+": "/d/www.example",
		"/d/%1.2+": "/d/ww", "/d/%2.-3+": "/d/examp",
	} {
		parts, err := parse(text)
		require.NoError(t, err, text)
		assert.Equal(t, want, (&root{parts: parts}).fill("WWW.Example.com", 81), text)
	}
	parts, err := parse("None")
	require.NoError(t, err)
	assert.Empty(t, parts)
}
