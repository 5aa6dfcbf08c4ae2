// The command that starts a worker: what the configuration wants of its Python
// has to be said before the interpreter starts, by options and environment
// variables (python(1)).
package process

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"modwsgi/gocore/internal/httpd"
)

// pythonOptions are the settings of a group's interpreters that only their
// start can give them.
type pythonOptions struct {
	home    string // WSGIPythonHome, python-home
	options []string
	env     []string // "NAME=value"
	gilOff  bool     // WSGIFreeThreading
}

func commonPython(srv *httpd.Server) (p pythonOptions) {
	c := &srv.Python
	for range min(c.Optimize, 2) {
		p.options = append(p.options, "-O")
	}
	for _, w := range c.Warnings {
		p.options = append(p.options, "-W", w)
	}
	if c.DontWriteBytecode {
		p.options = append(p.options, "-B")
	}
	if c.HashSeed != "" {
		p.env = append(p.env, "PYTHONHASHSEED="+c.HashSeed)
	}
	p.home = c.Home
	return p
}

func embeddedPython(srv *httpd.Server) pythonOptions {
	p := commonPython(srv)
	p.gilOff = freeThreading(&srv.Python, "")
	if e := srv.Python.Eggs; e != "" {
		p.env = append(p.env, "PYTHON_EGG_CACHE="+e)
	}
	return p
}

func groupPython(srv *httpd.Server, g *httpd.DaemonGroup) pythonOptions {
	p := commonPython(srv)
	p.gilOff = freeThreading(&srv.Python, g.Name)
	if g.PythonHome != "" {
		p.home = g.PythonHome
	}
	for _, e := range [...]struct{ name, value string }{{"LANG", g.Lang}, {"LC_ALL", g.Locale}, {"PYTHON_EGG_CACHE", g.PythonEggs}} {
		if e.value != "" {
			p.env = append(p.env, e.name+"="+e.value)
		}
	}
	return p
}

// command is what to exec for a process of the group. As mod_wsgi, a home that
// is a virtual environment makes its bin/python the program; any other becomes
// PYTHONHOME. The environment that the server runs in needs neither.
func (p *groupPlan) command(l *launcher) (path string, argv, env []string, err error) {
	o := &p.python
	path, argv, env = l.path, l.argv, l.env
	// Paths are those that a process with chroot= sees.
	if outside := p.chroot + o.home; o.home != "" && !sameFile(outside, filepath.Dir(filepath.Dir(l.path))) {
		if version, ok := venvVersion(outside); ok {
			if l.version != "" && version != "" && version != l.version {
				return "", nil, nil, fmt.Errorf("python-home %s is a virtual environment of Python %s, this server runs in Python %s: "+
					"install modwsgi-go into that environment and start it from there", o.home, version, l.version)
			}
			path = filepath.Join(o.home, "bin", "python")
			argv = append([]string{path}, argv[1:]...)
		} else {
			env = append(env[:len(env):len(env)], "PYTHONHOME="+o.home)
		}
	}
	options := o.options
	if l.freeThreaded { // not an environment variable: programs that the application runs are not meant
		gil := "gil=1"
		if o.gilOff {
			gil = "gil=0"
		}
		options = append(options[:len(options):len(options)], "-X", gil)
	}
	if len(options) > 0 {
		argv = append(append(argv[:1:1], options...), argv[1:]...)
	}
	if len(o.env) > 0 {
		env = lastWins(append(env[:len(env):len(env)], o.env...))
	}
	return path, argv, env, nil
}

func sameFile(a, b string) bool {
	x, err := os.Stat(a)
	if err != nil {
		return false
	}
	y, err := os.Stat(b)
	return err == nil && os.SameFile(x, y)
}

// venvVersion reads "major.minor" from pyvenv.cfg (PEP 405; version is written
// by venv, version_info by virtualenv). ok is false when home is no virtual environment.
func venvVersion(home string) (version string, ok bool) {
	f, err := os.Open(filepath.Join(home, "pyvenv.cfg"))
	if err != nil {
		return "", false
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		key, value, _ := strings.Cut(lines.Text(), "=")
		if key = strings.TrimSpace(key); key != "version" && key != "version_info" {
			continue
		}
		parts := strings.SplitN(strings.TrimSpace(value), ".", 3)
		if len(parts) >= 2 {
			if _, err := strconv.Atoi(parts[1]); err == nil {
				return parts[0] + "." + parts[1], true
			}
		}
	}
	return "", true
}
