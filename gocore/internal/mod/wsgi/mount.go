// Readers of the directives that say which script serves what.
package wsgi

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"modwsgi/gocore/internal/conf"
	"modwsgi/gocore/internal/httpd"
)

// mount is one WSGIScriptAlias.
type mount struct {
	prefix  string
	re      *httpd.Regexp // Match form
	target  string
	options scriptOptions
	pub     httpd.Mount // what the core sees; its address identifies the mount
	pos     conf.Pos

	fallback bool // WSGIFallbackScriptAlias: after all others, and of its host only
	host     int  // index of the host that it was written in
}

// handlerScript is one WSGIHandlerScript.
type handlerScript struct {
	path    string
	options scriptOptions
}

// scriptOptions are the key=value words of mounts and handlers.
type scriptOptions struct {
	processGroup, applicationGroup, callable httpd.Opt[string]
	passAuthorization                        httpd.Opt[bool]
}

// keyValue splits an option. Keys are compared as they are written.
func keyValue(w string) (key, value string, err error) {
	key, value, ok := strings.Cut(w, "=")
	if !ok || key == "" || strings.ContainsAny(key, " \t") {
		return "", "", fmt.Errorf("%q is not an option=value", w)
	}
	if n := len(value); n >= 2 && (value[0] == '"' || value[0] == '\'') && value[n-1] == value[0] {
		value = value[1 : n-1]
	}
	return key, value, nil
}

// pair is one option=value.
type pair struct{ key, value string }

// optionPairs reads the option=value words that follow the first skip words.
// It goes by the raw text, because a value may be quoted as in key="a b",
// which Apache's splitting into words does not know. "key=a b" is the same.
func optionPairs(k *httpd.Cmd, skip int) ([]pair, error) {
	raw := strings.TrimLeft(k.Raw, " \t")
	for range skip {
		_, raw = word(raw)
	}
	var out []pair
	for raw != "" {
		if raw[0] == '"' || raw[0] == '\'' {
			w, rest := word(raw)
			key, value, ok := strings.Cut(w, "=")
			if !ok || key == "" || strings.ContainsAny(key, " \t") {
				return nil, fmt.Errorf("%q is not an option=value", w)
			}
			out, raw = append(out, pair{key, value}), rest
			continue
		}
		end := strings.IndexAny(raw, "= \t")
		if end <= 0 || raw[end] != '=' {
			w, _ := word(raw)
			return nil, fmt.Errorf("%q is not an option=value", w)
		}
		p := pair{key: raw[:end]}
		if raw = raw[end+1:]; raw != "" && raw[0] != ' ' && raw[0] != '\t' {
			p.value, raw = word(raw)
		} else {
			raw = strings.TrimLeft(raw, " \t")
		}
		out = append(out, p)
	}
	return out, nil
}

// word takes the first word by Apache's rules for words and quotes.
func word(s string) (first, rest string) {
	if s == "" {
		return "", ""
	}
	var b strings.Builder
	i, quote := 0, byte(0)
	if s[0] == '"' || s[0] == '\'' {
		quote, i = s[0], 1
	}
	for ; i < len(s); i++ {
		c := s[i]
		switch {
		case c == '\\' && i+1 < len(s) && (s[i+1] == '\\' || quote != 0 && s[i+1] == quote):
			i++
			c = s[i]
		case quote != 0 && c == quote:
			return b.String(), strings.TrimLeft(s[i+1:], " \t")
		case quote == 0 && (c == ' ' || c == '\t'):
			return b.String(), strings.TrimLeft(s[i:], " \t")
		}
		b.WriteByte(c)
	}
	return b.String(), ""
}

// global turns %{GLOBAL} into the empty name.
func global(s string) string {
	if s == "%{GLOBAL}" {
		return ""
	}
	return s
}

