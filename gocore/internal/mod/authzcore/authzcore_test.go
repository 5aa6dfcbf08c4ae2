// Tests of the truth table and of what is refused in the configuration.

package authzcore

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"modwsgi/gocore/internal/conf"
	"modwsgi/gocore/internal/httpd"
)

// user is what a provider of users looks like from here.
var user = Provider{Name: "user", Parse: func(_ *httpd.Cmd, args []string) (Check, error) {
	return func(r *httpd.Request) Result {
		if r.User == "" {
			return DeniedNoUser
		}
		for _, a := range args {
			if a == r.User {
				return Granted
			}
		}
		return Denied
	}, nil
}}

func noType(*httpd.Request) string { return "" }

func first(r *httpd.Request, c *Config) httpd.Status {
	return (&module{authType: noType}).withoutUser(r, c)
}

var broken = Provider{Name: "broken", Parse: func(*httpd.Cmd, []string) (Check, error) {
	return func(*httpd.Request) Result { return Failed }, nil
}}

// read makes settings from lines "Require ...", "<RequireAll>", "</>" and
// "AuthMerging x".
func read(t *testing.T, text string, limit *httpd.MethodLimit) (*Config, error) {
	t.Helper()
	m := New(user, broken)
	root := &conf.Directive{}
	stack := []*conf.Directive{root}
	for i, l := range strings.Split(text, ";") {
		l = strings.TrimSpace(l)
		top := stack[len(stack)-1]
		switch {
		case l == "":
		case l == "</>":
			stack = stack[:len(stack)-1]
		case l[0] == '<':
			d := &conf.Directive{Name: strings.Trim(l, "<>"), Section: true, Pos: conf.Pos{Line: i + 1}}
			top.Children = append(top.Children, d)
			stack = append(stack, d)
		default:
			name, raw, _ := strings.Cut(l, " ")
			top.Children = append(top.Children, &conf.Directive{Name: name, Raw: raw, Args: conf.Words(raw), Pos: conf.Pos{Line: i + 1}})
		}
	}
	c := &Config{}
	for _, d := range root.Children {
		for _, row := range m.Directives {
			if strings.EqualFold(row.Name, d.Name) {
				if err := row.Set(&httpd.Cmd{Directive: d, Limit: limit}, c); err != nil {
					return nil, err
				}
			}
		}
	}
	return c, nil
}

