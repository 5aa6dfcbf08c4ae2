// Reading configurations for Python: diagnostics, a summary, and the table of
// directives, all as JSON with keys as in the Python classes that take them.
package gocore

import (
	"encoding/json"
	"fmt"

	"modwsgi/gocore/internal/conf"
	"modwsgi/gocore/internal/httpd"
	"modwsgi/gocore/internal/mod"
	"modwsgi/gocore/internal/mod/ssl"
)

// diagnosticJSON is modwsgi_go.Diagnostic.
type diagnosticJSON struct {
	Severity   string `json:"severity"`
	Code       string `json:"code"`
	File       string `json:"file"`
	Line       int    `json:"line"`
	Directive  string `json:"directive"`
	Message    string `json:"message"`
	Suggestion string `json:"suggestion"`
	Text       string `json:"text"` // all of it in one line
}

// directiveJSON is modwsgi_go.DirectiveInfo.
type directiveJSON struct {
	Name     string `json:"name"`
	Module   string `json:"module"`
	Syntax   string `json:"syntax"`
	Context  string `json:"context"`
	Override string `json:"override"`
	Default  string `json:"default"`
	Section  bool   `json:"section"`
	Effect   string `json:"effect"`
	Doc      string `json:"doc"`
}

type listenJSON struct {
	Network string `json:"network"`
	Address string `json:"address"`
	Proto   string `json:"proto"`
}

type hostJSON struct {
	ServerName string   `json:"server_name"`
	Aliases    []string `json:"aliases"`
	File       string   `json:"file"`
	Line       int      `json:"line"`
}

type groupJSON struct {
	Name      string `json:"name"`
	User      string `json:"user"`
	Group     string `json:"group"`
	Processes int    `json:"processes"`
	Threads   int    `json:"threads"`
}

// summaryJSON is what Config.summary() returns.
type summaryJSON struct {
	ServerRoot    string       `json:"server_root"`
	PidFile       string       `json:"pid_file"`
	ErrorLog      string       `json:"error_log"`
	User          string       `json:"user"`
	Group         string       `json:"group"`
	Listen        []listenJSON `json:"listen"`
	Hosts         []hostJSON   `json:"hosts"` // the main server first
	ProcessGroups []groupJSON  `json:"process_groups"`
	Files         []string     `json:"files"` // every file that was read, in order
}

// CheckConfig reads and compiles a configuration without any effect on the
// system, and returns the diagnostics as a JSON array ("[]": nothing to say).
// serverRoot is the base of relative paths until a ServerRoot directive;
// defines is a JSON object of -D switches, name to value, "" for none.
func CheckConfig(file, serverRoot, defines string) string {
	_, diags := compile(file, serverRoot, defines)
	return encode(diagnosticsOf(diags))
}

// DescribeConfig does what CheckConfig does and returns a JSON object:
// "diagnostics" as there, and "config" with a summary of what the files set
// up, or null if they are not usable.
func DescribeConfig(file, serverRoot, defines string) string {
	srv, diags := compile(file, serverRoot, defines)
	answer := struct {
		Diagnostics []diagnosticJSON `json:"diagnostics"`
		Config      *summaryJSON     `json:"config"`
	}{Diagnostics: diagnosticsOf(diags)}
	if srv != nil {
		answer.Config = summaryOf(srv)
	}
	return encode(answer)
}

// DirectivesJSON returns every directive that the configuration may use as a
// JSON array: the modules' own in their order, then those that are known from
// Apache but only ignored or refused.
func DirectivesJSON() string {
	rows := []directiveJSON{}
	for _, d := range httpd.Catalogue(mod.All) {
		rows = append(rows, directiveJSON{d.Name, d.Module, d.Syntax, d.Context, d.Override, d.Default, d.Section, d.Effect, d.Doc})
	}
	return encode(rows)
}

// compile reads a configuration as the supervisor does. The server is nil if
// there are errors.
func compile(file, serverRoot, defines string) (*httpd.Server, []conf.Diagnostic) {
	opt := httpd.ConfOptions(mod.All)
	opt.ServerRoot = serverRoot
	var err error
	if opt.Defines, err = parseDefines(defines); err != nil {
		return nil, []conf.Diagnostic{{Severity: conf.Error, Code: conf.CodeArguments, Pos: conf.Pos{File: file}, Message: err.Error()}}
	}
	tree, diags := conf.Parse(file, opt)
	if conf.HasErrors(diags) {
		return nil, diags
	}
	srv, more := httpd.Compile(tree, mod.All)
	if diags = append(diags, more...); conf.HasErrors(diags) {
		return nil, diags
	}
	_, more = ssl.Read(srv)
	if diags = append(diags, more...); conf.HasErrors(diags) {
		return nil, diags
	}
	return srv, diags
}

// parseDefines reads a JSON object of strings; the empty string is none.
func parseDefines(text string) (map[string]string, error) {
	defines := map[string]string{}
	if text == "" {
		return defines, nil
	}
	if err := json.Unmarshal([]byte(text), &defines); err != nil {
		return nil, fmt.Errorf("the defines are not a JSON object of strings: %w", err)
	}
	return defines, nil
}

func diagnosticsOf(diags []conf.Diagnostic) []diagnosticJSON {
	out := make([]diagnosticJSON, 0, len(diags)) // never null in JSON
	for _, d := range diags {
		out = append(out, diagnosticJSON{d.Severity.String(), d.Code, d.Pos.File, d.Pos.Line, d.Directive, d.Message, d.Suggestion, d.String()})
	}
	return out
}

func summaryOf(srv *httpd.Server) *summaryJSON {
	s := &summaryJSON{
		ServerRoot: srv.ServerRoot, PidFile: srv.PidFile, ErrorLog: srv.ErrorLog.Key(), User: srv.User, Group: srv.Group,
		Listen: []listenJSON{}, ProcessGroups: []groupJSON{}, Files: append([]string{}, srv.Tree.Files...),
	}
	for _, l := range srv.Listen {
		s.Listen = append(s.Listen, listenJSON{l.Network, l.Addr, l.Proto})
	}
	for _, h := range srv.AllHosts() {
		s.Hosts = append(s.Hosts, hostJSON{h.ServerName, append([]string{}, h.Aliases...), h.Pos.File, h.Pos.Line})
	}
	for _, g := range srv.Groups {
		s.ProcessGroups = append(s.ProcessGroups, groupJSON{g.Name, g.User, g.Group, g.Processes, g.Threads})
	}
	return s
}

// encode cannot fail: the types above hold strings, numbers and lists of them.
func encode(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return string(text)
}
