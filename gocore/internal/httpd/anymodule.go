// How modules with different settings types stand in one list: AnyModule and
// the methods of *Module[C] behind it. Hooks are bound to the module's slot in
// the settings vector once per snapshot.
package httpd

import "modwsgi/gocore/internal/conf"

// AnyModule is a *Module[C] of any C.
type AnyModule interface {
	meta() moduleMeta
	rows() []rowRef
	newConf() any
	mergeConf(parent, child any) any
	inheritConf(main any) any
	bind() hooks
}

type moduleMeta struct {
	name, id, file string
	also           []string
	filters        []string // names of output filters
	inputFilters   []string
}

// rowRef is a directive row without its type parameter.
type rowRef struct {
	name, args string
	min, max   int
	in         Context
	override   Override
	section    bool
	noEffect   bool
	mapped     bool
	def, doc   string
	module     string
	slot       int
	set        func(k *Cmd, c any) error
}

// hooks are a module's hooks without the type parameter.
type hooks struct {
	check       func(*Checker, any)
	begin       func(*conf.Tree, any)
	finish      func(*Server, any, *[]conf.Diagnostic)
	host        func(*VirtualHost, any)
	perRequest  func(any) bool
	environ     func(any) []EnvVar
	routes      func(any) []Route
	phase       [nPhases]func(*Request, any) Status
	handler     func(*Request, any) *Outcome
	response    func(*Request, any, *ResponseHead)
	hasResp     func(any) bool
	steady      func(any) Steadiness
	insert      func(*Request, any, *ResponseHead) []string
	filter      func(*Request, any, *ResponseHead) BodyFilter
	hasFilter   func(any) bool
	insertInput func(*Request, any) []string
	input       func(*Request, any) InputFilter
	hasInput    func(any) bool
	challenge   func(*Request, any)
	authzRules  func(any) bool
	satisfyAny  func(*Request, any) bool
	hasLog      func(any) bool
	logFiles    func(any) []LogTarget
	openLogs    func(any, func(LogTarget) *LogFile) error
	log         func(*VirtualHost, any, *LogEntry)
	flushLog    func(any)
}

// The phases whose hooks are alike, in running order.
const (
	phPostRead = iota
	phTranslate
	phMapStorage
	phHeader
	phAccess
	phAuthzFirst
	phAuthn
	phAuthz
	phType
	phFixup
	nPhases
)

func (m *Module[C]) meta() moduleMeta {
	return moduleMeta{m.Name, m.ID, m.File, m.Also, m.OutputFilters, m.InputFilters}
}

func (m *Module[C]) newConf() any {
	if m.New != nil {
		return m.New()
	}
	return new(C)
}

func (m *Module[C]) mergeConf(parent, child any) any {
	if m.Merge == nil {
		return parent
	}
	return m.Merge(parent.(*C), child.(*C))
}

func (m *Module[C]) inheritConf(main any) any {
	if m.Inherit == nil {
		return main
	}
	return m.Inherit(main.(*C))
}

func (m *Module[C]) rows() []rowRef {
	out := make([]rowRef, len(m.Directives))
	for i := range m.Directives {
		d := &m.Directives[i]
		out[i] = rowRef{name: d.Name, args: d.Args, min: d.Min, max: d.Max, in: d.In, override: d.Override,
			section: d.Section, noEffect: d.NoEffect, mapped: d.Mapped, def: d.Default, doc: d.Doc, module: m.Name}
		if d.Set != nil {
			out[i].set = func(k *Cmd, c any) error { return d.Set(k, c.(*C)) }
		}
	}
	return out
}

