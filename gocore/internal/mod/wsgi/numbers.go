// Numbers as mod_wsgi reads them, with C's atoi: "10s" is 10 and "x" is 0. The
// value is kept, so that a configuration means the same in both servers, but a
// typo must not switch a time-out off in silence: every number that is not read
// whole gets a warning. So does a directory of a process group that is not there.
package wsgi

import (
	"errors"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"syscall"

	"modwsgi/gocore/internal/httpd"
)

// leading reads a number as C does, after blanks and up to what is no digit;
// none is 0. The error is a number out of range, with the nearest in it.
func leading(s string, bits int) (int64, error) {
	s = strings.TrimLeft(s, " \t")
	end := 0
	if end < len(s) && (s[end] == '-' || s[end] == '+') {
		end++
	}
	digits := end
	for end < len(s) && s[end] >= '0' && s[end] <= '9' {
		end++
	}
	if end == digits {
		return 0, nil
	}
	return strconv.ParseInt(s[:end], 10, bits)
}

// atoi reads a number as C's atoi does: what follows the digits is ignored.
func atoi(s string) int {
	n, _ := leading(s, 32) // out of range: the nearest
	return int(n)
}

// warnNumber warns of a number that is not read as it is written. name is the
// option, or empty for the directive's own argument; unit is what it counts, or empty.
func warnNumber(k *httpd.Cmd, name, text string, bits int, unit string) {
	if _, err := strconv.ParseInt(strings.TrimSpace(text), 10, bits); err == nil {
		return
	}
	if name != "" {
		name = "option " + name + ": "
	}
	if unit != "" {
		unit = " of " + unit
	}
	read, _ := leading(text, bits)
	k.Warn("WSGI-NUMBER", "%s%q is read as %d; give a whole number%s, in digits alone", name, text, read, unit)
}

// unitOf tells how wide the number of an option is, and what it counts.
func unitOf(option string) (bits int, unit string) {
	switch {
	case strings.HasSuffix(option, "memory-limit"):
		return 64, "bytes"
	case strings.HasSuffix(option, "-size"):
		return 32, "bytes"
	case strings.HasSuffix(option, "-timeout"), option == "restart-interval", option == "cpu-time-limit":
		return 32, "seconds"
	case option == "response-flush-delay":
		return 32, "milliseconds"
	}
	return 32, ""
}

// warnDirectories warns of directories of a group that are not there: its
// processes could not start. It is no error, as they may be mounted later.
// A directory that may not be looked at is taken to be there.
func warnDirectories(k *httpd.Cmd, g *group) {
	missing := func(option, dir, where string, err error) bool {
		why := ""
		switch {
		case errors.Is(err, fs.ErrNotExist):
			why = "does not exist"
		case errors.Is(err, syscall.ENOTDIR):
			why = "is not a directory"
		default:
			return false
		}
		k.Warn("WSGI-DIRECTORY", "option %s: %s %s%s; without it the processes of the group %q cannot start", option, dir, why, where, g.Name)
		return true
	}
	if g.Chroot == "" {
		if g.Home != "" {
			missing("home", g.Home, "", isDir(os.Stat(g.Home)))
		}
		return
	}
	if missing("chroot", g.Chroot, "", isDir(os.Stat(g.Chroot))) || g.Home == "" {
		return
	}
	// A link that leads out of the chroot from here (an absolute one) is an
	// error of its own kind: what it means inside is not known.
	root, err := os.OpenRoot(g.Chroot)
	if err != nil {
		return
	}
	defer root.Close()
	name := strings.Trim(g.Home, "/")
	if name == "" {
		return
	}
	missing("home", g.Home, " inside of chroot="+g.Chroot, isDir(root.Stat(name)))
}

func isDir(fi fs.FileInfo, err error) error {
	if err == nil && !fi.IsDir() {
		return syscall.ENOTDIR
	}
	return err
}
