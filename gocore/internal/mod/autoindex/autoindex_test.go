// Tests of listings from configuration text to page.

package autoindex_test

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"modwsgi/gocore/internal/conf"
	"modwsgi/gocore/internal/httpd"
	"modwsgi/gocore/internal/mod"
)

var old = time.Date(2024, 2, 29, 12, 0, 0, 0, time.UTC)

// site is a directory with a few entries below DocumentRoot.
func site(t *testing.T, config string) func(target string, fields ...string) *httpd.Outcome {
	t.Helper()
	root := t.TempDir()
	for name, size := range map[string]int{"list/a.txt": 5, "list/B.html": 2000, "list/c-10.tar.gz": 1 << 20, "list/c-9.tar.gz": 973,
		"list/.hidden": 1, "list/secret.txt": 1, "list/sub/x": 1, "list/we<ird & \"q\".txt": 1, "list/x:y": 1, "list/README.html": 0,
		"list/HEADER.txt": 0, "bare/z": 0} {
		p := filepath.Join(root, name)
		require.NoError(t, os.MkdirAll(filepath.Dir(p), 0o755))
		require.NoError(t, os.WriteFile(p, []byte(strings.Repeat("x", size)), 0o644))
		require.NoError(t, os.Chtimes(p, old.Add(time.Duration(size)*time.Second), old.Add(time.Duration(size)*time.Second)))
	}
	write := func(name, s string) { require.NoError(t, os.WriteFile(filepath.Join(root, name), []byte(s), 0o644)) }
	write("list/README.html", "<p>read <b>me</b></p>")
	write("list/HEADER.txt", "plain & simple")
	write("list/B.html", "<html><head><TITLE>\n The &amp; title</TITLE></head>")
	require.NoError(t, os.Symlink("/dev/null", filepath.Join(root, "list/device")))
	require.NoError(t, os.Symlink("/nowhere", filepath.Join(root, "list/dangling")))
	text := "ServerName x\nListen 80\nDocumentRoot ROOT\n<Directory ROOT/list>\nOptions +Indexes\n</Directory>\n<Files secret.txt>\nRequire all denied\n</Files>\n" + config
	tree, diags := conf.ParseText("test.conf", strings.ReplaceAll(text, "ROOT", root), httpd.ConfOptions(mod.All))
	require.False(t, conf.HasErrors(diags), diags)
	s, diags := httpd.Compile(tree, mod.All)
	require.False(t, conf.HasErrors(diags), diags)
	return func(target string, fields ...string) *httpd.Outcome {
		path, query, _ := strings.Cut(target, "?")
		r := &httpd.Request{Method: "GET", RawPath: path, Query: query, RawTarget: target, Proto: "HTTP/1.1", HostName: "x", ContentLength: -1,
			Remote: netip.MustParseAddrPort("127.0.0.1:5"), Local: netip.MustParseAddrPort("127.0.0.1:80")}
		for _, f := range fields {
			name, value, _ := strings.Cut(f, ": ")
			r.Header = append(r.Header, httpd.Field{Name: name, Value: value})
		}
		return s.Main.Handle(r)
	}
}

// names are the links of a page that lead to entries, in order.
func names(page string) (list []string) {
	for _, m := range regexp.MustCompile(`<a href="([^"?]+)"`).FindAllStringSubmatch(page, -1) {
		list = append(list, m[1])
	}
	return list
}

