// What the build of Python decides: directives that need a certain version or
// a free-threaded build, and whether a worker runs without a GIL.
package process

import (
	"strconv"
	"strings"

	"modwsgi/gocore/internal/conf"
	"modwsgi/gocore/internal/httpd"
)

// PythonBuild is the Python of the workers.
type PythonBuild struct {
	Minor        int  // x of 3.x; 0: not known
	FreeThreaded bool // it can run without a GIL
}

// build is that of the options; version is "3.11" or empty.
func (o *SuperviseOptions) build() PythonBuild {
	b := PythonBuild{FreeThreaded: o.FreeThreaded}
	if minor, ok := strings.CutPrefix(o.Version, "3."); ok {
		b.Minor, _ = strconv.Atoi(minor)
	}
	return b
}

// PythonWarnings are for directives that this Python cannot follow.
func PythonWarnings(srv *httpd.Server, b PythonBuild) []conf.Diagnostic {
	if b.Minor == 0 || srv.Tree == nil {
		return nil
	}
	var out []conf.Diagnostic
	on := func(name, code, message, suggestion string) {
		if d := switchedOn(srv.Tree.Root, name); d != nil {
			out = append(out, conf.Diagnostic{Severity: conf.Warning, Code: code, Pos: d.Pos, Directive: d.Name, Message: message, Suggestion: suggestion})
		}
	}
	if b.Minor < 12 {
		on("WSGIPerInterpreterGIL", "WSGI0198", "Python 3."+strconv.Itoa(b.Minor)+" has one GIL for all interpreters: ignored", "Python 3.12 or later")
	}
	if !b.FreeThreaded {
		on("WSGIFreeThreading", "WSGI0200", "this Python cannot run without a GIL: ignored", "a free-threaded build of Python, 3.13 or later")
	}
	return out
}

// switchedOn is the first directive of a name that says On, also in sections.
func switchedOn(list []*conf.Directive, name string) *conf.Directive {
	for _, d := range list {
		if strings.EqualFold(d.Name, name) && len(d.Args) > 0 && strings.EqualFold(d.Args[0], "on") {
			return d
		}
		if found := switchedOn(d.Children, name); found != nil {
			return found
		}
	}
	return nil
}

// freeThreading tells whether the processes of a group shall run without a
// GIL: a section for the group before one for all, ties in file order.
func freeThreading(p *httpd.PythonConfig, group string) bool {
	on, named := p.FreeThreading, false
	for _, o := range p.Interpreters {
		if !o.FreeThreading.Set || o.ApplicationGroup != nil || o.ProcessGroup == nil && named {
			continue
		}
		if o.ProcessGroup == nil || *o.ProcessGroup == group {
			on, named = o.FreeThreading.V, o.ProcessGroup != nil
		}
	}
	return on
}
