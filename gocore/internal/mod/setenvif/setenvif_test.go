// Tests of reading and applying the rules. What is expected was asked of
// httpd 2.4.

package setenvif

import (
	"net/netip"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"modwsgi/gocore/internal/conf"
	"modwsgi/gocore/internal/httpd"
)

// read applies one line as it stands in the main server or in a section.
func read(c *config, in httpd.Context, line string) error {
	w := conf.Words(line)
	for i := range Module.Directives {
		if d := &Module.Directives[i]; d.Name == w[0] {
			return d.Set(&httpd.Cmd{Directive: &conf.Directive{Name: w[0], Args: w[1:]}, In: in}, c)
		}
	}
	panic(line)
}

func request() *httpd.Request {
	return &httpd.Request{Method: "GET", URI: "/dir/x.cgi", Proto: "HTTP/1.1", Remote: netip.MustParseAddrPort("192.0.2.7:1"),
		Local:  netip.MustParseAddrPort("127.0.0.1:80"),
		Header: []httpd.Field{{Name: "Host", Value: "h"}, {Name: "X-B", Value: "v1"}, {Name: "X-A", Value: "v2"}, {Name: "User-Agent", Value: "uu"}, {Name: "x-b", Value: "w"}}}
}

func TestRules(t *testing.T) {
	for _, c := range []struct {
		lines []string
		want  []httpd.EnvVar
	}{
		{[]string{"SetEnvIf Request_URI x a=1&2$0"}, []httpd.EnvVar{{Name: "a", Value: "1&2$0"}}},
		{[]string{"SetEnvIf Request_URI x. a=1&2$0"}, []httpd.EnvVar{{Name: "a", Value: "1&2x."}}},
		{[]string{`SetEnvIf Request_URI "(c.i)$" c=$1-$2`}, []httpd.EnvVar{{Name: "c", Value: "cgi-"}}},
		{[]string{`SetEnvIf Nope "^$" d`}, []httpd.EnvVar{{Name: "d", Value: "1"}}},
		{[]string{"SetEnvIf Nope . d"}, nil},
		{[]string{"SetEnvIf ^X.* ^v e=$0"}, []httpd.EnvVar{{Name: "e", Value: "v"}}},
		{[]string{"SetEnvIf ^(User|X).* ^u e=$0"}, nil},
		{[]string{"SetEnvIf ^x-b$ (.*) e=$1"}, []httpd.EnvVar{{Name: "e", Value: "v1, w"}}},
		{[]string{"SetEnvIf ^y . e"}, nil},
		{[]string{"SetEnvIf Host h a", "SetEnvIf a 1 f !a g="}, []httpd.EnvVar{{Name: "f", Value: "1"}, {Name: "g"}}},
		{[]string{"SetEnvIf REQUEST_method get h", "SetEnvIfNoCase REQUEST_method get i"}, []httpd.EnvVar{{Name: "i", Value: "1"}}},
		{[]string{`SetEnvIf HOST . "i=a b"`}, []httpd.EnvVar{{Name: "i", Value: "a b"}}},
		{[]string{`SetEnvIfExpr "%{REQUEST_URI} =~ /(x).cgi/" j=$1-$0`}, []httpd.EnvVar{{Name: "j", Value: "x-x.cgi"}}},
		{[]string{`SetEnvIfExpr "true" k=a l`, `SetEnvIfExpr "-n %{HTTP_COOKIE}" m`}, []httpd.EnvVar{{Name: "k", Value: "a"}, {Name: "l", Value: "1"}}},
		{[]string{"BrowserMatch ^u. m=$0 !zz", "BrowserMatch UU no", "BrowserMatchNoCase UU n"}, []httpd.EnvVar{{Name: "m", Value: "uu"}, {Name: "n", Value: "1"}}},
		{[]string{`SetEnvIf Remote_Addr ^192\.0\.2\. a`, "SetEnvIf Server_Addr ^127 b", "SetEnvIf Request_Protocol 1.1$ c", "SetEnvIf Remote_Host 192 d"},
			[]httpd.EnvVar{{Name: "a", Value: "1"}, {Name: "b", Value: "1"}, {Name: "c", Value: "1"}, {Name: "d", Value: "1"}}},
	} {
		var s config
		for _, l := range c.lines {
			require.NoError(t, read(&s, httpd.InServer, l), l)
		}
		r := request()
		assert.Equal(t, httpd.Declined, Module.PostRead(r, &s))
		assert.Equal(t, c.want, r.EnvVars(), "%v", c.lines)
		assert.True(t, Module.PerRequest(&s))
		sub := request()
		sub.SubRequest = true
		Module.PostRead(sub, &s)
		assert.Empty(t, sub.EnvVars())
	}
}

func TestPhases(t *testing.T) {
	var server, dir config
	require.NoError(t, read(&server, httpd.InHost, "SetEnvIf Host h a=server"))
	require.NoError(t, read(&dir, httpd.InLocation, "SetEnvIf a serv.. b=$0"))
	require.NoError(t, read(&dir, httpd.InHtaccess, "SetEnvIf a server !a"))
	c := Module.Merge(&server, &dir)
	r := request()
	Module.PostRead(r, c)
	assert.Equal(t, []httpd.EnvVar{{Name: "a", Value: "server"}}, r.EnvVars())
	Module.Header(r, c)
	assert.Equal(t, []httpd.EnvVar{{Name: "b", Value: "server"}}, r.EnvVars())
	assert.False(t, Module.PerRequest(&config{}))
}

func TestErrors(t *testing.T) {
	for line, want := range map[string]string{
		"SetEnvIf Host ( a":       "not a valid regular expression",
		"SetEnvIf ^( x a":         "not a valid regular expression",
		"SetEnvIf Host x =a":      "name of a variable",
		"SetEnvIf Host x !":       "name of a variable",
		`SetEnvIf "" x a`:         "empty",
		"SetEnvIf OID(1.2) x a":   "not available",
		"SetEnvIfExpr true&& a":   "a value was expected",
		"SetEnvIfExpr %{NONE} a=": "no variable NONE",
	} {
		assert.ErrorContains(t, read(&config{}, httpd.InServer, line), want, line)
	}
}
