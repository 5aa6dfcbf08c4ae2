// Filters for request bodies on their way in: SetInputFilter, AddInputFilter.
// After the fixups the modules say what the body passes through; whoever reads
// the body (wsgi.input, a CGI program, a proxied server) sees it decoded. A
// body that passes a filter has no known length.
package httpd

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
)

// InputFilter makes the reader of a decoded body from that of one as it was
// sent. Errors of the reader below pass through; its own are StatusErrors.
type InputFilter func(body io.Reader) io.Reader

// InputFilters reads a list of names of filters for request bodies, as
// OutputFilters does.
func (k *Cmd) InputFilters(list string) ([]string, error) {
	return k.filterNames(list, "input", func(m moduleMeta) []string { return m.inputFilters })
}

// filterNames reads a list of filters; known are those of a module.
func (k *Cmd) filterNames(list, kind string, known func(moduleMeta) []string) ([]string, error) {
	all := map[string]bool{}
	for _, m := range k.b.mods {
		for _, n := range known(m.meta()) {
			all[n] = true
		}
	}
	names := []string{} // not nil: NONE is not what an enclosing scope says
	for n := range strings.SplitSeq(list, ";") {
		n = strings.ToUpper(strings.TrimSpace(n))
		switch {
		case n == "NONE" || n == "":
		case !all[n]:
			return nil, &Coded{Code: CodeUnavailable, Message: fmt.Sprintf("there is no %s filter %q", kind, n),
				Suggestion: fmt.Sprintf("the %s filters are %s", kind, strings.Join(slices.Sorted(maps.Keys(all)), ", "))}
		case !slices.Contains(names, n):
			names = append(names, n)
		}
	}
	return names, nil
}

// HasInputFilter reports whether the body passes a filter of that (upper case)
// name; only meaningful in an Input hook.
func (r *Request) HasInputFilter(name string) bool { return slices.Contains(r.inputNames, name) }

// InputFilter is what the body passes through, nil if nothing. It is decided
// before the handler is asked.
func (r *Request) InputFilter() InputFilter { return r.input }

// filterInput asks the modules for the filters of the request's body.
func (r *Request) filterInput() {
	m := r.m
	if !m.input || r.input != nil || r.main != nil || r.ContentLength <= 0 && !r.Chunked {
		return
	}
	s := r.Host.server
	for i := range s.hooks {
		if f := s.hooks[i].insertInput; f != nil {
			for _, n := range f(r, m.conf[i]) {
				if !slices.Contains(r.inputNames, n) {
					r.inputNames = append(r.inputNames, n)
				}
			}
		}
	}
	for i := range s.hooks {
		f := s.hooks[i].input
		if f == nil {
			continue
		}
		if outer := f(r, m.conf[i]); outer != nil {
			if inner := r.input; inner != nil {
				r.input = func(body io.Reader) io.Reader { return outer(inner(body)) }
			} else {
				r.input = outer
			}
		}
	}
	if r.input != nil {
		r.ContentLength, r.Chunked = -1, true
		r.DelHeader("Content-Length")
	}
}

// DelHeader removes a field of the request for all that follows.
func (r *Request) DelHeader(name string) {
	if _, ok := r.Get(name); ok {
		r.SetHeader(slices.DeleteFunc(slices.Clone(r.Header), func(f Field) bool { return strings.EqualFold(f.Name, name) }))
	}
}
