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
		IgnoreCase: !w.srv.Python.CaseSensitivity, Interpreter: w.interpreter}
	if g := w.group; g != nil {
		c.HeaderLimit = g.HeaderBufferSize
	}
	return c
}

// interpreter gives the settings of an application group's interpreter.
func (w *worker) interpreter(group string) python.Interpreter {
	p := &w.srv.Python
	c := python.Interpreter{RestrictSignal: p.RestrictSignal, RestrictStdin: p.RestrictStdin, RestrictStdout: p.RestrictStdout,
		OwnGIL: p.PerInterpreterGIL, SwitchInterval: p.SwitchInterval}
	if g := w.group; g != nil && g.SwitchInterval > 0 {
		c.SwitchInterval = g.SwitchInterval
	}
	special := false // the interval is meant for this application group
	for _, o := range optionsFor(p, w.cfg.Group, group) {
		c.RestrictSignal = o.RestrictSignal.Or(c.RestrictSignal)
		c.RestrictStdin = o.RestrictStdin.Or(c.RestrictStdin)
		c.RestrictStdout = o.RestrictStdout.Or(c.RestrictStdout)
		c.OwnGIL = o.PerInterpreterGIL.Or(c.OwnGIL)
		if o.SwitchInterval.Set {
			c.SwitchInterval, special = o.SwitchInterval.V, o.ApplicationGroup != nil
		}
	}
	if w.group != nil && w.cfg.Threads == 0 { // a service script is a program of its own
		c.RestrictSignal = false
	}
	if group == "" {
		c.OwnGIL = false // the main interpreter's is the process's
		return c
	}
	c.Path = w.paths(group)
	if c.OwnGIL && python.GILOff() {
		w.logf(levelWarn, "wsgi", "WSGI0202: own GIL ignored for sub-interpreter '%s': the process runs without a GIL", group)
	}
	c.OwnGIL = c.OwnGIL && python.ThisBuild().Minor >= ownGILMinor && !python.GILOff()
	if !c.OwnGIL {
		if special {
			w.logf(levelWarn, "wsgi", "WSGI0199: switch interval ignored for sub-interpreter '%s': it shares the GIL of the main interpreter", group)
		}
		c.SwitchInterval = 0
	}
	return c
}

// ownGILMinor is the x of the first Python 3.x with interpreters that have a
// GIL of their own (PEP 684).
const ownGILMinor = 12

// announceGIL logs what becomes of settings in a process that runs without a GIL.
func (w *worker) announceGIL() {
	if !python.GILOff() {
		return
	}
	w.logf(levelInfo, "wsgi", "free-threaded: this process runs without a GIL")
	if w.interpreter("").SwitchInterval > 0 {
		if w.group == nil {
			w.logf(levelWarn, "wsgi", "WSGI0203: switch interval ignored in embedded mode: the process runs without a GIL")
		} else {
			w.logf(levelWarn, "wsgi", "WSGI0204: switch interval ignored in daemon process '%s': the process runs without a GIL", w.group.Name)
		}
	}
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
