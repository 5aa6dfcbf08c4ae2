// Compile: from the configuration tree to the snapshot. It checks every
// directive against the modules' tables, lets the rows fill in settings per
// scope (main server, virtual host, section), merges main server and virtual
// hosts when the whole file is read, and precomputes routes.
package httpd

import (
	"cmp"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	"modwsgi/gocore/internal/conf"
)

// Codes of the diagnostics that Compile produces itself; modules have more.
const (
	CodeNotAllowed   = conf.CodeNotAllowed
	CodeArguments    = conf.CodeArguments
	CodeUnknown      = conf.CodeUnknownDirective
	CodeSection      = conf.CodeNotSection
	CodeIgnored      = "HTTPD-IGNORED"          // accepted, has no effect
	CodeHandler      = "HTTPD-HANDLER"          // of a module that does not exist here
	CodeUnavailable  = "HTTPD-NOT-AVAILABLE"    // would weaken the site if it were ignored
	CodeVhostAddress = "HTTPD-VHOST-ADDRESS"    // a <VirtualHost> address that cannot be used
	CodeNoListen     = "HTTPD-NO-LISTEN"        // nothing to listen on
	CodeOverlap      = "HTTPD-OVERLAPPED-ALIAS" // a mount that an earlier one hides
)

// builder is the working state of one Compile.
type builder struct {
	s     *Server
	mods  []AnyModule
	diags []conf.Diagnostic
	main  *hostBuild
	hosts []*hostBuild
	seen  map[string]bool // catalogue notices already given
}

// hostBuild collects what one server scope says.
type hostBuild struct {
	spec     *conf.Directive // the <VirtualHost>; nil for the main server
	name     string
	index    int
	conf     []any
	sections []*section
	ifs      []ifGroup
}

// place is where a list of directives stands.
type place struct {
	host         *hostBuild
	conf         []any // receives the settings
	in           Context
	path         string
	sec          *section
	limit        *MethodLimit
	htaccess     bool // in a .htaccess file, or in a section there
	override     Override
	options      Options // with htaccess: those that may be set
	overrideList []string
}

// Compile turns a tree into an immutable snapshot. A diagnostic of severity
// Error means that it is not usable; the snapshot is returned all the same
// unless the core module is missing, for tools that show what was understood.
// It reads files (types, scripts' existence) but changes nothing and starts
// nothing. mods is in the order of execution and must contain the core module.
func Compile(tree *conf.Tree, mods []AnyModule) (*Server, []conf.Diagnostic) {
	s := &Server{Tree: tree, ServerRoot: tree.ServerRoot, mods: mods, coreSlot: -1}
	b := &builder{s: s, mods: mods, seen: map[string]bool{}}
	s.rows = map[string]rowRef{}
	for i, m := range mods {
		s.hooks = append(s.hooks, m.bind())
		if _, ok := m.newConf().(*CoreConfig); ok {
			s.coreSlot = i
		}
		for _, r := range m.rows() {
			r.slot = i
			s.rows[strings.ToLower(r.name)] = r
		}
	}
	if s.coreSlot < 0 {
		return nil, []conf.Diagnostic{{Severity: conf.Error, Code: "HTTPD-NO-CORE", Message: "the list of modules lacks the core module"}}
	}
	b.main = b.newHost(nil)
	for i := range mods {
		if f := s.hooks[i].begin; f != nil {
			b.main.conf[i] = mods[i].newConf()
			f(tree, b.main.conf[i])
		}
	}
	b.apply(tree.Root, &place{host: b.main, conf: b.main.conf, in: InServer})
	b.finish()
	b.absentHandlers(tree.Root)
	// What was found after reading goes to where it was written.
	slices.SortStableFunc(b.diags, func(x, y conf.Diagnostic) int {
		if x.Pos.File != y.Pos.File {
			return cmp.Compare(slices.Index(tree.Files, x.Pos.File), slices.Index(tree.Files, y.Pos.File))
		}
		return cmp.Compare(x.Pos.Line, y.Pos.Line)
	})
	return s, b.diags
}

func (b *builder) newHost(d *conf.Directive) *hostBuild {
	h := &hostBuild{spec: d, conf: make([]any, len(b.mods))}
	if d != nil {
		h.index = len(b.hosts) + 1
		h.name = strings.Join(d.Args, " ")
	}
	return h
}

func (b *builder) report(d *conf.Directive, s conf.Severity, code, suggestion, format string, a ...any) {
	b.diags = append(b.diags, conf.Diagnostic{Severity: s, Code: code, Pos: d.Pos, Directive: d.Name, Message: fmt.Sprintf(format, a...), Suggestion: suggestion})
}

// apply works through a list of directives.
func (b *builder) apply(list []*conf.Directive, at *place) {
	for _, d := range list {
		b.one(d, at)
	}
}

