// Who workers run as: User, Group, and the user=, group= and
// supplementary-groups= of WSGIDaemonProcess become numbers here, in the
// supervisor. Only a supervisor that runs as root changes identities; for any
// other the directives have no effect, as in Apache.
package process

import (
	"errors"
	"fmt"
	"os"
	"os/user"
	"slices"
	"strconv"
	"strings"
)

// identity is a resolved user. uid -1: stay as the supervisor is.
type identity struct {
	uid, gid   int
	groups     []int  // supplementary, the primary one included
	name, home string // of the user, may be empty
}

func keepIdentity() identity { return identity{uid: -1, gid: -1} }

// same says whether connections may pass between processes of a and b.
func (a identity) same(b identity) bool { return a.uid == b.uid && a.gid == b.gid }

// equal says whether processes of a and b have the same rights.
func (a identity) equal(b identity) bool {
	sorted := func(list []int) []int {
		list = slices.Clone(list)
		slices.Sort(list)
		return list
	}
	return a.same(b) && slices.Equal(sorted(a.groups), sorted(b.groups))
}

// number is the user id that processes of a have.
func (a identity) number() int {
	if a.uid < 0 {
		return os.Geteuid()
	}
	return a.uid
}

// errRootWorker refuses what Apache refuses, with the ways out.
var errRootWorker = errors.New("refusing to run the application as root: give User and Group (--user and --group of mod_wsgi-express) " +
	"the names of an unprivileged account, or define MOD_WSGI_ALLOW_ROOT if root is really meant")

// parseID reads "#123"; ok is false when s is a name.
func parseID(s string) (id int, ok bool, err error) {
	digits, ok := strings.CutPrefix(s, "#")
	if !ok {
		return 0, false, nil
	}
	n, err := strconv.ParseUint(digits, 10, 32)
	if err != nil || n >= 1<<32-1 { // (uid_t)-1 means "leave as is" to the kernel
		return 0, true, fmt.Errorf("%q is not a valid numeric id", s)
	}
	return int(n), true, nil
}

// resolveIdentity looks userName and groupName up (names or "#id"). An empty
// groupName means the user's own primary group. supplementary nil means the
// groups that the system lists for the user, as initgroups(3) sets them.
func resolveIdentity(userName, groupName string, supplementary []string) (identity, error) {
	if userName == "" {
		return identity{}, errors.New("started as root without a User directive: say which account the application runs as")
	}
	id := identity{gid: -1}
	uid, numeric, err := parseID(userName)
	if err != nil {
		return identity{}, fmt.Errorf("bad user name: %w", err)
	}
	var u *user.User
	if numeric {
		id.uid = uid
		u, err = user.LookupId(strconv.Itoa(uid)) // an id without an account is allowed
	} else {
		u, err = user.Lookup(userName)
		if err != nil {
			return identity{}, fmt.Errorf("bad user name %s: %w", userName, err)
		}
	}
	if err == nil {
		id.name, id.home = u.Username, u.HomeDir
		if id.uid, err = strconv.Atoi(u.Uid); err != nil {
			return identity{}, fmt.Errorf("user %s: %w", userName, err)
		}
		if id.gid, err = strconv.Atoi(u.Gid); err != nil {
			return identity{}, fmt.Errorf("user %s: %w", userName, err)
		}
	} else {
		u = nil
	}
	if groupName != "" {
		if id.gid, err = lookupGroup(groupName); err != nil {
			return identity{}, err
		}
	}
	if id.gid < 0 {
		return identity{}, fmt.Errorf("user %s has no account and so no primary group: give a Group directive", userName)
	}
	seen := map[int]bool{id.gid: true}
	id.groups = []int{id.gid}
	add := func(g int) {
		if !seen[g] {
			seen[g] = true
			id.groups = append(id.groups, g)
		}
	}
	switch {
	case supplementary != nil:
		for _, name := range supplementary {
			g, err := lookupGroup(name)
			if err != nil {
				return identity{}, err
			}
			add(g)
		}
	case u != nil:
		list, err := u.GroupIds()
		if err != nil {
			return identity{}, fmt.Errorf("listing the groups of user %s: %w", userName, err)
		}
		for _, s := range list {
			g, err := strconv.Atoi(s)
			if err != nil {
				return identity{}, fmt.Errorf("listing the groups of user %s: %w", userName, err)
			}
			// initgroups with an explicit Group replaces the primary one only.
			if groupName == "" || s != u.Gid {
				add(g)
			}
		}
	}
	return id, nil
}

func lookupGroup(name string) (int, error) {
	gid, numeric, err := parseID(name)
	if err != nil {
		return 0, fmt.Errorf("bad group name: %w", err)
	}
	if numeric {
		return gid, nil
	}
	g, err := user.LookupGroup(name)
	if err != nil {
		return 0, fmt.Errorf("bad group name %s: %w", name, err)
	}
	return strconv.Atoi(g.Gid)
}

// environ adjusts a worker's environment to the identity, so that code which
// looks at HOME does not end up in root's.
func (a identity) environ(env []string) []string {
	if a.uid < 0 {
		return env
	}
	out := make([]string, 0, len(env)+3)
	for _, kv := range env {
		name, _, _ := strings.Cut(kv, "=")
		if name != "HOME" && name != "USER" && name != "LOGNAME" {
			out = append(out, kv)
		}
	}
	if a.name == "" {
		return append(out, "HOME=/") // an id without an account
	}
	return append(out, "HOME="+a.home, "USER="+a.name, "LOGNAME="+a.name)
}
