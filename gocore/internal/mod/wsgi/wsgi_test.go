// This file tests how options are read: quoting, numbers as C reads them,
// networks, and that every option of WSGIDaemonProcess exists.

package wsgi

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"modwsgi/gocore/internal/conf"
	"modwsgi/gocore/internal/httpd"
)

func TestOptionPairs(t *testing.T) {
	for raw, want := range map[string][]pair{
		`name a=1 b=2`:                   {{"a", "1"}, {"b", "2"}},
		`"a name" path="/x y" z='it\'s'`: {{"path", "/x y"}, {"z", "it's"}},
		`n empty= next=1`:                {{"empty", ""}, {"next", "1"}},
		`n q="a\"b\\c" d=%{GROUP}`:       {{"q", `a"b\c`}, {"d", "%{GROUP}"}},
		`n back=\\x`:                     {{"back", `\x`}},
		`n`:                              nil,
		"n\ta=b=c":                       {{"a", "b=c"}},
		`n "a=x y" 'b=it\'s' c="z"`:      {{"a", "x y"}, {"b", "it's"}, {"c", "z"}},
		`n "home=/a b"`:                  {{"home", "/a b"}},
	} {
		got, err := optionPairs(&httpd.Cmd{Directive: &conf.Directive{Raw: raw}}, 1)
		require.NoError(t, err, raw)
		assert.Equal(t, want, got, raw)
	}
	for _, raw := range []string{`n a`, `n =b`, `n a =b`, `n a=1 "b c"=2`, `n "=x"`, `n "a"`} {
		_, err := optionPairs(&httpd.Cmd{Directive: &conf.Directive{Raw: raw}}, 1)
		assert.ErrorContains(t, err, "is not an option=value", raw)
	}
}

func FuzzOptionPairs(f *testing.F) {
	f.Add(`name a=1 b="x y" c='\''`)
	f.Fuzz(func(t *testing.T, raw string) {
		pairs, err := optionPairs(&httpd.Cmd{Directive: &conf.Directive{Raw: raw}}, 1)
		for _, p := range pairs {
			require.NotEmpty(t, p.key)
			require.NotContains(t, p.key, " ")
			require.NoError(t, err)
		}
	})
}

func TestAtoi(t *testing.T) {
	for s, want := range map[string]int{"10": 10, "10s": 10, "x": 0, "": 0, "-3": -3, " 7": 7, "+5": 5} {
		assert.Equal(t, want, atoi(s), s)
	}
}

// TestOptionsThatAreNumbers: every option that reads "9x" without complaint is
// one of those that get a warning for it, and the number is what atoi makes of it.
func TestOptionsThatAreNumbers(t *testing.T) {
	for key := range numbers {
		if assert.NotContains(t, texts, key) && !strings.HasSuffix(key, "-size") {
			assert.NoError(t, options[key](newGroup("x"), "9x"), key)
		}
	}
	for text, want := range map[string]int64{"9x": 9, "x": 0, "": 0, "+5": 5, " 6000000000": 6000000000, "-": 0, "1 2": 1, "0x10": 0} {
		n, err := leading(text, 64)
		assert.NoError(t, err, text)
		assert.Equal(t, want, n, text)
	}
	g := newGroup("x")
	require.NoError(t, options["memory-limit"](g, "6000000000 bytes"))
	assert.Equal(t, int64(6000000000), g.MemoryLimit)
	assert.Error(t, options["memory-limit"](g, "99999999999999999999"))
	assert.Equal(t, 1<<31-1, atoi("99999999999"))
}

func TestParsePrefix(t *testing.T) {
	for s, want := range map[string]string{"10.1.2.3": "10.1.2.3/32", "10.1.2.3/8": "10.0.0.0/8", "10.0.0.0/255.255.0.0": "10.0.0.0/16", "::1": "::1/128",
		"FE80::/10": "fe80::/10", "::ffff:10.0.0.0/104": "10.0.0.0/8"} {
		p, err := parsePrefix(s)
		require.NoError(t, err, s)
		assert.Equal(t, want, p.String(), s)
	}
	for _, s := range []string{"", "host", "10.0.0.0/33", "10.0.0.0/255.0.255.0", "::/129", "10.0.0/8", "fe80::1%eth0"} {
		_, err := parsePrefix(s)
		assert.Error(t, err, s)
	}
}

// daemonOptions are all options of mod_wsgi 6.0.5 and our two, with a value that is legal.
const daemonOptions = `user=#1 group=#1 supplementary-groups=a,b processes=1 threads=0 umask=0022 home=/x lang=C locale=C python-home=/x python-path=/a:/b
python-eggs=/e switch-interval=0.01 stack-size=65536 maximum-requests=1 startup-timeout=1 shutdown-timeout=0 deadlock-timeout=1 inactivity-timeout=1
request-timeout=1 interrupt-timeout=1 graceful-timeout=1 eviction-timeout=1 restart-interval=1 connect-timeout=1 socket-timeout=1 queue-timeout=1
listen-backlog=1 socket-user=#1 display-name=x send-buffer-size=512 receive-buffer-size=0 header-buffer-size=8192 response-buffer-size=65536
response-socket-timeout=1 response-flush-delay=7 script-user=#1 script-group=#1 cpu-time-limit=1 cpu-priority=-5 memory-limit=5000000000
virtual-memory-limit=1 server-metrics=on maximum-requests-jitter=3 resident-memory-limit=7000000000`

