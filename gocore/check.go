// The report of `mod_wsgi-express check`: every problem of a configuration at
// once, and what becomes of each directive that it uses.
package gocore

import (
	"os"
	"slices"
	"strings"

	"modwsgi/gocore/internal/conf"
	"modwsgi/gocore/internal/httpd"
	"modwsgi/gocore/internal/mod"
	"modwsgi/gocore/internal/mod/ssl"
	"modwsgi/gocore/internal/process"
	"modwsgi/gocore/internal/python"
)

// The classes of directives in a report, in the order of its table.
const (
	effectFull    = "full"    // as in Apache
	effectMapped  = "mapped"  // has its effect by other means; its documentation says how
	effectIgnored = "ignored" // accepted without effect
	effectRefused = "refused" // not available, and ignoring it would weaken the site
	effectWrong   = "wrong"   // misspelled, misplaced, or with wrong arguments
)

// usageJSON is how often a directive occurs in a class.
type usageJSON struct {
	Name   string `json:"name"`
	Effect string `json:"effect"`
	Count  int    `json:"count"`
}

// reportJSON is what CheckReport returns.
type reportJSON struct {
	Diagnostics []diagnosticJSON `json:"diagnostics"`
	Directives  []usageJSON      `json:"directives"` // by name
	Files       []string         `json:"files"`      // every file that was read, in order
	Usable      bool             `json:"usable"`     // the server would start with it
}

// CheckReport reads and compiles a configuration without any effect on the
// system and returns a JSON object: "diagnostics" as from CheckConfig but with
// those of all stages, "directives" with the number of occurrences by name and
// effect ("full", "mapped", "ignored", "refused", "wrong"), "files" and
// "usable". The arguments are those of CheckConfig.
func CheckReport(file, serverRoot, defines string) string {
	opt := httpd.ConfOptions(mod.All)
	opt.ServerRoot = serverRoot
	var err error
	if opt.Defines, err = parseDefines(defines); err != nil {
		d := conf.Diagnostic{Severity: conf.Error, Code: conf.CodeArguments, Pos: conf.Pos{File: file}, Message: err.Error()}
		return encode(reportJSON{Diagnostics: diagnosticsOf([]conf.Diagnostic{d}), Directives: []usageJSON{}, Files: []string{}})
	}
	tree, diags := conf.Parse(file, opt)
	if len(tree.Files) == 0 { // unreadable: there is nothing to say about its content
		return encode(reportJSON{Diagnostics: diagnosticsOf(diags), Directives: []usageJSON{}, Files: []string{}})
	}
	srv, more := httpd.Compile(tree, mod.All)
	// What the parser could not accept the compiler cannot either: once is enough.
	for _, d := range more {
		if !slices.ContainsFunc(diags, func(o conf.Diagnostic) bool { return o.Severity == conf.Error && o.Pos == d.Pos && o.Pos.Line > 0 }) {
			diags = append(diags, d)
		}
	}
	if !conf.HasErrors(diags) {
		_, more = ssl.Read(srv)
		diags = append(diags, more...)
		diags = append(diags, process.UnknownAccounts(srv, os.Geteuid() == 0)...)
		diags = append(diags, process.PythonWarnings(srv, thisPython())...)
	}
	return encode(reportJSON{Diagnostics: diagnosticsOf(diags), Directives: usage(tree, diags),
		Files: append([]string{}, tree.Files...), Usable: !conf.HasErrors(diags)})
}

// thisPython is the build that this library belongs to.
func thisPython() process.PythonBuild {
	b := python.ThisBuild()
	return process.PythonBuild{Minor: b.Minor, FreeThreaded: b.FreeThreaded}
}

// usage counts the directives of a tree by name and by what becomes of them.
func usage(tree *conf.Tree, diags []conf.Diagnostic) []usageJSON {
	effects := map[string]httpd.DirectiveInfo{}
	for _, d := range httpd.Catalogue(mod.All) {
		effects[strings.ToLower(d.Name)] = d
	}
	type place struct {
		conf.Pos
		name string
	}
	said := map[place]string{}
	for _, d := range diags {
		at := place{d.Pos, strings.ToLower(d.Directive)}
		switch {
		case d.Severity == conf.Error && (d.Code == httpd.CodeUnavailable || d.Code == conf.CodeModule):
			said[at] = effectRefused
		case d.Severity == conf.Error && said[at] == "":
			said[at] = effectWrong
		case (d.Code == httpd.CodeIgnored || d.Code == httpd.CodeHandler || d.Code == conf.CodeModule) && said[at] == "":
			said[at] = effectIgnored
		}
	}
	counts := map[usageJSON]int{}
	var walk func([]*conf.Directive)
	walk = func(list []*conf.Directive) {
		for _, d := range list {
			info, known := effects[strings.ToLower(d.Name)]
			u := usageJSON{Name: info.Name, Effect: said[place{d.Pos, strings.ToLower(d.Name)}]}
			switch {
			case u.Effect != "":
				if !known {
					u.Name = d.Name
				}
			case !known:
				u.Name, u.Effect = d.Name, effectIgnored // of a module that only tunes; reported once
			case info.Effect == "yes":
				u.Effect = effectFull
			case info.Effect == "mapped":
				u.Effect = effectMapped
			default: // also of those that are refused: with these arguments it was not
				u.Effect = effectIgnored
			}
			counts[u]++
			walk(d.Children)
		}
	}
	walk(tree.Root)
	out := make([]usageJSON, 0, len(counts))
	for u, n := range counts {
		u.Count = n
		out = append(out, u)
	}
	slices.SortFunc(out, func(a, b usageJSON) int {
		if c := strings.Compare(strings.ToLower(a.Name), strings.ToLower(b.Name)); c != 0 {
			return c
		}
		return strings.Compare(a.Effect, b.Effect)
	})
	return out
}
