// Tables of Header and RequestHeader lines. What is expected was asked of
// httpd 2.4, but for the rows marked "ours".

package headers

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"modwsgi/gocore/internal/conf"
	"modwsgi/gocore/internal/httpd"
)

// lines applies lines separated by newlines.
func lines(in httpd.Context, text string) (*config, error) {
	c := &config{}
	tree, _ := conf.ParseText("t", text, conf.Options{Known: func(string) bool { return true }})
	for _, d := range tree.Root {
		for i := range Module.Directives {
			if row := &Module.Directives[i]; row.Name == d.Name {
				if len(d.Args) < row.Min || len(d.Args) > row.Max {
					return nil, assert.AnError
				}
				if err := row.Set(&httpd.Cmd{Directive: d, In: in}, c); err != nil {
					return nil, err
				}
			}
		}
	}
	return c, nil
}

func request() *httpd.Request {
	r := &httpd.Request{Method: "GET", URI: "/x", Start: time.Unix(1, 5000),
		Header: []httpd.Field{{Name: "Host", Value: "h:1"}, {Name: "X-A", Value: "1"}, {Name: "x-b", Value: "2"}}}
	r.SetEnv("v", "5")
	return r
}

// show writes both tables as they go out.
func show(t httpd.Fields) string {
	var s []string
	for _, f := range t {
		s = append(s, f.Name+"="+f.Value)
	}
	return strings.Join(s, "|")
}

func TestHeader(t *testing.T) {
	for _, c := range []struct{ lines, onsuccess, always string }{
		{"Header set A b", "A=b", ""},
		{"Header set A: b", "A=b", ""},
		{"Header ALWAYS Set A b", "", "A=b"},
		{"Header onsuccess set A b\nHeader always set A c", "A=b", "A=c"},
		{"Header set Old b", "Old=b", ""},
		{"Header add A b\nHeader add A c\nHeader set a d", "A=d", ""},
		{"Header add A b\nHeader add A c", "A=b|A=c", ""},
		{"Header append A b\nHeader append A c\nHeader append A b", "A=b, c, b", ""},
		{"Header merge A b\nHeader merge A c\nHeader merge A b\nHeader merge A B", "A=b, c, B", ""},
		{"Header set A \"b, \\\"c, d\\\"\"\nHeader merge A d\nHeader merge A '\"c, d\"'", `A=b, "c, d", d`, ""},
		{"Header set A b;q=1\nHeader merge A b", "A=b;q=1, b", ""},
		{"Header setifempty A b\nHeader setifempty A c", "A=b", ""},
		{"Header set A b\nHeader unset a", "", ""},
		{"Header always set A b\nHeader unset A", "", "A=b"},
		{"Header set A %%%t%D", "A=%t=1000005D=", ""},
		{"Header set A \"%{v}e %{none}e %{SSL_X}s\"", "A=5 (null) (null)", ""},
		{"Header set A 100%", "A=100%", ""},
		{`Header set A "a\tb\qc"`, "A=a\tb\\qc", ""},
		{"Header set A \"\"", "A=", ""},
		{"Header set A \"expr=%{REQUEST_METHOD}\"", "A=GET", ""},
		{"Header set A \"expr=%{REQUEST_METHOD}\" \"expr=true\"", "A=GET", ""},
		{"Header set A b expr=false", "", ""},
		{"Header set A b \"expr=%{REQUEST_METHOD} == 'GET'\"", "A=b", ""},
		{"Header set A b env=v\nHeader set B b env=!v\nHeader set C c ENV=none\nHeader set D d env=!none", "A=b|D=d", ""},
		{"Header unset Old env=none\nHeader unset Gone env=v", "Old=o", ""},
		{"Header set A b EARLY", "", ""},
		{"Header set A abcabc\nHeader edit A b x", "A=axcabc", ""},
		{"Header set A abcabc\nHeader edit* A b x", "A=axcaxc", ""},
		{"Header set A abcabc\nHeader edit A (b)(c) [$2$1&]", "A=a[cb&]abc", ""},
		{"Header set A abc\nHeader edit A B x\nHeader edit None a b", "A=abc", ""},
		{"Header set A abc\nHeader edit A ^ x", "A=xabc", ""},
		{"Header set A abc\nHeader edit A $ x", "A=abcx", ""},
		{"Header set A axb\nHeader edit* A x* -", "A=-a--b", ""}, // ours: httpd runs without end
		{"Header add A b\nHeader add A bb\nHeader edit A b x", "A=x|A=xb", ""},
		{"Header set A abc\nHeader edit A b \"%{v}e\"", "A=a5c", ""},
		{"Header set A abc\nHeader edit A (b) \"expr=%{REQUEST_METHOD}$1\"", "A=aGETbc", ""}, // ours: $1
		{"Header set A abc\nHeader edit A b x env=!v", "A=abc", ""},
		{"Header echo ^X-", "X-A=1", ""},
		{"Header echo ^[Xx]-", "X-A=1|x-b=2", ""},
		{"Header set A b\nHeader note A n\nHeader note None m\nHeader set B \"expr=%{note:n}-%{note:m}\"", "A=b|B=b-", ""},
		{"Header set Content-Type x/y", "Content-Type=x/y", ""},
		{"Header always set Content-Type x/y", "Content-Type=x/y", ""},
		{"Header always edit Content-Type text x", "Content-Type=x/plain", ""},
		{"Header setifempty Content-Type x/y\nHeader append Content-Type z", "Content-Type=text/plain", ""},
		{"Header always unset Content-Type\nHeader add Content-Type z", "Content-Type=z", ""},
		{"Header unset Content-Type", "", ""},
		{"Header set Content-Length 3\nHeader unset Transfer-Encoding", "", ""},
		{"Header set A %l", "A=l=", ""},
		{"Header set A \"expr=a\\\\nb\"", "A=a b", ""}, // ours: a value never makes a line of its own
	} {
		s, err := lines(httpd.InServer, c.lines)
		if !assert.NoError(t, err, c.lines) {
			continue
		}
		h := &httpd.ResponseHead{Status: 200, Header: httpd.Fields{{Name: "Content-Type", Value: "text/plain"}, {Name: "Old", Value: "o"}}}
		r := request()
		if strings.Contains(c.lines, "Old") {
			h.Header = h.Header[1:]
		} else {
			h.Header = h.Header[:1]
		}
		response(r, s, h)
		got := show(h.Header)
		if !strings.Contains(c.lines, "Content-Type") {
			got = strings.TrimPrefix(strings.TrimPrefix(got, "Content-Type=text/plain"), "|")
		}
		if i := strings.LastIndexAny(got, "D=l="); strings.Contains(c.lines, "%D") || strings.Contains(c.lines, "%l") {
			got = got[:strings.LastIndexAny(got[:i+1], "=")+1] // what follows is the time, the load
		}
		assert.Equal(t, c.onsuccess, got, c.lines)
		assert.Equal(t, c.always, show(h.ErrHeader), c.lines)
	}
}