// one applies a directive or section.
func (b *builder) one(d *conf.Directive, at *place) {
	row, ok := b.s.rows[strings.ToLower(d.Name)]
	if !ok {
		b.notOurs(d)
		return
	}
	if d.Section != row.section {
		if row.section {
			b.report(d, conf.Error, conf.CodeIsSection, "<"+row.name+" "+row.args+"> ... </"+row.name+">", "is a section")
		} else {
			b.report(d, conf.Error, conf.CodeNotSection, row.name+" "+row.args, "is not a section")
		}
		return
	}
	if row.in&at.in == 0 || at.htaccess && row.in&InHtaccess == 0 || at.limit != nil && row.in&InLimit == 0 {
		where := "here"
		if at.limit != nil {
			where = "inside <Limit> or <LimitExcept>"
		}
		b.report(d, conf.Error, CodeNotAllowed, "its places are: "+row.in.String(), "not allowed %s", where)
		return
	}
	if at.htaccess && row.override&at.override == 0 && row.override != OverrideNone &&
		!slices.ContainsFunc(at.overrideList, func(n string) bool { return strings.EqualFold(n, d.Name) }) {
		b.report(d, conf.Error, CodeNotAllowed, "", "not allowed here: AllowOverride lacks %s", row.override)
		return
	}
	if len(d.Args) < row.min || row.max >= 0 && len(d.Args) > row.max {
		few := "too many"
		if len(d.Args) < row.min {
			few = "too few"
		}
		b.report(d, conf.Error, CodeArguments, strings.TrimSpace(row.name+" "+row.args), "%s arguments", few)
		return
	}
	k := &Cmd{Directive: d, In: at.in, Path: at.path, Limit: at.limit, ServerRoot: b.s.ServerRoot, Defines: b.s.Tree.Defines,
		HostName: at.host.name, HostIndex: at.host.index, Htaccess: at.htaccess, Options: ^Options(0), diags: &b.diags, b: b, at: at, slot: row.slot}
	if at.host.index == 0 {
		k.HostName = ""
	}
	if at.htaccess {
		k.Options = at.options
	}
	var err error
	if row.set == nil {
		err = b.container(d, at)
	} else {
		if at.conf[row.slot] == nil {
			at.conf[row.slot] = b.mods[row.slot].newConf()
		}
		err = row.set(k, at.conf[row.slot])
	}
	if err != nil {
		diag := conf.Diagnostic{Severity: conf.Error, Code: CodeArguments, Pos: d.Pos, Directive: d.Name, Message: err.Error()}
		var c *Coded
		if errors.As(err, &c) {
			diag.Code, diag.Suggestion = c.Code, c.Suggestion
		}
		b.diags = append(b.diags, diag)
	}
}

// container applies the sections that the core itself knows. Rows in mod/core
// describe them without a Set.
func (b *builder) container(d *conf.Directive, at *place) error {
	switch name := strings.ToLower(d.Name); name {
	case "virtualhost":
		h := b.newHost(d)
		b.hosts = append(b.hosts, h)
		b.apply(d.Children, &place{host: h, conf: h.conf, in: InHost})
		return nil
	case "limit", "limitexcept":
		l := &MethodLimit{Except: name == "limitexcept"}
		for _, m := range d.Args {
			if m != strings.ToUpper(m) {
				return fmt.Errorf("method names are upper case: %q", m)
			}
			if m == "TRACE" {
				return errors.New("TRACE cannot be limited; use TraceEnable")
			}
			l.Methods = append(l.Methods, m)
		}
		inner := *at
		inner.limit = l
		b.apply(d.Children, &inner)
		return nil
	case "if", "elseif", "else":
		return b.conditional(name, d, at)
	default:
		x, err := b.newSection(name, d)
		if err != nil {
			return err
		}
		in := map[sectionKind]Context{kindDirectory: InDir, kindFiles: InFiles, kindLocation: InLocation, kindProxy: InProxy}[x.kind]
		children := d.Children
		if x.params != nil {
			children = append([]*conf.Directive{{Name: "ProxySet", Args: x.params, Pos: d.Pos}}, children...)
		}
		b.apply(children, &place{host: at.host, conf: x.conf, in: in, path: x.arg, sec: x,
			htaccess: at.htaccess, override: at.override, options: at.options, overrideList: at.overrideList})
		for i := range x.conf {
			if h := &b.s.hooks[i]; h.routes != nil && x.conf[i] != nil && len(h.routes(x.conf[i])) > 0 {
				x.translates = true
			}
		}
		if at.sec != nil {
			at.sec.files = append(at.sec.files, x)
		} else {
			at.host.sections = append(at.host.sections, x)
		}
		return nil
	}
}

