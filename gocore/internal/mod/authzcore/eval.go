// This file holds the truth table of Require and its containers, that of
// Apache's mod_authz_core: an item is granted, denied, denied for lack of a
// user, or neutral.

package authzcore

import "modwsgi/gocore/internal/httpd"

// Result is what an authorisation item says of a request.
type Result int

const (
	Neutral      Result = iota // no opinion
	Granted                    // let it pass
	Denied                     // refuse; no user could change that
	DeniedNoUser               // refuse, unless the client says who it is
	Failed                     // could not be decided: an internal error, 500
)

// Provider is one kind of Require line ("ip", "method" ...). Modules hand
// theirs to New.
type Provider struct {
	Name string // the first word after Require, lower case
	// Parse reads the words that follow, once, while the configuration is
	// read. The Check that it returns runs for every request, possibly several
	// times and on several goroutines.
	Parse func(k *httpd.Cmd, args []string) (Check, error)
}

// Check decides for one request. r.User is "" before authentication: a check
// that needs a user then answers DeniedNoUser.
type Check func(r *httpd.Request) Result

// operator of a group.
type operator int

const (
	anyOf operator = iota // RequireAny, RequireNone, and what has no container
	allOf                 // RequireAll
)

// node is a Require line (check set) or a group of nodes. Immutable once read.
type node struct {
	check    Check
	op       operator
	children []*node
	negate   bool // Require not, RequireNone
	limit    *httpd.MethodLimit
	constant bool // "all granted": the same for every request
}

// covers says whether anything in the node speaks about the method: an own
// limit, or for a group those of its members. As in Apache a group of nothing
// but limited items is as limited as they are together.
func (n *node) covers(method string) bool {
	if !n.limit.Applies(method) {
		return false
	}
	for _, child := range n.children {
		if child.covers(method) {
			return true
		}
	}
	return len(n.children) == 0
}

// eval decides for the request; parent is the operator of the enclosing group.
func (n *node) eval(r *httpd.Request, parent operator) Result {
	if !n.covers(r.Method) {
		if parent == allOf {
			return Granted
		}
		return Neutral
	}
	var result Result
	if n.check != nil {
		result = n.check(r)
	} else {
		result = n.group(r)
	}
	if n.negate {
		switch result {
		case Granted:
			return Denied
		case Denied, DeniedNoUser:
			return Neutral // not being refused is no reason to let pass
		}
	}
	return result
}

func (n *node) group(r *httpd.Request) Result {
	result := Neutral
	decisive, other := Granted, Denied
	if n.op == allOf {
		decisive, other = Denied, Granted
	}
	for _, child := range n.children {
		switch got := child.eval(r, n.op); got {
		case Neutral:
		case Failed, decisive:
			return got
		case DeniedNoUser: // a user might change the outcome of the group
			result = DeniedNoUser
		default:
			if result == Neutral {
				result = other
			}
		}
	}
	return result
}

// alwaysGranted says whether the outcome is "granted" for every request.
func (n *node) alwaysGranted() bool {
	if n == nil {
		return true
	}
	if n.limit != nil || n.negate {
		return false
	}
	if n.check != nil {
		return n.constant && n.check(nil) == Granted
	}
	for _, c := range n.children {
		granted := c.alwaysGranted()
		if n.op == anyOf && granted {
			return true
		}
		if n.op == allOf && !granted {
			return false
		}
	}
	return n.op == allOf && len(n.children) > 0
}