func TestDecisions(t *testing.T) {
	req := func(method, name string, vars ...string) *httpd.Request {
		r := &httpd.Request{Method: method, User: name, URI: "/x"}
		for _, v := range vars {
			r.SetEnv(v, "1")
		}
		return r
	}
	for _, c := range []struct {
		text        string
		r           *httpd.Request
		first, then httpd.Status
	}{
		{"", req("GET", ""), httpd.OK, httpd.OK},
		{"Require all granted", req("GET", ""), httpd.OK, httpd.OK},
		{"Require all denied", req("GET", ""), 403, 403},
		{"Require ALL Granted", req("GET", ""), httpd.OK, httpd.OK},
		{"Require method GET POST", req("HEAD", ""), httpd.OK, httpd.OK},
		{"Require method GET POST", req("PUT", ""), 403, 403},
		{"Require env a b", req("GET", "", "b"), httpd.OK, httpd.OK},
		{"Require env a b", req("GET", ""), 403, 403},
		{"Require user joe", req("GET", ""), httpd.Declined, 401},
		{"Require user joe", req("GET", "joe"), httpd.OK, httpd.OK},
		{"Require user joe", req("GET", "ann"), 403, 401},
		{"Require env a; Require user joe", req("GET", ""), httpd.Declined, 401},
		{"Require env a; Require user joe", req("GET", "", "a"), httpd.OK, httpd.OK},
		{"<RequireAll>;Require env a;Require user joe;</>", req("GET", ""), 403, 403},
		{"<RequireAll>;Require env a;Require user joe;</>", req("GET", "", "a"), httpd.Declined, 401},
		{"<RequireAll>;Require user joe;Require env a;</>", req("GET", ""), 403, 403},
		{"<RequireAll>;Require env a;Require user joe;</>", req("GET", "joe", "a"), httpd.OK, httpd.OK},
		{"<RequireAll>;Require all granted;Require not env a;</>", req("GET", "", "a"), 403, 403},
		{"<RequireAll>;Require all granted;Require not env a;</>", req("GET", ""), httpd.OK, httpd.OK},
		{"<RequireAll>;Require all granted;Require not user joe;</>", req("GET", ""), httpd.OK, httpd.OK},
		{"<RequireAll>;Require all granted;<RequireNone>;Require env a;Require env b;</>;</>", req("GET", "", "b"), 403, 403},
		{"<RequireAll>;Require all granted;<RequireNone>;Require env a;Require env b;</>;</>", req("GET", ""), httpd.OK, httpd.OK},
		{"<RequireAll>;<RequireAny>;Require env a;Require env b;</>;Require method GET;</>", req("GET", "", "b"), httpd.OK, httpd.OK},
		{"<RequireAll>;<RequireAny>;Require env a;Require env b;</>;Require method GET;</>", req("PUT", "", "b"), 403, 403},
		{"<RequireAll>;</>", req("GET", ""), 403, 403},
		{"Require expr %{REQUEST_METHOD} == 'GET'", req("GET", ""), httpd.OK, httpd.OK},
		{"Require expr \"%{REQUEST_METHOD} == 'GET'\"", req("PUT", ""), 403, 403},
		{"Require expr '%{REQUEST_METHOD} == \"GET\"'", req("GET", ""), httpd.OK, httpd.OK},
		{"Require expr true", req("GET", ""), httpd.OK, httpd.OK},
		{"Require expr \t-n reqenv('a')", req("GET", "", "a"), httpd.OK, httpd.OK},
		{"<RequireAll>;Require all granted;Require not expr \"-n reqenv('a')\";</>", req("GET", "", "a"), 403, 403},
		{"<RequireAll>;Require all granted;Require NOT EXPR -n reqenv('a');</>", req("GET", ""), httpd.OK, httpd.OK},
		{"Require expr %{REMOTE_USER} in {'joe', 'ann'}", req("GET", ""), httpd.Declined, 401},
		{"Require expr %{REMOTE_USER} in {'joe', 'ann'}", req("GET", "ann"), httpd.OK, httpd.OK},
		{"Require expr %{REMOTE_USER} in {'joe', 'ann'}", req("GET", "eve"), 403, 401},
		{"Require broken", req("GET", ""), 500, 500},
	} {
		t.Run(c.text+"/"+c.r.Method+c.r.User, func(t *testing.T) {
			s, err := read(t, c.text, nil)
			require.NoError(t, err)
			if c.r.User != "" {
				c.r.AuthType = "Basic"
			} else if c.then == 401 {
				c.r.AuthType = ""
			}
			assert.Equal(t, c.first, first(c.r, s))
			assert.Equal(t, c.then, withUser(c.r, s))
		})
	}
}

func TestForbiddenOnFailure(t *testing.T) {
	s, err := read(t, "Require user joe;AuthzSendForbiddenOnFailure On", nil)
	require.NoError(t, err)
	assert.Equal(t, httpd.Status(403), withUser(&httpd.Request{User: "ann", AuthType: "Basic"}, s))
}

func TestLimit(t *testing.T) {
	only, err := read(t, "Require user joe", &httpd.MethodLimit{Methods: []string{"POST"}})
	require.NoError(t, err)
	open, err := read(t, "Require all granted", nil)
	require.NoError(t, err)
	assert.Equal(t, httpd.Declined, first(&httpd.Request{Method: "POST"}, only))
	assert.Equal(t, httpd.OK, first(&httpd.Request{Method: "GET"}, only), "nothing is asked of other methods")
	open.root.children = append(open.root.children, only.root.children...)
	assert.Equal(t, httpd.OK, first(&httpd.Request{Method: "GET"}, open))

	except := &httpd.MethodLimit{Methods: []string{"GET"}, Except: true}
	assert.False(t, except.Applies("HEAD"))
	assert.True(t, except.Applies("PUT"))
}

