// Tests of the address rules. DNS is played by a table.

package authzhost

import (
	"context"
	"errors"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"modwsgi/gocore/internal/dns"
	"modwsgi/gocore/internal/httpd"
	"modwsgi/gocore/internal/mod/authzcore"
)

func TestParseSubnet(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{"10.1.2.3", "10.1.2.3/32"}, {"10", "10.0.0.0/8"}, {"10.1", "10.1.0.0/16"}, {"10.1.", "10.1.0.0/16"}, {"192.168.1", "192.168.1.0/24"},
		{"10.1.0.0/255.255.0.0", "10.1.0.0/16"}, {"10.1.2.3/16", "10.1.0.0/16"}, {"10.1/16", "10.1.0.0/16"}, {"0.0.0.0/0", "0.0.0.0/0"},
		{"2001:db8::1", "2001:db8::1/128"}, {"2001:db8::/32", "2001:db8::/32"}, {"::ffff:10.0.0.0/104", "10.0.0.0/8"}, {"::/0", "::/0"},
		{"2001:db8::/ffff:ffff::", "2001:db8::/32"},
	} {
		got, err := ParseSubnet(c.in)
		require.NoError(t, err, c.in)
		assert.Equal(t, c.want, got.String(), c.in)
	}
	for _, in := range []string{"", ".", "10..1", "10.256", "1.2.3.4.5", "10.1/33", "10.1.0.0/255.0.255.0", "10.1.0.0/", "10.1.0.0/x", "example.org",
		"2001:db8::/129", "fe80::1%eth0", "10.1.0.0/ffff::", "+1", "1.2.3.4/-1", "::ffff:1.2.3.4/8"} {
		_, err := ParseSubnet(in)
		assert.Error(t, err, in)
	}
}

func request(remote string) *httpd.Request {
	r := &httpd.Request{Local: netip.MustParseAddrPort("192.0.2.1:80")}
	r.Resume(nil, httpd.OnWorker, nil)
	if remote != "" {
		r.Remote = netip.AddrPortFrom(netip.MustParseAddr(remote), 4711)
	}
	return r
}

func decide(t *testing.T, r *httpd.Request, provider string, args ...string) bool {
	t.Helper()
	for _, p := range Providers {
		if p.Name == provider {
			check, err := p.Parse(nil, args)
			require.NoError(t, err)
			return check(r) == authzcore.Granted
		}
	}
	t.Fatal("no such provider")
	return false
}

func TestAddressRules(t *testing.T) {
	for _, c := range []struct {
		remote, provider string
		args             []string
		want             bool
	}{
		{"10.1.2.3", "ip", []string{"192.168", "10.1"}, true},
		{"10.2.2.3", "ip", []string{"192.168", "10.1"}, false},
		{"::ffff:10.1.2.3", "ip", []string{"10.1"}, true},
		{"2001:db8::5", "ip", []string{"2001:db8::/32"}, true},
		{"", "ip", []string{"0.0.0.0/0", "::/0"}, false},
		{"127.0.0.9", "local", nil, true},
		{"::1", "local", nil, true},
		{"192.0.2.1", "local", nil, true},
		{"::ffff:192.0.2.1", "local", nil, true},
		{"192.0.2.2", "local", nil, false},
		{"", "local", nil, false},
	} {
		assert.Equal(t, c.want, decide(t, request(c.remote), c.provider, c.args...), "%v", c)
	}
	for _, p := range Providers {
		args := []string{}
		if p.Name == "local" {
			args = []string{"x"}
		}
		_, err := p.Parse(nil, args)
		assert.Error(t, err, p.Name)
	}
}

func TestNames(t *testing.T) {
	reverse := map[string][]string{
		"198.51.100.1": {"www.example.org."}, "198.51.100.2": {"www.example.org."}, // the second one lies
		"127.0.0.1": {"localhost"},
	}
	forward := map[string][]netip.Addr{
		"www.example.org.": {netip.MustParseAddr("198.51.100.1")}, "localhost": {netip.MustParseAddr("::1"), netip.MustParseAddr("::ffff:127.0.0.1")},
		"dyn.example.net": {netip.MustParseAddr("198.51.100.7")},
	}
	now, asked := time.Unix(0, 0), 0
	old := dns.System
	defer func() { dns.System = old }()
	dns.System = &dns.Resolver{
		LookupAddr: func(_ context.Context, a string) ([]string, error) {
			asked++
			if n, ok := reverse[a]; ok {
				return n, nil
			}
			return nil, errors.New("no such host")
		},
		LookupHost: func(_ context.Context, n string) ([]netip.Addr, error) { return forward[n], nil },
		Now:        func() time.Time { return now },
	}
	for _, c := range []struct {
		remote, name string
		want         bool
	}{
		{"198.51.100.1", "example.org", true}, {"198.51.100.1", ".example.org", true}, {"198.51.100.1", "WWW.example.org", true},
		{"198.51.100.1", "ample.org", false}, {"198.51.100.1", "x.www.example.org", false}, {"198.51.100.1", "", false},
		{"198.51.100.2", "example.org", false}, {"198.51.100.3", "example.org", false}, {"127.0.0.1", "localhost", true}, {"", "localhost", false},
	} {
		assert.Equal(t, c.want, decide(t, request(c.remote), "host", c.name), "%v", c)
	}
	assert.Equal(t, 4, asked, "answers are remembered")
	now = now.Add(dns.KeepFor)
	assert.True(t, decide(t, request("127.0.0.1"), "host", "localhost"))
	assert.Equal(t, 5, asked, "but not for ever")
	assert.True(t, decide(t, request("198.51.100.7"), "forward-dns", "nix", "dyn.example.net"))
	assert.False(t, decide(t, request("198.51.100.8"), "forward-dns", "dyn.example.net"))
	assert.False(t, decide(t, request(""), "forward-dns", "dyn.example.net"))
}
