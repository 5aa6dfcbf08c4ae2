// Tests of the walk along the header field and of the lists of proxies.
package remoteip

import (
	"net/netip"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"modwsgi/gocore/internal/conf"
	"modwsgi/gocore/internal/httpd"
)

func config(t *testing.T, internal, trusted []string) *Config {
	c := &Config{}
	for _, w := range internal {
		require.NoError(t, c.add(w, true))
	}
	for _, w := range trusted {
		require.NoError(t, c.add(w, false))
	}
	return c
}

func TestClient(t *testing.T) {
	in, tr := []string{"10.0.0.0/8"}, []string{"203.0.113.7"}
	for _, c := range []struct {
		name              string
		internal, trusted []string
		peer, field       string
		addr, rest, via   string
	}{
		{"no lists: everybody is believed about public addresses", nil, nil, "198.51.100.1", "192.0.2.5", "192.0.2.5", "", "198.51.100.1"},
		{"no lists, private", nil, nil, "198.51.100.1", "192.168.1.1", "invalid IP", "192.168.1.1", ""},
		{"an unknown peer", in, tr, "198.51.100.1", "192.0.2.5", "invalid IP", "192.0.2.5", ""},
		{"internal proxy, private client", in, nil, "10.1.1.1", "192.168.3.4", "192.168.3.4", "", ""},
		{"trusted proxy, private client", in, tr, "203.0.113.7", "192.168.3.4", "invalid IP", "192.168.3.4", ""},
		{"trusted proxy", in, tr, "203.0.113.7", "192.0.2.5", "192.0.2.5", "", "203.0.113.7"},
		{"two hops", in, tr, "10.1.1.1", "192.0.2.5, 203.0.113.7", "192.0.2.5", "", "203.0.113.7"},
		{"what the client forged stays", in, tr, "10.1.1.1", "127.0.0.1, 192.0.2.5", "192.0.2.5", "127.0.0.1", ""},
		{"blanks", in, nil, "10.1.1.1", " 192.0.2.1 ,\t192.0.2.5 ", "192.0.2.5", " 192.0.2.1", ""},
		{"nonsense", in, nil, "10.1.1.1", "192.0.2.5, unknown", "invalid IP", "192.0.2.5, unknown", ""},
		{"empty entry", in, nil, "10.1.1.1", "192.0.2.5,", "invalid IP", "192.0.2.5", ""},
		{"IPv6", in, []string{"2001:db8::/32"}, "2001:db8::1", "2a00::5", "2a00::5", "", "2001:db8::1"},
		{"IPv6 private", in, []string{"2001:db8::/32"}, "2001:db8::1", "fe80::5", "invalid IP", "fe80::5", ""},
		{"mapped IPv4", in, nil, "10.1.1.1", "::ffff:192.0.2.5", "192.0.2.5", "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			addr, rest, via, _ := config(t, c.internal, c.trusted).client(netip.MustParseAddr(c.peer), c.field)
			assert.Equal(t, []string{c.addr, c.rest, c.via}, []string{addr.String(), rest, via})
		})
	}
}

func TestPostRead(t *testing.T) {
	c := config(t, nil, []string{"203.0.113.7"})
	c.header, c.proxiesField = httpd.Some("X-Client"), httpd.Some("X-Via")
	r := &httpd.Request{Remote: netip.MustParseAddrPort("[::ffff:203.0.113.7]:444"), Header: []httpd.Field{
		{Name: "Host", Value: "a"}, {Name: "x-client", Value: "1.2.3.4"}, {Name: "X-VIA", Value: "forged"}, {Name: "X-Client", Value: "192.0.2.9"}}}
	assert.Equal(t, httpd.Declined, postRead(r, c))
	assert.Equal(t, "192.0.2.9:444", r.Remote.String())
	assert.Equal(t, []httpd.Field{{Name: "Host", Value: "a"}, {Name: "X-Client", Value: "1.2.3.4"}, {Name: "X-Via", Value: "203.0.113.7"}}, r.Header)
	assert.Equal(t, "203.0.113.7", r.Notes["remoteip-proxy-ip-list"])
	assert.True(t, r.HeaderEdited())
}

// A proxy on a Unix socket has no address: it is believed where 127.0.0.1 is.
func TestUnixSocket(t *testing.T) {
	for _, x := range []struct{ proxy, want string }{{"127.0.0.1", "192.0.2.9:0"}, {"10.0.0.1", "invalid AddrPort"}} {
		c := config(t, []string{x.proxy}, nil)
		c.header = httpd.Some("X-Client")
		r := &httpd.Request{Header: []httpd.Field{{Name: "X-Client", Value: "192.0.2.9"}}}
		postRead(r, c)
		assert.Equal(t, x.want, r.Remote.String(), x.proxy)
	}
}

func TestLists(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "proxies")
	require.NoError(t, os.WriteFile(file, []byte("# ours\n10.0.0.0/8 192.0.2.1\n\n2001:db8::/32 # more\n"), 0o600))
	c := &Config{}
	k := &httpd.Cmd{Directive: &conf.Directive{Args: []string{"proxies"}}, ServerRoot: dir}
	require.NoError(t, setList(true)(k, c))
	assert.Len(t, c.proxies, 3)
	require.NoError(t, os.WriteFile(file, []byte("10.0.0.0/8\nproxy.example\n"), 0o600))
	assert.ErrorContains(t, setList(true)(k, c), "proxies:2: \"proxy.example\" is a name")
	assert.ErrorContains(t, c.add("10.0.0.300", true), "300")
	_, err := fieldName("X Y")
	assert.Error(t, err)
}

func TestMerge(t *testing.T) {
	p := config(t, []string{"10.0.0.0/8"}, nil)
	p.header = httpd.Some("X-A")
	k := &Config{protocol: httpd.Some(true)}
	m := merge(p, k)
	assert.Equal(t, "X-A", m.header.V)
	assert.Len(t, m.proxies, 1)
	assert.True(t, m.protocol.V)
	m = merge(p, config(t, nil, []string{"192.0.2.1", "192.0.2.2"}))
	assert.Len(t, m.proxies, 2, "a host's list replaces the main server's")
}
