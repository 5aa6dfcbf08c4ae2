// Package cgi is mod_cgi (and mod_cgid, which differs from it inside only): it
// runs programs by the Common Gateway Interface, one process per request.
//
// Files: cgi.go has settings, directives and the handler; environ.go makes the
// program's environment; script.go runs it; head.go reads the header of its
// answer.
//
// Source: RFC 3875, Apache manual "mod_cgi", "core" (RLimit...) and "Dynamic
// Content with CGI".
package cgi

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"modwsgi/gocore/internal/httpd"
	"modwsgi/gocore/internal/mod/alias"
)

const (
	handlerName = "cgi-script"
	scriptType  = "application/x-httpd-cgi" // its old form as a media type
)

// limit is one RLimit directive: soft and hard, -1 = max.
type limit struct{ soft, hard int64 }

// Config is the module's settings of one scope.
type Config struct {
	timeout        httpd.Opt[time.Duration]
	cpu, mem, proc httpd.Opt[limit]
	requestURI     httpd.Opt[bool] // CGIVar REQUEST_URI current-uri
}

const limits = httpd.InServerHost | httpd.InSection | httpd.InHtaccess

// Module is mod_cgi.
var Module = &httpd.Module[Config]{
	Name: "cgi", ID: "cgi_module", File: "mod_cgi.c", Also: []string{"cgid_module", "mod_cgid.c"},
	Directives: []httpd.Directive[Config]{
		{Name: "CGIScriptTimeout", Args: "time[s|ms|min]", Min: 1, Max: 1, In: limits, Override: httpd.OverrideFileInfo, Default: "value of Timeout", Set: setTimeout,
			Doc: "How long a program may be silent."},
		{Name: "CGIDScriptTimeout", Args: "time[s|ms|min]", Min: 1, Max: 1, In: limits, Override: httpd.OverrideFileInfo, Default: "value of Timeout", Set: setTimeout,
			Doc: "As CGIScriptTimeout."},
		{Name: "CGIVar", Args: "variable rule", Min: 2, Max: 2, In: limits, Override: httpd.OverrideFileInfo, Set: setVar,
			Doc: "REQUEST_URI original-uri or current-uri: which URL a program sees after an internal redirect."},
		{Name: "RLimitCPU", Args: "seconds|max [seconds|max]", Min: 1, Max: 2, In: limits, Override: httpd.OverrideAll, Set: setLimit(func(c *Config) *httpd.Opt[limit] { return &c.cpu }),
			Doc: "Processor time of programs, soft and hard limit."},
		{Name: "RLimitMEM", Args: "bytes|max [bytes|max]", Min: 1, Max: 2, In: limits, Override: httpd.OverrideAll, Set: setLimit(func(c *Config) *httpd.Opt[limit] { return &c.mem }),
			Doc: "Memory of programs, soft and hard limit."},
		{Name: "RLimitNPROC", Args: "number|max [number|max]", Min: 1, Max: 2, In: limits, Override: httpd.OverrideAll, Set: setLimit(func(c *Config) *httpd.Opt[limit] { return &c.proc }),
			Doc: "How many processes the user of the programs may have, soft and hard limit."},
		noEffect("ScriptLog", "file", toErrorLog), noEffect("ScriptLogBuffer", "bytes", toErrorLog), noEffect("ScriptLogLength", "bytes", toErrorLog),
		{Name: "ScriptSock", Args: "path", Min: 1, Max: 1, In: httpd.InServerHost, Mapped: true, Set: func(*httpd.Cmd, *Config) error { return nil },
			Doc: "Accepted: the server's processes start programs themselves, so that there is no daemon and no socket to it. Nothing is lost."},
	},
	Merge: func(p, k *Config) *Config {
		return &Config{timeout: p.timeout.Over(k.timeout), cpu: p.cpu.Over(k.cpu), mem: p.mem.Over(k.mem), proc: p.proc.Over(k.proc),
			requestURI: p.requestURI.Over(k.requestURI)}
	},
	Handler: handle,
}

const toErrorLog = "what goes wrong with a program is in the error log, and what it writes to its standard error"

