// Package logconfig is mod_log_config with the letters of mod_logio: access
// logs in configurable formats, to files and pipes.
//
// This file has the settings, the directives and the hooks. format.go compiles
// a format, append.go writes one line, logfile.go buffers and writes.
package logconfig

import (
	"errors"
	"fmt"
	"maps"
	"strings"

	"modwsgi/gocore/internal/conf"
	"modwsgi/gocore/internal/httpd"
)

// commonFormat is the Common Log Format, TransferLog's default.
const commonFormat = `%h %l %u %t "%r" %>s %b`

// Config is the module's settings of the main server or a virtual host.
type Config struct {
	formats       map[string]string // LogFormat nicknames
	defaultFormat string            // LogFormat with one argument
	logs          []*customLog      // in force here
	global        []*customLog      // GlobalLog: also in hosts with logs of their own
}

// customLog is one CustomLog, TransferLog or GlobalLog. format and file are
// set once, by Check and OpenLogs; afterwards it is read-only but for clock,
// which file.Mu guards.
type customLog struct {
	target httpd.LogTarget
	name   string // format or nickname as written; "" = the default format
	env    string // env=[!]VAR: the variable
	negate bool
	cond   *httpd.Expr // expr=
	pos    conf.Pos
	by     string // directive name

	format *Format
	file   *httpd.LogFile
	clock  stamp
}

// Module is mod_log_config.
var Module = &httpd.Module[Config]{
	Name: "logconfig", ID: "log_config_module", File: "mod_log_config.c",
	Directives: []httpd.Directive[Config]{
		{Name: "LogFormat", Args: "format [nickname]", Min: 1, Max: 2, In: httpd.InServerHost, Default: `"%h %l %u %t \"%r\" %>s %b"`, Set: setLogFormat,
			Doc: "Describes a line of the access log; with a nickname, for CustomLog to refer to."},
		{Name: "CustomLog", Args: "file|pipe format|nickname [env=[!]variable|expr=expression]", Min: 2, Max: 3, In: httpd.InServerHost, Set: setCustomLog,
			Doc: "Writes an access log in the given format."},
		{Name: "TransferLog", Args: "file|pipe", Min: 1, Max: 1, In: httpd.InServerHost, Set: setTransferLog,
			Doc: "Writes an access log in the format of the last LogFormat without nickname."},
		{Name: "GlobalLog", Args: "file|pipe format|nickname [env=[!]variable|expr=expression]", Min: 2, Max: 3, In: httpd.InServer, Set: setGlobalLog,
			Doc: "Writes an access log of all virtual hosts, even of those that have their own."},
		{Name: "BufferedLogs", Args: "On|Off", Min: 1, Max: 1, In: httpd.InServer, Default: "Off", Mapped: true, Set: setBufferedLogs,
			Doc: "Accepted; access log lines are always buffered, for at most a tenth of a second."},
	},
	Merge:    merge,
	Check:    check,
	HasLog:   func(c *Config) bool { return len(c.logs) > 0 },
	LogFiles: logFiles,
	OpenLogs: openLogs,
	Log:      log,
	FlushLog: flushAll,
}

// merge gives a virtual host the main server's nicknames and, if it has no log
// of its own, its logs.
func merge(parent, child *Config) *Config {
	c := &Config{formats: parent.formats, defaultFormat: child.defaultFormat, logs: child.logs, global: parent.global}
	if len(child.formats) > 0 {
		c.formats = maps.Clone(parent.formats)
		if c.formats == nil {
			c.formats = map[string]string{}
		}
		maps.Copy(c.formats, child.formats)
	}
	if c.defaultFormat == "" {
		c.defaultFormat = parent.defaultFormat
	}
	if len(c.logs) == 0 {
		c.logs = parent.logs
	} else {
		c.logs = append(c.logs[:len(c.logs):len(c.logs)], parent.global...)
	}
	return c
}

func setLogFormat(k *httpd.Cmd, c *Config) error {
	if _, err := Compile(k.Arg(0)); err != nil {
		return err
	}
	if len(k.Args) == 1 {
		c.defaultFormat = k.Arg(0)
		return nil
	}
	if strings.Contains(k.Arg(1), "%") {
		return fmt.Errorf("nickname %q contains %%; is the format given in two words?", k.Arg(1))
	}
	if c.formats == nil {
		c.formats = map[string]string{}
	}
	c.formats[k.Arg(1)] = k.Arg(0)
	return nil
}

func setCustomLog(k *httpd.Cmd, c *Config) error {
	l, err := newLog(k)
	if err == nil {
		c.logs = append(c.logs, l)
	}
	return err
}

func setTransferLog(k *httpd.Cmd, c *Config) error { return setCustomLog(k, c) }

func setGlobalLog(k *httpd.Cmd, c *Config) error {
	l, err := newLog(k)
	if err == nil {
		c.logs = append(c.logs, l)
		c.global = append(c.global, l)
	}
	return err
}

func setBufferedLogs(k *httpd.Cmd, c *Config) error {
	_, err := k.Flag(0)
	return err
}

