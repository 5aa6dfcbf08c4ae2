// Tests of ErrorLogFormat against what Apache's documentation says.
package errorlog

import (
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func record() *Record {
	look := func(m map[string]string) func(string) (string, bool) {
		return func(name string) (string, bool) { v, ok := m[name]; return v, ok }
	}
	return &Record{
		Time: time.Date(2026, 11, 21, 14, 20, 14, 123456789, time.FixedZone("CET", 3600)), Level: 3, Module: "wsgi", PID: 7, TID: 8,
		Message: "it failed", Server: "www.example.org",
		Request: &Request{Client: netip.MustParseAddrPort("192.0.2.1:5555"), Peer: netip.MustParseAddrPort("[2001:db8::1]:6666"),
			Local: netip.MustParseAddrPort("[::ffff:198.51.100.1]:80"), LogID: "00a1-3", ConnID: "00a1", KeepAlives: 2, Host: "host.example",
			Header: look(map[string]string{"Referer": "http://a.example/\x1b[2J"}), Env: look(map[string]string{"SITE": "blue"}),
			Note: look(map[string]string{"n": "noted"})},
	}
}

func TestFormat(t *testing.T) {
	for _, c := range []struct{ format, want string }{
		{"%M", "it failed"},
		{"100%% %M", "100% it failed"},
		{"[%t] %M", "[Sat Nov 21 14:20:14 2026] it failed"},
		{"[%{u}t] %M", "[Sat Nov 21 14:20:14.123456 2026] it failed"},
		{"%{cu}t|%{cuz}t|%{uz}t %M", "2026-11-21 14:20:14.123456|2026-11-21 14:20:14.123456 +0100|Sat Nov 21 14:20:14.123456 2026 +0100 it failed"},
		{"%{%Y-%m-%d}t %M", "2026-11-21 it failed"},
		{"[%-m:%l] [pid %P:tid %T] %{g}T %M", "[wsgi:error] [pid 7:tid 8] 8 it failed"},
		{"%a %{c}a %A %M", "192.0.2.1:5555 2001:db8::1:6666 198.51.100.1:80 it failed"},
		{"%v %V %k %L %{c}L %M", "www.example.org host.example 2 00a1-3 00a1 it failed"},
		{"%{SITE}e %{n}n %{Referer}i %M", `blue noted http://a.example/\x1b[2J it failed`},
		// a field with an item that says nothing vanishes with the blank before it
		{"[x %{NONE}e] %M", "[x it failed"},
		{"a [client\\ %{NONE}e] b %M", "a b it failed"},
		{"%{NONE}e %M", " it failed"},
		{"%M% ,\\ referer\\ %{NONE}i", "it failed"},
		{"%M% ,\\ site\\ %{SITE}e", "it failed, site blue"},
		{"%-{NONE}e %-{SITE}e %M", "- blue it failed"},
		{"%3l %4l %7l %M", "error it failed"},
		{"%{C}L %E %F %M", " it failed"},
		{"%M\\tend\\q", "it failed\tend\\q"},
	} {
		f, err := Compile(c.format, true)
		require.NoError(t, err, c.format)
		assert.Equal(t, c.want+"\n", string(f.Append(nil, record())), c.format)
	}
}

func TestRequiredItem(t *testing.T) {
	f, err := Compile("%+{NONE}e %M", true)
	require.NoError(t, err)
	assert.Equal(t, "kept", string(f.Append([]byte("kept"), record())))
	f, err = Compile("%+{SITE}e %M", true)
	require.NoError(t, err)
	assert.Equal(t, "blue it failed\n", string(f.Append(nil, record())))
}

func TestDefault(t *testing.T) {
	r := record()
	assert.Equal(t, `[Sat Nov 21 14:20:14.123456 2026] [wsgi:error] [pid 7:tid 8] [remote 192.0.2.1:5555] it failed, referer: http://a.example/\x1b[2J`+"\n",
		string(Default("remote").Append(nil, r)))
	r.Request, r.Status, r.Message = nil, "(2)No such file or directory", "two\nlines\x00"
	assert.Equal(t, `[Sat Nov 21 14:20:14.123456 2026] [wsgi:error] [pid 7:tid 8] (2)No such file or directory: two\nlines\x00`+"\n", string(Default("client").Append(nil, r)))
	assert.Equal(t, `[wsgi:error] [pid 7:tid 8] (2)No such file or directory: two\nlines\x00`+"\n", string(DefaultSyslog("client").Append(nil, r)))
}

func TestErrors(t *testing.T) {
	for format, want := range map[string]string{
		"no message": "%M", "%q %M": "%q", "%{x %M": "missing }", "%M %": "ends within", "%e %M": "needs a name", "%{x}t %M": "form", "%77M": "level",
	} {
		_, err := Compile(format, true)
		assert.ErrorContains(t, err, want, format)
	}
	_, err := Compile("request %L", false)
	assert.NoError(t, err)
}

func TestProgram(t *testing.T) {
	f, err := Compile("%m %v %4a %M", true)
	require.NoError(t, err)
	assert.Equal(t, "S\x00\x00\x00\x04wsgi"+"S\x01\x00\x00\x01 "+"S\x00\x00\x00\x01s"+"S\x01\x00\x00\x01 "+"a\x00\x04\x00\x00"+"S\x01\x00\x00\x01 "+"M\x00\x00\x00\x00",
		string(f.Program("wsgi", "s", "")))
}

func FuzzCompile(f *testing.F) {
	for _, s := range []string{"%M", "[%{u}t] %7F: %M% ,\\ referer\\ %{Referer}i", "%+{a}e%-{b}n%15M", "% %%\\"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if c, err := Compile(text, true); err == nil {
			c.Append(nil, record())
			c.Program("m", "s", "h")
		}
	})
}