func TestWhatIsListed(t *testing.T) {
	plain := []string{"../", "B.html", "HEADER.txt", "README.html", "a.txt", "c-10.tar.gz", "c-9.tar.gz", "sub/", "we%3Cird%20&amp;%20%22q%22.txt", "./x:y"}
	without := func(drop ...string) (list []string) {
		for _, n := range plain {
			keep := true
			for _, d := range drop {
				keep = keep && n != d
			}
			if keep {
				list = append(list, n)
			}
		}
		return list
	}
	for _, c := range []struct {
		config, query string
		want          []string
	}{
		{"", "", plain},
		{"IndexOptions ShowForbidden", "", append(append(without("sub/", plain[8], "./x:y"), "secret.txt"), "sub/", plain[8], "./x:y")},
		{"IndexIgnore *.tar.gz HEADER", "", without("c-10.tar.gz", "c-9.tar.gz")},
		{"IndexIgnore .txt sub", "", without("HEADER.txt", "a.txt", "sub/", plain[8])},
		{"IndexIgnore *.txt\n<Directory ROOT/list>\nIndexIgnoreReset ON\nIndexIgnore sub\n</Directory>", "", without("sub/")},
		{"", "?P=c*", []string{"../", "c-10.tar.gz", "c-9.tar.gz"}},
		{"", "?P=%63*", []string{"../", "c-10.tar.gz", "c-9.tar.gz"}},
		{"IndexOptions IgnoreClient", "?P=c*", plain},
		{"IndexOptions IgnoreCase", "?P=B*", []string{"../", "B.html"}},
		{"", "?P=c*&C=N;O=D", []string{"../", "c-9.tar.gz", "c-10.tar.gz"}},
		{"IndexOptions VersionSort", "?P=c*", []string{"../", "c-9.tar.gz", "c-10.tar.gz"}},
		{"", "?P=c*&V=1", []string{"../", "c-9.tar.gz", "c-10.tar.gz"}},
		{"IndexOptions VersionSort", "?P=c*;V=0", []string{"../", "c-10.tar.gz", "c-9.tar.gz"}},
		{"IndexOrderDefault Descending Name", "?P=c*", []string{"../", "c-9.tar.gz", "c-10.tar.gz"}},
		{"IndexOrderDefault Ascending Size", "?P=c*", []string{"../", "c-9.tar.gz", "c-10.tar.gz"}},
		{"IndexOrderDefault Descending Date", "?P=c*", []string{"../", "c-10.tar.gz", "c-9.tar.gz"}},
		{"IndexOrderDefault Descending Date", "?P=c*;C=S;O=A", []string{"../", "c-9.tar.gz", "c-10.tar.gz"}},
		{"AddDescription z c-10\nAddDescription a c-9*", "?P=c*;C=D", []string{"../", "c-9.tar.gz", "c-10.tar.gz"}},
		{"IndexOptions FoldersFirst", "?P=[as]*", []string{"../", "sub/", "a.txt"}},
		{"IndexOptions FoldersFirst", "?P=[as]*;C=N;O=D", []string{"../", "sub/", "a.txt"}},
		{"IndexOptions IgnoreCase", "?P=[aB]*", []string{"../", "a.txt", "B.html"}},
	} {
		t.Run(c.config+c.query, func(t *testing.T) {
			out := site(t, c.config)("/list/" + c.query)
			require.Equal(t, 200, out.Status)
			assert.Equal(t, c.want, names(string(out.Body)))
		})
	}
}

