// The settings of the interpreters of a worker process: directives of the main
// server, options of the process group, and <WSGIInterpreterOptions>.
package worker

import (
	"slices"
	"strings"

	"modwsgi/gocore/internal/httpd"
	"modwsgi/gocore/internal/python"
)

// pythonConfig is what package python is prepared with.
func (w *worker) pythonConfig(threads int) python.Config {
	c := python.Config{ProcessGroup: w.cfg.Group, ServerSoftware: w.srv.Software, Threads: threads, Processes: max(w.cfg.Processes, 1),
		Interpreter: w.interpreter}
	if g := w.group; g != nil {
		c.HeaderLimit = g.HeaderBufferSize
	}
	return c
}

// interpreter gives the settings of an application group's interpreter.
func (w *worker) interpreter(group string) python.Interpreter {
	p := &w.srv.Python
	c := python.Interpreter{RestrictSignal: p.RestrictSignal, RestrictStdin: p.RestrictStdin, RestrictStdout: p.RestrictStdout}
	if group == "" {
		c.SwitchInterval = p.SwitchInterval
		if g := w.group; g != nil && g.SwitchInterval > 0 {
			c.SwitchInterval = g.SwitchInterval
		}
	} else {
		c.Path = w.paths(group)
	}
	for _, o := range optionsFor(p, w.cfg.Group, group) {
		c.RestrictSignal = o.RestrictSignal.Or(c.RestrictSignal)
		c.RestrictStdin = o.RestrictStdin.Or(c.RestrictStdin)
		c.RestrictStdout = o.RestrictStdout.Or(c.RestrictStdout)
		if group == "" {
			c.SwitchInterval = o.SwitchInterval.Or(c.SwitchInterval)
		}
	}
	if w.group != nil && w.cfg.Threads == 0 { // a service script is a program of its own
		c.RestrictSignal = false
	}
	return c
}

// addPaths puts directories at the front of the main interpreter's sys.path.
func (w *worker) addPaths() {
	for _, list := range w.paths("") {
		python.AddPath(list)
	}
}

// paths are the colon lists of directories for an interpreter, in the order in
// which they go to the front of sys.path: the most specific last.
func (w *worker) paths(group string) []string {
	lists := [][]string{w.srv.Python.Path}
	if w.group != nil {
		lists[0] = w.group.PythonPath
	}
	for _, o := range optionsFor(&w.srv.Python, w.cfg.Group, group) {
		lists = append(lists, o.PythonPath)
	}
	if w.group != nil && w.group.Home != "" { // as mod_wsgi: modules beside the application are found
		lists = append(lists, []string{w.group.Home})
	}
	var out []string
	for _, list := range lists {
		if len(list) > 0 {
			out = append(out, strings.Join(list, ":"))
		}
	}
	return out
}

// optionsFor are the sections that hold for an interpreter: the more selectors
// the later, ties in file order.
func optionsFor(p *httpd.PythonConfig, processGroup, group string) []httpd.InterpreterOptions {
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
		if (o.ProcessGroup == nil || *o.ProcessGroup == processGroup) && (o.ApplicationGroup == nil || *o.ApplicationGroup == group) {
			out = append(out, o)
		}
	}
	slices.SortStableFunc(out, func(a, b httpd.InterpreterOptions) int { return given(a) - given(b) })
	return out
}
