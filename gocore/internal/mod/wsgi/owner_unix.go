//go:build unix

// The ownership policy of script-user and script-group.
package wsgi

import (
	"os"
	"os/user"
	"path"
	"strconv"
	"strings"
	"syscall"

	"modwsgi/gocore/internal/httpd"
)

// ownedAsNeeded checks the script and its directory: they must belong to the
// user (or group) and nobody else may write to them.
func ownedAsNeeded(g *httpd.DaemonGroup, script string) bool {
	if g.ScriptUser == "" && g.ScriptGroup == "" {
		return true
	}
	for _, p := range [2]string{script, path.Dir(script)} {
		fi, err := os.Stat(p)
		if err != nil {
			return false
		}
		st, ok := fi.Sys().(*syscall.Stat_t)
		if !ok || fi.Mode().Perm()&0o002 != 0 {
			return false
		}
		if g.ScriptUser != "" && (fi.Mode().Perm()&0o020 != 0 || !isID(g.ScriptUser, st.Uid, userID)) {
			return false
		}
		if g.ScriptGroup != "" && !isID(g.ScriptGroup, st.Gid, groupID) {
			return false
		}
	}
	return true
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
