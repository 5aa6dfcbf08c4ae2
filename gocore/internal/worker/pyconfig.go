// The settings of the main interpreter of a worker process: directives of the
// main server, options of the process group, and <WSGIInterpreterOptions>.
package worker

import (
	"slices"
	"strings"

	"modwsgi/gocore/internal/httpd"
	"modwsgi/gocore/internal/python"
)

// pythonConfig is what package python is prepared with.
func (w *worker) pythonConfig(threads int) python.Config {
	p := &w.srv.Python
	c := python.Config{ProcessGroup: w.cfg.Group, ServerSoftware: w.srv.Software, Threads: threads, Processes: max(w.cfg.Processes, 1),
		RestrictSignal: p.RestrictSignal, RestrictStdin: p.RestrictStdin, RestrictStdout: p.RestrictStdout, SwitchInterval: p.SwitchInterval}
	if g := w.group; g != nil {
		c.HeaderLimit = g.HeaderBufferSize
		if g.SwitchInterval > 0 {
			c.SwitchInterval = g.SwitchInterval
		}
	}
	for _, o := range optionsFor(p, w.cfg.Group) {
		c.RestrictSignal = o.RestrictSignal.Or(c.RestrictSignal)
		c.RestrictStdin = o.RestrictStdin.Or(c.RestrictStdin)
		c.RestrictStdout = o.RestrictStdout.Or(c.RestrictStdout)
		c.SwitchInterval = o.SwitchInterval.Or(c.SwitchInterval)
	}
	return c
}

// addPaths puts directories at the front of sys.path, the most specific first.
func (w *worker) addPaths() {
	paths := w.srv.Python.Path
	if w.group != nil {
		paths = w.group.PythonPath
	}
	add := func(list []string) {
		if len(list) > 0 {
			python.AddPath(strings.Join(list, ":"))
		}
	}
	add(paths)
	for _, o := range optionsFor(&w.srv.Python, w.cfg.Group) {
		add(o.PythonPath)
	}
	if w.group != nil && w.group.Home != "" { // as mod_wsgi: modules beside the application are found
		add([]string{w.group.Home})
	}
}

// optionsFor are the sections that hold for the main interpreter (application
// group "") of a process group: the more selectors the later, ties in file order.
func optionsFor(p *httpd.PythonConfig, group string) []httpd.InterpreterOptions {
	var out []httpd.InterpreterOptions
	given := func(o httpd.InterpreterOptions) (n int) {
		for _, s := range []*string{o.ProcessGroup, o.ApplicationGroup} {
			if s != nil {
				n++
			}
		}
		return n
	}
	for _, o := range p.Interpreters {
		if (o.ProcessGroup == nil || *o.ProcessGroup == group) && (o.ApplicationGroup == nil || *o.ApplicationGroup == "") {
			out = append(out, o)
		}
	}
	slices.SortStableFunc(out, func(a, b httpd.InterpreterOptions) int { return given(a) - given(b) })
	return out
}