func TestForms(t *testing.T) {
	day := old.Local().Format("2006-01-02 15:04")
	for _, c := range []struct{ config, query, want, not string }{
		{"", "", "<ul><li><a href=\"../\"> Parent Directory</a></li>\n<li><a href=\"B.html\"> B.html</a></li>\n", "<table"},
		{"", "", "<h1>Index of /list</h1>", ""},
		{"", "", `> we&lt;ird &amp; &#34;q&#34;.txt</a>`, "<ird"},
		{"IndexOptions FancyIndexing", "?P=a*", `<a href="a.txt">a.txt</a>                   ` + day + "    5   \n", "<ul>"},
		{"IndexOptions FancyIndexing", "?P=a*", `<a href="?C=N;O=D;P=a*">Name</a>                    <a href="?C=M;O=A;P=a*">Last modified</a>`, ""},
		{"IndexOptions FancyIndexing\nAddIcon (TXT,/i/t.gif) .txt", "?P=a*", `<img src="/i/t.gif" alt="[TXT]"> <a href="a.txt">`, ""},
		{"IndexOptions FancyIndexing IconWidth=7 IconHeight XHTML IconsAreLinks\nAddIconByType /i/t.gif text/*", "?P=a*", `<a href="a.txt"><img src="/i/t.gif" alt="[   ]" width="7" height="20" /></a> `, ""},
		{"IndexOptions FancyIndexing\nAddIcon (D,/i/d.gif) ^^DIRECTORY^^\nAddAlt other ^^DIRECTORY^^", "?P=sub", `<img src="/i/d.gif" alt="[other]"> <a href="sub/">`, ""},
		{"IndexOptions FancyIndexing\nAddIcon /i/b.gif ^^BLANKICON^^\nAddIcon /i/up.gif ..", "?P=sub", `<pre><img src="/i/b.gif" alt="[ICO]"> <a href="?C=N`, ""},
		{"IndexOptions FancyIndexing\nAddEncoding x-gzip .gz\nAddIconByType /i/t.gif application/*\nAddIconByEncoding (CMP,/i/z.gif) x-gzip", "?P=c-9*", `/i/z.gif`, "/i/t.gif"},
		{"IndexOptions FancyIndexing\nDefaultIcon /i/u.gif", "?P=x*", `<img src="/i/u.gif" alt="[   ]">`, ""},
		{"IndexOptions FancyIndexing SuppressIcon SuppressLastModified SuppressSize SuppressDescription SuppressRules SuppressColumnSorting", "?P=a*", "<pre>Name                    \n<a href=\"../\">", "<hr"},
		{"IndexOptions FancyIndexing UseOldDateFormat", "?P=a*", old.Local().Format("02-Jan-2006 15:04"), ""},
		{"IndexOptions FancyIndexing NameWidth=10", "?P=c-10*", `>c-10.ta..&gt;</a> `, ""},
		{"IndexOptions FancyIndexing NameWidth=*", "?P=we*", `.txt</a>`, "..&gt;"},
		{"IndexOptions FancyIndexing DescriptionWidth=4\nAddDescription \"<b>many</b> words\" a.txt", "?P=a*", "<b>many</b>&gt;", "words"},
		{"IndexOptions FancyIndexing ScanHTMLTitles", "?P=B*", "  The &amp; title", ""},
		{"IndexOptions FancyIndexing", "?P=c*", "1.0M", "1048576"},
		{"IndexOptions FancyIndexing", "?P=c-9*", "1.0K", ""},
		{"IndexOptions HTMLTable FancyIndexing", "?P=a*", `<td><a href="a.txt">a.txt</a>                  </td><td align="right">` + day + `  </td><td align="right">  5 </td>`, "<pre>"},
		{"IndexOptions HTMLTable FancyIndexing AddAltClass", "?P=a*", `<tr class="odd`, ""},
		{"IndexOptions FancyIndexing", "?F=2;P=a*", "<table>", "<pre>"},
		{"IndexOptions FancyIndexing", "?F=0", "<ul>", "<pre>"},
		{"IndexOptions FancyIndexing HTMLTable", "?F=1", "<pre>", "<table>"},
		{"IndexOptions FancyIndexing", "?C=N;O=D;P=%22%3E%3Cscript%3E", ";P=%22%3E%3Cscript%3E\"", "<script"},
		{"IndexOptions FancyIndexing", "?P=\"><script>", "", "<script"},
		{"IndexStyleSheet /s.css\nIndexHeadInsert \"<meta name=x>\"", "", "<link rel=\"stylesheet\" href=\"/s.css\" type=\"text/css\">\n<meta name=x>\n", ""},
		{"IndexStyleSheet /s.css\nIndexOptions HTMLTable FancyIndexing", "?P=a*", `<td class="indexcolname"><a href="a.txt">`, "valign"},
		{"IndexStyleSheet /s.css\nIndexOptions HTMLTable FancyIndexing", "?P=a*", `<table id="indexlist">`, "<h1>"},
		{"HeaderName HEADER.txt", "", "<pre>plain &amp; simple</pre>\n", "<h1>"},
		{"ReadmeName README.html", "", "</ul>\n<p>read <b>me</b></p></body>", ""},
		{"ReadmeName /list/README.html", "", "</ul>\n<p>read <b>me</b></p></body>", ""},
		{"HeaderName README.html\nIndexOptions SuppressHTMLPreamble", "", "<p>read", "<title>"},
		{"HeaderName HEADER.txt\nIndexOptions SuppressHTMLPreamble", "", "<title>", ""},
		{"HeaderName secret.txt", "", "<h1>", ""},
		{"ServerSignature On", "", "<address>", ""},
	} {
		t.Run(c.config+c.query, func(t *testing.T) {
			out := site(t, c.config)("/list/" + c.query)
			require.Equal(t, 200, out.Status)
			assert.Contains(t, string(out.Body), c.want)
			if c.not != "" {
				assert.NotContains(t, string(out.Body), c.not)
			}
		})
	}
}

