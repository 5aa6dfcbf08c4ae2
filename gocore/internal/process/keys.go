// Private keys of hosts that speak TLS: read by the supervisor, kept from users
// who could not read them themselves.
package process

import (
	"os"
	"path/filepath"
	"slices"
	"syscall"

	"modwsgi/gocore/internal/httpd"
	"modwsgi/gocore/internal/mod/ssl"
)

// keysOf are the files with private keys, by their paths after links.
func keysOf(srv *httpd.Server) (out []string) {
	for _, name := range ssl.Keys(srv) {
		if real, err := filepath.EvalSymlinks(name); err == nil {
			name = real
		}
		out = append(out, name)
	}
	return out
}

// mayHaveKeys says whether processes with the identity may hold the keys of all
// hosts in their memory, which an application that runs there can read: those
// that could open the files anyway.
func mayHaveKeys(srv *httpd.Server, id identity) bool {
	return !slices.ContainsFunc(keysOf(srv), func(name string) bool { return !readable(name, id) })
}

// readable says whether the permission bits let the identity read the file; ACLs
// that let in more count as if they did not.
func readable(name string, id identity) bool {
	if id.uid < 0 || id.uid == 0 { // the supervisor's own rights, which it read the file with
		return true
	}
	if !permits(name, id, 4) {
		return false
	}
	for dir := filepath.Dir(name); ; dir = filepath.Dir(dir) {
		if !permits(dir, id, 1) {
			return false
		}
		if dir == filepath.Dir(dir) {
			return true
		}
	}
}

// permits looks at one file's bits: 4 to read, 1 to search a directory.
func permits(name string, id identity, bit os.FileMode) bool {
	info, err := os.Stat(name)
	if err != nil {
		return false
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return false
	}
	mode := info.Mode().Perm()
	switch {
	case int(st.Uid) == id.uid:
		mode >>= 6
	case int(st.Gid) == id.gid || slices.Contains(id.groups, int(st.Gid)):
		mode >>= 3
	}
	return mode&bit != 0
}