// newLog reads "target [format [condition]]".
func newLog(k *httpd.Cmd) (*customLog, error) {
	target, err := parseTarget(k)
	if err != nil {
		return nil, err
	}
	l := &customLog{target: target, name: k.Arg(1), pos: k.Pos, by: k.Name}
	if len(k.Args) == 3 {
		name, isEnv := strings.CutPrefix(k.Arg(2), "env=")
		if !isEnv {
			text, isExpr := strings.CutPrefix(k.Arg(2), "expr=")
			if !isExpr {
				return nil, fmt.Errorf("condition %q must be env=VARIABLE, env=!VARIABLE or expr=EXPRESSION", k.Arg(2))
			}
			l.cond, err = k.Expr(text)
			return l, err
		}
		l.env, l.negate = strings.CutPrefix(name, "!")
		if l.env == "" {
			return nil, errors.New("env= needs the name of a variable")
		}
	}
	return l, nil
}

// parseTarget reads a file name, "|command", "||command" or "|$shell command".
func parseTarget(k *httpd.Cmd) (httpd.LogTarget, error) {
	t := httpd.LogTarget{Pos: k.Pos}
	command, piped := strings.CutPrefix(k.Arg(0), "|")
	if !piped {
		if k.Arg(0) == "" {
			return t, errors.New("the file name is empty")
		}
		t.Name = k.File(k.Arg(0))
		return t, nil
	}
	t.Kind = httpd.LogToPipe
	if rest, shell := strings.CutPrefix(command, "$"); shell {
		command, t.Shell = rest, true
	} else {
		command = strings.TrimPrefix(command, "|") // Apache 2.2's explicit "no shell"
	}
	t.Name = strings.TrimSpace(command)
	if t.Name == "" {
		return t, errors.New("the command after | is empty")
	}
	return t, nil
}

// check resolves nicknames, which may stand after their use.
func check(k *httpd.Checker, c *Config) {
	for _, l := range c.logs {
		if l.format == nil { // else of the main server, which was checked first
			l.compile(k, c)
		}
		if l.format != nil && l.format.uses(opFirstByte) {
			k.Host.LogsFirstByte = true
		}
		if l.format != nil && l.format.uses(opHeaderOut) || l.cond != nil {
			k.Host.LogsResponse = true
		}
	}
}

// compile finds the log's format.
func (l *customLog) compile(k *httpd.Checker, c *Config) {
	text, known := c.formats[l.name]
	switch {
	case l.name == "":
		text = c.defaultFormat
		if text == "" {
			text = commonFormat
		}
	case !known:
		text = l.name
		if !strings.Contains(text, "%") {
			d := conf.Diagnostic{Severity: conf.Warning, Code: "LOG-UNKNOWN-FORMAT", Pos: l.pos, Directive: l.by,
				Message: fmt.Sprintf("no LogFormat has the nickname %q, so every line will be just this text", l.name)}
			names := make([]string, 0, len(c.formats))
			for n := range c.formats {
				names = append(names, n)
			}
			if len(names) > 0 {
				d.Suggestion = "define it, or use one of: " + strings.Join(names, ", ")
			}
			k.Report(d)
		}
	}
	f, err := Compile(text)
	if err != nil {
		k.Report(conf.Diagnostic{Severity: conf.Error, Code: "LOG-FORMAT", Pos: l.pos, Directive: l.by, Message: err.Error()})
		return
	}
	l.format = f
}

func logFiles(c *Config) []httpd.LogTarget {
	out := make([]httpd.LogTarget, 0, len(c.logs))
	for _, l := range c.logs {
		out = append(out, l.target)
	}
	return out
}

func openLogs(c *Config, open func(httpd.LogTarget) *httpd.LogFile) error {
	for _, l := range c.logs {
		if l.file = open(l.target); l.file == nil {
			return fmt.Errorf("%s:%d: %s: log %s is not open", l.pos.File, l.pos.Line, l.by, l.target.Key())
		}
	}
	return nil
}

// wanted says whether the log's condition holds. Without variables to look at,
// none is set.
func (l *customLog) wanted(e *httpd.LogEntry) bool {
	if l.cond != nil && e.Request != nil {
		r := e.Request()
		ok, err := l.cond.True(r)
		if err != nil { // a line too many is better than one that is missing
			r.Logf(httpd.LevelError, "log_config", "the condition of the access log at %s cannot be evaluated: %v", l.pos, err)
		}
		return ok || err != nil
	}
	if l.env == "" {
		return true
	}
	set := false
	if e.EnvLookup != nil {
		_, set = e.EnvLookup(l.env)
	}
	return set != l.negate
}

// log appends the entry's line to every log of the host. No allocation in
// steady state; it blocks only when a target is a megabyte behind.
func log(v *httpd.VirtualHost, c *Config, e *httpd.LogEntry) {
	server := Server{Name: v.ServerName, Port: uint16(v.SelfPort), UseCanonical: v.UseCanonicalName, PhysicalPort: v.UseCanonicalPhysicalPort}
	if v.TLS || v.ServerScheme == "https" {
		server.DefaultScheme = "https"
	}
	for _, l := range c.logs {
		if l.file == nil || !l.wanted(e) {
			continue
		}
		t := l.file
		t.Mu.Lock()
		t.Buf = l.format.Append(t.Buf, &server, e, &l.clock)
		full := len(t.Buf) >= holdAt
		t.Mu.Unlock()
		if full {
			flush(t)
		}
	}
}

func flushAll(c *Config) {
	for _, l := range c.logs {
		if l.file != nil {
			flush(l.file)
		}
	}
}