func TestStatusAndHeader(t *testing.T) {
	get := site(t, "IndexOptions TrackModified Charset=latin1 Type=text/plain")
	out := get("/list/")
	fields := map[string]string{}
	for _, f := range out.Header {
		fields[f.Name] = f.Value
	}
	assert.Equal(t, "text/plain;charset=latin1", fields["Content-Type"])
	assert.Equal(t, 304, get("/list/", "If-None-Match: "+fields["ETag"]).Status)
	assert.Equal(t, 304, get("/list/", "If-Modified-Since: "+fields["Last-Modified"]).Status)
	assert.Equal(t, 200, get("/list/", "If-None-Match: x").Status)
	assert.Equal(t, 403, get("/bare/").Status)
	assert.Equal(t, 301, get("/list").Status)
	assert.Equal(t, 404, get("/list/none").Status)
}

func TestOptionsInherit(t *testing.T) {
	for i, c := range []struct {
		outer, inner string
		table, icons bool // of the listing
	}{
		{"FancyIndexing HTMLTable", "", true, true},
		{"FancyIndexing HTMLTable", "FancyIndexing", false, true},
		{"FancyIndexing HTMLTable", "+SuppressIcon", true, false},
		{"FancyIndexing HTMLTable SuppressIcon", "-SuppressIcon", true, true},
		{"FancyIndexing HTMLTable", "-HTMLTable", false, true},
		{"FancyIndexing HTMLTable", "None", false, false},
		{"+FancyIndexing +HTMLTable", "+SuppressIcon", true, false},
		{"FancyIndexing", "FancyIndexing +HTMLTable -SuppressIcon", true, true},
	} {
		config := fmt.Sprintf("AddIcon /i.gif .txt\nIndexOptions %s\n", c.outer)
		if c.inner != "" {
			config += "<Directory ROOT/list>\nIndexOptions " + c.inner + "\n</Directory>"
		}
		body := string(site(t, config)("/list/").Body)
		assert.Equal(t, c.table, strings.Contains(body, "<table>"), i)
		assert.Equal(t, c.icons, strings.Contains(body, "/i.gif"), i)
	}
}

func TestRefusedConfiguration(t *testing.T) {
	for _, c := range []string{"IndexOptions Frobnicate", "IndexOptions +None", "IndexOptions NameWidth=x", "IndexOptions NameWidth", "IndexOrderDefault Up Name",
		"IndexOrderDefault Ascending Colour", "AddIcon (TXT/i.gif .txt", "IndexIgnoreReset maybe", "AddDescription x"} {
		tree, _ := conf.ParseText("test.conf", c, httpd.ConfOptions(mod.All))
		_, diags := httpd.Compile(tree, mod.All)
		assert.True(t, conf.HasErrors(diags), c)
	}
}