// newSection reads the start tag of <Directory>, <Files>, <Location> or <Proxy> and
// their Match forms.
func (b *builder) newSection(name string, d *conf.Directive) (*section, error) {
	x := &section{id: b.s.nextID.Add(1), conf: make([]any, len(b.mods)), pos: d.Pos}
	base := strings.TrimSuffix(name, "match")
	switch base {
	case "directory":
		x.kind = kindDirectory
	case "files":
		x.kind = kindFiles
	case "location":
		x.kind = kindLocation
	case "proxy":
		x.kind = kindProxy
	}
	args, regex := d.Args, base != name
	if !regex && len(args) == 2 && args[0] == "~" {
		args, regex = args[1:], true
	}
	if x.kind == kindProxy && !regex && len(args) > 1 && !strings.ContainsAny(args[0], "*?") {
		x.params, args = args[1:], args[:1]
	}
	if len(args) != 1 || args[0] == "" {
		return nil, errors.New("takes one argument")
	}
	arg := args[0]
	if regex {
		re, err := CompileRegexp(arg, false)
		if err != nil {
			return nil, err
		}
		x.re, x.arg, x.named = re, arg, re.hasNames()
		return x, nil
	}
	x.arg, x.glob = arg, HasWildcard(arg)
	switch x.kind {
	case kindDirectory:
		if arg[0] != '/' {
			return nil, fmt.Errorf("%q is not an absolute path", arg)
		}
		x.arg = path.Clean(arg)
		x.depth = pathDepth(x.arg)
	case kindFiles:
		if strings.Contains(arg, "/") {
			b.report(d, conf.Warning, "HTTPD-FILES-PATH", "use <Directory> or <Location>", "is compared with the last part of the path and never matches %q", arg)
		}
	case kindProxy:
		x.glob = strings.ContainsAny(arg, "*?") // "[" is part of an IPv6 address
	case kindLocation:
		if arg[0] != '/' && !strings.Contains(arg, "://") && !x.glob {
			return nil, fmt.Errorf("%q does not begin with a slash and never matches", arg)
		}
	}
	return x, nil
}

// MainConf returns the module's settings of the main server while the
// configuration is being read, from inside Set; c tells the type.
func MainConf[C any](k *Cmd, c *C) *C {
	m := k.b.main
	if m.conf[k.slot] == nil {
		m.conf[k.slot] = k.b.mods[k.slot].newConf()
	}
	return m.conf[k.slot].(*C)
}

// finish merges, numbers and checks what was read.
func (b *builder) finish() {
	s := b.s
	for i := range b.main.conf {
		if b.main.conf[i] == nil {
			b.main.conf[i] = b.mods[i].newConf()
		}
	}
	all := append([]*hostBuild{b.main}, b.hosts...)
	hosts := make([]*VirtualHost, len(all))
	for i, h := range all {
		c := b.main.conf
		if h.spec != nil {
			c = slices.Clone(c)
			for j, child := range h.conf {
				if child != nil {
					c[j] = b.mods[j].mergeConf(c[j], child)
				} else {
					c[j] = b.mods[j].inheritConf(c[j])
				}
			}
		}
		v := &VirtualHost{server: s, index: i}
		v.base = s.newMerged("", c)
		if h.spec != nil {
			v.Pos = h.spec.Pos
			v.sections = newHostSections(b.main, h)
		} else {
			v.sections = newHostSections(b.main)
		}
		hosts[i] = v
	}
	s.Main, s.VirtualHosts = hosts[0], hosts[1:]
	b.mainSettings()
	for i, v := range hosts {
		b.hostSettings(v, all[i])
	}
	b.addresses(all, hosts)
	for i := range b.mods {
		if f := s.hooks[i].finish; f != nil {
			f(s, s.Main.base.conf[i], &b.diags)
		}
	}
	for _, v := range hosts {
		k := &Checker{Server: s, Host: v, diags: &b.diags}
		for i := range b.mods {
			h := &s.hooks[i]
			if h.host != nil {
				h.host(v, v.base.conf[i])
			}
			if h.check != nil {
				h.check(k, v.base.conf[i])
			}
			if h.hasLog != nil && h.hasLog(v.base.conf[i]) {
				v.HasLog = true
			}
		}
	}
	if conf.HasErrors(b.diags) {
		return // routes of a broken configuration would mislead
	}
	for _, v := range hosts {
		v.buildFast()
	}
}

// ConfOptions gives package conf the tables it needs to read a file for these
// modules: which modules, sections and names exist. The caller adds
// ServerRoot and Defines.
func ConfOptions(mods []AnyModule) conf.Options {
	known := map[string]bool{} // lower-case name -> is a section
	var names []string
	ids := map[string]bool{}
	for _, m := range mods {
		meta := m.meta()
		for _, id := range append([]string{meta.id, meta.file}, meta.also...) {
			ids[id] = true
		}
		for _, r := range m.rows() {
			known[strings.ToLower(r.name)] = r.section
			names = append(names, r.name)
		}
	}
	for _, c := range catalogue {
		for _, n := range strings.Fields(c.names) {
			if _, ok := known[strings.ToLower(n)]; !ok {
				known[strings.ToLower(n)] = c.section
				names = append(names, n)
			}
		}
	}
	return conf.Options{
		HasModule: func(id string) bool { return ids[id] },
		IsSection: func(name string) bool { return known[strings.ToLower(name)] },
		Known: func(name string) bool {
			_, ok := known[strings.ToLower(name)]
			return ok || familyOf(name) != nil
		},
		AbsentModule: AbsentModule,
		Names:        func() []string { return names },
	}
}
