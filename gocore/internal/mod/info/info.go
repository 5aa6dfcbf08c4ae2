// Package info is mod_info: the handler server-info, a page with the effective
// configuration: what was understood, by which modules, from which lines.
//
// The whole module is in this file. ?config shows the files' directives alone,
// ?server the snapshot alone, ?list the modules' names.
package info

import (
	"bytes"
	"fmt"
	"html"
	"strings"

	"modwsgi/gocore/internal/conf"
	"modwsgi/gocore/internal/httpd"
)

// Config has no settings.
type Config struct{}

// Module is mod_info.
var Module = &httpd.Module[Config]{
	Name: "info", ID: "info_module", File: "mod_info.c",
	Handler: handle,
}

const (
	handlerName = "server-info"
	style       = `body{font:15px/1.45 system-ui,sans-serif;margin:2em}pre{line-height:1.4;white-space:pre-wrap}.at{color:#777}`
)

func handle(r *httpd.Request, _ *Config) *httpd.Outcome {
	if r.Handler != handlerName {
		return nil
	}
	if r.Method != "GET" && r.Method != "HEAD" {
		return r.Fail(405)
	}
	s := r.Host.Server()
	var b bytes.Buffer
	fmt.Fprintf(&b, "<!DOCTYPE html>\n<html><head><title>Server information</title><style>%s</style></head><body>\n<h1>Server information of %s</h1>\n",
		style, html.EscapeString(r.Host.ServerName))
	all := r.Query == ""
	if all || r.Query == "list" {
		fmt.Fprintf(&b, "<h2>Modules</h2>\n<p>%s</p>\n", html.EscapeString(strings.Join(s.ModuleNames(), " ")))
	}
	if all || r.Query == "server" {
		var text strings.Builder
		fmt.Fprintf(&text, "version %s\nroot %s\n", s.Software, s.ServerRoot)
		s.Dump(&text)
		fmt.Fprintf(&b, "<h2>What was understood</h2>\n<pre>%s</pre>\n", html.EscapeString(text.String()))
	}
	if all || r.Query == "config" {
		b.WriteString("<h2>Directives in force</h2>\n<pre>")
		file := ""
		writeTree(&b, s.Tree.Root, 0, &file)
		b.WriteString("</pre>\n")
	}
	b.WriteString("</body></html>\n")
	return &httpd.Outcome{Status: 200, Body: b.Bytes(), Header: []httpd.Field{
		{Name: "Content-Type", Value: "text/html; charset=utf-8"}, {Name: "Cache-Control", Value: "no-store"}}}
}

// writeTree writes directives with their lines, and the file's name where it changes.
func writeTree(b *bytes.Buffer, list []*conf.Directive, depth int, file *string) {
	indent := strings.Repeat("    ", depth)
	for _, d := range list {
		if d.Pos.File != *file {
			*file = d.Pos.File
			fmt.Fprintf(b, "<span class=at># %s</span>\n", html.EscapeString(*file))
		}
		text := html.EscapeString(strings.TrimSpace(d.Name + " " + d.Raw))
		if !d.Section {
			fmt.Fprintf(b, "<span class=at>%5d</span> %s%s\n", d.Pos.Line, indent, text)
			continue
		}
		fmt.Fprintf(b, "<span class=at>%5d</span> %s&lt;%s&gt;\n", d.Pos.Line, indent, text)
		writeTree(b, d.Children, depth+1, file)
		fmt.Fprintf(b, "      %s&lt;/%s&gt;\n", indent, html.EscapeString(d.Name))
	}
}
