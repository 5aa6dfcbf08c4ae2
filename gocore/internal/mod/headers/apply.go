// When the lines run and what each action does to a table of fields.
package headers

import (
	"slices"
	"strings"

	"modwsgi/gocore/internal/httpd"
)

// early runs the lines with "early" before the request is mapped to anything.
func early(r *httpd.Request, c *config) httpd.Status {
	editRequest(r, c.request, true)
	for _, e := range c.always {
		if e.early {
			e.run(r, (*httpd.Fields)(&r.ErrOut))
		}
	}
	for _, e := range c.onsuccess {
		if e.early {
			e.run(r, (*httpd.Fields)(&r.Out))
		}
	}
	return httpd.Declined
}

// fixup runs RequestHeader. The request that a sub-request is for has its own
// turn.
func fixup(r *httpd.Request, c *config) httpd.Status {
	if !r.SubRequest {
		editRequest(r, c.request, false)
	}
	return httpd.Declined
}

// editRequest changes a copy, because others may share the fields.
func editRequest(r *httpd.Request, list []*entry, early bool) {
	var t httpd.Fields
	for _, e := range list {
		if e.early != early {
			continue
		}
		if t == nil {
			t = slices.Clone(r.Header)
		}
		if e.run(r, &t) {
			r.SetHeader(t) // the next line's condition sees it
		}
	}
}

// response runs Header: the server's own pages get "always" only. The media
// type is in one table whichever the line names.
func response(r *httpd.Request, c *config, h *httpd.ResponseHead) {
	for _, e := range c.always {
		switch {
		case e.early:
		case strings.EqualFold(e.name, "Content-Type"):
			e.run(r, &h.Header)
		default:
			e.run(r, &h.ErrHeader)
		}
	}
	if r.OwnPage() {
		return
	}
	for _, e := range c.onsuccess {
		if !e.early {
			e.run(r, &h.Header)
		}
	}
}

// run applies the line if its condition holds and says whether that changed
// the table.
func (e *entry) run(r *httpd.Request, t *httpd.Fields) bool { return e.holds(r) && e.apply(r, t) }

func (e *entry) holds(r *httpd.Request) bool {
	if e.env != "" {
		_, set := r.Env(e.env)
		return set != e.not
	}
	if e.cond == nil {
		return true
	}
	ok, err := e.cond.True(r)
	if err != nil {
		r.Logf(httpd.LevelError, "headers", "AH01501: the condition %q could not be evaluated: %v", e.cond, err)
	}
	return ok && err == nil
}

// apply makes the change and says whether there was one.
func (e *entry) apply(r *httpd.Request, t *httpd.Fields) bool {
	switch e.do {
	case actUnset:
		n := len(*t)
		t.Del(e.name)
		return len(*t) != n
	case actEcho:
		n := len(*t)
		for _, f := range r.Header {
			if e.re.MatchString(f.Name) {
				t.Add(f.Name, f.Value)
			}
		}
		return len(*t) != n
	case actEdit, actEditAll:
		return e.edit(r, *t)
	}
	old, exists := t.Get(e.name)
	if e.do == actSetIfEmpty && exists {
		return false
	}
	v, ok := e.value.eval(r, nil)
	if !ok {
		return false
	}
	if exists && (e.do == actAdd || e.do == actAppend || e.do == actMerge) && strings.EqualFold(e.name, "Content-Type") {
		return false // has one value; as in httpd, that which is there
	}
	switch e.do {
	case actNote:
		if exists {
			r.Note(v, old)
		}
		return false
	case actAdd:
		t.Add(e.name, v)
		return true
	case actMerge:
		if exists && listed(old, v) {
			return false
		}
		fallthrough
	case actAppend:
		for i := range *t {
			if strings.EqualFold((*t)[i].Name, e.name) {
				(*t)[i].Value += ", " + v
				return true
			}
		}
	}
	t.Set(e.name, v)
	return true
}

// listed says whether v is an element of a list of values; commas in quotes do
// not separate.
func listed(list, v string) bool {
	v = strings.TrimSpace(v)
	start, quoted := 0, false
	for i := 0; i <= len(list); i++ {
		switch {
		case i == len(list) || list[i] == ',' && !quoted:
			if strings.TrimSpace(list[start:i]) == v {
				return true
			}
			start = i + 1
		case list[i] == '"':
			quoted = !quoted
		case list[i] == '\\' && quoted && i+1 < len(list):
			i++
		}
	}
	return false
}

// edit replaces the first match, or all, in every field of the name.
func (e *entry) edit(r *httpd.Request, t httpd.Fields) (changed bool) {
	for i := range t {
		f := &t[i]
		if !strings.EqualFold(f.Name, e.name) {
			continue
		}
		var b strings.Builder
		rest := f.Value
		for {
			g := e.re.Find(rest)
			if g == nil {
				break
			}
			v, ok := e.value.eval(r, &httpd.Captures{Source: rest, Groups: g})
			if !ok {
				break
			}
			if e.value.expr == nil {
				v = httpd.Expand(v, rest, g)
			}
			b.WriteString(rest[:g[0]])
			b.WriteString(v)
			end := g[1]
			if end == g[0] { // an empty match: go on behind the next character
				if end == len(rest) {
					rest = ""
					break
				}
				if e.do == actEditAll {
					b.WriteByte(rest[end])
					end++
				}
			}
			rest = rest[end:]
			if e.do == actEdit || rest == "" {
				break
			}
		}
		b.WriteString(rest)
		if b.String() != f.Value {
			f.Value, changed = b.String(), true
		}
	}
	return changed
}