func TestDaemonOptions(t *testing.T) {
	assert.Len(t, options, 46)
	g := newGroup("x")
	seen := 1 // chroot
	for _, w := range strings.Fields(daemonOptions) {
		key, value, _ := strings.Cut(w, "=")
		require.Contains(t, options, key)
		require.NoError(t, options[key](g, value), w)
		seen++
	}
	assert.Equal(t, 46, seen)
	assert.Equal(t, 0o022, g.Umask)
	assert.Equal(t, 7*time.Millisecond, g.ResponseFlushDelay)
	assert.Equal(t, int64(5000000000), g.MemoryLimit)
	assert.True(t, g.Multiprocess)
	for _, w := range strings.Fields(`processes=0 threads=-1 umask=8 umask=1777 home=x switch-interval=0 switch-interval=1s stack-size=0 maximum-requests=-1
		startup-timeout=-1 send-buffer-size=511 header-buffer-size=100 response-buffer-size=1 memory-limit=-1 server-metrics=maybe user=#0 user=#x threads= chroot=x`) {
		key, value, _ := strings.Cut(w, "=")
		assert.Error(t, options[key](newGroup("x"), value), w)
	}
}

func TestUnseen(t *testing.T) {
	dir := t.TempDir()
	assert.Equal(t, "there is no such file in its directory", unseen(dir+"/app.wsgi"))
	assert.Equal(t, dir+"/site does not exist", unseen(dir+"/site/www/app.wsgi"))
	if os.Geteuid() != 0 { // root enters every directory
		require.NoError(t, os.Mkdir(dir+"/closed", 0))
		assert.Equal(t, fmt.Sprintf("user %d may not enter the directory %s/closed", os.Geteuid(), dir), unseen(dir+"/closed/app.wsgi"))
	}
}

func TestOwnership(t *testing.T) {
	dir := t.TempDir()
	script := dir + "/app.wsgi"
	require.NoError(t, os.WriteFile(script, nil, 0o644))
	me := fmt.Sprintf("#%d", os.Geteuid())
	gid := fmt.Sprintf("#%d", os.Getegid())
	code := func(g httpd.DaemonGroup) string {
		why, _, _ := strings.Cut(ownership(&g, script), ":")
		return why
	}
	assert.Empty(t, code(httpd.DaemonGroup{}))
	assert.Empty(t, code(httpd.DaemonGroup{ScriptUser: me}))
	assert.Empty(t, code(httpd.DaemonGroup{ScriptGroup: gid}))
	assert.Equal(t, "WSGI0164", code(httpd.DaemonGroup{ScriptUser: "#4294967294"}))
	assert.Equal(t, "WSGI0155", code(httpd.DaemonGroup{ScriptGroup: "#4294967294"}))
	require.NoError(t, os.Chmod(script, 0o666))
	assert.Equal(t, "WSGI0166", code(httpd.DaemonGroup{ScriptUser: me}))
	assert.Equal(t, "WSGI0157", code(httpd.DaemonGroup{ScriptGroup: gid}))
	require.NoError(t, os.Chmod(script, 0o664))
	assert.Equal(t, "WSGI0167", code(httpd.DaemonGroup{ScriptUser: me}))
	require.NoError(t, os.Chmod(script, 0o644))
	require.NoError(t, os.Chmod(dir, 0o777))
	assert.Equal(t, "WSGI0172", code(httpd.DaemonGroup{ScriptUser: me}))
	assert.Equal(t, "WSGI0161", code(httpd.DaemonGroup{ScriptGroup: gid}))
}

// TestOptionsAreDocumented: the table of docs/process-groups.md has every
// option of WSGIDaemonProcess, and no other.
func TestOptionsAreDocumented(t *testing.T) {
	page, err := os.ReadFile("../../../../docs/process-groups.md")
	require.NoError(t, err)
	_, table, found := strings.Cut(string(page), "\n## Options of WSGIDaemonProcess\n")
	require.True(t, found)
	table, _, _ = strings.Cut(table, "\n## ")
	var documented, existing []string
	for row := range strings.Lines(table) {
		if !strings.HasPrefix(row, "| `") {
			continue
		}
		for name := range strings.SplitSeq(strings.Split(row, "|")[1], ",") {
			documented = append(documented, strings.Trim(name, " `"))
		}
	}
	for name := range options {
		existing = append(existing, name)
	}
	assert.ElementsMatch(t, existing, documented)
}