func readScriptOptions(k *httpd.Cmd, callable bool) (o scriptOptions, err error) {
	pairs, err := optionPairs(k, 2)
	for _, p := range pairs {
		key, value := p.key, p.value
		switch {
		case key == "process-group" && value != "":
			o.processGroup = httpd.Some(global(value))
		case key == "application-group" && value != "":
			o.applicationGroup = httpd.Some(global(value))
		case key == "callable-object" && callable && value != "":
			o.callable = httpd.Some(value)
		case key == "pass-authorization":
			v, err := httpd.ParseFlag(value)
			if err != nil {
				return o, fmt.Errorf("pass-authorization %w", err)
			}
			o.passAuthorization = httpd.Some(v)
		default:
			known := []string{"process-group", "application-group", "pass-authorization"}
			if callable {
				known = append(known, "callable-object")
			}
			for _, n := range known {
				if n == key {
					return o, fmt.Errorf("option %s needs a value", key)
				}
			}
			hint := "options are " + strings.Join(known, ", ")
			if n := conf.Suggest(key, known); n != "" {
				hint = "did you mean " + n + "?"
			}
			return o, &httpd.Coded{Code: "WSGI-OPTION", Message: fmt.Sprintf("unknown option %q", key), Suggestion: hint}
		}
	}
	return o, err
}

// dynamic reports whether a name depends on the request.
func dynamic(name string) bool {
	return strings.HasPrefix(name, "%{ENV:") || name == "%{HOST}"
}

func (o *scriptOptions) dynamic() bool {
	return dynamic(o.processGroup.V) || dynamic(o.applicationGroup.V)
}

func setScriptAlias(k *httpd.Cmd, c *config) error { return addMount(k, c, false) }

func setScriptAliasMatch(k *httpd.Cmd, c *config) error { return addMount(k, c, true) }

func setFallbackAlias(k *httpd.Cmd, c *config) error {
	if err := addMount(k, c, false); err != nil {
		return err
	}
	c.mounts[len(c.mounts)-1].fallback = true
	c.mounts = fallbacksLast(c.mounts)
	return nil
}

// fallbacksLast keeps the order but for fallbacks, which come after the others.
func fallbacksLast(list []*mount) []*mount {
	out := slices.Clone(list)
	slices.SortStableFunc(out, func(a, b *mount) int {
		switch {
		case a.fallback == b.fallback:
			return 0
		case b.fallback:
			return -1
		}
		return 1
	})
	return out
}

func addMount(k *httpd.Cmd, c *config, match bool) error {
	m := &mount{pos: k.Pos, host: k.HostIndex}
	var err error
	if m.options, err = readScriptOptions(k, true); err != nil {
		return err
	}
	target := k.Arg(1)
	if target == "" {
		return fmt.Errorf("needs the path of a script or directory")
	}
	m.target = k.File(target)
	if strings.HasSuffix(target, "/") && m.target != "/" {
		m.target += "/"
	}
	if match {
		if m.re, err = httpd.CompileRegexp(k.Arg(0), false); err != nil {
			return err
		}
	} else {
		m.prefix = k.Arg(0)
		if !strings.HasPrefix(m.prefix, "/") {
			return fmt.Errorf("%q is not a URL path; it must begin with a slash", m.prefix)
		}
		for _, before := range c.mounts {
			if before.re == nil && !before.fallback && httpd.MatchPrefix(m.prefix, before.prefix) > 0 {
				k.Warn(httpd.CodeOverlap, "%q is never reached: %q (%s) matches first; put longer paths first", m.prefix, before.prefix, before.pos)
				break
			}
		}
	}
	m.pub = httpd.Mount{Target: m.target, PerRequest: m.options.dynamic(), Pos: k.Pos}
	c.mounts = append(c.mounts, m)
	pg, ag := m.options.processGroup, m.options.applicationGroup
	if pg.Set && ag.Set && !strings.Contains(pg.V+ag.V, "%{") && !(match && strings.Contains(m.target, "$")) {
		if fi, err := os.Stat(m.target); err == nil && fi.IsDir() {
			return nil // its scripts are known when they are asked for
		}
		main := mainOf(k, c)
		for _, old := range main.imports { // the same script in several hosts is loaded once
			if old.byMount && old.processGroup == pg.V && old.path == m.target && old.applicationGroup == ag.V {
				return nil
			}
		}
		main.imports = append(main.imports, importScript{pg.V, m.target, ag.V, k.HostIndex, true, k.Name, k.Pos})
	}
	return nil
}