func TestMerging(t *testing.T) {
	a, err := read(t, "Require env a", nil)
	require.NoError(t, err)
	for _, c := range []struct {
		child   string
		vars    string
		granted bool
	}{
		{"", "a", true},
		{"Require env b", "a", false},
		{"Require env b", "b", true},
		{"AuthMerging And;Require env b", "b", false},
		{"AuthMerging And;Require env b", "a b", true},
		{"AuthMerging Or;Require env b", "a", true},
		{"AuthMerging Or;Require env b", "c", false},
		{"AuthMerging And", "a", true},
	} {
		child, err := read(t, c.child, nil)
		require.NoError(t, err)
		r := &httpd.Request{Method: "GET"}
		for _, v := range strings.Fields(c.vars) {
			r.SetEnv(v, "1")
		}
		assert.Equal(t, c.granted, first(r, merge(a, child)) == httpd.OK, "%s with %s", c.child, c.vars)
	}
}

func TestRefused(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"Require frobnicate x", "unknown authorization provider"},
		{"<RequireAll>;Require frobnicate x;</>", "line 2: unknown authorization provider"},
		{"Require all", "granted or denied"},
		{"Require all maybe", "granted or denied"},
		{"Require not env a", "no effect"},
		{"Require not", "provider after not"},
		{"<RequireAny>;Require not env a;</>", "negative"},
		{"<RequireNone>;Require not env a;</>", "negative"},
		{"<RequireAll>;Require not env a;</>", "only negative"},
		{"<RequireAll>;AuthName x;</>", "not allowed"},
		{"Require method get", "upper case"},
		{"Require method TRACE", "TraceEnable"},
		{"Require env", "needs the name"},
		{"Require expr", "needs an expression"},
		{"Require expr %{FOO} == 'x'", "there is no variable FOO"},
		{"AuthMerging maybe", "Off, And or Or"},
	} {
		_, err := read(t, c.text, nil)
		require.Error(t, err, c.text)
		assert.Contains(t, err.Error(), c.want)
	}
}

// The Location sections are merged with each other first: AuthMerging And of
// the last one brings back what the Directory says.
func TestMergingOfKinds(t *testing.T) {
	section := func(text string, kind httpd.Context) *Config {
		c, err := read(t, text, nil)
		require.NoError(t, err)
		c.kind = kind
		return c
	}
	directory := section("Require all denied", 0)
	outer := section("Require all granted", httpd.InLocation)
	for text, want := range map[string]bool{
		"Require env a":                 true,
		"AuthMerging And;Require env a": false,
		"AuthMerging And":               false,
		"AuthMerging Or;Require env a":  true,
		"AuthMerging Or;Require env b":  true,
		"Require env b":                 false,
	} {
		r := &httpd.Request{Method: "GET"}
		r.SetEnv("a", "1")
		got := merge(merge(directory, outer), section(text, httpd.InLocation))
		assert.Equal(t, want, first(r, got) == httpd.OK, text)
	}
}

func TestPerRequest(t *testing.T) {
	m := New()
	for _, c := range []struct {
		text string
		want bool
	}{
		{"", false}, {"Require all granted", false}, {"Require all denied", true}, {"Require env a", true}, {"Require expr true", true},
		{"Require env a;Require all granted", false}, {"<RequireAll>;Require all granted;</>", false},
		{"<RequireAll>;Require all granted;Require env a;</>", true}, {"<RequireAll>;Require all granted;<RequireNone>;Require env x;</>;</>", true},
	} {
		s, err := read(t, c.text, nil)
		require.NoError(t, err)
		assert.Equal(t, c.want, m.PerRequest(s), c.text)
	}
}
