// This file is the page for people.

package status

import (
	"bytes"
	"fmt"
	"html"
	"time"

	"modwsgi/gocore/internal/httpd"
)

const style = `body{font:15px/1.45 system-ui,sans-serif;margin:2em;max-width:70em}table{border-collapse:collapse;margin:.7em 0}` +
	`th,td{text-align:left;padding:.15em .8em .15em 0;border-bottom:1px solid #8884;vertical-align:top}td.n{text-align:right}pre{line-height:1.3}`

// writePage writes the page; plain: without tables.
func writePage(b *bytes.Buffer, r *httpd.Request, s *httpd.ServerStatus, plain bool) {
	server, t, at := r.Host.Server(), sum(s), now()
	e := html.EscapeString
	up := int64(at.Sub(s.Started) / time.Second)
	fmt.Fprintf(b, "<!DOCTYPE html>\n<html><head><title>Server status</title><style>%s</style></head><body>\n", style)
	fmt.Fprintf(b, "<h1>Server status of %s</h1>\n<dl>\n", e(r.Host.ServerName))
	item := func(name, format string, a ...any) {
		fmt.Fprintf(b, "<dt>%s: %s</dt>\n", name, e(fmt.Sprintf(format, a...)))
	}
	item("Server version", "%s", server.Software)
	item("Current time", "%s", at.Format(longTime))
	item("Started", "%s", s.Started.Format(longTime))
	item("Configuration generation", "%d", s.Generation)
	item("Server uptime", "%s", uptime(up))
	if server.ExtendedStatus {
		item("Total accesses", "%d - total traffic: %s - total duration: %s", s.Requests, size(s.Bytes), s.Busy.Round(time.Millisecond))
		item("CPU usage", "u%.2f s%.2f", t.user, t.system)
		if up > 0 && s.Requests > 0 {
			item("Rate", "%.3g requests/s - %s/s - %s/request - %.3g ms/request", float64(s.Requests)/float64(up), size(s.Bytes/up),
				size(s.Bytes/s.Requests), float64(s.Busy.Milliseconds())/float64(s.Requests))
		}
	}
	item("Now", "%d requests being processed, %d idle threads, %d connections", t.busy, t.idle, t.connections)
	fmt.Fprintf(b, "</dl>\n<pre>%s</pre>\n<p>W runs a request, _ waits for one, G finishes before its process stops.</p>\n", wrap(t.board, 64))
	var rows [][]string
	for i := range s.Processes {
		p := &s.Processes[i]
		state := "yes"
		if p.Stopping {
			state = "stopping"
		}
		group := p.Group
		if group == "" {
			group = "(server)"
		}
		age := uptime(max(0, (at.UnixMilli()-p.Started)/1000))
		if p.Started == 0 { // a process behind the front, see BehindStatus
			age = ""
		}
		rows = append(rows, []string{fmt.Sprint(p.PID), group, fmt.Sprint(p.Generation), state, fmt.Sprint(p.Connections),
			fmt.Sprintf("%d of %d", min(p.Running, p.Threads), p.Threads), fmt.Sprint(p.Requests), fmt.Sprintf("%.2f", p.User+p.System),
			age})
	}
	list(b, plain, "Processes", []string{"PID", "Group", "Generation", "Accepting", "Connections", "Busy threads", "Requests", "CPU s", "Age"}, rows)
	if server.ExtendedStatus {
		rows = nil
		for i := range s.Processes {
			for _, q := range s.Processes[i].Current {
				rows = append(rows, []string{fmt.Sprint(s.Processes[i].PID), fmt.Sprintf("%.3f", float64(max(0, at.UnixMilli()-q.Start))/1000), q.Client, q.Host, q.Line})
			}
		}
		list(b, plain, "Requests in progress", []string{"PID", "Seconds", "Client", "Virtual host", "Request"}, rows)
	}
	b.WriteString("</body></html>\n")
}

// list writes rows as a table, or as lines.
func list(b *bytes.Buffer, plain bool, title string, names []string, rows [][]string) {
	fmt.Fprintf(b, "<h2>%s</h2>\n", title)
	if plain {
		b.WriteString("<ul>\n")
		for _, row := range rows {
			b.WriteString("<li>")
			for i, cell := range row {
				fmt.Fprintf(b, "%s %s; ", html.EscapeString(names[i]), html.EscapeString(cell))
			}
			b.WriteString("</li>\n")
		}
		b.WriteString("</ul>\n")
		return
	}
	b.WriteString("<table><tr>")
	for _, n := range names {
		fmt.Fprintf(b, "<th>%s</th>", n)
	}
	b.WriteString("</tr>\n")
	for _, row := range rows {
		b.WriteString("<tr>")
		for _, cell := range row {
			fmt.Fprintf(b, "<td>%s</td>", html.EscapeString(cell))
		}
		b.WriteString("</tr>\n")
	}
	b.WriteString("</table>\n")
}

// wrap breaks a long line.
func wrap(s string, width int) string {
	out := ""
	for len(s) > width {
		out, s = out+s[:width]+"\n", s[width:]
	}
	return out + s
}

// size is a number of bytes in a readable unit.
func size(n int64) string {
	for _, u := range []struct {
		size int64
		name string
	}{{1 << 30, "GB"}, {1 << 20, "MB"}, {1 << 10, "kB"}} {
		if n >= u.size {
			return fmt.Sprintf("%.1f %s", float64(n)/float64(u.size), u.name)
		}
	}
	return fmt.Sprintf("%d B", n)
}