func setHandlerScript(k *httpd.Cmd, c *config) error {
	o, err := readScriptOptions(k, false)
	if err != nil {
		return err
	}
	if k.Arg(0) == "" || k.Arg(1) == "" {
		return fmt.Errorf("needs a name and the path of a script")
	}
	m := maps.Clone(c.handlers)
	if m == nil {
		m = map[string]*handlerScript{}
	}
	m[k.Arg(0)] = &handlerScript{path: k.File(k.Arg(1)), options: o}
	c.handlers = m
	return nil
}

func setImportScript(k *httpd.Cmd, c *config) error {
	i := importScript{path: k.File(k.Arg(0)), host: k.HostIndex, directive: k.Name, pos: k.Pos}
	havePG, haveAG := false, false
	pairs, err := optionPairs(k, 1)
	if err != nil {
		return err
	}
	for _, p := range pairs {
		key, value := p.key, p.value
		switch {
		case key == "process-group":
			i.processGroup, havePG = global(value), true
		case key == "application-group":
			i.applicationGroup, haveAG = global(value), true
		default:
			return &httpd.Coded{Code: "WSGI-OPTION", Message: fmt.Sprintf("unknown option %q", key), Suggestion: "options are process-group and application-group"}
		}
	}
	if !havePG {
		return fmt.Errorf("the option process-group is missing")
	}
	if !haveAG {
		return fmt.Errorf("the option application-group is missing")
	}
	main := mainOf(k, c)
	main.imports = append(main.imports, i)
	return nil
}

// finish fills in groups and Python's settings when the whole file was read.
func finish(srv *httpd.Server, c *config, report func(conf.Diagnostic)) {
	m := c.main
	if m == nil {
		srv.Python = defaultPython()
		return
	}
	srv.Python = m.python
	srv.Python.Interpreters = m.interpreters
	for _, g := range m.groups {
		g.HostServerName = hostName(srv, g.HostIndex)
		srv.Groups = append(srv.Groups, *g)
	}
	for _, i := range m.imports {
		script := httpd.ImportScript{Path: i.path, ApplicationGroup: i.applicationGroup, Pos: i.pos}
		if i.processGroup == "" {
			if !(i.byMount && srv.Python.RestrictEmbedded) {
				srv.Python.EmbeddedImports = addImport(srv.Python.EmbeddedImports, script)
			}
			continue
		}
		g := findGroup(srv, i.processGroup)
		d := conf.Diagnostic{Severity: conf.Error, Code: "WSGI-PROCESS-GROUP", Pos: i.pos, Directive: i.directive}
		switch {
		case g == nil:
			d.Message = fmt.Sprintf("process group %q is not defined", i.processGroup)
			var names []string
			for _, x := range srv.Groups {
				names = append(names, x.Name)
			}
			if n := conf.Suggest(i.processGroup, names); n != "" {
				d.Suggestion = "did you mean " + n + "?"
			} else {
				d.Suggestion = "WSGIDaemonProcess " + i.processGroup
			}
			report(d)
		case !reachable(g, i.host, hostName(srv, i.host)):
			d.Message = fmt.Sprintf("process group %q belongs to the virtual host %s", i.processGroup, g.HostServerName)
			report(d)
		default:
			path, ok := g.Inside(script.Path)
			if !ok {
				d.Message = fmt.Sprintf("%s is outside of chroot=%s of process group %q", script.Path, g.Chroot, g.Name)
				report(d)
				continue
			}
			script.Path = path
			g.Preload = addImport(g.Preload, script)
		}
	}
	for i := range srv.Groups {
		if g := &srv.Groups[i]; g.Threads == 0 && len(g.Preload) == 0 {
			report(conf.Diagnostic{Severity: conf.Warning, Code: "WSGI-NO-SCRIPT", Pos: g.Pos, Directive: "WSGIDaemonProcess",
				Message:    fmt.Sprintf("process group %q has threads=0, and no script to run", g.Name),
				Suggestion: fmt.Sprintf("WSGIImportScript /path/of/script process-group=%s application-group=%%{GLOBAL}", g.Name)})
		}
	}
}

