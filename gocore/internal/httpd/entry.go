// Looking at the entries of a directory: what the listing of mod_autoindex and
// the search of MultiViews need to know about the files beside each other.
package httpd

import (
	"path"
	"strings"
)

// Entry runs the phases from the file walk on for an entry of the directory
// that r's file is in, or that r's file is, as a sub-request. dir is that
// directory, name the entry's name. The client may see the entry if the status
// is OK or a redirect; the sub-request is nil if there are too many in each
// other.
//
// Access is decided anew only where other settings apply to the entry than to
// r (see permit), because asking for every file of a directory could be dear.
func (r *Request) Entry(dir, name string) (*Request, Status) {
	uri := strings.TrimSuffix(r.URI, r.PathInfo)
	if r.Info == nil || !r.Info.IsDir() {
		uri = path.Dir(uri)
	}
	uri = strings.TrimSuffix(uri, "/") + "/" + name
	sub, st := r.sub(uri)
	if st != OK {
		return nil, st
	}
	sub.Base, sub.ContextPrefix, sub.ContextRoot, sub.Aliased = r.Base, r.ContextPrefix, r.ContextRoot, r.Aliased
	sub.Filename = strings.TrimSuffix(dir, "/") + "/" + name
	for _, x := range r.Host.sections.locs {
		if x.matchURI(sub.URI, CollapseSlashes(sub.URI)) {
			sub.locs = append(sub.locs, x)
		}
	}
	return sub, sub.answer(sub.judge)
}
