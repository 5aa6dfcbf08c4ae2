// A readable text of a snapshot: what was understood of the configuration.
package httpd

import (
	"fmt"
	"io"
	"strings"
	"time"
)

// Dump writes listeners, process groups, hosts, sections in the order they
// apply, and routes: for tests and for people who ask why a request goes where
// it goes.
func (s *Server) Dump(w io.Writer) {
	for _, l := range s.Listen {
		fmt.Fprintf(w, "listen %s %s %s\n", l.Network, l.Addr, l.Proto)
	}
	if s.User != "" || s.Group != "" {
		fmt.Fprintf(w, "identity user=%s group=%s\n", s.User, s.Group)
	}
	for i := range s.Groups {
		g := &s.Groups[i]
		fmt.Fprintf(w, "group %s processes=%d threads=%d multiprocess=%t", g.Name, g.Processes, g.Threads, g.Multiprocess)
		if g.HostIndex != 0 {
			fmt.Fprintf(w, " host=%d", g.HostIndex)
		}
		for _, p := range g.Preload {
			fmt.Fprintf(w, " preload=%s@%q", p.Path, p.ApplicationGroup)
		}
		fmt.Fprintln(w)
	}
	for _, p := range s.Python.EmbeddedImports {
		fmt.Fprintf(w, "embedded preload=%s@%q\n", p.Path, p.ApplicationGroup)
	}
	for _, t := range s.LogFiles() {
		fmt.Fprintf(w, "log %s\n", t.Key())
	}
	s.Main.dump(w)
	for _, v := range s.VirtualHosts {
		v.dump(w)
	}
}

func (v *VirtualHost) dump(w io.Writer) {
	kind := "main server"
	if v.index > 0 {
		kind = fmt.Sprintf("host %d", v.index)
	}
	fmt.Fprintf(w, "%s %s:%d", kind, v.ServerName, v.ServerPort)
	if len(v.Aliases) > 0 {
		fmt.Fprintf(w, " aliases=%s", strings.Join(v.Aliases, ","))
	}
	fmt.Fprintf(w, "\n  keepalive=%t/%v/%d timeout=%v head=%v-%v/%d body=%v/%d limits=%d,%d,%d\n", v.KeepAlive, v.KeepAliveTimeout,
		v.MaxKeepAliveRequests, v.Timeout, v.HeaderTimeout.Round(time.Millisecond), v.HeaderTimeoutMax, v.HeaderMinRate, v.BodyTimeout, v.BodyMinRate,
		v.LimitLine, v.LimitFields, v.LimitFieldSize)
	for _, step := range []struct {
		name string
		list []*section
	}{{"Directory", v.sections.dirs}, {"DirectoryMatch", v.sections.dirMatch}, {"Files", v.sections.files}, {"Location", v.sections.locs}} {
		for _, x := range step.list {
			form := ""
			if x.re != nil {
				form = "~ "
			}
			fmt.Fprintf(w, "  <%s %s%s>\n", step.name, form, x.arg)
			for _, f := range x.files {
				fmt.Fprintf(w, "    <Files %s>\n", f.arg)
				dumpIfs(w, "      ", f.ifs)
			}
			dumpIfs(w, "    ", x.ifs)
		}
	}
	dumpIfs(w, "  ", v.sections.ifs)
	for i := range v.fast.entries {
		e := &v.fast.entries[i]
		name := e.prefix
		switch {
		case e.match != nil:
			name = "(pattern)"
		case name == "" || e.exact:
			name += "/"
		}
		fmt.Fprintf(w, "  route %s", name)
		if e.plan == nil {
			fmt.Fprint(w, " phases")
		} else {
			e.plan.dump(w)
		}
		for _, x := range e.varying {
			fmt.Fprintf(w, " except=%s", x.arg)
		}
		fmt.Fprintln(w)
	}
}

func dumpIfs(w io.Writer, indent string, groups []ifGroup) {
	for _, g := range groups {
		for i, x := range g {
			switch {
			case i == 0:
				fmt.Fprintf(w, "%s<If %s>\n", indent, x.arg)
			case x.cond != nil:
				fmt.Fprintf(w, "%s<ElseIf %s>\n", indent, x.arg)
			default:
				fmt.Fprintf(w, "%s<Else>\n", indent)
			}
			dumpIfs(w, indent+"  ", x.ifs)
		}
	}
}

func (p *Plan) dump(w io.Writer) {
	fmt.Fprintf(w, " plan=%d script=%s process-group=%q application-group=%q callable=%s", p.ID, p.Script, p.ProcessGroup, p.ApplicationGroup, p.CallableObject)
	for _, f := range []struct {
		on   bool
		name string
	}{{p.PassAuthorization, "pass-authorization"}, {p.ChunkedRequest, "chunked"}, {!p.ScriptReloading, "no-reloading"}, {p.ErrorOverride, "error-override"}} {
		if f.on {
			fmt.Fprint(w, " ", f.name)
		}
	}
}