func TestRequestHeader(t *testing.T) {
	for text, want := range map[string]string{
		"RequestHeader set X-A y":                                      "Host=h:1|X-A=y|x-b=2",
		"RequestHeader append x-a y\nRequestHeader merge X-A 1":        "Host=h:1|X-A=1, y|x-b=2",
		"RequestHeader unset HOST\nRequestHeader add x-b 3":            "X-A=1|x-b=2|x-b=3",
		"RequestHeader edit* Host [h1] -":                              "Host=-:-|X-A=1|x-b=2",
		"RequestHeader setifempty Q %{v}e env=v":                       "Host=h:1|X-A=1|x-b=2|Q=5",
		"RequestHeader set Q \"expr=<%{req:X-A}>\"":                    "Host=h:1|X-A=1|x-b=2|Q=<1>",
		"RequestHeader set Q 1\nRequestHeader set R 2 expr=-n%{req:Q}": "Host=h:1|X-A=1|x-b=2|Q=1|R=2",
		"RequestHeader set Q 1 early":                                  "Host=h:1|X-A=1|x-b=2",
	} {
		s, err := lines(httpd.InServer, text)
		require.NoError(t, err, text)
		r := request()
		before := r.Header
		sub := request()
		sub.SubRequest = true
		fixup(sub, s)
		assert.Len(t, sub.Header, 3)
		assert.Equal(t, httpd.Declined, fixup(r, s))
		assert.Equal(t, want, show(r.Header), text)
		assert.Equal(t, "Host=h:1|X-A=1|x-b=2", show(before), "others share the fields: %s", text)
		assert.Equal(t, show(before) != want, r.HeaderEdited())
	}
}

func TestEarly(t *testing.T) {
	s, err := lines(httpd.InHost, "RequestHeader set X-A e early\nHeader set A 1 early\nHeader always append B 2 early\nHeader always append B 3 early\nHeader set C 4")
	require.NoError(t, err)
	r := request()
	assert.Equal(t, httpd.Declined, early(r, s))
	assert.Equal(t, "Host=h:1|X-A=e|x-b=2", show(r.Header))
	assert.Equal(t, "A=1", show(r.Out))
	assert.Equal(t, "B=2, 3", show(r.ErrOut))
	s, err = lines(httpd.InLocation, "RequestHeader set X-A e early\nHeader set A 1 early")
	require.NoError(t, err)
	assert.Empty(t, s.request)
	assert.Empty(t, s.onsuccess)
}

