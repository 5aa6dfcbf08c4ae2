// <If>, <ElseIf> and <Else>: sections that a condition selects for each
// request. They apply after all other sections, in the order met: the main
// server's, the virtual host's, then those inside the sections that apply.
// Source: Apache manual, "Configuration Sections" and the directive If.
package httpd

import (
	"errors"
	"net/http"
	"slices"
	"strings"

	"modwsgi/gocore/internal/conf"
)

// ifGroup is an <If> with the <ElseIf> and <Else> that follow it: the first
// branch whose condition holds applies. That of <Else> is nil.
type ifGroup []*section

// conditional reads one branch.
func (b *builder) conditional(name string, d *conf.Directive, at *place) error {
	x := &section{id: b.s.nextID.Add(1), kind: kindIf, conf: make([]any, len(b.mods)), pos: d.Pos, arg: strings.Join(d.Args, " ")}
	if name != "else" {
		e, err := parseExpr(d.Args[0], at.htaccess)
		if err != nil {
			return err
		}
		x.cond = e.Vary()
	}
	groups := &at.host.ifs
	if at.sec != nil {
		groups = &at.sec.ifs
	}
	if name == "if" {
		*groups = append(*groups, ifGroup{x})
	} else {
		n := len(*groups) - 1
		if n < 0 || (*groups)[n][len((*groups)[n])-1].cond == nil {
			return errors.New("needs an <If> or <ElseIf> before it in the same section")
		}
		(*groups)[n] = append((*groups)[n], x)
	}
	b.apply(d.Children, &place{host: at.host, conf: x.conf, in: InIf, path: at.path, sec: x,
		htaccess: at.htaccess, override: at.override, options: at.options, overrideList: at.overrideList})
	return nil
}

// cover makes the settings of the request from the sections that cover it and
// the conditional ones that hold. What follows depends on the request then, so
// that no precomputed route may stand for it.
func (r *Request) cover(list []*section) Status {
	v := r.Host
	r.m = v.merge(list)
	conditional := len(v.sections.ifs) > 0
	for _, x := range list {
		conditional = conditional || len(x.ifs) > 0
	}
	if !conditional {
		return OK
	}
	r.dynamic = true
	r.Varies()
	all, st := r.branches(slices.Clip(list), v.sections.ifs)
	for _, x := range list {
		if st == OK {
			all, st = r.branches(all, x.ifs)
		}
	}
	r.m = v.merge(all)
	return st
}

// branches adds the sections of the groups that apply, and what they contain.
// A condition that cannot be decided refuses the request: the section may be
// there to restrict it.
func (r *Request) branches(list []*section, groups []ifGroup) ([]*section, Status) {
	for _, g := range groups {
		for _, x := range g {
			if x.cond != nil {
				holds, err := x.cond.True(r)
				if err != nil {
					r.Logf(LevelError, "core", "AH00039: failed to evaluate the condition of <If> at %s: %v", x.pos, err)
					return list, http.StatusInternalServerError
				}
				if !holds {
					continue
				}
			}
			var st Status
			if list, st = r.branches(append(list, x), x.ifs); st != OK {
				return list, st
			}
			break
		}
	}
	return list, OK
}