func noEffect(name, args, why string) httpd.Directive[Config] {
	return httpd.Directive[Config]{Name: name, Args: args, Min: 1, Max: 1, In: httpd.InServerHost, NoEffect: true,
		Doc: "Accepted without effect: " + why + ".",
		Set: func(k *httpd.Cmd, _ *Config) error {
			k.Notice(httpd.CodeIgnored, "accepted without effect: %s", why)
			return nil
		}}
}

func setTimeout(k *httpd.Cmd, c *Config) error {
	text, unit := k.Arg(0), time.Second
	for _, u := range []struct {
		suffix string
		unit   time.Duration
	}{{"ms", time.Millisecond}, {"min", time.Minute}, {"mi", time.Minute}, {"s", time.Second}, {"h", time.Hour}} {
		if rest, ok := strings.CutSuffix(strings.ToLower(text), u.suffix); ok {
			text, unit = rest, u.unit
			break
		}
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > 1<<31/int(unit/time.Millisecond) {
		return fmt.Errorf("%q is not a time; a number of seconds, or with the unit ms, min or h", k.Arg(0))
	}
	c.timeout = httpd.Some(time.Duration(n) * unit)
	return nil
}

func setVar(k *httpd.Cmd, c *Config) error {
	if k.Arg(0) != "REQUEST_URI" {
		return fmt.Errorf("knows no rule for %q, only for REQUEST_URI", k.Arg(0))
	}
	switch k.Arg(1) {
	case "original-uri", "current-uri":
		c.requestURI = httpd.Some(k.Arg(1) == "current-uri")
		return nil
	}
	return fmt.Errorf("the rule is original-uri or current-uri, not %q", k.Arg(1))
}

func setLimit(field func(*Config) *httpd.Opt[limit]) func(*httpd.Cmd, *Config) error {
	read := func(s string) (int64, error) {
		if strings.EqualFold(s, "max") {
			return -1, nil
		}
		n, err := strconv.ParseInt(s, 10, 64)
		if err != nil || n < 0 {
			return 0, fmt.Errorf("%q is not a number or max", s)
		}
		return n, nil
	}
	return func(k *httpd.Cmd, c *Config) error {
		soft, err := read(k.Arg(0))
		if err != nil {
			return err
		}
		hard := soft
		if len(k.Args) > 1 {
			if hard, err = read(k.Arg(1)); err != nil {
				return err
			}
		}
		if hard >= 0 && (soft < 0 || soft > hard) {
			return fmt.Errorf("the soft limit %s is above the hard limit %s", k.Arg(0), k.Arg(1))
		}
		if !canLimit {
			return &httpd.Coded{Code: httpd.CodeUnavailable, Message: "resources of programs cannot be limited on this system"}
		}
		*field(c) = httpd.Some(limit{soft, hard})
		return nil
	}
}

// handle answers requests whose handler is ours. Nothing here ever sends the
// file itself.
func handle(r *httpd.Request, c *Config) *httpd.Outcome {
	if r.Handler != handlerName && r.Handler != scriptType && !(r.Handler == "" && r.ContentType == scriptType) {
		return nil
	}
	refuse := func(status int, format string, a ...any) *httpd.Outcome {
		r.Logf(httpd.LevelError, "cgi", format, a...)
		return r.Fail(status)
	}
	switch {
	case r.Notes[alias.NoteHandler] != handlerName && r.Core().OptionsValue()&httpd.OptExecCGI == 0:
		return refuse(http.StatusForbidden, "Options ExecCGI is off in this directory: %s", r.Filename)
	case r.Info == nil:
		return refuse(http.StatusNotFound, "script not found or unable to stat: %s", r.Filename)
	case r.Info.IsDir():
		return refuse(http.StatusForbidden, "attempt to invoke directory as script: %s", r.Filename)
	case r.PathInfo != "" && r.Core().AcceptPathInfo.V == "off":
		return refuse(http.StatusNotFound, "AcceptPathInfo off disallows the path after the script: %s", r.URI)
	case r.Info.Mode()&0o111 == 0:
		return refuse(http.StatusForbidden, "file permissions deny server execution: %s", r.Filename)
	}
	s := &script{r: r, c: c, env: environ(r, c), timeout: c.timeout.Or(r.Host.Timeout)}
	return &httpd.Outcome{Stream: s.run, Request: r}
}
