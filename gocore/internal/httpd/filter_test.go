package httpd

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"modwsgi/gocore/internal/conf"
)

func TestFields(t *testing.T) {
	h := ResponseHead{Header: Fields{{"A", "1"}, {"b", "2"}, {"a", "3"}}, ErrHeader: Fields{{"E", "4"}, {"A", "5"}}}
	v, ok := h.Header.Get("a")
	assert.True(t, ok)
	assert.Equal(t, "1, 3", v)
	h.Header.Set("A", "6")
	assert.Equal(t, Fields{{"A", "6"}, {"b", "2"}}, h.Header)
	h.Header.Set("new", "7")
	h.Header.Add("b", "8")
	assert.Equal(t, Fields{{"A", "6"}, {"b", "2"}, {"new", "7"}, {"b", "8"}}, h.Header)
	h.Header.Del("B")
	assert.Equal(t, Fields{{"A", "6"}, {"new", "7"}}, h.Header)

	h.Set("a", "9") // where it is among the errors', it stays
	assert.Equal(t, Fields{{"new", "7"}}, h.Header)
	assert.Equal(t, Fields{{"E", "4"}, {"A", "9"}}, h.ErrHeader)
	h.Set("x", "10")
	h.Del("e")
	v, _ = h.Get("A")
	assert.Equal(t, "9", v)
	assert.Equal(t, Fields{{"new", "7"}, {"x", "10"}}, h.Header)
	_, ok = h.Get("E")
	assert.False(t, ok)
}

func TestAddVary(t *testing.T) {
	for _, c := range [][2]string{{"", "Accept-Encoding"}, {"Cookie", "Cookie, Accept-Encoding"}, {"accept-encoding", "accept-encoding"},
		{"*", "*"}, {"Cookie,Accept-Encoding", "Cookie,Accept-Encoding"}} {
		h := ResponseHead{}
		if c[0] != "" {
			h.Add("Vary", c[0])
		}
		h.AddVary("Accept-Encoding")
		v, _ := h.Get("Vary")
		assert.Equal(t, c[1], v)
	}
}

// testFilter and the module around it record in which order things happen.
type testFilter struct{ name string }

func (f testFilter) Write(dst, p []byte) ([]byte, error) { return append(dst, p...), nil }
func (f testFilter) Flush(dst []byte) ([]byte, error)    { return dst, nil }
func (f testFilter) Close(dst []byte) ([]byte, error)    { return dst, nil }

type testConf struct{ on bool }

func testModule(name string, calls *[]string, keep bool) *Module[testConf] {
	upper := map[string]string{"one": "ONE", "two": "TWO"}[name]
	return &Module[testConf]{Name: name, ID: name + "_module",
		Directives: []Directive[testConf]{{Name: "Use" + name, Max: 0, In: Anywhere, Set: func(_ *Cmd, c *testConf) error { c.on = true; return nil }}},
		Merge:      func(p, k *testConf) *testConf { return &testConf{p.on || k.on} },
		Insert: func(r *Request, c *testConf, h *ResponseHead) []string {
			if !c.on {
				return nil
			}
			return []string{upper}
		},
		HasFilter:     func(c *testConf) bool { return c.on },
		OutputFilters: []string{upper},
		Filter: func(r *Request, _ *testConf, h *ResponseHead) BodyFilter {
			if !r.HasOutputFilter(upper) {
				return nil
			}
			*calls = append(*calls, "filter "+name)
			h.Add("X-Filter", name)
			if keep {
				h.KeepLength()
			}
			return testFilter{name}
		},
		Response: func(_ *Request, _ *testConf, h *ResponseHead) {
			v, _ := h.Get("X-Filter")
			*calls = append(*calls, "response "+name+" sees "+v)
		},
		HasResponse: func(c *testConf) bool { return c.on },
	}
}

func TestOutgoing(t *testing.T) {
	tests := []struct {
		name, config string
		status       int
		filtered     bool
		calls        []string
		body         int
		length       int64
	}{
		{"nothing configured", "", 200, true, nil, 0, 10},
		{"one", "Useone", 200, true, []string{"filter one", "response one sees one"}, 1, -1},
		{"keeps the length", "Usetwo", 200, true, []string{"filter two", "response two sees two"}, 1, 10},
		{"both, hooks after filters", "Useone\nUsetwo", 200, true, []string{"filter one", "filter two", "response one sees one, two", "response two sees one, two"}, 2, -1},
		{"a sender without filters", "Useone", 200, false, []string{"response one sees "}, 0, 10},
		{"304: the head only", "Useone", 304, true, []string{"filter one", "response one sees one"}, 0, -1},
		{"204: no filters", "Useone", 204, true, []string{"response one sees "}, 0, 10},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var calls []string
			core := &Module[CoreConfig]{Name: "core", ID: "core_module", Merge: func(p, _ *CoreConfig) *CoreConfig { return p }}
			mods := []AnyModule{core, testModule("one", &calls, false), testModule("two", &calls, true)}
			o := ConfOptions(mods)
			o.ServerRoot = t.TempDir()
			tree, diags := conf.ParseText("t.conf", tt.config, o)
			require.False(t, conf.HasErrors(diags), diags)
			s, _ := Compile(tree, mods)
			r := &Request{Host: s.Main, m: s.Main.base}
			assert.Equal(t, tt.config != "", r.Hooked())
			h := ResponseHead{Status: tt.status, Length: 10}
			body := r.Outgoing(&h, tt.filtered)
			assert.Equal(t, tt.calls, calls)
			assert.Len(t, body, tt.body)
			assert.Equal(t, tt.length, h.Length)
		})
	}
}
