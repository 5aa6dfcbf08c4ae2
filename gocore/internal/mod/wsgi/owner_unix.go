//go:build unix

// The ownership policy of script-user and script-group.
package wsgi

import (
	"fmt"
	"os"
	"os/user"
	"path"
	"strconv"
	"strings"
	"syscall"

	"modwsgi/gocore/internal/httpd"
)

// mod_wsgi's numbers for what can be wrong with a script and its directory:
// owner unknown, another owner, writable for everybody or (users) for the group.
var (
	groupCodes = [2][3]string{{"WSGI0153", "WSGI0155", "WSGI0157"}, {"WSGI0158", "WSGI0160", "WSGI0161"}}
	userCodes  = [2][4]string{{"WSGI0162", "WSGI0164", "WSGI0166", "WSGI0167"}, {"WSGI0168", "WSGI0170", "WSGI0172", "WSGI0173"}}
)

// ownership checks the script and its directory: they must belong to the user
// (or group) of the policy, and nobody else may write to them. "" or what is
// wrong, with its number.
func ownership(g *httpd.DaemonGroup, script string) string {
	if g.ScriptUser == "" && g.ScriptGroup == "" {
		return ""
	}
	for i, p := range [2]string{script, path.Dir(script)} {
		what := [2]string{"script", "directory"}[i]
		fi, err := os.Stat(p)
		var st *syscall.Stat_t
		if err == nil {
			st, _ = fi.Sys().(*syscall.Stat_t)
		}
		if g.ScriptGroup != "" {
			switch codes := groupCodes[i]; {
			case st == nil:
				return fmt.Sprintf("%s: the group of the %s %s cannot be found out", codes[0], what, p)
			case !isID(g.ScriptGroup, st.Gid, groupID):
				return fmt.Sprintf("%s: the %s %s has group %d, not script-group %s of %q", codes[1], what, p, st.Gid, g.ScriptGroup, g.Name)
			case fi.Mode().Perm()&0o002 != 0:
				return fmt.Sprintf("%s: everybody may write to the %s %s", codes[2], what, p)
			}
		}
		if g.ScriptUser != "" {
			switch codes := userCodes[i]; {
			case st == nil:
				return fmt.Sprintf("%s: the owner of the %s %s cannot be found out", codes[0], what, p)
			case !isID(g.ScriptUser, st.Uid, userID):
				return fmt.Sprintf("%s: the %s %s belongs to user %d, not to script-user %s of %q", codes[1], what, p, st.Uid, g.ScriptUser, g.Name)
			case fi.Mode().Perm()&0o002 != 0:
				return fmt.Sprintf("%s: everybody may write to the %s %s", codes[2], what, p)
			case fi.Mode().Perm()&0o020 != 0:
				return fmt.Sprintf("%s: its group may write to the %s %s", codes[3], what, p)
			}
		}
	}
	return ""
}

func isID(name string, id uint32, lookup func(string) string) bool {
	want, ok := strings.CutPrefix(name, "#")
	if !ok {
		want = lookup(name)
	}
	return want == strconv.FormatUint(uint64(id), 10)
}

func userID(name string) string {
	if u, err := user.Lookup(name); err == nil {
		return u.Uid
	}
	return ""
}

func groupID(name string) string {
	if g, err := user.LookupGroup(name); err == nil {
		return g.Gid
	}
	return ""
}