// check warns about names of process groups that no request could use.
func check(k *httpd.Checker, c *config) {
	warn := func(name httpd.Opt[string], pos conf.Pos, directive string) {
		if !name.Set || name.V == "" || strings.HasPrefix(name.V, "%") {
			return
		}
		g := findGroup(k.Server, name.V)
		if g == nil || !reachable(g, k.Host.Index(), k.Host.ServerName) {
			k.Report(conf.Diagnostic{Severity: conf.Warning, Code: "WSGI-PROCESS-GROUP", Pos: pos, Directive: directive,
				Message: fmt.Sprintf("process group %q is not defined for %s: requests will get status 500", name.V, k.Host.ServerName)})
		}
	}
	if k.Host.Index() == 0 || c.processGroup.Set {
		warn(c.processGroup, c.processGroupPos, "WSGIProcessGroup")
	}
	mayEmbed(k.Server, k.Host.Index(), c)
	for _, m := range c.mounts {
		m.pub.PerRequest = m.pub.PerRequest || c.main.checksOwner(m.options.processGroup.V)
	}
	for _, m := range c.mounts {
		if !m.options.applicationGroup.Set { // else Finish has judged it
			warn(m.options.processGroup, m.pos, "WSGIScriptAlias")
		}
	}
}

// mayEmbed notes what of a host may run in embedded mode, by its own settings.
func mayEmbed(srv *httpd.Server, host int, c *config) {
	embedded := func(o httpd.Opt[string]) bool {
		name := o.Or(c.processGroup.V)
		return name == "" || dynamic(name)
	}
	add := func(script string) {
		srv.Python.Embedded = append(srv.Python.Embedded, httpd.EmbeddedUse{Host: host, Script: script})
	}
	for _, m := range c.mounts {
		if !embedded(m.options.processGroup) {
			continue
		}
		script := m.target
		if fi, err := os.Stat(script); m.re != nil || err != nil || fi.IsDir() {
			script = ""
		}
		add(script)
	}
	for _, h := range c.handlers {
		if embedded(h.options.processGroup) {
			add("")
		}
	}
	if embedded(httpd.Opt[string]{}) && (srv.UsesHandler(handlerName) || srv.UsesHandler(scriptType)) {
		add("")
	}
}

// addImport appends a script once.
func addImport(list []httpd.ImportScript, s httpd.ImportScript) []httpd.ImportScript {
	for _, x := range list {
		if filepath.Clean(x.Path) == filepath.Clean(s.Path) && x.ApplicationGroup == s.ApplicationGroup {
			return list
		}
	}
	return append(list, s)
}

func hostName(srv *httpd.Server, index int) string {
	if index == 0 || index > len(srv.VirtualHosts) {
		return ""
	}
	return srv.VirtualHosts[index-1].ServerName
}

func findGroup(srv *httpd.Server, name string) *httpd.DaemonGroup {
	for i := range srv.Groups {
		if srv.Groups[i].Name == name {
			return &srv.Groups[i]
		}
	}
	return nil
}

// reachable reports whether a host may use a group: one of the main server,
// its own, or one of a host with the same name.
func reachable(g *httpd.DaemonGroup, host int, name string) bool {
	return g.HostIndex == 0 || g.HostIndex == host || host != 0 && strings.EqualFold(g.HostServerName, name)
}
