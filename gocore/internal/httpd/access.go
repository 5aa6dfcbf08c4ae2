// Access control: the phases access, authorisation without a user,
// authentication and authorisation, and how Satisfy combines them. Rules:
// Apache's request processing and the manual of mod_access_compat (Satisfy).
package httpd

import (
	"net/http"
	"strings"
)

// permit decides whether the request may go on. A request that was made inside
// the server (error document, directory index) under the very settings that
// were applied already is not asked again: the same rules, the same client.
func (r *Request) permit() Status {
	if r.m.perRequest { // the settings may be replaced by those of an index file before anybody looks again
		r.varies = true
	}
	if from := r.origin(); from != nil {
		r.User, r.AuthType, r.permitted = from.User, from.AuthType, true
		return OK
	}
	st := r.all(phAccess)
	switch r.SatisfiesAny() {
	case true:
		if st != OK {
			if needed, auth := r.authorize(); needed {
				st = auth
			} else { // the modules leave it to the user's side to complain
				r.Logf(LevelError, "core", "client denied by server configuration, and no Require lets anybody in: %s", r.URI)
			}
		}
	case false:
		if st == OK {
			_, st = r.authorize()
		}
	}
	r.permitted = st == OK
	if st == http.StatusUnauthorized {
		r.challenge()
	}
	return st
}

// origin is the request whose permission holds for r too: the main request of
// a sub-request, or the one that was redirected here, with the same settings.
// An error document may follow a refusal; what was refused is not shown by it.
func (r *Request) origin() *Request {
	if r.main != nil {
		if r.main.permitted && r.main.m == r.m {
			return r.main
		}
		return nil
	}
	if p := r.Prev; p != nil && p.m == r.m && (p.permitted || r.Status >= 400) {
		return p
	}
	return nil
}

// SatisfiesAny reports Satisfy Any for the request.
func (r *Request) SatisfiesAny() bool {
	s := r.Host.server
	for i := range s.hooks {
		if f := s.hooks[i].satisfyAny; f != nil && f(r, r.m.conf[i]) {
			return true
		}
	}
	return false
}

// challenge lets the scheme in force say how to authenticate.
func (r *Request) challenge() {
	s := r.Host.server
	for _, f := range r.ErrOut { // an error document that needs a user itself: the first question stands
		if strings.EqualFold(f.Name, "WWW-Authenticate") {
			return
		}
	}
	for i := range s.hooks {
		if f := s.hooks[i].challenge; f != nil {
			f(r, r.m.conf[i])
		}
	}
}

// authorize decides access for a user; needed is false if no module has rules
// for the request. A need for a user that nobody can establish refuses: a site
// must not open because a module is missing.
func (r *Request) authorize() (needed bool, st Status) {
	s := r.Host.server
	for i := range s.hooks {
		f := s.hooks[i].phase[phAuthzFirst]
		if f == nil {
			continue
		}
		if s.hooks[i].authzRules != nil && !s.hooks[i].authzRules(r.m.conf[i]) {
			// no rules; the hook may still see a contradiction in the settings
			if st := f(r, r.m.conf[i]); st > OK {
				return true, st
			}
			continue
		}
		needed = true
		if st := f(r, r.m.conf[i]); st != Declined {
			return true, st
		}
	}
	if !needed {
		return false, OK
	}
	switch st := r.first(phAuthn); {
	case st == Declined || st == OK && r.User == "":
		r.User = ""
		r.Logf(LevelError, "core", "AH00027: No authentication done but request not allowed without authentication for %s. Authentication not configured?", r.URI)
		return true, http.StatusInternalServerError
	case st != OK:
		r.User = ""
		return true, st
	}
	if st := r.first(phAuthz); st == Declined {
		return true, http.StatusForbidden
	} else {
		return true, st
	}
}

// ValidUser reports whether a string can be a user's name: not empty and
// without control characters, which could end a line of a log or a variable.
func ValidUser(name string) bool {
	return name != "" && strings.IndexFunc(name, func(c rune) bool { return c < ' ' || c == 0x7f }) < 0
}
