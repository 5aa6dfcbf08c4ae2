// Tests of UNIQUE_ID.
package uniqueid

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"modwsgi/gocore/internal/conf"
	"modwsgi/gocore/internal/httpd"
)

func TestNext(t *testing.T) {
	seen := map[string]bool{}
	now := time.Unix(1700000000, 0)
	for range 1000 {
		v := next(now)
		assert.Regexp(t, `^[A-Za-z0-9@-]{24}$`, v)
		assert.False(t, seen[v])
		seen[v] = true
	}
}

func TestLoaded(t *testing.T) {
	for text, want := range map[string]bool{
		"": false, "LoadModule alias_module x\n": false, "loadmodule Unique_id_module x\n": true,
		"<VirtualHost *:80>\nLoadModule unique_id_module x\n</VirtualHost>\n": true,
	} {
		tree, _ := conf.ParseText("x", text, conf.Options{})
		assert.Equal(t, want, loaded(tree.Root), text)
	}
}

func TestPhases(t *testing.T) {
	r := &httpd.Request{}
	assert.Equal(t, httpd.Declined, postRead(r, &Config{}))
	_, ok := r.Env(variable)
	assert.False(t, ok)
	c := &Config{on: true}
	postRead(r, c)
	v, ok := r.Env(variable)
	assert.True(t, ok)
	postRead(r, c)
	again, _ := r.Env(variable)
	assert.Equal(t, v, again)
	page := &httpd.Request{Prev: r}
	fixup(page, c)
	got, _ := page.Env(variable)
	assert.Equal(t, v, got)
}