func (m *Module[C]) bind() hooks {
	var h hooks
	for i, f := range [nPhases]func(*Request, *C) Status{m.PostRead, m.Translate, m.MapStorage, m.Header, m.Access,
		m.AuthzFirst, m.Authn, m.Authz, m.Type, m.Fixup} {
		if f != nil {
			h.phase[i] = func(r *Request, c any) Status { return f(r, c.(*C)) }
		}
	}
	if f := m.Begin; f != nil {
		h.begin = func(tree *conf.Tree, c any) { f(tree, c.(*C)) }
	}
	if f := m.Finish; f != nil {
		h.finish = func(s *Server, c any, diags *[]conf.Diagnostic) {
			f(s, c.(*C), func(d conf.Diagnostic) { *diags = append(*diags, d) })
		}
	}
	if f := m.Host; f != nil {
		h.host = func(v *VirtualHost, c any) { f(v, c.(*C)) }
	}
	if f := m.AuthzRules; f != nil {
		h.authzRules = func(c any) bool { return f(c.(*C)) }
	}
	if f := m.Challenge; f != nil {
		h.challenge = func(r *Request, c any) { f(r, c.(*C)) }
	}
	if f := m.SatisfyAny; f != nil {
		h.satisfyAny = func(r *Request, c any) bool { return f(r, c.(*C)) }
	}
	if f := m.Check; f != nil {
		h.check = func(k *Checker, c any) { f(k, c.(*C)) }
	}
	if f := m.PerRequest; f != nil {
		h.perRequest = func(c any) bool { return f(c.(*C)) }
	}
	if f := m.Environ; f != nil {
		h.environ = func(c any) []EnvVar { return f(c.(*C)) }
	}
	if f := m.Routes; f != nil {
		h.routes = func(c any) []Route { return f(c.(*C)) }
	}
	if f := m.Handler; f != nil {
		h.handler = func(r *Request, c any) *Outcome { return f(r, c.(*C)) }
	}
	if f := m.Response; f != nil {
		h.response = func(r *Request, c any, head *ResponseHead) { f(r, c.(*C), head) }
	}
	if f := m.HasResponse; f != nil {
		h.hasResp = func(c any) bool { return f(c.(*C)) }
	}
	if f := m.Steady; f != nil {
		h.steady = func(c any) Steadiness { return f(c.(*C)) }
	}
	if f := m.Insert; f != nil {
		h.insert = func(r *Request, c any, head *ResponseHead) []string { return f(r, c.(*C), head) }
	}
	if f := m.Filter; f != nil {
		h.filter = func(r *Request, c any, head *ResponseHead) BodyFilter { return f(r, c.(*C), head) }
	}
	if f := m.HasFilter; f != nil {
		h.hasFilter = func(c any) bool { return f(c.(*C)) }
	}
	if f := m.InsertInput; f != nil {
		h.insertInput = func(r *Request, c any) []string { return f(r, c.(*C)) }
	}
	if f := m.Input; f != nil {
		h.input = func(r *Request, c any) InputFilter { return f(r, c.(*C)) }
	}
	if f := m.HasInput; f != nil {
		h.hasInput = func(c any) bool { return f(c.(*C)) }
	}
	if f := m.HasLog; f != nil {
		h.hasLog = func(c any) bool { return f(c.(*C)) }
	}
	if f := m.LogFiles; f != nil {
		h.logFiles = func(c any) []LogTarget { return f(c.(*C)) }
	}
	if f := m.OpenLogs; f != nil {
		h.openLogs = func(c any, open func(LogTarget) *LogFile) error { return f(c.(*C), open) }
	}
	if f := m.Log; f != nil {
		h.log = func(v *VirtualHost, c any, e *LogEntry) { f(v, c.(*C), e) }
	}
	if f := m.FlushLog; f != nil {
		h.flushLog = func(c any) { f(c.(*C)) }
	}
	return h
}

// ConfigOf returns another module's effective settings for the request.
// ok is false if that module is not part of the snapshot.
func ConfigOf[C any](r *Request, m *Module[C]) (c *C, ok bool) {
	for i, x := range r.Host.server.mods {
		if x == AnyModule(m) {
			return r.m.conf[i].(*C), true
		}
	}
	return nil, false
}
