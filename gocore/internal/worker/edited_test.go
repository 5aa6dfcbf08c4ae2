package worker

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"modwsgi/gocore/internal/httpd"
	"modwsgi/gocore/internal/python"
)

// The environ of fields by the rules of python/environ.c.
func TestEnvironOf(t *testing.T) {
	fields := []httpd.Field{{Name: "Host", Value: "h"}, {Name: "x-a", Value: "1"}, {Name: "X-A", Value: "2"}, {Name: "Cookie", Value: "a"}, {Name: "cookie", Value: "b"},
		{Name: "Content-Type", Value: "t/t"}, {Name: "Content-Length", Value: "5"}, {Name: "Proxy", Value: "p"}, {Name: "X_B", Value: "forged"}, {Name: "Authorization", Value: "secret"},
		{Name: "Proxy-Authorization", Value: "secret"}}
	want := map[string]string{"HTTP_HOST": "h", "HTTP_X_A": "1, 2", "HTTP_COOKIE": "a; b", "CONTENT_TYPE": "t/t"}
	assert.Equal(t, want, environOf(fields, false))
	want["HTTP_AUTHORIZATION"] = "secret"
	assert.Equal(t, want, environOf(fields, true))
}

func TestAppendEdits(t *testing.T) {
	sent := []httpd.Field{{Name: "Host", Value: "h"}, {Name: "Gone", Value: "1"}, {Name: "Same", Value: "s"}}
	assert.Empty(t, appendEdits(nil, sent, sent, false))
	now := []httpd.Field{{Name: "Same", Value: "s"}, {Name: "Host", Value: "h2"}}
	got := string(appendEdits(nil, sent, now, false))
	want := string(python.AppendSet(python.AppendDelete(nil, "HTTP_GONE"), "HTTP_HOST", "h2"))
	assert.Equal(t, want, got)
}
