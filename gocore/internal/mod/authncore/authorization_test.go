// This file tests the reading of the Authorization field.
package authncore

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"modwsgi/gocore/internal/httpd"
)

func TestAuthorization(t *testing.T) {
	for _, c := range []struct {
		fields  []string
		rest    string
		sent    bool
		problem string
	}{
		{nil, "", false, ""},
		{[]string{"Basic am9l"}, "am9l", true, ""},
		{[]string{"bAsIc am9l x"}, "am9l x", true, ""},
		{[]string{"Digest a=b"}, "", true, "client used wrong authentication scheme"},
		{[]string{""}, "", true, "client used wrong authentication scheme"},
		{[]string{"Basic a", "Basic a"}, "", true, "client sent more than one Authorization field"},
	} {
		r := &httpd.Request{}
		for _, f := range c.fields {
			r.Header = append(r.Header, httpd.Field{Name: "authorization", Value: f})
		}
		rest, sent, problem := Authorization(r, "Basic")
		assert.Equal(t, []any{c.rest, c.sent, c.problem}, []any{rest, sent, problem}, c.fields)
	}
}
