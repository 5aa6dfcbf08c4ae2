// Where the phases run. The leader's thread serves all connections, so a hook
// that has to compute (password hashes), wait (name servers) or run Python says
// so with Need. Handle then gives up with Outcome.Needs, and the caller runs
// the phases again from the beginning where that is possible:
//
//	leader          Handle -> Needs = OnWorker
//	a goroutine     Resume(earlier, OnWorker); Handle -> finished, or Needs = OnPython
//	a Python thread Resume(earlier, OnPython); Handle -> finished
//
// Starting again keeps hooks plain functions. What must happen once only
// (counting a nonce, asking a script) is kept in Memo.
package httpd

import (
	"net/http"
	"strconv"
)

// Place is a kind of thread, from the most to the least restricted.
type Place int

const (
	OnLeader Place = iota // short work and file I/O only
	OnWorker              // a goroutine of the request's own: may compute and wait
	OnPython              // a Python thread: may also run Python
)

// needs is what Need panics with; Handle catches it.
type needs Place

// Scripts runs functions of Python scripts for the phases (WSGIAuthUserScript
// and the like) on the calling Python thread.
type Scripts interface {
	Call(c *ScriptCall) ScriptResult
}

// ScriptCall is one call of a function: function(environ, args...).
type ScriptCall struct {
	Script, Function string // file; name in it
	ApplicationGroup string // "" = main interpreter
	Kind             ScriptKind
	Environ          []EnvVar
	Args             []string // bytes, decoded as latin-1
	HTTPS            bool     // mod_ssl.is_https()
}

// ScriptKind says which results a script may give.
type ScriptKind int

const (
	ScriptPassword ScriptKind = iota // check_password: True, False, None or str
	ScriptHash                       // get_realm_hash: None, str or bytes
	ScriptGroups                     // groups_for_user: iterable of str or bytes
	ScriptAccess                     // allow_access: bool or None
	ScriptDispatch                   // process_group and its like: None, str or bytes
)

// ScriptAnswer is what a function returned.
type ScriptAnswer int

const (
	ScriptFailed  ScriptAnswer = iota // an exception, a wrong result, no such function: logged
	ScriptNone                        // None
	ScriptFalse                       // False
	ScriptTrue                        // True
	ScriptText                        // Text: a name or a hash
	ScriptStrings                     // Strings: names of groups
	ScriptMissing                     // ScriptDispatch: there is no such function
)

// ScriptResult is an answer with its text.
type ScriptResult struct {
	Answer  ScriptAnswer
	Text    string
	Strings []string
}

// execution is shared by a request, its sub-requests and internal redirects,
// and the repetition of its phases elsewhere. One goroutine at a time.
type execution struct {
	place   Place
	scripts Scripts
	memo    map[any]any
	held    []func() // records for the log
}

// share gives the execution to a request that is made inside of r.
func (r *Request) share() *execution {
	if r.at == nil {
		r.at = &execution{}
	}
	return r.at
}

// record writes to the log, or keeps what is to be written until it is certain
// that the phases are not run again and say the same once more.
func (r *Request) record(write func()) {
	if o := r.Original(); o.handling && o.share().place < OnPython {
		o.at.held = append(o.at.held, write)
		return
	}
	write()
}

// leave ends a run of the phases: what was held back for the log is written,
// or dropped if they are to be run again, and the permissions of the place end.
func (r *Request) leave(again bool) {
	r.handling = false
	x := r.at
	if x == nil {
		return
	}
	held := x.held
	x.place, x.scripts, x.held = OnLeader, nil, nil
	if !again {
		for _, write := range held {
			write()
		}
	}
}

// Resume prepares r, built anew from the same head, for Handle at another
// place after Handle of earlier (nil: there was none) gave up. s is needed for
// OnPython.
func (r *Request) Resume(earlier *Request, at Place, s Scripts) {
	if earlier != nil {
		r.at, r.Start = earlier.share(), earlier.Start
	}
	x := r.share()
	x.place, x.scripts = at, s
}

// Need makes sure that the phases run where p is possible. It does not return
// otherwise, so nothing that must not happen twice may have been done before
// without Memo, and no lock may be held.
func (r *Request) Need(p Place) {
	if r.at == nil && p > OnLeader || r.at != nil && r.at.place < p {
		panic(needs(p))
	}
}

// answer runs the phases of a sub-request. Outside of Handle (a log format, a
// response hook) they cannot be run again elsewhere: what needs that is refused.
func (r *Request) answer(phases func() Status) (st Status) {
	if r.Original().handling {
		return phases()
	}
	defer func() {
		if e := recover(); e != nil {
			if _, ok := e.(needs); !ok {
				panic(e)
			}
			st = http.StatusForbidden
		}
	}()
	return phases()
}

// Script calls a function of a Python script; it needs OnPython. The answer to
// the same call is kept for the whole request.
func (r *Request) Script(c *ScriptCall) ScriptResult {
	type key struct{ script, function, group, args string }
	k := key{c.Script, c.Function, c.ApplicationGroup, c.text()}
	if v, ok := r.Memo(k); ok {
		return v.(ScriptResult)
	}
	r.Need(OnPython)
	res := r.at.scripts.Call(c)
	r.SetMemo(k, res)
	return res
}

// text is everything that goes into the call, without ambiguity.
func (c *ScriptCall) text() string {
	var b []byte
	add := func(s string) { b = append(append(strconv.AppendInt(b, int64(len(s)), 10), ':'), s...) }
	for _, a := range c.Args {
		add(a)
	}
	b = append(b, '|')
	for _, e := range c.Environ {
		add(e.Name)
		add(e.Value)
	}
	return string(b)
}

// Memo returns what SetMemo kept under the key for this request, its
// sub-requests and internal redirects, and repetitions of its phases. Keys are
// values of a type that only the caller has.
func (r *Request) Memo(key any) (any, bool) {
	if r.at == nil {
		return nil, false
	}
	v, ok := r.at.memo[key]
	return v, ok
}

// SetMemo keeps a value; see Memo.
func (r *Request) SetMemo(key, value any) {
	x := r.share()
	if x.memo == nil {
		x.memo = map[any]any{}
	}
	x.memo[key] = value
}

// RedirectOnWorker is Redirect for a handler's Stream, which has a goroutine of
// its own. nil: only a Python thread can make the answer.
func (r *Request) RedirectOnWorker(url string) (out *Outcome) {
	o := r.Original()
	x := o.share()
	o.handling, x.place, r.at = true, OnWorker, x
	defer func() {
		switch e := recover().(type) {
		case nil:
		case needs:
			out = nil
		default:
			if out = r.caught(e); out == nil {
				o.leave(false)
				panic(e)
			}
		}
		o.leave(false)
	}()
	return r.Redirect(url, 0)
}