func TestRoutes(t *testing.T) {
	for text, want := range map[string][2]bool{
		"":                                   {false, false},
		"Header set A b":                     {false, true},
		"Header always set A b env=x":        {false, true},
		"Header set A b early":               {true, false},
		"RequestHeader set A b":              {true, false},
		"RequestHeader unset Proxy early":    {false, false}, // applications never see Proxy
		"RequestHeader unset Content-Length": {false, false},
	} {
		s, err := lines(httpd.InServer, text)
		require.NoError(t, err, text)
		assert.Equal(t, want, [2]bool{Module.PerRequest(s), Module.HasResponse(s)}, text)
	}
}

func TestErrors(t *testing.T) {
	for line, want := range map[string]string{
		"Header set A":                             "needs a value",
		"Header always set":                        "needs an action and a field",
		"Header always foo A":                      "unknown action",
		"Header foo A b":                           "unknown action",
		"Header set A b c":                         "is not a condition",
		"Header set A b env=v c":                   "one word too many",
		"Header unset A b":                         "is not a condition",
		"Header edit A b":                          "needs a replacement after the regular expression",
		"Header edit A":                            "needs a regular expression and a replacement",
		"Header edit A ( x":                        "not a valid regular expression",
		"Header echo (":                            "not a valid regular expression",
		"Header note A":                            "needs the name of a note",
		"Header set \"A B\" c":                     "not the name of a field",
		"Header set A %x":                          "unknown specifier",
		"Header set A %{x}q":                       "unknown specifier",
		"Header set A %{x":                         "is not complete",
		"Header set A %e":                          "needs a name",
		`Header set A "a\nb"`:                      "line break",
		"Header set A b env=":                      "needs the name of a variable",
		"Header set A b env=!":                     "needs the name of a variable",
		"Header set A b \"expr=%{REQUEST_METHOD\"": "%{ is not closed",
		"Header set A \"expr=%{NONE}\"":            "no variable NONE",
		"RequestHeader echo X":                     "for Header only",
		"RequestHeader note X y":                   "for Header only",
		"RequestHeader always set X y":             "unknown action",
	} {
		_, err := lines(httpd.InServer, line)
		assert.ErrorContains(t, err, want, line)
	}
}

func TestMerge(t *testing.T) {
	p, err := lines(httpd.InServer, "Header set A p\nHeader always set A p\nRequestHeader set A p")
	require.NoError(t, err)
	k, err := lines(httpd.InLocation, "Header append A k\nHeader always append A k\nRequestHeader append A k")
	require.NoError(t, err)
	c := Module.Merge(p, k)
	h := &httpd.ResponseHead{Status: 200}
	r := request()
	response(r, c, h)
	fixup(r, c)
	assert.Equal(t, "A=p, k", show(h.Header))
	assert.Equal(t, "A=p, k", show(h.ErrHeader))
	v, _ := r.Get("A")
	assert.Equal(t, "p, k", v)
	assert.Len(t, p.onsuccess, 1)
}

// FuzzHeader: no line may panic while it is read or applied, run without end,
// or make a value of two lines.
func FuzzHeader(f *testing.F) {
	for _, s := range []string{"set A b", "always set A %{x}e%%%D env=!v", "edit* A b* x$1", "merge A \"b, c\" expr=true", "echo ^X", "note A n", "set A \"expr=%{req:X-A}\" early"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, line string) {
		words := conf.Words(line)
		if len(words) < 2 || len(words) > 6 {
			return
		}
		if strings.Contains(line, "%i") || strings.Contains(line, "%b") {
			return // they ask the server, which there is none of here
		}
		c := &config{}
		if setHeader(&httpd.Cmd{Directive: &conf.Directive{Name: "Header", Args: words}, In: httpd.InServer, Htaccess: true}, c) != nil {
			return
		}
		h := &httpd.ResponseHead{Status: 200, Header: httpd.Fields{{Name: "A", Value: "b, c"}}}
		for _, e := range append(c.onsuccess, c.always...) {
			if e.value != nil && e.value.expr != nil || e.cond != nil {
				return // has its own fuzzing, and looks at files
			}
		}
		response(request(), c, h)
		for _, x := range append(h.Header, h.ErrHeader...) {
			assert.NotContains(t, x.Value, "\n")
		}
	})
}
