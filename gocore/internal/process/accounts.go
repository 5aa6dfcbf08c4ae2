// Accounts that a configuration names and this system does not have. They are
// looked up when the configuration is read, so that `mod_wsgi-express check`
// and a graceful restart find them before anything is touched.
package process

import (
	"errors"
	"fmt"
	"os/user"
	"strings"

	"modwsgi/gocore/internal/conf"
	"modwsgi/gocore/internal/httpd"
)

// CodeAccount is of users and groups that do not exist.
const CodeAccount = "PROCESS-ACCOUNT"

// UnknownAccounts are the users and groups of User, Group and of the options
// user=, group= and supplementary-groups= of WSGIDaemonProcess that cannot be
// found. For root they are errors. Any other user's server does not need them:
// warnings, as the file may be meant for one that root starts.
func UnknownAccounts(srv *httpd.Server, root bool) []conf.Diagnostic {
	var out []conf.Diagnostic
	report := func(pos conf.Pos, directive, what string, err error) {
		if err == nil {
			return
		}
		d := conf.Diagnostic{Severity: conf.Error, Code: CodeAccount, Pos: pos, Directive: directive,
			Message: what + err.Error(), Suggestion: "create the account, or name one that exists"}
		if !root {
			d.Severity, d.Message = conf.Warning, d.Message+": as root the server would not start"
		}
		out = append(out, d)
	}
	if srv.Tree != nil {
		report(lastPos(srv.Tree.Root, "User"), "User", "", accountError("user", srv.User))
		report(lastPos(srv.Tree.Root, "Group"), "Group", "", accountError("group", srv.Group))
	}
	for i := range srv.Groups {
		g := &srv.Groups[i]
		report(g.Pos, "WSGIDaemonProcess", "option user: ", accountError("user", g.User))
		report(g.Pos, "WSGIDaemonProcess", "option group: ", accountError("group", g.Group))
		for _, name := range g.SupplementaryGroups {
			report(g.Pos, "WSGIDaemonProcess", "option supplementary-groups: ", accountError("group", name))
		}
	}
	return out
}

// accountError says why a user or group cannot be found. Ids need no account.
func accountError(kind, name string) error {
	if name == "" || strings.HasPrefix(name, "#") {
		return nil
	}
	var err error
	if kind == "user" {
		_, err = user.Lookup(name)
	} else {
		_, err = user.LookupGroup(name)
	}
	var noUser user.UnknownUserError
	var noGroup user.UnknownGroupError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &noUser), errors.As(err, &noGroup):
		return fmt.Errorf("this system has no %s %q", kind, name)
	}
	return fmt.Errorf("%s %q cannot be looked up: %w", kind, name, err)
}

// lastPos is where the directive of a name that counts stands: the last one.
func lastPos(list []*conf.Directive, name string) (pos conf.Pos) {
	for _, d := range list {
		if strings.EqualFold(d.Name, name) {
			pos = d.Pos
		}
		if in := lastPos(d.Children, name); in.Line > 0 {
			pos = in
		}
	}
	return pos
}
